#include "api/zookeeper/path.h"

#include <fmt/format.h>

#include "store/path.h"

namespace witan::api::zookeeper {
namespace {

struct Sequence {
  size_t bytes = 1;  // that belong together
  bool good = false;
};

// The character that `rest` begins with, or how much of it Java's decoder takes for one bad one. It follows the Unicode
// standard's "maximal subpart" but for encoded surrogates, which are one bad character and not three.
Sequence first_character(std::string_view rest) {
  const auto byte = [&](size_t i) { return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0u; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // Second bytes that would make the encoding longer than needed, or the character larger than there are.
  const bool bad_second =
      (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f);
  if (!follows(1) || bad_second) return {1, false};
  for (size_t i = 2; i < length; ++i) {
    if (!follows(i)) return {i, false};
  }
  const bool surrogate = lead == 0xed && byte(1) >= 0xa0;
  return {length, !surrogate};
}

}  // namespace

bool is_legal_path(std::string_view path) { return store::is_path(path); }

std::optional<std::string_view> parent_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || path.find('\0') != std::string_view::npos) return std::nullopt;
  return path.substr(0, slash == 0 ? 1 : slash);
}

std::string sequential_path(std::string_view path, int32_t counter) { return fmt::format("{}{:010d}", path, counter); }

std::string java_text(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Sequence sequence = first_character(bytes);
    out += sequence.good ? bytes.substr(0, sequence.bytes) : std::string_view("\xef\xbf\xbd");
    bytes.remove_prefix(sequence.bytes);
  }
  return out;
}

}  // namespace witan::api::zookeeper
