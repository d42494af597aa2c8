#include "verify/ledger.h"

#include <gtest/gtest.h>

#include "verify/testing.h"

namespace witan::verify {
namespace {

constexpr uint64_t kContent = 1000;  // the entry at i has the content kContent + i
Digest digest_at(uint64_t index) { return {.high = index, .low = ~index}; }

LogImage image(uint64_t member, uint64_t first, std::vector<uint64_t> terms) {
  LogImage image{.member = member};
  for (const uint64_t term : terms) {
    image.entries.push_back({.index = first, .term = term, .content_hash = kContent + first});
    ++first;
  }
  return image;
}

// Three members; the first two have applied 1 and 2 of term 1, and 3 of term 2.
struct Cluster {
  Ledger ledger;
  std::vector<LogImage> images{image(1, 1, {1, 1, 2}), image(2, 1, {1, 1, 2}), image(3, 1, {1, 1})};

  Cluster() {
    ledger.leads(1, 1, at_ms(1));
    ledger.leads(2, 2, at_ms(2));
    for (const uint64_t member : {1, 2}) {
      apply(member, 1, 1);
      apply(member, 2, 1);
      apply(member, 3, 2);
    }
  }
  void apply(uint64_t member, uint64_t index, uint64_t term) {
    ledger.applied(member, index, term, kContent + index, digest_at(index), at_ms(10));
  }
  Rules images_break() {
    ledger.check_images(images);
    return broken(ledger.take_violations());
  }
  Rules durable_breaks(uint64_t index, const std::vector<std::set<uint64_t>>& quorums) {
    ledger.check_durable(index, images, quorums);
    return broken(ledger.take_violations());
  }
  Rules breaks() {
    const std::vector<Violation> violations = ledger.take_violations();
    for (const Violation& violation : violations) EXPECT_FALSE(violation.window.empty());
    return broken(violations);
  }
};

const Rules kNone;

TEST(Ledger, AcceptsARightCluster) {
  Cluster cluster;
  cluster.ledger.leads(2, 2, at_ms(20));
  cluster.apply(3, 1, 1);
  cluster.ledger.installed(3, 3, digest_at(3), at_ms(20));
  cluster.apply(3, 4, 2);
  cluster.ledger.restarted(1, 2, at_ms(30));
  cluster.apply(1, 3, 2);
  cluster.apply(1, 4, 2);
  EXPECT_EQ(cluster.breaks(), kNone);
  EXPECT_EQ(cluster.images_break(), kNone);
  EXPECT_EQ(cluster.ledger.highest().index, 4U);
  EXPECT_EQ(cluster.ledger.highest().term, 2U);
  EXPECT_EQ(cluster.ledger.term_of(2), 1U);
  EXPECT_EQ(cluster.ledger.term_of(5), std::nullopt);
}

TEST(Ledger, AcceptsWhatIsDurable) {
  Cluster cluster;
  EXPECT_EQ(cluster.durable_breaks(3, {{1, 2, 3}}), kNone);
  EXPECT_EQ(cluster.durable_breaks(2, {{1, 2, 3}, {3}}), kNone);
  cluster.images[1] = LogImage{.member = 2, .snapshot_index = 3, .snapshot_term = 2};
  EXPECT_EQ(cluster.durable_breaks(3, {{1, 2, 3}, {}}), kNone);
  EXPECT_EQ(cluster.images_break(), kNone);
}

// The entry of term 2 on member 3 never was on a majority, and one of term 1 was committed in term 3 instead (thesis
// figure 3.7).
TEST(Ledger, AcceptsAStaleEntryOfATermInBetween) {
  Ledger ledger;
  ledger.leads(1, 1, at_ms(1));
  ledger.leads(3, 2, at_ms(2));
  ledger.leads(1, 3, at_ms(3));
  ledger.applied(1, 1, 1, 7, digest_at(1), at_ms(4));
  ledger.check_images({image(3, 1, {2})});
  EXPECT_EQ(broken(ledger.take_violations()), kNone);
}

TEST(Ledger, RejectsTwoLeadersOfATerm) {
  Cluster cluster;
  cluster.ledger.leads(3, 2, at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"election"});
}

TEST(Ledger, RejectsDifferentTermsAtAnIndex) {
  Cluster cluster;
  cluster.apply(3, 1, 2);
  EXPECT_EQ(cluster.breaks(), Rules{"agreement"});
}

TEST(Ledger, RejectsDifferentContentsAtAnIndex) {
  Cluster cluster;
  cluster.ledger.applied(3, 1, 1, 5, digest_at(1), at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"agreement"});
}

