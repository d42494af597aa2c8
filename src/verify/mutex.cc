#include "verify/mutex.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace witan::verify {
namespace {

std::string text_of(const Hold& hold) {
  return fmt::format("{} with token {} [{}, {}]", hold.holder, hold.token, describe(hold.from), describe(hold.until));
}

std::string text_of(const FencedWrite& write) {
  return fmt::format("a write with token {} at revision {}", write.token, write.revision);
}

}  // namespace

std::vector<Violation> check_mutex(const std::vector<Hold>& holds, const std::vector<FencedWrite>& writes) {
  Findings findings;
  std::vector<Hold> in_time = holds;
  std::ranges::sort(in_time, {}, [](const Hold& hold) { return std::tuple(hold.from, hold.until, hold.token); });
  // The one that lasts longest so far: a short hold inside of a long one must not hide what else overlaps with that.
  const Hold* longest = nullptr;
  for (size_t i = 0; i < in_time.size(); ++i) {
    const Hold& hold = in_time[i];
    if (longest != nullptr && hold.from < longest->until) {
      findings.add("exclusive", "two hold it at once", {text_of(*longest), text_of(hold)});
    }
    if (i > 0 && hold.token <= in_time[i - 1].token) {
      findings.add("fencing", "a later hold has no greater token", {text_of(in_time[i - 1]), text_of(hold)});
    }
    if (longest == nullptr || hold.until > longest->until) longest = &hold;
  }

  std::vector<FencedWrite> in_order = writes;
  std::ranges::sort(in_order, {}, [](const FencedWrite& write) { return std::pair(write.revision, write.token); });
  for (size_t i = 1; i < in_order.size(); ++i) {
    if (in_order[i].token >= in_order[i - 1].token) continue;
    findings.add("fenced", "an old holder writes after a new one", {text_of(in_order[i - 1]), text_of(in_order[i])});
  }
  return findings.take();
}

}  // namespace witan::verify
