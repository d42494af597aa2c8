// The server over bytes: real HTTP/2 from a client machine through fake sockets into handlers, and back.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/etcd/proto/election.pb.h"
#include "api/etcd/proto/lock.pb.h"
#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/server.h"
#include "api/etcd/testing.h"
#include "env/fake_socket.h"
#include "wire/grpc_client.h"

namespace witan::api::etcd {
namespace {

using namespace etcdserverpb;
using env::testing::FakeSocket;
using env::testing::Wire;
using testing::FakeClient;
using testing::TestLoop;
using wire::GrpcClientConnection;
using wire::GrpcStatus;
using wire::StreamId;

constexpr const char* kPut = "/etcdserverpb.KV/Put";
constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kWatch = "/etcdserverpb.Watch/Watch";

// A client with its socket.
class Peer {
 public:
  Peer(TestLoop& loop, Server& server, const wire::GrpcClientOptions& options = {})
      : client(options), loop_(loop), wire_(std::make_shared<Wire>()) {
    server.accept(std::make_unique<FakeSocket>(wire_));
  }

  // Moves bytes both ways until nothing moves.
  void pump() {
    while (true) {
      loop_.advance(Duration(0));  // timers that are due belong to a turn
      bool moved = false;
      if (!wire_->alive) return;
      const std::string out = wire_->paused ? "" : client.take_output();
      if (!out.empty()) {
        moved = true;
        wire_->handler->on_bytes(out);
        loop_.run();
      }
      if (wire_->alive && !wire_->stuck && !wire_->to_client.empty()) {
        moved = true;
        const std::string in = wire_->to_client.flatten();
        wire_->to_client.clear();
        EXPECT_TRUE(client.on_bytes(in));
        if (wire_->alive) wire_->handler->on_drained();
      }
      if (wire_->alive && wire_->closing && wire_->to_client.empty()) {
        wire_->handler->on_closed("closed");
        moved = true;
      }
      if (!moved) return;
    }
  }
  void disconnect() {
    if (wire_->alive) wire_->handler->on_closed("reset");
    loop_.run();
  }
  const wire::GrpcAnswer& call(std::string_view path, const google::protobuf::MessageLite& request,
                               const GrpcClientConnection::Headers& extra = {}) {
    const StreamId stream = client.call(path, request.SerializeAsString(), extra);
    pump();
    return client.answer(stream);
  }
  bool alive() const { return wire_->alive; }
  void stick(bool stuck) { wire_->stuck = stuck; }
  size_t waiting() const { return wire_->to_client.size(); }
  GrpcClientConnection client;

