#include "server/api_loop.h"

#include <utility>

namespace witan::server {
namespace {

constexpr size_t kMaxWaiting = 1024;  // connections, before the member serves; more are closed

}  // namespace

ApiLoop::ApiLoop(os::Loop* shared, const std::string& name)
    : thread_(shared == nullptr ? std::make_unique<os::LoopThread>(name) : nullptr),
      loop_(shared == nullptr ? &thread_->loop() : shared) {}

ApiLoop::~ApiLoop() = default;

void ApiLoop::attach(node::Node& node, const api::etcd::Options& options, const Logger& log) {
  // Handed over by the post, which is also why nothing has to wait for it: whatever else reaches the loop comes later.
  loop_->post([this, client = node.make_client(*loop_), options, log]() mutable {
    client_ = std::move(client);
    server_ = std::make_unique<api::etcd::Server>(*loop_, *client_, options, log);
  });
}

env::AcceptTarget ApiLoop::accept_target() {
  return {.loop = loop_,
          .on_accept = [this](std::unique_ptr<env::Connection> connection) { accept(std::move(connection)); }};
}

void ApiLoop::accept(std::unique_ptr<env::Connection> connection) {
  if (open_) return server_->accept(std::move(connection));
  if (waiting_.size() < kMaxWaiting) waiting_.push_back(std::move(connection));
}

void ApiLoop::open() {
  loop_->post([this] {
    if (open_) return;
    open_ = true;
    for (auto& connection : std::exchange(waiting_, {})) server_->accept(std::move(connection));
  });
}

void ApiLoop::stop(Task done) {
  loop_->post([this, done = std::move(done)]() mutable {
    open_ = true;  // the server closes what still comes
    waiting_.clear();
    server_->stop(std::move(done));
  });
}

void ApiLoop::stop_thread() {
  if (thread_ != nullptr) thread_->stop();
}

}  // namespace witan::server
