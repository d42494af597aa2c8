// The real lane: a worker thread.
#pragma once

#include <memory>
#include <string>

#include "env/loop.h"

namespace witan::os {

class Lane final : public env::Lane {
 public:
  // `done`s are posted to `loop`, which must outlive the lane.
  Lane(env::Loop& loop, std::string name);
  // Finishes all work it was given, then ends. `done`s of that work are still posted.
  ~Lane() override;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // From any thread.
  void run(Task work, Task done) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::os
