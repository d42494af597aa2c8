#include "store/index.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include <fmt/format.h>

#include "base/rng.h"

namespace witan::store {
namespace {

VersionRef version_at(int64_t revision) {
  auto* const version = new Version;
  version->mod_revision = Revision(revision);
  return VersionRef(version);
}

// The index and a map of (key, live) that it is compared with.
struct Pair {
  Index index;
  std::map<std::string, bool, std::less<>> map;
  int64_t revision = 1;

  void put(const std::string& key) {
    Index::Place place = index.find(key);
    ASSERT_EQ(place.found(), map.contains(key));
    if (!place.found()) index.insert(place, Blob(key));
    ASSERT_EQ(place.key().view(), key);
    const bool was_live = place.chain().is_live();
    ++revision;
    place.chain().push(Revision(revision), version_at(revision));
    if (!was_live) index.add_live(place, 1);
    map[key] = true;
  }
  void kill(const std::string& key) {
    Index::Place place = index.find(key);
    if (!place.found() || !place.chain().is_live()) return;
    ++revision;
    place.chain().push(Revision(revision), VersionRef());
    index.add_live(place, -1);
    map[key] = false;
  }
  void erase(const std::string& key) {
    Index::Place place = index.find(key);
    if (!place.found() || place.chain().is_live()) return;
    index.erase(place);
    map.erase(key);
  }
  uint64_t count(const std::string& begin, const std::string* end) const {
    uint64_t n = 0;
    for (auto it = map.lower_bound(begin); it != map.end() && (end == nullptr || it->first < *end); ++it)
      n += it->second ? 1 : 0;
    return n;
  }
  void compare() const {
    index.check();
    ASSERT_EQ(index.size(), map.size());
    Index::Cursor cursor = index.lower_bound("");
    for (const auto& [key, live] : map) {
      ASSERT_FALSE(cursor.done());
      ASSERT_EQ(cursor.key().view(), key);
      ASSERT_EQ(cursor.chain().is_live(), live);
      cursor.next();
    }
    ASSERT_TRUE(cursor.done());
  }
};

// Shapes of keys that stress different parts: shared prefixes, zero bytes, prefixes of each other, nothing in common.
std::string key_of(uint64_t shape, uint64_t n) {
  switch (shape) {
    case 0: return fmt::format("/registry/pods/namespace-{}/{}", n % 7, n);
    case 1: return std::string(n % 300, '\0');
    case 2: return std::string(n % 40, 'a') + std::string(n % 3, '\0') + std::to_string(n / 120);
    case 3: return fmt::format("{:x}", n * 0x9e3779b97f4a7c15);
    default: return fmt::format("{:06}", n);
  }
}

class IndexShapes : public testing::TestWithParam<uint64_t> {};

TEST_P(IndexShapes, AgreesWithAMapThroughGrowthAndDecay) {
  Rng rng(GetParam() + 1);
  Pair pair;
  for (const uint64_t erase_share : {2, 5, 8}) {  // of ten: grow, hold, shrink
    for (int i = 0; i < 6000; ++i) {
      const std::string key = key_of(GetParam(), rng.below(3000));
      if (rng.below(10) >= erase_share) {
        pair.put(key);
      } else {
        pair.kill(key);
        if (rng.chance(2, 3)) pair.erase(key);
      }
      if (HasFatalFailure()) return;
      if (i % 100 == 0) {
        std::string begin = key_of(GetParam(), rng.below(3000));
        std::string end = key_of(GetParam(), rng.below(3000));
        const std::string_view end_view = end;
        ASSERT_EQ(pair.index.count_live(begin, &end_view), pair.count(begin, &end));
        ASSERT_EQ(pair.index.count_live(begin, nullptr), pair.count(begin, nullptr));
        Index::Place place = pair.index.seek(begin);
        for (auto it = pair.map.lower_bound(begin); it != pair.map.end(); ++it, pair.index.advance(place)) {
          ASSERT_TRUE(place.found());
          ASSERT_EQ(place.key().view(), it->first);
        }
        ASSERT_FALSE(place.found());
      }
      if (i % 1000 == 0) pair.compare();
    }
    pair.compare();
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, IndexShapes, testing::Range<uint64_t>(0, 5));

TEST(Index, GrowsDeepAndShrinksToNothing) {
  Pair pair;
  constexpr int kKeys = 30'000;  // three levels
  for (int64_t i = 0; i < kKeys; ++i) pair.put(fmt::format("{:08}", (i * 7919) % kKeys));
  pair.compare();
  EXPECT_EQ(pair.index.live(), static_cast<uint64_t>(kKeys));
  for (int64_t i = 0; i < kKeys; ++i) {
    const std::string key = fmt::format("{:08}", (i * 104'729) % kKeys);
    pair.kill(key);
    pair.erase(key);
    if (i % 5000 == 0) pair.compare();
  }
  pair.compare();
  EXPECT_EQ(pair.index.size(), 0u);
  EXPECT_TRUE(pair.index.lower_bound("").done());
}

TEST(Index, AscendingLoadsFillTheirLeaves) {
  Pair ascending;
  Pair shuffled;
  for (int i = 0; i < 20'000; ++i) {
    ascending.put(fmt::format("{:08}", i));
    shuffled.put(fmt::format("{:08}", (i * 7919) % 20'000));
  }
  ascending.compare();
  EXPECT_LT(ascending.index.node_bytes(), shuffled.index.node_bytes() * 8 / 10);
  EXPECT_LT(ascending.index.node_bytes() / 20'000, 27u);  // 24 bytes a slot, nearly all of them used
}

TEST(VersionChain, ReadsAtEveryRevisionAndTrims) {
  VersionChain chain;
  EXPECT_TRUE(chain.empty());
  EXPECT_EQ(chain.at(Revision(9)), nullptr);
  chain.push(Revision(2), version_at(2));
  chain.push(Revision(4), VersionRef());
  chain.push(Revision(6), version_at(6));
  chain.push(Revision(8), version_at(8));
  const auto revision_at = [&](int64_t r) {
    return chain.at(Revision(r)) == nullptr ? 0 : chain.at(Revision(r))->mod_revision.value;
  };
  EXPECT_EQ(revision_at(1), 0);
  EXPECT_EQ(revision_at(2), 2);
  EXPECT_EQ(revision_at(3), 2);
  EXPECT_EQ(revision_at(4), 0);
  EXPECT_EQ(revision_at(7), 6);
  EXPECT_EQ(revision_at(100), 8);

  EXPECT_EQ(chain.trim(Revision(4)), 1u) << "a deletion exactly at the compacted revision stays";
  EXPECT_EQ(chain.size(), 3u);
  EXPECT_EQ(chain.trim(Revision(5)), 1u) << "and goes with the next compaction";
  EXPECT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain.trim(Revision(7)), 0u);
  EXPECT_EQ(chain.trim(Revision(8)), 1u);
  EXPECT_EQ(chain.size(), 1u);
  EXPECT_EQ(revision_at(8), 8);
  chain.pop(Revision(8));
  EXPECT_TRUE(chain.empty());
}

}  // namespace
}  // namespace witan::store
