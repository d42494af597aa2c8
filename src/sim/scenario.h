// A small language for worlds whose story is told, not drawn:
//
//   Scenario world;
//   Client client = world.client(1);
//   client.put("a", "1").expect_ok();
//   world.node(world.leader()).lose_power();
//   client.put("a", "2").expect_unknown();
//
// Whatever the story, it ends with everything healed, at rest and judged by all checkers. For tests (GoogleTest).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/channel.h"
#include "sim/etcd.h"
#include "sim/lease_holder.h"
#include "sim/world.h"
#include "sim/zookeeper_client.h"

namespace witan::sim {

class Scenario;

// A call under way, or its answer. The expect_...() run the world until it has come, and are satisfied once.
class Answer {
 public:
  struct Slot {
    std::optional<RpcResult> result;
    verify::Outcome outcome = verify::Outcome::Unknown;
    verify::Reply reply;  // of a KV call
  };
  Answer(Scenario& scenario, std::shared_ptr<Slot> slot) : scenario_(&scenario), slot_(std::move(slot)) {}

  bool arrived() const { return slot_->result.has_value(); }
  Answer& expect_ok();
  Answer& expect_failed();   // certainly not applied
  Answer& expect_unknown();  // nobody can know
  Answer& expect_error(std::string_view text);
  // No answer comes within `span`.
  Answer& expect_none_for(Duration span);
  // Of a read of one key: its value, or that it does not exist.
  Answer& expect_value(std::string_view value);
  Answer& expect_nothing();
  int64_t revision();  // of an answer that is ok
  const verify::Reply& reply() { return wait().reply; }
  const std::string& message();

 private:
  const Slot& wait();

  Scenario* scenario_;
  std::shared_ptr<Slot> slot_;
};

// A watch on one stream of its own; what it hears is judged at the end.
class Watch {
 public:
  Watch(Scenario& scenario, std::string name) : scenario_(&scenario), name_(std::move(name)) {}
  // Until it has so many events, or a message of the kind.
  Watch& expect_events(size_t count);
  Watch& expect(verify::WatchMessage::Kind kind);
  Watch& ask_progress();
  const verify::WatchAttachment& heard() const;
  size_t events() const;

 private:
  Scenario* scenario_;
  std::string name_;
};

class Client {
 public:
  // Speaks to one member only.
  Client(Scenario& scenario, MachineId member, int number);

  Answer put(std::string key, std::string value, int64_t lease = 0);
  Answer get(std::string key);
  Answer get_locally(std::string key);  // serializable
  Answer get_at(std::string key, int64_t revision);
  Answer erase(std::string key);
  Answer call(verify::Operation operation, bool serializable = false);
  // One put after the other, of ten keys that begin with `key`, with values that nobody else writes.
  void fill(size_t puts, const std::string& key = "fill/");
  Answer compact(int64_t revision);
  Answer lock(std::string_view name, int64_t lease) {
    return rpc("/v3lockpb.Lock/Lock", etcd::encode_lock(name, lease), seconds(30));
  }
  Answer unlock(std::string_view key) { return rpc("/v3lockpb.Lock/Unlock", etcd::encode_unlock(key)); }
  Answer revoke(int64_t lease) { return rpc("/etcdserverpb.Lease/LeaseRevoke", etcd::encode_lease_id(lease)); }
  // With this id, and never renewed.
  Answer grant(int64_t lease, int64_t ttl_s) {
    return rpc("/etcdserverpb.Lease/LeaseGrant", etcd::encode_grant(lease, ttl_s));
  }
  Answer remove_member(uint64_t id) { return rpc("/etcdserverpb.Cluster/MemberRemove", etcd::encode_member_id(id)); }
  Answer rpc(std::string path, std::string request, Duration patience = seconds(8));
  Watch watch(verify::WatchAttachment wanted);
  // Kept alive until abandoned.
  LeaseHolder& lease(int64_t id, int64_t ttl_s);
  // How long a call may take before its client gives up.
  Client& patience(Duration span) {
    patience_ = span;
    return *this;
  }
  Channel& channel() { return *channel_; }

