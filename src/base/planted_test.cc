#include "base/planted.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace witan {
namespace {

#ifdef WITAN_PLANTED_BUGS

TEST(Planted, NoBugIsPlantedAtFirst) {
  for (const BugInfo& info : planted_bugs()) EXPECT_FALSE(planted(info.bug)) << info.name;
}

TEST(Planted, OneBugAtATime) {
  for (const BugInfo& info : planted_bugs()) {
    plant(info.bug);
    for (const BugInfo& other : planted_bugs()) EXPECT_EQ(planted(other.bug), other.bug == info.bug) << info.name;
  }
  plant(Bug::None);
  for (const BugInfo& info : planted_bugs()) EXPECT_FALSE(planted(info.bug)) << info.name;
}

TEST(Planted, EveryBugHasItsOwnNameInTheOrderOfTheirKind) {
  std::set<std::string_view> names;
  uint8_t last = static_cast<uint8_t>(Bug::None);
  for (const BugInfo& info : planted_bugs()) {
    EXPECT_EQ(static_cast<uint8_t>(info.bug), ++last) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(std::ranges::all_of(info.name, [](char c) { return c == '-' || (c >= 'a' && c <= 'z'); })) << info.name;
    EXPECT_TRUE(info.what.ends_with('.')) << info.name;
    EXPECT_EQ(parse_bug(info.name), info.bug);
  }
  EXPECT_EQ(last, static_cast<uint8_t>(Bug::DuplicateForward));
  EXPECT_EQ(parse_bug("none"), std::nullopt);
}

#else

// What is false while compiling cannot be in an object file.
static_assert(!kBugsCanBePlanted);
static_assert(!planted(Bug::AcknowledgeBeforeSync) && !planted(Bug::DuplicateForward));
static_assert(planted_bugs().empty());
static_assert(!parse_bug("acknowledge-before-sync"));

TEST(PlantedDeathTest, AnOrdinaryBuildHasNoBugsToPlant) {
  plant(Bug::None);
  EXPECT_DEATH(plant(Bug::DuplicateForward), "no bugs to plant");
}

#endif

}  // namespace
}  // namespace witan
