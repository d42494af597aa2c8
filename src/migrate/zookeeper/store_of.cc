#include "migrate/zookeeper/store_of.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/acl.h"
#include "store/builder.h"
#include "store/path.h"

namespace witan::migrate::zookeeper {
namespace {

// Room for the first writes below 2^62, the store's bound: ZooKeeper's epochs come nowhere near it.
constexpr int64_t kMaxZxid = (int64_t{1} << 62) - (int64_t{1} << 33);
constexpr size_t kNodesAtOnce = 1000;

std::unexpected<Error> refuse(std::string_view what) {
  return fail(Code::Invalid, fmt::format("this tree cannot be taken over: {}; nothing was imported", what));
}

store::Revision revision_after(int64_t zxid) { return store::Revision(std::max<int64_t>(zxid + 1, 2)); }

store::NodeKind kind_of(Kind kind) {
  switch (kind) {
    case Kind::Container: return store::NodeKind::Container;
    case Kind::Ttl: return store::NodeKind::Ttl;
    case Kind::Ordinary:
    case Kind::Ephemeral: break;
  }
  return store::NodeKind::Ordinary;
}

// ZooKeeper counts in 32 bits and goes on from the smallest number after the largest one.
int64_t unwrapped(int32_t count) { return static_cast<uint32_t>(count); }

std::string acl_of(const AclList& list) {
  std::vector<store::AclEntry> entries;
  for (const Acl& acl : list) {
    entries.push_back({.permissions = static_cast<uint32_t>(acl.permissions), .scheme = acl.scheme, .id = acl.id});
  }
  return store::encode_acl(entries);
}

// What the store has of its own accord, and whether ZooKeeper had it: every /zookeeper has a quota and a config here,
// which in ZooKeeper 3.4 it has not.
class Base {
 public:
  explicit Base(const std::vector<Node>& nodes)
      : hidden_root_(has(nodes, store::kHiddenRoot)),
        below_it_(has(nodes, store::kQuotaNode) + has(nodes, store::kConfigNode)) {}

  // Children that somebody made, of those that ZooKeeper counted.
  int64_t made(const Node& node) const {
    return node.children - (node.path == "/" ? hidden_root_ : node.path == store::kHiddenRoot ? below_it_ : 0);
  }
  // Children in the store.
  int64_t children(const Node& node) const {
    return made(node) + (node.path == "/" ? 1 : node.path == store::kHiddenRoot ? 2 : 0);
  }
  // Nodes below the root, in the store.
  int64_t descendants(const std::vector<Node>& nodes) const {
    return static_cast<int64_t>(nodes.size()) - 1 - hidden_root_ - below_it_ + 3;
  }

 private:
  static int64_t has(const std::vector<Node>& nodes, std::string_view path) {
    const auto place = std::ranges::lower_bound(nodes, path, {}, &Node::path);
    return place != nodes.end() && place->path == path ? 1 : 0;
  }

  int64_t hidden_root_;
  int64_t below_it_;
};

store::NodeStat stat_of(const Node& node, const Base& base) {
  const Stat& stat = node.stat;
  return {.created = store::Revision(stat.czxid),
          .modified = store::Revision(stat.mzxid),
          .children_changed = store::Revision(stat.pzxid),
          .created_at = WallTime{stat.ctime_ms},
          .modified_at = WallTime{stat.mtime_ms},
          .version = unwrapped(stat.version),
          .acl_version = stat.aversion,
          .children_ever = unwrapped(stat.cversion),
          .children = base.children(node),
          .owner = store::LeaseId(node.session()),
          .data_bytes = static_cast<int64_t>(node.data.size())};
}

// Counted anew by the store whenever somebody asks.
bool is_statistics(std::string_view path) {
  return path.starts_with(store::kQuotaNode) && path.ends_with("/zookeeper_stats");
}

// A counter below the number of children, as bugs of ZooKeeper have left it, would make the next sequential name one
// that is taken.
void mend_counters(Imported& imported, const Base& base) {
  for (Node& node : imported.nodes) {
    const int64_t made = base.made(node);
    if (unwrapped(node.stat.cversion) >= made) continue;
    imported.report.notes.push_back(
        fmt::format("{} has {} children and said that {} were ever created; now it says {}.", node.path, made,
                    unwrapped(node.stat.cversion), made));
    node.stat.cversion = static_cast<int32_t>(made);
  }
}

int64_t ttl_of(const Session& session) { return std::max<int64_t>(session.timeout_ms, 1); }

std::unexpected<Error> differs(std::string_view what, std::string_view how) {
  return fail(Code::Corrupt, fmt::format("what was written does not answer as ZooKeeper would: {} has another {}. "
                                         "Nothing was imported; please report this",
                                         what, how));
}

// The first field that is not the same; empty when all are.
std::string_view difference(const store::NodeStat& a, const store::NodeStat& b, bool with_size) {
  if (a.created != b.created) return "czxid";
  if (a.modified != b.modified) return "mzxid";
  if (a.children_changed != b.children_changed) return "pzxid";
  if (a.created_at != b.created_at) return "ctime";
  if (a.modified_at != b.modified_at) return "mtime";
  if (a.version != b.version) return "version";
  if (a.acl_version != b.acl_version) return "aversion";
  if (a.children_ever != b.children_ever) return "cversion";
  if (a.children != b.children) return "number of children";
  if (a.owner != b.owner) return "owner";
  return with_size && a.data_bytes != b.data_bytes ? "length" : std::string_view();
}

class Comparison {
 public:
  Comparison(const store::Store& store, const Imported& imported)
      : store_(store), imported_(imported), base_(imported.nodes) {
    for (const AclList& list : imported.acls) acls_.push_back(acl_of(list));
  }

