// The real loop: an Asio io_context run by one thread.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "env/loop.h"

namespace witan::os {

// Many posts cause one wake-up: the inbox is drained whole, and only the post that finds it empty wakes the thread.
// A turn is one drain, one batch of due timers, or one socket's event; what connections were given to write in a turn
// leaves at its end.
class Loop final : public env::Loop {
 public:
  explicit Loop(std::string name);
  // Requires: run() is not going on. Tasks that never ran are destroyed here.
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs tasks on the calling thread until stop(); then may be called again.
  void run();
  // From any thread. Everything posted before it still runs; run() returns after that.
  void stop();

  // Destroys what never ran, and drops what is still posted. For loops whose tasks know each other: close all of them
  // before the first is destroyed. Requires: run() is not going on, and will not.
  void close();

  Instant now() const override;    // from any thread
  WallTime wall() const override;  // from any thread
  void post(Task task) override;
  // On the loop's thread, or by anyone while run() is not going on (checked), as cancel().
  env::TimerId call_at(Instant when, Task task) override;
  void cancel(env::TimerId id) override;

  const std::string& name() const;

  struct Impl;  // os/loop_impl.h, for this room only
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// A loop with a thread of its own, from construction to destruction.
class LoopThread {
 public:
  explicit LoopThread(std::string name);
  // Lets what was posted before finish, and waits for the thread.
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Loop& loop() { return loop_; }
  // Ends the thread early (the loop object stays). Not from the loop's own thread. Calling it twice is fine.
  void stop();

 private:
  Loop loop_;
  std::thread thread_;
};

// Names the calling thread for debuggers and `top -H`; longer than 15 characters is cut.
void name_this_thread(const std::string& name);

}  // namespace witan::os
