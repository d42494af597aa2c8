// CHECK is for what cannot happen. It is on in every build: a process that has lost its invariants
// must stop before it tells a lie to a client or to a disk.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace witan {

// Prints the message to standard error and aborts. Never returns, never throws.
[[noreturn]] void die(const char* file, int line, std::string_view condition, const std::string& message);

// Told the text of a failed CHECK before the process aborts (a simulated world prints its seed here).
// Process-wide because a failed CHECK ends the process; install it once, from main().
using DeathHook = void (*)(std::string_view message);
void on_death(DeathHook hook);

}  // namespace witan

// CHECK(condition) or CHECK(condition, "format {}", arguments...)
#define CHECK(condition, ...) \
  do { \
    if (!(condition)) [[unlikely]] { \
      ::witan::die(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    } \
  } while (false)
