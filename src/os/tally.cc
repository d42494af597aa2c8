#include "os/tally.h"

#include "base/check.h"

namespace witan::os {

bool Tally::enter(std::string_view name, size_t most) {
  const std::lock_guard lock(mutex_);
  const auto at = counts_.find(name);
  const size_t there = at == counts_.end() ? 0 : at->second;
  if (there >= most) return false;
  if (there == 0) {
    counts_.emplace(name, 1);
  } else {
    ++at->second;
  }
  return true;
}

void Tally::leave(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto at = counts_.find(name);
  CHECK(at != counts_.end(), "one leaves that never came: {}", name);
  if (--at->second == 0) counts_.erase(at);
}

size_t Tally::names() const {
  const std::lock_guard lock(mutex_);
  return counts_.size();
}

}  // namespace witan::os
