// Which keys are nodes of the ZooKeeper view (core T1), and what stands above them.
#pragma once

#include <string_view>

namespace witan::store {

// Bounds of what takes part in the view. A key outside of them is still a key, but no node: one hostile key must not
// make thousands of implied parents. Real trees are a dozen levels deep.
inline constexpr size_t kMaxPathBytes = 4096;
inline constexpr size_t kMaxPathDepth = 64;

// Absolute, no empty, "." or ".." component, no slash at the end except of "/" itself, valid UTF-8 without the
// characters ZooKeeper's PathUtils refuses, within the bounds above.
bool is_path(std::string_view key);
// "/a/b" -> "/a" -> "/". Requires is_path(path) and path != "/".
std::string_view parent_of(std::string_view path);

}  // namespace witan::store
