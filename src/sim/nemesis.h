// What goes wrong in a world, and when: drawn from the plan's rates. Each fault ends by itself or is ended by the
// healing; which limits they keep is said in docs/guarantees/faults.md.
#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "sim/operator.h"
#include "sim/succession.h"

namespace witan::sim {

class World;

class Nemesis {
 public:
  Nemesis(World& world, Operator& keeper, Rng rng);

  void start();
  void stop();

  // ---- For other nemeses
  // The process or the machine is gone, and comes back after a while.
  void crash(MachineId machine);
  void say(const std::string& what, MachineId machine);

 private:
  void tick();
  bool draw(int rate);
  MachineId anybody();
  Member* running();
  void bring_back(MachineId machine);

  void machines();
  void disks();
  void network();
  void clocks();
  void people();
  void lose_power();
  void partition();
  bool spares_a_voter() const;
  void rot();

  World& world_;
  Operator& keeper_;
  Rng rng_;
  Succession succession_;
  bool stopped_ = false;
  bool rotten_ = false;  // one machine in a world's life
};

}  // namespace witan::sim
