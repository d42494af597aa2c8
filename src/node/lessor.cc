#include "node/lessor.h"

#include <algorithm>

namespace witan::node {

namespace {
// Below this a checkpoint is not worth a log entry.
constexpr int64_t kShortestCheckpointMs = 5'000;

int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }

// TTLs reach 9e9 seconds, which nanoseconds since some zero cannot hold: such a lease never expires.
Instant after(Instant now, int64_t ms) {
  constexpr int64_t kForeverMs = int64_t{100} * 365 * 24 * 3600 * 1000;
  return ms >= kForeverMs ? Instant::never() : now + milliseconds(ms);
}
}  // namespace

Instant Lessor::checkpoint_time(const Lease& lease) {
  const int64_t basis = lease.checkpoint_ms > 0 ? lease.checkpoint_ms : lease.ttl_ms;
  if (basis / 2 < kShortestCheckpointMs || lease.expires == Instant::never()) return Instant::never();
  return lease.expires - milliseconds(basis / 2);
}

Instant Lessor::expiry(Instant now, const Lease& lease, int64_t ms) const {
  const Instant at = after(now, ms);
  return lease.kind == store::LeaseKind::ZooKeeper && at != Instant::never() ? at + allowance_ : at;
}

void Lessor::schedule(store::LeaseId id, Lease& lease, Instant expires) {
  lease.expires = expires;
  lease.checkpoint_at = checkpoint_time(lease);
  expiries_.emplace(lease.expires, id);
  checkpoints_.emplace(lease.checkpoint_at, id);
}

void Lessor::unschedule(store::LeaseId id, const Lease& lease) {
  expiries_.erase({lease.expires, id});
  checkpoints_.erase({lease.checkpoint_at, id});
}

void Lessor::lead(Instant now, Duration grace, const std::vector<Known>& leases) {
  follow();
  leading_ = true;
  for (const Known& known : leases) {
    const int64_t remaining = known.checkpoint_ms > 0 ? known.checkpoint_ms : known.ttl_ms;
    Lease& lease = leases_[known.id];
    lease = Lease{.kind = known.kind,
                  .ttl_ms = known.ttl_ms,
                  .checkpoint_ms = known.checkpoint_ms,
                  .generation = known.generation,
                  .expires = {},
                  .checkpoint_at = {},
                  .closing = false};
    schedule(known.id, lease, expiry(now + grace, lease, remaining));
  }
}

void Lessor::follow() {
  leading_ = false;
  leases_.clear();
  expiries_.clear();
  checkpoints_.clear();
}

void Lessor::granted(Instant now, const Known& known) {
  if (!leading_) return;
  Lease& lease = leases_[known.id];
  unschedule(known.id, lease);
  lease = Lease{.kind = known.kind,
                .ttl_ms = known.ttl_ms,
                .checkpoint_ms = 0,
                .generation = known.generation,
                .expires = {},
                .checkpoint_at = {},
                .closing = false};
  schedule(known.id, lease, expiry(now, lease, known.ttl_ms));
}

void Lessor::ended(store::LeaseId id) {
  const auto it = leases_.find(id);
  if (it == leases_.end()) return;
  unschedule(id, it->second);
  leases_.erase(it);
}

void Lessor::checkpointed(store::LeaseId id, int64_t remaining_ms) {
  const auto it = leases_.find(id);
  if (it == leases_.end()) return;
  Lease& lease = it->second;
  lease.checkpoint_ms = remaining_ms;
  if (lease.closing) return;
  unschedule(id, lease);
  schedule(id, lease, lease.expires);
}

Lessor::Renewal Lessor::renew(Instant now, store::LeaseId id, store::LeaseKind kind) {
  const auto it = leases_.find(id);
  if (it == leases_.end() || it->second.kind != kind) return Renewal::NotFound;
  Lease& lease = it->second;
  if (lease.closing) return Renewal::Closing;
  if (lease.checkpoint_ms > 0) return Renewal::NeedsReset;
  unschedule(id, lease);
  schedule(id, lease, expiry(now, lease, lease.ttl_ms));
  return Renewal::Renewed;
}

std::optional<Lessor::Time> Lessor::time_of(Instant now, store::LeaseId id, store::LeaseKind kind) const {
  const auto it = leases_.find(id);
  if (it == leases_.end() || it->second.kind != kind) return std::nullopt;
  const Lease& lease = it->second;
  if (lease.expires == Instant::never()) return Time{lease.ttl_ms, lease.ttl_ms};
  return Time{lease.ttl_ms, std::clamp<int64_t>(to_ms(lease.expires - now), 0, lease.ttl_ms)};
}

std::vector<store::LeaseRevoke> Lessor::take_expired(Instant now, size_t limit) {
  std::vector<store::LeaseRevoke> out;
  while (out.size() < limit && !expiries_.empty() && expiries_.begin()->first <= now) {
    const store::LeaseId id = expiries_.begin()->second;
    Lease& lease = leases_.at(id);
    lease.closing = true;
    unschedule(id, lease);
    out.push_back({.id = id, .kind = lease.kind, .generation = lease.generation});
  }
  return out;
}

void Lessor::not_ended(const store::LeaseRevoke& end, Instant retry) {
  const auto it = leases_.find(end.id);
  if (it == leases_.end() || !it->second.closing || it->second.generation != end.generation) return;
  it->second.closing = false;
  schedule(end.id, it->second, std::max(it->second.expires, retry));
}

std::vector<store::LeaseCheckpoint::Item> Lessor::take_checkpoints(Instant now, size_t limit) {
  std::vector<store::LeaseCheckpoint::Item> out;
  while (out.size() < limit && !checkpoints_.empty() && checkpoints_.begin()->first <= now) {
    const store::LeaseId id = checkpoints_.begin()->second;
    Lease& lease = leases_.at(id);
    const int64_t remaining = std::max<int64_t>(to_ms(lease.expires - now), 1);
    out.push_back({id, remaining});
    // Until the log says so (checkpointed()), do not ask again: half of the rest is the next time.
    checkpoints_.erase(checkpoints_.begin());
    lease.checkpoint_at = now + milliseconds(std::max(remaining / 2, kShortestCheckpointMs));
    checkpoints_.emplace(lease.checkpoint_at, id);
  }
  return out;
}

Instant Lessor::next_deadline() const {
  Instant next = Instant::never();
  if (!expiries_.empty()) next = std::min(next, expiries_.begin()->first);
  if (!checkpoints_.empty()) next = std::min(next, checkpoints_.begin()->first);
  return next;
}

}  // namespace witan::node
