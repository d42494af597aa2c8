// Who leads: thesis chapter 3.4 (elections), 3.10 (transfer), 4.2.3 (disruptive members), 6.2 (check-quorum),
// 9.6 (pre-vote).
#include <algorithm>

#include "base/check.h"
#include "raft/core.h"

namespace witan::raft {

void Votes::record(NodeId from, bool granted) {
  if (!of(from)) cast.emplace_back(from, granted);
}

std::optional<bool> Votes::of(NodeId id) const {
  const auto at = std::ranges::find(cast, id, &std::pair<NodeId, bool>::first);
  return at == cast.end() ? std::nullopt : std::optional(at->second);
}

// Drawn anew each time so that members that split a vote do not meet again (thesis 3.4).
Instant Raft::Core::election_deadline() {
  const auto spread = static_cast<uint64_t>(std::max<int64_t>(options_.election.count(), 1));
  return now_ + options_.election + Duration(static_cast<int64_t>(rng_.below(spread)));
}

// Thesis 4.2.2: a member that is on its way out still campaigns until its removal is committed. It may be the only one
// whose log is good enough to lead, and is not counted when it does.
bool Raft::Core::can_campaign() const {
  return std::ranges::any_of(configurations_,
                             [this](const ConfigurationAt& one) { return one.configuration.is_voter(options_.id); });
}

void Raft::Core::become_follower(Term term, NodeId leader_id) {
  if (leader() != nullptr) {
    logger_.info("no longer the leader of term {}", term_);
    fail_reads();
  }
  if (term > term_) {
    term_ = term;
    vote_ = kNobody;
  }
  // A follower's patience is not renewed by a mere change of term: only a leader or a vote given does that.
  const Instant deadline = follower() != nullptr ? follower()->deadline : election_deadline();
  role_ = FollowerRole{.leader = leader_id, .heard = now_, .deadline = deadline};
}

void Raft::Core::become_leader() {
  logger_.info("leader of term {} with a log up to {}", term_, log_.last());
  LeaderRole lead{.first = log_.last() + 1};
  lead.heartbeat_at = now_ + options_.heartbeat;
  lead.check_at = now_ + options_.election;
  for (Index i = log_.commit() + 1; i <= log_.last(); ++i) lead.uncommitted += cost(log_.at(i));
  role_ = std::move(lead);
  update_peers();
  // Thesis 6.4: only an entry of its own term tells a leader what is committed.
  append_own(EntryKind::Empty, Blob());
}

// Thesis 9.6: find out whether a campaign could be won before disturbing anybody with a new term.
void Raft::Core::campaign_softly() {
  if (quorum_.is_only(options_.id)) return campaign(false);
  PreCandidateRole role{.votes = {}, .deadline = election_deadline()};
  role.votes.record(options_.id, true);
  role_ = std::move(role);
  ask_for_votes({.term = term_ + 1, .pre = true, .last_index = log_.last(), .last_term = log_.last_term()});
  count_votes();
}

void Raft::Core::campaign(bool transfer) {
  term_ = term_ + 1;
  vote_ = options_.id;
  logger_.info("candidate in term {}{}", term_, transfer ? ", asked to take over" : "");
  role_ = CandidateRole{.votes = {}, .deadline = election_deadline()};
  ask_for_votes({.term = term_,
                 .pre = false,
                 .last_index = log_.last(),
                 .last_term = log_.last_term(),
                 .leadership_transfer = transfer});
}

void Raft::Core::ask_for_votes(const VoteRequest& request) {
  std::vector<NodeId> voters = quorum_.incoming();
  voters.insert(voters.end(), quorum_.outgoing().begin(), quorum_.outgoing().end());
  std::ranges::sort(voters);
  const auto repeated = std::ranges::unique(voters);
  voters.erase(repeated.begin(), repeated.end());
  for (const NodeId id : voters) {
    if (id == options_.id) continue;
    // A candidate that forgot its own vote in a crash could vote for somebody else in the same term.
    request.pre ? send(id, request) : send_after_save(id, request);
  }
}

void Raft::Core::count_votes() {
  if (auto* pre = std::get_if<PreCandidateRole>(&role_)) {
    const Ballot ballot = quorum_.tally([&](NodeId id) { return pre->votes.of(id); });
    if (ballot == Ballot::Won) return campaign(false);
    if (ballot == Ballot::Lost) become_follower(term_, kNobody);
  } else if (auto* candidate = std::get_if<CandidateRole>(&role_)) {
    const Ballot ballot = quorum_.tally([&](NodeId id) { return candidate->votes.of(id); });
    if (ballot == Ballot::Won) return become_leader();
    if (ballot == Ballot::Lost) become_follower(term_, kNobody);
  }
}

// Thesis 4.2.3: whoever hears a leader does not help to replace it. A leader itself relies on check_quorum().
bool Raft::Core::leader_is_live() const {
  if (leader() != nullptr) return true;
  const auto* role = std::get_if<FollowerRole>(&role_);
  return role != nullptr && role->leader != kNobody && now_ - role->heard < options_.election;
}

// A message of a later term. False: it must not move ours, and has been dealt with.
bool Raft::Core::catch_up_with_term(NodeId from, const Message& message) {
  if (const auto* request = std::get_if<VoteRequest>(&message)) {
    if (leader_is_live() && !request->leadership_transfer) {
      if (request->pre) send(from, VoteReply{.term = term_, .pre = true, .granted = false});
      return false;
    }
    if (request->pre) return true;  // asks about a term, is not in it
  }
  if (const auto* reply = std::get_if<VoteReply>(&message); reply != nullptr && reply->pre && reply->granted)
    return true;
  become_follower(term_of(message), kNobody);  // a leader is believed when its message is handled
  return true;
}

// A message of an earlier term: its sender missed something and learns our term, so that a stale leader steps down
// and a stale candidate follows. The reply to a leader matters even when it is the one that a majority still hears:
// a member that comes back with a higher term (it campaigned without success) would otherwise never be able to follow
// it.
void Raft::Core::answer_old_term(NodeId from, const Message& message) {
  if (const auto* request = std::get_if<VoteRequest>(&message)) {
    send(from, VoteReply{.term = term_, .pre = request->pre, .granted = false});
  } else if (const auto* append = std::get_if<AppendRequest>(&message)) {
    send(from, AppendReply{.term = term_,
                           .accepted = false,
                           .rejected = append->prev_index,
                           .hint = log_.last(),
                           .hint_term = log_.last_term()});
  } else if (std::holds_alternative<Heartbeat>(message)) {
    send(from, HeartbeatReply{.term = term_, .round = 0});
  }
}

void Raft::Core::on_message(NodeId from, const VoteRequest& request) {
  const FollowerRole* role = follower();
  const bool follows = leader() != nullptr || (role != nullptr && role->leader != kNobody);
  const bool free = vote_ == from || (vote_ == kNobody && !follows) || (request.pre && request.term > term_);
  // Our own suffrage does not matter: the candidate may know of a configuration that we have not seen (thesis 4.2.2).
  const bool granted = free && log_.is_up_to_date(request.last_index, request.last_term);
  if (request.pre)
    return send(from, VoteReply{.term = granted ? request.term : term_, .pre = true, .granted = granted});
  if (!granted) return send(from, VoteReply{.term = term_, .pre = false, .granted = false});
  vote_ = from;
  role_ = FollowerRole{.leader = kNobody, .heard = now_, .deadline = election_deadline()};
  send_after_save(from, VoteReply{.term = term_, .pre = false, .granted = true});
}

void Raft::Core::on_message(NodeId from, const VoteReply& reply) {
  if (auto* pre = std::get_if<PreCandidateRole>(&role_); pre != nullptr && reply.pre) {
    if (reply.granted && reply.term != term_ + 1) return;
    pre->votes.record(from, reply.granted);
    count_votes();
  } else if (auto* candidate = std::get_if<CandidateRole>(&role_); candidate != nullptr && !reply.pre) {
    candidate->votes.record(from, reply.granted);
    count_votes();
  }
}

// Thesis 3.10, the target's side: its leader asks, so there is nobody to be considerate of.
void Raft::Core::on_message(NodeId from, const TimeoutNow&) {
  if (follower() == nullptr || follower()->leader != from || !can_campaign()) return;
  campaign(true);
}

void Raft::Core::on(const StepDown& event) {
  if (leader() == nullptr) {
    // Whatever the reason is, it makes this member a poor leader for now.
    if (follower() == nullptr) become_follower(term_, kNobody);
    follower()->deadline = election_deadline();
    return;
  }
  logger_.warn("gives up leadership of term {}: {}", term_, event.reason);
  if (const Peer* successor = best_successor()) send(successor->id, TimeoutNow{.term = term_});
  become_follower(term_, kNobody);
}

void Raft::Core::on(const TransferLeadership& event) {
  LeaderRole* lead = leader();
  const auto refuse = [this](Code code, std::string why) { out_.transfer_refused = Error{code, std::move(why)}; };
  if (lead == nullptr) return refuse(Code::NotLeader, "this member is not the leader");
  if (event.to == options_.id) return;
  const Peer* target = event.to == kNobody ? best_successor() : lead->find(event.to);
  if (target == nullptr) return refuse(Code::Refused, "there is no such voter to hand leadership to");
  const Member* member = configuration().find(target->id);
  if (member == nullptr || member->incoming != Suffrage::Voter) {
    return refuse(Code::Refused, "leadership goes to voters only");
  }
  if (lead->transfer && lead->transfer->to == target->id) return;
  logger_.info("hands leadership of term {} to {}", term_, target->id);
  lead->transfer = Transfer{.to = target->id, .deadline = now_ + options_.election};
  continue_transfer();
}

void Raft::Core::continue_transfer() {
  LeaderRole* lead = leader();
  if (lead == nullptr || !lead->transfer || lead->transfer->told) return;
  const Peer* target = lead->find(lead->transfer->to);
  if (target == nullptr || target->match != log_.last()) return;
  lead->transfer->told = true;
  send(target->id, TimeoutNow{.term = term_});
}

// The voter that stays a voter, was heard lately, and has most of the log.
Peer* Raft::Core::best_successor() {
  Peer* best = nullptr;
  for (Peer& peer : leader()->peers) {
    const Member* member = configuration().find(peer.id);
    if (member == nullptr || member->incoming != Suffrage::Voter) continue;
    if (now_ - peer.heard >= options_.election) continue;
    if (best == nullptr || peer.match > best->match) best = &peer;
  }
  return best;
}

// Thesis 6.2: a leader that a majority does not hear serves nobody and stands in the way.
void Raft::Core::check_quorum() {
  LeaderRole* lead = leader();
  if (lead->transfer && now_ >= lead->transfer->deadline) {
    logger_.warn("handing leadership to {} took too long and is given up", lead->transfer->to);
    lead->transfer.reset();
  }
  if (now_ < lead->check_at) return;
  const Instant heard = quorum_.agreed([&](NodeId id) { return id == options_.id ? now_ : lead->find(id)->heard; });
  if (now_ - heard < options_.election) {
    lead->check_at = heard + options_.election;
    return;
  }
  logger_.warn("steps down from term {}: no quorum was heard for an election timeout", term_);
  become_follower(term_, kNobody);
}

}  // namespace witan::raft
