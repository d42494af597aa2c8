// Thesis 3.5 (log replication), 3.6.2 (committing), 10.2.1 (the leader's own write runs beside its followers').
#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "raft/core.h"

namespace witan::raft {
namespace {

// Whether a leader could have sent this: entries follow one another and terms never fall.
bool well_formed(const AppendRequest& request) {
  Index index = request.prev_index;
  Term term = request.prev_term;
  for (const Entry& entry : request.entries) {
    index = index + 1;
    if (entry.index != index || entry.term < term || entry.term > request.term) return false;
    if (entry.kind > EntryKind::Empty) return false;
    if (entry.kind == EntryKind::Membership && !decode_configuration(entry.data)) return false;
    term = entry.term;
  }
  return request.prev_term <= request.term && index >= request.prev_index;
}

}  // namespace

Peer* LeaderRole::find(NodeId id) {
  const auto at = std::ranges::lower_bound(peers, id, {}, &Peer::id);
  return at != peers.end() && at->id == id ? &*at : nullptr;
}

// ---- Proposals ----------------------------------------------------------------------------------

std::optional<Error> Raft::Core::refuse_proposal(std::optional<Term> only_in) const {
  const LeaderRole* lead = leader();
  if (lead == nullptr) return Error{Code::NotLeader, "this member is not the leader"};
  if (only_in && *only_in != term_) {
    return Error{Code::NotLeader, fmt::format("proposed for term {}, but the term is {}", *only_in, term_)};
  }
  if (lead->transfer) return Error{Code::Unavailable, "leadership is being handed over"};
  return std::nullopt;
}

void Raft::Core::on(Propose& event) {
  if (std::optional<Error> error = refuse_proposal(event.only_in)) {
    out_.proposed = std::unexpected(std::move(*error));
    return;
  }
  if (event.commands.empty()) {
    out_.proposed = fail(Code::Invalid, "nothing was proposed");
    return;
  }
  LeaderRole* lead = leader();
  size_t bytes = 0;
  for (const Blob& command : event.commands) bytes += command.size() + sizeof(Entry);
  // Something must always be let through, or an entry larger than the bound could never be.
  if (lead->uncommitted > 0 && lead->uncommitted + bytes > options_.max_uncommitted_bytes) {
    out_.proposed = fail(Code::Exhausted, "too many bytes wait to be committed");
    return;
  }
  const Index first = log_.last() + 1;
  for (Blob& command : event.commands) append_own(EntryKind::Command, std::move(command));
  out_.proposed = Accepted{.first = first, .last = log_.last(), .term = term_};
}

void Raft::Core::append_own(EntryKind kind, Blob data) {
  Entry entry{.term = term_, .index = log_.last() + 1, .kind = kind, .data = std::move(data)};
  leader()->uncommitted += cost(entry);
  log_.append(std::move(entry));
}

// Thesis 3.6.2: counting members commits only entries of the leader's own term, earlier ones go along.
// Thesis 10.2.1: the leader is counted like anybody else, when its own disk has the entry.
void Raft::Core::advance_commit() {
  LeaderRole* lead = leader();
  const Index agreed =
      quorum_.agreed([&](NodeId id) { return id == options_.id ? log_.stable() : lead->find(id)->match; });
  if (agreed <= log_.commit()) return;
  if (log_.term_at(agreed) != term_ && !planted(Bug::CommitOldTermByCounting)) return;
  for (Index i = log_.commit() + 1; i <= agreed; ++i) lead->uncommitted -= cost(log_.at(i));
  log_.commit_to(agreed);
}

// ---- The leader's side --------------------------------------------------------------------------

void Raft::Core::replicate() {
  for (Peer& peer : leader()->peers) replicate_to(peer);
}

void Raft::Core::replicate_to(Peer& peer) {
  while (peer.next <= log_.last() && !peer.paused(options_.max_inflight_messages, options_.max_inflight_bytes)) {
    if (peer.next <= log_.base()) return begin_snapshot(peer);
    if (peer.next <= log_.evicted()) {
      peer.fetching = true;
      out_.fetches.push_back(
          {.peer = peer.id, .from = peer.next, .to = log_.evicted(), .max_bytes = options_.max_append_bytes});
      break;
    }
    send_entries(peer, log_.slice(peer.next, options_.max_append_bytes));
  }
  tell_commit(peer);
}

// Requires: entries begin at peer.next, or are none; the term before them is known.
void Raft::Core::send_entries(Peer& peer, std::vector<Entry> entries) {
  const Index prev = peer.next - 1;
  const Index last = prev + entries.size();
  peer.tried = now_;
  AppendRequest request{.term = term_,
                        .prev_index = prev,
                        .prev_term = log_.term_at(prev).value(),
                        .commit = log_.commit(),
                        .entries = std::move(entries)};
  if (peer.flow == Flow::Probe) {
    peer.probing = true;
    peer.probe_commit = log_.commit();
  } else if (!request.entries.empty()) {
    size_t bytes = 0;
    for (const Entry& entry : request.entries) bytes += cost(entry);
    peer.window.add(last, bytes);
    peer.next = last + 1;
    peer.told_commit = std::max(peer.told_commit, std::min(log_.commit(), last));
  }
  send(peer.id, std::move(request));
}

// Core M3: what became committed is told at once, unless entries just carried it.
void Raft::Core::tell_commit(Peer& peer) {
  const Index news = std::min(log_.commit(), peer.match);
  if (news <= peer.told_commit) return;
  peer.told_commit = news;
  send(peer.id, Heartbeat{.term = term_, .commit = news, .round = 0});
}

// Every broadcast is a round of its own: a round that was partly lost is never sent again (etcd #20418).
void Raft::Core::heartbeat(bool voters_only) {
  LeaderRole* lead = leader();
  ++lead->round;
  for (Peer& peer : lead->peers) {
    if (voters_only && !quorum_.contains(peer.id)) continue;
    // Only what the peer is known to share with us: this message may overtake the entries themselves.
    const Index commit = std::min(log_.commit(), peer.match);
    peer.told_commit = std::max(peer.told_commit, commit);
    send(peer.id, Heartbeat{.term = term_, .commit = commit, .round = lead->round});
  }
}

void Raft::Core::heartbeat_on_timer() {
  LeaderRole* lead = leader();
  if (now_ < lead->heartbeat_at) return;
  lead->heartbeat_at = now_ + options_.heartbeat;
  heartbeat(false);
}

void Raft::Core::on_message(NodeId from, const HeartbeatReply& reply) {
  LeaderRole* lead = leader();
  Peer* peer = lead == nullptr ? nullptr : lead->find(from);
  if (peer == nullptr) return;
  if (reply.round > lead->round) {
    logger_.error("dropped a reply of {} to round {}, which was never begun", from, reply.round);
    return;
  }
  peer->round = std::max(peer->round, reply.round);
  if (now_ - peer->tried >= options_.heartbeat) retry_lost_appends(*peer);
}

// The peer is there but has not answered what it was sent a while ago: perhaps the message was lost, perhaps it is on
// its way still, perhaps the peer's disk hangs. An empty request asks, and is refused if what is before it is missing.
// A probe takes its entries, and newer ones, with it again ever more rarely: on a slow connection they would stand in
// line behind themselves.
void Raft::Core::retry_lost_appends(Peer& peer) {
  const bool waits = peer.flow == Flow::Probe ? peer.probing : peer.flow == Flow::Replicate && !peer.window.empty();
  if (!waits) return;
  if (peer.flow == Flow::Probe && peer.asked++ == peer.most_asked) {
    peer.probing = false;
    peer.asked = 0;
    peer.most_asked *= 2;
    return;
  }
  if (!log_.term_at(peer.next - 1)) return begin_snapshot(peer);
  send_entries(peer, {});
}

void Raft::Core::on_message(NodeId from, const AppendReply& reply) {
  LeaderRole* lead = leader();
  Peer* peer = lead == nullptr ? nullptr : lead->find(from);
  if (peer == nullptr) return;
  if ((reply.accepted ? reply.match : reply.rejected) > log_.last()) {
    logger_.error("dropped a reply of {} about an entry beyond the log: {}", from, raft::describe(Message(reply)));
    return;
  }
  if (!reply.accepted) return on_refused(*peer, reply);
  on_accepted(*peer, reply.match);
  continue_transfer();
}

void Raft::Core::on_accepted(Peer& peer, Index match) {
  peer.match = std::max(peer.match, match);
  peer.next = std::max(peer.next, peer.match + 1);
  switch (peer.flow) {
    case Flow::Probe:
      peer.told_commit = std::max(peer.told_commit, std::min(peer.probe_commit, peer.match));
      peer.become_replicate();
      break;
    case Flow::Replicate: peer.window.release(peer.match); break;
    case Flow::Snapshot:
      // It got the entries some other way, or the snapshot: the log can go on from there.
      if (peer.match >= log_.base()) peer.become_replicate();
      break;
  }
}

// Thesis 3.5, with the shortcut of whole terms: the peer names the last place where the logs could agree.
void Raft::Core::on_refused(Peer& peer, const AppendReply& reply) {
  if (peer.flow == Flow::Snapshot || reply.rejected <= peer.match) return;  // late, or from a peer that lost its disk
  if (peer.flow == Flow::Replicate) return peer.become_probe(peer.match + 1);
  if (reply.rejected != peer.next - 1) return;  // an answer to an earlier probe
  const Index limit = log_.agreement_limit(reply.hint, reply.hint_term);
  peer.become_probe(std::min(reply.rejected, limit + 1));
}

void Raft::Core::on(Fetched& event) {
  LeaderRole* lead = leader();
  Peer* peer = lead == nullptr ? nullptr : lead->find(event.peer);
  if (peer == nullptr || !peer->fetching) return;
  peer->fetching = false;
  // The peer may have moved on meanwhile, or the log been compacted; settle() then asks for what is needed now.
  if (peer->flow == Flow::Snapshot || peer->next > log_.evicted() || peer->next <= log_.base()) return;
  if (event.entries.empty()) return begin_snapshot(*peer);
  if (event.entries.front().index != peer->next) return;
  Index index = peer->next;
  for (const Entry& entry : event.entries) {
    CHECK(entry.index == index && log_.matches(index, entry.term), "the log on disk has {}/{} where {} is expected",
          entry.term, entry.index, index);
    index = index + 1;
  }
  send_entries(*peer, std::move(event.entries));
}

void Raft::Core::on(const Unreachable& event) {
  LeaderRole* lead = leader();
  Peer* peer = lead == nullptr ? nullptr : lead->find(event.peer);
  if (peer == nullptr || peer->flow != Flow::Replicate) return;
  peer->become_probe(peer->match + 1);
}

// ---- The follower's side ------------------------------------------------------------------------

// Somebody speaks as the leader of our term. False: that cannot be.
bool Raft::Core::follow(NodeId leader_id) {
  if (leader() != nullptr) {
    logger_.error("{} speaks as leader of term {}, which this member leads", leader_id, term_);
    return false;
  }
  if (follower() == nullptr) become_follower(term_, leader_id);
  *follower() = FollowerRole{.leader = leader_id, .heard = now_, .deadline = election_deadline()};
  return true;
}

void Raft::Core::on_message(NodeId from, const Heartbeat& beat) {
  if (!follow(from)) return;
  if (beat.commit > log_.last()) {
    logger_.error("dropped a heartbeat of {}: commit {} is beyond the log's end {}", from, beat.commit, log_.last());
    return;
  }
  log_.commit_to(beat.commit);
  if (beat.round != 0) send(from, HeartbeatReply{.term = term_, .round = beat.round});
}

void Raft::Core::on_message(NodeId from, AppendRequest& request) {
  if (!follow(from)) return;
  if (!well_formed(request)) {
    logger_.error("dropped a malformed append of {} after {}/{}", from, request.prev_term, request.prev_index);
    return;
  }
  if (request.prev_index < log_.commit()) {
    // What is committed here agrees with every leader (thesis 3.6.3): look at the rest only.
    const uint64_t known = std::min<uint64_t>(log_.commit() - request.prev_index, request.entries.size());
    request.entries.erase(request.entries.begin(), request.entries.begin() + static_cast<std::ptrdiff_t>(known));
    if (request.entries.empty()) return acknowledge(from, log_.commit());
    request.prev_index = log_.commit();
    request.prev_term = log_.term_at(log_.commit()).value();
  }
  if (!log_.matches(request.prev_index, request.prev_term)) return refuse_append(from, request);
  accept(from, request);
}

// Requires: the log has request.prev, which is not before the commit index.
void Raft::Core::accept(NodeId from, AppendRequest& request) {
  const Index last = request.prev_index + request.entries.size();
  auto fresh = request.entries.begin();
  while (fresh != request.entries.end() && log_.matches(fresh->index, fresh->term)) ++fresh;
  if (fresh != request.entries.end() && fresh->index <= log_.last()) cut_log(fresh->index);
  for (; fresh != request.entries.end(); ++fresh) {
    const Index index = fresh->index;
    const bool membership = fresh->kind == EntryKind::Membership;
    log_.append(std::move(*fresh));
    if (membership) adopt_configuration(index, decode_configuration(log_.at(index).data).value());
  }
  log_.commit_to(std::min(request.commit, last));
  acknowledge(from, last);
}

void Raft::Core::acknowledge(NodeId to, Index match) {
  const AppendReply reply{.term = term_, .accepted = true, .match = match};
  // The term must be durable too: a member that forgot it could obey an earlier leader and cut what it acknowledged.
  const bool durable = hard_state_durable() || planted(Bug::TicketWithoutTerm);
  if (match <= log_.stable() && durable) return send(to, reply);
  send_after_save(to, reply);
}

void Raft::Core::refuse_append(NodeId from, const AppendRequest& request) {
  const Index hint = std::max(log_.base(), log_.agreement_limit(request.prev_index, request.prev_term));
  send(from, AppendReply{.term = term_,
                         .accepted = false,
                         .rejected = request.prev_index,
                         .hint = hint,
                         .hint_term = log_.term_at(hint).value()});
}

}  // namespace witan::raft