 private:
  TestLoop& loop_;
  std::shared_ptr<Wire> wire_;
};

PutRequest put_of(const std::string& key, const std::string& value) {
  PutRequest request;
  request.set_key(key);
  request.set_value(value);
  return request;
}

WatchRequest watch_of(const std::string& key) {
  WatchRequest request;
  request.mutable_create_request()->set_key(key);
  return request;
}

class ServerTest : public ::testing::Test {
 protected:
  explicit ServerTest(const Options& options = {}) : server(loop, client, options, Logger()) {}
  TestLoop loop;
  FakeClient client{loop};
  Server server;
};

TEST_F(ServerTest, CallsAreServedOverHttp2) {
  Peer peer(loop, server);
  const std::string value(100'000, 'v');
  EXPECT_EQ(peer.call(kPut, put_of("k", value)).status(), GrpcStatus::Ok);
  RangeRequest request;
  request.set_key("k");
  const auto& answer = peer.call(kRange, request);
  RangeResponse response;
  ASSERT_TRUE(response.ParseFromString(answer.messages.at(0)));
  EXPECT_EQ(response.kvs(0).value(), value);
  EXPECT_EQ(answer.status(), GrpcStatus::Ok);
}

TEST_F(ServerTest, ManyCallsAtOnceAreAllAnswered) {
  Peer peer(loop, server);
  std::vector<StreamId> streams;
  for (int i = 0; i < 500; ++i) {
    streams.push_back(peer.client.call(kPut, put_of("k" + std::to_string(i), "v").SerializeAsString()));
  }
  peer.pump();
  for (const StreamId stream : streams) EXPECT_EQ(peer.client.answer(stream).status(), GrpcStatus::Ok);
  EXPECT_EQ(client.store().revision().value, 501);
}

TEST_F(ServerTest, UnknownMethodsAreUnimplemented) {
  Peer peer(loop, server);
  const auto& answer = peer.call("/etcdserverpb.KV/Nothing", RangeRequest());
  EXPECT_EQ(answer.status(), GrpcStatus::Unimplemented);
  EXPECT_EQ(answer.message(), "unknown method Nothing for service etcdserverpb.KV");
}

TEST_F(ServerTest, ACallWithoutItsRequestFails) {
  Peer peer(loop, server);
  const StreamId stream = peer.client.start(kPut);
  peer.client.half_close(stream);
  peer.pump();
  EXPECT_EQ(peer.client.answer(stream).status(), GrpcStatus::Internal);
}

TEST_F(ServerTest, AMessageBeyondTheLimitIsRefusedByGrpc) {
  Peer peer(loop, server);
  const auto& answer = peer.call(kPut, put_of("k", std::string(Options{}.max_request_bytes + kMessageOverhead, 'x')));
  EXPECT_EQ(answer.status(), GrpcStatus::ResourceExhausted);
}

TEST_F(ServerTest, WhoWantsALeaderIsRefusedWithoutOne) {
  client.set_view({.leader = 0, .term = 4});
  Peer peer(loop, server);
  RangeRequest request;
  request.set_key("k");
  const auto& refused = peer.call(kRange, request, {{"hasleader", "true"}});
  EXPECT_EQ(refused.status(), GrpcStatus::Unavailable);
  EXPECT_EQ(refused.message(), "etcdserver: no leader");
  EXPECT_EQ(peer.call(kRange, request).status(), GrpcStatus::Ok);
  const auto& stream = peer.call(kWatch, watch_of("k"), {{"hasleader", "true"}});
  EXPECT_EQ(stream.message(), "etcdserver: no leader");
}

TEST_F(ServerTest, StreamsThatWantALeaderEndAfterThreeElectionTimeoutsWithoutOne) {
  Peer peer(loop, server);
  const StreamId wants = peer.client.start(kWatch, {{"hasleader", "true"}});
  peer.client.send(wants, watch_of("k").SerializeAsString());
  const StreamId patient = peer.client.start(kWatch);
  peer.client.send(patient, watch_of("k").SerializeAsString());
  peer.pump();
  client.set_view({.leader = 0, .term = 4});
  loop.advance(milliseconds(2900));
  client.set_view({.leader = 7, .term = 5});  // just in time
  loop.advance(milliseconds(3100));
  peer.pump();
  EXPECT_FALSE(peer.client.answer(wants).closed);
  client.set_view({.leader = 0, .term = 5});
  loop.advance(milliseconds(3100));
  peer.pump();
  EXPECT_TRUE(peer.client.answer(wants).closed);
  EXPECT_EQ(peer.client.answer(wants).message(), "etcdserver: no leader");
  EXPECT_FALSE(peer.client.answer(patient).closed);
}

TEST_F(ServerTest, AClientVersionThatIsNoTextIsRefused) {
  Peer peer(loop, server);
  RangeRequest request;
  request.set_key("k");
  EXPECT_EQ(peer.call(kRange, request, {{"client-api-version", "3.5"}}).status(), GrpcStatus::Ok);
  const auto& answer = peer.call(kRange, request, {{"client-api-version", "3\xc0\x80"}});
  EXPECT_EQ(answer.message(), "etcdserver: invalid client api version");
}

TEST_F(ServerTest, ALearnerServesWhatEtcdsDoes) {
  client.set_view({.leader = 9, .term = 3, .is_learner = true});
  loop.run();
  Peer peer(loop, server);
  EXPECT_EQ(peer.call(kPut, put_of("k", "v")).message(), "etcdserver: rpc not supported for learner");
  EXPECT_EQ(peer.call(kWatch, watch_of("k")).message(), "etcdserver: rpc not supported for learner");
  EXPECT_EQ(peer.call("/etcdserverpb.Maintenance/Status", StatusRequest()).status(), GrpcStatus::Ok);
  RangeRequest request;
  request.set_key("k");
  request.set_serializable(true);
  EXPECT_EQ(peer.call(kRange, request).status(), GrpcStatus::Ok);
}

TEST_F(ServerTest, AnEventComesBeforeTheAnswerThatCouldReflectIt) {
  Peer watcher(loop, server);
  const StreamId watch = watcher.client.start(kWatch);
  watcher.client.send(watch, watch_of("k").SerializeAsString());
  watcher.pump();
  // Watch and put on one connection: frames come in the order they were made.
  const StreamId put = watcher.client.call(kPut, put_of("k", "v").SerializeAsString());
  loop.run();
  watcher.pump();
  EXPECT_EQ(watcher.client.answer(watch).messages.size(), 2u);
  EXPECT_EQ(watcher.client.answer(put).status(), GrpcStatus::Ok);
}

TEST_F(ServerTest, AConnectionThatBreaksTakesItsCallsWithIt) {
  client.apply(store::LeaseGrant{.id = store::LeaseId(10), .ttl_ms = 60'000});
  client.apply(store::Put{.key = "l/0", .value = "holder"});
  auto peer = std::make_unique<Peer>(loop, server);
  v3lockpb::LockRequest lock;
  lock.set_name("l");
  lock.set_lease(10);
  peer->client.call("/v3lockpb.Lock/Lock", lock.SerializeAsString());
  const StreamId watch = peer->client.start(kWatch);
  peer->client.send(watch, watch_of("k").SerializeAsString());
  peer->pump();
  EXPECT_TRUE(client.store().get("l/a"));
  EXPECT_EQ(server.connections(), 1u);
  peer->disconnect();
  EXPECT_EQ(server.connections(), 0u);
  EXPECT_FALSE(peer->alive());
  EXPECT_FALSE(client.store().get("l/a"));  // the place in the queue was given up
  client.apply(store::Put{.key = "k", .value = "v"});
  loop.run();
}

TEST_F(ServerTest, AResetCallCleansUp) {
  client.apply(store::LeaseGrant{.id = store::LeaseId(10), .ttl_ms = 60'000});
  client.apply(store::Put{.key = "l/0", .value = "holder"});
  Peer peer(loop, server);
  v3lockpb::LockRequest lock;
  lock.set_name("l");
  lock.set_lease(10);
  const StreamId stream = peer.client.call("/v3lockpb.Lock/Lock", lock.SerializeAsString());
  peer.pump();
  EXPECT_TRUE(client.store().get("l/a"));
  peer.client.reset(stream);
  peer.pump();
  EXPECT_FALSE(client.store().get("l/a"));
}

TEST_F(ServerTest, ADeadlineThatPassesGivesThePlaceInTheQueueUp) {
  client.apply(store::LeaseGrant{.id = store::LeaseId(10), .ttl_ms = 60'000});
  client.apply(store::Put{.key = "l/0", .value = "holder"});
  Peer peer(loop, server);
  v3lockpb::LockRequest lock;
  lock.set_name("l");
  lock.set_lease(10);
  const StreamId stream = peer.client.call("/v3lockpb.Lock/Lock", lock.SerializeAsString(), {{"grpc-timeout", "500m"}});
  peer.pump();
  loop.advance(seconds(1));
  peer.pump();
  EXPECT_EQ(peer.client.answer(stream).status(), GrpcStatus::DeadlineExceeded);
  EXPECT_FALSE(client.store().get("l/a"));
}

TEST_F(ServerTest, StoppingLetsUnaryCallsFinishAndEndsStreams) {
  Peer peer(loop, server);
  const StreamId watch = peer.client.start(kWatch);
  peer.client.send(watch, watch_of("k").SerializeAsString());
  peer.pump();
  bool stopped = false;
  server.stop([&] { stopped = true; });
  peer.pump();
  EXPECT_EQ(peer.client.answer(watch).status(), GrpcStatus::Unavailable);
  EXPECT_EQ(peer.client.answer(watch).message(), "etcdserver: server stopped");
  EXPECT_EQ(peer.client.goaway_code(), 0);
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(peer.alive());
  Peer late(loop, server);
  EXPECT_FALSE(late.alive());
}

TEST_F(ServerTest, StoppingDoesNotWaitForeverForAClientThatDoesNotRead) {
  Peer peer(loop, server);
  peer.pump();
  peer.stick(true);
  peer.client.call(kPut, put_of("k", "v").SerializeAsString());
  peer.pump();
  bool stopped = false;
  server.stop([&] { stopped = true; });
  loop.run();
  EXPECT_FALSE(stopped);
  loop.advance(seconds(3));
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(peer.alive());
}

TEST_F(ServerTest, StoppingWithoutConnectionsIsDoneAtOnce) {
  bool stopped = false;
  server.stop([&] { stopped = true; });
  loop.run();
  EXPECT_TRUE(stopped);
  EXPECT_EQ(loop.timers(), 0u);
}

TEST_F(ServerTest, GarbageClosesItsOwnConnectionOnly) {
  Peer good(loop, server);
  good.pump();
  auto wire = std::make_shared<Wire>();
  server.accept(std::make_unique<FakeSocket>(wire));
  loop.run();
  wire->handler->on_bytes("GET / HTTP/1.1\r\n\r\n and other things that are not HTTP/2");
  loop.run();
  EXPECT_TRUE(wire->closing);
  EXPECT_EQ(good.call(kPut, put_of("k", "v")).status(), GrpcStatus::Ok);
  loop.advance(seconds(11));  // it never closes its side
  EXPECT_FALSE(wire->alive);
  EXPECT_EQ(server.connections(), 1u);
}

class BoundedServer : public ServerTest {
 protected:
  static Options options() {
    Options options;
    options.max_connections = 1;
    options.watch_buffer_bytes = size_t{64} << 10;
    return options;
  }
  BoundedServer() : ServerTest(options()) {}
};

TEST_F(BoundedServer, FurtherConnectionsAreClosed) {
  Peer first(loop, server);
  Peer second(loop, server);
  EXPECT_TRUE(first.alive());
  EXPECT_FALSE(second.alive());
}

// The whole way of a slow consumer: flow control stops its stream, memory stays bounded, and all events arrive in the
// end.
TEST_F(BoundedServer, AWatchWhoseClientStopsReadingIsBoundedAndComplete) {
  Peer peer(loop, server);
  const StreamId watch = peer.client.start(kWatch);
  peer.client.send(watch, watch_of("k").SerializeAsString());
  peer.pump();
  peer.stick(true);
  for (int i = 0; i < 4000; ++i) {
    client.apply(store::Put{.key = "k", .value = std::to_string(i) + std::string(1000, '.')});
    loop.run();
  }
  EXPECT_LT(peer.waiting(), size_t{2} << 20);
  peer.stick(false);
  peer.pump();
  int expected = 0;
  for (const std::string& message : peer.client.answer(watch).messages) {
    WatchResponse response;
    ASSERT_TRUE(response.ParseFromString(message));
    for (const auto& event : response.events()) EXPECT_EQ(std::stoi(event.kv().value()), expected++);
  }
  EXPECT_EQ(expected, 4000);
}

}  // namespace
}  // namespace witan::api::etcd
