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
// "/zookeeper" and what is below it: a table of its own, never keys (core T5).
inline constexpr std::string_view kHiddenRoot = "/zookeeper";
inline constexpr std::string_view kQuotaNode = "/zookeeper/quota";
inline constexpr std::string_view kConfigNode = "/zookeeper/config";
inline bool is_hidden(std::string_view path) {
  return path.starts_with(kHiddenRoot) && (path.size() == kHiddenRoot.size() || path[kHiddenRoot.size()] == '/');
}
// Whether a key of this name is a node of the view.
inline bool is_node(std::string_view key) { return !key.empty() && key[0] == '/' && !is_hidden(key) && is_path(key); }
// "/a/b" -> "/a" -> "/". Requires is_path(path) and path != "/".
std::string_view parent_of(std::string_view path);

}  // namespace witan::store
