// One test, at least, for each section of Ongaro's thesis that this room carries out; the names say what is promised.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "raft/solo.h"

namespace witan::raft::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

AppendRequest append_of(uint64_t term, uint64_t prev, uint64_t prev_term, uint64_t commit,
                        const std::vector<uint64_t>& terms) {
  return {.term = Term(term),
          .prev_index = Index(prev),
          .prev_term = Term(prev_term),
          .commit = Index(commit),
          .entries = entries_of(prev + 1, terms)};
}

std::vector<uint64_t> terms_in(const Raft& raft) {
  std::vector<uint64_t> terms;
  for (Index i = raft.first_index(); i <= raft.last_index(); ++i) terms.push_back(raft.term_at(i)->value);
  return terms;
}

// ---- 3.3 Terms ----------------------------------------------------------------------------------

TEST(Section3_3_Terms, EveryRoleFollowsALaterTerm) {
  for (const Role role : {Role::Follower, Role::PreCandidate, Role::Candidate, Role::Leader}) {
    Solo one;
    if (role != Role::Follower) one.wake();
    if (role == Role::Candidate || role == Role::Leader) {
      one.receive(2, VoteReply{.term = Term(1), .pre = true, .granted = true});
    }
    if (role == Role::Leader) one.receive(2, VoteReply{.term = Term(1), .pre = false, .granted = true});
    ASSERT_EQ(one.raft.standing().role, role);
    one.receive(3, Heartbeat{.term = Term(5), .commit = Index(0), .round = 1});
    EXPECT_EQ(one.raft.standing(), (Standing{.role = Role::Follower, .term = Term(5), .leader = NodeId(3)}));
  }
}

TEST(Section3_3_Terms, TheStaleAreToldTheTerm) {
  Solo one(on_disk(4, {1}), {});
  one.receive(2, append_of(3, 0, 0, 0, {}));
  one.receive(2, Heartbeat{.term = Term(3), .commit = Index(0), .round = 9});
  one.receive(3, VoteRequest{.term = Term(3), .pre = false, .last_index = Index(9), .last_term = Term(3)});
  one.receive(3, VoteRequest{.term = Term(3), .pre = true, .last_index = Index(9), .last_term = Term(3)});
  one.receive(3, TimeoutNow{Term(3)});
  EXPECT_THAT(one.take_sent_texts(),
              ElementsAre("2 append-refused term=4 at=0 hint=1/1", "2 heartbeat-reply term=4 round=0",
                          "3 vote no term=4", "3 pre-vote no term=4"));
  EXPECT_EQ(one.raft.standing().role, Role::Follower);
}

// ---- 3.4 Leader election ------------------------------------------------------------------------

TEST(Section3_4_Election, TimeoutsLieBetweenOneAndTwoElectionTimeouts) {
  Duration shortest = seconds(100);
  Duration longest{};
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Initial initial{.snapshot = {.configuration = members({1, 2, 3})}};
    const Raft raft({.id = NodeId(1)}, initial, Instant{0}, Rng(seed), Logger());
    const Duration wait = raft.next_deadline() - Instant{0};
    shortest = std::min(shortest, wait);
    longest = std::max(longest, wait);
  }
  EXPECT_GE(shortest, milliseconds(1000));
  EXPECT_LT(shortest, milliseconds(1050));
  EXPECT_LT(longest, milliseconds(2000));
  EXPECT_GT(longest, milliseconds(1950));
}

TEST(Section3_4_Election, OneVoteATerm) {
  Solo one;
  const VoteRequest request{.term = Term(1), .pre = false, .last_index = Index(0), .last_term = Term(0)};
  one.receive(2, request);
  one.receive(3, request);
  one.receive(2, request);
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 vote yes term=1", "3 vote no term=1", "2 vote yes term=1"));
}

