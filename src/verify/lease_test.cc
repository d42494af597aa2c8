#include "verify/lease.h"

#include <gtest/gtest.h>

#include "verify/testing.h"

namespace witan::verify {
namespace {

// A lease of a second, granted at 0 and renewed at 500; clocks drift by a tenth.
struct Leased {
  LeaseHistory lease{.id = 7, .ttl = seconds(1), .grant_sent = at_ms(0)};
  LeaseRules rules{.max_drift_per_mille = 100,
                   .grace = milliseconds(300),
                   .end_of_faults = at_ms(2000),
                   .end_of_world = at_ms(20'000)};

  Leased() { renew(500, seconds(1)); }
  Renewal& renew(int64_t sent, Duration ttl) {
    return lease.renewals.emplace_back(
        Renewal{.sent = at_ms(sent), .returned = at_ms(sent + 10), .acknowledged = true, .ttl = ttl});
  }
  std::vector<Violation> judge() const { return check_lease(lease, rules); }
};

#define EXPECT_ACCEPTED(leased) \
  { \
    const auto violations = (leased).judge(); \
    EXPECT_TRUE(violations.empty()) << told(violations); \
  }
#define EXPECT_BROKEN(leased, ...) \
  { \
    const auto violations = (leased).judge(); \
    EXPECT_EQ(broken(violations), (Rules{__VA_ARGS__})) << told(violations); \
    for (const Violation& violation : violations) EXPECT_FALSE(violation.window.empty()); \
  }

TEST(LeaseChecker, AcceptsALeaseThatLives) {
  Leased leased;
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, AcceptsAnEndAfterTheLastRenewalsTtl) {
  Leased leased;
  leased.lease.abandoned = at_ms(510);
  leased.lease.ended = at_ms(1400);  // 500 + 1000 less a tenth
  leased.renew(1450, Duration{0});
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, AcceptsAnEarlyEndThatItsClientAskedFor) {
  Leased leased;
  leased.lease.revoke_sent = at_ms(600);
  leased.lease.ended = at_ms(620);
  leased.lease.revoke_acknowledged = at_ms(640);
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, AcceptsAGrantThatNeverWas) {
  Leased leased;
  leased.lease.granted = false;
  leased.lease.abandoned = at_ms(10);
  leased.lease.renewals.clear();
  leased.renew(500, Duration{0});
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, AcceptsRenewalsWithoutAnAnswer) {
  Leased leased;
  leased.lease.ended = at_ms(1500);
  leased.renew(1000, Duration{0}).acknowledged = false;
  leased.renew(1600, Duration{0}).acknowledged = false;
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, RejectsAnEndBeforeTheGrantedTtl) {
  Leased leased;
  leased.lease.renewals.clear();
  leased.lease.ended = at_ms(899);
  EXPECT_BROKEN(leased, "early");
  leased.lease.ended = at_ms(900);
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, RejectsAnEndBeforeTheRenewedTtl) {
  Leased leased;
  leased.lease.ended = at_ms(1399);
  EXPECT_BROKEN(leased, "early");
}

// Only the answer came after the end; the leader must have known better when it gave it.
TEST(LeaseChecker, RejectsAnEndWhileARenewalIsUnderWay) {
  Leased leased;
  leased.renew(1495, seconds(1));
  leased.lease.ended = at_ms(1500);
  EXPECT_BROKEN(leased, "early");
}

TEST(LeaseChecker, RejectsAnEarlyEndThatIsRevokedLater) {
  Leased leased;
  leased.lease.ended = at_ms(600);
  leased.lease.revoke_sent = at_ms(601);
  EXPECT_BROKEN(leased, "early");
}

TEST(LeaseChecker, RejectsARenewalAcknowledgedAfterTheEnd) {
  Leased leased;
  leased.lease.ended = at_ms(1500);
  leased.renew(1501, seconds(1));
  EXPECT_BROKEN(leased, "lie");
}

TEST(LeaseChecker, RejectsARenewalOfWhatNeverWas) {
  Leased leased;
  leased.lease.granted = false;
  EXPECT_BROKEN(leased, "lie");
}

TEST(LeaseChecker, RejectsNoSuchLeaseWhileItLives) {
  Leased leased;
  leased.lease.ended = at_ms(1511);
  leased.renew(1500, Duration{0});
  EXPECT_BROKEN(leased, "phantom");
  leased.lease.ended.reset();
  EXPECT_BROKEN(leased, "phantom");
}

TEST(LeaseChecker, RejectsARevocationThatDidNotHappen) {
  Leased leased;
  leased.lease.revoke_sent = at_ms(600);
  leased.lease.revoke_acknowledged = at_ms(640);
  EXPECT_BROKEN(leased, "phantom");
  leased.lease.ended = at_ms(641);
  EXPECT_BROKEN(leased, "phantom");
}

// 2000 when the faults end, 1111 by a clock that runs slow by a tenth, 300 of grace.
TEST(LeaseChecker, RejectsALeaseThatDoesNotEnd) {
  Leased leased;
  leased.lease.abandoned = at_ms(510);
  EXPECT_BROKEN(leased, "late");
  leased.lease.ended = at_ms(3412);
  EXPECT_BROKEN(leased, "late");
  leased.lease.ended = at_ms(3411);
  EXPECT_ACCEPTED(leased);
}

TEST(LeaseChecker, AcceptsWhatIsDueAfterTheEndOfTheWorld) {
  Leased leased;
  leased.lease.abandoned = at_ms(510);
  leased.rules.end_of_world = at_ms(3411);
  EXPECT_ACCEPTED(leased);
  leased.rules.end_of_world = at_ms(3412);
  EXPECT_BROKEN(leased, "late");
}

}  // namespace
}  // namespace witan::verify
