// The server's end of a socket, for tests of whoever serves connections: the test holds the other end.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "base/chain.h"
#include "env/network.h"

namespace witan::env::testing {

// What both ends of a socket share. The test calls the handler, which it may while `alive`.
struct Wire {
  ConnectionHandler* handler = nullptr;  // null until the server starts the connection
  Chain to_client;
  bool stuck = false;    // the client does not read
  bool paused = false;   // the server does not
  bool closing = false;  // the server flushes and closes
  bool alive = true;     // the server's end exists
};

class FakeSocket final : public Connection {
 public:
  explicit FakeSocket(std::shared_ptr<Wire> wire, std::string remote = "test:1") : wire_(std::move(wire)) {
    peer_.remote = std::move(remote);
  }
  ~FakeSocket() override { wire_->alive = false; }
  FakeSocket(const FakeSocket&) = delete;
  FakeSocket& operator=(const FakeSocket&) = delete;

  void start(ConnectionHandler& handler) override { wire_->handler = &handler; }
  void write(Chain&& bytes) override { wire_->to_client.append(std::move(bytes)); }
  size_t unsent() const override { return wire_->to_client.size(); }
  void pause_reading(bool paused) override { wire_->paused = paused; }
  void close_after_flush() override { wire_->closing = true; }
  const PeerInfo& peer() const override { return peer_; }

 private:
  std::shared_ptr<Wire> wire_;
  PeerInfo peer_;
};

}  // namespace witan::env::testing
