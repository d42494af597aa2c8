// Lock holders and candidates: whoever got the lock, or was elected, acts on it until it lets go or must assume that
// its lease is over, and guards what it writes with the key that it holds.
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sim/etcd.h"
#include "sim/lease_holder.h"
#include "sim/workload.h"

namespace witan::sim {
namespace {

constexpr int64_t kTtlSeconds = 3;

// What locks and elections share: a lease, a place in the queue, a hold, fenced writes, the end.
class QueueClient : public Workload {
 public:
  QueueClient(Ground ground, MachineId machine, std::string name, int number, std::string queue, History& history,
              Rng rng)
      : Workload(ground, machine, std::move(name), history, std::move(rng)), number_(number), queue_(std::move(queue)),
        holder_(channel_, ground.scheduler, history) {}

  void start() override { begin(); }
  void stop() override {
    Workload::stop();
    if (!busy_ && !holding_) holder_.abandon();
  }
  std::string unsettled(const verify::Truth&) const override {
    return busy_ || holding_ ? name_ + ": its turn to end" : "";
  }

 protected:
  virtual void enter(int64_t lease) = 0;  // then granted() or give_up()
  virtual void leave() = 0;               // then left()

  void granted(const std::string& key) {
    busy_ = false;
    holding_ = true;
    key_ = key;
    hold_.emplace(
        verify::Hold{.holder = name_ + " " + key, .token = 0, .from = now(), .until = holder_.surely_until()});
    if (hold_->until <= now()) return let_go(false);
    ask_token();
  }
  void give_up() {
    busy_ = false;
    holder_.abandon();
    begin();
  }
  void left() {
    busy_ = false;
    // The lease serves again, unless nobody knows what is still attached to it.
    if (!rng_.chance(1, 2)) holder_.abandon();
    begin();
  }

  const int number_;
  const std::string queue_;
  LeaseHolder holder_;
  std::string key_;

 private:
  void begin() {
    if (stopping_) return holder_.abandon();
    later(milliseconds(10), milliseconds(600), [this] {
      if (stopping_) return holder_.abandon();
      busy_ = true;
      if (holder_.has() && holder_.surely_until() > now()) return enter(holder_.id());
      holder_.abandon();
      const int64_t id = number_ * 1'000'000 + static_cast<int64_t>(++leases_);
      holder_.grant(id, kTtlSeconds, [this, id](bool granted) {
        if (!granted) return give_up();
        enter(id);
      });
    });
  }
  // The token is the revision at which the key was made.
  void ask_token() {
    const verify::Operation read = verify::Range{.begin = key_, .end = {}};
    channel_.call(etcd::path_of(read), etcd::encode(read, false), seconds(2), [this, read](const RpcResult& result) {
      if (!result.ok()) return let_go(false);
      const verify::Reply reply = etcd::decode_reply(read, result.message);
      const auto& kvs = std::get<verify::RangeReply>(reply.answer).kvs;
      if (kvs.empty()) return let_go(false);
      hold_->token = kvs.front().version.create_revision;
      act(static_cast<int>(rng_.below(4)));
    });
  }
  void act(int writes) {
    hold_->until = holder_.surely_until();
    if (writes == 0 || hold_->until <= now()) return let_go(true);
    // Now and then it takes so long that the leases of those who wait could end.
    const Duration longest = rng_.chance(1, 10) ? seconds(6) : milliseconds(200);
    later(milliseconds(5), longest, [this, writes] {
      if (holder_.surely_until() <= now()) return let_go(false);
      write(writes);
    });
  }
  void write(int writes) {
    verify::Txn fenced;
    fenced.when.push_back({.key = key_,
                           .target = verify::Compare::Target::Create,
                           .relation = verify::Compare::Relation::Equal,
                           .number = hold_->token,
                           .text = {}});
    fenced.then.emplace_back(
        verify::Put{.key = "fenced/" + queue_, .value = fmt::format("{}-{}-{}", name_, hold_->token, ++written_)});
    verify::Call call{.client = number_, .operation = std::move(fenced), .reply = {}};
    call.invoked = now();
    std::string request = etcd::encode(call.operation, false);
    channel_.call(etcd::path_of(call.operation), std::move(request), seconds(5),
                  [this, writes, call = std::move(call)](const RpcResult& result) mutable {
                    wrote(std::move(call), result);
                    act(writes - 1);
                  });
  }
  void wrote(verify::Call call, const RpcResult& result) {
    call.returned = now();
    call.outcome = outcome_of(result, &call.reply.failure);
    if (call.outcome == verify::Outcome::Ok) {
      call.reply = etcd::decode_reply(call.operation, result.message);
      if (std::get<verify::TxnReply>(call.reply.answer).succeeded) {
        history_.fenced_writes[queue_].push_back({.token = hold_->token, .revision = call.reply.revision});
      }
    }
    history_.calls.push_back(std::move(call));
  }
  void let_go(bool in_order) {
    holding_ = false;
    const Instant until = std::min(now(), holder_.surely_until());
    hold_->until = until;
    if (hold_->token != 0 && hold_->until > hold_->from) history_.holds[queue_].push_back(*hold_);
    hold_.reset();
    if (!in_order || rng_.chance(1, 4)) return give_up();
    busy_ = true;
    leave();
  }

