// Stories about what an acknowledgement is worth when machines lose their power.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

void often_snapshotted(Plan& plan) {
  plan.snapshot_entries = 10;
  plan.keep_entries = 0;
  plan.segment_bytes = 4096;
}

// etcd #14370: a member alone in its cluster acknowledged what its log did not have yet.
TEST(Durability, AMemberAloneAnswersOnlyWhatItsDiskHas) {
  Scenario world(1);
  Client client = world.client(1);
  client.put("a", "1").expect_ok();
  world.node(1).pace().stall_until(world.world().scheduler().now() + milliseconds(600));
  Answer write = client.put("a", "2");
  write.expect_none_for(milliseconds(500));
  world.node(1).lose_power();
  world.bring_back(1);
  write.expect_unknown();
  Client other = world.client(1);
  other.get("a").expect_ok();
  other.put("a", "3").expect_ok();
  world.lose_all_power();
  world.client(1).get("a").expect_value("3");
}

// Of every acknowledged write, at the moment of its acknowledgement: it is on the synced disks of a quorum.
TEST(Durability, AnAcknowledgedWriteIsOnAQuorumsDisksAtOnce) {
  Scenario world(3, [](Plan& plan) { plan.disk_time = milliseconds(10); });
  Client client = world.client(world.follower());
  for (int i = 0; i < 20; ++i) {
    client.put("a", std::to_string(i)).expect_ok();
    world.world().observer().examine_disks();
  }
}

// ZooKeeper 3911, 4394, 4785, 4925: followers that were catching up said "I have it" before their disks had it. Here
// the member that caught up is needed for the quorum, and then everybody's power fails.
TEST(Durability, WhoCatchesUpAcknowledgesOnlyWhatItsDiskHas) {
  Scenario world(3, [](Plan& plan) {
    plan.disk_time = milliseconds(10);
    plan.append_bytes = 300;
  });
  const MachineId leader = world.leader();
  const MachineId steady = world.follower(0);
  const MachineId late = world.follower(1);
  Client client = world.client(leader);
  client.put("a", "1").expect_ok();
  world.node(late).kill();
  client.fill(100);
  world.node(late).start();
  world.node(steady).lose_power();
  client.put("a", "2").expect_ok();
  world.world().observer().examine_disks();
  world.lose_all_power();
  world.client(late).get("a").expect_value("2");
}

// ZooKeeper 3104, 2845: an epoch was begun before a quorum had it on disk. Raft's form of it: a voter that forgets its
// vote in a power failure votes again in the same term, and the term has two leaders. X leads by the vote of `old`;
// then `old` loses its power and Y, who never heard of X's term, asks it for that term's vote.
TEST(Durability, AVoteSurvivesAPowerFailure) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Scenario world(3, [&](Plan& plan) { plan.seed = seed; });
    const MachineId old = world.leader();
    const MachineId x = world.follower(0);
    const MachineId y = world.follower(1);
    world.client(old).put("a", "1").expect_ok();
    world.run_for(seconds(1));
    world.part({x}, {y});
    world.client(old).rpc("/etcdserverpb.Maintenance/MoveLeader", etcd::encode_move_leader(world.node(x).id()));
    const uint64_t term = world.world().observer().term();
    ASSERT_TRUE(world.run_until([&] { return world.world().observer().term() > term; }));
    ASSERT_EQ(world.world().leader(), x);
    world.node(old).lose_power();
    world.isolate(x);
    world.node(old).start();
    const uint64_t lost = world.world().observer().term();
    ASSERT_TRUE(world.run_until([&] { return world.world().leader() != x; })) << "nobody else leads";
    EXPECT_GT(world.world().observer().term(), lost);
    world.client(y).put("a", "2").expect_ok();
  }
}

