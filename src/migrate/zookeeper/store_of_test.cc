#include "migrate/zookeeper/store_of.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migrate/zookeeper/owner.h"
#include "store/testing.h"

namespace witan::migrate::zookeeper {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kEpoch = int64_t{3} << 32;
constexpr int64_t kSession = static_cast<int64_t>(0xfe00'0000'1234'5678);
const AclList kOpen = {{.permissions = 31, .scheme = "world", .id = "anyone"}};
const AclList kConfig = {{.permissions = 1, .scheme = "world", .id = "anyone"}};
const AclList kMixed = {{.permissions = 9, .scheme = "digest", .id = "u:h"},
                        {.permissions = 1, .scheme = "ip", .id = "10.0.0.0/8"}};

Node node(std::string path, int64_t zxid, uint32_t children = 0, int32_t cversion = 0) {
  return {.path = std::move(path),
          .data = Blob("data"),
          .children = children,
          .stat = {.czxid = zxid,
                   .mzxid = zxid,
                   .ctime_ms = 1'700'000'000'000 + zxid % 1000,
                   .mtime_ms = 1'700'000'000'000 + zxid % 1000,
                   .cversion = cversion,
                   .pzxid = zxid}};
}

Node given(std::string path, uint32_t children, int32_t cversion, int64_t pzxid) {
  Node out = node(std::move(path), 0, children, cversion);
  out.data = Blob("");
  out.stat = {.cversion = cversion, .pzxid = pzxid};
  return out;
}

// Everything that ZooKeeper has, in the order of its paths.
Imported everything() {
  Imported out{
      .acls = {kOpen, kConfig, kMixed}, .sessions = {{kSession, 4000}, {77, 30'000}}, .last_zxid = kEpoch + 50};
  out.nodes.push_back(given("/", 3, 9, kEpoch + 5));
  Node a = node("/a", kEpoch + 1, 2, 6);
  a.data = Blob();
  a.acl = 2;
  a.stat.mzxid = kEpoch + 50;
  a.stat.pzxid = kEpoch + 40;
  a.stat.version = 7;
  a.stat.aversion = 3;
  out.nodes.push_back(a);
  Node container = node("/a/c", kEpoch + 2);
  container.kind = Kind::Container;
  container.stat.ephemeral_owner = kContainerOwner;
  out.nodes.push_back(container);
  Node mine = node("/a/e", kEpoch + 2);
  mine.kind = Kind::Ephemeral;
  mine.stat.ephemeral_owner = kSession;
  out.nodes.push_back(mine);
  Node ttl = node("/t", kEpoch + 3);
  ttl.kind = Kind::Ttl;
  ttl.ttl_ms = 5000;
  ttl.stat.ephemeral_owner = ttl_owner(5000);
  ttl.stat.version = INT32_MIN;  // it came round
  out.nodes.push_back(ttl);
  out.nodes.push_back(given("/zookeeper", 2, 0, 0));
  Node config = given("/zookeeper/config", 0, 0, 0);
  config.acl = 1;
  config.stat.aversion = -1;
  out.nodes.push_back(config);
  out.nodes.push_back(given("/zookeeper/quota", 1, 1, kEpoch + 6));
  out.nodes.push_back(node("/zookeeper/quota/a", kEpoch + 6, 2, 2));
  out.nodes.back().stat.pzxid = kEpoch + 8;
  out.nodes.push_back(node("/zookeeper/quota/a/zookeeper_limits", kEpoch + 7));
  out.nodes.back().data = Blob("count=5,bytes=-1");
  out.nodes.push_back(node("/zookeeper/quota/a/zookeeper_stats", kEpoch + 8));
  return out;
}

std::string error_of(Imported imported) {
  const auto store = make_store(imported);
  return store ? "" : store.error().message;
}

TEST(StoreOf, AnswersAsZookeeperDid) {
  Imported imported = everything();
  const auto store = make_store(imported);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_THAT(imported.report.notes, IsEmpty());
  EXPECT_EQ((*store)->revision(), store::Revision(kEpoch + 51));
  const auto same = compare(**store, imported);
  EXPECT_TRUE(same) << same.error().message;
  const auto again = store::restore(store::snapshot_of(**store));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(compare(**again, imported));
  EXPECT_EQ((*again)->lease_keys(store::LeaseId(kSession)).size(), 1u);
}

// Nothing that a client could see escapes the comparison.
TEST(StoreOf, EveryDifferenceIsFound) {
  Imported imported = everything();
  const auto store = make_store(imported);
  ASSERT_TRUE(store);
  const auto found = [&](auto&& change) {
    Imported changed = everything();
    change(changed);
    const auto same = compare(**store, changed);
    return same ? "" : same.error().message;
  };
  EXPECT_EQ(found([](Imported&) {}), "");
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[1].stat.czxid; }), HasSubstr("/a has another czxid"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[1].stat.mzxid; }), HasSubstr("mzxid"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[0].stat.pzxid; }), HasSubstr("/ has another pzxid"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[2].stat.ctime_ms; }), HasSubstr("ctime"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[2].stat.mtime_ms; }), HasSubstr("mtime"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[4].stat.version; }), HasSubstr("/t has another version"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[0].stat.cversion; }), HasSubstr("cversion"));
  EXPECT_THAT(found([](Imported& i) { ++i.nodes[1].stat.aversion; }), HasSubstr("aversion"));
  EXPECT_THAT(found([](Imported& i) { i.nodes[3].stat.ephemeral_owner = 77; }), HasSubstr("/a/e has another owner"));
  EXPECT_THAT(found([](Imported& i) { i.nodes[1].data = Blob(""); }), HasSubstr("content"));
  EXPECT_THAT(found([](Imported& i) { i.nodes[1].acl = 0; }), HasSubstr("list of ACLs"));
  EXPECT_THAT(found([](Imported& i) { i.nodes.pop_back(); }), HasSubstr("number of descendants"));
  EXPECT_THAT(found([](Imported& i) { i.nodes[4].path = "/u"; }), HasSubstr("/u has another existence"));
  EXPECT_THAT(found([](Imported& i) { i.sessions.pop_back(); }), HasSubstr("number of sessions"));
  EXPECT_THAT(found([](Imported& i) { ++i.sessions[0].timeout_ms; }), HasSubstr("session 0xfe00000012345678"));
}