TEST(Section3_4_Election, AMajorityElectsAndASingleRefusalDoesNot) {
  Solo one({1, 2, 3, 4, 5});
  one.wake();
  one.receive(2, VoteReply{.term = Term(1), .pre = true, .granted = true});
  one.receive(3, VoteReply{.term = Term(1), .pre = true, .granted = true});
  one.receive(2, VoteReply{.term = Term(1), .pre = false, .granted = true});
  one.receive(2, VoteReply{.term = Term(1), .pre = false, .granted = true});  // the same one again
  one.receive(3, VoteReply{.term = Term(1), .pre = false, .granted = false});
  EXPECT_EQ(one.raft.standing().role, Role::Candidate);
  one.receive(4, VoteReply{.term = Term(1), .pre = false, .granted = true});
  EXPECT_EQ(one.raft.standing().role, Role::Leader);
}

TEST(Section3_4_Election, ACandidateThatIsRefusedByAMajorityWaitsAgain) {
  Solo one;
  one.wake();
  one.receive(2, VoteReply{.term = Term(1), .pre = true, .granted = true});
  one.receive(2, VoteReply{.term = Term(1), .pre = false, .granted = false});
  one.receive(3, VoteReply{.term = Term(1), .pre = false, .granted = false});
  EXPECT_EQ(one.raft.standing().role, Role::Follower);
  EXPECT_GE(one.raft.next_deadline() - one.now, milliseconds(1000));
}

// ---- 3.5 Log replication ------------------------------------------------------------------------

TEST(Section3_5_Replication, AnAppendIsTakenOnlyWhereTheLogsAgree) {
  struct Row {
    std::string what;
    AppendRequest request;
    std::string reply;
    std::vector<uint64_t> log;
  };
  // The follower's log is 1 1 2 2, of which the first entry is committed.
  const std::vector<Row> table = {
      {"it agrees", append_of(3, 4, 2, 1, {3}), "2 appended term=3 match=5", {1, 1, 2, 2, 3}},
      {"nothing new", append_of(3, 4, 2, 1, {}), "2 appended term=3 match=4", {1, 1, 2, 2}},
      {"a repetition", append_of(3, 1, 1, 1, {1, 2}), "2 appended term=3 match=3", {1, 1, 2, 2}},
      {"a repetition and more", append_of(3, 2, 1, 1, {2, 2, 3}), "2 appended term=3 match=5", {1, 1, 2, 2, 3}},
      {"a conflict", append_of(3, 2, 1, 1, {3}), "2 appended term=3 match=3", {1, 1, 3}},
      {"a conflict later", append_of(3, 2, 1, 1, {2, 3, 3}), "2 appended term=3 match=5", {1, 1, 2, 3, 3}},
      {"a gap", append_of(3, 6, 3, 1, {3}), "2 append-refused term=3 at=6 hint=2/4", {1, 1, 2, 2}},
      {"another term there", append_of(3, 4, 3, 1, {3}), "2 append-refused term=3 at=4 hint=2/4", {1, 1, 2, 2}},
      {"an earlier term there", append_of(3, 4, 1, 1, {3}), "2 append-refused term=3 at=4 hint=1/2", {1, 1, 2, 2}},
      {"before the commit index", append_of(3, 0, 0, 1, {1, 1, 3}), "2 appended term=3 match=3", {1, 1, 3}},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(row.what);
    Initial initial = on_disk(2, {1, 1, 2, 2});
    initial.hard_state.commit = Index(1);
    Solo one(std::move(initial), {});
    one.receive(2, row.request);
    EXPECT_THAT(one.take_sent_texts(), ElementsAre(row.reply));
    EXPECT_EQ(terms_in(one.raft), row.log);
  }
}

TEST(Section3_5_Replication, CommitGoesNoFurtherThanWhatTheMessageVouchesFor) {
  Solo one(on_disk(2, {1, 1, 2, 2}), {});
  one.receive(2, append_of(3, 1, 1, 4, {1}));
  EXPECT_EQ(one.raft.commit_index(), Index(2));  // 3 and 4 may not be the leader's
}

