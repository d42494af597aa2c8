#include "store/acl.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/coding.h"

namespace witan::store {
namespace {

constexpr AclEntry kOpen{.permissions = perm::kAll, .scheme = "world", .id = "anyone"};

struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  size_t size = 0;  // 4 or 16; 0: none
};

IpAddress parse_v4(std::string_view text) {
  IpAddress out;
  for (size_t i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return {};
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + dot, value);
    if (error != std::errc() || end != text.data() + dot || value > 255) return {};
    out.bytes[i] = static_cast<uint8_t>(value);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  out.size = text.empty() ? 4 : 0;
  return out;
}

// Groups of hexadecimal digits around at most one "::".
IpAddress parse_v6(std::string_view text) {
  std::vector<uint16_t> groups;
  std::optional<size_t> gap;
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty() && groups.size() < 8) {
    const size_t colon = std::min(text.find(':'), text.size());
    uint16_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + colon, value, 16);
    if (error != std::errc() || end != text.data() + colon) return {};
    groups.push_back(value);
    text.remove_prefix(colon);
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.starts_with(':')) {
      if (gap) return {};
      gap = groups.size();
      text.remove_prefix(1);
    } else if (text.empty()) {
      return {};
    }
  }
  if (!text.empty() || (gap ? groups.size() > 7 : groups.size() != 8)) return {};
  if (gap) groups.insert(groups.begin() + static_cast<std::ptrdiff_t>(*gap), 8 - groups.size(), uint16_t{0});
  IpAddress out{.size = 16};
  for (size_t i = 0; i < 8; ++i) {
    out.bytes[2 * i] = static_cast<uint8_t>(groups[i] >> 8);
    out.bytes[2 * i + 1] = static_cast<uint8_t>(groups[i]);
  }
  return out;
}

IpAddress parse_ip(std::string_view text) {
  return text.find(':') == std::string_view::npos ? parse_v4(text) : parse_v6(text);
}

// `pattern` is "address" or "address/bits".
bool matches_ip(std::string_view address, std::string_view pattern) {
  const size_t slash = pattern.find('/');
  const IpAddress want = parse_ip(pattern.substr(0, slash));
  const IpAddress have = parse_ip(address);
  if (want.size == 0 || want.size != have.size) return false;
  size_t bits = want.size * 8;
  if (slash != std::string_view::npos) {
    const std::string_view number = pattern.substr(slash + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
    if (error != std::errc() || end != number.data() + number.size() || bits > want.size * 8) return false;
  }
  for (size_t i = 0; i < bits; ++i) {
    const auto mask = static_cast<uint8_t>(0x80u >> (i % 8));
    if (((want.bytes[i / 8] ^ have.bytes[i / 8]) & mask) != 0) return false;
  }
  return true;
}

bool matches(std::string_view principal, const AclEntry& entry) {
  const size_t colon = principal.find(':');
  if (colon == std::string_view::npos || principal.substr(0, colon) != entry.scheme) return false;
  const std::string_view id = principal.substr(colon + 1);
  // ZooKeeper's SASLAuthenticationProvider lets this user pass for every other one.
  if (entry.scheme == "sasl" && id == "super") return true;
  return entry.scheme == "ip" ? matches_ip(id, entry.id) : id == entry.id;
}

}  // namespace

void append_acl_entry(std::string& acl, const AclEntry& entry) {
  put_varint(acl, entry.permissions);
  put_varint(acl, entry.scheme.size());
  acl.append(entry.scheme);
  put_varint(acl, entry.id.size());
  acl.append(entry.id);
}

std::string encode_acl(std::span<const AclEntry> entries) {
  if (std::all_of(entries.begin(), entries.end(), [](const AclEntry& entry) { return entry == kOpen; })) return {};
  std::string out;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (std::find(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(i), entries[i]) ==
        entries.begin() + static_cast<std::ptrdiff_t>(i)) {
      append_acl_entry(out, entries[i]);
    }
  }
  return out;
}

std::optional<AclEntry> AclReader::next() {
  if (std::exchange(open_, false)) return kOpen;
  if (rest_.empty()) return std::nullopt;
  ByteReader r(rest_);
  AclEntry out;
  const uint64_t permissions = r.varint();
  out.permissions = static_cast<uint32_t>(permissions);
  out.scheme = r.bytes(r.varint());
  out.id = r.bytes(r.varint());
  if (!r.ok() || permissions > UINT32_MAX) return std::nullopt;
  rest_.remove_prefix(rest_.size() - r.remaining());
  return out;
}

bool is_acl(std::string_view acl) {
  AclReader r(acl);
  while (r.next()) {
  }
  return r.ok();
}

bool allows(std::string_view acl, std::span<const std::string_view> principals, uint32_t permissions) {
  if (acl.empty()) return true;
  if (std::any_of(principals.begin(), principals.end(), [](std::string_view p) { return p == kSuperPrincipal; })) {
    return true;
  }
  AclReader r(acl);
  while (const auto entry = r.next()) {
    if ((entry->permissions & permissions) == 0) continue;
    if (entry->scheme == "world" && entry->id == "anyone") return true;
    if (std::any_of(principals.begin(), principals.end(), [&](std::string_view p) { return matches(p, *entry); })) {
      return true;
    }
  }
  return false;
}

}  // namespace witan::store
