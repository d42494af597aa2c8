#include "api/etcd/connection.h"

#include <algorithm>
#include <utility>

namespace witan::api::etcd {
namespace {

// What a socket holds unsent before the session keeps the rest, where it still counts against its stream.
constexpr size_t kSocketHigh = size_t{1} << 20;
// How long a client may take to read what is left when its connection is closed.
constexpr Duration kCloseWithin = seconds(10);

wire::GrpcServerOptions session_options(const Options& options) {
  // A watch that stopped at its buffer must hear when the buffer has been read.
  const size_t low_water = std::min(size_t{64} << 10, options.watch_buffer_bytes / 2);
  return {.max_message = options.max_request_bytes + kMessageOverhead,
          .max_streams = options.max_streams,
          .low_water = low_water};
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : (lead & 0xf0) == 0xe0       ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return false;
    uint32_t point = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3fu);
    }
    const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (overlong || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
    i += length;
  }
  return true;
}

}  // namespace

Connection::Connection(Service& service, ConnectionOwner& owner, uint32_t id, std::unique_ptr<env::Connection> socket)
    : service_(service), owner_(owner), id_(id), socket_(std::move(socket)),
      session_(session_options(service.options()), *this, service.loop().now()) {}

Connection::~Connection() {
  service_.loop().cancel(timer_);
  gone_ = true;
  session_.on_disconnect();
}

void Connection::start() {
  socket_->start(*this);
  flush();
}

// ---- the socket's side --------------------------------------------------------------------------

void Connection::on_bytes(std::string_view bytes) {
  in_turn_ = true;
  session_.on_bytes(service_.loop().now(), bytes);
  in_turn_ = false;
  flush();
}

void Connection::on_closed(std::string_view reason) {
  if (gone_) return;
  gone_ = true;
  service_.log().debug("connection of {}: {}", socket_->peer().remote, reason);
  session_.on_disconnect();
  owner_.closed(id_);
}

void Connection::flush() {
  if (gone_) return;
  in_turn_ = true;
  while (socket_->unsent() < kSocketHigh && session_.wants_write()) socket_->write(session_.take_output());
  in_turn_ = false;
  ended_.clear();
  if (session_.wants_close() && !session_.wants_write()) begin_close();
  const bool pause = !session_.wants_read();
  if (pause != paused_) {
    paused_ = pause;
    socket_->pause_reading(pause);
  }
  arm_timer();
}

void Connection::begin_close() {
  if (closing_) return;
  closing_ = true;
  service_.log().debug("closing the connection of {}: {}", socket_->peer().remote, session_.close_reason());
  close_by_ = service_.loop().now() + kCloseWithin;
  socket_->close_after_flush();
}

// A timer that fires early costs less than one that is moved by every request: it is only ever moved forward.
void Connection::arm_timer() {
  const Instant wanted = std::min(session_.next_deadline(), close_by_);
  if (wanted >= timer_at_) return;
  service_.loop().cancel(timer_);
  timer_at_ = wanted;
  timer_ = service_.loop().call_at(wanted, [this] { on_timer(); });
}

void Connection::on_timer() {
  timer_ = 0;
  timer_at_ = Instant::never();
  const Instant now = service_.loop().now();
  if (now >= close_by_) return on_closed("not read to the end in time");
  in_turn_ = true;
  session_.on_timer(now);
  in_turn_ = false;
  flush();
}

// ---- calls --------------------------------------------------------------------------------------

// The order is that of etcd's interceptors (v3rpc/interceptor.go).
std::optional<Status> Connection::refusal(const wire::GrpcCall& call, const Method* method, bool require_leader) const {
  if (method == nullptr) return unknown_method(call.path);
  const node::View view = service_.client().view();
  if (view.is_learner && !method->for_learners) return status_of(Error::NotSupportedForLearner);
  const auto version = wire::find_metadata(call.metadata, "client-api-version");
  if (version && !is_utf8(*version)) return status_of(Error::InvalidClientVersion);
  if (require_leader && view.leader == 0) return status_of(Error::NoLeader);
  return std::nullopt;
}

