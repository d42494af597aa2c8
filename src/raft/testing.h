// A cluster of Raft values in one process, for tests: messages, disks and clocks move only when told to.
// Whatever happens, a Judge compares it with what consensus promises.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "raft/raft.h"

namespace witan::raft::testing {

// Thesis figure 3.2: what must hold whatever happens. Complaints are sentences; none means that all is well.
class Judge {
 public:
  void leads(NodeId member, Term term);      // election safety
  void commits(NodeId member, Entry entry);  // state machine safety
  void read_begins(uint64_t id);             // linearizability: a read sees all that was committed before it began
  void read_ends(uint64_t id, Index index);
  void complain(std::string what) { complaints_.push_back(std::move(what)); }

  const std::vector<std::string>& complaints() const { return complaints_; }
  // Everything that anybody handed out as committed, from index 1.
  const std::vector<Entry>& committed() const { return committed_; }

 private:
  std::map<Term, NodeId> leaders_;
  std::vector<Entry> committed_;
  std::map<uint64_t, Index> reads_;  // what each must see at least
  std::vector<std::string> complaints_;
};

// What survives a crash.
struct Image {
  HardState hard_state;
  SnapshotMeta snapshot;
  std::vector<Entry> entries;  // contiguous; may begin before the snapshot's end
  Index end;                   // of the log on disk, also when its entries are compacted away

  bool has(Index index, Term term) const;
  void write(const Persist& persist);
};

struct Process {
  NodeId id;
  std::optional<Raft> raft;  // nullopt: down
  Image image;
  std::deque<Persist> writes;                                   // given to the disk, not done
  bool disk_held = false;                                       // settle() leaves the disk alone
  std::vector<std::pair<Index, Configuration>> configurations;  // as the state machine learned them, ascending
  Index delivered;
  uint64_t lives = 0;
};

struct SnapshotTransfer {
  NodeId from;
  NodeId to;
  Term term;
  SnapshotMeta meta;
};

class Cluster {
 public:
  // `voters` begin as the configuration at index 0; `blank` members know nobody yet. Options.id is filled in.
  Cluster(Options options, const std::vector<uint64_t>& voters, const std::vector<uint64_t>& blank, uint64_t seed);

  void step(uint64_t id, Event event);
  void propose(uint64_t id, const std::string& text);
  void read(uint64_t id, uint64_t read);
  void wake(uint64_t id);           // moves the clock to its deadline if that lies ahead, and wakes it
  void advance(Duration duration);  // moves the clock and wakes whoever is due
  void campaign(uint64_t id);       // wake(id) until it is no follower, then settle()

  bool write_one(uint64_t id);    // its oldest write reaches the disk; false: there was none
  void deliver(size_t position);  // of messages()
  void lose(size_t position);
  void repeat(size_t position);
  void settle();  // messages and writes until nothing moves; fetches and snapshots too unless held
  void deliver_snapshot(size_t position, bool arrives);
  void answer_fetch(size_t position);

  void crash(uint64_t id, size_t writes_that_survive);
  void restart(uint64_t id);
  // Takes a snapshot of what is applied and durable, and compacts the log but for its last `keep` entries.
  void snapshot(uint64_t id, uint64_t keep);

  void cut(uint64_t a, uint64_t b);  // both ways
  void isolate(uint64_t id);
  void heal() { cuts_.clear(); }

  Raft& raft(uint64_t id) { return *at(id).raft; }
  Process& at(uint64_t id);
  std::vector<uint64_t> ids() const;
  // The leader of the highest term, or 0.
  uint64_t leader() const;
  Instant now() const { return now_; }
  Judge& judge() { return judge_; }
  const std::deque<Envelope>& messages() const { return messages_; }
  const std::vector<SnapshotTransfer>& transfers() const { return transfers_; }
  const std::vector<std::pair<NodeId, Fetch>>& fetches() const { return fetches_; }
  // Log matching (thesis 3.5) between all members that are up. Expensive.
  void compare_logs();

  bool hold_snapshots = false;
  // What happened since the last call, a line each; only kept while `tracing`.
  bool tracing = false;
  std::vector<std::string> take_trace() { return std::exchange(trace_, {}); }

  // What the last step of the member said; for tests of a single answer.
  std::optional<ProposeResult> last_proposed;
  std::vector<ReadReady> reads_ready;
  std::vector<uint64_t> reads_failed;

 private:
  void start(Process& process);
  void take(Process& process, Output output, const Configuration& before, Index commit_before);
  void commit(Process& process, std::vector<Entry> entries);
  void check_durable(const Process& leader, const Configuration& before);
  void check_completeness(Process& process);
  void trace_output(const Process& process, const Output& output);
  void say(std::string line) {
    if (tracing) trace_.push_back(std::move(line));
  }
  bool is_cut(const Envelope& envelope) const;

  Options options_;
  Rng rng_;
  Instant now_{.ns = 1};
  std::map<uint64_t, Process> processes_;
  std::deque<Envelope> messages_;
  std::vector<SnapshotTransfer> transfers_;
  std::vector<std::pair<NodeId, Fetch>> fetches_;  // who asked its disk
  std::set<std::pair<uint64_t, uint64_t>> cuts_;
  Judge judge_;
  std::vector<std::string> trace_;
};

std::string entry_text(const Entry& entry);

// Members with the given suffrage, for ProposeMembership.
Configuration members(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& learners = {});

}  // namespace witan::raft::testing
