// The judge of the random runs must be able to say no.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/solo.h"

namespace witan::raft::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Judge, AcceptsWhatIsRight) {
  Judge judge;
  judge.leads(NodeId(1), Term(1));
  judge.leads(NodeId(1), Term(1));
  judge.leads(NodeId(2), Term(2));
  for (const Entry& entry : entries_of(1, {1, 1})) judge.commits(NodeId(1), entry);
  for (const Entry& entry : entries_of(1, {1, 1})) judge.commits(NodeId(2), entry);
  judge.read_begins(5);
  judge.read_ends(5, Index(2));
  EXPECT_THAT(judge.complaints(), IsEmpty());
}

TEST(Judge, RejectsTwoLeadersOfATerm) {
  Judge judge;
  judge.leads(NodeId(1), Term(1));
  judge.leads(NodeId(2), Term(1));
  EXPECT_THAT(judge.complaints(), ElementsAre(HasSubstr("two leaders")));
}

TEST(Judge, RejectsDifferentEntriesAtOneIndexAndGaps) {
  Judge judge;
  judge.commits(NodeId(1), entries_of(1, {1}).front());
  judge.commits(NodeId(2), entries_of(1, {2}).front());
  judge.commits(NodeId(2), entries_of(3, {2}).front());
  EXPECT_THAT(judge.complaints(), ElementsAre(HasSubstr("where 1/1"), HasSubstr("nobody committed 2")));
}

TEST(Judge, RejectsAReadOfThePast) {
  Judge judge;
  judge.commits(NodeId(1), entries_of(1, {1}).front());
  judge.read_begins(5);
  judge.read_ends(5, Index(0));
  judge.read_ends(5, Index(1));
  EXPECT_THAT(judge.complaints(), ElementsAre(HasSubstr("sees only 0 of 1"), HasSubstr("ended twice")));
}

TEST(Cluster, NoticesACommitThatNoQuorumHasOnDisk) {
  Cluster cluster({}, {1, 2, 3}, {}, 1);
  cluster.campaign(1);
  cluster.propose(1, "a");
  cluster.at(2).disk_held = true;
  cluster.at(3).disk_held = true;
  cluster.settle();
  // 2 claims what its disk does not have.
  cluster.step(1, Receive{{.from = NodeId(2),
                           .to = NodeId(1),
                           .message = AppendReply{.term = Term(1), .accepted = true, .match = Index(2)}}});
  EXPECT_THAT(cluster.judge().complaints(), ElementsAre(HasSubstr("no quorum has on disk")));
}

}  // namespace
}  // namespace witan::raft::testing
