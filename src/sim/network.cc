#include "sim/network.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::sim {

// ---- One side of a stream -----------------------------------------------------------------------

class Network::End final : public env::Connection {
 public:
  End(Network& network, Loop& loop, PipeId pipe, int side, std::string remote)
      : network_(network), loop_(loop), pipe_(pipe), side_(side) {
    peer_.remote = std::move(remote);
  }
  ~End() override { network_.drop(pipe_, side_); }

  void start(env::ConnectionHandler& handler) override {
    CHECK(handler_ == nullptr, "a connection is started twice");
    handler_ = &handler;
    read_soon();
    if (over_) tell_end_soon();
  }
  void write(Chain&& bytes) override {
    if (leaving_) return;
    out_.append(std::move(bytes));
    if (out_.size() > network_.options_.low_water) above_low_water_ = true;
    flush_soon();
  }
  size_t unsent() const override { return out_.size(); }
  void pause_reading(bool paused) override {
    paused_ = paused;
    if (!paused) read_soon();
  }
  void close_after_flush() override {
    leaving_ = true;
    flush_soon();
  }
  const env::PeerInfo& peer() const override { return peer_; }

  // Runs `what` on the loop if this end is still there then.
  template <class What>
  void later(What what) {
    loop_.post([&network = network_, pipe = pipe_, side = side_, what] {
      const auto found = network.pipes_.find(pipe);
      if (found != network.pipes_.end() && found->second.ends[side] != nullptr) what(*found->second.ends[side]);
    });
  }
  void flush_soon() {
    if (std::exchange(flush_posted_, true)) return;
    later([](End& end) { end.network_.flush(end); });
  }
  void read_soon() {
    if (handler_ == nullptr || in_.empty() || std::exchange(read_posted_, true)) return;
    later([](End& end) { end.read(); });
  }
  void tell_end_soon() {
    if (handler_ == nullptr) return;
    later([](End& end) { end.tell_end(); });
  }
  void read();
  void tell_end();

  Network& network_;
  Loop& loop_;
  const PipeId pipe_;
  const int side_;
  env::PeerInfo peer_;
  env::ConnectionHandler* handler_ = nullptr;
  Chain out_;
  std::string in_;
  bool flush_posted_ = false;
  bool read_posted_ = false;
  bool paused_ = false;
  bool above_low_water_ = false;
  bool leaving_ = false;
  bool over_ = false;  // nothing comes after in_
  std::string reason_;
};

// In pieces of any size: a reader must not care where one ends.
void Network::End::read() {
  read_posted_ = false;
  if (paused_ || in_.empty() || leaving_) {
    if (leaving_) in_.clear();
    if (over_) tell_end();
    return;
  }
  const size_t most = std::min(in_.size(), network_.options_.largest_chunk);
  const size_t size = network_.rng_.chance(1, 4) ? 1 + network_.rng_.below(most) : most;
  const std::string bytes = in_.substr(0, size);
  in_.erase(0, size);
  Network& network = network_;
  const PipeId id = pipe_;
  const int side = side_;
  network.pipes_.at(id).directions[side].flying_bytes -= size;
  End* sender = network.pipes_.at(id).ends[1 - side];
  if (sender != nullptr && (!sender->out_.empty() || sender->above_low_water_)) sender->flush_soon();
  handler_->on_bytes(bytes);
  const auto found = network.pipes_.find(id);
  if (found == network.pipes_.end() || found->second.ends[side] == nullptr) return;
  read_soon();
  if (in_.empty() && over_) tell_end_soon();
}

void Network::End::tell_end() {
  if (!over_ || (!in_.empty() && !leaving_) || handler_ == nullptr) return;
  Network& network = network_;
  const PipeId id = pipe_;
  env::ConnectionHandler* handler = handler_;
  const std::string reason = reason_;
  network.pipes_.at(id).ends[side_] = nullptr;
  network.forget_if_done(id);
  handler->on_closed(reason);
}

// ---- Listening and connecting -------------------------------------------------------------------

class Network::Port final : public env::Listener {
 public:
  Port(Network& network, env::Address address, std::vector<env::AcceptTarget> targets)
      : network_(network), address_(std::move(address)), targets_(std::move(targets)) {
    network_.ports_[address_.text()] = this;
  }
  ~Port() override { network_.ports_.erase(address_.text()); }
  env::Address local() const override { return address_; }

