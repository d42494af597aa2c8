// A disk in memory that knows what a crash may leave of it. For tests and fuzzers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "env/disk.h"
#include "raft/types.h"
#include "wal/format.h"

namespace witan::wal {

// Keeps, beside what programs see, what is surely on stable storage and what was done since. Contract: env/disk.h.
class MemoryDisk final : public env::Disk {
 public:
  struct Change {  // of one file's bytes
    enum class Kind : uint8_t { Write, Allocate, Truncate } kind = Kind::Write;
    uint64_t at = 0;  // offset, or the new size
    std::string bytes;
  };
  struct Inode {
    std::string live;
    std::string durable;
    std::vector<Change> pending;  // what makes `live` of `durable`
  };
  using InodeRef = std::shared_ptr<Inode>;
  struct NameChange {
    std::string from;  // loses its file, when not empty
    std::string to;    // gets `file`, when not empty
    InodeRef file;
  };

  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Result<> make_directory(const std::string&) override { return {}; }
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> sync_directory(const std::string& path) override;
  Result<std::unique_ptr<env::DirectoryLock>> lock(const std::string& path) override;

  // Changes and syncs done so far, and the one from which on (`forever`), or at which, they fail.
  uint64_t operations() const { return operations_; }
  void fail_at(uint64_t operation, bool forever, std::string reason) {
    fail_at_ = operation;
    fail_forever_ = forever;
    reason_ = std::move(reason);
  }
  void heal() { fail_at_.reset(); }

  // Calls `visit` with every disk, or a good sample where there are too many, that a power failure now may leave:
  // of unsynced writes any part, of unsynced names any subset.
  void after_power_failure(Rng& rng, const std::function<void(MemoryDisk&)>& visit) const;

  // A file's bytes, as programs see them and durable at once.
  std::string& bytes(const std::string& path);
  std::vector<std::string> paths() const;
  void put(const std::string& path, std::string bytes);
  MemoryDisk copy() const;  // as programs see it; all of it durable

 private:
  friend class MemoryFile;
  Result<> count(std::string_view what);
  static void apply(std::string& bytes, const Change& change);
  static std::vector<std::string> versions(const Inode& inode, Rng& rng);

  std::map<std::string, InodeRef> live_;
  std::map<std::string, InodeRef> durable_;
  std::vector<NameChange> pending_names_;
  uint64_t operations_ = 0;
  std::optional<uint64_t> fail_at_;
  bool fail_forever_ = false;
  std::string reason_;
};

// The log as a plain vector: what the real one is compared with.
struct ModelLog {
  raft::HardState hard_state;
  raft::Index first{1};
  std::vector<raft::Entry> entries;  // from `first` on

  raft::Index last() const { return first + entries.size() - 1; }
  void apply(const Batch& batch);
  void compact(raft::Index index);
  // What there is from `index` on.
  std::vector<raft::Entry> since(raft::Index index) const;
};

raft::Entry make_entry(uint64_t term, uint64_t index, std::string_view data);

}  // namespace witan::wal
