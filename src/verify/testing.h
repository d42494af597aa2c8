// What the tests of the checkers share.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "verify/kv.h"
#include "verify/truth.h"
#include "verify/violation.h"

namespace witan::verify {

inline Instant at_ms(int64_t ms) { return Instant{} + milliseconds(ms); }

// Does the operation at the end of the truth, and says what a right server answers.
inline Reply commit(Truth& truth, const Operation& operation, Instant when) {
  Effect effect = evaluate(truth, operation, truth.revision());
  if (!effect.changes.empty()) truth.append(truth.revision() + 1, std::move(effect.changes), when);
  return effect.reply;
}

// The rules that were broken, each once.
inline std::set<std::string> broken(const std::vector<Violation>& violations) {
  std::set<std::string> rules;
  for (const Violation& violation : violations) rules.insert(violation.rule);
  return rules;
}

// For the message of a failed expectation.
inline std::string told(const std::vector<Violation>& violations) {
  std::string text;
  for (const Violation& violation : violations) text += describe(violation) + "\n";
  return text;
}

using Rules = std::set<std::string>;

}  // namespace witan::verify
