#include "raft/quorum.h"

namespace witan::raft {

Quorum::Quorum(const Configuration& configuration) {
  for (const Member& member : configuration.members) {
    if (member.incoming == Suffrage::Voter) incoming_.push_back(member.id);
    if (configuration.joint && member.outgoing == Suffrage::Voter) outgoing_.push_back(member.id);
  }
}

bool Quorum::contains(NodeId id) const {
  return std::ranges::binary_search(incoming_, id) || std::ranges::binary_search(outgoing_, id);
}

bool Quorum::is_only(NodeId id) const {
  const auto only = [id](const std::vector<NodeId>& voters) { return voters.size() == 1 && voters.front() == id; };
  return only(incoming_) && (outgoing_.empty() || only(outgoing_));
}

}  // namespace witan::raft
