// A TCP connection on a Loop. For this room only (includes Asio).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "env/network.h"
#include "os/loop_impl.h"
#include "os/network.h"

namespace witan::os {

class Stream final : public env::Connection, public TurnEnd {
 public:
  // Requires: `socket` is connected and belongs to the loop's context.
  Stream(Loop& loop, boost::asio::ip::tcp::socket socket, const NetworkOptions& options);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  void start(env::ConnectionHandler& handler) override;
  void write(Chain&& bytes) override;
  size_t unsent() const override { return out_.size(); }
  void pause_reading(bool paused) override;
  void close_after_flush() override;
  const env::PeerInfo& peer() const override { return peer_; }

  void on_turn_end() override;

 private:
  template <class Member>
  auto later(Member member);

  void read();
  void on_read(const boost::system::error_code& error, size_t n);
  void deliver_held();
  void deliver(size_t n);
  void flush();
  bool send_some();
  void wait_until_writable();
  void on_writable(const boost::system::error_code& error);
  void after_flush();
  void arm_linger();
  void on_linger();
  void end(std::string_view reason);
  void report_end();

  Loop& loop_;
  const NetworkOptions& options_;  // of the network, which outlives its connections
  const StreamId id_;
  boost::asio::ip::tcp::socket socket_;
  env::PeerInfo peer_;
  env::ConnectionHandler* handler_ = nullptr;  // null before start() and after on_closed

  // A read is either outstanding (buffer_ belongs to the kernel), held back (held_ bytes of buffer_), or not asked for.
  std::unique_ptr<char[]> buffer_;
  size_t buffer_size_ = 0;
  size_t held_ = 0;
  int short_reads_ = 0;  // in a row, of a large buffer
  bool reading_ = false;
  bool delivering_ = false;
  bool paused_ = false;

  Chain out_;
  bool dirty_ = false;             // on_turn_end will come
  bool waiting_to_write_ = false;  // the kernel's buffer is full
  bool above_low_water_ = false;

  bool closing_ = false;      // close_after_flush() was called
  bool half_closed_ = false;  // everything was sent and the peer was told
  size_t linger_unsent_ = 0;  // at the last look
  size_t discarded_ = 0;      // bytes read since closing_
  env::TimerId linger_timer_ = 0;
  bool ended_ = false;
  std::string end_reason_;
};

}  // namespace witan::os
