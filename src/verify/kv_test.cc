#include "verify/kv.h"

#include <gtest/gtest.h>

#include "verify/testing.h"
#include "verify/truth.h"

namespace witan::verify {
namespace {

const std::string kEnd(1, '\0');

// At an instant that equals the revision in milliseconds.
Reply commit(Truth& truth, const Operation& operation) {
  return verify::commit(truth, operation, at_ms(truth.revision() + 1));
}

template <class T>
T answer(const Reply& reply) {
  return std::get<T>(reply.answer);
}

std::vector<std::string> keys(const RangeReply& reply) {
  std::vector<std::string> names;
  for (const KeyVersion& item : reply.kvs) names.push_back(item.key);
  return names;
}

using Names = std::vector<std::string>;

TEST(Kv, RangesAreReadAsEtcdReadsThem) {
  EXPECT_TRUE(in_range("b", "b", ""));
  EXPECT_FALSE(in_range("ba", "b", ""));
  EXPECT_TRUE(in_range("b", "b", "c"));
  EXPECT_TRUE(in_range("bz", "b", "c"));
  EXPECT_FALSE(in_range("c", "b", "c"));
  EXPECT_FALSE(in_range("a", "b", kEnd));
  EXPECT_TRUE(in_range("zzz", "b", kEnd));
  EXPECT_FALSE(in_range("b", "b", "a"));
}

TEST(Kv, APutCountsVersionsAndKeepsTheCreation) {
  Truth truth;
  EXPECT_EQ(commit(truth, Put{.key = "a", .value = "1", .lease = 7}).revision, 2);
  const Reply second = commit(truth, Put{.key = "a", .value = "2", .prev_kv = true});
  EXPECT_EQ(second.revision, 3);
  EXPECT_EQ(answer<PutReply>(second).previous,
            (Version{.value = "1", .create_revision = 2, .mod_revision = 2, .version = 1, .lease = 7}));
  EXPECT_EQ(truth.at("a", 3), (Version{.value = "2", .create_revision = 2, .mod_revision = 3, .version = 2}));
  EXPECT_EQ(truth.at("a", 2)->value, "1");
  EXPECT_EQ(truth.at("a", 1), std::nullopt);
}

TEST(Kv, ADeleteReportsWhatWasThereInKeyOrder) {
  Truth truth;
  commit(truth, Put{.key = "b", .value = "1"});
  commit(truth, Put{.key = "a", .value = "2"});
  commit(truth, Put{.key = "c", .value = "3"});
  const Reply reply = commit(truth, Delete{.begin = "a", .end = "c", .prev_kv = true});
  EXPECT_EQ(reply.revision, 5);
  EXPECT_EQ(answer<DeleteReply>(reply).deleted, 2);
  ASSERT_EQ(answer<DeleteReply>(reply).previous.size(), 2U);
  EXPECT_EQ(answer<DeleteReply>(reply).previous[0].key, "a");
  EXPECT_EQ(answer<DeleteReply>(reply).previous[1].version.value, "1");
  EXPECT_EQ(truth.changes(5)[0].after, std::nullopt);

  const Reply again = commit(truth, Delete{.begin = "a", .end = "c"});
  EXPECT_EQ(again.revision, 5);
  EXPECT_EQ(answer<DeleteReply>(again).deleted, 0);
  commit(truth, Put{.key = "a", .value = "4"});
  EXPECT_EQ(truth.at("a", 6), (Version{.value = "4", .create_revision = 6, .mod_revision = 6, .version = 1}));
}

TEST(Kv, ARangeCountsAllAndCutsAtItsLimit) {
  Truth truth;
  for (const char* key : {"a", "b", "c", "d"}) commit(truth, Put{.key = key, .value = key});
  const auto limited =
      answer<RangeReply>(commit(truth, Range{.begin = "a", .end = "d", .limit = 2, .keys_only = true}));
  EXPECT_EQ(keys(limited), (Names{"a", "b"}));
  EXPECT_EQ(limited.count, 3);
  EXPECT_TRUE(limited.more);
  EXPECT_EQ(limited.kvs[0].version.value, "");
  EXPECT_EQ(limited.kvs[0].version.mod_revision, 2);

  const auto exact = answer<RangeReply>(commit(truth, Range{.begin = "b", .end = kEnd, .limit = 3}));
  EXPECT_EQ(keys(exact), (Names{"b", "c", "d"}));
  EXPECT_FALSE(exact.more);
  const auto counted =
      answer<RangeReply>(commit(truth, Range{.begin = "a", .end = kEnd, .limit = 1, .count_only = true}));
  EXPECT_EQ(counted, (RangeReply{.count = 4}));
}

TEST(Kv, ARangeAtAnOldRevisionSeesThatRevision) {
  Truth truth;
  commit(truth, Put{.key = "a", .value = "1"});
  commit(truth, Put{.key = "b", .value = "2"});
  commit(truth, Delete{.begin = "a"});
  const Reply old = commit(truth, Range{.begin = "a", .end = kEnd, .revision = 2});
  EXPECT_EQ(old.revision, 4);
  EXPECT_EQ(keys(answer<RangeReply>(old)), (Names{"a"}));
  EXPECT_EQ(keys(answer<RangeReply>(commit(truth, Range{.begin = "a", .end = kEnd, .revision = 4}))), (Names{"b"}));
  EXPECT_EQ(commit(truth, Range{.begin = "a", .revision = 5}).failure, Failure::FutureRevision);
}

TEST(Kv, ATransactionsOperationsSeeTheEarlierOnes) {
  Truth truth;
  commit(truth, Put{.key = "a", .value = "1"});
  commit(truth, Put{.key = "b", .value = "2"});
  const Txn txn{.then = {Range{.begin = "a", .end = kEnd}, Put{.key = "c", .value = "3"}, Delete{.begin = "a"},
                         Range{.begin = "a", .end = kEnd}, Range{.begin = "a", .end = kEnd, .revision = 3}}};
  const Reply reply = commit(truth, txn);
  EXPECT_EQ(reply.revision, 4);
  const auto& replies = answer<TxnReply>(reply).replies;
  ASSERT_EQ(replies.size(), 5U);
  EXPECT_EQ(keys(std::get<RangeReply>(replies[0])), (Names{"a", "b"}));
  EXPECT_EQ(keys(std::get<RangeReply>(replies[3])), (Names{"b", "c"}));
  EXPECT_EQ(keys(std::get<RangeReply>(replies[4])), (Names{"a", "b"}));
  ASSERT_EQ(truth.changes(4).size(), 2U);
  EXPECT_EQ(truth.changes(4)[0].key, "c");
  EXPECT_EQ(truth.changes(4)[1].key, "a");
}

TEST(Kv, ATransactionFailsWholeForAFutureRevisionOnTheBranchTaken) {
  Truth truth;
  commit(truth, Put{.key = "a", .value = "1"});
  const std::vector<Simple> future{Put{.key = "b", .value = "2"}, Range{.begin = "a", .revision = 3}};
  EXPECT_EQ(commit(truth, Txn{.then = future}).failure, Failure::FutureRevision);
  EXPECT_EQ(truth.revision(), 2);
  EXPECT_EQ(commit(truth, Txn{.otherwise = future}).failure, Failure::None);
}

bool succeeds(Truth& truth, Compare compare) {
  return answer<TxnReply>(commit(truth, Txn{.when = {std::move(compare)}})).succeeded;
}

TEST(Kv, ComparesEachTargetByEachRelation) {
  using Target = Compare::Target;
  using Relation = Compare::Relation;
  Truth truth;
  commit(truth, Put{.key = "x", .value = "0"});
  commit(truth, Put{.key = "a", .value = "1"});
  commit(truth, Put{.key = "a", .value = "m", .lease = 9});  // create 3, mod 4, version 2, lease 9
  const std::pair<Target, int64_t> numbers[] = {
      {Target::Version, 2}, {Target::Create, 3}, {Target::Mod, 4}, {Target::Lease, 9}};
  for (const auto& [target, number] : numbers) {
    EXPECT_TRUE(succeeds(truth, {.key = "a", .target = target, .relation = Relation::Equal, .number = number}));
    EXPECT_FALSE(succeeds(truth, {.key = "a", .target = target, .relation = Relation::NotEqual, .number = number}));
    EXPECT_TRUE(succeeds(truth, {.key = "a", .target = target, .relation = Relation::Greater, .number = number - 1}));
    EXPECT_FALSE(succeeds(truth, {.key = "a", .target = target, .relation = Relation::Greater, .number = number}));
    EXPECT_TRUE(succeeds(truth, {.key = "a", .target = target, .relation = Relation::Less, .number = number + 1}));
    EXPECT_TRUE(succeeds(truth, {.key = "missing", .target = target, .relation = Relation::Equal, .number = 0}));
    EXPECT_TRUE(succeeds(truth, {.key = "missing", .target = target, .relation = Relation::Less, .number = 1}));
  }
  EXPECT_TRUE(succeeds(truth, {.key = "a", .target = Target::Value, .relation = Relation::Equal, .text = "m"}));
  EXPECT_TRUE(succeeds(truth, {.key = "a", .target = Target::Value, .relation = Relation::Less, .text = "n"}));
  EXPECT_TRUE(succeeds(truth, {.key = "a", .target = Target::Value, .relation = Relation::Greater, .text = "l"}));
  EXPECT_TRUE(succeeds(truth, {.key = "a", .target = Target::Value, .relation = Relation::NotEqual, .text = "n"}));
  EXPECT_FALSE(succeeds(truth, {.key = "a", .target = Target::Value, .relation = Relation::NotEqual, .text = "m"}));
  for (const Relation relation : {Relation::Equal, Relation::NotEqual, Relation::Greater, Relation::Less}) {
    EXPECT_FALSE(succeeds(truth, {.key = "missing", .target = Target::Value, .relation = relation, .text = ""}));
  }
}

TEST(Kv, KnowsFromTheAnswerWhetherSomethingChanged) {
  Truth truth;
  const auto changes = [&](const Operation& operation) { return says_changed(operation, commit(truth, operation)); };
  EXPECT_TRUE(changes(Put{.key = "a", .value = "1"}));
  EXPECT_FALSE(changes(Range{.begin = "a"}));
  EXPECT_TRUE(changes(Delete{.begin = "a"}));
  EXPECT_FALSE(changes(Delete{.begin = "a"}));
  EXPECT_FALSE(changes(Txn{.then = {Delete{.begin = "a"}, Range{.begin = "a"}}}));
  EXPECT_TRUE(changes(Txn{.then = {Delete{.begin = "a"}, Put{.key = "b", .value = "2"}}}));
  EXPECT_FALSE(may_change(Txn{.then = {Range{.begin = "a"}}}));
  EXPECT_TRUE(may_change(Txn{.otherwise = {Delete{.begin = "a"}}}));
}

TEST(Kv, DescribesWhatHappenedInALine) {
  Truth truth;
  const Operation put = Put{.key = "a", .value = "1", .lease = 5, .prev_kv = true};
  EXPECT_EQ(describe(put), R"(put "a" "1" lease=5 prev_kv)");
  commit(truth, put);
  EXPECT_EQ(describe(truth.changes(2)[0]), R"("a": nothing -> "1" (create 2, mod 2, version 1, lease 5))");
  const Operation txn = Txn{.when = {{.key = "a", .target = Compare::Target::Value, .text = "1"}},
                            .then = {Delete{.begin = "a"}, Range{.begin = "a", .end = "b", .revision = 2}},
                            .otherwise = {Range{.begin = "a", .limit = 3}}};
  EXPECT_EQ(describe(txn),
            R"(txn if {value("a") = "1"} then {delete "a"; range ["a", "b") rev=2} else {range "a" limit=3})");
  EXPECT_EQ(describe(commit(truth, txn)),
            R"(at 3: then {deleted 1; {"a" "1" (create 2, mod 2, version 1, lease 5)} count=1})");
  EXPECT_EQ(describe(Reply{.failure = Failure::Compacted}), "compacted");
}

TEST(Truth, KnowsWhatWasTrueAtAnInstant) {
  Truth truth;
  commit(truth, Put{.key = "a", .value = "1"});
  commit(truth, Put{.key = "a", .value = "2"});
  truth.compact(2, at_ms(5));
  truth.compact(3, at_ms(7));
  EXPECT_EQ(truth.when(3), at_ms(3));
  EXPECT_EQ(truth.revision_by(Instant{}), 1);
  EXPECT_EQ(truth.revision_by(at_ms(2)), 2);
  EXPECT_EQ(truth.revision_by(Instant::never()), 3);
  EXPECT_EQ(truth.compacted_by(at_ms(4)), 0);
  EXPECT_EQ(truth.compacted_by(at_ms(5)), 2);
  EXPECT_EQ(truth.compacted_by(at_ms(8)), 3);
  EXPECT_LT(truth.when(1), Instant{});
  EXPECT_TRUE(truth.changes(1).empty());
  EXPECT_FALSE(truth.has(0));
  EXPECT_FALSE(truth.has(4));
}

TEST(TruthDeathTest, RefusesAGap) {
  Truth truth;
  EXPECT_DEATH(truth.append(3, {Change{.key = "a"}}, Instant{}), "revision 3 after 1");
}

}  // namespace
}  // namespace witan::verify
