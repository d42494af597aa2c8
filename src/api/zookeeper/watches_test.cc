// Watches over bytes: what a client hears, when, and how often, and what it hears of the time it was away. Expected
// bytes are those of a running ZooKeeper 3.8.0.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/zookeeper/server_testing.h"

namespace witan::api::zookeeper {
namespace {

using namespace testing;  // this room's
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(ServerTest, AnOwnWatchFiresBeforeTheAnswer) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetData, read_of("/a", true));
  peer->send(OpCode::SetData, set("/a", "y"));
  peer->pump();
  const std::vector<Packet> packets = peer->take();
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].xid, -1);
  EXPECT_EQ(packets[0].zxid, 3);
  EXPECT_EQ(to_hex(packets[0].body), "0000000300000003000000022f61");
  EXPECT_EQ(packets[1].xid, 3);
  peer->call(OpCode::SetData, set("/a", "z"));
  EXPECT_THAT(peer->take_events(), IsEmpty()) << "it fires once";
}

// Simulator, seed 2: a ping or a sync that is answered out of its order held the notification up, and the answer of the
// write in front of it left first.
TEST_F(ServerTest, AnOwnWatchWaitsForNothingBehindTheAnswer) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetData, read_of("/a", true));
  client.held = true;
  client.leader_is_silent = true;
  peer->send(7, OpCode::SetData, set("/a", "y"));
  peer->send(-2, OpCode::Ping);
  peer->pump();
  loop.advance(milliseconds(1));
  client.answer_renewals();
  peer->pump();
  client.release();
  peer->pump();
  EXPECT_THAT(xids(peer->take()), ElementsAre(-1, 7, -2));
}

// A client that loses its connection behind an answer sets its watches again from the zxid of that answer on.
TEST_F(ServerTest, NoAnswerTellsAZxidWhoseNotificationFollows) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetData, read_of("/a", true));
  client.leader_is_silent = true;
  peer->send(-2, OpCode::Ping);
  peer->send(7, OpCode::Delete, remove("/missing"));
  peer->pump();
  const auto other = join();
  other->call(OpCode::SetData, set("/a", "y"));
  loop.advance(milliseconds(1));
  client.answer_renewals();
  peer->pump();
  const std::vector<Packet> packets = peer->take();
  ASSERT_THAT(xids(packets), ElementsAre(-2, 7, -1));
  EXPECT_LT(packets[0].zxid, packets[2].zxid);
  EXPECT_LT(packets[1].zxid, packets[2].zxid);
}

TEST_F(ServerTest, AMissingNodeCanBeWatchedByExistsOnly) {
  const auto peer = join();
  EXPECT_EQ(peer->call(OpCode::Exists, read_of("/late", true)).error, -101);
  EXPECT_EQ(peer->call(OpCode::GetData, read_of("/never", true)).error, -101);
  EXPECT_EQ(peer->call(OpCode::GetChildren, read_of("/never", true)).error, -101);
  peer->call(OpCode::Create, create("/late"));
  peer->call(OpCode::Create, create("/never"));
  EXPECT_THAT(peer->take_events(), ElementsAre("1 /late"));
}

TEST_F(ServerTest, ChildrenAreWatchedFromTheirParent) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetChildren, read_of("/a", true));
  peer->call(OpCode::SetData, set("/a", "y"));
  EXPECT_THAT(peer->take_events(), IsEmpty());
  peer->call(OpCode::Create, create("/a/b"));
  EXPECT_THAT(peer->take_events(), ElementsAre("4 /a"));
  peer->call(OpCode::GetChildren, read_of("/a", true));
  peer->call(OpCode::Delete, remove("/a/b"));
  EXPECT_THAT(peer->take_events(), ElementsAre("4 /a"));
}

