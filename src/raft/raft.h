// Consensus as a value: Raft::step(now, event) -> Output. No clock, disk, socket or thread (architecture 3).
// The spec is Ongaro's thesis; sections are cited where they are carried out.
//
// Contract with the driver
//  * Feed every event through step(); call step(now, Wake{}) no later than next_deadline().
//  * Persist outputs in the order they come, and feed back Persisted{ticket} for each after it is on disk.
//    Messages in `persist->then_send` may be sent only then; those in `messages` at once.
//  * Apply `committed` in order; feed back Applied{index} now and then so that memory can be given back.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "base/time.h"
#include "raft/message.h"
#include "raft/types.h"

namespace witan::raft {

struct Options {
  NodeId id;
  Duration heartbeat = milliseconds(100);
  Duration election = milliseconds(1000);   // timeouts are drawn from [election, 2 * election)
  size_t max_append_bytes = 1 << 20;        // of entries in one AppendRequest; a single larger entry still goes
  size_t max_inflight_messages = 256;       // window per follower, in messages
  size_t max_inflight_bytes = 8 << 20;      //                      and bytes
  size_t max_uncommitted_bytes = 64 << 20;  // beyond it proposals are refused with Exhausted
  size_t max_tail_bytes = 32 << 20;         // of applied, durable entries kept in memory for slow followers (core D4)
};

// What recovery found on disk.
struct Initial {
  HardState hard_state;
  SnapshotMeta snapshot;  // index 0 and the first configuration for a new cluster
  // Contiguous. May begin before snapshot.index + 1 (a slow follower may want them) but not after it. When they do not
  // agree with the snapshot (a crash between receiving it and cutting the log) they are dropped, and the first
  // Persist says so in `reset`.
  std::vector<Entry> entries;
  Index applied;  // already in the state machine: snapshot.index, usually; never below it
};

// Identifies one Persist output. The term keeps a late completion from a lost leadership from counting (the ABA race:
// an entry overwritten and written again while the first write was in flight).
struct Ticket {
  uint64_t number = 0;
  Term term;
  Index last;  // last log index once this persist is on disk

