// The store's slow twin, for tests: maps, full copies of every revision, and no idea what an index is. What it does is
// the specification (core S, T, L; reference 1.4 to 1.9) written down the plainest way.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/command.h"
#include "store/store.h"

namespace witan::store::twin {

struct Row {
  int64_t create = 0;
  int64_t mod = 0;
  int64_t version = 0;
  int64_t lease = 0;
  int64_t created = 0;
  int64_t modified = 0;
  std::string value;
  bool null = false;  // no value, as ZooKeeper has it
  friend bool operator==(const Row&, const Row&) = default;
};
using Tree = std::map<std::string, Row>;

struct Changed {
  std::string key;
  std::optional<Row> before;
  std::optional<Row> after;
  friend bool operator==(const Changed&, const Changed&) = default;
};

struct Lease {
  LeaseKind kind = LeaseKind::Etcd;
  int64_t ttl = 0;
  int64_t remaining = 0;
  uint64_t generation = 0;
};

// Access list, kind and time to live of a node.
struct Extra {
  std::string acl;
  int64_t acl_version = 0;
  NodeKind kind = NodeKind::Ordinary;
  int64_t ttl = 0;
};
// Type, path, the node's access list and its parent's.
struct Event {
  NodeEvent::Type type = NodeEvent::Type::Created;
  std::string path;
  std::string acl;
  std::string parent_acl;
  friend bool operator==(const Event&, const Event&) = default;
};

// What a transaction that fails gives back as it was.
struct Present {
  Tree tree;
  Tree hidden;  // nodes below /zookeeper that somebody wrote
  std::map<std::string, Directory> directories;
  std::map<std::string, Directory> hidden_directories;
  std::map<std::string, Extra> extras;
  std::vector<Changed> pending;
  std::vector<Event> events;  // of the last command
  bool touched = false;
};

struct Twin : Present {
  int64_t revision = 1;
  int64_t compacted = -1;
  int64_t min_ttl = 2000;
  bool enforce_quotas = false;
  uint64_t allocated = 0;
  std::map<int64_t, Tree> past{{1, {}}};            // the tree at every revision
  std::map<int64_t, std::vector<Changed>> history;  // what every revision changed
  std::map<int64_t, int64_t> stamps;                // the largest stamp when a revision was made
  std::map<int64_t, Lease> leases;
  std::set<std::pair<uint64_t, AlarmKind>> alarms;
  int64_t largest_stamp = 0;

  // The same command to the twin. Lease ids must be chosen by the command.
  Reply apply(const Command& command);
  RangeResult range(const Range& range, int64_t at, const Tree& tree_at) const;
  std::optional<Failure> unreadable(int64_t at) const;
  // Nodes of the ZooKeeper view: keys that are paths, and everything above them.
  std::set<std::string> nodes() const;
  // The same with the hidden ones.
  std::set<std::string> all_nodes() const;
  bool exists(const std::string& path) const;
  NodeStat stat(const std::string& path) const;
  Extra extra(const std::string& path) const;
  std::vector<std::string> keys_of(int64_t lease) const;
  // Nodes and bytes that the quota of `path` counts, where `limits` has what was written below /zookeeper/quota.
  std::pair<int64_t, int64_t> counted(const std::string& path, const Tree& limits) const;

 private:
  // What is refused whatever the operation asks for.
  Failure refuse(const Command& command) const;
  Failure run(const Command& command, Reply& reply);
  Failure run_leases(const Body& body, Reply& reply);
  Failure run_sessions(const Body& body, Reply& reply);
  AlarmResult change_alarm(const AlarmChange& change);
  Failure check(const Txn& txn, bool puts) const;
  bool judge(const Txn& txn) const;
  TxnResult run_txn(const Txn& txn, const std::map<const Txn*, bool>& verdicts);
  void judge_all(const Txn& txn, std::map<const Txn*, bool>& verdicts) const;
  bool holds(const Compare& compare) const;
  std::optional<Failure> failing_put(const Put& put) const;
  VersionRef put(const Put& put);
  int64_t remove(const KeyRangeView& range, std::vector<KeyVersion>* previous);
  void set(const std::string& key, std::optional<Row> row);
  void count_child(std::map<std::string, Directory>& counts, const std::string& node, int by);
  void note(NodeEvent::Type type, const std::string& path);
  int64_t seen() const { return touched ? revision + 1 : revision; }

  bool fits(const std::string& path, int64_t nodes, int64_t bytes) const;
  Failure run_nodes(const NodeTxn& txn, const Header& header, NodeTxnResult& result);
  Reason run_one(const CreateNode& create, const Header& header, NodeTxnResult::Item& item);
  Reason run_one(const DeleteNode& del, const Header& header, NodeTxnResult::Item& item);
  Reason run_one(const SetNode& set, const Header& header, NodeTxnResult::Item& item);
  Reason run_one(const SetNodeAcl& set, const Header& header, NodeTxnResult::Item& item);
  Reason run_one(const CheckNode& check, const Header& header, NodeTxnResult::Item& item);
  Reason run_one(const RefuseNode& refuse, const Header&, NodeTxnResult::Item&) { return refuse.reason; }
  bool may(const std::string& path, uint32_t permission, const Header& header) const;
  const Row* row(const std::string& path) const;
  int64_t data_version(const std::string& path) const;
  void erase_node(const std::string& path);
  void write_node(const std::string& path, std::string_view value, bool null, std::optional<int64_t> owner);

  int64_t stamp_ = 0;
  const Tree* limits_ = nullptr;  // as they were before the transaction
};

VersionRef version_of(const Row& row);
std::optional<Row> row_of(const VersionRef& version);

}  // namespace witan::store::twin
