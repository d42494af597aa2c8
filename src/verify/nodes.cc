#include "verify/nodes.h"

#include <algorithm>

#include <fmt/format.h>

namespace witan::verify {

std::string_view parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string_view::npos ? "/" : path.substr(0, slash);
}

Nodes::Nodes(const Truth& truth) : truth_(truth) {
  for (int64_t revision = 2; revision <= truth.revision(); ++revision) {
    for (const Change& change : truth.changes(revision)) {
      if (change.key.starts_with('/')) apply(revision, change);
    }
  }
}

void Nodes::apply(int64_t revision, const Change& change) {
  std::vector<Mark>& marks = nodes_[change.key];
  const bool existed = !marks.empty() && marks.back().node.has_value();
  if (!change.after) {
    marks.push_back({.revision = revision, .node = std::nullopt});
    return count_child(revision, parent_of(change.key), false);
  }
  Node node = existed ? *marks.back().node : Node{};
  node.value = change.after->value;
  node.stat.mzxid = revision;
  node.stat.version = change.after->version - 1;
  node.stat.owner = change.after->lease;
  node.stat.data_length = static_cast<int64_t>(node.value.size());
  if (!existed) node.stat.czxid = node.stat.pzxid = revision;
  marks.push_back({.revision = revision, .node = std::move(node)});
  if (!existed) count_child(revision, parent_of(change.key), true);
}

// A deleted child counts as a change of the children as a created one does.
void Nodes::count_child(int64_t revision, std::string_view parent, bool created) {
  const auto found = nodes_.find(parent);
  if (found == nodes_.end() || found->second.empty() || !found->second.back().node) return;
  Node node = *found->second.back().node;
  node.stat.pzxid = revision;
  ++node.stat.cversion;
  node.stat.num_children += created ? 1 : -1;
  if (created) ++node.children_ever;
  if (found->second.back().revision == revision) found->second.pop_back();
  found->second.push_back({.revision = revision, .node = std::move(node)});
}

const Node* Nodes::find(std::string_view path, int64_t revision) const {
  const auto found = nodes_.find(path);
  if (found == nodes_.end()) return nullptr;
  const std::vector<Mark>& marks = found->second;
  const auto end =
      std::partition_point(marks.begin(), marks.end(), [revision](const Mark& m) { return m.revision <= revision; });
  if (end == marks.begin() || !std::prev(end)->node) return nullptr;
  return &*std::prev(end)->node;
}

std::vector<std::string> Nodes::children(std::string_view path, int64_t revision) const {
  const std::string below = path == "/" ? "/" : std::string(path) + "/";
  std::vector<std::string> names;
  for (auto it = nodes_.lower_bound(below); it != nodes_.end() && it->first.starts_with(below); ++it) {
    if (parent_of(it->first) != path || find(it->first, revision) == nullptr) continue;
    names.push_back(it->first.substr(below.size()));
  }
  return names;
}

std::vector<NodeNews> Nodes::news(int64_t revision) const {
  std::vector<NodeNews> out;
  for (const Change& change : truth_.changes(revision)) {
    if (!change.key.starts_with('/')) continue;
    const auto kind = !change.before  ? NodeNews::Kind::Created
                      : !change.after ? NodeNews::Kind::Deleted
                                      : NodeNews::Kind::Changed;
    out.push_back({.kind = kind, .path = change.key});
  }
  return out;
}

std::string describe(const NodeStat& stat) {
  return fmt::format("czxid {} mzxid {} pzxid {} version {} cversion {} owner {:#x} {} bytes {} children", stat.czxid,
                     stat.mzxid, stat.pzxid, stat.version, stat.cversion, static_cast<uint64_t>(stat.owner),
                     stat.data_length, stat.num_children);
}

}  // namespace witan::verify
