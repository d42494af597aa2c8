#include "sim/disk.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::sim {
namespace {

bool lies_in(const std::string& path, const std::string& directory) {
  return path.starts_with(directory + "/") && path.find('/', directory.size() + 1) == std::string::npos;
}

}  // namespace

// ---- Files --------------------------------------------------------------------------------------

class Disk::Handle final : public env::File {
 public:
  Handle(Disk& disk, std::string path, InodeRef inode, bool writable)
      : disk_(disk), path_(std::move(path)), inode_(std::move(inode)), writable_(writable), life_(disk.life_) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    const std::string& bytes = inode_->live;
    if (offset >= bytes.size()) return size_t{0};
    return bytes.copy(out.data(), out.size(), offset);
  }
  Result<> write_at(uint64_t offset, std::span<const std::string_view> pieces) override {
    std::string all;
    for (const std::string_view piece : pieces) all += piece;
    const bool grows = offset + all.size() > inode_->live.size();
    return change({.kind = Change::Kind::Write, .at = offset, .bytes = std::move(all)}, "write", grows);
  }
  Result<> sync() override {
    if (auto done = disk_.operate("sync", path_, false); !done) return done;
    if (stale()) return {};
    if (inode_->pending.empty()) return {};
    for (const Change& change : inode_->pending) apply(inode_->durable, change);
    inode_->newest = std::exchange(inode_->pending, {});
    return {};
  }
  Result<> allocate(uint64_t size) override {
    if (size <= inode_->live.size()) return {};
    return change({.kind = Change::Kind::Resize, .at = size, .bytes = {}}, "allocate", true);
  }
  Result<> truncate(uint64_t size) override {
    return change({.kind = Change::Kind::Resize, .at = size, .bytes = {}}, "truncate", false);
  }
  Result<uint64_t> size() override { return inode_->live.size(); }

 private:
  bool stale() const { return life_ != disk_.life_; }
  Result<> change(Change change, std::string_view what, bool needs_space) {
    CHECK(writable_, "{} is open for reading", path_);
    auto done = disk_.operate(what, path_, needs_space);
    if (stale()) return done;
    if (!done) {
      // A write that fails may have done a part of its work.
      if (change.kind != Change::Kind::Write) return done;
      change.bytes.resize(disk_.rng_.below(change.bytes.size() + 1));
      if (change.at + change.bytes.size() > inode_->live.size()) return done;
    }
    apply(inode_->live, change);
    inode_->pending.push_back(std::move(change));
    return done;
  }

  Disk& disk_;
  const std::string path_;
  const InodeRef inode_;
  const bool writable_;
  const uint64_t life_;
};

void Disk::apply(std::string& bytes, const Change& change) {
  if (change.kind == Change::Kind::Resize) return bytes.resize(change.at, '\0');
  if (bytes.size() < change.at + change.bytes.size()) bytes.resize(change.at + change.bytes.size(), '\0');
  bytes.replace(change.at, change.bytes.size(), change.bytes);
}

Result<> Disk::operate(std::string_view what, const std::string& path, bool needs_space) {
  ++operations_;
  scheduler_.fold(operations_);
  if (power_until_ && operations_ >= *power_until_) {
    power_until_.reset();
    lose_power();
    dark_ = true;
    scheduler_.at(scheduler_.now(), std::move(on_power_lost_));
  }
  if (dark_) return fail(Code::Io, "the power is gone");
  if (full_ && needs_space) return fail(Code::Io, fmt::format("cannot {} {}: no space left on device", what, path));
  return {};
}

Result<std::unique_ptr<env::File>> Disk::open(const std::string& path, env::OpenMode mode) {
  const auto found = live_.find(path);
  if (mode == env::OpenMode::Create) {
    if (found != live_.end()) return fail(Code::Exists, path + " exists");
    if (auto done = operate("create", path, true); !done) return std::unexpected(done.error());
    auto inode = std::make_shared<Inode>();
    live_[path] = inode;
    pending_names_.push_back({.from = {}, .to = path, .file = inode});
    return std::make_unique<Handle>(*this, path, std::move(inode), true);
  }
  if (found == live_.end()) return fail(Code::NotFound, path + " does not exist");
  return std::make_unique<Handle>(*this, path, found->second, mode == env::OpenMode::ReadWrite);
}

// ---- Names --------------------------------------------------------------------------------------

