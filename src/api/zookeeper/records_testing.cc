#include "api/zookeeper/records_testing.h"

#include <fmt/format.h>

namespace witan::api::zookeeper::testing {
namespace {

using wire::JuteWriter;

void write_acl(JuteWriter& w, const AclList& list) {
  w.i32(static_cast<int32_t>(list.size()));
  for (const Acl& acl : list) {
    w.i32(acl.perms);
    w.text(acl.scheme);
    w.text(acl.id);
  }
}

void write_paths(JuteWriter& w, const PathList& list) {
  w.i32(static_cast<int32_t>(list.size()));
  for (const std::string_view path : list) w.text(path);
}

void write_multi_header(JuteWriter& w, int32_t type, bool done) {
  w.i32(type);
  w.boolean(done);
  w.i32(-1);
}

// A create in a multi is an Error when its flags ask for a TTL that a plain create has no room for.
int32_t type_of(const CreateRequest& r) { return static_cast<int32_t>(r.op == OpCode::Error ? OpCode::Create : r.op); }
int32_t type_of(const DeleteRequest&) { return static_cast<int32_t>(OpCode::Delete); }
int32_t type_of(const SetDataRequest&) { return static_cast<int32_t>(OpCode::SetData); }
int32_t type_of(const CheckRequest&) { return static_cast<int32_t>(OpCode::Check); }
int32_t type_of(const GetDataRequest&) { return static_cast<int32_t>(OpCode::GetData); }
int32_t type_of(const GetChildrenRequest&) { return static_cast<int32_t>(OpCode::GetChildren); }

struct BodyWriter {
  JuteWriter& w;
  int32_t type;

  void operator()(const std::monostate&) {}
  void operator()(const CreateRequest& r) {
    w.text(r.path);
    w.text(r.data);
    write_acl(w, r.acl);
    w.i32(r.flags);
    if (r.op == OpCode::CreateTtl) w.i64(r.ttl_ms);
  }
  void operator()(const DeleteRequest& r) {
    w.text(r.path);
    w.i32(r.version);
  }
  void operator()(const DeleteContainerRequest&) {}
  void operator()(const ExistsRequest& r) {
    w.text(r.path);
    w.boolean(r.watch);
  }
  void operator()(const GetDataRequest& r) {
    w.text(r.path);
    w.boolean(r.watch);
  }
  void operator()(const SetDataRequest& r) {
    w.text(r.path);
    w.text(r.data);
    w.i32(r.version);
  }
  void operator()(const GetAclRequest& r) { w.text(r.path); }
  void operator()(const SetAclRequest& r) {
    w.text(r.path);
    write_acl(w, r.acl);
    w.i32(r.version);
  }
  void operator()(const GetChildrenRequest& r) {
    w.text(r.path);
    w.boolean(r.watch);
  }
  void operator()(const SyncRequest& r) { w.text(r.path); }
  void operator()(const PingRequest&) {}
  void operator()(const CheckRequest& r) {
    w.text(r.path);
    w.i32(r.version);
  }
  template <class Op>
  void multi(const Items<Op>& ops) {
    for (const Op& op : ops) {
      write_multi_header(w, std::visit([](const auto& o) { return type_of(o); }, op), false);
      std::visit(*this, op);
    }
    write_multi_header(w, -1, true);
  }
  void operator()(const MultiRequest& r) { multi(r.ops); }
  void operator()(const MultiReadRequest& r) { multi(r.ops); }
  void operator()(const ReconfigRequest& r) {
    w.text(r.joining_servers);
    w.text(r.leaving_servers);
    w.text(r.new_members);
    w.i64(r.config_id);
  }
  void operator()(const CheckWatchesRequest& r) {
    w.text(r.path);
    w.i32(static_cast<int32_t>(r.type));
  }
  void operator()(const RemoveWatchesRequest& r) {
    w.text(r.path);
    w.i32(static_cast<int32_t>(r.type));
  }
  void operator()(const AuthRequest& r) {
    w.i32(r.type);
    w.text(r.scheme);
    w.text(r.auth);
  }
  void operator()(const SetWatchesRequest& r) {
    w.i64(r.relative_zxid);
    write_paths(w, r.data);
    write_paths(w, r.exist);
    write_paths(w, r.child);
    if (type != static_cast<int32_t>(OpCode::SetWatches2)) return;
    write_paths(w, r.persistent);
    write_paths(w, r.persistent_recursive);
  }
  void operator()(const SaslRequest& r) { w.text(r.token); }
  void operator()(const GetEphemeralsRequest& r) { w.text(r.prefix); }
  void operator()(const GetAllChildrenNumberRequest& r) { w.text(r.path); }
  void operator()(const AddWatchRequest& r) {
    w.text(r.path);
    w.i32(static_cast<int32_t>(r.mode));
  }
  void operator()(const WhoAmIRequest&) {}
  void operator()(const CloseSessionRequest&) {}
};

}  // namespace

std::string encode_connect(const ConnectRequest& request) {
  Chain out;
  JuteWriter w(out);
  w.i32(request.protocol_version);
  w.i64(request.last_zxid_seen);
  w.i32(request.timeout_ms);
  w.i64(request.session_id);
  w.text(request.password);
  if (request.has_read_only) w.boolean(request.read_only);
  w.flush();
  return out.flatten();
}

std::string encode_request(const Request& request) {
  Chain out;
  JuteWriter w(out);
  w.i32(request.xid);
  w.i32(request.type);
  std::visit(BodyWriter{w, request.type}, request.body);
  w.flush();
  return out.flatten();
}

ReplyHeader read_header(JuteReader& r) {
  return {.xid = r.i32(), .zxid = r.i64(), .error = static_cast<ErrorCode>(r.i32())};
}

Stat read_stat(JuteReader& r) {
  return {.czxid = r.i64(),
          .mzxid = r.i64(),
          .ctime = r.i64(),
          .mtime = r.i64(),
          .version = r.i32(),
          .cversion = r.i32(),
          .aversion = r.i32(),
          .ephemeral_owner = r.i64(),
          .data_length = r.i32(),
          .num_children = r.i32(),
          .pzxid = r.i64()};
}

std::string from_hex(std::string_view digits) {
  std::string out;
  int high = -1;
  for (const char c : digits) {
    if (c == ' ' || c == '\n') continue;
    const int digit = c >= 'a' ? c - 'a' + 10 : c - '0';
    if (high >= 0) out.push_back(static_cast<char>(high << 4 | digit));
    high = high >= 0 ? -1 : digit;
  }
  return out;
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

}  // namespace witan::api::zookeeper::testing
