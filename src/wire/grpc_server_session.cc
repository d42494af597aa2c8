#include "wire/grpc_server_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::wire {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";  // RFC 9113 3.4
constexpr size_t kMaxHttp1Head = size_t{8} << 10;
constexpr Duration kDrainPing = seconds(1);  // how long a stop waits for the client to have seen the first GOAWAY
constexpr size_t kMaxQueuedFrames = 500;     // that no window holds back; nghttp2 gives up at 1000 acknowledgements
constexpr size_t kPooledStreams = 256;
constexpr Duration kLived = milliseconds(100);  // a stream that is reset later was not opened for that

// RFC 9110 5.6.6: parameters follow a semicolon; gRPC names the message encoding after a plus.
bool is_grpc(std::string_view content_type) {
  constexpr std::string_view kType = "application/grpc";
  if (!content_type.starts_with(kType)) return false;
  const std::string_view rest = content_type.substr(kType.size());
  return rest.empty() || rest[0] == '+' || rest[0] == ';';
}

// A deadline so far away that adding it would overflow is none.
Instant deadline_after(Instant now, Duration timeout) {
  return timeout.count() >= Instant::never().ns - std::max<int64_t>(now.ns, 0) ? Instant::never() : now + timeout;
}

}  // namespace

GrpcServerConnection::Session::Session(const GrpcServerOptions& options, GrpcHandler& handler, Instant now)
    : options_(options), handler_(handler), now_(now), resets_(options.reset_burst, options.reset_rate, now),
      pings_(options.min_client_ping), handshake_deadline_(now + options.handshake_timeout), last_read_(now) {}

GrpcServerConnection::Session::~Session() {
  nghttp2_session_del(http2_);
  while (first_ != nullptr) release(*first_);
}

// ---- bytes in

void GrpcServerConnection::Session::on_bytes(Instant now, std::string_view bytes) {
  now_ = std::max(now, now_);
  last_read_ = now_;
  ping_deadline_ = Instant::never();
  switch (phase_) {
    case Phase::Preface: return feed_preface(bytes);
    case Phase::Http1: return feed_http1(bytes);
    case Phase::Http2: return feed_http2(bytes);
    case Phase::Over: return;
  }
}

void GrpcServerConnection::Session::feed_preface(std::string_view bytes) {
  const std::string_view expected = kPreface.substr(handshake_.size());
  const size_t n = std::min(bytes.size(), expected.size());
  if (bytes.substr(0, n) != expected.substr(0, n)) {
    phase_ = Phase::Http1;
    return feed_http1(bytes);
  }
  handshake_.append(bytes.substr(0, n));
  if (handshake_.size() < kPreface.size()) return;
  phase_ = Phase::Http2;
  start_http2();
  feed_http2(std::exchange(handshake_, {}));
  feed_http2(bytes.substr(n));
}

void GrpcServerConnection::Session::feed_http2(std::string_view bytes) {
  if (terminated_) return;
  run_callbacks_due();
  const ssize_t n = nghttp2_session_mem_recv(http2_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) return terminate(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_continuations");
  // Damage inside a frame is answered by nghttp2 with a GOAWAY; what it returns as an error is beyond that.
  if (n < 0) die(nghttp2_strerror(static_cast<int>(n)));
}

// Not HTTP/2. The place where an HTTP/1.1 gateway takes over; until there is one the request gets a clean refusal.
void GrpcServerConnection::Session::feed_http1(std::string_view bytes) {
  handshake_.append(bytes);
  // A TLS hello, or noise: there is nobody who would read an answer.
  if (handshake_[0] < 'A' || handshake_[0] > 'Z') return die("the client does not speak HTTP (TLS to a plain port?)");
  const bool whole = handshake_.find("\r\n\r\n") != std::string::npos;
  if (!whole && handshake_.size() <= kMaxHttp1Head) return;
  constexpr std::string_view kBody = "this port speaks gRPC over HTTP/2\n";
  output_.append(
      fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
                  "Connection: close\r\n\r\n{}",
                  whole ? "404 Not Found" : "431 Request Header Fields Too Large", kBody.size(), kBody));
  die("HTTP/1 request");
}

// ---- requests

