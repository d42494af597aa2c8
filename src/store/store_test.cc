// The store's guarantees, one a test. What is random is in random_test.cc.
#include "store/store.h"

#include <gtest/gtest.h>

#include "store/history.h"
#include "store/testing.h"

namespace witan::store {
namespace {

Reason reason_of(const Applied& applied) { return applied.reply.failure.reason; }
const TxnResult& txn_of(const Applied& applied) { return std::get<TxnResult>(applied.reply.result); }

// ---- Revisions and versions ---------------------------------------------------------------------

TEST(Store, StartsAtRevisionOneAndOnlyChangesMoveIt) {
  Tester t;
  EXPECT_EQ(t.store.revision(), Revision(1));
  EXPECT_EQ(t.store.compacted(), Revision(-1));
  EXPECT_EQ(t.put("a"), 2);
  EXPECT_EQ(t.remove("nothing"), 2);
  EXPECT_EQ(t.grant(7), 2);
  EXPECT_EQ(t.must(LeaseCheckpoint{{{LeaseId(7), 5}}}), 2);
  EXPECT_EQ(t.must(Compact{Revision(2)}), 2);
  EXPECT_EQ(t.must(Nothing{}), 2);
  EXPECT_EQ(t.must(Txn{}), 2);
  EXPECT_EQ(t.must(LeaseRevoke{.id = LeaseId(7)}), 2);
  EXPECT_EQ(
      t.must(Txn{
          .success = {{Put{.key = "b"}}, {Put{.key = "c"}}, {DeleteRange{.range = {.begin = "a", .single = true}}}}}),
      3);
  EXPECT_EQ(t.store.applied_index(), 9u);
}

TEST(Store, AKeyLivesFromCreationToDeletion) {
  Tester t;
  t.stamp = 100;
  t.put("k", "1");
  t.stamp = 50;  // a leader whose clock is behind: stamps are raw, comparisons use the largest (core C4)
  t.put("k", "2");
  VersionRef v = t.store.get("k");
  EXPECT_EQ(v->create_revision, Revision(2));
  EXPECT_EQ(v->mod_revision, Revision(3));
  EXPECT_EQ(v->version, 2);
  EXPECT_EQ(v->created.ms(), 100);
  EXPECT_EQ(v->modified.ms(), 50);
  EXPECT_EQ(t.store.largest_stamp(), WallTime{100});
  t.remove("k");
  t.put("k", "3");
  v = t.store.get("k");
  EXPECT_EQ(v->create_revision, Revision(5));
  EXPECT_EQ(v->version, 1);
}

TEST(Store, StampsFarOutOfRangeAreCapped) {
  Tester t;
  t.stamp = INT64_MAX;
  t.put("k");
  EXPECT_EQ(t.store.get("k")->created.ms(), (int64_t{1} << 47) - 1);
  EXPECT_EQ(Stamp(WallTime{-5}).ms(), -5);
  EXPECT_EQ(Stamp(WallTime{INT64_MIN}).ms(), -(int64_t{1} << 47) + 1);
}

TEST(Store, BatchesShareValuesAndCarryWhatWasBefore) {
  Tester t;
  t.put("k", "old");
  const VersionRef old = t.store.get("k");
  const Applied applied = t.apply(Put{.key = "k", .value = "new"});
  ASSERT_EQ(applied.changes->changes.size(), 1u);
  EXPECT_EQ(applied.changes->changes[0].before.get(), old.get());
  EXPECT_EQ(applied.changes->changes[0].after.get(), t.store.get("k").get());
  EXPECT_GT(batch_bytes_of(*applied.changes), 0u);
}

TEST(Store, IgnoreValueAndIgnoreLeaseKeepThem) {
  Tester t;
  t.grant(7);
  t.put("k", "v", 7);
  t.must(Put{.key = "k", .lease = LeaseId(0), .ignore_value = true});
  EXPECT_EQ(t.store.get("k")->value.view(), "v");
  EXPECT_EQ(t.store.get("k")->lease, LeaseId(0));
  t.put("k", "v", 7);
  t.must(Put{.key = "k", .value = "w", .ignore_lease = true});
  EXPECT_EQ(t.store.get("k")->lease, LeaseId(7));
  EXPECT_EQ(reason_of(t.apply(Put{.key = "x", .ignore_value = true})), Reason::KeyNotFound);
  // etcd asks a put of its own for the lease first; the differential test found it.
  EXPECT_EQ(reason_of(t.apply(Put{.key = "x", .lease = LeaseId(99), .ignore_value = true})), Reason::LeaseNotFound);
}

// ---- Ranges -------------------------------------------------------------------------------------

TEST(Store, ARangeReadsAnyRevisionThatIsNotCompacted) {
  Tester t;
  t.put("a", "1");  // 2
  t.put("b", "1");  // 3
  t.put("a", "2");  // 4
  t.remove("b");    // 5
  EXPECT_EQ(t.list({}, 2), "a=1");
  EXPECT_EQ(t.list({}, 3), "a=1 b=1");
  EXPECT_EQ(t.list({}, 4), "a=2 b=1");
  EXPECT_EQ(t.list({}, 5), "a=2");
  EXPECT_EQ(t.store.range({.revision = Revision(6)}).error().reason, Reason::RevisionInFuture);
  t.must(Compact{Revision(4)});
  EXPECT_EQ(t.list({}, 4), "a=2 b=1") << "the compacted revision itself can be read";
  const auto compacted = t.store.range({.revision = Revision(3)});
  EXPECT_EQ(compacted.error().reason, Reason::RevisionCompacted);
  EXPECT_EQ(compacted.error().compacted, Revision(4));
}

TEST(Store, CountIgnoresLimitAndFilters) {
  Tester t;
  for (int i = 0; i < 10; ++i) t.put(fmt::format("k{}", i));
  t.remove("k9");
  const auto limited = *t.store.range({.limit = 3, .max_mod = Revision(3)});
  EXPECT_EQ(limited.items.size(), 2u);
  EXPECT_EQ(limited.count, 9);
  EXPECT_FALSE(limited.more);
  EXPECT_TRUE(t.store.range({.limit = 3})->more);
  EXPECT_EQ(t.store.range({.revision = Revision(6), .count_only = true})->count, 5);
}

TEST(Store, AnotherTargetWithoutAnOrderSortsOnlyTheFirstKeys) {
  Tester t;
  t.put("a", "3");
  t.put("b", "2");
  t.put("c", "9");
  t.put("d", "1");
  // etcd takes limit + 1 keys in key order, sorts them, and cuts.
  EXPECT_EQ(Tester::text(t.store.range({.limit = 2, .target = SortTarget::Value})), "b=2 a=3");
  EXPECT_EQ(Tester::text(t.store.range({.limit = 2, .order = SortOrder::Ascend, .target = SortTarget::Value})),
            "d=1 b=2");
}

TEST(Store, ASlicedRangeSeesOneRevisionWhateverHappensMeanwhile) {
  Tester t;
  for (int i = 0; i < 100; ++i) t.put(fmt::format("k{:02}", i), "old");
  RangeReader reader = *t.store.start_range({});
  size_t slices = 0;
  for (; !reader.step(10); ++slices) {
    t.must(DeleteRange{});
    t.put("k05", "new");
    t.put(fmt::format("k99{}", slices), "new");
    t.must(Compact{t.store.revision()});
    t.compact_physically();
  }
  const RangeResult result = reader.finish();
  EXPECT_GE(slices, 9u);
  EXPECT_EQ(result.items.size(), 100u);
  EXPECT_EQ(result.count, 100);
  EXPECT_EQ(result.revision, Revision(101)) << "a watch from the next revision on misses nothing";
  for (const KeyVersion& item : result.items) EXPECT_EQ(item.version->value.view(), "old");
  // The pin is gone: what it held back can go now.
  t.compact_physically();
  EXPECT_EQ(t.store.usage().history_bytes, 0);
}

TEST(Store, EmptyAndInvertedRangesHoldNothing) {
  Tester t;
  t.put("b");
  EXPECT_EQ(t.list({.begin = "c", .end = "a"}), "");
  EXPECT_EQ(t.store.range({.range = {.begin = "c", .end = "a"}})->count, 0);
  EXPECT_EQ(t.list({.begin = "b", .end = "b"}), "");
  EXPECT_EQ(t.list({.begin = "b"}), "b=v");
  EXPECT_EQ(t.must(DeleteRange{.range = {.begin = "c", .end = "a"}}), 2);
}

// ---- Transactions -------------------------------------------------------------------------------

TEST(Store, ComparesAreJudgedOnTheStateBeforeAtEveryDepth) {
  Tester t;
  Txn inner{.compares = {{.range = {.begin = "k", .single = true}, .target = CompareTarget::Version, .number = 0}},
            .success = {{Put{.key = "inner-saw-nothing"}}}};
  const Applied applied = t.apply(Txn{.success = {{Put{.key = "k"}}, {inner}}});
  EXPECT_TRUE(std::get<TxnResult>(txn_of(applied).results[1].what).succeeded);
  EXPECT_EQ(t.list(), "inner-saw-nothing= k=");
}

TEST(Store, OfAMissingKeyNumbersAreZeroAndNoValueCompares) {
  Tester t;
  const auto holds = [&](Compare compare) {
    compare.range = {.begin = "none", .single = true};
    return txn_of(t.apply(Txn{.compares = {compare}})).succeeded;
  };
  for (const auto target :
       {CompareTarget::Version, CompareTarget::CreateRevision, CompareTarget::ModRevision, CompareTarget::Lease}) {
    EXPECT_TRUE(holds({.target = target, .relation = Relation::Equal, .number = 0}));
    EXPECT_TRUE(holds({.target = target, .relation = Relation::Greater, .number = -1}));
    EXPECT_FALSE(holds({.target = target, .relation = Relation::NotEqual, .number = 0}));
  }
  for (const auto relation : {Relation::Equal, Relation::NotEqual, Relation::Less, Relation::Greater}) {
    EXPECT_FALSE(holds({.target = CompareTarget::Value, .relation = relation, .value = ""}));
  }
}

TEST(Store, ACompareOverARangeHoldsWhenEveryKeyDoes) {
  Tester t;
  t.put("a1", "x");
  t.put("a2", "y");
  const auto holds = [&](std::string_view value, Relation relation) {
    return txn_of(t.apply(Txn{.compares = {{.range = {.begin = "a", .end = "b"},
                                            .target = CompareTarget::Value,
                                            .relation = relation,
                                            .value = value}}}))
        .succeeded;
  };
  EXPECT_TRUE(holds("w", Relation::Greater));
  EXPECT_FALSE(holds("x", Relation::Greater));
  EXPECT_TRUE(holds("z", Relation::NotEqual));
}

TEST(Store, OperationsSeeEarlierOnesAndTheirRevision) {
  Tester t;
  t.put("a", "1");
  const Applied applied = t.apply(Txn{.success = {{Range{}},
                                                  {Put{.key = "b", .value = "2"}},
                                                  {Range{}},
                                                  {DeleteRange{.range = {.begin = "a", .single = true}}},
                                                  {Range{}},
                                                  {Range{.revision = Revision(2)}}}});
  const std::vector<OperationResult>& results = txn_of(applied).results;
  const auto text = [&](size_t i) { return Tester::text(std::get<RangeResult>(results[i].what)); };
  EXPECT_EQ(text(0), "a=1");
  EXPECT_EQ(results[0].revision, Revision(2));
  EXPECT_EQ(text(2), "a=1 b=2");
  EXPECT_EQ(results[2].revision, Revision(3));
  EXPECT_EQ(text(4), "b=2");
  EXPECT_EQ(text(5), "a=1");
  EXPECT_EQ(std::get<RangeResult>(results[5].what).count, 1);
  EXPECT_EQ(applied.reply.revision, Revision(3));
}

TEST(Store, AFailedTransactionDoesNothingAndSaysWhere) {
  Tester t;
  t.put("a");
  const Digest before = t.store.digest();
  Applied applied =
      t.apply(Txn{.success = {{Put{.key = "x"}}, {Txn{.success = {{Put{.key = "y", .lease = LeaseId(9)}}}}}}});
  EXPECT_EQ(reason_of(applied), Reason::LeaseNotFound);
  EXPECT_EQ(applied.reply.failure.operation, 2u);
  EXPECT_EQ(applied.changes, nullptr);
  applied = t.apply(Txn{.success = {{Range{.revision = Revision(9)}}, {Put{.key = "x", .ignore_value = true}}}});
  EXPECT_EQ(reason_of(applied), Reason::KeyNotFound) << "puts are checked before ranges";
  applied = t.apply(Txn{.success = {{Put{.key = "x"}}, {Range{.revision = Revision(9)}}}});
  EXPECT_EQ(reason_of(applied), Reason::RevisionInFuture);
  EXPECT_EQ(t.store.digest(), before);
  EXPECT_EQ(reason_of(t.apply(Txn{.success = {}, .failure = {{Put{.key = "y", .lease = LeaseId(9)}}}})), Reason::None)
      << "only the path taken is checked";
}

// A member that replays an entry later than others has compacted less or more on disk; the outcome may not depend on it
// (etcd #18667, #21432).
TEST(Store, ARangeAtACompactedRevisionFailsTheSameOnEveryMember) {
  Tester slow;
  Tester quick;
  for (Tester* t : {&slow, &quick}) {
    t->put("a", "1");
    t->put("a", "2");
    t->put("a", "3");
    t->must(Compact{Revision(3)});
    if (t == &quick) t->compact_physically();
  }
  const Txn txn{.success = {{Put{.key = "b"}}, {Range{.revision = Revision(2)}}}};
  for (Tester* t : {&slow, &quick}) {
    EXPECT_EQ(reason_of(t->apply(txn)), Reason::RevisionCompacted);
    EXPECT_EQ(t->store.apply(t->store.applied_index() + 1, {.body = txn}, false).reply.failure.reason,
              Reason::RevisionCompacted);
  }
  EXPECT_EQ(slow.store.digest(), quick.store.digest());
}

// No API sends these; a hostile member must not make members differ.
TEST(Store, AKeyChangedTwiceInOneRevisionStandsOnceInItsBatch) {
  Tester t;
  t.put("old", "0");
  const Applied applied = t.apply(Txn{.success = {{Put{.key = "old", .value = "1"}},
                                                  {Put{.key = "new", .value = "1"}},
                                                  {Put{.key = "old", .value = "2"}},
                                                  {DeleteRange{.range = {.begin = "new", .single = true}}},
                                                  {Put{.key = "new2"}}}});
  EXPECT_EQ(applied.reply.revision, Revision(3));
  EXPECT_EQ(t.watch(3), "3:~old(0)+new2");
  EXPECT_EQ(t.store.get("old")->version, 3);
  EXPECT_EQ(t.list({}, 2), "old=0");
  const Applied nothing =
      t.apply(Txn{.success = {{Put{.key = "x"}}, {DeleteRange{.range = {.begin = "x", .single = true}}}}});
  EXPECT_EQ(nothing.reply.revision, Revision(4));
  ASSERT_NE(nothing.changes, nullptr);
  EXPECT_TRUE(nothing.changes->changes.empty());
  t.must(Txn{.success = {{DeleteRange{.range = {.begin = "old", .single = true}}},
                         {Put{.key = "old", .ignore_value = true}}}});
  EXPECT_EQ(t.store.get("old")->create_revision, Revision(5));
  EXPECT_TRUE(t.store.get("old")->value.empty());
}

TEST(Store, AReadOnlyTransactionNeedsNoLog) {
  Tester t;
  t.put("a", "1");
  const Reply reply = t.store.read(
      Txn{.compares = {{.range = {.begin = "a", .single = true}, .target = CompareTarget::Value, .value = "1"}},
          .success = {{Range{}}, {Txn{.success = {{Range{.count_only = true}}}}}}});
  const TxnResult& result = std::get<TxnResult>(reply.result);
  EXPECT_TRUE(result.succeeded);
  EXPECT_EQ(Tester::text(std::get<RangeResult>(result.results[0].what)), "a=1");
  EXPECT_EQ(t.store.read(Txn{.success = {{Range{.revision = Revision(9)}}}}).failure.reason, Reason::RevisionInFuture);
}

// ---- Compaction and history ---------------------------------------------------------------------

TEST(Store, CompactRefusesWhatIsDoneAndWhatIsNotYet) {
  Tester t;
  t.put("a");
  EXPECT_EQ(reason_of(t.apply(Compact{Revision(-1)})), Reason::RevisionCompacted);
  EXPECT_EQ(t.must(Compact{Revision(0)}), 2);
  EXPECT_EQ(reason_of(t.apply(Compact{Revision(3)})), Reason::RevisionInFuture);
  EXPECT_EQ(t.must(Compact{Revision(2)}), 2);
  const Applied again = t.apply(Compact{Revision(2)});
  EXPECT_EQ(reason_of(again), Reason::RevisionCompacted);
  EXPECT_EQ(again.reply.failure.compacted, Revision(2));
}

// etcd #18089, #19179.
TEST(Store, AWatchFromTheCompactedRevisionSeesADeletionThere) {
  Tester t;
  t.put("a", "1");  // 2
  t.put("b", "1");  // 3
  t.remove("a");    // 4
  t.put("b", "2");  // 5
  t.must(Compact{Revision(4)});
  EXPECT_EQ(t.watch(4), "4:-a 5:~b(1)") << "previous values below the compacted revision are gone";
  t.compact_physically();
  EXPECT_EQ(t.watch(4), "4:-a 5:~b(1)") << "physical removal shows nowhere";
  EXPECT_EQ(t.watch(3), "failure 5 at 4");
  EXPECT_EQ(t.list({}, 4), "b=1");
  t.compact_all(5);
  EXPECT_EQ(t.watch(5), "5:~b");
  EXPECT_EQ(t.list(), "b=2");
  EXPECT_EQ(t.watch(6), "") << "the present";
  EXPECT_EQ(t.watch(60), "") << "and the future";
}

TEST(Store, HistoryIsFilteredByRangesAndBoundedByWork) {
  Tester t;
  t.must(Txn{.success = {{Put{.key = "a"}}, {Put{.key = "b"}}, {Put{.key = "c"}}}});  // 2
  t.put("b", "2");                                                                    // 3
  t.put("z");                                                                         // 4
  const std::vector<KeyRange> ranges{KeyRange::single("a"), {"c", "d"}};
  HistorySlice slice = *t.store.history(Revision(1), ranges, 100, 1 << 20);
  ASSERT_EQ(slice.batches.size(), 1u);
  EXPECT_EQ(slice.batches[0]->changes.size(), 2u);
  EXPECT_EQ(slice.through, Revision(4));
  slice = *t.store.history(Revision(2), ranges, 1, 1 << 20);
  EXPECT_EQ(slice.through, Revision(2));
  slice = *t.store.history(Revision(3), ranges, 1, 1 << 20);
  EXPECT_TRUE(slice.batches.empty());
  EXPECT_EQ(slice.through, Revision(3)) << "empty slices make progress too";
  const KeyRange all = KeyRange::all();
  const auto whole = t.store.history(Revision(3), std::span(&all, 1), 100, 1 << 20);
  EXPECT_EQ(whole->batches[0].get(), t.store.history(Revision(3), std::span(&all, 1), 100, 1 << 20)->batches[0].get())
      << "shared, not copied";
}

TEST(Store, HashesAgreeWhateverIsRemovedAndSkipDeletionsAtTheCompactedRevision) {
  Tester lazy;
  Tester eager;
  for (Tester* t : {&lazy, &eager}) {
    t->put("a", "1");
    t->put("b", "1");
    t->put("a", "2");
    t->remove("b");  // 5
    t->put("c", "3");
    t->must(Compact{Revision(5)});
  }
  eager.compact_physically();
  EXPECT_EQ(lazy.hash(), eager.hash());
  EXPECT_EQ(lazy.hash(5), eager.hash(5));
  EXPECT_NE(lazy.hash(5), lazy.hash(6));
  EXPECT_EQ(lazy.store.start_hash(Revision(4)).error().reason, Reason::RevisionCompacted);
  EXPECT_EQ(lazy.store.start_hash(Revision(7)).error().reason, Reason::RevisionInFuture);
  // A store that never had "b" except for the deletion that is skipped hashes alike.
  Tester other;
  other.put("x");
  other.put("x");
  other.put("a", "1");
  Tester with_b;
  with_b.put("b");
  with_b.remove("b");
  with_b.put("a", "1");
  other.must(DeleteRange{.range = {.begin = "x", .single = true}});
  with_b.put("b");
  other.must(Compact{Revision(4)});
  with_b.must(Compact{Revision(4)});
  EXPECT_NE(other.hash(4), with_b.hash(4)) << "x is alive at 4 in one of them";
  other.must(Compact{Revision(5)});
  EXPECT_EQ(other.hash(5), with_b.hash(4));
}

TEST(Store, CompactionFreesWhatNothingNeeds) {
  Tester t;
  for (int i = 0; i < 1000; ++i) t.put("hot", std::string(1000, 'x'));
  for (int i = 0; i < 1000; ++i) t.put(fmt::format("k{}", i));
  for (int i = 0; i < 1000; ++i) t.remove(fmt::format("k{}", i));
  EXPECT_GT(t.store.usage().history_bytes, 1'000'000);
  t.compact_all(t.store.revision().value);
  EXPECT_EQ(t.store.usage().history_bytes, 0);
  EXPECT_EQ(t.store.usage().keys, 1u);
  EXPECT_LT(t.store.usage().memory_bytes, 2000);
  EXPECT_FALSE(t.store.compact_step(1));
}

TEST(Store, KnowsWhatToCompactToForATimeOrASize) {
  Tester t;
  for (int i = 0; i < 10; ++i) {
    t.stamp = 1000 + 100 * i;
    t.put("k", std::string(1000, 'x'));  // revision i + 2
  }
  EXPECT_EQ(t.store.revision_as_of(WallTime{1350}), Revision(5));
  EXPECT_EQ(t.store.revision_as_of(WallTime{99'999}), Revision(11));
  EXPECT_EQ(t.store.revision_as_of(WallTime{0}), Revision(1));
  const int64_t all = t.store.usage().history_bytes;
  EXPECT_EQ(t.store.revision_to_fit(all), Revision(-1));
  const Revision half = t.store.revision_to_fit(all / 2);
  t.must(Compact{half});
  EXPECT_LE(t.store.usage().history_bytes, all / 2);
  EXPECT_GT(t.store.usage().history_bytes, all / 3);
  EXPECT_EQ(t.store.revision_to_fit(0), Revision(11));
  EXPECT_EQ(t.store.revision_as_of(WallTime{0}), half);
}

// ---- Leases -------------------------------------------------------------------------------------

TEST(Store, GrantChecksIdAndTime) {
  Tester t;
  EXPECT_EQ(std::get<LeaseGrantResult>(t.apply(LeaseGrant{.id = LeaseId(-4), .ttl_ms = -1}).reply.result).ttl_ms, 2000);
  EXPECT_EQ(reason_of(t.apply(LeaseGrant{.id = LeaseId(-4), .ttl_ms = 5000})), Reason::LeaseExists);
  EXPECT_EQ(reason_of(t.apply(LeaseGrant{.id = LeaseId(-4), .ttl_ms = 9'000'000'001'000})), Reason::LeaseTtlTooLarge);
  EXPECT_EQ(reason_of(t.apply(LeaseGrant{.id = LeaseId(5), .ttl_ms = 9'000'000'000'000})), Reason::None);
  t.must(SettingsChange{.min_lease_ttl_ms = 5000});
  EXPECT_EQ(std::get<LeaseGrantResult>(t.apply(LeaseGrant{.id = LeaseId(6), .ttl_ms = 1}).reply.result).ttl_ms, 5000);
  EXPECT_EQ(std::get<LeaseGrantResult>(
                t.apply(LeaseGrant{.id = LeaseId(7), .kind = LeaseKind::ZooKeeper, .ttl_ms = 1}).reply.result)
                .ttl_ms,
            1);
}

TEST(Store, IdsAreAllocatedFromTheStateAlone) {
  Tester a;
  Tester b;
  for (int i = 0; i < 3; ++i) {
    const auto one = std::get<LeaseGrantResult>(a.apply(LeaseGrant{.ttl_ms = 5000}).reply.result).id;
    const auto other = std::get<LeaseGrantResult>(b.apply(LeaseGrant{.ttl_ms = 5000}).reply.result).id;
    EXPECT_EQ(one, other);
    EXPECT_GT(one, LeaseId(0));
  }
  EXPECT_EQ(a.store.usage().leases, 3u);
}

TEST(Store, RevokeDeletesWhatTheLeaseOwnsNowInOneRevision) {
  Tester t;
  t.grant(7);
  t.grant(8);
  t.put("b", "1", 7);
  t.put("a", "1", 7);
  t.put("moved", "1", 7);
  t.put("moved", "2", 8);
  t.put("freed", "1", 7);
  t.put("freed", "2");
  t.put("gone", "1", 7);
  t.remove("gone");
  EXPECT_EQ(t.store.lease(LeaseId(7))->keys, 2u);
  const int64_t at = t.must(LeaseRevoke{.id = LeaseId(7)});
  EXPECT_EQ(t.watch(at), fmt::format("{}:-a(1)-b(1)", at));
  EXPECT_EQ(t.list(), "freed=2 moved=2");
  EXPECT_FALSE(t.store.lease(LeaseId(7)));
  EXPECT_EQ(reason_of(t.apply(LeaseRevoke{.id = LeaseId(7)})), Reason::LeaseNotFound);
  EXPECT_EQ(reason_of(t.apply(Put{.key = "x", .lease = LeaseId(7)})), Reason::LeaseNotFound);
}

TEST(Store, ALeaseOfAnotherKindIsNotFound) {
  Tester t;
  t.must(LeaseGrant{.id = LeaseId(3), .kind = LeaseKind::Consul, .ttl_ms = 5000});
  EXPECT_EQ(reason_of(t.apply(Put{.key = "x", .lease = LeaseId(3)})), Reason::LeaseNotFound);
  EXPECT_EQ(reason_of(t.apply(LeaseRevoke{.id = LeaseId(3)})), Reason::LeaseNotFound);
  EXPECT_EQ(t.must(LeaseRevoke{.id = LeaseId(3), .kind = LeaseKind::Consul}), 1);
}

TEST(Store, CheckpointsLeaveRemainingTimeForTheNextLeader) {
  Tester t;
  t.grant(7, 60'000);
  t.must(LeaseCheckpoint{{{LeaseId(7), 30'000}, {LeaseId(99), 1}}});
  EXPECT_EQ(t.store.lease(LeaseId(7))->remaining_ms, 30'000);
  t.must(LeaseCheckpoint{{{LeaseId(7), 90'000}}});
  EXPECT_EQ(t.store.lease(LeaseId(7))->remaining_ms, 0) << "never more than was granted";
  const std::vector<LeaseInfo> listed = t.store.leases(LeaseId(6), 10);
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_TRUE(t.store.leases(LeaseId(7), 10).empty());
}

// ---- Alarms and the digest ----------------------------------------------------------------------

TEST(Store, NoSpaceRefusesGrowthAndNothingElse) {
  Tester t;
  t.grant(7);
  t.put("a", "1", 7);
  t.must(AlarmChange{.member = 1, .kind = AlarmKind::NoSpace, .active = true});
  EXPECT_EQ(reason_of(t.apply(Put{.key = "b"})), Reason::NoSpace);
  EXPECT_EQ(reason_of(t.apply(LeaseGrant{.id = LeaseId(8)})), Reason::NoSpace);
  EXPECT_EQ(reason_of(t.apply(Txn{.failure = {{Txn{.success = {{Put{.key = "b"}}}}}}})), Reason::NoSpace);
  EXPECT_EQ(reason_of(t.apply(Txn{.success = {{DeleteRange{}}}})), Reason::None);
  EXPECT_EQ(reason_of(t.apply(LeaseRevoke{.id = LeaseId(7)})), Reason::None);
  EXPECT_EQ(reason_of(t.apply(Compact{t.store.revision()})), Reason::None);
  t.must(AlarmChange{.member = 2, .kind = AlarmKind::NoSpace, .active = true});
  EXPECT_EQ(t.store.alarms().size(), 2u);
  const Applied cleared = t.apply(AlarmChange{.member = 0, .kind = AlarmKind::NoSpace, .active = false});
  EXPECT_EQ(std::get<AlarmResult>(cleared.reply.result).changed.size(), 2u);
  EXPECT_EQ(t.put("b"), 4);
}

TEST(Store, CorruptRefusesEverythingButRepair) {
  Tester t;
  t.grant(7);
  t.put("a");
  t.must(AlarmChange{.member = 1, .kind = AlarmKind::Corrupt, .active = true});
  for (const Body& body : std::vector<Body>{Put{.key = "b"}, DeleteRange{}, Txn{}, Compact{Revision(2)}, LeaseGrant{},
                                            LeaseRevoke{.id = LeaseId(7)}}) {
    EXPECT_EQ(reason_of(t.apply(body)), Reason::CorruptCluster);
  }
  EXPECT_EQ(t.list(), "a=v") << "reads are served";
  t.must(AlarmChange{.member = 1, .active = false});
  EXPECT_EQ(t.put("b"), 3);
}

TEST(Store, TheDigestIsOfTheStateNotOfTheWayThere) {
  Tester a;
  Tester b;
  a.put("x", "1");
  a.put("y", "2");
  b.put("x", "other");
  b.put("x", "1");
  EXPECT_NE(a.store.digest(), b.store.digest());
  const Digest before = a.store.digest();
  a.must(Compact{Revision(2)});
  a.compact_physically();
  EXPECT_EQ(a.store.digest(), before) << "compaction never changes it (core S7)";
  a.grant(9);
  EXPECT_NE(a.store.digest(), before);
  a.must(LeaseRevoke{.id = LeaseId(9)});
  EXPECT_EQ(a.store.digest(), before);
  a.must(AlarmChange{.member = 1, .kind = AlarmKind::NoSpace, .active = true});
  EXPECT_NE(a.store.digest(), before);
  a.must(AlarmChange{.active = false});
  EXPECT_EQ(a.store.digest(), before);
  a.put("x", "1");
  EXPECT_NE(a.store.digest(), before) << "same value, another version";
}

}  // namespace
}  // namespace witan::store
