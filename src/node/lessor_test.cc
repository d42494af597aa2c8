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
  for (const auto& [id, kind] : lessor.take_expired(at(ms), 100)) ids.push_back(id);
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
  lessor.not_ended(kA);
  EXPECT_EQ(lessor.renew(at(1002), kA, kEtcd), Lessor::Renewal::Renewed);
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
