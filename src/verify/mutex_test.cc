#include "verify/mutex.h"

#include <gtest/gtest.h>

#include "verify/testing.h"

namespace witan::verify {
namespace {

Hold hold(const char* holder, int64_t token, int64_t from, int64_t until) {
  return {.holder = holder, .token = token, .from = at_ms(from), .until = at_ms(until)};
}

#define EXPECT_BROKEN(found, ...) \
  { \
    const auto violations = found; \
    EXPECT_EQ(broken(violations), (Rules{__VA_ARGS__})) << told(violations); \
    for (const Violation& violation : violations) EXPECT_FALSE(violation.window.empty()); \
  }

TEST(MutexChecker, AcceptsOneAfterTheOther) {
  std::vector<Hold> holds{hold("c", 9, 30, 40), hold("a", 2, 0, 10), hold("b", 5, 10, 20)};
  holds[0].until = Instant::never();
  EXPECT_TRUE(check_mutex(holds).empty());
  EXPECT_TRUE(check_mutex({}).empty());
}

TEST(MutexChecker, AcceptsFencedWritesInOrder) {
  EXPECT_TRUE(
      check_mutex({}, {{.token = 5, .revision = 8}, {.token = 2, .revision = 4}, {.token = 2, .revision = 6}}).empty());
}

TEST(MutexChecker, RejectsTwoHoldersAtOnce) {
  EXPECT_BROKEN(check_mutex({hold("a", 2, 0, 11), hold("b", 5, 10, 20)}), "exclusive");
}

TEST(MutexChecker, RejectsAnOverlapWithAHoldLongAgo) {
  const auto violations = check_mutex({hold("a", 2, 0, 100), hold("b", 5, 10, 20), hold("c", 7, 30, 40)});
  EXPECT_EQ(violations.size(), 2U);
  EXPECT_EQ(broken(violations), Rules{"exclusive"});
}

TEST(MutexChecker, RejectsAHolderWhoNeverLetsGo) {
  std::vector<Hold> holds{hold("a", 2, 0, 10), hold("b", 5, 10, 20)};
  holds[0].until = Instant::never();
  EXPECT_BROKEN(check_mutex(holds), "exclusive");
}

TEST(MutexChecker, RejectsATokenThatIsNotGreater) {
  EXPECT_BROKEN(check_mutex({hold("a", 5, 0, 10), hold("b", 2, 10, 20)}), "fencing");
  EXPECT_BROKEN(check_mutex({hold("a", 5, 0, 10), hold("b", 5, 10, 20)}), "fencing");
}

TEST(MutexChecker, RejectsAWriteOfAnOldHolder) {
  EXPECT_BROKEN(check_mutex({}, {{.token = 5, .revision = 8}, {.token = 2, .revision = 9}}), "fenced");
}

}  // namespace
}  // namespace witan::verify
