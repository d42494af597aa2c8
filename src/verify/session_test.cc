#include "verify/session.h"

#include <gtest/gtest.h>

#include "verify/session_testing.h"

namespace witan::verify {
namespace {

using Kind = NodeRequest::Kind;

// ---- What the tree is like ----------------------------------------------------------------------

TEST(NodesModel, CountsAsZooKeeperDoes) {
  SessionStory story;                                 // 2: /n
  story.write({SessionStory::create("/n/a", "1")});   // 3
  story.write({SessionStory::create("/n/b", "22")});  // 4
  story.write({SessionStory::set("/n/a", "333")});    // 5
  story.write({SessionStory::erase("/n/b")});         // 6
  const Nodes nodes(story.truth);
  EXPECT_EQ(
      nodes.find("/n", 6)->stat,
      (NodeStat{.czxid = 2, .mzxid = 2, .pzxid = 6, .version = 0, .cversion = 3, .data_length = 4, .num_children = 1}));
  EXPECT_EQ(nodes.find("/n/a", 6)->stat,
            (NodeStat{.czxid = 3, .mzxid = 5, .pzxid = 3, .version = 1, .data_length = 3}));
  EXPECT_EQ(nodes.find("/n/b", 6), nullptr);
  EXPECT_EQ(nodes.children("/n", 5), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(nodes.children("/n", 6), std::vector<std::string>{"a"});
}

TEST(NodesModel, SequentialNamesCountWhatEverWasThere) {
  SessionStory story;
  story.write({SessionStory::create("/n/a", "1")});
  story.write({SessionStory::erase("/n/a")});
  NodeOp next = SessionStory::create("/n/s-", "2");
  next.sequential = true;
  EXPECT_EQ(story.write({next}).items[0].path, "/n/s-0000000001");
}

TEST(NodesModel, OperationsOfOneTransactionSeeEachOther) {
  SessionStory story;
  const Nodes nodes(story.truth);
  EXPECT_EQ(evaluate(nodes, {SessionStory::create("/n/a", "1"), SessionStory::create("/n/a/b", "2")}, 2).error,
            NodeError::Ok);
  EXPECT_EQ(evaluate(nodes, {SessionStory::create("/n/a", "1"), SessionStory::erase("/n")}, 2).error,
            NodeError::NotEmpty);
  const NodeEffect failed = evaluate(nodes, {SessionStory::create("/n/a", "1"), SessionStory::erase("/n/b")}, 2);
  EXPECT_EQ(failed.error, NodeError::NoNode);
  EXPECT_EQ(failed.failed, 1U);
  NodeOp mortal = SessionStory::create("/n/m", "1");
  mortal.ephemeral = true;
  EXPECT_EQ(evaluate(nodes, {mortal, SessionStory::create("/n/m/x", "2")}, 2).error,
            NodeError::NoChildrenForEphemerals);
}

// ---- The log ------------------------------------------------------------------------------------

TEST(SessionLog, AcceptsALifeInOrder) {
  SessionStory story;
  NodeOp mine = SessionStory::create("/n/mine", "1");
  mine.ephemeral = true;
  story.write({mine});
  story.commit({SessionStory::erase("/n/nothing")});
  story.end();
  EXPECT_KEPT(story.judge_log());
}

TEST(SessionLog, RejectsAnEffectThatIsNotItsOwn) {
  SessionStory story;
  story.commit({SessionStory::create("/n/a", "1")}).ops[0].value = "2";
  EXPECT_BROKEN(story.judge_log(), "node-effect");
}

TEST(SessionLog, RejectsWhatShouldHaveFailedAndWhatShouldNot) {
  SessionStory story;
  story.commit({SessionStory::create("/n/a", "1")}).ops[0].path = "/m/a";
  EXPECT_BROKEN(story.judge_log(), "node-effect");
  SessionStory other;
  other.log.push_back({.session = SessionStory::kId,
                       .generation = 1,
                       .ops = {SessionStory::create("/n/a", "1")},
                       .after = other.truth.revision(),
                       .when = other.at()});
  EXPECT_BROKEN(other.judge_log(), "node-effect");
}

TEST(SessionLog, RejectsAnEphemeralOfSomebodyElse) {
  SessionStory story;
  NodeOp mine = SessionStory::create("/n/mine", "1");
  mine.ephemeral = true;
  story.commit({mine}, 8);
  story.log.back().session = SessionStory::kId;
  story.log.back().generation = 1;
  EXPECT_BROKEN(story.judge_log(), "node-effect");
}

TEST(SessionLog, RejectsWhatAMovedSessionStillChanges) {
  SessionStory story;
  story.connect();
  story.commit({SessionStory::create("/n/late", "1")}).generation = 1;
  EXPECT_BROKEN(story.judge_log(), "moved");
}

TEST(SessionLog, RejectsWhatASessionCreatesAfterItsEnd) {
  SessionStory story;
  story.end();
  story.commit({SessionStory::create("/n/late", "1")});
  EXPECT_BROKEN(story.judge_log(), "session-end");
}

TEST(SessionLog, RejectsAnEndThatLeavesSomething) {
  SessionStory story;
  NodeOp mine = SessionStory::create("/n/mine", "1");
  mine.ephemeral = true;
  story.commit({mine});
  story.log.push_back({.what = SessionEntry::What::End,
                       .session = SessionStory::kId,
                       .after = story.truth.revision(),
                       .ended = true,
                       .when = story.at()});
  EXPECT_BROKEN(story.judge_log(), "session-end");
}

TEST(SessionLog, RejectsAnEndThatTakesWhatItDoesNotOwn) {
  SessionStory story;
  story.commit({SessionStory::create("/n/not-mine", "1")});
  SessionEntry& end = story.commit({SessionStory::erase("/n/not-mine")});
  end.what = SessionEntry::What::End;
  end.ended = true;
  end.ops.clear();
  EXPECT_BROKEN(story.judge_log(), "session-end");
}

// ---- One session --------------------------------------------------------------------------------

TEST(SessionChecker, AcceptsAConversation) {
  SessionStory story;
  story.write({SessionStory::create("/n/a", "1")});
  story.read(Kind::Data, "/n/a");
  story.read(Kind::Children, "/n");
  story.read(Kind::Exists, "/n/b");
  story.write({SessionStory::erase("/n/b")});
  story.connect();
  story.write({SessionStory::set("/n/a", "2")});
  story.ping();
  EXPECT_KEPT(story.judge());
}

TEST(SessionChecker, AcceptsWhatNobodyAnswered) {
  SessionStory story;
  NodeRequest lost{.kind = Kind::Write, .ops = {SessionStory::erase("/n/a")}};
  story.write({SessionStory::create("/n/a", "1")});
  story.ask(lost);
  story.connect();
  story.write({SessionStory::erase("/n/a")});  // the same again: the first was not done
  EXPECT_KEPT(story.judge());
  SessionStory other;
  other.write({SessionStory::create("/n/a", "1")});
  other.ask(lost);
  other.commit({SessionStory::erase("/n/a")});
  other.connect();
  other.write({SessionStory::erase("/n/a")});  // and here it was
  EXPECT_KEPT(other.judge());
  SessionStory twice;
  twice.write({SessionStory::create("/n/a", "1")});
  twice.ask(lost);
  twice.connect();
  twice.read(Kind::Data, "/n/a");
  twice.ask(lost);
  twice.commit({SessionStory::erase("/n/a")});  // the second: a read before it saw the node
  twice.connect();
  twice.read(Kind::Data, "/n/a");
  EXPECT_KEPT(twice.judge());
}

TEST(SessionChecker, RejectsAZxidThatGoesBack) {
  SessionStory story;
  story.write({SessionStory::create("/n/a", "1")});
  story.connect();
  story.ping().zxid = 2;
  EXPECT_BROKEN(story.judge(), "zxid");
}

TEST(SessionChecker, RejectsAZxidThatNobodyHas) {
  SessionStory story;
  story.ping().zxid = 3;
  EXPECT_BROKEN(story.judge(), "zxid");
}

TEST(SessionChecker, RejectsWritesOutOfTheirOrder) {
  SessionStory story;
  story.ask({.kind = Kind::Write, .ops = {SessionStory::set("/n", "1")}});
  story.ask({.kind = Kind::Write, .ops = {SessionStory::set("/n", "2")}});
  story.commit({SessionStory::set("/n", "2")});
  story.commit({SessionStory::set("/n", "1")});
  EXPECT_BROKEN(story.judge(), "session-order");
}

TEST(SessionChecker, RejectsAGapInAConnection) {
  SessionStory story;
  story.ask({.kind = Kind::Write, .ops = {SessionStory::set("/n", "1")}});
  story.ask({.kind = Kind::Write, .ops = {SessionStory::set("/n", "2")}});
  story.commit({SessionStory::set("/n", "2")});
  EXPECT_BROKEN(story.judge(), "session-order");
}

TEST(SessionChecker, RejectsAnAcknowledgedWriteThatIsNotThere) {
  SessionStory story;
  story.write({SessionStory::set("/n", "1")});
  story.log.pop_back();
  EXPECT_BROKEN(story.judge(), "session-order");
}

TEST(SessionChecker, RejectsARefusedWriteThatWasDone) {
  SessionStory story;
  NodeReply& reply = story.write({SessionStory::set("/n", "1")});
  reply.error = NodeError::BadVersion;
  reply.items.clear();
  EXPECT_BROKEN(story.judge(), "session-order");
}

TEST(SessionChecker, RejectsWhatItNeverAskedFor) {
  SessionStory story;
  story.commit({SessionStory::set("/n", "1")});
  EXPECT_BROKEN(story.judge(), "session-order");
}

TEST(SessionChecker, RejectsAnAnswerThatIsNotTheLogs) {
  SessionStory story;
  story.write({SessionStory::set("/n", "1")}).items[0].stat->version = 7;
  EXPECT_BROKEN(story.judge(), "write-answer");
  SessionStory other;
  NodeOp next = SessionStory::create("/n/s-", "2");
  next.sequential = true;
  other.write({next}).items[0].path = "/n/s-0000000001";
  EXPECT_BROKEN(other.judge(), "write-answer");
  SessionStory third;
  third.write({SessionStory::erase("/n/nothing")}).error = NodeError::BadVersion;
  EXPECT_BROKEN(third.judge(), "write-answer");
}

TEST(SessionChecker, RejectsTheSuccessOfWhatShouldHaveFailed) {
  SessionStory story;
  std::vector<NodeOp> ops{SessionStory::create("/n/a", "1"), SessionStory::create("/n/b", "2")};
  NodeRequest& request = story.ask({.kind = Kind::Multi, .ops = ops});
  SessionEntry& entry = story.commit(ops);
  story.answer({.items = {{.path = "/n/a"}, {.path = "/n/b"}}});
  EXPECT_KEPT(story.judge());
  request.ops[0].path = entry.ops[0].path = "/m/a";
  EXPECT_BROKEN(story.judge(), "write-answer");
}

TEST(SessionChecker, RejectsAReadOfWhatWasBeforeItsOwnWrite) {
  SessionStory story;
  NodeReply old = story.read(Kind::Data, "/n");
  story.write({SessionStory::set("/n", "new")});
  story.ask({.kind = Kind::Data, .path = "/n"});
  old.zxid = 3;
  story.answer(old);
  EXPECT_BROKEN(story.judge(), "read-answer");
}

TEST(SessionChecker, RejectsAReadOfWhatIsWrittenBehindIt) {
  SessionStory story;
  NodeRequest write{.kind = Kind::Write, .ops = {SessionStory::set("/n", "new")}};
  story.ask({.kind = Kind::Data, .path = "/n"});
  story.ask(write);
  story.commit(write.ops);
  const Nodes nodes(story.truth);
  NodeReply seen{.value = "new"};
  seen.stat = nodes.find("/n", 3)->stat;
  story.answer(seen);
  NodeReply done;
  done.items.push_back({.path = "/n", .stat = nodes.find("/n", 3)->stat});
  story.answer(done);
  EXPECT_BROKEN(story.judge(), "read-answer");
}

TEST(SessionChecker, RejectsAReadThatMixesTwoStates) {
  SessionStory story;
  story.write({SessionStory::create("/n/a", "1")});
  story.read(Kind::Children, "/n").names = {"a", "b"};
  EXPECT_BROKEN(story.judge(), "read-answer");
}

TEST(SessionChecker, RejectsAnEarlyEnd) {
  SessionStory story;
  story.now_ms = 500;
  story.ping();
  story.now_ms = 1300;
  story.end();
  EXPECT_BROKEN(story.judge(), "session-early");
  SessionStory other;
  other.now_ms = 500;
  other.ping();
  other.now_ms = 1500;
  other.end();
  EXPECT_KEPT(other.judge());
}

TEST(SessionChecker, AcceptsAnEndThatItAskedFor) {
  SessionStory story;
  story.session.close_sent = story.at();
  story.end();
  EXPECT_KEPT(story.judge());
}

TEST(SessionChecker, RejectsASessionThatOutlivesItsClient) {
  SessionStory story;
  story.session.abandoned = story.at();
  EXPECT_BROKEN(story.judge(), "session-late");
}

TEST(SessionChecker, RejectsPingsOfTheDeadAndEndsThatWereNone) {
  SessionStory story;
  story.now_ms = 3000;
  story.end();
  story.tick();
  story.ping();
  EXPECT_BROKEN(story.judge(), "session-lie");
  SessionStory other;
  other.connect().refused = true;
  EXPECT_BROKEN(other.judge(), "session-phantom");
}

}  // namespace
}  // namespace witan::verify
