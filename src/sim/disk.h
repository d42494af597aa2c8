// A machine's disk: every file has the bytes programs see and the bytes that are surely there, and a power failure
// keeps the latter and any part of the rest, torn anywhere. Contract: env/disk.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "env/disk.h"
#include "sim/scheduler.h"

namespace witan::sim {

class Disk final : public env::Disk {
 public:
  Disk(Scheduler& scheduler, Rng rng) : scheduler_(scheduler), rng_(std::move(rng)) {}

  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Result<> make_directory(const std::string&) override { return {}; }
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> sync_directory(const std::string& path) override;
  Result<std::unique_ptr<env::DirectoryLock>> lock(const std::string& directory) override;

  // What was not synced is lost in part. Everything open is stale afterwards.
  void lose_power();
  // The process died and the machine did not: the system still writes everything down some day.
  void lose_process() { locks_.clear(); }
  // After so many more changes and syncs, in the middle of whatever does them, the power fails as by lose_power();
  // whatever the program still does is not there any more. `then` runs as an event of its own.
  void lose_power_after(uint64_t operations, Task then);
  // The machine is back.
  void power_on() { dark_ = false; }
  // Nothing will come of lose_power_after().
  void keep_power() { power_until_.reset(); }
  // No space is left: whatever needs some fails, until it is there again.
  void set_full(bool full) { full_ = full; }
  // Turns one bit of one durable file that is not empty, if there is one. Returns its path. Of files whose path begins
  // with `logs` the bytes of the last sync are spared.
  std::optional<std::string> rot(std::string_view logs);
  // What it held durably before rot() damaged it; null: nothing did.
  const Disk* before_rot() const { return before_rot_.get(); }
  void wipe();

  // What a power failure now would leave at least, as a disk of its own.
  std::unique_ptr<Disk> durable_image(Scheduler& scheduler) const;
  uint64_t torn_writes() const { return torn_; }
  bool empty() const { return live_.empty(); }

 private:
  class Handle;
  class Lock;
  struct Change {
    enum class Kind : uint8_t { Write, Resize } kind = Kind::Write;
    uint64_t at = 0;  // offset, or the new size
    std::string bytes;
  };
  struct Inode {
    std::string live;
    std::string durable;
    std::vector<Change> pending;  // what makes `live` of `durable`
    std::vector<Change> newest;   // what the last sync made durable, and what a failure may have left of more
    bool is_newest(uint64_t at) const;
  };
  using InodeRef = std::shared_ptr<Inode>;
  struct NameChange {
    std::string from;  // loses its file, when not empty
    std::string to;    // gets `file`, when not empty
    InodeRef file;
  };

  static void apply(std::string& bytes, const Change& change);
  Result<> operate(std::string_view what, const std::string& path, bool needs_space);
  std::string after_failure(const Inode& inode);
  void tear(std::string& bytes, const Change& change);

  Scheduler& scheduler_;
  Rng rng_;
  std::map<std::string, InodeRef> live_;
  std::map<std::string, InodeRef> durable_;
  std::vector<NameChange> pending_names_;
  std::unique_ptr<Disk> before_rot_;
  std::map<std::string, uint64_t> locks_;
  uint64_t last_lock_ = 0;
  uint64_t operations_ = 0;
  uint64_t torn_ = 0;
  uint64_t life_ = 0;  // between power failures; handles of former ones do nothing
  std::optional<uint64_t> power_until_;
  Task on_power_lost_;
  bool dark_ = false;  // the power is gone and the process does not know yet
  bool full_ = false;
};

}  // namespace witan::sim
