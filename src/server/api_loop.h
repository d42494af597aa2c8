// One loop of client connections: its thread and the APIs that it serves, each with its own view of the node.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "api/etcd/server.h"
#include "api/zookeeper/admin.h"
#include "api/zookeeper/operators.h"
#include "api/zookeeper/server.h"
#include "api/zookeeper/words.h"
#include "base/log.h"
#include "env/network.h"
#include "env/tally.h"
#include "node/node.h"
#include "os/loop.h"
#include "server/door.h"

namespace witan::server {

struct ZooKeeperSetup {
  api::zookeeper::Options options;
  std::shared_ptr<const api::zookeeper::Facts> facts;
  api::zookeeper::Desks desks;      // of all loops
  env::Machine* machine = nullptr;  // outlives the loop's thread
  env::Tally* addresses = nullptr;  // of all loops; outlives this one
  api::zookeeper::AdminOptions admin;
};

// None: not served.
struct ApiOptions {
  std::optional<api::etcd::Options> etcd;
  std::optional<ZooKeeperSetup> zookeeper;
};

class ApiLoop {
 public:
  // With `shared` the connections live on that loop, otherwise on a thread of their own, called `name`.
  ApiLoop(os::Loop* shared, const std::string& name);
  // Requires: stop_thread() was called, and a shared loop does not run.
  ~ApiLoop();
  ApiLoop(const ApiLoop&) = delete;
  ApiLoop& operator=(const ApiLoop&) = delete;

  env::Loop& loop() { return *loop_; }
  // From the node's thread, before the node starts.
  void attach(node::Node& node, const ApiOptions& options, const Logger& log);
  // Where accepted connections go. Until open() was called they wait unread.
  env::AcceptTarget etcd_target() { return target(etcd_); }
  env::AcceptTarget zookeeper_target() { return target(zookeeper_); }
  // Requires that ZooKeeper is served. Never waits.
  env::AcceptTarget admin_target();
  // This loop's, for all of them: empty until attach() was carried out.
  const std::shared_ptr<api::zookeeper::Desk>& desk() const { return desk_; }

  // From any thread:
  void open();
  // Ends streams and connections; `done` runs on the loop when none is left.
  void stop(Task done);

  // Ends the loop's own thread, if it has one.
  void stop_thread();

 private:
  template <class Server>
  env::AcceptTarget target(Door<Server>& door) {
    return {.loop = loop_,
            .on_accept = [&door](std::unique_ptr<env::Connection> connection) { door.accept(std::move(connection)); }};
  }

  void furnish_zookeeper(std::unique_ptr<node::Client> client, const ZooKeeperSetup& setup, const Logger& log);
  void stopped();

  std::unique_ptr<os::LoopThread> thread_;
  os::Loop* loop_;
  Door<api::etcd::Server> etcd_;
  Door<api::zookeeper::Server> zookeeper_;
  // For whoever operates that API.
  std::shared_ptr<api::zookeeper::Desk> desk_;
  std::unique_ptr<api::zookeeper::Operators> operators_;
  std::unique_ptr<api::zookeeper::Words> words_;
  std::unique_ptr<api::zookeeper::AdminServer> admin_;
  int stopping_ = 0;  // APIs that still have connections
  Task on_stopped_;
};

}  // namespace witan::server