void GrpcServerConnection::Session::on_request(StreamId id, bool end_stream) {
  if (terminated_) return;
  if (head_.method != "POST" || !is_grpc(head_.content_type)) return refuse_plain(id, end_stream);
  ServerStream& s = open(id);
  if (refuse_call(s)) return;

  metadata_.clear();
  size_t at = 0;
  for (const auto& [name_size, value_size] : head_.extents) {
    const std::string_view both(head_.metadata.data() + at, name_size + value_size);
    metadata_.emplace_back(both.substr(0, name_size), both.substr(name_size));
    at += both.size();
  }
  if (s.deadline != Instant::never()) deadlines_.emplace(s.deadline, id);
  handler_.on_call(GrpcCall{id, head_.path, head_.authority, metadata_, s.deadline});
  if (end_stream) on_end(s);
}

void GrpcServerConnection::Session::refuse_plain(StreamId id, bool end_stream) {
  ServerStream& s = open(id);
  const PlainAnswer answer = handler_.on_plain_request({id, head_.method, head_.path, head_.content_type});
  s.over = true;
  s.plain = true;
  s.finishing = true;
  s.client_done = end_stream;
  s.output.append(answer.body);
  queued_ += s.output.size();
  submit_plain(s, answer);
}

// What the headers alone rule out. The handler never hears of such a call.
bool GrpcServerConnection::Session::refuse_call(ServerStream& s) {
  GrpcStatus status = GrpcStatus::Ok;
  std::string text;
  if (head_.has_timeout) {
    if (const auto timeout = parse_grpc_timeout(head_.timeout); !timeout) {
      status = GrpcStatus::Internal;
      text = fmt::format("malformed grpc-timeout: \"{}\"", head_.timeout);
    } else if (*timeout <= Duration::zero()) {
      status = GrpcStatus::DeadlineExceeded;
      text = "context deadline exceeded";
    } else {
      s.deadline = deadline_after(now_, *timeout);
    }
  }
  if (status == GrpcStatus::Ok && !head_.encoding.empty() && head_.encoding != "identity") {
    status = GrpcStatus::Unimplemented;
    text = fmt::format("grpc: Decompressor is not installed for grpc-encoding \"{}\"", head_.encoding);
  }
  if (status == GrpcStatus::Ok) return false;
  end_call(s, status, text);
  return true;
}

void GrpcServerConnection::Session::on_data(ServerStream* s, StreamId id, std::string_view bytes, bool end_stream) {
  // The connection's window is given back at once: a stream that is not read must not stop the others. Only a client
  // that does not take its answers is stopped as a whole, at the window.
  if (holding_) {
    uncredited_ += bytes.size();
  } else {
    nghttp2_session_consume_connection(http2_, bytes.size());
  }
  if (s == nullptr || s->over || terminated_) {
    if (!end_stream) nghttp2_session_consume_stream(http2_, id.value, bytes.size());
    return;
  }
  if (s->paused || holding_) {
    s->input.hold(bytes);
    s->uncredited += bytes.size();
    unfinished_ += bytes.size();
    if (holding_ && !std::exchange(s->held, true)) held_.push_back(id);
  } else {
    if (!end_stream) nghttp2_session_consume_stream(http2_, id.value, bytes.size());
    deliver(*s, bytes);
  }
  if (unfinished_ > options_.max_unfinished && s->input.buffered() > 0) {
    fail(*s, GrpcStatus::ResourceExhausted, "too many bytes of unfinished messages on one connection");
  }
}

void GrpcServerConnection::Session::deliver(ServerStream& s, std::string_view bytes) {
  const size_t before = s.input.buffered();
  walked_ = &s;
  const auto verdict = s.input.feed(bytes, options_.max_message, [&](std::string_view message) {
    handler_.on_message(s.id, message);
    return !s.over && !s.paused && !holding_;
  });
  walked_ = nullptr;
  unfinished_ += s.input.buffered() - before;  // wraps around when it shrank, and back
  if (s.over) return drop_input(s);
  if (holding_ && s.input.buffered() > 0 && !std::exchange(s.held, true)) held_.push_back(s.id);
  switch (verdict) {
    case GrpcDeframer::Verdict::Ok: break;
    case GrpcDeframer::Verdict::TooLarge:
      return fail(
          s, GrpcStatus::ResourceExhausted,
          fmt::format("grpc: received message larger than max ({} vs. {})", s.input.declared(), options_.max_message));
    case GrpcDeframer::Verdict::Compressed:
      return fail(s, GrpcStatus::Internal, "grpc: compressed flag set with identity or empty encoding");
    case GrpcDeframer::Verdict::BadFlag:
      return fail(s, GrpcStatus::Internal, fmt::format("grpc: received unexpected payload format {}", s.input.flag()));
  }
}

