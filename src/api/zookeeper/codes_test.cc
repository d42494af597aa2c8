#include "api/zookeeper/codes.h"

#include <gtest/gtest.h>

namespace witan::api::zookeeper {
namespace {

TEST(CodesTest, WatcherTypesAndModesOutsideTheirRangeAreNone) {
  for (int32_t n = 1; n <= 5; ++n) EXPECT_EQ(watcher_type(n), static_cast<WatcherType>(n));
  EXPECT_EQ(watcher_type(0), std::nullopt);
  EXPECT_EQ(watcher_type(6), std::nullopt);
  EXPECT_EQ(add_watch_mode(0), AddWatchMode::Persistent);
  EXPECT_EQ(add_watch_mode(1), AddWatchMode::PersistentRecursive);
  EXPECT_EQ(add_watch_mode(-1), std::nullopt);
  EXPECT_EQ(add_watch_mode(2), std::nullopt);
}

TEST(CodesTest, OrdinaryModesGoByTheirFlags) {
  for (const OpCode op : {OpCode::Create, OpCode::Create2}) {
    for (int32_t flags = 0; flags <= 3; ++flags) {
      const auto kind = create_kind(op, flags, -1);
      ASSERT_TRUE(kind.has_value()) << flags;
      EXPECT_EQ(kind->ephemeral, flags == 1 || flags == 3);
      EXPECT_EQ(kind->sequential, flags >= 2);
      EXPECT_FALSE(kind->container);
      EXPECT_EQ(kind->ttl_ms, 0);
    }
    for (const int32_t flags : {-1, 7, 100, INT32_MIN, INT32_MAX}) EXPECT_FALSE(create_kind(op, flags, -1)) << flags;
  }
}

TEST(CodesTest, TheOpcodeAloneMakesAContainer) {
  for (int32_t flags = 0; flags <= 4; ++flags) {
    const auto kind = create_kind(OpCode::CreateContainer, flags, -1);
    ASSERT_TRUE(kind.has_value()) << flags;
    EXPECT_TRUE(kind->container);
    EXPECT_FALSE(kind->ephemeral);
    EXPECT_EQ(kind->sequential, flags == 2 || flags == 3);
  }
  EXPECT_FALSE(create_kind(OpCode::CreateContainer, 5, -1));
  const auto ordinary = create_kind(OpCode::Create, 4, -1);
  ASSERT_TRUE(ordinary.has_value());
  EXPECT_FALSE(ordinary->container || ordinary->ephemeral || ordinary->sequential);
}

TEST(CodesTest, ATtlGoesWithItsOpcodeAndItsFlagsOnly) {
  for (const int32_t flags : {5, 6}) {
    for (const int64_t ttl : {int64_t{1}, int64_t{5000}, kMaxTtlMs}) {
      const auto kind = create_kind(OpCode::CreateTtl, flags, ttl);
      ASSERT_TRUE(kind.has_value());
      EXPECT_EQ(kind->ttl_ms, ttl);
      EXPECT_EQ(kind->sequential, flags == 6);
    }
    for (const int64_t ttl : {int64_t{0}, int64_t{-1}, INT64_MIN, kMaxTtlMs + 1, INT64_MAX}) {
      EXPECT_FALSE(create_kind(OpCode::CreateTtl, flags, ttl)) << ttl;
    }
    EXPECT_FALSE(create_kind(OpCode::Create, flags, -1));
    EXPECT_FALSE(create_kind(OpCode::Create2, flags, -1));
  }
  for (const int64_t ttl : {-1, 0, 5}) EXPECT_FALSE(create_kind(OpCode::CreateTtl, 0, ttl)) << ttl;
}

}  // namespace
}  // namespace witan::api::zookeeper
