// Bounds and flow: windows, refusals, memory, snapshots, the driver's own events, and peers that lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "raft/solo.h"

namespace witan::raft::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

size_t entries_in(const std::vector<AppendRequest>& requests) {
  size_t count = 0;
  for (const AppendRequest& request : requests) count += request.entries.size();
  return count;
}

// ---- Windows ------------------------------------------------------------------------------------

TEST(Windows, BoundWhatIsUnderWayInMessages) {
  Solo one({1, 2, 3}, {.max_inflight_messages = 3});
  one.lead_with(2);
  one.sent.clear();
  for (int i = 0; i < 10; ++i) one.propose("x");
  EXPECT_EQ(one.take_sent<AppendRequest>(2).size(), 3U);
  one.accept(2, Index(3));
  EXPECT_EQ(entries_in(one.take_sent<AppendRequest>(2)), 7U);  // all that waited, in one message
}

TEST(Windows, BoundWhatIsUnderWayInBytes) {
  Solo one({1, 2, 3}, {.max_append_bytes = 1000, .max_inflight_bytes = 2500});
  one.lead_with(2);
  one.sent.clear();
  one.step(Propose{.commands = std::vector<Blob>(10, Blob(std::string(900, 'x'))), .only_in = {}});
  EXPECT_EQ(one.take_sent<AppendRequest>(2).size(), 3U);
  one.accept(2, Index(2));
  EXPECT_EQ(one.take_sent<AppendRequest>(2).size(), 1U);
}

TEST(Windows, AnEntryLargerThanAMessageStillGoes) {
  Solo one({1, 2, 3}, {.max_append_bytes = 10});
  one.lead_with(2);
  one.sent.clear();
  one.propose(std::string(5000, 'x'));
  EXPECT_EQ(entries_in(one.take_sent<AppendRequest>(2)), 1U);
}

TEST(Windows, AProbeIsAloneUntilItIsAnswered) {
  Solo one;
  one.lead();
  one.propose("a");
  one.propose("b");
  EXPECT_EQ(one.take_sent<AppendRequest>(2).size(), 1U);
  one.accept(2, Index(1));
  EXPECT_EQ(entries_in(one.take_sent<AppendRequest>(2)), 2U);
}

TEST(Windows, ABrokenConnectionMeansProbing) {
  Solo one;
  one.lead_with(2);
  one.sent.clear();
  one.propose("a");
  one.propose("b");
  one.step(Unreachable{NodeId(2)});
  one.propose("c");
  const std::vector<AppendRequest> sent = one.take_sent<AppendRequest>(2);
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(sent.back().prev_index, Index(1));  // from what is known, everything again, and then it waits
  EXPECT_EQ(sent.back().entries.size(), 2U);
}

TEST(Windows, WhatWasLostIsRetriedOnceAHeartbeatIntervalHoweverLateAndManyTheAnswersAre) {
  Solo one;
  one.lead_with(2);
  one.propose("a");
  one.sent.clear();
  // The answers take longer than the interval, and a read round's answers come in between.
  for (int i = 0; i < 3; ++i) one.wake();
  one.step(ReadIndex{.id = 1});
  EXPECT_THAT(one.take_sent<AppendRequest>(2), IsEmpty());
  for (uint64_t round = 1; round <= 4; ++round) one.receive(2, HeartbeatReply{.term = Term(1), .round = round});
  EXPECT_EQ(one.take_sent<AppendRequest>(2).size(), 1U);
}

// On a connection that carries less than a probe in an interval, the answers would come later and later.
TEST(Windows, AProbeThatIsNotAnsweredTakesItsEntriesWithItEverMoreRarely) {
  Solo one;
  one.lead();
  one.propose("a");
  EXPECT_EQ(entries_in(one.take_sent<AppendRequest>(2)), 1U);
  std::vector<uint64_t> with_entries;
  for (uint64_t round = 1; round <= 20; ++round) {
    one.wake();
    one.receive(2, HeartbeatReply{.term = Term(1), .round = round});
    const std::vector<AppendRequest> sent = one.take_sent<AppendRequest>(2);
    ASSERT_EQ(sent.size(), 1U) << round;
    if (!sent.front().entries.empty()) with_entries.push_back(round);
  }
  EXPECT_THAT(with_entries, ElementsAre(2, 5, 10, 19));
  one.accept(2, Index(0));
  EXPECT_EQ(entries_in(one.take_sent<AppendRequest>(2)), 2U) << "now it is known where to go on";
}

