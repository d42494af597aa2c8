// How requests begin: each takes its place among the answers, and goes on its way.
#include <array>
#include <utility>
#include <variant>

#include <absl/strings/escaping.h>
#include <fmt/format.h>

#include "api/zookeeper/connection.h"
#include "api/zookeeper/errors.h"
#include "api/zookeeper/lower.h"
#include "api/zookeeper/path.h"
#include "base/digest.h"
#include "base/planted.h"
#include "store/path.h"

namespace witan::api::zookeeper {
namespace {

template <class T, class... Any>
constexpr bool is_one_of = (std::is_same_v<T, Any> || ...);

// They look at the connection's own state, or arm what a read before them may have armed: not before those are
// answered.
template <class T>
constexpr bool needs_quiet =
    is_one_of<T, CheckWatchesRequest, RemoveWatchesRequest, AddWatchRequest, WhoAmIRequest, SetWatchesRequest>;

template <class T>
constexpr bool is_barrier = is_one_of<T, PingRequest, SyncRequest, SetWatchesRequest, ReconfigRequest>;

// What a member without a leader cannot do (reference: ReadOnlyRequestProcessor).
template <class T>
constexpr bool needs_leader = is_one_of<T, CreateRequest, DeleteRequest, DeleteContainerRequest, SetDataRequest,
                                        SetAclRequest, MultiRequest, SyncRequest, ReconfigRequest>;

bool is_barrier_body(const RequestBody& body) {
  return std::visit([]<class T>(const T&) { return is_barrier<T>; }, body);
}
bool needs_quiet_body(const RequestBody& body) {
  return std::visit([]<class T>(const T&) { return needs_quiet<T>; }, body);
}
bool needs_leader_body(const RequestBody& body) {
  return std::visit([]<class T>(const T&) { return needs_leader<T>; }, body);
}

WatchKinds kinds_of(WatcherType type) {
  switch (type) {
    case WatcherType::Children: return kChildWatch;
    case WatcherType::Data: return kDataWatch;
    case WatcherType::Persistent: return kPersistentWatch;
    case WatcherType::PersistentRecursive: return kRecursiveWatch;
    case WatcherType::Any: break;
  }
  return kAllWatches;
}

}  // namespace

bool Connection::begin(std::string_view packet) {
  const Request request = decode_request(packet);
  if (request.verdict == Verdict::Close) {
    close("a packet without a header");
    return true;
  }
  if (needs_quiet_body(request.body) && !answers_.all_answered()) return false;
  if (!read_only_ && heard_round_ != service_.liveness.round()) {
    reported_round_ = std::exchange(heard_round_, service_.liveness.round());
    service_.liveness.heard(session_);
  }
  Slot slot{.xid = request.xid, .type = request.type, .bytes = static_cast<uint32_t>(packet.size())};
  slot.barrier = is_barrier_body(request.body);
  slot.began = service_.loop.now();
  if (request.verdict == Verdict::Unimplemented) slot.zxid = -1;
  if (std::holds_alternative<PingRequest>(request.body)) slot.xid = kPingXid;
  const Number number = answers_.begin(std::move(slot));
  if (request.verdict == Verdict::Malformed) {
    fail(number, ErrorCode::MarshallingError);
  } else if (request.verdict == Verdict::Unimplemented) {
    fail_last(number, ErrorCode::Unimplemented);
  } else if (read_only_ && needs_leader_body(request.body)) {
    fail(number, ErrorCode::NotReadOnly);
  } else {
    run(number, request.body);
  }
  answers_.mark_stateless(number);
  return true;
}

void Connection::run(Number number, const RequestBody& body) {
  std::visit(
      [&]<class T>(const T& request) {
        if constexpr (!std::is_same_v<T, std::monostate>) run(number, request);
      },
      body);
}

node::Caller Connection::caller() const {
  const auto principals = identities_.principals();
  return {.session = session_, .generation = generation_, .principals = {principals.begin(), principals.end()}};
}

// ---- writes -------------------------------------------------------------------------------------

void Connection::write(Number number, const store::Body& body) {
  last_write_ =
      service_.client.propose_as(caller(), body, [service = &service_, id = id_, number](node::Outcome outcome) {
        if (Connection* connection = service->owner.find(id)) connection->on_written(number, outcome);
      });
}

// What fails anyway is not worth an entry of the log; its error waits for its turn.
template <class Request>
void Connection::write_one(Number number, const Request& request) {
  Lowering lowering(service_.root, identities_);  // keeps what the operation refers to
  const store::NodeOperation operation = lowering.lower(request);
  if (const auto* refused = std::get_if<store::RefuseNode>(&operation.what)) {
    return fail(number, error_of(refused->reason));
  }
  store::NodeTxn txn;
  txn.operations.push_back(operation);
  write(number, txn);
}

void Connection::run(Number number, const CreateRequest& request) { write_one(number, request); }
void Connection::run(Number number, const DeleteRequest& request) { write_one(number, request); }
void Connection::run(Number number, const DeleteContainerRequest&) { fail(number, ErrorCode::BadArguments); }
void Connection::run(Number number, const SetDataRequest& request) { write_one(number, request); }
void Connection::run(Number number, const SetAclRequest& request) { write_one(number, request); }

void Connection::run(Number number, const MultiRequest& request) {
  Slot* slot = answers_.waiting(number);
  for (const WriteOp& op : request.ops) slot->parts.push_back(answer_of(op));
  if (slot->parts.empty()) return reply_stateless(number, MultiReply{});
  Lowering lowering(service_.root, identities_);
  write(number, lowering.lower(request));
}

// ---- reads --------------------------------------------------------------------------------------

namespace {

// Whoever reads the empty path reads the root. A watch on it is another matter: nothing happens to that name.
std::string_view read_path(const Root& root, std::string_view path, std::string& scratch) {
  return root.to_store(path.empty() ? "/" : path, scratch);
}

}  // namespace

void Connection::read(Number number, const store::NodeReads& reads) {
  const node::Ticket behind = planted(Bug::ReadOvertakesOwnWrite) ? node::Ticket(0) : last_write_;
  service_.client.read_as(caller(), reads, behind,
                          [service = &service_, id = id_, number](node::Answer<node::Done> answer) {
                            Connection* connection = service->owner.find(id);
                            if (connection != nullptr) connection->on_read(number, std::move(answer));
                          });
}

void Connection::read_one(Number number, store::NodeQuery query, std::string_view path, bool watch) {
  std::string scratch;
  const std::string_view of_store = read_path(service_.root, path, scratch);
  Slot* slot = answers_.waiting(number);
  if (watch && !path.empty()) {
    slot->watch = true;
    slot->path = of_store;
  }
  if (of_store == store::kConfigNode) slot->configs.push_back(0);
  store::NodeReads reads;
  reads.reads.push_back({.query = query, .path = of_store});
  read(number, reads);
}

void Connection::run(Number number, const ExistsRequest& request) {
  if (request.path.find('\0') != std::string_view::npos) return fail(number, ErrorCode::BadArguments);
  read_one(number, store::NodeQuery::Exists, request.path, request.watch);
}
void Connection::run(Number number, const GetDataRequest& request) {
  read_one(number, store::NodeQuery::Data, request.path, request.watch);
}
void Connection::run(Number number, const GetAclRequest& request) {
  read_one(number, store::NodeQuery::Acl, request.path, false);
}
void Connection::run(Number number, const GetChildrenRequest& request) {
  read_one(number, store::NodeQuery::Children, request.path, request.watch);
}
void Connection::run(Number number, const GetAllChildrenNumberRequest& request) {
  answers_.waiting(number)->counts_root = request.path.empty();
  read_one(number, store::NodeQuery::Descendants, request.path, false);
}

// The prefix is text, not a path: "/a" finds "/ab" too.
void Connection::run(Number number, const GetEphemeralsRequest& request) {
  read_one(number, store::NodeQuery::Ephemerals, request.prefix, false);
}

void Connection::run(Number number, const MultiReadRequest& request) {
  Slot* slot = answers_.waiting(number);
  store::NodeReads reads;
  std::deque<std::string> scratch;
  for (const ReadOp& op : request.ops) {
    const auto* children = std::get_if<GetChildrenRequest>(&op);
    const std::string_view of_client = children != nullptr ? children->path : std::get<GetDataRequest>(op).path;
    const std::string_view path = read_path(service_.root, of_client, scratch.emplace_back());
    if (path == store::kConfigNode) slot->configs.push_back(slot->parts.size());
    slot->parts.push_back(children != nullptr ? OpCode::GetChildren : OpCode::GetData);
    reads.reads.push_back(
        {.query = children != nullptr ? store::NodeQuery::Children : store::NodeQuery::Data, .path = path});
  }
  if (slot->parts.empty()) return reply_stateless(number, MultiReply{});
  read(number, reads);
}

void Connection::run(Number number, const SyncRequest& request) {
  std::optional<std::string> path;
  if (request.path) path = jute_text(java_text(*request.path));
  service_.client.sync(
      [service = &service_, id = id_, number, path = std::move(path)](const node::Answer<store::Revision>& answer) {
        if (Connection* connection = service->owner.find(id)) connection->on_synced(number, answer.has_value(), path);
      });
}

// ---- what the connection itself knows -----------------------------------------------------------

void Connection::run(Number number, const PingRequest& /*request*/) {
  const RequestKey ping{.connection = id_, .request = number};
  if (read_only_ || service_.liveness.ping(ping, reported_round_)) on_ping_confirmed(number);
}

void Connection::run(Number number, const CheckWatchesRequest& request) {
  std::string scratch;
  const WatchKinds held = service_.watches.at(id_, service_.root.to_store(request.path, scratch));
  fail(number, (held & kinds_of(request.type)) != kNoWatch ? ErrorCode::Ok : ErrorCode::NoWatcher);
}

void Connection::run(Number number, const RemoveWatchesRequest& request) {
  std::string scratch;
  const std::string_view path = service_.root.to_store(request.path, scratch);
  const bool held = (service_.watches.at(id_, path) & kinds_of(request.type)) != kNoWatch;
  service_.watches.remove(id_, path, kinds_of(request.type));
  fail(number, held ? ErrorCode::Ok : ErrorCode::NoWatcher);
}

void Connection::run(Number number, const AddWatchRequest& request) {
  std::string scratch;
  const WatchKinds kinds = request.mode == AddWatchMode::Persistent ? kPersistentWatch : kRecursiveWatch;
  if (watch(service_.root.to_store(request.path, scratch), kinds)) {
    reply(number, *answers_.waiting(number), AddWatchReply{});
  }
}

// An auth packet is answered with the zxid 0, and what comes behind it is judged by it already.
void Connection::run(Number number, const AuthRequest& request) {
  answers_.waiting(number)->zxid = 0;
  if (identities_.prove(request.scheme, request.auth, service_.options.super_digest, service_.options.max_identities)) {
    return fail(number, ErrorCode::Ok);
  }
  ++service_.counters.authentications_failed;
  fail_last(number, ErrorCode::AuthFailed);
}

std::string Service::nonce() {
  Sha256 digest;
  digest.update(fmt::format("{} {} {}", options.secret, ++nonces, loop.wall().ms));
  const std::array<unsigned char, 32> bytes = digest.finish();
  return absl::Base64Escape({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// Like an auth packet. Clients send tokens wherever they were told to use SASL: where there is none an empty answer
// says so, and they go on as nobody (reference: ZooKeeperServer.processSasl).
void Connection::run(Number number, const SaslRequest& request) {
  answers_.waiting(number)->zxid = 0;
  if (service_.options.sasl_users == nullptr) return reply_stateless(number, SaslReply{});
  if (sasl_ == nullptr) sasl_ = std::make_unique<DigestMd5>(*service_.options.sasl_users, service_.nonce());
  const std::optional<std::string> token = sasl_->answer(request.token);
  if (!token) {
    ++service_.counters.authentications_failed;
    service_.log.info("{} failed to prove who it is by SASL", socket_->peer().remote);
    stage_ = Stage::Leaving;
    refused_ = number;
    return arm_timer(service_.loop.now() + service_.options.sasl_refused_after);
  }
  if (sasl_->done()) identities_.prove_sasl(sasl_->user(), sasl_->is_super());
  reply_stateless(number, SaslReply{.token = *token});
}

void Connection::refuse_token(Number number) {
  Slot* slot = answers_.waiting(number);
  if (slot == nullptr) return;
  slot->last = true;
  answers_.answer_stateless(number, ErrorCode::AuthFailed, encode_body(SaslReply{}));
  leave();
}

void Connection::run(Number number, const WhoAmIRequest& /*request*/) {
  const std::vector<ClientInfo> clients = identities_.list();
  reply(number, *answers_.waiting(number), WhoAmIReply{.clients = clients});
}

void Connection::run(Number number, const CloseSessionRequest& /*request*/) {
  stage_ = Stage::Leaving;
  if (read_only_) return fail_last(number, ErrorCode::Ok);
  ends_session_ = true;
  const store::LeaseRevoke revoke{.id = session_, .kind = store::LeaseKind::ZooKeeper, .generation = generation_};
  service_.client.propose_as(caller(), revoke, [service = &service_, id = id_, number](node::Outcome outcome) {
    if (Connection* connection = service->owner.find(id)) connection->on_session_closed(number, outcome);
  });
}

}  // namespace witan::api::zookeeper