TEST(Section3_5_Replication, BackTracksByWholeTerms) {
  Solo one(on_disk(8, {1, 1, 1, 4, 4, 5, 5, 6, 6, 6}), {});
  one.lead();
  const auto prev_after = [&](uint64_t hint, uint64_t hint_term) {
    const AppendRequest probe = one.take_sent<AppendRequest>(2).back();
    one.receive(2, AppendReply{.term = Term(9),
                               .accepted = false,
                               .rejected = probe.prev_index,
                               .hint = Index(hint),
                               .hint_term = Term(hint_term)});
    const AppendRequest next = one.take_sent<AppendRequest>(2).back();
    one.sent.push_back({NodeId(1), NodeId(2), next});
    return next.prev_index.value;
  };
  EXPECT_EQ(prev_after(7, 4), 5U);  // the follower's last entry of a term not after ours there
  EXPECT_EQ(prev_after(3, 1), 3U);
  EXPECT_EQ(prev_after(0, 0), 0U);
}

TEST(Section3_5_Replication, EntriesAreHandedOutInOrderAndOnce) {
  Solo one;
  one.receive(2, append_of(1, 0, 0, 2, {1, 1, 1}));
  one.receive(2, append_of(1, 0, 0, 2, {1, 1, 1}));
  one.receive(2, append_of(1, 3, 1, 9, {1}));
  std::vector<uint64_t> indexes;
  for (const Entry& entry : one.committed) indexes.push_back(entry.index.value);
  EXPECT_THAT(indexes, ElementsAre(1, 2, 3, 4));
}

// ---- 3.6 Safety ---------------------------------------------------------------------------------

TEST(Section3_6_1_ElectionRestriction, VotesOnlyForLogsAsGoodAsItsOwn) {
  struct Row {
    uint64_t last;
    uint64_t term;
    bool granted;
  };
  for (const Row row : {Row{3, 2, true}, Row{4, 2, true}, Row{1, 3, true}, Row{2, 2, false}, Row{9, 1, false}}) {
    Solo one(on_disk(2, {1, 2, 2}), {});
    for (const bool pre : {true, false}) {
      one.receive(2,
                  VoteRequest{.term = Term(3), .pre = pre, .last_index = Index(row.last), .last_term = Term(row.term)});
      EXPECT_EQ(one.take_sent<VoteReply>(2).front().granted, row.granted) << row.last << " " << row.term << " " << pre;
    }
  }
}

// Figure 3.7 of the thesis (figure 8 of the paper): an entry of term 2 on a majority can still be overwritten, so a
// leader of term 4 must not commit it by counting.
TEST(Section3_6_2_Committing, EntriesOfEarlierTermsAreNotCommittedByCounting) {
  Solo one(on_disk(3, {1, 2}, {1, 2, 3, 4, 5}), {});
  one.lead();
  ASSERT_EQ(one.raft.standing().term, Term(4));
  one.accept(2, Index(2));
  one.accept(3, Index(2));
  EXPECT_EQ(one.raft.commit_index(), Index(0));
  EXPECT_FALSE(one.raft.standing().leading);
  one.accept(2, Index(3));
  one.accept(3, Index(3));
  EXPECT_EQ(one.raft.commit_index(), Index(3));
  EXPECT_TRUE(one.raft.standing().leading);
}

// ---- 3.8 Persisted state ------------------------------------------------------------------------

TEST(Section3_8_Persistence, NothingIsPromisedBeforeItIsOnDisk) {
  Solo one;
  one.slow_disk = true;
  one.receive(2, VoteRequest{.term = Term(1), .pre = false, .last_index = Index(0), .last_term = Term(0)});
  EXPECT_THAT(one.take_sent_texts(), IsEmpty());
  one.write_one();
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 vote yes term=1"));
  one.receive(2, append_of(1, 0, 0, 0, {1, 1}));
  EXPECT_THAT(one.take_sent_texts(), IsEmpty());
  EXPECT_EQ(one.raft.durable_index(), Index(0));
  one.write_one();
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 appended term=1 match=2"));
  EXPECT_EQ(one.raft.durable_index(), Index(2));
}

