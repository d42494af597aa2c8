// What a lease promises its holder. The rules:
//
//   early    it does not end before its TTL has passed since the last request that was acknowledged was *sent*, as the
//            fastest allowed clock measures it, unless its client had asked for its end
//   lie      no renewal is acknowledged that was sent after the end, or of a lease that never was
//   phantom  "no such lease" and "revoked" are said only when it had ended by then
//   late     once it is abandoned and the faults are over, it ends within a grace and its TTL, as the slowest allowed
//            clock measures it
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "verify/violation.h"

namespace witan::verify {

struct Renewal {
  Instant sent;
  Instant returned;
  bool acknowledged = false;  // an answer came; without one nothing is known
  Duration ttl{0};            // the answer; 0: "no such lease"
};

struct LeaseHistory {
  int64_t id = 0;
  Duration ttl{0};  // as granted
  Instant grant_sent;
  bool granted = true;  // false: the grant took effect nowhere
  std::vector<Renewal> renewals;
  std::optional<Instant> revoke_sent;          // the client's first wish to end it
  std::optional<Instant> revoke_acknowledged;  // when it was told that one was fulfilled
  std::optional<Instant> ended;                // first applied anywhere
  Instant abandoned = Instant::never();        // since then the client sends no renewals
};

struct LeaseRules {
  int64_t max_drift_per_mille = 0;  // how much faster or slower than the world a member's clock may run; < 1000
  Duration grace{0};                // for elections, scans and the log, on top of the TTL
  Instant end_of_faults;
  Instant end_of_world;  // what was due later is not judged
};

std::vector<Violation> check_lease(const LeaseHistory& lease, const LeaseRules& rules);

std::string describe(const Renewal& renewal);

}  // namespace witan::verify
