// The words of the snapshot format: docs/formats/snapshot.md. For its encoder, its decoder and their tests only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace witan::store {

inline constexpr std::string_view kSnapshotMagic = "WITANSTO";
inline constexpr uint32_t kSnapshotFormat = 1;
inline constexpr size_t kSnapshotPrologue = 12;  // magic and format

// A record is its type, a varint length, and fields in protobuf's wire format. They come in this order.
enum class RecordType : uint8_t {
  Position = 1,  // exactly one
  Alarm = 2,
  Lease = 3,      // by id
  Directory = 4,  // by path
  Key = 5,        // what was there at the compacted revision and was written before it, by key
  Batch = 6,      // a revision, from the compacted one on; its changes follow
  Change = 7,
  End = 8,  // exactly one, followed by the checksum
};

// A row is a key and a value at most; who sends a longer one does not mean well.
inline constexpr uint64_t kMaxRecord = uint64_t{1} << 30;

}  // namespace witan::store
