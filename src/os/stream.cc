#include "os/stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "base/check.h"

namespace witan::os {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// An idle connection holds the small buffer; one that fills its buffer gets the large one until it calms down.
constexpr size_t kSmallBuffer = size_t{4} << 10;
constexpr size_t kLargeBuffer = size_t{64} << 10;
constexpr int kShortReadsToShrink = 64;

constexpr size_t kMaxPieces = 256;  // of one sendmsg

std::string_view reason_of(const error_code& error, std::string& text) {
  if (error == asio::error::eof) return "closed by peer";
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe) return "connection reset by peer";
  if (error == asio::error::timed_out) return "peer does not answer";
  text = error.message();
  return text;
}

std::string remote_of(const asio::ip::tcp::socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "?";  // gone already; the first read will say so
  return env::Address{.host = endpoint.address().to_string(), .port = endpoint.port()}.text();
}

}  // namespace

// A call to `member` of this connection as a turn of its own; nothing if the connection is gone by then.
template <class Member>
auto Stream::later(Member member) {
  return [&loop = loop_.impl(), id = id_, member](auto&&... args) {
    const Loop::Impl::Turn turn(loop);
    if (TurnEnd* stream = loop.find_stream(id)) (static_cast<Stream*>(stream)->*member)(args...);
  };
}

Stream::Stream(Loop& loop, asio::ip::tcp::socket socket, const NetworkOptions& options)
    : loop_(loop), options_(options), id_(loop.impl().add_stream(*this)), socket_(std::move(socket)),
      buffer_size_(kSmallBuffer) {
  peer_.remote = remote_of(socket_);
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  // A peer whose machine vanished is noticed even when nothing is written to it.
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
}

Stream::~Stream() {
  loop_.impl().remove_stream(id_);
  loop_.cancel(linger_timer_);
  error_code ignored;
  socket_.close(ignored);
}

void Stream::start(env::ConnectionHandler& handler) {
  CHECK(handler_ == nullptr, "a connection is started twice");
  handler_ = &handler;
  if (ended_) {
    asio::post(loop_.impl().context, later(&Stream::report_end));
  } else {
    read();
  }
}

// ---- Reading

// A real buffer rather than a wait for readiness: Asio then knows from a short read that the socket is empty, and the
// next read costs no system call until epoll reports the socket again.
void Stream::read() {
  if (reading_ || delivering_ || ended_ || held_ > 0 || (paused_ && !closing_)) return;
  reading_ = true;
  if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<char[]>(buffer_size_);
  socket_.async_receive(asio::buffer(buffer_.get(), buffer_size_), later(&Stream::on_read));
}

void Stream::on_read(const error_code& error, size_t n) {
  reading_ = false;
  if (ended_) return;
  if (error) {
    std::string text;
    return end(closing_ ? "closed" : reason_of(error, text));
  }
  if (closing_) {
    discarded_ += n;
    if (discarded_ > options_.max_discarded) return end("closed: the peer did not stop sending");
    return read();
  }
  if (paused_) {
    held_ = n;
    return;
  }
  deliver(n);
}

void Stream::deliver_held() {
  if (held_ == 0 || paused_ || closing_ || ended_) return;
  deliver(std::exchange(held_, 0));
}

void Stream::deliver(size_t n) {
  // The handler may destroy this connection and still look at the bytes.
  std::unique_ptr<char[]> buffer = std::move(buffer_);
  Loop::Impl& loop = loop_.impl();
  const StreamId id = id_;
  delivering_ = true;  // the handler may pause and resume: the next read comes after it
  handler_->on_bytes(std::string_view(buffer.get(), n));
  if (loop.find_stream(id) == nullptr) return;
  delivering_ = false;

  const size_t size = buffer_size_;
  if (n == size) {
    buffer_size_ = kLargeBuffer;
    short_reads_ = 0;
  } else if (n <= kSmallBuffer && ++short_reads_ >= kShortReadsToShrink) {
    buffer_size_ = kSmallBuffer;
    short_reads_ = 0;
  }
  if (buffer_size_ == size) buffer_ = std::move(buffer);
  read();
}

void Stream::pause_reading(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  if (paused || handler_ == nullptr) return;
  if (held_ > 0) {
    asio::post(loop_.impl().context, later(&Stream::deliver_held));
  } else {
    read();
  }
}

// ---- Writing

void Stream::write(Chain&& bytes) {
  if (closing_ || ended_ || bytes.empty()) return;
  out_.append(std::move(bytes));
  if (out_.size() > options_.low_water) above_low_water_ = true;
  if (dirty_ || waiting_to_write_) return;
  dirty_ = true;
  loop_.impl().want_turn_end(id_);
}

void Stream::on_turn_end() {
  dirty_ = false;
  if (!waiting_to_write_ && !ended_) flush();
}

// An error shows again, with its reason, in the write that follows.
void Stream::on_writable(const error_code&) {
  waiting_to_write_ = false;
  if (!ended_) flush();
}

void Stream::flush() {
  while (!out_.empty()) {
    if (!send_some()) return;
  }
  after_flush();
}

// Sends the first pieces. False when the rest has to wait or the connection has ended.
bool Stream::send_some() {
  thread_local std::vector<std::string_view> pieces;
  std::array<iovec, kMaxPieces> vectors;
  out_.peek(pieces, kMaxPieces);
  size_t total = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
    total += pieces[i].size();
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = pieces.size();
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    std::string text;
    end(reason_of(error_code(errno, boost::system::system_category()), text));
    return false;
  }
  if (sent > 0) out_.consume(static_cast<size_t>(sent));
  if (sent == static_cast<ssize_t>(total)) return true;
  wait_until_writable();
  after_flush();
  return false;
}

void Stream::wait_until_writable() {
  waiting_to_write_ = true;
  socket_.async_wait(asio::socket_base::wait_write, later(&Stream::on_writable));
}

// May destroy this connection: nothing may follow a call.
void Stream::after_flush() {
  if (closing_ && out_.empty() && !half_closed_) {
    half_closed_ = true;
    error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    read();
  }
  if (above_low_water_ && out_.size() <= options_.low_water) {
    above_low_water_ = false;
    if (handler_ != nullptr) handler_->on_drained();
  }
}

// ---- Ending

void Stream::close_after_flush() {
  if (closing_ || ended_) return;
  closing_ = true;
  held_ = 0;
  arm_linger();
  if (dirty_ || waiting_to_write_) return;
  dirty_ = true;
  loop_.impl().want_turn_end(id_);
}

void Stream::arm_linger() {
  linger_unsent_ = out_.size();
  linger_timer_ = loop_.call_at(loop_.now() + options_.linger, [this] { on_linger(); });
}

void Stream::on_linger() {
  linger_timer_ = 0;
  const bool progress = !out_.empty() && out_.size() < linger_unsent_;
  if (progress) return arm_linger();
  end(out_.empty() ? "closed" : "closed: the peer did not take what was sent");
}

void Stream::end(std::string_view reason) {
  ended_ = true;
  end_reason_ = reason;
  out_.clear();
  held_ = 0;
  loop_.cancel(std::exchange(linger_timer_, 0));
  error_code ignored;
  socket_.close(ignored);
  report_end();
}

void Stream::report_end() {
  env::ConnectionHandler* handler = std::exchange(handler_, nullptr);
  if (handler == nullptr) return;
  // The handler may destroy this connection, and the text with it.
  const std::string reason = end_reason_;
  handler->on_closed(reason);
}

}  // namespace witan::os
