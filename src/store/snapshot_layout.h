// The words of the snapshot format: docs/formats/snapshot.md. For its encoder, its decoder and their tests only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace witan::store {

inline constexpr std::string_view kSnapshotMagic = "WITANSTO";
inline constexpr uint32_t kSnapshotFormat = 2;   // 1 knew no nodes: it is read as one that has none
inline constexpr size_t kSnapshotPrologue = 12;  // magic and format

// A record is its type, a varint length, and fields in protobuf's wire format. They come in the order of place_of().
enum class RecordType : uint8_t {
  Position = 1,  // exactly one
  Alarm = 2,
  Lease = 3,      // by id
  Directory = 4,  // by path
  Key = 5,        // what was there at the compacted revision and was written before it, by key
  Batch = 6,      // a revision, from the compacted one on; its changes follow
  Change = 7,
  End = 8,      // exactly one, followed by the checksum
  Node = 9,     // an access list, a kind; by path
  Hidden = 10,  // a node below /zookeeper; by path
};
constexpr int place_of(RecordType type) {
  constexpr int kPlaces[] = {0, 1, 2, 3, 4, 7, 8, 9, 10, 5, 6};
  const auto index = static_cast<size_t>(type);
  return index < std::size(kPlaces) ? kPlaces[index] : 0;
}

// A row is a key and a value at most; who sends a longer one does not mean well.
inline constexpr uint64_t kMaxRecord = uint64_t{1} << 30;

}  // namespace witan::store
