// One client of ZooKeeper's protocol: a session, taken from member to member as connections break, the way ZooKeeper's
// own libraries do it. Everything it says and hears is recorded.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "env/network.h"
#include "sim/history.h"
#include "sim/loop.h"
#include "sim/member.h"
#include "verify/session.h"

namespace witan::sim {

class ZookeeperClient final : private env::ConnectionHandler {
 public:
  // `loop` outlives it, `history` too.
  ZookeeperClient(Ground ground, MachineId machine, Loop& loop, History& history, std::string name, Rng rng);
  ~ZookeeperClient() override;
  ZookeeperClient(const ZookeeperClient&) = delete;
  ZookeeperClient& operator=(const ZookeeperClient&) = delete;

  // Whom to connect to, the next time.
  void set_endpoints(std::vector<env::Address> endpoints) { endpoints_ = std::move(endpoints); }

  // Begins a session; requires that there is none. `opened` runs when its first handshake was answered.
  void begin(Duration timeout, Function<void()> opened);
  // Told once when the session is known to be over, whoever ended it; then there is none.
  void on_over(Function<void()> told) { over_ = std::move(told); }
  void on_event(Function<void(const verify::NodeEvent&)> told) { event_ = std::move(told); }
  // There is one, and it is connected.
  bool connected() const { return stage_ == Stage::Open; }
  bool has_session() const { return session_ != nullptr; }
  int64_t id() const { return session_ == nullptr ? 0 : session_->id; }
  const verify::SessionHistory& session() const { return *session_; }

  // `done` with null: nobody knows what came of it; it runs on the loop, once, unless the session is let go of before.
  // Without a connection that is at once.
  using Done = Function<void(const verify::NodeReply*)>;
  void ask(verify::NodeRequest request, Done done);
  // Asks for the session's end.
  void close(Task done);
  // Says nothing any more. What is under way is not heard of.
  void abandon();
  // Breaks the connection, and takes the session elsewhere.
  void reconnect();
  // As long as this is in the future the session cannot have ended, whatever clocks do.
  Instant surely_until() const;
  MachineId server() const { return server_; }
  MachineId machine() const { return machine_; }

 private:
  enum class Stage : uint8_t { Idle, Connecting, Greeting, Open };
  struct Waiting {
    size_t request = 0;  // of this connection's
    int32_t xid = 0;
    Done done;
  };

  void connect();
  void connected(Result<std::unique_ptr<env::Connection>> connection);
  void greeted(std::string_view packet);
  void set_watches();
  void send(verify::NodeRequest request, Done done);
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void on_packet(std::string_view packet);
  void on_reply(std::string_view packet);
  void note_watch(const verify::NodeRequest& request, const verify::NodeReply& reply);
  void note_event(const verify::NodeEvent& event);
  // Everything under way is lost; then it connects again, or the session is over.
  void break_off(bool over);
  void tick();
  void write(std::string bytes);
  verify::SessionConnection& here() { return session_->connections.back(); }
  Instant now() const { return ground_.scheduler.now(); }

  Ground ground_;
  Loop& loop_;
  History& history_;
  const MachineId machine_;
  const std::string name_;
  Rng rng_;
  std::unique_ptr<env::Network> network_;
  std::vector<env::Address> endpoints_;
  std::shared_ptr<bool> alive_;

  verify::SessionHistory* session_ = nullptr;  // in the history, which keeps it where it is
  uint64_t sessions_ = 0;
  std::string password_;
  // Events count for where the session may go on, but not for which watches have fired: more of one change may follow.
  int64_t last_zxid_ = 0;
  int64_t last_answer_zxid_ = 0;
  Instant promised_{0};  // when what last kept the session alive was sent
  verify::Rewatch watches_;
  Function<void()> opened_;
  Function<void()> over_;
  Function<void(const verify::NodeEvent&)> event_;

  Stage stage_ = Stage::Idle;
  uint64_t attempt_ = 0;  // what is told of an earlier one is too late
  MachineId server_ = 0;
  std::unique_ptr<env::Connection> connection_;
  std::string received_;
  std::deque<Waiting> waiting_;
  int32_t last_xid_ = 0;
  Instant last_heard_{0};  // by the loop's clock, as the next
  Instant last_sent_{0};
};

}  // namespace witan::sim
