#include "raft/types.h"

#include <gtest/gtest.h>

#include "base/coding.h"
#include "base/rng.h"
#include "raft/message.h"
#include "raft/testing.h"

namespace witan::raft {
namespace {

Configuration full() {
  return {
      .members = {{.id = NodeId(1), .incoming = Suffrage::Voter, .outgoing = Suffrage::Voter, .info = Blob("one")},
                  {.id = NodeId(~0ULL), .incoming = Suffrage::None, .outgoing = Suffrage::Learner, .info = Blob("")}},
      .joint = true,
      .last_number = 254,
      .removed = {NodeId(3), NodeId(9)}};
}

TEST(Configuration, SurvivesItsEncoding) {
  EXPECT_EQ(decode_configuration(encode(full())), full());
  EXPECT_EQ(decode_configuration(encode({})), Configuration{});
}

// The bytes are in every log and snapshot: what an older version wrote must always be read.
TEST(Configuration, HasAFixedEncoding) {
  const Configuration small{.members = {{.id = NodeId(5), .incoming = Suffrage::Voter, .info = Blob("x")}},
                            .last_number = 7};
  EXPECT_EQ(encode(small), std::string("\x0a\x07\x08\x05\x10\x02\x22\x01x\x18\x07", 11));
}

TEST(Configuration, RefusesDamage) {
  const std::string good = encode(full());
  for (size_t length = 1; length < good.size(); ++length) {
    const Result<Configuration> cut = decode_configuration(std::string_view(good).substr(0, length));
    if (cut) {
      EXPECT_NE(*cut, full());
    }
  }
  Configuration twice = full();
  twice.members.push_back(twice.members.front());
  EXPECT_FALSE(decode_configuration(encode(twice)));
  Configuration removed_twice = full();
  removed_twice.removed.push_back(NodeId(9));
  EXPECT_FALSE(decode_configuration(encode(removed_twice)));
  Configuration nobody = full();
  nobody.members.front().id = kNobody;
  EXPECT_FALSE(decode_configuration(encode(nobody)));
  EXPECT_FALSE(decode_configuration(std::string("\x0a\x04\x08\x05\x10\x03", 6)));  // suffrage 3
  EXPECT_FALSE(decode_configuration(std::string("\x18\xff\xff\xff\xff\x7f", 6)));  // a number of 35 bits
}

TEST(Configuration, SurvivesRandomBytes) {
  Rng rng(4);
  const std::string good = encode(full());
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (uint64_t i = 1 + rng.below(3); i > 0; --i) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    const Result<Configuration> decoded = decode_configuration(bytes);
    if (decoded) {
      ASSERT_EQ(decode_configuration(encode(*decoded)), *decoded);
    }
  }
}

TEST(Configuration, TellsVotersFromLearnersInBothHalves) {
  const Configuration joint{.members = {{.id = NodeId(1), .incoming = Suffrage::Learner, .outgoing = Suffrage::Voter},
                                        {.id = NodeId(2), .incoming = Suffrage::Learner, .outgoing = Suffrage::None},
                                        {.id = NodeId(3), .incoming = Suffrage::Voter, .outgoing = Suffrage::None}},
                            .joint = true};
  EXPECT_TRUE(joint.is_voter(NodeId(1)));
  EXPECT_TRUE(joint.is_learner(NodeId(2)));
  EXPECT_TRUE(joint.is_voter(NodeId(3)));
  EXPECT_FALSE(joint.is_voter(NodeId(4)) || joint.is_learner(NodeId(4)));
  EXPECT_EQ(describe(joint), "joint 1:v>l 2:->l 3:->v");
  EXPECT_EQ(describe(testing::members({1, 2}, {3})), "1:v 2:v 3:l");
}

TEST(Message, IsDescribedInOneLine) {
  const AppendRequest append{.term = Term(3),
                             .prev_index = Index(4),
                             .prev_term = Term(2),
                             .commit = Index(4),
                             .entries = {{.term = Term(3), .index = Index(5), .kind = EntryKind::Empty, .data = {}}}};
  EXPECT_EQ(describe(Message(append)), "append term=3 after=2/4 commit=4 [3/5e]");
  EXPECT_EQ(describe(Message(TimeoutNow{Term(1)})), "timeout-now term=1");
}

}  // namespace
}  // namespace witan::raft
