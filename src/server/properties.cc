#include "server/properties.h"

#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

namespace witan::server {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\f'; }

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

// Ends at "\n", "\r" or "\r\n", which is taken, too.
std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find_first_of("\r\n"), rest.size());
  const std::string_view line = rest.substr(0, end);
  const bool two = rest.substr(end).starts_with("\r\n");
  rest.remove_prefix(std::min(end + (two ? 2 : 1), rest.size()));
  return line;
}

bool is_continued(std::string_view line) {
  size_t backslashes = 0;
  while (line.ends_with('\\')) {
    line.remove_suffix(1);
    ++backslashes;
  }
  return backslashes % 2 == 1;
}

void put_utf8(std::string& out, uint32_t point) {
  const auto byte = [&](uint32_t value) { out.push_back(static_cast<char>(value)); };
  if (point < 0x80) return byte(point);
  if (point < 0x800) {
    byte(0xc0 | point >> 6);
    return byte(0x80 | (point & 0x3f));
  }
  byte(0xe0 | point >> 12);
  byte(0x80 | (point >> 6 & 0x3f));
  byte(0x80 | (point & 0x3f));
}

// What stands after a backslash; nothing when it is malformed. Halves of surrogate pairs have no place in a file's name
// or a number, which is all that is written here.
std::optional<size_t> put_escape(std::string& out, std::string_view after) {
  switch (after.empty() ? '\0' : after.front()) {
    case '\0': return 0;
    case 't': out.push_back('\t'); return 1;
    case 'n': out.push_back('\n'); return 1;
    case 'r': out.push_back('\r'); return 1;
    case 'f': out.push_back('\f'); return 1;
    case 'u': break;
    default: out.push_back(after.front()); return 1;
  }
  uint32_t point = 0;
  const std::string_view digits = after.substr(1, 4);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
  if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) return std::nullopt;
  if (point >= 0xd800 && point < 0xe000) return std::nullopt;
  put_utf8(out, point);
  return 5;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c != '\\') {
      out.push_back(c);
      continue;
    }
    const std::optional<size_t> taken = put_escape(out, text);
    if (!taken) return std::nullopt;
    text.remove_prefix(*taken);
  }
  return out;
}

// Where the name ends: at the first '=', ':' or blank that no backslash is before.
size_t end_of_name(std::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '=' || line[i] == ':' || is_blank(line[i])) {
      return i;
    }
  }
  return line.size();
}

std::optional<Property> parse_line(std::string_view line, size_t number) {
  const size_t end = end_of_name(line);
  std::string_view value = without_blanks(line.substr(end));
  if (value.starts_with('=') || value.starts_with(':')) value = without_blanks(value.substr(1));
  auto name = unescaped(line.substr(0, end));
  auto text = unescaped(value);
  if (!name || !text) return std::nullopt;
  return Property{.name = std::move(*name), .value = std::move(*text), .line = number};
}

}  // namespace

Result<std::vector<Property>> parse_properties(std::string_view path, std::string_view contents) {
  std::vector<Property> out;
  size_t number = 0;
  while (!contents.empty()) {
    const size_t first = ++number;
    const std::string_view start = without_blanks(take_line(contents));
    if (start.empty() || start.front() == '#' || start.front() == '!') continue;
    std::string line(start);
    while (is_continued(line)) {
      line.pop_back();
      if (contents.empty()) break;
      ++number;
      line += without_blanks(take_line(contents));
    }
    std::optional<Property> property = parse_line(line, first);
    if (!property) {
      return fail(Code::Invalid, fmt::format("{}, line {}: \\u is to be followed by four hexadecimal digits of a "
                                             "character",
                                             path, first));
    }
    out.push_back(std::move(*property));
  }
  return out;
}

}  // namespace witan::server
