#include "wal/recovery.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "wal/text.h"
#include "wal/window.h"

namespace witan::wal {
namespace {

constexpr size_t kReadAhead = size_t{1} << 20;
constexpr std::string_view kSuffix = ".log";
constexpr size_t kDigits = 16;
constexpr raft::Index kLastIndex(uint64_t{1} << 62);  // no log gets there; sums with it do not overflow

// One segment after the other, oldest first.
class Recovery {
 public:
  Recovery(env::Disk& disk, const std::string& directory, raft::Index keep_from, const Logger& logger)
      : disk_(disk), directory_(directory), keep_from_(keep_from), logger_(logger) {}

  Result<Recovered> run() {
    const auto names = disk_.list(directory_);
    if (!names) return std::unexpected(names.error());
    std::vector<uint64_t> sequences;
    for (const std::string& name : *names) {
      if (const auto sequence = parse_segment_name(name)) {
        sequences.push_back(*sequence);
      } else if (name != kSpareName) {
        logger_.info("{}/{} is not a part of the log and is left alone", directory_, name);
      }
    }
    for (size_t i = 0; i < sequences.size(); ++i) {
      const std::string path = directory_ + "/" + segment_name(sequences[i]);
      if (i > 0 && sequences[i] != sequences[i - 1] + 1) {
        return damaged(directory_ + "/" + segment_name(sequences[i - 1] + 1), 0, "the segment is missing");
      }
      if (auto result = read_segment(path, sequences[i], i + 1 == sequences.size()); !result) {
        return std::unexpected(result.error());
      }
    }
    return std::move(out_);
  }

 private:
  Result<> read_segment(const std::string& path, uint64_t sequence, bool last) {
    auto file = disk_.open(path, last ? env::OpenMode::ReadWrite : env::OpenMode::Read);
    if (!file) return std::unexpected(file.error());
    const auto size = (*file)->size();
    if (!size) return std::unexpected(size.error());
    Window window(**file, *size, kReadAhead);
    const auto bytes = window.at(0, kSegmentHeaderSize);
    if (!bytes) return std::unexpected(bytes.error());
    const auto header = decode_segment_header(*bytes);
    if (!header) {
      return header.error().code == Code::Invalid ? too_new(path, header.error().message)
                                                  : damaged(path, 0, header.error().message);
    }
    if (auto begun = begin_segment(path, sequence, *header); !begun) return begun;
    const auto end = read_records(path, *header, window);
    if (!end) return std::unexpected(end.error());
    out_.state.segments.push_back({sequence, header->generation, *end, *size});
    if (!last) return {};
    // Core D2. A segment before the last needs no such search: the header of the next one says how many records it has.
    if (auto tail = examine_tail(path, *header, window, *end); !tail) return tail;
    out_.state.current = std::move(*file);
    return {};
  }

  Result<> begin_segment(const std::string& path, uint64_t sequence, const SegmentHeader& header) {
    LogState& state = out_.state;
    if (header.sequence != sequence) {
      return damaged(path, 0, fmt::format("its header belongs to segment {}", header.sequence));
    }
    if (header.first_index == raft::Index(0) || header.first_index > kLastIndex) {
      return damaged(path, 0, fmt::format("its first entry cannot be {}", header.first_index));
    }
    if (state.segments.empty()) {
      state.next_batch = header.first_batch;
      restart(header.first_index - 1);
    } else {
      const SegmentInfo& before = state.segments.back();
      if (header.first_batch != state.next_batch) {
        return damaged(directory_ + "/" + segment_name(before.sequence), before.used,
                       fmt::format("batch {} should be here: the next segment begins with batch {}", state.next_batch,
                                   header.first_batch));
      }
      // Only a restart after a snapshot moves the log forward between two segments.
      if (header.first_index > state.index.last() + 1) {
        restart(header.first_index - 1);
      } else if (header.first_index <= state.index.last()) {
        return damaged(path, 0, "its first entry should come later");
      }
    }
    state.hard_state = header.hard_state;
    return {};
  }

