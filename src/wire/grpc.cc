#include "wire/grpc.h"

#include <algorithm>
#include <array>

namespace witan::wire {
namespace {

bool plain(char c) { return c >= 0x20 && c <= 0x7e && c != '%'; }

// The value of a hexadecimal digit, -1 for anything else.
int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::string_view> find_metadata(const Metadata& metadata, std::string_view name) {
  for (const auto& [key, value] : metadata) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::optional<Duration> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  int64_t number = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  switch (text.back()) {
    case 'H':
      // 99,999,999 hours are more than 64 bits of nanoseconds hold.
      return std::chrono::hours(
          std::min<int64_t>(number, std::chrono::duration_cast<std::chrono::hours>(Duration::max()).count()));
    case 'M': return std::chrono::minutes(number);
    case 'S': return std::chrono::seconds(number);
    case 'm': return std::chrono::milliseconds(number);
    case 'u': return std::chrono::microseconds(number);
    case 'n': return std::chrono::nanoseconds(number);
    default: return std::nullopt;
  }
}

void percent_encode(std::string_view message, std::string& out) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : message) {
    if (plain(c)) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      const std::array<char, 3> escaped = {'%', kHex[byte >> 4], kHex[byte & 15]};
      out.append(escaped.data(), escaped.size());
    }
  }
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
    if (low < 0) {
      out.push_back(text[i]);
    } else {
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return out;
}

}  // namespace witan::wire
