// The arithmetic against a definition that anybody can check: every subset, counted.
#include "raft/quorum.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace witan::raft {
namespace {

struct Electorate {
  Configuration configuration;
  std::vector<NodeId> incoming;
  std::vector<NodeId> outgoing;
};

Electorate random_electorate(Rng& rng) {
  Electorate electorate;
  electorate.configuration.joint = rng.chance(1, 2);
  for (uint64_t id = 1; id <= 12; ++id) {
    Member member{.id = NodeId(id)};
    member.incoming = static_cast<Suffrage>(rng.below(3));
    if (electorate.configuration.joint) member.outgoing = static_cast<Suffrage>(rng.below(3));
    if (member.incoming == Suffrage::Voter) electorate.incoming.push_back(member.id);
    if (member.outgoing == Suffrage::Voter) electorate.outgoing.push_back(member.id);
    electorate.configuration.members.push_back(member);
  }
  return electorate;
}

// More than half of the list are in the set.
template <class InSet>
bool majority(const std::vector<NodeId>& list, InSet in_set) {
  size_t count = 0;
  for (const NodeId id : list) count += in_set(id) ? 1 : 0;
  return 2 * count > list.size();
}

template <class InSet>
bool is_quorum(const Electorate& electorate, InSet in_set) {
  return majority(electorate.incoming, in_set) &&
         (electorate.outgoing.empty() || majority(electorate.outgoing, in_set));
}

TEST(Quorum, AgreesOnTheLargestIndexThatAQuorumHas) {
  Rng rng(1);
  for (int round = 0; round < 3000; ++round) {
    const Electorate electorate = random_electorate(rng);
    std::map<NodeId, Index> match;
    for (uint64_t id = 1; id <= 12; ++id) match[NodeId(id)] = Index(rng.below(15));
    Index expected;
    for (uint64_t index = 0; index < 15; ++index) {
      if (is_quorum(electorate, [&](NodeId id) { return match[id] >= Index(index); })) expected = Index(index);
    }
    ASSERT_EQ(Quorum(electorate.configuration).agreed([&](NodeId id) { return match[id]; }), expected);
  }
}

TEST(Quorum, DecidesAVoteAsSoonAsTheMissingVotesCannotChangeIt) {
  Rng rng(2);
  for (int round = 0; round < 600; ++round) {
    const Electorate electorate = random_electorate(rng);
    std::map<NodeId, std::optional<bool>> votes;
    std::vector<NodeId> silent;
    for (uint64_t id = 1; id <= 12; ++id) {
      const uint64_t dice = rng.below(5);
      votes[NodeId(id)] = dice < 2 ? std::optional(true) : dice < 4 ? std::optional(false) : std::nullopt;
      if (!votes[NodeId(id)]) silent.push_back(NodeId(id));
    }
    // Every way in which the silent ones might still vote.
    bool can_win = false;
    bool can_lose = false;
    for (uint64_t mask = 0; mask < (1ULL << silent.size()); ++mask) {
      std::map<NodeId, std::optional<bool>> all = votes;
      for (size_t i = 0; i < silent.size(); ++i) all[silent[i]] = (mask >> i & 1) != 0;
      (is_quorum(electorate, [&](NodeId id) { return *all[id]; }) ? can_win : can_lose) = true;
    }
    const Ballot expected = !can_win ? Ballot::Lost : !can_lose ? Ballot::Won : Ballot::Pending;
    ASSERT_EQ(Quorum(electorate.configuration).tally([&](NodeId id) { return votes[id]; }), expected);
  }
}

TEST(Quorum, OfNobodyAgreesOnNothing) {
  const Quorum nobody;
  EXPECT_EQ(nobody.agreed([](NodeId) { return Index(9); }), Index(0));
  EXPECT_EQ(nobody.tally([](NodeId) { return std::optional(true); }), Ballot::Lost);
  EXPECT_FALSE(nobody.is_only(NodeId(1)));
}

TEST(Quorum, KnowsWhoDecidesAlone) {
  Configuration one{
      .members = {{.id = NodeId(1), .incoming = Suffrage::Voter}, {.id = NodeId(2), .incoming = Suffrage::Learner}}};
  EXPECT_TRUE(Quorum(one).is_only(NodeId(1)));
  EXPECT_FALSE(Quorum(one).is_only(NodeId(2)));
  one.joint = true;
  one.members[1].outgoing = Suffrage::Voter;
  EXPECT_FALSE(Quorum(one).is_only(NodeId(1)));
  EXPECT_TRUE(Quorum(one).contains(NodeId(2)));
}

}  // namespace
}  // namespace witan::raft
