// Black-box linearizability of one register, which is one key: is there any order of the calls that fits both their
// answers and real time? It believes nothing but what clients saw. The search is Wing and Gong's (1993) with Lowe's
// memoisation (2017): exponential at worst, so it has a budget; histories of a few hundred calls with a handful at a
// time take milliseconds.
//
// The only rule is `linearizability`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "verify/violation.h"

namespace witan::verify {

// What a register holds; nothing when the key does not exist.
using RegisterValue = std::optional<std::string>;

struct RegisterRead {
  RegisterValue value;  // what was read
};
struct RegisterWrite {
  std::string value;
};
struct RegisterDelete {};
struct RegisterCompareAndSet {
  RegisterValue expected;
  RegisterValue desired;
  bool swapped = false;  // the answer; nothing is known of it when the outcome is Unknown
};

struct RegisterCall {
  std::variant<RegisterRead, RegisterWrite, RegisterDelete, RegisterCompareAndSet> action;
  Instant invoked;
  Instant returned;  // of an Ok call; a Failed one never happened, an Unknown one at any time after `invoked` or never
  Outcome outcome = Outcome::Ok;
};

struct RegisterOptions {
  RegisterValue initial;
  uint64_t step_budget = 500'000;  // states looked at; some seconds at most
};

enum class Verdict : uint8_t { Linearizable, NotLinearizable, Undecided };

struct RegisterJudgement {
  Verdict verdict = Verdict::Undecided;
  uint64_t steps = 0;
  // One when NotLinearizable. Its window ends with the first call that no order explains, and leaves out what was read
  // before that makes no difference.
  std::vector<Violation> violations;
};

RegisterJudgement check_register(const std::vector<RegisterCall>& calls, const RegisterOptions& options = {});

std::string describe(const RegisterCall& call);

}  // namespace witan::verify
