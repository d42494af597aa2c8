// What things count for in budgets: sizes on a 64-bit machine with malloc's header, fixed so that every member and
// every build counts alike (core C3). docs/decisions/0004-memory-of-a-key.md has the budget.
#pragma once

#include <cstdint>

#include "store/types.h"

namespace witan::store {

inline constexpr int64_t kBlobBytes = 16;     // header and malloc's
inline constexpr int64_t kVersionBytes = 64;  // a Version and malloc's
inline constexpr int64_t kKeyBytes = 36;      // slot in a leaf that is two thirds full
inline constexpr int64_t kChangeBytes = 24;
inline constexpr int64_t kNodeEventBytes = 32;
inline constexpr int64_t kBatchBytes = 88;  // batch without its changes, malloc's, slot in the history
inline constexpr int64_t kStepBytes = 16;   // of a chain that has more than one version

inline int64_t bytes_of(const Blob& blob) {
  return blob.is_null() ? 0 : kBlobBytes + static_cast<int64_t>(blob.size());
}
inline int64_t bytes_of(const Version& version) { return kVersionBytes + bytes_of(version.value); }
// A live key with its present version.
inline int64_t bytes_of_row(const Blob& key, const Version& version) {
  return kKeyBytes + bytes_of(key) + bytes_of(version);
}

}  // namespace witan::store
