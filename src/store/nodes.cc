#include "store/nodes.h"

#include <limits>
#include <utility>

namespace witan::store {

Node Nodes::find(std::string_view path) const {
  Node out;
  if (is_hidden(path)) {
    if (!hidden_.exists(path)) return out;
    out.version = hidden_.latest(path);
    out.children = hidden_.directory(path);
  } else {
    if (!is_path(path)) return out;
    out.version = index_.latest(path);
    out.children = directories_.of(path);
    if (out.version == nullptr && out.children.children == 0 && path != "/") return out;
  }
  out.exists = true;
  out.row = rows_.of(path);
  out.children.children += HiddenTable::base_children(path);
  return out;
}

NodeStat Nodes::stat_of(std::string_view path, const Node& node) {
  NodeStat out;
  if (const Version* const version = node.version) {
    // What is there from the beginning is older than everything, also when somebody has given it data.
    if (path != "/" && !HiddenTable::is_base(path)) {
      out.created = version->create_revision;
      out.created_at = version->created.time();
    }
    out.modified = version->mod_revision;
    out.modified_at = version->modified.time();
    out.version = node.data_version();
    out.owner = version->lease;
    out.data_bytes = static_cast<int64_t>(version->value.size());
  }
  out.children_changed = std::max(node.children.changed, out.created);
  out.acl_version = node.row.acl_version;
  out.children_ever = node.children.created;
  out.children = node.children.children;
  return out;
}

std::vector<std::string> Nodes::children(std::string_view path) const {
  if (is_hidden(path)) return hidden_.children(path);
  std::vector<std::string> out = directories_.children(path, {}, std::numeric_limits<size_t>::max()).names;
  if (path == "/") out.emplace_back(kHiddenRoot.substr(1));
  return out;
}

// Every node but the first is somebody's child.
int64_t Nodes::descendants(std::string_view path) const {
  const std::string prefix = path == "/" ? "/" : std::string(path) + '/';
  int64_t count = HiddenTable::base_children(path);
  if (path == "/") count += descendants(kHiddenRoot);
  if (is_hidden(path)) {
    count += hidden_.directory(path).children;
    for (auto it = hidden_.rows().upper_bound(std::string_view(prefix)); it != hidden_.rows().end(); ++it) {
      if (!std::string_view(it->first).starts_with(prefix)) break;
      count += it->second.children.children;
    }
    return count;
  }
  count += directories_.of(path).children;
  for (auto it = directories_.rows().upper_bound(std::string_view(prefix)); it != directories_.rows().end(); ++it) {
    if (!std::string_view(it->first).starts_with(prefix)) break;
    count += it->second.children;
  }
  return count;
}

}  // namespace witan::store
