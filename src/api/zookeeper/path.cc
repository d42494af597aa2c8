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

std::string jute_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto put = [&out](uint32_t surrogate) {
    out += static_cast<char>(0xe0 | surrogate >> 12);
    out += static_cast<char>(0x80 | (surrogate >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (surrogate & 0x3f));
  };
  while (!text.empty()) {
    const size_t bytes = first_character(text).bytes;
    if (bytes == 4) {
      const auto bits = [text](size_t i) { return static_cast<uint32_t>(text[i]) & 0x3f; };
      const uint32_t character = (bits(0) & 7) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3);
      put(0xd800 + ((character - 0x10000) >> 10));
      put(0xdc00 + ((character - 0x10000) & 0x3ff));
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace witan::api::zookeeper
