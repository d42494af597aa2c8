// Paths as ZooKeeper's clients write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace witan::api::zookeeper {

// A path a node may have: absolute, no empty, "." or ".." component, no slash at the end but that of "/" itself, none
// of the characters ZooKeeper refuses, and within the bounds of the store's view (store/path.h). Bytes that are no
// UTF-8 are refused too: ZooKeeper reads U+FFFD for them, which it refuses in a path.
bool is_legal_path(std::string_view path);

// Everything before the last slash, as create and delete look the parent up before they judge the path itself:
// "/a/b/" -> "/a/b"; "/" for a child of the root and, as ZooKeeper has a node above it, for the root itself. Nullopt:
// no slash, or a NUL (BADARGUMENTS).
std::optional<std::string_view> parent_path(std::string_view path);

// `path` with the counter of its parent behind it in ten digits. A counter that has run over prints as -2147483648.
std::string sequential_path(std::string_view path, int32_t counter);

// What Java makes of `bytes` when it reads them as UTF-8: the longest prefixes of what could have been a character each
// become U+FFFD. Text that a server keeps or echoes (ACL ids, sync) goes through it.
std::string java_text(std::string_view bytes);

// How a Java server writes that text: a character beyond the sixteen bits of Java's own, four bytes of UTF-8, as its
// two surrogates, three bytes each.
std::string jute_text(std::string_view text);

}  // namespace witan::api::zookeeper
