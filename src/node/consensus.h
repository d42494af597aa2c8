// Raft, its log and its peers as one object: commands go in, committed entries come out, in order (core P4).
// The state side talks to it only through the calls below and Applier; both run on their own loop or share one.
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
#include "node/log_writer.h"
#include "node/membership.h"
#include "peer/peer.h"
#include "raft/raft.h"

namespace witan::node {

// A command on its way into the log. `request` is the state's name for it; 0: nobody waits.
struct Proposal {
  uint64_t request = 0;
  Blob command;
};

// The state, as consensus sees it.
class Applier {
 public:
  virtual ~Applier() = default;
  // Entries to apply, in order, each once.
  virtual void committed(std::vector<raft::Entry> entries) = 0;
  // A received snapshot replaces the state; entries after it follow.
  virtual void install(raft::SnapshotMeta meta) = 0;

  // What became of proposals, in part: where in the log they stand, ...
  virtual void accepted(std::vector<uint64_t> requests, raft::Accepted where) = 0;
  // ... that they are certainly not in it (core P2), ...
  virtual void refused(std::vector<Proposal> proposals, Error why) = 0;
  // ... or that nobody knows: only seeing them applied can tell.
  virtual void lost(std::vector<uint64_t> requests) = 0;

  virtual void standing(const raft::Standing& standing) = 0;
  // `configuration` was appended; at `index` it is committed when that is applied.
  virtual void configuration(const raft::Configuration& configuration) = 0;
  // Questions of other members that the state answers.
  virtual void on_call(raft::NodeId from, peer::Call call, peer::Responder respond) = 0;
  // The member cannot go on (a failed disk): the process must end with this message.
  virtual void fatal(Error error) = 0;
};

// Snapshot files, as consensus needs them.
class SnapshotPort {
 public:
  virtual ~SnapshotPort() = default;
  // Streams the newest snapshot to a member that is behind the log.
  virtual void send_newest(raft::NodeId to, raft::Term term, Function<void(bool delivered)> done) = 0;
  virtual std::unique_ptr<peer::SnapshotSink> receive(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                                      uint64_t size) = 0;
};

struct ConsensusOptions {
  raft::Options raft;
  std::string token;
  uint64_t cluster_id = 0;
  std::vector<peer::PeerRecord> known_peers;  // whom a joiner listens to while it has no configuration
  size_t max_learners = 1;
  // A leader whose wall clock is behind the newest stamp by more than this refuses to serve (core C4).
  Duration max_clock_lag = seconds(60);
};

class Consensus final : public peer::Handler {
 public:
  Consensus(ConsensusOptions options, raft::Initial initial, env::Loop& loop, LogWriter& log, SnapshotPort& snapshots,
            Applier& applier, Rng rng, Logger logger);
  ~Consensus() override;

  void connect(peer::Peers& peers) { peers_ = &peers; }
  // Begins to run timers and take part. Requires connect().
  void start();

  // Appends (leader) or forwards (follower) at the end of this turn, together with all others of it.
  void propose(Proposal proposal);
  // For what only the leader of `term` may propose (core P3). Never forwarded; a refusal is told through `done`.
  void propose_in(raft::Term term, Blob command, Function<void(raft::ProposeResult)> done);
  // The index a linearizable read that arrived before this call must wait for; an error means: ask again.
  void read_index(Function<void(Result<raft::Index>)> done);
  // As read_index, but only the leader itself answers; others fail with NotLeader (core L2).
  void confirm_leadership(Function<void(Result<raft::Index>)> done);

  // Asks the leader something; fails with NotLeader when certainly nobody was asked, Unknown when no answer came.
  void call_leader(CallKind kind, peer::Lane lane, Blob payload, Duration timeout, Function<void(Result<Blob>)> done);

  void change_members(const MemberChange& change, Function<void(Result<ChangeResult>)> done);
  // Makes the group know this member's name, URLs and directory. Repeated until the group has it; then `done`.
  void publish(MemberRecord self, Task done);
  void transfer_leadership(raft::NodeId to, Function<void(Result<>)> done);
  // Hands over leadership if this member has it, then calls `done`; at the latest after `patience`.
  void retire(Duration patience, Task done);

  // The state has applied up to `index`; `stamp` is the largest it has seen.
  void applied(raft::Index index, WallTime stamp);
  // A snapshot at `snapshot` is durable: entries up to `index` may go from the log.
  void compact(raft::Index index);
  // A received snapshot is durable.
  void snapshot_received(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta);
  void step_down(std::string reason);

  const raft::Raft& raft() const { return raft_; }
  // Where a snapshot may be taken at most: durable here and committed (core S4).
  raft::Index durable_index() const { return raft_.durable_index(); }

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

  void feed(raft::Event event, Function<void(raft::ProposeResult)> proposed = {});
  void drive();
  void handle(raft::Output output, Function<void(raft::ProposeResult)>& proposed);
  void on_standing(const raft::Standing& standing);
  void on_configuration(const raft::Configuration& configuration);
  void persist(raft::Persist persist);
  void fetch(const raft::Fetch& fetch);
  void rearm();
  void watch_disk();

  void flush();
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
  void settle_transfer(Result<> result);
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

  std::deque<Job> jobs_;
  bool driving_ = false;
  bool started_ = false;
  bool stalled_ = false;
  env::TimerId timer_ = 0;
  Instant armed_for_ = Instant::never();

  std::vector<Proposal> waiting_;  // of this turn
  bool flush_posted_ = false;
  WallTime largest_stamp_;
  raft::Index applied_;

  uint64_t next_read_ = 0;
  std::map<uint64_t, Function<void(Result<raft::Index>)>> reads_;
  std::vector<PendingChange> changes_;
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
