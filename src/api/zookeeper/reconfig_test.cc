// The membership as clients see it and change it. What is compared with codes and orders is what a running ZooKeeper
// 3.8.0 answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/zookeeper/server_testing.h"

namespace witan::api::zookeeper {
namespace {

using namespace testing;  // this room's
using node::MemberInfo;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kConfig = "/zookeeper/config";
constexpr std::string_view kThree =
    "server.1=h1:2380:0:participant;h1:2181\n"
    "server.2=h2:2380:0:participant;h2:2181\n"
    "server.3=h3:2380:0:participant;h3:2181\n"
    "version=1";

MemberInfo member(uint32_t number) {
  return {.id = number,
          .name = fmt::format("n{}", number),
          .peer_urls = {fmt::format("http://h{}:2380", number)},
          .client_urls = {},
          .number = number,
          .zookeeper = fmt::format("h{}:2181", number)};
}

Record reconfig(JuteText joining, JuteText leaving, JuteText members = {}, int64_t version = -1) {
  Record record;
  for (const JuteText& text : {joining, leaving, members}) text ? record.text(*text) : record.null();
  return record.i64(version);
}

std::string data_of(const Packet& packet) {
  JuteReader r(packet.body);
  return std::string(r.text_or_empty());
}

class ReconfigTest : public ServerTest {
 protected:
  ReconfigTest() {
    restart({.super_digest = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=", .reconfig = true});  // the digest of super:test
    client.set_members({member(1), member(2), member(3)});
  }
  std::unique_ptr<TestClient> join_as_superuser() {
    auto peer = join();
    EXPECT_EQ(peer->call(OpCode::Auth, Record().i32(0).text("digest").text("super:test")).error, 0);
    return peer;
  }
  static std::string config(TestClient& peer, bool watch = false) {
    return data_of(peer.call(OpCode::GetData, read_of(kConfig, watch)));
  }
};

TEST_F(ReconfigTest, TheMembershipIsANodeWithTheStatThatZookeeperGivesIt) {
  const auto peer = join();
  const Packet answer = peer->call(OpCode::GetData, read_of(kConfig));
  EXPECT_EQ(data_of(answer), kThree);
  const Stat stat = stat_at_end(answer);
  EXPECT_EQ(stat, (Stat{.mzxid = 1,
                        .mtime = client.view().members_changed.ms,
                        .version = -1,
                        .aversion = -1,
                        .data_length = static_cast<int32_t>(kThree.size())}));
  for (const OpCode op : {OpCode::Exists, OpCode::GetChildren2}) {
    EXPECT_EQ(stat_at_end(peer->call(op, read_of(kConfig))), stat);
  }
  EXPECT_EQ(stat_at_end(peer->call(OpCode::GetAcl, Record().text(kConfig))), stat);
  const Packet many = peer->call(OpCode::MultiRead, Record()
                                                        .bytes(part(OpCode::GetData, read_of("/")).done())
                                                        .bytes(part(OpCode::GetData, read_of(kConfig)).done())
                                                        .bytes(last_part().done()));
  EXPECT_NE(many.body.find(kThree), std::string::npos);
}

TEST_F(ReconfigTest, WhoWatchesTheMembershipHearsOnceOfAChange) {
  const auto once = join();
  const auto always = join();
  config(*once, true);
  always->call(OpCode::AddWatch, Record().text("/").i32(1));
  client.set_members({member(1), member(2)});
  once->pump();
  const std::vector<Packet> packets = once->take();
  EXPECT_THAT(texts_of(packets), ElementsAre("3 /zookeeper/config"));
  EXPECT_EQ(packets[0].zxid, client.revision().value);
  EXPECT_THAT(always->take_events(), ElementsAre("3 /zookeeper/config"));
  EXPECT_EQ(config(*once), std::string(kThree.substr(0, 78)) + "version=2");
  client.set_view({.leader = 3, .term = 9, .number = 1, .members_version = 2});
  EXPECT_THAT(once->take_events(), IsEmpty());
  EXPECT_THAT(always->take_events(), IsEmpty()) << "another leader is no change of the membership";
}

TEST_F(ReconfigTest, AWatchThatComesAlongAlwaysFires) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->send(-8, OpCode::SetWatches, watches_of(client.revision().value, {"/a", std::string(kConfig)}, {}, {}));
  EXPECT_THAT(peer->take_events(), ElementsAre("3 /zookeeper/config", "answer -8"));
}

TEST_F(ReconfigTest, WhoMayNotReadTheMembershipDoesNotHearOfIt) {
  const auto other = join();
  other->call(OpCode::AddWatch, Record().text(kConfig).i32(0));
  const auto peer = join_as_superuser();
  EXPECT_EQ(peer->call(OpCode::SetAcl, Record().text(kConfig).i32(1).acl(31, "digest", "u:x").i32(-1)).error, 0);
  client.set_members({member(1)});
  EXPECT_THAT(other->take_events(), IsEmpty());
  EXPECT_EQ(other->call(OpCode::GetData, read_of(kConfig)).error, -102);
}

TEST_F(ReconfigTest, TheMembershipIsChangedInOneRequest) {
  const auto peer = join_as_superuser();
  config(*peer, true);
  peer->send(7, OpCode::Reconfig, reconfig("server.5=h5:2380:3888:observer;h5:2181", "2,3", {}, 1));
  peer->send(8, OpCode::GetData, read_of(kConfig));
  peer->pump();
  const std::vector<Packet> packets = peer->take();
  EXPECT_THAT(texts_of({packets[0]}), ElementsAre("3 /zookeeper/config"));
  EXPECT_THAT(xids(packets), ElementsAre(-1, 7, 8)) << "the event comes before what shows the change";
  const std::string now = "server.1=h1:2380:0:participant;h1:2181\nserver.5=h5:2380:3888:observer;h5:2181\nversion=2";
  EXPECT_EQ(data_of(packets[1]), now);
  EXPECT_EQ(stat_at_end(packets[1]).mzxid, 2);
  EXPECT_EQ(packets[2].body, packets[1].body);
  EXPECT_THAT(client.calls, ElementsAre("replace -2 -3 +5"));
  EXPECT_EQ(data_of(peer->call(OpCode::Reconfig, reconfig({}, {}, "server.1=h1:2380:0:participant;h1:2181"))),
            "server.1=h1:2380:0:participant;h1:2181\nversion=3");
}

TEST_F(ReconfigTest, AChangeThatThisMemberHearsOfLaterIsShownAtOnce) {
  const auto peer = join_as_superuser();
  const auto other = join();
  config(*other, true);
  client.members_told_late = true;
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig({}, "3")).error, 0);
  EXPECT_THAT(other->take_events(), ElementsAre("3 /zookeeper/config"));
  EXPECT_NE(config(*other, true).find("version=2"), std::string::npos);
  client.set_view(client.next_view);
  EXPECT_THAT(other->take_events(), IsEmpty()) << "that is no news any more";
}

TEST_F(ReconfigTest, ThePermissionIsThatToWriteTheNode) {
  const auto peer = join();
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig({}, "3")).error, -102);
  const auto super = join_as_superuser();
  EXPECT_EQ(super->call(OpCode::SetData, set(kConfig, "x")).error, -8) << "it has no value of its own";
  EXPECT_EQ(super->call(OpCode::SetAcl, Record().text(kConfig).i32(1).acl(2, "world", "anyone").i32(-1)).error, 0);
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig({}, "3")).error, 0);
  EXPECT_THAT(client.calls, ElementsAre("replace -3"));
}

