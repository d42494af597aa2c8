// A client's process: one HTTP/2 connection to one of the members, made again when it breaks. It speaks through the
// real codec and over the simulated network.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "sim/member.h"
#include "sim/network.h"
#include "wire/grpc.h"
#include "wire/grpc_client.h"

namespace witan::sim {

// What came of a call, as its client can know it.
struct RpcResult {
  enum class Fate : uint8_t {
    Answered,  // the member ended the call; status and error are its own
    NotSent,   // there was no connection: certainly nothing happened
    Lost,      // the connection broke, or the client lost its patience
  } fate = Fate::Lost;
  wire::GrpcStatus status = wire::GrpcStatus::Unknown;
  std::string error;
  std::string message;

  bool ok() const { return fate == Fate::Answered && status == wire::GrpcStatus::Ok; }
};

class Channel final : private env::ConnectionHandler {
 public:
  Channel(Ground ground, MachineId machine, Rng rng);
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Loop& loop() { return loop_; }
  Instant now() const { return loop_.now(); }
  // Whom to connect to, the next time.
  void set_endpoints(std::vector<env::Address> endpoints) { endpoints_ = std::move(endpoints); }
  // The machine last connected to, or tried.
  MachineId server() const { return server_; }
  void pause(Duration span);

  // Callbacks come on the loop, once, never inside the call.
  void call(std::string path, std::string request, Duration timeout, Function<void(RpcResult)> done);
  // A stream that lives until it or the connection ends.
  using StreamKey = uint64_t;
  StreamKey open(std::string path, Function<void(std::string_view)> on_message, Function<void(RpcResult)> on_end);
  void send(StreamKey key, std::string message);
  // Nothing is told of it afterwards.
  void close(StreamKey key);
  // Breaks the connection; the next call makes one to a member drawn anew.
  void reconnect();
  // Breaks it for good.
  void quit();
  bool connected() const { return connection_ != nullptr; }

 private:
  struct Active {
    std::string path;
    std::string first;               // a unary request
    std::vector<std::string> early;  // said before there was a connection
    bool unary = true;
    wire::StreamId stream{0};  // 0: not started
    env::TimerId timer = 0;
    size_t seen = 0;  // messages
    Function<void(std::string_view)> on_message;
    Function<void(RpcResult)> done;
  };
  StreamKey add(Active active);
  void connect();
  void connected(Result<std::unique_ptr<env::Connection>> connection);
  void start(Active& active);
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void look();
  void look_at(StreamKey key);
  void end(StreamKey key, RpcResult result);
  void fail_all(bool sent);
  void flush();

  Pause pause_;
  Clock clock_;
  Scheduler& scheduler_;
  Loop loop_;
  Rng rng_;
  std::unique_ptr<env::Network> network_;
  std::vector<env::Address> endpoints_;
  MachineId server_ = 0;
  std::unique_ptr<wire::GrpcClientConnection> grpc_;
  std::unique_ptr<env::Connection> connection_;
  bool connecting_ = false;
  bool quit_ = false;
  uint64_t attempt_ = 0;
  std::map<StreamKey, Active> active_;
  StreamKey last_ = 0;
};

}  // namespace witan::sim
