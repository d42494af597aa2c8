#include "node/bridge.h"

namespace witan::node {

// ---- From the state to consensus ----------------------------------------------------------------

void FarAgreement::propose(std::vector<Proposal> proposals) {
  there_.post([this, proposals = std::move(proposals)]() mutable { agreement_.propose(std::move(proposals)); });
}

void FarAgreement::propose_in(raft::Term term, Blob command, Function<void(raft::ProposeResult)> done) {
  there_.post([this, term, command = std::move(command), done = on_loop(here_, std::move(done))]() mutable {
    agreement_.propose_in(term, std::move(command), std::move(done));
  });
}

void FarAgreement::read_index(Function<void(Result<raft::Index>)> done) {
  there_.post([this, done = on_loop(here_, std::move(done))]() mutable { agreement_.read_index(std::move(done)); });
}

void FarAgreement::call(raft::NodeId to, CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                        Function<void(Result<Blob>)> done) {
  there_.post(
      [this, to, kind, lane, payload = std::move(payload), timeout, done = on_loop(here_, std::move(done))]() mutable {
        agreement_.call(to, kind, lane, std::move(payload), timeout, std::move(done));
      });
}

void FarAgreement::call_leader(CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                               Function<void(Result<Blob>)> done) {
  there_.post(
      [this, kind, lane, payload = std::move(payload), timeout, done = on_loop(here_, std::move(done))]() mutable {
        agreement_.call_leader(kind, lane, std::move(payload), timeout, std::move(done));
      });
}

void FarAgreement::change_members(MemberChange change, Function<void(Result<ChangeResult>)> done) {
  there_.post([this, change = std::move(change), done = on_loop(here_, std::move(done))]() mutable {
    agreement_.change_members(std::move(change), std::move(done));
  });
}

void FarAgreement::transfer_leadership(raft::NodeId to, Function<void(Result<>)> done) {
  there_.post([this, to, done = on_loop(here_, std::move(done))]() mutable {
    agreement_.transfer_leadership(to, std::move(done));
  });
}

void FarAgreement::describe_leading(Function<void(std::optional<Census::Leading>)> done) {
  there_.post(
      [this, done = on_loop(here_, std::move(done))]() mutable { agreement_.describe_leading(std::move(done)); });
}

void FarAgreement::applied(raft::Index index, WallTime stamp) {
  there_.post([this, index, stamp] { agreement_.applied(index, stamp); });
}

void FarAgreement::when_durable(raft::Index index, Task done) {
  there_.post([this, index, done = on_loop(here_, std::move(done))]() mutable {
    agreement_.when_durable(index, std::move(done));
  });
}

void FarAgreement::read_log(raft::Index from, raft::Index to, size_t max_bytes,
                            Function<void(std::vector<raft::Entry>)> done) {
  there_.post([this, from, to, max_bytes, done = on_loop(here_, std::move(done))]() mutable {
    agreement_.read_log(from, to, max_bytes, std::move(done));
  });
}

void FarAgreement::compact(raft::Index index) {
  there_.post([this, index] { agreement_.compact(index); });
}

// ---- From consensus to the state ----------------------------------------------------------------

void FarApplier::committed(std::vector<raft::Entry> entries) {
  there_.post([this, entries = std::move(entries)]() mutable { applier_.committed(std::move(entries)); });
}

void FarApplier::install(raft::SnapshotMeta meta) {
  there_.post([this, meta = std::move(meta)]() mutable { applier_.install(std::move(meta)); });
}

void FarApplier::accepted(std::vector<uint64_t> requests, raft::Accepted where) {
  there_.post(
      [this, requests = std::move(requests), where]() mutable { applier_.accepted(std::move(requests), where); });
}

void FarApplier::refused(std::vector<Proposal> proposals, Error why) {
  there_.post([this, proposals = std::move(proposals), why = std::move(why)]() mutable {
    applier_.refused(std::move(proposals), std::move(why));
  });
}

void FarApplier::overtaken(std::vector<uint64_t> requests) {
  there_.post([this, requests = std::move(requests)]() mutable { applier_.overtaken(std::move(requests)); });
}

void FarApplier::lost(std::vector<uint64_t> requests) {
  there_.post([this, requests = std::move(requests)]() mutable { applier_.lost(std::move(requests)); });
}

void FarApplier::standing(const raft::Standing& standing) {
  there_.post([this, standing] { applier_.standing(standing); });
}

void FarApplier::configuration(const raft::Configuration& configuration) {
  there_.post([this, configuration] { applier_.configuration(configuration); });
}

void FarApplier::on_call(raft::NodeId from, peer::Call call, peer::Responder respond) {
  there_.post([this, from, call = std::move(call), respond = on_loop(here_, std::move(respond))]() mutable {
    applier_.on_call(from, std::move(call), std::move(respond));
  });
}

void FarApplier::fatal(Error error) {
  there_.post([this, error = std::move(error)]() mutable { applier_.fatal(std::move(error)); });
}

void FarLane::run(Task work, Task done) {
  there_.post([this, work = std::move(work), done = on_loop(here_, std::move(done))]() mutable {
    lane_.run(std::move(work), std::move(done));
  });
}

}  // namespace witan::node