TEST_F(ServerTest, ADeletedNodeIsToldOnceToWhoWatchesBoth) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetData, read_of("/a", true));
  peer->call(OpCode::GetChildren, read_of("/a", true));
  peer->call(OpCode::Delete, remove("/a"));
  EXPECT_THAT(peer->take_events(), ElementsAre("2 /a"));
  EXPECT_EQ(server->statistics().watches, 0u);
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetChildren, read_of("/a", true));
  peer->call(OpCode::Delete, remove("/a"));
  EXPECT_THAT(peer->take_events(), ElementsAre("2 /a"));
}

TEST_F(ServerTest, PersistentWatchesStay) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  EXPECT_EQ(to_hex(peer->call(OpCode::AddWatch, Record().text("/a").i32(0)).body), "00000000");
  peer->call(OpCode::Create, create("/a/d2"));
  peer->call(OpCode::Delete, remove("/a/d2"));
  peer->call(OpCode::SetData, set("/a", "y"));
  peer->call(OpCode::Delete, remove("/a"));
  peer->call(OpCode::Create, create("/a"));
  EXPECT_THAT(peer->take_events(), ElementsAre("4 /a", "4 /a", "3 /a", "2 /a", "1 /a"));
}

TEST_F(ServerTest, RecursiveWatchesHearOfEverythingBelowButChildren) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::AddWatch, Record().text("/a").i32(1));
  peer->call(OpCode::Create, create("/a/b"));
  peer->call(OpCode::Create, create("/a/b/c"));
  peer->call(OpCode::SetData, set("/a/b/c", "y"));
  peer->call(OpCode::Delete, remove("/a/b/c"));
  peer->call(OpCode::Create, create("/ab"));
  EXPECT_THAT(peer->take_events(), ElementsAre("1 /a/b", "1 /a/b/c", "3 /a/b/c", "2 /a/b/c"));
}

TEST_F(ServerTest, OneChangeIsToldOnceWhateverKindsOfWatchesThereAre) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::AddWatch, Record().text("/").i32(1));
  peer->call(OpCode::AddWatch, Record().text("/a").i32(1));
  peer->call(OpCode::AddWatch, Record().text("/a").i32(0));
  peer->call(OpCode::GetData, read_of("/a", true));
  peer->call(OpCode::SetData, set("/a", "y"));
  EXPECT_THAT(peer->take_events(), ElementsAre("3 /a"));
}

TEST_F(ServerTest, WatchesAreCheckedAndRemovedByKind) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  const auto check = [&](int32_t type) {
    return peer->call(OpCode::CheckWatches, Record().text("/a").i32(type)).error;
  };
  const auto take = [&](int32_t type) {
    return peer->call(OpCode::RemoveWatches, Record().text("/a").i32(type)).error;
  };
  peer->call(OpCode::GetData, read_of("/a", true));
  peer->call(OpCode::GetChildren, read_of("/a", true));
  peer->call(OpCode::AddWatch, Record().text("/a").i32(0));
  for (const int32_t type : {1, 2, 3, 4}) EXPECT_EQ(check(type), 0);
  EXPECT_EQ(check(5), -121);
  EXPECT_EQ(take(5), -121);
  EXPECT_EQ(take(2), 0);
  EXPECT_EQ(take(2), -121);
  EXPECT_EQ(check(1), 0);
  EXPECT_EQ(take(3), 0);
  EXPECT_EQ(check(3), -121);
  EXPECT_EQ(server->statistics().watches, 0u);
}

TEST_F(ServerTest, WhoMayNotReadANodeDoesNotHearOfIt) {
  const auto mine = join();
  const auto other = join();
  other->call(OpCode::AddWatch, Record().text("/").i32(1));
  mine->call(OpCode::Auth, Record().i32(0).text("digest").text("u:p"));
  mine->call(OpCode::Create, Record().text("/p").text("").i32(1).acl(31, "auth", "").i32(0));
  mine->call(OpCode::SetData, set("/p", "x"));
  EXPECT_THAT(other->take_events(), IsEmpty());
  mine->call(OpCode::Create, create("/q"));
  EXPECT_THAT(other->take_events(), ElementsAre("1 /q"));
}