  env::AcceptTarget& next_target() { return targets_[next_++ % targets_.size()]; }
  env::AcceptTarget& target_on(const env::Loop& loop) {
    const auto found = std::ranges::find(targets_, &loop, &env::AcceptTarget::loop);
    CHECK(found != targets_.end(), "{} has no target on this loop", address_.text());
    return *found;
  }

 private:
  Network& network_;
  const env::Address address_;
  std::vector<env::AcceptTarget> targets_;
  size_t next_ = 0;
};

class Network::View final : public env::Network {
 public:
  View(sim::Network& network, MachineId machine) : network_(network), machine_(machine) {}

  Result<std::unique_ptr<env::Listener>> listen(const env::Address& address,
                                                std::vector<env::AcceptTarget> targets) override {
    env::Address local = address;
    if (local.port == 0) local.port = ++network_.last_port_;
    if (network_.ports_.contains(local.text())) return fail(Code::Io, local.text() + " is in use");
    return std::unique_ptr<env::Listener>(std::make_unique<Port>(network_, std::move(local), std::move(targets)));
  }
  void connect(env::Loop& loop, const env::Address& address, Duration timeout,
               Function<void(Result<std::unique_ptr<env::Connection>>)> done) override {
    auto& here = static_cast<Loop&>(loop);
    sim::Network& network = network_;
    network.scheduler_.after(
        network.delay(),
        [&network, machine = machine_, &here, address, deadline = network.scheduler_.now() + timeout,
         done = std::move(done)]() mutable { network.open(machine, here, address, deadline, std::move(done)); });
  }

 private:
  sim::Network& network_;
  const MachineId machine_;
};

Network::~Network() = default;

std::unique_ptr<env::Network> Network::at(MachineId machine) { return std::make_unique<View>(*this, machine); }

void Network::open(MachineId from, Loop& loop, const env::Address& address, Instant deadline,
                   Function<void(Result<std::unique_ptr<env::Connection>>)> done) {
  if (loop.closed()) return;
  const auto answer = [&loop](auto callback, Code code, std::string text) {
    loop.post([callback = std::move(callback), code, text = std::move(text)]() mutable { callback(fail(code, text)); });
  };
  const auto found = ports_.find(address.text());
  const MachineId to = static_cast<MachineId>(std::stoul(address.host.substr(address.host.rfind('.') + 1)));
  // A SYN that is lost is sent again, until somebody's patience ends.
  if (blocked(from, to) || blocked(to, from) || dark_.contains(to)) {
    const Instant again = scheduler_.now() + milliseconds(200);
    if (again >= deadline) return answer(std::move(done), Code::Timeout, address.text() + " does not answer");
    return scheduler_.at(again, [this, from, &loop, address, deadline, done = std::move(done)]() mutable {
      open(from, loop, address, deadline, std::move(done));
    });
  }
  if (found == ports_.end()) return answer(std::move(done), Code::Unavailable, address.text() + " refused");
  const PipeId id = ++last_;
  env::AcceptTarget& target = found->second->next_target();
  auto& there = static_cast<Loop&>(*target.loop);
  auto caller = std::make_unique<End>(*this, loop, id, 0, address.text());
  auto callee = std::make_unique<End>(*this, there, id, 1, fmt::format("{}:{}", host_of(from), 40000 + id));
  Pipe& pipe = pipes_[id];
  pipe.ends[0] = caller.get();
  pipe.ends[1] = callee.get();
  pipe.machines[0] = from;
  pipe.machines[1] = to;
  pipe.directions[0] = Direction{.from = to, .to = from};
  pipe.directions[1] = Direction{.from = from, .to = to};
  // The listener may be gone when its loop gets to it; the connection then is, too.
  there.post([this, key = address.text(), callee = std::move(callee), &there]() mutable {
    const auto port = ports_.find(key);
    if (port != ports_.end()) port->second->target_on(there).on_accept(std::move(callee));
  });
  loop.post([done = std::move(done), caller = std::move(caller)]() mutable { done(std::move(caller)); });
}

// ---- Bytes under way ----------------------------------------------------------------------------

