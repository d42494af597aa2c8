// Stories about who belongs to the group.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace witan::sim {
namespace {

// Found by seed 1409: a member that had the removal of another in its log, uncommitted, refused that other's
// connections, although it led by then and was the only one who could take the removal back.
TEST(Members, ARemovalThatWasNeverCommittedKeepsNobodyOut) {
  Scenario world(4);
  const MachineId old = world.leader();
  const std::vector<MachineId> others{world.follower(0), world.follower(1), world.follower(2)};
  Client client = world.client(old);
  client.put("a", "1").expect_ok();
  world.isolate(old);
  client.rpc("/etcdserverpb.Cluster/MemberRemove", etcd::encode_member_id(world.node(others[0]).id())).expect_unknown();
  world.wait_for_other_leader(old);
  world.give_lead_to(others[0]);
  world.heal_network();
  world.wait_for(old);
  world.client(old).get("a").expect_value("1");
}

}  // namespace
}  // namespace witan::sim
