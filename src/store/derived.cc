#include "store/derived.h"

#include <algorithm>
#include <map>

#include "store/accounting.h"
#include "store/path.h"

namespace witan::store {
namespace {

// Counts of children below /zookeeper were read, not made from the rows.
bool hidden_counts_are_right(const HiddenTable& hidden) {
  std::map<std::string_view, int64_t> counted;
  for (const auto& [path, row] : hidden.rows()) {
    if (!HiddenTable::is_base(path)) ++counted[parent_of(path)];
  }
  const auto is_right = [&](const auto& item) { return item.second.children.children == counted[item.first.view()]; };
  return std::all_of(hidden.rows().begin(), hidden.rows().end(), is_right) &&
         std::all_of(counted.begin(), counted.end(),
                     [&hidden](const auto& item) { return hidden.rows().find(item.first) != nullptr; });
}

}  // namespace

// In key order a parent comes before its children, which the directories rely on.
std::optional<std::string_view> derive(State& state, ReadRows rows) {
  for (Index::Cursor cursor = state.index.lower_bound(""); !cursor.done(); cursor.next()) {
    const Version* const version = cursor.chain().latest();
    if (version == nullptr) continue;
    if (version->lease != LeaseId(0)) {
      // A session's keys are nodes, and what is hidden is no key.
      const LeaseRow* const owner = state.leases.find(version->lease);
      if (owner == nullptr || (owner->kind == LeaseKind::ZooKeeper && is_hidden(cursor.key()))) {
        return "a key has an owner that is not there";
      }
      state.leases.attach(version->lease, cursor.key());
    }
    state.digest.add(digest_of(cursor.key(), *version));
    state.data_bytes += bytes_of_row(cursor.key(), *version);
    state.directories.appeared(cursor.key(), Revision(0));
  }
  for (const auto& [path, row] : state.hidden.rows()) {
    const LeaseId owner = row.version ? row.version->lease : LeaseId(0);
    if (owner == LeaseId(0)) continue;
    if (!state.leases.has(owner, LeaseKind::ZooKeeper)) return "a node has an owner that is not there";
    state.leases.attach(owner, path);
  }
  for (const auto& [path, row] : rows.directories) {
    if (!state.directories.restore(path, row)) return "a directory contradicts the keys";
  }
  if (!hidden_counts_are_right(state.hidden)) return "a node below /zookeeper counts other children than it has";
  for (auto& [path, row] : rows.nodes) {
    if (!state.nodes().exists(path)) return "an access list without its node";
    state.node_rows.set(path, std::move(row));
  }
  state.quotas.rebuild(state.hidden, state.index);
  return std::nullopt;
}

}  // namespace witan::store