// Raft thesis 3.6.2, figure 3.7: an entry of an earlier term that a majority has is not committed by that. `one` writes
// x alone; `two` leads and writes something else at its place, alone; `one` leads again and gives x to `three`, one
// entry a message. If that were enough, x would be answered now, and gone when `two` leads once more.
TEST(Durability, AnEntryOfAnEarlierTermIsNotCommittedByCounting) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      plan.append_bytes = 1;
      plan.inflight_messages = 1;
      plan.network.least_delay = milliseconds(5);
      plan.network.most_delay = milliseconds(5);
    });
    const auto highest = [&] { return world.world().observer().ledger().highest().index; };
    const MachineId one = world.leader();
    const std::vector<MachineId> others{world.follower(0), world.follower(1)};
    Client client = world.client(one);
    client.put("a", "before").expect_ok();
    world.run_for(milliseconds(500));
    const uint64_t before = highest();
    world.isolate(one);
    client.put("a", "x").expect_none_for(milliseconds(100));
    const MachineId two = world.wait_for_other_leader(one);
    const MachineId three = two == others[0] ? others[1] : others[0];
    world.isolate(two);
    world.run_for(milliseconds(100));
    EXPECT_EQ(highest(), before);
    world.node(two).kill();
    world.world().network().unblock(one, three);
    world.world().network().unblock(three, one);
    ASSERT_TRUE(world.run_until([&] { return highest() > before; }));
    EXPECT_EQ(world.world().leader(), one);
    world.part({one}, {three});
    world.node(one).lose_power();
    world.heal_network();
    world.node(two).start();
    world.wait_for_other_leader(one);
    world.client(three).get("a").expect_value("x");
  }
}

// The ABA race of asynchronous writes: `old` has a write under way when another leader puts other entries in its place.
// When that write is done, it says nothing about what stands there now. `next` needs the word of `old` for its quorum,
// so what it acknowledges must be on old's disk at that moment.
TEST(Durability, ACompletedWriteSaysNothingOfWhatTookItsPlace) {
  size_t raced = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      plan.network.late_per_mille = 0;
    });
    const MachineId old = world.leader();
    const std::vector<MachineId> others{world.follower(0), world.follower(1)};
    Client client = world.client(old).patience(seconds(2));
    client.put("a", "before").expect_ok();
    world.run_for(milliseconds(500));
    world.isolate(old);
    const Instant over = world.world().scheduler().now() + milliseconds(2200);
    world.node(old).pace().stall_until(over);
    for (int i = 0; i < 5; ++i) client.put("a", "lost " + std::to_string(i));
    const MachineId next = world.wait_for_other_leader(old);
    if (world.world().scheduler().now() + milliseconds(50) > over) continue;  // the write is done: no race
    const MachineId third = next == others[0] ? others[1] : others[0];
    world.part({next}, {third});
    world.world().network().unblock(old, next);
    world.world().network().unblock(next, old);
    Answer write = world.client(next).put("a", "after");
    world.run_until([&] { return world.world().scheduler().now() >= over - milliseconds(10); });
    if (write.arrived()) continue;  // the third had it before it was cut off
    world.node(old).pace().set_slowness(200);
    ++raced;
    ASSERT_TRUE(world.run_until([&] { return write.arrived(); }));
    world.world().observer().examine_disks();
  }
  EXPECT_GT(raced, 2U);
}

// A proposal whose connection broke half way may be in the log. Whoever forwards it again writes it twice. Here the
// leader writes what a follower forwarded, and nothing of the leader's reaches the follower any more: first for longer
// than it waits for an answer, then because the leader dies.
TEST(Durability, AForwardedProposalIsInTheLogOnceAtMost) {
  for (const bool dies : {false, true}) {
    for (int ms = 6; ms <= 22; ms += 2) {
      Scenario world(3, [](Plan& plan) {
        plan.network.least_delay = milliseconds(5);
        plan.network.most_delay = milliseconds(5);
      });
      const MachineId leader = world.leader();
      const MachineId follower = world.follower();
      Client client = world.client(follower);
      client.put("a", "1").expect_ok();
      Answer write = client.put("a", "2");
      world.run_for(milliseconds(ms));
      world.part_one_way(leader, follower);
      world.run_for(dies ? milliseconds(50) : seconds(4));
      if (dies) world.node(leader).kill();
      world.heal_network();
      if (dies) world.wait_for_other_leader(leader);
      ASSERT_TRUE(world.run_until([&] { return write.arrived(); }));
      world.run_for(seconds(1));
      Answer read = client.get("a");
      read.expect_ok();
      const auto& kvs = std::get<verify::RangeReply>(read.reply().answer).kvs;
      ASSERT_EQ(kvs.size(), 1U);
      EXPECT_EQ(kvs.front().version.version, kvs.front().version.value == "2" ? 2 : 1);
    }
  }
}

