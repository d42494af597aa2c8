// Clients that use the cluster while things go wrong, and write down what they were told.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "sim/channel.h"
#include "sim/history.h"

namespace witan::sim {

// Keys the workloads share the space of.
inline constexpr std::string_view kKeyPrefix = "k/";
inline constexpr std::string_view kRegister = "r";  // touched by plain reads, writes and compare-and-set only
inline constexpr std::string_view kLockPrefix = "lock/";
inline constexpr std::string_view kElectionPrefix = "election/";
// All nodes are below this one, and it is there before any client of ZooKeeper's begins.
inline constexpr std::string_view kNodeRoot = "/n";
// Members' clocks may run so much faster or slower than the world's, in parts per thousand.
inline constexpr int64_t kMaxDrift = 30;

// What a call that may change something came to (core P2).
verify::Outcome outcome_of(const RpcResult& result, verify::Failure* failure = nullptr);

class Workload {
 public:
  Workload(Ground ground, MachineId machine, std::string name, History& history, Rng rng)
      : ground_(ground), name_(std::move(name)), history_(history), rng_(std::move(rng)),
        channel_(ground, machine, rng_.fork("channel")) {}
  virtual ~Workload() = default;

  virtual void start() = 0;
  // Begins nothing new; what is under way comes to its end.
  virtual void stop() { stopping_ = true; }
  // Asked now and then when the world should come to rest: empty when nothing is under way and everything was seen,
  // otherwise what is missing.
  virtual std::string unsettled(const verify::Truth& truth) const = 0;
  // All have settled.
  virtual void finish() {}
  const std::string& name() const { return name_; }
  // Whom to connect to, the next time.
  virtual void set_members(const std::vector<const Member*>& members) {
    std::vector<env::Address> endpoints;
    for (const Member* member : members) endpoints.push_back(member->client_address());
    channel_.set_endpoints(std::move(endpoints));
  }
  // Breaks the connection.
  virtual void reconnect() { channel_.reconnect(); }
  // For good.
  virtual void quit() { channel_.quit(); }
  void pause(Duration span) { channel_.pause(span); }

 protected:
  Instant now() const { return ground_.scheduler.now(); }
  void later(Duration least, Duration most, Task task) {
    channel_.loop().call_at(channel_.now() + Duration(rng_.between(least.count(), most.count())), std::move(task));
  }
  Ground ground_;
  const std::string name_;
  History& history_;
  Rng rng_;
  Channel channel_;
  bool stopping_ = false;
};

std::unique_ptr<Workload> make_kv_client(Ground ground, MachineId machine, int number, History& history, Rng rng);
std::unique_ptr<Workload> make_watcher(Ground ground, MachineId machine, int number, History& history, Rng rng);
std::unique_ptr<Workload> make_lease_client(Ground ground, MachineId machine, int number, History& history, Rng rng);
std::unique_ptr<Workload> make_lock_client(Ground ground, MachineId machine, int number, History& history, Rng rng);
std::unique_ptr<Workload> make_candidate(Ground ground, MachineId machine, int number, History& history, Rng rng);
// ZooKeeper's.
std::unique_ptr<Workload> make_node_client(Ground ground, MachineId machine, int number, History& history, Rng rng);
std::unique_ptr<Workload> make_node_lock_client(Ground ground, MachineId machine, int number, History& history,
                                                Rng rng);

}  // namespace witan::sim
