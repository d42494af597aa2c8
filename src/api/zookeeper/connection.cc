#include "api/zookeeper/connection.h"

#include <algorithm>
#include <utility>

#include "store/acl.h"

namespace witan::api::zookeeper {
namespace {

// How long a client may take to read what is left when its connection is closed.
constexpr Duration kCloseWithin = seconds(10);

}  // namespace

Connection::Connection(Service& service, uint32_t id, std::unique_ptr<env::Connection> socket)
    : service_(service), id_(id), socket_(std::move(socket)), framer_(service.options.max_packet),
      identities_(socket_->peer().remote, service.options.sasl_ids) {
  statistics_.established = service_.loop.wall();
}

Connection::~Connection() {
  service_.loop.cancel(timer_);
  service_.watches.remove_all(id_);
}

void Connection::start() {
  arm_timer(service_.loop.now() + service_.options.session_within);
  socket_->start(*this);
}

// ---- bytes --------------------------------------------------------------------------------------

void Connection::on_bytes(std::string_view bytes) {
  if (gone_ || stage_ == Stage::Closing || stage_ == Stage::Word) return;
  service_.counters.bytes_received += bytes.size();
  in_turn_ = true;
  framer_.feed(bytes);
  while (stage_ != Stage::Closing && stage_ != Stage::Word) {
    std::string_view packet;
    const wire::ZookeeperInput input = framer_.next(packet);
    if (input == wire::ZookeeperInput::More) break;
    switch (input) {
      case wire::ZookeeperInput::Packet: on_packet(packet); break;
      case wire::ZookeeperInput::Word: on_word(packet); break;
      default: close("a packet of an impossible length"); break;
    }
  }
  in_turn_ = false;
  flush();
}

void Connection::on_packet(std::string_view packet) {
  ++statistics_.received;
  ++service_.counters.received;
  if (stage_ == Stage::Fresh) return on_connect(packet);
  if (stage_ == Stage::Leaving) return;
  // What comes in one piece with what may not begin yet is kept; then reading stops.
  if (!waiting_.empty() || !may_begin() || !begin(packet)) waiting_.emplace_back(packet);
}

void Connection::on_word(std::string_view word) {
  ++statistics_.received;
  ++service_.counters.received;
  if (service_.words == nullptr) return close("a four-letter word");
  stage_ = Stage::Word;
  service_.words->answer(word, [service = &service_, id = id_](std::optional<std::string> text) {
    Connection* connection = service->owner.find(id);
    if (connection == nullptr) return;
    if (text) connection->out_.append(*text);
    connection->close("a four-letter word was answered");
  });
}

bool Connection::may_begin() const {
  const Options& options = service_.options;
  return stage_ == Stage::Open && !answers_.blocked() && answers_.size() < options.max_outstanding &&
         answers_.bytes() < options.max_outstanding_bytes && socket_->unsent() + out_.size() < options.socket_high;
}

void Connection::begin_waiting() {
  size_t begun = 0;
  while (begun < waiting_.size() && may_begin() && begin(waiting_[begun])) ++begun;
  if (stage_ == Stage::Leaving || stage_ == Stage::Closing) begun = waiting_.size();
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(begun));
  if (waiting_.empty()) waiting_.shrink_to_fit();
}

void Connection::push_back() {
  const bool pause = stage_ == Stage::Opening || !waiting_.empty() || (stage_ == Stage::Open && !may_begin());
  if (pause == paused_) return;
  paused_ = pause;
  socket_->pause_reading(pause);
}

void Connection::touched() {
  if (!in_turn_ && !gone_) service_.owner.flush_later(id_);
}

// Moves the answers that are due to the output.
void Connection::leave() {
  if (stage_ == Stage::Closing) return;
  const AnswerQueue::Left left = answers_.leave(out_, service_.zxid(), service_.loop.now());
  if (left.packets > 0) {
    statistics_.sent += left.packets;
    service_.counters.sent += left.packets;
    if (left.zxid != Slot::kNoZxid) statistics_.last_zxid = left.zxid;
    statistics_.last_xid = left.xid;
    statistics_.last_operation = operation_name(left.type);
    statistics_.last_response = service_.loop.now();
    statistics_.last_latency_ms = left.last_latency_ms;
    statistics_.latency.add(left.latency);
    service_.counters.latency.add(left.latency);
    touched();
  }
  if (left.close) close("as the last answer says");
}

