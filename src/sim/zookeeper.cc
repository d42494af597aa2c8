#include "sim/zookeeper.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "api/zookeeper/records_testing.h"
#include "base/check.h"
#include "wire/jute.h"

namespace witan::sim::zookeeper {
namespace {

namespace zk = api::zookeeper;
using verify::NodeError;
using verify::NodeOp;
using verify::NodeReply;
using verify::NodeRequest;
using Kind = NodeRequest::Kind;

// The records are views; what they look at lives here as long as one is written.
class Packer {
 public:
  explicit Packer(const NodeRequest& request) : request_(request) {}

  zk::OpCode type() const {
    switch (request_.kind) {
      case Kind::Write: return type_of(request_.ops.front());
      case Kind::Multi: return zk::OpCode::Multi;
      case Kind::Exists: return zk::OpCode::Exists;
      case Kind::Data: return zk::OpCode::GetData;
      case Kind::Children: return zk::OpCode::GetChildren2;
      case Kind::Sync: return zk::OpCode::Sync;
      case Kind::Ping: return zk::OpCode::Ping;
      case Kind::SetWatches: return zk::OpCode::SetWatches2;
      case Kind::AddWatch: return zk::OpCode::AddWatch;
      case Kind::Close: return zk::OpCode::CloseSession;
    }
    return zk::OpCode::Ping;
  }

  zk::RequestBody body() {
    switch (request_.kind) {
      case Kind::Write: return body_of(part(request_.ops.front()));
      case Kind::Multi: return zk::MultiRequest{.ops = zk::Items<zk::WriteOp>(packed_ops(), request_.ops.size())};
      case Kind::Exists: return zk::ExistsRequest{.path = request_.path, .watch = request_.watch};
      case Kind::Data: return zk::GetDataRequest{.path = request_.path, .watch = request_.watch};
      case Kind::Children:
        return zk::GetChildrenRequest{.path = request_.path, .watch = request_.watch, .with_stat = true};
      case Kind::Sync: return zk::SyncRequest{.path = request_.path};
      case Kind::Ping: return zk::PingRequest{};
      case Kind::SetWatches: return set_watches();
      case Kind::AddWatch:
        return zk::AddWatchRequest{
            .path = request_.path,
            .mode = request_.recursive ? zk::AddWatchMode::PersistentRecursive : zk::AddWatchMode::Persistent};
      case Kind::Close: return zk::CloseSessionRequest{};
    }
    return zk::PingRequest{};
  }

 private:
  zk::OpCode type_of(const NodeOp& op) const {
    switch (op.kind) {
      case NodeOp::Kind::Create: return request_.answers_stat ? zk::OpCode::Create2 : zk::OpCode::Create;
      case NodeOp::Kind::Delete: return zk::OpCode::Delete;
      case NodeOp::Kind::Set: return zk::OpCode::SetData;
      case NodeOp::Kind::Check: return zk::OpCode::Check;
    }
    return zk::OpCode::Check;
  }

  zk::WriteOp part(const NodeOp& op) {
    const auto version = static_cast<int32_t>(op.expected);
    switch (op.kind) {
      case NodeOp::Kind::Create:
        return zk::CreateRequest{.op = type_of(op),
                                 .path = op.path,
                                 .data = op.value,
                                 .acl = zk::AclList(open_acl(), 1),
                                 .flags = (op.ephemeral ? 1 : 0) | (op.sequential ? 2 : 0)};
      case NodeOp::Kind::Delete: return zk::DeleteRequest{.path = op.path, .version = version};
      case NodeOp::Kind::Set: return zk::SetDataRequest{.path = op.path, .data = op.value, .version = version};
      case NodeOp::Kind::Check: break;
    }
    return zk::CheckRequest{.path = op.path, .version = version};
  }

