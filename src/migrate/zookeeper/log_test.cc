#include "migrate/zookeeper/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Outcome {
  std::vector<int64_t> zxids;
  std::vector<uint64_t> offsets;
  std::optional<Problem> problem;
  LogEnd end;
};

Outcome read(std::string_view bytes, size_t piece = SIZE_MAX) {
  StringSource source(bytes, piece);
  Input in(source, 512);
  LogReader log(in);
  Outcome outcome;
  if (auto opened = log.open(); !opened) return {.problem = opened.error()};
  while (true) {
    auto next = log.next();
    if (!next) {
      outcome.problem = next.error();
      return outcome;
    }
    if (!*next) break;
    outcome.zxids.push_back((*next)->zxid);
    outcome.offsets.push_back(log.record_offset());
  }
  if (auto end = log.end()) {
    outcome.end = *end;
  } else {
    outcome.problem = end.error();
  }
  return outcome;
}

std::vector<std::string> three() {
  return {payload({.zxid = 1, .type = Type::Create}, create_body("/a", "x", 1)),
          payload({.zxid = 2, .type = Type::SetData}, set_data_body("/a", std::string(3000, 'y'), 1)),
          payload({.zxid = 3, .type = Type::Delete}, path_body("/a"))};
}

TEST(LogTest, RecordsUpToTheZeros) {
  const size_t ends = log_file(three(), 0).size();
  for (const size_t zeros : {0, 1, 7, 8, 11, 12, 13, 100000}) {
    for (const size_t piece : {size_t{1}, size_t{100}, SIZE_MAX}) {
      const Outcome outcome = read(log_file(three(), zeros), piece);
      ASSERT_FALSE(outcome.problem.has_value()) << outcome.problem->what;
      EXPECT_THAT(outcome.zxids, ElementsAre(1, 2, 3));
      EXPECT_EQ(outcome.offsets[0], 16u);
      EXPECT_EQ(outcome.end.offset, ends);
      EXPECT_FALSE(outcome.end.torn);
      EXPECT_FALSE(outcome.end.more_bytes);
    }
  }
}

TEST(LogTest, ATornRecordIsTheEnd) {
  const size_t third = log_file({three()[0], three()[1]}, 0).size();
  const std::string whole = log_file(three(), 0);
  // Without its last byte, 'B', a record is torn: cut off there, or followed by a file's zeros.
  for (size_t size = third + 1; size < whole.size(); ++size) {
    const Outcome outcome = read(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(outcome.problem.has_value()) << outcome.problem->what;
    EXPECT_THAT(outcome.zxids, ElementsAre(1, 2));
    EXPECT_EQ(outcome.end.offset, third);
    EXPECT_TRUE(outcome.end.torn || size < third + 8) << size;
  }
  for (size_t size = third + 12; size < whole.size(); ++size) {
    const Outcome outcome = read(whole.substr(0, size) + std::string(500, '\0'));
    ASSERT_FALSE(outcome.problem.has_value()) << outcome.problem->what;
    EXPECT_THAT(outcome.zxids, ElementsAre(1, 2));
    EXPECT_TRUE(outcome.end.torn);
    EXPECT_FALSE(outcome.end.more_bytes);
  }
}

TEST(LogTest, BytesBehindTheEndAreNamed) {
  const Outcome zero = read(log_file({three()[0]}, 5000) + "x");
  EXPECT_THAT(zero.zxids, ElementsAre(1));
  EXPECT_TRUE(zero.end.more_bytes);
  EXPECT_FALSE(zero.end.torn);
  // A record whose last byte is damaged hides the one behind it.
  std::string hidden = log_file(three(), 0);
  const size_t second = log_file({three()[0]}, 0).size();
  const size_t third = log_file({three()[0], three()[1]}, 0).size();
  hidden[third - 1] = 'C';
  const Outcome torn = read(hidden);
  EXPECT_THAT(torn.zxids, ElementsAre(1));
  EXPECT_EQ(torn.end.offset, second);
  EXPECT_TRUE(torn.end.torn);
  EXPECT_TRUE(torn.end.more_bytes);
}

TEST(LogTest, DamageIsAProblemAndSaysWhere) {
  const std::string good = log_file(three());
  const size_t second = log_file({three()[0]}, 0).size();
  const size_t third = log_file({three()[0], three()[1]}, 0).size();
  for (size_t i = second; i < third - 1; ++i) {
    if (i >= second + 8 && i < second + 12) continue;  // the length: may make a torn record of it, or an impossible one
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    const Outcome outcome = read(bad);
    ASSERT_TRUE(outcome.problem.has_value()) << i;
    EXPECT_EQ(outcome.problem->offset, second);
    EXPECT_THAT(outcome.problem->what, HasSubstr("checksum"));
    EXPECT_THAT(outcome.zxids, ElementsAre(1));
  }
  std::string negative = good;
  negative[second + 8] = '\xff';
  EXPECT_EQ(read(negative).problem->offset, second);
  EXPECT_THAT(read(log_file({three()[0], payload({.zxid = 2, .type = Type(55)}, "")})).problem->what,
              HasSubstr("type 55"));
  EXPECT_THAT(read(log_file({"short"})).problem->what, HasSubstr("end in the middle"));
}

TEST(LogTest, WhatIsNoLog) {
  EXPECT_THAT(read("").problem->what, HasSubstr("end in the middle"));
  EXPECT_THAT(read(snapshot_file({})).problem->what, HasSubstr("does not begin as"));
  EXPECT_THAT(read(Bytes().int32(0x5a4b4c47).int32(3).int64(0).str()).problem->what, HasSubstr("version 3"));
}

}  // namespace
}  // namespace witan::migrate::zookeeper
