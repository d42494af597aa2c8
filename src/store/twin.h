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
};

struct Twin {
  int64_t revision = 1;
  int64_t compacted = -1;
  int64_t min_ttl = 2000;
  Tree tree;
  std::map<int64_t, Tree> past{{1, {}}};            // the tree at every revision
  std::map<int64_t, std::vector<Changed>> history;  // what every revision changed
  std::map<int64_t, int64_t> stamps;                // the largest stamp when a revision was made
  std::map<int64_t, Lease> leases;
  std::set<std::pair<uint64_t, AlarmKind>> alarms;
  std::map<std::string, Directory> directories;
  int64_t largest_stamp = 0;

  // The same command to the twin. Lease ids must be chosen by the command.
  Reply apply(const Command& command);
  RangeResult range(const Range& range, int64_t at, const Tree& tree_at) const;
  std::optional<Failure> unreadable(int64_t at) const;
  // Nodes of the ZooKeeper view: keys that are paths, and everything above them.
  std::set<std::string> nodes() const;
  std::vector<std::string> keys_of(int64_t lease) const;

 private:
  Failure run(const Body& body, Reply& reply);
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
  int64_t seen() const { return pending_.empty() && !touched_ ? revision : revision + 1; }

  int64_t stamp_ = 0;
  bool touched_ = false;
  std::vector<Changed> pending_;
};

VersionRef version_of(const Row& row);
std::optional<Row> row_of(const VersionRef& version);

}  // namespace witan::store::twin
