#include "wal/testing.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::wal {
namespace {

// Small, so that short writes already span several.
constexpr size_t kSector = 32;
constexpr size_t kEveryByteUpTo = 400;
constexpr int kSectorSamples = 12;

class MemoryLock final : public env::DirectoryLock {};

}  // namespace

class MemoryFile final : public env::File {
 public:
  MemoryFile(MemoryDisk& disk, std::string path, MemoryDisk::InodeRef inode, bool writable)
      : disk_(disk), path_(std::move(path)), inode_(std::move(inode)), writable_(writable) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    const std::string& bytes = inode_->live;
    if (offset >= bytes.size()) return size_t{0};
    return bytes.copy(out.data(), out.size(), offset);
  }
  Result<> write_at(uint64_t offset, std::span<const std::string_view> pieces) override {
    std::string all;
    for (const std::string_view piece : pieces) all += piece;
    return change({.kind = MemoryDisk::Change::Kind::Write, .at = offset, .bytes = std::move(all)}, "write");
  }
  Result<> sync() override {
    if (auto counted = disk_.count("sync " + path_); !counted) return counted;
    inode_->durable = inode_->live;
    inode_->pending.clear();
    return {};
  }
  Result<> allocate(uint64_t size) override {
    if (size <= inode_->live.size()) return {};
    return change({.kind = MemoryDisk::Change::Kind::Allocate, .at = size, .bytes = {}}, "allocate");
  }
  Result<> truncate(uint64_t size) override {
    return change({.kind = MemoryDisk::Change::Kind::Truncate, .at = size, .bytes = {}}, "truncate");
  }
  Result<uint64_t> size() override { return inode_->live.size(); }

 private:
  Result<> change(MemoryDisk::Change change, std::string_view what) {
    CHECK(writable_, "{} is open for reading", path_);
    auto counted = disk_.count(fmt::format("{} {}", what, path_));
    if (!counted) {
      // A failed write may have done a part of its work.
      change.bytes.resize(change.bytes.size() / 2);
      if (change.kind != MemoryDisk::Change::Kind::Write) return counted;
    }
    MemoryDisk::apply(inode_->live, change);
    inode_->pending.push_back(std::move(change));
    return counted;
  }

  MemoryDisk& disk_;
  const std::string path_;
  const MemoryDisk::InodeRef inode_;
  const bool writable_;
};

void MemoryDisk::apply(std::string& bytes, const Change& change) {
  switch (change.kind) {
    case Change::Kind::Write:
      if (bytes.size() < change.at + change.bytes.size()) bytes.resize(change.at + change.bytes.size(), '\0');
      bytes.replace(change.at, change.bytes.size(), change.bytes);
      return;
    case Change::Kind::Allocate:
      if (bytes.size() < change.at) bytes.resize(change.at, '\0');
      return;
    case Change::Kind::Truncate: bytes.resize(change.at, '\0'); return;
  }
}

Result<> MemoryDisk::count(std::string_view what) {
  const uint64_t number = operations_++;
  if (!fail_at_ || number < *fail_at_ || (number > *fail_at_ && !fail_forever_)) return {};
  return fail(Code::Io, fmt::format("cannot {}: {}", what, reason_));
}

Result<std::unique_ptr<env::File>> MemoryDisk::open(const std::string& path, env::OpenMode mode) {
  const auto found = live_.find(path);
  if (mode == env::OpenMode::Create) {
    if (found != live_.end()) return fail(Code::Exists, path + " exists");
    if (auto counted = count("create " + path); !counted) return std::unexpected(counted.error());
    auto inode = std::make_shared<Inode>();
    live_[path] = inode;
    pending_names_.push_back({.from = {}, .to = path, .file = inode});
    return std::make_unique<MemoryFile>(*this, path, std::move(inode), true);
  }
  if (found == live_.end()) return fail(Code::NotFound, path + " does not exist");
  return std::make_unique<MemoryFile>(*this, path, found->second, mode == env::OpenMode::ReadWrite);
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& [path, inode] : live_) {
    if (!path.starts_with(directory + "/")) continue;
    const size_t begin = directory.size() + 1;
    std::string name = path.substr(begin, path.find('/', begin) - begin);
    if (names.empty() || names.back() != name) names.push_back(std::move(name));
  }
  return names;
}

Result<> MemoryDisk::rename(const std::string& from, const std::string& to) {
  const auto found = live_.find(from);
  if (found == live_.end()) return fail(Code::NotFound, from + " does not exist");
  if (auto counted = count("rename " + from); !counted) return counted;
  const InodeRef inode = found->second;
  live_.erase(found);
  live_[to] = inode;
  pending_names_.push_back({.from = from, .to = to, .file = inode});
  return {};
}

Result<> MemoryDisk::remove(const std::string& path) {
  if (!live_.contains(path)) return fail(Code::NotFound, path + " does not exist");
  if (auto counted = count("remove " + path); !counted) return counted;
  live_.erase(path);
  pending_names_.push_back({.from = path, .to = {}, .file = nullptr});
  return {};
}

