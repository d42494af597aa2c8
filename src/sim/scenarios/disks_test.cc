// Stories about disks that hang, are full, are empty, or do not keep what they were given.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

// etcd #13527, #14338 (and Consul #22064): a leader whose disk hung went on leading, and nothing was written until the
// disk came back.
TEST(Disks, ALeaderWhoseDiskHangsGivesTheLeadAway) {
  Scenario world;
  const MachineId old = world.leader();
  world.client(old).put("a", "1").expect_ok();
  world.node(old).pace().stall_until(world.world().scheduler().now() + seconds(40));
  const Instant begin = world.world().scheduler().now();
  Answer first = world.client(world.follower()).put("a", "2");
  world.wait_for_other_leader(old);
  EXPECT_LT(world.world().scheduler().now() - begin, seconds(6));
  first.expect_ok();
  Client client = world.client(world.world().leader());
  for (int i = 3; i < 10; ++i) client.put("a", std::to_string(i)).expect_ok();
  world.run_for(seconds(20));
  EXPECT_NE(world.world().leader(), old) << "it must not come back while its disk hangs";
  world.client(old).get("a").expect_value("9");
  world.run_for(seconds(20));
}

// A follower whose disk hangs holds nobody up.
TEST(Disks, AFollowerWhoseDiskHangsHoldsNobodyUp) {
  Scenario world;
  const MachineId leader = world.leader();
  world.node(world.follower()).pace().stall_until(world.world().scheduler().now() + seconds(20));
  Client client = world.client(leader);
  for (int i = 0; i < 50; ++i) client.put("a", std::to_string(i)).expect_ok();
  world.run_for(seconds(25));
  EXPECT_EQ(world.world().leader(), leader);
}

// ZooKeeper 3701: a full disk let a server go on without its log, and there were two leaders. Here the member ends, the
// others go on, and it is one of them again when there is space.
TEST(Disks, AFullDiskEndsItsMemberAndNoOther) {
  for (const bool leading : {true, false}) {
    Scenario world(3, [](Plan& plan) { plan.segment_bytes = 4096; });
    const MachineId victim = leading ? world.leader() : world.follower();
    const MachineId other = leading ? world.follower() : world.leader();
    world.client(victim).put("a", "1").expect_ok();
    world.node(victim).disk().set_full(true);
    std::vector<Answer> answers;
    Client client = world.client(victim);
    for (int i = 0; i < 40; ++i) answers.push_back(client.put("b", std::to_string(i) + std::string(500, 'x')));
    EXPECT_TRUE(world.run_until([&] { return !world.node(victim).running(); })) << "it goes on without a log";
    ASSERT_TRUE(world.node(victim).last_error().has_value());
    EXPECT_NE(world.node(victim).last_error()->message.find("no space left"), std::string::npos);
    world.run_for(seconds(3));
    Client there = world.client(other);
    there.put("a", "2").expect_ok();
    world.node(victim).disk().set_full(false);
    world.bring_back(victim);
    world.client(victim).get("a").expect_value("2");
    EXPECT_TRUE(world.node(victim).complaints().empty());
  }
}

// Keeper #112101: the power failed while entries that stood in several files were cut off, and the member never started
// again. A leader that was cut off writes many segments nobody else has; the power fails at every step of its way back.
TEST(Disks, PowerLostWhileManySegmentsAreCut) {
  for (uint64_t steps = 1; steps <= 25; ++steps) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = steps;
      plan.segment_bytes = 4096;
    });
    const MachineId old = world.leader();
    Client client = world.client(old).patience(seconds(1));
    client.put("a", "1").expect_ok();
    world.isolate(old);
    for (int i = 0; i < 40; ++i) client.put("lost", std::to_string(i) + std::string(1000, 'x'));
    const MachineId next = world.wait_for_other_leader(old);
    world.client(next).put("a", "2").expect_ok();
    world.node(old).lose_power_after(steps);
    world.heal_network();
    world.run_for(seconds(3));
    world.node(old).lose_power();  // where it has not happened yet
    world.bring_back(old);
    world.client(old).get("a").expect_value("2");
    world.client(old).get("lost").expect_nothing();
    EXPECT_TRUE(world.node(old).complaints().empty());
  }
}