  // A check has the fields of a delete, and no request of its own.
  static zk::RequestBody body_of(const zk::WriteOp& op) {
    if (const auto* check = std::get_if<zk::CheckRequest>(&op)) {
      return zk::DeleteRequest{.path = check->path, .version = check->version};
    }
    if (const auto* create = std::get_if<zk::CreateRequest>(&op)) return *create;
    if (const auto* set = std::get_if<zk::SetDataRequest>(&op)) return *set;
    return std::get<zk::DeleteRequest>(op);
  }

  // A vector is a range over its bytes, so those are written first.
  template <class Write>
  std::string_view packed(Write write) {
    Chain chain;
    wire::JuteWriter w(chain);
    write(w);
    w.flush();
    return *packed_.emplace_back(std::make_unique<std::string>(chain.flatten()));
  }
  std::string_view open_acl() {
    return packed([](wire::JuteWriter& w) {
      w.i32(zk::kPermAll);
      w.text("world");
      w.text("anyone");
    });
  }
  zk::PathList paths(const std::vector<std::string>& list) {
    return zk::PathList(packed([&](wire::JuteWriter& w) {
                          for (const std::string& path : list) w.text(path);
                        }),
                        list.size());
  }
  // As the codec writes a multi, without its last header: what its items are read from.
  std::string_view packed_ops() {
    std::string all;
    for (const NodeOp& op : request_.ops) {
      const std::string one = zk::testing::encode_request(
          {.xid = 0, .type = static_cast<int32_t>(type_of(op)), .verdict = zk::Verdict::Ok, .body = body_of(part(op))});
      all += packed([&](wire::JuteWriter& w) {
        w.i32(static_cast<int32_t>(type_of(op)));
        w.boolean(false);
        w.i32(-1);
      });
      all += one.substr(8);  // behind xid and type
    }
    return *packed_.emplace_back(std::make_unique<std::string>(std::move(all)));
  }
  zk::SetWatchesRequest set_watches() {
    const verify::Rewatch& again = request_.rewatch;
    return {.relative_zxid = again.relative,
            .data = paths(again.data),
            .exist = paths(again.exist),
            .child = paths(again.child),
            .persistent = paths(again.persistent),
            .persistent_recursive = paths(again.recursive)};
  }