TEST(Section3_8_Persistence, ACandidateCountsItsOwnVoteOnlyWhenItIsOnDisk) {
  Solo one({1});
  one.slow_disk = true;
  one.wake();
  EXPECT_EQ(one.raft.standing().role, Role::Candidate);
  one.write_one();
  EXPECT_EQ(one.raft.standing().role, Role::Leader);
  EXPECT_EQ(one.raft.commit_index(), Index(0));
  one.write_one();
  EXPECT_EQ(one.raft.commit_index(), Index(1));
}

TEST(Section3_8_Persistence, AnAcknowledgementWaitsForItsTermEvenIfTheEntriesAreThere) {
  Solo one(on_disk(1, {1, 1}), {});
  one.slow_disk = true;
  one.receive(2, append_of(2, 2, 1, 0, {}));
  EXPECT_THAT(one.take_sent_texts(), IsEmpty());
  one.write_one();
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 appended term=2 match=2"));
  one.receive(2, append_of(2, 2, 1, 0, {}));
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 appended term=2 match=2"));
}

TEST(Section3_8_Persistence, TheCommitHintNeverNamesWhatIsNotOnDisk) {
  Solo one;
  one.slow_disk = true;
  one.receive(2, append_of(1, 0, 0, 2, {1, 1}));
  EXPECT_EQ(one.raft.commit_index(), Index(2));
  ASSERT_EQ(one.writes.size(), 1U);
  EXPECT_EQ(one.writes.front().hard_state->commit, Index(0));
}

// ---- 3.9 Timing ---------------------------------------------------------------------------------

TEST(Section3_9_Timing, AStalledDiskDoesNotStopTheElectionTimer) {
  Solo one;
  one.slow_disk = true;
  one.wake();
  one.receive(2, VoteReply{.term = Term(1), .pre = true, .granted = true});
  ASSERT_EQ(one.raft.standing().role, Role::Candidate);
  one.wake();
  EXPECT_EQ(one.raft.standing().role, Role::PreCandidate);
}

TEST(Section3_9_Timing, ALeaderWithAStalledDiskStillSendsHeartbeats) {
  Solo one;
  one.lead_with(2);
  one.slow_disk = true;
  one.propose("a");
  one.sent.clear();
  one.wake();
  EXPECT_EQ(one.take_sent<Heartbeat>(2).size(), 1U);
}

// ---- 3.10 Leadership transfer -------------------------------------------------------------------

TEST(Section3_10_Transfer, ProposalsAreRefusedMeanwhileAndTakenAgainAfterAnElectionTimeout) {
  Solo one;
  one.lead_with(2);
  one.step(TransferLeadership{NodeId(3)});
  EXPECT_THAT(one.take_sent<TimeoutNow>(3), IsEmpty());  // it has nothing yet
  EXPECT_EQ(refusal(one.propose("a")), Code::Unavailable);
  const Instant begin = one.now;
  while (one.now - begin < milliseconds(1000)) {
    one.receive(2, HeartbeatReply{.term = Term(1), .round = 0});
    one.wake();
  }
  EXPECT_EQ(refusal(one.propose("a")), std::nullopt);
}

TEST(Section3_10_Transfer, TheTargetIsToldWhenItHasEverything) {
  Solo one;
  one.lead_with(2);
  one.step(TransferLeadership{NodeId(3)});
  one.accept(3);
  EXPECT_EQ(one.take_sent<TimeoutNow>(3).size(), 1U);
  one.accept(3);
  EXPECT_THAT(one.take_sent<TimeoutNow>(3), IsEmpty());
}

TEST(Section3_10_Transfer, NobodyNamedMeansTheMostAdvancedVoter) {
  Solo one({1, 2, 3});
  one.lead_with(3);
  one.step(TransferLeadership{kNobody});
  EXPECT_EQ(one.take_sent<TimeoutNow>(3).size(), 1U);
}

TEST(Section3_10_Transfer, OnlyTheLeaderCanOrderACampaign) {
  Solo one;
  one.receive(2, append_of(1, 0, 0, 0, {}));
  one.receive(3, TimeoutNow{Term(1)});
  EXPECT_EQ(one.raft.standing().role, Role::Follower);
  one.receive(2, TimeoutNow{Term(1)});
  EXPECT_EQ(one.raft.standing().role, Role::Candidate);
  EXPECT_TRUE(one.take_sent<VoteRequest>(3).front().leadership_transfer);
}

