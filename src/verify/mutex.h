// What a lock promises, and an election likewise: one holder at a time, and tokens by which a resource can tell an old
// holder from a new one. The rules:
//
//   exclusive  holds of one lock do not overlap in time
//   fencing    a later hold has a greater token
//   fenced     writes that carry tokens take effect in the order of the tokens
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "verify/violation.h"

namespace witan::verify {

// From the answer that gave the lock until its holder asked to release it or had to assume that its lease was over.
struct Hold {
  std::string holder;
  int64_t token = 0;  // the create revision of the key that holds it
  Instant from;
  Instant until;  // Instant::never(): until the end of the world
};

// A write guarded by a comparison with the holder's key.
struct FencedWrite {
  int64_t token = 0;
  int64_t revision = 0;  // at which it took effect
};

// All of one lock, in any order.
std::vector<Violation> check_mutex(const std::vector<Hold>& holds, const std::vector<FencedWrite>& writes = {});

}  // namespace witan::verify
