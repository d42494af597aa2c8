#include "wal/log.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "wal/testing.h"

namespace witan::wal {
namespace {

using raft::Entry;
using raft::HardState;
using raft::Index;
using raft::NodeId;
using raft::Term;
using testing::HasSubstr;

constexpr size_t kNoLimit = SIZE_MAX;

HardState hard(uint64_t term, uint64_t vote, uint64_t commit) { return {Term(term), NodeId(vote), Index(commit)}; }

std::vector<Entry> entries(uint64_t term, uint64_t from, uint64_t to, size_t size = 10) {
  std::vector<Entry> out;
  for (uint64_t i = from; i <= to; ++i) {
    out.push_back(make_entry(term, i, std::string(size, static_cast<char>('a' + (i + term) % 26))));
  }
  return out;
}

class LogTest : public testing::Test {
 protected:
  Log::Opened open(uint64_t snapshot = 0, uint64_t segment_bytes = 4096) {
    auto opened = try_open(snapshot, segment_bytes);
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  Result<Log::Opened> try_open(uint64_t snapshot = 0, uint64_t segment_bytes = 4096) {
    return Log::open(disk_, "wal", {.segment_bytes = segment_bytes, .snapshot_index = Index(snapshot), .seed = 7}, {});
  }
  static std::vector<Entry> read_all(Log& log) {
    if (log.first_index() > log.last_index()) return {};
    auto got = log.read(log.first_index(), log.last_index(), kNoLimit);
    EXPECT_TRUE(got) << got.error().message;
    return std::move(*got);
  }

  MemoryDisk disk_;
};

TEST_F(LogTest, ANewDirectoryHoldsNothing) {
  const auto opened = open();
  EXPECT_TRUE(opened.created);
  EXPECT_EQ(opened.hard_state, HardState{});
  EXPECT_TRUE(opened.entries.empty());
  EXPECT_EQ(opened.log->first_index(), Index(1));
  EXPECT_EQ(opened.log->last_index(), Index(0));
}

TEST_F(LogTest, WhatWasAppendedIsThereAfterReopening) {
  std::vector<Entry> first = entries(1, 1, 3);
  first[1].kind = raft::EntryKind::Empty;
  first[1].data = Blob();
  first[2].kind = raft::EntryKind::Membership;
  first[2].data = Blob("");                                  // empty and null differ
  const std::vector<Entry> second = entries(2, 4, 5, 3000);  // larger than what is copied
  {
    auto opened = open();
    ASSERT_TRUE(opened.log->append({.hard_state = hard(1, 2, 0), .entries = first}));
    ASSERT_TRUE(opened.log->append({.hard_state = hard(2, 3, 1), .entries = second}));
    EXPECT_EQ(opened.log->hard_state(), hard(2, 3, 1));
  }
  auto opened = open();
  EXPECT_FALSE(opened.created);
  EXPECT_EQ(opened.hard_state, hard(2, 3, 1));
  std::vector<Entry> all = first;
  all.insert(all.end(), second.begin(), second.end());
  EXPECT_EQ(opened.entries, all);
  EXPECT_EQ(read_all(*opened.log), all);
}

TEST_F(LogTest, ManyBatchesAreOneWriteAndOneSync) {
  auto opened = open(0, 1 << 20);
  const std::vector<Entry> one = entries(1, 1, 4);
  const std::vector<Entry> two = entries(2, 3, 5);
  const std::vector<Entry> three = entries(3, 4, 4);
  const std::vector<Batch> batches{{.entries = one},
                                   {.hard_state = hard(2, 0, 0), .cut_from = Index(3), .entries = two},
                                   {},
                                   {.cut_from = Index(4), .entries = three}};
  const uint64_t before = disk_.operations();
  ASSERT_TRUE(opened.log->append(batches));
  EXPECT_EQ(disk_.operations() - before, 2u);
  const std::vector<Entry> expected{one[0], one[1], two[0], three[0]};
  // Within the one record, indices 3 and 4 stand several times: the newest counts.
  EXPECT_EQ(read_all(*opened.log), expected);
  EXPECT_EQ(opened.log->read(Index(3), Index(3), kNoLimit)->front(), two[0]);
  EXPECT_EQ(open(0, 1 << 20).entries, expected);
}

TEST_F(LogTest, NothingToWriteWritesNothing) {
  auto opened = open();
  const uint64_t before = disk_.operations();
  ASSERT_TRUE(opened.log->append(Batch{}));
  ASSERT_TRUE(opened.log->append(std::span<const Batch>()));
  EXPECT_EQ(disk_.operations(), before);
}

TEST_F(LogTest, ReadingIsBoundedByBytesButGivesOneEntryAtLeast) {
  auto opened = open(0, 1 << 20);
  ASSERT_TRUE(opened.log->append({.entries = entries(1, 1, 10, 100)}));
  ASSERT_TRUE(opened.log->append({.entries = entries(1, 11, 20, 100)}));
  EXPECT_EQ(opened.log->read(Index(5), Index(20), 350)->size(), 3u);
  EXPECT_EQ(opened.log->read(Index(5), Index(20), 1)->size(), 1u);
  EXPECT_EQ(opened.log->read(Index(5), Index(5), 0)->size(), 1u);
  EXPECT_EQ(opened.log->read(Index(8), Index(15), kNoLimit)->size(), 8u);
  EXPECT_EQ(opened.log->read(Index(1), Index(21), kNoLimit).error().code, Code::OutOfRange);
}

TEST_F(LogTest, CompactionDropsWholeSegmentsOnly) {
  auto opened = open();
  for (uint64_t i = 1; i <= 40; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(1, i, i, 500)}));
  const size_t segments = opened.log->segments();
  const uint64_t bytes = opened.log->bytes();
  ASSERT_GT(segments, 4u);
  ASSERT_TRUE(opened.log->compact(Index(20)));
  EXPECT_LT(opened.log->segments(), segments);
  EXPECT_LT(opened.log->bytes(), bytes);
  EXPECT_EQ(opened.log->first_index(), Index(21));
  EXPECT_EQ(opened.log->read(Index(20), Index(21), kNoLimit).error().code, Code::OutOfRange);
  EXPECT_EQ(opened.log->read(Index(21), Index(40), kNoLimit)->size(), 20u);
  opened.log.reset();
  // The entry at the snapshot's index is given too when it is still there.
  EXPECT_EQ(open(30).entries, entries(1, 30, 40, 500));
}

TEST_F(LogTest, ALogThatBeginsAfterTheSnapshotIsRefused) {
  {
    auto opened = open();
    for (uint64_t i = 1; i <= 40; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(1, i, i, 500)}));
    ASSERT_TRUE(opened.log->compact(Index(30)));
  }
  const auto refused = try_open(5);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("the newest snapshot ends at 5"));
}

