// A client's lease: granted, kept alive as long as it is wanted, and recorded.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>

#include "base/function.h"
#include "sim/channel.h"
#include "sim/history.h"

namespace witan::sim {

class LeaseHolder {
 public:
  LeaseHolder(Channel& channel, Scheduler& scheduler, History& history)
      : channel_(channel), scheduler_(scheduler), history_(history) {}

  // Grants and then keeps it alive. `done` with false: nobody knows whether it exists, and this client lets go of it.
  void grant(int64_t id, int64_t ttl_s, Function<void(bool)> done);
  // Sends no more renewals.
  void abandon();
  // Asks for its end, and sends no more renewals.
  void revoke(Function<void()> done);
  bool has() const { return lease_ != nullptr; }
  int64_t id() const { return lease_ == nullptr ? 0 : lease_->id; }
  // As long as this is in the future, the lease cannot have ended, whatever clocks do.
  Instant surely_until() const;

 private:
  void connect();
  void renew_later();
  void on_reply(std::string_view bytes);

  Channel& channel_;
  Scheduler& scheduler_;
  History& history_;
  verify::LeaseHistory* lease_ = nullptr;
  Channel::StreamKey stream_ = 0;
  std::deque<size_t> waiting_;  // renewals sent on this stream, by position in the history
  Instant last_promise_{0};     // when the last acknowledged one was sent
  uint64_t life_ = 0;
  bool lost_ = false;
};

}  // namespace witan::sim
