#include "node/digests.h"

#include <gtest/gtest.h>

namespace witan::node {
namespace {

using raft::Index;
using raft::NodeId;

DigestReport says(uint64_t member, uint64_t digest, bool voter = true) {
  return {NodeId(member), voter, store::Digest{.high = 0, .low = digest}};
}

TEST(DigestLog, RemembersTheNewestEntries) {
  DigestLog log;
  EXPECT_FALSE(log.at(Index(0)));
  for (uint64_t i = 1; i <= 5000; ++i) log.note(Index(i), {.high = 0, .low = i});
  EXPECT_EQ(log.newest(), Index(5000));
  EXPECT_EQ(log.at(Index(5000))->low, 5000U);
  EXPECT_EQ(log.at(Index(5000 - 4095))->low, 905U);
  EXPECT_FALSE(log.at(Index(904)));
  EXPECT_FALSE(log.at(Index(5001)));
  log.forget();
  EXPECT_FALSE(log.at(Index(5000)));
}

TEST(Judge, AMajorityOfAllVotersWins) {
  EXPECT_TRUE(judge({says(1, 7), says(2, 7), says(3, 7)}, 3).minority.empty());
  EXPECT_EQ(judge({says(1, 7), says(2, 8), says(3, 7)}, 3).minority, std::vector{NodeId(2)});
  EXPECT_EQ(judge({says(1, 7), says(2, 8), says(3, 8)}, 3).minority, std::vector{NodeId(1)});
  EXPECT_EQ(judge({says(1, 7), says(2, 8), says(3, 8)}, 3).majority, (std::vector{NodeId(2), NodeId(3)}));
}

TEST(Judge, LearnersAreJudgedButDoNotVote) {
  const Judgement judgement = judge({says(1, 7), says(2, 7), says(3, 8, false), says(4, 8, false)}, 3);
  EXPECT_EQ(judgement.minority, (std::vector{NodeId(3), NodeId(4)}));
  EXPECT_TRUE(judge({says(1, 7), says(2, 8, false), says(3, 8, false)}, 3).split);
}

TEST(Judge, WithoutAMajorityNobodyIsRight) {
  EXPECT_TRUE(judge({says(1, 7), says(2, 8)}, 2).split);
  EXPECT_TRUE(judge({says(1, 7), says(2, 8)}, 3).split);
  EXPECT_TRUE(judge({says(1, 7), says(2, 8), says(3, 9)}, 3).split);
  // Too few to be sure, but nothing to complain of.
  EXPECT_FALSE(judge({says(1, 7)}, 3).split);
  EXPECT_TRUE(judge({says(1, 7)}, 3).minority.empty());
}

}  // namespace
}  // namespace witan::node