// ZooKeeper 3.4 has no /zookeeper/config; one that nothing was written to has hardly anything.
TEST(StoreOf, WhatIsMissingInOldDirectories) {
  Imported old{.acls = {kOpen}, .last_zxid = 0};
  old.nodes = {given("/", 1, 0, 0), given("/zookeeper", 1, 0, 0), given("/zookeeper/quota", 0, 0, 0)};
  auto store = make_store(old);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ((*store)->revision(), store::Revision(2));
  EXPECT_TRUE(compare(**store, old)) << compare(**store, old).error().message;
  EXPECT_TRUE(store::restore(store::snapshot_of(**store)));

  Imported bare{.acls = {kOpen}, .last_zxid = 9};
  bare.nodes = {given("/", 0, 0, 0)};
  store = make_store(bare);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_TRUE(compare(**store, bare));
}

TEST(StoreOf, WhatIsNotAsItWasIsSaid) {
  Imported imported = everything();
  imported.nodes[1].stat.cversion = 1;
  imported.nodes[6].acl = 2;
  const auto store = make_store(imported);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_THAT(imported.report.notes, ::testing::ElementsAre(HasSubstr("/a has 2 children and said that 1 were"),
                                                            HasSubstr("/zookeeper/config")));
  EXPECT_TRUE(compare(**store, imported));
}

TEST(StoreOf, WhatCannotBeTakenOverIsRefused) {
  Imported imported = everything();
  imported.nodes[2].path = "/a/" + std::string(5000, 'x');
  EXPECT_THAT(error_of(imported), HasSubstr("no name that a node may have here"));
  imported = everything();
  imported.nodes[1].stat.mzxid = kEpoch + 51;
  EXPECT_THAT(error_of(imported), HasSubstr("/a was changed at 0x300000033"));
  imported = everything();
  imported.sessions[0].id = 0;
  EXPECT_THAT(error_of(imported), HasSubstr("nothing was imported"));
  imported = everything();
  imported.last_zxid = INT64_MAX;
  EXPECT_THAT(error_of(imported), HasSubstr("last zxid"));
}

}  // namespace
}  // namespace witan::migrate::zookeeper
