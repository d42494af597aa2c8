#include "sim/scheduler.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace witan::sim {

bool Scheduler::later(const Event& a, const Event& b) {
  return std::tie(a.when, a.order, a.number) > std::tie(b.when, b.order, b.number);
}

void Scheduler::at(Instant when, Task task) {
  const uint64_t number = ++asked_;
  queue_.push_back({std::max(when, now_), permute_ ? rng_.next() : 0, number, std::move(task)});
  std::ranges::push_heap(queue_, later);
}

bool Scheduler::step(Instant end) {
  if (queue_.empty() || queue_.front().when > end) {
    now_ = std::max(now_, end);
    return false;
  }
  std::ranges::pop_heap(queue_, later);
  Event event = std::move(queue_.back());
  queue_.pop_back();
  now_ = event.when;
  fold(static_cast<uint64_t>(now_.ns));
  fold(event.number);
  if (++events_ % kWindow == 0) windows_.push_back(hash_);
  event.task();
  return true;
}

}  // namespace witan::sim
