#include "node/waiters.h"

#include <gtest/gtest.h>

namespace witan::node {
namespace {

constexpr raft::Term kFive(5);
constexpr raft::Term kSix(6);

raft::Accepted placed_at(uint64_t first, uint64_t last, raft::Term term) {
  return {raft::Index(first), raft::Index(last), term};
}

uint64_t add(Waiters& waiters) {
  return waiters.add(0, [](Outcome) {}, Instant{} + seconds(1));
}

TEST(Waiters, AnEntryOfAnotherTermAtItsPlaceMeansCertainlyNotApplied) {  // core P2
  Waiters waiters;
  const uint64_t a = add(waiters);
  const uint64_t b = add(waiters);
  waiters.placed({a, b}, placed_at(10, 11, kFive));
  std::vector<uint64_t> displaced;
  waiters.committed(raft::Index(10), kFive, displaced);
  EXPECT_TRUE(displaced.empty());
  waiters.committed(raft::Index(11), kSix, displaced);
  EXPECT_EQ(displaced, std::vector{b});
}

TEST(Waiters, OverlappingPlacesOfTwoTermsAreKeptApart) {
  Waiters waiters;
  const uint64_t a = add(waiters);
  const uint64_t b = add(waiters);
  waiters.placed({a}, placed_at(10, 10, kFive));
  waiters.placed({b}, placed_at(10, 10, kSix));
  std::vector<uint64_t> displaced;
  waiters.committed(raft::Index(10), kSix, displaced);
  EXPECT_EQ(displaced, std::vector{a});
}

TEST(Waiters, WhatASnapshotSkipsIsUnknown) {
  Waiters waiters;
  const uint64_t a = add(waiters);
  const uint64_t b = add(waiters);
  waiters.placed({a, b}, placed_at(10, 11, kFive));
  std::vector<uint64_t> unseen;
  waiters.skipped(raft::Index(10), unseen);
  EXPECT_EQ(unseen, std::vector{a});
  waiters.take(a);
  unseen.clear();
  waiters.skipped(raft::Index(20), unseen);
  EXPECT_EQ(unseen, std::vector{b});
}

TEST(Waiters, AnEndedWaitIsNotSentAgain) {
  Waiters waiters;
  const uint64_t a = add(waiters);
  const uint64_t b = add(waiters);
  waiters.park(Proposal{a, Blob("a")});
  waiters.park(Proposal{b, Blob("b")});
  ASSERT_TRUE(waiters.take(a).has_value());
  const auto parked = waiters.take_parked();
  ASSERT_EQ(parked.size(), 1u);
  EXPECT_EQ(parked[0].request, b);
  EXPECT_TRUE(waiters.take_parked().empty());
}

TEST(Waiters, TheOldestExpiresFirstWhateverEndedBefore) {
  Waiters waiters;
  const uint64_t a = add(waiters);
  const uint64_t b = add(waiters);
  waiters.take(a);
  EXPECT_EQ(waiters.expired(Instant{}), std::nullopt);
  EXPECT_EQ(waiters.expired(Instant{} + seconds(2)), b);
  waiters.take(b);
  EXPECT_EQ(waiters.oldest(), std::nullopt);
  EXPECT_EQ(waiters.size(), 0u);
}

}  // namespace
}  // namespace witan::node
