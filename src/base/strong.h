// Numbers of different meanings are different types: a Term is never passed where an Index is meant.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

#include <fmt/format.h>

namespace witan {

// A number with a name. Arithmetic is limited to what counters need: +n, -n, and the distance of two.
template <class Tag, class Rep = uint64_t>
struct Strong {
  using rep = Rep;
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}

  friend constexpr auto operator<=>(Strong, Strong) = default;
  constexpr Strong& operator++() {
    ++value;
    return *this;
  }
  friend constexpr Strong operator+(Strong a, Rep n) { return Strong(static_cast<Rep>(a.value + n)); }
  friend constexpr Strong operator-(Strong a, Rep n) { return Strong(static_cast<Rep>(a.value - n)); }
  friend constexpr Rep operator-(Strong a, Strong b) { return static_cast<Rep>(a.value - b.value); }

  template <class H>
  friend H AbslHashValue(H h, Strong s) {
    return H::combine(std::move(h), s.value);
  }
};

}  // namespace witan

template <class Tag, class Rep>
struct std::hash<witan::Strong<Tag, Rep>> {
  size_t operator()(witan::Strong<Tag, Rep> s) const noexcept { return std::hash<Rep>{}(s.value); }
};

template <class Tag, class Rep>
struct fmt::formatter<witan::Strong<Tag, Rep>> : fmt::formatter<Rep> {
  template <class Context>
  auto format(witan::Strong<Tag, Rep> s, Context& context) const {
    return fmt::formatter<Rep>::format(s.value, context);
  }
};
