#include "os/signals.h"

#include <csignal>
#include <vector>

#include <gtest/gtest.h>

namespace witan::os {
namespace {

TEST(Signals, BothKindsArriveOnTheLoopEachTime) {
  Loop loop("test");
  std::vector<int> seen;
  Signals signals(loop, [&](int number) {
    seen.push_back(number);
    if (seen.size() == 1) std::raise(SIGINT);
    if (seen.size() == 2) std::raise(SIGTERM);
    if (seen.size() == 3) loop.stop();
  });
  loop.post([] { std::raise(SIGTERM); });
  loop.run();
  EXPECT_EQ(seen, (std::vector<int>{SIGTERM, SIGINT, SIGTERM}));
}

TEST(Signals, ABrokenPipeDoesNotEndTheProcess) {
  Loop loop("test");
  const Signals signals(loop, [](int) {});
  std::raise(SIGPIPE);
  SUCCEED();
}

TEST(Signals, DestructionInsideItsOwnCallIsFine) {
  Loop loop("test");
  std::unique_ptr<Signals> signals;
  signals = std::make_unique<Signals>(loop, [&](int) {
    signals.reset();
    loop.stop();
  });
  loop.post([] { std::raise(SIGTERM); });
  loop.run();
  EXPECT_EQ(signals, nullptr);
}

}  // namespace
}  // namespace witan::os
