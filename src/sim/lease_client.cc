// Clients that live by leases: plain ones, lock holders and candidates.
#include <deque>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sim/etcd.h"
#include "sim/lease_holder.h"
#include "sim/workload.h"

namespace witan::sim {

// ---- A lease and its renewals -------------------------------------------------------------------

void LeaseHolder::grant(int64_t id, int64_t ttl_s, Function<void(bool)> done) {
  history_.leases.push_back({.id = id, .ttl = seconds(ttl_s), .grant_sent = scheduler_.now(), .granted = false});
  lease_ = &history_.leases.back();
  last_promise_ = scheduler_.now();
  channel_.call("/etcdserverpb.Lease/LeaseGrant", etcd::encode_grant(id, ttl_s), seconds(5),
                [this, done = std::move(done)](const RpcResult& result) mutable {
                  if (lease_ == nullptr) return done(false);  // abandoned meanwhile
                  if (!result.ok()) {
                    lease_->abandoned = scheduler_.now();
                    lease_ = nullptr;
                    return done(false);
                  }
                  lease_->granted = true;
                  lease_->ttl = seconds(etcd::decode_grant(result.message).ttl_s);
                  connect();
                  renew_later();
                  done(true);
                });
}

void LeaseHolder::connect() {
  waiting_.clear();
  stream_ = channel_.open(
      "/etcdserverpb.Lease/LeaseKeepAlive", [this](std::string_view bytes) { on_reply(bytes); },
      [this](const RpcResult&) {
        // Renewals under way may have been heard all the same.
        waiting_.clear();
        stream_ = 0;
      });
}

void LeaseHolder::renew_later() {
  const uint64_t life = ++life_;
  channel_.loop().call_at(channel_.now() + lease_->ttl / 4, [this, life] {
    if (lease_ == nullptr || life != life_) return;
    if (stream_ == 0) connect();
    lease_->renewals.push_back({.sent = scheduler_.now(), .returned = Instant::never(), .acknowledged = false});
    waiting_.push_back(lease_->renewals.size() - 1);
    channel_.send(stream_, etcd::encode_lease_id(lease_->id));
    renew_later();
  });
}

// Keep-alives are answered in their order.
void LeaseHolder::on_reply(std::string_view bytes) {
  if (lease_ == nullptr || waiting_.empty()) return;
  const etcd::LeaseReply reply = etcd::decode_keep_alive(bytes);
  if (reply.id != lease_->id) return;
  verify::Renewal& renewal = lease_->renewals[waiting_.front()];
  waiting_.pop_front();
  renewal.returned = scheduler_.now();
  renewal.acknowledged = true;
  renewal.ttl = seconds(reply.ttl_s);
  if (reply.ttl_s > 0) {
    last_promise_ = std::max(last_promise_, renewal.sent);
  } else {
    lost_ = true;
  }
}

Instant LeaseHolder::surely_until() const {
  if (lease_ == nullptr || lost_) return Instant{0};
  return last_promise_ + lease_->ttl / 1000 * (1000 - 2 * kMaxDrift);
}

void LeaseHolder::abandon() {
  if (lease_ == nullptr) return;
  lease_->abandoned = scheduler_.now();
  lease_ = nullptr;
  ++life_;
  lost_ = false;
  if (stream_ != 0) channel_.close(std::exchange(stream_, 0));
  waiting_.clear();
}

void LeaseHolder::revoke(Function<void()> done) {
  if (lease_ == nullptr) return done();
  verify::LeaseHistory* lease = lease_;
  lease->revoke_sent = scheduler_.now();
  channel_.call("/etcdserverpb.Lease/LeaseRevoke", etcd::encode_lease_id(lease->id), seconds(5),
                [this, lease, done = std::move(done)](const RpcResult& result) mutable {
                  if (result.ok()) lease->revoke_acknowledged = scheduler_.now();
                  done();
                });
  abandon();
}

// ---- One that attaches a key to it --------------------------------------------------------------

namespace {

int64_t lease_id(int number, uint64_t n) { return number * 1'000'000 + static_cast<int64_t>(n); }

class LeaseClient final : public Workload {
 public:
  LeaseClient(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : Workload(ground, machine, fmt::format("lease{}", number), history, std::move(rng)), number_(number),
        holder_(channel_, ground.scheduler, history) {}

  void start() override { begin(); }
  void stop() override {
    Workload::stop();
    holder_.abandon();
  }
  std::string unsettled(const verify::Truth&) const override { return busy_ ? name_ + ": an answer" : ""; }

 private:
  void begin() {
    if (stopping_) return;
    later(milliseconds(10), seconds(1), [this] {
      if (stopping_) return;
      busy_ = true;
      const int64_t id = lease_id(number_, ++leases_);
      holder_.grant(id, rng_.between(1, 5), [this, id](bool granted) {
        busy_ = false;
        if (!granted) return begin();
        attach(id);
      });
    });
  }
  void attach(int64_t id) {
    verify::Call call{.client = number_ + 100, .operation = {}, .reply = {}};
    call.operation = verify::Put{.key = fmt::format("{}{}", kKeyPrefix, rng_.below(ground_.plan.keys)),
                                 .value = fmt::format("{}-{}", name_, leases_),
                                 .lease = id};
    call.invoked = now();
    busy_ = true;
    std::string request = etcd::encode(call.operation, false);
    channel_.call(etcd::path_of(call.operation), std::move(request), seconds(8),
                  [this, call = std::move(call)](const RpcResult& result) mutable {
                    busy_ = false;
                    call.returned = now();
                    call.outcome = outcome_of(result, &call.reply.failure);
                    if (call.outcome == verify::Outcome::Ok) {
                      call.reply = etcd::decode_reply(call.operation, result.message);
                    }
                    history_.calls.push_back(std::move(call));
                    hold();
                  });
  }
  // Long enough for renewals; then it is let go of in one way or the other.
  void hold() {
    later(milliseconds(100), seconds(6), [this] {
      if (rng_.chance(1, 2)) {
        holder_.abandon();
        return begin();
      }
      busy_ = true;
      holder_.revoke([this] {
        busy_ = false;
        begin();
      });
    });
  }

  const int number_;
  LeaseHolder holder_;
  uint64_t leases_ = 0;
  bool busy_ = false;
};

}  // namespace

std::unique_ptr<Workload> make_lease_client(Ground ground, MachineId machine, int number, History& history, Rng rng) {
  return std::make_unique<LeaseClient>(ground, machine, number, history, std::move(rng));
}

}  // namespace witan::sim