TEST(Batches, OneStepIsOneMessageAPeerAndOneWrite) {
  Solo one;
  one.lead_with(2);
  one.accept(3);
  one.sent.clear();
  one.slow_disk = true;
  one.step(Propose{.commands = std::vector<Blob>(100, Blob("x")), .only_in = {}});
  EXPECT_EQ(one.sent.size(), 2U);
  ASSERT_EQ(one.writes.size(), 1U);
  EXPECT_EQ(one.writes.front().entries.size(), 100U);
}

TEST(Batches, EntriesShareTheProposersBytes) {
  Solo one;
  one.lead_with(2);
  one.sent.clear();
  const Blob command(std::string(100, 'x'));
  one.step(Propose{.commands = {command}, .only_in = {}});
  EXPECT_EQ(one.take_sent<AppendRequest>(2).front().entries.front().data.data(), command.data());
}

// ---- Proposals ----------------------------------------------------------------------------------

TEST(Proposals, AreRefusedWithTheReason) {
  Solo one;
  EXPECT_EQ(refusal(one.propose("a")), Code::NotLeader);
  one.lead_with(2);
  EXPECT_EQ(refusal(one.step(Propose{.commands = {Blob("a")}, .only_in = Term(9)})), Code::NotLeader);
  EXPECT_EQ(refusal(one.step(Propose{.commands = {}, .only_in = {}})), Code::Invalid);
  EXPECT_EQ(one.raft.last_index(), Index(1));
  const Output output = one.step(Propose{.commands = {Blob("a"), Blob("b")}, .only_in = Term(1)});
  EXPECT_EQ((*output.proposed)->first, Index(2));
  EXPECT_EQ((*output.proposed)->last, Index(3));
  EXPECT_EQ((*output.proposed)->term, Term(1));
}

TEST(Proposals, AreBoundedInUncommittedBytesAllOrNone) {
  Solo one({1, 2, 3}, {.max_uncommitted_bytes = 1000});
  one.lead_with(2);
  one.slow_disk = true;
  EXPECT_EQ(refusal(one.propose(std::string(700, 'x'))), std::nullopt);
  const Output refused = one.step(Propose{.commands = {Blob("a"), Blob(std::string(300, 'x'))}, .only_in = {}});
  EXPECT_EQ(refusal(refused), Code::Exhausted);
  EXPECT_EQ(one.raft.last_index(), Index(2));
  one.accept(2);
  one.accept(3);
  EXPECT_EQ(refusal(one.propose(std::string(5000, 'x'))), std::nullopt) << "nothing waits, so one is always taken";
  EXPECT_EQ(refusal(one.propose("a")), Code::Exhausted);
}

TEST(Proposals, ANewLeaderCountsWhatItInheritsAndStillAppendsItsFirstEntry) {
  Initial initial = on_disk(1, {1});
  initial.entries.front().data = Blob(std::string(5000, 'x'));
  Solo one(std::move(initial), {.max_uncommitted_bytes = 1000});
  one.lead();
  EXPECT_EQ(one.raft.last_index(), Index(2));
  EXPECT_EQ(refusal(one.propose("a")), Code::Exhausted);
  one.accept(2);
  EXPECT_EQ(refusal(one.propose("a")), std::nullopt);
}

// ---- Memory, disk and snapshots -----------------------------------------------------------------

