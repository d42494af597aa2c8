#include "migrate/zookeeper/tree.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "migrate/zookeeper/owner.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr int64_t kOpenAclId = -1;
constexpr int32_t kAllPermissions = 31;
constexpr std::string_view kQuotas = "/zookeeper/quota";
constexpr std::string_view kLimits = "/zookeeper_limits";
constexpr std::string_view kStatistics = "/zookeeper_stats";

// Requires: `path` is not the root.
std::string_view parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

// Everything below `path` starts with it, and nothing else does.
std::string below(std::string_view path) { return path == "/" ? std::string(path) : fmt::format("{}/", path); }

}  // namespace

Tree::Tree() { intern(AclList{Acl{.permissions = kAllPermissions, .scheme = "world", .id = "anyone"}}); }

uint32_t Tree::intern(AclList list) {
  const auto [found, is_new] = acl_indexes_.try_emplace(std::move(list), static_cast<uint32_t>(acls_.size()));
  if (is_new) acls_.push_back(found->first);
  return found->second;
}

Digested Tree::digested(const Nodes::value_type& node) {
  const Entry& entry = node.second;
  return {.path = node.first,
          .data = entry.data.view(),
          .prefix = entry.digest_prefix,
          .replayed_ttl = entry.replayed_ttl,
          .ttl_ms = entry.ttl_ms,
          .stat = entry.stat};
}

template <class Change>
void Tree::change_stat(Nodes::iterator node, Change&& change) {
  digest_.remove(digested(*node));
  change(node->second.stat);
  digest_.add(digested(*node));
}

std::expected<void, std::string> Tree::put_node(SnapshotNode node) {
  const bool root = node.path.empty();
  if (!root && (!node.path.starts_with('/') || node.path.ends_with('/'))) {
    return std::unexpected(fmt::format("'{}' is no path", node.path));
  }
  if (!root && !nodes_.contains(parent_of(node.path))) {
    return std::unexpected(fmt::format("the node {} stands before its parent", node.path));
  }
  const int64_t owner = node.stat.ephemeral_owner;
  const Ownership owned = ownership(owner, sessions_.contains(owner));
  Entry entry{.data = std::move(node.data), .stat = node.stat, .kind = owned.kind, .ttl_ms = owned.ttl_ms};
  const auto acl = acl_ids_.find(node.acl_id);
  if (node.acl_id != kOpenAclId) entry.acl = acl == acl_ids_.end() ? kDangling : acl->second;
  const auto [place, is_new] = nodes_.try_emplace(root ? "/" : std::string(node.path), std::move(entry));
  if (!is_new) return std::unexpected(fmt::format("the node {} stands there twice", place->first));
  place->second.digest_prefix = digest_prefix(place->first, place->second.data.view());
  if (owned.kind == Kind::Ephemeral) ephemerals_[owner].insert(place->first);
  digest_.add(digested(*place));
  return {};
}

void Tree::replay(const Transaction& transaction) {
  const When when{transaction.session, transaction.zxid, transaction.time_ms};
  for (const Operation& operation : transaction.operations) apply(operation, when);
}

void Tree::apply(const Operation& operation, const When& when) {
  if (const auto* create = std::get_if<Create>(&operation.body)) return apply(operation.type, *create, when);
  if (const auto* gone = std::get_if<Delete>(&operation.body)) return remove(gone->path, when.zxid);
  if (const auto* data = std::get_if<SetData>(&operation.body)) return apply(*data, when);
  if (const auto* acl = std::get_if<SetAcl>(&operation.body)) return apply(*acl);
  if (const auto* close = std::get_if<CloseSession>(&operation.body)) return close_session(*close, when);
  if (const auto* session = std::get_if<CreateSession>(&operation.body)) sessions_[when.session] = session->timeout_ms;
}

// A parent that the snapshot caught later has counted this child already, and others after it.
void Tree::count_child(Nodes::iterator parent, int32_t cversion, int64_t zxid) {
  const int32_t now = parent->second.stat.cversion;
  if (cversion == -1) cversion = now + 1;
  if (cversion <= now) return;
  change_stat(parent, [&](Stat& stat) {
    stat.cversion = cversion;
    stat.pzxid = zxid;
  });
}

void Tree::apply(Type type, const Create& create, const When& when) {
  const auto parent = nodes_.find(parent_of(create.path));
  if (parent == nodes_.end()) return;
  if (const auto existing = nodes_.find(create.path); existing != nodes_.end()) {
    // The snapshot may name a list of ACLs that it was too early to hold.
    existing->second.acl = intern(create.acl);
    if (type == Type::Create) count_child(parent, create.parent_cversion, when.zxid);
    return;
  }
  count_child(parent, create.parent_cversion, when.zxid);
  Entry entry{.data = create.data, .acl = intern(create.acl), .kind = create.kind, .ttl_ms = create.ttl_ms};
  entry.replayed_ttl = create.kind == Kind::Ttl;
  entry.digest_prefix = digest_prefix(create.path, create.data.view());
  entry.stat = {
      .czxid = when.zxid, .mzxid = when.zxid, .ctime_ms = when.time_ms, .mtime_ms = when.time_ms, .pzxid = when.zxid};
  if (create.kind == Kind::Ephemeral) entry.stat.ephemeral_owner = when.session;
  if (create.kind == Kind::Container) entry.stat.ephemeral_owner = kContainerOwner;
  if (create.kind == Kind::Ttl) entry.stat.ephemeral_owner = ttl_owner(create.ttl_ms);
  const auto place = nodes_.try_emplace(create.path, std::move(entry)).first;
  if (create.kind == Kind::Ephemeral) ephemerals_[when.session].insert(create.path);
  digest_.add(digested(*place));
}

