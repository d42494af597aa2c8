// Changed bytes: everywhere but in the very last batch they stop the server (core D2).
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/coding.h"
#include "base/crc32c.h"
#include "wal/log.h"
#include "wal/testing.h"

namespace witan::wal {
namespace {

using raft::Entry;
using raft::Index;
using testing::HasSubstr;

constexpr LogOptions kOptions{.segment_bytes = 4096, .seed = 3};

class DamageTest : public testing::Test {
 protected:
  // Three segments, some cuts.
  DamageTest() {
    auto opened = Log::open(disk_, "wal", kOptions, {});
    uint64_t next = 1;
    while (opened->log->segments() < 3) append(*opened->log, 1, next++, 800);
    append(*opened->log, 2, next - 2, 60);
    last_batch_at_ = used(*opened->log);
    without_last_ = Log::open(disk_, "wal", kOptions, {})->entries;
    append(*opened->log, 2, next - 1, 70);
    end_ = used(*opened->log);
    opened->log.reset();
    whole_ = Log::open(disk_, "wal", kOptions, {})->entries;
    EXPECT_NE(whole_, without_last_);
    newest_ = "wal/0000000000000003.log";
  }

  static void append(Log& log, uint64_t term, uint64_t index, size_t size) {
    const std::vector<Entry> list{make_entry(term, index, std::string(size, static_cast<char>('a' + index % 26)))};
    std::optional<Index> cut;
    if (Index(index) <= log.last_index()) cut = Index(index);
    ASSERT_TRUE(log.append({.cut_from = cut, .entries = list}));
  }
  // Where the newest segment's records end.
  uint64_t used(Log& log) {
    uint64_t others = 0;
    for (int i = 1; i <= 2; ++i) {
      const std::string& bytes = disk_.bytes("wal/000000000000000" + std::to_string(i) + ".log");
      others += bytes.find_last_not_of('\0') / 8 * 8 + 8;
    }
    return log.bytes() - others;
  }
  static Result<Log::Opened> open(MemoryDisk& disk) { return Log::open(disk, "wal", kOptions, {}); }

  MemoryDisk disk_;
  std::vector<Entry> whole_;
  std::vector<Entry> without_last_;
  std::string newest_;
  uint64_t last_batch_at_ = 0;
  uint64_t end_ = 0;
};

TEST_F(DamageTest, AFlippedBitIsFoundWhereverItIs) {
  int refused = 0;
  int torn = 0;
  for (const std::string& path : disk_.paths()) {
    if (path.ends_with("spare")) continue;
    const size_t size = disk_.bytes(path).size();
    for (size_t at = 0; at < size; ++at) {
      MemoryDisk damaged = disk_.copy();
      damaged.bytes(path)[at] ^= static_cast<char>(1 << (at % 8));
      const auto opened = open(damaged);
      if (!opened) {
        ++refused;
        EXPECT_TRUE(opened.error().code == Code::Corrupt ||
                    (opened.error().code == Code::Invalid && at >= 8 && at < 12));
        EXPECT_THAT(opened.error().message, HasSubstr(path));
        continue;
      }
      if (path == newest_ && at >= last_batch_at_ && at < end_) {
        ++torn;
        EXPECT_EQ(opened->entries, without_last_) << at;
        continue;
      }
      // Only space that holds nothing may change unnoticed.
      EXPECT_EQ(opened->entries, whole_) << path << " " << at;
      EXPECT_GE(at, path == newest_ ? end_ : 3000u) << path;
    }
  }
  EXPECT_GT(refused, 6000);
  EXPECT_EQ(static_cast<uint64_t>(torn), end_ - last_batch_at_);
}

TEST_F(DamageTest, TheMessageSaysWhereAndWhatToDo) {
  disk_.bytes("wal/0000000000000001.log")[200] ^= 1;
  const auto opened = open(disk_);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message,
              testing::AllOf(HasSubstr("wal/0000000000000001.log is damaged at offset 96"), HasSubstr("batch 1"),
                             HasSubstr("remove this member"), HasSubstr("backup")));
}

TEST_F(DamageTest, AZeroedPageBeforeTheLastBatchIsNotATornTail) {
  disk_.bytes(newest_).replace(96, last_batch_at_ - 96, last_batch_at_ - 96, '\0');
  const auto opened = open(disk_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::Corrupt);
  EXPECT_THAT(opened.error().message, HasSubstr("follows it at offset " + std::to_string(last_batch_at_)));
}

TEST_F(DamageTest, ALostEndOfAFileIsFoundWhenASegmentFollows) {
  std::string& bytes = disk_.bytes("wal/0000000000000002.log");
  bytes.resize(bytes.find_last_not_of('\0') - 10);
  EXPECT_EQ(open(disk_).error().code, Code::Corrupt);
}

TEST_F(DamageTest, ASegmentUnderAnothersNameIsFound) {
  const std::string first = disk_.bytes("wal/0000000000000001.log");
  disk_.put("wal/0000000000000002.log", first);
  const auto opened = open(disk_);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("its header belongs to segment 1"));
}

TEST_F(DamageTest, BytesThatOnlyLookLikeALaterRecordDoNotCountWithoutTheGeneration) {
  // A client stores what looks like a record, and its batch is torn.
  std::string forged;
  put_fixed64(forged, 12345);
  put_fixed64(forged, 1000);
  put_fixed64(forged, 0);
  put_fixed32(forged, 0);
  put_fixed32(forged, crc32c(forged));
  std::string& bytes = disk_.bytes(newest_);
  bytes[last_batch_at_ + 40] ^= 1;
  bytes.replace((last_batch_at_ + 64) / 8 * 8, forged.size(), forged);
  const auto opened = open(disk_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->entries, without_last_);
}

TEST_F(DamageTest, ARecordOfAnotherTimeIsNotTakenInThoughItsNumberFits) {
  const std::string_view newest = disk_.bytes(newest_);
  const auto last = decode_record_header(newest.substr(last_batch_at_, kRecordHeaderSize));
  ASSERT_TRUE(last);
  const std::vector<Entry> list{make_entry(9, whole_.back().index.value + 1, "from a recycled file")};
  for (const bool same_time : {false, true}) {
    RecordBuilder builder;
    builder.clear();
    builder.add({.entries = list});
    std::string record;
    for (const std::string_view piece : builder.finish(last->generation + (same_time ? 0 : 2), last->batch + 1)) {
      record += piece;
    }
    MemoryDisk disk = disk_.copy();
    disk.bytes(newest_).replace(end_, record.size(), record);
    EXPECT_EQ(open(disk)->entries.size(), whole_.size() + (same_time ? 1 : 0));
  }
}

TEST_F(DamageTest, DamageThatAppearsLaterIsFoundByReading) {
  auto opened = open(disk_);
  disk_.bytes("wal/0000000000000001.log")[300] ^= 1;
  const auto got = opened->log->read(Index(1), opened->log->last_index(), SIZE_MAX);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::Corrupt);
  EXPECT_THAT(got.error().message, HasSubstr("wal/0000000000000001.log"));
}

}  // namespace
}  // namespace witan::wal
