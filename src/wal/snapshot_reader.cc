#include "wal/snapshot_reader.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <zstd.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "wal/snapshot_format.h"
#include "wal/text.h"

namespace witan::wal {
namespace {

constexpr size_t kReadAhead = size_t{1} << 20;

}  // namespace

struct SnapshotReader::Decompressor {
  Decompressor() : context(ZSTD_createDCtx()) { CHECK(context != nullptr); }
  ~Decompressor() { ZSTD_freeDCtx(context); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  // False when `stored` is not exactly one frame of exactly `raw` bytes.
  bool decompress(std::string_view stored, size_t raw) {
    out.resize(raw);
    return ZSTD_decompressDCtx(context, out.data(), out.size(), stored.data(), stored.size()) == raw;
  }

  ZSTD_DCtx* context;
  std::string out;
};

SnapshotReader::SnapshotReader(std::string path, std::unique_ptr<env::File> file, uint64_t size)
    : path_(std::move(path)), file_(std::move(file)), size_(size), window_(*file_, size, kReadAhead),
      decompressor_(std::make_unique<Decompressor>()) {}

SnapshotReader::~SnapshotReader() = default;

Result<std::unique_ptr<SnapshotReader>> SnapshotReader::open(std::string path, std::unique_ptr<env::File> file) {
  const auto size = file->size();
  if (!size) return std::unexpected(size.error());
  std::unique_ptr<SnapshotReader> reader(new SnapshotReader(std::move(path), std::move(file), *size));
  if (auto read = reader->read_header(); !read) return std::unexpected(read.error());
  return reader;
}

Result<> SnapshotReader::read_header() {
  const auto preamble = window_.at(0, kSnapshotPreambleSize);
  if (!preamble) return std::unexpected(preamble.error());
  const auto size = snapshot_header_size(*preamble);
  if (!size) {
    return size.error().code == Code::Invalid ? too_new(path_, size.error().message)
                                              : damaged(path_, 0, size.error().message);
  }
  const auto header = window_.at(0, *size);
  if (!header) return std::unexpected(header.error());
  auto meta = decode_snapshot_header(*header);
  if (!meta) return damaged(path_, 0, meta.error().message);
  meta_ = std::move(*meta);
  crc_ = crc32c(*header);
  offset_ = *size;
  return {};
}

Result<> SnapshotReader::check_ends() {
  if (size_ < offset_ + kFooterSize) return damaged(path_, size_, "it is cut short");
  std::string bytes(kFooterSize, '\0');
  const auto got = file_->read_at(size_ - kFooterSize, bytes);
  if (!got) return std::unexpected(got.error());
  const auto footer = decode_footer(bytes);
  if (!footer) return damaged(path_, size_ - kFooterSize, footer.error().message);
  if (footer->file_bytes != size_) return damaged(path_, size_ - kFooterSize, "its length is wrong");
  return {};
}

Result<std::string_view> SnapshotReader::next() {
  CHECK(!ended_, "{} is read beyond its end", path_);
  const auto head = window_.at(offset_, 4);
  if (!head) return std::unexpected(head.error());
  if (head->size() < 4) return damaged(path_, offset_, "it is cut short");
  return get_fixed32(head->data()) == 0 ? end() : read_block();
}

Result<std::string_view> SnapshotReader::read_block() {
  auto bytes = window_.at(offset_, kBlockHeaderSize);
  if (!bytes) return bytes;
  if (bytes->size() < kBlockHeaderSize) return damaged(path_, offset_, "it is cut short");
  const BlockHeader header = decode_block_header(*bytes);
  if (header.raw == 0 || header.raw > kMaxBlockSize || header.stored > kMaxStoredSize) {
    return damaged(path_, offset_, "the size of a block is impossible");
  }
  bytes = window_.at(offset_, kBlockHeaderSize + header.stored);
  if (!bytes) return bytes;
  if (bytes->size() < kBlockHeaderSize + header.stored) return damaged(path_, offset_, "it is cut short");
  const std::string_view stored = bytes->substr(kBlockHeaderSize);
  if (!block_intact(header, stored)) return damaged(path_, offset_, "the checksum of a block is wrong");
  if (!decompressor_->decompress(stored, header.raw)) return damaged(path_, offset_, "a block cannot be decompressed");
  crc_ = crc32c(*bytes, crc_);
  offset_ += bytes->size();
  raw_bytes_ += header.raw;
  return std::string_view(decompressor_->out);
}

Result<std::string_view> SnapshotReader::end() {
  const auto bytes = window_.at(offset_, kFooterSize);
  if (!bytes) return bytes;
  const auto footer = decode_footer(*bytes);
  if (!footer) return damaged(path_, offset_, footer.error().message);
  if (footer->raw_bytes != raw_bytes_ || footer->file_bytes != size_ || offset_ + kFooterSize != size_) {
    return damaged(path_, offset_, "its length is wrong");
  }
  if (footer->crc != crc32c(bytes->substr(0, kFooterSize - 4), crc_)) {
    return damaged(path_, offset_, "the checksum of the whole file is wrong");
  }
  ended_ = true;
  return std::string_view();
}

Result<Blob> SnapshotChunks::read(uint64_t offset, size_t max_bytes) {
  if (offset >= size_) return Blob();
  Blob out = Blob::uninitialized(std::min<uint64_t>(max_bytes, size_ - offset));
  const auto got = file_->read_at(offset, std::span(out.mutable_data(), out.size()));
  if (!got) return std::unexpected(got.error());
  if (*got != out.size()) return fail(Code::Io, "a snapshot file became shorter while it was sent");
  return out;
}

}  // namespace witan::wal
