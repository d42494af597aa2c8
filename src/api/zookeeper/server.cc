#include "api/zookeeper/server.h"

#include <algorithm>
#include <utility>

#include "store/acl.h"
#include "store/path.h"

namespace witan::api::zookeeper {

Server::Server(env::Loop& loop, node::Client& client, const Options& options, Logger log)
    : loop_(loop), client_(client), service_(loop, client, options, std::move(log), *this, *this, *this),
      alive_(std::make_shared<bool>(true)) {
  client_.listen(*this);
}

Server::~Server() {
  *alive_ = false;
  loop_.cancel(stop_timer_);
  loop_.cancel(leaderless_timer_);
  for (const uint32_t id : sorted_ids()) remove(id);
}

bool Server::bounds_addresses() const {
  return addresses_ != nullptr && service_.options.max_connections_per_address > 0;
}

// The tally comes last: who is counted there is served.
Server::Refusal Server::admit(std::string_view address) {
  if (stopping_) return Refusal::Stopping;
  if (connections_.size() >= service_.options.max_connections) return Refusal::Full;
  if (!bounds_addresses()) return Refusal::None;
  const bool fits = addresses_->enter(address, service_.options.max_connections_per_address);
  return fits ? Refusal::None : Refusal::Crowded;
}

void Server::accept(std::unique_ptr<env::Connection> connection) {
  if (const Refusal why = admit(host_of(connection->peer().remote)); why != Refusal::None) {
    ++service_.counters.connections_refused;
    return tell_refused(*connection, why);
  }
  ++service_.counters.connections_accepted;
  do ++last_id_;
  while (last_id_ == 0 || connections_.contains(last_id_));
  auto& entry = connections_[last_id_];
  entry = std::make_unique<Connection>(service_, last_id_, std::move(connection));
  entry->start();
}

// A flood of connections must not become a flood of lines.
void Server::tell_refused(const env::Connection& connection, Refusal why) {
  ++refused_untold_;
  if (loop_.now() < next_refusal_told_) return;
  next_refusal_told_ = loop_.now() + seconds(1);
  service_.log.warn("refused {} connections, the last one of {}: {}", std::exchange(refused_untold_, 0),
                    connection.peer().remote,
                    why == Refusal::Stopping  ? "stopping"
                    : why == Refusal::Crowded ? "too many connections of this address"
                                              : "too many connections");
}

void Server::stop(Task done) {
  on_stopped_.push_back(std::move(done));
  if (!stopping_) {
    stopping_ = true;
    for (const uint32_t id : sorted_ids()) find(id)->close("this member stops");
    stop_timer_ = loop_.call_at(loop_.now() + service_.options.stop_grace, [this] {
      stop_timer_ = 0;
      for (const uint32_t id : sorted_ids()) remove(id);
      check_stopped();
    });
  }
  post([this] { check_stopped(); });
}

void Server::check_stopped() {
  if (!stopping_ || !connections_.empty()) return;
  loop_.cancel(std::exchange(stop_timer_, 0));
  std::vector<Task> tasks = std::exchange(on_stopped_, {});
  for (Task& task : tasks) task();  // the last one may destroy the server
}

// ---- connections --------------------------------------------------------------------------------

Connection* Server::find(uint32_t connection) {
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

void Server::post(Task task) {
  loop_.post([alive = alive_, task = std::move(task)]() mutable {
    if (*alive) task();
  });
}

// All answers of a turn leave together: one flush for every connection that was touched.
void Server::flush_later(uint32_t connection) {
  if (dirty_.empty() || dirty_.back() != connection) dirty_.push_back(connection);
  if (std::exchange(flush_posted_, true)) return;
  post([this] { flush_dirty(); });
}

void Server::flush_dirty() {
  flush_posted_ = false;
  for (const uint32_t id : std::exchange(dirty_, {})) {
    if (Connection* connection = find(id)) connection->flush();
  }
}

void Server::closed(uint32_t connection) {
  post([this, connection] {
    remove(connection);
    check_stopped();
  });
}

void Server::remove(uint32_t connection) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  if (bounds_addresses()) addresses_->leave(it->second->address());
  const auto session = sessions_.find(it->second->session());
  if (session != sessions_.end() && session->second == connection) sessions_.erase(session);
  connections_.erase(it);
}

void Server::session_opened(uint32_t connection, store::LeaseId session) { sessions_[session] = connection; }

// ---- what the member tells ----------------------------------------------------------------------

void Server::on_changes(std::span<const store::ChangeBatchPtr> batches) { service_.watches.on_changes(batches); }

void Server::on_event(const WatchEvent& event, std::span<const uint32_t> connections) {
  const auto path = service_.root.to_client(event.path);
  if (!path) return;
  Chain packet;
  encode_event(packet, event.revision.value, {.type = event.type, .path = *path});
  const std::string bytes = packet.flatten();
  for (const uint32_t id : connections) {
    if (Connection* connection = find(id)) connection->on_event(event, bytes);
  }
}

void Server::on_gap(store::Revision /*from*/, store::Revision /*to*/) {
  for (const uint32_t id : sorted_ids()) find(id)->on_gap();
}

void Server::on_session(const node::SessionNews& news) {
  const auto it = sessions_.find(news.id);
  if (it == sessions_.end()) return;
  if (Connection* connection = find(it->second)) connection->on_session(news.generation);
}

void Server::on_session_ended(store::LeaseId session) { on_session({.id = session, .generation = 0}); }

void Server::on_ping_confirmed(RequestKey ping) {
  if (Connection* connection = find(ping.connection)) connection->on_ping_confirmed(ping.request);
}

// Clients find another member before their sessions run out there (core L6).
bool Server::on_cut_off(Duration by_then) {
  size_t closed = 0;
  size_t left = 0;
  for (const uint32_t id : sorted_ids()) {
    Connection* connection = find(id);
    if (connection->session().value == 0 || connection->is_read_only()) continue;
    const bool waits = connection->can_wait(by_then);
    ++(waits ? left : closed);
    if (!waits) connection->close("cut off from the leader");
  }
  if (closed == 0) return left > 0;
  service_.log.warn(
      "the leader acknowledges no session: closed the connections of {} that cannot wait for it any longer", closed);
  return left > 0;
}

void Server::on_view(const node::View& view) {
  learn_config();
  if (view.leader == 0) {
    if (!service_.options.read_only || service_.read_only || leaderless_timer_ != 0) return;
    leaderless_timer_ = loop_.call_at(loop_.now() + service_.options.read_only_after, [this] { become_read_only(); });
    return;
  }
  loop_.cancel(std::exchange(leaderless_timer_, 0));
  if (!std::exchange(service_.read_only, false)) return;
  for (const uint32_t id : sorted_ids()) {
    if (find(id)->is_read_only()) find(id)->close("there is a leader again");
  }
}

// The view that is known when the answer comes is of the same members: both come in the order in which they were made.
void Server::learn_config() {
  store::NodeReads reads;
  reads.reads.push_back({.query = store::NodeQuery::Acl, .path = store::kConfigNode});
  client_.read_as({.session = {}, .generation = 0, .principals = {store::kSuperPrincipal}}, reads, 0,
                  [this](node::Answer<node::Done> acl) {
                    if (!acl) return;
                    client_.settled_members(
                        [this, acl = std::move(*acl)](const node::Answer<std::vector<node::MemberInfo>>& members) {
                          if (!members) return;
                          const auto& found = std::get<store::NodeReadsResult>(acl.reply.result).items.at(0);
                          const node::View view = client_.view();
                          service_.learn_members(*members, view.members_version, view.members_changed, found.acl);
                        });
                  });
}

void Server::become_read_only() {
  leaderless_timer_ = 0;
  service_.read_only = true;
  service_.log.warn("no leader: only clients that are content to read are served");
  for (const uint32_t id : sorted_ids()) find(id)->close("no leader");
}

// ---- for operators ------------------------------------------------------------------------------

std::string_view Server::mode() const {
  if (stopping_) return "null";
  if (service_.read_only) return "ro";
  return client_.view().leader == 0 ? "null" : "rw";
}

ServerStatistics Server::statistics() const {
  ServerStatistics out = service_.counters;
  out.connections = connections_.size();
  for (const uint32_t id : sorted_ids()) {
    const Connection& connection = *connections_.at(id);
    if (connection.session().value != 0) ++(connection.is_read_only() ? out.read_only_sessions : out.sessions);
    out.outstanding += connection.statistics().outstanding;
  }
  out.watches = service_.watches.watches();
  out.watched_paths = service_.watches.paths();
  out.watching_connections = service_.watches.connections().size();
  return out;
}

std::vector<ConnectionStatistics> Server::connection_statistics() const {
  std::vector<ConnectionStatistics> out;
  for (const uint32_t id : sorted_ids()) out.push_back(connections_.at(id)->statistics());
  return out;
}

void Server::reset_statistics() {
  service_.counters.received = 0;
  service_.counters.sent = 0;
  service_.counters.bytes_received = 0;
  service_.counters.latency = {};
}

void Server::reset_connection_statistics() {
  for (const uint32_t id : sorted_ids()) find(id)->reset_statistics();
}

WatchListing Server::watch_listing() const {
  WatchListing out;
  for (const uint32_t id : service_.watches.connections()) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    WatchListing::Item item{.session = it->second->session(), .paths = {}};
    for (const std::string_view path : service_.watches.listing(id, kDataTable)) {
      if (const auto of_client = service_.root.to_client(path)) item.paths.emplace_back(*of_client);
    }
    if (!item.paths.empty()) out.sessions.push_back(std::move(item));
  }
  return out;
}

}  // namespace witan::api::zookeeper
