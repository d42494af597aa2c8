#include "api/zookeeper/lower.h"

#include <optional>
#include <utility>

#include "api/zookeeper/errors.h"
#include "api/zookeeper/path.h"
#include "store/acl.h"

namespace witan::api::zookeeper {
namespace {

store::NodeOperation refuse(store::Reason reason) { return {.what = store::RefuseNode{.reason = reason}}; }

}  // namespace

std::string_view Lowering::path(std::string_view of_client) { return root_.to_store(of_client, texts_.emplace_back()); }

// The order of the checks is ZooKeeper's (PrepRequestProcessor); those behind them are apply's.
store::NodeOperation Lowering::lower(const CreateRequest& request) {
  const std::optional<CreateKind> kind = create_kind(request.op, request.flags, request.ttl_ms);
  if (!kind || !parent_path(request.path)) return refuse(store::Reason::BadArguments);
  std::optional<std::string> acl = identities_.lower_acl(request.acl);
  if (!acl) return refuse(store::Reason::InvalidAcl);
  return {.what = store::CreateNode{.path = path(request.path),
                                    .value = request.data.value_or(std::string_view()),
                                    .null_value = !request.data.has_value(),
                                    .acl = texts_.emplace_back(std::move(*acl)),
                                    .kind = kind->container    ? store::NodeKind::Container
                                            : kind->ttl_ms > 0 ? store::NodeKind::Ttl
                                                               : store::NodeKind::Ordinary,
                                    .ephemeral = kind->ephemeral,
                                    .sequential = kind->sequential,
                                    .ttl_ms = kind->ttl_ms}};
}

store::NodeOperation Lowering::lower(const DeleteRequest& request) {
  if (request.path == "/") return refuse(store::Reason::BadArguments);
  return {.what = store::DeleteNode{.path = path(request.path), .expected = request.version}};
}

store::NodeOperation Lowering::lower(const SetDataRequest& request) {
  return {.what = store::SetNode{.path = path(request.path),
                                 .value = request.data.value_or(std::string_view()),
                                 .null_value = !request.data.has_value(),
                                 .expected = request.version}};
}

store::NodeOperation Lowering::lower(const SetAclRequest& request) {
  if (!is_legal_path(request.path)) return refuse(store::Reason::BadArguments);  // looked at first
  std::optional<std::string> acl = identities_.lower_acl(request.acl);
  if (!acl) return refuse(store::Reason::InvalidAcl);
  return {.what = store::SetNodeAcl{
              .path = path(request.path), .acl = texts_.emplace_back(std::move(*acl)), .expected = request.version}};
}

store::NodeOperation Lowering::lower(const CheckRequest& request) {
  return {.what = store::CheckNode{.path = path(request.path), .expected = request.version}};
}

store::NodeTxn Lowering::lower(const MultiRequest& request) {
  store::NodeTxn txn;
  for (const WriteOp& op : request.ops) {
    txn.operations.push_back(std::visit([this](const auto& part) { return lower(part); }, op));
  }
  return txn;
}

OpCode answer_of(const WriteOp& op) {
  if (const auto* create = std::get_if<CreateRequest>(&op)) {
    if (create->op == OpCode::Error) return OpCode::Error;
    return create->answers_stat() ? OpCode::Create2 : OpCode::Create;
  }
  if (std::holds_alternative<DeleteRequest>(op)) return OpCode::Delete;
  return std::holds_alternative<SetDataRequest>(op) ? OpCode::SetData : OpCode::Check;
}

// A deleted child counts as a change of the children as a created one does, and `children_ever` counts creations.
Stat stat_of(const store::NodeStat& stat) {
  return {.czxid = stat.created.value,
          .mzxid = stat.modified.value,
          .ctime = stat.created_at.ms,
          .mtime = stat.modified_at.ms,
          .version = static_cast<int32_t>(stat.version),
          .cversion = static_cast<int32_t>(2 * stat.children_ever - stat.children),
          .aversion = static_cast<int32_t>(stat.acl_version),
          .ephemeral_owner = stat.owner.value,
          .data_length = static_cast<int32_t>(stat.data_bytes),
          .num_children = static_cast<int32_t>(stat.children),
          .pzxid = stat.children_changed.value};
}

AclAnswer::AclAnswer(std::string_view acl, bool is_admin) {
  store::AclReader reader(acl);
  while (const auto entry = reader.next()) {
    std::string_view id = entry->id;
    if (!is_admin && entry->scheme == "digest") {
      id = masked_.emplace_back(std::string(id.substr(0, id.find(':'))) + ":x");
    }
    acl_.push_back({.perms = static_cast<int32_t>(entry->permissions), .scheme = entry->scheme, .id = id});
  }
}

std::vector<MultiResult> multi_results(std::span<const OpCode> parts, const store::NodeTxnResult& result,
                                       const Root& root) {
  std::vector<MultiResult> out;
  out.reserve(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const store::NodeTxnResult::Item& item = result.items.at(i);
    const std::string_view path = root.to_client(item.path).value_or(item.path);
    switch (parts[i]) {
      case OpCode::Create: out.emplace_back(PathReply{.path = path}); break;
      case OpCode::Create2: out.emplace_back(CreateReply{.path = path, .stat = stat_of(item.stat)}); break;
      case OpCode::SetData: out.emplace_back(StatReply{.stat = stat_of(item.stat)}); break;
      case OpCode::Delete: out.emplace_back(DeleteResult{}); break;
      default: out.emplace_back(CheckResult{}); break;
    }
  }
  return out;
}

std::vector<MultiResult> failed_multi(size_t parts, const store::Failure& failure) {
  std::vector<MultiResult> out;
  out.reserve(parts);
  for (size_t i = 0; i < parts; ++i) {
    out.emplace_back(ErrorResult{.error = i < failure.operation    ? ErrorCode::Ok
                                          : i == failure.operation ? error_of(failure.reason)
                                                                   : ErrorCode::RuntimeInconsistency});
  }
  return out;
}

}  // namespace witan::api::zookeeper
