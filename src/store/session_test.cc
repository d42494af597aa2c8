// ZooKeeper's sessions in the state (core L1, L4, L5).
#include <gtest/gtest.h>

#include <set>

#include "store/testing.h"

namespace witan::store {
namespace {

struct Sessions : Tester {
  LeaseGrantResult open(uint32_t member, uint32_t salt = 9, int64_t ttl_ms = 5000) {
    const Applied applied = apply(SessionOpen{.member_number = member, .salt = salt, .ttl_ms = ttl_ms});
    EXPECT_EQ(applied.reply.failure.reason, Reason::None);
    return std::get<LeaseGrantResult>(applied.reply.result);
  }
  Applied attach(LeaseId id, int64_t ttl_ms = 0) { return apply(SessionAttach{.id = id, .ttl_ms = ttl_ms}); }
  Reason end(LeaseId id, uint64_t generation) {
    return apply(LeaseRevoke{.id = id, .kind = LeaseKind::ZooKeeper, .generation = generation}).reply.failure.reason;
  }
  Reason write(LeaseId id, uint64_t generation) {
    NodeTxn txn;
    txn.operations.push_back({CreateNode{.path = "/s-", .sequential = true}});
    Command command{.body = std::move(txn)};
    command.header.session = id;
    command.header.attach_generation = generation;
    return store.apply(store.applied_index() + 1, command, true).reply.failure.reason;
  }
};

TEST(Session, IdsAreUniqueWithTheMembersNumberOnTop) {
  Sessions t;
  std::set<int64_t> ids;
  for (const uint32_t member : {1u, 2u, 127u, 128u, 254u}) {
    for (int i = 0; i < 3; ++i) {
      const LeaseId id = t.open(member, 0xabcdef).id;
      EXPECT_TRUE(ids.insert(id.value).second);
      EXPECT_EQ(static_cast<uint64_t>(id.value) >> 56, member);
      EXPECT_EQ(static_cast<uint64_t>(id.value) >> 32 & 0xffffff, 0xabcdefu);
    }
  }
  for (const LeaseInfo& lease : t.store.leases(std::nullopt, 100)) EXPECT_EQ(lease.kind, LeaseKind::ZooKeeper);
}

TEST(Session, AnIdInUseIsPassedOver) {
  Sessions t;
  const int64_t next = (int64_t{3} << 56) + 1;
  t.must(LeaseGrant{.id = LeaseId(next), .kind = LeaseKind::ZooKeeper, .ttl_ms = 1000});
  EXPECT_EQ(t.open(3, 0).id, LeaseId(next + 1));
}

TEST(Session, TimesAreKeptWithinWhatLeasesMayHave) {
  Sessions t;
  EXPECT_EQ(t.open(1, 1, 0).ttl_ms, 1);
  EXPECT_EQ(t.open(1, 1, INT64_MIN).ttl_ms, 1);
  const LeaseGrantResult longest = t.open(1, 1, INT64_MAX);
  EXPECT_EQ(t.store.lease(longest.id)->ttl_ms, longest.ttl_ms);
  const Applied again = t.attach(longest.id, INT64_MAX);
  EXPECT_EQ(std::get<LeaseGrantResult>(again.reply.result).ttl_ms, longest.ttl_ms);
}

TEST(Session, AnAttachMovesItAndStaleCommandsAreRefused) {  // core L5
  Sessions t;
  const LeaseGrantResult opened = t.open(1);
  EXPECT_EQ(opened.generation, 1u);
  EXPECT_EQ(t.write(opened.id, 1), Reason::None);
  t.must(LeaseCheckpoint{{{opened.id, 1000}}});
  const Applied attached = t.attach(opened.id, 7000);
  const auto& moved = std::get<LeaseGrantResult>(attached.reply.result);
  EXPECT_EQ(moved.generation, 2u);
  EXPECT_EQ(moved.ttl_ms, 7000);
  EXPECT_EQ(t.store.lease(opened.id)->generation, 2u);
  EXPECT_EQ(t.store.lease(opened.id)->remaining_ms, 0) << "its time begins anew";
  EXPECT_EQ(t.write(opened.id, 1), Reason::SessionMoved);
  EXPECT_EQ(t.write(opened.id, 3), Reason::SessionMoved);
  EXPECT_EQ(t.write(opened.id, 2), Reason::None);
  EXPECT_EQ(std::get<LeaseGrantResult>(t.attach(opened.id).reply.result).ttl_ms, 7000) << "0: as it is";
}

TEST(Session, IsNotEndedByWhoDidNotSeeItsLastAttach) {  // core L5
  Sessions t;
  const LeaseId id = t.open(1).id;
  t.attach(id);
  EXPECT_EQ(t.end(id, 1), Reason::SessionMoved);
  EXPECT_TRUE(t.store.lease(id).has_value());
  EXPECT_EQ(t.end(id, 2), Reason::None);
  EXPECT_FALSE(t.store.lease(id).has_value());
  EXPECT_EQ(t.end(id, 2), Reason::LeaseNotFound);
  EXPECT_EQ(t.write(id, 2), Reason::SessionExpired);
  EXPECT_EQ(t.attach(id).reply.failure.reason, Reason::SessionExpired);
}

// One that was granted with an id, as an import does, is protected as well.
TEST(Session, AGrantedOneHasAGenerationToo) {
  Sessions t;
  t.must(LeaseGrant{.id = LeaseId(-77), .kind = LeaseKind::ZooKeeper, .ttl_ms = 1000});
  EXPECT_EQ(t.store.lease(LeaseId(-77))->generation, 1u);
  t.attach(LeaseId(-77));
  EXPECT_EQ(t.end(LeaseId(-77), 1), Reason::SessionMoved);
}

TEST(Session, KindsActOnTheirOwn) {  // core L1
  Sessions t;
  t.grant(7);
  const LeaseId id = t.open(1).id;
  EXPECT_EQ(t.attach(LeaseId(7)).reply.failure.reason, Reason::SessionExpired);
  EXPECT_EQ(t.write(LeaseId(7), 0), Reason::SessionExpired);
  EXPECT_EQ(t.end(LeaseId(7), 0), Reason::LeaseNotFound);
  EXPECT_EQ(t.apply(LeaseRevoke{.id = id}).reply.failure.reason, Reason::LeaseNotFound);
  EXPECT_EQ(t.apply(Put{.key = "k", .lease = id}).reply.failure.reason, Reason::LeaseNotFound);
}

TEST(Session, TheCounterIsPartOfTheState) {
  Sessions a;
  Sessions b;
  EXPECT_EQ(a.open(1).id, b.open(1).id);
  EXPECT_EQ(a.store.digest(), b.store.digest());
  const LeaseId id = a.open(1).id;
  a.end(id, 0);
  b.must(Nothing{});
  b.must(Nothing{});
  EXPECT_NE(a.store.digest(), b.store.digest()) << "an id is never given out twice";
  const auto copy = restore(snapshot_of(a.store));
  ASSERT_TRUE(copy);
  const Command open{.body = SessionOpen{.member_number = 1, .salt = 9, .ttl_ms = 1}};
  const Applied again = (*copy)->apply((*copy)->applied_index() + 1, open, true);
  EXPECT_EQ(std::get<LeaseGrantResult>(again.reply.result).id.value, id.value + 1);
}

}  // namespace
}  // namespace witan::store
