// ZooKeeper's AdminServer: operators ask over HTTP what four-letter words tell, as JSON.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <absl/container/btree_map.h>

#include "api/zookeeper/operators.h"
#include "base/log.h"
#include "env/network.h"

namespace witan::api::zookeeper {

struct AdminOptions {
  std::string command_url = "/commands";  // admin.commandURL
  Duration idle = seconds(30);            // a connection without a request is closed after this (admin.idleTimeout)
  size_t max_connections = 100;           // further ones are closed at once
};

// GET and HEAD of /commands and /commands/<name>, requests of a connection one after the other. Everything on the
// thread of `loop`; what it is made of outlives it.
class AdminServer {
 public:
  AdminServer(env::Loop& loop, Operators& operators, const AdminOptions& options, Logger log);
  // Cuts what is still open.
  ~AdminServer();

  void accept(std::unique_ptr<env::Connection> connection);
  // Cuts every connection and refuses further ones.
  void stop();
  size_t connections() const { return connections_.size(); }

 private:
  class Visitor;
  struct Answer {
    unsigned status = 200;
    std::string_view content_type = "application/json";
    std::string_view allow;
    std::string body;
  };

  void serve(std::string_view method, std::string_view target, Function<void(Answer)> done);
  void gone(uint32_t visitor);

  env::Loop& loop_;
  Operators& operators_;
  const AdminOptions options_;
  const Logger log_;
  absl::btree_map<uint32_t, std::unique_ptr<Visitor>> connections_;
  uint32_t last_id_ = 0;
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace witan::api::zookeeper