TEST_F(ReconfigTest, RefusalsComeInZookeepersOrder) {
  const auto peer = join();
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig("hello", {}, {}, 5)).error, -103);
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig("hello", {}, {}, 1)).error, -8);
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig({}, "x")).error, -5);
  EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig({}, {})).error, -102);
  EXPECT_THAT(client.calls, IsEmpty());
  restart({});
  EXPECT_EQ(join()->call(OpCode::Reconfig, reconfig("hello", {}, {}, 5)).error, -123);
}

TEST_F(ReconfigTest, WhatTheMembersRefuseHasACodeOrCostsTheConnection) {
  using node::MemberFailure;
  const auto peer = join_as_superuser();
  for (const auto& [failure, code] : {std::pair{MemberFailure::VersionMismatch, -103},
                                      {MemberFailure::ChangeInProgress, -14},
                                      {MemberFailure::NotEnoughStarted, -13},
                                      {MemberFailure::Unhealthy, -13},
                                      {MemberFailure::LearnerNotReady, -13},
                                      {MemberFailure::NotFound, -8},
                                      {MemberFailure::IdExists, -8},
                                      {MemberFailure::PeerUrlExists, -8},
                                      {MemberFailure::BadUrls, -8},
                                      {MemberFailure::NotLearner, -8},
                                      {MemberFailure::TooManyLearners, -8},
                                      {MemberFailure::NumbersUsedUp, -8}}) {
    client.next_member_failure = failure;
    EXPECT_EQ(peer->call(OpCode::Reconfig, reconfig({}, "3")).error, code);
  }
  for (const MemberFailure failure : {MemberFailure::NoLeader, MemberFailure::Timeout, MemberFailure::Stopping}) {
    const auto unlucky = join_as_superuser();
    client.next_member_failure = failure;
    unlucky->send(OpCode::Reconfig, reconfig({}, "3"));
    unlucky->pump();
    EXPECT_TRUE(unlucky->closed());
    EXPECT_THAT(unlucky->take(), IsEmpty());
  }
}

TEST_F(ReconfigTest, NothingBehindItBeginsBeforeItIsAnswered) {
  const auto peer = join_as_superuser();
  client.held = true;
  peer->send(7, OpCode::Create, create("/a"));
  peer->send(8, OpCode::Reconfig, reconfig({}, "3"));
  peer->send(9, OpCode::Create, create("/b"));
  peer->pump();
  EXPECT_EQ(client.proposals, 2u) << "the session and the first node";
  client.release();
  peer->pump();
  EXPECT_THAT(xids(peer->take()), ElementsAre(7, 8, 9));
}

TEST_F(ReconfigTest, WithoutALeaderTheConnectionIsLost) {
  const auto peer = join_as_superuser();
  client.next_refusal = node::NotApplied{node::Refusal::NoLeader, ""};
  peer->send(OpCode::Reconfig, reconfig({}, "3"));
  peer->pump();
  EXPECT_TRUE(peer->closed());
  EXPECT_THAT(client.calls, IsEmpty());
}

}  // namespace
}  // namespace witan::api::zookeeper
