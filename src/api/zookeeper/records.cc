#include "api/zookeeper/records.h"

#include <type_traits>

namespace witan::api::zookeeper {
namespace {

// It owns no memory, so decoding allocates none.
static_assert(std::is_trivially_destructible_v<Request>);

// The least an item takes: an Acl's perms and two lengths; a string's length.
constexpr size_t kLeastAcl = 12;
constexpr size_t kLeastPath = 4;

template <class Item>
Items<Item> take_items(JuteReader& r, size_t count) {
  const std::string_view bytes = r.rest();
  for (size_t i = 0; i < count && r.ok(); ++i) read_item<Item>(r);
  return r.ok() ? Items<Item>(bytes, count) : Items<Item>();
}

AclList take_acl(JuteReader& r) { return take_items<Acl>(r, r.count(kLeastAcl).value_or(0)); }

PathList take_paths(JuteReader& r) {
  const std::optional<uint32_t> count = r.count(kLeastPath);
  if (!count.has_value()) r.refuse();
  return take_items<std::string_view>(r, count.value_or(0));
}

CreateRequest take_create(JuteReader& r, OpCode op, bool in_multi) {
  const JuteText path = r.text();
  CreateRequest create{.op = op,
                       .path = path.value_or(std::string_view()),
                       .data = r.text(),
                       .acl = take_acl(r),
                       .flags = r.i32(),
                       .ttl_ms = op == OpCode::CreateTtl ? r.i64() : -1};
  // A kind of node that does not exist is refused before the path is looked at; a multi looks at all its paths first.
  const bool refused_anyway = !in_multi && create_kind(op, create.flags, create.ttl_ms) == std::nullopt;
  if (!path.has_value() && !refused_anyway) r.refuse();
  return create;
}

// ZooKeeper makes a new operation out of a multi's, and goes by the flags in that.
CreateRequest take_create_in_multi(JuteReader& r, OpCode op) {
  CreateRequest create = take_create(r, op, true);
  const std::optional<CreateMode> mode = create_mode(create.flags);
  if (mode.has_value() && is_ttl(*mode)) {
    if (op != OpCode::CreateTtl) create.op = OpCode::Error;
    return create;
  }
  create.op = mode == CreateMode::Container ? OpCode::CreateContainer : OpCode::Create;
  create.ttl_ms = -1;
  return create;
}

DeleteRequest take_delete(JuteReader& r) { return {r.required_text(), r.i32()}; }
GetDataRequest take_get_data(JuteReader& r) { return {r.required_text(), r.boolean()}; }
GetChildrenRequest take_children(JuteReader& r, bool with_stat) { return {r.required_text(), r.boolean(), with_stat}; }

// The header in front of a multi's every part, and alone at its end.
struct MultiHeader {
  int32_t type = 0;
  bool done = false;
  int32_t error = 0;  // a client's means nothing
};
MultiHeader take_multi_header(JuteReader& r) { return {r.i32(), r.boolean(), r.i32()}; }

template <class Op>
Items<Op> take_multi(JuteReader& r) {
  const std::string_view bytes = r.rest();
  size_t count = 0;
  while (r.ok()) {
    JuteReader ahead = r;
    const MultiHeader header = take_multi_header(ahead);
    if (header.done || !ahead.ok()) {
      r = ahead;
      break;
    }
    read_item<Op>(r);
    ++count;
  }
  return r.ok() ? Items<Op>(bytes, count) : Items<Op>();
}

WatcherType take_watcher_type(JuteReader& r) {
  const std::optional<WatcherType> type = watcher_type(r.i32());
  if (!type.has_value()) r.refuse();
  return type.value_or(WatcherType::Any);
}

AddWatchMode take_add_watch_mode(JuteReader& r) {
  const std::optional<AddWatchMode> mode = add_watch_mode(r.i32());
  if (!mode.has_value()) r.refuse();
  return mode.value_or(AddWatchMode::Persistent);
}

SetWatchesRequest take_set_watches(JuteReader& r, bool with_persistent) {
  SetWatchesRequest out{
      .relative_zxid = r.i64(), .data = take_paths(r), .exist = take_paths(r), .child = take_paths(r)};
  if (with_persistent) {
    out.persistent = take_paths(r);
    out.persistent_recursive = take_paths(r);
  }
  return out;
}

// Monostate: no such opcode. A null path is malformed where ZooKeeper trips over it, and an empty one where it goes on
// to a refusal of its own.
RequestBody take_body(JuteReader& r, OpCode op) {
  switch (op) {
    case OpCode::Create:
    case OpCode::Create2:
    case OpCode::CreateContainer:
    case OpCode::CreateTtl: return take_create(r, op, false);
    case OpCode::Delete: return take_delete(r);
    case OpCode::DeleteContainer: return DeleteContainerRequest{};
    case OpCode::Exists: return ExistsRequest{r.required_text(), r.boolean()};
    case OpCode::GetData: return take_get_data(r);
    case OpCode::SetData: return SetDataRequest{r.text_or_empty(), r.text(), r.i32()};
    case OpCode::GetAcl: return GetAclRequest{r.required_text()};
    case OpCode::SetAcl: return SetAclRequest{r.text_or_empty(), take_acl(r), r.i32()};
    case OpCode::GetChildren: return take_children(r, false);
    case OpCode::GetChildren2: return take_children(r, true);
    case OpCode::Sync: return SyncRequest{r.text()};
    case OpCode::Ping: return PingRequest{};
    case OpCode::Multi: return MultiRequest{take_multi<WriteOp>(r)};
    case OpCode::MultiRead: return MultiReadRequest{take_multi<ReadOp>(r)};
    case OpCode::Reconfig: return ReconfigRequest{r.text(), r.text(), r.text(), r.i64()};
    case OpCode::CheckWatches: return CheckWatchesRequest{r.required_text(), take_watcher_type(r)};
    case OpCode::RemoveWatches: return RemoveWatchesRequest{r.text_or_empty(), take_watcher_type(r)};
    case OpCode::Auth: return AuthRequest{r.i32(), r.text_or_empty(), r.text()};
    case OpCode::SetWatches: return take_set_watches(r, false);
    case OpCode::SetWatches2: return take_set_watches(r, true);
    case OpCode::Sasl: return SaslRequest{r.required_text()};
    case OpCode::GetEphemerals: return GetEphemeralsRequest{r.text_or_empty()};
    case OpCode::GetAllChildrenNumber: return GetAllChildrenNumberRequest{r.required_text()};
    case OpCode::AddWatch: return AddWatchRequest{r.text_or_empty(), take_add_watch_mode(r)};
    case OpCode::WhoAmI: return WhoAmIRequest{};
    case OpCode::CloseSession: return CloseSessionRequest{};
    case OpCode::Error: break;
    case OpCode::Check: break;  // only inside a multi
  }
  return std::monostate();
}

}  // namespace

Acl Acl::read(JuteReader& r) {
  const int32_t perms = r.i32();
  const JuteText scheme = r.text();
  const JuteText id = r.text();
  // ZooKeeper looks at the id of every scheme but auth, and at none without a scheme.
  if (!id.has_value() && scheme.has_value() && *scheme != "auth") r.refuse();
  return {perms, scheme.value_or(std::string_view()), id.value_or(std::string_view())};
}

template <>
WriteOp read_item<WriteOp>(JuteReader& r) {
  const auto op = static_cast<OpCode>(take_multi_header(r).type);
  switch (op) {
    case OpCode::Create:
    case OpCode::Create2:
    case OpCode::CreateContainer:
    case OpCode::CreateTtl: return take_create_in_multi(r, op);
    case OpCode::Delete: return take_delete(r);
    case OpCode::SetData: return SetDataRequest{r.required_text(), r.text(), r.i32()};
    case OpCode::Check: return CheckRequest{r.required_text(), r.i32()};
    default: break;
  }
  r.refuse();
  return CheckRequest{};
}

template <>
ReadOp read_item<ReadOp>(JuteReader& r) {
  const auto op = static_cast<OpCode>(take_multi_header(r).type);
  if (op == OpCode::GetData) return take_get_data(r);
  if (op == OpCode::GetChildren) return take_children(r, false);
  r.refuse();
  return GetDataRequest{};
}

std::optional<ConnectRequest> decode_connect(std::string_view packet) {
  JuteReader r(packet);
  ConnectRequest out{.protocol_version = r.i32(),
                     .last_zxid_seen = r.i64(),
                     .timeout_ms = r.i32(),
                     .session_id = r.i64(),
                     .password = r.text()};
  if (!r.ok()) return std::nullopt;
  out.has_read_only = !r.rest().empty();
  out.read_only = out.has_read_only && r.boolean();
  return out;
}

Request decode_request(std::string_view packet) {
  JuteReader r(packet);
  Request out{.xid = r.i32(), .type = r.i32()};
  if (!r.ok()) return {};
  const auto op = static_cast<OpCode>(out.type);
  out.body = take_body(r, op);
  if (std::holds_alternative<std::monostate>(out.body)) {
    out.verdict = Verdict::Unimplemented;
  } else if (r.ok()) {
    out.verdict = Verdict::Ok;
  } else {
    out.body = std::monostate();
    out.verdict = op == OpCode::Auth || op == OpCode::Sasl ? Verdict::Close : Verdict::Malformed;
  }
  return out;
}

}  // namespace witan::api::zookeeper
