// What ZooKeeper's operations do to the tree and what they are refused for (reference 1.5 to 1.7, core T), one rule a
// test. What is random is in random_test.cc.
#include "store/node_txn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/acl.h"
#include "store/node_testing.h"

namespace witan::store {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

using std::string_view_literals::operator""sv;

// ZooKeeper's cversion on the wire.
int64_t cversion(const NodeStat& stat) { return 2 * stat.children_ever - stat.children; }

const std::string kAnns = encode_acl(std::vector<AclEntry>{{perm::kAll, "digest", "ann"}});
const std::string kReadable = encode_acl(std::vector<AclEntry>{{perm::kRead, "world", "anyone"}});

// ---- Stat ---------------------------------------------------------------------------------------

TEST(NodeStat, OfAnEmptyTreeIsZooKeepers) {
  Tree t;
  const NodeStat root = t.stat("/");
  EXPECT_EQ(root.created, Revision(0));
  EXPECT_EQ(root.modified, Revision(0));
  EXPECT_EQ(root.children_changed, Revision(0));
  EXPECT_EQ(root.children, 1);
  EXPECT_EQ(cversion(root), -1);
  EXPECT_EQ(cversion(t.stat("/zookeeper")), -2);
  EXPECT_EQ(t.stat("/zookeeper").children, 2);
  EXPECT_EQ(t.stat("/zookeeper/config").acl_version, -1);
  EXPECT_THAT(t.children("/"), ElementsAre("zookeeper"));
  EXPECT_THAT(t.children("/zookeeper"), UnorderedElementsAre("config", "quota"));
  EXPECT_EQ(t.read(NodeQuery::Descendants, "/").count, 3);
  EXPECT_EQ(t.store.usage().keys, 0u);
}

TEST(NodeStat, TheRootStaysOlderThanEverythingWhenItGetsData) {
  Tree t;
  EXPECT_EQ(t.set("/", "data"), Reason::None);
  EXPECT_EQ(t.events, "~/");
  const NodeStat root = t.stat("/");
  EXPECT_EQ(root.created, Revision(0));
  EXPECT_EQ(root.modified, Revision(2));
  EXPECT_EQ(root.version, 1);
  EXPECT_EQ(t.store.get("/")->create_revision, Revision(2)) << "the key is made now";
  EXPECT_EQ(t.set("/", "more", 1), Reason::None);
  EXPECT_EQ(t.events, "~/");
  EXPECT_EQ(events_of(t.run(DeleteRange{.range = {.begin = "/", .single = true}}).changes), "~/");
  EXPECT_TRUE(t.exists("/"));
}

TEST(NodeStat, CountsWhatTheReferencesTranscriptCounts) {
  Tree t;
  t.create("/a");
  for (const char* child : {"/a/1", "/a/2", "/a/3", "/a/4", "/a/5"}) t.create(child);
  EXPECT_EQ(cversion(t.stat("/a")), 5);
  EXPECT_EQ(t.stat("/a").children_changed.value, t.now());
  t.del("/a/3");
  const int64_t deleted = t.now();
  t.set("/a/1", "x");
  t.create("/a/1/below");
  EXPECT_EQ(cversion(t.stat("/a")), 6);
  EXPECT_EQ(t.stat("/a").children_changed.value, deleted) << "neither data nor grandchildren count";
  EXPECT_EQ(t.stat("/a").children, 4);
  EXPECT_EQ(t.stat("/a").version, 0);
}

TEST(NodeStat, VersionsAndTimesMoveWithWhatTheyCount) {
  Tree t;
  t.stamp = 100;
  t.create("/a", "four");
  const NodeStat first = t.stat("/a");
  EXPECT_EQ(first.created, Revision(2));
  EXPECT_EQ(first.modified, Revision(2));
  EXPECT_EQ(first.children_changed, Revision(2));
  EXPECT_EQ(first.created_at.ms, 100);
  EXPECT_EQ(first.data_bytes, 4);
  t.stamp = 200;
  EXPECT_EQ(t.set("/a", "more", 0), Reason::None);
  EXPECT_EQ(t.one(SetNodeAcl{.path = "/a", .acl = kReadable, .expected = 0}), Reason::None);
  const NodeStat second = t.stat("/a");
  EXPECT_EQ(second.version, 1);
  EXPECT_EQ(second.acl_version, 1);
  EXPECT_EQ(second.modified, Revision(3)) << "an access list is no data";
  EXPECT_EQ(second.modified_at.ms, 200);
  EXPECT_EQ(second.created_at.ms, 100);
}

TEST(NodeStat, NoValueAndAnEmptyOneDiffer) {
  Tree t;
  t.one(CreateNode{.path = "/null", .null_value = true});
  t.create("/empty");
  EXPECT_TRUE(t.read(NodeQuery::Data, "/null").value.is_null());
  EXPECT_FALSE(t.read(NodeQuery::Data, "/empty").value.is_null());
  const Digest before = t.store.digest();
  const Revision revision = t.store.revision();
  t.one(SetNode{.path = "/null", .value = ""});
  EXPECT_FALSE(t.read(NodeQuery::Data, "/null").value.is_null());
  EXPECT_NE(t.store.digest(), before);
  EXPECT_GT(t.store.revision(), revision);
}

// ---- What is refused first ----------------------------------------------------------------------

TEST(NodeCreate, IsRefusedInZooKeepersOrder) {
  Tree t;
  t.open();
  t.create_ephemeral("/e");
  t.one(CreateNode{.path = "/anns", .acl = kAnns});
  EXPECT_EQ(t.create("no slash"), Reason::BadArguments);
  EXPECT_EQ(t.create("/a\0b"sv), Reason::BadArguments);
  EXPECT_EQ(t.create("/no/such"), Reason::NodeNotFound);
  EXPECT_EQ(t.create("/b/"), Reason::NodeNotFound) << "its parent /b is looked for first";
  EXPECT_EQ(t.create("/anns/../x"), Reason::NodeNotFound);
  EXPECT_EQ(t.create("/anns/."), Reason::PermissionDenied) << "rights come before the rest of the path";
  EXPECT_EQ(t.create("/e/."), Reason::BadArguments) << "the path before what stands there";
  EXPECT_EQ(t.create("/"), Reason::NodeExists);
  EXPECT_EQ(t.create("/e"), Reason::NodeExists);
  EXPECT_EQ(t.create("/e/child"), Reason::NodeIsEphemeral);
  EXPECT_EQ(t.create("/zookeeper"), Reason::NodeExists);
  EXPECT_EQ(t.create("/zookeeper/quota"), Reason::NodeExists);
  t.who = {"digest:ann"};
  EXPECT_EQ(t.create("/anns/mine"), Reason::None);
  t.leave();
  EXPECT_EQ(t.create_ephemeral("/f"), Reason::BadArguments) << "nobody could own it";
}

TEST(NodeDelete, IsRefusedInZooKeepersOrder) {
  Tree t;
  t.one(CreateNode{.path = "/anns", .acl = kAnns});
  t.who = {"digest:ann"};
  t.create("/anns/x");
  t.who = {};
  t.create("/a");
  t.create("/a/b");
  for (const char* special : {"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "none"}) {
    EXPECT_EQ(t.del(special), Reason::BadArguments) << special;
  }
  EXPECT_EQ(t.del("/no/such"), Reason::NodeNotFound);
  EXPECT_EQ(t.del("/anns/none"), Reason::PermissionDenied) << "on the parent, before the node is looked for";
  EXPECT_EQ(t.del("/none", 7), Reason::NodeNotFound);
  EXPECT_EQ(t.del("/a", 7), Reason::VersionMismatch) << "before its children";
  EXPECT_EQ(t.del("/a", 0), Reason::NodeHasChildren);
  EXPECT_EQ(t.del("/a/b", 0), Reason::None);
}

TEST(NodeDelete, ANodeWithAHiddenListIsDeletedByWhoMayDeleteInItsParent) {
  Tree t;
  t.one(CreateNode{.path = "/anns", .acl = kAnns});
  EXPECT_EQ(t.del("/anns"), Reason::None);
}

TEST(NodeSet, AsksForTheNodeThenRightsThenTheVersion) {
  Tree t;
  t.one(CreateNode{.path = "/r", .acl = kReadable});
  EXPECT_EQ(t.set("/none", "", 3), Reason::NodeNotFound);
  EXPECT_EQ(t.set("/r", "", 3), Reason::PermissionDenied);
  EXPECT_EQ(t.one(CheckNode{.path = "/r", .expected = 3}), Reason::VersionMismatch);
  EXPECT_EQ(t.one(CheckNode{.path = "/r", .expected = 0}), Reason::None);
  EXPECT_EQ(t.one(CheckNode{.path = "/none"}), Reason::NodeNotFound);
  EXPECT_EQ(t.one(SetNodeAcl{.path = "/r", .expected = 3}), Reason::PermissionDenied);
  EXPECT_EQ(t.set("bad path"), Reason::BadArguments);
  EXPECT_EQ(t.one(SetNodeAcl{.path = "/r/"}), Reason::BadArguments);
  t.create("/o");
  EXPECT_EQ(t.set("/o", "", 1), Reason::VersionMismatch);
  EXPECT_EQ(t.one(SetNodeAcl{.path = "/o", .expected = 1}), Reason::VersionMismatch);
  EXPECT_EQ(t.set("/zookeeper/config"), Reason::PermissionDenied) << "the superuser's";
  t.who = {kSuperPrincipal};
  EXPECT_EQ(t.set("/zookeeper/config"), Reason::BadArguments) << "it shows the members";
  EXPECT_EQ(t.set("/r"), Reason::None);
}

// ---- Sequences ----------------------------------------------------------------------------------

TEST(NodeSequence, CountsEveryChildThatEverWas) {
  Tree t;
  t.create("/a");
  EXPECT_EQ(t.sequence("/a/s-"), "/a/s-0000000000");
  EXPECT_EQ(t.sequence("/a/s-"), "/a/s-0000000001");
  t.create("/a/plain");
  EXPECT_EQ(t.sequence("/a/s-"), "/a/s-0000000003");
  t.del("/a/s-0000000003");
  EXPECT_EQ(t.sequence("/a/"), "/a/0000000004") << "a path that ends in a slash";
  t.put("/a/by-etcd");
  EXPECT_EQ(t.sequence("/a/t-"), "/a/t-0000000006");
  EXPECT_EQ(t.sequence("/top-"), "/top-0000000001") << "/zookeeper does not count";
  EXPECT_EQ(t.sequence("/zookeeper/quota/q"), "/zookeeper/quota/q0000000000");
}

TEST(NodeSequence, GoesBackWithWhatFailed) {  // ZOOKEEPER-1624
  Tree t;
  t.create("/a");
  const Digest before = t.store.digest();
  const Revision revision = t.store.revision();
  EXPECT_EQ(t.multi({{CreateNode{.path = "/a/s-", .sequential = true}},
                     {CreateNode{.path = "/a/s-", .sequential = true}},
                     {DeleteNode{.path = "/none"}},
                     {CreateNode{.path = "/a/t"}}}),
            Reason::NodeNotFound);
  EXPECT_EQ(t.failed_at, 2u);
  EXPECT_EQ(t.events, "nothing");
  EXPECT_EQ(t.store.digest(), before);
  EXPECT_EQ(t.store.revision(), revision);
  EXPECT_EQ(t.sequence("/a/s-"), "/a/s-0000000000");
}

TEST(NodeSequence, AnUnusedNameIsNotSkippedWhenItExists) {
  Tree t;
  t.create("/a");
  t.create("/a/s-0000000001");
  std::string name;
  EXPECT_EQ(t.sequence("/a/s-", name), Reason::NodeExists) << "the counter stands at 1";
}

// ---- Several operations -------------------------------------------------------------------------

TEST(NodeMulti, OperationsSeeTheOnesBefore) {
  Tree t;
  t.stamp = 77;
  EXPECT_EQ(t.multi({{CreateNode{.path = "/a"}},
                     {CreateNode{.path = "/a/s-", .sequential = true}},
                     {CreateNode{.path = "/a/s-", .sequential = true}},
                     {SetNode{.path = "/a", .value = "x", .expected = 0}},
                     {CheckNode{.path = "/a", .expected = 1}},
                     {DeleteNode{.path = "/a/s-0000000000"}},
                     {SetNodeAcl{.path = "/a", .acl = kReadable, .expected = 0}}}),
            Reason::None);
  EXPECT_EQ(t.store.revision(), Revision(2)) << "one revision";
  EXPECT_EQ(t.events, "+/a +/a/s-0000000000 +/a/s-0000000001 ~/a -/a/s-0000000000");
  const NodeStat a = t.stat("/a");
  EXPECT_EQ(a.created, Revision(2));
  EXPECT_EQ(a.version, 1);
  EXPECT_EQ(a.modified_at.ms, 77);
  EXPECT_EQ(cversion(a), 3);
  EXPECT_EQ(t.create("/a/more"), Reason::PermissionDenied);
}

TEST(NodeMulti, RightsAreThoseOfTheMoment) {
  Tree t;
  t.create("/a");
  EXPECT_EQ(t.multi({{SetNodeAcl{.path = "/a", .acl = kReadable}}, {SetNode{.path = "/a"}}}), Reason::PermissionDenied);
  EXPECT_EQ(t.failed_at, 1u);
  EXPECT_EQ(t.stat("/a").acl_version, 0);
  EXPECT_EQ(t.multi({{CreateNode{.path = "/b", .acl = kReadable}}, {CreateNode{.path = "/b/c"}}}),
            Reason::PermissionDenied);
  EXPECT_FALSE(t.exists("/b"));
}

TEST(NodeMulti, ANodeMayDieAndLiveAgain) {
  Tree t;
  t.one(CreateNode{.path = "/a", .value = "old", .acl = kAnns});
  t.who = {"digest:ann"};
  t.set("/a", "older");
  t.who = {};
  EXPECT_EQ(t.multi({{DeleteNode{.path = "/a", .expected = 1}}, {CreateNode{.path = "/a", .value = "new"}}}),
            Reason::None);
  EXPECT_EQ(t.events, "-/a +/a");
  EXPECT_EQ(t.stat("/a").version, 0);
  EXPECT_EQ(t.stat("/a").created.value, t.now());
  EXPECT_EQ(t.read(NodeQuery::Data, "/a").value.view(), "new") << "and open to everybody";
  EXPECT_EQ(t.multi({{CreateNode{.path = "/b"}}, {DeleteNode{.path = "/b"}}}), Reason::None);
  EXPECT_EQ(t.events, "+/b -/b");
  EXPECT_FALSE(t.exists("/b"));
  EXPECT_EQ(t.store.usage().keys, 1u);
}

TEST(NodeMulti, ARefusalKeepsItsPlace) {
  Tree t;
  EXPECT_EQ(t.multi({{CreateNode{.path = "/a"}}, {RefuseNode{.reason = Reason::InvalidAcl}}}), Reason::InvalidAcl);
  EXPECT_EQ(t.failed_at, 1u);
  EXPECT_EQ(t.multi({{DeleteNode{.path = "/a"}}, {RefuseNode{.reason = Reason::InvalidAcl}}}), Reason::NodeNotFound);
  EXPECT_EQ(t.failed_at, 0u);
}

TEST(NodeMulti, NothingAtAllChangesNothing) {
  Tree t;
  EXPECT_EQ(t.multi({}), Reason::None);
  EXPECT_EQ(t.events, "nothing");
}

TEST(NodeMulti, SomebodyElsesAlarmsCount) {
  Tree t;
  t.create("/a");
  t.must(AlarmChange{.member = 1, .kind = AlarmKind::NoSpace, .active = true});
  EXPECT_EQ(t.create("/b"), Reason::NoSpace);
  EXPECT_EQ(t.set("/a"), Reason::NoSpace);
  EXPECT_EQ(t.one(CheckNode{.path = "/a"}), Reason::None);
  EXPECT_EQ(t.del("/a"), Reason::None) << "which makes room";
  t.must(AlarmChange{.member = 1, .kind = AlarmKind::Corrupt, .active = true});
  EXPECT_EQ(t.del("/a"), Reason::CorruptCluster);
}

// ---- Implied nodes (core T2) --------------------------------------------------------------------

TEST(ImpliedNode, ComesAndGoesWithWhatIsBelow) {
  Tree t;
  EXPECT_EQ(events_of(t.run(Put{.key = "/a/b/c"}).changes), "+/a +/a/b +/a/b/c");
  EXPECT_EQ(t.stat("/a").created, Revision(0));
  EXPECT_EQ(t.stat("/a").version, 0);
  EXPECT_EQ(t.stat("/a").children_changed, Revision(2));
  EXPECT_EQ(t.create("/a"), Reason::NodeExists);
  EXPECT_EQ(t.del("/a"), Reason::NodeHasChildren);
  EXPECT_EQ(t.del("/a/b/c"), Reason::None);
  EXPECT_EQ(t.events, "-/a/b/c -/a/b -/a");
  EXPECT_FALSE(t.exists("/a"));
  EXPECT_EQ(cversion(t.stat("/")), 1) << "one came and went, and /zookeeper";
}

TEST(ImpliedNode, SettingItMakesItRealWithTheNextVersion) {
  Tree t;
  t.put("/a/b");
  EXPECT_EQ(t.set("/a", "x", 0), Reason::None);
  EXPECT_EQ(t.events, "~/a");
  EXPECT_EQ(t.stat("/a").version, 1);
  EXPECT_EQ(cversion(t.stat("/")), 0) << "for its parent nothing changed";
  EXPECT_EQ(t.del("/a/b"), Reason::None);
  EXPECT_EQ(t.events, "-/a/b");
  EXPECT_TRUE(t.exists("/a"));
}

TEST(ImpliedNode, IsWhatIsLeftOfAParentThatEtcdDeletes) {
  Tree t;
  t.one(CreateNode{.path = "/a", .value = "x", .kind = NodeKind::Container});
  t.create("/a/b");
  EXPECT_EQ(events_of(t.run(DeleteRange{.range = {.begin = "/a", .single = true}}).changes), "~/a");
  EXPECT_TRUE(t.exists("/a"));
  EXPECT_EQ(t.read(NodeQuery::Data, "/a").value.view(), "");
  EXPECT_EQ(t.sequence("/a/s-"), "/a/s-0000000001") << "the counter is kept";
  t.del("/a/s-0000000001");
  t.del("/a/b");
  EXPECT_FALSE(t.exists("/a"));
}

TEST(ImpliedNode, GoesInTheMiddleOfATransactionToo) {
  Tree t;
  t.put("/a/b/c");
  EXPECT_EQ(t.multi({{DeleteNode{.path = "/a/b/c"}}, {CreateNode{.path = "/a/b/d"}}}), Reason::NodeNotFound);
  EXPECT_EQ(t.failed_at, 1u);
  EXPECT_EQ(t.multi({{DeleteNode{.path = "/a/b/c"}},
                     {CreateNode{.path = "/a"}},
                     {CreateNode{.path = "/a/s", .sequential = true}}}),
            Reason::None);
  EXPECT_EQ(t.events, "-/a/b/c -/a/b -/a +/a +/a/s0000000000");
  t.put("/x/y");
  EXPECT_EQ(t.multi({{SetNode{.path = "/x"}}, {DeleteNode{.path = "/x/y"}}, {CreateNode{.path = "/x/z"}}}),
            Reason::None);
  EXPECT_EQ(t.events, "~/x -/x/y +/x/z");
}

TEST(ImpliedNode, HasAnAccessListUntilItGoes) {
  Tree t;
  t.put("/a/b");
  EXPECT_EQ(t.one(SetNodeAcl{.path = "/a", .acl = kReadable}), Reason::None);
  EXPECT_EQ(t.create("/a/c"), Reason::PermissionDenied);
  t.put("/a", "made by etcd");
  EXPECT_EQ(t.create("/a/c"), Reason::PermissionDenied) << "which asks for no list and changes none";
  t.remove("/a");
  t.remove("/a/b");
  t.put("/a/b");
  EXPECT_EQ(t.create("/a/c"), Reason::None) << "another life";
}

// ---- Access lists -------------------------------------------------------------------------------

TEST(NodeAcl, MovesTheRevisionAndIsNoNewsToAnybody) {  // core T4
  Tree t;
  t.create("/a");
  NodeTxn txn;
  txn.operations.push_back({SetNodeAcl{.path = "/a", .acl = kReadable}});
  const Applied applied = t.run(txn);
  EXPECT_EQ(applied.reply.revision, Revision(3));
  ASSERT_NE(applied.changes, nullptr);
  EXPECT_TRUE(applied.changes->changes.empty());
  EXPECT_EQ(t.events, "");
  EXPECT_EQ(t.store.get("/a")->mod_revision, Revision(2));
  const auto slice = t.store.history(Revision(1), std::vector{KeyRange::all()}, 100, 1000);
  ASSERT_EQ(slice->batches.size(), 1u);
  EXPECT_EQ(slice->through, Revision(3));
}

TEST(NodeAcl, GoesWithItsNode) {
  Tree t;
  const Digest empty = t.store.digest();
  t.one(CreateNode{.path = "/a", .acl = kAnns});
  EXPECT_EQ(t.read(NodeQuery::Data, "/a").reason, Reason::PermissionDenied);
  t.remove("/a");
  t.create("/a");
  EXPECT_EQ(t.read(NodeQuery::Data, "/a").reason, Reason::None);
  EXPECT_EQ(t.stat("/a").acl_version, 0);
  EXPECT_NE(t.store.digest(), empty);
}

TEST(NodeAcl, WhoMayHearOfItStandsInTheEvent) {  // core C6, F2
  Tree t;
  t.one(CreateNode{.path = "/p", .acl = kAnns});
  t.who = {"digest:ann"};
  const auto last = [&](const NodeOperation& operation) {
    NodeTxn txn;
    txn.operations.push_back(operation);
    const Applied applied = t.run(txn);
    EXPECT_EQ(applied.reply.failure.reason, Reason::None);
    NodeEvent out;
    for_each_node_event(*applied.changes, [&](const NodeEvent& event) { out = event; });
    return out;
  };
  const NodeEvent created = last({CreateNode{.path = "/p/c", .acl = kReadable}});
  EXPECT_EQ(created.acl.view(), kReadable);
  EXPECT_EQ(created.parent_acl.view(), kAnns);
  t.who = {kSuperPrincipal};
  const NodeEvent changed = last({SetNode{.path = "/p/c"}});
  EXPECT_EQ(changed.acl.view(), kReadable);
  const NodeEvent deleted = last({DeleteNode{.path = "/p/c"}});
  EXPECT_EQ(deleted.acl.view(), kReadable) << "as it was";
  EXPECT_EQ(deleted.parent_acl.view(), kAnns);
  const NodeEvent open = last({CreateNode{.path = "/open"}});
  EXPECT_TRUE(open.acl.is_null());
  const Applied etcd = t.apply(Put{.key = "/p", .value = "etcd"});
  for_each_node_event(*etcd.changes, [](const NodeEvent& event) { EXPECT_EQ(event.acl.view(), kAnns); });
}

TEST(NodeAcl, EqualListsAreKeptOnceAndCountedAway) {
  Tree t;
  const auto used = [&] { return t.store.usage().memory_bytes; };
  const std::string big = encode_acl(std::vector<AclEntry>{{perm::kAll, "digest", std::string(4000, 'x')}});
  t.create("/n99");  // history keeps the last revision, whatever it was
  t.del("/n99");
  t.compact_all(t.now());
  const int64_t before = used();
  for (int i = 0; i < 50; ++i) t.one(CreateNode{.path = fmt::format("/n{}", i), .acl = big});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(t.del(fmt::format("/n{}", i)), Reason::None);
  t.compact_all(t.now());
  EXPECT_EQ(used(), before);
}

TEST(NodeRead, RightsAreAskedForEachQuery) {
  Tree t;
  t.one(CreateNode{
      .path = "/w",
      .acl = encode_acl(std::vector<AclEntry>{{perm::kWrite, "world", "anyone"}, {perm::kAdmin, "digest", "boss"}})});
  for (const NodeQuery query :
       {NodeQuery::Exists, NodeQuery::Data, NodeQuery::Acl, NodeQuery::Children, NodeQuery::Descendants}) {
    EXPECT_EQ(t.read(query, "/w").reason, Reason::PermissionDenied);
    EXPECT_EQ(t.read(query, "/none").reason, Reason::NodeNotFound);
    EXPECT_EQ(t.read(query, "no path").reason, Reason::NodeNotFound);
  }
  t.who = {"digest:boss"};
  EXPECT_EQ(t.read(NodeQuery::Acl, "/w").reason, Reason::None) << "ADMIN is enough for the list";
  EXPECT_TRUE(t.read(NodeQuery::Acl, "/w").is_admin);
  EXPECT_EQ(t.read(NodeQuery::Data, "/w").reason, Reason::PermissionDenied);
  t.one(CreateNode{.path = "/r", .acl = kReadable});
  EXPECT_FALSE(t.read(NodeQuery::Acl, "/r").is_admin);
  EXPECT_EQ(t.read(NodeQuery::Acl, "/r").acl.view(), kReadable);
  EXPECT_EQ(t.read(NodeQuery::Acl, "/zookeeper/config").acl.view(), kReadable);
}

TEST(NodeRead, EachIsAnsweredOnItsOwn) {
  Tree t;
  t.create("/a", "data");
  NodeReads reads;
  reads.reads = {{NodeQuery::Data, "/a"}, {NodeQuery::Children, "/none"}, {NodeQuery::Children, "/"}};
  const NodeReadsResult result = t.store.read_nodes(reads, {}, {});
  ASSERT_EQ(result.items.size(), 3u);
  EXPECT_EQ(result.items[0].value.view(), "data");
  EXPECT_EQ(result.items[1].reason, Reason::NodeNotFound);
  EXPECT_THAT(result.items[2].names, UnorderedElementsAre("a", "zookeeper"));
}

// ---- The hidden table (core T5) -----------------------------------------------------------------

TEST(HiddenNode, IsANodeLikeOthersAndNoKey) {
  Tree t;
  t.stamp = 50;
  EXPECT_EQ(t.one(CreateNode{.path = "/zookeeper/quota/a", .value = "q", .acl = kReadable}), Reason::None);
  EXPECT_EQ(t.events, "+/zookeeper/quota/a");
  EXPECT_EQ(t.create("/zookeeper/quota/a/b"), Reason::PermissionDenied);
  EXPECT_EQ(t.create("/zookeeper/quota/a-b"), Reason::None);
  EXPECT_EQ(t.create("/zookeeper/quota/a-b/c", "v"), Reason::None);
  EXPECT_EQ(t.set("/zookeeper/quota/a-b/c", "w", 0), Reason::None);
  EXPECT_EQ(t.events, "~/zookeeper/quota/a-b/c");
  EXPECT_EQ(t.stat("/zookeeper/quota/a-b/c").version, 1);
  EXPECT_EQ(t.stat("/zookeeper/quota/a").created, Revision(2));
  EXPECT_EQ(t.stat("/zookeeper/quota/a").created_at.ms, 50);
  EXPECT_EQ(t.stat("/zookeeper/quota").children, 2);
  EXPECT_EQ(cversion(t.stat("/zookeeper")), -2);
  EXPECT_THAT(t.children("/zookeeper/quota"), UnorderedElementsAre("a", "a-b"));
  EXPECT_EQ(t.read(NodeQuery::Descendants, "/zookeeper/quota").count, 3);
  EXPECT_EQ(t.read(NodeQuery::Descendants, "/").count, 6);
  EXPECT_EQ(t.store.usage().keys, 0u);
  EXPECT_EQ(t.list(), "");
  EXPECT_EQ(t.del("/zookeeper/quota/a-b"), Reason::NodeHasChildren);
  EXPECT_EQ(t.del("/zookeeper/quota/a-b/c"), Reason::None);
  EXPECT_EQ(t.events, "-/zookeeper/quota/a-b/c");
  EXPECT_EQ(t.del("/zookeeper/quota/a"), Reason::None);
  EXPECT_EQ(t.create("/zookeeper/quota/a"), Reason::None);
  EXPECT_EQ(t.create("/zookeeper/quota/a/b"), Reason::None) << "the list went with the node";
}

// Names that begin alike and sort between a node and what is below it.
TEST(HiddenNode, DescendantsAreCountedPastNeighbours) {
  Tree t;
  for (const char* path : {"/zookeeper/quota/a", "/zookeeper/quota/a-b", "/zookeeper/quota/a-b/x",
                           "/zookeeper/quota/a/x", "/zookeeper/quota/a/x/y", "/zookeeper/quota/a0"}) {
    ASSERT_EQ(t.create(path), Reason::None);
  }
  EXPECT_EQ(t.read(NodeQuery::Descendants, "/zookeeper/quota/a").count, 2);
  for (const char* path : {"/a", "/a-b", "/a-b/x", "/a/x", "/a/x/y", "/a0"}) ASSERT_EQ(t.create(path), Reason::None);
  EXPECT_EQ(t.read(NodeQuery::Descendants, "/a").count, 2);
}

TEST(HiddenNode, KeysOfThatNameAreNoNodes) {
  Tree t;
  EXPECT_EQ(events_of(t.run(Put{.key = "/zookeeper/quota/x", .value = "v"}).changes), "");
  EXPECT_EQ(t.put("/zookeeper"), 3);
  EXPECT_FALSE(t.exists("/zookeeper/quota/x"));
  EXPECT_EQ(t.stat("/zookeeper").children, 2);
  EXPECT_THAT(t.children("/"), ElementsAre("zookeeper"));
  EXPECT_EQ(t.create("/zookeeper/quota/x", "node"), Reason::None);
  EXPECT_EQ(t.store.get("/zookeeper/quota/x")->value.view(), "v");
  EXPECT_EQ(t.read(NodeQuery::Data, "/zookeeper/quota/x").value.view(), "node");
  EXPECT_EQ(t.create("/zookeepers"), Reason::None) << "another name";
  EXPECT_EQ(t.store.get("/zookeepers")->version, 1);
}

TEST(HiddenNode, GoesWithItsSession) {
  Tree t;
  t.open();
  EXPECT_EQ(t.create_ephemeral("/zookeeper/quota/e"), Reason::None);
  EXPECT_EQ(t.stat("/zookeeper/quota/e").owner, t.session);
  EXPECT_EQ(t.create("/zookeeper/quota/e/child"), Reason::NodeIsEphemeral);
  EXPECT_EQ(t.create_ephemeral("/zookeeper/quota/f"), Reason::None);
  EXPECT_EQ(t.create_ephemeral("/a"), Reason::None);
  EXPECT_EQ(t.set("/zookeeper/quota/e", "x"), Reason::None);
  EXPECT_EQ(t.del("/zookeeper/quota/f"), Reason::None);
  EXPECT_THAT(t.read(NodeQuery::Ephemerals, "").names, ElementsAre("/a", "/zookeeper/quota/e"));
  // Of the same name, and nobody's affair here.
  t.grant(7);
  t.put("/zookeeper/quota/e", "key", 7);
  t.run(LeaseRevoke{.id = t.session, .kind = LeaseKind::ZooKeeper});
  t.leave();
  EXPECT_EQ(t.events, "-/a -/zookeeper/quota/e");
  EXPECT_FALSE(t.exists("/zookeeper/quota/e"));
  EXPECT_EQ(t.store.get("/zookeeper/quota/e")->value.view(), "key");
  EXPECT_EQ(t.create("/zookeeper/quota/e", "node"), Reason::None);
  t.run(LeaseRevoke{.id = LeaseId(7)});
  EXPECT_TRUE(t.exists("/zookeeper/quota/e"));
  EXPECT_FALSE(t.store.get("/zookeeper/quota/e"));
}

TEST(HiddenNode, TakesRoomThatTheQuotaOfMemoryCounts) {
  Tree t;
  const auto used = [&] { return t.store.usage().data_bytes; };
  const int64_t nothing = used();
  t.create("/zookeeper/quota/a", std::string(1000, 'x'));
  EXPECT_GT(used(), nothing + 1000);
  t.del("/zookeeper/quota/a");
  EXPECT_LT(used(), nothing + 300) << "only how many children its parent had stays";
  t.create("/a");
  const int64_t open = used();
  t.one(SetNodeAcl{.path = "/a", .acl = encode_acl(std::vector<AclEntry>{{1, "digest", std::string(1000, 'x')}})});
  EXPECT_GT(used(), open + 1000);
}

// ---- Containers and nodes with a time to live ---------------------------------------------------

TEST(IdleNode, AContainerGoesOnceItHadChildren) {
  Tree t;
  t.one(CreateNode{.path = "/c", .kind = NodeKind::Container});
  const auto idle = [&] {
    std::string after;
    return t.store.idle_nodes(WallTime{t.stamp}, after, 10, 100);
  };
  const DeleteNode remove{.path = "/c", .only_if_idle = true};
  EXPECT_TRUE(idle().empty()) << "it waits for its first child";
  EXPECT_EQ(t.one(remove), Reason::VersionMismatch);
  t.create("/c/child");
  EXPECT_TRUE(idle().empty());
  EXPECT_EQ(t.one(remove), Reason::NodeHasChildren);
  t.del("/c/child");
  EXPECT_THAT(idle(), ElementsAre("/c"));
  // Seen idle, and made anew before the removal arrives.
  t.del("/c");
  t.one(CreateNode{.path = "/c", .kind = NodeKind::Container});
  EXPECT_EQ(t.one(remove), Reason::VersionMismatch);
  t.create("/c/child");
  t.del("/c/child");
  EXPECT_EQ(t.one(remove), Reason::None);
  EXPECT_EQ(t.events, "-/c");
  EXPECT_EQ(t.one(remove), Reason::NodeNotFound);
  EXPECT_TRUE(idle().empty());
}

TEST(IdleNode, ATimeToLiveBeginsAnewWithEveryChangeOfData) {
  Tree t;
  t.stamp = 1000;
  t.one(CreateNode{.path = "/t", .kind = NodeKind::Ttl, .ttl_ms = 100});
  const auto idle_at = [&](int64_t ms) {
    std::string after;
    return t.store.idle_nodes(WallTime{ms}, after, 10, 100).size();
  };
  const DeleteNode remove{.path = "/t", .only_if_idle = true};
  EXPECT_EQ(idle_at(1100), 0u);
  EXPECT_EQ(idle_at(1101), 1u);
  t.stamp = 1100;
  EXPECT_EQ(t.one(remove), Reason::VersionMismatch) << "judged by the entry's stamp";
  t.set("/t", "x");
  t.create("/t/child");
  t.stamp = 1300;
  EXPECT_EQ(idle_at(1300), 0u) << "children keep it";
  EXPECT_EQ(t.one(remove), Reason::NodeHasChildren);
  t.del("/t/child");
  EXPECT_EQ(idle_at(1300), 1u) << "and do not renew it";
  // A leader whose clock is behind: the largest stamp decides (core C4).
  t.stamp = 1150;
  EXPECT_EQ(t.one(remove), Reason::None);
}

TEST(IdleNode, TimesFarOutOfRangeAreNoShorter) {
  Tree t;
  t.stamp = INT64_MIN;
  t.one(CreateNode{.path = "/t", .kind = NodeKind::Ttl, .ttl_ms = 100});
  t.one(CreateNode{.path = "/for-ever", .kind = NodeKind::Ttl, .ttl_ms = INT64_MAX});
  t.stamp = INT64_MAX;
  std::string after;
  EXPECT_THAT(t.store.idle_nodes(WallTime{t.stamp}, after, 10, 100), ElementsAre("/t"));
  EXPECT_EQ(t.one(DeleteNode{.path = "/for-ever", .only_if_idle = true}), Reason::VersionMismatch);
  EXPECT_EQ(t.one(DeleteNode{.path = "/t", .only_if_idle = true}), Reason::None);
}

TEST(IdleNode, NobodysRightsAreAskedForAndOrdinaryNodesStay) {
  Tree t;
  t.create("/p");
  t.one(CreateNode{.path = "/p/c", .kind = NodeKind::Container});
  t.create("/p/c/x");
  t.del("/p/c/x");
  t.one(SetNodeAcl{.path = "/p", .acl = kReadable});
  EXPECT_EQ(t.del("/p/c"), Reason::PermissionDenied);
  EXPECT_EQ(t.one(DeleteNode{.path = "/p/c", .only_if_idle = true}), Reason::None);
  EXPECT_EQ(t.one(DeleteNode{.path = "/p", .only_if_idle = true}), Reason::VersionMismatch);
}

// ---- Etcd's commands on nodes -------------------------------------------------------------------

TEST(NodeOfEtcd, APutKeepsListAndKindAndReplacesTheOwner) {  // core L1
  Tree t;
  t.open();
  t.one(CreateNode{.path = "/e", .acl = kAnns, .ephemeral = true});
  t.one(CreateNode{.path = "/c", .kind = NodeKind::Container});
  t.put("/e", "etcd");
  t.put("/c", "etcd");
  t.who = {"digest:ann"};
  EXPECT_EQ(t.stat("/e").owner, LeaseId(0));
  EXPECT_EQ(t.stat("/e").version, 1);
  t.who = {};
  EXPECT_EQ(t.read(NodeQuery::Data, "/e").reason, Reason::PermissionDenied);
  t.create("/c/x");
  t.del("/c/x");
  EXPECT_EQ(t.one(DeleteNode{.path = "/c", .only_if_idle = true}), Reason::None);
  t.must(LeaseRevoke{.id = t.session, .kind = LeaseKind::ZooKeeper});
  EXPECT_NE(t.store.get("/e").get(), nullptr);
}

TEST(NodeOfEtcd, ALeasedKeyIsEphemeralToZooKeeper) {
  Tree t;
  t.grant(7);
  t.put("/k", "v", 7);
  EXPECT_EQ(t.stat("/k").owner, LeaseId(7));
  EXPECT_EQ(t.create("/k/child"), Reason::NodeIsEphemeral);
  EXPECT_EQ(t.set("/k", "w"), Reason::None);
  EXPECT_EQ(t.store.get("/k")->lease, LeaseId(7)) << "setting keeps the owner";
}

TEST(NodeOfEtcd, ChangesOfOneRevisionAreToldInOrder) {
  Tree t;
  EXPECT_EQ(events_of(t.run(Txn{.success = {{Put{.key = "/a"}}, {Put{.key = "/b/c"}}, {Put{.key = "plain"}}}}).changes),
            "+/a +/b +/b/c");
  EXPECT_EQ(
      events_of(
          t.run(Txn{.success = {{Put{.key = "/a"}}, {DeleteRange{.range = {.begin = "/", .end = "0"}}}}}).changes),
      "~/a -/a -/b/c -/b");
  EXPECT_EQ(events_of(t.run(Put{.key = "/plain"}).changes), "+/plain");
}

TEST(NodeOfEtcd, ZooKeepersNodesAreKeys) {
  Tree t;
  t.create("/a", "v");
  const VersionRef key = t.store.get("/a");
  EXPECT_EQ(key->create_revision, t.stat("/a").created);
  EXPECT_EQ(key->version, 1);
  t.set("/a", "w");
  EXPECT_EQ(t.store.get("/a")->version, 2);
  EXPECT_EQ(t.watch(2), "2:+/a 3:~/a(v)");
}

// ---- Ephemerals ---------------------------------------------------------------------------------

TEST(Ephemeral, AllGoInOneRevisionWithTheirSession) {  // core L4
  Tree t;
  t.open();
  t.create("/p");
  for (const char* path : {"/p/b", "/p/a", "/z"}) EXPECT_EQ(t.create_ephemeral(path), Reason::None);
  EXPECT_EQ(t.stat("/z").owner, t.session);
  EXPECT_THAT(t.read(NodeQuery::Ephemerals, "").names, ElementsAre("/p/a", "/p/b", "/z"));
  EXPECT_THAT(t.read(NodeQuery::Ephemerals, "/p").names, ElementsAre("/p/a", "/p/b"));
  const int64_t before = t.now();
  t.run(LeaseRevoke{.id = t.session, .kind = LeaseKind::ZooKeeper});
  EXPECT_EQ(t.events, "-/p/a -/p/b -/z");
  EXPECT_EQ(t.now(), before + 1);
  EXPECT_EQ(t.create_ephemeral("/late"), Reason::SessionExpired) << "no create slips in after it";
  EXPECT_THAT(t.read(NodeQuery::Ephemerals, "").names, ElementsAre());
  EXPECT_EQ(t.stat("/p").children_changed.value, before + 1);
}

TEST(Ephemeral, ASessionThatOwnsNothingMovesNoRevision) {  // core T4
  Tree t;
  const int64_t before = t.now();
  t.open();
  t.run(SessionAttach{.id = t.session});
  t.run(LeaseRevoke{.id = t.session, .kind = LeaseKind::ZooKeeper});
  EXPECT_EQ(t.now(), before);
}

TEST(Ephemeral, OneThatEtcdPutSomethingBelowStaysImplied) {
  Tree t;
  t.open();
  t.create_ephemeral("/e");
  t.put("/e/below");
  t.run(LeaseRevoke{.id = t.session, .kind = LeaseKind::ZooKeeper});
  t.leave();
  EXPECT_EQ(t.events, "~/e");
  EXPECT_EQ(t.stat("/e").owner, LeaseId(0));
  EXPECT_EQ(t.create("/e/more"), Reason::None);
}

}  // namespace
}  // namespace witan::store
