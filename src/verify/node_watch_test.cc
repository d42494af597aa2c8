#include "verify/node_watch.h"

#include <gtest/gtest.h>

#include "verify/session_testing.h"

namespace witan::verify {
namespace {

using Kind = NodeRequest::Kind;
using Type = NodeEvent::Type;

// /n/a is watched by the session; somebody else changes it at revision 4.
struct Watched : SessionStory {
  Watched() {
    write({create("/n/a", "1")});
    read(Kind::Data, "/n/a", true);
    commit({set("/n/a", "2")}, 8);
  }
};

TEST(NodeWatchChecker, AcceptsAnEventBeforeTheAnswerThatShowsIt) {
  Watched story;
  story.event(Type::DataChanged, "/n/a", 4);
  story.ping();
  EXPECT_KEPT(story.judge_watches());
}

TEST(NodeWatchChecker, AcceptsSilenceBeforeTheChangeIsKnown) {
  Watched story;
  story.ping().zxid = 3;
  EXPECT_KEPT(story.judge_watches());
}

TEST(NodeWatchChecker, RejectsAnEventAfterTheAnswerThatShowsIt) {
  Watched story;
  story.ping();
  story.event(Type::DataChanged, "/n/a", 4);
  EXPECT_BROKEN(story.judge_watches(), "watch-missed", "watch-invented");
}

TEST(NodeWatchChecker, RejectsAOneShotWatchThatFiresAgain) {
  Watched story;
  story.event(Type::DataChanged, "/n/a", 4);
  story.commit({SessionStory::set("/n/a", "3")}, 8);
  story.event(Type::DataChanged, "/n/a", 5);
  EXPECT_BROKEN(story.judge_watches(), "watch-invented");
  Watched other;
  other.event(Type::DataChanged, "/n/a", 4);
  other.event(Type::DataChanged, "/n/a", 4);
  EXPECT_BROKEN(other.judge_watches(), "watch-twice");
}

TEST(NodeWatchChecker, RejectsEventsOfTheWrongKindOrNode) {
  Watched story;
  story.event(Type::Deleted, "/n/a", 4);
  EXPECT_BROKEN(story.judge_watches(), "watch-invented");
  Watched other;
  other.event(Type::DataChanged, "/n", 4);
  EXPECT_BROKEN(other.judge_watches(), "watch-invented");
}

TEST(NodeWatchChecker, KnowsWhatFiresWhat) {
  SessionStory story;                      // 2
  story.read(Kind::Exists, "/n/a", true);  // not there
  story.read(Kind::Children, "/n", true);
  story.commit({SessionStory::create("/n/a", "1")}, 8);  // 3
  story.event(Type::Created, "/n/a", 3);
  story.event(Type::ChildrenChanged, "/n", 3);
  story.read(Kind::Children, "/n/a", true);
  story.commit({SessionStory::erase("/n/a")}, 8);  // 4
  story.event(Type::Deleted, "/n/a", 4);
  story.ping();
  EXPECT_KEPT(story.judge_watches());
}

// ---- Persistent ones ----------------------------------------------------------------------------

struct Persistent : SessionStory {
  explicit Persistent(bool recursive) {
    ask({.kind = Kind::AddWatch, .path = "/n", .recursive = recursive});
    answer({});
    commit({create("/n/a", "1")}, 8);  // 3
    commit({set("/n/a", "2")}, 8);     // 4
    commit({erase("/n/a")}, 8);        // 5
  }
};

TEST(NodeWatchChecker, AcceptsPersistentWatchesThatHearEverything) {
  Persistent story(false);
  story.event(Type::ChildrenChanged, "/n", 3);
  story.event(Type::ChildrenChanged, "/n", 5);
  story.ping();
  EXPECT_KEPT(story.judge_watches());
  Persistent deep(true);
  deep.event(Type::Created, "/n/a", 3);
  deep.event(Type::DataChanged, "/n/a", 4);
  deep.event(Type::Deleted, "/n/a", 5);
  deep.ping();
  EXPECT_KEPT(deep.judge_watches());
}

TEST(NodeWatchChecker, RejectsAHoleInWhatAPersistentWatchHears) {
  Persistent deep(true);
  deep.event(Type::Created, "/n/a", 3);
  deep.event(Type::Deleted, "/n/a", 5);
  EXPECT_BROKEN(deep.judge_watches(), "watch-missed");
}

TEST(NodeWatchChecker, RejectsWhatAPersistentWatchHearsTwice) {
  Persistent story(false);
  story.event(Type::ChildrenChanged, "/n", 3);
  story.event(Type::ChildrenChanged, "/n", 3);
  EXPECT_BROKEN(story.judge_watches(), "watch-twice");
}

// ---- Set again ----------------------------------------------------------------------------------

// The connection was lost before the change of revision 4 was heard of; the next one brings the watch along.
struct Again : Watched {
  explicit Again(bool persistent = false) {
    connect();
    NodeRequest request{.kind = Kind::SetWatches};
    request.rewatch.relative = 3;
    (persistent ? request.rewatch.persistent : request.rewatch.data).push_back("/n/a");
    ask(std::move(request));
  }
};

TEST(NodeWatchChecker, AcceptsWhatIsMadeUpForAWatchThatIsSetAgain) {
  Again story;
  story.event(Type::DataChanged, "/n/a", -1);
  story.answer({});
  story.commit({SessionStory::set("/n/a", "3")}, 8);
  story.ping();  // it has fired
  EXPECT_KEPT(story.judge_watches());
}

// Both watches of a node are told that it is gone, as a ZooKeeper does it. A third time nobody waits for it.
TEST(NodeWatchChecker, TheEndOfANodeIsMadeUpForEachOfItsWatches) {
  for (const int times : {1, 2, 3}) {
    Watched story;
    story.commit({SessionStory::erase("/n/a")}, 8);
    story.connect();
    NodeRequest request{.kind = Kind::SetWatches};
    request.rewatch.relative = 3;
    request.rewatch.data.push_back("/n/a");
    request.rewatch.child.push_back("/n/a");
    story.ask(std::move(request));
    for (int i = 0; i < times; ++i) story.event(Type::Deleted, "/n/a", -1);
    story.answer({});
    if (times == 2) {
      EXPECT_KEPT(story.judge_watches());
    } else {
      EXPECT_BROKEN(story.judge_watches(), times == 1 ? "watch-again" : "watch-invented");
    }
  }
}

TEST(NodeWatchChecker, RejectsAWatchSetAgainThatIsNotTold) {
  Again story;
  story.answer({});
  EXPECT_BROKEN(story.judge_watches(), "watch-again");
}

TEST(NodeWatchChecker, RejectsAPersistentWatchSetAgainThatMissesSomething) {
  Again story(true);
  story.answer({});
  EXPECT_BROKEN(story.judge_watches(), "watch-missed");
  Again heard(true);
  heard.event(Type::DataChanged, "/n/a", 4);
  heard.answer({});
  EXPECT_KEPT(heard.judge_watches());
}

TEST(NodeWatchChecker, RejectsWhatIsMadeUpForNobody) {
  Again story;
  story.event(Type::DataChanged, "/n", -1);
  story.event(Type::DataChanged, "/n/a", -1);
  story.answer({});
  EXPECT_BROKEN(story.judge_watches(), "watch-invented");
}

}  // namespace
}  // namespace witan::verify
