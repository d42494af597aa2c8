#include "peer/testing.h"

#include <algorithm>

#include "base/check.h"

namespace witan::peer::testing {

env::TimerId FakeLoop::call_at(Instant when, Task task) {
  const env::TimerId id = ++last_;
  timers_.emplace(std::pair(when, id), std::move(task));
  times_.emplace(id, when);
  return id;
}

void FakeLoop::cancel(env::TimerId id) {
  const auto at = times_.find(id);
  if (at == times_.end()) return;
  timers_.erase({at->second, id});
  times_.erase(at);
}

bool FakeLoop::step(Instant end) {
  if (!posted_.empty()) {
    const auto task = std::make_unique<Task>(std::move(posted_.front()));
    posted_.pop_front();
    (*task)();
    return true;
  }
  if (timers_.empty() || timers_.begin()->first.first > end) {
    now_ = std::max(now_, end);
    return false;
  }
  const auto first = timers_.extract(timers_.begin());
  times_.erase(first.key().second);
  now_ = std::max(now_, first.key().first);
  first.mapped()();
  return true;
}

void FakeLoop::run_for(Duration span) {
  const Instant end = now_ + span;
  while (step(end)) {
  }
}

// One side of a connection.
class FakeNetwork::End final : public env::Connection {
 public:
  End(FakeNetwork& network, uint64_t connection, int side, std::string remote)
      : network_(network), connection_(connection), side_(side) {
    peer_.remote = std::move(remote);
  }
  ~End() override { network_.drop(connection_, side_); }

  void start(env::ConnectionHandler& handler) override {
    handler_ = &handler;
    for (std::string& bytes : early_) network_.deliver(connection_, side_, std::move(bytes));
    early_.clear();
  }
  void write(Chain&& bytes) override {
    out_.append(std::move(bytes));
    if (posted_ || out_.empty()) return;
    posted_ = true;
    network_.loop_.post([&network = network_, connection = connection_, side = side_] {
      const auto at = network.pipes_.find(connection);
      if (at != network.pipes_.end() && at->second.ends[side] != nullptr) network.flush(*at->second.ends[side]);
    });
  }
  size_t unsent() const override { return out_.size(); }
  void pause_reading(bool) override { CHECK(false, "this room never pauses"); }
  void close_after_flush() override {
    leaving_ = true;
    if (out_.empty()) network_.flush(*this);
  }
  const env::PeerInfo& peer() const override { return peer_; }

  FakeNetwork& network_;
  const uint64_t connection_;
  const int side_;
  env::PeerInfo peer_;
  env::ConnectionHandler* handler_ = nullptr;
  Chain out_;
  std::vector<std::string> early_;  // arrived before start()
  bool posted_ = false;
  bool leaving_ = false;
};

class FakeNetwork::FakeListener final : public env::Listener {
 public:
  FakeListener(FakeNetwork& network, env::Address address, std::vector<env::AcceptTarget> targets)
      : network_(network), address_(std::move(address)), targets_(std::move(targets)) {
    network_.listeners_[address_.text()] = this;
  }
  ~FakeListener() override { network_.listeners_.erase(address_.text()); }
  env::Address local() const override { return address_; }

