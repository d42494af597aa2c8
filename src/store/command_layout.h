// Where things stand in an encoded command: docs/formats/command.md. For the codec's two halves and its tests only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace witan::store {

inline constexpr uint32_t kCommandFormat = 1;
inline constexpr uint32_t kFeatureOfNodes = 2;  // sessions and nodes of the ZooKeeper view
inline constexpr uint32_t kFeatureLevel = 2;    // what this program knows (core C5)

// Each fixed field is its protobuf tag, one byte, and then the number.
inline constexpr size_t kFormatOffset = 1;
inline constexpr size_t kFeatureOffset = 6;
inline constexpr size_t kStampOffset = 11;
inline constexpr size_t kMemberOffset = 20;
inline constexpr size_t kIncarnationOffset = 29;
inline constexpr size_t kRequestOffset = 38;
inline constexpr size_t kFixedSize = 46;

inline constexpr char kFormatTag = 1 << 3 | 5;
inline constexpr char kFeatureTag = 2 << 3 | 5;
inline constexpr char kStampTag = 3 << 3 | 1;
inline constexpr char kMemberTag = 4 << 3 | 1;
inline constexpr char kIncarnationTag = 5 << 3 | 1;
inline constexpr char kRequestTag = 6 << 3 | 1;

inline constexpr uint32_t kFirstBodyField = 16;  // plus the body's index in the variant

// Hostile peers must not make a small entry into a large tree: an operation takes two bytes here and some 200 decoded.
// Both bounds are far above what any API accepts (etcd's default is 128 operations).
inline constexpr size_t kMaxDepth = 64;
inline constexpr size_t kMaxOperations = 65536;  // with compares, checkpoint items and principals

inline bool has_fixed_part(std::string_view bytes) {
  return bytes.size() >= kFixedSize && bytes[kFormatOffset - 1] == kFormatTag &&
         bytes[kFeatureOffset - 1] == kFeatureTag && bytes[kStampOffset - 1] == kStampTag &&
         bytes[kMemberOffset - 1] == kMemberTag && bytes[kIncarnationOffset - 1] == kIncarnationTag &&
         bytes[kRequestOffset - 1] == kRequestTag;
}

}  // namespace witan::store
