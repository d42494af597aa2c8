// Who may do what, in one place (core C6): called where a read runs, where a command applies, where an event is
// delivered.
#pragma once

#include <span>
#include <string_view>

#include "store/types.h"

namespace witan::store {

enum class Access : uint8_t { Read, Write };

// Until security exists it says yes. `principals` are those of the command's or the request's header.
inline bool authorize(std::span<const std::string_view> /*principals*/, Access /*access*/,
                      const KeyRangeView& /*range*/) {
  return true;
}

}  // namespace witan::store
