#include "sim/world.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "sim/nemesis.h"
#include "sim/operator.h"
#include "sim/zookeeper_client.h"
#include "verify/wing_gong.h"

namespace witan::sim {
namespace {

constexpr Duration kStartPatience = seconds(60);
constexpr Duration kAfterHealing = seconds(3);   // clients still work, on a cluster that is well
constexpr Duration kRestPatience = seconds(60);  // the bound within which everything heals
constexpr Duration kGoodbye = seconds(4);

}  // namespace

World::World(Plan plan)
    : plan_(std::move(plan)), rng_(plan_.seed), scheduler_(rng_.fork("scheduler"), plan_.permute),
      network_(scheduler_, rng_.fork("network"), plan_.network), journal_(scheduler_),
      observer_(scheduler_, *this, rng_.fork("observer")) {
  for (size_t i = 0; i < plan_.members; ++i) wanted_.insert(++last_machine_);
  for (const MachineId machine : wanted_) {
    members_[machine] = std::make_unique<Member>(ground(machine), machine, member_options(machine),
                                                 observer_.at(machine), rng_.fork(fmt::format("member {}", machine)));
  }
}

// Clients go before the members, and both before what they stand on.
World::~World() {
  workloads_.clear();
  nemesis_.reset();
  operator_.reset();
  members_.clear();
}

Ground World::ground(MachineId machine) {
  return Ground{.scheduler = scheduler_, .network = network_, .plan = plan_, .log = journal_.of(machine)};
}

// ---- Members ------------------------------------------------------------------------------------

node::Options World::member_options(MachineId machine) const {
  node::Options out;
  out.name = fmt::format("m{}", machine);
  const auto peer_url = [](MachineId m) { return fmt::format("http://{}:{}", Network::host_of(m), Member::kPeerPort); };
  for (const MachineId member : wanted_) {
    out.initial_cluster.push_back({.name = fmt::format("m{}", member), .peer_url = peer_url(member)});
  }
  out.join_existing = machine > plan_.members;
  out.heartbeat = plan_.heartbeat;
  out.election = plan_.election;
  out.snapshot_entries = plan_.snapshot_entries;
  out.keep_entries = plan_.keep_entries;
  out.log_segment_bytes = plan_.segment_bytes;
  out.auto_compaction = plan_.auto_compaction;
  out.history_bytes = plan_.history_bytes;
  out.max_append_bytes = plan_.append_bytes;
  out.max_inflight_messages = plan_.inflight_messages;
  out.max_tail_bytes = plan_.tail_bytes;
  return out;
}

std::vector<MachineId> World::members() const { return {wanted_.begin(), wanted_.end()}; }

std::vector<MachineId> World::machines() const {
  std::vector<MachineId> out;
  for (const auto& [machine, member] : members_) out.push_back(machine);
  return out;
}

const Disk* World::disk_of(MachineId machine) const {
  const auto found = members_.find(machine);
  return found == members_.end() ? nullptr : &found->second->disk();
}

MachineId World::machine_of(uint64_t member_id) const {
  for (const auto& [machine, member] : members_) {
    if (member->id() == member_id) return machine;
  }
  return 0;
}

MachineId World::add_machine() {
  const MachineId machine = ++last_machine_;
  wanted_.insert(machine);
  members_[machine] = std::make_unique<Member>(ground(machine), machine, member_options(machine), observer_.at(machine),
                                               rng_.fork(fmt::format("member {}", machine)));
  return machine;
}

void World::retire(MachineId machine) {
  wanted_.erase(machine);
  member(machine).kill();
  network_.back(machine);  // the machine is there, and nobody on it knows of former connections
  tell_clients();
}

// ---- Clients ------------------------------------------------------------------------------------

std::vector<env::Address> World::endpoints() const {
  std::vector<env::Address> out;
  for (const MachineId machine : wanted_) out.push_back(members_.at(machine)->client_address());
  return out;
}

void World::tell_clients() {
  std::vector<const Member*> all;
  for (const MachineId machine : wanted_) all.push_back(members_.at(machine).get());
  for (const auto& workload : workloads_) workload->set_members(all);
}

std::unique_ptr<Channel> World::make_channel() {
  const MachineId machine = ++last_client_;
  auto channel = std::make_unique<Channel>(ground(machine), machine, rng_.fork(fmt::format("client {}", machine)));
  channel->set_endpoints(endpoints());
  return channel;
}

std::unique_ptr<ZookeeperClient> World::make_zookeeper_client(Channel& channel, std::string name) {
  const MachineId machine = ++last_client_;
  return std::make_unique<ZookeeperClient>(ground(machine), machine, channel.loop(), history_, std::move(name),
                                           rng_.fork(fmt::format("client {}", machine)));
}

void World::make_workloads() {
  const auto make = [&](size_t count, auto maker) {
    for (size_t i = 0; i < count; ++i) {
      const MachineId machine = ++last_client_;
      const int number = static_cast<int>(machine % 1000);
      workloads_.push_back(
          maker(ground(machine), machine, number, history_, rng_.fork(fmt::format("workload {}", machine))));
    }
  };
  make(plan_.kv_clients, make_kv_client);
  make(plan_.watchers, make_watcher);
  make(plan_.lease_clients, make_lease_client);
  make(plan_.lock_clients, make_lock_client);
  make(plan_.election_clients, make_candidate);
  make(plan_.node_clients, make_node_client);
  make(plan_.node_lock_clients, make_node_lock_client);
  tell_clients();
}

// ---- A life -------------------------------------------------------------------------------------

void World::start() {
  for (const MachineId machine : members()) member(machine).start();
  const bool up = run_until(
      [&] { return std::ranges::all_of(members(), [&](MachineId machine) { return member(machine).serving(); }); },
      kStartPatience);
  CHECK(up, "seed {}: a new cluster does not serve within {} s", plan_.seed, kStartPatience.count() / 1'000'000'000);
}

Verdict World::run() {
  Verdict verdict;
  start();
  make_workloads();
  for (const auto& workload : workloads_) workload->start();
  operator_ = std::make_unique<Operator>(*this, rng_.fork("operator"));
  nemesis_ = std::make_unique<Nemesis>(*this, *operator_, rng_.fork("nemesis"));
  nemesis_->start();
  run_for(plan_.trouble);
  nemesis_->stop();
  heal();
  operator_->wind_up();
  // A member that was added and does not run yet may be missing for a quorum: its operator is a part of the healing.
  for (const Instant end = scheduler_.now() + kRestPatience; operator_->busy() && scheduler_.now() < end;) {
    revive();
    run_for(milliseconds(250));
  }
  end_of_faults_ = scheduler_.now();
  run_for(kAfterHealing);
  for (const auto& workload : workloads_) workload->stop();
  if (auto unwell = come_to_rest(kRestPatience)) verdict.violations.push_back(std::move(*unwell));
  for (const auto& workload : workloads_) workload->finish();
  observer_.examine_disks();
  const auto add = [&](std::vector<verify::Violation> more) {
    for (verify::Violation& violation : more) verdict.violations.push_back(std::move(violation));
  };
  if (verdict.violations.empty()) add(say_goodbye());
  add(judge());
  count_everything();
  verdict.counts = counts_;
  verdict.virtual_time = scheduler_.now() - Instant{1'000'000'000};
  verdict.events = scheduler_.events();
  verdict.hash = scheduler_.hash();
  return verdict;
}

void World::heal() {
  journal_.note("everything heals");
  end_of_faults_ = scheduler_.now();
  network_.unblock_all();
  network_.set_slowness(1);
  network_.calm();
  for (const MachineId machine : members()) {
    Member& one = member(machine);
    one.disk().set_full(false);
    one.disk().keep_power();
    one.pace().set_slowness(1);
    one.pace().stall_until(Instant{0});
    one.end_pause();
  }
  revive();
}

// What a supervisor does when nothing is wrong with the machines any more.
void World::revive() {
  for (const MachineId machine : members()) {
    Member& one = member(machine);
    if (!one.running() && !one.given_up()) one.start();
  }
}

// ---- Rest ---------------------------------------------------------------------------------------

std::string World::member_unrest() {
  const uint64_t highest = observer_.ledger().highest().index;
  for (const MachineId machine : members()) {
    Member& one = member(machine);
    if (one.given_up()) continue;
    if (!one.serving()) {
      const std::string why = one.last_error() ? one.last_error()->message : "no reason given";
      return fmt::format("m{} does not serve ({})", machine, one.running() ? "it runs" : why);
    }
    if (observer_.applied_by(machine) != highest) {
      return fmt::format("m{} has applied {} of {}", machine, observer_.applied_by(machine), highest);
    }
    if (one.pending() > 0) return fmt::format("in m{} {} questions of clients wait", machine, one.pending());
  }
  return "";
}

// What is still missing until nothing moves any more; empty when it has come to that.
std::string World::unrest() {
  revive();
  std::string missing = member_unrest();
  for (const auto& workload : workloads_) {
    const std::string waits = workload->unsettled(observer_.truth());
    if (missing.empty()) missing = waits;
  }
  const auto open = std::ranges::find_if(history_.leases, [&](const verify::LeaseHistory& lease) {
    const bool exists = observer_.leases_ever().contains(lease.id) && !observer_.lease_ends().contains(lease.id);
    return exists && lease.abandoned != Instant::never();
  });
  if (missing.empty() && open != history_.leases.end()) missing = fmt::format("lease {} has not ended", open->id);
  const auto alive = std::ranges::find_if(history_.sessions, [&](const verify::SessionHistory& session) {
    return session.id != 0 && session.abandoned != Instant::never() && !observer_.lease_ends().contains(session.id);
  });
  if (missing.empty() && alive != history_.sessions.end()) missing = alive->name + ": its session has not ended";
  return missing;
}

std::optional<verify::Violation> World::come_to_rest(Duration patience) {
  const Instant end = scheduler_.now() + patience;
  std::string missing;
  uint64_t logged = 0;
  while (scheduler_.now() < end) {
    missing = unrest();
    // What a client gave up waiting for may still be on its way into the log, and nobody else knows of it.
    const uint64_t before = std::exchange(logged, observer_.ledger().highest().index);
    if (missing.empty() && before != logged) missing = "the log grows";
    if (missing.empty()) return std::nullopt;
    run_for(milliseconds(250));
  }
  return verify::Violation{
      .rule = "healing",
      .what = fmt::format("{} s after the faults ended: {}", patience.count() / 1'000'000'000, missing),
      .window = {}};
}

std::vector<verify::Violation> World::say_goodbye() {
  verify::Findings findings;
  for (const auto& workload : workloads_) workload->quit();
  if (operator_) operator_->leave();
  run_for(kGoodbye);
  for (const MachineId machine : members()) {
    Member& one = member(machine);
    if (one.given_up()) continue;
    if (one.connections() > 0) {
      findings.add("leftovers", fmt::format("m{} still has {} connections of clients", machine, one.connections()));
    }
    if (one.pending() > 0) {
      findings.add("leftovers", fmt::format("in m{} {} questions of clients still wait", machine, one.pending()));
    }
  }
  return findings.take();
}

}  // namespace witan::sim