TEST(Tail, IsReadBackFromDiskForAFollowerThatLags) {
  Solo one({1, 2, 3}, {.max_tail_bytes = 0});
  one.lead_with(2);
  for (int i = 0; i < 5; ++i) one.propose("x");
  one.accept(2);
  one.step(Applied{Index(6)});
  Output output =
      one.receive(3, AppendReply{.term = Term(1), .accepted = false, .rejected = Index(0), .hint = Index(0)});
  output = one.accept(3, Index(1));
  ASSERT_EQ(output.fetches.size(), 1U);
  EXPECT_EQ(output.fetches.front().from, Index(2));
  EXPECT_EQ(output.fetches.front().to, Index(6));
  one.sent.clear();
  EXPECT_THAT(one.propose("y").fetches, IsEmpty()) << "one at a time";
  std::vector<Entry> entries(one.committed.begin() + 1, one.committed.begin() + 3);
  output = one.step(Fetched{.peer = NodeId(3), .entries = entries});
  const std::vector<AppendRequest> sent = one.take_sent<AppendRequest>(3);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent.front().prev_index, Index(1));
  EXPECT_EQ(sent.front().entries, entries);
  ASSERT_EQ(output.fetches.size(), 1U) << "and on, without waiting for the answer";
  EXPECT_EQ(output.fetches.front().from, Index(4));
  output = one.step(Fetched{.peer = NodeId(3), .entries = {}});
  EXPECT_THAT(output.send_snapshot, ElementsAre(NodeId(3)));
}

TEST(Tail, AnAnswerThatCameTooLateIsIgnored) {
  Solo one({1, 2, 3}, {.max_tail_bytes = 0});
  one.lead_with(2);
  for (int i = 0; i < 5; ++i) one.propose("x");
  one.accept(2);
  one.step(Applied{Index(6)});
  one.accept(3, Index(1));
  one.accept(3, Index(4));  // it had them all along
  one.sent.clear();
  const std::vector<Entry> entries(one.committed.begin() + 1, one.committed.begin() + 3);
  const Output output = one.step(Fetched{.peer = NodeId(3), .entries = entries});
  EXPECT_THAT(one.take_sent<AppendRequest>(3), IsEmpty());
  ASSERT_EQ(output.fetches.size(), 1U);
  EXPECT_EQ(output.fetches.front().from, Index(5));
}

Solo leader_whose_log_begins_at_6() {
  Solo one;
  one.lead_with(2);
  for (int i = 0; i < 5; ++i) one.propose("x");
  one.accept(2);
  one.step(Compact{Index(5)});
  EXPECT_EQ(one.raft.first_index(), Index(6));
  return one;
}

TEST(Snapshots, AreSentToWhoNeedsWhatIsCompacted) {
  Solo one = leader_whose_log_begins_at_6();
  Output output = one.accept(3, Index(1));
  EXPECT_THAT(output.send_snapshot, ElementsAre(NodeId(3)));
  EXPECT_TRUE(one.raft.progress()[1].snapshotting);
  one.sent.clear();
  one.propose("y");
  EXPECT_THAT(one.take_sent<AppendRequest>(3), IsEmpty());
  output = one.step(SnapshotSent{.to = NodeId(3), .delivered = true});
  EXPECT_FALSE(one.raft.progress()[1].snapshotting);
  one.receive(3, SnapshotReply{.term = Term(1), .accepted = true, .index = Index(5)});
  EXPECT_EQ(one.take_sent<AppendRequest>(3).front().prev_index, Index(5));
}

TEST(Snapshots, AFailedOneIsTriedAgainAfterTheNextHeartbeat) {
  Solo one = leader_whose_log_begins_at_6();
  one.accept(3, Index(1));
  EXPECT_THAT(one.step(SnapshotSent{.to = NodeId(3), .delivered = false}).send_snapshot, IsEmpty());
  one.wake();
  const uint64_t round = one.take_sent<Heartbeat>(3).back().round;
  EXPECT_THAT(one.receive(3, HeartbeatReply{.term = Term(1), .round = round}).send_snapshot, ElementsAre(NodeId(3)));
  one.receive(3, SnapshotReply{.term = Term(1), .accepted = false, .index = Index(5)});
  EXPECT_FALSE(one.raft.progress()[1].snapshotting);
}

