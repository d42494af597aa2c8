// Small judges of how much a client may ask for. Pure: time comes in.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace witan::wire {

// Allows bursts of `burst` and `rate` a second in the long run.
class TokenBucket {
 public:
  TokenBucket(uint32_t burst, uint32_t rate, Instant now)
      : full_(burst * kToken), rate_(rate), tokens_(full_), filled_(now) {}

  // Takes one; false when there is none. Time that runs backwards adds nothing.
  bool take(Instant now);

 private:
  static constexpr int64_t kToken = 1'000'000'000;  // a token in parts: what one a second earns in a nanosecond is 1
  int64_t full_;
  int64_t rate_;
  int64_t tokens_;  // 0 <= tokens <= full
  Instant filled_;
};

// Which of a client's pings are too many, as gRPC's keep-alive enforcement has it (gRFC A8 and A18): more than two
// strikes, where a strike is a ping sooner than `minimum` after the last one (two hours when no stream is open).
// Whatever the server sends for a call forgives them, because a client may ping while it receives (it measures
// bandwidth).
class PingJudge {
 public:
  explicit PingJudge(Duration minimum) : minimum_(minimum) {}

  // False when this ping is one too many.
  bool allow(Instant now, bool streams_open);
  void forgive() { forgiven_ = true; }

 private:
  Duration minimum_;
  Instant last_{};
  int strikes_ = 0;
  bool seen_one_ = false;
  bool forgiven_ = false;
};

}  // namespace witan::wire
