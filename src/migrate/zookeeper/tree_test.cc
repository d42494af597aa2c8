#include "migrate/zookeeper/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "migrate/zookeeper/owner.h"
#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() {
    EXPECT_TRUE(tree.put_node({.path = "", .data = Blob("")}));
    tree.put_session({0x100, 4000});
  }

  void put(std::string_view path, std::string_view data = "", Stat stat = {}) {
    const auto done = tree.put_node({.path = path, .data = Blob(data), .acl_id = -1, .stat = stat});
    EXPECT_TRUE(done.has_value()) << done.error();
  }
  // Replays with the next zxid, and checks what is kept of the digest against the definition.
  void run(Type type, std::string_view body, int64_t session = 0x100) {
    ++zxid;
    auto decoded =
        decode_transaction(payload({.zxid = zxid, .type = type, .session = session, .time_ms = zxid * 10}, body), 0);
    ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
    tree.replay(*decoded);
  }
  void create(std::string_view path, int32_t parent_cversion, bool ephemeral = false, int64_t session = 0x100) {
    run(Type::Create, create_body(path, "d", parent_cversion, ephemeral), session);
  }
  // As it is now, without ending it.
  Imported now() {
    auto imported = Tree(tree).finish(zxid);
    EXPECT_TRUE(imported.has_value()) << imported.error();
    return imported ? std::move(*imported) : Imported();
  }
  Node node(std::string_view path) {
    for (Node& one : now().nodes) {
      if (one.path == path) return std::move(one);
    }
    ADD_FAILURE() << path << " is not there";
    return {};
  }
  std::vector<std::string> paths() {
    std::vector<std::string> all;
    for (const Node& one : now().nodes) all.push_back(one.path);
    return all;
  }

  Tree tree;
  int64_t zxid = 0;
};

TEST_F(TreeTest, ACreatedNodeHasItsStatAndItsParentCountsIt) {
  create("/a", 1);
  create("/a/b", 1);
  const Node a = node("/a");
  EXPECT_EQ(a.stat, (Stat{.czxid = 1, .mzxid = 1, .ctime_ms = 10, .mtime_ms = 10, .cversion = 1, .pzxid = 2}));
  EXPECT_EQ(a.children, 1u);
  EXPECT_EQ(a.kind, Kind::Ordinary);
  EXPECT_EQ(node("/").stat.pzxid, 1);
  EXPECT_EQ(node("/").stat.cversion, 1);
}

TEST_F(TreeTest, AnOldCreateCountsOneMore) {
  create("/a", -1);
  create("/b", -1);
  EXPECT_EQ(node("/").stat.cversion, 2);
}

TEST_F(TreeTest, TheKindsOfNodes) {
  create("/e", 1, true);
  const std::string body = Bytes().text("/c").text("").acl(open_acl()).int32(2).str();
  run(Type::CreateContainer, body);
  run(Type::CreateTtl, Bytes().text("/t").text("").acl(open_acl()).int32(3).int64(5000).str());
  EXPECT_EQ(node("/e").session(), 0x100);
  EXPECT_EQ(node("/c").kind, Kind::Container);
  EXPECT_EQ(node("/t").kind, Kind::Ttl);
  EXPECT_EQ(node("/t").ttl_ms, 5000);
  EXPECT_EQ(node("/t").session(), 0);
}

TEST_F(TreeTest, TheKindsOfNodesInASnapshot) {
  tree.put_session({static_cast<int64_t>(0xff00000000000123), 1000});
  put("/c", "", {.ephemeral_owner = kContainerOwner});
  put("/t", "", {.ephemeral_owner = ttl_owner(77)});
  put("/old", "", {.ephemeral_owner = old_ttl_owner(78)});
  put("/e", "", {.ephemeral_owner = static_cast<int64_t>(0xff00000000000123)});
  EXPECT_EQ(node("/c").kind, Kind::Container);
  EXPECT_EQ(node("/t").ttl_ms, 77);
  EXPECT_EQ(node("/old").kind, Kind::Ttl);
  EXPECT_EQ(node("/old").ttl_ms, 78);
  EXPECT_EQ(node("/e").kind, Kind::Ephemeral);
  EXPECT_EQ(ownership(static_cast<int64_t>(0xff018c0a12340000), false).kind, Kind::Ephemeral);  // of server 255
  EXPECT_EQ(ownership(static_cast<int64_t>(0x80018c0a12340000), false).kind, Kind::Ephemeral);  // of server 128
}

TEST_F(TreeTest, SetDataSetAclAndDelete) {
  create("/a", 1);
  run(Type::SetData, Bytes().text("/a").null().int32(1).str());
  run(Type::SetAcl, Bytes().text("/a").acl({{1, "ip", "::1"}}).int32(1).str());
  Imported imported = now();
  ASSERT_EQ(imported.nodes.size(), 2u);
  EXPECT_TRUE(imported.nodes[1].data.is_null());
  EXPECT_EQ(imported.nodes[1].stat,
            (Stat{.czxid = 1, .mzxid = 2, .ctime_ms = 10, .mtime_ms = 20, .version = 1, .aversion = 1, .pzxid = 1}));
  EXPECT_EQ(imported.acls[imported.nodes[1].acl], (AclList{{1, "ip", "::1"}}));
  EXPECT_EQ(imported.acls.size(), 2u);
  run(Type::Delete, path_body("/a"));
  EXPECT_THAT(paths(), ElementsAre("/"));
  EXPECT_EQ(node("/").stat.pzxid, 4);
  EXPECT_EQ(node("/").stat.cversion, 1);
}