  friend bool operator==(const Ticket&, const Ticket&) = default;
};

// ---- Events -------------------------------------------------------------------------------------

// next_deadline() came. One that is early does nothing.
struct Wake {};
// From a peer, already authenticated as envelope.from. What no honest peer could have sent is logged and dropped.
struct Receive {
  Envelope envelope;
};
// This Persist is on disk, and so is everything given before it.
struct Persisted {
  Ticket ticket;
};
// The state machine has everything up to here. It may be more than was handed out: a snapshot that this member took in
// and could not go on from (its sender leads no more) stands for something that is committed all the same.
struct Applied {
  Index index;
};
// Commands to replicate. All or none are accepted. `only_in` set: refused unless this is that term (core P3).
// Refused with NotLeader, Unavailable (leadership is being handed over), Exhausted (Options::max_uncommitted_bytes) or
// Invalid (no commands).
struct Propose {
  std::vector<Blob> commands;
  std::optional<Term> only_in;
};
// Replace the configuration. `target` names the wanted members with their incoming suffrage. One voter added or one
// removed is a single entry (thesis 4.1); anything else that moves voters, a demotion to learner included, goes through
// a joint configuration that raft completes by itself (thesis 4.3); the rest (learners, info) is a single entry.
// Refused as Propose, with Refused while another change is not committed, with Unavailable before the leader has
// committed an entry of its term, with Invalid when the target is malformed or has no voter.
struct ProposeMembership {
  Configuration target;
  std::optional<Term> only_in;
};
// A batch of linearizable reads; answered once, by Output::reads or reads_failed. Fails at once on who does not lead.
struct ReadIndex {
  uint64_t id = 0;
};
// kNobody: to the most advanced voter. Given up after an election timeout; standing() tells whether it came to pass.
struct TransferLeadership {
  NodeId to;
};
// Give up leadership now (a stalled disk, a digest minority), and do not campaign for an election timeout.
struct StepDown {
  std::string reason;
};
// The state is durable elsewhere up to here: older entries go, as far as they are applied and on this disk.
struct Compact {
  Index index;
};
// Entries asked for by Output::fetches, or nothing when they are no longer there (then a snapshot is sent).
struct Fetched {
  NodeId peer;
  std::vector<Entry> entries;
};
// The streaming ended; `delivered`: the receiver confirmed that it has everything.
struct SnapshotSent {
  NodeId to;
  bool delivered = false;
};
// A snapshot from `from`, the leader of `term`, is complete and durable on this member, but not yet in the state
// machine. Output::install follows unless the log is already as far.
struct SnapshotReceived {
  NodeId from;
  Term term;
  SnapshotMeta meta;
};
// A connection broke: probe instead of pipelining.
struct Unreachable {
  NodeId peer;
};

using Event = std::variant<Wake, Receive, Persisted, Applied, Propose, ProposeMembership, ReadIndex, TransferLeadership,
                           StepDown, Compact, Fetched, SnapshotSent, SnapshotReceived, Unreachable>;

// ---- Output -------------------------------------------------------------------------------------

// Carried out in the order of the fields; may hold nothing but `then_send` (then it only waits for those before it).
struct Persist {
  Ticket ticket;
  std::optional<HardState> hard_state;
  // The whole log gives way to this snapshot, which is durable already: the log goes on at reset->index + 1.
  std::optional<SnapshotMeta> reset;
  std::optional<Index> cut_from;    // drop entries at and after this index first (core D3); never together with `reset`
  std::vector<Entry> entries;       // contiguous with what is left
  std::vector<Envelope> then_send;  // only after all of the above is on disk
};

struct ReadReady {
  uint64_t id = 0;
  Index index;
};  // serve it once applied >= index
struct Accepted {
  Index first;
  Index last;
  Term term;
};

// What was proposed, and what came of it: exactly one per Propose or ProposeMembership event.
using ProposeResult = std::expected<Accepted, Error>;  // Error: certainly not applied (core P2)

struct Fetch {
  NodeId peer;
  Index from;
  Index to;
  size_t max_bytes = 0;
};  // entries [from, to] out of the log on disk

enum class Role : uint8_t { Follower, PreCandidate, Candidate, Leader };
std::string_view role_name(Role role);

struct Standing {
  Role role = Role::Follower;
  Term term;
  NodeId leader;         // kNobody: not known
  bool leading = false;  // Leader that has applied-able entries of its own term committed (thesis 6.4 step 1)
  friend bool operator==(const Standing&, const Standing&) = default;
};

struct Output {
  std::vector<Envelope> messages;  // to be sent at once
  std::optional<Persist> persist;
  // In order, each index exactly once, after `install` where both are set. On the disks of a quorum, but perhaps not on
  // this member's yet: see durable_index().
  std::vector<Entry> committed;
  std::vector<ReadReady> reads;
  std::vector<uint64_t> reads_failed;  // leadership was lost or is not there: certainly not served
  std::optional<ProposeResult> proposed;
  std::optional<Error> transfer_refused;  // TransferLeadership could not even begin
  std::vector<Fetch> fetches;
  std::vector<NodeId> send_snapshot;           // start streaming the newest snapshot to these
  std::optional<SnapshotMeta> install;         // put this received snapshot into the state machine, then go on applying
  std::optional<Standing> standing;            // set when it changed
  std::optional<Configuration> configuration;  // set when the one in force changed
};

struct Progress {  // for status pages, promotion and snapshots: how far a peer is, as the leader knows it
  NodeId id;
  Index match;
  Index next;
  bool recently_active = false;
  bool snapshotting = false;
};

// One member. Used from one thread at a time; equal events at equal instants give equal outputs.
class Raft {
 public:
  // Requires: initial.entries contiguous. The first output (step with Wake) may already carry committed entries.
  Raft(Options options, Initial initial, Instant now, Rng rng, Logger log);
  ~Raft();
  Raft(Raft&&) noexcept;
  Raft& operator=(Raft&&) noexcept;

  Output step(Instant now, Event event);
  Instant next_deadline() const;

  Standing standing() const;
  HardState hard_state() const;
  const Configuration& configuration() const;            // in force: the newest in the log
  bool configuration_committed() const;                  // false while a change is under way
  const Configuration& committed_configuration() const;  // the newest that can not be taken back
  Index first_index() const;                             // of the log after compaction
  Index last_index() const;
  Index commit_index() const;
  // The last index known to be on this member's own disk.
  Index durable_index() const;
  std::optional<Term> term_at(Index index) const;  // nullopt: compacted, or beyond the end
  std::vector<Progress> progress() const;          // empty unless leader
  // Everything worth seeing, one line a fact, for golden files.
  std::string describe() const;

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace witan::raft
