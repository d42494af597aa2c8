#include "raft/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "raft/solo.h"

namespace witan::raft {
namespace {

using testing::entries_of;

std::vector<uint64_t> terms_of(const Log& log, uint64_t from, uint64_t to) {
  std::vector<uint64_t> terms;
  for (uint64_t i = from; i <= to; ++i) terms.push_back(log.term_at(Index(i)).value_or(Term(0)).value);
  return terms;
}

TEST(Log, KnowsTermsOfEntriesThatMemoryLetGoOf) {
  Log log(Index(0), Term(0), entries_of(1, {1, 1, 2, 4, 4}), Index(0));
  log.commit_to(Index(5));
  EXPECT_EQ(log.take_committed().size(), 5U);
  log.applied_to(Index(4));
  log.evict(0);
  EXPECT_EQ(log.evicted(), Index(4));
  EXPECT_EQ(log.tail_bytes(), cost(log.at(Index(5))));
  EXPECT_THAT(terms_of(log, 1, 5), ::testing::ElementsAre(1, 1, 2, 4, 4));
  EXPECT_EQ(log.term_at(Index(0)), Term(0));
  EXPECT_EQ(log.term_at(Index(6)), std::nullopt);
  log.compact(Index(2));
  EXPECT_EQ(log.term_at(Index(1)), std::nullopt);
  EXPECT_THAT(terms_of(log, 2, 5), ::testing::ElementsAre(1, 2, 4, 4));
}

TEST(Log, LetsGoOnlyOfWhatIsAppliedAndDurable) {
  Log log(Index(0), Term(0), entries_of(1, {1, 1}), Index(0));
  for (Entry& entry : entries_of(3, {1, 1})) log.append(std::move(entry));
  EXPECT_EQ(log.take_unsaved().entries.size(), 2U);
  log.commit_to(Index(4));
  EXPECT_EQ(log.take_committed().size(), 4U);
  log.applied_to(Index(4));
  log.evict(0);
  EXPECT_EQ(log.evicted(), Index(2));
  log.compact(Index(4));
  EXPECT_EQ(log.base(), Index(2));
  log.stable_to(Index(4));
  log.evict(0);
  EXPECT_EQ(log.evicted(), Index(4));
  EXPECT_EQ(log.tail_bytes(), 0U);
}

TEST(Log, CutsWhatWasSavedOnceAndTellsTheDiskTheLowestPlace) {
  Log log(Index(0), Term(0), entries_of(1, {1, 1, 1, 1}), Index(0));
  log.cut(Index(3));
  log.append(entries_of(3, {2}).front());
  EXPECT_EQ(log.stable(), Index(2));
  log.cut(Index(2));
  log.append(entries_of(2, {3}).front());
  const Log::Unsaved unsaved = log.take_unsaved();
  EXPECT_EQ(unsaved.cut_from, Index(2));
  ASSERT_EQ(unsaved.entries.size(), 1U);
  EXPECT_EQ(unsaved.entries.front().term, Term(3));
  EXPECT_EQ(log.stable(), Index(1));
  EXPECT_FALSE(log.has_unsaved());
}

TEST(Log, DoesNotTroubleTheDiskWithWhatItNeverSaw) {
  Log log(Index(0), Term(0), entries_of(1, {1}), Index(0));
  log.append(entries_of(2, {1}).front());
  log.cut(Index(2));
  log.append(entries_of(2, {2}).front());
  EXPECT_EQ(log.take_unsaved().cut_from, std::nullopt);
}

TEST(Log, AgreementLimitIsTheLastEntryOfATermNotAfterTheGivenOne) {
  Rng rng(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<uint64_t> terms;
    uint64_t term = 1;
    for (uint64_t i = rng.below(20); i > 0; --i) terms.push_back(term += rng.chance(1, 3) ? rng.below(3) : 0);
    const Log log(Index(0), Term(0), entries_of(1, terms), Index(0));
    const uint64_t index = rng.below(25);
    const uint64_t wanted = rng.below(term + 2);
    uint64_t expected = std::min<uint64_t>(index, terms.size());
    while (expected > 0 && terms[expected - 1] > wanted) --expected;
    ASSERT_EQ(log.agreement_limit(Index(index), Term(wanted)), Index(expected));
  }
}

TEST(Log, AgreementLimitBelowTheBaseSaysThatASnapshotIsNeeded) {
  Log log(Index(10), Term(5), entries_of(11, {5, 6}), Index(10));
  EXPECT_EQ(log.agreement_limit(Index(12), Term(4)), Index(9));
  EXPECT_EQ(log.agreement_limit(Index(12), Term(5)), Index(11));
}

TEST(Log, SlicesByBytesButNeverLessThanOneEntry) {
  const Log log(Index(0), Term(0), entries_of(1, {1, 1, 1, 1}), Index(0));
  const size_t each = cost(log.at(Index(1)));
  EXPECT_EQ(log.slice(Index(2), 0).size(), 1U);
  EXPECT_EQ(log.slice(Index(2), 2 * each).size(), 2U);
  EXPECT_EQ(log.slice(Index(2), 2 * each + 1).size(), 2U);
  EXPECT_EQ(log.slice(Index(2), 100 * each).size(), 3U);
  EXPECT_EQ(log.slice(Index(2), 100 * each).front().index, Index(2));
}

TEST(Log, IsUpToDateByTermFirstAndLengthSecond) {
  const Log log(Index(0), Term(0), entries_of(1, {1, 3, 3}), Index(0));
  EXPECT_TRUE(log.is_up_to_date(Index(3), Term(3)));
  EXPECT_TRUE(log.is_up_to_date(Index(4), Term(3)));
  EXPECT_TRUE(log.is_up_to_date(Index(1), Term(4)));
  EXPECT_FALSE(log.is_up_to_date(Index(2), Term(3)));
  EXPECT_FALSE(log.is_up_to_date(Index(9), Term(2)));
}

TEST(LogDeath, RefusesWhatCannotBe) {
  Log log(Index(0), Term(0), entries_of(1, {1, 2}), Index(0));
  log.commit_to(Index(1));
  EXPECT_DEATH(log.cut(Index(1)), "CHECK failed");
  EXPECT_DEATH(log.commit_to(Index(3)), "CHECK failed");
  EXPECT_DEATH(log.append(entries_of(4, {2}).front()), "CHECK failed");
  EXPECT_DEATH(log.append(entries_of(3, {1}).front()), "CHECK failed");
  EXPECT_DEATH(log.applied_to(Index(1)), "CHECK failed");
}

}  // namespace
}  // namespace witan::raft
