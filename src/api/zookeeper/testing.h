// A client of bytes, for this room's tests and fuzzers: it holds the other end of a socket of a server.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/replies.h"
#include "api/zookeeper/server.h"
#include "base/chain.h"
#include "env/fake_socket.h"
#include "env/network.h"
#include "node/fake_client.h"

namespace witan::api::zookeeper::testing {

using env::testing::Wire;
using node::testing::FakeClient;
using node::testing::TestLoop;

// Bytes of a record, field by field.
class Record {
 public:
  Record& i32(int32_t v);
  Record& i64(int64_t v);
  Record& boolean(bool v);
  Record& text(std::string_view v);
  Record& null() { return i32(-1); }
  Record& texts(const std::vector<std::string>& v);
  // {permissions, scheme, id}, one of them.
  Record& acl(int32_t permissions, std::string_view scheme, std::string_view id);
  Record& open_acl() { return i32(1).acl(kPermAll, "world", "anyone"); }
  Record& bytes(std::string_view v);
  const std::string& done() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string with_length(std::string_view payload);
std::string connect_packet(int64_t session, std::string_view password, int32_t timeout_ms, int64_t last_zxid,
                           std::optional<bool> read_only);
std::string request_packet(int32_t xid, OpCode op, std::string_view body);

struct Packet {
  int32_t xid = 0;
  int64_t zxid = 0;
  int32_t error = 0;
  std::string body;
};

class TestClient {
 public:
  TestClient(TestLoop& loop, Server& server, std::string remote = "127.0.0.1:4711");
  // Of anything that takes a connection.
  TestClient(TestLoop& loop, Function<void(std::unique_ptr<env::Connection>)> accept,
             std::string remote = "127.0.0.1:4711");
  ~TestClient();

  // ---- bytes
  void write(std::string bytes);  // as they are, as soon as the server reads
  void pump();                    // moves bytes both ways until nothing moves, and runs the timers that are due
  void disconnect();
  bool closed() const { return closed_; }
  std::string take_bytes();  // what came, unparsed
  void stick(bool stuck) { wire_->stuck = stuck; }
  bool paused() const { return wire_->paused; }
  size_t waiting() const { return wire_->to_client.size(); }

  // ---- packets
  // The handshake. The packet that came, without its length; empty: none.
  std::string connect(int64_t session = 0, std::string_view password = {}, int32_t timeout_ms = 10'000,
                      int64_t last_zxid = 0);
  std::string connect_with(const std::string& packet);
  int64_t session = 0;  // of the last handshake
  std::string password;
  // Sends a request and gives its xid.
  int32_t send(OpCode op, const Record& body = {});
  int32_t send(int32_t xid, OpCode op, const Record& body = {});
  // Everything that came, in order, notifications too.
  std::vector<Packet> take();
  // Sends, pumps and gives the answer; notifications before it go to `events`.
  Packet call(OpCode op, const Record& body = {});
  std::vector<Packet> events;
  // "1 /path" for each of `events`, which are taken.
  std::vector<std::string> take_events();

 private:
  std::optional<std::string> next_packet();

  TestLoop& loop_;
  std::shared_ptr<Wire> wire_;
  std::string to_server_;
  std::string received_;
  int32_t last_xid_ = 0;
  bool closed_ = false;
};

std::string event_text(const Packet& packet);

}  // namespace witan::api::zookeeper::testing