void GrpcServerConnection::Session::on_end(ServerStream& s) {
  s.client_done = true;
  if (s.over || s.paused || s.held || s.told_client_done) return;
  if (s.input.buffered() > 0) return fail(s, GrpcStatus::Internal, "unexpected EOF");
  s.told_client_done = true;
  handler_.on_half_close(s.id);
}

void GrpcServerConnection::Session::drop_input(ServerStream& s) {
  unfinished_ -= s.input.buffered();
  s.input.clear();
  credit(s);
}

// Gives back the window of what a paused stream had received.
void GrpcServerConnection::Session::credit(ServerStream& s) {
  const size_t n = std::exchange(s.uncredited, 0);
  if (n > 0 && !s.client_done) nghttp2_session_consume_stream(http2_, s.id.value, n);
}

void GrpcServerConnection::Session::on_ping(bool acknowledges) {
  if (acknowledges) {
    if (drain_deadline_ != Instant::never()) drain_deadline_ = now_;  // the client has seen the first GOAWAY
    return;
  }
  if (!pings_.allow(now_, open_streams_ > 0)) terminate(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

// ---- streams

ServerStream* GrpcServerConnection::Session::find(StreamId id) const {
  if (phase_ != Phase::Http2) return nullptr;
  return static_cast<ServerStream*>(nghttp2_session_get_stream_user_data(http2_, id.value));
}

ServerStream& GrpcServerConnection::Session::open(StreamId id) {
  std::unique_ptr<ServerStream> s;
  if (pool_.empty()) {
    s = std::make_unique<ServerStream>();
  } else {
    s = std::move(pool_.back());
    pool_.pop_back();
  }
  s->id = id;
  s->opened = now_;
  s->previous = last_;
  (last_ == nullptr ? first_ : last_->next) = s.get();
  last_ = s.get();
  ++open_streams_;
  nghttp2_session_set_stream_user_data(http2_, id.value, s.get());
  return *s.release();  // owned by the list
}

void GrpcServerConnection::Session::release(ServerStream& s) {
  (s.previous == nullptr ? first_ : s.previous->next) = s.next;
  (s.next == nullptr ? last_ : s.next->previous) = s.previous;
  --open_streams_;
  queued_ -= s.output.size();
  unfinished_ -= s.input.buffered();
  forget_deadline(s);
  std::unique_ptr<ServerStream> owned(&s);
  if (pool_.size() >= kPooledStreams) return;
  s.input.clear();
  s.output.clear();
  s.status_message.clear();
  s.status = GrpcStatus::Ok;
  s.previous = s.next = nullptr;
  s.uncredited = 0;
  s.paused = s.held = s.client_done = s.told_client_done = false;
  s.headers_sent = s.over = s.finishing = s.plain = s.starved = s.above_low_water = s.writable_due = false;
  pool_.push_back(std::move(owned));
}

void GrpcServerConnection::Session::on_stream_closed(ServerStream* s, uint32_t error_code) {
  const bool lived = s != nullptr && now_ - s->opened >= kLived;
  if (s != nullptr) {
    if (!std::exchange(s->over, true)) handler_.on_cancel(s->id);
    release(*s);
  }
  // Streams that end badly at once are work for nothing, whoever resets them (a client can provoke the server's
  // resets). Those that have lived held one of max_streams places: a burst of calls that time out is no attack.
  if (error_code != NGHTTP2_NO_ERROR && !lived && !resets_.take(now_)) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets");
  }
}

void GrpcServerConnection::Session::forget_deadline(ServerStream& s) {
  if (s.deadline != Instant::never()) deadlines_.erase({s.deadline, s.id});
  s.deadline = Instant::never();
}

// nghttp2 asks again for output of a stream that had none.
void GrpcServerConnection::Session::wake(ServerStream& s) {
  if (std::exchange(s.starved, false)) nghttp2_session_resume_data(http2_, s.id.value);
}

void GrpcServerConnection::Session::end_call(ServerStream& s, GrpcStatus status, std::string_view message) {
  s.over = true;
  s.finishing = true;
  s.status = status;
  percent_encode(message, s.status_message);
  if (s.headers_sent) {
    wake(s);
  } else {
    submit_error(s);
  }
}

void GrpcServerConnection::Session::finish(StreamId id, GrpcStatus status, std::string_view message) {
  ServerStream* s = find(id);
  if (s == nullptr || s->over) return;
  end_call(*s, status, message);
  if (s != walked_) drop_input(*s);  // otherwise deliver() does
}

void GrpcServerConnection::Session::fail(ServerStream& s, GrpcStatus status, std::string message) {
  end_call(s, status, message);
  drop_input(s);
  handler_.on_cancel(s.id);
}

// A call whose time is up. What is queued and not read cannot be cut between frames, so such a stream is reset.
void GrpcServerConnection::Session::expire(ServerStream& s) {
  const bool told = s.over;
  if (s.output.empty() && !told) {
    fail(s, GrpcStatus::DeadlineExceeded, "context deadline exceeded");
  } else {
    s.over = true;
    nghttp2_submit_rst_stream(http2_, NGHTTP2_FLAG_NONE, s.id.value, NGHTTP2_CANCEL);
    if (!told) handler_.on_cancel(s.id);
  }
}

template <class Message>
void GrpcServerConnection::Session::send_message(StreamId id, Message&& message) {
  ServerStream* s = find(id);
  if (s == nullptr || s->over) return;
  std::array<char, kGrpcPrefix> prefix{};
  CHECK(message.size() <= UINT32_MAX, "a gRPC message of {} bytes; the limit is 4 GiB", message.size());
  write_grpc_prefix(prefix.data(), static_cast<uint32_t>(message.size()));
  queued_ += kGrpcPrefix + message.size();
  s->output.append(std::string_view(prefix.data(), prefix.size()));
  s->output.append(std::forward<Message>(message));
  if (s->output.size() > options_.low_water) s->above_low_water = true;
  if (queued_ > options_.max_queued) holding_ = true;
  if (s->headers_sent) {
    wake(*s);
  } else {
    submit_headers(*s);
  }
}
template void GrpcServerConnection::Session::send_message(StreamId, Chain&&);
template void GrpcServerConnection::Session::send_message(StreamId, std::string_view&);

size_t GrpcServerConnection::Session::pending_bytes(StreamId id) const {
  const ServerStream* s = find(id);
  return s == nullptr ? 0 : s->output.size();
}

void GrpcServerConnection::Session::pause_reading(StreamId id, bool paused) {
  ServerStream* s = find(id);
  if (s == nullptr || s->over || s->paused == paused) return;
  s->paused = paused;
  if (!paused) resumed_.push_back(id);
}

// ---- bytes out

// The client has taken enough of its answers: what it sent meanwhile is due.
bool GrpcServerConnection::Session::may_stop_holding() const { return holding_ && queued_ <= options_.max_queued / 2; }

void GrpcServerConnection::Session::stop_holding() {
  holding_ = false;
  nghttp2_session_consume_connection(http2_, std::exchange(uncredited_, 0));
  for (const StreamId id : std::exchange(held_, {})) {
    if (ServerStream* s = find(id)) {
      s->held = false;
      resumed_.push_back(id);
    }
  }
}

// What must be told to the handler, but not from inside nghttp2 or a handler's own call. True when something was.
bool GrpcServerConnection::Session::run_callbacks_due() {
  if (may_stop_holding()) stop_holding();
  if (resumed_.empty() && writable_.empty()) return false;
  for (const StreamId id : std::exchange(resumed_, {})) {
    ServerStream* s = find(id);
    if (s == nullptr || s->over || s->paused || s->held) continue;
    if (holding_) {
      s->held = true;
      held_.push_back(id);
      continue;
    }
    credit(*s);
    deliver(*s, {});
    if (s->client_done) on_end(*s);
  }
  for (const StreamId id : std::exchange(writable_, {})) {
    ServerStream* s = find(id);
    if (s == nullptr) continue;
    s->writable_due = false;
    // What was just resumed may have filled the queue again: then the next time it drains is told.
    if (!s->over && !s->above_low_water) handler_.on_writable(id);
  }
  return true;
}

Chain GrpcServerConnection::Session::take_output(size_t limit) {
  output_limit_ = limit;
  while (phase_ == Phase::Http2 && output_.size() < limit && !last_frame_out_) {
    const uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(http2_, &data);
    if (n < 0) {
      die(nghttp2_strerror(static_cast<int>(n)));
    } else if (n > 0) {
      output_.append(std::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(n)));
    } else if (output_.size() >= limit || !run_callbacks_due()) {
      break;
    }
  }
  return std::exchange(output_, Chain());
}

