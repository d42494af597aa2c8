// Stories about reads that could be stale.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

constexpr const char* kCompacted = "etcdserver: mvcc: required revision has been compacted";

verify::Txn write_and_read_at(const std::string& key, const std::string& value, int64_t revision) {
  verify::Txn txn;
  txn.when.push_back({.key = key, .target = verify::Compare::Target::Version, .number = 0, .text = {}});
  txn.then.emplace_back(verify::Put{.key = key, .value = value});
  txn.then.emplace_back(verify::Range{.begin = "fill/0", .end = {}, .revision = revision});
  return txn;
}

// Who is cut off and still believes to lead must not answer a read by itself.
TEST(Reads, ADeposedLeaderAnswersNothingOld) {
  Scenario world;
  const MachineId old = world.leader();
  Client here = world.client(old);
  here.put("a", "old").expect_ok();
  world.isolate(old);
  here.get("a").expect_none_for(milliseconds(500));
  const MachineId next = world.wait_for_other_leader(old);
  world.client(next).put("a", "new").expect_ok();
  Answer read = here.get("a");
  read.expect_none_for(seconds(2));
  here.get_locally("a").expect_value("old");  // who asks for less gets it
  world.heal_network();
  read.expect_value("new");
}

// etcd #20418: a leader is paused after it asked its followers to confirm a read. Meanwhile another one leads and
// writes. A read that lies in the old one's inbox when it goes on must not be answered from before that.
TEST(Reads, APausedLeaderAnswersNothingOld) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scenario world(3, [&](Plan& plan) { plan.seed = seed; });
    const MachineId old = world.leader();
    const MachineId other = world.follower();
    Client early = world.client(old);
    Client late = world.client(old);
    Client there = world.client(other);
    early.put("a", "old").expect_ok();
    late.get("a").expect_value("old");
    world.part_one_way(world.follower(0), old);
    world.part_one_way(world.follower(1), old);
    early.get("a").expect_none_for(milliseconds(5));
    world.node(old).pause(seconds(5));
    world.wait_for_other_leader(old);
    there.put("a", "new").expect_ok();
    Answer read = late.get("a");
    world.heal_network();
    read.expect_none_for(milliseconds(100));
    world.node(old).end_pause();
    read.expect_value("new");
  }
}

// The core of etcd #20418: the answers to an old question reach the old leader after a new read, and before anything
// that tells it of its successor. `voter` had answered before it voted for somebody else. The old question came from a
// client of the leader, or of the voter.
TEST(Reads, AnswersToAnOldQuestionConfirmNoNewRead) {
  for (const bool forwarded : {false, true}) {
    Scenario world(3, [](Plan& plan) {
      plan.network.least_delay = milliseconds(5);
      plan.network.most_delay = milliseconds(5);
      plan.network.late_per_mille = 0;
    });
    const MachineId old = world.leader();
    const MachineId next = world.follower(0);
    const MachineId voter = world.follower(1);
    Client early = world.client(forwarded ? voter : old);
    Client late = world.client(old);
    Client there = world.client(next);
    there.put("a", "old").expect_ok();
    early.get("a").expect_value("old");
    late.get("a").expect_value("old");
    early.get("a");
    world.run_for(milliseconds(forwarded ? 17 : 12));  // the question is on its way to the followers, or there
    world.part_one_way(next, old);
    world.part_one_way(voter, old);
    world.run_for(milliseconds(10));
    late.rpc("/etcdserverpb.Maintenance/MoveLeader", etcd::encode_move_leader(world.node(next).id()));
    ASSERT_TRUE(world.run_until([&] { return world.world().leader() == next; }, milliseconds(500)));
    there.put("a", "new").expect_ok();
    Answer read = late.get("a");
    read.expect_none_for(milliseconds(7));
    world.world().network().unblock(voter, old);
    world.run_for(milliseconds(50));
    world.heal_network();
    read.expect_value("new");
  }
}

// etcd #21385: one that has just become leader answered before it knew how far the log was committed. `next` holds a
// write that was acknowledged by another member, does not know that it was, and reaches nobody.
TEST(Reads, ANewLeaderAnswersOnlyAfterItsFirstCommit) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Scenario world(3, [&](Plan& plan) { plan.seed = seed; });
    const MachineId old = world.leader();
    const MachineId x = world.follower(0);
    const MachineId y = world.follower(1);
    Client client = world.client(old);
    client.put("a", "old").expect_ok();
    client.put("a", "new").expect_ok();
    world.node(old).lose_power();
    const MachineId next = world.wait_for_other_leader(old);
    const MachineId rest = next == x ? y : x;
    world.part({next}, {rest});
    Answer read = world.client(next).get("a");
    read.expect_none_for(milliseconds(300));
    world.heal_network();
    world.bring_back(old);
    read.expect_value("new");
  }
}

// etcd #18667, #21432: a transaction that reads a compacted revision failed on the members that had removed it already
// and not on the others. Here the state of one member is far behind when the transaction comes; it must do the same.
TEST(Reads, ATransactionAtACompactedRevisionIsTheSameEverywhere) {
  Scenario world;
  Client client = world.client(world.leader());
  client.fill(30);
  const int64_t revision = client.put("fill/0", "kept").revision();
  const MachineId slow = world.follower();
  world.node(slow).block_state(seconds(2));
  client.compact(revision).expect_ok();
  client.call(write_and_read_at("b", "never", revision - 1)).expect_error(kCompacted);
  client.call(write_and_read_at("c", "written", revision)).expect_ok();
  world.wait_for(slow);
  for (const MachineId machine : world.world().members()) {
    Client local = world.client(machine);
    local.get_locally("b").expect_nothing();
    local.get_locally("c").expect_value("written");
    local.get_at("fill/0", revision - 1).expect_error(kCompacted);
    local.get_at("fill/0", revision).expect_value("kept");
  }
}

// The same when one member got there by a snapshot and another by its log.
TEST(Reads, WhatIsCompactedIsTheSameAfterASnapshot) {
  Scenario world(3, [](Plan& plan) {
    plan.snapshot_entries = 10;
    plan.keep_entries = 0;
    plan.inflight_messages = 1;
    plan.append_bytes = 1;
  });
  const MachineId late = world.follower();
  Client client = world.client(world.leader());
  client.fill(5);
  world.isolate(late);
  client.fill(40);
  const int64_t revision = client.put("fill/0", "kept").revision();
  client.compact(revision).expect_ok();
  client.fill(20, "more/");
  world.heal_network();
  client.call(write_and_read_at("b", "never", revision - 1)).expect_error(kCompacted);
  client.call(write_and_read_at("c", "written", revision)).expect_ok();
  world.wait_for(late);
  EXPECT_GT(world.world().observer().snapshots_installed(), 0U);
  world.client(late).get_at("fill/0", revision - 1).expect_error(kCompacted);
  world.client(late).get_at("fill/0", revision).expect_value("kept");
  world.client(late).get_locally("b").expect_nothing();
}

}  // namespace
}  // namespace witan::sim
