// One number, one world: what every replay of a failure stands on.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/world.h"

namespace witan::sim {
namespace {

// A few seconds of everything; a drawn seed has some faults and not others.
Plan plan_of(uint64_t seed) {
  Plan plan = draw_plan(seed);
  plan.trouble = seconds(4);
  plan.faults.power_loss = 20;
  plan.faults.kill = 20;
  plan.faults.partition = 30;
  plan.faults.cut = 60;
  plan.faults.clock = 20;
  plan.faults.pause = 25;
  plan.faults.transfer = 20;
  plan.faults.compaction = 40;
  return plan;
}

struct Life {
  Verdict verdict;
  std::vector<uint64_t> windows;
};

Life live(uint64_t seed) {
  World world(plan_of(seed));
  Life life;
  life.verdict = world.run();
  life.windows = world.scheduler().windows();
  return life;
}

TEST(Determinism, OneSeedIsOneWorld) {
  for (const uint64_t seed : {11, 12}) {
    const Life one = live(seed);
    // Other addresses, as in another process: nothing may depend on where something lies.
    std::vector<std::unique_ptr<char[]>> ballast;
    for (size_t size = 1; size < 4000; size += 7) ballast.push_back(std::make_unique<char[]>(size));
    const Life two = live(seed);
    EXPECT_EQ(one.windows, two.windows);
    EXPECT_EQ(one.verdict.hash, two.verdict.hash);
    EXPECT_EQ(one.verdict.events, two.verdict.events);
    EXPECT_EQ(one.verdict.counts, two.verdict.counts);
    EXPECT_GT(one.windows.size(), 3U) << "that was hardly a world";
  }
}

TEST(Determinism, AnotherSeedIsAnotherWorld) {
  const Life one = live(11);
  const Life two = live(12);
  ASSERT_FALSE(one.windows.empty());
  ASSERT_FALSE(two.windows.empty());
  EXPECT_NE(one.windows.front(), two.windows.front());
  EXPECT_NE(one.verdict.hash, two.verdict.hash);
}

// Two schedulers that differ in one event part in the window of that event, and stay parted.
TEST(Determinism, TheFirstWindowThatDiffersTellsWhereHistoriesPart) {
  constexpr uint64_t kEvents = 10 * Scheduler::kWindow;
  constexpr uint64_t kOdd = 5 * Scheduler::kWindow + 3;
  const auto run = [](bool odd) {
    Scheduler scheduler(Rng(1), true);
    for (uint64_t i = 0; i < kEvents; ++i) {
      const bool late = odd && i == kOdd;
      scheduler.at(Instant{static_cast<int64_t>(2'000'000'000 + 10 * i + (late ? 1 : 0))}, [] {});
    }
    while (scheduler.step(Instant{3'000'000'000})) {
    }
    return scheduler.windows();
  };
  const std::vector<uint64_t> one = run(false);
  const std::vector<uint64_t> two = run(true);
  ASSERT_EQ(one.size(), 10);
  ASSERT_EQ(two.size(), 10);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(one[i] == two[i], i < 5) << "window " << i;
}

TEST(Determinism, OnlyPermutedEventsOfEqualTimeChangePlaces) {
  const auto order = [](uint64_t seed, bool permute) {
    Scheduler scheduler(Rng(seed), permute);
    std::string out;
    for (const char letter : std::string("abcdefgh")) {
      scheduler.after(milliseconds(letter < 'e' ? 1 : 2), [&out, letter] { out += letter; });
    }
    while (scheduler.step(Instant{3'000'000'000})) {
    }
    return out;
  };
  EXPECT_EQ(order(1, false), "abcdefgh");
  std::map<std::string, int> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::string found = order(seed, true);
    EXPECT_LT(found.find_last_of("abcd"), found.find_first_of("efgh"));
    EXPECT_EQ(found, order(seed, true));
    ++seen[found];
  }
  EXPECT_GT(seen.size(), 20);
}

}  // namespace
}  // namespace witan::sim