  const NodeRequest& request_;
  std::vector<std::unique_ptr<std::string>> packed_;
};

std::string framed(std::string_view payload) {
  Chain chain;
  wire::JuteWriter w(chain);
  w.text(payload);
  w.flush();
  return chain.flatten();
}

verify::NodeStat read_stat(wire::JuteReader& r) {
  const zk::Stat stat = zk::testing::read_stat(r);
  return {.czxid = stat.czxid,
          .mzxid = stat.mzxid,
          .pzxid = stat.pzxid,
          .version = stat.version,
          .cversion = stat.cversion,
          .owner = stat.ephemeral_owner,
          .data_length = stat.data_length,
          .num_children = stat.num_children};
}

NodeReply::Item read_item(zk::OpCode type, const NodeOp& op, wire::JuteReader& r) {
  NodeReply::Item item;
  switch (type) {
    case zk::OpCode::Error: item.error = static_cast<NodeError>(r.i32()); break;
    case zk::OpCode::Create: item.path = r.required_text(); break;
    case zk::OpCode::Create2:
      item.path = r.required_text();
      item.stat = read_stat(r);
      break;
    case zk::OpCode::SetData: item.stat = read_stat(r); break;
    default: break;
  }
  if (item.path.empty()) item.path = op.path;
  return item;
}

void read_multi(const NodeRequest& request, wire::JuteReader& r, NodeReply& reply) {
  for (const NodeOp& op : request.ops) {
    const auto type = zk::OpCode{r.i32()};
    r.boolean();
    r.i32();
    reply.items.push_back(read_item(type, op, r));
  }
  r.i32();
  CHECK(r.boolean(), "a multi's answer has more parts than were asked for");
  r.i32();
}

}  // namespace

std::string encode(const Handshake& handshake) {
  const std::string nobody(zk::kPasswordBytes, '\0');
  return framed(zk::testing::encode_connect(
      {.last_zxid_seen = handshake.last_zxid,
       .timeout_ms = static_cast<int32_t>(handshake.timeout / milliseconds(1)),
       .session_id = handshake.session,
       .password = handshake.password.empty() ? std::string_view(nobody) : std::string_view(handshake.password),
       .has_read_only = true}));
}

int32_t xid_of(int32_t number, const NodeRequest& request) {
  if (request.kind == Kind::Ping) return zk::kPingXid;
  return request.kind == Kind::SetWatches ? zk::kSetWatchesXid : number;
}

std::string encode(int32_t xid, const NodeRequest& request) {
  Packer packer(request);
  return framed(zk::testing::encode_request(
      {.xid = xid, .type = static_cast<int32_t>(packer.type()), .verdict = zk::Verdict::Ok, .body = packer.body()}));
}

std::optional<std::string> take_packet(std::string& bytes) {
  wire::JuteReader r(bytes);
  std::string packet(r.required_text());
  if (!r.ok()) return std::nullopt;
  bytes.erase(0, 4 + packet.size());
  return packet;
}

Welcome decode_welcome(std::string_view packet) {
  wire::JuteReader r(packet);
  r.i32();
  Welcome out;
  out.timeout = milliseconds(r.i32());
  out.session = r.i64();
  out.password = r.required_text();
  r.boolean();
  CHECK(r.ok(), "a member answers a handshake with {} bytes", packet.size());
  return out;
}

Head decode_head(std::string_view packet) {
  wire::JuteReader r(packet);
  const zk::ReplyHeader header = zk::testing::read_header(r);
  CHECK(r.ok(), "a member sends a packet of {} bytes", packet.size());
  return {.xid = header.xid, .zxid = header.zxid, .error = static_cast<int32_t>(header.error), .body = r.rest()};
}

bool is_event(const Head& head) { return head.xid == zk::kNotificationXid; }

verify::NodeEvent decode_event(const Head& head, Instant at) {
  wire::JuteReader r(head.body);
  const int32_t type = r.i32();
  r.i32();
  verify::NodeEvent event{.path = std::string(r.required_text()), .zxid = head.zxid, .at = at};
  CHECK(r.ok() && type >= 1 && type <= 4, "a member sends an event of type {}", type);
  event.type = static_cast<verify::NodeEvent::Type>(type);
  return event;
}

NodeReply decode_reply(const NodeRequest& request, const Head& head, Instant at) {
  NodeReply reply{.at = at, .error = static_cast<NodeError>(head.error), .zxid = head.zxid};
  if (reply.error != NodeError::Ok) return reply;
  wire::JuteReader r(head.body);
  switch (request.kind) {
    case Kind::Write: {
      const auto kind = request.ops.front().kind;
      const zk::OpCode type = kind == NodeOp::Kind::Set      ? zk::OpCode::SetData
                              : kind != NodeOp::Kind::Create ? zk::OpCode::Delete
                              : request.answers_stat         ? zk::OpCode::Create2
                                                             : zk::OpCode::Create;
      reply.items.push_back(read_item(type, request.ops.front(), r));
      break;
    }
    case Kind::Multi: read_multi(request, r, reply); break;
    case Kind::Exists: reply.stat = read_stat(r); break;
    case Kind::Data:
      reply.value = r.required_text();
      reply.stat = read_stat(r);
      break;
    case Kind::Children:
      for (uint32_t left = r.count(4).value_or(0); left > 0; --left) reply.names.emplace_back(r.required_text());
      std::ranges::sort(reply.names);
      reply.stat = read_stat(r);
      break;
    case Kind::Sync: r.required_text(); break;
    default: break;
  }
  CHECK(r.ok(), "a member's answer to {} does not parse", describe(request));
  return reply;
}

}  // namespace witan::sim::zookeeper