TEST_F(TreeTest, ReconfigSetsTheDataOfItsNodeAndTheRootIsANode) {
  create("/zookeeper", 1);
  create("/zookeeper/config", 1);
  run(Type::Reconfig, set_data_body("/zookeeper/config", "server.1=", -1));
  run(Type::SetData, set_data_body("/", "root", 1));
  EXPECT_EQ(node("/zookeeper/config").data, Blob("server.1="));
  EXPECT_EQ(node("/").data, Blob("root"));
}

TEST_F(TreeTest, ClosingASessionDeletesWhatItNamesAndWhatItOwns) {
  create("/a", 1, true);
  create("/b", 2, true);
  create("/c", 3, true, 0x200);
  run(Type::CreateSession, Bytes().int32(9000).str(), 0x200);
  run(Type::CloseSession, Bytes().int32(1).text("/a").str());
  EXPECT_THAT(paths(), ElementsAre("/", "/c"));
  EXPECT_EQ(node("/").stat.pzxid, 5);
  EXPECT_THAT(now().sessions, ElementsAre(Session{0x200, 9000}));
  run(Type::CloseSession, "", 0x200);
  EXPECT_THAT(paths(), ElementsAre("/"));
}

TEST_F(TreeTest, EphemeralNodesOfDeadSessionsAreLeftOut) {
  create("/dead", 1, true, 0x999);
  create("/alive", 2, true);
  const Imported imported = now();
  EXPECT_EQ(imported.report.dead_ephemerals, 1u);
  EXPECT_THAT(paths(), ElementsAre("/", "/alive"));
  EXPECT_EQ(imported.nodes[0].stat.pzxid, 2);
}

// Fuzzy 1: the snapshot has the node already, and its parent's counters.
TEST_F(TreeTest, CreatingWhatIsThereChangesAclsAndNothingElse) {
  put("/a", "later", {.czxid = 5, .mzxid = 9, .version = 3, .pzxid = 5});
  tree.replay(*decode_transaction(
      payload({.zxid = 5, .type = Type::Create2},
              Bytes().text("/a").text("first").acl({{1, "ip", "::1"}}).boolean(false).int32(1).str()),
      0));
  zxid = 9;
  const Imported imported = now();
  EXPECT_EQ(imported.nodes[1].data, Blob("later"));
  EXPECT_EQ(imported.nodes[1].stat.mzxid, 9);
  EXPECT_EQ(imported.acls[imported.nodes[1].acl], (AclList{{1, "ip", "::1"}}));
  EXPECT_EQ(imported.nodes[0].stat.cversion, 0);  // only a plain create looks after its parent here
}

// Fuzzy 2: the parent was written before the child was made anew.
TEST_F(TreeTest, CreatingWhatIsThereCountsItAtAParentThatIsBehind) {
  put("/a", "", {.czxid = 5, .pzxid = 5});
  zxid = 4;
  create("/a", 3);
  EXPECT_EQ(node("/").stat.cversion, 3);
  EXPECT_EQ(node("/").stat.pzxid, 5);
}

// Fuzzy 3: the parent has counted this child and more.
TEST_F(TreeTest, CountersNeverGoBack) {
  put("/p", "", {.czxid = 1, .cversion = 7, .pzxid = 50});
  zxid = 9;
  create("/p/a", 3);
  run(Type::Delete, path_body("/p/a"));
  EXPECT_EQ(node("/p").stat.cversion, 7);
  EXPECT_EQ(node("/p").stat.pzxid, 50);
}

// Fuzzy 4: the node is gone in the snapshot, its parent was written before that.
TEST_F(TreeTest, DeletingWhatIsGoneMarksTheParent) {
  put("/p", "", {.czxid = 1, .cversion = 1, .pzxid = 2});
  zxid = 9;
  run(Type::Delete, path_body("/p/gone"));
  EXPECT_EQ(node("/p").stat.pzxid, 10);
  run(Type::Delete, path_body("/nowhere/gone"));
  run(Type::SetData, set_data_body("/nowhere", "", 1));
  run(Type::SetAcl, Bytes().text("/nowhere").acl(open_acl()).int32(1).str());
  run(Type::CloseSession, Bytes().int32(1).text("/p/too").str());
  EXPECT_EQ(node("/p").stat.pzxid, 14);
}

// Fuzzy 5: a parent that is deleted and made again during the replay keeps the children the snapshot has of it.
TEST_F(TreeTest, AParentMadeAgainHasItsChildren) {
  put("/a", "", {.czxid = 3, .cversion = 1, .pzxid = 4});
  put("/a/b", "", {.czxid = 4, .mzxid = 4, .pzxid = 4});
  zxid = 1;
  run(Type::Delete, path_body("/a"));
  create("/a", 2);
  create("/a/b", 1);
  EXPECT_THAT(paths(), ElementsAre("/", "/a", "/a/b"));
  EXPECT_EQ(node("/a").children, 1u);
  EXPECT_EQ(node("/a").stat.cversion, 1);
}

