#include "os/lane.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "os/loop.h"

namespace witan::os {

struct Lane::Impl {
  struct Job {
    Task work;
    Task done;
  };

  explicit Impl(env::Loop& loop_of_lane) : loop(loop_of_lane) {}

  void serve() {
    std::vector<Job> batch;
    while (take(batch)) {
      for (Job& slot : batch) {
        Job job = std::move(slot);
        job.work();
        job.work = nullptr;  // what it owns goes before `done` can run
        if (job.done) loop.post(std::move(job.done));
      }
      batch.clear();
    }
  }

  // Waits for work; false when the lane ends and nothing is left.
  bool take(std::vector<Job>& batch) {
    std::unique_lock lock(mutex);
    wake.wait(lock, [this] { return ending || !queue.empty(); });
    batch.swap(queue);
    return !batch.empty();
  }

  env::Loop& loop;
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<Job> queue;  // guarded by mutex
  bool ending = false;     // guarded by mutex
  std::thread thread;
};

Lane::Lane(env::Loop& loop, std::string name) : impl_(std::make_unique<Impl>(loop)) {
  impl_->thread = std::thread([impl = impl_.get(), name = std::move(name)] {
    name_this_thread(name);
    impl->serve();
  });
}

Lane::~Lane() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ending = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

void Lane::run(Task work, Task done) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->queue.push_back({std::move(work), std::move(done)});
  }
  impl_->wake.notify_one();
}

}  // namespace witan::os
