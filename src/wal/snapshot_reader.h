// Reading a snapshot file: the state's bytes block by block, or the file as it is, to send it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/blob.h"
#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"
#include "wal/window.h"

namespace witan::wal {

// Gives back what SnapshotWriter::append was given, in pieces of up to 1 MiB, each verified before it is seen.
// Calls block; one thread at a time. Memory: a few MiB, whatever the file says.
class SnapshotReader {
 public:
  // Reads the header. Errors: Corrupt, Invalid (a newer version), Io, with the path.
  static Result<std::unique_ptr<SnapshotReader>> open(std::string path, std::unique_ptr<env::File> file);
  ~SnapshotReader();

  const raft::SnapshotMeta& meta() const { return meta_; }
  uint64_t file_bytes() const { return size_; }
  // The next piece; empty at the end, when the whole file's length and checksum have been found right.
  // Valid until the next call. Errors: Corrupt, Io; then only destruction is left.
  Result<std::string_view> next();
  // Checks what the file begins and ends with, not what is between.
  Result<> check_ends();

 private:
  struct Decompressor;
  SnapshotReader(std::string path, std::unique_ptr<env::File> file, uint64_t size);
  Result<> read_header();
  Result<std::string_view> read_block();
  Result<std::string_view> end();

  const std::string path_;
  std::unique_ptr<env::File> file_;
  const uint64_t size_;
  Window window_;
  raft::SnapshotMeta meta_;
  std::unique_ptr<Decompressor> decompressor_;
  uint64_t offset_ = 0;
  uint64_t raw_bytes_ = 0;
  uint32_t crc_ = 0;  // of the file up to offset_
  bool ended_ = false;
};

// The bytes of the file, for a member that is behind. Not verified here: the receiver does.
class SnapshotChunks {
 public:
  SnapshotChunks(raft::SnapshotMeta meta, std::unique_ptr<env::File> file, uint64_t size)
      : meta_(std::move(meta)), file_(std::move(file)), size_(size) {}

  const raft::SnapshotMeta& meta() const { return meta_; }
  uint64_t size() const { return size_; }
  // The bytes from `offset` on, at most `max_bytes`; empty at the end. A file that is removed meanwhile stays readable.
  Result<Blob> read(uint64_t offset, size_t max_bytes);

 private:
  const raft::SnapshotMeta meta_;
  std::unique_ptr<env::File> file_;
  const uint64_t size_;
};

}  // namespace witan::wal