SnapshotReceived snapshot_of(uint64_t term, uint64_t index, uint64_t index_term) {
  return {.from = NodeId(2),
          .term = Term(term),
          .meta = {.index = Index(index), .term = Term(index_term), .configuration = members({1, 2, 3, 4})}};
}

TEST(Snapshots, ReplaceALogThatLacksThem) {
  Solo one(on_disk(1, {1, 1}), {});
  one.slow_disk = true;
  const Output output = one.step(snapshot_of(2, 9, 2));
  EXPECT_EQ(output.install->index, Index(9));
  EXPECT_EQ(output.persist->reset->index, Index(9));
  EXPECT_EQ(output.configuration, members({1, 2, 3, 4}));
  EXPECT_EQ(one.raft.first_index(), Index(10));
  EXPECT_EQ(one.raft.last_index(), Index(9));
  EXPECT_EQ(one.raft.commit_index(), Index(9));
  EXPECT_THAT(one.take_sent_texts(), IsEmpty());
  one.write_one();
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 snapshot-installed term=2 index=9"));
}

TEST(Snapshots, ConflictingEntriesAfterThemGoToo) {
  Solo one(on_disk(1, {1, 1, 1}), {});
  one.step(snapshot_of(2, 2, 2));
  EXPECT_EQ(one.raft.last_index(), Index(2));
}

TEST(Snapshots, EntriesThatFollowThemStay) {
  Solo one(on_disk(1, {1, 1, 1}), {});
  const Output output = one.step(snapshot_of(2, 2, 1));
  EXPECT_EQ(output.install->index, Index(2));
  EXPECT_FALSE(output.persist->reset.has_value());
  EXPECT_EQ(one.raft.first_index(), Index(3));
  EXPECT_EQ(one.raft.last_index(), Index(3));
  one.receive(2, Heartbeat{.term = Term(2), .commit = Index(3), .round = 0});
  ASSERT_EQ(one.committed.size(), 1U);
  EXPECT_EQ(one.committed.front().index, Index(3));
}

TEST(Snapshots, StaleOnesAreAnsweredWithWhereTheLogIs) {
  Initial initial = on_disk(3, {1, 1, 1});
  initial.hard_state.commit = Index(3);
  Solo one(std::move(initial), {});
  EXPECT_FALSE(one.step(snapshot_of(3, 2, 1)).install.has_value());
  EXPECT_FALSE(one.step(snapshot_of(2, 9, 2)).install.has_value());
  EXPECT_THAT(one.take_sent_texts(), ElementsAre("2 appended term=3 match=3", "2 snapshot-refused term=3 index=9"));
}

TEST(Start, FromASnapshotAndALogThatDisagreeKeepsTheSnapshotAndSaysSo) {
  struct Row {
    std::vector<uint64_t> log;
    bool reset;
    uint64_t last;
  };
  // The snapshot stands for 4 entries, the last of term 2.
  for (const Row& row :
       {Row{{1, 1}, true, 4}, Row{{1, 1, 1, 1, 1}, true, 4}, Row{{1, 1, 2, 2, 2}, false, 5}, Row{{}, true, 4}}) {
    Initial initial = on_disk(2, row.log);
    initial.snapshot = {.index = Index(4), .term = Term(2), .configuration = members({1, 2, 3})};
    initial.applied = Index(4);
    Solo one(std::move(initial), {});
    const Output output = one.step(Applied{Index(4)});
    EXPECT_EQ(output.persist && output.persist->reset, row.reset);
    EXPECT_EQ(one.raft.last_index(), Index(row.last));
    EXPECT_EQ(one.raft.commit_index(), Index(4));
  }
}

TEST(Compaction, IsNoReasonToForgetWhatIsNeededStill) {
  Solo one;
  one.lead_with(2);
  one.slow_disk = true;
  one.propose("a");
  one.propose("b");
  one.accept(2);
  one.accept(3);
  ASSERT_EQ(one.raft.commit_index(), Index(3));
  one.step(Compact{Index(3)});  // committed and applied, but this member's disk is behind
  EXPECT_EQ(one.raft.first_index(), Index(2));
  one.step(Compact{Index(99)});
  EXPECT_EQ(one.raft.first_index(), Index(2));
}