void Connection::flush() {
  if (gone_) return;
  in_turn_ = true;
  leave();
  // What begins may be answered at once and make room for the next.
  for (size_t before = waiting_.size() + 1; !waiting_.empty() && waiting_.size() < before;) {
    before = waiting_.size();
    begin_waiting();
    leave();
  }
  if (set_watches_ != nullptr && set_watches_->paused && socket_->unsent() < service_.options.socket_high) {
    set_watches_->paused = false;
    next_history();
  }
  in_turn_ = false;
  if (!out_.empty()) socket_->write(std::exchange(out_, {}));
  if (stage_ == Stage::Closing) {
    if (!std::exchange(flushed_, true)) socket_->close_after_flush();
    return;
  }
  push_back();
}

void Connection::close(std::string_view reason) {
  if (gone_ || stage_ == Stage::Closing) return;
  service_.log.debug("closing the connection of {}: {}", socket_->peer().remote, reason);
  stage_ = Stage::Closing;
  waiting_.clear();
  set_watches_.reset();
  service_.watches.remove_all(id_);
  arm_timer(service_.loop.now() + kCloseWithin);
  touched();
}

void Connection::on_closed(std::string_view reason) {
  if (gone_) return;
  gone_ = true;
  service_.log.debug("connection of {}: {}", socket_->peer().remote, reason);
  service_.watches.remove_all(id_);
  service_.owner.closed(id_);
}

void Connection::arm_timer(Instant when) {
  service_.loop.cancel(timer_);
  timer_ = service_.loop.call_at(when, [this] { on_timer(); });
}

void Connection::on_timer() {
  timer_ = 0;
  if (stage_ == Stage::Closing) return on_closed("not read to the end in time");
  if (refused_ != 0) return refuse_token(std::exchange(refused_, 0));
  ++service_.counters.sessionless_closed;
  close("no session in time");
}

// ---- news ---------------------------------------------------------------------------------------

void Connection::on_event(const WatchEvent& event, std::string_view packet) {
  if (!may_hear(event.acl)) return;
  Chain bytes;
  bytes.append(packet);
  say(std::move(bytes), event.revision.value);
}

// Who may not read a node does not hear of it either (CVE-2024-23944).
bool Connection::may_hear(std::string_view acl) const {
  return acl.empty() || store::allows(acl, identities_.principals(), store::perm::kRead);
}

void Connection::say(Chain packet, int64_t zxid) {
  if (gone_ || stage_ == Stage::Closing) return;
  if (socket_->unsent() + out_.size() > service_.options.max_unsent) return close("it does not read its events");
  ++service_.counters.watches_fired;
  if (!answers_.hold_event(packet, zxid)) {
    out_.append(std::move(packet));
    ++statistics_.sent;
    ++service_.counters.sent;
    if (zxid > 0) statistics_.last_zxid = zxid;
  }
  touched();
}

void Connection::on_session(uint64_t generation) {
  if (ends_session_ && generation == 0) return;  // it asked for that, and its answer is about to come
  if (generation != 0 && generation <= generation_) return;
  leave();
  close(generation == 0 ? "its session ended" : "its session moved to another connection");
}

// ZooKeeper's protocol has no way to say that events were lost; a client that connects again sets its watches anew.
void Connection::on_gap() {
  if (set_watches_ != nullptr || service_.watches.watching(id_)) close("events were lost");
}

void Connection::on_ping_confirmed(uint64_t request) {
  answers_.answer_stateless(request, ErrorCode::Ok);
  leave();
}

// ---- for operators ------------------------------------------------------------------------------

ConnectionStatistics Connection::statistics() const {
  ConnectionStatistics out = statistics_;
  out.connection = id_;
  out.remote = socket_->peer().remote;
  out.session = session_;
  out.timeout_ms = timeout_ms_;
  out.read_only = read_only_;
  out.reading = !paused_ && stage_ != Stage::Word;
  out.outstanding = answers_.size() + waiting_.size();
  return out;
}

void Connection::reset_statistics() {
  const WallTime established = statistics_.established;
  statistics_ = {};
  statistics_.established = established;
  statistics_.last_xid = -1;
}

}  // namespace witan::api::zookeeper
