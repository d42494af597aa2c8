// The ZooKeeper API of one member on one loop: owns the connections that the loop accepted, and hears what the member
// tells it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "api/zookeeper/connection.h"
#include "api/zookeeper/options.h"
#include "api/zookeeper/service.h"
#include "base/log.h"
#include "env/loop.h"
#include "env/network.h"
#include "env/tally.h"
#include "node/client.h"

namespace witan::api::zookeeper {

// Everything on the thread of `loop`. `loop` and `client` outlive the server, and no callback of the client may run
// after the server is gone. Callers usually: make it; accept(); ...; stop(done); destroy it in or after `done`.
class Server final : public node::Listener, private ConnectionOwner, private WatchSink, private LivenessSink {
 public:
  // Registers itself as the client's listener.
  Server(env::Loop& loop, node::Client& client, const Options& options, Logger log);
  // Cuts what is still open. Sessions live on until their time is up.
  ~Server() override;

  // Serves a connection. Closed at once when the server is stopping or has too many, of one address or of all.
  void accept(std::unique_ptr<env::Connection> connection);
  // Closes every connection: what was answered leaves within Options::stop_grace. Sessions live on, so that clients
  // take them to another member. `done` runs on the loop when no connection is left. A second call adds its `done`.
  void stop(Task done);
  // From now on four-letter words are answered. `words` outlives the server.
  void serve_words(FourLetterWords& words) { service_.words = &words; }
  // Connections are counted there by address, with those of other servers; without it nobody bounds them. `tally`
  // outlives the server. Requires: nothing was accepted yet.
  void share_addresses(env::Tally& tally) { addresses_ = &tally; }

  // ---- for operators
  // "rw", "ro", or "null" while nobody is served.
  std::string_view mode() const;
  ServerStatistics statistics() const;
  // In the order the connections came.
  std::vector<ConnectionStatistics> connection_statistics() const;
  void reset_statistics();
  void reset_connection_statistics();
  WatchListing watch_listing() const;

 private:
  enum class Refusal : uint8_t { None, Stopping, Crowded, Full };

  // node::Listener
  void on_changes(std::span<const store::ChangeBatchPtr> batches) override;
  void on_gap(store::Revision from, store::Revision to) override;
  void on_view(const node::View& view) override;
  void on_session(const node::SessionNews& news) override;
  void on_stop() override {
    stop([] {});
  }

  // ConnectionOwner
  Connection* find(uint32_t connection) override;
  void flush_later(uint32_t connection) override;
  void closed(uint32_t connection) override;
  void session_opened(uint32_t connection, store::LeaseId session) override;

  // WatchSink
  void on_event(const WatchEvent& event, std::span<const uint32_t> connections) override;

  // LivenessSink
  void on_ping_confirmed(RequestKey ping) override;
  void on_session_ended(store::LeaseId session) override;
  bool on_cut_off(Duration by_then) override;

  std::vector<uint32_t> sorted_ids() const;
  void flush_dirty();
  void remove(uint32_t connection);
  bool bounds_addresses() const;
  Refusal admit(std::string_view address);
  void tell_refused(const env::Connection& connection, Refusal why);
  void check_stopped();
  void become_read_only();
  void learn_config();
  void post(Task task);

  env::Loop& loop_;
  node::Client& client_;
  Service service_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<Connection>> connections_;
  absl::flat_hash_map<store::LeaseId, uint32_t> sessions_;  // the newest connection of each
  env::Tally* addresses_ = nullptr;
  uint32_t last_id_ = 0;
  uint64_t refused_untold_ = 0;
  Instant next_refusal_told_{};
  std::vector<uint32_t> dirty_;  // to be flushed; may hold an id twice
  bool flush_posted_ = false;
  bool stopping_ = false;
  std::vector<Task> on_stopped_;
  env::TimerId stop_timer_ = 0;
  env::TimerId leaderless_timer_ = 0;
  std::shared_ptr<bool> alive_;  // posted tasks look whether the server is still there
};

}  // namespace witan::api::zookeeper
