// What a quota counts, what it refuses, and whom (reference 1.5, core T).
#include "store/quota.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "store/node_testing.h"

namespace witan::store {
namespace {

TEST(Quota, LimitsAreReadAsZooKeeperWritesThem) {
  const auto read = [](std::string_view text) {
    const Quotas::Limits l = parse_limits(text);
    return fmt::format("{} {} {} {}", l.count, l.bytes, l.hard_count, l.hard_bytes);
  };
  EXPECT_EQ(read("count=10,bytes=-1"), "10 -1 -1 -1");
  EXPECT_EQ(read("count=-1,bytes=20=;byteHardLimit=5;countHardLimit=6"), "-1 20 6 5");
  EXPECT_EQ(read(""), "-1 -1 -1 -1");
  EXPECT_EQ(read("count,,;=;bytes=x;countHardLimit=99999999999999999999"), "-1 -1 -1 -1");
}

struct QuotaTree : Tree {
  QuotaTree() {
    one(CreateNode{.path = "/zookeeper/quota/a"});
    create("/a", "12345");
  }
  // The quota of `path`, and the node that tells what it counts.
  void limit(std::string_view path, std::string_view limits) {
    const std::string base = fmt::format("/zookeeper/quota{}", path == "/" ? "" : path);
    EXPECT_EQ(create(base + "/zookeeper_limits", limits), Reason::None);
    EXPECT_EQ(create(base + "/zookeeper_stats"), Reason::None);
  }
  void enforce() { must(SettingsChange{.enforce_node_quotas = 1}); }
  std::string counted(std::string_view path) const {
    const std::string base = fmt::format("/zookeeper/quota{}", path == "/" ? "" : path);
    const NodeReadsResult::Item item = read(NodeQuery::Data, base + "/zookeeper_stats");
    EXPECT_EQ(item.stat.data_bytes, static_cast<int64_t>(item.value.size()));
    return std::string(item.value.view());
  }
};

TEST(Quota, CountsNodesAndBytesFromThePathDown) {
  QuotaTree t;
  t.create("/a/b", "123");
  t.create("/ab", "beside it");
  t.put("/a/b-c", "12");
  t.limit("/a", "count=2,bytes=3");
  EXPECT_EQ(t.counted("/a"), "count=3,bytes=10") << "what was there before is counted, and soft limits refuse nothing";
  t.set("/a/b", "1");
  EXPECT_EQ(t.counted("/a"), "count=3,bytes=8");
  t.remove("/a/b-c");
  EXPECT_EQ(t.counted("/a"), "count=2,bytes=6");
  t.put("/a/x/y", "1");
  EXPECT_EQ(t.counted("/a"), "count=3,bytes=7") << "nobody made /a/x";
  t.put("/a/no//path");
  EXPECT_EQ(t.counted("/a"), "count=3,bytes=7");
  t.del("/zookeeper/quota/a/zookeeper_limits");
  EXPECT_EQ(t.counted("/a"), "") << "a node like others again";
}

TEST(Quota, TheDeepestOneCounts) {
  QuotaTree t;
  t.create("/b", "1");
  t.create("/a/b", "12");
  t.create("/a/b/c", "123");
  t.limit("/", "count=100,bytes=-1");
  EXPECT_EQ(t.counted("/"), "count=4,bytes=11");
  t.limit("/a", "count=100,bytes=-1");
  EXPECT_EQ(t.counted("/"), "count=1,bytes=1");
  EXPECT_EQ(t.counted("/a"), "count=3,bytes=10");
  t.create("/zookeeper/quota/a/b");
  t.limit("/a/b", "count=100,bytes=-1");
  EXPECT_EQ(t.counted("/a"), "count=1,bytes=5");
  EXPECT_EQ(t.counted("/a/b"), "count=2,bytes=5");
  t.del("/zookeeper/quota/a/zookeeper_limits");
  EXPECT_EQ(t.counted("/"), "count=2,bytes=6");
  EXPECT_EQ(t.counted("/a/b"), "count=2,bytes=5");
  t.create("/zookeeper/quota/a/zookeeper_limits", "count=1,bytes=1");
  EXPECT_EQ(t.counted("/"), "count=1,bytes=1");
  EXPECT_EQ(t.counted("/a"), "count=1,bytes=5") << "not what the deeper one counted before";
}

TEST(Quota, HardLimitsRefuseOnlyWhereThatIsAskedFor) {
  QuotaTree t;
  t.limit("/a", "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=2");
  EXPECT_EQ(t.create("/a/1"), Reason::None);
  EXPECT_EQ(t.create("/a/2"), Reason::None);
  t.enforce();
  EXPECT_EQ(t.create("/a/3"), Reason::QuotaExceeded);
  EXPECT_EQ(t.set("/a", "1234567890"), Reason::None) << "no node more";
  EXPECT_EQ(t.set("/a", "12345678901"), Reason::QuotaExceeded);
  EXPECT_EQ(t.set("/a/1", "1", 7), Reason::QuotaExceeded) << "before the version";
  EXPECT_EQ(t.one(SetNode{.path = "/a/none", .value = "x"}), Reason::NodeNotFound);
  EXPECT_EQ(t.create("/a/1"), Reason::NodeExists) << "which comes first";
  t.del("/a/1");
  t.del("/a/2");
  EXPECT_EQ(t.create("/a/3", "1"), Reason::QuotaExceeded) << "the bytes";
  EXPECT_EQ(t.create("/a/3"), Reason::None);
  t.put("/a/by-etcd", "which knows no quotas");
  EXPECT_EQ(t.set("/a/3", ""), Reason::None) << "as many bytes as before, though there are too many";
  EXPECT_EQ(t.create("/elsewhere", std::string(100, 'x')), Reason::None);
  EXPECT_EQ(t.create("/zookeeper/quota/big", std::string(100, 'x')), Reason::None) << "quotas have none";
  t.must(SettingsChange{.enforce_node_quotas = -1});
  EXPECT_EQ(t.create("/a/4", std::string(100, 'x')), Reason::None);
}

TEST(Quota, SettingAnImpliedNodeIsANodeMore) {
  QuotaTree t;
  t.limit("/a", "count=-1,bytes=-1=;countHardLimit=2");
  t.put("/a/b/c");
  t.enforce();
  EXPECT_EQ(t.counted("/a"), "count=2,bytes=6");
  EXPECT_EQ(t.set("/a/b"), Reason::QuotaExceeded);
  EXPECT_EQ(t.set("/a/b/c"), Reason::None);
}

TEST(Quota, ATransactionMustFitAsAWhole) {
  QuotaTree t;
  t.limit("/a", "count=-1,bytes=-1=;byteHardLimit=8;countHardLimit=3");
  t.enforce();
  EXPECT_EQ(t.multi({{CreateNode{.path = "/a/1"}}, {CreateNode{.path = "/a/2"}}, {CreateNode{.path = "/a/3"}}}),
            Reason::QuotaExceeded);
  EXPECT_EQ(t.failed_at, 2u);
  EXPECT_EQ(t.counted("/a"), "count=1,bytes=5");
  EXPECT_EQ(t.multi({{CreateNode{.path = "/a/1"}},
                     {CreateNode{.path = "/a/2", .value = "123"}},
                     {DeleteNode{.path = "/a/2"}},
                     {SetNode{.path = "/a", .value = "12345678"}},
                     {CreateNode{.path = "/a/3"}}}),
            Reason::None)
      << "what was deleted before makes room";
  EXPECT_EQ(t.counted("/a"), "count=3,bytes=8");
}

TEST(Quota, NamesThatOnlyBeginAlikeSetNone) {
  QuotaTree t;
  t.create("/zookeeper/quotas");
  t.create("/zookeeper/quotas/zookeeper_limits", "count=-1,bytes=-1=;countHardLimit=0");
  t.create("/zookeeper/quota/a/my_zookeeper_limits", "count=-1,bytes=-1=;countHardLimit=0");
  t.create("/zookeeper/quotas/zookeeper_stats", "mine");
  t.enforce();
  EXPECT_EQ(t.create("/a/1"), Reason::None);
  EXPECT_EQ(t.read(NodeQuery::Data, "/zookeeper/quotas/zookeeper_stats").value.view(), "mine");
}

}  // namespace
}  // namespace witan::store
