#include "wal/log.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/rng.h"
#include "wal/text.h"
#include "wal/window.h"

namespace witan::wal {
namespace {

constexpr uint64_t kSmallestSegment = 4096;
constexpr size_t kReadAhead = size_t{256} << 10;

// Different for every segment a member ever has, and not to be guessed without the seed.
uint64_t make_generation(uint64_t seed, uint64_t sequence) {
  Rng rng(seed ^ (sequence * 0x9e3779b97f4a7c15u));
  return rng.next() | 1;  // never 0, which is what fresh space holds
}

// Checks that the batches fit behind one another and returns the last index there will be.
raft::Index check_batches(std::span<const Batch> batches, raft::Index last) {
  for (const Batch& batch : batches) {
    if (batch.restart_after) last = *batch.restart_after;
    if (batch.cut_from) {
      CHECK(*batch.cut_from <= last + 1, "cut at {} of a log that ends at {}", *batch.cut_from, last);
      last = *batch.cut_from - 1;
    }
    for (const raft::Entry& entry : batch.entries) {
      CHECK(entry.index == last + 1, "entry {} after entry {}", entry.index, last);
      last = entry.index;
    }
  }
  return last;
}

}  // namespace

Result<Log::Opened> Log::open(env::Disk& disk, const std::string& directory, const LogOptions& options, Logger logger) {
  CHECK(options.segment_bytes >= kSmallestSegment, "segments of {} bytes", options.segment_bytes);
  if (auto made = disk.make_directory(directory); !made) return std::unexpected(made.error());
  auto recovered = recover(disk, directory, options.snapshot_index, logger);
  if (!recovered) return std::unexpected(recovered.error());
  LogState& state = recovered->state;
  const bool created = state.segments.empty();
  if (created && !options.may_create) return damaged(directory, 0, "the log is missing");
  if (created) state.index.restart(options.snapshot_index);
  if (state.index.last() < options.snapshot_index) {
    // A snapshot came from the leader, and the machine stopped before the log was told.
    state.index.restart(options.snapshot_index);
    state.restart_pending = true;
    recovered->entries.clear();
  }
  if (state.index.first() > options.snapshot_index + 1) {
    return damaged(directory, 0,
                   fmt::format("the log begins with entry {}, but the newest snapshot ends at {}", state.index.first(),
                               options.snapshot_index));
  }
  // Whoever stopped before may have written without syncing. What is about to be believed must be there for good.
  if (state.current != nullptr) {
    if (auto synced = state.current->sync(); !synced) return std::unexpected(synced.error());
  }
  if (auto synced = disk.sync_directory(directory); !synced) return std::unexpected(synced.error());
  auto removed = disk.remove(directory + "/" + kSpareName);
  if (!removed && removed.error().code != Code::NotFound) return std::unexpected(removed.error());

  Opened opened;
  opened.hard_state = state.hard_state;
  opened.entries = std::move(recovered->entries);
  opened.created = created;
  opened.log.reset(new Log(disk, directory, options, std::move(logger), std::move(state)));
  if (created) {
    if (auto begun = opened.log->rotate(0); !begun) return std::unexpected(begun.error());
  }
  return opened;
}

Log::Log(env::Disk& disk, std::string directory, const LogOptions& options, Logger logger, LogState state)
    : disk_(disk), directory_(std::move(directory)), options_(options), logger_(std::move(logger)),
      state_(std::move(state)) {}

Log::~Log() = default;

Result<> Log::failed(Error error) {
  failure_ = std::move(error);
  return std::unexpected(*failure_);
}

uint64_t Log::bytes() const {
  uint64_t total = 0;
  for (const SegmentInfo& segment : state_.segments) total += segment.used;
  return total;
}

Result<> Log::append(std::span<const Batch> batches) {
  if (failure_) return std::unexpected(*failure_);
  check_batches(batches, state_.index.last());
  builder_.clear();
  Batch restart;
  if (state_.restart_pending) {
    restart.restart_after = state_.index.last();
    builder_.add(restart);
  }
  for (const Batch& batch : batches) {
    if (!batch.empty()) builder_.add(batch);
  }
  if (builder_.payload_size() == 0) return {};
  if (builder_.payload_size() > kMaxPayload) {
    return fail(Code::Exhausted, fmt::format("{} bytes at once are too much for the log", builder_.payload_size()));
  }
  if (auto written = append_record(builder_.total()); !written) return failed(written.error());

  SegmentInfo& segment = state_.segments.back();
  LogIndex::Place place{segment.sequence, segment.used, state_.restart_pending ? 1u : 0u};
  for (const Batch& batch : batches) {
    if (batch.empty()) continue;
    if (batch.hard_state) state_.hard_state = *batch.hard_state;
    if (batch.restart_after) state_.index.restart(*batch.restart_after);
    if (batch.cut_from) state_.index.cut(*batch.cut_from);
    state_.index.add(static_cast<uint32_t>(batch.entries.size()), place);
    ++place.part;
  }
  state_.restart_pending = false;
  segment.used += builder_.total();
  prepare_spare();
  return {};
}

Result<> Log::append_record(size_t total) {
  if (state_.segments.back().used + total > state_.segments.back().size) {
    if (auto rotated = rotate(total); !rotated) return rotated;
  }
  const SegmentInfo& segment = state_.segments.back();
  const auto pieces = builder_.finish(segment.generation, state_.next_batch);
  if (auto written = state_.current->write_at(segment.used, pieces); !written) return written;
  if (auto synced = state_.current->sync(); !synced) return synced;
  ++state_.next_batch;
  return {};
}

// Begins a new segment with room for a record of `total` bytes. Its header is on disk before it gets its name, and its
// name before anything is written into it: a named segment always has a whole header.
Result<> Log::rotate(size_t total) {
  const uint64_t size = std::max<uint64_t>(options_.segment_bytes, kSegmentHeaderSize + total);
  if (spare_ == nullptr) {
    auto made = make_spare(size);
    if (!made) return std::unexpected(made.error());
    spare_ = std::move(*made);
    spare_size_ = size;
  }
  if (spare_size_ < size) {
    if (auto grown = spare_->allocate(size); !grown) return grown;
    spare_size_ = size;
  }
  const uint64_t sequence = state_.segments.empty() ? 1 : state_.segments.back().sequence + 1;
  const SegmentHeader header{.sequence = sequence,
                             .generation = make_generation(options_.seed, sequence),
                             .first_batch = state_.next_batch,
                             .first_index = state_.index.last() + 1,
                             .hard_state = state_.hard_state};
  const std::string bytes = encode(header);
  const std::array<std::string_view, 1> pieces{bytes};
  if (auto written = spare_->write_at(0, pieces); !written) return written;
  if (auto synced = spare_->sync(); !synced) return synced;
  if (auto named = disk_.rename(path_of(kSpareName), path_of(segment_name(sequence))); !named) return named;
  if (auto synced = disk_.sync_directory(directory_); !synced) return synced;
  state_.current = std::move(spare_);
  spare_refused_ = false;
  state_.segments.push_back({sequence, header.generation, kSegmentHeaderSize, spare_size_});
  return {};
}

Result<std::unique_ptr<env::File>> Log::make_spare(uint64_t size) {
  const std::string path = path_of(kSpareName);
  // An attempt that failed may have left one.
  if (auto removed = disk_.remove(path); !removed && removed.error().code != Code::NotFound) {
    return std::unexpected(removed.error());
  }
  auto file = disk_.open(path, env::OpenMode::Create);
  if (!file) return file;
  if (auto allocated = (*file)->allocate(size); !allocated) return std::unexpected(allocated.error());
  if (auto synced = (*file)->sync(); !synced) return std::unexpected(synced.error());
  return file;
}

// The next segment is made before it is needed. That it cannot be made is no reason to stop yet: a snapshot may free
// space before the current one is full.
void Log::prepare_spare() {
  const SegmentInfo& segment = state_.segments.back();
  if (spare_ != nullptr || spare_refused_ || segment.used < segment.size / 2) return;
  auto made = make_spare(options_.segment_bytes);
  if (!made) {
    spare_refused_ = true;
    logger_.info("the next segment of the log cannot be prepared: {}", made.error().message);
    return;
  }
  spare_ = std::move(*made);
  spare_size_ = options_.segment_bytes;
}

Result<> Log::compact(raft::Index index) {
  if (failure_) return std::unexpected(*failure_);
  if (index > state_.index.last()) {
    state_.index.restart(index);
    state_.restart_pending = true;
  } else {
    state_.index.compact(index);
  }
  const uint64_t needed = state_.index.oldest_segment(state_.segments.back().sequence);
  while (state_.segments.front().sequence < needed) {
    if (auto dropped = drop_segment(state_.segments.front()); !dropped) return failed(dropped.error());
    state_.segments.erase(state_.segments.begin());
  }
  return {};
}

// The directory is synced each time: the segments that are left have no gap, and a recycled file has lost its old name
// for good before it is written to.
Result<> Log::drop_segment(const SegmentInfo& segment) {
  const std::string path = path_of(segment_name(segment.sequence));
  if (spare_ != nullptr || segment.size != options_.segment_bytes) {
    if (auto removed = disk_.remove(path); !removed) return removed;
    return disk_.sync_directory(directory_);
  }
  if (auto renamed = disk_.rename(path, path_of(kSpareName)); !renamed) return renamed;
  if (auto synced = disk_.sync_directory(directory_); !synced) return synced;
  auto file = disk_.open(path_of(kSpareName), env::OpenMode::ReadWrite);
  if (!file) return std::unexpected(file.error());
  spare_ = std::move(*file);
  spare_size_ = segment.size;
  return {};
}

Result<std::vector<raft::Entry>> Log::read(raft::Index from, raft::Index to, size_t max_bytes) {
  if (failure_) return std::unexpected(*failure_);
  CHECK(from <= to, "entries [{}, {}]", from, to);
  if (from < first_index() || to > last_index()) {
    return fail(Code::OutOfRange,
                fmt::format("the log has entries {} to {}, not {} to {}", first_index(), last_index(), from, to));
  }
  std::vector<raft::Entry> out;
  size_t budget = max_bytes;
  for (raft::Index next = from; next <= to && (out.empty() || budget > 0); next = out.back().index + 1) {
    LogIndex::Span span = state_.index.find(next);
    span.first = next;
    if (auto got = read_span(span, std::min(to, span.last), budget, out); !got) return std::unexpected(got.error());
  }
  return out;
}

// Appends entries [span.first, to] as far as the budget goes, at least one if `out` is empty. The budget that is left
// is 0 when an entry did not fit.
Result<> Log::read_span(const LogIndex::Span& span, raft::Index to, size_t& budget, std::vector<raft::Entry>& out) {
  const auto segment = std::ranges::find(state_.segments, span.place.segment, &SegmentInfo::sequence);
  const std::string path = path_of(segment_name(span.place.segment));
  std::unique_ptr<env::File> opened;
  if (segment->sequence != state_.segments.back().sequence) {
    auto file = disk_.open(path, env::OpenMode::Read);
    if (!file) return std::unexpected(file.error());
    opened = std::move(*file);
  }
  Window window(opened != nullptr ? *opened : *state_.current, segment->used, kReadAhead);
  uint32_t skip = span.place.part;
  for (uint64_t offset = span.place.offset; offset < segment->used; skip = 0) {
    const auto head = window.at(offset, kRecordHeaderSize);
    if (!head) return std::unexpected(head.error());
    const auto header = head->size() < kRecordHeaderSize ? std::nullopt : decode_record_header(*head);
    if (!header || header->generation != segment->generation) return damaged(path, offset, "a record cannot be read");
    const auto whole = window.at(offset, header->total());
    if (!whole) return std::unexpected(whole.error());
    const auto payload = intact_payload(*header, *whole);
    if (!payload) return damaged(path, offset, fmt::format("the checksum of batch {} is wrong", header->batch));
    RecordReader reader(*payload);
    Part part;
    EntryView entry;
    for (uint32_t number = 0; reader.next_part(part); ++number) {
      // From the span's place on indices never go back, up to its last.
      while (number >= skip && reader.next_entry(entry)) {
        if (entry.index < span.first) continue;
        if (entry.index > to) return {};
        if (!out.empty() && entry.data.size() > budget) {
          budget = 0;
          return {};
        }
        out.push_back(entry.entry());
        budget -= std::min(budget, entry.data.size());
        if (entry.index == to) return {};
      }
    }
    if (!reader.ok()) return damaged(path, offset, fmt::format("batch {} has wrong contents", header->batch));
    offset += header->total();
  }
  return damaged(path, span.place.offset, fmt::format("entry {} is not where it was written", span.first));
}

}  // namespace witan::wal
