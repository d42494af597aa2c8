// Files as the durable rooms need them. Calls block and are made on a Lane (or before the loops start).
// What a crash keeps: what sync() returned for; of the rest any part, torn anywhere. A created, renamed or removed
// name is kept only after sync_directory() of its folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace witan::env {

// Errors of all of these: NotFound or Exists where the name is missing or taken, Io for everything else.

// An open file. Errors are Code::Io with path, offset and the system's words in the message.
class File {
 public:
  virtual ~File() = default;
  // Reads up to out.size() bytes at `offset`; less only at the end of the file.
  virtual Result<size_t> read_at(uint64_t offset, std::span<char> out) = 0;
  // Writes all bytes of all pieces, in order, from `offset`.
  virtual Result<> write_at(uint64_t offset, std::span<const std::string_view> pieces) = 0;
  // Everything written before is on stable storage, the size included where it changed (fdatasync).
  virtual Result<> sync() = 0;
  // Makes the file at least `size` bytes of allocated space, zeros where nothing was written.
  virtual Result<> allocate(uint64_t size) = 0;
  virtual Result<> truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() = 0;
};

enum class OpenMode : uint8_t {
  Read,       // must exist
  ReadWrite,  // must exist
  Create,     // must not exist
};

// Held until destroyed; another process (or another holder in this one) cannot take it meanwhile.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Result<> make_directory(const std::string& path) = 0;  // and its parents; fine if it exists
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted; NotFound
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;      // replaces `to`
  virtual Result<> remove(const std::string& path) = 0;
  virtual Result<> sync_directory(const std::string& path) = 0;
  virtual Result<std::unique_ptr<DirectoryLock>> lock(const std::string& directory) = 0;  // Exists when held
};

}  // namespace witan::env