TEST(Start, HandsOutWhatWasKnownToBeCommitted) {
  Initial initial = on_disk(2, {1, 1, 2});
  initial.hard_state.commit = Index(2);
  Solo one(std::move(initial), {});
  one.step(Applied{Index(0)});
  EXPECT_EQ(one.committed.size(), 2U);
}

TEST(Start, OfALoneVoterDoesNotWait) {
  Solo one({1});
  EXPECT_LE(one.raft.next_deadline(), one.now);
  one.wake();
  EXPECT_TRUE(one.raft.standing().leading);
  EXPECT_EQ(one.raft.next_deadline(), Instant::never());
}

// ---- Standing aside -----------------------------------------------------------------------------

TEST(StepDown, NamesASuccessorAndKeepsQuietForAnElectionTimeout) {
  Solo one;
  one.lead_with(3);
  one.step(StepDown{"a stalled disk"});
  EXPECT_EQ(one.raft.standing().role, Role::Follower);
  EXPECT_EQ(one.take_sent<TimeoutNow>(3).size(), 1U);
  EXPECT_GE(one.raft.next_deadline() - one.now, milliseconds(1000));
}

TEST(StepDown, DoesNotRenewTheLeadersLease) {
  Solo one;
  one.receive(2, Heartbeat{.term = Term(1), .commit = Index(0), .round = 1});
  one.now = one.now + milliseconds(900);
  one.step(StepDown{"a stalled disk"});
  one.now = one.now + milliseconds(100);
  one.sent.clear();
  one.receive(3, VoteRequest{.term = Term(2), .pre = true, .last_index = Index(0), .last_term = Term(0)});
  EXPECT_TRUE(one.take_sent<VoteReply>(3).front().granted);
}

TEST(StepDown, PostponesACampaign) {
  Solo one;
  one.now = one.raft.next_deadline() - milliseconds(1);
  one.step(StepDown{"a stalled disk"});
  EXPECT_GE(one.raft.next_deadline() - one.now, milliseconds(1000));
}

// ---- Peers that lie -----------------------------------------------------------------------------

TEST(HostilePeers, MalformedAppendsAreDroppedWhole) {
  const auto entry = [](uint64_t term, uint64_t index) {
    return Entry{.term = Term(term), .index = Index(index), .kind = EntryKind::Command, .data = Blob("x")};
  };
  Entry bad_kind = entry(2, 3);
  bad_kind.kind = static_cast<EntryKind>(9);
  Entry bad_membership = entry(2, 3);
  bad_membership.kind = EntryKind::Membership;
  bad_membership.data = Blob("\xff\xff");
  const std::vector<AppendRequest> requests = {
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {entry(2, 4)}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {entry(2, 3), entry(2, 3)}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {entry(2, 3), entry(1, 4)}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {entry(3, 3)}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {entry(0, 3)}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {entry(2, 3), bad_kind}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {bad_kind}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(1), .entries = {bad_membership}},
      {.term = Term(2), .prev_index = Index(kMost), .prev_term = Term(1), .entries = {entry(2, 0)}},
      {.term = Term(2), .prev_index = Index(2), .prev_term = Term(9), .entries = {}},
  };
  for (const AppendRequest& request : requests) {
    Solo one(on_disk(2, {1, 1}), {});
    one.receive(2, request);
    EXPECT_EQ(one.raft.last_index(), Index(2)) << describe(Message(request));
    EXPECT_THAT(one.take_sent<AppendReply>(2), IsEmpty()) << describe(Message(request));
  }
}

TEST(HostilePeers, NobodyRewritesWhatIsCommitted) {
  Initial initial = on_disk(2, {1, 1, 2});
  initial.hard_state.commit = Index(3);
  Solo one(std::move(initial), {});
  one.receive(2, AppendRequest{.term = Term(3),
                               .prev_index = Index(1),
                               .prev_term = Term(1),
                               .commit = Index(9),
                               .entries = entries_of(2, {3, 3, 3})});
  EXPECT_EQ(one.raft.term_at(Index(2)), Term(1));
  EXPECT_EQ(one.raft.term_at(Index(3)), Term(2));
}