Result<std::vector<std::string>> Disk::list(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& [path, inode] : live_) {
    if (lies_in(path, directory)) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

Result<> Disk::rename(const std::string& from, const std::string& to) {
  const auto found = live_.find(from);
  if (found == live_.end()) return fail(Code::NotFound, from + " does not exist");
  if (auto done = operate("rename", from, false); !done) return done;
  const InodeRef inode = found->second;
  live_.erase(found);
  live_[to] = inode;
  pending_names_.push_back({.from = from, .to = to, .file = inode});
  return {};
}

Result<> Disk::remove(const std::string& path) {
  if (!live_.contains(path)) return fail(Code::NotFound, path + " does not exist");
  if (auto done = operate("remove", path, false); !done) return done;
  live_.erase(path);
  pending_names_.push_back({.from = path, .to = {}, .file = nullptr});
  return {};
}

Result<> Disk::sync_directory(const std::string& directory) {
  if (auto done = operate("sync directory", directory, false); !done) return done;
  std::erase_if(pending_names_, [&](const NameChange& change) {
    if (!lies_in(change.to.empty() ? change.from : change.to, directory)) return false;
    if (!change.from.empty()) durable_.erase(change.from);
    if (!change.to.empty()) durable_[change.to] = change.file;
    return true;
  });
  return {};
}

class Disk::Lock final : public env::DirectoryLock {
 public:
  Lock(Disk& disk, std::string directory, uint64_t number)
      : disk_(disk), directory_(std::move(directory)), number_(number) {}
  ~Lock() override {
    const auto found = disk_.locks_.find(directory_);
    if (found != disk_.locks_.end() && found->second == number_) disk_.locks_.erase(found);
  }

 private:
  Disk& disk_;
  const std::string directory_;
  const uint64_t number_;
};

Result<std::unique_ptr<env::DirectoryLock>> Disk::lock(const std::string& directory) {
  if (locks_.contains(directory)) return fail(Code::Exists, directory + " is locked");
  locks_[directory] = ++last_lock_;
  return std::make_unique<Lock>(*this, directory, last_lock_);
}

// ---- What can go wrong --------------------------------------------------------------------------

// Some of a write's sectors, or its beginning.
void Disk::tear(std::string& bytes, const Change& change) {
  ++torn_;
  if (change.bytes.empty()) return;
  if (rng_.chance(1, 2)) {
    const uint64_t size = rng_.below(change.bytes.size() + 1);
    return apply(bytes, {.kind = Change::Kind::Write, .at = change.at, .bytes = change.bytes.substr(0, size)});
  }
  const uint64_t sector = rng_.chance(1, 2) ? 512 : 32;
  for (uint64_t at = 0; at < change.bytes.size(); at += sector) {
    if (rng_.chance(1, 2)) continue;
    apply(bytes, {.kind = Change::Kind::Write, .at = change.at + at, .bytes = change.bytes.substr(at, sector)});
  }
}

std::string Disk::after_failure(const Inode& inode) {
  const uint64_t dice = rng_.below(4);
  if (dice == 0) return inode.durable;
  if (dice == 1) return inode.live;
  std::string bytes = inode.durable;
  for (const Change& change : inode.pending) {
    const uint64_t fate = rng_.below(3);
    if (fate == 0) continue;
    if (fate == 1 && change.kind == Change::Kind::Write) {
      tear(bytes, change);
    } else {
      apply(bytes, change);
    }
  }
  return bytes;
}

void Disk::lose_power() {
  std::map<std::string, InodeRef> names = durable_;
  const bool all_names = rng_.chance(1, 3);
  for (const NameChange& change : pending_names_) {
    if (!all_names && rng_.chance(1, 2)) continue;
    if (!change.from.empty()) names.erase(change.from);
    if (!change.to.empty()) names[change.to] = change.file;
  }
  pending_names_.clear();
  live_.clear();
  durable_.clear();
  for (const auto& [path, inode] : names) {
    auto kept = std::make_shared<Inode>();
    kept->durable = after_failure(*inode);
    kept->live = kept->durable;
    kept->newest = inode->newest;
    std::ranges::copy(inode->pending, std::back_inserter(kept->newest));
    live_[path] = kept;
    durable_[path] = kept;
  }
  locks_.clear();
  power_until_.reset();
  dark_ = false;
  ++life_;
}

void Disk::lose_power_after(uint64_t operations, Task then) {
  power_until_ = operations_ + operations;
  on_power_lost_ = std::move(then);
}

bool Disk::Inode::is_newest(uint64_t at) const {
  return std::ranges::any_of(newest, [at](const Change& change) {
    return change.kind == Change::Kind::Write && at >= change.at && at - change.at < change.bytes.size();
  });
}

std::optional<std::string> Disk::rot(std::string_view logs) {
  std::vector<std::string> paths;
  for (const auto& [path, inode] : durable_) {
    if (!inode->durable.empty() && inode->pending.empty()) paths.push_back(path);
  }
  if (paths.empty()) return std::nullopt;
  const std::string& path = paths[rng_.below(paths.size())];
  Inode& inode = *durable_[path];
  const uint64_t at = rng_.below(inode.durable.size());
  if (path.starts_with(logs) && inode.is_newest(at)) return std::nullopt;
  before_rot_ = durable_image(scheduler_);
  inode.durable[at] = static_cast<char>(inode.durable[at] ^ static_cast<char>(1 << rng_.below(8)));
  inode.live[at] = inode.durable[at];
  return path;
}

void Disk::wipe() {
  live_.clear();
  durable_.clear();
  pending_names_.clear();
  before_rot_.reset();
  ++life_;
}

std::unique_ptr<Disk> Disk::durable_image(Scheduler& scheduler) const {
  auto image = std::make_unique<Disk>(scheduler, Rng(1));
  for (const auto& [path, inode] : durable_) {
    auto kept = std::make_shared<Inode>();
    kept->durable = inode->durable;
    kept->live = inode->durable;
    image->live_[path] = kept;
    image->durable_[path] = kept;
  }
  return image;
}

}  // namespace witan::sim
