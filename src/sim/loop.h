// Threads of a simulated process, without threads: loops and lanes on the world's clock. A process can be paused as a
// whole, a loop can be slow, a clock can drift; what was given to a process dies with it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "env/loop.h"
#include "sim/scheduler.h"

namespace witan::sim {

class Loop;

// A machine's clock: runs faster or slower than the world's, and shows a wall time that may be wrong.
class Clock {
 public:
  explicit Clock(const Scheduler& scheduler) : scheduler_(scheduler), since_(scheduler.now()), shown_(since_) {}

  Instant now() const { return local(scheduler_.now()); }
  WallTime wall() const { return WallTime{kEpochMs + now().ns / 1'000'000 + skew_ms_}; }
  // When the world's clock will be when this one shows `local`.
  Instant world(Instant local) const;
  // From now on it gains (or loses) so many microseconds a second.
  void set_drift(int64_t ppm);
  void set_skew(Duration skew) { skew_ms_ = std::chrono::duration_cast<milliseconds>(skew).count(); }

 private:
  static constexpr int64_t kEpochMs = 1'700'000'000'000;
  Instant local(Instant world) const;

  const Scheduler& scheduler_;
  Instant since_;  // of the world's, when the drift was set ...
  Instant shown_;  // ... and what this one showed
  int64_t ppm_ = 0;
  int64_t skew_ms_ = 0;
};

// What all loops and lanes of one process share: it is stopped and continued as a whole.
class Pause {
 public:
  void until(Instant when) { until_ = std::max(until_, when); }
  void end() { until_ = Instant{0}; }
  Instant over() const { return until_; }

 private:
  Instant until_{0};
};

class Loop final : public env::Loop {
 public:
  // `cost`: a task takes up to so long.
  Loop(Scheduler& scheduler, const Clock& clock, const Pause& pause, Rng rng, Duration cost)
      : scheduler_(scheduler), clock_(clock), pause_(pause), rng_(std::move(rng)), cost_(cost) {}
  ~Loop() override { close(); }

  Instant now() const override { return clock_.now(); }
  WallTime wall() const override { return clock_.wall(); }
  void post(Task task) override;
  env::TimerId call_at(Instant when, Task task) override;
  void cancel(env::TimerId id) override;

  // Drops what it was given, and all that still comes. Its process has ended.
  void close();
  bool closed() const { return closed_; }
  // Nothing runs for so long: somebody does something that takes time.
  void block(Duration span);
  // Something changed that decides when the next task can run: the clock's drift, the pause.
  void rearm();

 private:
  Instant next() const;  // by the world's clock
  void wake(Instant when);
  void run_one();

  Scheduler& scheduler_;
  const Clock& clock_;
  const Pause& pause_;
  Rng rng_;
  const Duration cost_;
  std::deque<Task> posted_;
  std::map<std::pair<Instant, env::TimerId>, Task> timers_;  // by this clock
  std::map<env::TimerId, Instant> times_;
  env::TimerId last_timer_ = 0;
  Instant busy_until_{0};
  std::vector<Instant> armed_;  // wake-ups under way, the latest first
  bool running_ = false;
  bool closed_ = false;
};

// How long a machine's disk takes, and whether it answers at all.
class Lane;

class DiskPace {
 public:
  DiskPace(Rng rng, Duration typical) : rng_(std::move(rng)), typical_(typical) {}
  // Of one piece of work. Now and then ten times the usual.
  Duration draw();
  // Nothing is done before then. An earlier moment than before is one for what is under way, too.
  void stall_until(Instant when);
  Instant stalled_until() const { return stalled_until_; }
  // What is under way gets faster as well.
  void set_slowness(int64_t factor);
  bool coin() { return rng_.chance(1, 2); }

 private:
  friend class Lane;
  void hurry();

  std::vector<Lane*> lanes_;  // that work at this pace
  Rng rng_;
  const Duration typical_;
  int64_t factor_ = 1;
  Instant stalled_until_{0};
};

class Lane final : public env::Lane {
 public:
  Lane(Scheduler& scheduler, Loop& loop, const Pause& pause, DiskPace& pace);
  ~Lane() override;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  void run(Task work, Task done) override;
  // Drops what waits. Its process has ended.
  void close() { waiting_.clear(); }

 private:
  friend class DiskPace;
  void start();
  void end_at(Instant when);
  void finish();
  void hurry();

  Scheduler& scheduler_;
  Loop& loop_;
  const Pause& pause_;
  DiskPace& pace_;
  std::deque<std::pair<Task, Task>> waiting_;
  bool busy_ = false;
  bool worked_ = false;  // the piece under way is done and not yet reported
  Instant ends_;         // when the piece under way is to end
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace witan::sim