void Connection::on_call(const wire::GrpcCall& call) {
  const Method* method = find_method(call.path);
  const bool require_leader = wire::find_metadata(call.metadata, "hasleader") == "true";
  if (const auto status = refusal(call, method, require_leader)) {
    session_.finish(call.stream, status->code, status->text);
    return;
  }
  Call& entry = calls_[call.stream.value];
  entry.method = method;
  entry.require_leader = require_leader;
  if (method->open != nullptr) entry.handler = method->open(service_, CallKey{id_, call.stream});
}

void Connection::on_message(wire::StreamId stream, std::string_view message) {
  const auto it = calls_.find(stream.value);
  if (it == calls_.end()) return;
  if (it->second.handler != nullptr) return it->second.handler->on_message(message);
  // A unary call needs nothing more than its key from here on; a second message finds nobody.
  const Method* method = it->second.method;
  calls_.erase(it);
  method->unary(service_, CallKey{id_, stream}, message);
}

void Connection::on_half_close(wire::StreamId stream) {
  const auto it = calls_.find(stream.value);
  if (it == calls_.end()) return;
  if (it->second.handler != nullptr) return it->second.handler->on_half_close();
  finish(stream, {wire::GrpcStatus::Internal, "EOF"});  // a unary call without its request
}

void Connection::on_cancel(wire::StreamId stream) {
  const auto it = calls_.find(stream.value);
  if (it == calls_.end()) return;
  if (it->second.handler != nullptr) it->second.handler->on_cancel();
  end(stream);
}

void Connection::on_writable(wire::StreamId stream) {
  if (StreamHandler* open = handler(stream)) open->on_writable();
}

StreamHandler* Connection::handler(wire::StreamId stream) {
  const auto it = calls_.find(stream.value);
  return it == calls_.end() ? nullptr : it->second.handler.get();
}

void Connection::end(wire::StreamId stream) {
  const auto it = calls_.find(stream.value);
  if (it == calls_.end()) return;
  if (it->second.handler != nullptr) ended_.push_back(std::move(it->second.handler));
  calls_.erase(it);
  touched();
}

void Connection::end_streams(const Status& status, bool leaderless_only) {
  std::vector<int32_t> streams;
  for (const auto& [stream, call] : calls_) {
    if (call.handler == nullptr) continue;
    if (!leaderless_only || (call.require_leader && call.method->streaming)) streams.push_back(stream);
  }
  std::ranges::sort(streams);
  for (const int32_t stream : streams) {
    if (StreamHandler* open = handler(wire::StreamId(stream))) open->on_cancel();
    finish(wire::StreamId(stream), status);
  }
}

void Connection::cancel_leaderless() { end_streams(status_of(Error::NoLeader), true); }

void Connection::stop() {
  session_.go_away(service_.loop().now());
  end_streams(status_of(Error::Stopped), false);
  touched();
}

// ---- answers ------------------------------------------------------------------------------------

void Connection::touched() {
  if (!in_turn_ && !gone_) owner_.flush_later(id_);
}

void Connection::send(wire::StreamId stream, Chain&& message) {
  session_.send_message(stream, std::move(message));
  touched();
}

// What waited comes with the next flush.
void Connection::pause_reading(wire::StreamId stream, bool paused) {
  session_.pause_reading(stream, paused);
  touched();
}

void Connection::finish(wire::StreamId stream, const Status& status) {
  session_.finish(stream, status.code, status.text);
  end(stream);
  touched();
}

void Connection::reply(wire::StreamId stream, Chain&& message) {
  session_.reply(stream, std::move(message));
  end(stream);
  touched();
}

void Connection::reply(wire::StreamId stream, std::string_view message) {
  session_.reply(stream, message);
  end(stream);
  touched();
}

}  // namespace witan::api::etcd
