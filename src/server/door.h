// One API on one loop: what it sees of the node, its server, and the connections that came before the member serves.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/function.h"
#include "env/network.h"
#include "node/client.h"

namespace witan::server {

// Touched on its loop only. Server has accept(connection) and stop(done).
template <class Server>
class Door {
 public:
  // The client and the server that was made for it.
  void furnish(std::unique_ptr<node::Client> client, std::unique_ptr<Server> server) {
    client_ = std::move(client);
    server_ = std::move(server);
  }

  // Until open() was called connections wait unread.
  void accept(std::unique_ptr<env::Connection> connection) {
    if (open_) return server_->accept(std::move(connection));
    if (waiting_.size() < kMaxWaiting) waiting_.push_back(std::move(connection));
  }

  void open() {
    if (std::exchange(open_, true)) return;
    for (auto& connection : std::exchange(waiting_, {})) server_->accept(std::move(connection));
  }

  // `done` runs when no connection is left; at once when nothing is served here.
  void stop(Task done) {
    open_ = true;  // the server closes what still comes
    waiting_.clear();
    if (server_ == nullptr) return done();
    server_->stop(std::move(done));
  }

  Server* server() { return server_.get(); }

 private:
  static constexpr size_t kMaxWaiting = 1024;  // more are closed

  std::unique_ptr<node::Client> client_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<env::Connection>> waiting_;
  bool open_ = false;
};

}  // namespace witan::server
