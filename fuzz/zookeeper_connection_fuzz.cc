// Hostile clients of the ZooKeeper API, over a real store. The input is a little program: clients connect, send bytes
// cut anywhere, read or do not, go away; time passes, the leader is silent or gone, events are lost, the membership
// changes. Besides not crashing: what a client is sent is whole packets, answers in the order of its requests, zxids
// that never go back, and when all are gone nothing of them is left.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/password.h"
#include "api/zookeeper/testing.h"
#include "base/check.h"
#include "base/fuzz_input.h"

namespace witan::api::zookeeper {
namespace {

using testing::FakeClient;
using testing::Packet;
using testing::TestClient;
using testing::TestLoop;

Options small() {
  Options options;
  options.super_digest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";  // the digest of super:secret
  options.sasl_users = std::make_shared<const SaslUsers>(SaslUsers{.passwords = {{"ann", "secret"}}, .super = {}});
  options.sasl_ids = true;
  options.max_connections = 8;
  options.max_packet = 4096;
  options.read_only = true;
  options.reconfig = true;
  options.max_outstanding = 6;
  options.max_outstanding_bytes = 6000;
  options.socket_high = 3000;
  options.max_unsent = 20'000;
  options.max_watched_paths = 20;
  options.max_identities = 4;
  return options;
}

// One end of a connection, and what must hold there.
class Peer {
 public:
  Peer(TestLoop& loop, Server& server) : client_(loop, server) {}

  TestClient& client() { return client_; }
  int64_t session() const { return session_; }
  void judge() {
    received_ += client_.take_bytes();
    while (received_.size() >= 4) {
      JuteReader r(received_);
      const int32_t size = r.i32();
      CHECK(size >= 16, "a packet of {} bytes", size);
      if (received_.size() < 4 + static_cast<size_t>(size)) return;
      packet(received_.substr(4, static_cast<size_t>(size)));
      received_.erase(0, 4 + static_cast<size_t>(size));
    }
  }

 private:
  void packet(const std::string& bytes) {
    JuteReader r(bytes);
    if (!std::exchange(greeted_, true)) {
      r.i64();  // version and timeout
      session_ = r.i64();
      return;
    }
    r.i32();  // the xid: a client may number its own requests like notifications, so it tells no kind of packet
    const int64_t zxid = r.i64();
    const int32_t error = r.i32();
    // Of errors SASL's alone has one, a null token.
    CHECK(error == 0 || bytes.size() == 16 || (bytes.size() == 20 && error == -115), "an error with a body");
    if (zxid <= 0) return;  // it says nothing of the state
    CHECK(zxid >= zxid_, "zxid {} after {}", zxid, zxid_);
    zxid_ = zxid;
  }

  TestClient client_;
  std::string received_;
  bool greeted_ = false;
  int64_t session_ = 0;
  int64_t zxid_ = 0;
};

class Program {
 public:
  explicit Program(std::string_view bytes) : input_(bytes) {
    client_.history_changes = 3;
    client_.set_members({{.id = 7, .name = "n1", .peer_urls = {"http://h:1"}, .number = 1, .zookeeper = "h:2"}});
    server_ = std::make_unique<Server>(loop_, client_, small(), Logger());
    for (const char* path : {"/a", "/a/b", "/a/b/c", "/d"}) client_.apply(store::Put{.key = path, .value = "value"});
    loop_.run();
  }

  void run() {
    for (int steps = 0; !input_.empty() && steps < 300; ++steps) {
      step();
      for (const auto& peer : peers_) peer->judge();
    }
    client_.release();
    for (const auto& peer : peers_) peer->client().disconnect();
    loop_.advance(seconds(20));
    const ServerStatistics now = server_->statistics();
    CHECK(now.connections == 0 && now.watches == 0 && now.watched_paths == 0, "{} connections, {} watches are left",
          now.connections, now.watches);
    server_.reset();
    CHECK(loop_.timers() == 0, "{} timers outlive the server", loop_.timers());
  }

 private:
  TestClient& some_client() { return peers_[input_.byte() % peers_.size()]->client(); }

  // A new session, or one that another client has or had.
  void connect() {
    if (peers_.size() == 12) return;
    const uint8_t how = input_.byte();
    const int64_t session = how % 4 == 1 && !peers_.empty() ? peers_[how / 4 % peers_.size()]->session() : 0;
    TestClient& client = peers_.emplace_back(std::make_unique<Peer>(loop_, *server_))->client();
    if (how % 4 == 0) return;  // its first bytes are the input's
    const auto password = session_password(session);
    client.write(testing::connect_packet(session, {password.data(), password.size()}, 10'000, 0, how >= 128));
    client.pump();
  }

  void step() {
    const uint8_t what = input_.byte();
    if (peers_.empty()) return connect();
    // Most steps are bytes: as they are, or with the length in front that makes them a packet.
    if (what < 100) return send(testing::with_length(input_.bytes(what)));
    if (what < 140) return send(std::string(input_.bytes(what - 100)));
    switch (what % 12) {
      case 0: return connect();
      case 1: return some_client().disconnect();
      case 2: return some_client().stick(true);
      case 3: return unstick(some_client());
      case 4: return loop_.advance(milliseconds(input_.byte() * 100));
      case 5: client_.held = true; return;
      case 6: return client_.release();
      case 7: return gap();
      case 8: return leader();
      case 9: client_.next_refusal = node::NotApplied{node::Refusal::Timeout, ""}; return;
      case 10: client_.next_outcome = node::Unknown{}; return;
      default: return silence();
    }
  }

  void send(std::string sent) {
    TestClient& client = some_client();
    if (client.closed()) return;
    client.write(std::move(sent));
    client.pump();
  }
  void unstick(TestClient& client) {
    client.stick(false);
    if (!client.closed()) client.pump();
  }
  void gap() {
    if (gap_) {
      client_.end_gap();
    } else {
      client_.begin_gap();
    }
    gap_ = !gap_;
    loop_.run();
  }
  void leader() {
    node::View view = client_.next_view;
    view.leader = view.leader == 0 ? 7 : 0;
    ++view.term;
    client_.set_view(view);
    loop_.run();
  }
  void silence() {
    if (client_.leader_is_silent) {
      client_.answer_renewals();
    } else {
      client_.leader_is_silent = true;
    }
    loop_.run();
  }

  FuzzInput input_;
  TestLoop loop_;
  FakeClient client_{loop_};
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Peer>> peers_;
  bool gap_ = false;
};

}  // namespace
}  // namespace witan::api::zookeeper

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::api::zookeeper::Program({reinterpret_cast<const char*>(data), size}).run();
  return 0;
}
