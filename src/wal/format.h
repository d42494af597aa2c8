// The bytes of a log segment: its header and its records (docs/formats/wal.md). Pure: strings in, strings out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/coding.h"
#include "base/planted.h"
#include "base/result.h"
#include "raft/types.h"

namespace witan::wal {

inline constexpr uint32_t kLogVersion = 1;
inline constexpr size_t kSegmentHeaderSize = 96;
inline constexpr size_t kRecordHeaderSize = 32;
inline constexpr size_t kAlignment = 8;                 // of records within a segment
inline constexpr size_t kMaxPayload = size_t{1} << 30;  // of a record

inline constexpr size_t aligned(size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// What a segment says about itself. Synced before the segment has its name, so a named segment without a valid one is
// damaged, never unfinished.
struct SegmentHeader {
  uint64_t sequence = 0;       // of the segment: 1, 2, 3, ... without gaps; also its file's name
  uint64_t generation = 0;     // carried by its records; what a recycled file held before has another one
  uint64_t first_batch = 0;    // number of the first record
  raft::Index first_index;     // the index after the last entry of the segments before
  raft::HardState hard_state;  // when the segment began, so that those before may go

  friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

std::string encode(const SegmentHeader& header);
// Errors: Corrupt (checksum, not a header at all), Invalid (a version this program does not know).
Result<SegmentHeader> decode_segment_header(std::string_view bytes);

// A record is one batch: everything that went to disk with one write and one sync.
struct RecordHeader {
  uint64_t generation = 0;
  uint64_t batch = 0;        // 1, 2, 3, ... through all segments, without gaps
  uint32_t size = 0;         // of the payload that follows; zeros pad it to kAlignment
  uint32_t payload_crc = 0;  // padding included

  size_t total() const { return kRecordHeaderSize + aligned(size); }
};

// Requires: kRecordHeaderSize bytes. Nothing when its own checksum does not match.
std::optional<RecordHeader> decode_record_header(std::string_view bytes);

// The payload of a record whose bytes these are, as many of them as there are; nothing when it is not whole and intact.
std::optional<std::string_view> intact_payload(const RecordHeader& header, std::string_view record);

// What one caller wants on disk: first the hard state, then restart or cut, then the entries.
struct Batch {
  std::optional<raft::HardState> hard_state;
  // Entries at and after it are dropped. Requires: at most one more than the last index.
  std::optional<raft::Index> cut_from;
  // Contiguous, beginning right after what is left. Must outlive the append.
  std::span<const raft::Entry> entries;
  // The whole log gives way to a durable snapshot and goes on after this index (raft::Persist::reset).
  std::optional<raft::Index> restart_after;

  bool empty() const {
    return (!hard_state || planted(Bug::VoteNotPersisted)) && !restart_after && !cut_from && entries.empty();
  }
};

// Builds one record of several batches without copying large entries: those are referred to, so they must outlive it.
class RecordBuilder {
 public:
  void clear();
  void add(const Batch& batch);
  size_t payload_size() const { return payload_size_; }
  size_t total() const { return kRecordHeaderSize + aligned(payload_size_); }
  // The record's bytes, valid until the builder changes. Requires: payload_size() <= kMaxPayload.
  std::span<const std::string_view> finish(uint64_t generation, uint64_t batch);

 private:
  // Either a run of own_ or somebody's entry.
  struct Piece {
    const char* outside = nullptr;
    size_t offset = 0;
    size_t size = 0;
  };
  void close_run();
  void add_outside(std::string_view data);

  std::string own_;
  size_t run_ = 0;  // where the open run of own_ begins
  std::vector<Piece> pieces_;
  std::vector<std::string_view> views_;
  size_t payload_size_ = 0;
};

struct Part {
  std::optional<raft::HardState> hard_state;
  std::optional<raft::Index> restart_after;
  std::optional<raft::Index> cut_from;
  uint32_t count = 0;       // of entries
  raft::Index first_index;  // of the first of them
};

struct EntryView {
  raft::Term term;
  raft::Index index;
  raft::EntryKind kind = raft::EntryKind::Command;
  bool null = false;
  std::string_view data;

  raft::Entry entry() const { return {term, index, kind, null ? Blob() : Blob(data)}; }
};

// Walks a record's payload.
//   while (reader.next_part(part)) while (reader.next_entry(entry)) ...
//   if (!reader.ok()) damaged
class RecordReader {
 public:
  explicit RecordReader(std::string_view payload) : bytes_(payload) {}
  // Entries of the part before that were not read are skipped.
  bool next_part(Part& part);
  bool next_entry(EntryView& entry);
  bool ok() const { return ok_ && bytes_.ok(); }

 private:
  ByteReader bytes_;
  uint32_t left_ = 0;  // entries of this part
  raft::Index index_;  // of the next one
  bool ok_ = true;
};

}  // namespace witan::wal
