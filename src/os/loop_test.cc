#include "os/loop.h"

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace witan::os {
namespace {

TEST(Loop, TasksRunInTheOrderOfPostingAndNeverInsideThePost) {
  Loop loop("test");
  std::vector<int> order;
  loop.post([&] {
    order.push_back(1);
    loop.post([&] { order.push_back(3); });
    order.push_back(2);
  });
  loop.post([&] { order.push_back(10); });
  loop.stop();
  EXPECT_TRUE(order.empty());
  loop.run();
  // stop() was posted before the inner post; that one waits for the next run.
  EXPECT_EQ(order, (std::vector<int>{1, 2, 10}));
  loop.stop();
  loop.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 10, 3}));
}

TEST(Loop, ManyThreadsPostAndNothingIsLostOrReorderedWithinAThread) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 20000;
  LoopThread thread("test");
  std::vector<int> next(kThreads, 0);  // loop only
  bool ordered = true;                 // loop only
  std::vector<std::thread> posters;
  for (int t = 0; t < kThreads; ++t) {
    posters.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        thread.loop().post([&, t, i] {
          if (next[t]++ != i) ordered = false;
        });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  thread.stop();
  EXPECT_TRUE(ordered);
  EXPECT_EQ(next, std::vector<int>(kThreads, kPosts));
}

TEST(Loop, TimersRunInOrderOfTimeAndNotBefore) {
  Loop loop("test");
  const Instant start = loop.now();
  std::vector<int> order;
  bool early = false;
  for (const int ms : {30, 10, 20}) {
    loop.call_at(start + milliseconds(ms), [&, ms] {
      order.push_back(ms);
      if (loop.now() < start + milliseconds(ms)) early = true;
      if (ms == 30) loop.stop();
    });
  }
  loop.run();
  EXPECT_FALSE(early);
  EXPECT_EQ(order, (std::vector<int>{10, 20, 30}));
}

TEST(Loop, ACancelledTimerNeverRunsEvenWhenItIsDue) {
  Loop loop("test");
  const Instant start = loop.now();
  bool ran = false;
  env::TimerId second = 0;
  // Both are due in the same turn; the first cancels the second.
  loop.call_at(start, [&] { loop.cancel(second); });
  second = loop.call_at(start + Duration(1), [&] { ran = true; });
  const env::TimerId third = loop.call_at(start + milliseconds(1), [&] { ran = true; });
  loop.cancel(third);
  loop.cancel(0);
  loop.cancel(third);
  loop.call_at(start + milliseconds(5), [&] { loop.stop(); });
  loop.run();
  EXPECT_FALSE(ran);
}

TEST(Loop, AnEarlierTimerSetLaterIsNotHeldUpByTheAlarmOfALaterOne) {
  Loop loop("test");
  const Instant start = loop.now();
  Instant rang{};
  loop.call_at(start + seconds(60), [] {});
  loop.call_at(start + milliseconds(5), [&] {
    rang = loop.now();
    loop.stop();
  });
  loop.run();
  EXPECT_GE(rang, start + milliseconds(5));
  EXPECT_LT(rang, start + seconds(30));
}

TEST(Loop, ATimerThatSetsTimersForNowDoesNotStarveTheInbox) {
  Loop loop("test");
  bool posted = false;
  std::function<void()> again = [&] {
    if (!posted)
      loop.call_at(Instant{}, [&] { again(); });
    else
      loop.stop();
  };
  loop.call_at(Instant{}, [&] { again(); });
  loop.post([&] { posted = true; });
  loop.run();
  EXPECT_TRUE(posted);
}

TEST(Loop, DestructionDestroysWhatNeverRan) {
  auto held = std::make_shared<int>(1);
  {
    Loop loop("test");
    loop.post([held] {});
    loop.call_at(Instant::never(), [held] {});
    EXPECT_EQ(held.use_count(), 3);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Loop, WhatATaskOwnsIsGivenBackBeforeTheNextTask) {
  Loop loop("test");
  auto held = std::make_shared<int>(1);
  long seen = 0;
  loop.post([copy = held] {});
  loop.post([&] { seen = held.use_count(); });
  loop.stop();
  loop.run();
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace witan::os
