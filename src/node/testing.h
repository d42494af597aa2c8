// Whole members in one process on virtual time, for this room's tests: real raft, log, store and peers, a disk in
// memory, a network of byte streams, and a clock, a disk and a power switch for each member.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "env/loop.h"
#include "node/node.h"
#include "peer/testing.h"
#include "wal/testing.h"

namespace witan::node::testing {

// A member's view of the common loop. What it was given dies with the member, not with the loop.
class MemberLoop final : public env::Loop {
 public:
  explicit MemberLoop(peer::testing::FakeLoop& base) : base_(base) {}

  Instant now() const override { return base_.now(); }
  WallTime wall() const override { return WallTime{base_.wall().ms + skew_ms_}; }
  void post(Task task) override;
  env::TimerId call_at(Instant when, Task task) override;
  void cancel(env::TimerId id) override;

  // What is posted here waits so long, as on a loop that is busy. Set once.
  void set_lag(Duration lag) { lag_ = lag; }
  void set_skew(Duration skew) { skew_ms_ = std::chrono::duration_cast<milliseconds>(skew).count(); }
  void close();

 private:
  peer::testing::FakeLoop& base_;
  int64_t skew_ms_ = 0;
  Duration lag_{};
  bool closed_ = false;
  std::deque<Task> posted_;
  std::map<env::TimerId, Task> timers_;  // by the base's id
};

// Works at once, unless it is stalled.
class MemberLane final : public env::Lane {
 public:
  explicit MemberLane(MemberLoop& loop) : loop_(loop) {}
  void run(Task work, Task done) override;
  void stall(bool stalled);

 private:
  void next();

  MemberLoop& loop_;
  std::deque<std::pair<Task, Task>> waiting_;
  bool stalled_ = false;
};

class Member {
 public:
  // With a `state_lag` the state has a loop of its own, which is so much behind.
  Member(peer::testing::FakeLoop& base, peer::testing::FakeNetwork& network, Options options, uint64_t seed,
         Duration state_lag);

  void start();
  void kill();  // at once; unsynced bytes stay, as after kill -9
  void stop(Task done) { node_->stop(std::move(done)); }
  bool running() const { return node_ != nullptr; }

  Client& client() { return *client_; }
  MemberLoop& loop() { return *loops_.back(); }
  MemberLane& log_lane() { return *lanes_.at(lanes_.size() - 2); }
  wal::MemoryDisk& disk() { return disk_; }
  const Options& options() const { return options_; }
  MemberId id() const { return node_->member_id(); }
  const std::optional<Error>& fatal() const { return fatal_; }

 private:
  peer::testing::FakeLoop& base_;
  peer::testing::FakeNetwork& network_;
  const Options options_;
  uint64_t seed_;
  const Duration state_lag_;
  wal::MemoryDisk disk_;
  // Of this life and the ones before: others may still know their addresses.
  std::vector<std::unique_ptr<MemberLoop>> loops_;
  std::vector<std::unique_ptr<MemberLoop>> state_loops_;  // when they are others
  std::vector<std::unique_ptr<MemberLane>> lanes_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<Client> client_;
  std::optional<Error> fatal_;
};

class Cluster {
 public:
  // Members n1 .. nN. `change` may alter what all of them are started with.
  Cluster(size_t size, const Function<void(Options&)>& change = [](Options&) {}, Duration state_lag = {});

  void start();
  Member& operator[](size_t i) { return *members_[i]; }
  size_t size() const { return members_.size(); }
  peer::testing::FakeLoop& loop() { return loop_; }
  peer::testing::FakeNetwork& network() { return network_; }

  // The member all running ones name; nullptr when they name none within `patience`.
  Member* leader(Duration patience = seconds(30));
  // What came of a put through `member`; nullopt when nothing did within `patience`.
  std::optional<Outcome> put(Member& member, std::string_view key, std::string_view value,
                             Duration patience = seconds(30));
  // Deletes everything.
  std::optional<Outcome> erase(Member& member);
  // The value as `member` has it; empty when it has none.
  std::string local(Member& member, std::string_view key);
  Status status(Member& member);
  template <class Done>
  bool run_until(Done done, Duration patience = seconds(30)) {
    return loop_.run_until(std::move(done), patience);
  }

 private:
  std::optional<Outcome> propose(Member& member, const store::Body& body, Duration patience);

  peer::testing::FakeLoop loop_;
  peer::testing::FakeNetwork network_{loop_, 1};
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace witan::node::testing
