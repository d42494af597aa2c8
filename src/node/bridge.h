// Carries what the halves of a member say from one loop to the other. Both ends may be the same loop.
#pragma once

#include <memory>
#include <utility>

#include "env/loop.h"
#include "node/halves.h"

namespace witan::node {

// A callback that runs, and is destroyed, on its loop, wherever it is called or dropped: dropping one can mean
// something (peer::Responder).
template <class... Values>
class Homing {
 public:
  Homing(env::Loop& loop, Function<void(Values...)> done)
      : loop_(&loop), done_(std::make_unique<Function<void(Values...)>>(std::move(done))) {}
  Homing(Homing&&) noexcept = default;
  Homing& operator=(Homing&&) noexcept = default;
  ~Homing() {
    if (done_) loop_->post([done = std::move(done_)] {});
  }
  void operator()(Values... values) {
    loop_->post([done = std::move(done_), ... values = std::move(values)]() mutable { (*done)(std::move(values)...); });
  }

 private:
  env::Loop* loop_;
  std::unique_ptr<Function<void(Values...)>> done_;
};

template <class... Values>
Function<void(Values...)> on_loop(env::Loop& loop, Function<void(Values...)> done) {
  return Homing<Values...>(loop, std::move(done));
}

// Consensus, for the state on `here`.
class FarAgreement final : public Agreement {
 public:
  FarAgreement(env::Loop& here, env::Loop& there, Agreement& agreement)
      : here_(here), there_(there), agreement_(agreement) {}

  void propose(std::vector<Proposal> proposals) override;
  void propose_in(raft::Term term, Blob command, Function<void(raft::ProposeResult)> done) override;
  void read_index(Function<void(Result<raft::Index>)> done) override;
  void call(raft::NodeId to, CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
            Function<void(Result<Blob>)> done) override;
  void call_leader(CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                   Function<void(Result<Blob>)> done) override;
  void change_members(MemberChange change, Function<void(Result<ChangeResult>)> done) override;
  void transfer_leadership(raft::NodeId to, Function<void(Result<>)> done) override;
  void describe_leading(Function<void(std::optional<Census::Leading>)> done) override;
  void applied(raft::Index index, WallTime stamp) override;
  void when_durable(raft::Index index, Task done) override;
  void read_log(raft::Index from, raft::Index to, size_t max_bytes,
                Function<void(std::vector<raft::Entry>)> done) override;
  void compact(raft::Index index) override;

 private:
  env::Loop& here_;
  env::Loop& there_;
  Agreement& agreement_;
};

// The state, for consensus on `here`.
class FarApplier final : public Applier {
 public:
  FarApplier(env::Loop& here, env::Loop& there, Applier& applier) : here_(here), there_(there), applier_(applier) {}

  void committed(std::vector<raft::Entry> entries) override;
  void install(raft::SnapshotMeta meta) override;
  void accepted(std::vector<uint64_t> requests, raft::Accepted where) override;
  void refused(std::vector<Proposal> proposals, Error why) override;
  void lost(std::vector<uint64_t> requests) override;
  void overtaken(std::vector<uint64_t> requests) override;
  void standing(const raft::Standing& standing) override;
  void configuration(const raft::Configuration& configuration) override;
  void on_call(raft::NodeId from, peer::Call call, peer::Responder respond) override;
  void fatal(Error error) override;

 private:
  env::Loop& here_;
  env::Loop& there_;
  Applier& applier_;
};

// A lane that belongs to the loop `there`, for users on `here`.
class FarLane final : public env::Lane {
 public:
  FarLane(env::Loop& here, env::Loop& there, env::Lane& lane) : here_(here), there_(there), lane_(lane) {}
  void run(Task work, Task done) override;

 private:
  env::Loop& here_;
  env::Loop& there_;
  env::Lane& lane_;
};

}  // namespace witan::node
