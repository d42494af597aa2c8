#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace witan {
namespace {
DeathHook death_hook = nullptr;
}

void on_death(DeathHook hook) { death_hook = hook; }

void die(const char* file, int line, std::string_view condition, const std::string& message) {
  const std::string text =
      fmt::format("{}:{}: CHECK failed: {}{}{}", file, line, condition, message.empty() ? "" : ": ", message);
  std::fprintf(stderr, "%s\n", text.c_str());
  std::fflush(stderr);
  if (death_hook != nullptr) death_hook(text);
  std::abort();
}

}  // namespace witan
