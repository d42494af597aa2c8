#include "sim/nemesis.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/world.h"

namespace witan::sim {
namespace {

constexpr Duration kTick = milliseconds(100);

}  // namespace

Nemesis::Nemesis(World& world, Operator& keeper, Rng rng)
    : world_(world), keeper_(keeper), rng_(std::move(rng)), succession_(world, keeper, *this, rng_.fork("succession")) {
}

void Nemesis::stop() {
  stopped_ = true;
  succession_.stop();
}

void Nemesis::start() {
  world_.scheduler().after(kTick, [this] { tick(); });
}

void Nemesis::tick() {
  if (stopped_) return;
  machines();
  disks();
  network();
  clocks();
  people();
  start();
}

// Rates are per 100 s, ticks a tenth of one.
bool Nemesis::draw(int rate) { return rate > 0 && rng_.chance(static_cast<uint64_t>(rate), 1000); }

MachineId Nemesis::anybody() {
  const std::vector<MachineId> members = world_.members();
  // The leader is where trouble hurts.
  if (world_.wanted(world_.leader()) && rng_.chance(1, 3)) return world_.leader();
  return members[rng_.below(members.size())];
}

Member* Nemesis::running() {
  Member& member = world_.member(anybody());
  return member.running() ? &member : nullptr;
}

void Nemesis::say(const std::string& what, MachineId machine) {
  world_.count("fault: " + what);
  world_.journal().note(fmt::format("m{}: {}", machine, what));
}

void Nemesis::bring_back(MachineId machine) {
  const Duration after(rng_.chance(1, 3) ? rng_.between(0, 50'000'000) : rng_.between(0, 3'000'000'000));
  world_.scheduler().after(after, [this, machine] {
    if (stopped_ || !world_.wanted(machine)) return;
    Member& member = world_.member(machine);
    if (!member.running()) member.start();
  });
}

// ---- Machines and processes ---------------------------------------------------------------------

void Nemesis::machines() {
  const FaultRates& rates = world_.plan().faults;
  // A process that ended by itself is started again, as its supervisor would.
  for (const MachineId machine : world_.members()) {
    if (!world_.member(machine).running() && rng_.chance(1, 20)) bring_back(machine);
  }
  if (draw(rates.power_loss)) lose_power();
  if (draw(rates.kill)) {
    if (Member* member = running()) {
      say("killed", member->machine());
      member->kill();
      bring_back(member->machine());
    }
  }
  if (draw(rates.restart)) {
    if (Member* member = running()) {
      say("stopped in good order", member->machine());
      member->stop();
      bring_back(member->machine());
    }
  }
  if (draw(rates.pause)) {
    if (Member* member = running()) {
      say("paused", member->machine());
      member->pause(Duration(rng_.between(10'000'000, rng_.chance(1, 2) ? 500'000'000 : 6'000'000'000)));
    }
  }
  if (draw(rates.slow_apply)) {
    if (Member* member = running()) {
      say("slow to apply", member->machine());
      member->block_state(Duration(rng_.between(1'000'000, 3'000'000'000)));
    }
  }
}

void Nemesis::crash(MachineId machine) {
  Member& member = world_.member(machine);
  if (!member.running()) return;
  const bool power = rng_.chance(1, 2);
  say(power ? "power lost" : "killed", machine);
  power ? member.lose_power() : member.kill();
  bring_back(machine);
}

// Of one, or of the whole data centre; at once, or in the middle of the disk's work.
void Nemesis::lose_power() {
  std::vector<MachineId> victims{anybody()};
  if (rng_.chance(1, 5)) victims = world_.members();
  for (const MachineId machine : victims) {
    Member& member = world_.member(machine);
    if (!member.running()) continue;
    if (rng_.chance(1, 2)) {
      say("power lost", machine);
      member.lose_power();
      bring_back(machine);
    } else {
      say("power lost while writing", machine);
      member.lose_power_after(1 + rng_.below(40));
    }
  }
}

// ---- Disks --------------------------------------------------------------------------------------

void Nemesis::disks() {
  const FaultRates& rates = world_.plan().faults;
  const auto for_a_while = [this](Duration least, Duration most, Task end) {
    world_.scheduler().after(Duration(rng_.between(least.count(), most.count())), std::move(end));
  };
  if (draw(rates.slow_disk)) {
    const MachineId machine = anybody();
    say("slow disk", machine);
    world_.member(machine).pace().set_slowness(rng_.between(3, 60));
    for_a_while(milliseconds(100), seconds(4), [this, machine] { world_.member(machine).pace().set_slowness(1); });
  }
  if (draw(rates.stalled_disk)) {
    const MachineId machine = anybody();
    say("stalled disk", machine);
    world_.member(machine).pace().stall_until(world_.scheduler().now() +
                                              Duration(rng_.between(50'000'000, 8'000'000'000)));
  }
  if (draw(rates.full_disk)) {
    const MachineId machine = anybody();
    say("full disk", machine);
    world_.member(machine).disk().set_full(true);
    for_a_while(milliseconds(100), seconds(5), [this, machine] { world_.member(machine).disk().set_full(false); });
  }
  if (draw(rates.rot)) rot();
}

// Whichever is lost, the others are a quorum and all of them are there: one whose addition nobody has heard of is not.
bool Nemesis::spares_a_voter() const {
  const std::set<MachineId> voters = world_.observer().voters();
  const auto there = [this](MachineId one) { return world_.wanted(one); };
  return world_.observer().settled() && voters.size() >= 3 && std::ranges::all_of(voters, there);
}

// One machine in a world's life. What was damaged may be found at the next start only.
void Nemesis::rot() {
  if (rotten_ || !spares_a_voter()) return;
  const MachineId machine = anybody();
  Member& member = world_.member(machine);
  if (member.running()) member.kill();
  member.damage();
  if (!member.damaged()) return bring_back(machine);
  rotten_ = true;
  say("a bit turned", machine);
  bring_back(machine);
}

// ---- The network --------------------------------------------------------------------------------

void Nemesis::network() {
  const FaultRates& rates = world_.plan().faults;
  Network& network = world_.network();
  if (draw(rates.partition)) partition();
  if (draw(rates.cut) && network.cut_one()) world_.count("fault: stream cut");
  if (draw(rates.stall) && network.stall_one(Duration(rng_.between(1'000'000, 6'000'000'000)))) {
    world_.count("fault: stream stalled");
  }
  if (draw(rates.slow_network)) {
    world_.count("fault: slow network");
    network.set_slowness(rng_.between(2, 100));
    world_.scheduler().after(Duration(rng_.between(100'000'000, 3'000'000'000)),
                             [&network] { network.set_slowness(1); });
  }
}

void Nemesis::partition() {
  const std::vector<MachineId> members = world_.members();
  Network& network = world_.network();
  const uint64_t shape = rng_.below(4);
  std::vector<std::pair<MachineId, MachineId>> blocked;
  const MachineId one = anybody();
  for (const MachineId a : members) {
    for (const MachineId b : members) {
      if (a == b) continue;
      const bool isolates = a == one || b == one;
      if (shape == 0 && isolates) blocked.emplace_back(a, b);           // nobody reaches it, it reaches nobody
      if (shape == 1 && a == one) blocked.emplace_back(a, b);           // it hears, and is not heard
      if (shape == 2 && b == one) blocked.emplace_back(a, b);           // it speaks, and hears nothing
      if (shape == 3 && rng_.chance(1, 3)) blocked.emplace_back(a, b);  // anything
    }
  }
  say("partition", one);
  for (const auto& [a, b] : blocked) network.block(a, b);
  world_.scheduler().after(Duration(rng_.between(50'000'000, 6'000'000'000)), [&network, blocked] {
    for (const auto& [a, b] : blocked) network.unblock(a, b);
  });
}

// ---- Clocks and people --------------------------------------------------------------------------

void Nemesis::clocks() {
  if (!draw(world_.plan().faults.clock)) return;
  const MachineId machine = anybody();
  say("clock changed", machine);
  Member& member = world_.member(machine);
  member.clock().set_drift(rng_.between(-kMaxDrift, kMaxDrift) * 1000);
  member.clock().set_skew(milliseconds(rng_.between(-8000, 8000)));
  member.clocks_changed();
}

void Nemesis::people() {
  const FaultRates& rates = world_.plan().faults;
  if (draw(rates.membership)) keeper_.change_members();
  if (draw(rates.transfer)) rng_.chance(1, 2) ? void(keeper_.move_leader()) : succession_.begin_with_heir();
  if (draw(rates.succession)) succession_.begin();
  if (draw(rates.compaction)) keeper_.compact();
  if (draw(rates.reconnect) && !world_.workloads().empty()) {
    auto& workload = world_.workloads()[rng_.below(world_.workloads().size())];
    world_.count("fault: client reconnects");
    if (rng_.chance(1, 4)) workload->pause(Duration(rng_.between(10'000'000, 4'000'000'000)));
    workload->reconnect();
  }
}

}  // namespace witan::sim