TEST(Ledger, RejectsDifferentDigestsAtAnIndex) {
  Cluster cluster;
  cluster.ledger.applied(3, 1, 1, kContent + 1, digest_at(2), at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"agreement"});
}

TEST(Ledger, RejectsASnapshotOfAnotherState) {
  Cluster cluster;
  cluster.ledger.installed(3, 3, digest_at(2), at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"agreement"});
}

TEST(Ledger, RejectsASnapshotOfAnotherTerm) {
  Cluster cluster;
  cluster.images[2] = LogImage{.member = 3, .snapshot_index = 3, .snapshot_term = 1};
  EXPECT_EQ(cluster.images_break(), Rules{"agreement"});
}

TEST(Ledger, RejectsASkippedIndex) {
  Cluster cluster;
  cluster.apply(3, 2, 1);
  EXPECT_EQ(cluster.breaks(), Rules{"order"});
}

TEST(Ledger, RejectsAnIndexAppliedTwice) {
  Cluster cluster;
  cluster.apply(1, 3, 2);
  EXPECT_EQ(cluster.breaks(), Rules{"order"});
}

TEST(Ledger, RejectsASkippedIndexAfterARestart) {
  Cluster cluster;
  cluster.ledger.restarted(1, 1, at_ms(20));
  cluster.apply(1, 3, 2);
  EXPECT_EQ(cluster.breaks(), Rules{"order"});
}

TEST(Ledger, RejectsASnapshotThatTakesAMemberBack) {
  Cluster cluster;
  cluster.ledger.installed(1, 2, digest_at(2), at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"order"});
}

TEST(Ledger, RejectsALogWithAGap) {
  Cluster cluster;
  cluster.images[0].entries.erase(cluster.images[0].entries.begin() + 1);
  EXPECT_EQ(cluster.images_break(), Rules{"order"});
}

TEST(Ledger, RejectsALogThatBeginsBehindAGap) {
  Cluster cluster;
  cluster.images[0] = image(1, 3, {2});
  cluster.images[0].snapshot_index = 1;
  EXPECT_EQ(cluster.images_break(), Rules{"order"});
}

TEST(Ledger, RejectsATermThatDecreasesAsItIsApplied) {
  Cluster cluster;
  cluster.apply(1, 4, 1);
  EXPECT_EQ(cluster.breaks(), Rules{"terms"});
}

TEST(Ledger, RejectsATermThatDecreasesInALog) {
  Cluster cluster;
  cluster.images[2] = image(3, 4, {2, 1});
  cluster.images[2].snapshot_index = 3;
  EXPECT_EQ(cluster.images_break(), Rules{"terms"});
  Cluster behind_snapshot;
  behind_snapshot.images[2] = image(3, 4, {1});
  behind_snapshot.images[2].snapshot_index = 3;
  behind_snapshot.images[2].snapshot_term = 2;
  EXPECT_EQ(behind_snapshot.images_break(), Rules{"terms"});
}

TEST(Ledger, RejectsLogsOfDifferentContent) {
  Cluster cluster;
  cluster.images[0] = image(1, 1, {1, 1, 2, 2});
  cluster.images[1] = cluster.images[0];
  cluster.images[1].member = 2;
  cluster.images[1].entries[3].content_hash = 5;
  EXPECT_EQ(cluster.images_break(), Rules{"log-matching"});
}

