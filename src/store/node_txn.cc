#include "store/node_txn.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "store/acl.h"
#include "store/authorize.h"
#include "store/path.h"

namespace witan::store {
namespace {

// Where ZooKeeper looks for the parent, whatever the path looks like otherwise; empty: it does not look.
std::string_view parent_asked_for(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || path.find('\0') != std::string_view::npos) return {};
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool matches(int64_t expected, int64_t version) { return expected == -1 || expected == version; }

// ZooKeeper counts in 32 bits, and names show it.
std::string sequential_name(std::string_view path, int64_t number) {
  return fmt::format("{}{:010d}", path, static_cast<int32_t>(number));
}

}  // namespace

bool grows(const NodeTxn& txn) {
  return std::any_of(txn.operations.begin(), txn.operations.end(), [](const NodeOperation& operation) {
    return std::holds_alternative<CreateNode>(operation.what) || std::holds_alternative<SetNode>(operation.what) ||
           std::holds_alternative<SetNodeAcl>(operation.what);
  });
}

NodeTxnRun::NodeTxnRun(const State& state, const NodeTxn& txn, const Header& header)
    : state_(state), txn_(txn), header_(header), many_(txn.operations.size() > 1) {}

NodeTxnRun::Sketch NodeTxnRun::load(std::string_view path) const {
  if (many_) {
    if (const auto known = sketches_.find(path); known != sketches_.end()) return known->second;
  }
  const Node node = state_.nodes().find(path);
  if (!node.exists) return {};
  return {.exists = true,
          .implied = node.version == nullptr && !is_hidden(path) && path != "/",
          .ephemeral = node.owner() != LeaseId(0),
          .version = node.data_version(),
          .bytes = node.version == nullptr ? 0 : static_cast<int64_t>(node.version->value.size()),
          .acl_version = node.row.acl_version,
          .children = node.children.children,
          .children_ever = node.children.created,
          .kind = node.row.kind,
          .ttl_ms = node.row.ttl_ms,
          .modified = node.version == nullptr ? WallTime{} : node.version->modified.time(),
          .acl = node.row.acl};
}

void NodeTxnRun::remember(std::string_view path, Sketch sketch) {
  if (many_) sketches_.insert_or_assign(std::string(path), std::move(sketch));
}

void NodeTxnRun::lose_child(std::string_view parent_path, Sketch parent) {
  if (!many_) return;
  while (--parent.children == 0 && parent.implied) {
    remember(parent_path, {});
    parent_path = parent_of(parent_path);
    parent = load(parent_path);
  }
  remember(parent_path, std::move(parent));
}

bool NodeTxnRun::may(const Sketch& node, uint32_t permissions) const {
  return authorize(header_.principals, permissions, node.acl);
}

bool NodeTxnRun::fits(std::string_view path, int64_t nodes, int64_t bytes) {
  if (!state_.settings.enforce_node_quotas || is_hidden(path)) return true;
  std::string_view prefix;
  const Quotas::Quota* const quota = state_.quotas.covering(path, &prefix);
  if (quota == nullptr) return true;
  auto& [more_nodes, more_bytes] = more_[std::string(prefix)];
  more_nodes += nodes;
  more_bytes += bytes;
  const auto over = [](int64_t limit, int64_t used) { return limit >= 0 && used > limit; };
  // As ZooKeeper does: a number that stays as it is is not asked about, whatever it is.
  return !(nodes > 0 && over(quota->limits.hard_count, quota->count + more_nodes)) &&
         !(bytes != 0 && over(quota->limits.hard_bytes, quota->bytes + more_bytes));
}

Failure NodeTxnRun::plan() {
  paths_.resize(txn_.operations.size());
  for (size_t i = 0; i < txn_.operations.size(); ++i) {
    const Reason reason =
        std::visit([&](const auto& operation) { return plan_one(operation, paths_[i]); }, txn_.operations[i].what);
    if (reason != Reason::None) return {.reason = reason, .operation = static_cast<uint32_t>(i)};
  }
  return {};
}

Reason NodeTxnRun::plan_one(const CreateNode& create, std::string& path) {
  const std::string_view parent_path = parent_asked_for(create.path);
  if (parent_path.empty()) return Reason::BadArguments;
  Sketch parent = load(parent_path);
  if (!parent.exists) return Reason::NodeNotFound;
  if (!may(parent, perm::kCreate)) return Reason::PermissionDenied;
  path = create.sequential ? sequential_name(create.path, parent.children_ever) : std::string(create.path);
  if (!is_path(path)) return Reason::BadArguments;
  if (load(path).exists) return Reason::NodeExists;
  if (parent.ephemeral) return Reason::NodeIsEphemeral;
  if (create.ephemeral && header_.session == LeaseId(0)) return Reason::BadArguments;
  if (!fits(path, 1, static_cast<int64_t>(create.value.size()))) return Reason::QuotaExceeded;
  ++parent.children;
  ++parent.children_ever;
  remember(parent_path, std::move(parent));
  remember(path, {.exists = true,
                  .ephemeral = create.ephemeral,
                  .bytes = static_cast<int64_t>(create.value.size()),
                  .kind = create.kind,
                  .ttl_ms = create.ttl_ms,
                  .modified = Stamp(header_.stamp).time(),
                  .acl = create.acl.empty() ? Blob() : Blob(create.acl)});
  return Reason::None;
}

Reason NodeTxnRun::plan_one(const DeleteNode& del, std::string& /*path*/) {
  const std::string_view parent_path = parent_asked_for(del.path);
  if (parent_path.empty() || del.path == "/" || HiddenTable::is_base(del.path)) return Reason::BadArguments;
  Sketch parent = load(parent_path);
  if (!parent.exists) return Reason::NodeNotFound;
  if (!del.only_if_idle && !may(parent, perm::kDelete)) return Reason::PermissionDenied;
  const Sketch node = load(del.path);
  if (!node.exists) return Reason::NodeNotFound;
  if (!matches(del.expected, node.version)) return Reason::VersionMismatch;
  if (node.children > 0) return Reason::NodeHasChildren;
  if (del.only_if_idle) {
    // A container waits for its first child, also one that took the place of the idle one somebody saw.
    const bool is_idle =
        node.kind == NodeKind::Container
            ? node.children_ever > 0
            : node.kind == NodeKind::Ttl && Stamp(state_.largest_stamp).ms() - node.modified.ms > node.ttl_ms;
    if (!is_idle) return Reason::VersionMismatch;
  }
  fits(del.path, -1, -node.bytes);  // room for what follows
  lose_child(parent_path, std::move(parent));
  remember(del.path, {});
  return Reason::None;
}

Reason NodeTxnRun::plan_one(const SetNode& set, std::string& /*path*/) {
  if (!is_path(set.path)) return Reason::BadArguments;
  Sketch node = load(set.path);
  if (!node.exists) return Reason::NodeNotFound;
  if (!may(node, perm::kWrite)) return Reason::PermissionDenied;
  if (set.path == kConfigNode) return Reason::BadArguments;  // it shows the membership, and has no value of its own
  const auto bytes = static_cast<int64_t>(set.value.size());
  if (!fits(set.path, node.implied ? 1 : 0, bytes - node.bytes)) return Reason::QuotaExceeded;
  if (!matches(set.expected, node.version)) return Reason::VersionMismatch;
  ++node.version;
  node.implied = false;
  node.bytes = bytes;
  node.modified = Stamp(header_.stamp).time();
  remember(set.path, std::move(node));
  return Reason::None;
}

Reason NodeTxnRun::plan_one(const SetNodeAcl& set, std::string& /*path*/) {
  if (!is_path(set.path)) return Reason::BadArguments;
  Sketch node = load(set.path);
  if (!node.exists) return Reason::NodeNotFound;
  if (!may(node, perm::kAdmin)) return Reason::PermissionDenied;
  if (!matches(set.expected, node.acl_version)) return Reason::VersionMismatch;
  ++node.acl_version;
  node.acl = set.acl.empty() ? Blob() : Blob(set.acl);
  remember(set.path, std::move(node));
  return Reason::None;
}

Reason NodeTxnRun::plan_one(const CheckNode& check, std::string& /*path*/) {
  if (!is_path(check.path)) return Reason::BadArguments;
  const Sketch node = load(check.path);
  if (!node.exists) return Reason::NodeNotFound;
  if (!may(node, perm::kRead)) return Reason::PermissionDenied;
  return matches(check.expected, node.version) ? Reason::None : Reason::VersionMismatch;
}

NodeTxnResult NodeTxnRun::run(BatchWriter& writer, bool want_reply) {
  NodeTxnResult result;
  if (want_reply) result.items.reserve(txn_.operations.size());
  for (size_t i = 0; i < txn_.operations.size(); ++i) {
    const NodeOperation& operation = txn_.operations[i];
    std::visit([&](const auto& what) { run_one(what, paths_[i], writer); }, operation.what);
    if (!want_reply) continue;
    const NodeStat stat = stat_after(operation, paths_[i]);
    result.items.push_back({.path = std::move(paths_[i]), .stat = stat});
  }
  return result;
}

NodeStat NodeTxnRun::stat_after(const NodeOperation& operation, std::string_view created) const {
  if (std::holds_alternative<CreateNode>(operation.what)) return state_.nodes().stat(created);
  if (const auto* set = std::get_if<SetNode>(&operation.what)) return state_.nodes().stat(set->path);
  if (const auto* set = std::get_if<SetNodeAcl>(&operation.what)) return state_.nodes().stat(set->path);
  return {};
}

void NodeTxnRun::run_one(const CreateNode& create, std::string_view path, BatchWriter& writer) {
  // The row first, because the news of the node says who may hear of it.
  NodeRow row{.acl = create.acl.empty() ? Blob() : Blob(create.acl), .kind = create.kind, .ttl_ms = create.ttl_ms};
  if (!row.is_plain()) writer.write_node_row(path, std::move(row));
  writer.write_node(path, create.null_value ? Blob() : Blob(create.value),
                    create.ephemeral ? header_.session : LeaseId(0));
}

void NodeTxnRun::run_one(const DeleteNode& del, std::string_view /*path*/, BatchWriter& writer) {
  writer.delete_node(del.path);
}

void NodeTxnRun::run_one(const SetNode& set, std::string_view /*path*/, BatchWriter& writer) {
  writer.write_node(set.path, set.null_value ? Blob() : Blob(set.value), std::nullopt);
}

void NodeTxnRun::run_one(const SetNodeAcl& set, std::string_view /*path*/, BatchWriter& writer) {
  NodeRow row = state_.nodes().find(set.path).row;
  row.acl = set.acl.empty() ? Blob() : Blob(set.acl);
  ++row.acl_version;
  writer.write_node_row(set.path, std::move(row));
}

}  // namespace witan::store
