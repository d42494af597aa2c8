// Stories about snapshots that power failures, other snapshots and partitions interrupt.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

void often_snapshotted(Plan& plan) {
  plan.snapshot_entries = 10;
  plan.keep_entries = 0;
  plan.segment_bytes = 4096;
}

// ZooKeeper 3642, 2872, 4646: the power failed while a snapshot was being installed, and the state went back to an old
// one. Here it fails at every step of the disk's work, and the member catches up whatever it left behind.
TEST(Snapshots, PowerLostAtAnyStepOfAnInstallation) {
  bool early = false;  // it failed before the member had caught up
  bool late = false;   // and after
  for (uint64_t steps = 1; steps <= 40; ++steps) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = steps;
      often_snapshotted(plan);
    });
    const MachineId victim = world.follower();
    Client client = world.client(world.leader());
    client.fill(15);
    world.node(victim).kill();
    client.fill(40);
    world.node(victim).start();
    world.node(victim).lose_power_after(steps);
    world.run_for(seconds(2));
    (world.node(victim).running() ? late : early) = true;
    world.node(victim).lose_power();  // where it has not happened yet
    client.fill(3);
    world.bring_back(victim);
    client.put("a", "1").expect_ok();
    world.wait_for(victim);
    world.client(victim).get_locally("a").expect_value("1");
    // What it has now is its own: it can lose its power again.
    world.node(victim).lose_power();
    world.bring_back(victim);
    EXPECT_TRUE(world.node(victim).complaints().empty());
  }
  EXPECT_TRUE(early);
  EXPECT_TRUE(late);
}

// ZooKeeper 2325, 3056, 3231, 3644: what a broken snapshot left was taken for an empty state, or the only good one was
// thrown away. Power fails at every step of a member's own snapshots and of the cutting of its log. It is alone, so
// nobody can help it.
TEST(Snapshots, PowerLostAtAnyStepOfOnesOwn) {
  for (uint64_t steps = 1; steps <= 60; ++steps) {
    Scenario world(1, [&](Plan& plan) {
      plan.seed = steps;
      often_snapshotted(plan);
    });
    Client client = world.client(1);
    client.put("kept", "1").expect_ok();
    client.fill(7);
    world.node(1).lose_power_after(steps);
    std::vector<Answer> answers;
    for (int i = 0; i < 40; ++i) {
      answers.push_back(client.put("busy", std::to_string(i) + std::string(600, 'x')));
      world.run_for(milliseconds(1));
    }
    world.run_for(seconds(1));
    world.node(1).lose_power();  // where it has not happened yet
    world.bring_back(1);
    world.client(1).get("kept").expect_value("1");
    EXPECT_TRUE(world.node(1).complaints().empty());
  }
}

// etcd #18055, #20271, #20650: a second snapshot came while the first was still being installed, and work on the state
// went on meanwhile. The member that needs them is slow, is asked for copies of its state and for compactions, and
// hears from its leader in short moments only.
TEST(Snapshots, OneAfterTheOtherWhileTheStateIsBusy) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      often_snapshotted(plan);
      plan.inflight_messages = 1;
      plan.append_bytes = 1;
      plan.disk_time = milliseconds(5);
    });
    const MachineId late = world.follower();
    Client client = world.client(world.leader());
    Client there = world.client(late);
    Rng rng(seed);
    for (int round = 0; round < 10; ++round) {
      world.isolate(late);
      client.fill(25);
      const int64_t revision = client.put("a", std::to_string(round)).revision();
      if (rng.chance(1, 2)) client.compact(revision).expect_ok();
      there.rpc("/etcdserverpb.Maintenance/Defragment", "").expect_ok();
      there.rpc("/etcdserverpb.Maintenance/HashKV", "");
      world.node(late).block_state(Duration(rng.between(0, 50'000'000)));
      world.heal_network();
      world.run_for(Duration(rng.between(0, 120'000'000)));
    }
    world.wait_for(late);
    EXPECT_GT(world.world().observer().snapshots_installed(), 0U);
    there.get_locally("a").expect_value("9");
  }
}

// A member takes in a snapshot whose sender leads no more when it is complete, and then its successor's, which is
// older: the state is the newest one's, while the log goes on from the older one.
TEST(Snapshots, AnOlderOneAfterOneThatCameTooLate) {
  size_t met = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      often_snapshotted(plan);
      plan.inflight_messages = 1;
      plan.append_bytes = 1;
    });
    const MachineId late = world.follower(0);
    const MachineId next = world.follower(1);
    const MachineId old = world.leader();
    Client client = world.client(old);
    client.fill(5);
    world.isolate(late);
    // Whoever applies many entries at once has its snapshots elsewhere.
    world.node(next).block_state(milliseconds(400));
    client.fill(24 + seed % 5);
    world.run_for(milliseconds(500));
    client.fill(6);
    const auto now = [&] { return world.world().scheduler().now(); };
    world.node(late).pace().stall_until(now() + milliseconds(700));
    world.world().network().unblock(late, old);
    world.world().network().unblock(old, late);
    world.run_for(milliseconds(250));
    world.give_lead_to(next);
    world.heal_network();
    const uint64_t before = world.world().observer().snapshots_installed();
    world.wait_for(late);
    if (world.world().observer().snapshots_installed() > before) ++met;
    client.put("a", "1").expect_ok();
    world.wait_for(late);
    world.client(late).get_locally("a").expect_value("1");
  }
  EXPECT_GT(met, 0U);
}

// A state in pieces: a stream that breaks in the middle of a large snapshot leaves nothing half installed.
TEST(Snapshots, AStreamThatBreaksInTheMiddle) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      often_snapshotted(plan);
      plan.network.buffer_bytes = 4000;
      plan.network.largest_chunk = 1000;
    });
    const MachineId late = world.follower();
    Client client = world.client(world.leader());
    world.node(late).kill();
    for (int i = 0; i < 40; ++i) {
      const std::string number = std::to_string(i);
      client.put("large/" + number, number + std::string(20'000, 'x')).expect_ok();
    }
    world.node(late).start();
    for (int i = 0; i < 60; ++i) {
      world.run_for(milliseconds(10));
      world.world().network().cut_one();
    }
    world.wait_for(late);
    EXPECT_GT(world.world().observer().snapshots_installed(), 0U);
    world.client(late).get_locally("large/39").expect_ok();
  }
}

}  // namespace
}  // namespace witan::sim
