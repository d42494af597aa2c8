// Time as data: instants come in as arguments, nobody reads a clock (architecture rule 1).
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace witan {

using Duration = std::chrono::nanoseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A point of a monotonic clock whose zero means nothing. Never compared across members.
struct Instant {
  int64_t ns = 0;

  static constexpr Instant never() { return Instant{std::numeric_limits<int64_t>::max()}; }
  friend constexpr auto operator<=>(Instant, Instant) = default;
  friend constexpr Instant operator+(Instant a, Duration d) { return Instant{a.ns + d.count()}; }
  friend constexpr Instant operator-(Instant a, Duration d) { return Instant{a.ns - d.count()}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return Duration(a.ns - b.ns); }
};

// Milliseconds since 1970 UTC, as a person's clock shows them. Only ever a stamp, never a deadline.
struct WallTime {
  int64_t ms = 0;
  friend constexpr auto operator<=>(WallTime, WallTime) = default;
};

}  // namespace witan