Duration Network::delay() {
  Duration span(rng_.between(options_.least_delay.count(), options_.most_delay.count()));
  if (rng_.chance(options_.late_per_mille, 1000)) span += Duration(rng_.between(0, options_.late.count()));
  return span * slowness_;
}

void Network::flush(End& end) {
  end.flush_posted_ = false;
  const auto found = pipes_.find(end.pipe_);
  if (found == pipes_.end()) return;
  Pipe& pipe = found->second;
  const int to = 1 - end.side_;
  Direction& direction = pipe.directions[to];
  const size_t room =
      options_.buffer_bytes > direction.flying_bytes ? options_.buffer_bytes - direction.flying_bytes : 0;
  if (!end.out_.empty() && room > 0) {
    Chain piece;
    end.out_.move_front(std::min(room, end.out_.size()), piece);
    take_off(pipe, end.pipe_, to, piece.flatten());
  }
  if (end.out_.size() <= options_.low_water && std::exchange(end.above_low_water_, false)) {
    end.later([](End& drained) {
      if (drained.handler_ != nullptr) drained.handler_->on_drained();
    });
  }
  if (!end.leaving_ || !end.out_.empty()) return;
  finish(end.pipe_, to, "closed by peer");
  over(end.pipe_, end.side_, "closed");
}

void Network::take_off(Pipe& pipe, PipeId id, int to, std::string bytes) {
  Direction& direction = pipe.directions[to];
  if (pipe.ends[to] == nullptr && !pipe.lost[to]) return;
  direction.flying_bytes += bytes.size();
  direction.last_arrival = std::max(direction.last_arrival, scheduler_.now() + delay());
  direction.flying.emplace_back(direction.last_arrival, std::move(bytes));
  schedule(id, to);
}

// One event a direction: bytes never overtake each other.
void Network::schedule(PipeId id, int side) {
  Direction& direction = pipes_.at(id).directions[side];
  if (direction.delivering || direction.held) return;
  if (direction.flying.empty() && !direction.ends) return;
  direction.delivering = true;
  const Instant when = direction.flying.empty() ? direction.last_arrival : direction.flying.front().first;
  scheduler_.at(when, [this, id, side] { deliver(id, side); });
}

void Network::deliver(PipeId id, int side) {
  const auto found = pipes_.find(id);
  if (found == pipes_.end()) return;
  Pipe& pipe = found->second;
  Direction& direction = pipe.directions[side];
  direction.delivering = false;
  if (blocked(direction.from, direction.to) || dark_.contains(direction.to)) {
    direction.held = true;
    return;
  }
  if (direction.last_arrival > scheduler_.now() && direction.flying.empty()) return schedule(id, side);
  if (!direction.flying.empty() && direction.flying.front().first > scheduler_.now()) return schedule(id, side);
  if (direction.flying.empty()) {
    if (direction.ends) over(id, side, direction.reason);
    return;
  }
  std::string bytes = std::move(direction.flying.front().second);
  direction.flying.pop_front();
  arrive(id, pipe, side, std::move(bytes));
  if (pipes_.contains(id)) schedule(id, side);
}

void Network::arrive(PipeId id, Pipe& pipe, int side, std::string bytes) {
  Direction& direction = pipe.directions[side];
  scheduler_.fold(id * 2 + static_cast<uint64_t>(side));
  scheduler_.fold(bytes.size());
  End* end = pipe.ends[side];
  if (end == nullptr || end->over_) return;  // a writer that has not heard of the end wrote on
  if (direction.cut_after > 0) {
    const bool now = bytes.size() >= direction.cut_after;
    if (now) {
      end->in_ += bytes.substr(0, direction.cut_after);
      return reset(id);
    }
    direction.cut_after -= bytes.size();
  }
  end->in_ += bytes;
  end->read_soon();
}

// ---- The end of a stream ------------------------------------------------------------------------

// Whoever is at `side` will hear of the end after what is under way.
void Network::finish(PipeId id, int side, std::string reason) {
  Direction& direction = pipes_.at(id).directions[side];
  if (direction.ends) return;
  direction.ends = true;
  direction.reason = std::move(reason);
  direction.last_arrival = std::max(direction.last_arrival, scheduler_.now() + delay());
  schedule(id, side);
}

