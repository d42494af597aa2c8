// One client's connection: bytes to calls, calls to handlers, answers to bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "api/etcd/call.h"
#include "api/etcd/service.h"
#include "env/network.h"
#include "wire/grpc_server.h"

namespace witan::api::etcd {

// Who keeps a connection.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  // Calls flush() of this connection before the turn ends.
  virtual void flush_later(uint32_t connection) = 0;
  // It is over: destroy it, but not within this call.
  virtual void closed(uint32_t connection) = 0;
};

class Connection final : private env::ConnectionHandler, private wire::GrpcHandler {
 public:
  Connection(Service& service, ConnectionOwner& owner, uint32_t id, std::unique_ptr<env::Connection> socket);
  // Cancels every open call.
  ~Connection() override;
  void start();

  // ---- answers; a stream that is gone is ignored (see Transport)
  void send(wire::StreamId stream, Chain&& message);
  void finish(wire::StreamId stream, const Status& status);
  void reply(wire::StreamId stream, Chain&& message);
  void reply(wire::StreamId stream, std::string_view message);
  size_t pending(wire::StreamId stream) const { return session_.pending_bytes(stream); }
  void pause_reading(wire::StreamId stream, bool paused);
  StreamHandler* handler(wire::StreamId stream);

  // Takes what the session wants to say to the socket.
  void flush();
  // Ends every stream that a client asked to end when no leader is known.
  void cancel_leaderless();
  // Graceful stop: no new calls, streams end, unary calls may still be answered.
  void stop();
  size_t open_calls() const { return calls_.size(); }

 private:
  struct Call {
    const Method* method = nullptr;
    bool require_leader = false;
    std::unique_ptr<StreamHandler> handler;  // null for unary calls
  };

  // env::ConnectionHandler
  void on_bytes(std::string_view bytes) override;
  void on_drained() override { flush(); }
  void on_closed(std::string_view reason) override;

  // wire::GrpcHandler
  void on_call(const wire::GrpcCall& call) override;
  void on_message(wire::StreamId stream, std::string_view message) override;
  void on_half_close(wire::StreamId stream) override;
  void on_cancel(wire::StreamId stream) override;
  void on_writable(wire::StreamId stream) override;

  std::optional<Status> refusal(const wire::GrpcCall& call, const Method* method, bool require_leader) const;
  void end(wire::StreamId stream);
  void end_streams(const Status& status, bool leaderless_only);
  void touched();
  void begin_close();
  void arm_timer();
  void on_timer();

  Service& service_;
  ConnectionOwner& owner_;
  const uint32_t id_;
  std::unique_ptr<env::Connection> socket_;
  wire::GrpcServerConnection session_;
  absl::flat_hash_map<int32_t, Call> calls_;
  // Handlers of calls that ended while one of their methods may be running; destroyed when the turn is over.
  std::vector<std::unique_ptr<StreamHandler>> ended_;
  bool in_turn_ = false;  // flush() follows anyway
  bool paused_ = false;
  bool closing_ = false;
  bool gone_ = false;
  env::TimerId timer_ = 0;
  Instant timer_at_ = Instant::never();
  Instant close_by_ = Instant::never();
};

}  // namespace witan::api::etcd
