#include "sim/zookeeper_client.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "sim/workload.h"
#include "sim/zookeeper.h"

namespace witan::sim {

using verify::NodeError;
using verify::NodeReply;
using verify::NodeRequest;

ZookeeperClient::ZookeeperClient(Ground ground, MachineId machine, Loop& loop, History& history, std::string name,
                                 Rng rng)
    : ground_(ground), loop_(loop), history_(history), machine_(machine), name_(std::move(name)), rng_(std::move(rng)),
      network_(ground.network.at(machine)), alive_(std::make_shared<bool>(true)) {}

ZookeeperClient::~ZookeeperClient() { *alive_ = false; }

// ---- The session --------------------------------------------------------------------------------

void ZookeeperClient::begin(Duration timeout, Function<void()> opened) {
  CHECK(session_ == nullptr, "{} has a session", name_);
  session_ = &history_.sessions.emplace_back();
  session_->name = fmt::format("{}/{}", name_, ++sessions_);
  session_->timeout = timeout;
  password_.clear();
  last_zxid_ = last_answer_zxid_ = 0;
  promised_ = Instant{0};
  watches_ = {};
  opened_ = std::move(opened);
  connect();
}

void ZookeeperClient::abandon() {
  if (session_ == nullptr) return;
  session_->abandoned = now();
  session_ = nullptr;
  ++attempt_;
  stage_ = Stage::Idle;
  connection_.reset();
  waiting_.clear();
}

void ZookeeperClient::close(Task done) {
  if (session_ == nullptr) return done();
  if (stage_ != Stage::Open) {
    abandon();
    return done();
  }
  if (!session_->close_sent) session_->close_sent = now();  // whoever asks again does not take that back
  verify::SessionHistory* session = session_;
  send({.kind = NodeRequest::Kind::Close}, [this, session, done = std::move(done)](const NodeReply* reply) mutable {
    if (reply != nullptr && reply->error == NodeError::Ok) session->close_answered = now();
    abandon();
    done();
  });
}

void ZookeeperClient::reconnect() {
  if (session_ == nullptr) return;
  loop_.post([this, alive = alive_, attempt = attempt_] {
    if (*alive && attempt == attempt_ && session_ != nullptr) break_off(false);
  });
}

Instant ZookeeperClient::surely_until() const {
  if (session_ == nullptr || session_->close_sent) return Instant{0};
  return promised_ + session_->timeout / 1000 * (1000 - 2 * kMaxDrift);
}

// ---- The connection -----------------------------------------------------------------------------

void ZookeeperClient::connect() {
  CHECK(!endpoints_.empty(), "a client without endpoints");
  const env::Address& address = endpoints_[rng_.below(endpoints_.size())];
  server_ = static_cast<MachineId>(std::stoul(address.host.substr(address.host.rfind('.') + 1)));
  stage_ = Stage::Connecting;
  network_->connect(loop_, address, session_->timeout / 3,
                    [this, alive = alive_, attempt = ++attempt_](Result<std::unique_ptr<env::Connection>> connection) {
                      if (*alive && attempt == attempt_) connected(std::move(connection));
                    });
}

// The handshake and the watches to be set again leave together, as the libraries send them.
void ZookeeperClient::connected(Result<std::unique_ptr<env::Connection>> connection) {
  if (!connection) return break_off(false);
  stage_ = Stage::Greeting;
  connection_ = std::move(*connection);
  connection_->start(*this);
  received_.clear();
  last_heard_ = loop_.now();
  session_->connections.push_back(
      {.member = static_cast<int>(server_), .asked = now(), .last_zxid = last_zxid_, .requests = {}, .heard = {}});
  write(zookeeper::encode(
      {.last_zxid = last_zxid_, .timeout = session_->timeout, .session = session_->id, .password = password_}));
  set_watches();
  tick();
}

void ZookeeperClient::set_watches() {
  const verify::Rewatch& w = watches_;
  if (w.data.empty() && w.exist.empty() && w.child.empty() && w.persistent.empty() && w.recursive.empty()) return;
  NodeRequest request{.kind = NodeRequest::Kind::SetWatches, .rewatch = watches_};
  request.rewatch.relative = last_answer_zxid_;
  send(std::move(request), [](const NodeReply*) {});
}

void ZookeeperClient::greeted(std::string_view packet) {
  const zookeeper::Welcome welcome = zookeeper::decode_welcome(packet);
  here().answered = now();
  if (welcome.session == 0) {
    here().refused = true;
    return break_off(true);
  }
  CHECK(session_->id == 0 || session_->id == welcome.session, "another session than was asked for");
  session_->id = welcome.session;
  session_->timeout = welcome.timeout;
  password_ = welcome.password;
  promised_ = here().asked;
  stage_ = Stage::Open;
  if (opened_) std::exchange(opened_, {})();
}

// Pings when it has said nothing for a third of the timeout, and gives a member up that was silent for two.
void ZookeeperClient::tick() {
  const Duration third = session_->timeout / 3;
  const Instant next = std::min(last_sent_ + third, last_heard_ + 2 * third);
  loop_.call_at(std::max(next, loop_.now() + milliseconds(1)), [this, alive = alive_, attempt = attempt_] {
    if (!*alive || attempt != attempt_ || session_ == nullptr) return;
    const Duration part = session_->timeout / 3;
    if (loop_.now() >= last_heard_ + 2 * part) return break_off(false);
    if (stage_ == Stage::Open && loop_.now() >= last_sent_ + part) {
      send({.kind = NodeRequest::Kind::Ping}, [](const NodeReply*) {});
    }
    if (stage_ != Stage::Open) last_sent_ = loop_.now();
    tick();
  });
}

void ZookeeperClient::break_off(bool over) {
  ++attempt_;
  stage_ = Stage::Idle;
  connection_.reset();
  std::deque<Waiting> lost = std::exchange(waiting_, {});
  verify::SessionHistory* session = session_;
  if (over) session_ = nullptr;
  for (Waiting& one : lost) one.done(nullptr);
  if (over) {
    session->abandoned = std::min(session->abandoned, now());
    if (over_) over_();
    return;
  }
  if (session_ != session) return;  // let go of meanwhile
  loop_.call_at(loop_.now() + Duration(rng_.between(1'000'000, 100'000'000)),
                [this, alive = alive_, attempt = attempt_] {
                  if (*alive && attempt == attempt_ && session_ != nullptr) connect();
                });
}

// ---- Requests and answers -----------------------------------------------------------------------

void ZookeeperClient::ask(NodeRequest request, Done done) {
  if (stage_ == Stage::Open) return send(std::move(request), std::move(done));
  loop_.post([alive = alive_, done = std::move(done)]() mutable {
    if (*alive) done(nullptr);
  });
}

void ZookeeperClient::send(NodeRequest request, Done done) {
  request.sent = now();
  const int32_t xid = zookeeper::xid_of(++last_xid_, request);
  waiting_.push_back({.request = here().requests.size(), .xid = xid, .done = std::move(done)});
  write(zookeeper::encode(xid, request));
  here().requests.push_back(std::move(request));
}

void ZookeeperClient::write(std::string bytes) {
  last_sent_ = loop_.now();
  Chain chain;
  chain.append(bytes);
  connection_->write(std::move(chain));
}

void ZookeeperClient::on_bytes(std::string_view bytes) {
  received_ += bytes;
  last_heard_ = loop_.now();
  const uint64_t attempt = attempt_;
  while (attempt == attempt_) {
    const std::optional<std::string> packet = zookeeper::take_packet(received_);
    if (!packet) return;
    on_packet(*packet);
  }
}

void ZookeeperClient::on_closed(std::string_view) { break_off(false); }

void ZookeeperClient::on_packet(std::string_view packet) {
  if (stage_ == Stage::Greeting) return greeted(packet);
  const zookeeper::Head head = zookeeper::decode_head(packet);
  if (head.zxid > 0) last_zxid_ = std::max(last_zxid_, head.zxid);
  if (!zookeeper::is_event(head)) return on_reply(packet);
  const verify::NodeEvent event = zookeeper::decode_event(head, now());
  here().heard.emplace_back(event);
  note_event(event);
  if (event_) event_(event);
}

void ZookeeperClient::on_reply(std::string_view packet) {
  const zookeeper::Head head = zookeeper::decode_head(packet);
  CHECK(!waiting_.empty() && waiting_.front().xid == head.xid, "{}: an answer to {} out of its order", name_, head.xid);
  if (head.zxid > 0) last_answer_zxid_ = std::max(last_answer_zxid_, head.zxid);
  Waiting waiting = std::move(waiting_.front());
  waiting_.pop_front();
  const NodeRequest& request = here().requests[waiting.request];
  const NodeReply reply = zookeeper::decode_reply(request, head, now());
  here().heard.emplace_back(reply);
  if (request.kind == NodeRequest::Kind::Ping) promised_ = std::max(promised_, request.sent);
  note_watch(request, reply);
  waiting.done(&reply);
}

// ---- Watches ------------------------------------------------------------------------------------

namespace {

void add(std::vector<std::string>& paths, const std::string& path) {
  if (std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
}

}  // namespace

void ZookeeperClient::note_watch(const NodeRequest& request, const NodeReply& reply) {
  using Kind = NodeRequest::Kind;
  const bool found = reply.error == NodeError::Ok;
  if (request.kind == Kind::AddWatch && found) {
    add(request.recursive ? watches_.recursive : watches_.persistent, request.path);
  }
  if (!request.watch) return;
  if (request.kind == Kind::Exists && reply.error == NodeError::NoNode) add(watches_.exist, request.path);
  if ((request.kind == Kind::Exists || request.kind == Kind::Data) && found) add(watches_.data, request.path);
  if (request.kind == Kind::Children && found) add(watches_.child, request.path);
}

void ZookeeperClient::note_event(const verify::NodeEvent& event) {
  using Type = verify::NodeEvent::Type;
  const auto drop = [&](std::vector<std::string>& paths) { std::erase(paths, event.path); };
  if (event.type != Type::ChildrenChanged) {
    drop(watches_.data);
    drop(watches_.exist);
  }
  if (event.type == Type::ChildrenChanged || event.type == Type::Deleted) drop(watches_.child);
}

}  // namespace witan::sim
