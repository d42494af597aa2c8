#include "store/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "store/acl.h"
#include "store/testing.h"

namespace witan::store {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr int64_t kEpoch = int64_t{5} << 32;  // ZooKeeper's numbers are large
constexpr LeaseId kSession(-77);

NodeStat stat(int64_t created, int64_t modified = 0) {
  return {.created = Revision(created),
          .modified = Revision(modified == 0 ? created : modified),
          .children_changed = Revision(created),
          .created_at = WallTime{created % 1000},
          .modified_at = WallTime{modified % 1000}};
}

NodeStat parent(NodeStat stat, int64_t ever, int64_t now, int64_t changed) {
  stat.children_ever = ever;
  stat.children = now;
  stat.children_changed = Revision(changed);
  return stat;
}

std::string digest_only() {
  const AclEntry entry{.permissions = perm::kAll, .scheme = "digest", .id = "u:x"};
  return encode_acl({&entry, 1});
}

struct Built {
  StoreBuilder builder{Revision(kEpoch + 100)};
  Result<> added;

  Built() { EXPECT_TRUE(builder.add_session(kSession, 30'000)); }
  Built& add(std::string_view path, NodeStat stat, Blob value = Blob("v"), Blob acl = {},
             NodeKind kind = NodeKind::Ordinary) {
    if (added) {
      added = builder.add_node({.path = path,
                                .value = std::move(value),
                                .stat = stat,
                                .acl = std::move(acl),
                                .kind = kind,
                                .ttl_ms = kind == NodeKind::Ttl ? 500 : 0});
    }
    return *this;
  }
  std::string error() const { return added ? "" : added.error().message; }
  std::unique_ptr<Store> finish() {
    EXPECT_EQ(error(), "");
    auto store = builder.finish();
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : std::make_unique<Store>();
  }
};

std::unique_ptr<Store> whole() {
  NodeStat owned = stat(kEpoch + 3);
  owned.owner = kSession;
  NodeStat set = stat(kEpoch + 2, kEpoch + 9);
  set.version = 4;
  set.acl_version = 2;
  Built b;
  b.add("/", parent({}, 7, 3, kEpoch + 8));
  b.add("/a", parent(set, 5, 1, kEpoch + 8), Blob(), Blob(digest_only()));
  b.add("/a/mine", owned);
  b.add("/t", parent(stat(2), 1, 0, kEpoch), Blob(""), {}, NodeKind::Ttl);
  b.add("/zookeeper", parent({}, 0, 2, 0));
  b.add("/zookeeper/quota", parent({}, 1, 1, kEpoch));
  b.add("/zookeeper/quota/a", parent(stat(kEpoch), 1, 1, kEpoch + 1));
  b.add("/zookeeper/quota/a/zookeeper_limits", stat(kEpoch + 1), Blob("count=10,bytes=-1"));
  return b.finish();
}

NodeReadsResult::Item look(const Store& store, std::string_view path, NodeQuery query = NodeQuery::Data) {
  const std::string_view super = kSuperPrincipal;
  NodeReads reads;
  reads.reads.push_back({.query = query, .path = path});
  auto result = store.read_nodes(reads, LeaseId(0), {&super, 1});
  return std::move(result.items.at(0));
}

auto fields(const NodeStat& s) {
  return std::tuple(s.created, s.modified, s.children_changed, s.created_at, s.modified_at, s.version, s.acl_version,
                    s.children_ever, s.children, s.owner, s.data_bytes);
}

TEST(Builder, NodesAreAsTheyWereDescribed) {
  const auto store = whole();
  EXPECT_EQ(store->revision(), Revision(kEpoch + 100));
  EXPECT_EQ(store->compacted(), Revision(kEpoch + 100));
  NodeStat a = parent(stat(kEpoch + 2, kEpoch + 9), 5, 1, kEpoch + 8);
  a.version = 4;
  a.acl_version = 2;
  EXPECT_EQ(fields(look(*store, "/a").stat), fields(a));
  EXPECT_TRUE(look(*store, "/a").value.is_null());
  EXPECT_EQ(look(*store, "/a", NodeQuery::Acl).acl.view(), digest_only());
  EXPECT_EQ(look(*store, "/a/mine").stat.owner, kSession);
  EXPECT_FALSE(look(*store, "/t").value.is_null());
  EXPECT_EQ(look(*store, "/t").stat.children_changed, Revision(kEpoch));
  EXPECT_EQ(look(*store, "/").stat.children, 3);
  EXPECT_EQ(look(*store, "/").stat.created, Revision(0));
  EXPECT_EQ(look(*store, "/zookeeper").stat.children, 2);
  EXPECT_EQ(look(*store, "/zookeeper/quota").stat.children_ever, 1);
  EXPECT_THAT(look(*store, "/", NodeQuery::Children).names, UnorderedElementsAre("a", "t", "zookeeper"));
  std::string after;
  EXPECT_THAT(store->idle_nodes(WallTime{10'000}, after, 10, 10), UnorderedElementsAre("/t"));
  ASSERT_TRUE(store->lease(kSession));
  EXPECT_EQ(store->lease(kSession)->kind, LeaseKind::ZooKeeper);
  EXPECT_EQ(store->lease(kSession)->generation, 1u);
  ASSERT_EQ(store->lease_keys(kSession).size(), 1u);
}

TEST(Builder, WhatItMakesIsASnapshotLikeAnyOther) {
  const auto store = whole();
  const auto again = restore(snapshot_of(*store));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->digest(), store->digest());
  for (const std::string_view path : {"/", "/a", "/a/mine", "/t", "/zookeeper", "/zookeeper/quota/a"}) {
    EXPECT_EQ(fields(look(**again, path).stat), fields(look(*store, path).stat)) << path;
  }
}

TEST(Builder, RevisionsGoOnAboveIt) {
  const auto store = whole();
  const Applied put =
      store->apply(1, {.header = {.stamp = WallTime{5}}, .body = Put{.key = "/a/mine", .value = "x"}}, true);
  EXPECT_EQ(put.reply.revision, Revision(kEpoch + 101));
  const KeyRange all = KeyRange::all();
  const auto history = store->history(Revision(kEpoch + 100), std::span(&all, 1), 100, 1 << 20);
  ASSERT_TRUE(history);
  ASSERT_EQ(history->batches.size(), 1u);
  EXPECT_EQ(store->history(Revision(kEpoch + 99), std::span(&all, 1), 100, 1 << 20).error().reason,
            Reason::RevisionCompacted);
  EXPECT_EQ(
      store->apply(2, {.body = LeaseRevoke{.id = kSession, .kind = LeaseKind::ZooKeeper}}, true).reply.failure.reason,
      Reason::None);
}

TEST(Builder, RefusesWhatCouldNotBeReadAgain) {
  const NodeStat root = parent({}, 1, 2, kEpoch);
  const auto error = [&](std::string_view path, NodeStat stat) {
    return Built().add("/", root).add(path, stat).error();
  };
  EXPECT_EQ(error("/ok", stat(2)), "");
  EXPECT_THAT(error("/a/b", stat(2)), HasSubstr("/a/b has no parent"));
  EXPECT_THAT(error("a", stat(2)), HasSubstr("no name"));
  EXPECT_THAT(error("/" + std::string(5000, 'x'), stat(2)), HasSubstr("no name"));
  EXPECT_THAT(error("/a", stat(1)), HasSubstr("created at 0x1"));
  EXPECT_THAT(error("/a", stat(5, 4)), HasSubstr("created at 0x5 and changed at 0x4"));
  EXPECT_THAT(error("/a", stat(kEpoch + 100)), HasSubstr("not before"));
  EXPECT_THAT(error("/a", parent(stat(5), 1, 0, kEpoch + 100)), HasSubstr("not before"));
  EXPECT_THAT(error("/a", parent(stat(5), 1, 2, 6)), HasSubstr("2 children of 1 ever"));
  EXPECT_THAT(error("/a", {}), HasSubstr("never written"));
  EXPECT_THAT(error("/zookeeper/config", stat(5)), HasSubstr("follows from the members"));
  NodeStat owned = stat(5);
  owned.owner = LeaseId(9);
  EXPECT_THAT(error("/a", owned), HasSubstr("session 0x9, which is not there"));
  owned.owner = kSession;
  EXPECT_EQ(error("/zookeeper/e", owned), "");
  EXPECT_THAT(error("/zookeeper/quota", owned), HasSubstr("is ephemeral"));
  EXPECT_THAT(Built().add("/", root).add("/a", stat(5)).add("/a", stat(5)).error(), HasSubstr("twice"));
  Built twice;
  EXPECT_FALSE(twice.builder.add_session(kSession, 1));
  EXPECT_FALSE(twice.builder.add_session(LeaseId(0), 1));
  Built miscounted;
  miscounted.add("/", parent({}, 5, 3, kEpoch)).add("/a", stat(5));
  EXPECT_FALSE(miscounted.builder.finish());
}

}  // namespace
}  // namespace witan::store
