// What a checker says when a recorded history breaks a promise. No violation means that the history keeps it.
//
// All checkers of this room are pure: they read a finished history and return sentences. Times in a history are
// instants of the one virtual clock of the world that recorded it, so that instants of different members can be
// compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace witan::verify {

struct Violation {
  std::string rule;                 // its short name; the headers of this room list them
  std::string what;                 // one sentence with the numbers
  std::vector<std::string> window;  // the smallest part of the history that shows it, a line each
};

// How a call ended, as its client knows it (core P2).
enum class Outcome : uint8_t {
  Ok,       // done, and the reply says how
  Failed,   // certainly not done, neither then nor later
  Unknown,  // done or not, perhaps only after the client had given up
};

std::string_view outcome_name(Outcome outcome);

// Collects violations up to a bound: one broken rule can break a thousand calls, and the first few tell it all.
class Findings {
 public:
  static constexpr size_t kMost = 10;

  void add(std::string rule, std::string what, std::vector<std::string> window = {});
  bool full() const { return violations_.size() >= kMost; }
  // Empties it.
  std::vector<Violation> take() { return std::exchange(violations_, {}); }

 private:
  std::vector<Violation> violations_;
};

// The violation as a person reads it: rule and sentence, then the window, indented.
std::string describe(const Violation& violation);

// Milliseconds of the world's clock, to the nanosecond.
std::string describe(Instant instant);

// Bytes in quotes, anything unprintable escaped, the middle of long ones left out.
std::string printable(std::string_view bytes);

}  // namespace witan::verify
