#include "sim/loop.h"

#include <algorithm>

#include "base/check.h"

namespace witan::sim {

// ---- Clock --------------------------------------------------------------------------------------

Instant Clock::local(Instant world) const {
  const int64_t passed = (world - since_).count();
  return shown_ + Duration(passed + passed / 1'000'000 * ppm_ + passed % 1'000'000 * ppm_ / 1'000'000);
}

Instant Clock::world(Instant local_time) const {
  if (local_time == Instant::never()) return local_time;
  const int64_t shown = (local_time - shown_).count();
  if (shown <= 0) return since_;
  // The division rounds down; whoever waits for this instant looks at the clock again.
  const int64_t whole = shown / (1'000'000 + ppm_);
  const int64_t rest = shown % (1'000'000 + ppm_);
  return since_ + Duration(whole * 1'000'000 + rest * 1'000'000 / (1'000'000 + ppm_) + 1);
}

void Clock::set_drift(int64_t ppm) {
  shown_ = now();
  since_ = scheduler_.now();
  ppm_ = ppm;
}

// ---- Loop ---------------------------------------------------------------------------------------

void Loop::post(Task task) {
  if (closed_) return;
  posted_.push_back(std::move(task));
  rearm();
}

env::TimerId Loop::call_at(Instant when, Task task) {
  if (closed_) return 0;
  const env::TimerId id = ++last_timer_;
  timers_.emplace(std::pair(when, id), std::move(task));
  times_.emplace(id, when);
  rearm();
  return id;
}

void Loop::cancel(env::TimerId id) {
  const auto found = times_.find(id);
  if (found == times_.end()) return;
  timers_.erase({found->second, id});
  times_.erase(found);
}

void Loop::close() {
  closed_ = true;
  // What tasks own may still say goodbye to this loop.
  times_.clear();
  const auto timers = std::exchange(timers_, {});
  const auto posted = std::exchange(posted_, {});
}

void Loop::block(Duration span) {
  busy_until_ = std::max(busy_until_, scheduler_.now()) + span;
  rearm();
}

Instant Loop::next() const {
  Instant ready = Instant::never();
  if (!posted_.empty()) {
    ready = scheduler_.now();
  } else if (!timers_.empty()) {
    ready = clock_.world(timers_.begin()->first.first);
  }
  if (ready == Instant::never()) return ready;
  return std::max({ready, busy_until_, pause_.over()});
}

void Loop::rearm() {
  if (running_ || closed_) return;
  const Instant when = next();
  if (when == Instant::never()) return;
  // A wake-up under way comes first, and looks again.
  if (!armed_.empty() && armed_.back() <= when) return;
  armed_.push_back(when);
  scheduler_.at(when, [this, when] { wake(when); });
}

void Loop::wake(Instant when) {
  std::erase(armed_, when);
  if (closed_) return;
  if (next() <= scheduler_.now()) run_one();
  rearm();
}

void Loop::run_one() {
  const bool due = !timers_.empty() && timers_.begin()->first.first <= now();
  Task task;
  if (due && (posted_.empty() || rng_.chance(1, 2))) {
    auto first = timers_.extract(timers_.begin());
    times_.erase(first.key().second);
    task = std::move(first.mapped());
  } else if (!posted_.empty()) {
    task = std::move(posted_.front());
    posted_.pop_front();
  } else {
    return;
  }
  if (cost_ > Duration::zero()) busy_until_ = scheduler_.now() + Duration(rng_.between(0, cost_.count()));
  running_ = true;
  task();
  task = nullptr;  // what it owns goes in the same turn
  running_ = false;
}

// ---- Disk work ----------------------------------------------------------------------------------

Duration DiskPace::draw() {
  const int64_t typical = typical_.count();
  int64_t span = rng_.between(typical / 4, typical * 2);
  if (rng_.chance(1, 50)) span *= 10;
  return Duration(span * factor_);
}

void DiskPace::stall_until(Instant when) {
  const bool sooner = when < stalled_until_;
  stalled_until_ = when;
  if (sooner) hurry();
}

void DiskPace::set_slowness(int64_t factor) {
  const bool faster = factor < factor_;
  factor_ = factor;
  if (faster) hurry();
}

void DiskPace::hurry() {
  for (Lane* lane : lanes_) lane->hurry();
}

Lane::Lane(Scheduler& scheduler, Loop& loop, const Pause& pause, DiskPace& pace)
    : scheduler_(scheduler), loop_(loop), pause_(pause), pace_(pace) {
  pace_.lanes_.push_back(this);
}
Lane::~Lane() {
  *alive_ = false;
  std::erase(pace_.lanes_, this);
}

void Lane::run(Task work, Task done) {
  if (loop_.closed()) return;
  waiting_.emplace_back(std::move(work), std::move(done));
  if (!busy_) start();
}

// Whether the bytes were there before or after the time passed, nobody can know: both happen.
void Lane::start() {
  busy_ = true;
  worked_ = pace_.coin() && pace_.stalled_until() <= scheduler_.now();
  if (worked_) waiting_.front().first();
  end_at(scheduler_.now() + pace_.draw());
}

void Lane::end_at(Instant when) {
  ends_ = when;
  scheduler_.at(when, [this, when, alive = alive_] {
    if (*alive && busy_ && ends_ == when) finish();
  });
}

// What takes long began when the disk was slow or stalled, which it is not any more.
void Lane::hurry() {
  if (!busy_) return;
  const Instant sooner = scheduler_.now() + pace_.draw();
  if (sooner < ends_) end_at(sooner);
}

void Lane::finish() {
  if (loop_.closed()) return;
  const Instant free = std::max(pace_.stalled_until(), pause_.over());
  if (free > scheduler_.now()) return end_at(free);
  auto [work, done] = std::move(waiting_.front());
  waiting_.pop_front();
  if (!worked_) work();
  work = nullptr;
  loop_.post(std::move(done));
  busy_ = false;
  if (!waiting_.empty()) start();
}

}  // namespace witan::sim
