#include "server/values.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace witan::server {
namespace {

// A decimal number off the front, with up to nine places after the point, as billionths.
struct Decimal {
  uint64_t whole = 0;
  uint64_t billionths = 0;
};

std::optional<Decimal> take_decimal(std::string_view& rest) {
  Decimal value;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value.whole);
  if (error != std::errc()) return {};
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  if (!rest.starts_with('.')) return value;
  rest.remove_prefix(1);
  uint64_t place = 100'000'000;
  size_t digits = 0;
  while (digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9') {
    value.billionths += place * static_cast<uint64_t>(rest[digits] - '0');
    place /= 10;
    ++digits;
  }
  if (digits == 0) return {};
  rest.remove_prefix(digits);
  return value;
}

// value * unit, or nothing when it exceeds `most`.
std::optional<uint64_t> scaled(const Decimal& value, uint64_t unit, uint64_t most) {
  __extension__ using Wide = unsigned __int128;
  const Wide total = Wide{value.whole} * unit + Wide{value.billionths} * unit / 1'000'000'000;
  if (total > most) return {};
  return static_cast<uint64_t>(total);
}

struct Unit {
  std::string_view name;
  uint64_t size;
};

// The unit with the longest name that `rest` begins with, taken off it; null when there is none.
template <size_t N>
const Unit* take_unit(std::string_view& rest, const Unit (&units)[N]) {
  const Unit* found = nullptr;
  for (const Unit& unit : units) {
    if (rest.starts_with(unit.name) && (found == nullptr || unit.name.size() > found->name.size())) found = &unit;
  }
  if (found != nullptr) rest.remove_prefix(found->name.size());
  return found;
}

constexpr Unit kTimes[] = {{"ms", 1'000'000},
                           {"s", 1'000'000'000},
                           {"m", 60'000'000'000},
                           {"h", 3'600'000'000'000},
                           {"d", 86'400'000'000'000}};
constexpr Unit kSizes[] = {{"B", 1},
                           {"KB", 1'000},
                           {"MB", 1'000'000},
                           {"GB", 1'000'000'000},
                           {"KiB", 1ull << 10},
                           {"MiB", 1ull << 20},
                           {"GiB", 1ull << 30},
                           {"TiB", 1ull << 40}};

}  // namespace

Parsed<uint64_t> parse_number(std::string_view text, uint64_t low, uint64_t high) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    return std::unexpected(fmt::format("a whole number from {} to {} is expected", low, high));
  }
  return value;
}

Parsed<Duration> parse_duration(std::string_view text) {
  const auto bad = [] { return std::unexpected(std::string("a duration such as 1h, 90s or 250ms is expected")); };
  if (text == "0") return Duration(0);
  constexpr uint64_t kLongest = 100ull * 365 * 86'400 * 1'000'000'000;  // a hundred years, which still fit 64 bits
  uint64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad();
  while (!rest.empty()) {
    const std::optional<Decimal> value = take_decimal(rest);
    const Unit* unit = value ? take_unit(rest, kTimes) : nullptr;
    if (unit == nullptr) return bad();
    const std::optional<uint64_t> part = scaled(*value, unit->size, kLongest);
    if (!part || total + *part > kLongest) return std::unexpected(std::string("at most a hundred years are possible"));
    total += *part;
  }
  return Duration(static_cast<int64_t>(total));
}

Parsed<uint64_t> parse_bytes(std::string_view text) {
  const auto bad = [] { return std::unexpected(std::string("a size such as 64MiB, 1.5GiB or 4096 is expected")); };
  std::string_view rest = text;
  const std::optional<Decimal> value = take_decimal(rest);
  if (!value) return bad();
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  uint64_t size = 1;
  if (!rest.empty()) {
    const Unit* unit = take_unit(rest, kSizes);
    if (unit == nullptr || !rest.empty()) return bad();
    size = unit->size;
  } else if (value->billionths != 0) {
    return bad();
  }
  const std::optional<uint64_t> bytes = scaled(*value, size, 1ull << 62);
  if (!bytes) return std::unexpected(std::string("that is more than any machine has"));
  return *bytes;
}

size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last;
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> now(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before_last[j - 2] + 1);
    }
    before_last = last;
    std::swap(last, now);
  }
  return last[b.size()];
}

}  // namespace witan::server
