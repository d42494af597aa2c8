#include "server/api_loop.h"

#include <utility>

namespace witan::server {

ApiLoop::ApiLoop(os::Loop* shared, const std::string& name)
    : thread_(shared == nullptr ? std::make_unique<os::LoopThread>(name) : nullptr),
      loop_(shared == nullptr ? &thread_->loop() : shared), desk_(std::make_shared<api::zookeeper::Desk>()) {
  desk_->loop = loop_;
}

ApiLoop::~ApiLoop() = default;

// Handed over by a post, which is also why nothing has to wait for it: whatever else reaches the loop comes later.
void ApiLoop::attach(node::Node& node, const ApiOptions& options, const Logger& log) {
  if (options.etcd) {
    loop_->post([this, client = node.make_client(*loop_), options = *options.etcd, log = log.named("etcd")]() mutable {
      auto server = std::make_unique<api::etcd::Server>(*loop_, *client, options, log);
      etcd_.furnish(std::move(client), std::move(server));
    });
  }
  if (!options.zookeeper) return;
  loop_->post([this, client = node.make_client(*loop_), setup = *options.zookeeper,
               log = log.named("zookeeper")]() mutable { furnish_zookeeper(std::move(client), setup, log); });
}

void ApiLoop::furnish_zookeeper(std::unique_ptr<node::Client> client, const ZooKeeperSetup& setup, const Logger& log) {
  auto server = std::make_unique<api::zookeeper::Server>(*loop_, *client, setup.options, log);
  server->share_addresses(*setup.addresses);
  desk_->server = server.get();
  operators_ =
      std::make_unique<api::zookeeper::Operators>(*loop_, *client, *server, setup.facts, setup.desks, setup.machine);
  words_ = std::make_unique<api::zookeeper::Words>(*operators_);
  server->serve_words(*words_);
  admin_ = std::make_unique<api::zookeeper::AdminServer>(*loop_, *operators_, setup.admin, log.named("admin"));
  zookeeper_.furnish(std::move(client), std::move(server));
}

env::AcceptTarget ApiLoop::admin_target() {
  return {.loop = loop_,
          .on_accept = [this](std::unique_ptr<env::Connection> connection) { admin_->accept(std::move(connection)); }};
}

void ApiLoop::open() {
  loop_->post([this] {
    if (etcd_.server() != nullptr) etcd_.open();
    if (zookeeper_.server() != nullptr) zookeeper_.open();
  });
}

void ApiLoop::stop(Task done) {
  loop_->post([this, done = std::move(done)]() mutable {
    stopping_ = 2;
    if (admin_ != nullptr) admin_->stop();
    on_stopped_ = std::move(done);
    etcd_.stop([this] { stopped(); });
    zookeeper_.stop([this] { stopped(); });
  });
}

void ApiLoop::stopped() {
  if (--stopping_ == 0) on_stopped_();
}

void ApiLoop::stop_thread() {
  if (thread_ != nullptr) thread_->stop();
}

}  // namespace witan::server
