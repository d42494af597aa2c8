#include "api/zookeeper/config_node.h"

#include <gtest/gtest.h>

namespace witan::api::zookeeper {
namespace {

using node::JoiningMember;
using node::MemberInfo;
using node::ReplaceMembers;

const MemberInfo kFirst{
    .id = 11, .name = "a", .peer_urls = {"http://a:2380"}, .client_urls = {}, .number = 1, .zookeeper = "a:2181"};
const MemberInfo kSecond{.id = 5,
                         .name = "b",
                         .peer_urls = {"http://[::1]:2380", "http://c:1"},
                         .client_urls = {},
                         .number = 2,
                         .zookeeper = "[::1]:2181"};
const MemberInfo kLearner{
    .id = 1, .name = "", .peer_urls = {"http://d:2380"}, .client_urls = {}, .is_learner = true, .number = 16};

std::expected<ReplaceMembers, ErrorCode> asked(JuteText joining, JuteText leaving = {}, JuteText members = {},
                                               int64_t config_id = -1) {
  return lower(ReconfigRequest{
      .joining_servers = joining, .leaving_servers = leaving, .new_members = members, .config_id = config_id});
}

TEST(ConfigNode, IsTheMembersInTheOrderOfTheirNumbers) {
  EXPECT_EQ(config_text(std::vector{kLearner, kSecond, kFirst}, 0x1f),
            "server.1=a:2380:0:participant;a:2181\n"
            "server.2=[::1]:2380:0:participant;[::1]:2181\n"
            "server.16=d:2380:0:observer\n"
            "version=1f");
  EXPECT_EQ(config_text({}, 0), "version=0");
}

TEST(ConfigNode, ShowsThePortForElectionsThatWasNamed) {
  MemberInfo named = kLearner;
  named.election_port = 3888;
  EXPECT_EQ(config_text(std::vector{named, kFirst}, 1),
            "server.1=a:2380:0:participant;a:2181\n"
            "server.16=d:2380:3888:observer\n"
            "version=1");
}

TEST(ConfigNode, ChangesWithTheMembersAndNeverGoesBack) {
  ConfigNode node;
  EXPECT_FALSE(node.take(std::vector{kFirst}, 4, WallTime{1000})) << "nobody can have seen anything before";
  EXPECT_FALSE(node.take(std::vector{kFirst}, 4, WallTime{1000}));
  EXPECT_TRUE(node.take(std::vector{kFirst, kSecond}, 6, WallTime{3000}));
  EXPECT_FALSE(node.take(std::vector{kFirst}, 5, WallTime{2000}));
  store::NodeReadsResult::Item item;
  item.stat.children = 1;
  item.stat.acl_version = 3;
  node.show(item);
  EXPECT_EQ(item.value.view(), config_text(std::vector{kFirst, kSecond}, 6));
  EXPECT_EQ(item.stat.modified.value, 6);
  EXPECT_EQ(item.stat.modified_at.ms, 3000);
  EXPECT_EQ(item.stat.version, -1);
  EXPECT_EQ(item.stat.data_bytes, static_cast<int64_t>(item.value.size()));
  EXPECT_EQ(item.stat.children, 1);
  EXPECT_EQ(item.stat.acl_version, 3);
}

TEST(ConfigNode, IsNotShownToWhomTheReadWasRefused) {
  ConfigNode node;
  node.take(std::vector{kFirst}, 4, WallTime{1000});
  store::NodeReadsResult::Item item;
  item.reason = store::Reason::PermissionDenied;
  node.show(item);
  EXPECT_TRUE(item.value.is_null());
}

TEST(Reconfig, NamesWhoJoinsAndWhoLeaves) {
  const auto change =
      asked("server.5=e:2380:3888:Observer;e:2181, server.4=[::1]:1:2;2182", " 2,77,2,-4, 3,1000", {}, 0x1f);
  ASSERT_TRUE(change.has_value());
  const std::vector<JoiningMember> joining = {
      {.number = 5, .peer_urls = {"e:2380"}, .zookeeper = "e:2181", .learner = true, .election_port = 3888},
      {.number = 4, .peer_urls = {"[::1]:1"}, .zookeeper = "0.0.0.0:2182", .learner = false, .election_port = 2}};
  EXPECT_EQ(change->joining, joining);
  EXPECT_EQ(change->leaving, (std::vector<uint32_t>{2, 3, 77}));
  EXPECT_FALSE(change->whole);
  EXPECT_EQ(change->expected_version, 0x1fu);
}

TEST(Reconfig, AListOfMembersIsAllThereIs) {
  const auto change =
      asked("nonsense", "nonsense", "server.1=a:1:0:participant;a:2\nserver.2=b:1:2|b:3:4:participant;b:5\nversion=7");
  ASSERT_TRUE(change.has_value());
  EXPECT_TRUE(change->whole);
  ASSERT_EQ(change->joining.size(), 2u);
  EXPECT_EQ(change->joining[0].election_port, 0);
  EXPECT_EQ(change->joining[1].peer_urls, (std::vector<std::string>{"b:1", "b:3"}));
  EXPECT_EQ(change->joining[1].election_port, 2);
  EXPECT_EQ(change->expected_version, std::nullopt);
}

TEST(Reconfig, WhatClientsReadTheyCanSendBack) {
  std::vector members{kFirst, kSecond};
  members[1].election_port = 3888;
  const auto change = asked({}, {}, config_text(members, 9));
  ASSERT_TRUE(change.has_value());
  ASSERT_EQ(change->joining.size(), 2u);
  EXPECT_EQ(change->joining[0].peer_urls, std::vector<std::string>{"a:2380"});
  EXPECT_EQ(change->joining[1].zookeeper, "[::1]:2181");
  EXPECT_EQ(change->joining[1].election_port, 3888);
}

TEST(Reconfig, ThePortForElectionsIsThatOfTheAddressWhichIsShown) {
  EXPECT_EQ(asked("server.5=b:3:4|a:1:2;9")->joining[0].election_port, 2) << "addresses are kept in their order";
  EXPECT_EQ(asked("server.5=a:1:1;9")->joining[0].election_port, 0) << "two equal ports would not be understood";
}

TEST(Reconfig, NothingIsNoMistakeButAnEmptyListOfMembersIs) {
  for (const JuteText nothing : {JuteText(), JuteText("")}) {
    const auto change = asked(nothing, nothing);
    ASSERT_TRUE(change.has_value());
    EXPECT_EQ(*change, ReplaceMembers{});
  }
  EXPECT_EQ(asked({}, {}, "").error(), ErrorCode::MarshallingError);
}

// As a running ZooKeeper 3.8.0 answers them.
TEST(Reconfig, MistakesHaveZookeepersCodes) {
  for (const char* joining :
       {"hello", "server.5", "server.5=a:1", "server.5=a:1:2", "server.5=a:1:2:king;3", "server.5=a:x:2;3",
        "server.5=a:1:x;3", "server.5=a:1:2;x", "server.5=a:1:2;", "server.5=:1:2;3", "server.5=a:1:2;h:1:2",
        "server.5=a b:1:2;3", "tickTime=5", "group.1=1:2"}) {
    EXPECT_EQ(asked(joining).error(), ErrorCode::BadArguments) << joining;
    EXPECT_EQ(asked({}, {}, joining).error(), ErrorCode::BadArguments) << joining;
  }
  for (const char* joining : {"server.x=a:1:2;3", "server.=a:1:2;3"}) {
    EXPECT_EQ(asked(joining).error(), ErrorCode::MarshallingError) << joining;
  }
  EXPECT_EQ(asked({}, "x").error(), ErrorCode::MarshallingError);
  EXPECT_EQ(asked({}, "server.6").error(), ErrorCode::MarshallingError);
  EXPECT_EQ(asked({}, {}, "server.1=a:1:2:observer;3").error(), ErrorCode::MarshallingError);
}

TEST(Reconfig, NoMoreJoinThanACanBe) {
  std::string joining;
  for (int i = 0; i < 255; ++i) joining += "server.1=a:1:2;3,";
  EXPECT_EQ(asked(joining).error(), ErrorCode::BadArguments);
}

}  // namespace
}  // namespace witan::api::zookeeper
