// SIGTERM and SIGINT as calls on a loop.
#pragma once

#include <memory>

#include "base/function.h"
#include "os/loop.h"

namespace witan::os {

// While one exists, SIGTERM and SIGINT do not end the process but call `on_signal(number)` on `loop`, each time they
// come. SIGPIPE is ignored from then on: a closed pipe or socket is an error code, not a death. One a process.
class Signals {
 public:
  // From any thread, before or while the loop runs.
  Signals(Loop& loop, Function<void(int)> on_signal);
  // On the loop's thread or when it does not run.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // a signal on its way holds it weakly
};

}  // namespace witan::os
