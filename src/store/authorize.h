// Who may do what, in one place (core C6): called where a read runs, where a command applies, where an event is
// delivered.
#pragma once

#include <span>
#include <string_view>

#include "store/acl.h"
#include "store/types.h"

namespace witan::store {

enum class Access : uint8_t { Read, Write };

// Until security exists it says yes to keys. `principals` are those of the command's or the request's header.
inline bool authorize(std::span<const std::string_view> /*principals*/, Access /*access*/,
                      const KeyRangeView& /*range*/) {
  return true;
}

// The same for a node of the ZooKeeper view with the access list `acl` and any of the bits `permissions` (store/acl.h).
inline bool authorize(std::span<const std::string_view> principals, uint32_t permissions, std::string_view acl) {
  return allows(acl, principals, permissions);
}

}  // namespace witan::store
