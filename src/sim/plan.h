// What a seed draws before anything happens: how large the cluster is, how its members are tuned, how fast machines
// and networks are, what the clients do and what goes wrong.
#pragma once

#include <cstdint>
#include <string>

#include "base/rng.h"
#include "base/time.h"
#include "sim/network.h"

namespace witan::sim {

// How often each fault comes, in hundredths per second of faults; 0: never. The model and its limits are in
// docs/guarantees/faults.md.
struct FaultRates {
  int power_loss = 0;
  int kill = 0;
  int restart = 0;  // clean
  int pause = 0;
  int partition = 0;
  int cut = 0;
  int stall = 0;
  int slow_network = 0;
  int clock = 0;
  int slow_disk = 0;
  int stalled_disk = 0;
  int full_disk = 0;
  int rot = 0;
  int slow_apply = 0;
  int membership = 0;
  int transfer = 0;
  int compaction = 0;
  int reconnect = 0;
  int succession = 0;
};

struct Plan {
  uint64_t seed = 0;
  size_t members = 3;
  bool short_reigns = false;  // nothing but leaders that fall, one after another
  bool permute = true;
  bool one_loop = false;  // consensus, state and API share one
  size_t api_loops = 1;
  Duration task_cost = std::chrono::microseconds(20);
  Duration disk_time = std::chrono::microseconds(300);
  NetworkOptions network;

  Duration heartbeat = milliseconds(100);
  Duration election = milliseconds(1000);
  uint64_t snapshot_entries = 1000;
  uint64_t keep_entries = 100;
  uint64_t segment_bytes = uint64_t{64} << 10;
  size_t append_bytes = size_t{1} << 20;
  size_t inflight_messages = 256;
  size_t tail_bytes = size_t{1} << 20;
  Duration auto_compaction = seconds(3600);
  int64_t history_bytes = int64_t{1} << 30;
  size_t watch_buffer_bytes = size_t{64} << 10;

  size_t kv_clients = 4;
  size_t kv_readers = 0;  // so many of them only read
  size_t watchers = 3;
  size_t lease_clients = 2;
  size_t lock_clients = 2;
  size_t election_clients = 2;
  size_t keys = 8;

  // ZooKeeper's side. Sessions may be as short as two ticks.
  Duration zookeeper_tick = milliseconds(500);
  size_t node_clients = 0;       // that read, write and watch a few nodes everybody fights for
  size_t node_lock_clients = 0;  // that queue with ephemeral sequential nodes
  size_t nodes = 5;

  Duration think = milliseconds(20);  // between a client's calls, on average
  size_t value_bytes = 16;            // at most, beyond what makes it unique

  Duration trouble = seconds(20);
  FaultRates faults;
};

Plan draw_plan(uint64_t seed);
// One line a person can read.
std::string describe(const Plan& plan);

}  // namespace witan::sim