TEST_F(TreeTest, ATreeWithoutAParentIsNone) {
  put("/a");
  put("/a/b");
  run(Type::Delete, path_body("/a"));
  const auto imported = std::move(tree).finish(zxid);
  ASSERT_FALSE(imported.has_value());
  EXPECT_EQ(imported.error(), "the node /a/b has no parent");
}

TEST_F(TreeTest, PathsStandAfterTheirParentsInTheOrderOfTheirBytes) {
  for (const char* path : {"/b", "/a", "/a/z", "/a-b", "/a/b", "/a/b/c"}) create(path, -1);
  EXPECT_THAT(paths(), ElementsAre("/", "/a", "/a-b", "/a/b", "/a/b/c", "/a/z", "/b"));
}

TEST_F(TreeTest, QuotasAreCountedAgain) {
  create("/zookeeper", 1);
  create("/zookeeper/quota", 1);
  create("/a", 2);
  create("/a/b", 1);
  create("/a-c", 3);
  create("/zookeeper/quota/a", 1);
  create("/zookeeper/quota/a/zookeeper_limits", 1);
  create("/zookeeper/quota/a/zookeeper_stats", 2);
  create("/zookeeper/quota/zookeeper_limits", 2);
  create("/zookeeper/quota/zookeeper_stats", 3);
  EXPECT_EQ(node("/zookeeper/quota/a/zookeeper_stats").data, Blob("count=2,bytes=2"));
  EXPECT_TRUE(node("/zookeeper/quota/zookeeper_stats").data.view().starts_with("count=11,"));
  EXPECT_EQ(node("/zookeeper/quota/a/zookeeper_stats").stat.mzxid, 8);
}

// Against the definition, after every step of a random life.
TEST_F(TreeTest, TheDigestIsThatOfTheTree) {
  Rng rng(1);
  const auto path = [&] {
    std::string text = "/" + std::to_string(rng.below(4));
    if (rng.below(2) == 0) text += "/" + std::to_string(rng.below(4));
    return rng.below(8) == 0 ? "/zookeeper" + text : text;
  };
  create("/zookeeper", 1);
  for (int step = 0; step < 3000; ++step) {
    const std::string at = path();
    bool leaf = true;
    for (const std::string& other : paths()) leaf = leaf && !other.starts_with(at + "/");
    switch (rng.below(6)) {
      case 0: run(Type::SetData, set_data_body(at, std::to_string(step), step)); break;
      case 1: run(Type::SetAcl, Bytes().text(at).acl({{1, "ip", "::1"}}).int32(step).str()); break;
      case 2:
        if (leaf) run(Type::Delete, path_body(at));
        break;
      case 3: run(Type::SetData, set_data_body("/", at, step)); break;
      default: run(Type::Create2, create_body(at, at, -1)); break;
    }
    ASSERT_TRUE(tree.matches(digest_of(now().nodes))) << step;
    ASSERT_FALSE(tree.matches(digest_of(now().nodes) + 1));
  }
}

TEST_F(TreeTest, TheDigestInTheEncodingOfTheServer) {
  create("/k\u00f6nig", 1);
  create("/\u738b", 2);
  const std::vector<Node> nodes = now().nodes;
  ASSERT_EQ(nodes.size(), 3u);
  const auto sum = [&](const std::string& king, const std::string& wang) {
    return digest_of("", nodes[0], 0) + digest_of(king, nodes[1], 0) + digest_of(wang, nodes[2], 0);
  };
  EXPECT_EQ(nodes[1].path, "/k\u00f6nig");
  EXPECT_TRUE(tree.matches(sum("/k\u00f6nig", "/\u738b")));
  EXPECT_TRUE(tree.matches(sum("/k?nig", "/?")));
  EXPECT_TRUE(tree.matches(sum("/k\xf6nig", "/?")));
  EXPECT_FALSE(tree.matches(sum("/k??nig", "/?")));
  run(Type::Delete, path_body("/\u738b"));
  run(Type::Delete, path_body("/k\u00f6nig"));
  EXPECT_TRUE(tree.matches(digest_of(now().nodes)));
}

TEST_F(TreeTest, TheDigestWithEitherMarkOfATtl) {
  run(Type::CreateTtl, Bytes().text("/t").text("").acl(open_acl()).int32(1).int64(5000).str());
  const std::vector<Node> nodes = now().nodes;
  const uint64_t root = digest_of("", nodes[0], 0);
  EXPECT_TRUE(tree.matches(root + digest_of("/t", nodes[1], ttl_owner(5000))));
  EXPECT_TRUE(tree.matches(root + digest_of("/t", nodes[1], old_ttl_owner(5000))));
  EXPECT_FALSE(tree.matches(root + digest_of("/t", nodes[1], 0)));
}

}  // namespace
}  // namespace witan::migrate::zookeeper
