#include "sim/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace witan::sim {
namespace {

constexpr uint16_t kPort = 2380;

// One side of a connection, and what it heard.
struct Side final : env::ConnectionHandler {
  void on_bytes(std::string_view bytes) override {
    heard += bytes;
    pieces.push_back(bytes.size());
  }
  void on_drained() override { ++drained; }
  void on_closed(std::string_view why) override {
    closed = why;
    connection.reset();
  }
  void say(std::string_view bytes) {
    Chain chain;
    chain.append(bytes);
    connection->write(std::move(chain));
  }

  std::unique_ptr<env::Connection> connection;
  std::string heard;
  std::vector<size_t> pieces;
  int drained = 0;
  std::string closed;  // empty: it was not
};

// Bytes that show where they belong.
std::string letters(size_t size) {
  std::string out(size, 'a');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i * 7 % 26);
  return out;
}

class NetworkTest : public testing::Test {
 protected:
  // Machine 1 calls, machine 2 listens.
  explicit NetworkTest(NetworkOptions options = {}) : network_(scheduler_, Rng(7), options) {}

  void run_for(Duration span) {
    const Instant end = scheduler_.now() + span;
    while (scheduler_.step(end)) {
    }
  }
  void listen() {
    std::vector<env::AcceptTarget> targets;
    targets.push_back({.loop = &loop_, .on_accept = [this](std::unique_ptr<env::Connection> connection) {
                         callees_.push_back(std::make_unique<Side>());
                         callee().connection = std::move(connection);
                         callee().connection->start(callee());
                       }});
    auto listener = there_->listen(address_, std::move(targets));
    ASSERT_TRUE(listener.has_value());
    listener_ = std::move(*listener);
  }
  void connect(Duration timeout = seconds(5)) {
    here_->connect(loop_, address_, timeout, [this](auto connection) {
      answered_ = scheduler_.now();
      if (!connection) {
        refusal_ = connection.error().code;
        return;
      }
      caller_.connection = std::move(*connection);
      caller_.connection->start(caller_);
    });
  }
  // A connection between `caller_` and callee().
  void establish() {
    if (!listener_) listen();
    connect();
    run_for(seconds(1));
    ASSERT_NE(caller_.connection, nullptr);
    ASSERT_FALSE(callees_.empty());
  }
  Side& callee() { return *callees_.back(); }

  Scheduler scheduler_{Rng(1), true};
  Clock clock_{scheduler_};
  Pause pause_;
  Loop loop_{scheduler_, clock_, pause_, Rng(2), Duration::zero()};
  Network network_;
  std::unique_ptr<env::Network> here_ = network_.at(1);
  std::unique_ptr<env::Network> there_ = network_.at(2);
  const env::Address address_{.host = Network::host_of(2), .port = kPort};
  std::unique_ptr<env::Listener> listener_;
  Side caller_;
  std::vector<std::unique_ptr<Side>> callees_;
  Instant answered_{0};
  Code refusal_{};
};

// ---- Connecting ---------------------------------------------------------------------------------

