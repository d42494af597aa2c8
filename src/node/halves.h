// The two halves of a member and all they say to each other (core P4): consensus orders commands and makes them
// durable, the state applies them and serves. Each lives on its own loop, so that a delete of a million keys does not
// delay a heartbeat; Bridge carries the calls below over. Everything arrives in the order it was said.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "base/time.h"
#include "node/calls.h"
#include "node/client.h"
#include "peer/peer.h"
#include "raft/raft.h"

namespace witan::node {

// A command on its way into the log. `request` is the state's name for it; 0: nobody waits.
struct Proposal {
  uint64_t request = 0;
  Blob command;
  // A session's commands must not overtake each other (core L5): not 0, the command may go only as long as nothing has
  // happened that could have lost an earlier one. Both halves count such events, which are lost(), refused() and a new
  // leader or term in standing(): one plus the count that the state knew of.
  uint64_t order = 0;
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
  // ... or that they were not sent, because something may have been lost that should have gone first (Proposal::order).
  virtual void overtaken(std::vector<uint64_t> requests) = 0;

  virtual void standing(const raft::Standing& standing) = 0;
  // `configuration` was appended; at `index` it is committed when that is applied.
  virtual void configuration(const raft::Configuration& configuration) = 0;
  // Questions of other members that the state answers.
  virtual void on_call(raft::NodeId from, peer::Call call, peer::Responder respond) = 0;
  // The member cannot go on (a failed disk): the process must end with this message.
  virtual void fatal(Error error) = 0;
};

// Consensus, as the state sees it.
class Agreement {
 public:
  virtual ~Agreement() = default;
  // Appends (leader) or forwards (follower), together with everything else of the turn.
  virtual void propose(std::vector<Proposal> proposals) = 0;
  // For what only the leader of `term` may propose (core P3). Never forwarded; a refusal is told through `done`.
  virtual void propose_in(raft::Term term, Blob command, Function<void(raft::ProposeResult)> done) = 0;
  // The index a linearizable read that arrived before this call must wait for; an error means: ask again.
  virtual void read_index(Function<void(Result<raft::Index>)> done) = 0;
  // Asks a member something; fails with NotLeader when certainly nobody was asked, Unknown when no answer came.
  virtual void call(raft::NodeId to, CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                    Function<void(Result<Blob>)> done) = 0;
  // Asks the leader, whoever that is.
  virtual void call_leader(CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                           Function<void(Result<Blob>)> done) = 0;
  virtual void change_members(MemberChange change, Function<void(Result<ChangeResult>)> done) = 0;
  virtual void transfer_leadership(raft::NodeId to, Function<void(Result<>)> done) = 0;

  // For operators; nothing when this member does not lead.
  virtual void describe_leading(Function<void(std::optional<Census::Leading>)> done) = 0;

  // The state has applied up to `index`; `stamp` is the largest it has seen.
  virtual void applied(raft::Index index, WallTime stamp) = 0;
  // Runs `done` once the log up to `index` is on this member's own disk: what is committed need not be (core S4).
  virtual void when_durable(raft::Index index, Task done) = 0;
  // Entries [from, to] as the log on disk has them, about `max_bytes`; those that are not there are left out.
  virtual void read_log(raft::Index from, raft::Index to, size_t max_bytes,
                        Function<void(std::vector<raft::Entry>)> done) = 0;
  // A snapshot is durable that makes entries up to `index` superfluous here; those others still need stay.
  virtual void compact(raft::Index index) = 0;
};

}  // namespace witan::node
