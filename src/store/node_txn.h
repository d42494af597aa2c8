// Transactions on nodes of the ZooKeeper view: planned on a sketch of the nodes they touch, where the first operation
// that fails leaves no trace, and carried out only when nothing can fail any more.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/batch_writer.h"
#include "store/state.h"

namespace witan::store {

class NodeTxnRun {
 public:
  NodeTxnRun(const State& state, const NodeTxn& txn, const Header& header);

  // None when all of it may run. Asks in ZooKeeper's order: what makes an operation fail first is what its client
  // hears.
  Failure plan();
  // Requires that plan() found nothing.
  NodeTxnResult run(BatchWriter& writer, bool want_reply);

 private:
  // What matters of a node while operations are planned.
  struct Sketch {
    bool exists = false;
    bool implied = false;  // goes with its last child (core T2)
    bool ephemeral = false;
    int64_t version = 0;
    int64_t bytes = 0;
    int64_t acl_version = 0;
    int64_t children = 0;
    int64_t children_ever = 0;
    NodeKind kind = NodeKind::Ordinary;
    int64_t ttl_ms = 0;
    WallTime modified;
    Blob acl;
  };

  Sketch load(std::string_view path) const;
  // One child less; what was only implied by it goes as well, upwards.
  void lose_child(std::string_view parent_path, Sketch parent);
  // Later operations see it; there are none after a single one.
  void remember(std::string_view path, Sketch sketch);

  Reason plan_one(const CreateNode& create, std::string& path);
  Reason plan_one(const DeleteNode& del, std::string& path);
  Reason plan_one(const SetNode& set, std::string& path);
  Reason plan_one(const SetNodeAcl& set, std::string& path);
  Reason plan_one(const CheckNode& check, std::string& path);
  Reason plan_one(const RefuseNode& refuse, std::string& /*path*/) { return refuse.reason; }
  bool may(const Sketch& node, uint32_t permissions) const;
  // Whether so much more fits under the hard quota above `path`; counts it for the operations that follow.
  bool fits(std::string_view path, int64_t nodes, int64_t bytes);

  // `path`: as plan_one() made it.
  void run_one(const CreateNode& create, std::string_view path, BatchWriter& writer);
  void run_one(const DeleteNode& del, std::string_view path, BatchWriter& writer);
  void run_one(const SetNode& set, std::string_view path, BatchWriter& writer);
  void run_one(const SetNodeAcl& set, std::string_view path, BatchWriter& writer);
  void run_one(const CheckNode& /*check*/, std::string_view /*path*/, BatchWriter& /*writer*/) {}
  void run_one(const RefuseNode& /*refuse*/, std::string_view /*path*/, BatchWriter& /*writer*/) {}
  NodeStat stat_after(const NodeOperation& operation, std::string_view created) const;

  const State& state_;
  const NodeTxn& txn_;
  const Header& header_;
  const bool many_;
  std::map<std::string, Sketch, std::less<>> sketches_;
  std::map<std::string, std::pair<int64_t, int64_t>, std::less<>> more_;  // nodes and bytes so far, by quota
  std::vector<std::string> paths_;                                        // of created nodes, by operation
};

// Whether it would make the state larger.
bool grows(const NodeTxn& txn);

}  // namespace witan::store
