#include "store/path.h"

#include <cstdint>

#include "base/check.h"

namespace witan::store {
namespace {

// Takes one character off the front; 0xffffffff when it is not valid UTF-8.
uint32_t take_character(std::string_view& rest) {
  const auto byte = [&](size_t i) { return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0u; };
  const uint32_t lead = byte(0);
  size_t length = 1;
  uint32_t character = lead;
  uint32_t least = 0;
  if (lead >= 0xf0) {
    length = 4, character = lead & 0x07, least = 0x10000;
  } else if (lead >= 0xe0) {
    length = 3, character = lead & 0x0f, least = 0x800;
  } else if (lead >= 0xc0) {
    length = 2, character = lead & 0x1f, least = 0x80;
  } else if (lead >= 0x80) {
    return UINT32_MAX;
  }
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return UINT32_MAX;
    character = character << 6 | (byte(i) & 0x3f);
  }
  rest.remove_prefix(length);
  return character < least || character > 0x10ffff || lead >= 0xf8 ? UINT32_MAX : character;
}

// ZooKeeper's PathUtils.validatePath, ranges of UTF-16 units there: the surrogates it refuses are what characters above
// the first plane are made of, so those are refused with them.
bool is_refused(uint32_t c) {
  return c <= 0x1f || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xf8ff) || c >= 0xfff0;
}

}  // namespace

bool is_path(std::string_view key) {
  if (key.empty() || key[0] != '/' || key.size() > kMaxPathBytes) return false;
  if (key.size() == 1) return true;
  size_t depth = 0;
  std::string_view rest = key;
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the slash
    const char* const begin = rest.data();
    while (!rest.empty() && rest[0] != '/') {
      if (rest[0] > 0x1f && rest[0] < 0x7f) {
        rest.remove_prefix(1);  // nearly always
      } else if (is_refused(take_character(rest))) {
        return false;
      }
    }
    const std::string_view component(begin, static_cast<size_t>(rest.data() - begin));
    if (component.empty() || component == "." || component == "..") return false;
    if (++depth > kMaxPathDepth) return false;
  }
  return true;
}

std::string_view parent_of(std::string_view path) {
  CHECK(path.size() > 1, "the root has no parent");
  const size_t slash = path.rfind('/');
  return path.substr(0, slash == 0 ? 1 : slash);
}

}  // namespace witan::store
