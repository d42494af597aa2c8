// How a connection gets its session (reference: ZooKeeperServer.processConnectRequest).
#include <algorithm>
#include <utility>
#include <variant>

#include "api/zookeeper/connection.h"
#include "api/zookeeper/password.h"

namespace witan::api::zookeeper {
namespace {

// Of sessions of different clusters in the same place: the ids of the one before are not given out again.
uint32_t salt_of(uint64_t cluster) {
  return static_cast<uint32_t>((cluster ^ (cluster >> 24) ^ (cluster >> 48)) & 0xff'ffff);
}

// Sessions that only this member knows. No member has number 255, so that such an id is none of the log's.
int64_t local_session(uint32_t member, uint64_t count) {
  return static_cast<int64_t>(uint64_t{0xff} << 56 | uint64_t{member} << 48 | (count & 0xffff'ffff'ffff));
}

// Whether the session is certainly gone, so that its client must be told to make another one.
bool is_gone(store::Reason reason) {
  return reason == store::Reason::SessionExpired || reason == store::Reason::LeaseNotFound;
}

}  // namespace

void Connection::on_connect(std::string_view packet) {
  const std::optional<ConnectRequest> request = decode_connect(packet);
  if (!request) return close("no connect request");
  says_read_only_ = request->has_read_only;
  if (service_.read_only && !request->read_only) return close("only reads are served");
  // Single system image: a client that has seen more goes on where as much is known.
  if (request->last_zxid_seen > service_.zxid()) {
    ++service_.counters.stale_closed;
    return close("its client has seen a newer state");
  }
  const int64_t timeout_ms =
      std::clamp<int64_t>(request->timeout_ms, service_.options.shortest_session() / milliseconds(1),
                          service_.options.longest_session() / milliseconds(1));
  // Before anything happens to a connection that holds the session.
  if (request->session_id != 0 && !is_session_password(request->session_id, request->password)) {
    service_.log.info("{} showed a wrong password for session {:#x}", socket_->peer().remote,
                      static_cast<uint64_t>(request->session_id));
    return refuse_session();
  }
  if (service_.read_only) return open_local(*request, timeout_ms);
  open_session(*request, timeout_ms);
}

void Connection::open_session(const ConnectRequest& request, int64_t timeout_ms) {
  const uint32_t member = service_.client.view().number;
  if (member == 0) return close("this member does not know its number yet");
  stage_ = Stage::Opening;
  const auto done = [service = &service_, id = id_](node::Outcome outcome) {
    if (Connection* connection = service->owner.find(id)) connection->on_session_outcome(outcome);
  };
  if (request.session_id == 0) {
    const store::SessionOpen open{
        .member_number = member, .salt = salt_of(service_.client.cluster_id()), .ttl_ms = timeout_ms};
    service_.client.propose(open, done);
  } else {
    service_.client.propose(store::SessionAttach{.id = store::LeaseId(request.session_id), .ttl_ms = timeout_ms}, done);
  }
}

void Connection::on_session_outcome(const node::Outcome& outcome) {
  if (gone_ || stage_ != Stage::Opening) return;
  const auto* done = std::get_if<node::Done>(&outcome);
  if (done == nullptr) return close("no session could be had");
  if (is_gone(done->reply.failure.reason)) return refuse_session();
  const auto* granted = std::get_if<store::LeaseGrantResult>(&done->reply.result);
  if (done->reply.failure.reason != store::Reason::None || granted == nullptr) return close("no session could be had");
  generation_ = granted->generation;
  opened(granted->id, granted->ttl_ms);
  service_.owner.session_opened(id_, session_);
}

// A client that comes with a session keeps it: its watches and its reads go on until a leader is back.
void Connection::open_local(const ConnectRequest& request, int64_t timeout_ms) {
  read_only_ = true;
  const int64_t id = request.session_id != 0 ? request.session_id
                                             : local_session(service_.client.view().number, ++service_.local_sessions);
  opened(store::LeaseId(id), timeout_ms);
}

void Connection::opened(store::LeaseId session, int64_t timeout_ms) {
  service_.loop.cancel(std::exchange(timer_, 0));
  stage_ = Stage::Open;
  statistics_.last_operation = "SESS";
  session_ = session;
  timeout_ms_ = timeout_ms;
  ConnectResponse response{.timeout_ms = static_cast<int32_t>(timeout_ms),
                           .session_id = session.value,
                           .password = session_password(session.value)};
  if (says_read_only_) response.read_only = read_only_;
  encode_connect_response(out_, response);
  count_sent("SESS");
  touched();
}

void Connection::refuse_session() {
  encode_connect_response(out_, session_refused(says_read_only_ ? std::optional(service_.read_only) : std::nullopt));
  count_sent("SESS");
  close("its session is no more");
}

void Connection::count_sent(std::string_view operation) {
  ++statistics_.sent;
  ++service_.counters.sent;
  statistics_.last_operation = operation;
  statistics_.last_zxid = service_.zxid();
  statistics_.last_response = service_.loop.now();
}

}  // namespace witan::api::zookeeper
