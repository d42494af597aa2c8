#include "api/zookeeper/replies.h"

#include "base/check.h"
#include "wire/jute.h"

namespace witan::api::zookeeper {
namespace {

using wire::JuteWriter;

constexpr size_t kHeaderBytes = 16;
constexpr size_t kMultiHeaderBytes = 9;
constexpr int32_t kMultiEnd = -1;  // also the type of a part that failed

size_t size_of(std::string_view text) { return 4 + text.size(); }

void write(JuteWriter& w, const Stat& s) {
  w.i64(s.czxid);
  w.i64(s.mzxid);
  w.i64(s.ctime);
  w.i64(s.mtime);
  w.i32(s.version);
  w.i32(s.cversion);
  w.i32(s.aversion);
  w.i64(s.ephemeral_owner);
  w.i32(s.data_length);
  w.i32(s.num_children);
  w.i64(s.pzxid);
}

void write(JuteWriter& w, const ReplyHeader& h) {
  w.i32(h.xid);
  w.i64(h.zxid);
  w.i32(static_cast<int32_t>(h.error));
}

// A size_of() and a write() for each body; they agree, which put() checks.
size_t size_of(const PathReply& b) { return JuteWriter::size_of(b.path); }
void write(JuteWriter& w, const PathReply& b) { w.text(b.path); }

size_t size_of(const CreateReply& b) { return size_of(b.path) + kStatBytes; }
void write(JuteWriter& w, const CreateReply& b) {
  w.text(b.path);
  write(w, b.stat);
}

size_t size_of(const StatReply&) { return kStatBytes; }
void write(JuteWriter& w, const StatReply& b) { write(w, b.stat); }

size_t size_of(const DataReply& b) { return JuteWriter::size_of(b.data) + kStatBytes; }
void write(JuteWriter& w, const DataReply& b) {
  w.blob(b.data);
  write(w, b.stat);
}

size_t size_of(const AclReply& b) {
  size_t size = 4 + kStatBytes;
  for (const Acl& acl : b.acl) size += 4 + size_of(acl.scheme) + size_of(acl.id);
  return size;
}
void write(JuteWriter& w, const AclReply& b) {
  w.i32(static_cast<int32_t>(b.acl.size()));
  for (const Acl& acl : b.acl) {
    w.i32(acl.perms);
    w.text(acl.scheme);
    w.text(acl.id);
  }
  write(w, b.stat);
}

size_t size_of(const ChildrenReply& b) {
  size_t size = 4 + (b.stat.has_value() ? kStatBytes : 0);
  for (const std::string_view child : b.children) size += size_of(child);
  return size;
}
void write(JuteWriter& w, const ChildrenReply& b) {
  w.i32(static_cast<int32_t>(b.children.size()));
  for (const std::string_view child : b.children) w.text(child);
  if (b.stat.has_value()) write(w, *b.stat);
}

size_t size_of(const CountReply&) { return 4; }
void write(JuteWriter& w, const CountReply& b) { w.i32(b.count); }

size_t size_of(const AddWatchReply&) { return 4; }
void write(JuteWriter& w, const AddWatchReply&) { w.i32(static_cast<int32_t>(ErrorCode::Ok)); }

size_t size_of(const SaslReply& b) { return JuteWriter::size_of(b.token); }
void write(JuteWriter& w, const SaslReply& b) { w.text(b.token); }

size_t size_of(const WhoAmIReply& b) {
  size_t size = 4;
  for (const ClientInfo& client : b.clients) size += size_of(client.scheme) + size_of(client.user);
  return size;
}
void write(JuteWriter& w, const WhoAmIReply& b) {
  w.i32(static_cast<int32_t>(b.clients.size()));
  for (const ClientInfo& client : b.clients) {
    w.text(client.scheme);
    w.text(client.user);
  }
}

size_t size_of(const WatcherEvent& e) { return 8 + size_of(e.path); }
void write(JuteWriter& w, const WatcherEvent& e) {
  w.i32(static_cast<int32_t>(e.type));
  w.i32(static_cast<int32_t>(e.state));
  w.text(e.path);
}

size_t size_of(const DeleteResult&) { return 0; }
void write(JuteWriter&, const DeleteResult&) {}
size_t size_of(const CheckResult&) { return 0; }
void write(JuteWriter&, const CheckResult&) {}
size_t size_of(const ErrorResult&) { return 4; }
void write(JuteWriter& w, const ErrorResult& b) { w.i32(static_cast<int32_t>(b.error)); }

// The type in front of a multi's result.
int32_t type_of(const PathReply&) { return static_cast<int32_t>(OpCode::Create); }
int32_t type_of(const CreateReply&) { return static_cast<int32_t>(OpCode::Create2); }
int32_t type_of(const DeleteResult&) { return static_cast<int32_t>(OpCode::Delete); }
int32_t type_of(const StatReply&) { return static_cast<int32_t>(OpCode::SetData); }
int32_t type_of(const CheckResult&) { return static_cast<int32_t>(OpCode::Check); }
int32_t type_of(const DataReply&) { return static_cast<int32_t>(OpCode::GetData); }
int32_t type_of(const ChildrenReply& b) {
  CHECK(!b.stat.has_value(), "a multiRead has no children with a Stat");
  return static_cast<int32_t>(OpCode::GetChildren);
}
int32_t type_of(const ErrorResult&) { return kMultiEnd; }

void write_multi_header(JuteWriter& w, int32_t type, bool done, int32_t error) {
  w.i32(type);
  w.boolean(done);
  w.i32(error);
}

size_t size_of(const MultiReply& b) {
  size_t size = kMultiHeaderBytes;
  for (const MultiResult& result : b.results) {
    size += kMultiHeaderBytes + std::visit([](const auto& r) { return size_of(r); }, result);
  }
  return size;
}
void write(JuteWriter& w, const MultiReply& b) {
  for (const MultiResult& result : b.results) {
    const auto* failed = std::get_if<ErrorResult>(&result);
    const int32_t type = std::visit([](const auto& r) { return type_of(r); }, result);
    write_multi_header(w, type, false, failed == nullptr ? 0 : static_cast<int32_t>(failed->error));
    std::visit([&w](const auto& r) { write(w, r); }, result);
  }
  write_multi_header(w, kMultiEnd, true, -1);
}

template <class Body>
void put(Chain& out, const ReplyHeader& header, const Body& body) {
  CHECK(header.error == ErrorCode::Ok, "an error has no body");
  const size_t size = kHeaderBytes + size_of(body);
  CHECK(size <= INT32_MAX, "a reply of {} bytes", size);
  JuteWriter w(out);
  w.i32(static_cast<int32_t>(size));
  write(w, header);
  write(w, body);
  w.flush();
  CHECK(w.written() == 4 + size, "{} bytes written where {} were announced", w.written() - 4, size);
}

}  // namespace

void encode_connect_response(Chain& out, const ConnectResponse& response) {
  JuteWriter w(out);
  w.i32(static_cast<int32_t>(4 + 4 + 8 + 4 + kPasswordBytes + (response.read_only.has_value() ? 1 : 0)));
  w.i32(response.protocol_version);
  w.i32(response.timeout_ms);
  w.i64(response.session_id);
  w.text(std::string_view(response.password.data(), response.password.size()));
  if (response.read_only.has_value()) w.boolean(*response.read_only);
  w.flush();
}

void encode_reply(Chain& out, const ReplyHeader& header) {
  JuteWriter w(out);
  w.i32(kHeaderBytes);
  write(w, header);
  w.flush();
}

void encode_reply(Chain& out, const ReplyHeader& header, const ReplyBody& body) {
  std::visit([&](const auto& b) { put(out, header, b); }, body);
}
void encode_reply(Chain& out, const ReplyHeader& header, const DataReply& body) { put(out, header, body); }
void encode_reply(Chain& out, const ReplyHeader& header, const StatReply& body) { put(out, header, body); }

Chain encode_body(const ReplyBody& body) {
  Chain out;
  JuteWriter w(out);
  std::visit([&w](const auto& b) { write(w, b); }, body);
  w.flush();
  return out;
}

void encode_reply(Chain& out, const ReplyHeader& header, Chain body) {
  JuteWriter w(out);
  w.i32(static_cast<int32_t>(kHeaderBytes + body.size()));
  write(w, header);
  w.flush();
  out.append(std::move(body));
}

void encode_event(Chain& out, int64_t zxid, const WatcherEvent& event) {
  put(out, {.xid = kNotificationXid, .zxid = zxid}, event);
}

}  // namespace witan::api::zookeeper
