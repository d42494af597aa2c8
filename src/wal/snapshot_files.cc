#include "wal/snapshot_files.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "wal/snapshot_format.h"
#include "wal/text.h"

namespace witan::wal {
namespace {

constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr size_t kDigits = 16;

std::optional<uint64_t> parse_hex(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<std::unique_ptr<SnapshotFiles>> SnapshotFiles::open(env::Disk& disk, const std::string& directory,
                                                           Logger logger) {
  if (auto made = disk.make_directory(directory); !made) return std::unexpected(made.error());
  std::unique_ptr<SnapshotFiles> files(new SnapshotFiles(disk, directory, std::move(logger)));
  if (auto cleaned = files->clean(); !cleaned) return std::unexpected(cleaned.error());
  return files;
}

Result<> SnapshotFiles::clean() {
  const auto names = disk_.list(directory_);
  if (!names) return std::unexpected(names.error());
  for (const std::string& name : *names) {
    if (!name.ends_with(kTemporarySuffix)) continue;
    logger_.info("{}/{} was not finished before the last stop and is removed", directory_, name);
    if (auto removed = disk_.remove(directory_ + "/" + name); !removed) return removed;
  }
  // A rename that a crashed process did not sync must not be undone after the log was cut because of it.
  return disk_.sync_directory(directory_);
}

Result<std::vector<SnapshotFiles::Name>> SnapshotFiles::list() {
  const auto names = disk_.list(directory_);
  if (!names) return std::unexpected(names.error());
  std::vector<Name> out;
  for (const std::string& name : *names) {
    const std::string_view text = name;
    if (text.size() < 2 * kDigits + 1) continue;
    const auto index = parse_hex(text.substr(0, kDigits));
    const auto term = parse_hex(text.substr(kDigits + 1, kDigits));
    if (!index || !term || snapshot_name(raft::Index(*index), raft::Term(*term)) != name) continue;
    out.push_back({raft::Index(*index), raft::Term(*term), name});
  }
  std::ranges::sort(out, {}, [](const Name& name) { return std::tuple(name.index, name.term); });
  return out;
}

Result<std::optional<SnapshotInfo>> SnapshotFiles::newest() {
  const auto names = list();
  if (!names) return std::unexpected(names.error());
  if (names->empty()) return std::optional<SnapshotInfo>();
  auto reader = read(names->back().index);
  if (!reader) return std::unexpected(reader.error());
  if (auto checked = (*reader)->check_ends(); !checked) return std::unexpected(checked.error());
  return SnapshotInfo{(*reader)->meta(), (*reader)->file_bytes()};
}

Result<std::unique_ptr<SnapshotReader>> SnapshotFiles::read(raft::Index index) {
  const auto names = list();
  if (!names) return std::unexpected(names.error());
  const auto found = std::ranges::find(names->rbegin(), names->rend(), index, &Name::index);
  if (found == names->rend())
    return fail(Code::NotFound, fmt::format("{} has no snapshot of index {}", directory_, index));
  const std::string path = directory_ + "/" + found->text;
  auto file = disk_.open(path, env::OpenMode::Read);
  if (!file) return std::unexpected(file.error());
  auto reader = SnapshotReader::open(path, std::move(*file));
  if (!reader) return reader;
  const raft::SnapshotMeta& meta = (*reader)->meta();
  if (meta.index != found->index || meta.term != found->term) {
    return damaged(path, 0, fmt::format("its header says index {} of term {}", meta.index, meta.term));
  }
  return reader;
}

Result<std::unique_ptr<SnapshotChunks>> SnapshotFiles::chunks(raft::Index index) {
  const auto reader = read(index);
  if (!reader) return std::unexpected(reader.error());
  const raft::SnapshotMeta& meta = (*reader)->meta();
  auto file = disk_.open(directory_ + "/" + snapshot_name(meta.index, meta.term), env::OpenMode::Read);
  if (!file) return std::unexpected(file.error());
  return std::make_unique<SnapshotChunks>(meta, std::move(*file), (*reader)->file_bytes());
}

Result<std::unique_ptr<UnfinishedFile>> SnapshotFiles::unfinished() {
  return UnfinishedFile::make(disk_, directory_, fmt::format("{}{}", ++last_temporary_, kTemporarySuffix));
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotFiles::write(const raft::SnapshotMeta& meta) {
  auto file = unfinished();
  if (!file) return std::unexpected(file.error());
  return SnapshotWriter::make(std::move(*file), meta);
}

Result<std::unique_ptr<SnapshotReceiver>> SnapshotFiles::receive(const raft::SnapshotMeta& meta, uint64_t size) {
  auto file = unfinished();
  if (!file) return std::unexpected(file.error());
  return std::make_unique<SnapshotReceiver>(std::move(*file), meta, size);
}

Result<> SnapshotFiles::remove_before(raft::Index index) {
  const auto names = list();
  if (!names) return std::unexpected(names.error());
  for (const Name& name : *names) {
    if (name.index >= index) break;
    if (auto removed = disk_.remove(directory_ + "/" + name.text); !removed) return removed;
  }
  return {};
}

}  // namespace witan::wal
