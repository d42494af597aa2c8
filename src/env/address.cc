#include "env/address.h"

#include <charconv>

#include <fmt/format.h>

namespace witan::env {

std::string Address::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<Address> parse_address(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::Invalid,
                fmt::format("'{}' is not an address: {}; write host:port, such as 127.0.0.1:2379", text, why));
  };
  std::string_view rest = text;
  if (rest.starts_with("https://")) return bad("TLS is not available yet");
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return bad("the port is missing");
  std::string_view host = rest.substr(0, colon);
  const std::string_view digits = rest.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address needs brackets");
  }
  if (host.empty()) return bad("the host is missing");
  if (host.find_first_of("/@ ,=") != std::string_view::npos) return bad("the host has a character it cannot have");
  Address address{.host = std::string(host), .port = 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
    return bad("the port is not a number from 0 to 65535");
  }
  return address;
}

}  // namespace witan::env