Result<> MemoryDisk::sync_directory(const std::string& path) {
  if (auto counted = count("sync directory " + path); !counted) return counted;
  durable_ = live_;
  pending_names_.clear();
  return {};
}

Result<std::unique_ptr<env::DirectoryLock>> MemoryDisk::lock(const std::string&) {
  return std::make_unique<MemoryLock>();
}

// What one file may hold after the power failed.
std::vector<std::string> MemoryDisk::versions(const Inode& inode, Rng& rng) {
  std::vector<std::string> out{inode.durable};
  std::string base = inode.durable;
  for (const Change& change : inode.pending) {
    const size_t size = change.bytes.size();
    const size_t step = size <= kEveryByteUpTo ? 1 : 8;
    for (size_t n = step; n < size; n += step) {  // a beginning of the write
      out.push_back(base);
      apply(out.back(), {.kind = change.kind, .at = change.at, .bytes = change.bytes.substr(0, n)});
    }
    for (int i = 0; i < kSectorSamples && size > kSector; ++i) {  // some of its sectors
      out.push_back(base);
      for (size_t at = 0; at < size; at += kSector) {
        if (rng.chance(1, 2)) continue;
        apply(out.back(), {.kind = change.kind, .at = change.at + at, .bytes = change.bytes.substr(at, kSector)});
      }
    }
    out.push_back(inode.durable);  // this change, none of the earlier ones
    apply(out.back(), change);
    apply(base, change);
    out.push_back(base);
  }
  return out;
}

void MemoryDisk::after_power_failure(Rng& rng, const std::function<void(MemoryDisk&)>& visit) const {
  CHECK(pending_names_.size() <= 6, "{} names are not synced", pending_names_.size());
  for (uint32_t chosen = 0; chosen < (1u << pending_names_.size()); ++chosen) {
    std::map<std::string, InodeRef> names = durable_;
    for (size_t i = 0; i < pending_names_.size(); ++i) {
      if (!(chosen >> i & 1)) continue;
      if (!pending_names_[i].from.empty()) names.erase(pending_names_[i].from);
      if (!pending_names_[i].to.empty()) names[pending_names_[i].to] = pending_names_[i].file;
    }
    MemoryDisk base;
    for (const auto& [path, inode] : names) base.put(path, inode->durable);
    visit(base);
    // One file torn at a time, the others as they were synced or as they were seen.
    for (const auto& [torn, inode] : names) {
      if (inode->pending.empty()) continue;
      for (const std::string& version : versions(*inode, rng)) {
        MemoryDisk disk;
        const bool others_live = rng.chance(1, 2);
        for (const auto& [path, other] : names) disk.put(path, others_live ? other->live : other->durable);
        disk.put(torn, version);
        visit(disk);
      }
    }
  }
}

std::string& MemoryDisk::bytes(const std::string& path) {
  const auto found = live_.find(path);
  CHECK(found != live_.end(), "{} does not exist", path);
  return found->second->live;
}

std::vector<std::string> MemoryDisk::paths() const {
  std::vector<std::string> out;
  for (const auto& [path, inode] : live_) out.push_back(path);
  return out;
}

void MemoryDisk::put(const std::string& path, std::string bytes) {
  auto inode = std::make_shared<Inode>();
  inode->durable = bytes;
  inode->live = std::move(bytes);
  live_[path] = inode;
  durable_[path] = inode;
}

MemoryDisk MemoryDisk::copy() const {
  MemoryDisk out;
  for (const auto& [path, inode] : live_) out.put(path, inode->live);
  return out;
}

void ModelLog::apply(const Batch& batch) {
  if (batch.hard_state) hard_state = *batch.hard_state;
  if (batch.restart_after) {
    entries.clear();
    first = *batch.restart_after + 1;
  }
  if (batch.cut_from) {
    while (!entries.empty() && last() >= *batch.cut_from) entries.pop_back();
    if (entries.empty()) first = std::min(first, *batch.cut_from);
  }
  entries.insert(entries.end(), batch.entries.begin(), batch.entries.end());
}

void ModelLog::compact(raft::Index index) {
  if (index > last()) {
    entries.clear();
    first = index + 1;
  }
  while (first <= index) {
    entries.erase(entries.begin());
    ++first;
  }
}

std::vector<raft::Entry> ModelLog::since(raft::Index index) const {
  std::vector<raft::Entry> out;
  if (last() < index) return out;
  for (const raft::Entry& entry : entries) {
    if (entry.index >= index) out.push_back(entry);
  }
  return out;
}

raft::Entry make_entry(uint64_t term, uint64_t index, std::string_view data) {
  return {.term = raft::Term(term), .index = raft::Index(index), .kind = raft::EntryKind::Command, .data = Blob(data)};
}

}  // namespace witan::wal
