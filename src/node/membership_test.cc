#include "node/membership.h"

#include <gtest/gtest.h>

#include "node/calls.h"

namespace witan::node {
namespace {

raft::Configuration three() {
  return initial_configuration({{"n1", "http://a:1"}, {"n2", "http://b:2"}, {"n3", "http://c:3"}}, "t");
}

ChangeContext healthy(const raft::Configuration& configuration) {
  ChangeContext context{.now = WallTime{1'700'000'000'000},
                        .token = "t",
                        .progress = {},
                        .self = configuration.members[0].id,
                        .last_index = raft::Index(100),
                        .max_learners = 1};
  for (const raft::Member& m : configuration.members) {
    context.progress.push_back({.id = m.id,
                                .match = raft::Index(100),
                                .next = raft::Index(101),
                                .recently_active = true,
                                .snapshotting = false});
  }
  return context;
}

TEST(Membership, EveryMemberComputesTheSameStart) {
  const auto other_order =
      initial_configuration({{"n3", "http://c:3"}, {"n1", "http://a:1"}, {"n2", "http://b:2"}}, "t");
  EXPECT_EQ(raft::encode(three()), raft::encode(other_order));
  EXPECT_NE(raft::encode(three()), raft::encode(initial_configuration(
                                       {{"n1", "http://a:1"}, {"n2", "http://b:2"}, {"n3", "http://c:3"}}, "u")));
}

TEST(Membership, IdsAreEtcds) {
  // What Debian's etcd 3.4 prints for --initial-cluster n1=http://localhost:2380 and its default token.
  EXPECT_EQ(make_member_id({"http://localhost:2380"}, "etcd-cluster", 0), 0x8e9e05c52164694du);
  EXPECT_EQ(make_cluster_id({0x8e9e05c52164694du}, "etcd-cluster"), 0xcdf818194e3a8c32u);
}

TEST(Membership, AddingChecksUrlsLearnersAndHealth) {
  const auto now = three();
  auto context = healthy(now);
  EXPECT_EQ(plan_change(now, AddMember{{"nonsense"}, false}, context).error(), MemberFailure::BadUrls);
  EXPECT_EQ(plan_change(now, AddMember{{"http://a:1"}, false}, context).error(), MemberFailure::PeerUrlExists);
  const auto learner = plan_change(now, AddMember{{"d:4"}, true}, context);
  ASSERT_TRUE(learner.has_value());
  EXPECT_EQ(record_of(*learner->target.find(learner->subject)).peer_urls, std::vector<std::string>{"http://d:4"});
  EXPECT_EQ(record_of(*learner->target.find(learner->subject)).number, 4u);
  EXPECT_EQ(plan_change(learner->target, AddMember{{"e:5"}, true}, context).error(), MemberFailure::TooManyLearners);
  EXPECT_TRUE(plan_change(now, AddMember{{"d:4"}, false}, context).has_value());
  context.progress[1].recently_active = false;
  EXPECT_EQ(plan_change(now, AddMember{{"d:4"}, false}, context).error(), MemberFailure::Unhealthy)
      << "two cannot be the majority of four";
  EXPECT_TRUE(plan_change(now, AddMember{{"d:4"}, true}, context).has_value()) << "a learner is not counted";
}

TEST(Membership, RemovingKeepsTheIdRemovedAndTheQuorumAlive) {
  const auto now = three();
  auto context = healthy(now);
  const auto third = now.members[2].id;
  const auto removed = plan_change(now, RemoveMember{third.value}, context);
  ASSERT_TRUE(removed.has_value());
  EXPECT_EQ(removed->target.find(third), nullptr);
  EXPECT_EQ(removed->target.removed, std::vector{third});
  EXPECT_EQ(plan_change(removed->target, RemoveMember{third.value}, context).error(), MemberFailure::NotFound);
  context.progress[1].recently_active = false;
  EXPECT_EQ(plan_change(now, RemoveMember{third.value}, context).error(), MemberFailure::Unhealthy);
  EXPECT_TRUE(plan_change(now, RemoveMember{now.members[1].id.value}, context).has_value()) << "the dead one may go";
}

TEST(Membership, NumbersEnd) {
  raft::Configuration now = three();
  now.last_number = 253;
  const auto last = plan_change(now, AddMember{{"d:4"}, true}, healthy(now));
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(record_of(*last->target.find(last->subject)).number, 254U);
  now.last_number = 254;
  EXPECT_EQ(plan_change(now, AddMember{{"d:4"}, true}, healthy(now)).error(), MemberFailure::NumbersUsedUp);
}

TEST(Membership, OnlyACaughtUpLearnerIsPromoted) {
  const auto now = three();
  auto context = healthy(now);
  auto planned = plan_change(now, AddMember{{"d:4"}, true}, context);
  ASSERT_TRUE(planned.has_value());
  raft::Configuration with = planned->target;
  const PromoteMember promote{planned->subject.value};
  EXPECT_EQ(plan_change(with, promote, context).error(), MemberFailure::LearnerNotReady);
  context.progress.push_back({.id = planned->subject,
                              .match = raft::Index(89),
                              .next = raft::Index(90),
                              .recently_active = true,
                              .snapshotting = false});
  EXPECT_EQ(plan_change(with, promote, context).error(), MemberFailure::LearnerNotReady);
  context.progress.back().match = raft::Index(90);
  EXPECT_TRUE(plan_change(with, promote, context).has_value());
  EXPECT_EQ(plan_change(with, PromoteMember{now.members[0].id.value}, context).error(), MemberFailure::NotLearner);
}

TEST(Calls, SurviveARoundTripAndRefusalsStayRefusals) {
  const auto commands = decode_forward(encode_forward({Blob("a"), Blob("bb")}).view());
  ASSERT_TRUE(commands.has_value());
  EXPECT_EQ((*commands)[1].view(), "bb");
  const Blob refusal = encode_refusal(Error{Code::NotLeader, "no"});
  EXPECT_EQ(decode_accepted(refusal.view()).error(), (Error{Code::NotLeader, "no"}));
  EXPECT_EQ(decode_index(refusal.view()).error().code, Code::NotLeader);
  EXPECT_EQ(decode_ttls(encode_ttls({0, 5000}).view()), (std::vector<int64_t>{0, 5000}));
  const auto change = decode_change(encode_change(UpdateMember{7, {"http://x:1"}}).view());
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(std::get<UpdateMember>(*change).id, 7u);
  const auto failed = decode_change_result(encode_change_result(std::unexpected(MemberFailure::NotFound)).view());
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->error(), MemberFailure::NotFound);
  EXPECT_FALSE(decode_forward("\xff\xff").has_value());
}

}  // namespace
}  // namespace witan::node
