// Making a snapshot file: from a state's bytes, or from another member's file as it arrives.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/disk.h"
#include "raft/types.h"

namespace witan::wal {

// A file that is visible to no one until it is whole: temp file, sync, rename, sync of the directory (core D3).
// Destroyed earlier, it removes what it wrote.
class UnfinishedFile {
 public:
  static Result<std::unique_ptr<UnfinishedFile>> make(env::Disk& disk, std::string directory, std::string name);
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  Result<> append(std::span<const std::string_view> pieces);
  // After it the file has `final_name`, durably.
  Result<> finish(const std::string& final_name);
  env::File& file() { return *file_; }
  uint64_t size() const { return size_; }

 private:
  UnfinishedFile(env::Disk& disk, std::string directory, std::string name, std::unique_ptr<env::File> file);

  env::Disk& disk_;
  const std::string directory_;
  const std::string path_;
  std::unique_ptr<env::File> file_;
  uint64_t size_ = 0;
  uint64_t unsynced_ = 0;
  bool finished_ = false;
};

// Writes a state as compressed, checksummed blocks. Calls block; one thread at a time. After an error only destruction
// is left; the log and older snapshots are not affected.
class SnapshotWriter {
 public:
  static Result<std::unique_ptr<SnapshotWriter>> make(std::unique_ptr<UnfinishedFile> file,
                                                      const raft::SnapshotMeta& meta);
  ~SnapshotWriter();

  // Any number of bytes; memory stays below two blocks.
  Result<> append(std::string_view bytes);
  // Durable and listed when it returns. The file's size. Once.
  Result<uint64_t> finish();

 private:
  struct Compressor;
  SnapshotWriter(std::unique_ptr<UnfinishedFile> file, const raft::SnapshotMeta& meta);
  Result<> write(std::string_view first, std::string_view second);
  Result<> write_block(std::string_view raw);

  std::unique_ptr<UnfinishedFile> file_;
  const raft::Index index_;
  const raft::Term term_;
  std::unique_ptr<Compressor> compressor_;
  std::string block_;  // bytes that do not fill a block yet
  uint64_t raw_bytes_ = 0;
  uint32_t crc_ = 0;  // of everything in the file
};

// Takes in the bytes of another member's snapshot file.
class SnapshotReceiver {
 public:
  SnapshotReceiver(std::unique_ptr<UnfinishedFile> file, raft::SnapshotMeta meta, uint64_t size);
  ~SnapshotReceiver();

  // The next piece. Errors: Invalid (not at received(), or beyond the announced size), Io.
  Result<> append(uint64_t offset, std::string_view bytes);
  uint64_t received() const { return file_->size(); }
  // Checks that the whole file is there, intact and what was announced; then durable and listed. Once.
  // Errors: Invalid (it is not: nothing is kept), Io.
  Result<> finish();

 private:
  Result<> check();

  std::unique_ptr<UnfinishedFile> file_;
  const raft::SnapshotMeta meta_;
  const uint64_t size_;
  uint32_t crc_ = 0;  // of everything but the file's last four bytes
};

}  // namespace witan::wal
