// Hostile bytes as a snapshot file, read as a member's own and received from another. The reader must end with an error
// or the end, in bounded memory; what the receiver accepts must be exactly what was announced.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_format.h"
#include "wal/testing.h"

namespace witan::wal {
namespace {

// Makes header, blocks and footer self-consistent where their lengths allow it.
void repair(std::string& bytes) {
  const auto header = snapshot_header_size(std::string_view(bytes).substr(0, kSnapshotPreambleSize));
  if (!header || *header > bytes.size()) return;
  set_fixed32(bytes.data() + *header - 4, crc32c(std::string_view(bytes).substr(0, *header - 4)));
  size_t at = *header;
  uint64_t raw = 0;
  while (at + kBlockHeaderSize <= bytes.size()) {
    const BlockHeader block = decode_block_header(std::string_view(bytes).substr(at, kBlockHeaderSize));
    if (block.stored == 0 || block.stored > bytes.size() - at - kBlockHeaderSize) break;
    const std::string_view data = std::string_view(bytes).substr(at + kBlockHeaderSize, block.stored);
    bytes.replace(at, kBlockHeaderSize, encode_block_header(data, block.raw));
    raw += block.raw;
    at += kBlockHeaderSize + block.stored;
  }
  bytes.resize(at);
  bytes += encode_footer(raw, at + kFooterSize, crc32c(bytes));
}

void receive(SnapshotFiles& files, std::string_view bytes) {
  const auto meta = decode_snapshot_header(bytes);
  if (!meta) return;
  auto receiver = files.receive(*meta, bytes.size());
  CHECK(receiver.has_value());
  for (size_t at = 0; at < bytes.size(); at += 100) CHECK((*receiver)->append(at, bytes.substr(at, 100)).has_value());
  if (!(*receiver)->finish()) return;
  const auto newest = files.newest();
  CHECK(newest.has_value() && newest->has_value());
  CHECK((*newest)->meta == *meta && (*newest)->bytes == bytes.size());
}

void run(std::string_view input) {
  if (input.empty()) return;
  std::string bytes(input.substr(1));
  if (input[0] & 1) repair(bytes);
  MemoryDisk disk;
  disk.put("f", bytes);
  auto file = disk.open("f", env::OpenMode::Read);
  auto reader = SnapshotReader::open("f", std::move(*file));
  if (reader) {
    for (;;) {
      const auto piece = (*reader)->next();
      if (!piece || piece->empty()) break;
      CHECK(piece->size() <= kMaxBlockSize);
    }
  }
  auto files = SnapshotFiles::open(disk, "snap", {});
  receive(**files, bytes);
}

}  // namespace
}  // namespace witan::wal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::wal::run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
