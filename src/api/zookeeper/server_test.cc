// The server over bytes: what clients send through fake sockets into a real store, and back. Expected bytes are those
// of a running ZooKeeper 3.8.0, where zxids and times leave any to compare.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/zookeeper/password.h"
#include "api/zookeeper/server_testing.h"

namespace witan::api::zookeeper {
namespace {

using namespace testing;  // this room's
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- sessions -----------------------------------------------------------------------------------

TEST_F(ServerTest, ANewSessionIsAnsweredAsZookeeperDoes) {
  TestClient peer(loop, *server);
  const std::string answer = peer.connect();
  ASSERT_EQ(answer.size(), 37u);
  EXPECT_EQ(to_hex(answer.substr(0, 8)), "0000000000002710");
  EXPECT_EQ(static_cast<uint64_t>(peer.session) >> 56, 1u) << "the member's number";
  EXPECT_EQ(answer.substr(16, 4), from_hex("00000010"));
  const auto password = session_password(peer.session);
  EXPECT_EQ(answer.substr(20, 16), std::string(password.data(), password.size()));
  EXPECT_EQ(answer.back(), '\0');
}

TEST_F(ServerTest, OldClientsAreAnsweredWithoutTheReadOnlyByte) {
  TestClient peer(loop, *server);
  EXPECT_EQ(peer.connect_with(testing::connect_packet(0, {}, 10'000, 0, std::nullopt)).size(), 36u);
}

TEST_F(ServerTest, TimeoutsAreHeldBetweenTwoAndTwentyTicks) {
  for (const auto& [asked, granted] : {std::pair{1, 4000}, {5000, 5000}, {1'000'000, 40'000}, {-7, 4000}}) {
    TestClient peer(loop, *server);
    EXPECT_EQ(to_hex(peer.connect(0, {}, asked).substr(4, 4)), fmt::format("{:08x}", granted));
  }
}

TEST_F(ServerTest, ASessionMovesToTheConnectionThatShowsItsPassword) {
  const auto first = join();
  TestClient second(loop, *server);
  second.connect(first->session, first->password);
  EXPECT_EQ(second.session, first->session);
  first->pump();
  EXPECT_TRUE(first->closed());
  EXPECT_EQ(second.call(OpCode::Create, create("/a")).error, 0);
}

TEST_F(ServerTest, AWrongPasswordIsTheEndAndHarmsNobody) {
  const auto first = join();
  TestClient second(loop, *server);
  const std::string answer = second.connect(first->session, std::string(16, 'x'));
  EXPECT_EQ(to_hex(answer), "00000000000000000000000000000000000000100000000000000000000000000000000000");
  EXPECT_TRUE(second.closed());
  first->pump();
  EXPECT_FALSE(first->closed());
  EXPECT_EQ(first->call(OpCode::Ping).error, 0);
}

TEST_F(ServerTest, ASessionThatEndedIsNotTakenUpAgain) {
  const auto first = join();
  EXPECT_EQ(first->call(OpCode::CloseSession).error, 0);
  EXPECT_TRUE(first->closed());
  TestClient second(loop, *server);
  second.connect(first->session, first->password);
  EXPECT_EQ(second.session, 0);
  EXPECT_TRUE(second.closed());
}

TEST_F(ServerTest, AClientThatHasSeenMoreIsLeftToAnotherMember) {
  TestClient peer(loop, *server);
  EXPECT_EQ(peer.connect(0, {}, 10'000, 99), "");
  EXPECT_TRUE(peer.closed());
  EXPECT_EQ(server->statistics().stale_closed, 1u);
}

TEST_F(ServerTest, AConnectionWithoutASessionIsDroppedInTime) {
  TestClient peer(loop, *server);
  loop.advance(seconds(9));
  peer.pump();
  EXPECT_FALSE(peer.closed());
  loop.advance(seconds(1));
  peer.pump();
  EXPECT_TRUE(peer.closed());
}

TEST_F(ServerTest, ClosingASessionEndsItsEphemeralsAndTellsOthersFirst) {
  const auto mine = join();
  const auto other = join();
  mine->call(OpCode::Create, create("/e", "", 1));
  EXPECT_EQ(other->call(OpCode::Exists, read_of("/e", true)).error, 0);
  const Packet answer = mine->call(OpCode::CloseSession);
  EXPECT_EQ(answer.error, 0);
  EXPECT_TRUE(mine->closed());
  EXPECT_THAT(other->take_events(), ElementsAre("2 /e"));
}

TEST_F(ServerTest, AClosedConnectionKeepsItsSession) {
  auto mine = join();
  mine->call(OpCode::Create, create("/e", "", 1));
  mine->disconnect();
  TestClient again(loop, *server);
  again.connect(mine->session, mine->password);
  const Packet answer = again.call(OpCode::Exists, read_of("/e"));
  EXPECT_EQ(stat_at_end(answer).ephemeral_owner, again.session);
}

TEST_F(ServerTest, AnExpiredSessionClosesItsConnection) {
  const auto mine = join();
  client.apply(store::LeaseRevoke{.id = store::LeaseId(mine->session), .kind = store::LeaseKind::ZooKeeper});
  mine->pump();
  EXPECT_TRUE(mine->closed());
}

TEST_F(ServerTest, NoMoreConnectionsOfOneAddressThanAllowed) {
  restart({.max_connections_per_address = 2});
  server->share_addresses(tally);
  TestClient one(loop, *server, "10.0.0.1:1");
  TestClient two(loop, *server, "10.0.0.1:2");
  EXPECT_TRUE(TestClient(loop, *server, "10.0.0.1:3").closed());
  EXPECT_FALSE(TestClient(loop, *server, "10.0.0.2:1").closed());
  one.disconnect();
  EXPECT_FALSE(TestClient(loop, *server, "10.0.0.1:4").closed());
  EXPECT_EQ(server->statistics().connections_refused, 1u);
  server.reset();
  for (const auto& [address, count] : tally.counts) EXPECT_EQ(count, 0u) << address;
}

// Connections are dealt out to loops in turn, but they do not end in turn.
TEST_F(ServerTest, ConnectionsOfOneAddressAreCountedOverAllLoops) {
  restart({.max_connections_per_address = 3});
  server->share_addresses(tally);
  FakeClient other_client(loop);
  Server other(loop, other_client, {.max_connections_per_address = 3}, Logger());
  other.share_addresses(tally);
  TestClient one(loop, *server, "10.0.0.1:1");
  TestClient two(loop, *server, "10.0.0.1:2");
  TestClient three(loop, other, "10.0.0.1:3");
  EXPECT_FALSE(one.closed() || two.closed() || three.closed()) << "all of them, whichever loop they came to";
  EXPECT_TRUE(TestClient(loop, *server, "10.0.0.1:4").closed());
  EXPECT_TRUE(TestClient(loop, other, "10.0.0.1:5").closed());
  EXPECT_FALSE(TestClient(loop, other, "10.0.0.2:1").closed());
  one.disconnect();
  EXPECT_FALSE(TestClient(loop, other, "10.0.0.1:6").closed()) << "what ends on one loop makes room on all";
}

TEST_F(ServerTest, NoBoundIsNoBound) {
  restart({.max_connections_per_address = 0});
  server->share_addresses(tally);
  std::vector<std::unique_ptr<TestClient>> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back(std::make_unique<TestClient>(loop, *server, "10.0.0.1:1"));
    EXPECT_FALSE(many.back()->closed());
  }
}

// ---- requests -----------------------------------------------------------------------------------

TEST_F(ServerTest, NodesAreMadeReadChangedAndDeleted) {
  const auto peer = join();
  EXPECT_EQ(to_hex(peer->call(OpCode::Create, create("/a", "one")).body), "000000022f61");
  Packet answer = peer->call(OpCode::GetData, read_of("/a"));
  EXPECT_EQ(to_hex(answer.body.substr(0, 7)), "000000036f6e65");
  Stat stat = stat_at_end(answer);
  EXPECT_EQ(stat.czxid, 2);
  EXPECT_EQ(stat.mzxid, 2);
  EXPECT_EQ(stat.pzxid, 2);
  EXPECT_EQ(stat.version, 0);
  EXPECT_EQ(stat.data_length, 3);
  stat = stat_at_end(peer->call(OpCode::SetData, set("/a", "four", 0)));
  EXPECT_EQ(stat.version, 1);
  EXPECT_EQ(stat.mzxid, 3);
  EXPECT_EQ(peer->call(OpCode::SetData, set("/a", "x", 0)).error, -103);
  peer->call(OpCode::Create, create("/a/b"));
  answer = peer->call(OpCode::GetChildren2, read_of("/a"));
  EXPECT_EQ(to_hex(answer.body.substr(0, 9)), "000000010000000162");
  EXPECT_EQ(stat_at_end(answer).cversion, 1);
  EXPECT_EQ(peer->call(OpCode::Delete, remove("/a")).error, -111);
  EXPECT_EQ(peer->call(OpCode::Delete, remove("/a/b")).error, 0);
  stat = stat_at_end(peer->call(OpCode::Exists, read_of("/a")));
  EXPECT_EQ(stat.cversion, 2);
  EXPECT_EQ(stat.num_children, 0);
  EXPECT_EQ(stat.pzxid, 5);
  EXPECT_EQ(peer->call(OpCode::Delete, remove("/a", 1)).error, 0);
  EXPECT_EQ(peer->call(OpCode::Exists, read_of("/a")).error, -101);
}

TEST_F(ServerTest, NullDataIsNotEmptyData) {
  const auto peer = join();
  peer->call(OpCode::Create, Record().text("/n").null().open_acl().i32(0));
  const Packet answer = peer->call(OpCode::GetData, read_of("/n"));
  EXPECT_EQ(to_hex(answer.body.substr(0, 4)), "ffffffff");
  EXPECT_EQ(stat_at_end(answer).data_length, 0);
}

TEST_F(ServerTest, SequentialNamesCountAllChildren) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  EXPECT_EQ(peer->call(OpCode::Create, create("/a/s-", "", 2)).body.substr(4), "/a/s-0000000000");
  EXPECT_EQ(peer->call(OpCode::Create, create("/a/s-", "", 2)).body.substr(4), "/a/s-0000000001");
  peer->call(OpCode::Create, create("/a/plain"));
  EXPECT_EQ(peer->call(OpCode::Create, create("/a/s-", "", 3)).body.substr(4), "/a/s-0000000003");
  EXPECT_EQ(peer->call(OpCode::Create, create("/a/", "", 2)).body.substr(4), "/a/0000000004");
}

TEST_F(ServerTest, ContainersAndTtlNodesShowNoOwner) {
  const auto peer = join();
  EXPECT_EQ(stat_at_end(peer->call(OpCode::CreateContainer, create("/c", "", 4))).ephemeral_owner, 0);
  EXPECT_EQ(stat_at_end(peer->call(OpCode::CreateTtl, create("/t", "", 5).i64(5000))).ephemeral_owner, 0);
  EXPECT_EQ(peer->call(OpCode::CreateTtl, create("/u", "", 5).i64(0)).error, -8);
}

TEST_F(ServerTest, ErrorsHaveTheirCodesInZookeepersOrder) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/e", "", 1));
  EXPECT_EQ(peer->call(OpCode::Create, create("/e/child")).error, -108);
  EXPECT_EQ(peer->call(OpCode::Create, create("/b/")).error, -101);
  EXPECT_EQ(peer->call(OpCode::Create, create("/")).error, -110);
  EXPECT_EQ(peer->call(OpCode::Delete, remove("/")).error, -8);
  EXPECT_EQ(peer->call(OpCode::Create, create("/x", "", 9)).error, -8);
  EXPECT_EQ(peer->call(OpCode::Create, Record().text("/x").text("").i32(0).i32(0)).error, -114);
  EXPECT_EQ(peer->call(OpCode::Create, Record().text("/x").text("").i32(1).acl(31, "auth", "").i32(0)).error, -114);
  EXPECT_EQ(peer->call(OpCode::Create, create("/e")).error, -110);
  EXPECT_EQ(peer->call(OpCode::Reconfig, Record().null().null().null().i64(-1)).error, -123);
  EXPECT_EQ(peer->call(OpCode::Create, Record().i32(1000)).error, -5) << "the connection lives on";
  EXPECT_EQ(peer->call(OpCode::Exists, read_of("/e")).error, 0);
}

TEST_F(ServerTest, UnknownRequestsAreAnsweredOnceAndLast) {
  for (const OpCode op : {OpCode{77}, OpCode::Check}) {
    const auto peer = join();
    const Packet answer = peer->call(op, remove("/x"));
    EXPECT_EQ(answer.error, -6);
    EXPECT_EQ(answer.zxid, -1);
    EXPECT_TRUE(peer->closed());
  }
}

TEST_F(ServerTest, AMultiIsOneChange) {
  const auto peer = join();
  const Packet answer = peer->call(OpCode::Multi, Record()
                                                      .bytes(part(OpCode::Create, create("/m1")).done())
                                                      .bytes(part(OpCode::Create, create("/m2")).done())
                                                      .bytes(part(OpCode::SetData, set("/m1", "12345")).done())
                                                      .bytes(part(OpCode::Check, remove("/m2", 0)).done())
                                                      .bytes(part(OpCode::Delete, remove("/m2")).done())
                                                      .bytes(last_part().done()));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.zxid, 2);
  EXPECT_EQ(to_hex(answer.body.substr(0, 45)),
            "000000010000000000000000032f6d31000000010000000000000000032f6d32000000050000000000"
            "00000000");
  EXPECT_EQ(to_hex(answer.body.substr(answer.body.size() - 27)),
            "0000000d0000000000000000020000000000ffffffff01ffffffff");
}

TEST_F(ServerTest, AMultiThatFailsChangesNothing) {
  const auto peer = join();
  const Packet answer = peer->call(OpCode::Multi, Record()
                                                      .bytes(part(OpCode::Create, create("/m3")).done())
                                                      .bytes(part(OpCode::Delete, remove("/nope")).done())
                                                      .bytes(part(OpCode::Create, create("/m4")).done())
                                                      .bytes(last_part().done()));
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(to_hex(answer.body),
            "ffffffff000000000000000000ffffffff00ffffff9bffffff9bffffffff00fffffffefffffffeffffffff01ffffffff");
  EXPECT_EQ(peer->call(OpCode::Exists, read_of("/m3")).error, -101);
  EXPECT_EQ(to_hex(peer->call(OpCode::Multi, last_part()).body), "ffffffff01ffffffff");
}

TEST_F(ServerTest, AnErrorInsideAMultiKeepsItsPlace) {
  const auto peer = join();
  const Packet answer = peer->call(OpCode::Multi, Record()
                                                      .bytes(part(OpCode::Create, create("/m3")).done())
                                                      .bytes(part(OpCode::Create, create("/m4", "", 9)).done())
                                                      .bytes(last_part().done()));
  EXPECT_EQ(to_hex(answer.body), "ffffffff000000000000000000ffffffff00fffffff8fffffff8ffffffff01ffffffff");
}

TEST_F(ServerTest, AMultiReadAnswersEachPart) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  const Packet answer = peer->call(OpCode::MultiRead, Record()
                                                          .bytes(part(OpCode::GetData, read_of("/a")).done())
                                                          .bytes(part(OpCode::GetChildren, read_of("/nope")).done())
                                                          .bytes(last_part().done()));
  EXPECT_EQ(to_hex(answer.body.substr(0, 14)), "0000000400000000000000000178");
  EXPECT_EQ(to_hex(answer.body.substr(14 + kStatBytes)), "ffffffff00ffffff9bffffff9bffffffff01ffffffff");
}

TEST_F(ServerTest, IdentitiesAreProvedAndListed) {
  const auto peer = join();
  EXPECT_EQ(peer->call(OpCode::Auth, Record().i32(0).text("digest").text("u:p")).zxid, 0);
  EXPECT_EQ(to_hex(peer->call(OpCode::WhoAmI).body),
            "00000002000000026970000000093132372e302e302e31000000066469676573740000000175");
  const Packet refused = peer->call(OpCode::Auth, Record().i32(0).text("nonsense").text(""));
  EXPECT_EQ(refused.error, -115);
  EXPECT_TRUE(peer->closed());
}

TEST_F(ServerTest, AccessListsAreKeptAndObeyed) {
  const auto mine = join();
  const auto other = join();
  mine->call(OpCode::Auth, Record().i32(0).text("digest").text("u:p"));
  mine->call(OpCode::Create, Record().text("/p").text("").i32(1).acl(31, "auth", "").i32(0));
  EXPECT_EQ(other->call(OpCode::GetData, read_of("/p")).error, -102);
  EXPECT_EQ(other->call(OpCode::SetData, set("/p", "x")).error, -102);
  EXPECT_EQ(mine->call(OpCode::GetData, read_of("/p")).error, 0);
  EXPECT_EQ(mine->call(OpCode::SetAcl, Record().text("/p").i32(1).acl(1, "world", "anyone").i32(0)).error, 0);
  const Packet answer = other->call(OpCode::GetAcl, Record().text("/p"));
  EXPECT_EQ(to_hex(answer.body.substr(0, 27)), "000000010000000100000005776f726c6400000006616e796f6e65");
  EXPECT_EQ(stat_at_end(answer).aversion, 1);
}

TEST_F(ServerTest, HashesAreForAdministratorsOnly) {
  const auto mine = join();
  const auto other = join();
  mine->call(OpCode::Auth, Record().i32(0).text("digest").text("u:p"));
  Record acl = Record().text("/p").text("").i32(2).acl(31, "auth", "").acl(1, "world", "anyone").i32(0);
  mine->call(OpCode::Create, acl);
  EXPECT_NE(mine->call(OpCode::GetAcl, Record().text("/p")).body.find("u:"), std::string::npos);
  EXPECT_EQ(mine->call(OpCode::GetAcl, Record().text("/p")).body.find("u:x"), std::string::npos);
  EXPECT_NE(other->call(OpCode::GetAcl, Record().text("/p")).body.find("u:x"), std::string::npos);
}

TEST_F(ServerTest, TheSuperuserMayDoEverything) {
  restart({.super_digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="});  // the digest of super:test
  const auto mine = join();
  mine->call(OpCode::Create, Record().text("/p").text("").i32(1).acl(0, "world", "anyone").i32(0));
  EXPECT_EQ(mine->call(OpCode::SetData, set("/p", "x")).error, -102);
  mine->call(OpCode::Auth, Record().i32(0).text("digest").text("super:test"));
  EXPECT_EQ(mine->call(OpCode::SetData, set("/p", "x")).error, 0);
  mine->call(OpCode::Create, Record().text("/q").text("").i32(1).acl(31, "auth", "").i32(0));
  const std::string acl = mine->call(OpCode::GetAcl, Record().text("/q")).body;
  EXPECT_EQ(to_hex(acl.substr(0, 18)), "000000010000001f00000006646967657374")
      << "the digest, and nothing of \"super\"";
}

TEST_F(ServerTest, EphemeralsAndDescendantsAreCounted) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::Create, create("/a/e", "", 1));
  peer->call(OpCode::Create, create("/f", "", 1));
  EXPECT_EQ(to_hex(peer->call(OpCode::GetEphemerals, Record().text("/a")).body), "00000001000000042f612f65");
  EXPECT_EQ(to_hex(peer->call(OpCode::GetEphemerals, Record().null()).body), "00000002000000042f612f65000000022f66");
  EXPECT_EQ(to_hex(peer->call(OpCode::GetAllChildrenNumber, Record().text("/a")).body), "00000001");
  EXPECT_EQ(to_hex(peer->call(OpCode::GetAllChildrenNumber, Record().text("/")).body), "00000006");
  EXPECT_EQ(to_hex(peer->call(OpCode::GetAllChildrenNumber, Record().text("")).body), "00000007") << "and the root";
}

TEST_F(ServerTest, SyncSaysItsPathAgain) {
  const auto peer = join();
  EXPECT_EQ(to_hex(peer->call(OpCode::Sync, Record().text("/")).body), "000000012f");
}

// ---- order --------------------------------------------------------------------------------------

TEST_F(ServerTest, WhatIsSentBehindTheHandshakeIsAnsweredBehindIt) {
  TestClient peer(loop, *server);
  peer.write(testing::connect_packet(0, {}, 10'000, 0, false));
  peer.send(-4, OpCode::Auth, Record().i32(0).text("digest").text("u:p"));
  peer.send(-8, OpCode::SetWatches, watches_of(0, {}, {}, {}));
  peer.send(1, OpCode::GetData, read_of("/"));
  peer.send(-2, OpCode::Ping);
  peer.pump();
  const std::string bytes = peer.take_bytes();
  EXPECT_EQ(to_hex(bytes.substr(0, 4)), "00000025");
  EXPECT_EQ(to_hex(bytes.substr(41, 8)), "00000010fffffffc");
  EXPECT_EQ(to_hex(bytes.substr(61, 8)), "00000010fffffff8");
  EXPECT_EQ(to_hex(bytes.substr(81, 8)), "0000005800000001");
  EXPECT_EQ(to_hex(bytes.substr(173, 8)), "00000010fffffffe");
}

TEST_F(ServerTest, RepliesKeepTheOrderOfRequestsWhateverTheyWaitFor) {
  const auto peer = join();
  client.held = true;
  peer->send(1, OpCode::Create, create("/a"));
  peer->send(2, OpCode::Create, create("/a", "", 9));  // refused at once
  peer->send(3, OpCode::GetData, read_of("/a"));
  peer->send(-2, OpCode::Ping);
  peer->send(4, OpCode::Sync, Record().text("/"));
  peer->send(5, OpCode::WhoAmI);
  peer->send(6, OpCode::Delete, remove("/a"));
  peer->pump();
  EXPECT_THAT(peer->take(), IsEmpty());
  client.release();
  peer->pump();
  const std::vector<Packet> packets = peer->take();
  EXPECT_THAT(xids(packets), ElementsAre(1, 2, 3, -2, 4, 5, 6));
  EXPECT_EQ(packets[2].error, 0) << "a read sees the write before it";
  for (size_t i = 1; i < packets.size(); ++i) EXPECT_GE(packets[i].zxid, packets[i - 1].zxid);
}

TEST_F(ServerTest, NothingOvertakesASync) {
  const auto peer = join();
  client.held = true;
  peer->send(OpCode::Sync, Record().text("/"));
  peer->send(OpCode::GetData, read_of("/"));
  peer->pump();
  EXPECT_EQ(client.reads_local, 0u);
  client.release();
  peer->pump();
  EXPECT_EQ(client.reads_local, 1u);
  EXPECT_THAT(xids(peer->take()), ElementsAre(1, 2));
}

TEST_F(ServerTest, AWriteOfUnknownOutcomeCostsTheConnectionInItsPlace) {
  const auto peer = join();
  client.held = true;
  peer->send(1, OpCode::Create, create("/a"));
  peer->pump();
  client.next_outcome = node::Unknown{};
  peer->send(2, OpCode::Create, create("/b"));
  peer->pump();
  client.release();
  peer->pump();
  EXPECT_THAT(xids(peer->take()), ElementsAre(1));
  EXPECT_TRUE(peer->closed());
}

TEST_F(ServerTest, AClientThatAsksTooMuchIsReadNoFurther) {
  restart({.max_outstanding = 4});
  const auto peer = join();
  client.held = true;
  for (int i = 0; i < 10; ++i) peer->send(OpCode::Exists, read_of("/"));
  peer->pump();
  EXPECT_EQ(client.reads_local, 4u);
  EXPECT_TRUE(peer->paused());
  client.release();
  peer->pump();
  EXPECT_EQ(peer->take().size(), 10u);
  EXPECT_FALSE(peer->paused());
}

TEST_F(ServerTest, AClientThatDoesNotReadIsReadNoFurther) {
  restart({.socket_high = 10'000});
  const auto peer = join();
  peer->call(OpCode::Create, create("/a", std::string(5000, 'v')));
  peer->stick(true);
  for (int i = 0; i < 10; ++i) peer->send(OpCode::GetData, read_of("/a"));
  peer->pump();
  EXPECT_TRUE(peer->paused());
  EXPECT_LT(peer->waiting(), 60'000u);
  peer->stick(false);
  peer->pump();
  EXPECT_EQ(peer->take().size(), 10u);
}

TEST_F(ServerTest, BytesMayComeInCrumbs) {
  TestClient peer(loop, *server);
  std::string bytes = testing::connect_packet(0, {}, 10'000, 0, false);
  bytes += testing::request_packet(1, OpCode::Create, create("/a").done());
  bytes += testing::request_packet(2, OpCode::Exists, read_of("/a").done());
  for (const char byte : bytes) {
    peer.write(std::string(1, byte));
    peer.pump();
  }
  EXPECT_EQ(peer.take_bytes().size(), 41u + 26u + 88u);
}

TEST_F(ServerTest, AnImpossibleLengthClosesWithoutAWord) {
  const auto peer = join();
  peer->write(from_hex("001e8480"));
  peer->pump();
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(peer->take_bytes(), "");
}

// ---- liveness -----------------------------------------------------------------------------------

TEST_F(ServerTest, APingWaitsForTheLeader) {
  const auto peer = join();
  client.leader_is_silent = true;
  peer->send(-2, OpCode::Ping);
  peer->pump();
  loop.advance(milliseconds(1));
  peer->pump();
  EXPECT_THAT(peer->take(), IsEmpty());
  client.answer_renewals();
  peer->pump();
  EXPECT_THAT(xids(peer->take()), ElementsAre(-2));
  EXPECT_THAT(client.renewals.back(), ElementsAre(store::LeaseId(peer->session)));
}

// Its leader may be ending it just now.
TEST_F(ServerTest, APingIsNotAnsweredOnAnotherSessionsReport) {
  const auto silent = join();
  const auto lively = join();
  silent->call(OpCode::Exists, read_of("/"));
  loop.advance(seconds(3));
  lively->call(OpCode::Exists, read_of("/"));
  loop.advance(milliseconds(1));
  client.leader_is_silent = true;
  silent->send(-2, OpCode::Ping);
  lively->send(-2, OpCode::Ping);
  silent->pump();
  lively->pump();
  EXPECT_THAT(silent->take(), IsEmpty());
  EXPECT_THAT(xids(lively->take()), ElementsAre(-2));
  loop.advance(seconds(1));
  client.answer_renewals();
  silent->pump();
  EXPECT_THAT(xids(silent->take()), ElementsAre(-2));
}

TEST_F(ServerTest, WhatIsBehindAPingThatWaitsHappensBehindIt) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::GetData, read_of("/a", true));
  loop.advance(seconds(1));
  client.leader_is_silent = true;
  peer->send(-2, OpCode::Ping);
  peer->send(7, OpCode::SetData, set("/a", "y"));
  peer->pump();
  loop.advance(milliseconds(1));
  peer->pump();
  EXPECT_THAT(peer->take(), IsEmpty());
  client.answer_renewals();
  peer->pump();
  EXPECT_THAT(xids(peer->take()), ElementsAre(-2, -1, 7)) << "not even its event comes earlier";
}

TEST_F(ServerTest, APingDoesNotWaitForTheNextRegularReport) {
  const auto lively = join();
  const auto silent = join();
  loop.advance(seconds(1));
  lively->call(OpCode::Exists, read_of("/"));
  loop.advance(milliseconds(1));
  silent->send(-2, OpCode::Ping);
  silent->pump();
  EXPECT_THAT(silent->take(), IsEmpty());
  loop.advance(milliseconds(10));
  silent->pump();
  EXPECT_THAT(xids(silent->take()), ElementsAre(-2));
}

// A report that fails is made again, but not for those whose connections have been closed meanwhile.
TEST_F(ServerTest, WhoWasCutOffIsNotReportedLater) {
  const auto peer = join(4000);
  loop.advance(seconds(1));
  client.leader_is_silent = true;
  peer->call(OpCode::Exists, read_of("/"));
  loop.advance(seconds(3));
  peer->pump();
  EXPECT_TRUE(peer->closed());
  const size_t reports = client.renewals.size();
  client.next_refusal = node::NotApplied{node::Refusal::NoLeader, ""};
  client.answer_renewals();
  loop.advance(seconds(3));
  EXPECT_EQ(client.renewals.size(), reports);
}

TEST_F(ServerTest, SessionsAreReportedTogetherAndNotMoreOftenThanNeeded) {
  const auto one = join();
  const auto two = join();
  for (int i = 0; i < 100; ++i) {
    one->call(OpCode::Exists, read_of("/"));
    two->call(OpCode::Exists, read_of("/"));
    loop.advance(milliseconds(10));
  }
  EXPECT_LE(client.renewals.size(), 4u);
  EXPECT_THAT(client.renewals.back(),
              ::testing::UnorderedElementsAre(store::LeaseId(one->session), store::LeaseId(two->session)));
  const size_t reports = client.renewals.size();
  loop.advance(seconds(3));
  EXPECT_LE(client.renewals.size(), reports + 1) << "silence is not reported";
}

TEST_F(ServerTest, ALoopThatIsCutOffLetsItsSessionsGo) {
  const auto peer = join(4000);
  client.leader_is_silent = true;
  peer->call(OpCode::Exists, read_of("/"));
  loop.advance(milliseconds(1900));
  peer->pump();
  EXPECT_FALSE(peer->closed());
  loop.advance(milliseconds(200));
  peer->pump();
  EXPECT_TRUE(peer->closed());
}

TEST_F(ServerTest, WhoeverCanWaitForTheLeaderDoes) {
  const auto hasty = join(4000);
  const auto patient = join(20'000);
  client.leader_is_silent = true;
  hasty->call(OpCode::Exists, read_of("/"));
  patient->send(-2, OpCode::Ping);
  loop.advance(milliseconds(9'000));
  hasty->pump();
  patient->pump();
  EXPECT_TRUE(hasty->closed());
  EXPECT_FALSE(patient->closed());
  client.leader_is_silent = false;
  client.answer_renewals();
  patient->pump();
  EXPECT_THAT(xids(patient->take()), ElementsAre(-2));
  loop.advance(seconds(60));
  patient->pump();
  EXPECT_FALSE(patient->closed()) << "what was acknowledged is forgotten";
}

TEST_F(ServerTest, NobodyWaitsForTheLeaderLongerThanTheSessionCan) {
  const auto patient = join(20'000);
  client.leader_is_silent = true;
  patient->call(OpCode::Exists, read_of("/"));
  loop.advance(milliseconds(8'900));
  patient->pump();
  EXPECT_FALSE(patient->closed());
  loop.advance(milliseconds(1'200));
  patient->pump();
  EXPECT_TRUE(patient->closed());
}

TEST_F(ServerTest, ASessionThatTheLeaderDoesNotKnowIsClosed) {
  const auto peer = join();
  client.store().apply(client.store().applied_index() + 1'000'000,
                       store::Command{.header = {},
                                      .body = store::LeaseRevoke{.id = store::LeaseId(peer->session),
                                                                 .kind = store::LeaseKind::ZooKeeper}},
                       false);
  peer->send(OpCode::Exists, read_of("/"));
  peer->pump();
  loop.advance(seconds(1));
  peer->pump();
  EXPECT_TRUE(peer->closed());
}

// ---- without a leader ---------------------------------------------------------------------------

TEST_F(ServerTest, ReadersAreServedWithoutALeader) {
  restart({.read_only = true});
  const auto writer = join();
  writer->call(OpCode::Create, create("/a"));
  client.set_view({.leader = 0, .term = 4, .number = 1});
  loop.advance(seconds(3));
  writer->pump();
  EXPECT_TRUE(writer->closed());
  EXPECT_EQ(server->mode(), "ro");
  TestClient refused(loop, *server);
  refused.connect();
  EXPECT_TRUE(refused.closed());
  TestClient reader(loop, *server);
  EXPECT_EQ(reader.connect_with(testing::connect_packet(0, {}, 10'000, 0, true)).back(), '\1');
  EXPECT_EQ(reader.call(OpCode::GetData, read_of("/a")).error, 0);
  EXPECT_EQ(reader.call(OpCode::Create, create("/b")).error, -119);
  EXPECT_EQ(reader.call(OpCode::Sync, Record().text("/")).error, -119);
  EXPECT_EQ(reader.call(OpCode::Ping).error, 0);
  client.set_view({.leader = 7, .term = 5, .number = 1});
  reader.pump();
  EXPECT_TRUE(reader.closed());
  EXPECT_EQ(server->mode(), "rw");
}

// ---- roots --------------------------------------------------------------------------------------

TEST_F(ServerTest, ClientsOfARootSeeNothingElse) {
  restart({.root = "/zk"});
  client.apply(store::Put{.key = "/zk", .value = "root"});
  client.apply(store::Put{.key = "/zkother", .value = "x"});
  const auto peer = join();
  peer->call(OpCode::AddWatch, Record().text("/").i32(1));
  EXPECT_EQ(peer->call(OpCode::Create, create("/a")).body.substr(4), "/a");
  EXPECT_EQ(peer->call(OpCode::Create, create("/a/s", "", 3)).body.substr(4), "/a/s0000000000");
  EXPECT_TRUE(client.store().node_exists("/zk/a"));
  EXPECT_EQ(peer->call(OpCode::GetData, read_of("/")).body.substr(4, 4), "root");
  EXPECT_EQ(to_hex(peer->call(OpCode::GetChildren, read_of("/")).body), "000000010000000161");
  EXPECT_EQ(peer->call(OpCode::GetEphemerals, Record().null()).body.substr(8), "/a/s0000000000");
  EXPECT_EQ(peer->call(OpCode::Exists, read_of("zkother")).error, -101);
  client.apply(store::Put{.key = "/zkother", .value = "y"});
  EXPECT_THAT(peer->take_events(), ElementsAre("1 /a", "1 /a/s0000000000"));
}

// ---- operators ----------------------------------------------------------------------------------

class Words final : public FourLetterWords {
 public:
  void answer(std::string_view word, Function<void(std::optional<std::string>)> done) override {
    if (word == "ruok") return done("imok");
    done(std::nullopt);
  }
};

TEST_F(ServerTest, FourLettersAreAnsweredAndTheConnectionCloses) {
  Words words;
  server->serve_words(words);
  TestClient peer(loop, *server);
  peer.write("ruok");
  peer.pump();
  EXPECT_EQ(peer.take_bytes(), "imok");
  EXPECT_TRUE(peer.closed());
  TestClient other(loop, *server);
  other.write("nope\n");
  other.pump();
  EXPECT_EQ(other.take_bytes(), "");
  EXPECT_TRUE(other.closed());
}

TEST_F(ServerTest, EverythingIsCounted) {
  const auto peer = join();
  peer->call(OpCode::GetData, read_of("/", true));
  const ServerStatistics server_now = server->statistics();
  EXPECT_EQ(server_now.connections, 1u);
  EXPECT_EQ(server_now.sessions, 1u);
  EXPECT_EQ(server_now.received, 2u);
  EXPECT_EQ(server_now.sent, 2u);
  EXPECT_EQ(server_now.watches, 1u);
  const ConnectionStatistics one = server->connection_statistics().at(0);
  EXPECT_EQ(one.session.value, peer->session);
  EXPECT_EQ(one.timeout_ms, 10'000);
  EXPECT_EQ(one.last_operation, "GETD");
  EXPECT_EQ(one.last_xid, 1);
  EXPECT_EQ(one.latency.count, 1);
  server->reset_statistics();
  EXPECT_EQ(server->statistics().received, 0u);
}

TEST_F(ServerTest, StoppingClosesEveryConnection) {
  const auto peer = join();
  TestClient fresh(loop, *server);
  bool stopped = false;
  server->stop([&] { stopped = true; });
  peer->pump();
  fresh.pump();
  loop.run();
  EXPECT_TRUE(peer->closed());
  EXPECT_TRUE(stopped);
  EXPECT_TRUE(TestClient(loop, *server).closed());
}

}  // namespace
}  // namespace witan::api::zookeeper
