#include "wal/snapshot_writer.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <zstd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/planted.h"
#include "wal/snapshot_format.h"

namespace witan::wal {
namespace {

// Gigabytes synced at the end would hold up the log's own syncs behind them.
constexpr uint64_t kSyncEvery = uint64_t{16} << 20;

// Snapshots are written beside the service: speed counts more than the last tenth of size.
constexpr int kCompressionLevel = 1;

}  // namespace

UnfinishedFile::UnfinishedFile(env::Disk& disk, std::string directory, std::string name,
                               std::unique_ptr<env::File> file)
    : disk_(disk), directory_(std::move(directory)), path_(directory_ + "/" + name), file_(std::move(file)) {}

Result<std::unique_ptr<UnfinishedFile>> UnfinishedFile::make(env::Disk& disk, std::string directory, std::string name) {
  auto file = disk.open(directory + "/" + name, env::OpenMode::Create);
  if (!file) return std::unexpected(file.error());
  return std::unique_ptr<UnfinishedFile>(
      new UnfinishedFile(disk, std::move(directory), std::move(name), std::move(*file)));
}

UnfinishedFile::~UnfinishedFile() {
  if (finished_) return;
  file_.reset();
  // What cannot be removed now is removed when the directory is opened next.
  [[maybe_unused]] const auto removed = disk_.remove(path_);
}

Result<> UnfinishedFile::append(std::span<const std::string_view> pieces) {
  if (auto written = file_->write_at(size_, pieces); !written) return written;
  uint64_t total = 0;
  for (const std::string_view piece : pieces) total += piece.size();
  size_ += total;
  unsynced_ += total;
  if (unsynced_ < kSyncEvery) return {};
  unsynced_ = 0;
  return file_->sync();
}

Result<> UnfinishedFile::finish(const std::string& final_name) {
  if (auto synced = file_->sync(); !synced) return synced;
  if (auto named = disk_.rename(path_, directory_ + "/" + final_name); !named) return named;
  finished_ = true;
  if (planted(Bug::UnsyncedDirectoryRename)) return {};
  return disk_.sync_directory(directory_);
}

struct SnapshotWriter::Compressor {
  Compressor() : context(ZSTD_createCCtx()) { CHECK(context != nullptr); }
  ~Compressor() { ZSTD_freeCCtx(context); }
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  std::string_view compress(std::string_view raw) {
    out.resize(ZSTD_compressBound(raw.size()));
    const size_t n = ZSTD_compressCCtx(context, out.data(), out.size(), raw.data(), raw.size(), kCompressionLevel);
    CHECK(!ZSTD_isError(n), "zstd: {}", ZSTD_getErrorName(n));
    return std::string_view(out).substr(0, n);
  }

  ZSTD_CCtx* context;
  std::string out;
};

SnapshotWriter::SnapshotWriter(std::unique_ptr<UnfinishedFile> file, const raft::SnapshotMeta& meta)
    : file_(std::move(file)), index_(meta.index), term_(meta.term), compressor_(std::make_unique<Compressor>()) {}

SnapshotWriter::~SnapshotWriter() = default;

Result<std::unique_ptr<SnapshotWriter>> SnapshotWriter::make(std::unique_ptr<UnfinishedFile> file,
                                                             const raft::SnapshotMeta& meta) {
  std::unique_ptr<SnapshotWriter> writer(new SnapshotWriter(std::move(file), meta));
  if (auto begun = writer->write(encode_snapshot_header(meta), {}); !begun) return std::unexpected(begun.error());
  return writer;
}

Result<> SnapshotWriter::write(std::string_view first, std::string_view second) {
  crc_ = crc32c(second, crc32c(first, crc_));
  const std::array<std::string_view, 2> pieces{first, second};
  return file_->append(pieces);
}

Result<> SnapshotWriter::write_block(std::string_view raw) {
  const std::string_view stored = compressor_->compress(raw);
  raw_bytes_ += raw.size();
  return write(encode_block_header(stored, raw.size()), stored);
}

Result<> SnapshotWriter::append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (block_.empty() && bytes.size() >= kBlockSize) {
      if (auto written = write_block(bytes.substr(0, kBlockSize)); !written) return written;
      bytes.remove_prefix(kBlockSize);
      continue;
    }
    const size_t n = std::min(bytes.size(), kBlockSize - block_.size());
    block_.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (block_.size() < kBlockSize) break;
    if (auto written = write_block(block_); !written) return written;
    block_.clear();
  }
  return {};
}

Result<uint64_t> SnapshotWriter::finish() {
  if (!block_.empty()) {
    if (auto written = write_block(block_); !written) return std::unexpected(written.error());
    block_.clear();
  }
  const uint64_t size = file_->size() + kFooterSize;
  if (auto written = write(encode_footer(raw_bytes_, size, crc_), {}); !written)
    return std::unexpected(written.error());
  if (auto finished = file_->finish(snapshot_name(index_, term_)); !finished) return std::unexpected(finished.error());
  return size;
}

SnapshotReceiver::SnapshotReceiver(std::unique_ptr<UnfinishedFile> file, raft::SnapshotMeta meta, uint64_t size)
    : file_(std::move(file)), meta_(std::move(meta)), size_(size) {}

SnapshotReceiver::~SnapshotReceiver() = default;

Result<> SnapshotReceiver::append(uint64_t offset, std::string_view bytes) {
  if (offset != file_->size() || bytes.size() > size_ - offset) {
    return fail(Code::Invalid, fmt::format("a piece of a snapshot is not the next one: {} bytes at {} after {} of {}",
                                           bytes.size(), offset, file_->size(), size_));
  }
  const uint64_t checked = size_ < 4 ? 0 : size_ - 4;
  if (offset < checked) crc_ = crc32c(bytes.substr(0, checked - offset), crc_);
  return file_->append(std::span(&bytes, 1));
}

Result<> SnapshotReceiver::check() {
  const auto wrong = [&](std::string_view why) {
    return fail(Code::Invalid, fmt::format("the snapshot received for index {} is not usable: {}", meta_.index, why));
  };
  if (file_->size() != size_) return wrong("it is not complete");
  if (size_ < kSnapshotPreambleSize + 4 + kFooterSize) return wrong("it is too short");
  std::string footer_bytes(kFooterSize, '\0');
  auto got = file_->file().read_at(size_ - kFooterSize, footer_bytes);
  if (!got) return std::unexpected(got.error());
  const auto footer = decode_footer(footer_bytes);
  if (!footer) return wrong(footer.error().message);
  if (footer->file_bytes != size_) return wrong("its length is wrong");
  if (footer->crc != crc_) return wrong("its checksum is wrong");
  std::string header_bytes(std::min<uint64_t>(size_, kSnapshotPreambleSize + kMaxMetaSize + 4), '\0');
  got = file_->file().read_at(0, header_bytes);
  if (!got) return std::unexpected(got.error());
  const auto meta = decode_snapshot_header(header_bytes);
  if (!meta) return wrong(meta.error().message);
  if (*meta != meta_) return wrong("it is another one than was announced");
  return {};
}

Result<> SnapshotReceiver::finish() {
  if (auto checked = check(); !checked) return checked;
  return file_->finish(snapshot_name(meta_.index, meta_.term));
}

}  // namespace witan::wal
