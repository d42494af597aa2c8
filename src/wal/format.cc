#include "wal/format.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32c.h"

namespace witan::wal {
namespace {

constexpr std::string_view kMagic = "WITANLOG";

// Entries from this size on are written from where they are; smaller ones are cheaper to copy than to list.
constexpr size_t kReferFrom = 1024;

enum PartFlag : uint8_t { kHasHardState = 1, kHasRestart = 2, kHasCut = 4 };
constexpr uint8_t kAllFlags = kHasHardState | kHasRestart | kHasCut;

constexpr size_t kCrcAt = kSegmentHeaderSize - 4;       // of a segment header
constexpr size_t kHeaderCrcAt = kRecordHeaderSize - 4;  // of a record header

}  // namespace

std::string encode(const SegmentHeader& header) {
  std::string out(kMagic);
  put_fixed32(out, kLogVersion);
  put_fixed32(out, 0);
  put_fixed64(out, header.sequence);
  put_fixed64(out, header.generation);
  put_fixed64(out, header.first_batch);
  put_fixed64(out, header.first_index.value);
  put_fixed64(out, header.hard_state.term.value);
  put_fixed64(out, header.hard_state.vote.value);
  put_fixed64(out, header.hard_state.commit.value);
  out.resize(kCrcAt);
  put_fixed32(out, crc32c(out));
  return out;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderSize) return fail(Code::Corrupt, "the segment's header is cut short");
  if (!bytes.starts_with(kMagic)) return fail(Code::Corrupt, "the segment's header does not begin as a log does");
  // The version comes first: a later one may have another checksum.
  const uint32_t version = get_fixed32(bytes.data() + kMagic.size());
  const bool intact = get_fixed32(bytes.data() + kCrcAt) == crc32c(bytes.substr(0, kCrcAt));
  if (version > kLogVersion && version < 1000) {
    return fail(Code::Invalid,
                fmt::format("it has format version {}, this program knows versions up to {}", version, kLogVersion));
  }
  if (!intact || version != kLogVersion) return fail(Code::Corrupt, "the checksum of the segment's header is wrong");
  ByteReader reader(bytes.substr(kMagic.size() + 8, kCrcAt));
  SegmentHeader header;
  header.sequence = reader.fixed64();
  header.generation = reader.fixed64();
  header.first_batch = reader.fixed64();
  header.first_index = raft::Index(reader.fixed64());
  header.hard_state.term = raft::Term(reader.fixed64());
  header.hard_state.vote = raft::NodeId(reader.fixed64());
  header.hard_state.commit = raft::Index(reader.fixed64());
  return header;
}

std::optional<RecordHeader> decode_record_header(std::string_view bytes) {
  if (get_fixed32(bytes.data() + kHeaderCrcAt) != crc32c(bytes.substr(0, kHeaderCrcAt))) return std::nullopt;
  return RecordHeader{.generation = get_fixed64(bytes.data()),
                      .batch = get_fixed64(bytes.data() + 8),
                      .size = get_fixed32(bytes.data() + 16),
                      .payload_crc = get_fixed32(bytes.data() + 24)};
}

std::optional<std::string_view> intact_payload(const RecordHeader& header, std::string_view record) {
  if (record.size() < header.total()) return std::nullopt;
  const std::string_view padded = record.substr(kRecordHeaderSize, header.total() - kRecordHeaderSize);
  if (crc32c(padded) != header.payload_crc) return std::nullopt;
  return padded.substr(0, header.size);
}

void RecordBuilder::clear() {
  own_.assign(kRecordHeaderSize, '\0');  // the header is written when the rest is known
  run_ = 0;
  pieces_.clear();
  payload_size_ = 0;
}

