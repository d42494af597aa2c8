// What goes wrong in a world, and when: drawn from the plan's rates. Each fault ends by itself or is ended by the
// healing; which limits they keep is said in docs/guarantees/faults.md.
#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "sim/operator.h"

namespace witan::sim {

class World;

class Nemesis {
 public:
  Nemesis(World& world, Operator& keeper, Rng rng);

  void start();
  void stop() { stopped_ = true; }

 private:
  void tick();
  bool draw(int rate);
  MachineId anybody();
  Member* running();
  void bring_back(MachineId machine);
  void say(const std::string& what, MachineId machine);

  void machines();
  void disks();
  void network();
  void clocks();
  void people();
  void lose_power();
  void partition();
  void move_leader();
  void rot();

  World& world_;
  Operator& keeper_;
  Rng rng_;
  bool stopped_ = false;
  bool rotten_ = false;  // one machine in a world's life
};

}  // namespace witan::sim
