// One client's gRPC connection, as a machine over bytes: HTTP/2 by nghttp2, gRPC's frames, deadlines and statuses here.
// It owns no socket and reads no clock: whoever owns the socket brings bytes and time and takes output away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/chain.h"
#include "base/time.h"
#include "wire/grpc.h"

namespace witan::wire {

// A call as its headers describe it. The views are valid during on_call only.
struct GrpcCall {
  StreamId stream;
  std::string_view path;  // "/etcdserverpb.KV/Range"
  std::string_view authority;
  const Metadata& metadata;
  Instant deadline;  // from grpc-timeout; Instant::never() without one. Enforced by the connection
};

// A request over HTTP/2 that is not gRPC. The views are valid during on_plain_request only.
struct PlainRequest {
  StreamId stream;
  std::string_view method;
  std::string_view path;
  std::string_view content_type;
};
struct PlainAnswer {
  int status = 415;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = "this port speaks gRPC\n";
};

// Told what the client does. Called inside on_bytes, on_timer, take_output and on_disconnect, never inside the
// per-stream calls; it may call those, but must not destroy the connection nor call back into the four. For a stream:
// on_call first; then any on_message; then at most one on_half_close; on_cancel at most once and last. A stream ends by
// finish() or by on_cancel, whichever is first; nothing is called for it afterwards.
class GrpcHandler {
 public:
  virtual ~GrpcHandler() = default;

  virtual void on_call(const GrpcCall& call) = 0;
  // One whole message without its five-byte prefix, valid during the call.
  virtual void on_message(StreamId stream, std::string_view message) = 0;
  // The client will send no more messages.
  virtual void on_half_close(StreamId stream) = 0;
  // The client reset the stream, its deadline passed, a message was too large, or the connection is gone.
  virtual void on_cancel(StreamId stream) = 0;
  // pending_bytes() fell to Options::low_water after it had been above it: a good moment to send more.
  virtual void on_writable(StreamId stream) { (void)stream; }
  // HTTP/2 without gRPC's content type: the place where a JSON gateway answers.
  virtual PlainAnswer on_plain_request(const PlainRequest& request) {
    (void)request;
    return {};
  }
};

struct GrpcServerOptions {
  size_t max_message = size_t{2} << 20;       // a larger message fails its call with ResourceExhausted
  uint32_t max_streams = 10'000;              // announced; more at once are refused
  uint32_t stream_window = 1u << 20;          // bytes a client may send ahead on one stream
  uint32_t connection_window = 8u << 20;      // and on all together
  size_t max_header_list = size_t{64} << 10;  // announced; names + values + 32 each; more fails the stream, and a list
                                              // of more than nine frames the connection
  size_t max_unfinished = size_t{64} << 20;  // bytes of messages not complete or not read, all streams; the stream that
                                             // would exceed it fails with ResourceExhausted
  size_t max_queued = size_t{16} << 20;      // queued output above which the client's messages wait until half is out
  size_t low_water = size_t{64} << 10;       // see on_writable
  Duration handshake_timeout = seconds(120);        // from the first byte to HTTP/2's preface and SETTINGS
  Duration ping_after_idle = seconds(2 * 60 * 60);  // the server asks a silent client whether it lives
  Duration ping_timeout = seconds(20);              // and closes when nothing comes back
  Duration min_client_ping = seconds(5);            // a client that pings more often is closed with too_many_pings;
                                                    // so is one that pings without streams more than every two hours
  uint32_t reset_burst = 1000;  // streams a client may reset within 100 ms of opening them, at once ...
  uint32_t reset_rate = 200;    // ... and per second in the long run (CVE-2023-44487)
};

// Use: on_bytes for every read; then, and after any call to a stream, take_output and write it; close when
// wants_close(). Rearm a timer at next_deadline() after any call. Everything on one thread.
class GrpcServerConnection {
 public:
  // `handler` must outlive the connection.
  GrpcServerConnection(const GrpcServerOptions& options, GrpcHandler& handler, Instant now);
  // Calls no handler.
  ~GrpcServerConnection();
  GrpcServerConnection(const GrpcServerConnection&) = delete;
  GrpcServerConnection& operator=(const GrpcServerConnection&) = delete;

  // ---- the socket's side
  // Bytes from the client, cut anywhere. Protocol errors become output (GOAWAY) and wants_close(). Ignored once
  // closing.
  void on_bytes(Instant now, std::string_view bytes);
  // Deadlines of calls, keep-alive, handshake. Early and late calls are harmless.
  void on_timer(Instant now);
  // When on_timer wants to be called next; Instant::never() possible.
  Instant next_deadline() const;
  // Frames to write, in order. Stops soon after `limit` bytes, so a slow socket is not filled with what flow control
  // allows: take more when the socket has drained. May call on_writable.
  Chain take_output(size_t limit = size_t{256} << 10);
  // Whether take_output would give something now.
  bool wants_write() const;
  // False while too much that flow control does not bound waits for take_output: stop reading the socket until it has
  // drained. (Answers that the client's windows hold back are bounded by max_queued: its frames must still be read.)
  bool wants_read() const;
  // The connection is over: write what take_output still gives, then close the socket.
  bool wants_close() const;
  // Why, for logs: "too many pings". Empty while not closing.
  std::string_view close_reason() const;
  // The socket is gone: on_cancel for every open stream. Nothing may follow but destruction.
  void on_disconnect();
  // Graceful stop: the client is told to go elsewhere (GOAWAY), open streams may finish, then wants_close().
  // Cut streams that do not finish in time by destroying the connection.
  void go_away(Instant now);

  // ---- a stream's side. A stream that is gone or finished is ignored, so late replies need no care.
  // Queues one message; the connection adds the prefix. Large Blobs in `message` are shared, not copied. Headers go out
  // with the first one. Never refuses: watch pending_bytes().
  void send_message(StreamId stream, Chain&& message);
  void send_message(StreamId stream, std::string_view message);
  // Ends the stream after its queued messages, with trailers. `message` (UTF-8) is sent unless it is empty.
  void finish(StreamId stream, GrpcStatus status, std::string_view message = {});
  // The whole of a unary success: send_message and finish(Ok).
  void reply(StreamId stream, Chain&& message);
  void reply(StreamId stream, std::string_view message);
  // Queued bytes of the stream that flow control or the socket have not let out; 0 when gone.
  size_t pending_bytes(StreamId stream) const;
  // Stops on_message (and on_half_close) of one stream: the client stalls when its window is full. Other streams go on.
  // Resuming delivers what waited, inside the next call of on_bytes or take_output.
  void pause_reading(StreamId stream, bool paused);

  size_t open_streams() const;
  // Bytes held for this connection beyond nghttp2's own: queued output and unfinished or unread input.
  size_t memory() const;

 private:
  class Session;
  struct Callbacks;
  std::unique_ptr<Session> session_;
};

}  // namespace witan::wire
