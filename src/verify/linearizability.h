// White-box linearizability: the world knows the order in which everything was committed, so nothing has to be
// searched. Each call is held against the revision it claims; the time is linear but for a sort.
//
// With position(write that made revision R) = 2R and position(read answered at R) = 2R + 1, these rules say that the
// calls took effect in the order of their positions, each at one instant between its invocation and its return:
//
//   history     each change follows from the revision before it: `before` is what was there, and `after` carries the
//               right create, mod and version numbers
//   reply       an Ok call answers exactly what evaluate() says on the state it claims: its revision for what changed
//               nothing, the one before for what did; a failure that the server names is one that was possible
//   effect      an Ok call that says it changed something changed exactly that at the revision of its reply
//   claim       one revision has one cause
//   unexplained every revision has a cause: an Ok call, an Unknown call, a lease's end, or the server's own services
//   not-applied nothing that a Failed call would have put ever appears
//   lease-end   a lease's end deletes all keys of one lease, and nothing else
//   real-time   a call invoked after another returned has no smaller position, and a greater one if it writes
//   time        what a call did was not applied before it was invoked, nor seen before it was applied
//
// Serializable reads are exempt from real-time only. A client that invokes a call at the very instant at which another
// of its calls returns is taken to do so because it returned.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "verify/kv.h"
#include "verify/truth.h"
#include "verify/violation.h"

namespace witan::verify {

struct Call {
  int client = 0;
  int member = 0;  // who was asked
  Operation operation;
  Instant invoked;
  Instant returned;  // of an Unknown call: when the client gave up
  Outcome outcome = Outcome::Unknown;
  Reply reply;                // of an Ok call; of a Failed one the failure alone, where the server named one
  bool serializable = false;  // a read that may be served from the past
};

// What made revisions that no call made.
struct Explanations {
  std::set<int64_t> lease_ends;                // revisions of expiries and revocations
  std::vector<std::string> internal_prefixes;  // a revision changing only keys below these is the lock service's own
};

std::vector<Violation> check_linearizability(const Truth& truth, const std::vector<Call>& calls,
                                             const Explanations& explanations = {});

// A line for a window.
std::string describe(const Call& call);

}  // namespace witan::verify
