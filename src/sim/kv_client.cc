// Reads, writes, deletes and transactions over a few keys that everybody fights for.
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sim/etcd.h"
#include "sim/workload.h"

namespace witan::sim {

verify::Outcome outcome_of(const RpcResult& result, verify::Failure* failure) {
  using enum wire::GrpcStatus;
  if (result.ok()) return verify::Outcome::Ok;
  if (result.fate == RpcResult::Fate::NotSent) return verify::Outcome::Failed;
  if (result.fate == RpcResult::Fate::Lost) return verify::Outcome::Unknown;
  const auto named = [&](verify::Failure what) {
    if (failure != nullptr) *failure = what;
    return verify::Outcome::Failed;
  };
  if (result.error == "etcdserver: mvcc: required revision has been compacted") {
    return named(verify::Failure::Compacted);
  }
  if (result.error == "etcdserver: mvcc: required revision is a future revision") {
    return named(verify::Failure::FutureRevision);
  }
  if (result.error == "etcdserver: requested lease not found") return named(verify::Failure::LeaseNotFound);
  // A member says these only of what is in no log.
  if (result.error == "etcdserver: no leader" || result.error == "etcdserver: leader changed" ||
      result.error == "etcdserver: too many requests" || result.error == "etcdserver: rpc not supported for learner") {
    return verify::Outcome::Failed;
  }
  const bool judged = result.status == InvalidArgument || result.status == FailedPrecondition ||
                      result.status == OutOfRange || result.status == NotFound || result.status == ResourceExhausted;
  return judged ? verify::Outcome::Failed : verify::Outcome::Unknown;
}

namespace {

class KvClient final : public Workload {
 public:
  KvClient(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : Workload(ground, machine, fmt::format("kv{}", number), history, std::move(rng)), number_(number),
        only_reads_(static_cast<size_t>(number) < ground.plan.kv_readers) {}

  void start() override { think(); }
  std::string unsettled(const verify::Truth&) const override { return busy_ ? name_ + ": an answer" : ""; }

 private:
  void think() {
    if (stopping_) return;
    later(Duration(0), ground_.plan.think * 2, [this] {
      if (!stopping_) act();
    });
  }
  void act();
  void done(verify::Call call, const RpcResult& result);
  void learn(const verify::Call& call);

  verify::Operation draw();
  verify::Operation draw_register();
  verify::Range draw_range();
  verify::Txn draw_txn();
  verify::Put draw_put() {
    return verify::Put{.key = key(), .value = value(), .lease = 0, .prev_kv = rng_.chance(1, 3)};
  }
  std::string key() { return fmt::format("{}{}", kKeyPrefix, rng_.below(ground_.plan.keys)); }
  std::string value() {
    return fmt::format("{}-{}{}", name_, ++written_, std::string(rng_.below(ground_.plan.value_bytes + 1), '.'));
  }

  const int number_;
  const bool only_reads_;
  uint64_t written_ = 0;
  bool busy_ = false;
  int64_t last_revision_ = 1;
  std::map<std::string, verify::Version> seen_;  // what keys were last known to hold
};

verify::Range KvClient::draw_range() {
  verify::Range range{.begin = key(), .end = {}};
  if (rng_.chance(1, 2)) range = {.begin = std::string(kKeyPrefix), .end = "k0"};
  if (rng_.chance(1, 4)) range.limit = rng_.between(1, 4);
  if (rng_.chance(1, 8)) range.count_only = true;
  if (rng_.chance(1, 8)) range.keys_only = true;
  if (rng_.chance(1, 4)) range.revision = std::max<int64_t>(1, last_revision_ - rng_.between(0, 30));
  return range;
}

verify::Txn KvClient::draw_txn() {
  using Target = verify::Compare::Target;
  using Relation = verify::Compare::Relation;
  verify::Txn txn;
  const std::string first = key();
  const auto known = seen_.find(first);
  verify::Compare compare{.key = first, .target = Target::Mod, .relation = Relation::Equal, .text = {}};
  if (rng_.chance(1, 3)) {
    compare.target = Target::Create;  // 0: it does not exist
  } else if (known != seen_.end() && rng_.chance(1, 3)) {
    compare.target = Target::Value;
    compare.text = known->second.value;
  } else if (known != seen_.end()) {
    compare.number = known->second.mod_revision;
    if (rng_.chance(1, 4)) compare.relation = rng_.chance(1, 2) ? Relation::Greater : Relation::Less;
  }
  txn.when.push_back(std::move(compare));
  txn.then.emplace_back(verify::Put{.key = first, .value = value(), .prev_kv = rng_.chance(1, 2)});
  const std::string second = key();
  if (second != first) {
    if (rng_.chance(1, 2)) {
      txn.then.emplace_back(verify::Put{.key = second, .value = value()});
    } else {
      txn.then.emplace_back(verify::Delete{.begin = second, .end = {}, .prev_kv = rng_.chance(1, 2)});
    }
  }
  txn.then.emplace_back(verify::Range{.begin = std::string(kKeyPrefix), .end = "k0"});
  if (rng_.chance(1, 2)) txn.otherwise.emplace_back(verify::Range{.begin = first, .end = {}});
  if (rng_.chance(1, 4)) txn.otherwise.emplace_back(verify::Put{.key = second, .value = value()});
  return txn;
}

// The register's calls are judged by a search that believes nothing but the answers.
verify::Operation KvClient::draw_register() {
  const std::string key(kRegister);
  const uint64_t dice = rng_.below(10);
  if (dice < 4) return verify::Range{.begin = key, .end = {}};
  if (dice < 6) return verify::Put{.key = key, .value = fmt::format("{}-{}", name_, ++written_)};
  if (dice < 7) return verify::Delete{.begin = key, .end = {}};
  verify::Txn swap;
  verify::Compare compare{.key = key, .target = verify::Compare::Target::Create, .text = {}};
  if (const auto known = seen_.find(key); known != seen_.end()) {
    compare.target = verify::Compare::Target::Value;
    compare.text = known->second.value;
  }
  swap.when.push_back(std::move(compare));
  swap.then.emplace_back(verify::Put{.key = key, .value = fmt::format("{}-{}", name_, ++written_)});
  return swap;
}

verify::Operation KvClient::draw() {
  if (only_reads_) return draw_range();
  const uint64_t dice = rng_.below(100);
  if (dice < 15) return draw_register();
  if (dice < 45) return draw_put();
  if (dice < 52) return verify::Delete{.begin = key(), .end = {}, .prev_kv = rng_.chance(1, 2)};
  if (dice < 55) return verify::Delete{.begin = std::string(kKeyPrefix), .end = "k/3", .prev_kv = rng_.chance(1, 2)};
  if (dice < 80) return draw_range();
  return draw_txn();
}

void KvClient::act() {
  verify::Call call{.client = number_, .member = 0, .operation = draw(), .reply = {}};
  const auto* range = std::get_if<verify::Range>(&call.operation);
  call.serializable = range != nullptr && range->begin != kRegister && rng_.chance(1, 4);
  call.invoked = now();
  busy_ = true;
  // Who asks again on the same connection asks later, which is what an old answer is measured by.
  const uint64_t temper = rng_.below(10);
  const Duration patience = temper == 0  ? milliseconds(rng_.between(1, 100))
                            : temper < 5 ? milliseconds(rng_.between(200, 1500))
                                         : seconds(8);
  std::string path = etcd::path_of(call.operation);
  std::string request = etcd::encode(call.operation, call.serializable);
  channel_.call(std::move(path), std::move(request), patience,
                [this, call = std::move(call)](RpcResult result) mutable { done(std::move(call), result); });
}

void KvClient::done(verify::Call call, const RpcResult& result) {
  busy_ = false;
  call.member = static_cast<int>(channel_.server());
  call.returned = now();
  verify::Failure failure = verify::Failure::None;
  call.outcome = outcome_of(result, &failure);
  if (call.outcome == verify::Outcome::Ok) {
    call.reply = etcd::decode_reply(call.operation, result.message);
    learn(call);
  } else {
    call.reply.failure = failure;
    // A member that does not answer is left for another now and then.
    if (rng_.chance(1, 5)) channel_.reconnect();
  }
  if (call.outcome == verify::Outcome::Ok || may_change(call.operation)) history_.calls.push_back(std::move(call));
  think();
}

void KvClient::learn(const verify::Call& call) {
  last_revision_ = std::max(last_revision_, call.reply.revision);
  const auto* range = std::get_if<verify::Range>(&call.operation);
  const auto* reply = std::get_if<verify::RangeReply>(&call.reply.answer);
  if (range == nullptr || reply == nullptr || range->keys_only || range->count_only || range->revision > 0) return;
  if (range->end.empty()) seen_.erase(range->begin);
  for (const verify::KeyVersion& kv : reply->kvs) seen_[kv.key] = kv.version;
}

}  // namespace

std::unique_ptr<Workload> make_kv_client(Ground ground, MachineId machine, int number, History& history, Rng rng) {
  return std::make_unique<KvClient>(ground, machine, number, history, std::move(rng));
}

}  // namespace witan::sim
