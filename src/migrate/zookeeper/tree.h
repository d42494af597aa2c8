// ZooKeeper's tree while a snapshot is read and logs are replayed.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>

#include <absl/container/btree_map.h>
#include <absl/container/btree_set.h>

#include "migrate/zookeeper/digest.h"
#include "migrate/zookeeper/imported.h"
#include "migrate/zookeeper/transaction.h"

namespace witan::migrate::zookeeper {

// A node as a snapshot has it.
struct SnapshotNode {
  std::string_view path;  // "" is the root
  Blob data;
  int64_t acl_id = -1;  // -1: open to the world
  Stat stat;
};

// Snapshots are fuzzy: they are written while the tree changes, and hold some effects of transactions behind the one
// they are named for. Replaying those once more is what makes the tree whole, so every transaction may meet its own
// effects, or those of later ones, and does then what ZooKeeper does. Children are not kept apart from the nodes: which
// node is whose child is in the paths.
class Tree {
 public:
  Tree();

  // From a snapshot, in its order: sessions, lists, nodes. Errors are clauses.
  void put_session(Session session) { sessions_[session.id] = session.timeout_ms; }
  void define_acl(int64_t id, AclList list) { acl_ids_[id] = intern(std::move(list)); }
  std::expected<void, std::string> put_node(SnapshotNode node);
  bool has_root() const { return nodes_.contains("/"); }
  size_t size() const { return nodes_.size(); }
  size_t sessions() const { return sessions_.size(); }

  void replay(const Transaction& transaction);
  bool matches(uint64_t digest) const { return digest_.matches(digest); }

  // What ZooKeeper does at a start, and then everything moved out; only `report.dead_ephemerals` is set of the report.
  // `last_zxid` is the last one that was replayed. The error is a clause: the tree is not whole.
  std::expected<Imported, std::string> finish(int64_t last_zxid) &&;

 private:
  static constexpr uint32_t kOpen = 0;  // world:anyone, all permissions
  // The snapshot names a list that it does not have: a transaction to come sets it anew.
  static constexpr uint32_t kDangling = UINT32_MAX;

  struct Entry {
    Blob data;
    Stat stat;
    uint32_t acl = kOpen;
    uint32_t digest_prefix = 0;
    uint32_t children = 0;  // counted at the end
    Kind kind = Kind::Ordinary;
    bool replayed_ttl = false;
    int64_t ttl_ms = 0;
  };
  using Nodes = absl::btree_map<std::string, Entry, std::less<>>;  // Debian's Abseil has a string_view of its own
  struct When {
    int64_t session = 0;
    int64_t zxid = 0;
    int64_t time_ms = 0;
  };

  uint32_t intern(AclList list);
  uint32_t intern(const std::optional<AclList>& list) { return list ? intern(*list) : kOpen; }
  static Digested digested(const Nodes::value_type& node);
  // Changes a node's stat and nothing else that is in its digest.
  template <class Change>
  void change_stat(Nodes::iterator node, Change&& change);

  void apply(const Operation& operation, const When& when);
  void apply(Type type, const Create& create, const When& when);
  void remove(std::string_view path, int64_t zxid);
  void apply(const SetData& set, const When& when);
  void apply(const SetAcl& set);
  void close_session(const CloseSession& close, const When& when);
  void count_child(Nodes::iterator parent, int32_t cversion, int64_t zxid);

  uint64_t drop_dead_ephemerals(int64_t last_zxid);
  void recount_quota(const std::string& root);
  void recount_quotas();
  std::expected<void, std::string> count_children();
  std::vector<AclList> keep_used_acls();

  Nodes nodes_;
  absl::btree_map<int64_t, int32_t> sessions_;
  absl::btree_map<int64_t, absl::btree_set<std::string>> ephemerals_;  // by session
  std::vector<AclList> acls_;
  absl::btree_map<AclList, uint32_t> acl_indexes_;
  absl::btree_map<int64_t, uint32_t> acl_ids_;  // the snapshot's
  TreeDigest digest_;
};

}  // namespace witan::migrate::zookeeper
