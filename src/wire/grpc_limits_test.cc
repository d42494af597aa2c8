#include <gtest/gtest.h>

#include "wire/limits.h"

namespace witan::wire {
namespace {

TEST(TokenBucket, ABurstThenTheRate) {
  Instant now{5};
  TokenBucket bucket(3, 10, now);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now = now + milliseconds(99);
  EXPECT_FALSE(bucket.take(now));
  now = now + milliseconds(1);
  EXPECT_TRUE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now));
  now = now + std::chrono::hours(100000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(now)) << "never more than the burst";
  EXPECT_FALSE(bucket.take(now));
  EXPECT_FALSE(bucket.take(now - seconds(10))) << "time that runs backwards earns nothing";
}

TEST(TokenBucket, AZeroRateNeverFills) {
  TokenBucket bucket(1, 0, Instant{0});
  EXPECT_TRUE(bucket.take(Instant{0}));
  EXPECT_FALSE(bucket.take(Instant{1'000'000'000'000}));
}

TEST(PingJudge, TheThirdTooEarlyPingIsTooMany) {
  Instant now{0};
  PingJudge judge(seconds(5));
  EXPECT_TRUE(judge.allow(now, true));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(judge.allow(now = now + seconds(4), true));
  EXPECT_FALSE(judge.allow(now + seconds(4), true));
}

TEST(PingJudge, PingsAtTheirPaceAreFineForEver) {
  PingJudge judge(seconds(5));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(judge.allow(Instant{0} + i * seconds(5), true));
}

TEST(PingJudge, WithoutStreamsTwoHoursLieBetween) {
  PingJudge judge(seconds(5));
  Instant now{0};
  EXPECT_TRUE(judge.allow(now, false));
  EXPECT_TRUE(judge.allow(now = now + seconds(600), false));
  EXPECT_TRUE(judge.allow(now = now + seconds(600), false));
  EXPECT_FALSE(judge.allow(now + seconds(600), false));
}

TEST(PingJudge, WhatTheServerSendsForgivesOnePingAndAllStrikes) {
  PingJudge judge(seconds(5));
  const Instant now{0};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(judge.allow(now, true));
  judge.forgive();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(judge.allow(now, true));
  EXPECT_FALSE(judge.allow(now, true));
}

}  // namespace
}  // namespace witan::wire
