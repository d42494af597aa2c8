#include "sim/scheduler.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace witan::sim {

namespace {

constexpr auto kLater = [](const auto& a, const auto& b) {
  return std::tie(a.when, a.order, a.number) > std::tie(b.when, b.order, b.number);
};

}  // namespace

void Scheduler::at(Instant when, Task task) {
  const uint64_t number = ++asked_;
  if (free_.empty()) {
    free_.push_back(tasks_.size());
    tasks_.emplace_back();
  }
  const size_t slot = free_.back();
  free_.pop_back();
  tasks_[slot] = std::move(task);
  queue_.push_back({std::max(when, now_), permute_ ? rng_.next() : 0, number, slot});
  std::push_heap(queue_.begin(), queue_.end(), kLater);
}

bool Scheduler::step(Instant end) {
  if (queue_.empty() || queue_.front().when > end) {
    now_ = std::max(now_, end);
    return false;
  }
  std::pop_heap(queue_.begin(), queue_.end(), kLater);
  const Event event = queue_.back();
  queue_.pop_back();
  Task task = std::move(tasks_[event.slot]);
  free_.push_back(event.slot);
  now_ = event.when;
  fold(static_cast<uint64_t>(now_.ns));
  fold(event.number);
  if (++events_ % kWindow == 0) windows_.push_back(hash_);
  task();
  return true;
}

}  // namespace witan::sim
