// One API loop's end of the channel to the state. Requests of a turn travel as one batch; changes and replies come back
// in one sequence of apply order (core F1).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "env/loop.h"
#include "node/client.h"

namespace witan::node {

class State;
using PortId = uint32_t;

// ---- From an API loop to the state --------------------------------------------------------------

struct ProposalRequest {
  Blob command;
  Function<void(Outcome)> done;
  store::LeaseId session;  // with its generation and ticket: see Client::propose_as
  uint64_t generation = 0;
  Ticket ticket = 0;
  bool too_large = false;  // there is no command: it is refused in its turn
};
struct ReadRequest {
  Blob command;
  Consistency consistency = Consistency::Linearizable;
  Function<void(Answer<Done>)> done;
  Ticket after = 0;  // not before the outcome of this one is there
};
// Everything rarer: runs on the state's loop.
using StateTask = Function<void(State&)>;
using Submission = std::variant<ProposalRequest, ReadRequest, StateTask>;

// ---- And back -----------------------------------------------------------------------------------

struct News {
  store::ChangeBatchPtr batch;
  size_t bytes = 0;  // in the backlog
};
struct ProposalReply {
  Function<void(Outcome)> done;
  Outcome outcome;
};
struct ReadReply {
  Function<void(Answer<Done>)> done;
  Answer<Done> answer;
};
struct Gap {
  store::Revision from;
  store::Revision to;
};
struct Attached {
  store::Revision revision;
  View view;
};
struct Stopping {};
using Delivery = std::variant<News, ProposalReply, ReadReply, Gap, View, Attached, Stopping, Task, SessionNews>;

// Bytes of change batches that were posted to a loop and not yet handled there. Written by both sides.
struct Backlog {
  std::atomic<size_t> bytes{0};
};

class Port final : public Client {
 public:
  // `state` lives on `state_loop`, which outlives the port.
  Port(env::Loop& loop, env::Loop& state_loop, State& state, uint64_t cluster_id, MemberId member_id,
       size_t max_request_bytes);
  ~Port() override;

  PortId id() const { return id_; }
  void receive(std::vector<Delivery> deliveries);  // on this port's loop

  uint64_t cluster_id() const override { return cluster_id_; }
  MemberId member_id() const override { return member_id_; }
  View view() const override { return view_; }
  store::Revision revision() const override { return revision_; }
  void listen(Listener& listener) override;
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

  // Queues something for the state; all of one turn go together.
  void submit(Submission submission);

 private:
  friend class State;

  env::Loop& loop_;
  env::Loop& state_loop_;
  State& state_;
  const uint64_t cluster_id_;
  const MemberId member_id_;
  const size_t max_request_bytes_;
  PortId id_ = 0;  // given by the state, before anything is submitted
  std::shared_ptr<Backlog> backlog_ = std::make_shared<Backlog>();
  // Posts that outlive the port find this empty.
  std::shared_ptr<Port*> self_ = std::make_shared<Port*>(this);

  Listener* listener_ = nullptr;
  Ticket last_ticket_ = 0;
  View view_;
  store::Revision revision_{0};
  std::vector<Submission> outgoing_;
  bool flush_posted_ = false;
  std::vector<store::ChangeBatchPtr> run_;  // batches that stand together in a delivery
};

}  // namespace witan::node
