#include "os/lane.h"

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "os/loop.h"

namespace witan::os {
namespace {

TEST(Lane, RunsWorkInOrderOffTheLoopAndReportsOnIt) {
  LoopThread thread("loop");
  Lane lane(thread.loop(), "lane");
  std::promise<std::thread::id> loop_id;
  thread.loop().post([&] { loop_id.set_value(std::this_thread::get_id()); });
  const std::thread::id on_loop = loop_id.get_future().get();

  std::vector<int> worked;    // lane only
  std::vector<int> reported;  // loop only
  std::atomic<bool> wrong_thread = false;
  std::promise<void> all;
  thread.loop().post([&] {
    for (int i = 0; i < 100; ++i) {
      lane.run(
          [&, i] {
            if (std::this_thread::get_id() == on_loop) wrong_thread = true;
            worked.push_back(i);
          },
          [&, i] {
            if (std::this_thread::get_id() != on_loop) wrong_thread = true;
            reported.push_back(i);
            if (i == 99) all.set_value();
          });
    }
  });
  all.get_future().get();
  EXPECT_FALSE(wrong_thread);
  ASSERT_EQ(worked.size(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(worked[i], i);
    EXPECT_EQ(reported[i], i);
  }
}

TEST(Lane, DestructionFinishesTheWorkThatWaits) {
  LoopThread thread("loop");
  std::promise<void> gate;
  int worked = 0;
  std::atomic<int> reported = 0;
  {
    Lane lane(thread.loop(), "lane");
    std::promise<void> queued;
    thread.loop().post([&] {
      lane.run([&] { gate.get_future().wait(); }, nullptr);
      for (int i = 0; i < 10; ++i) lane.run([&] { ++worked; }, [&] { ++reported; });
      queued.set_value();
    });
    queued.get_future().wait();
    gate.set_value();
  }
  EXPECT_EQ(worked, 10);
  thread.stop();
  EXPECT_EQ(reported, 10);
}

}  // namespace
}  // namespace witan::os
