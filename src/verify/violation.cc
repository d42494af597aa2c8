#include "verify/violation.h"

#include <cstdlib>

#include <fmt/format.h>

namespace witan::verify {

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::Ok: return "ok";
    case Outcome::Failed: return "failed";
    case Outcome::Unknown: return "unknown";
  }
  return "?";
}

void Findings::add(std::string rule, std::string what, std::vector<std::string> window) {
  if (full()) return;
  violations_.push_back({.rule = std::move(rule), .what = std::move(what), .window = std::move(window)});
}

std::string describe(const Violation& violation) {
  std::string text = fmt::format("{}: {}", violation.rule, violation.what);
  for (const std::string& line : violation.window) text += "\n    " + line;
  return text;
}

std::string describe(Instant instant) {
  if (instant == Instant::never()) return "never";
  constexpr int64_t kMillisecond = 1'000'000;
  const int64_t below = instant.ns % kMillisecond;
  return fmt::format("{}{}.{:06}ms", instant.ns < 0 ? "-" : "", std::abs(instant.ns / kMillisecond), std::abs(below));
}

std::string printable(std::string_view bytes) {
  constexpr size_t kMost = 40;
  constexpr size_t kEnd = 8;
  const auto append = [](std::string& out, std::string_view part) {
    for (const char c : part) {
      if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
        out += c;
      } else {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
    }
  };
  std::string out = "\"";
  if (bytes.size() <= kMost) {
    append(out, bytes);
    return out + '"';
  }
  append(out, bytes.substr(0, kMost - kEnd));
  out += fmt::format("\"..{} bytes..\"", bytes.size());
  append(out, bytes.substr(bytes.size() - kEnd));
  return out + '"';
}

}  // namespace witan::verify
