// The leader's clockwork of leases (core L): deadlines live here and nowhere else, expiry is a proposal, and what
// a client was promised is never shortened. A value: time comes in as an argument.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/time.h"
#include "store/command.h"
#include "store/types.h"

namespace witan::node {

class Lessor {
 public:
  struct Known {
    store::LeaseId id;
    store::LeaseKind kind = store::LeaseKind::Etcd;
    int64_t ttl_ms = 0;
    int64_t checkpoint_ms = 0;  // remaining time as last written to the log; 0: none, the full TTL
    uint64_t generation = 0;    // of a session
  };

  // `allowance` is what a session gets beyond its TTL: how old a renewal may be that its member reports (core L6).
  explicit Lessor(Duration allowance = {}) : allowance_(allowance) {}

  // Every lease that the state holds when this member begins to lead. Deadlines start from the checkpoints,
  // `grace` later, because a client may have been promised time by the old leader while it still led (core L3).
  void lead(Instant now, Duration grace, const std::vector<Known>& leases);
  void follow();  // forgets all deadlines
  bool leading() const { return leading_; }

  // What apply did. Ignored unless leading.
  void granted(Instant now, const Known& lease);
  void ended(store::LeaseId id);
  void checkpointed(store::LeaseId id, int64_t remaining_ms);

  enum class Renewal : uint8_t {
    Renewed,
    NotFound,
    Closing,     // its end is proposed: wait for the outcome (core L2)
    NeedsReset,  // it has a checkpoint that must be reset in the log first (core L3)
  };
  // Requires a quorum confirmation that began after the renewal arrived (core L2); the caller has it.
  Renewal renew(Instant now, store::LeaseId id, store::LeaseKind kind);
  // TTL and remaining time; nullopt when there is no such lease.
  struct Time {
    int64_t ttl_ms = 0;
    int64_t remaining_ms = 0;
  };
  std::optional<Time> time_of(Instant now, store::LeaseId id, store::LeaseKind kind) const;

  // How to end leases whose time is over, at most `limit`; each is closing from now on. A session is ended as it
  // stands: if it is attached again before, it lives (core L5).
  std::vector<store::LeaseRevoke> take_expired(Instant now, size_t limit);
  // Its end was certainly not appended, or was and failed: it lives, and is due again, `retry` at the earliest.
  void not_ended(const store::LeaseRevoke& end, Instant retry);

  // Remaining times worth writing down: a lease is due when it has used up half of what a new leader would give it,
  // so one that is kept alive never is, and any other only logarithmically often.
  std::vector<store::LeaseCheckpoint::Item> take_checkpoints(Instant now, size_t limit);

  Instant next_deadline() const;

 private:
  struct Lease {
    store::LeaseKind kind = store::LeaseKind::Etcd;
    int64_t ttl_ms = 0;
    int64_t checkpoint_ms = 0;
    uint64_t generation = 0;
    Instant expires;
    Instant checkpoint_at;
    bool closing = false;
  };
  using Deadlines = std::set<std::pair<Instant, store::LeaseId>>;

  Instant expiry(Instant now, const Lease& lease, int64_t ms) const;
  void schedule(store::LeaseId id, Lease& lease, Instant expires);
  void unschedule(store::LeaseId id, const Lease& lease);
  static Instant checkpoint_time(const Lease& lease);

  const Duration allowance_;
  bool leading_ = false;
  std::map<store::LeaseId, Lease> leases_;
  Deadlines expiries_;     // of those not closing
  Deadlines checkpoints_;  // the same leases
};

}  // namespace witan::node
