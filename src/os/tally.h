// The real tally: a map under a mutex, since its users come and go far less often than they work.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "env/tally.h"

namespace witan::os {

class Tally final : public env::Tally {
 public:
  bool enter(std::string_view name, size_t most) override;
  void leave(std::string_view name) override;
  // Names of which there is at least one.
  size_t names() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, size_t, std::less<>> counts_;  // guarded by mutex_; none is 0
};

}  // namespace witan::os
