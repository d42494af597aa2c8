// What the tests and the fuzzer of this room stand on: a loop of virtual time, a member that is a real store and
// nothing else, and a transport that remembers.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/etcd/call.h"
#include "api/etcd/service.h"
#include "api/etcd/watch_hub.h"
#include "env/loop.h"
#include "node/client.h"
#include "store/store.h"

namespace witan::api::etcd::testing {

class TestLoop final : public env::Loop {
 public:
  Instant now() const override { return now_; }
  WallTime wall() const override { return WallTime{1'700'000'000'000 + now_.ns / 1'000'000}; }
  void post(Task task) override { tasks_.push_back(std::move(task)); }
  env::TimerId call_at(Instant when, Task task) override;
  void cancel(env::TimerId id) override { timers_.erase(id); }

  // One posted task; false when there is none.
  bool step();
  void run() {
    while (step()) {
    }
  }
  // Lets time pass, running timers in their order and all that they post.
  void advance(Duration duration);
  size_t timers() const { return timers_.size(); }

 private:
  struct Timer {
    Instant when;
    Task task;
  };
  Instant now_{1'000'000'000};
  std::deque<Task> tasks_;
  std::map<env::TimerId, Timer> timers_;
  env::TimerId last_timer_ = 0;
};

// A cluster of one that applies at once. Everything reaches the loop by posts in apply order, as core F1 demands.
class FakeClient final : public node::Client {
 public:
  explicit FakeClient(env::Loop& loop) : loop_(loop) {}

  // ---- what a test may do to it
  node::View next_view{.leader = 7, .term = 3, .is_learner = false, .is_leader = true};
  void set_view(const node::View& view);
  // Instead of applying the next proposal.
  std::optional<node::Outcome> next_outcome;
  // Instead of answering the next read, renewal, query or history.
  std::optional<node::NotApplied> next_refusal;
  std::optional<node::MemberFailure> next_member_failure;
  std::optional<Code> next_transfer_error;
  // From here on batches are kept back; end_gap(), or an answer that must not overtake them, tells of a gap instead.
  void begin_gap();
  void end_gap();
  size_t history_changes = 1000;  // looked at by one history request
  int64_t quota_bytes = 0;
  std::vector<node::MemberInfo> members_now{
      {.id = 7, .name = "n1", .peer_urls = {"http://127.0.0.1:2380"}, .client_urls = {"http://127.0.0.1:2379"}}};
  std::string snapshot_bytes = "state";
  std::vector<std::string> calls;  // of change_members and move_leader, for tests to look at
  size_t proposals = 0;
  size_t reads_linearizable = 0;
  size_t reads_local = 0;
  store::Store& store() { return store_; }

  // Applies as if another client of another loop had asked.
  store::Reply apply(const store::Body& body);

  // ---- node::Client
  uint64_t cluster_id() const override { return 0xc1; }
  node::MemberId member_id() const override { return 7; }
  node::View view() const override { return view_; }
  store::Revision revision() const override { return revision_; }
  void listen(node::Listener& listener) override { listener_ = &listener; }
  void propose(const store::Body& body, Function<void(node::Outcome)> done) override;
  void read(const store::Body& body, node::Consistency consistency,
            Function<void(node::Answer<node::Done>)> done) override;
  void history(node::HistoryRequest request, Function<void(node::Answer<node::History>)> done) override;
  void renew_lease(store::LeaseId id, store::LeaseKind kind,
                   Function<void(node::Answer<node::LeaseRenewal>)> done) override;
  void lease_time(store::LeaseId id, bool with_keys, Function<void(node::Answer<node::LeaseTime>)> done) override;
  void leases(store::LeaseKind kind, Function<void(node::Answer<std::vector<store::LeaseId>>)> done) override;
  void members(node::Consistency consistency,
               Function<void(node::Answer<std::vector<node::MemberInfo>>)> done) override;
  void change_members(node::MemberChange change,
                      Function<void(std::expected<node::MembersChanged, node::MemberFailure>)> done) override;
  void move_leader(node::MemberId to, Function<void(Result<>)> done) override;
  void status(Function<void(node::Status)> done) override;
  void hash_kv(store::Revision revision, Function<void(std::expected<node::KvHash, node::HashFailure>)> done) override;
  void snapshot(Function<void(node::Answer<std::unique_ptr<node::SnapshotStream>>)> done) override;

 private:
  static constexpr uint64_t kTerm = 3;
  void deliver(store::ChangeBatchPtr batch);
  void settle_gap();
  std::optional<node::NotApplied> refusal() { return std::exchange(next_refusal, std::nullopt); }

  env::Loop& loop_;
  store::Store store_;
  uint64_t index_ = 0;
  node::Listener* listener_ = nullptr;
  node::View view_ = next_view;
  store::Revision revision_{1};
  std::optional<store::Revision> gap_from_;
};

// What became of one call.
struct TestCall {
  std::vector<std::string> messages;  // in order; those read by take() are gone
  std::optional<Status> status;       // once it ended
  size_t unread = 0;                  // bytes of `messages`
  bool paused = false;
};

// Plays Connection and Server: opens handlers, keeps answers.
class TestTransport final : public Transport {
 public:
  TestTransport() = default;
  // Destroys every handler.
  void clear();

  // Where handlers come from; must be set before the first call.
  Service* service = nullptr;
  size_t low_water = 1024;

  CallKey open(std::string_view path);
  void message(CallKey call, std::string_view bytes);
  void half_close(CallKey call);
  void cancel(CallKey call);
  TestCall& at(CallKey call) { return calls_.at(call.stream.value).seen; }
  // Reads the next message, as a client does; tells the handler when the buffer has run low.
  std::optional<std::string> take(CallKey call);

  void send(CallKey call, Chain&& message) override;
  void finish(CallKey call, const Status& status) override;
  void reply(CallKey call, Chain&& message) override;
  void reply(CallKey call, std::string_view message) override;
  size_t pending(CallKey call) const override;
  void pause_reading(CallKey call, bool paused) override;
  StreamHandler* handler(CallKey call) override;

 private:
  struct Entry {
    TestCall seen;
    const Method* method = nullptr;
    std::unique_ptr<StreamHandler> handler;
  };
  void end(Entry& entry);

  std::map<int32_t, Entry> calls_;
  std::vector<std::unique_ptr<StreamHandler>> ended_;
  int32_t last_ = 0;
};

// All of it together, without bytes of HTTP/2.
class TestApi final : private node::Listener {
 public:
  explicit TestApi(const Options& options = {});
  ~TestApi() override;

  TestLoop loop;
  FakeClient client;
  TestTransport transport;
  Service service;

  // A unary call, run to its end.
  TestCall call(std::string_view path, std::string_view message);
  // Shorthands for `client.apply`, followed by a run of the loop.
  store::Revision put(std::string_view key, std::string_view value, int64_t lease = 0);
  store::Revision erase(std::string_view key);

 private:
  void on_changes(std::span<const store::ChangeBatchPtr> batches) override { service.watches().on_changes(batches); }
  void on_gap(store::Revision from, store::Revision to) override { service.watches().on_gap(from, to); }
  void on_view(const node::View&) override {}
  void on_stop() override {}
};

}  // namespace witan::api::etcd::testing