TEST_F(ServerTest, WatchesDieWithTheirConnection) {
  const auto peer = join();
  for (int i = 0; i < 100; ++i) peer->call(OpCode::Exists, read_of("/w" + std::to_string(i), true));
  EXPECT_EQ(server->statistics().watched_paths, 100u);
  EXPECT_EQ(server->watch_listing().sessions.at(0).paths.size(), 100u);
  peer->disconnect();
  EXPECT_EQ(server->statistics().watched_paths, 0u);
  EXPECT_EQ(server->statistics().watches, 0u);
}

TEST_F(ServerTest, AGapClosesThoseWhoWatch) {
  const auto watcher = join();
  const auto other = join();
  watcher->call(OpCode::Exists, read_of("/a", true));
  client.begin_gap();
  client.apply(store::Put{.key = "/a", .value = "v"});
  client.end_gap();
  watcher->pump();
  other->pump();
  EXPECT_TRUE(watcher->closed());
  EXPECT_FALSE(other->closed());
}

TEST_F(ServerTest, ChangesOfOtherApisAreHeardOf) {
  const auto peer = join();
  peer->call(OpCode::Exists, read_of("/etcd/key", true));
  client.apply(store::Put{.key = "/etcd/key", .value = "v"});
  EXPECT_THAT(peer->take_events(), ElementsAre("1 /etcd/key"));
  EXPECT_EQ(peer->call(OpCode::GetData, read_of("/etcd/key")).body.substr(0, 5), from_hex("0000000176"));
}

TEST_F(ServerTest, SetWatchesTellsWhatWasMissed) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::Create, create("/n"));
  peer->call(OpCode::Create, create("/kept"));
  const int64_t seen = client.revision().value;
  peer->call(OpCode::SetData, set("/a", "y"));
  peer->call(OpCode::Create, create("/n/child"));
  const int32_t xid =
      peer->send(-8, OpCode::SetWatches, watches_of(seen, {"/a", "/kept", "/gone"}, {"/n", "/later"}, {"/n", "/kept"}));
  peer->pump();
  const std::vector<Packet> packets = peer->take();
  EXPECT_THAT(texts_of(packets), ElementsAre("3 /a", "2 /gone", "1 /n", "4 /n", "answer -8"));
  EXPECT_EQ(packets[0].zxid, -1);
  EXPECT_EQ(packets.back().xid, xid);
  peer->call(OpCode::SetData, set("/kept", "y"));
  peer->call(OpCode::Create, create("/later"));
  peer->call(OpCode::Create, create("/kept/c"));
  EXPECT_THAT(peer->take_events(), ElementsAre("3 /kept", "1 /later", "4 /kept"));
}

TEST_F(ServerTest, PersistentWatchesAreToldWhatTheyMissedInItsOrder) {
  const auto writer = join();
  const int64_t seen = client.revision().value;
  writer->call(OpCode::Create, create("/p"));
  writer->call(OpCode::Create, create("/p/x"));
  writer->call(OpCode::Create, create("/r"));
  writer->call(OpCode::Create, create("/r/y"));
  writer->call(OpCode::SetData, set("/p", "z"));
  writer->call(OpCode::Delete, remove("/r/y"));
  client.history_changes = 2;
  const auto peer = join();
  peer->send(-8, OpCode::SetWatches2, watches_of(seen, {"/p"}, {}, {}).texts({"/p"}).texts({"/r"}));
  peer->send(1, OpCode::Exists, read_of("/p"));
  peer->pump();
  EXPECT_THAT(texts_of(peer->take()),
              ElementsAre("1 /p", "4 /p", "1 /r", "1 /r/y", "3 /p", "2 /r/y", "answer -8", "answer 1"));
  writer->call(OpCode::Create, create("/r/z"));
  EXPECT_THAT(peer->take_events(), ElementsAre("1 /r/z"));
}

