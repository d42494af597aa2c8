#include "migrate/zookeeper/source.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <snappy.h>
#include <zlib.h>

#include "base/check.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr std::string_view kSnappyMagic("\x82SNAPPY\0", 8);
constexpr size_t kMaxBlock = size_t{64} << 20;  // the library writes 32 KiB unless it is told otherwise

size_t move_out(std::string_view from, std::span<char> out) {
  const size_t n = std::min(from.size(), out.size());
  std::memcpy(out.data(), from.data(), n);
  return n;
}

}  // namespace

Result<size_t> FileSource::read(std::span<char> out) {
  auto got = file_.read_at(at_, out);
  if (got) at_ += *got;
  return got;
}

GzipSource::GzipSource(Source& compressed) : compressed_(compressed), stream_(std::make_unique<z_stream>()) {
  *stream_ = {};
  CHECK(inflateInit2(stream_.get(), MAX_WBITS + 16) == Z_OK);  // + 16: gzip, not zlib
}

GzipSource::~GzipSource() { inflateEnd(stream_.get()); }

Result<bool> GzipSource::fill() {
  if (stream_->avail_in > 0) return true;
  const Result<size_t> got = compressed_.read(in_);
  if (!got) return std::unexpected(got.error());
  stream_->next_in = reinterpret_cast<Bytef*>(in_.data());
  stream_->avail_in = static_cast<uInt>(*got);
  return *got > 0;
}

Result<size_t> GzipSource::read(std::span<char> out) {
  const size_t room = std::min(out.size(), size_t{1} << 30);
  stream_->next_out = reinterpret_cast<Bytef*>(out.data());
  stream_->avail_out = static_cast<uInt>(room);
  while (stream_->avail_out == room) {
    const Result<bool> more = fill();
    if (!more) return std::unexpected(more.error());
    if (!*more) {
      if (between_members_) return 0;
      return fail(Code::Corrupt, "the gzip data ends too early");
    }
    between_members_ = false;
    const int state = inflate(stream_.get(), Z_NO_FLUSH);
    if (state == Z_STREAM_END) {
      between_members_ = true;
      inflateReset(stream_.get());
    } else if (state != Z_OK && state != Z_BUF_ERROR) {
      const char* reason = stream_->msg == nullptr ? "not gzip data" : stream_->msg;
      return fail(Code::Corrupt, fmt::format("the gzip data is damaged ({})", reason));
    }
  }
  return room - stream_->avail_out;
}

SnappySource::SnappySource(Source& compressed) : in_(compressed, 64 << 10) {}

Result<size_t> SnappySource::read(std::span<char> out) {
  while (at_ == block_.size()) {
    if (begun_ && in_.at_end()) return 0;
    auto next = next_block();
    if (!next && in_.ok()) return std::unexpected(next.error());
    if (!in_.ok()) {
      if (in_.cut_short()) return fail(Code::Corrupt, "the snappy data ends too early");
      return fail(in_.fault().code, in_.fault().what);
    }
  }
  const size_t n = move_out(std::string_view(block_).substr(at_), out);
  at_ += n;
  return n;
}

Result<> SnappySource::next_block() {
  // A header may stand between blocks as well, where streams were concatenated.
  if (!begun_ || in_.peek(kSnappyMagic.size()) == kSnappyMagic) {
    if (in_.bytes(kSnappyMagic.size()) != kSnappyMagic) return fail(Code::Corrupt, "no header of a snappy stream");
    in_.int32();
    if (const int32_t needs = in_.int32(); needs > 1) {
      return fail(Code::Corrupt, fmt::format("a snappy stream of version {}", needs));
    }
    begun_ = true;
    return {};
  }
  const auto compressed = in_.buffer().value_or(std::string_view());
  size_t size = 0;
  if (!in_.ok()) return {};
  if (!snappy::GetUncompressedLength(compressed.data(), compressed.size(), &size) || size > kMaxBlock) {
    return fail(Code::Corrupt, "a snappy block of an impossible length");
  }
  // Three bytes stand for 64 at most, so a block that pretends more is not given the memory.
  if (size / 32 > compressed.size()) return fail(Code::Corrupt, "a snappy block of an impossible length");
  block_.resize(size);
  at_ = 0;
  if (!snappy::RawUncompress(compressed.data(), compressed.size(), block_.data())) {
    return fail(Code::Corrupt, "a snappy block is damaged");
  }
  return {};
}

}  // namespace witan::migrate::zookeeper
