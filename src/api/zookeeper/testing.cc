#include "api/zookeeper/testing.h"

#include <utility>

#include <fmt/format.h>

#include "wire/jute.h"

namespace witan::api::zookeeper::testing {
namespace {

void put(std::string& out, uint64_t v, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(v >> (8 * i)));
}

}  // namespace

Record& Record::i32(int32_t v) {
  put(bytes_, static_cast<uint32_t>(v), 4);
  return *this;
}
Record& Record::i64(int64_t v) {
  put(bytes_, static_cast<uint64_t>(v), 8);
  return *this;
}
Record& Record::boolean(bool v) {
  bytes_.push_back(v ? '\1' : '\0');
  return *this;
}
Record& Record::text(std::string_view v) { return i32(static_cast<int32_t>(v.size())).bytes(v); }
Record& Record::texts(const std::vector<std::string>& v) {
  i32(static_cast<int32_t>(v.size()));
  for (const std::string& one : v) text(one);
  return *this;
}
Record& Record::acl(int32_t permissions, std::string_view scheme, std::string_view id) {
  return i32(permissions).text(scheme).text(id);
}
Record& Record::bytes(std::string_view v) {
  bytes_.append(v);
  return *this;
}

std::string with_length(std::string_view payload) { return Record().text(payload).done(); }

std::string connect_packet(int64_t session, std::string_view password, int32_t timeout_ms, int64_t last_zxid,
                           std::optional<bool> read_only) {
  Record record;
  record.i32(0).i64(last_zxid).i32(timeout_ms).i64(session);
  record.text(password.empty() ? std::string(kPasswordBytes, '\0') : std::string(password));
  if (read_only) record.boolean(*read_only);
  return with_length(record.done());
}

std::string request_packet(int32_t xid, OpCode op, std::string_view body) {
  return with_length(Record().i32(xid).i32(static_cast<int32_t>(op)).bytes(body).done());
}

TestClient::TestClient(TestLoop& loop, Server& server, std::string remote)
    : TestClient(
          loop, [&server](std::unique_ptr<env::Connection> socket) { server.accept(std::move(socket)); },
          std::move(remote)) {}

TestClient::TestClient(TestLoop& loop, Function<void(std::unique_ptr<env::Connection>)> accept, std::string remote)
    : loop_(loop), wire_(std::make_shared<Wire>()) {
  accept(std::make_unique<env::testing::FakeSocket>(wire_, std::move(remote)));
  closed_ = !wire_->alive;
}

TestClient::~TestClient() = default;

void TestClient::write(std::string bytes) { to_server_ += bytes; }

void TestClient::pump() {
  while (true) {
    loop_.advance(Duration(0));
    bool moved = false;
    if (!wire_->alive) break;
    if (!wire_->paused && !wire_->closing && !to_server_.empty()) {
      moved = true;
      wire_->handler->on_bytes(std::exchange(to_server_, {}));
      loop_.run();
    }
    if (wire_->alive && !wire_->stuck && !wire_->to_client.empty()) {
      moved = true;
      received_ += wire_->to_client.flatten();
      wire_->to_client.clear();
      wire_->handler->on_drained();
      loop_.run();
    }
    if (wire_->alive && wire_->closing && wire_->to_client.empty()) {
      wire_->handler->on_closed("closed");
      moved = true;
    }
    if (!moved) return;
  }
  closed_ = true;
}

void TestClient::disconnect() {
  if (wire_->alive) wire_->handler->on_closed("reset");
  loop_.run();
  closed_ = true;
}

std::string TestClient::take_bytes() { return std::exchange(received_, {}); }

std::optional<std::string> TestClient::next_packet() {
  JuteReader r(received_);
  const std::string_view packet = r.required_text();
  if (!r.ok()) return std::nullopt;
  std::string out(packet);
  received_.erase(0, 4 + out.size());
  return out;
}

std::string TestClient::connect(int64_t id, std::string_view shown, int32_t timeout_ms, int64_t last_zxid) {
  return connect_with(connect_packet(id, shown, timeout_ms, last_zxid, false));
}

std::string TestClient::connect_with(const std::string& packet) {
  write(packet);
  pump();
  const std::string answer = next_packet().value_or("");
  JuteReader r(answer);
  r.i32();
  r.i32();
  session = r.i64();
  password = r.text_or_empty();
  return answer;
}

int32_t TestClient::send(OpCode op, const Record& body) { return send(++last_xid_, op, body); }

int32_t TestClient::send(int32_t xid, OpCode op, const Record& body) {
  write(request_packet(xid, op, body.done()));
  return xid;
}

std::vector<Packet> TestClient::take() {
  std::vector<Packet> out;
  while (const auto packet = next_packet()) {
    JuteReader r(*packet);
    Packet& p = out.emplace_back();
    p.xid = r.i32();
    p.zxid = r.i64();
    p.error = r.i32();
    p.body = r.rest();
  }
  return out;
}

Packet TestClient::call(OpCode op, const Record& body) {
  const int32_t xid = send(op, body);
  pump();
  Packet answer{.xid = 0, .zxid = 0, .error = -4, .body = {}};
  for (Packet& packet : take()) {
    if (packet.xid == xid || (op == OpCode::Ping && packet.xid == kPingXid)) {
      answer = std::move(packet);
    } else {
      events.push_back(std::move(packet));
    }
  }
  return answer;
}

std::vector<std::string> TestClient::take_events() {
  pump();
  for (Packet& packet : take()) events.push_back(std::move(packet));
  std::vector<std::string> out;
  for (const Packet& packet : std::exchange(events, {})) out.push_back(event_text(packet));
  return out;
}

std::string event_text(const Packet& packet) {
  JuteReader r(packet.body);
  const int32_t type = r.i32();
  r.i32();
  const std::string_view path = r.required_text();
  return packet.xid == kNotificationXid ? fmt::format("{} {}", type, path) : fmt::format("answer {}", packet.xid);
}

}  // namespace witan::api::zookeeper::testing
