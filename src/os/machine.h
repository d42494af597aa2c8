// What a process asks its machine.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/function.h"
#include "base/time.h"
#include "env/loop.h"
#include "env/machine.h"
#include "os/lane.h"

namespace witan::os {

// Cores this process may run on, at least 1.
unsigned usable_cores();

// From the system's generator of secrets; ends the process when there is none.
uint64_t random_seed();

// Names as the system has them; empty where it has none.
struct Host {
  std::string name;     // "n1.example.net"
  std::string system;   // "Linux"
  std::string release;  // "6.1.0"
  std::string machine;  // "x86_64"
  std::string user;
  std::string home;       // of that user
  std::string directory;  // the current one
};
Host describe_host();

// When the running program's file was last written.
WallTime program_written();

// Looks on a thread of its own.
class Machine final : public env::Machine {
 public:
  struct Directories {
    std::string log;
    std::string snapshots;
  };
  // The loops of those who ask outlive this, and so does `loop`.
  Machine(env::Loop& loop, Directories directories) : directories_(std::move(directories)), lane_(loop, "machine") {}
  void look(env::Loop& home, Function<void(env::MachineFacts)> done) override;

 private:
  const Directories directories_;
  Lane lane_;
};

}  // namespace witan::os
