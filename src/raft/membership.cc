// Thesis chapter 4. Exactly one voter added or removed: one entry (4.1). Everything else that moves voters, a demotion
// included: a joint configuration, completed by whoever leads when it commits (4.3).
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace witan::raft {
namespace {

Suffrage incoming_of(const Configuration& configuration, NodeId id) {
  const Member* member = configuration.find(id);
  return member == nullptr ? Suffrage::None : member->incoming;
}

// The wanted configuration, free of anything that only a joint one says.
Configuration plain(Configuration target) {
  target.joint = false;
  std::erase_if(target.members, [](const Member& member) { return member.incoming == Suffrage::None; });
  for (Member& member : target.members) member.outgoing = Suffrage::None;
  return target;
}

bool needs_joint(const Configuration& current, const Configuration& target) {
  size_t moved = 0;
  bool demoted = false;
  for (const Member& member : current.members) {
    if (member.incoming != Suffrage::Voter) continue;
    const Suffrage wanted = incoming_of(target, member.id);
    if (wanted != Suffrage::Voter) ++moved;
    if (wanted == Suffrage::Learner) demoted = true;
  }
  for (const Member& member : target.members) {
    if (member.incoming == Suffrage::Voter && incoming_of(current, member.id) != Suffrage::Voter) ++moved;
  }
  return moved > 1 || demoted;
}

// Members of both, each with what it is and what it will be.
Configuration join(const Configuration& current, Configuration target) {
  for (Member& member : target.members) member.outgoing = incoming_of(current, member.id);
  for (const Member& member : current.members) {
    if (target.find(member.id) != nullptr) continue;
    const auto at = std::ranges::lower_bound(target.members, member.id, {}, &Member::id);
    target.members.insert(
        at, {.id = member.id, .incoming = Suffrage::None, .outgoing = member.incoming, .info = member.info});
  }
  target.joint = true;
  return target;
}

std::optional<Error> check_target(const Configuration& target) {
  // The codec is as strict as every other member will be.
  if (Result<Configuration> decoded = decode_configuration(encode(target)); !decoded) {
    return Error{Code::Invalid, decoded.error().message};
  }
  const auto votes = [](const Member& member) { return member.incoming == Suffrage::Voter; };
  if (std::ranges::none_of(target.members, votes)) return Error{Code::Invalid, "a configuration needs a voter"};
  return std::nullopt;
}

}  // namespace

void Raft::Core::on(ProposeMembership& event) {
  std::optional<Error> error = refuse_proposal(event.only_in);
  if (!error && log_.commit() < leader()->first) {
    // The bug of single-server changes: a change of an earlier term could still be undone (Ongaro, raft-dev, 2015).
    error = Error{Code::Unavailable, "the leader has not committed an entry of its term yet"};
  }
  if (!error && (configuration().joint || !configuration_committed())) {
    error = Error{Code::Refused, "another change of membership is under way"};
  }
  const Configuration target = plain(std::move(event.target));
  if (!error) error = check_target(target);
  if (error) {
    out_.proposed = std::unexpected(std::move(*error));
    return;
  }
  append_configuration(needs_joint(configuration(), target) ? join(configuration(), target) : target);
  out_.proposed = Accepted{.first = log_.last(), .last = log_.last(), .term = term_};
}

void Raft::Core::append_configuration(const Configuration& next) {
  append_own(EntryKind::Membership, Blob(encode(next)));
  adopt_configuration(log_.last(), next);
}

// Core M2: in force from the moment it is in the log, committed or not.
void Raft::Core::adopt_configuration(Index index, Configuration configuration) {
  configurations_.push_back({index, std::move(configuration)});
  configuration_changed();
}

void Raft::Core::cut_log(Index from) {
  log_.cut(from);
  for (InFlight& write : in_flight_) write.durable = std::min(write.durable, from - 1);
  if (configurations_.back().index < from) return;
  while (configurations_.back().index >= from) configurations_.pop_back();
  configuration_changed();
}

void Raft::Core::configuration_changed() {
  quorum_ = Quorum(configuration());
  configuration_moved_ = true;
  if (leader() != nullptr) update_peers();
}

void Raft::Core::update_peers() {
  LeaderRole* lead = leader();
  for (Peer& peer : lead->peers) {
    if (configuration().find(peer.id) == nullptr && !peer.dropped_at) peer.dropped_at = now_ + 2 * options_.election;
  }
  // A newcomer is asked first about what comes before the entry that begins the term or that names it.
  const Index next = std::max(lead->first, configurations_.back().index);
  for (const Member& member : configuration().members) {
    if (member.id == options_.id) continue;
    Peer fresh{.id = member.id, .match = Index(0), .next = next, .heard = now_};
    const auto at = std::ranges::lower_bound(lead->peers, member.id, {}, &Peer::id);
    if (at == lead->peers.end() || at->id != member.id) {
      lead->peers.insert(at, std::move(fresh));
    } else if (at->dropped_at) {
      *at = std::move(fresh);  // added again: perhaps with another disk (core M1)
    }
  }
  if (lead->transfer && !configuration().is_voter(lead->transfer->to)) lead->transfer.reset();
}

// A removed member is served until it knows that it is removed, or for two election timeouts: then its process can
// end instead of waiting for a leader that will never speak to it again.
void Raft::Core::forget_told_peers() {
  const Index removal = configurations_.back().index;
  std::erase_if(leader()->peers, [&](const Peer& peer) {
    if (!peer.dropped_at) return false;
    return peer.told_commit >= removal || now_ >= *peer.dropped_at || peer.flow == Flow::Snapshot;
  });
}

// Thesis 4.3: once the joint configuration is committed the new one takes over alone. A leader elected meanwhile
// comes here too, when it has committed the entry of its own term.
void Raft::Core::finish_joint_change() {
  const LeaderRole* lead = leader();
  if (!configuration().joint || !configuration_committed() || log_.commit() < lead->first || lead->transfer) return;
  append_configuration(plain(configuration()));
}

// Thesis 4.2.2: a leader that is not in the configuration leads until it is committed, then goes. It has told
// everybody so (replicate() ran before), and names a successor to spare them an election timeout.
void Raft::Core::leave_if_removed() {
  if (configuration().is_voter(options_.id) || !configuration_committed() || configuration().joint) return;
  logger_.info("leads no longer: the committed configuration has no vote for this member");
  if (const Peer* successor = best_successor()) send(successor->id, TimeoutNow{.term = term_});
  become_follower(term_, kNobody);
}

}  // namespace witan::raft