TEST_F(LogTest, ARecycledSegmentIsReusedAndItsOldRecordsAreNotSeen) {
  auto opened = open();
  for (uint64_t i = 1; i <= 12; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(1, i, i, 700)}));
  opened.log.reset();
  disk_.remove("wal/spare");  // so that the compaction recycles
  opened = open();
  const std::string old = disk_.bytes("wal/0000000000000001.log");
  ASSERT_TRUE(opened.log->compact(Index(8)));
  EXPECT_EQ(disk_.bytes("wal/spare"), old);
  uint64_t last = 12;
  while (opened.log->segments() < 4) {
    ++last;
    ASSERT_TRUE(opened.log->append({.entries = entries(2, last, last, 700)}));
  }
  // The newest segment holds one new record and behind it old ones of the same length: whole, but of another time.
  opened.log.reset();
  EXPECT_EQ(open(8).entries.back().index, Index(last));
  const std::vector<Entry> more = entries(3, last + 1, last + 1, 10);
  opened = open(8);
  ASSERT_TRUE(opened.log->append({.entries = more}));
  EXPECT_EQ(open(8).entries.back(), more[0]);
}

TEST_F(LogTest, TheHardStateOutlivesTheSegmentItWasWrittenIn) {
  auto opened = open();
  ASSERT_TRUE(opened.log->append({.hard_state = hard(5, 2, 1), .entries = entries(5, 1, 1)}));
  for (uint64_t i = 2; i <= 20; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(5, i, i, 700)}));
  ASSERT_TRUE(opened.log->compact(Index(20)));
  EXPECT_EQ(opened.log->segments(), 1u);
  opened.log.reset();
  EXPECT_EQ(open(20).hard_state, hard(5, 2, 1));
}

TEST_F(LogTest, ABatchLargerThanASegmentGetsALargerOne) {
  const std::vector<Entry> large = entries(1, 1, 3, 100000);
  {
    auto opened = open();
    ASSERT_TRUE(opened.log->append({.entries = large}));
    ASSERT_TRUE(opened.log->append({.entries = entries(1, 4, 4)}));
    EXPECT_EQ(opened.log->read(Index(2), Index(2), kNoLimit)->front(), large[1]);
    ASSERT_TRUE(opened.log->compact(Index(3)));
  }
  EXPECT_EQ(open(4).entries, entries(1, 4, 4));
}

