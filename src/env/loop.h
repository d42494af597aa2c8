// A loop: one thread's time, timers and inbox. The only way rooms reach another thread is post().
#pragma once

#include <cstdint>

#include "base/function.h"
#include "base/time.h"

namespace witan::env {

using TimerId = uint64_t;  // 0 = none; never reused within a loop

class Loop {
 public:
  virtual ~Loop() = default;

  // Monotonic; constant within one turn is allowed.
  virtual Instant now() const = 0;
  virtual WallTime wall() const = 0;

  // Runs `task` on the loop after everything posted before it, never inside the call. From any thread.
  virtual void post(Task task) = 0;

  // Runs `task` once, not before `when`. On the loop's thread only, as cancel().
  virtual TimerId call_at(Instant when, Task task) = 0;
  // After it the task will not run; an id that has fired or is 0 is ignored.
  virtual void cancel(TimerId id) = 0;
};

// Work that may block (disk). Tasks run one after the other, off the loop.
class Lane {
 public:
  virtual ~Lane() = default;
  // Runs `work` on the lane, then posts `done` to the loop the lane belongs to. From that loop only.
  virtual void run(Task work, Task done) = 0;
};

}  // namespace witan::env