TEST_F(NetworkTest, NobodyListensIsRefusedAtOnce) {
  connect();
  run_for(seconds(1));
  EXPECT_EQ(refusal_, Code::Unavailable);
  EXPECT_LT(answered_ - Instant{1'000'000'000}, milliseconds(100));
}

TEST_F(NetworkTest, AnAddressThatIsTakenIsRefused) {
  listen();
  EXPECT_EQ(there_->listen(address_, {}).error().code, Code::Io);
  listener_.reset();
  EXPECT_TRUE(there_->listen(address_, {}).has_value());
}

TEST_F(NetworkTest, ConnectingThroughAPartitionTimesOut) {
  listen();
  const Instant start = scheduler_.now();
  network_.block(2, 1);  // the answer does not come through, which is enough
  connect(seconds(3));
  run_for(seconds(10));
  EXPECT_EQ(refusal_, Code::Timeout);
  EXPECT_GE(answered_ - start, milliseconds(2500));
  EXPECT_LE(answered_ - start, seconds(3));
  EXPECT_TRUE(callees_.empty());
}

TEST_F(NetworkTest, ConnectingOutlivesAPartitionThatIsShortEnough) {
  listen();
  network_.block(1, 2);
  connect(seconds(3));
  run_for(seconds(1));
  EXPECT_EQ(caller_.connection, nullptr);
  network_.unblock_all();
  run_for(seconds(1));
  ASSERT_NE(caller_.connection, nullptr);
  ASSERT_EQ(callees_.size(), 1);
  EXPECT_EQ(caller_.connection->peer().remote, address_.text());
  EXPECT_TRUE(callee().connection->peer().remote.starts_with(Network::host_of(1)));
}

// ---- Bytes --------------------------------------------------------------------------------------

TEST_F(NetworkTest, BytesComeInOrderBothWaysInPiecesOfAnySize) {
  establish();
  const std::string all = letters(50'000);
  for (size_t at = 0; at < all.size(); at += 1000) {
    caller_.say(all.substr(at, 1000));
    callee().say(all.substr(at, 1000));
    run_for(std::chrono::microseconds(100));
  }
  run_for(seconds(1));
  EXPECT_EQ(callee().heard, all);
  EXPECT_EQ(caller_.heard, all);
  EXPECT_TRUE(std::ranges::any_of(callee().pieces, [](size_t size) { return size % 1000 != 0; }))
      << "a reader could take pieces for messages";
}

class LateNetworkTest : public NetworkTest {
 protected:
  LateNetworkTest() : NetworkTest({.late_per_mille = 500}) {}
};

TEST_F(LateNetworkTest, LateBytesAreNotOvertaken) {
  establish();
  const std::string all = letters(500);
  for (const char letter : all) {
    caller_.say(std::string_view(&letter, 1));
    run_for(milliseconds(1));
  }
  run_for(seconds(1));
  EXPECT_EQ(callee().heard, all);
}

TEST_F(NetworkTest, WhatWasWrittenArrivesBeforeTheEnd) {
  establish();
  caller_.say("last words");
  caller_.connection->close_after_flush();
  EXPECT_EQ(caller_.closed, "") << "inside the call";
  run_for(seconds(1));
  EXPECT_EQ(callee().heard, "last words");
  EXPECT_EQ(callee().closed, "closed by peer");
  EXPECT_NE(caller_.closed, "");
  EXPECT_EQ(network_.streams(), 0);
}

TEST_F(NetworkTest, AConnectionThatIsDestroyedEndsForItsPeer) {
  establish();
  caller_.connection.reset();
  run_for(seconds(1));
  EXPECT_EQ(caller_.closed, "") << "its handler is not called any more";
  EXPECT_EQ(callee().closed, "closed by peer");
  EXPECT_EQ(network_.streams(), 0);
}

// ---- Pushing back -------------------------------------------------------------------------------

class NarrowNetworkTest : public NetworkTest {
 protected:
  NarrowNetworkTest() : NetworkTest({.buffer_bytes = 1000, .largest_chunk = 100, .low_water = 500}) {}
};

TEST_F(NarrowNetworkTest, AReaderThatDoesNotReadHoldsItsWriterUp) {
  establish();
  callee().connection->pause_reading(true);
  const std::string all = letters(5000);
  caller_.say(all);
  run_for(seconds(10));
  EXPECT_EQ(callee().heard, "");
  EXPECT_EQ(caller_.connection->unsent(), 4000) << "the network holds its buffer and no more";
  EXPECT_EQ(caller_.drained, 0);
  callee().connection->pause_reading(false);
  run_for(seconds(10));
  EXPECT_EQ(callee().heard, all);
  EXPECT_EQ(caller_.connection->unsent(), 0);
  EXPECT_EQ(caller_.drained, 1);
  EXPECT_LE(*std::ranges::max_element(callee().pieces), 100);
}

TEST_F(NarrowNetworkTest, LittleIsNotCalledDrained) {
  establish();
  for (int i = 0; i < 10; ++i) {
    caller_.say(letters(400));
    run_for(seconds(1));
  }
  EXPECT_EQ(callee().heard.size(), 4000);
  EXPECT_EQ(caller_.drained, 0) << "it was never above the mark";
}

// ---- Partitions ---------------------------------------------------------------------------------

TEST_F(NetworkTest, APartitionCanBeOneWay) {
  establish();
  network_.block(1, 2);
  caller_.say("ping");
  callee().say("pong");
  run_for(seconds(10));
  EXPECT_EQ(callee().heard, "");
  EXPECT_EQ(caller_.heard, "pong");
  EXPECT_EQ(caller_.closed + callee().closed, "") << "TCP waits";
  network_.unblock(1, 2);
  run_for(seconds(1));
  EXPECT_EQ(callee().heard, "ping");
}

TEST_F(NetworkTest, APartitionHoldsTheEndOfAStreamToo) {
  establish();
  network_.block(1, 2);
  caller_.say("bye");
  caller_.connection->close_after_flush();
  run_for(seconds(10));
  EXPECT_EQ(callee().closed, "");
  network_.unblock_all();
  run_for(seconds(1));
  EXPECT_EQ(callee().heard, "bye");
  EXPECT_EQ(callee().closed, "closed by peer");
}

// ---- Streams that break -------------------------------------------------------------------------

TEST_F(NetworkTest, ACutStreamLosesItsEndAndNothingElse) {
  const std::string all = letters(5000);
  bool middle = false;  // of what one side wrote at once
  listen();
  for (int i = 0; i < 40; ++i) {
    caller_.heard.clear();
    caller_.closed.clear();
    establish();
    EXPECT_TRUE(network_.cut_one());
    caller_.say(all);
    callee().say(all);
    run_for(seconds(1));
    EXPECT_EQ(caller_.closed, "connection reset by peer");
    EXPECT_EQ(callee().closed, "connection reset by peer");
    EXPECT_TRUE(all.starts_with(callee().heard));
    EXPECT_TRUE(all.starts_with(caller_.heard));
    middle |= !callee().heard.empty() && callee().heard.size() < all.size();
  }
  EXPECT_TRUE(middle);
  EXPECT_EQ(network_.streams(), 0);
  EXPECT_FALSE(network_.cut_one()) << "there is none";
}

// Seed 7004564: a writer that has not heard of the cut yet writes on, while the reader is still busy with what came
// before.
TEST_F(NetworkTest, NothingArrivesBehindACut) {
  const std::string all = letters(8000);
  bool middle = false;
  listen();
  for (int i = 0; i < 40; ++i) {
    establish();
    EXPECT_TRUE(network_.cut_one());
    callee().connection->pause_reading(true);
    caller_.say(all.substr(0, 4000));
    run_for(Duration(1));  // it leaves
    if (caller_.connection != nullptr) caller_.say(all.substr(4000));
    pause_.until(scheduler_.now() + seconds(1));  // before the rest leaves, and before the writer hears of the cut
    run_for(seconds(2));
    if (callee().connection != nullptr) callee().connection->pause_reading(false);
    run_for(seconds(1));
    EXPECT_TRUE(all.starts_with(callee().heard));
    middle |= !callee().heard.empty() && callee().heard.size() < all.size();
    caller_.connection.reset();
    run_for(seconds(1));
  }
  EXPECT_TRUE(middle);
}

TEST_F(NetworkTest, AStalledDirectionIsLateAndComplete) {
  EXPECT_FALSE(network_.stall_one(seconds(1)));
  establish();
  const std::string all = letters(3000);
  EXPECT_TRUE(network_.stall_one(seconds(10)));
  caller_.say(all);
  callee().say(all);
  run_for(seconds(5));
  EXPECT_EQ(caller_.heard.size() + callee().heard.size(), all.size()) << "one direction, and not the other";
  run_for(seconds(6));
  EXPECT_EQ(callee().heard, all);
  EXPECT_EQ(caller_.heard, all);
}

// ---- Machines that vanish -----------------------------------------------------------------------

class VanishedTest : public NetworkTest {
 protected:
  // As Member does it: the network hears of it first, then everything of the process goes.
  void lose_callee(bool silent) {
    network_.process_gone(2, silent);
    callees_.clear();
    listener_.reset();
  }
};

TEST_F(VanishedTest, ADeadProcessIsNoticedAtOnce) {
  establish();
  lose_callee(false);
  run_for(seconds(1));
  EXPECT_EQ(caller_.closed, "closed by peer");
  connect();
  run_for(seconds(1));
  EXPECT_EQ(refusal_, Code::Unavailable);
}

TEST_F(VanishedTest, ADarkMachineSaysNothingUntilItIsBack) {
  establish();
  lose_callee(true);
  caller_.say("are you there?");
  run_for(seconds(30));
  EXPECT_EQ(caller_.closed, "");
  network_.back(2);
  listen();
  run_for(seconds(1));
  EXPECT_EQ(caller_.closed, "connection reset by peer") << "it knows nothing of this stream";
  EXPECT_EQ(network_.streams(), 0);
  establish();
  caller_.say("again");
  run_for(seconds(1));
  EXPECT_EQ(callee().heard, "again");
}

TEST_F(VanishedTest, ConnectingToADarkMachineTimesOut) {
  listen();
  lose_callee(true);
  connect(seconds(2));
  run_for(seconds(5));
  EXPECT_EQ(refusal_, Code::Timeout);
}

TEST_F(VanishedTest, WhatADarkMachineHadSentStillArrives) {
  establish();
  callee().say("last words");
  run_for(std::chrono::microseconds(1));  // it left the machine
  lose_callee(true);
  run_for(seconds(1));
  EXPECT_EQ(caller_.heard, "last words");
  EXPECT_EQ(caller_.closed, "");
}

}  // namespace
}  // namespace witan::sim
