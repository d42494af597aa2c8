#include "os/loop.h"

#include <pthread.h>

#include <chrono>

#include "base/check.h"
#include "os/loop_impl.h"

namespace witan::os {
namespace asio = boost::asio;

void Loop::Impl::check_thread() const {
  const std::thread::id owner = runner.load(std::memory_order_relaxed);
  CHECK(owner == std::thread::id() || owner == std::this_thread::get_id(), "loop {} used from another thread", name);
}

void Loop::Impl::drain() {
  {
    const std::lock_guard lock(mutex);
    draining.swap(inbox);
  }
  const Turn turn(*this);
  for (Task& slot : draining) {
    // Destroyed right after it ran: what a task owns must not wait for the others.
    Task task = std::move(slot);
    task();
  }
  draining.clear();
}

void Loop::Impl::end_turn() {
  // on_turn_end may tell a handler that its bytes are gone, and the handler may write again. That belongs to another
  // turn, or one busy connection would keep the others waiting.
  in_turn = false;
  finishing.swap(dirty);
  for (const StreamId id : finishing) {
    if (TurnEnd* stream = find_stream(id)) stream->on_turn_end();
  }
  finishing.clear();
}

void Loop::Impl::want_turn_end(StreamId id) {
  dirty.push_back(id);
  if (in_turn || extra_turn) return;
  // Bytes can be written outside any turn (before the loop runs) or during its end; an empty turn sends those.
  extra_turn = true;
  asio::post(context, [this] {
    extra_turn = false;
    const Turn turn(*this);
  });
}

// The alarm is set forward only: a timer that is set and cancelled on every step costs no system call, the alarm rings
// once for nothing instead.
void Loop::Impl::arm() {
  const Instant first = timers.empty() ? Instant::never() : timers.begin()->first.first;
  if (first >= armed) return;
  armed = first;
  alarm.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(first.ns)));
  alarm.async_wait([this](const boost::system::error_code& error) {
    if (error) return;  // set to ring earlier
    armed = Instant::never();
    run_timers();
    arm();
  });
}

void Loop::Impl::run_timers() {
  const Turn turn(*this);
  const Instant due{std::chrono::steady_clock::now().time_since_epoch().count()};
  // A timer that a timer sets for now waits for the next alarm.
  const env::TimerId newest = last_timer;
  auto next = timers.begin();
  while (next != timers.end() && next->first.first <= due) {
    const auto [when, id] = next->first;
    if (id > newest) {
      ++next;
      continue;
    }
    Task task = std::move(next->second);
    timers.erase(next);
    timer_times.erase(id);
    task();
    next = timers.upper_bound({when, id});  // the task may have changed the timers
  }
}

Loop::Loop(std::string name) : impl_(std::make_unique<Impl>(std::move(name))) {}

Loop::~Loop() { close(); }

void Loop::close() {
  CHECK(impl_->runner.load() == std::thread::id(), "loop {} is closed while it runs", impl_->name);
  std::vector<Task> rest;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    rest.swap(impl_->inbox);
  }
  // What tasks own may still cancel timers and say goodbye to the streams.
  rest.clear();
  impl_->timer_times.clear();
  const auto timers = std::exchange(impl_->timers, {});
}

void Loop::run() {
  std::thread::id nobody;
  CHECK(impl_->runner.compare_exchange_strong(nobody, std::this_thread::get_id()), "loop {} runs already", impl_->name);
  impl_->context.restart();
  impl_->context.run();
  impl_->runner.store(std::thread::id());
}

void Loop::stop() {
  post([this] { impl_->context.stop(); });
}

Instant Loop::now() const { return Instant{std::chrono::steady_clock::now().time_since_epoch().count()}; }

WallTime Loop::wall() const {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return WallTime{std::chrono::duration_cast<std::chrono::milliseconds>(since).count()};
}

void Loop::post(Task task) {
  bool first = false;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->closed) return;
    first = impl_->inbox.empty();
    impl_->inbox.push_back(std::move(task));
  }
  if (first) asio::post(impl_->context, [impl = impl_.get()] { impl->drain(); });
}

env::TimerId Loop::call_at(Instant when, Task task) {
  impl_->check_thread();
  const env::TimerId id = ++impl_->last_timer;
  impl_->timers.emplace(std::pair(when, id), std::move(task));
  impl_->timer_times.emplace(id, when);
  impl_->arm();
  return id;
}

void Loop::cancel(env::TimerId id) {
  impl_->check_thread();
  const auto found = impl_->timer_times.find(id);
  if (found == impl_->timer_times.end()) return;
  impl_->timers.erase({found->second, id});
  impl_->timer_times.erase(found);
}

const std::string& Loop::name() const { return impl_->name; }

LoopThread::LoopThread(std::string name) : loop_(std::move(name)) {
  thread_ = std::thread([this] {
    name_this_thread(loop_.name());
    loop_.run();
  });
}

LoopThread::~LoopThread() { stop(); }

void LoopThread::stop() {
  if (!thread_.joinable()) return;
  CHECK(thread_.get_id() != std::this_thread::get_id(), "loop {} stops itself", loop_.name());
  loop_.stop();
  thread_.join();
}

void name_this_thread(const std::string& name) { pthread_setname_np(pthread_self(), name.substr(0, 15).c_str()); }

}  // namespace witan::os
