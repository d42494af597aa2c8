#include "node/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

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

TEST(Membership, NumbersAndLearnersOfTheStartAreThoseThatWereTold) {
  const auto told = initial_configuration({{.name = "10", .peer_url = "http://a:1", .number = 10, .learner = false},
                                           {.name = "9", .peer_url = "http://b:2", .number = 9, .learner = true}},
                                          "t");
  std::vector<std::pair<uint32_t, bool>> seen;
  for (const MemberInfo& member : list_members(told)) seen.emplace_back(member.number, member.is_learner);
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<std::pair<uint32_t, bool>>{{9, true}, {10, false}}));
  EXPECT_EQ(told.last_number, 10u) << "the next member gets a number that nobody had";
}

TEST(Membership, NobodyIsAddedToAMemberThatCannotBeReached) {
  const auto now = initial_configuration({{"n1", "http://a:1"}}, "t");
  auto context = healthy(now);
  EXPECT_TRUE(plan_change(now, AddMember{{"d:4"}, false}, context).has_value());
  context.reachable = false;
  EXPECT_EQ(plan_change(now, AddMember{{"d:4"}, false}, context).error(), MemberFailure::Unhealthy);
  EXPECT_EQ(plan_change(now, AddMember{{"d:4"}, true}, context).error(), MemberFailure::Unhealthy);
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

// ---- several changes in one ----

// The numbers of those who vote, then of those who do not.
std::vector<std::vector<uint32_t>> numbers(const raft::Configuration& configuration) {
  std::vector<std::vector<uint32_t>> out(2);
  for (const MemberInfo& member : list_members(configuration)) out[member.is_learner ? 1 : 0].push_back(member.number);
  for (auto& part : out) std::ranges::sort(part);
  return out;
}

MemberRecord record_of_number(const raft::Configuration& configuration, uint32_t number) {
  for (const raft::Member& member : configuration.members) {
    if (record_of(member).number == number) return record_of(member);
  }
  return {};
}

using Numbers = std::vector<std::vector<uint32_t>>;

TEST(ReplacingMembers, SomeJoinAndSomeLeaveAtOnce) {
  const auto now = three();
  const ReplaceMembers replace{
      .joining = {{.number = 7, .peer_urls = {"g:7"}, .zookeeper = "g:2181", .learner = false},
                  {.number = 5, .peer_urls = {"e:5"}, .zookeeper = "e:2181", .learner = true, .election_port = 3888}},
      .leaving = {2, 99}};
  const auto planned = plan_change(now, replace, healthy(now));
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(numbers(planned->target), (Numbers{{1, 3, 7}, {5}}));
  EXPECT_EQ(planned->target.last_number, 7u);
  EXPECT_EQ(planned->target.removed.size(), 1u);
  EXPECT_EQ(planned->target.version, now.version + 1);
  EXPECT_EQ(planned->target.changed.ms, 1'700'000'000'000);
  EXPECT_TRUE(std::ranges::is_sorted(planned->target.members, {}, &raft::Member::id));
  const MemberRecord five = record_of_number(planned->target, 5);
  EXPECT_EQ(five.peer_urls, std::vector<std::string>{"http://e:5"});
  EXPECT_EQ(five.zookeeper, "e:2181");
  EXPECT_EQ(five.election_port, 3888);
  const auto listed = list_members(planned->target);
  EXPECT_EQ(std::ranges::find(listed, 5u, &MemberInfo::number)->election_port, 3888);
}

TEST(ReplacingMembers, ThePortForElectionsGoesWithTheAddressItWasNamedFor) {
  const auto now = three();
  ReplaceMembers replace{
      .joining = {{.number = 2, .peer_urls = {"x:2"}, .zookeeper = "x:2181", .election_port = 3888}}};
  auto planned = plan_change(now, replace, healthy(now));
  ASSERT_TRUE(planned.has_value());
  const auto named = planned->target;
  EXPECT_EQ(record_of_number(named, 2).election_port, 3888);
  const auto id =
      std::ranges::find_if(named.members, [](const raft::Member& m) { return record_of(m).number == 2; })->id;
  planned = plan_change(named, UpdateMember{id.value, {"http://x:2"}}, healthy(named));
  EXPECT_EQ(record_of_number(planned->target, 2).election_port, 3888) << "that is where it was";
  planned = plan_change(named, UpdateMember{id.value, {"http://y:2"}}, healthy(named));
  EXPECT_EQ(record_of_number(planned->target, 2).election_port, 0);
  replace.joining[0].election_port = 0;
  planned = plan_change(named, replace, healthy(named));
  EXPECT_EQ(record_of_number(planned->target, 2).election_port, 0) << "who names none takes it back";
}

TEST(MemberRecords, ThePortForElectionsIsAFieldThatOlderOnesDoNotHave) {
  MemberRecord record{.number = 4, .directory_uuid = {}, .name = "n4", .peer_urls = {"http://d:4"}, .client_urls = {}};
  const std::string without(encode(record).view());
  EXPECT_EQ(decode_member(without)->election_port, 0);
  record.election_port = 65535;
  EXPECT_EQ(encode(record).view().substr(0, without.size()), without) << "who does not know the field reads the rest";
  EXPECT_EQ(*decode_member(encode(record).view()), record);
}

TEST(ReplacingMembers, AWholeListKeepsOnlyWhomItNames) {
  const auto now = three();
  const ReplaceMembers replace{.joining = {{.number = 1, .peer_urls = {"a:1"}, .zookeeper = "a:2181"},
                                           {.number = 2, .peer_urls = {"x:2"}, .zookeeper = "x:2181"}},
                               .whole = true};
  const auto planned = plan_change(now, replace, healthy(now));
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(numbers(planned->target), (Numbers{{1, 2}, {}}));
  EXPECT_EQ(record_of_number(planned->target, 2).peer_urls, std::vector<std::string>{"http://x:2"});
  EXPECT_EQ(record_of_number(planned->target, 2).name, "n2") << "it is the member that it was";
}

TEST(ReplacingMembers, AMemberChangesWhatItIsAndWhereButStaysWho) {
  auto now = three();
  now.version = 9;
  raft::Member& first = now.members[0];
  MemberRecord record = record_of(first);
  record.peer_urls = {"http://a:1", "http://z:1"};
  first.info = encode(record);
  const uint32_t number = record.number;
  const ReplaceMembers demote{
      .joining = {{.number = number, .peer_urls = {"z:1"}, .zookeeper = "z:2181", .learner = true}},
      .leaving = {number},
      .expected_version = 9};
  const auto planned = plan_change(now, demote, healthy(now));
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(numbers(planned->target)[1], std::vector<uint32_t>{number});
  EXPECT_EQ(planned->target.members[0].id, first.id);
  EXPECT_TRUE(planned->target.removed.empty());
  EXPECT_EQ(record_of_number(planned->target, number).peer_urls.size(), 2u) << "one of its addresses is no change";
  auto later = demote;
  later.expected_version = 8;
  EXPECT_EQ(plan_change(now, later, healthy(now)).error(), MemberFailure::VersionMismatch);
}

TEST(ReplacingMembers, NumbersAndAddressesAreNotGivenTwice) {
  const auto now = three();
  const auto context = healthy(now);
  const auto joins = [&](uint32_t number, const std::string& url) {
    return plan_change(now, ReplaceMembers{.joining = {{.number = number, .peer_urls = {url}, .learner = true}}},
                       context);
  };
  EXPECT_EQ(joins(0, "d:4").error(), MemberFailure::NumbersUsedUp);
  EXPECT_EQ(joins(255, "d:4").error(), MemberFailure::NumbersUsedUp);
  EXPECT_EQ(joins(4, "a:1").error(), MemberFailure::PeerUrlExists);
  EXPECT_EQ(joins(1, "b:2").error(), MemberFailure::PeerUrlExists);
  EXPECT_EQ(joins(4, "nonsense").error(), MemberFailure::BadUrls);
  const auto gone = plan_change(now, ReplaceMembers{.leaving = {2}}, context);
  ASSERT_TRUE(gone.has_value());
  const ReplaceMembers again{.joining = {{.number = 2, .peer_urls = {"b:2"}, .learner = true}}};
  EXPECT_EQ(plan_change(gone->target, again, context).error(), MemberFailure::NumbersUsedUp);
  const ReplaceMembers anew{.joining = {{.number = 4, .peer_urls = {"b:2"}, .learner = true}}};
  EXPECT_TRUE(plan_change(gone->target, anew, context).has_value());
}

TEST(ReplacingMembers, AnAddressMayComeBackInTheSecondItLeft) {
  const auto now = three();
  const auto context = healthy(now);
  const auto joins = [](uint32_t number) {
    return ReplaceMembers{.joining = {{.number = number, .peer_urls = {"d:4"}, .learner = true}}};
  };
  const auto in = plan_change(now, joins(4), context);
  const auto out = plan_change(in->target, ReplaceMembers{.leaving = {4}}, context);
  const auto back = plan_change(out->target, joins(5), context);
  ASSERT_TRUE(back.has_value());
  EXPECT_NE(back->subject, in->subject);
}

TEST(ReplacingMembers, AQuorumOfTheNewOnesMustBeThereAndKnowEverything) {
  const auto now = three();
  auto context = healthy(now);
  EXPECT_EQ(plan_change(now, ReplaceMembers{.leaving = {1, 2, 3}}, context).error(), MemberFailure::NotEnoughStarted);
  const ReplaceMembers two_more{.joining = {{.number = 4, .peer_urls = {"d:4"}}, {.number = 5, .peer_urls = {"e:5"}}}};
  EXPECT_TRUE(plan_change(now, two_more, context).has_value()) << "three of five run";
  context.progress[1].recently_active = false;
  EXPECT_EQ(plan_change(now, two_more, context).error(), MemberFailure::Unhealthy);
  context.progress[1].recently_active = true;
  context.progress[1].match = raft::Index(50);
  EXPECT_EQ(plan_change(now, two_more, context).error(), MemberFailure::Unhealthy) << "it runs, but far behind";
}

TEST(Calls, SurviveARoundTripAndRefusalsStayRefusals) {
  const auto forwarded = decode_forward(encode_forward(raft::Term(7), {Blob("a"), Blob("bb")}).view());
  ASSERT_TRUE(forwarded.has_value());
  EXPECT_EQ(forwarded->term, raft::Term(7));
  EXPECT_EQ(forwarded->commands[1].view(), "bb");
  const Blob refusal = encode_refusal(Error{Code::NotLeader, "no"});
  EXPECT_EQ(decode_accepted(refusal.view()).error(), (Error{Code::NotLeader, "no"}));
  EXPECT_EQ(decode_index(refusal.view()).error().code, Code::NotLeader);
  EXPECT_EQ(decode_ttls(encode_ttls({0, 5000}).view()), (std::vector<int64_t>{0, 5000}));
  const auto change = decode_change(encode_change(UpdateMember{7, {"http://x:1"}}).view());
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(std::get<UpdateMember>(*change).id, 7u);
  const ReplaceMembers replace{
      .joining = {{.number = 4, .peer_urls = {"d:4"}, .zookeeper = "d:1", .learner = true, .election_port = 9}},
      .leaving = {1, 2},
      .whole = true,
      .expected_version = 0};
  const auto replaced = decode_change(encode_change(replace).view());
  ASSERT_TRUE(replaced.has_value());
  EXPECT_EQ(std::get<ReplaceMembers>(*replaced), replace);
  const MembersChanged result{.members = {{.id = 7, .number = 3, .zookeeper = "c:1", .election_port = 8}},
                              .version = 12,
                              .changed = WallTime{1'700'000'000'123},
                              .subject = 7,
                              .term = 2};
  const auto answered = decode_change_result(encode_change_result(result).view());
  ASSERT_TRUE(answered.has_value() && answered->has_value());
  EXPECT_EQ((*answered)->version, 12u);
  EXPECT_EQ((*answered)->changed.ms, 1'700'000'000'123);
  EXPECT_EQ((*answered)->members[0].zookeeper, "c:1");
  EXPECT_EQ((*answered)->members[0].election_port, 8);
  const auto failed = decode_change_result(encode_change_result(std::unexpected(MemberFailure::NotFound)).view());
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->error(), MemberFailure::NotFound);
  EXPECT_FALSE(decode_forward("\xff\xff").has_value());
}

}  // namespace
}  // namespace witan::node