void RecordBuilder::add(const Batch& batch) {
  const size_t before = own_.size();
  own_.push_back(static_cast<char>((batch.hard_state ? kHasHardState : 0) | (batch.restart_after ? kHasRestart : 0) |
                                   (batch.cut_from ? kHasCut : 0)));
  if (batch.hard_state) {
    put_varint(own_, batch.hard_state->term.value);
    put_varint(own_, batch.hard_state->vote.value);
    put_varint(own_, batch.hard_state->commit.value);
  }
  if (batch.restart_after) put_varint(own_, batch.restart_after->value);
  if (batch.cut_from) put_varint(own_, batch.cut_from->value);
  put_varint(own_, batch.entries.size());
  if (!batch.entries.empty()) put_varint(own_, batch.entries.front().index.value);
  for (const raft::Entry& entry : batch.entries) {
    put_varint(own_, entry.term.value);
    own_.push_back(static_cast<char>(entry.kind));
    put_varint(own_, entry.data.is_null() ? 0 : uint64_t{entry.data.size()} + 1);
    if (entry.data.size() < kReferFrom) {
      own_.append(entry.data.view());
    } else {
      add_outside(entry.data.view());
    }
  }
  payload_size_ += own_.size() - before;
}

void RecordBuilder::add_outside(std::string_view data) {
  close_run();
  pieces_.push_back({.outside = data.data(), .offset = 0, .size = data.size()});
  payload_size_ += data.size();
}

void RecordBuilder::close_run() {
  if (own_.size() > run_) pieces_.push_back({.outside = nullptr, .offset = run_, .size = own_.size() - run_});
  run_ = own_.size();
}

std::span<const std::string_view> RecordBuilder::finish(uint64_t generation, uint64_t batch) {
  CHECK(payload_size_ <= kMaxPayload, "a record of {} bytes", payload_size_);
  const size_t size = payload_size_;
  own_.append(aligned(size) - size, '\0');
  close_run();
  views_.clear();
  uint32_t crc = 0;
  for (const Piece& piece : pieces_) {
    const std::string_view view(piece.outside != nullptr ? piece.outside : own_.data() + piece.offset, piece.size);
    const std::string_view payload = views_.empty() ? view.substr(kRecordHeaderSize) : view;
    crc = crc32c(payload, crc);
    views_.push_back(view);
  }
  char* header = own_.data();
  set_fixed64(header, generation);
  set_fixed64(header + 8, batch);
  set_fixed32(header + 16, static_cast<uint32_t>(size));
  set_fixed32(header + 20, 0);
  set_fixed32(header + 24, crc);
  set_fixed32(header + kHeaderCrcAt, crc32c(std::string_view(header, kHeaderCrcAt)));
  return views_;
}

bool RecordReader::next_part(Part& part) {
  EntryView skipped;
  while (next_entry(skipped)) {
  }
  if (!ok() || bytes_.remaining() == 0) return false;
  part = {};
  const uint8_t flags = bytes_.u8();
  if (flags & ~kAllFlags) return ok_ = false;
  if (flags & kHasHardState) {
    part.hard_state.emplace();
    part.hard_state->term = raft::Term(bytes_.varint());
    part.hard_state->vote = raft::NodeId(bytes_.varint());
    part.hard_state->commit = raft::Index(bytes_.varint());
  }
  if (flags & kHasRestart) part.restart_after = raft::Index(bytes_.varint());
  if (flags & kHasCut) part.cut_from = raft::Index(bytes_.varint());
  const uint64_t count = bytes_.varint();
  // An entry takes three bytes at least.
  if (count > bytes_.remaining() / 3) return ok_ = false;
  part.count = static_cast<uint32_t>(count);
  if (count > 0) part.first_index = raft::Index(bytes_.varint());
  left_ = part.count;
  index_ = part.first_index;
  return ok();
}

bool RecordReader::next_entry(EntryView& entry) {
  if (left_ == 0 || !ok()) return false;
  --left_;
  entry.term = raft::Term(bytes_.varint());
  const uint8_t kind = bytes_.u8();
  if (kind > static_cast<uint8_t>(raft::EntryKind::Empty)) return ok_ = false;
  entry.kind = static_cast<raft::EntryKind>(kind);
  const uint64_t size = bytes_.varint();
  entry.null = size == 0;
  entry.data = bytes_.bytes(size == 0 ? 0 : size - 1);
  entry.index = index_;
  ++index_;
  return ok();
}

}  // namespace witan::wal