void Network::over(PipeId id, int side, std::string reason) {
  Pipe& pipe = pipes_.at(id);
  End* end = pipe.ends[side];
  if (end == nullptr) return forget_if_done(id);
  end->over_ = true;
  end->reason_ = std::move(reason);
  if (end->in_.empty() || end->leaving_) {
    end->tell_end_soon();
  } else {
    end->read_soon();
  }
}

void Network::reset(PipeId id) {
  for (const int side : {0, 1}) {
    const auto found = pipes_.find(id);
    if (found == pipes_.end()) return;
    found->second.directions[side].flying.clear();
    over(id, side, "connection reset by peer");
  }
}

// The end at `side` is being destroyed.
void Network::drop(PipeId id, int side) {
  const auto found = pipes_.find(id);
  if (found == pipes_.end()) return;
  Pipe& pipe = found->second;
  if (pipe.ends[side] == nullptr) return forget_if_done(id);
  pipe.ends[side] = nullptr;
  if (pipe.lost[side]) return;
  if (pipe.ends[1 - side] != nullptr) finish(id, 1 - side, "closed by peer");
  forget_if_done(id);
}

void Network::forget_if_done(PipeId id) {
  const auto found = pipes_.find(id);
  if (found == pipes_.end()) return;
  const Pipe& pipe = found->second;
  if (pipe.ends[0] == nullptr && pipe.ends[1] == nullptr) pipes_.erase(found);
}

void Network::process_gone(MachineId machine, bool silent) {
  if (silent) dark_.insert(machine);
  for (auto& [id, pipe] : pipes_) {
    for (const int side : {0, 1}) {
      if (pipe.machines[side] != machine || pipe.ends[side] == nullptr || !silent) continue;
      pipe.lost[side] = true;
      silent_[machine].push_back(id);
    }
  }
}

void Network::back(MachineId machine) {
  dark_.erase(machine);
  for (const PipeId id : std::exchange(silent_[machine], {})) {
    if (pipes_.contains(id)) reset(id);
  }
  for (auto& [id, pipe] : pipes_) {
    for (const int side : {0, 1}) {
      if (pipe.directions[side].to != machine || !pipe.directions[side].held) continue;
      pipe.directions[side].held = false;
      schedule(id, side);
    }
  }
}

// ---- Faults -------------------------------------------------------------------------------------

void Network::unblock(MachineId from, MachineId to) {
  blocked_.erase({from, to});
  for (auto& [id, pipe] : pipes_) {
    for (const int side : {0, 1}) {
      Direction& direction = pipe.directions[side];
      if (direction.from != from || direction.to != to || !direction.held) continue;
      direction.held = false;
      schedule(id, side);
    }
  }
}

void Network::unblock_all() {
  for (const auto& [from, to] : std::set(blocked_)) unblock(from, to);
}

bool Network::cut_one() {
  if (pipes_.empty()) return false;
  auto chosen = pipes_.begin();
  std::advance(chosen, static_cast<ptrdiff_t>(rng_.below(pipes_.size())));
  if (rng_.chance(1, 3)) {
    reset(chosen->first);
  } else {
    chosen->second.directions[rng_.below(2)].cut_after = 1 + rng_.below(4096);
  }
  return true;
}

void Network::calm() {
  options_.late_per_mille = 0;
  const Instant soon = scheduler_.now() + options_.most_delay;
  for (auto& [id, pipe] : pipes_) {
    for (const int side : {0, 1}) {
      Direction& direction = pipe.directions[side];
      if (direction.last_arrival <= soon) continue;
      direction.last_arrival = soon;
      for (auto& [when, bytes] : direction.flying) when = std::min(when, soon);
      direction.delivering = false;  // the event under way finds nothing to do
      schedule(id, side);
    }
  }
}

bool Network::stall_one(Duration span) {
  if (pipes_.empty()) return false;
  auto chosen = pipes_.begin();
  std::advance(chosen, static_cast<ptrdiff_t>(rng_.below(pipes_.size())));
  Direction& direction = chosen->second.directions[rng_.below(2)];
  direction.last_arrival = std::max(direction.last_arrival, scheduler_.now()) + span;
  for (auto& [when, bytes] : direction.flying) when = std::max(when, scheduler_.now() + span);
  return true;
}

}  // namespace witan::sim