  Result<> nodes() const {
    for (size_t at = 0; at < imported_.nodes.size(); at += kNodesAtOnce) {
      if (auto same = some(at, std::min(at + kNodesAtOnce, imported_.nodes.size())); !same) return same;
    }
    const auto whole = read({{.query = store::NodeQuery::Descendants, .path = "/"}});
    if (whole.items[0].count != base_.descendants(imported_.nodes)) return differs("/", "number of descendants");
    return {};
  }

  Result<> sessions() const {
    const auto leases = store_.leases(std::nullopt, imported_.sessions.size() + 1);
    if (leases.size() != imported_.sessions.size()) return differs("the cluster", "number of sessions");
    for (size_t i = 0; i < leases.size(); ++i) {
      const Session& session = imported_.sessions[i];
      const bool same = leases[i].id == store::LeaseId(session.id) && leases[i].kind == store::LeaseKind::ZooKeeper &&
                        leases[i].ttl_ms == ttl_of(session);
      if (!same) return differs(fmt::format("session {:#x}", static_cast<uint64_t>(session.id)), "content");
    }
    return {};
  }

 private:
  store::NodeReadsResult read(std::vector<store::NodeRead> reads) const {
    const std::string_view everybody = store::kSuperPrincipal;
    return store_.read_nodes({.reads = std::move(reads)}, store::LeaseId(0), {&everybody, 1});
  }

  // Nodes [begin, end), each asked for its data and its list.
  Result<> some(size_t begin, size_t end) const {
    std::vector<store::NodeRead> reads;
    for (size_t i = begin; i < end; ++i) {
      const std::string& path = imported_.nodes[i].path;
      reads.push_back({.query = store::NodeQuery::Data, .path = path});
      reads.push_back({.query = store::NodeQuery::Acl, .path = path});
    }
    const auto answers = read(std::move(reads));
    for (size_t i = begin; i < end; ++i) {
      const Node& node = imported_.nodes[i];
      if (node.path == store::kConfigNode) continue;
      const auto& data = answers.items[2 * (i - begin)];
      const auto& acl = answers.items[2 * (i - begin) + 1];
      if (data.reason != store::Reason::None) return differs(node.path, "existence");
      const bool counted = is_statistics(node.path);
      const std::string_view other = difference(data.stat, stat_of(node, base_), !counted);
      if (!other.empty()) return differs(node.path, other);
      if (!counted && data.value != node.data) return differs(node.path, "content");
      if (acl.acl.view() != acls_[node.acl]) return differs(node.path, "list of ACLs");
    }
    return {};
  }

  const store::Store& store_;
  const Imported& imported_;
  const Base base_;
  std::vector<std::string> acls_;
};

// What is in the list that every ZooKeeper gives to /zookeeper/config.
bool is_usual_config_acl(const AclList& list) {
  return list.size() == 1 && list[0] == Acl{.permissions = store::perm::kRead, .scheme = "world", .id = "anyone"};
}

}  // namespace

Result<std::unique_ptr<store::Store>> make_store(Imported& imported) {
  if (imported.last_zxid > kMaxZxid) return refuse(fmt::format("its last zxid is {:#x}", imported.last_zxid));
  const Base base(imported.nodes);
  mend_counters(imported, base);
  store::StoreBuilder builder(revision_after(imported.last_zxid));
  for (const Session& session : imported.sessions) {
    if (auto added = builder.add_session(store::LeaseId(session.id), ttl_of(session)); !added) {
      return refuse(added.error().message);
    }
  }
  std::vector<Blob> acls;  // each list once, however many nodes have it
  for (const AclList& list : imported.acls) acls.emplace_back(acl_of(list));
  for (const Node& node : imported.nodes) {
    if (node.path == store::kConfigNode) {
      if (!is_usual_config_acl(imported.acls[node.acl])) {
        imported.report.notes.push_back("/zookeeper/config had a list of ACLs of its own, which was left behind.");
      }
      continue;
    }
    auto added = builder.add_node({.path = node.path,
                                   .value = node.data,
                                   .stat = stat_of(node, base),
                                   .acl = acls[node.acl],
                                   .kind = kind_of(node.kind),
                                   .ttl_ms = node.ttl_ms});
    if (!added) return refuse(added.error().message);
  }
  auto store = builder.finish();
  if (!store) return refuse(store.error().message);
  return store;
}

Result<> compare(const store::Store& store, const Imported& imported) {
  const Comparison comparison(store, imported);
  if (auto same = comparison.nodes(); !same) return same;
  return comparison.sessions();
}

}  // namespace witan::migrate::zookeeper
