// Values as people write them in flags, environment variables and files. Errors are half a sentence that says what is
// wrong with the text; the caller says where it stood.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/time.h"

namespace witan::server {

template <class T>
using Parsed = std::expected<T, std::string>;

// A whole number from `low` to `high`.
Parsed<uint64_t> parse_number(std::string_view text, uint64_t low, uint64_t high);

// "1h", "90s", "1h30m", "250ms"; a bare 0 too.
Parsed<Duration> parse_duration(std::string_view text);

// Bytes: "64MiB", "1.5 MiB", "10MB", "4096"; at most 2^62.
Parsed<uint64_t> parse_bytes(std::string_view text);

// The one of `names` that `text` was probably meant to be; empty when none is near. The names are told apart by edits.
template <class Names>
std::string_view nearest_name(std::string_view text, const Names& names);

// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
size_t edits_between(std::string_view a, std::string_view b);

template <class Names>
std::string_view nearest_name(std::string_view text, const Names& names) {
  std::string_view best;
  size_t fewest = text.size() / 3 + 2;
  for (const std::string_view name : names) {
    if (const size_t edits = edits_between(text, name); edits < fewest) {
      fewest = edits;
      best = name;
    }
  }
  return best;
}

}  // namespace witan::server
