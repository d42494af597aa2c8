// Stories about who belongs to the group.
#include <gtest/gtest.h>

#include <map>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

// Found by seed 10150: the leader had let all of its log go from memory, asked its disk for one entry more than there
// was, got none, and had no snapshot to send instead.
TEST(Members, OneThatLagsGetsWhatIsOnlyOnTheLeadersDisk) {
  Scenario world(3, [](Plan& plan) {
    plan.tail_bytes = 1;
    plan.snapshot_entries = 100'000;
  });
  const MachineId late = world.follower();
  Client client = world.client(world.leader());
  world.node(late).kill();
  client.fill(30);
  client.put("a", "1").expect_ok();
  world.node(late).start();
  world.wait_for(late);
  world.client(late).get_locally("a").expect_value("1");
}

// Found by seeds 9004773 and 9005056: a leader that did not know yet what the other had asked again with all entries,
// in every interval, and a slow connection was full of repetitions for ever.
TEST(Members, OneBehindASlowConnectionCatchesUp) {
  Scenario world(3, [](Plan& plan) {
    plan.network = {
        .least_delay = milliseconds(1), .most_delay = milliseconds(20), .buffer_bytes = 100, .largest_chunk = 100};
    plan.snapshot_entries = 100'000;
  });
  const MachineId late = world.follower();
  const MachineId heir = world.follower(1);
  Client client = world.client(heir);
  client.put("a", "1").expect_ok();
  world.node(late).kill();
  client.fill(400);
  world.give_lead_to(heir);
  world.node(late).start();
  client.fill(100);
  world.wait_for(late);
}

// Found by seed 1409: a member that had the removal of another in its log, uncommitted, refused that other's
// connections, although it led by then and was the only one who could take the removal back.
TEST(Members, ARemovalThatWasNeverCommittedKeepsNobodyOut) {
  Scenario world(4);
  const MachineId old = world.leader();
  const std::vector<MachineId> others{world.follower(0), world.follower(1), world.follower(2)};
  Client client = world.client(old);
  client.put("a", "1").expect_ok();
  world.isolate(old);
  client.remove_member(world.node(others[0]).id()).expect_unknown();
  world.wait_for_other_leader(old);
  world.give_lead_to(others[0]);
  world.heal_network();
  world.wait_for(old);
  world.client(old).get("a").expect_value("1");
}

std::map<uint64_t, bool> told_by(Scenario& world, MachineId machine) {
  std::map<uint64_t, bool> out;  // id, learner
  Answer answer = world.client(machine).rpc("/etcdserverpb.Cluster/MemberList", etcd::encode_member_list(false));
  for (const etcd::MemberItem& item : etcd::decode_members(answer.message())) out[item.id] = item.learner;
  return out;
}

// etcd #19557, #20967: members were kept in two places, which differed after a restart from a snapshot; removed ones
// came back. Here everybody starts again and again, from snapshots and from logs, and tells the same list.
TEST(Members, EverybodyTellsTheSameListAfterEveryRestart) {
  Scenario world(3, [](Plan& plan) {
    plan.snapshot_entries = 10;
    plan.keep_entries = 0;
  });
  const MachineId gone = world.follower(0);
  const uint64_t gone_id = world.node(gone).id();
  Client client = world.client(world.follower(1));
  client.fill(15);
  const MachineId added = world.join(client);
  client.fill(5);
  client.rpc("/etcdserverpb.Cluster/MemberPromote", etcd::encode_member_id(world.node(added).id())).expect_ok();
  client.remove_member(gone_id).expect_ok();
  world.world().retire(gone);
  for (const size_t puts : {size_t{0}, size_t{15}, size_t{3}}) {
    world.client(world.leader()).fill(puts);
    for (const MachineId machine : world.world().members()) {
      world.node(machine).kill();
      world.bring_back(machine);
      const auto list = told_by(world, machine);
      EXPECT_EQ(list.size(), 3U);
      EXPECT_FALSE(list.contains(gone_id));
      EXPECT_TRUE(list.contains(world.node(added).id()));
      for (const auto& [id, learner] : list) EXPECT_FALSE(learner);
    }
  }
  world.lose_all_power();
  EXPECT_FALSE(told_by(world, added).contains(gone_id));
}

// A removed member that comes back with its old disk finds nobody who listens.
TEST(Members, ARemovedMemberDisturbsNobody) {
  Scenario world(4);
  const MachineId leader = world.leader();
  const MachineId gone = world.follower();
  Client client = world.client(leader);
  client.put("a", "1").expect_ok();
  world.node(gone).kill();
  client.remove_member(world.node(gone).id()).expect_ok();
  world.node(gone).start();
  const uint64_t term = world.world().observer().term();
  for (int i = 2; i < 30; ++i) {
    client.put("a", std::to_string(i)).expect_ok();
    world.run_for(milliseconds(500));
  }
  EXPECT_EQ(world.world().observer().term(), term);
  EXPECT_EQ(world.leader(), leader);
  world.world().retire(gone);
}

}  // namespace
}  // namespace witan::sim