void GrpcServerConnection::Session::before_output(ServerStream& s, size_t bytes) {
  queued_ -= bytes;
  if (s.above_low_water && s.output.size() <= options_.low_water) {
    s.above_low_water = false;
    if (!s.over && !std::exchange(s.writable_due, true)) writable_.push_back(s.id);
  }
}

void GrpcServerConnection::Session::on_sent(StreamId id, bool end_stream) {
  pings_.forgive();
  // RFC 9113 8.1: an answer that is complete before the request is ends it with NO_ERROR.
  if (end_stream && nghttp2_session_get_stream_remote_close(http2_, id.value) == 0) {
    nghttp2_submit_rst_stream(http2_, NGHTTP2_FLAG_NONE, id.value, NGHTTP2_NO_ERROR);
  }
}

bool GrpcServerConnection::Session::wants_write() const {
  if (!output_.empty()) return true;
  return phase_ == Phase::Http2 && !last_frame_out_ &&
         (!resumed_.empty() || !writable_.empty() || may_stop_holding() || nghttp2_session_want_write(http2_) != 0);
}

bool GrpcServerConnection::Session::wants_read() const {
  if (phase_ != Phase::Http2) return phase_ != Phase::Over;
  return nghttp2_session_get_outbound_queue_size(http2_) <= kMaxQueuedFrames;
}

