#include "sim/operator.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/world.h"

namespace witan::sim {
namespace {

constexpr size_t kMostMembers = 6;

std::string peer_url_of(MachineId machine) {
  return fmt::format("http://{}:{}", Network::host_of(machine), Member::kPeerPort);
}

}  // namespace

Operator::Operator(World& world, Rng rng)
    : world_(world), rng_(std::move(rng)), channel_(world.make_channel()), to_leader_(world.make_channel()) {}
Operator::~Operator() = default;

void Operator::request(std::string path, std::string message, Function<void(RpcResult)> done) {
  std::vector<env::Address> endpoints;
  for (const MachineId machine : world_.members()) endpoints.push_back(world_.member(machine).client_address());
  channel_->set_endpoints(std::move(endpoints));
  channel_->call(std::move(path), std::move(message), seconds(3),
                 [this, done = std::move(done)](RpcResult result) mutable {
                   if (!result.ok()) channel_->reconnect();
                   done(std::move(result));
                 });
}

void Operator::later(Duration least, Duration most, Task task) {
  channel_->loop().call_at(channel_->now() + Duration(rng_.between(least.count(), most.count())), std::move(task));
}

const etcd::MemberItem* Operator::Listed::find(std::string_view peer_url) const {
  const auto found = std::ranges::find(members, peer_url, &etcd::MemberItem::peer_url);
  return found == members.end() ? nullptr : &*found;
}

const etcd::MemberItem* Operator::Listed::find(uint64_t id) const {
  const auto found = std::ranges::find(members, id, &etcd::MemberItem::id);
  return found == members.end() ? nullptr : &*found;
}

void Operator::list(int tries, Function<bool(const Listed&)> enough, Function<void(Listed)> done) {
  const bool certain = tries % 2 == 0;
  request("/etcdserverpb.Cluster/MemberList", etcd::encode_member_list(certain),
          [this, tries, certain, enough = std::move(enough), done = std::move(done)](const RpcResult& result) mutable {
            Listed listed{.members = {}, .certain = certain && result.ok()};
            if (result.ok()) listed.members = etcd::decode_members(result.message);
            if (listed.certain || tries == 0 || enough(listed)) return done(std::move(listed));
            later(milliseconds(200), seconds(1),
                  [this, tries, enough = std::move(enough), done = std::move(done)]() mutable {
                    list(tries - 1, std::move(enough), std::move(done));
                  });
          });
}

// ---- Members ------------------------------------------------------------------------------------

void Operator::change_members() {
  if (busy_) return;
  busy_ = true;
  list(
      3, [](const Listed&) { return false; },
      [this](const Listed& listed) {
        if (!listed.certain) return void(busy_ = false);
        // One that was added without this operator knowing is brought to life first.
        if (listed.find(peer_url_of(world_.next_machine())) != nullptr) return added(world_.next_machine());
        for (const etcd::MemberItem& item : listed.members) {
          if (item.learner) return promote(item.id, 3);
        }
        const size_t members = listed.members.size();
        const bool many = members > std::max<size_t>(3, world_.plan().members);
        if (members >= kMostMembers || (many && rng_.chance(1, 2))) return remove_one();
        add_learner();
      });
}

void Operator::wind_up() {
  if (busy_) return later(milliseconds(300), milliseconds(300), [this] { wind_up(); });
  busy_ = true;
  list(
      80, [](const Listed&) { return false; },
      [this](const Listed& listed) {
        later(seconds(1), seconds(2), [this] { wind_up(); });
        if (!listed.certain) return void(busy_ = false);
        if (listed.find(peer_url_of(world_.next_machine())) != nullptr) return added(world_.next_machine());
        for (const MachineId machine : world_.members()) {
          // One that was added in vain, by an entry that was never committed, knows no id of its own.
          const uint64_t id = world_.member(machine).id();
          const auto* item = id != 0 ? listed.find(id) : listed.find(peer_url_of(machine));
          if (item == nullptr) return removed(machine);
        }
        busy_ = false;
      });
}

void Operator::add_learner() {
  const MachineId machine = world_.next_machine();
  request("/etcdserverpb.Cluster/MemberAdd", etcd::encode_member_add(peer_url_of(machine), rng_.chance(3, 4)),
          [this, machine](const RpcResult& result) {
            if (result.ok()) return added(machine);
            const auto there = [machine](const Listed& listed) { return listed.find(peer_url_of(machine)) != nullptr; };
            list(80, there, [this, machine, there](const Listed& listed) {
              if (there(listed)) return added(machine);
              busy_ = false;
            });
          });
}

void Operator::added(MachineId machine) {
  world_.add_machine();
  world_.tell_clients();
  world_.count("fault: member added");
  world_.journal().note(fmt::format("m{} joins", machine));
  world_.member(machine).start();
  later(milliseconds(500), seconds(4), [this, machine] {
    list(
        80, [](const Listed&) { return false; },
        [this, machine](const Listed& listed) {
          const etcd::MemberItem* item = listed.find(peer_url_of(machine));
          if (item != nullptr && item->learner) return promote(item->id, 5);
          busy_ = false;
        });
  });
}

void Operator::promote(uint64_t id, int tries) {
  request("/etcdserverpb.Cluster/MemberPromote", etcd::encode_member_id(id),
          [this, id, tries](const RpcResult& result) {
            if (result.ok()) world_.count("fault: learner promoted");
            if (result.ok() || tries == 0) return void(busy_ = false);
            later(milliseconds(300), seconds(1), [this, id, tries] { promote(id, tries - 1); });
          });
}

void Operator::remove_one() {
  const std::vector<MachineId> members = world_.members();
  const MachineId machine = members[rng_.below(members.size())];
  const uint64_t id = world_.member(machine).id();
  if (id == 0) return void(busy_ = false);
  request("/etcdserverpb.Cluster/MemberRemove", etcd::encode_member_id(id),
          [this, id, machine](const RpcResult& result) {
            if (result.ok()) return removed(machine);
            const auto never = [](const Listed&) { return false; };
            list(80, never, [this, id, machine](const Listed& listed) {
              if (listed.certain && listed.find(id) == nullptr) return removed(machine);
              busy_ = false;
            });
          });
}

// The process is stopped some time after the group has let go of it.
void Operator::removed(MachineId machine) {
  world_.count("fault: member removed");
  later(milliseconds(1), seconds(3), [this, machine] {
    if (world_.wanted(machine)) {
      world_.journal().note(fmt::format("m{} was removed and is switched off", machine));
      world_.retire(machine);
    }
    busy_ = false;
  });
}

// ---- The rest -----------------------------------------------------------------------------------

MachineId Operator::move_leader() {
  const std::vector<MachineId> members = world_.members();
  const MachineId heir = members[rng_.below(members.size())];
  return move_leader(heir) ? heir : 0;
}

bool Operator::move_leader(MachineId heir) {
  const MachineId leader = world_.leader();
  if (leader == 0 || !world_.wanted(leader)) return false;
  const uint64_t to = world_.member(heir).id();
  to_leader_->set_endpoints({world_.member(leader).client_address()});
  if (to_leader_->server() != leader) to_leader_->reconnect();
  to_leader_->call("/etcdserverpb.Maintenance/MoveLeader", etcd::encode_move_leader(to), seconds(5),
                   [this](const RpcResult& result) {
                     if (result.ok()) world_.count("fault: lead moved");
                   });
  return true;
}

void Operator::compact() {
  const int64_t revision = world_.observer().truth().revision() - rng_.between(0, 20);
  if (revision < 2) return;
  request("/etcdserverpb.KV/Compact", etcd::encode_compaction(revision), [this](const RpcResult& result) {
    if (result.ok()) world_.count("fault: compaction");
  });
}

}  // namespace witan::sim
