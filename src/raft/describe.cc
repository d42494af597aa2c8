// Texts for logs, status pages and golden files.
#include <iterator>

#include "raft/core.h"

namespace witan::raft {
namespace {

std::string entries_text(const std::vector<Entry>& entries) {
  std::string out;
  for (const Entry& entry : entries) {
    if (!out.empty()) out += ' ';
    fmt::format_to(std::back_inserter(out), "{}/{}", entry.term, entry.index);
    if (entry.kind == EntryKind::Membership) out += 'm';
    if (entry.kind == EntryKind::Empty) out += 'e';
  }
  return out;
}

struct Text {
  std::string operator()(const VoteRequest& m) const {
    return fmt::format("{} term={} log={}/{}{}", m.pre ? "pre-vote?" : "vote?", m.term, m.last_term, m.last_index,
                       m.leadership_transfer ? " transfer" : "");
  }
  std::string operator()(const VoteReply& m) const {
    return fmt::format("{} {} term={}", m.pre ? "pre-vote" : "vote", m.granted ? "yes" : "no", m.term);
  }
  std::string operator()(const AppendRequest& m) const {
    return fmt::format("append term={} after={}/{} commit={} [{}]", m.term, m.prev_term, m.prev_index, m.commit,
                       entries_text(m.entries));
  }
  std::string operator()(const AppendReply& m) const {
    if (m.accepted) return fmt::format("appended term={} match={}", m.term, m.match);
    return fmt::format("append-refused term={} at={} hint={}/{}", m.term, m.rejected, m.hint_term, m.hint);
  }
  std::string operator()(const Heartbeat& m) const {
    if (m.round == 0) return fmt::format("commit term={} commit={}", m.term, m.commit);
    return fmt::format("heartbeat term={} commit={} round={}", m.term, m.commit, m.round);
  }
  std::string operator()(const HeartbeatReply& m) const {
    return fmt::format("heartbeat-reply term={} round={}", m.term, m.round);
  }
  std::string operator()(const SnapshotReply& m) const {
    return fmt::format("snapshot-{} term={} index={}", m.accepted ? "installed" : "refused", m.term, m.index);
  }
  std::string operator()(const TimeoutNow& m) const { return fmt::format("timeout-now term={}", m.term); }
};

std::string_view flow_text(const Peer& peer) {
  if (peer.flow == Flow::Snapshot) return "snapshot";
  if (peer.flow == Flow::Replicate) return "replicate";
  return peer.probing ? "probe (waits)" : "probe";
}

}  // namespace

std::string describe(const Message& message) { return std::visit(Text{}, message); }

std::string describe(const Configuration& configuration) {
  static constexpr std::string_view kLetters = "-lv";
  std::string out;
  for (const Member& member : configuration.members) {
    if (!out.empty()) out += ' ';
    fmt::format_to(std::back_inserter(out), "{}:", member.id);
    if (configuration.joint) {
      out += kLetters[static_cast<size_t>(member.outgoing)];
      out += '>';
    }
    out += kLetters[static_cast<size_t>(member.incoming)];
  }
  return configuration.joint ? "joint " + out : out;
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::Follower: return "follower";
    case Role::PreCandidate: return "pre-candidate";
    case Role::Candidate: return "candidate";
    case Role::Leader: return "leader";
  }
  return "?";
}

std::string Raft::Core::describe() const {
  const Standing now = standing();
  std::string out = fmt::format("{}{} term={} leader={} vote={}\n", role_name(now.role), now.leading ? " (leads)" : "",
                                now.term, now.leader, vote_);
  auto at = std::back_inserter(out);
  fmt::format_to(at, "log {}..{} in memory from {} term={} stable={} commit={} applied={}\n", log_.base() + 1,
                 log_.last(), log_.evicted() + 1, log_.last_term(), log_.stable(), log_.commit(), log_.applied());
  fmt::format_to(at, "members {}{}\n", raft::describe(configuration()),
                 configuration_committed() ? "" : " (uncommitted)");
  const LeaderRole* lead = leader();
  if (lead == nullptr) return out;
  for (const Peer& peer : lead->peers) {
    fmt::format_to(at, "peer {} match={} next={} {}{}{}\n", peer.id, peer.match, peer.next, flow_text(peer),
                   peer.fetching ? " fetching" : "", peer.dropped_at ? " removed" : "");
  }
  if (lead->transfer) fmt::format_to(at, "hands over to {}\n", lead->transfer->to);
  if (!lead->parked.empty() || !lead->reads.empty()) {
    fmt::format_to(at, "reads parked={} waiting={} round={}\n", lead->parked.size(), lead->reads.size(), lead->round);
  }
  return out;
}

}  // namespace witan::raft
