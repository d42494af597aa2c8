// What operators want to know of the machine that a member runs on.
#pragma once

#include <cstdint>

#include "base/function.h"
#include "env/loop.h"

namespace witan::env {

// -1: not known.
struct MachineFacts {
  int64_t open_files = -1;      // of this process
  int64_t max_files = -1;       // that it may have open
  int64_t log_bytes = -1;       // on disk
  int64_t snapshot_bytes = -1;  // on disk
};

class Machine {
 public:
  virtual ~Machine() = default;
  // Looks without blocking `home`, and calls `done` there, later. From any thread.
  virtual void look(Loop& home, Function<void(MachineFacts)> done) = 0;
};

}  // namespace witan::env