TEST_F(LogTest, ASnapshotReplacesTheLog) {
  auto opened = open();
  ASSERT_TRUE(opened.log->append({.entries = entries(1, 1, 10)}));
  ASSERT_TRUE(opened.log->append(
      {.hard_state = hard(3, 0, 100), .entries = entries(3, 101, 102), .restart_after = Index(100)}));
  EXPECT_EQ(opened.log->first_index(), Index(101));
  EXPECT_EQ(opened.log->last_index(), Index(102));
  ASSERT_TRUE(opened.log->compact(Index(100)));
  opened.log.reset();
  EXPECT_EQ(open(100).entries, entries(3, 101, 102));
}

TEST_F(LogTest, ASnapshotBelowTheEndOfADisagreeingLogReplacesItToo) {
  auto opened = open();
  ASSERT_TRUE(opened.log->append({.entries = entries(1, 1, 10)}));
  ASSERT_TRUE(opened.log->append({.entries = entries(3, 6, 7), .restart_after = Index(5)}));
  opened.log.reset();
  opened = open(5);
  // Entry 5 of term 1 must not come back: it disagrees with the snapshot.
  EXPECT_EQ(opened.entries, entries(3, 6, 7));
  EXPECT_EQ(opened.log->first_index(), Index(6));
}

TEST_F(LogTest, ASnapshotThatTheLogWasNotToldOfRestartsItWhenOpened) {
  {
    auto opened = open();
    ASSERT_TRUE(opened.log->append({.hard_state = hard(1, 1, 1), .entries = entries(1, 1, 10)}));
  }
  for (int i = 0; i < 2; ++i) {  // opening alone changes nothing
    auto opened = open(50);
    EXPECT_TRUE(opened.entries.empty());
    EXPECT_EQ(opened.log->last_index(), Index(50));
    EXPECT_EQ(opened.hard_state, hard(1, 1, 1));
  }
  {
    auto opened = open(50);
    ASSERT_TRUE(opened.log->append({.entries = entries(2, 51, 53)}));
    EXPECT_EQ(opened.log->read(Index(52), Index(52), kNoLimit)->front(), entries(2, 52, 52)[0]);
  }
  EXPECT_EQ(open(50).entries, entries(2, 51, 53));
}

TEST_F(LogTest, CompactionBeyondTheEndRestartsTheLogEvenAcrossSegments) {
  auto opened = open();
  for (uint64_t i = 1; i <= 12; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(1, i, i, 700)}));
  ASSERT_TRUE(opened.log->compact(Index(1000)));
  EXPECT_EQ(opened.log->segments(), 1u);
  for (uint64_t i = 1001; i <= 1012; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(2, i, i, 700)}));
  opened.log.reset();
  EXPECT_EQ(open(1000).entries, entries(2, 1001, 1012, 700));
}

TEST_F(LogTest, AMissingLogOfAnOldMemberIsRefused) {
  const auto refused = Log::open(disk_, "wal", {.may_create = false}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("the log is missing"));
}

TEST_F(LogTest, AMissingSegmentIsNamed) {
  {
    auto opened = open();
    for (uint64_t i = 1; i <= 30; ++i) ASSERT_TRUE(opened.log->append({.entries = entries(1, i, i, 700)}));
  }
  disk_.remove("wal/0000000000000003.log");
  const auto refused = try_open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("wal/0000000000000003.log"));
}

TEST_F(LogTest, AfterAnErrorEverythingIsRefused) {
  auto opened = open();
  ASSERT_TRUE(opened.log->append({.entries = entries(1, 1, 1)}));
  disk_.fail_at(disk_.operations() + 1, false, "no space left on device");  // the sync
  const auto refused = opened.log->append({.entries = entries(1, 2, 2)});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no space left on device"));
  disk_.heal();
  // The disk works again, but what the kernel dropped is not known.
  const uint64_t before = disk_.operations();
  EXPECT_EQ(opened.log->append({.entries = entries(1, 2, 2)}).error(), refused.error());
  EXPECT_EQ(opened.log->read(Index(1), Index(1), 1).error(), refused.error());
  EXPECT_EQ(opened.log->compact(Index(1)).error(), refused.error());
  EXPECT_EQ(disk_.operations(), before);
}

TEST_F(LogTest, ASpareThatCannotBePreparedIsNoReasonToStopYet) {
  auto opened = open();
  ASSERT_TRUE(opened.log->append({.entries = entries(1, 1, 1, 1500)}));
  disk_.fail_at(disk_.operations() + 2, false, "no space left on device");  // after the write and the sync
  EXPECT_TRUE(opened.log->append({.entries = entries(1, 2, 2, 1500)}));
  disk_.heal();
  EXPECT_TRUE(opened.log->append({.entries = entries(1, 3, 3, 1500)}));
  opened.log.reset();
  EXPECT_EQ(open().entries.size(), 3u);
}

