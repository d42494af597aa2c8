// Raft, its log and its peers as one object: commands go in, committed entries come out, in order (core P4).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/rng.h"
#include "env/loop.h"
#include "node/calls.h"
#include "node/halves.h"
#include "node/log_writer.h"
#include "node/membership.h"
#include "node/witness.h"
#include "peer/peer.h"
#include "raft/raft.h"

namespace witan::node {

// Snapshot files, as consensus needs them.
class SnapshotPort {
 public:
  virtual ~SnapshotPort() = default;
  // Streams the newest snapshot to a member that is behind the log.
  virtual void send_newest(raft::NodeId to, raft::Term term, Function<void(bool delivered)> done) = 0;
  virtual std::unique_ptr<peer::SnapshotSink> receive(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                                      uint64_t size) = 0;
  // The lowest index that members being sent a snapshot will go on from; entries above it should stay in the log.
  virtual std::optional<raft::Index> needed_after() const = 0;
};

struct ConsensusOptions {
  raft::Options raft;
  std::string token;
  uint64_t cluster_id = 0;
  std::vector<peer::PeerRecord> known_peers;  // whom a joiner listens to while it has no configuration
  size_t max_learners = 1;
  bool reachable = true;  // by other members
  // A leader whose wall clock is behind the newest stamp by more than this refuses to serve (core C4).
  Duration max_clock_lag = seconds(60);
  Witness* witness = nullptr;
};

class Consensus final : public Agreement, public peer::Handler {
 public:
  Consensus(ConsensusOptions options, raft::Initial initial, env::Loop& loop, LogWriter& log, SnapshotPort& snapshots,
            Applier& applier, Rng rng, Logger logger);
  ~Consensus() override;

  void connect(peer::Peers& peers) { peers_ = &peers; }
  // Begins to run timers and take part. Requires connect().
  void start();

  // Agreement
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

  // Makes the group know this member's name, URLs and directory. Repeated until the group has it; then `done`.
  void publish(MemberRecord self, Task done);
  // Hands over leadership if this member has it, then calls `done`; at the latest after `patience`.
  void retire(Duration patience, Task done);

  // A received snapshot is durable.
  void snapshot_received(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta);

  // peer::Handler
  void on_message(raft::Envelope envelope) override;
  void on_call(raft::NodeId from, peer::Call call, peer::Responder respond) override;
  void on_unreachable(raft::NodeId to) override;
  std::unique_ptr<peer::SnapshotSink> on_snapshot(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                                  uint64_t size) override;

 private:
  struct Job {
    raft::Event event;
    Function<void(raft::ProposeResult)> proposed;
  };
  struct PendingChange {
    raft::Index index;
    raft::Term term;
    raft::NodeId subject;
    Function<void(Result<ChangeResult>)> done;
  };

  // As read_index, but only the leader itself answers; others fail with NotLeader (core L2).
  void confirm_leadership(Function<void(Result<raft::Index>)> done);

  void feed(raft::Event event, Function<void(raft::ProposeResult)> proposed = {});
  void drive();
  void handle(raft::Output output, Function<void(raft::ProposeResult)>& proposed);
  void on_standing(const raft::Standing& standing);
  void on_configuration(const raft::Configuration& configuration);
  void tell_peers();
  void persist(raft::Persist persist);
  void fetch(const raft::Fetch& fetch);
  void rearm();
  void watch_disk();

  void flush();
  void refuse(std::vector<Proposal> proposals, Error why);
  void lose(std::vector<uint64_t> requests);
  void drop_overtaken(std::vector<Proposal>& batch);
  void append_here(std::vector<Proposal> batch);
  void forward(std::vector<Proposal> batch);
  void on_forwarded(std::vector<Proposal> batch, peer::CallResult result);
  Result<WallTime> next_stamp() const;

  void answer_forward(peer::Call call, peer::Responder respond);
  void answer_members(peer::Responder respond);
  void answer_change(peer::Call call, peer::Responder respond);
  void answer_publish(raft::NodeId from, peer::Call call, peer::Responder respond);
  void change_as_leader(const MemberChange& change, Function<void(Result<ChangeResult>)> done);
  void propose_configuration(raft::Configuration target, raft::NodeId subject,
                             Function<void(Result<ChangeResult>)> done);
  void record_member(raft::NodeId id, const MemberRecord& published, Function<void(Result<>)> done);
  void settle_changes();
  void on_transfer_refused(Error why);
  void settle_transfer(Result<> result);
  void settle_durable();
  void publish_again();

  const ConsensusOptions options_;
  env::Loop& loop_;
  LogWriter& log_;
  peer::Peers* peers_ = nullptr;  // made after this object, which is its handler
  SnapshotPort& snapshots_;
  Applier& applier_;
  Logger logger_;
  raft::Raft raft_;
  raft::Standing standing_;
  Census::Leading leading_;  // what is counted while this member leads
  Instant leads_since_;

  std::deque<Job> jobs_;
  bool driving_ = false;
  bool started_ = false;
  bool stalled_ = false;
  env::TimerId timer_ = 0;
  Instant armed_for_ = Instant::never();

  std::vector<Proposal> waiting_;  // of this turn
  uint64_t disorders_ = 0;         // events that may have lost proposals; see Proposal::order
  bool flush_posted_ = false;
  WallTime largest_stamp_;
  raft::Index applied_;

  std::multimap<raft::Index, Task> until_durable_;

  uint64_t next_read_ = 0;
  std::map<uint64_t, Function<void(Result<raft::Index>)>> reads_;
  std::vector<PendingChange> changes_;
  bool peers_await_commit_ = false;        // of the configuration that they were told of
  std::optional<MemberRecord> published_;  // until the group has it
  env::TimerId publish_timer_ = 0;
  struct PendingTransfer {
    raft::NodeId to;
    env::TimerId timeout = 0;
    Function<void(Result<>)> done;
  };
  std::optional<PendingTransfer> transfer_;
  Task on_retired_;
  Task on_published_;
};

}  // namespace witan::node
