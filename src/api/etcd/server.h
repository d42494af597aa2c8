// The etcd API of one member on one loop: owns the connections that the loop accepted, and hears what the member tells
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "api/etcd/connection.h"
#include "api/etcd/options.h"
#include "api/etcd/service.h"
#include "base/log.h"
#include "env/loop.h"
#include "env/network.h"
#include "node/client.h"

namespace witan::api::etcd {

// Everything on the thread of `loop`. `loop` and `client` outlive the server, and no callback of the client may run
// after the server is gone. Callers usually: make it; accept(); ...; stop(done); destroy it in or after `done`.
class Server final : public Transport, public node::Listener, public ConnectionOwner {
 public:
  // Registers itself as the client's listener.
  Server(env::Loop& loop, node::Client& client, const Options& options, Logger log);
  // Cuts what is still open.
  ~Server() override;

  // Serves a connection. Closed at once when the server is stopping or has too many.
  void accept(std::unique_ptr<env::Connection> connection);
  // Tells clients to go elsewhere, ends streams, lets unary calls finish for Options::stop_grace, then cuts the rest.
  // `done` runs on the loop when no connection is left. A second call adds its `done`.
  void stop(Task done);

  size_t connections() const { return connections_.size(); }

 private:
  // Transport
  void send(CallKey call, Chain&& message) override;
  void finish(CallKey call, const Status& status) override;
  void reply(CallKey call, Chain&& message) override;
  void reply(CallKey call, std::string_view message) override;
  size_t pending(CallKey call) const override;
  void pause_reading(CallKey call, bool paused) override;
  StreamHandler* handler(CallKey call) override;

  // node::Listener
  void on_changes(std::span<const store::ChangeBatchPtr> batches) override;
  void on_gap(store::Revision from, store::Revision to) override;
  void on_view(const node::View& view) override;
  void on_stop() override {
    stop([] {});
  }

  // ConnectionOwner
  void flush_later(uint32_t connection) override;
  void closed(uint32_t connection) override;

  Connection* find(uint32_t connection) const;
  std::vector<uint32_t> sorted_ids() const;
  void flush_dirty();
  void remove(uint32_t connection);
  void cancel_leaderless();
  void check_stopped();

  env::Loop& loop_;
  node::Client& client_;
  Service service_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<Connection>> connections_;
  uint32_t last_id_ = 0;
  std::vector<uint32_t> dirty_;  // to be flushed; may hold an id twice
  bool flush_posted_ = false;
  bool stopping_ = false;
  std::vector<Task> on_stopped_;
  env::TimerId stop_timer_ = 0;
  env::TimerId leaderless_timer_ = 0;
  std::shared_ptr<bool> alive_;  // posted tasks look whether the server is still there
};

}  // namespace witan::api::etcd
