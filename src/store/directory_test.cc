#include "store/directory.h"

#include <gtest/gtest.h>

#include "store/path.h"
#include "store/testing.h"

namespace witan::store {
namespace {

TEST(Path, IsWhatZooKeeperTakesForOne) {
  for (const char* good :
       {"/", "/a", "/a/b", "/a b/c", "/...", "/.a", "/zookeeper/config", "/h\xc3\xa9", "/\xe4\xb8\xad"}) {
    EXPECT_TRUE(is_path(good)) << good;
  }
  for (const char* bad : {"", "a", "a/b", "//", "/a/", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/\x01", "/a\x7f",
                          "/\xc3", "/\xff", "/\xed\xa0\x80", "/\xc0\x80", "/\xee\x80\x80", "/\xf0\x9f\x98\x80"}) {
    EXPECT_FALSE(is_path(bad)) << bad;
  }
  EXPECT_FALSE(is_path(std::string_view("/a\0b", 4)));
  std::string deep;
  for (size_t i = 0; i < kMaxPathDepth; ++i) deep += "/x";
  EXPECT_TRUE(is_path(deep));
  EXPECT_FALSE(is_path(deep + "/x"));
  EXPECT_TRUE(is_path("/" + std::string(kMaxPathBytes - 1, 'x')));
  EXPECT_FALSE(is_path("/" + std::string(kMaxPathBytes, 'x')));
}

TEST(Path, ParentsEndAtTheRoot) {
  EXPECT_EQ(parent_of("/a/b"), "/a");
  EXPECT_EQ(parent_of("/a"), "/");
}

std::string row(const Store& store, std::string_view path) {
  const Directory d = store.directory(path);
  return fmt::format("{} ever, {} now, @{}", d.created, d.children, d.changed);
}

TEST(Directory, ParentsNobodyCreatedAreImplied) {
  Tester t;
  t.put("/a/b/c");  // 2
  EXPECT_TRUE(t.store.node_exists("/a/b"));
  EXPECT_TRUE(t.store.node_exists("/a"));
  EXPECT_FALSE(t.store.get("/a"));
  EXPECT_EQ(row(t.store, "/"), "1 ever, 1 now, @2");
  EXPECT_EQ(row(t.store, "/a"), "1 ever, 1 now, @2");
  t.put("/a/b");  // 3: explicit now; for its parent nothing changed
  EXPECT_EQ(row(t.store, "/a"), "1 ever, 1 now, @2");
  t.remove("/a/b/c");  // 4
  EXPECT_TRUE(t.store.node_exists("/a/b"));
  EXPECT_EQ(row(t.store, "/a/b"), "1 ever, 0 now, @4");
  t.remove("/a/b");  // 5: the last child takes its implied parent along
  EXPECT_FALSE(t.store.node_exists("/a"));
  EXPECT_EQ(row(t.store, "/"), "1 ever, 0 now, @5");
  EXPECT_EQ(row(t.store, "/a/b"), "0 ever, 0 now, @0") << "a node that is created again starts from zero";
}

TEST(Directory, AParentDeletedAboveItsChildrenKeepsItsCounter) {
  Tester t;
  t.put("/a");
  t.put("/a/1");
  t.put("/a/2");
  t.remove("/a/1");  // 5
  t.remove("/a");    // 6
  EXPECT_TRUE(t.store.node_exists("/a"));
  EXPECT_EQ(row(t.store, "/a"), "2 ever, 1 now, @5");
  EXPECT_EQ(row(t.store, "/"), "1 ever, 1 now, @2");
}

TEST(Directory, OverwritingAndOtherKeysTouchNothing) {
  Tester t;
  t.put("/a/b");
  t.put("/a/b");
  t.put("plain");
  t.put("/a//b");
  t.put("/a/");
  EXPECT_EQ(row(t.store, "/a"), "1 ever, 1 now, @2");
  EXPECT_EQ(row(t.store, "/"), "1 ever, 1 now, @2");
  EXPECT_EQ(t.store.usage().directories, 2u);
  EXPECT_FALSE(t.store.node_exists("/a/"));
}

TEST(Directory, ARangeDeleteEndsWholeSubtrees) {
  Tester t;
  for (const char* key : {"/a", "/a/b", "/a/b/c", "/a/b-x", "/z/y"}) t.put(key);
  t.apply(DeleteRange{.range = {.begin = "/a", .end = "/b"}});
  EXPECT_FALSE(t.store.node_exists("/a/b"));
  EXPECT_FALSE(t.store.node_exists("/a"));
  EXPECT_EQ(row(t.store, "/"), "2 ever, 1 now, @7");
}

TEST(Directory, ListingSkipsSubtreesAndPages) {
  Tester t;
  for (const char* key : {"/d/x", "/d/x-1", "/d/x/1", "/d/x/2", "/d/y/deep/er", "/d/y!", "/d/z//no", "/d", "/e"})
    t.put(key);
  for (int i = 0; i < 300; ++i) t.put(fmt::format("/d/big/{}", i));
  EXPECT_EQ(t.store.children("/d", "", 100).names, (std::vector<std::string>{"big", "x", "x-1", "y!", "y"}));
  std::vector<std::string> paged;
  for (std::string after;;) {
    Store::Children page = t.store.children("/d", after, 2);
    EXPECT_LE(page.names.size(), 2u);
    paged.insert(paged.end(), page.names.begin(), page.names.end());
    after = page.next;
    if (after.empty()) break;
  }
  EXPECT_EQ(paged, (std::vector<std::string>{"big", "x", "x-1", "y!", "y"}));
  EXPECT_EQ(t.store.children("/", "", 100).names, (std::vector<std::string>{"d", "e"}));
  EXPECT_TRUE(t.store.children("/nothing", "", 100).names.empty());
}

}  // namespace
}  // namespace witan::store
