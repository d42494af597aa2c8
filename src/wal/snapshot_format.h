// The container a snapshot is kept and sent in (docs/formats/snapshot-file.md). Pure: strings in, strings out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "raft/types.h"

namespace witan::wal {

inline constexpr uint32_t kSnapshotVersion = 1;
inline constexpr size_t kSnapshotPreambleSize = 16;  // magic, version, length of the meta
inline constexpr size_t kMaxMetaSize = size_t{1} << 20;
inline constexpr size_t kBlockHeaderSize = 12;
inline constexpr size_t kBlockSize = size_t{256} << 10;                       // of uncompressed bytes, as written
inline constexpr size_t kMaxBlockSize = size_t{1} << 20;                      // as read
inline constexpr size_t kMaxStoredSize = kMaxBlockSize + (size_t{64} << 10);  // compressed; zstd may add a little
inline constexpr size_t kFooterSize = 28;

// Preamble, meta and checksum: what a file begins with.
std::string encode_snapshot_header(const raft::SnapshotMeta& meta);
// How many bytes that is, from the first kSnapshotPreambleSize of them. Errors: Corrupt, Invalid (a newer version).
Result<size_t> snapshot_header_size(std::string_view preamble);
Result<raft::SnapshotMeta> decode_snapshot_header(std::string_view header);

struct BlockHeader {
  uint32_t stored = 0;  // bytes that follow; 0 marks the footer
  uint32_t raw = 0;     // bytes after decompression
  uint32_t crc = 0;     // of the eight bytes before and the stored bytes
};
// With the right checksum for `data`.
std::string encode_block_header(std::string_view data, size_t raw);
BlockHeader decode_block_header(std::string_view bytes);
bool block_intact(const BlockHeader& header, std::string_view data);

struct SnapshotFooter {
  uint64_t raw_bytes = 0;   // of all blocks
  uint64_t file_bytes = 0;  // footer included
  uint32_t crc = 0;         // of the file but for these last four bytes
};
// `crc_before` is the checksum of the file up to the footer.
std::string encode_footer(uint64_t raw_bytes, uint64_t file_bytes, uint32_t crc_before);
// Errors: Corrupt.
Result<SnapshotFooter> decode_footer(std::string_view bytes);

// "000000000000002a-0000000000000003.snap": index and term.
std::string snapshot_name(raft::Index index, raft::Term term);

}  // namespace witan::wal
