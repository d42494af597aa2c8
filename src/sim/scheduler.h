// The one clock and the one queue of a simulated world. Everything that happens is an event of it, in one thread; equal
// seeds give equal histories, and a hash of them tells whether they were.
#pragma once

#include <cstdint>
#include <vector>

#include "base/function.h"
#include "base/rng.h"
#include "base/time.h"

namespace witan::sim {

class Scheduler {
 public:
  // With `permute` events of equal time run in a drawn order, otherwise in the order they were asked for.
  Scheduler(Rng rng, bool permute) : rng_(std::move(rng)), permute_(permute) {}

  Instant now() const { return now_; }
  // Runs `task` at `when`, or now if that has passed. Never inside the call.
  void at(Instant when, Task task);
  void after(Duration delay, Task task) { at(now_ + delay, std::move(task)); }

  // Runs the next event if it is not later than `end`; otherwise false, with the clock at `end`.
  bool step(Instant end);

  // Part of what the history is made of: who did what, how many bytes went where.
  void fold(uint64_t word) { hash_ = (hash_ ^ word) * kPrime; }
  uint64_t hash() const { return hash_; }
  uint64_t events() const { return events_; }
  // The hash after every kWindow events: two histories part in the first window whose hashes differ.
  static constexpr uint64_t kWindow = 1024;
  const std::vector<uint64_t>& windows() const { return windows_; }

 private:
  static constexpr uint64_t kPrime = 0x9E3779B97F4A7C15u;
  struct Event {
    Instant when;
    uint64_t order;   // between events of one time
    uint64_t number;  // of the asking
    size_t slot;      // of its task: a heap moves its members about
  };

  Rng rng_;
  const bool permute_;
  Instant now_{1'000'000'000};
  std::vector<Event> queue_;  // a heap, the earliest first
  std::vector<Task> tasks_;
  std::vector<size_t> free_;  // slots of tasks_
  uint64_t asked_ = 0;
  uint64_t events_ = 0;
  uint64_t hash_ = 1;
  std::vector<uint64_t> windows_;
};

}  // namespace witan::sim