// A change may come before, among or behind the slices of history that are being read: it is told once, in its place.
TEST_F(ServerTest, WhatHappensWhileTheMissedIsToldIsToldOnceBehindIt) {
  client.history_changes = 1;
  for (int turns = 0; turns < 12; ++turns) {
    const std::string node = fmt::format("/n{}", turns);
    const auto before = join();
    before->call(OpCode::Create, create(node));
    const int64_t seen = client.revision().value;
    before->disconnect();
    client.apply(store::Put{.key = node + "/a", .value = "v"});
    client.apply(store::Put{.key = node, .value = "v"});
    client.apply(store::Put{.key = node + "/b", .value = "v"});
    TestClient again(loop, *server);
    again.connect(before->session, before->password);
    again.send(-8, OpCode::SetWatches2, watches_of(seen, {node}, {}, {}).texts({}).texts({node}));
    Function<void(int)> later;
    later = [&](int left) {
      if (left > 0) return loop.post([&later, left] { later(left - 1); });
      client.apply(store::Put{.key = node + "/c", .value = "v"});
    };
    loop.post([&] { later(turns); });
    again.pump();
    std::vector<std::string> told = texts_of(again.take());
    std::erase(told, "answer -8");
    EXPECT_THAT(told, ElementsAre("1 " + node + "/a", "3 " + node, "1 " + node + "/b", "1 " + node + "/c")) << turns;
  }
}

TEST_F(ServerTest, WhatWasMissedIsToldOnlyToWhoMayReadIt) {
  const auto owner = join();
  const int64_t seen = client.revision().value;
  owner->call(OpCode::Auth, Record().i32(0).text("digest").text("u:p"));
  owner->call(OpCode::Create, create("/p"));
  owner->call(OpCode::Create, Record().text("/p/secret").text("").i32(1).acl(31, "auth", "").i32(0));
  owner->call(OpCode::SetData, set("/p/secret", "x"));
  const auto stranger = join();
  stranger->send(-8, OpCode::SetWatches2, watches_of(seen, {}, {}, {}).texts({"/p"}).texts({"/p"}));
  EXPECT_THAT(stranger->take_events(), ElementsAre("1 /p", "4 /p", "answer -8"));
  owner->send(-8, OpCode::SetWatches2, watches_of(seen, {}, {}, {}).texts({}).texts({"/p"}));
  EXPECT_THAT(owner->take_events(), ElementsAre("1 /p", "1 /p/secret", "3 /p/secret", "answer -8"));
}

TEST_F(ServerTest, WhatWasMissedIsToldNoFasterThanItIsRead) {
  restart({.socket_high = 2000, .max_unsent = 6000});
  const int64_t seen = client.revision().value;
  for (int i = 0; i < 1000; ++i) client.apply(store::Put{.key = fmt::format("/n{:04}", i), .value = "v"});
  client.history_changes = 10;
  const auto peer = join();
  peer->stick(true);
  peer->send(-8, OpCode::SetWatches2, watches_of(seen, {}, {}, {}).texts({}).texts({"/"}));
  peer->pump();
  EXPECT_FALSE(peer->closed());
  EXPECT_LT(peer->waiting(), 6000u);
  peer->stick(false);
  const std::vector<std::string> told = peer->take_events();
  ASSERT_EQ(told.size(), 1001u);
  for (size_t i = 0; i < 1000; ++i) EXPECT_EQ(told[i], fmt::format("1 /n{:04}", i));
}

TEST_F(ServerTest, WhereHistoryIsGonePersistentWatchesAreJustSet) {
  const auto writer = join();
  for (int i = 0; i < 5; ++i) writer->call(OpCode::Create, create("/n" + std::to_string(i)));
  client.apply(store::Compact{.revision = store::Revision(5)});
  const auto peer = join();
  peer->send(-8, OpCode::SetWatches2, watches_of(2, {}, {}, {}).texts({}).texts({"/"}));
  EXPECT_THAT(peer->take_events(), ElementsAre("answer -8"));
  writer->call(OpCode::Create, create("/m"));
  EXPECT_THAT(peer->take_events(), ElementsAre("1 /m"));
}

}  // namespace
}  // namespace witan::api::zookeeper