  // Takes in records as long as they are whole and in order; returns where the last of them ends.
  Result<uint64_t> read_records(const std::string& path, const SegmentHeader& segment, Window& window) {
    uint64_t offset = kSegmentHeaderSize;
    for (;;) {
      const auto head = window.at(offset, kRecordHeaderSize);
      if (!head) return std::unexpected(head.error());
      if (head->size() < kRecordHeaderSize) return offset;
      const auto header = decode_record_header(*head);
      if (!header || header->generation != segment.generation || header->batch != out_.state.next_batch) return offset;
      const auto whole = window.at(offset, header->total());
      if (!whole) return std::unexpected(whole.error());
      const auto payload = intact_payload(*header, *whole);
      if (!payload) return offset;
      if (!take(*payload, segment.sequence, offset)) {
        return damaged(path, offset, fmt::format("batch {} has a right checksum and wrong contents", header->batch));
      }
      ++out_.state.next_batch;
      offset += header->total();
    }
  }

  // False when the batch cannot follow what was read so far.
  bool take(std::string_view payload, uint64_t sequence, uint64_t offset) {
    LogIndex& index = out_.state.index;
    RecordReader reader(payload);
    LogIndex::Place place{sequence, offset, 0};
    for (Part part; reader.next_part(part); ++place.part) {
      if (part.hard_state) out_.state.hard_state = *part.hard_state;
      if (part.restart_after) {
        if (*part.restart_after > kLastIndex) return false;
        restart(*part.restart_after);
      }
      if (part.cut_from) {
        if (*part.cut_from == raft::Index(0) || *part.cut_from > index.last() + 1) return false;
        index.cut(*part.cut_from);
        while (!out_.entries.empty() && out_.entries.back().index >= *part.cut_from) out_.entries.pop_back();
      }
      if (part.count > 0 && part.first_index != index.last() + 1) return false;
      EntryView entry;
      while (reader.next_entry(entry)) {
        if (entry.index >= keep_from_) out_.entries.push_back(entry.entry());
      }
      index.add(part.count, place);
    }
    return reader.ok();
  }

  void restart(raft::Index after) {
    out_.state.index.restart(after);
    out_.entries.clear();
  }

  // What follows the last whole record is either nothing, or the batch that was being written when the machine stopped.
  // A record of this segment anywhere behind it means that a batch that was acknowledged is broken.
  Result<> examine_tail(const std::string& path, const SegmentHeader& segment, Window& window, uint64_t tail) {
    char mark[8];
    set_fixed64(mark, segment.generation);
    bool torn = false;
    for (uint64_t at = tail; at + kRecordHeaderSize <= window.size();) {
      const auto bytes = window.at(at, kReadAhead);
      if (!bytes) return std::unexpected(bytes.error());
      if (bytes->size() < kRecordHeaderSize) break;
      const size_t last = (bytes->size() - kRecordHeaderSize) / kAlignment * kAlignment;
      for (size_t i = 0; i <= last; i += kAlignment) {
        if (std::memcmp(bytes->data() + i, mark, sizeof mark) != 0) continue;
        const auto header = decode_record_header(bytes->substr(i, kRecordHeaderSize));
        if (!header) continue;
        if (at + i == tail && header->batch == out_.state.next_batch) {
          torn = true;
          continue;
        }
        return damaged(path, tail,
                       fmt::format("batch {} cannot be read, but batch {} follows it at offset {}",
                                   out_.state.next_batch, header->batch, at + i));
      }
      at += last + kAlignment;
    }
    if (torn) {
      logger_.info("{}: batch {} at offset {} was not finished before the last stop and is left out", path,
                   out_.state.next_batch, tail);
    }
    return {};
  }

  env::Disk& disk_;
  const std::string& directory_;
  const raft::Index keep_from_;
  const Logger& logger_;
  Recovered out_;
};

}  // namespace

std::string segment_name(uint64_t sequence) { return fmt::format("{:016x}{}", sequence, kSuffix); }

std::optional<uint64_t> parse_segment_name(std::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t sequence = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, sequence, 16);
  if (error != std::errc() || end != name.data() + kDigits || segment_name(sequence) != name) return std::nullopt;
  return sequence;
}

Result<Recovered> recover(env::Disk& disk, const std::string& directory, raft::Index keep_from, const Logger& logger) {
  return Recovery(disk, directory, keep_from, logger).run();
}

}  // namespace witan::wal
