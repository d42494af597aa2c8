#include "sim/channel.h"

#include <utility>

#include "base/check.h"

namespace witan::sim {

Channel::Channel(Ground ground, MachineId machine, Rng rng)
    : clock_(ground.scheduler), scheduler_(ground.scheduler),
      loop_(ground.scheduler, clock_, pause_, rng.fork("loop"), ground.plan.task_cost), rng_(std::move(rng)),
      network_(ground.network.at(machine)) {}

Channel::~Channel() { loop_.close(); }

void Channel::pause(Duration span) { pause_.until(scheduler_.now() + span); }

// ---- Calls --------------------------------------------------------------------------------------

Channel::StreamKey Channel::add(Active active) {
  const StreamKey key = ++last_;
  active_.emplace(key, std::move(active));
  loop_.post([this, key] {
    const auto found = active_.find(key);
    if (found == active_.end()) return;
    if (connection_ == nullptr) return connect();
    start(found->second);
    flush();
  });
  return key;
}

void Channel::call(std::string path, std::string request, Duration timeout, Function<void(RpcResult)> done) {
  const StreamKey key = add(Active{
      .path = std::move(path), .first = std::move(request), .unary = true, .on_message = {}, .done = std::move(done)});
  active_.at(key).timer = loop_.call_at(loop_.now() + timeout, [this, key] {
    Active& late = active_.at(key);
    late.timer = 0;
    const bool sent = late.stream != wire::StreamId(0);
    if (sent && grpc_) grpc_->reset(late.stream);
    end(key, {.fate = sent ? RpcResult::Fate::Lost : RpcResult::Fate::NotSent, .error = "no patience", .message = {}});
    flush();
  });
}

Channel::StreamKey Channel::open(std::string path, Function<void(std::string_view)> on_message,
                                 Function<void(RpcResult)> on_end) {
  return add(Active{.path = std::move(path),
                    .first = {},
                    .unary = false,
                    .on_message = std::move(on_message),
                    .done = std::move(on_end)});
}

void Channel::send(StreamKey key, std::string message) {
  loop_.post([this, key, message = std::move(message)] {
    const auto found = active_.find(key);
    if (found == active_.end()) return;
    if (found->second.stream == wire::StreamId(0)) return found->second.early.push_back(message);
    if (grpc_ == nullptr) return;
    grpc_->send(found->second.stream, message);
    flush();
  });
}

void Channel::close(StreamKey key) {
  const auto found = active_.find(key);
  if (found == active_.end()) return;
  if (grpc_ && found->second.stream != wire::StreamId(0)) grpc_->reset(found->second.stream);
  active_.erase(found);
  loop_.post([this] { flush(); });
}

void Channel::start(Active& active) {
  if (active.stream != wire::StreamId(0)) return;
  active.stream = active.unary ? grpc_->call(active.path, active.first) : grpc_->start(active.path);
  for (const std::string& message : std::exchange(active.early, {})) grpc_->send(active.stream, message);
}

// ---- The connection -----------------------------------------------------------------------------

void Channel::connect() {
  if (connecting_ || quit_) return;
  CHECK(!endpoints_.empty(), "a client without endpoints");
  connecting_ = true;
  const env::Address& address = endpoints_[rng_.below(endpoints_.size())];
  server_ = static_cast<MachineId>(std::stoul(address.host.substr(address.host.rfind('.') + 1)));
  network_->connect(loop_, address, seconds(2),
                    [this, attempt = ++attempt_](Result<std::unique_ptr<env::Connection>> connection) {
                      if (attempt == attempt_) connected(std::move(connection));
                    });
}

void Channel::connected(Result<std::unique_ptr<env::Connection>> connection) {
  connecting_ = false;
  if (!connection) return fail_all(false);
  connection_ = std::move(*connection);
  grpc_ = std::make_unique<wire::GrpcClientConnection>();
  connection_->start(*this);
  for (auto& [key, active] : active_) start(active);
  flush();
}

void Channel::on_bytes(std::string_view bytes) {
  if (!grpc_->on_bytes(bytes)) {
    CHECK(false, "a member broke HTTP/2");
  }
  look();
  flush();
}

void Channel::on_closed(std::string_view) {
  look();
  fail_all(true);
}

void Channel::flush() {
  if (connection_ == nullptr || grpc_ == nullptr) return;
  const std::string bytes = grpc_->take_output();
  if (bytes.empty()) return;
  Chain chain;
  chain.append(bytes);
  connection_->write(std::move(chain));
}

void Channel::reconnect() {
  loop_.post([this] { fail_all(true); });
}

void Channel::quit() {
  quit_ = true;
  reconnect();
}

// Everything under way ends with the connection; whether it was sent decides what its client may believe.
void Channel::fail_all(bool sent) {
  ++attempt_;
  connecting_ = false;
  connection_.reset();
  grpc_.reset();
  std::vector<StreamKey> keys;
  for (const auto& [key, active] : active_) keys.push_back(key);
  for (const StreamKey key : keys) {
    const auto found = active_.find(key);
    if (found == active_.end()) continue;
    const bool started = found->second.stream != wire::StreamId(0);
    if (sent && !started && !quit_) {
      loop_.post([this] { connect(); });  // came after the break
      continue;
    }
    end(key,
        {.fate = started ? RpcResult::Fate::Lost : RpcResult::Fate::NotSent, .error = "no connection", .message = {}});
  }
}

// ---- Answers ------------------------------------------------------------------------------------

void Channel::look() {
  std::vector<StreamKey> keys;
  for (const auto& [key, active] : active_) keys.push_back(key);
  for (const StreamKey key : keys) look_at(key);
}

void Channel::look_at(StreamKey key) {
  const auto found = active_.find(key);
  if (found == active_.end() || found->second.stream == wire::StreamId(0) || grpc_ == nullptr) return;
  const wire::StreamId stream = found->second.stream;
  while (!found->second.unary) {
    const wire::GrpcAnswer& answer = grpc_->answer(stream);
    if (found->second.seen >= answer.messages.size()) break;
    const std::string message = answer.messages[found->second.seen++];
    found->second.on_message(message);
    if (!active_.contains(key) || grpc_ == nullptr) return;
  }
  const wire::GrpcAnswer& answer = grpc_->answer(stream);
  if (!answer.closed) return;
  RpcResult result{.fate = RpcResult::Fate::Answered,
                   .status = answer.status(),
                   .error = answer.message(),
                   .message = answer.messages.empty() ? std::string() : answer.messages.back()};
  // A stream that was reset without a status says nothing about what became of it.
  if (!answer.trailers.contains("grpc-status") && !answer.headers.contains("grpc-status")) {
    result.fate = RpcResult::Fate::Lost;
  }
  grpc_->forget(stream);
  end(key, std::move(result));
}

void Channel::end(StreamKey key, RpcResult result) {
  auto node = active_.extract(key);
  if (node.empty()) return;
  loop_.cancel(node.mapped().timer);
  // A learner is no member for clients; those who know only addresses find out this way.
  if (result.error == "etcdserver: rpc not supported for learner") reconnect();
  node.mapped().done(std::move(result));
}

}  // namespace witan::sim