// ---- 4 Membership -------------------------------------------------------------------------------

TEST(Section4_1_Membership, AConfigurationIsInForceFromItsEntryOnAndRolledBackWithIt) {
  Solo one;
  one.lead_with(2);
  one.step(ProposeMembership{.target = members({1, 2, 3, 4}), .only_in = {}});
  EXPECT_EQ(one.raft.configuration(), members({1, 2, 3, 4}));
  EXPECT_FALSE(one.raft.configuration_committed());
  // Another leader never had that entry.
  const Output output = one.receive(3, append_of(2, 1, 1, 1, {2}));
  EXPECT_EQ(one.raft.configuration(), members({1, 2, 3}));
  EXPECT_EQ(output.configuration, members({1, 2, 3}));
  EXPECT_TRUE(one.raft.configuration_committed());
}

TEST(Section4_1_Membership, OneChangeAtATimeAndNoneBeforeTheTermsFirstCommit) {
  Solo one;
  one.lead();
  const auto change = [&](std::vector<uint64_t> voters) {
    return refusal(one.step(ProposeMembership{.target = members(voters), .only_in = {}}));
  };
  EXPECT_EQ(change({1, 2}), Code::Unavailable);
  one.accept(2);
  EXPECT_EQ(change({1, 2}), std::nullopt);
  EXPECT_EQ(change({1, 2, 3}), Code::Refused);
  one.accept(2);
  EXPECT_EQ(change({1, 2, 3}), std::nullopt);
  one.accept(2);
  EXPECT_EQ(change({}), Code::Invalid);
}

TEST(Section4_1_Membership, WhatIsJointAndWhatIsNot) {
  struct Row {
    std::vector<uint64_t> voters;
    std::vector<uint64_t> learners;
    bool joint;
  };
  // From voters 1 2 3 and learner 4.
  const std::vector<Row> table = {
      {{1, 2, 3}, {}, false}, {{1, 2, 3}, {4, 5, 6}, false}, {{1, 2, 3, 4}, {}, false},
      {{1, 2}, {4}, false},   {{1, 2, 3, 5}, {4}, false},    {{1, 2}, {3, 4}, true},
      {{1, 2, 4}, {}, true},  {{1, 2, 3, 4, 5}, {}, true},   {{1}, {4}, true},
  };
  for (const Row& row : table) {
    Initial initial{.snapshot = {.configuration = members({1, 2, 3}, {4})}};
    Solo one(std::move(initial), {});
    one.lead_with(2);
    ASSERT_TRUE(
        one.step(ProposeMembership{.target = members(row.voters, row.learners), .only_in = {}}).proposed->has_value());
    EXPECT_EQ(one.raft.configuration().joint, row.joint) << describe(one.raft.configuration());
  }
}

TEST(Section4_1_Membership, ARemovedMemberIsToldAndThenForgotten) {
  for (const bool answers : {true, false}) {
    Solo one;
    one.lead_with(2);
    one.accept(3);
    one.step(ProposeMembership{.target = members({1, 2}), .only_in = {}});
    EXPECT_EQ(one.raft.progress().size(), 1U);
    one.accept(2);
    ASSERT_TRUE(one.raft.configuration_committed());
    if (answers) {
      one.accept(3);
      EXPECT_EQ(one.take_sent<Heartbeat>(3).back().commit, Index(2));
    } else {
      const Instant begin = one.now;
      for (; one.now - begin < milliseconds(2000); one.wake()) {
        one.receive(2, HeartbeatReply{.term = Term(1), .round = 0});
      }
    }
    one.sent.clear();
    one.propose("a");
    one.wake();
    EXPECT_TRUE(std::ranges::none_of(one.sent, [](const Envelope& envelope) { return envelope.to == NodeId(3); }));
  }
}

