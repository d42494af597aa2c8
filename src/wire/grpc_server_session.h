// The inside of GrpcServerConnection: one nghttp2 session and the state of its streams. Private to wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/btree_set.h>

#include "base/chain.h"
#include "base/time.h"
#include "wire/grpc.h"
#include "wire/grpc_deframer.h"
#include "wire/grpc_server.h"
#include "wire/limits.h"

struct nghttp2_session;

namespace witan::wire {

// What the headers of the request being received say. One for a connection: header blocks never interleave.
struct RequestHead {
  std::string method;
  std::string path;
  std::string authority;
  std::string content_type;
  std::string encoding;
  std::string timeout;
  bool has_timeout = false;
  std::string metadata;                            // names and values, end to end
  std::vector<std::pair<size_t, size_t>> extents;  // length of name and of value, in order
  size_t list_size = 0;                            // as SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 6.5.2)

  void clear();
  void add(std::string_view name, std::string_view value);
};

// One stream. Pooled; lives from its headers until nghttp2 closes it.
struct ServerStream {
  StreamId id;
  ServerStream* previous = nullptr;  // list of all streams, oldest first
  ServerStream* next = nullptr;

  GrpcDeframer input;
  size_t uncredited = 0;     // bytes received while paused: their window is not given back yet
  bool paused = false;       // the handler does not want messages
  bool held = false;         // the connection holds them back; the id is in held_
  bool client_done = false;  // END_STREAM came
  bool told_client_done = false;

  Chain output;                // frames not yet given to nghttp2
  std::string status_message;  // percent-encoded
  GrpcStatus status = GrpcStatus::Ok;
  bool headers_sent = false;  // given to nghttp2
  bool over = false;          // the handler has no more to do with it: finish() or on_cancel was called
  bool finishing = false;     // trailers follow the output
  bool plain = false;         // an answer without gRPC's trailers
  bool starved = false;       // nghttp2 waits for resume
  bool above_low_water = false;
  bool writable_due = false;  // the id is in writable_
  Instant opened;
  Instant deadline = Instant::never();
};

class GrpcServerConnection::Session {
 public:
  Session(const GrpcServerOptions& options, GrpcHandler& handler, Instant now);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The contract of these is in grpc_server.h.
  void on_bytes(Instant now, std::string_view bytes);
  void on_timer(Instant now);
  Instant next_deadline() const;
  Chain take_output(size_t limit);
  bool wants_write() const;
  bool wants_read() const;
  bool wants_close() const;
  std::string_view close_reason() const { return close_reason_; }
  void on_disconnect();
  void go_away(Instant now);

  template <class Message>
  void send_message(StreamId id, Message&& message);
  void finish(StreamId id, GrpcStatus status, std::string_view message);
  size_t pending_bytes(StreamId id) const;
  void pause_reading(StreamId id, bool paused);
  size_t open_streams() const { return open_streams_; }
  size_t memory() const { return queued_ + unfinished_ + output_.size() + handshake_.size(); }

 private:
  friend struct Callbacks;  // nghttp2's entries, in grpc_server_callbacks.cc
  enum class Phase : uint8_t { Preface, Http2, Http1, Over };

  // grpc_server_callbacks.cc: called by nghttp2.
  void start_http2();
  void submit_headers(ServerStream& s);
  void submit_trailers(ServerStream& s);
  void submit_error(ServerStream& s);
  void submit_plain(ServerStream& s, const PlainAnswer& answer);

  // grpc_server_session.cc
  void feed_preface(std::string_view bytes);
  void feed_http2(std::string_view bytes);
  void feed_http1(std::string_view bytes);
  void on_request(StreamId id, bool end_stream);
  void refuse_plain(StreamId id, bool end_stream);
  bool refuse_call(ServerStream& s);
  void on_data(ServerStream* s, StreamId id, std::string_view bytes, bool end_stream);
  void deliver(ServerStream& s, std::string_view bytes);
  void on_end(ServerStream& s);
  void on_stream_closed(ServerStream* s, uint32_t error_code);
  void on_ping(bool acknowledges);
  void on_sent(StreamId id, bool end_stream);
  void before_output(ServerStream& s, size_t bytes);

  ServerStream* find(StreamId id) const;
  ServerStream& open(StreamId id);
  void release(ServerStream& s);
  void wake(ServerStream& s);
  // Ends a call from our side: trailers, and on_cancel when the handler knows of the call.
  void fail(ServerStream& s, GrpcStatus status, std::string message);
  void expire(ServerStream& s);
  void end_call(ServerStream& s, GrpcStatus status, std::string_view message);
  void forget_deadline(ServerStream& s);
  bool may_stop_holding() const;
  void stop_holding();
  bool run_callbacks_due();
  void credit(ServerStream& s);
  void drop_input(ServerStream& s);
  // Ends the connection: with a GOAWAY of that HTTP/2 error code, or silently.
  void terminate(uint32_t error_code, std::string_view reason);
  void die(std::string_view reason);

  const GrpcServerOptions options_;
  GrpcHandler& handler_;
  nghttp2_session* http2_ = nullptr;
  Instant now_;  // of the last on_bytes, on_timer or go_away
  Phase phase_ = Phase::Preface;
  std::string handshake_;  // what came before the protocol was known; HTTP/1's head
  std::string close_reason_;
  Chain output_;
  size_t output_limit_ = 0;  // of the take_output that is under way

  RequestHead head_;
  Metadata metadata_;  // views into head_, for on_call
  ServerStream* first_ = nullptr;
  ServerStream* last_ = nullptr;
  size_t open_streams_ = 0;
  std::vector<std::unique_ptr<ServerStream>> pool_;
  absl::btree_set<std::pair<Instant, StreamId>> deadlines_;
  std::vector<StreamId> writable_;  // fell to the low-water mark; told after nghttp2 has returned
  std::vector<StreamId> resumed_;   // no longer paused; input to be delivered
  ServerStream* walked_ = nullptr;  // its input is being walked just now
  // More than max_queued was waiting for the client: its messages are kept until half of that is out.
  bool holding_ = false;
  std::vector<StreamId> held_;
  size_t uncredited_ = 0;  // of the connection's window, while holding

  size_t queued_ = 0;      // sum of output over streams
  size_t unfinished_ = 0;  // sum of input.buffered() over streams

  TokenBucket resets_;
  PingJudge pings_;
  bool settings_seen_ = false;
  bool terminated_ = false;      // terminate() was called
  bool last_frame_out_ = false;  // and its GOAWAY is in the output
  Instant handshake_deadline_;
  Instant last_read_;
  Instant ping_deadline_ = Instant::never();   // an answer to our ping is due
  Instant drain_deadline_ = Instant::never();  // the second GOAWAY of a graceful stop is due
};

}  // namespace witan::wire