TEST(Ledger, RejectsALogThatDiffersFromWhatWasApplied) {
  Cluster cluster;
  cluster.images[2].entries[0].content_hash = 5;
  EXPECT_EQ(cluster.images_break(), Rules{"log-matching"});
}

TEST(Ledger, RejectsWhatIsAppliedOtherThanItWasWritten) {
  Cluster cluster;
  cluster.images[0] = image(1, 1, {1, 1, 2, 2});
  EXPECT_EQ(cluster.images_break(), kNone);
  cluster.ledger.applied(1, 4, 2, 5, digest_at(4), at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"log-matching"});
}

TEST(Ledger, RejectsLogsOfDifferentPredecessors) {
  Ledger ledger;
  ledger.check_images({image(1, 1, {1, 3}), image(2, 1, {2, 3})});
  EXPECT_EQ(broken(ledger.take_violations()), Rules{"log-matching"});
}

TEST(Ledger, RejectsLogsThatDifferFromEarlierOnes) {
  Ledger ledger;
  ledger.check_images({image(1, 1, {1, 3})});
  EXPECT_EQ(broken(ledger.take_violations()), kNone);
  ledger.check_images({image(2, 1, {2, 3})});
  EXPECT_EQ(broken(ledger.take_violations()), Rules{"log-matching"});
}

TEST(Ledger, RejectsALaterTermWhereSomethingWasCommitted) {
  Cluster cluster;
  cluster.ledger.leads(3, 3, at_ms(20));
  cluster.images[2] = image(3, 1, {1, 1, 3});
  EXPECT_EQ(cluster.images_break(), Rules{"completeness"});
}

TEST(Ledger, RejectsARestartFromWhatNobodyApplied) {
  Cluster cluster;
  cluster.ledger.restarted(1, 4, at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"ahead"});
}

TEST(Ledger, RejectsASnapshotOfWhatNobodyApplied) {
  Cluster cluster;
  cluster.ledger.installed(3, 4, digest_at(4), at_ms(20));
  EXPECT_EQ(cluster.breaks(), Rules{"ahead"});
  cluster.images[2] = LogImage{.member = 3, .snapshot_index = 4};
  EXPECT_EQ(cluster.images_break(), Rules{"ahead"});
}

TEST(Ledger, RejectsWhatAMinorityHasOnDisk) {
  Cluster cluster;
  cluster.images[1].entries.pop_back();
  EXPECT_EQ(cluster.durable_breaks(3, {{1, 2, 3}}), Rules{"durable"});
  EXPECT_EQ(cluster.durable_breaks(2, {{1, 2, 3}}), kNone);
}

TEST(Ledger, RejectsWhatOneHalfOfAJointConfigurationLacks) {
  Cluster cluster;
  EXPECT_EQ(cluster.durable_breaks(3, {{1, 2, 3}, {3, 4, 5}}), Rules{"durable"});
}

TEST(Ledger, RejectsHalfOfAnEvenNumberOfVoters) {
  Cluster cluster;
  EXPECT_EQ(cluster.durable_breaks(3, {{1, 2, 3, 4}}), Rules{"durable"});
}

TEST(Ledger, DoesNotCountAnEntryOfAnotherTerm) {
  Cluster cluster;
  cluster.images[1] = image(2, 1, {1, 1, 1});
  EXPECT_EQ(cluster.durable_breaks(3, {{1, 2, 3}}), Rules{"durable"});
}

TEST(Ledger, RejectsDurabilityOfWhatNobodyApplied) {
  Cluster cluster;
  EXPECT_EQ(cluster.durable_breaks(4, {{1, 2, 3}}), Rules{"durable"});
}

}  // namespace
}  // namespace witan::verify
