#include "os/tally.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace witan::os {
namespace {

TEST(TallyTest, CountsEachNameByItself) {
  Tally tally;
  EXPECT_TRUE(tally.enter("a", 2));
  EXPECT_TRUE(tally.enter("a", 2));
  EXPECT_FALSE(tally.enter("a", 2));
  EXPECT_TRUE(tally.enter("b", 2));
  EXPECT_EQ(tally.names(), 2u);
  tally.leave("a");
  EXPECT_TRUE(tally.enter("a", 2));
  EXPECT_FALSE(tally.enter("c", 0));
  tally.leave("b");
  EXPECT_EQ(tally.names(), 1u) << "what is gone takes no memory";
}

TEST(TallyTest, ThreadsTogetherNeverExceedTheBoundAndLoseNothing) {
  constexpr int kThreads = 4;
  constexpr int kMost = 3;
  constexpr int kRounds = 20'000;
  Tally tally;
  std::atomic<int> inside = 0;
  std::atomic<int> worst = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        if (!tally.enter("x", kMost)) continue;
        const int now = ++inside;
        for (int seen = worst; now > seen && !worst.compare_exchange_weak(seen, now);) {
        }
        --inside;
        tally.leave("x");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(worst.load(), kMost);
  EXPECT_EQ(tally.names(), 0u);
}

TEST(TallyDeathTest, NobodyLeavesWhoNeverCame) {
  Tally tally;
  EXPECT_DEATH(tally.leave("x"), "never came");
}

}  // namespace
}  // namespace witan::os
