#include "api/etcd/server.h"

#include <algorithm>
#include <utility>

#include "api/etcd/watch_hub.h"

namespace witan::api::etcd {

Server::Server(env::Loop& loop, node::Client& client, const Options& options, Logger log)
    : loop_(loop), client_(client), service_(loop, client, *this, options, std::move(log)),
      alive_(std::make_shared<bool>(true)) {
  client_.listen(*this);
}

Server::~Server() {
  *alive_ = false;
  loop_.cancel(stop_timer_);
  loop_.cancel(leaderless_timer_);
  for (const uint32_t id : sorted_ids()) connections_.erase(id);
}

void Server::accept(std::unique_ptr<env::Connection> connection) {
  if (stopping_ || connections_.size() >= service_.options().max_connections) {
    service_.log().warn("refused a connection of {}: {}", connection->peer().remote,
                        stopping_ ? "stopping" : "too many connections");
    return;
  }
  do ++last_id_;
  while (last_id_ == 0 || connections_.contains(last_id_));
  auto& entry = connections_[last_id_];
  entry = std::make_unique<Connection>(service_, *this, last_id_, std::move(connection));
  entry->start();
}

void Server::stop(Task done) {
  on_stopped_.push_back(std::move(done));
  if (!stopping_) {
    stopping_ = true;
    for (const uint32_t id : sorted_ids()) find(id)->stop();
    stop_timer_ = loop_.call_at(loop_.now() + service_.options().stop_grace, [this] {
      stop_timer_ = 0;
      for (const uint32_t id : sorted_ids()) connections_.erase(id);
      check_stopped();
    });
  }
  loop_.post([this, alive = alive_] {
    if (*alive) check_stopped();
  });
}

void Server::check_stopped() {
  if (!stopping_ || !connections_.empty()) return;
  loop_.cancel(stop_timer_);
  stop_timer_ = 0;
  std::vector<Task> tasks = std::exchange(on_stopped_, {});
  for (Task& task : tasks) task();  // the last one may destroy the server
}

// ---- connections --------------------------------------------------------------------------------

Connection* Server::find(uint32_t connection) const {
  const auto it = connections_.find(connection);
  return it == connections_.end() ? nullptr : it->second.get();
}

std::vector<uint32_t> Server::sorted_ids() const {
  std::vector<uint32_t> ids;
  ids.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  std::ranges::sort(ids);
  return ids;
}

// All answers of a turn leave together: one flush for every connection that was touched.
void Server::flush_later(uint32_t connection) {
  if (dirty_.empty() || dirty_.back() != connection) dirty_.push_back(connection);
  if (flush_posted_) return;
  flush_posted_ = true;
  loop_.post([this, alive = alive_] {
    if (*alive) flush_dirty();
  });
}

void Server::flush_dirty() {
  flush_posted_ = false;
  for (const uint32_t id : std::exchange(dirty_, {})) {
    if (Connection* connection = find(id)) connection->flush();
  }
}

void Server::closed(uint32_t connection) {
  loop_.post([this, alive = alive_, connection] {
    if (*alive) remove(connection);
  });
}

void Server::remove(uint32_t connection) {
  connections_.erase(connection);
  check_stopped();
}

// ---- answers ------------------------------------------------------------------------------------

void Server::send(CallKey call, Chain&& message) {
  if (Connection* c = find(call.connection)) c->send(call.stream, std::move(message));
}
void Server::finish(CallKey call, const Status& status) {
  if (Connection* c = find(call.connection)) c->finish(call.stream, status);
}
void Server::reply(CallKey call, Chain&& message) {
  if (Connection* c = find(call.connection)) c->reply(call.stream, std::move(message));
}
void Server::reply(CallKey call, std::string_view message) {
  if (Connection* c = find(call.connection)) c->reply(call.stream, message);
}
size_t Server::pending(CallKey call) const {
  const Connection* c = find(call.connection);
  return c == nullptr ? 0 : c->pending(call.stream);
}
void Server::pause_reading(CallKey call, bool paused) {
  if (Connection* c = find(call.connection)) c->pause_reading(call.stream, paused);
}
StreamHandler* Server::handler(CallKey call) {
  Connection* c = find(call.connection);
  return c == nullptr ? nullptr : c->handler(call.stream);
}

// ---- what the member tells ----------------------------------------------------------------------

void Server::on_changes(std::span<const store::ChangeBatchPtr> batches) { service_.watches().on_changes(batches); }

void Server::on_gap(store::Revision from, store::Revision to) { service_.watches().on_gap(from, to); }

// Streams of clients that want a leader are cancelled when none was known for three election timeouts, not at once:
// reconnecting costs far more than waiting (etcd, v3rpc/interceptor.go: monitorLeader).
void Server::on_view(const node::View& view) {
  if (view.leader != 0) {
    loop_.cancel(leaderless_timer_);
    leaderless_timer_ = 0;
  } else if (leaderless_timer_ == 0) {
    const Instant when = loop_.now() + 3 * service_.options().election_timeout;
    leaderless_timer_ = loop_.call_at(when, [this] { cancel_leaderless(); });
  }
}

void Server::cancel_leaderless() {
  leaderless_timer_ = 0;
  for (const uint32_t id : sorted_ids()) find(id)->cancel_leaderless();
}

}  // namespace witan::api::etcd
