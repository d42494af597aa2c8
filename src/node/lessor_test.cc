#include "node/lessor.h"

#include <gtest/gtest.h>

namespace witan::node {
namespace {

constexpr store::LeaseId kA(10);
constexpr store::LeaseId kB(20);
constexpr auto kEtcd = store::LeaseKind::Etcd;

Instant at(int64_t ms) { return Instant{} + milliseconds(ms); }

Lessor leading(const std::vector<Lessor::Known>& leases, Duration grace = milliseconds(0)) {
  Lessor lessor;
  lessor.lead(at(0), grace, leases);
  return lessor;
}

std::vector<store::LeaseId> expired(Lessor& lessor, int64_t ms) {
  std::vector<store::LeaseId> ids;
  for (const store::LeaseRevoke& end : lessor.take_expired(at(ms), 100)) ids.push_back(end.id);
  return ids;
}

TEST(Lessor, ALeaseNeverEndsBeforeItsTime) {
  Lessor lessor = leading({{kA, kEtcd, 2000, 0}});
  EXPECT_TRUE(expired(lessor, 1999).empty());
  EXPECT_EQ(expired(lessor, 2000), std::vector{kA});
}

TEST(Lessor, ARenewalGivesTheFullTimeAgain) {
  Lessor lessor = leading({{kA, kEtcd, 2000, 0}});
  EXPECT_EQ(lessor.renew(at(1500), kA, kEtcd), Lessor::Renewal::Renewed);
  EXPECT_TRUE(expired(lessor, 3499).empty());
  EXPECT_EQ(expired(lessor, 3500), std::vector{kA});
}

TEST(Lessor, AClosingLeaseIsNotRenewed) {  // core L2
  Lessor lessor = leading({{kA, kEtcd, 1000, 0}});
  ASSERT_EQ(expired(lessor, 1000), std::vector{kA});
  EXPECT_EQ(lessor.renew(at(1001), kA, kEtcd), Lessor::Renewal::Closing);
  EXPECT_TRUE(expired(lessor, 5000).empty()) << "its end is proposed once";
  lessor.not_ended({.id = kA}, at(1002));
  EXPECT_EQ(lessor.renew(at(1002), kA, kEtcd), Lessor::Renewal::Renewed);
}

TEST(Lessor, AnEndThatFailedIsTriedAgainButNotAtOnce) {
  Lessor lessor = leading({{kA, kEtcd, 1000, 0}});
  ASSERT_EQ(expired(lessor, 1000), std::vector{kA});
  lessor.not_ended({.id = kA}, at(5000));
  EXPECT_TRUE(expired(lessor, 4999).empty());
  EXPECT_EQ(expired(lessor, 5000), std::vector{kA});
}

TEST(Lessor, KindsDoNotSeeEachOther) {  // core L1
  Lessor lessor = leading({{kA, store::LeaseKind::ZooKeeper, 1000, 0}});
  EXPECT_EQ(lessor.renew(at(1), kA, kEtcd), Lessor::Renewal::NotFound);
  EXPECT_FALSE(lessor.time_of(at(1), kA, kEtcd).has_value());
}

TEST(Lessor, ANewLeaderStartsFromTheCheckpointNotFromAFullTtl) {  // core L3
  Lessor lessor = leading({{kA, kEtcd, 600'000, 60'000}}, milliseconds(1000));
  EXPECT_TRUE(expired(lessor, 60'999).empty()) << "never earlier than the old leader promised";
  EXPECT_EQ(expired(lessor, 61'000), std::vector{kA});
}

TEST(Lessor, RenewingACheckpointedLeaseWaitsForTheReset) {  // core L3
  Lessor lessor = leading({{kA, kEtcd, 600'000, 60'000}});
  EXPECT_EQ(lessor.renew(at(10), kA, kEtcd), Lessor::Renewal::NeedsReset);
  lessor.checkpointed(kA, 0);
  EXPECT_EQ(lessor.renew(at(20), kA, kEtcd), Lessor::Renewal::Renewed);
  EXPECT_EQ(lessor.time_of(at(20), kA, kEtcd)->remaining_ms, 600'000);
}

TEST(Lessor, CheckpointsAreLogarithmicallyManyAndNoneForTheRenewed) {
  Lessor lessor = leading({{kA, kEtcd, 600'000, 0}, {kB, kEtcd, 600'000, 0}});
  int checkpoints = 0;
  for (int64_t ms = 0; ms < 600'000; ms += 1000) {
    if (ms % 200'000 == 0) lessor.renew(at(ms), kB, kEtcd);
    for (const auto& item : lessor.take_checkpoints(at(ms), 100)) {
      EXPECT_EQ(item.id, kA);
      EXPECT_EQ(item.remaining_ms, 600'000 - ms);
      lessor.checkpointed(item.id, item.remaining_ms);
      ++checkpoints;
    }
  }
  EXPECT_GE(checkpoints, 4);
  EXPECT_LE(checkpoints, 8);
}

TEST(Lessor, ALeaseOfAgesNeverEndsAndNeverOverflows) {
  Lessor lessor = leading({{kA, kEtcd, 9'000'000'000'000, 0}});
  EXPECT_EQ(lessor.next_deadline(), Instant::never());
  EXPECT_EQ(lessor.time_of(at(5), kA, kEtcd)->remaining_ms, 9'000'000'000'000);
  EXPECT_EQ(lessor.renew(at(5), kA, kEtcd), Lessor::Renewal::Renewed);
}

constexpr auto kSession = store::LeaseKind::ZooKeeper;

// What its member reports may be as old as that, and the member may have answered pings meanwhile.
TEST(Lessor, ASessionHasTheAllowanceBeyondItsTime) {  // core L6
  Lessor lessor(milliseconds(500));
  lessor.lead(at(0), milliseconds(100), {{kA, kSession, 2000, 0, 1}, {kB, kEtcd, 2000, 0}});
  EXPECT_EQ(expired(lessor, 2599), std::vector{kB}) << "leases of etcd's renew themselves and have none";
  EXPECT_EQ(lessor.renew(at(2599), kA, kSession), Lessor::Renewal::Renewed);
  EXPECT_EQ(lessor.time_of(at(2599), kA, kSession)->remaining_ms, 2000) << "nobody is told of it";
  EXPECT_TRUE(expired(lessor, 5098).empty());
  EXPECT_EQ(expired(lessor, 5099), std::vector{kA});
  lessor.granted(at(6000), {kA, kSession, 1000, 0, 2});
  EXPECT_TRUE(expired(lessor, 7499).empty());
  EXPECT_EQ(expired(lessor, 7500), std::vector{kA});
}

// Its end was proposed, and then it was attached again: what is proposed must not end the session that there is now.
TEST(Lessor, ASessionIsEndedAsItStands) {  // core L5
  Lessor lessor = leading({{kA, kSession, 1000, 0, 3}});
  const auto ends = lessor.take_expired(at(1000), 100);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_EQ(ends[0].kind, kSession);
  EXPECT_EQ(ends[0].generation, 3u);
  lessor.granted(at(1001), {kA, kSession, 2000, 0, 4});
  EXPECT_EQ(lessor.renew(at(1002), kA, kSession), Lessor::Renewal::Renewed) << "it is not closing any more";
  lessor.not_ended(ends[0], at(9000));  // which is nothing to this one
  const auto again = lessor.take_expired(at(3002), 100);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].generation, 4u);
  lessor.not_ended(ends[0], at(3002));
  EXPECT_EQ(lessor.renew(at(3003), kA, kSession), Lessor::Renewal::Closing) << "another end failed";
}

TEST(Lessor, ExpiriesComeInHelpings) {  // core L7
  std::vector<Lessor::Known> many;
  for (int64_t i = 1; i <= 50; ++i) many.push_back({store::LeaseId(i), kEtcd, 1000, 0});
  Lessor lessor = leading(many);
  EXPECT_EQ(lessor.take_expired(at(2000), 20).size(), 20u);
  EXPECT_EQ(lessor.take_expired(at(2000), 20).size(), 20u);
  EXPECT_EQ(lessor.take_expired(at(2000), 20).size(), 10u);
}

}  // namespace
}  // namespace witan::node