// etcd #13766: the index of what was applied reached the disk without what it stood for. ZooKeeper 3127, 3249, 3306:
// a snapshot held more than its number said, and replay did that part a second time. Versions count every put, so a
// put that is lost or done twice shows; digests at equal indices do, too.
TEST(Durability, IndexAndEffectsSurviveCrashesTogether) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Scenario world(3, [&](Plan& plan) {
      plan.seed = seed;
      often_snapshotted(plan);
      plan.disk_time = milliseconds(5);  // so that the log is behind the state
    });
    Rng rng(seed);
    for (int round = 0; round < 8; ++round) {
      const MachineId leader = world.leader();
      const MachineId victim = world.follower(round % 2);
      Client client = world.client(leader);
      client.fill(8);
      std::vector<Answer> answers;
      for (int i = 0; i < 10; ++i) {
        answers.push_back(client.put("busy", std::to_string(round * 100 + i)));
        answers.push_back(client.erase("fill/" + std::to_string(i)));
      }
      world.run_for(Duration(rng.between(0, 30'000'000)));
      rng.chance(1, 2) ? world.node(victim).kill() : world.node(victim).lose_power();
      world.bring_back(victim);
      for (Answer& answer : answers) answer.expect_ok();
      world.client(victim).get("busy").expect_value(std::to_string(round * 100 + 9));
    }
    world.lose_all_power();
  }
}

// etcd #17780: the newest revision was read off the newest row. When that was a deletion, compaction removed it; after
// a crash at that moment the revision went backwards. A restart begins with the snapshot, so each round has one.
TEST(Durability, TheRevisionSurvivesTheCompactionOfItsDeletion) {
  Scenario world(3, often_snapshotted);
  for (int round = 0; round < 5; ++round) {
    Client client = world.client(world.leader());
    client.put("a", std::to_string(round)).expect_ok();
    const int64_t revision = client.erase("a").revision();
    client.compact(revision).expect_ok();
    // Grants fill the log, so that snapshots come, and do not count as revisions.
    for (int64_t i = 1; i <= 12; ++i) client.grant(round * 100 + i, 600).expect_ok();
    for (const MachineId machine : world.world().members()) {
      world.node(machine).lose_power_after(static_cast<uint64_t>(round + 1));
    }
    client.grant(round * 100 + 99, 600);
    world.run_for(milliseconds(100));
    world.lose_all_power();
    Client again = world.client(world.leader());
    again.get("a").expect_nothing();
    EXPECT_EQ(again.put("b", "after " + std::to_string(round)).revision(), revision + 1);
  }
}

// ZooKeeper 2623: the log took a request that its reader refused at the next start. What no member could replay is
// answered and never written.
TEST(Durability, NothingIsLoggedThatARestartCouldNotRead) {
  Scenario world(3);
  const MachineId leader = world.leader();
  Client client = world.client(leader);
  client.put("a", "1").expect_ok();
  const uint64_t before = world.world().observer().ledger().highest().index;
  const std::string garbage("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
  for (const char* path :
       {"/etcdserverpb.KV/Put", "/etcdserverpb.KV/Txn", "/etcdserverpb.KV/DeleteRange", "/etcdserverpb.KV/Compact",
        "/etcdserverpb.Lease/LeaseGrant", "/etcdserverpb.Lease/LeaseRevoke", "/etcdserverpb.Cluster/MemberAdd",
        "/etcdserverpb.Cluster/MemberRemove", "/etcdserverpb.Maintenance/Alarm"}) {
    Answer answer = client.rpc(path, garbage);
    ASSERT_TRUE(world.run_until([&] { return answer.arrived(); }));
  }
  client.put("", "a key of no length").expect_error("etcdserver: key is not provided");
  EXPECT_EQ(world.world().observer().ledger().highest().index, before);
  world.lose_all_power();
  world.client(world.leader()).get("a").expect_value("1");
}

// ZooKeeper 1624: a transaction that failed half way left a counter moved. Here it takes everything back: versions and
// revisions go on as if it had never been.
TEST(Durability, ATransactionThatFailsHalfWayLeavesNothing) {
  Scenario world(3);
  Client client = world.client(world.follower());
  const int64_t revision = client.put("a", "1").revision();
  verify::Txn txn;
  txn.when.push_back({.key = "a", .target = verify::Compare::Target::Version, .number = 1, .text = {}});
  txn.then.emplace_back(verify::Put{.key = "a", .value = "2"});
  txn.then.emplace_back(verify::Delete{.begin = "c", .end = {}});
  txn.then.emplace_back(verify::Put{.key = "b", .value = "3", .lease = 4711});
  client.call(txn).expect_failed();
  EXPECT_EQ(client.put("a", "4").revision(), revision + 1);
  client.get("b").expect_nothing();
  world.lose_all_power();
  world.client(1).get("a").expect_value("4");
}

}  // namespace
}  // namespace witan::sim