TEST(Section4_1_Membership, AMemberThatComesBackStartsFromNothing) {
  Solo one;
  one.lead_with(2);
  one.accept(3);
  one.step(ProposeMembership{.target = members({1, 2}), .only_in = {}});
  one.accept(2);
  one.step(ProposeMembership{.target = members({1, 2, 3}), .only_in = {}});
  EXPECT_EQ(one.raft.progress()[1].id, NodeId(3));
  EXPECT_EQ(one.raft.progress()[1].match, Index(0));
}

TEST(Section4_2_1_CatchingUp, ALearnerIsNotCounted) {
  Initial initial{.snapshot = {.configuration = members({1, 2}, {3})}};
  Solo one(std::move(initial), {});
  one.lead();
  one.accept(3);
  EXPECT_EQ(one.raft.commit_index(), Index(0));
  one.accept(2);
  EXPECT_EQ(one.raft.commit_index(), Index(1));
}

TEST(Section4_2_2_RemovingTheLeader, ItLeadsWithoutCountingItselfUntilTheChangeIsCommitted) {
  Solo one({1, 2, 3});
  one.lead_with(2);
  one.accept(3);
  one.sent.clear();
  one.step(ProposeMembership{.target = members({2, 3}), .only_in = {}});
  one.accept(2);
  EXPECT_EQ(one.raft.standing().role, Role::Leader);
  EXPECT_EQ(one.raft.commit_index(), Index(1));  // 2 alone is no majority of {2, 3}
  one.accept(3);
  EXPECT_EQ(one.raft.standing().role, Role::Follower);
  EXPECT_EQ(one.raft.commit_index(), Index(2));
  EXPECT_EQ(one.take_sent<Heartbeat>(2).back().commit, Index(2));
  EXPECT_EQ(one.raft.next_deadline(), Instant::never());
}

TEST(Section4_2_2_RemovingTheLeader, AMemberOnItsWayOutStillCampaignsUntilItsRemovalIsCommitted) {
  Solo one({1, 2, 3});
  AppendRequest removal = append_of(1, 0, 0, 0, {1, 1});
  removal.entries[1].kind = EntryKind::Membership;
  removal.entries[1].data = Blob(encode(members({2, 3})));
  one.receive(2, removal);
  EXPECT_NE(one.raft.next_deadline(), Instant::never());
  one.receive(2, Heartbeat{.term = Term(1), .commit = Index(2), .round = 0});
  EXPECT_EQ(one.raft.next_deadline(), Instant::never());
}

TEST(Section4_2_3_DisruptiveMembers, WhoHearsALeaderDoesNotVote) {
  Solo one;
  one.receive(2, append_of(1, 0, 0, 0, {1}));
  one.sent.clear();
  const VoteRequest good{.term = Term(7), .pre = false, .last_index = Index(9), .last_term = Term(6)};
  one.now = one.now + milliseconds(999);
  one.receive(9, good);
  EXPECT_THAT(one.take_sent_texts(), IsEmpty());
  EXPECT_EQ(one.raft.standing().term, Term(1));
  one.now = one.now + milliseconds(1);
  one.receive(9, good);
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("9 vote yes term=7"));
}

TEST(Section4_2_3_DisruptiveMembers, ALeaderItselfIsNotDisturbed) {
  Solo one;
  one.lead_with(2);
  one.receive(9, VoteRequest{.term = Term(7), .pre = false, .last_index = Index(9), .last_term = Term(6)});
  EXPECT_EQ(one.raft.standing(),
            (Standing{.role = Role::Leader, .term = Term(1), .leader = NodeId(1), .leading = true}));
}

TEST(Section4_3_JointConsensus, NeedsAMajorityOfBothHalves) {
  Solo one({1, 2, 3});
  one.lead_with(2);
  one.step(ProposeMembership{.target = members({1, 4, 5}), .only_in = {}});
  ASSERT_TRUE(one.raft.configuration().joint);
  one.accept(2);
  one.accept(3);
  EXPECT_EQ(one.raft.commit_index(), Index(1));
  one.accept(4);
  EXPECT_EQ(one.raft.commit_index(), Index(2));
  // It is completed without being asked, and then only the new half counts.
  EXPECT_EQ(one.raft.configuration(), members({1, 4, 5}));
  EXPECT_FALSE(one.raft.configuration_committed());
  one.accept(5);
  EXPECT_TRUE(one.raft.configuration_committed());
}

