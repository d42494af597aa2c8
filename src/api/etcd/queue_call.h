// Lock and Campaign: taking a place in the queue under a prefix and waiting until everyone before is gone. What etcd's
// server does with its own client library (clientv3/concurrency), here on the member's own change stream.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "api/etcd/call.h"
#include "api/etcd/service.h"
#include "api/etcd/watch_hub.h"
#include "base/function.h"
#include "store/command.h"

namespace witan::api::etcd {

// Seconds of a lease that the server grants when the client brings none.
inline constexpr int64_t kSessionTtlMs = 60'000;

// "<name>/", the keys of everyone who waits.
std::string queue_prefix(std::string_view name);
// The key of a lease: prefix and the lease's number in hexadecimal, negative ones with a minus (Go's %x).
std::string queue_key(std::string_view prefix, int64_t lease);
// The smallest key after every key that begins with `prefix`; empty: there is none.
std::string prefix_end(std::string_view prefix);

// Makes Ranges over a prefix. The text must outlive the range.
class Prefix {
 public:
  Prefix() = default;
  explicit Prefix(std::string text) : text_(std::move(text)), end_(prefix_end(text_)) {}
  const std::string& text() const { return text_; }
  store::KeyRange range() const { return {text_, end_}; }
  // The key created first: whose turn it is.
  store::Range first_created() const;
  // The key created last among those created before `revision`: whom to wait for.
  store::Range last_created_before(store::Revision revision) const;

 private:
  store::KeyRangeView view() const { return {.begin = text_, .end = end_}; }
  std::string text_;
  std::string end_;
};

// What Lock and Election answer for any error of a read or a write: etcd runs its client library inside the server for
// them, and the errors that come out of it have lost their codes. Unknown, with the same text.
Status without_code(Status status);
// What was done, or null when the call has failed with such an error. Of a node::Outcome or node::Answer<node::Done>.
template <class Outcome>
const node::Done* settle_without_code(Service& service, CallKey call, const Outcome& outcome);

// The lease of a call: the client's, or one of kSessionTtlMs. Calls `then` with it, or with the error to answer.
void with_session(Service& service, int64_t lease, Function<void(std::expected<int64_t, Status>)> then);

// Deletes `key` if it is still of that creation. Nobody waits for the result.
void delete_created_at(Service& service, std::string_view key, store::Revision created);

// A place in a queue. Scenario pinned by LockWaits.CancelledCallLeavesTheQueue: the call may end at any step; whatever
// it has put is deleted then, also when its own put is answered after the call is gone.
class QueueCall : public StreamHandler, private ChangeSink {
 public:
  QueueCall(Service& service, CallKey call) : service_(service), call_(call) {}
  ~QueueCall() override;
  void on_cancel() override;
  // Gives the place up and fails the call, without the error's code.
  void leave(const Status& status);

 protected:
  // Steps, in this order; each may fail the call instead.
  // 1. Puts `value` under the lease's key in the queue of `name` unless the key is there. Lease 0: one is granted
  // first.
  void enter(std::string_view name, int64_t lease, std::string value);
  // 2. The place is taken: `created` now or before. Calls wait() or answers at once.
  virtual void on_entered(const node::Done& done, const store::TxnResult& result) = 0;
  // 3. Waits until nobody created before is left.
  void wait();
  // 4. The turn has come, and a linearizable read has found the own key still there (Jepsen #11456).
  virtual void on_turn(const node::Done& done) = 0;
  // The key is gone: the lease ended while waiting.
  virtual Error expired() const = 0;

  Service& service() { return service_; }
  CallKey call() const { return call_; }
  const std::string& key() const { return key_; }
  int64_t lease() const { return lease_; }
  store::Revision created() const { return created_; }
  // Continues with `step(self, done)` when the call is still open; a failed read or proposal leaves the queue.
  template <class Step>
  auto then(Step step);

 private:
  void on_events(uint64_t token, std::span<const EventRef> events) override;
  void on_detached(uint64_t token, store::Revision from) override;
  void put(int64_t lease, std::string_view value);
  void on_put(const node::Outcome& outcome);
  void on_predecessor(const node::Done& done);
  void confirm();

  Service& service_;
  const CallKey call_;
  Prefix prefix_;
  std::string key_;
  std::string predecessor_;
  int64_t lease_ = 0;
  store::Revision created_;  // of the own key; 0: it is not there
  WatchHub::Ticket ticket_ = 0;
};

inline const node::Done& done_of(const node::Outcome& outcome) { return std::get<node::Done>(outcome); }
inline const node::Done& done_of(const node::Answer<node::Done>& answer) { return *answer; }

template <class Outcome>
const node::Done* settle_without_code(Service& service, CallKey call, const Outcome& outcome) {
  std::optional<Status> error = error_of(outcome);
  if (!error) return &done_of(outcome);
  service.fail(call, without_code(*std::move(error)));
  return nullptr;
}

template <class Step>
auto QueueCall::then(Step step) {
  return [&service = service_, call = call_, step](const auto& outcome) {
    auto* self = static_cast<QueueCall*>(service.transport().handler(call));
    if (self == nullptr) return;
    if (const auto error = error_of(outcome)) return self->leave(*error);
    step(*self, done_of(outcome));
  };
}

}  // namespace witan::api::etcd
