#include "sim/plan.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace witan::sim {
namespace {

template <class T, size_t N>
T one_of(Rng& rng, const std::array<T, N>& choices) {
  return choices[rng.below(N)];
}

void draw_tuning(Rng rng, Plan& plan) {
  plan.election = milliseconds(one_of(rng, std::array{300, 1000, 1000, 2000}));
  plan.heartbeat = plan.election / 10;
  plan.snapshot_entries = one_of(rng, std::array<uint64_t, 5>{10, 50, 200, 1000, 100'000});
  plan.keep_entries = one_of(rng, std::array<uint64_t, 4>{0, 5, 50, 500});
  plan.segment_bytes = one_of(rng, std::array<uint64_t, 3>{4096, 16384, 65536});
  plan.append_bytes = one_of(rng, std::array<size_t, 4>{1, 300, 4096, size_t{1} << 20});
  plan.inflight_messages = one_of(rng, std::array<size_t, 3>{1, 4, 256});
  plan.tail_bytes = one_of(rng, std::array<size_t, 3>{1000, 20'000, size_t{1} << 20});
  plan.auto_compaction = seconds(one_of(rng, std::array{3, 3600, 3600}));
  plan.history_bytes = one_of(rng, std::array<int64_t, 3>{20'000, int64_t{1} << 30, int64_t{1} << 30});
  plan.watch_buffer_bytes = one_of(rng, std::array<size_t, 3>{1, 2000, size_t{2} << 20});
}

void draw_machines(Rng rng, Plan& plan) {
  plan.permute = rng.chance(3, 4);
  plan.one_loop = rng.chance(1, 3);
  plan.api_loops = plan.one_loop ? 1 : 1 + rng.below(2);
  plan.task_cost = std::chrono::microseconds(one_of(rng, std::array{0, 5, 50}));
  plan.disk_time = std::chrono::microseconds(one_of(rng, std::array{50, 300, 2000, 10'000}));
  plan.network.least_delay = std::chrono::microseconds(one_of(rng, std::array{20, 200, 1000}));
  plan.network.most_delay = plan.network.least_delay * one_of(rng, std::array{1, 3, 20});
  plan.network.late_per_mille = one_of(rng, std::array<uint64_t, 3>{0, 5, 50});
  plan.network.late = plan.election / one_of(rng, std::array{100, 10, 4});
  plan.network.buffer_bytes = one_of(rng, std::array<size_t, 3>{1000, 20'000, size_t{256} << 10});
  plan.network.largest_chunk = one_of(rng, std::array<size_t, 3>{100, 5000, size_t{64} << 10});
}

void draw_load(Rng rng, Plan& plan) {
  plan.kv_clients = 2 + rng.below(4);
  plan.watchers = 1 + rng.below(4);
  plan.lease_clients = rng.below(3);
  plan.lock_clients = rng.below(4);
  plan.election_clients = rng.below(3);
  plan.keys = 1 + rng.below(12);
  plan.think = milliseconds(one_of(rng, std::array{25, 80, 200}));
  plan.value_bytes = one_of(rng, std::array<size_t, 4>{0, 50, 50, 3000});
}

// About half of all worlds have ZooKeeper's clients. Drawn from a seed of its own: worlds drawn before are as they
// were.
void draw_zookeeper(Rng rng, Plan& plan) {
  plan.zookeeper_tick = milliseconds(one_of(rng, std::array{500, 500, 1000}));
  if (rng.chance(1, 2)) return;
  plan.node_clients = 1 + rng.below(4);
  plan.node_lock_clients = rng.below(4);
  plan.nodes = 1 + rng.below(8);
}

// What the drawn network and log cannot carry piles up before the log, and everything is late however well the members
// do.
void keep_bearable(Plan& plan) {
  plan.value_bytes = std::min(plan.value_bytes, plan.network.buffer_bytes / 10);
  const bool one_by_one = plan.inflight_messages == 1 && plan.append_bytes < 1000;
  if (one_by_one && plan.disk_time + plan.network.most_delay > milliseconds(3)) {
    plan.think = std::max<Duration>(plan.think, milliseconds(200));
  }
}

// Every seed has its own mix: a fault that always comes with all others is never seen alone.
void draw_faults(Rng rng, FaultRates& faults) {
  const auto draw = [&](int often) { return rng.chance(1, 2) ? 0 : static_cast<int>(rng.between(1, often)); };
  faults.power_loss = draw(20);
  faults.kill = draw(20);
  faults.restart = draw(15);
  faults.pause = draw(25);
  faults.partition = draw(30);
  faults.cut = draw(60);
  faults.stall = draw(40);
  faults.slow_network = draw(10);
  faults.clock = draw(20);
  faults.slow_disk = draw(15);
  faults.stalled_disk = draw(15);
  faults.full_disk = draw(5);
  faults.rot = draw(5);
  faults.slow_apply = draw(20);
  faults.membership = draw(20);
  faults.transfer = draw(20);
  faults.compaction = draw(40);
  faults.reconnect = draw(40);
  faults.succession = draw(30);
}

// What takes one leader after another, each at its moment, is lost among all other faults: some worlds have nothing
// else, and clients that are busy enough to be there. In half of these a leader sends one entry at a time, so that it
// can fall between two of them, on machines that are fast enough for it.
void draw_short_reigns(Rng rng, Plan& plan) {
  if (plan.members == 1 || !rng.chance(1, 6)) return;
  plan.short_reigns = true;
  plan.faults = {.transfer = 60, .succession = 100};
  plan.kv_clients = 8;
  plan.kv_readers = 4;
  plan.think = milliseconds(10);
  if (!rng.chance(1, 2)) return;
  plan.append_bytes = 1;
  plan.inflight_messages = 1;
  plan.disk_time = std::min<Duration>(plan.disk_time, std::chrono::microseconds(300));
  plan.network.most_delay = std::min<Duration>(plan.network.most_delay, milliseconds(1));
}

}  // namespace

Plan draw_plan(uint64_t seed) {
  Rng rng = Rng(seed).fork("plan");
  Plan plan;
  plan.seed = seed;
  plan.members = one_of(rng, std::array<size_t, 8>{1, 3, 3, 3, 3, 3, 5, 5});
  draw_tuning(rng.fork("tuning"), plan);
  draw_machines(rng.fork("machines"), plan);
  draw_load(rng.fork("load"), plan);
  draw_faults(rng.fork("faults"), plan.faults);
  draw_short_reigns(rng.fork("short reigns"), plan);
  draw_zookeeper(rng.fork("zookeeper"), plan);
  keep_bearable(plan);
  return plan;
}

std::string describe(const Plan& plan) {
  const auto ms = [](Duration span) { return static_cast<double>(span.count()) / 1e6; };
  const FaultRates& f = plan.faults;
  return fmt::format(
      "{} members, election {} ms, snapshot every {} keeping {}, segments {}, appends of {} x{}, tail {}, compaction "
      "{} s, history {}, {}{} loops, task {} ms, disk {} ms, network {}-{} ms late {}/1000 buffer {} chunk {}; "
      "clients: {} kv of which {} only read, {} watch, {} lease, {} lock, {} election, {} keys, {} node and {} node "
      "lock (tick {} ms, {} nodes), think {} ms, values {}; faults/100s: power {} kill {} restart {} pause {} "
      "partition {} cut {} stall {} slownet {} clock {} slowdisk {} stalldisk {} full {} rot {} slowapply {} "
      "members {} transfer {} compact {} reconnect {} succession {}",
      plan.members, ms(plan.election), plan.snapshot_entries, plan.keep_entries, plan.segment_bytes, plan.append_bytes,
      plan.inflight_messages, plan.tail_bytes, plan.auto_compaction.count() / 1'000'000'000, plan.history_bytes,
      plan.one_loop ? "one shared of " : "", plan.api_loops, ms(plan.task_cost), ms(plan.disk_time),
      ms(plan.network.least_delay), ms(plan.network.most_delay), plan.network.late_per_mille, plan.network.buffer_bytes,
      plan.network.largest_chunk, plan.kv_clients, plan.kv_readers, plan.watchers, plan.lease_clients,
      plan.lock_clients, plan.election_clients, plan.keys, plan.node_clients, plan.node_lock_clients,
      ms(plan.zookeeper_tick), plan.nodes, ms(plan.think), plan.value_bytes, f.power_loss, f.kill, f.restart, f.pause,
      f.partition, f.cut, f.stall, f.slow_network, f.clock, f.slow_disk, f.stalled_disk, f.full_disk, f.rot,
      f.slow_apply, f.membership, f.transfer, f.compaction, f.reconnect, f.succession);
}

}  // namespace witan::sim
