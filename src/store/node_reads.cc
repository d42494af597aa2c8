// What ZooKeeper's clients ask of the state.
#include <algorithm>
#include <utility>

#include "store/acl.h"
#include "store/authorize.h"
#include "store/state.h"
#include "store/store.h"

namespace witan::store {
namespace {

class NodeReader {
 public:
  NodeReader(const State& state, LeaseId session, std::span<const std::string_view> principals)
      : nodes_(state.nodes()), state_(state), session_(session), principals_(principals) {}

  NodeReadsResult::Item read(const NodeRead& read) const {
    NodeReadsResult::Item out;
    if (read.query == NodeQuery::Ephemerals) {
      for (const Blob& key : state_.leases.keys(session_)) {
        if (key.view().starts_with(read.path)) out.names.emplace_back(key);
      }
      return out;
    }
    const Node node = nodes_.find(read.path);
    const uint32_t needed = read.query == NodeQuery::Acl ? perm::kRead | perm::kAdmin : perm::kRead;
    if (!node.exists) {
      out.reason = Reason::NodeNotFound;
    } else if (!authorize(principals_, needed, node.row.acl)) {
      out.reason = Reason::PermissionDenied;
    } else {
      fill(read, node, out);
    }
    return out;
  }

 private:
  void fill(const NodeRead& read, const Node& node, NodeReadsResult::Item& out) const {
    out.stat = Nodes::stat_of(read.path, node);
    const auto counted = is_hidden(read.path) ? state_.quotas.stats(read.path) : std::nullopt;
    if (counted) out.stat.data_bytes = static_cast<int64_t>(counted->size());
    switch (read.query) {
      case NodeQuery::Data:
        if (counted) {
          out.value = Blob(*counted);
          break;
        }
        out.value = node.version == nullptr ? Blob(std::string_view()) : node.version->value;
        break;
      case NodeQuery::Acl:
        out.acl = node.row.acl;
        out.is_admin = authorize(principals_, perm::kAdmin, node.row.acl);
        break;
      case NodeQuery::Children: out.names = nodes_.children(read.path); break;
      case NodeQuery::Descendants: out.count = nodes_.descendants(read.path); break;
      case NodeQuery::Exists:
      case NodeQuery::Ephemerals: break;
    }
  }

  const Nodes nodes_;
  const State& state_;
  const LeaseId session_;
  const std::span<const std::string_view> principals_;
};

}  // namespace

NodeReadsResult Store::read_nodes(const NodeReads& reads, LeaseId session,
                                  std::span<const std::string_view> principals) const {
  const NodeReader reader(*state_, session, principals);
  NodeReadsResult out;
  out.items.reserve(reads.reads.size());
  for (const NodeRead& read : reads.reads) out.items.push_back(reader.read(read));
  return out;
}

std::vector<std::string> Store::idle_nodes(WallTime now, std::string& after, size_t limit, size_t look_at) const {
  std::vector<std::string> out;
  const auto& mortal = state_->node_rows.mortal();
  auto it = after.empty() ? mortal.begin() : mortal.upper_bound(std::string_view(after));
  for (; it != mortal.end() && out.size() < limit && look_at > 0; ++it, --look_at) {
    after = it->view();
    const Node node = state_->nodes().find(*it);
    if (!node.exists || node.children.children > 0) continue;
    const bool idle = node.row.kind == NodeKind::Container
                          ? node.children.created > 0
                          : node.version != nullptr && Stamp(now).ms() - node.version->modified.ms() > node.row.ttl_ms;
    if (idle) out.emplace_back(*it);
  }
  if (it == mortal.end()) after.clear();
  return out;
}

}  // namespace witan::store