TEST(Section4_3_JointConsensus, AnElectionNeedsBothHalvesToo) {
  Configuration joint = members({1, 4, 5});
  for (const uint64_t id : {2, 3}) joint.members.push_back({.id = NodeId(id), .outgoing = Suffrage::Voter});
  joint.members.front().outgoing = Suffrage::Voter;
  std::ranges::sort(joint.members, {}, &Member::id);
  joint.joint = true;
  Initial initial{.snapshot = {.configuration = joint}};
  Solo one(std::move(initial), {});
  one.wake();
  for (const uint64_t id : {2, 3}) one.receive(id, VoteReply{.term = Term(1), .pre = true, .granted = true});
  EXPECT_EQ(one.raft.standing().role, Role::PreCandidate);
  one.receive(4, VoteReply{.term = Term(1), .pre = true, .granted = true});
  EXPECT_EQ(one.raft.standing().role, Role::Candidate);
  for (const uint64_t id : {4, 5}) one.receive(id, VoteReply{.term = Term(1), .pre = false, .granted = true});
  EXPECT_EQ(one.raft.standing().role, Role::Candidate);
  one.receive(3, VoteReply{.term = Term(1), .pre = false, .granted = true});
  EXPECT_EQ(one.raft.standing().role, Role::Leader);
  // Thesis 4.3: the new leader completes the change that it found.
  for (const uint64_t id : {2, 3, 4, 5}) one.accept(id, Index(1));
  EXPECT_EQ(one.raft.configuration(), members({1, 4, 5}));
}

// ---- 6.2 and 6.4 Leaders that are none, and reads -----------------------------------------------

TEST(Section6_2_StaleLeaders, ALeaderThatHearsNoQuorumStepsDownAfterAnElectionTimeout) {
  Solo one({1, 2, 3, 4, 5});
  one.lead();
  for (const uint64_t id : {2, 3}) one.accept(id);
  const Instant heard = one.now + milliseconds(700);
  one.now = heard;
  one.receive(2, HeartbeatReply{.term = Term(1), .round = 0});
  one.receive(3, HeartbeatReply{.term = Term(1), .round = 0});
  while (one.raft.standing().role == Role::Leader) one.wake();
  EXPECT_EQ(one.now - heard, milliseconds(1000));
}

TEST(Section6_4_Reads, AnAnswerToAnEarlierRoundConfirmsNothing) {
  Solo one;
  one.lead_with(2);
  one.step(ReadIndex{.id = 1});
  one.step(ReadIndex{.id = 2});
  const uint64_t first = one.take_sent<Heartbeat>(2).back().round;
  one.receive(2, HeartbeatReply{.term = Term(1), .round = first});
  ASSERT_EQ(one.reads.size(), 1U);
  EXPECT_EQ(one.reads.front().id, 1U);
  one.receive(2, HeartbeatReply{.term = Term(1), .round = first});
  EXPECT_EQ(one.reads.size(), 1U);
  const uint64_t second = one.take_sent<Heartbeat>(2).back().round;
  EXPECT_GT(second, first);
  one.receive(2, HeartbeatReply{.term = Term(1), .round = second});
  EXPECT_EQ(one.reads.size(), 2U);
}

TEST(Section6_4_Reads, WaitForTheTermsFirstCommitAndSeeItsIndex) {
  Solo one(on_disk(3, {1, 3}), {});
  one.lead();
  one.step(ReadIndex{.id = 1});
  one.receive(2, HeartbeatReply{.term = Term(4), .round = 0});
  EXPECT_THAT(one.reads, IsEmpty());
  one.accept(2);
  one.receive(2, HeartbeatReply{.term = Term(4), .round = one.take_sent<Heartbeat>(2).back().round});
  ASSERT_EQ(one.reads.size(), 1U);
  EXPECT_EQ(one.reads.front().index, Index(3));
}