TEST_F(LogTest, ANewerFormatIsNotDamage) {
  {
    auto opened = open();
  }
  std::string& bytes = disk_.bytes("wal/0000000000000001.log");
  bytes[8] = 2;
  const auto refused = try_open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Invalid);
  EXPECT_THAT(refused.error().message, HasSubstr("written by a newer witan"));
}

// ---- Against a plain vector

class RandomLog {
 public:
  explicit RandomLog(uint64_t seed) : rng_(seed) { reopen(); }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      switch (rng_.below(10)) {
        case 0: reopen(); break;
        case 1: compact(); break;
        case 2:
        case 3: read(); break;
        default: append(); break;
      }
      check_ends();
    }
  }

 private:
  void reopen() {
    log_.reset();
    auto opened = Log::open(
        disk_, "wal",
        {.segment_bytes = uint64_t{4096} << rng_.below(3), .snapshot_index = snapshot_, .seed = rng_.next()}, {});
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->hard_state, model_.hard_state);
    if (model_.last() < snapshot_) model_.compact(snapshot_);
    log_ = std::move(opened->log);
    model_first_ = log_->first_index();  // whole segments: more may be there than was asked for
    EXPECT_LE(model_first_, snapshot_ + 1);
    EXPECT_EQ(opened->entries, model_.since(std::max(snapshot_, model_first_)));
  }

  void append() {
    std::vector<std::vector<Entry>> owned(rng_.below(3) + 1);
    std::vector<Batch> batches;
    for (std::vector<Entry>& list : owned) {
      Batch batch;
      if (rng_.chance(1, 3)) {
        term_ += rng_.below(2);
        batch.hard_state = hard(term_, rng_.below(4), rng_.below(100));
      }
      if (rng_.chance(1, 25)) {
        snapshot_ = model_.last() + rng_.below(5);
        batch.restart_after = snapshot_;
      } else if (rng_.chance(1, 5) && model_.last() > snapshot_) {
        batch.cut_from = snapshot_ + 1 + rng_.below(model_.last() - snapshot_ + 1);
      }
      Index next = batch.restart_after ? *batch.restart_after + 1 : batch.cut_from.value_or(model_.last() + 1);
      for (uint64_t n = rng_.below(6); n > 0; --n, ++next) {
        const size_t size = rng_.chance(1, 20) ? rng_.below(9000) : rng_.below(200);
        list.push_back(make_entry(term_, next.value, std::string(size, static_cast<char>(rng_.next()))));
      }
      batch.entries = list;
      batches.push_back(batch);
      model_.apply(batch);
      if (batch.restart_after) model_first_ = snapshot_ + 1;
    }
    const auto result = log_->append(batches);
    ASSERT_TRUE(result) << result.error().message;
  }

  void compact() {
    snapshot_ = std::max(snapshot_, Index(rng_.below(model_.last().value + 3)));
    if (snapshot_ > model_.last()) model_.compact(snapshot_);
    ASSERT_TRUE(log_->compact(snapshot_));
    model_first_ = std::max(model_first_, snapshot_ + 1);
  }

  void read() {
    const Index low = std::max(model_.first, model_first_);
    if (low > model_.last()) return;
    const Index from = low + rng_.below(model_.last() - low + 1);
    const Index to = from + rng_.below(model_.last() - from + 1);
    const size_t limit = rng_.chance(1, 2) ? kNoLimit : rng_.below(2000);
    const auto got = log_->read(from, to, limit);
    ASSERT_TRUE(got) << got.error().message;
    size_t bytes = 0;
    std::vector<Entry> expected;
    for (Index i = from; i <= to; ++i) {
      const Entry& entry = model_.entries[i - model_.first];
      bytes += entry.data.size();
      if (!expected.empty() && bytes > limit) break;
      expected.push_back(entry);
      if (bytes >= limit) break;
    }
    EXPECT_EQ(*got, expected);
  }

  void check_ends() {
    EXPECT_EQ(log_->last_index(), model_.last());
    EXPECT_EQ(log_->hard_state(), model_.hard_state);
  }

  Rng rng_;
  MemoryDisk disk_;
  std::unique_ptr<Log> log_;
  ModelLog model_;        // keeps everything since the last restart
  Index model_first_{1};  // what the log must still have
  Index snapshot_;
  uint64_t term_ = 1;
};

TEST(LogAgainstAVector, RandomAppendsCutsRestartsCompactionsAndReopenings) {
  for (uint64_t seed = 1; seed <= 40 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    RandomLog(seed).run(400);
  }
}

}  // namespace
}  // namespace witan::wal
