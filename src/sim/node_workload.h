// What the workloads that speak ZooKeeper's protocol share: a client with one session after the other.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/workload.h"
#include "sim/zookeeper_client.h"

namespace witan::sim {

class NodeWorkload : public Workload {
 public:
  NodeWorkload(Ground ground, MachineId machine, std::string name, History& history, Rng rng)
      : Workload(ground, machine, std::move(name), history, std::move(rng)),
        client_(ground, machine, channel_.loop(), history, name_, rng_.fork("zookeeper")) {
    client_.on_over([this] { over(); });
  }

  void start() override { begin(); }
  void stop() override;
  std::string unsettled(const verify::Truth&) const override;
  void set_members(const std::vector<const Member*>& members) override;
  void reconnect() override { client_.reconnect(); }
  void quit() override {
    client_.abandon();
    channel_.quit();
  }

 protected:
  using Request = verify::NodeRequest;
  using Reply = verify::NodeReply;

  // A new session, connected for the first time.
  virtual void opened() = 0;
  // The session is over; another one begins unless the world comes to its end.
  virtual void lost() = 0;
  // Begins another session, a little later.
  void begin();
  // Gives this session up, in one of the ways there are, and begins another.
  void leave();
  std::string value() { return name_ + "-" + std::to_string(++written_); }

  static Request write(verify::NodeOp op) {
    Request request{.kind = Request::Kind::Write};
    request.ops.push_back(std::move(op));
    return request;
  }
  static verify::NodeOp create(std::string path, std::string value) {
    return {.kind = verify::NodeOp::Kind::Create, .path = std::move(path), .value = std::move(value)};
  }

  ZookeeperClient client_;

 private:
  void over();
  void wind_up();

  uint64_t written_ = 0;
  bool beginning_ = false;
};

}  // namespace witan::sim
