// The state side of a member (core P4): applies what consensus commits, answers reads, keeps leases, fans changes out
// to the API loops, and takes snapshots. Everything on one loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "base/log.h"
#include "env/loop.h"
#include "node/auditor.h"
#include "node/halves.h"
#include "node/lease_keeper.h"
#include "node/port.h"
#include "node/read_queue.h"
#include "node/snapshots.h"
#include "node/waiters.h"
#include "node/witness.h"
#include "store/store.h"

namespace witan::node {

struct StateOptions {
  raft::NodeId self;
  uint64_t incarnation = 0;               // of this process: differs at every start
  Duration request_timeout = seconds(7);  // etcd: 5 s and two election timeouts
  Duration election = milliseconds(1000);
  size_t max_pending = 100'000;                 // proposals waiting; more are refused
  size_t max_backlog_bytes = size_t{64} << 20;  // per API loop, of change batches (core F4)
  Duration auto_compaction = seconds(3600);     // of history; zero: by bytes only
  store::SettingsChange settings;               // what a leader makes the cluster's (core C3)
  uint64_t snapshot_entries = 1'000'000;        // a snapshot is due after so many entries ...
  uint64_t snapshot_bytes = 0;                  // ... or bytes of them; 0: the larger of 64 MiB and the last snapshot
  uint64_t keep_entries = 5'000;                // behind a snapshot, for members that are a little behind
  Duration session_allowance = milliseconds(1000);  // how old a session's renewal may be that a member reports
  Duration idle_scan = seconds(60);                 // how often containers and TTL nodes are looked at
  Witness* witness = nullptr;
};

class State final : public Applier {
 public:
  State(StateOptions options, std::unique_ptr<store::Store> store, raft::SnapshotMeta applied, env::Loop& loop,
        Snapshots& snapshots, Logger logger);
  ~State() override;
  void connect(Agreement& agreement) {
    agreement_ = &agreement;
    reads_.connect(agreement);
    leases_.connect(agreement);
    auditor_.connect(agreement);
  }
  // Begins to keep house. On its loop, after connect() and before anything is applied.
  void start() { upkeep(); }

  // ---- for ports, on this loop
  void add_port(Port& port);  // before loops run
  void submit(PortId port, std::vector<Submission> submissions);
  void attach(PortId port);
  void deliver(PortId port, Delivery delivery);
  store::Store& store() { return *store_; }
  Agreement& agreement() { return *agreement_; }
  LeaseKeeper& leases() { return leases_; }
  ReadQueue& reads() { return reads_; }
  const raft::Standing& current_standing() const { return standing_; }
  // Those that clients are told of: certain, and not on the way from one configuration to another.
  const raft::Configuration& settled_members() const { return members_; }
  // Of the newest entry of this member's log that says so, which may yet be taken back.
  const raft::Configuration& configuration() const { return configuration_; }
  raft::Index applied_index() const { return applied_; }
  // Questions of clients that wait for something.
  size_t pending() const;
  Status status() const;
  // Without what only consensus knows.
  Census census(bool with_sessions) const;
  // A pinned copy of the state for a client; see Client::snapshot. Closed when the stream is destroyed.
  void open_snapshot(PortId port, Function<void(Answer<std::unique_ptr<SnapshotStream>>)> done);
  void read_snapshot(PortId port, uint64_t id, size_t max_bytes, Function<void(Answer<Blob>)> done);
  void close_snapshot(uint64_t id) { copies_.erase(id); }
  void hash_kv(PortId port, store::Revision revision, Function<void(std::expected<KvHash, HashFailure>)> done);

  // Runs once this member serves: a leader is known and the state has caught up with it.
  void on_ready(Task ready) {
    ready_ = std::move(ready);
    check_ready();
  }
  // Tells the ports, fails what waits as Stopping. Nothing is accepted afterwards.
  void stop();
  void on_fatal(Function<void(Error)> fatal) { fatal_ = std::move(fatal); }

  // ---- Applier
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
  struct Outlet {
    Port* port = nullptr;
    std::shared_ptr<Port*> self;
    env::Loop* loop = nullptr;
    std::shared_ptr<Backlog> backlog;
    std::vector<Delivery> outbox;
    bool attached = false;
    store::Revision missed_from{0};                 // first revision not posted since the backlog was full; 0: none
    absl::flat_hash_map<Ticket, uint64_t> tickets;  // requests that reads may come after; looked up, never walked
  };

