#include "wire/limits.h"

#include <algorithm>

namespace witan::wire {

bool TokenBucket::take(Instant now) {
  if (now > filled_) {
    const int64_t elapsed = (now - filled_).count();
    const bool fills_up = rate_ > 0 && elapsed > full_ / rate_;  // also keeps the product below from overflowing
    tokens_ = fills_up ? full_ : std::min(full_, tokens_ + elapsed * rate_);
    filled_ = now;
  }
  if (tokens_ < kToken) return false;
  tokens_ -= kToken;
  return true;
}

bool PingJudge::allow(Instant now, bool streams_open) {
  constexpr int kMaxStrikes = 2;
  constexpr Duration kWithoutStreams = std::chrono::hours(2);
  const Duration since = now - last_;
  const bool first = !seen_one_;
  seen_one_ = true;
  last_ = now;
  if (forgiven_) {
    forgiven_ = false;
    strikes_ = 0;
    return true;
  }
  if (!first && since < (streams_open ? minimum_ : std::max(kWithoutStreams, minimum_))) ++strikes_;
  return strikes_ <= kMaxStrikes;
}

}  // namespace witan::wire
