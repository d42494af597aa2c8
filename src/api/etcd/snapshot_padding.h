// The padding between a snapshot's state and its SHA-256: zeros up to a multiple of 8 KiB, the last 16 of them replaced
// by a magic word and the length of the state (8 bytes, little-endian). Whoever restores such a file reads the trailer.
//
// etcdctl wants a multiple of 512 bytes before the digest. Its `snapshot status` opens the file as a bbolt database,
// which ours is not and shall not look like: bbolt says "invalid database" when it finds two pages of something else,
// but complains about the size of a shorter file, as if one were damaged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace witan::api::etcd {

inline constexpr size_t kSnapshotAlignment = 8192;
inline constexpr std::string_view kSnapshotTrailer = "WITANPAD";

// The length with padding of a state of `length` bytes.
uint64_t padded_snapshot_bytes(uint64_t length);
// Appends to `tail` what must follow a state of `length` bytes.
void append_snapshot_padding(std::string& tail, uint64_t length);
// The state inside a padded snapshot (without the SHA-256); nothing when there is no valid trailer.
std::optional<std::string_view> strip_snapshot_padding(std::string_view padded);

}  // namespace witan::api::etcd