// ---- time and the end

void GrpcServerConnection::Session::on_timer(Instant now) {
  now_ = std::max(now, now_);
  if (phase_ == Phase::Over) return;
  if (!settings_seen_ && now_ >= handshake_deadline_) return die("no HTTP/2 handshake in time");
  if (phase_ != Phase::Http2) return;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_) {
    const StreamId id = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    if (ServerStream* s = find(id)) expire(*s);
  }
  if (now_ >= ping_deadline_) return die("a keep-alive ping was not answered");
  if (ping_deadline_ == Instant::never() && now_ >= last_read_ + options_.ping_after_idle) {
    nghttp2_submit_ping(http2_, NGHTTP2_FLAG_NONE, nullptr);
    ping_deadline_ = now_ + options_.ping_timeout;
  }
  if (now_ >= drain_deadline_) {
    drain_deadline_ = Instant::never();
    constexpr std::string_view kWhy = "graceful_stop";
    nghttp2_submit_goaway(http2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(http2_), NGHTTP2_NO_ERROR,
                          reinterpret_cast<const uint8_t*>(kWhy.data()), kWhy.size());
  }
}

Instant GrpcServerConnection::Session::next_deadline() const {
  if (phase_ == Phase::Over) return Instant::never();
  if (!settings_seen_) return handshake_deadline_;
  Instant next = std::min(ping_deadline_, drain_deadline_);
  if (ping_deadline_ == Instant::never()) next = std::min(next, last_read_ + options_.ping_after_idle);
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  return next;
}

// RFC 9113 6.8: first a GOAWAY that refuses nothing, then, when the client must have seen it, the one that counts.
void GrpcServerConnection::Session::go_away(Instant now) {
  now_ = std::max(now, now_);
  if (phase_ != Phase::Http2) return die("stopping");
  if (close_reason_.empty()) close_reason_ = "stopping";
  if (drain_deadline_ != Instant::never() || terminated_) return;
  nghttp2_submit_shutdown_notice(http2_);
  nghttp2_submit_ping(http2_, NGHTTP2_FLAG_NONE, nullptr);
  drain_deadline_ = now_ + kDrainPing;
}

bool GrpcServerConnection::Session::wants_close() const {
  return phase_ == Phase::Over || last_frame_out_ || (phase_ == Phase::Http2 && nghttp2_session_want_read(http2_) == 0);
}

void GrpcServerConnection::Session::terminate(uint32_t error_code, std::string_view reason) {
  if (std::exchange(terminated_, true)) return;
  close_reason_ = reason;
  // Streams that had begun are lost to the client: it must not take them for refused and try them elsewhere.
  nghttp2_submit_goaway(http2_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(http2_), error_code,
                        reinterpret_cast<const uint8_t*>(reason.data()), reason.size());
}

void GrpcServerConnection::Session::die(std::string_view reason) {
  phase_ = Phase::Over;
  if (close_reason_.empty()) close_reason_ = reason;
}

void GrpcServerConnection::Session::on_disconnect() {
  die("the client is gone");
  for (ServerStream* s = first_; s != nullptr; s = s->next) {
    if (!std::exchange(s->over, true)) handler_.on_cancel(s->id);
  }
}

}  // namespace witan::wire
