// Short reigns: one leader after another falls at the worst moment, and the ones that fell come back while it still
// matters. What a group says and then forgets, or has and then loses, shows when it is asked again at once by those who
// heard nothing of it. Nothing here looks for one particular mistake: how a leader falls, when it does, who falls with
// it, which disks hang meanwhile and where the clients are is all drawn.
//
// Limits: at most a minority of the voters is out by this nemesis at a time, apart from bystanders who are restarted.
// Every part of it ends by itself (docs/guarantees/faults.md).
#pragma once

#include <array>
#include <deque>
#include <optional>

#include "base/rng.h"
#include "sim/observer.h"
#include "sim/operator.h"

namespace witan::sim {

class Nemesis;
class Member;
class Workload;
class World;

class Succession final : private Observer::Listener {
 public:
  Succession(World& world, Operator& keeper, Nemesis& nemesis, Rng rng);
  ~Succession() override;

  // A row of reigns, unless one is under way or nobody leads.
  void begin();
  // The leader hands over to an heir, who then is left alone.
  void begin_with_heir();
  // Whoever is out comes back.
  void stop();

 private:
  // In which way somebody is out.
  enum class Fall : uint8_t { CutOff, Deaf, Mute, Paused, Crashed };
  enum class Moment : uint8_t { AtOnce, Soon, Commit, Later };
  struct Out {
    MachineId machine = 0;
    Fall fall = Fall::CutOff;
    bool stalled = false;
  };

  void standing(MachineId machine, const raft::Standing& standing) override;
  void committed() override;

  void begin(size_t reigns);
  void arrange(MachineId leader);
  void usurped(MachineId candidate);
  void fall(MachineId leader, bool by_heir);
  void risen(MachineId leader);
  void strike_bystanders(MachineId leader);
  void trade_places(MachineId leader);
  void ask_late(MachineId old);
  void let_in(MachineId machine);
  void let_in_oldest();
  void join(MachineId machine);
  void end_of_stall(MachineId machine);
  void take_sides(MachineId old);
  void move_on();
  void finish();
  static void turn(Workload& workload, const std::vector<const Member*>& members);
  Fall draw_fall(bool by_heir);
  Moment draw_moment();
  bool out(MachineId machine) const;
  size_t may_be_out() const;
  void cut(const Out& one, bool off);
  // Runs `task` unless something else has moved the row of reigns on by then.
  template <class What>
  void unless_moved(Duration span, What task);

  World& world_;
  Operator& keeper_;
  Nemesis& nemesis_;
  Rng rng_;
  size_t left_ = 0;     // reigns to come; 0: nothing is under way
  uint64_t moves_ = 0;  // what has happened so far, so that a plan for something else is known to be void
  uint64_t term_ = 0;   // of the newest leader that was seen to rise
  std::optional<std::array<Moment, 2>> custom_;  // of every other reign, mostly
  bool peaceful_ = false;                        // in this row leaders hand over to their heirs, mostly
  std::deque<Out> out_;                          // the oldest first
  MachineId last_out_ = 0;                       // led, and fell last
  MachineId asked_late_ = 0;                     // fell to its heir, and is asked when ...
  size_t late_commits_ = 0;                      // ... so many entries are committed without it
  MachineId giving_away_ = 0;                    // leads, and was asked to hand over
  bool slowed_ = false;                          // the network is slow meanwhile
  MachineId falls_ = 0;                          // leads, and falls when ...
  size_t commits_ = 0;                           // ... so many more entries are committed
};

}  // namespace witan::sim
