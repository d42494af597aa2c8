// A machine with a member of the cluster on it: its disk and clock last, processes come and go.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/etcd/server.h"
#include "api/zookeeper/server.h"
#include "node/node.h"
#include "sim/disk.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "sim/plan.h"
#include "sim/scheduler.h"

namespace witan::sim {

// What all machines share.
struct Ground {
  Scheduler& scheduler;
  Network& network;
  const Plan& plan;
  LogSink* log = nullptr;
};

class Member {
 public:
  static constexpr uint16_t kPeerPort = 2380;
  static constexpr uint16_t kClientPort = 2379;
  static constexpr uint16_t kZookeeperPort = 2181;

  // `options` without addresses, which are the machine's.
  Member(Ground ground, MachineId machine, node::Options options, node::Witness& witness, Rng rng);
  ~Member();

  // Starts a process. It may take a while, and may end by itself; see running() and last_error().
  void start();
  // Gone at once; what was written stays, as after kill -9.
  void kill();
  // The machine goes dark: unsynced bytes are lost in part, and nobody is told.
  void lose_power();
  // The same in the middle of some disk work to come.
  void lose_power_after(uint64_t disk_operations);
  // Asks the process to end in good order.
  void stop();
  // Nothing of the process runs for `span`.
  void pause(Duration span);
  void end_pause();
  // Applying takes `span` longer from now.
  void block_state(Duration span);

  bool running() const { return life_ != nullptr; }
  bool serving() const;
  // Some of its durable bytes were damaged: it may refuse to start, and then nobody expects it back.
  void damage();
  // What no fault of this world explains: damage that nobody did.
  const std::vector<Error>& complaints() const { return complaints_; }
  bool given_up() const { return damaged_ && !running() && last_error_.has_value(); }
  bool damaged() const { return damaged_; }
  const std::optional<Error>& last_error() const { return last_error_; }
  // Questions and connections of clients that this process holds.
  size_t pending() const;
  size_t connections() const;
  MachineId machine() const { return machine_; }
  const node::Options& options() const { return options_; }
  uint64_t id() const { return id_; }  // 0 until it has started once
  env::Address client_address() const { return {.host = Network::host_of(machine_), .port = kClientPort}; }
  env::Address zookeeper_address() const { return {.host = Network::host_of(machine_), .port = kZookeeperPort}; }
  Disk& disk() { return disk_; }
  DiskPace& pace() { return pace_; }
  Clock& clock() { return clock_; }
  void clocks_changed();
  uint64_t lives() const { return lives_.size(); }

 private:
  struct Life;

  node::World world(Life& life);
  void prepared(uint64_t number, Result<> result);
  void open();
  void furnish(Life& life);
  void serve();
  void end_soon(uint64_t number, std::optional<Error> error);
  void bury(bool silent);

  Ground ground_;
  const MachineId machine_;
  node::Options options_;
  node::Witness& witness_;
  Rng rng_;
  Disk disk_;
  DiskPace pace_;
  Clock clock_;
  Life* life_ = nullptr;
  std::vector<std::unique_ptr<Life>> lives_;  // others may still know addresses of the former ones' loops
  std::optional<Error> last_error_;
  std::vector<Error> complaints_;
  bool damaged_ = false;
  uint64_t id_ = 0;
};

}  // namespace witan::sim