TEST(Section6_4_Reads, AreFailedWithTheLossOfLeadership) {
  Solo one;
  one.step(ReadIndex{.id = 1});
  EXPECT_THAT(one.reads_failed, ElementsAre(1));
  one.lead();
  one.step(ReadIndex{.id = 2});
  one.accept(2);
  one.step(ReadIndex{.id = 3});
  one.receive(3, Heartbeat{.term = Term(2), .commit = Index(0), .round = 1});
  EXPECT_THAT(one.reads_failed, ElementsAre(1, 2, 3));
  EXPECT_THAT(one.reads, IsEmpty());
}

TEST(Section6_4_Reads, ALearnersAnswerConfirmsNothing) {
  Initial initial{.snapshot = {.configuration = members({1, 2, 3}, {4, 5})}};
  Solo one(std::move(initial), {});
  one.lead_with(2);
  one.step(ReadIndex{.id = 1});
  const uint64_t round = one.take_sent<Heartbeat>(2).back().round;
  for (const uint64_t id : {4, 5}) one.receive(id, HeartbeatReply{.term = Term(1), .round = round});
  EXPECT_THAT(one.reads, IsEmpty());
  one.receive(3, HeartbeatReply{.term = Term(1), .round = round});
  EXPECT_EQ(one.reads.size(), 1U);
}

// ---- 9.6 Pre-vote -------------------------------------------------------------------------------

TEST(Section9_6_PreVote, AskingMovesNobodysTermAndCostsNobodysVote) {
  Solo one(on_disk(2, {1}), {});
  const VoteRequest question{.term = Term(3), .pre = true, .last_index = Index(1), .last_term = Term(1)};
  one.receive(2, question);
  one.receive(3, question);
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 pre-vote yes term=3", "3 pre-vote yes term=3"));
  EXPECT_EQ(one.raft.hard_state(), (HardState{.term = Term(2), .vote = kNobody, .commit = Index(0)}));
  EXPECT_THAT(one.writes, IsEmpty());
}

TEST(Section9_6_PreVote, WhoAsksForATermThatIsOverFollows) {
  Solo one(on_disk(2, {1}), {});
  one.wake();
  one.receive(2, VoteReply{.term = Term(5), .pre = true, .granted = false});
  EXPECT_EQ(one.raft.standing(), (Standing{.role = Role::Follower, .term = Term(5)}));
}

// ---- 10.2.1 Writing in parallel -----------------------------------------------------------------

TEST(Section10_2_1_ParallelWrite, EntriesGoOutBeforeTheLeadersOwnDiskHasThem) {
  Solo one;
  one.lead_with(2);
  one.slow_disk = true;
  one.sent.clear();
  one.propose("a");
  EXPECT_EQ(one.take_sent<AppendRequest>(2).size(), 1U);
  one.accept(2);
  EXPECT_EQ(one.raft.commit_index(), Index(1));  // one other of three and not ourselves
  one.accept(3);
  EXPECT_EQ(one.raft.commit_index(), Index(2));  // two others: our disk may be last
  EXPECT_EQ(one.raft.durable_index(), Index(1));
}

TEST(Section10_2_1_ParallelWrite, TheCompletionOfAnOverwrittenWriteProvesNothing) {
  Solo one;
  one.lead_with(2);
  one.slow_disk = true;
  one.propose("old");
  one.receive(3, append_of(2, 1, 1, 1, {2}));  // cuts it
  one.receive(2, append_of(3, 1, 1, 1, {3}));  // and that one
  ASSERT_EQ(one.writes.size(), 3U);
  one.write_one();
  EXPECT_EQ(one.raft.durable_index(), Index(1));
  one.write_one();
  EXPECT_EQ(one.raft.durable_index(), Index(1));
  one.write_one();
  EXPECT_EQ(one.raft.durable_index(), Index(2));
}

}  // namespace
}  // namespace witan::raft::testing
