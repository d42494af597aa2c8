// The other end of a gRPC connection, as a machine over bytes. Tests, benchmarks and fuzzers drive the server with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/grpc.h"

namespace witan::wire {

// What has come back for one call.
struct GrpcAnswer {
  std::vector<std::string> messages;
  std::string body;                             // of an answer that is not gRPC
  std::map<std::string, std::string> headers;   // initial ones, with pseudo-headers
  std::map<std::string, std::string> trailers;  // those of a Trailers-Only answer are in headers
  bool closed = false;
  uint32_t reset_code = 0;  // HTTP/2 error code the stream was closed with

  // From grpc-status; Unknown when there was none.
  GrpcStatus status() const;
  // From grpc-message, decoded.
  std::string message() const;
};

struct GrpcClientOptions {
  uint32_t stream_window = 1u << 20;
  uint32_t connection_window = 8u << 20;
  bool auto_window_update = true;  // false: windows are only given back by credit()
  bool keep_messages = true;       // false: messages are counted, not kept
};

class GrpcClientConnection {
 public:
  explicit GrpcClientConnection(const GrpcClientOptions& options = {});
  ~GrpcClientConnection();
  GrpcClientConnection(const GrpcClientConnection&) = delete;
  GrpcClientConnection& operator=(const GrpcClientConnection&) = delete;

  using Headers = std::vector<std::pair<std::string, std::string>>;
  // Opens a call. `extra` is added to gRPC's headers; a name in it replaces gRPC's own.
  StreamId start(std::string_view path, const Headers& extra = {});
  void send(StreamId stream, std::string_view message);
  // Bytes of a stream as they are, without a prefix: for what a client should not send.
  void send_raw(StreamId stream, std::string_view bytes);
  void half_close(StreamId stream);
  void reset(StreamId stream, uint32_t error_code = 8 /* CANCEL */);
  // start, send and half_close.
  StreamId call(std::string_view path, std::string_view message, const Headers& extra = {});
  void ping();
  // Gives back the windows of `bytes` received on a stream (see auto_window_update).
  void credit(StreamId stream, size_t bytes);

  // False when the server broke the protocol.
  bool on_bytes(std::string_view bytes);
  std::string take_output();

  // Of a call that was started; stays after it has ended until forget().
  const GrpcAnswer& answer(StreamId stream) const;
  void forget(StreamId stream);
  size_t messages_received() const;
  size_t pings_answered() const;
  // The last GOAWAY: its error code and debug text; -1 without one.
  int64_t goaway_code() const;
  std::string_view goaway_text() const;

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace witan::wire