  FakeNetwork& network_;
  env::Address address_;
  std::vector<env::AcceptTarget> targets_;
};

Result<std::unique_ptr<env::Listener>> FakeNetwork::listen(const env::Address& address,
                                                           std::vector<env::AcceptTarget> targets) {
  env::Address local = address;
  if (local.port == 0) local.port = ++last_port_;
  if (listeners_.contains(local.text())) return fail(Code::Io, local.text() + " is in use");
  return std::unique_ptr<env::Listener>(std::make_unique<FakeListener>(*this, local, std::move(targets)));
}

void FakeNetwork::connect(env::Loop& loop, const env::Address& address, Duration timeout,
                          Function<void(Result<std::unique_ptr<env::Connection>>)> done) {
  if (frozen_) {
    loop.call_at(loop.now() + timeout, [done = std::move(done)]() mutable { done(fail(Code::Io, "timed out")); });
    return;
  }
  loop.call_at(loop.now() + kLatency, [this, text = address.text(), done = std::move(done)]() mutable {
    const auto at = listeners_.find(text);
    if (at == listeners_.end()) return done(fail(Code::Io, "connection refused"));
    const uint64_t id = ++last_;
    auto caller = std::make_unique<End>(*this, id, 0, text);
    auto callee = std::make_unique<End>(*this, id, 1, "caller:" + std::to_string(id));
    pipes_[id] = Pipe{.ends = {caller.get(), callee.get()}};
    at->second->targets_.front().on_accept(std::move(callee));
    done(std::move(caller));
  });
}

void FakeNetwork::flush(End& end) {
  end.posted_ = false;
  if (held_) return;
  if (!end.out_.empty()) {
    ++flushes_;
    std::string bytes = end.out_.flatten();
    end.out_.clear();
    if (!frozen_) {
      loop_.call_at(loop_.now() + kLatency,
                    [this, id = end.connection_, side = 1 - end.side_, bytes = std::move(bytes)]() mutable {
                      deliver(id, side, std::move(bytes));
                    });
    }
  }
  if (end.leaving_) {
    loop_.post([this, id = end.connection_, side = end.side_] { closed(id, side, "closed"); });
    hang_up(end.connection_, 1 - end.side_);
  }
}

void FakeNetwork::deliver(uint64_t connection, int side, std::string bytes) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const auto at = pipes_.find(connection);
    if (at == pipes_.end() || at->second.ends[side] == nullptr) return;
    End& end = *at->second.ends[side];
    if (end.handler_ == nullptr) return end.early_.emplace_back(rest), void();
    size_t take = crumb_ == 0 ? rest.size() : std::min<size_t>(rest.size(), 1 + rng_.below(crumb_));
    const auto limit = cut_after_.find(connection);
    if (limit != cut_after_.end()) take = std::min<size_t>(take, limit->second - at->second.delivered);
    at->second.delivered += take;
    totals_[connection] += take;
    const bool over = limit != cut_after_.end() && at->second.delivered == limit->second;
    if (take > 0) end.handler_->on_bytes(rest.substr(0, take));
    if (over) return cut(connection);
    rest.remove_prefix(take);
  }
}

// Tells the end at `side` that the stream is over. It stays an object until its owner destroys it.
void FakeNetwork::closed(uint64_t connection, int side, std::string reason) {
  const auto at = pipes_.find(connection);
  if (at == pipes_.end()) return;
  End* end = std::exchange(at->second.ends[side], nullptr);
  if (at->second.ends[0] == nullptr && at->second.ends[1] == nullptr) pipes_.erase(at);
  if (end != nullptr && end->handler_ != nullptr) end->handler_->on_closed(reason);
}

void FakeNetwork::hang_up(uint64_t connection, int side) {
  if (frozen_) return;
  loop_.call_at(loop_.now() + kLatency, [this, connection, side] { closed(connection, side, "closed by peer"); });
}

// The end at `side` is being destroyed.
void FakeNetwork::drop(uint64_t connection, int side) {
  const auto at = pipes_.find(connection);
  if (at == pipes_.end()) return;
  at->second.ends[side] = nullptr;
  if (at->second.ends[1 - side] == nullptr) {
    pipes_.erase(at);
  } else {
    hang_up(connection, 1 - side);
  }
}

void FakeNetwork::cut(uint64_t connection) {
  for (const int side : {0, 1}) {
    loop_.post([this, connection, side] { closed(connection, side, "connection reset"); });
  }
}

void FakeNetwork::cut_all() {
  for (const auto& [id, pipe] : pipes_) cut(id);
}

void FakeNetwork::hold(bool held) {
  held_ = held;
  if (held) return;
  for (auto& [id, pipe] : pipes_) {
    for (End* end : pipe.ends) {
      if (end != nullptr && !end->out_.empty()) flush(*end);
    }
  }
}

uint64_t FakeNetwork::delivered(uint64_t connection) const {
  const auto at = totals_.find(connection);
  return at == totals_.end() ? 0 : at->second;
}

}  // namespace witan::peer::testing
