// The person who runs the cluster: adds, promotes, replaces and removes members, moves the lead, compacts. Speaks to
// the members as etcdctl does, and finds out what became of a request whose answer was lost.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "sim/channel.h"
#include "sim/etcd.h"

namespace witan::sim {

class World;

class Operator {
 public:
  Operator(World& world, Rng rng);
  ~Operator();

  // Begins a change of members unless one is under way.
  void change_members();
  // To anybody. Returns whom to; 0 when there is nobody who leads.
  MachineId move_leader();
  // False when there is nobody who leads.
  bool move_leader(MachineId heir);
  void compact();
  // From now on sees to it that those run who belong to the group, and nobody else.
  void wind_up();
  bool busy() const { return busy_; }
  void leave() {
    channel_->quit();
    to_leader_->quit();
  }

 private:
  using Members = std::vector<etcd::MemberItem>;
  // A member's own view may be old, and shows what its log has, committed or not.
  struct Listed {
    Members members;
    bool certain = false;

    const etcd::MemberItem* find(std::string_view peer_url) const;
    const etcd::MemberItem* find(uint64_t id) const;
  };

  // Asks until somebody answers for sure, or shows what `enough` waits for.
  void list(int tries, Function<bool(const Listed&)> enough, Function<void(Listed)> done);
  void add_learner();
  void added(MachineId machine);
  void promote(uint64_t id, int tries);
  void remove_one();
  void removed(MachineId machine);
  void request(std::string path, std::string message, Function<void(RpcResult)> done);
  void later(Duration least, Duration most, Task task);

  World& world_;
  Rng rng_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Channel> to_leader_;
  bool busy_ = false;
};

}  // namespace witan::sim
