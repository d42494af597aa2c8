// Test support: a server connection, its handler and a client, joined back to back under virtual time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "wire/grpc_client.h"
#include "wire/grpc_server.h"

namespace witan::wire {

// Records what it is told; what it does about it is set by the test.
class RecordingHandler : public GrpcHandler {
 public:
  using Hook = std::function<void(StreamId, std::string_view)>;

  void on_call(const GrpcCall& call) override {
    log.push_back(fmt::format("{} call {}", call.stream, call.path));
    deadlines[call.stream.value] = call.deadline;
    authority = call.authority;
    for (const auto& [name, value] : call.metadata) metadata.emplace_back(name, value);
    if (when_called) when_called(call.stream, call.path);
  }
  void on_message(StreamId stream, std::string_view message) override {
    const std::string shown = message.size() > 40 ? fmt::format("({} bytes)", message.size()) : std::string(message);
    log.push_back(fmt::format("{} message {}", stream, shown));
    if (when_message) when_message(stream, message);
  }
  void on_half_close(StreamId stream) override {
    log.push_back(fmt::format("{} half-close", stream));
    if (when_half_closed) when_half_closed(stream, {});
  }
  void on_cancel(StreamId stream) override {
    log.push_back(fmt::format("{} cancel", stream));
    if (when_cancelled) when_cancelled(stream, {});
  }
  void on_writable(StreamId stream) override {
    log.push_back(fmt::format("{} writable", stream));
    if (when_writable) when_writable(stream, {});
  }

  std::vector<std::string> log;
  std::map<int32_t, Instant> deadlines;
  std::string authority;
  std::vector<std::pair<std::string, std::string>> metadata;
  Hook when_called, when_message, when_half_closed, when_cancelled, when_writable;
};

struct Joined {
  explicit Joined(const GrpcServerOptions& options = {}, const GrpcClientOptions& client_options = {})
      : server(options, handler, now), client(client_options) {}

  // Carries bytes both ways until nothing moves.
  void run() {
    for (bool moved = true; moved;) {
      moved = to_server(client.take_output());
      while (server.wants_write()) moved |= to_client(server.take_output().flatten());
    }
  }
  bool to_server(std::string_view bytes) {
    if (bytes.empty()) return false;
    sent_to_server += bytes.size();
    server.on_bytes(now, bytes);
    return true;
  }
  bool to_client(std::string_view bytes) {
    if (bytes.empty()) return false;
    from_server += bytes;
    client_ok = client_ok && client.on_bytes(bytes);
    return true;
  }
  void pass(Duration d) {
    now = now + d;
    server.on_timer(now);
    run();
  }
  // Answers every message with "re: " and itself, and the end of the client's with Ok.
  void echo() {
    handler.when_message = [this](StreamId id, std::string_view m) {
      server.send_message(id, "re: " + std::string(m));
    };
    handler.when_half_closed = [this](StreamId id, std::string_view) { server.finish(id, GrpcStatus::Ok); };
  }

  Instant now{1'000'000'000};
  RecordingHandler handler;
  GrpcServerConnection server;
  GrpcClientConnection client;
  std::string from_server;
  size_t sent_to_server = 0;
  bool client_ok = true;
};

}  // namespace witan::wire
