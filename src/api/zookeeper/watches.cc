#include "api/zookeeper/watches.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "store/node.h"
#include "store/path.h"

namespace witan::api::zookeeper {
namespace {

size_t count_of(WatchKinds kinds) { return static_cast<size_t>(std::popcount(static_cast<unsigned>(kinds))); }

}  // namespace

void Watches::add(uint32_t connection, std::string_view path, WatchKinds kinds) {
  if (kinds == kNoWatch) return;
  const auto known = index_.find(path);
  Slot slot = 0;
  if (known != index_.end()) {
    slot = known->second;
  } else {
    if (free_.empty()) {
      slot = static_cast<Slot>(entries_.size());
      entries_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    entries_[slot].path = path;
    index_.emplace(entries_[slot].path, slot);
  }
  WatchKinds& held = entries_[slot].watchers[connection];
  if (held == kNoWatch) connections_[connection].insert(slot);
  const auto fresh = static_cast<WatchKinds>(kinds & ~static_cast<unsigned>(held));
  watches_ += count_of(fresh);
  if ((fresh & kRecursiveWatch) != 0) ++recursive_;
  held = held | kinds;
}

WatchKinds Watches::at(uint32_t connection, std::string_view path) const {
  const auto slot = index_.find(path);
  if (slot == index_.end()) return kNoWatch;
  const auto& watchers = entries_[slot->second].watchers;
  const auto held = watchers.find(connection);
  return held == watchers.end() ? kNoWatch : held->second;
}

void Watches::remove(uint32_t connection, std::string_view path, WatchKinds kinds) {
  const auto slot = index_.find(path);
  if (slot != index_.end()) take(slot->second, connection, kinds);
}

void Watches::remove_all(uint32_t connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  const auto slots = std::move(found->second);
  connections_.erase(found);
  for (const Slot slot : slots) take(slot, connection, kAllWatches);
}

// A connection's last watch on a path takes the path out of its set, the last watcher the path out of the index.
void Watches::take(Slot slot, uint32_t connection, WatchKinds kinds) {
  Entry& entry = entries_[slot];
  const auto held = entry.watchers.find(connection);
  if (held == entry.watchers.end()) return;
  const WatchKinds taken = held->second & kinds;
  watches_ -= count_of(taken);
  if ((taken & kRecursiveWatch) != 0) --recursive_;
  held->second = static_cast<WatchKinds>(held->second & ~static_cast<unsigned>(kinds));
  if (held->second != kNoWatch) return;
  entry.watchers.erase(held);
  const auto mine = connections_.find(connection);
  if (mine != connections_.end()) {
    mine->second.erase(slot);
    if (mine->second.empty()) connections_.erase(mine);
  }
  if (entry.watchers.empty()) forget(slot);
}

void Watches::forget(Slot slot) {
  index_.erase(entries_[slot].path);
  entries_[slot].path = std::string();
  free_.push_back(slot);
}

// ---- changes ------------------------------------------------------------------------------------

void Watches::on_changes(std::span<const store::ChangeBatchPtr> batches) {
  for (const store::ChangeBatchPtr& batch : batches) {
    if (index_.empty()) return;
    store::for_each_node_event(*batch, [&](const store::NodeEvent& event) { on_event(event, batch->revision); });
  }
}

void Watches::on_event(const store::NodeEvent& event, store::Revision revision) {
  const std::string_view path = event.path;
  told_.clear();
  switch (event.type) {
    case store::NodeEvent::Type::Changed:
      return fire({EventType::NodeDataChanged, path, revision, event.acl}, kDataTable, false);
    case store::NodeEvent::Type::Created:
      fire({EventType::NodeCreated, path, revision, event.acl}, kDataTable, false);
      break;
    case store::NodeEvent::Type::Deleted:
      fire({EventType::NodeDeleted, path, revision, event.acl}, kDataTable, false);
      // Whoever heard it as news of the node does not hear it again as news of its children.
      told_ = found_;
      fire({EventType::NodeDeleted, path, revision, event.acl}, kChildTable, true);
      break;
  }
  if (path == "/") return;
  fire({EventType::NodeChildrenChanged, store::parent_of(path), revision, event.parent_acl}, kChildTable, false);
}

void Watches::fire(const WatchEvent& event, WatchKinds table, bool suppress_told) {
  found_.clear();
  collect(event.path, table);
  if ((table & kRecursiveWatch) != 0 && recursive_ > 0) collect_above(event.path);
  if (suppress_told) std::erase_if(found_, [&](uint32_t id) { return std::ranges::binary_search(told_, id); });
  if (!found_.empty()) sink_.on_event(event, found_);
}

// What fires once is gone before anybody hears of it, also for those who are not told after all.
void Watches::collect(std::string_view path, WatchKinds table) {
  const auto at = index_.find(path);
  if (at == index_.end()) return;
  const Slot slot = at->second;
  const WatchKinds once = table & (kDataWatch | kChildWatch);
  std::vector<uint32_t> spent;
  for (const auto& [connection, kinds] : entries_[slot].watchers) {
    if ((kinds & table) == kNoWatch) continue;
    found_.push_back(connection);
    if ((kinds & once) != kNoWatch) spent.push_back(connection);
  }
  for (const uint32_t connection : spent) take(slot, connection, once);
}

void Watches::collect_above(std::string_view path) {
  const size_t exact = found_.size();
  while (path != "/") {
    path = store::parent_of(path);
    const auto at = index_.find(path);
    if (at == index_.end()) continue;
    for (const auto& [connection, kinds] : entries_[at->second].watchers) {
      if ((kinds & kRecursiveWatch) != kNoWatch) found_.push_back(connection);
    }
  }
  if (found_.size() == exact) return;
  std::ranges::sort(found_);
  found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
}

// ---- listings -----------------------------------------------------------------------------------

size_t Watches::paths_of(uint32_t connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? 0 : found->second.size();
}

std::vector<uint32_t> Watches::connections() const {
  std::vector<uint32_t> out;
  for (const auto& [connection, slots] : connections_) out.push_back(connection);
  std::ranges::sort(out);
  return out;
}

std::vector<std::string_view> Watches::listing(uint32_t connection, WatchKinds kinds) const {
  std::vector<std::string_view> out;
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return out;
  for (const Slot slot : found->second) {
    const Entry& entry = entries_[slot];
    const auto watcher = entry.watchers.find(connection);
    if (watcher != entry.watchers.end() && (watcher->second & kinds) != kNoWatch) out.push_back(entry.path);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace witan::api::zookeeper
