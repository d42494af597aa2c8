// Who may do what with a node of the ZooKeeper view: lists of {permissions, scheme, id}, kept as one string.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace witan::store {

// ZooKeeper's bits.
namespace perm {
inline constexpr uint32_t kRead = 1;
inline constexpr uint32_t kWrite = 2;
inline constexpr uint32_t kCreate = 4;
inline constexpr uint32_t kDelete = 8;
inline constexpr uint32_t kAdmin = 16;
inline constexpr uint32_t kAll = 31;
}  // namespace perm

struct AclEntry {
  uint32_t permissions = 0;
  std::string_view scheme;
  std::string_view id;
  friend bool operator==(const AclEntry&, const AclEntry&) = default;
};

// Appends one entry to a list. The list that is only "world:anyone may do all" is written as the empty string, which is
// what most nodes have: see encode_acl.
void append_acl_entry(std::string& acl, const AclEntry& entry);
// The list without repetitions, in order.
std::string encode_acl(std::span<const AclEntry> entries);

// Walks a list; the empty one is the one entry "world:anyone may do all". Stops at damage.
class AclReader {
 public:
  explicit AclReader(std::string_view acl) : rest_(acl), open_(acl.empty()) {}
  std::optional<AclEntry> next();
  // Everything was read and made sense.
  bool ok() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool open_;
};
bool is_acl(std::string_view acl);

// Holds every right on every node.
inline constexpr std::string_view kSuperPrincipal = "super:";

// Whether one of `principals` ("scheme:id") has any of the bits `permissions` under `acl`. Ids of scheme "ip" in a list
// may end in "/bits"; "sasl:super" has the bits of every id of that scheme.
bool allows(std::string_view acl, std::span<const std::string_view> principals, uint32_t permissions);

}  // namespace witan::store
