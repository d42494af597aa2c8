// A whole cluster with its clients, disks, network and clocks in one thread on virtual time, and the faults that a seed
// draws for it. Everything that happens follows from the seed: the same number gives the same world, event by event.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/history.h"
#include "sim/journal.h"
#include "sim/member.h"
#include "sim/network.h"
#include "sim/observer.h"
#include "sim/plan.h"
#include "sim/scheduler.h"
#include "sim/workload.h"
#include "verify/violation.h"

namespace witan::sim {

class ZookeeperClient;
class Nemesis;
class Operator;

// What came of a world.
struct Verdict {
  std::vector<verify::Violation> violations;
  std::map<std::string, uint64_t> counts;  // operations, faults and paths, by name
  Duration virtual_time{0};
  uint64_t events = 0;
  uint64_t hash = 0;
};

class World final : private Observer::Machines {
 public:
  explicit World(Plan plan);
  ~World() override;

  // The whole life of a drawn world: start, trouble, healing, rest, judgement.
  Verdict run();

  // ---- Step by step, for scenarios and nemeses
  void start();
  // Runs until `done`, at most `patience`; false when it did not come true.
  template <class Done>
  bool run_until(Done done, Duration patience) {
    const Instant end = scheduler_.now() + patience;
    while (!done()) {
      if (!scheduler_.step(end)) return done();
    }
    return true;
  }
  void run_for(Duration span) {
    run_until([] { return false; }, span);
  }
  // Everything works again, and every member that should run does.
  void heal();
  // After heal(): no client waits for anything and all members have the same state; what is missing otherwise.
  std::optional<verify::Violation> come_to_rest(Duration patience);
  // After come_to_rest(): the clients leave, and nothing of them may stay.
  std::vector<verify::Violation> say_goodbye();
  // Of everything that was recorded.
  std::vector<verify::Violation> judge();

  Scheduler& scheduler() { return scheduler_; }
  Network& network() { return network_; }
  Observer& observer() { return observer_; }
  Journal& journal() { return journal_; }
  History& history() { return history_; }
  const Plan& plan() const { return plan_; }
  Ground ground(MachineId machine);

  // ---- Members. Machines are numbered from 1; 0 means none.
  std::vector<MachineId> members() const;  // that should run, in order
  Member& member(MachineId machine) { return *members_.at(machine); }
  MachineId next_machine() const { return last_machine_ + 1; }
  MachineId add_machine();         // for one that joins; not started
  void retire(MachineId machine);  // should not run any more
  bool wanted(MachineId machine) const { return wanted_.contains(machine); }
  MachineId leader() const { return observer_.leader(); }
  MachineId machine_of(uint64_t member_id) const override;
  // Clients are told of all members that should run.
  void tell_clients();
  std::unique_ptr<Channel> make_channel();
  // A client of ZooKeeper's protocol on the channel's loop; the channel outlives it.
  std::unique_ptr<ZookeeperClient> make_zookeeper_client(Channel& channel, std::string name);

  void count(const std::string& what, uint64_t n = 1) { counts_[what] += n; }
  std::vector<std::unique_ptr<Workload>>& workloads() { return workloads_; }

 private:
  const Disk* disk_of(MachineId machine) const override;
  std::vector<MachineId> machines() const override;

  node::Options member_options(MachineId machine) const;
  void make_workloads();
  std::vector<env::Address> endpoints() const;
  std::string unrest();
  std::string member_unrest();
  void revive();
  std::vector<verify::Violation> judge_sessions();
  std::vector<verify::Violation> check_members();
  void count_everything();

  const Plan plan_;
  Rng rng_;
  Scheduler scheduler_;
  Network network_;
  Journal journal_;
  Observer observer_;
  History history_;
  std::map<MachineId, std::unique_ptr<Member>> members_;
  std::set<MachineId> wanted_;
  MachineId last_machine_ = 0;
  MachineId last_client_ = 1000;
  std::vector<std::unique_ptr<Workload>> workloads_;
  std::unique_ptr<Operator> operator_;
  std::unique_ptr<Nemesis> nemesis_;
  Instant end_of_faults_{0};
  std::map<std::string, uint64_t> counts_;
};

}  // namespace witan::sim