void Tree::remove(std::string_view path, int64_t zxid) {
  const auto parent = nodes_.find(parent_of(path));
  if (parent == nodes_.end()) return;
  // Also where the node is gone: the snapshot caught the parent before that, and the node after it.
  if (zxid > parent->second.stat.pzxid) change_stat(parent, [&](Stat& stat) { stat.pzxid = zxid; });
  const auto node = nodes_.find(path);
  if (node == nodes_.end()) return;
  digest_.remove(digested(*node));
  if (node->second.kind == Kind::Ephemeral) {
    const auto owned = ephemerals_.find(node->second.stat.ephemeral_owner);
    if (owned != ephemerals_.end()) owned->second.erase(node->first);
  }
  nodes_.erase(node);
}

void Tree::apply(const SetData& set, const When& when) {
  const auto node = nodes_.find(set.path);
  if (node == nodes_.end()) return;
  digest_.remove(digested(*node));
  Entry& entry = node->second;
  entry.data = set.data;
  entry.digest_prefix = digest_prefix(set.path, set.data.view());
  entry.stat.mzxid = when.zxid;
  entry.stat.mtime_ms = when.time_ms;
  entry.stat.version = set.version;
  digest_.add(digested(*node));
}

void Tree::apply(const SetAcl& set) {
  const auto node = nodes_.find(set.path);
  if (node == nodes_.end()) return;
  node->second.acl = intern(set.acl);
  change_stat(node, [&](Stat& stat) { stat.aversion = set.version; });
}

// What the transaction names goes, whoever owns it now, and then whatever else the session is known to own.
void Tree::close_session(const CloseSession& close, const When& when) {
  sessions_.erase(when.session);
  for (const std::string& path : close.paths) remove(path, when.zxid);
  const auto owned = ephemerals_.find(when.session);
  if (owned == ephemerals_.end()) return;
  const absl::btree_set<std::string> rest = std::move(owned->second);
  ephemerals_.erase(owned);
  for (const std::string& path : rest) remove(path, when.zxid);
}

// A server that starts ends the sessions that own nodes and are not there, with the last zxid as theirs.
uint64_t Tree::drop_dead_ephemerals(int64_t last_zxid) {
  std::vector<std::string> dead;
  for (const auto& [session, paths] : ephemerals_) {
    if (!sessions_.contains(session)) dead.insert(dead.end(), paths.begin(), paths.end());
  }
  for (const std::string& path : dead) remove(path, last_zxid);
  return dead.size();
}

// `root` is the path whose subtree has a quota. As at a start of ZooKeeper: what it counts is in no log.
void Tree::recount_quota(const std::string& root) {
  const auto statistics = nodes_.find(fmt::format("{}{}{}", kQuotas, root == "/" ? "" : root, kStatistics));
  const auto top = nodes_.find(root);
  if (statistics == nodes_.end()) return;
  uint64_t count = 0;
  uint64_t bytes = 0;
  if (top != nodes_.end()) {
    const std::string prefix = below(root);
    count = 1;
    bytes = top->second.data.size();
    for (auto it = nodes_.upper_bound(prefix); it != nodes_.end() && it->first.starts_with(prefix); ++it) {
      ++count;
      bytes += it->second.data.size();
    }
  }
  statistics->second.data = Blob(fmt::format("count={},bytes={}", count, bytes));
}

void Tree::recount_quotas() {
  const std::string prefix = below(kQuotas);
  std::vector<std::string> roots;
  for (auto it = nodes_.lower_bound(prefix); it != nodes_.end() && it->first.starts_with(prefix); ++it) {
    if (!it->first.ends_with(kLimits) || it->second.children > 0) continue;
    const size_t length = it->first.size() - kQuotas.size() - kLimits.size();
    roots.push_back(length == 0 ? "/" : it->first.substr(kQuotas.size(), length));
  }
  for (const std::string& root : roots) recount_quota(root);
}

std::expected<void, std::string> Tree::count_children() {
  for (const auto& [path, entry] : nodes_) {
    if (entry.acl == kDangling)
      return std::unexpected(fmt::format("the node {} has a list of ACLs that is missing", path));
    if (path == "/") continue;
    const auto parent = nodes_.find(parent_of(path));
    if (parent == nodes_.end()) return std::unexpected(fmt::format("the node {} has no parent", path));
    ++parent->second.children;
  }
  return {};
}

std::vector<AclList> Tree::keep_used_acls() {
  std::vector<AclList> used;
  std::vector<uint32_t> places(acls_.size(), UINT32_MAX);
  for (auto& [path, entry] : nodes_) {
    uint32_t& place = places[entry.acl];
    if (place == UINT32_MAX) {
      place = static_cast<uint32_t>(used.size());
      used.push_back(std::move(acls_[entry.acl]));
    }
    entry.acl = place;
  }
  return used;
}

std::expected<Imported, std::string> Tree::finish(int64_t last_zxid) && {
  Imported imported{.last_zxid = last_zxid};
  imported.report.dead_ephemerals = drop_dead_ephemerals(last_zxid);
  if (auto counted = count_children(); !counted) return std::unexpected(counted.error());
  recount_quotas();
  imported.acls = keep_used_acls();
  for (const auto& [id, timeout_ms] : sessions_) imported.sessions.push_back({id, timeout_ms});
  imported.nodes.reserve(nodes_.size());
  while (!nodes_.empty()) {
    auto taken = nodes_.extract(nodes_.begin());
    Entry& entry = taken.mapped();
    imported.nodes.push_back({.path = std::move(taken.key()),
                              .data = std::move(entry.data),
                              .acl = entry.acl,
                              .children = entry.children,
                              .kind = entry.kind,
                              .ttl_ms = entry.ttl_ms,
                              .stat = entry.stat});
  }
  return imported;
}

}  // namespace witan::migrate::zookeeper
