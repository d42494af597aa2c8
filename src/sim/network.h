// The world's network: byte streams between machines with delays, stalls, cuts at any byte, partitions one way or both,
// arbitrary chunks, full buffers, and machines that vanish without a word. Contract: env/network.h.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "env/network.h"
#include "sim/loop.h"
#include "sim/scheduler.h"

namespace witan::sim {

using MachineId = uint32_t;

struct NetworkOptions {
  Duration least_delay = std::chrono::microseconds(50);
  Duration most_delay = milliseconds(1);
  uint64_t late_per_mille = 5;              // so many chunks take up to ...
  Duration late = milliseconds(30);         // ... this much longer
  size_t buffer_bytes = size_t{256} << 10;  // under way in one direction of a stream
  size_t largest_chunk = size_t{64} << 10;  // handed to a reader at once
  size_t low_water = size_t{64} << 10;
};

class Network {
 public:
  Network(Scheduler& scheduler, Rng rng, NetworkOptions options)
      : scheduler_(scheduler), rng_(std::move(rng)), options_(options) {}
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // The network as a process on `machine` sees it; everything it makes lives on simulated loops.
  std::unique_ptr<env::Network> at(MachineId machine);
  // Each machine has one address, whatever the port.
  static std::string host_of(MachineId machine) { return "10.0.0." + std::to_string(machine); }

  // ---- What goes wrong
  // Nothing gets from `from` to `to` until it is unblocked; TCP keeps what was under way.
  void block(MachineId from, MachineId to) { blocked_.emplace(from, to); }
  void unblock(MachineId from, MachineId to);
  void unblock_all();
  bool blocked(MachineId from, MachineId to) const { return blocked_.contains({from, to}); }
  // One stream breaks after some more of its bytes. False when there is none.
  bool cut_one();
  // One direction of one stream stands still for `span`.
  bool stall_one(Duration span);
  void set_slowness(int64_t factor) { slowness_ = factor; }
  // From now on nothing comes late, and nothing stands still.
  void calm();
  // The process at `machine` is gone. With `silent` (no power) nobody is told before back() is called.
  void process_gone(MachineId machine, bool silent);
  void back(MachineId machine);

  size_t streams() const { return pipes_.size(); }

 private:
  class End;
  class View;
  class Port;
  struct Direction {
    MachineId from = 0;
    MachineId to = 0;
    std::deque<std::pair<Instant, std::string>> flying;
    size_t flying_bytes = 0;  // and what has arrived and was not read
    Instant last_arrival{0};
    bool delivering = false;  // an event is under way
    bool held = false;        // behind a partition
    bool ends = false;        // nothing follows what flies: the other end closed
    std::string reason;       // how that shows
    uint64_t cut_after = 0;   // bytes; 0: not to be cut
  };
  struct Pipe {
    End* ends[2] = {nullptr, nullptr};  // null: destroyed, or told that it is over
    Direction directions[2];            // [side]: what ends[side] is sent
    MachineId machines[2] = {0, 0};
    bool lost[2] = {false, false};  // that side's machine vanished
  };
  using PipeId = uint64_t;

  void open(MachineId from, Loop& loop, const env::Address& address, Instant deadline,
            Function<void(Result<std::unique_ptr<env::Connection>>)> done);
  Duration delay();
  void flush(End& end);
  void take_off(Pipe& pipe, PipeId id, int to, std::string bytes);
  void schedule(PipeId id, int side);
  void deliver(PipeId id, int side);
  void arrive(PipeId id, Pipe& pipe, int side, std::string bytes);
  void finish(PipeId id, int side, std::string reason);
  void over(PipeId id, int side, std::string reason);
  void drop(PipeId id, int side);
  void reset(PipeId id);
  void forget_if_done(PipeId id);

  Scheduler& scheduler_;
  Rng rng_;
  NetworkOptions options_;
  std::map<std::string, Port*> ports_;
  std::map<PipeId, Pipe> pipes_;
  PipeId last_ = 0;
  uint16_t last_port_ = 40000;
  std::set<std::pair<MachineId, MachineId>> blocked_;
  std::map<MachineId, std::vector<PipeId>> silent_;  // streams that a vanished machine will reset when it is back
  std::set<MachineId> dark_;
  int64_t slowness_ = 1;
};

}  // namespace witan::sim
