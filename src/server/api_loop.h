// One loop of client connections: its thread, what it sees of the node, and the API that it serves.
#pragma once

#include <memory>
#include <vector>

#include "api/etcd/server.h"
#include "base/log.h"
#include "env/network.h"
#include "node/client.h"
#include "node/node.h"
#include "os/loop.h"

namespace witan::server {

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
  void attach(node::Node& node, const api::etcd::Options& options, const Logger& log);
  // Where accepted connections go. Until open() was called they wait unread.
  env::AcceptTarget accept_target();

  // From any thread:
  void open();
  // Ends streams and connections; `done` runs on the loop when none is left.
  void stop(Task done);

  // Ends the loop's own thread, if it has one.
  void stop_thread();

 private:
  void accept(std::unique_ptr<env::Connection> connection);

  std::unique_ptr<os::LoopThread> thread_;
  os::Loop* loop_;
  // Touched on the loop only.
  std::unique_ptr<node::Client> client_;
  std::unique_ptr<api::etcd::Server> server_;
  std::vector<std::unique_ptr<env::Connection>> waiting_;
  bool open_ = false;
};

}  // namespace witan::server
