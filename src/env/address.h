// host:port, with or without a scheme, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace witan::env {

struct Address {
  std::string host;  // a name, an IPv4 address, or an IPv6 address without brackets
  uint16_t port = 0;

  std::string text() const;  // "host:port", "[::1]:port"
  std::string url() const { return "http://" + text(); }
  friend bool operator==(const Address&, const Address&) = default;
};

// Accepts "host:port", "http://host:port" and a final '/'. Errors: Invalid, with what was expected.
Result<Address> parse_address(std::string_view text);

}  // namespace witan::env