 private:
  Scenario* scenario_;
  const int number_;
  Duration patience_ = seconds(8);
  Channel* channel_;
};

// Of a session's request.
class NodeAnswer {
 public:
  struct Slot {
    bool arrived = false;
    std::optional<verify::NodeReply> reply;  // nothing: lost
  };
  NodeAnswer(Scenario& scenario, std::shared_ptr<Slot> slot) : scenario_(&scenario), slot_(std::move(slot)) {}

  bool arrived() const { return slot_->arrived; }
  NodeAnswer& expect(verify::NodeError error);
  NodeAnswer& expect_ok() { return expect(verify::NodeError::Ok); }
  NodeAnswer& expect_lost();
  const verify::NodeReply& reply();

 private:
  Scenario* scenario_;
  std::shared_ptr<Slot> slot_;
};

// A client of ZooKeeper's protocol with one session.
class Session {
 public:
  // The session is open when it returns. Goes to any of `members`.
  Session(Scenario& scenario, const std::vector<MachineId>& members, Duration timeout, int number);

  NodeAnswer create(std::string path, bool ephemeral = false);
  NodeAnswer set(std::string path);  // to a value that nobody else writes
  NodeAnswer exists(std::string path, bool watch = false);
  NodeAnswer watch(std::string path, bool recursive);  // persistently
  NodeAnswer sync();
  NodeAnswer ask(verify::NodeRequest request);
  // From its next connection on.
  void know(const std::vector<MachineId>& members);
  int64_t id() const { return client_->id(); }
  ZookeeperClient& client() { return *client_; }

 private:
  Scenario* scenario_;
  std::string name_;
  ZookeeperClient* client_;
};

class Scenario {
 public:
  // `change` alters the plan: sizes, timeouts, speeds. The members serve when it returns.
  explicit Scenario(size_t members = 3, const std::function<void(Plan&)>& change = [](Plan&) {});
  // Tells the rest of every story: heal, rest, judge.
  ~Scenario();

  Client client(MachineId member) { return Client(*this, member, ++clients_); }
  Session session(const std::vector<MachineId>& members, Duration timeout) {
    return Session(*this, members, timeout, ++clients_);
  }
  Member& node(MachineId machine) { return world_.member(machine); }
  // A member that joins: added through `by` as a learner (or a voter), and started.
  MachineId join(Client& by, bool learner = true);
  World& world() { return world_; }

  // The member that leads; waits for one.
  MachineId leader();
  // One that does not, the nth of them.
  MachineId follower(size_t n = 0);
  // Nothing passes between the two groups, either way, until heal_network().
  void part(const std::vector<MachineId>& here, const std::vector<MachineId>& there);
  void part_one_way(MachineId from, MachineId to) { world_.network().block(from, to); }
  void isolate(MachineId machine);
  void heal_network() { world_.network().unblock_all(); }
  void run_for(Duration span) { world_.run_for(span); }
  template <class Done>
  bool run_until(Done done, Duration patience = seconds(60)) {
    return world_.run_until(std::move(done), patience);
  }
  // Hands the lead over, if need be.
  void give_lead_to(MachineId machine);
  // Another than `machine` leads.
  MachineId wait_for_other_leader(MachineId machine);
  // A member that was down or cut off has applied what all have.
  void wait_for(MachineId machine);
  // Starts what does not run, and waits for it.
  void bring_back(MachineId machine);
  // The whole data centre goes dark and comes back.
  void lose_all_power();
  bool lives(int64_t lease) { return !world_.observer().lease_ends().contains(lease); }

 private:
  friend class Client;
  friend class Answer;
  friend class Watch;
  friend class Session;

  World world_;
  int clients_ = 0;
  int watches_ = 0;
  uint64_t written_ = 0;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::unique_ptr<LeaseHolder>> leases_;
  std::vector<std::unique_ptr<ZookeeperClient>> sessions_;
  std::map<std::string, std::pair<Channel*, Channel::StreamKey>> streams_;
};

}  // namespace witan::sim
