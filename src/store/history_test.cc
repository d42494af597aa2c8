// What history tells of nodes, whatever part of it is read and however little is left of it.
#include "store/history.h"

#include <gtest/gtest.h>

#include <vector>

#include "store/acl.h"
#include "store/node_testing.h"

namespace witan::store {
namespace {

// "+path" created, "-path" deleted, "~path" changed, one revision after the other. With `hers` also who may hear of it
// where that is only she.
std::string told(const Store& store, int64_t from, const std::vector<KeyRange>& ranges = {KeyRange::all()},
                 std::string_view hers = {}) {
  const auto slice = store.history(Revision(from), ranges, 100, 1 << 20);
  if (!slice) return "compacted";
  std::string out;
  for (const ChangeBatchPtr& batch : slice->batches) {
    out += out.empty() ? "" : " |";
    for_each_node_event(*batch, [&](const NodeEvent& event) {
      out += fmt::format("{}{}{}{}", out.empty() ? "" : " ", sign_of(event.type), event.path.view(),
                         !hers.empty() && event.acl.view() == hers ? " to her" : "");
    });
  }
  return out;
}

// Simulator, seed 200: at the compacted revision nobody knows what was before, and a change was told as a creation.
TEST(NodeHistory, IsTheSameAtTheCompactedRevision) {
  Tester t;
  t.must(NodeTxn{{{CreateNode{.path = "/a"}}}});
  t.must(NodeTxn{{{CreateNode{.path = "/b"}}}});
  t.must(NodeTxn{{{SetNode{.path = "/a"}}, {DeleteNode{.path = "/b"}}, {CreateNode{.path = "/c"}}}});  // 4
  t.must(NodeTxn{{{SetNode{.path = "/a"}}}});
  const std::string all = "~/a -/b +/c | ~/a";
  EXPECT_EQ(told(t.store, 4), all);
  t.must(Compact{Revision(4)});
  EXPECT_EQ(told(t.store, 4), all);
  t.compact_physically();
  EXPECT_EQ(told(t.store, 4), all);
  const auto again = restore(snapshot_of(t.store));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(told(**again, 4), all);
}

TEST(NodeHistory, OfAPartSaysWhoMayHearOfIt) {
  Tester t;
  const std::string hers = encode_acl(std::vector<AclEntry>{{perm::kAll, "digest", "ann"}});
  t.must(NodeTxn{{{CreateNode{.path = "/hers", .acl = hers}}, {CreateNode{.path = "/open"}}}});
  EXPECT_EQ(told(t.store, 2, {KeyRange::single("/hers")}, hers), "+/hers to her");
  t.compact_all(2);
  EXPECT_EQ(told(t.store, 2, {KeyRange::single("/hers")}, hers), "+/hers to her");
  EXPECT_EQ(told(t.store, 2, {KeyRange::all()}, hers), "+/hers to her +/open");
}

TEST(NodeHistory, OfAPartKnowsWhatBecameOfImpliedNodes) {
  Tester t;
  t.must(Txn{.success = {{Put{.key = "/a/b"}}, {Put{.key = "/x"}}}, .failure = {}});
  t.must(Txn{.success = {{Put{.key = "/a"}}, {Put{.key = "/x"}}}, .failure = {}});
  const std::vector<KeyRange> below{KeyRange::single("/a"), {.begin = "/a/", .end = "/a0"}};
  EXPECT_EQ(told(t.store, 2, below), "+/a +/a/b | ~/a");
  t.compact_all(3);
  EXPECT_EQ(told(t.store, 3, below), "~/a");
}

}  // namespace
}  // namespace witan::store
