// What the tests and the fuzzers of the APIs stand on: a loop of virtual time, and a member that is a real store and
// nothing else.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "env/loop.h"
#include "node/client.h"
#include "store/store.h"

namespace witan::node::testing {

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
class FakeClient final : public Client {
 public:
  explicit FakeClient(env::Loop& loop) : loop_(loop) {}

  // ---- what a test may do to it
  View next_view{.leader = 7, .term = 3, .is_learner = false, .is_leader = true, .number = 1};
  void set_view(const View& view);
  // Instead of applying the next proposal.
  std::optional<Outcome> next_outcome;
  // Instead of answering the next read, renewal, query or history.
  std::optional<NotApplied> next_refusal;
  std::optional<MemberFailure> next_member_failure;
  std::optional<Code> next_transfer_error;
  // From here on batches are kept back; end_gap(), or an answer that must not overtake them, tells of a gap instead.
  void begin_gap();
  void end_gap();
  size_t history_changes = 1000;  // looked at by one history request
  int64_t quota_bytes = 0;
  std::vector<MemberInfo> members_now{
      {.id = 7, .name = "n1", .peer_urls = {"http://127.0.0.1:2380"}, .client_urls = {"http://127.0.0.1:2379"}}};
  std::string snapshot_bytes = "state";
  std::vector<std::string> calls;  // of change_members and move_leader, for tests to look at
  // While set, no view tells of members that were replaced.
  bool members_told_late = false;
  // Shows new members, as if another client had changed them.
  void set_members(std::vector<MemberInfo> members);
  size_t proposals = 0;
  size_t reads_linearizable = 0;
  size_t reads_local = 0;
  // While set, what sessions ask for is neither applied nor read; release() does it, in order.
  bool held = false;
  void release();
  // While set, reports of sessions stay unanswered; answer_renewals() answers them.
  bool leader_is_silent = false;
  void answer_renewals();
  std::vector<std::vector<store::LeaseId>> renewals;  // every report
  store::Store& store() { return store_; }

  // Applies as if another client of another loop had asked.
  store::Reply apply(const store::Body& body) { return apply(body, {}); }
  store::Reply apply(const store::Body& body, const Caller& caller);

  // ---- Client
  uint64_t cluster_id() const override { return 0xc1; }
  MemberId member_id() const override { return 7; }
  View view() const override { return view_; }
  store::Revision revision() const override { return revision_; }
  void listen(Listener& listener) override { listener_ = &listener; }
  void propose(const store::Body& body, Function<void(Outcome)> done) override;
  Ticket propose_as(const Caller& caller, const store::Body& body, Function<void(Outcome)> done) override;
  void read_as(const Caller& caller, const store::Body& body, Ticket after, Function<void(Answer<Done>)> done) override;
  void sync(Function<void(Answer<store::Revision>)> done) override;
  void renew_sessions(std::vector<store::LeaseId> ids,
                      Function<void(Answer<std::vector<store::LeaseId>>)> done) override;
  void read(const store::Body& body, Consistency consistency, Function<void(Answer<Done>)> done) override;
  void history(HistoryRequest request, Function<void(Answer<History>)> done) override;
  void renew_lease(store::LeaseId id, store::LeaseKind kind, Function<void(Answer<LeaseRenewal>)> done) override;
  void lease_time(store::LeaseId id, bool with_keys, Function<void(Answer<LeaseTime>)> done) override;
  void leases(store::LeaseKind kind, Function<void(Answer<std::vector<store::LeaseId>>)> done) override;
  void members(Consistency consistency, Function<void(Answer<std::vector<MemberInfo>>)> done) override;
  void settled_members(Function<void(Answer<std::vector<MemberInfo>>)> done) override;
  void change_members(MemberChange change, Function<void(std::expected<MembersChanged, MemberFailure>)> done) override;
  void move_leader(MemberId to, Function<void(Result<>)> done) override;
  void status(Function<void(Status)> done) override;
  void census(bool with_sessions, Function<void(Census)> done) override;
  void hash_kv(store::Revision revision, Function<void(std::expected<KvHash, HashFailure>)> done) override;
  void snapshot(Function<void(Answer<std::unique_ptr<SnapshotStream>>)> done) override;

 private:
  static constexpr uint64_t kTerm = 3;
  using Renewed = Function<void(Answer<std::vector<store::LeaseId>>)>;
  void deliver(store::ChangeBatchPtr batch);
  std::expected<MembersChanged, MemberFailure> replace(const ReplaceMembers& replace);
  void tell_sessions(const store::Body& body, const store::Reply& reply);
  void in_order(Task task);
  void answer_renewal(const std::vector<store::LeaseId>& ids, Renewed done);
  void settle_gap();
  std::optional<NotApplied> refusal() { return std::exchange(next_refusal, std::nullopt); }

  env::Loop& loop_;
  store::Store store_;
  uint64_t index_ = 0;
  Listener* listener_ = nullptr;
  View view_ = next_view;
  store::Revision revision_{1};
  std::optional<store::Revision> gap_from_;
  Ticket last_ticket_ = 0;
  std::deque<Task> waiting_;  // while held
  std::vector<std::pair<std::vector<store::LeaseId>, Renewed>> unanswered_;
};

}  // namespace witan::node::testing