TEST(HostilePeers, CommitsBeyondTheLogAreNotBelieved) {
  Solo one(on_disk(2, {1, 1}), {});
  one.receive(2, Heartbeat{.term = Term(2), .commit = Index(kMost), .round = 1});
  EXPECT_EQ(one.raft.commit_index(), Index(0));
  one.receive(2,
              AppendRequest{.term = Term(2), .prev_index = Index(kMost), .prev_term = Term(2), .commit = Index(kMost)});
  EXPECT_EQ(one.raft.commit_index(), Index(0));
}

TEST(HostilePeers, ImpossibleRepliesMoveNothing) {
  Solo one;
  one.lead_with(2);
  one.propose("a");
  for (const uint64_t from : {2, 9}) {
    one.accept(from, Index(kMost));
    one.receive(from, AppendReply{.term = Term(1), .accepted = false, .rejected = Index(kMost), .hint = Index(kMost)});
    one.receive(
        from,
        AppendReply{
            .term = Term(1), .accepted = false, .rejected = Index(0), .hint = Index(kMost), .hint_term = Term(kMost)});
    one.receive(from, HeartbeatReply{.term = Term(1), .round = kMost});
    one.receive(from, SnapshotReply{.term = Term(1), .accepted = true, .index = Index(kMost)});
    one.receive(from, VoteReply{.term = Term(1), .pre = false, .granted = true});
    one.receive(from, VoteReply{.term = Term(9), .pre = true, .granted = true});
    one.receive(from, AppendRequest{.term = Term(1), .prev_index = Index(0), .prev_term = Term(0), .commit = Index(2)});
    one.receive(from, Heartbeat{.term = Term(1), .commit = Index(2), .round = 1});
    one.receive(from, TimeoutNow{Term(1)});
  }
  EXPECT_EQ(one.raft.commit_index(), Index(1));
  EXPECT_EQ(one.raft.standing(),
            (Standing{.role = Role::Leader, .term = Term(1), .leader = NodeId(1), .leading = true}));
  one.step(ReadIndex{.id = 1});
  EXPECT_THAT(one.reads, IsEmpty());
}

TEST(HostilePeers, MessagesForOthersOrFromNobodyAreDropped) {
  Solo one;
  one.step(Receive{{.from = NodeId(2), .to = NodeId(3), .message = Heartbeat{.term = Term(5)}}});
  one.step(Receive{{.from = NodeId(1), .to = NodeId(1), .message = Heartbeat{.term = Term(5)}}});
  one.step(Receive{{.from = kNobody, .to = NodeId(1), .message = Heartbeat{.term = Term(5)}}});
  EXPECT_EQ(one.raft.standing().term, Term(0));
}

TEST(HostilePeers, APeerThatLostItsDiskDoesNotMakeTheLeaderSpin) {
  Solo one;
  one.lead_with(2);
  one.propose("a");
  one.accept(2);
  one.sent.clear();
  one.propose("b");
  int sent = 0;
  for (int i = 0; i < 100; ++i) {
    for (const AppendRequest& request : one.take_sent<AppendRequest>(2)) {
      ++sent;
      one.receive(2, AppendReply{.term = Term(1), .accepted = false, .rejected = request.prev_index, .hint = Index(0)});
    }
  }
  EXPECT_LE(sent, 2);
}

TEST(StaleTickets, AreIgnored) {
  Solo one;
  one.slow_disk = true;
  one.receive(2, AppendRequest{.term = Term(1),
                               .prev_index = Index(0),
                               .prev_term = Term(0),
                               .commit = Index(0),
                               .entries = entries_of(1, {1})});
  Ticket wrong = one.writes.front().ticket;
  wrong.term = Term(9);
  one.step(Persisted{wrong});
  EXPECT_EQ(one.raft.durable_index(), Index(0));
  one.write_one();
  EXPECT_EQ(one.raft.durable_index(), Index(1));
}

}  // namespace
}  // namespace witan::raft::testing