// ZooKeeper 2325, 3644, Keeper #31150: damage was read as "nothing there". A member finds it and does not start, or it
// lies where nothing is read any more; nobody is ever served what was damaged, and the others do without it.
TEST(Disks, ADamagedMemberRefusesOrIsWhole) {
  size_t refused = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      plan.snapshot_entries = 20;
      plan.keep_entries = 5;
      plan.segment_bytes = 4096;
    });
    Client client = world.client(world.leader());
    const MachineId victim = world.follower();
    client.fill(30);
    client.put("a", "1").expect_ok();
    world.wait_for(victim);
    world.node(victim).kill();
    world.node(victim).damage();
    ASSERT_TRUE(world.node(victim).damaged());
    world.node(victim).start();
    world.run_for(seconds(5));
    client.put("b", "2").expect_ok();
    if (!world.node(victim).running()) {
      ++refused;
      EXPECT_TRUE(world.node(victim).given_up());
      continue;
    }
    world.wait_for(victim);
    world.client(victim).get_locally("a").expect_value("1");
  }
  EXPECT_GT(refused, 5U) << "most bits are in use";
}

// Seeds 7004397 and 60013912 (a snapshot before the log): of the two that had written it one was damaged, so the other
// is the only one that can bring it to the third. What counts as durable is what members wrote, not what the world left
// of it.
TEST(Disks, WhatOneHasAloneAfterDamageIsNotLost) {
  size_t damaged_logs = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      plan.snapshot_entries = seed <= 20 ? 100'000 : 40;
      plan.segment_bytes = 4096;
    });
    const MachineId leader = world.leader();
    const MachineId victim = world.follower(0);
    const MachineId late = world.follower(1);
    world.isolate(late);
    Client client = world.client(leader);
    client.fill(100);
    client.put("a", "1").expect_ok();
    world.wait_for(victim);
    world.node(victim).kill();
    world.node(victim).damage();
    world.node(victim).start();
    world.run_for(milliseconds(500));
    if (world.node(victim).running()) continue;
    damaged_logs += world.node(victim).last_error()->message.contains("/log/") ? 1 : 0;
    world.world().observer().examine_disks();
    world.heal_network();
    world.wait_for(late);
    world.client(late).get("a").expect_value("1");
  }
  EXPECT_GT(damaged_logs, 2U);
}

// A voter whose disk was emptied has forgotten what it acknowledged, and its vote. Under its old name it counts for
// nothing: with one member down and another one late, nobody may lead (core M1).
TEST(Disks, AnEmptiedDiskIsNotTheVoterItWas) {
  Scenario world;
  const MachineId leader = world.leader();
  const MachineId wiped = world.follower(0);
  const MachineId late = world.follower(1);
  Client client = world.client(leader);
  client.put("a", "1").expect_ok();
  const uint64_t id = world.node(wiped).id();
  world.node(late).kill();
  client.put("a", "2").expect_ok();
  world.node(leader).kill();
  world.node(wiped).kill();
  world.node(wiped).disk().wipe();
  world.node(late).start();
  world.node(wiped).start();
  const uint64_t term = world.world().observer().term();
  world.run_for(seconds(30));
  EXPECT_EQ(world.world().observer().term(), term) << "somebody leads without the acknowledged write";
  world.bring_back(leader);
  Client again = world.client(leader);
  again.get("a").expect_value("2");
  world.world().retire(wiped);
  world.leader();
  again.remove_member(id).expect_ok();
  world.join(again);
}

}  // namespace
}  // namespace witan::sim
