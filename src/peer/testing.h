// A small world for this room's tests and fuzzer: one loop on virtual time and a network whose streams can be cut,
// frozen, slowed and handed over in crumbs.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "env/loop.h"
#include "env/network.h"

namespace witan::peer::testing {

class FakeLoop final : public env::Loop {
 public:
  Instant now() const override { return now_; }
  WallTime wall() const override { return WallTime{now_.ns / 1'000'000}; }
  void post(Task task) override { posted_.push_back(std::move(task)); }
  env::TimerId call_at(Instant when, Task task) override;
  void cancel(env::TimerId id) override;

  // Everything due until `span` from now, in order.
  void run_for(Duration span);
  // Until `done`, at most `patience`; false when it did not come true.
  template <class Done>
  bool run_until(Done done, Duration patience = seconds(60)) {
    const Instant end = now_ + patience;
    while (!done()) {
      if (!step(end)) return done();
    }
    return true;
  }

 private:
  // One posted task or timer not later than `end`; false when there is none, with now at `end`.
  bool step(Instant end);

  Instant now_{1'000'000'000};
  std::deque<Task> posted_;
  std::map<std::pair<Instant, env::TimerId>, Task> timers_;
  std::map<env::TimerId, Instant> times_;
  env::TimerId last_ = 0;
};

class FakeNetwork final : public env::Network {
 public:
  FakeNetwork(FakeLoop& loop, uint64_t seed) : loop_(loop), rng_(seed) {}

  Result<std::unique_ptr<env::Listener>> listen(const env::Address& address,
                                                std::vector<env::AcceptTarget> targets) override;
  void connect(env::Loop& loop, const env::Address& address, Duration timeout,
               Function<void(Result<std::unique_ptr<env::Connection>>)> done) override;

  // What may happen to a stream, by the number of the connection (counted from 1 as they are made).
  void cut(uint64_t connection);
  void cut_all();
  // Bytes written from now on vanish, both ways, and nobody is told: the cable is out. New connections time out.
  void freeze(bool frozen) { frozen_ = frozen; }
  // Bytes written stay unsent.
  void hold(bool held);
  // Cuts the connection when so many bytes have been delivered on it, both ways together.
  void cut_after(uint64_t connection, uint64_t bytes) { cut_after_[connection] = bytes; }
  // Bytes arrive in random pieces of at most so many; 0: as they were written.
  void crumble(size_t largest) { crumb_ = largest; }

  uint64_t connections_made() const { return last_; }
  // On this connection, both ways together.
  uint64_t delivered(uint64_t connection) const;
  // How often somebody's written bytes left for the other end, on all connections.
  uint64_t flushes() const { return flushes_; }
  size_t open() const { return pipes_.size(); }

 private:
  class End;
  class FakeListener;
  struct Pipe {
    End* ends[2] = {nullptr, nullptr};  // null: destroyed or closed
    uint64_t delivered = 0;
  };
  static constexpr Duration kLatency = milliseconds(1);

  void flush(End& end);
  void deliver(uint64_t connection, int side, std::string bytes);
  void closed(uint64_t connection, int side, std::string reason);
  // The end at `side` will hear that the other one closed.
  void hang_up(uint64_t connection, int side);
  void drop(uint64_t connection, int side);

  FakeLoop& loop_;
  Rng rng_;
  std::map<std::string, FakeListener*> listeners_;
  std::map<uint64_t, Pipe> pipes_;
  std::map<uint64_t, uint64_t> cut_after_;
  std::map<uint64_t, uint64_t> totals_;
  uint64_t last_ = 0;
  uint64_t flushes_ = 0;
  uint16_t last_port_ = 40000;
  size_t crumb_ = 0;
  bool frozen_ = false;
  bool held_ = false;
};

}  // namespace witan::peer::testing