  uint64_t leases_ = 0;
  uint64_t written_ = 0;
  bool busy_ = false;
  bool holding_ = false;
  std::optional<verify::Hold> hold_;
};

class LockClient final : public QueueClient {
 public:
  LockClient(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : QueueClient(ground, machine, fmt::format("lock{}", number), number, fmt::format("lock/{}", number % 2), history,
                    std::move(rng)) {}

 private:
  void enter(int64_t lease) override {
    const Duration patience = rng_.chance(1, 5) ? milliseconds(rng_.between(5, 500)) : seconds(20);
    channel_.call("/v3lockpb.Lock/Lock", etcd::encode_lock(queue_, lease), patience, [this](const RpcResult& result) {
      if (!result.ok()) return give_up();
      const etcd::Held held = etcd::decode_lock(result.message);
      history_.grants.push_back({held.key, held.revision});
      granted(held.key);
    });
    // Some forget to keep their lease alive while they wait.
    if (rng_.chance(1, 4)) holder_.abandon();
  }
  void leave() override {
    channel_.call("/v3lockpb.Lock/Unlock", etcd::encode_unlock(key_), seconds(5),
                  [this](const RpcResult& result) { result.ok() ? left() : give_up(); });
  }
};

class Candidate final : public QueueClient {
 public:
  Candidate(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : QueueClient(ground, machine, fmt::format("candidate{}", number), number, "election/e", history,
                    std::move(rng)) {}

  void start() override {
    QueueClient::start();
    observe();
  }

 private:
  void enter(int64_t lease) override {
    channel_.call("/v3electionpb.Election/Campaign",
                  etcd::encode_campaign(queue_, lease, fmt::format("{}-{}", name_, ++campaigns_)), seconds(20),
                  [this](const RpcResult& result) {
                    if (!result.ok()) return give_up();
                    leader_ = etcd::decode_campaign(result.message);
                    granted(leader_.key);
                  });
  }
  void leave() override {
    if (rng_.chance(1, 2)) return resign();
    channel_.call("/v3electionpb.Election/Proclaim",
                  etcd::encode_proclaim(leader_, fmt::format("{}-{}", name_, ++campaigns_)), seconds(5),
                  [this](const RpcResult& result) { result.ok() ? resign() : give_up(); });
  }
  void resign() {
    channel_.call("/v3electionpb.Election/Resign", etcd::encode_resign(leader_), seconds(5),
                  [this](const RpcResult& result) { result.ok() ? left() : give_up(); });
  }
  void observe() {
    const std::string stream = fmt::format("{}/{}", name_, ++observers_);
    channel_.open(
        "/v3electionpb.Election/Observe",
        [this, stream](std::string_view bytes) {
          const verify::KeyVersion seen = etcd::decode_observed(bytes);
          history_.observations[stream].push_back({.create_revision = seen.version.create_revision,
                                                   .mod_revision = seen.version.mod_revision,
                                                   .value = seen.version.value});
        },
        [this](const RpcResult&) { later(milliseconds(50), milliseconds(500), [this] { observe(); }); });
  }

  etcd::Held leader_;
  uint64_t campaigns_ = 0;
  uint64_t observers_ = 0;
};

}  // namespace

std::unique_ptr<Workload> make_lock_client(Ground ground, MachineId machine, int number, History& history, Rng rng) {
  return std::make_unique<LockClient>(ground, machine, number, history, std::move(rng));
}

std::unique_ptr<Workload> make_candidate(Ground ground, MachineId machine, int number, History& history, Rng rng) {
  return std::make_unique<Candidate>(ground, machine, number, history, std::move(rng));
}

}  // namespace witan::sim