  // Work in slices of about a millisecond in turn (core P4).
  struct LongWork {
    Function<bool()> step;  // true: over
    Task abandoned;         // instead of further steps, when the store they read is replaced
  };

  // The same state once more from this member's snapshot and log (core S7).
  struct Rebuild {
    std::unique_ptr<store::Store> store;
    raft::SnapshotMeta target;  // where the state stood
    raft::Index reached;
  };

  void apply_some();
  void apply(const raft::Entry& entry);
  store::ChangeBatchPtr apply_command(const raft::Entry& entry);
  void fan_out(const store::ChangeBatchPtr& batch);
  void close_gap(Outlet& outlet);
  void flush_soon();
  void flush();
  void propose(PortId port, ProposalRequest request);
  void retry_parked();
  View view() const;
  void announce_view();
  void begin_leading();
  void serve(PortId port, ReadRequest request);
  void read_range(PortId port, ReadRequest request, const store::Range& range);
  void finish_read(PortId port, ReadRequest request, store::Reply reply);
  void work_on(LongWork work);
  void abandon_work();
  void work_soon();
  void work();
  void note_leases(const store::Command& command, const store::Reply& reply, raft::Term term);
  void tell_sessions(const SessionNews& news);
  void tell_sessions_since(const store::Store& before);
  // Nothing of it may be sent any more, up to this generation.
  void break_session(store::LeaseId session, uint64_t generation);
  void break_sessions();
  void remove_idle_nodes();
  void resolve(uint64_t request, Outcome outcome);
  void propose_upkeep(const store::Body& body);
  void upkeep();
  void compact_physically();
  void maybe_snapshot();
  void write_snapshot(const raft::SnapshotMeta& meta);
  void installed(raft::SnapshotMeta meta, std::unique_ptr<store::Store> store);
  void take_over(std::unique_ptr<store::Store> store, raft::SnapshotMeta meta);
  // While it is true another state is on its way and nothing is applied to this one.
  bool replacing() const { return installing_.has_value() || rebuild_ != nullptr; }
  void rebuild();
  void replay(const std::shared_ptr<Rebuild>& rebuild);
  void replayed(const std::shared_ptr<Rebuild>& rebuild, const std::vector<raft::Entry>& entries);
  void distrust(const std::vector<raft::NodeId>& members);
  Auditor::Remedies remedies();
  void expire(Instant now);
  void check_ready();
  void note_number();
  void tell_members();
  void raise_alarms();

  const StateOptions options_;
  env::Loop& loop_;
  Snapshots& snapshots_;
  Logger logger_;
  Agreement* agreement_ = nullptr;
  std::unique_ptr<store::Store> store_;

  raft::Index applied_;
  raft::Term applied_term_;
  raft::Configuration applied_configuration_;  // as of applied_
  raft::Configuration members_;                // the same; while that is joint the one before it, if known
  raft::Configuration configuration_;          // in force
  raft::Standing standing_;
  uint32_t number_ = 0;  // this member's, once it is one (core M1)

  std::deque<raft::Entry> inbox_;
  std::optional<raft::SnapshotMeta> installing_;
  std::shared_ptr<Rebuild> rebuild_;
  bool rebuilt_ = false;  // once; what is wrong again after that is wrong on disk
  bool apply_posted_ = false;
  bool stopped_ = false;

  std::vector<Outlet> outlets_;
  bool flush_posted_ = false;
  std::vector<Proposal> proposals_;  // of this turn
  uint64_t disorders_ = 0;           // see Proposal::order
  // Sessions of which a command may be lost, and the generation that must send no more. Gone with the next attach.
  absl::flat_hash_map<store::LeaseId, uint64_t> broken_;
  Waiters waiters_;
  ReadQueue reads_;
  LeaseKeeper leases_;
  Auditor auditor_;

  std::deque<LongWork> long_work_;
  bool work_posted_ = false;
  std::map<uint64_t, std::unique_ptr<store::SnapshotEncoder>> copies_;
  uint64_t next_copy_ = 0;

  uint64_t entries_since_snapshot_ = 0;
  uint64_t bytes_since_snapshot_ = 0;
  env::TimerId upkeep_timer_ = 0;
  Instant next_history_check_;
  Instant next_comparison_;
  Instant next_idle_scan_;
  std::string idle_after_;  // where the scan under way goes on
  bool compaction_proposed_ = false;
  bool alarm_proposed_ = false;
  bool compacting_ = false;
  Task ready_;
  Function<void(Error)> fatal_;
};

}  // namespace witan::node
