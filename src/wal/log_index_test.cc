#include "wal/log_index.h"

#include <gtest/gtest.h>

namespace witan::wal {
namespace {

using raft::Index;

TEST(LogIndex, NeighbouringRecordsShareASpanUpToABound) {
  LogIndex index;
  for (uint64_t i = 0; i < 100000; ++i) index.add(2, {.segment = 1, .offset = 96 + i * 100});
  EXPECT_EQ(index.last(), Index(200000));
  EXPECT_LE(index.memory(), 100000 * 100 / 65536 * sizeof(LogIndex::Span) * 3);
  const LogIndex::Span& span = index.find(Index(150001));
  EXPECT_LE(span.first, Index(150001));
  EXPECT_GE(span.last, Index(150001));
  EXPECT_LE(span.place.offset, 96u + 75000 * 100);
  EXPECT_GT(span.place.offset + 70000, 96u + 75000 * 100);
}

TEST(LogIndex, AfterACutTheNewPlaceIsFoundNotTheOld) {
  LogIndex index;
  index.add(10, {.segment = 1, .offset = 100});
  index.cut(Index(6));
  EXPECT_EQ(index.last(), Index(5));
  index.add(3, {.segment = 1, .offset = 200, .part = 1});
  EXPECT_EQ(index.last(), Index(8));
  EXPECT_EQ(index.find(Index(5)).place.offset, 100u);
  EXPECT_EQ(index.find(Index(5)).last, Index(5));
  EXPECT_EQ(index.find(Index(6)).place.offset, 200u);
  EXPECT_EQ(index.find(Index(6)).place.part, 1u);
  index.cut(Index(9));  // nothing to cut
  EXPECT_EQ(index.last(), Index(8));
}

TEST(LogIndex, ACutBelowTheFirstEntryLeavesNothing) {
  LogIndex index;
  index.restart(Index(99));
  index.add(5, {.segment = 3, .offset = 100});
  index.cut(Index(90));
  EXPECT_EQ(index.first(), Index(90));
  EXPECT_EQ(index.last(), Index(89));
  EXPECT_EQ(index.oldest_segment(7), 7u);
}

TEST(LogIndex, CompactionTellsWhichSegmentsAreStillNeeded) {
  LogIndex index;
  index.add(10, {.segment = 1, .offset = 100});
  index.add(10, {.segment = 2, .offset = 100});
  index.add(10, {.segment = 3, .offset = 100});
  index.compact(Index(9));
  EXPECT_EQ(index.first(), Index(10));
  EXPECT_EQ(index.oldest_segment(0), 1u);
  index.compact(Index(10));
  EXPECT_EQ(index.oldest_segment(0), 2u);
  index.compact(Index(5));  // never backwards
  EXPECT_EQ(index.first(), Index(11));
  index.compact(Index(30));
  EXPECT_EQ(index.first(), Index(31));
  EXPECT_EQ(index.oldest_segment(3), 3u);
}

}  // namespace
}  // namespace witan::wal
