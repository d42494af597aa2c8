// The padding between a snapshot's state and its SHA-256: zeros up to a multiple of 512 bytes, the last 16 of them
// replaced by a magic word and the length of the state (8 bytes, little-endian). Whoever restores such a file reads the
// trailer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace witan::api::etcd {

inline constexpr size_t kSnapshotAlignment = 512;
inline constexpr std::string_view kSnapshotTrailer = "WITANPAD";

// Appends to `tail` what must follow a state of `length` bytes.
void append_snapshot_padding(std::string& tail, uint64_t length);
// The state inside a padded snapshot (without the SHA-256); nothing when there is no valid trailer.
std::optional<std::string_view> strip_snapshot_padding(std::string_view padded);

}  // namespace witan::api::etcd
