#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "store/accounting.h"
#include "store/snapshot.h"
#include "store/snapshot_layout.h"
#include "store/state.h"

namespace witan::store {
namespace {

// A key, and the version it has after a change; no version is a deletion.
struct Row {
  std::string_view key;
  VersionRef version;
};

// False when the fields make no sense. `newest` bounds the revisions.
bool read_row(std::string_view bytes, Revision newest, Row& out) {
  FieldReader r(bytes);
  auto* const version = new Version;
  out.version = VersionRef(version);
  while (r.next()) {
    switch (r.field()) {
      case 1: out.key = r.bytes(); break;
      case 2: version->create_revision = Revision(r.sint()); break;
      case 3: version->mod_revision = Revision(r.sint()); break;
      case 4: version->version = r.sint(); break;
      case 5: version->lease = LeaseId(r.sint()); break;
      case 6: version->created = Stamp(WallTime{r.sint()}); break;
      case 7: version->modified = Stamp(WallTime{r.sint()}); break;
      case 8: version->value = Blob(r.bytes()); break;
      default: break;
    }
  }
  if (!r.ok()) return false;
  if (version->mod_revision == Revision(0)) {
    out.version = VersionRef();
    return true;
  }
  return version->create_revision >= Revision(2) && version->create_revision <= version->mod_revision &&
         version->mod_revision <= newest && version->version >= 1;
}

}  // namespace

struct SnapshotDecoder::Progress {
  // Reads what it can of `bytes` and returns how much that was; what is left begins a record that is not all there.
  size_t parse(std::string_view bytes);
  bool parse_prologue(std::string_view bytes);
  bool read(RecordType type, std::string_view body);
  bool read_position(std::string_view body);
  bool read_alarm(std::string_view body);
  bool read_lease(std::string_view body);
  bool read_directory(std::string_view body);
  bool read_key(std::string_view body);
  bool read_batch(std::string_view body);
  bool read_change(std::string_view body);
  bool read_end(std::string_view body);
  bool close_batch();
  bool build();
  bool refuse(Code code, std::string what) {
    if (!error) error = Error{code, fmt::format("snapshot, at byte {}: {}", offset, what)};
    return false;
  }
  bool damaged(std::string_view what) { return refuse(Code::Corrupt, fmt::format("{}; it is damaged", what)); }

  std::unique_ptr<Store> store = std::make_unique<Store>();
  State* state = nullptr;  // the store's
  std::string rest;        // fed, and not a whole record yet
  uint64_t offset = 0;     // of what parse() looks at in the stream
  uint32_t crc = 0;        // of everything before it
  bool begun = false;
  RecordType last = RecordType::Position;
  bool positioned = false;
  bool complete = false;
  uint64_t records = 0;
  Digest digest;
  std::vector<std::pair<Blob, Directory>> directories;
  std::shared_ptr<ChangeBatch> batch;  // whose changes are being read
  uint64_t batch_changes = 0;
  WallTime batch_stamp;
  std::optional<Error> error;
};

SnapshotDecoder::SnapshotDecoder() : progress_(std::make_unique<Progress>()) {
  progress_->state = progress_->store->state_.get();
}
SnapshotDecoder::~SnapshotDecoder() = default;

Result<> SnapshotDecoder::feed(std::string_view bytes) {
  Progress& p = *progress_;
  if (p.error) return std::unexpected(*p.error);
  CHECK(p.store != nullptr, "a snapshot was fed after its end");
  if (p.rest.empty()) {
    p.rest.assign(bytes.substr(p.parse(bytes)));
  } else {
    p.rest.append(bytes);
    p.rest.erase(0, p.parse(p.rest));
  }
  if (p.error) return std::unexpected(*p.error);
  return {};
}

size_t SnapshotDecoder::Progress::parse(std::string_view bytes) {
  size_t used = 0;
  const auto use = [&](size_t n) {
    crc = crc32c(bytes.substr(used, n), crc);
    used += n;
    offset += n;
  };
  if (!begun) {
    if (bytes.size() < kSnapshotPrologue || !parse_prologue(bytes)) return used;
    begun = true;
    use(kSnapshotPrologue);
  }
  while (used < bytes.size()) {
    const std::string_view left = bytes.substr(used);
    if (last == RecordType::End) {
      if (complete || left.size() > 4) return damaged("bytes after the end"), used;
      if (left.size() < 4) return used;
      if (get_fixed32(left.data()) != crc) return damaged("the checksum is wrong"), used;
      complete = true;
      return used + 4;
    }
    ByteReader r(left.substr(1));
    const uint64_t length = r.varint();
    if (!r.ok()) {
      // A varint of ten bytes is all there; a shorter one may be cut.
      if (left.size() > 10) damaged("a length makes no sense");
      return used;
    }
    if (length > kMaxRecord) return damaged("a record is too long"), used;
    if (r.remaining() < length) return used;
    if (!read(static_cast<RecordType>(left[0]), r.bytes(length))) {
      damaged("a record makes no sense");
      return used;
    }
    use(left.size() - r.remaining());
  }
  return used;
}

bool SnapshotDecoder::Progress::parse_prologue(std::string_view bytes) {
  if (!bytes.starts_with(kSnapshotMagic)) return refuse(Code::Corrupt, "this is no snapshot");
  const uint32_t format = get_fixed32(bytes.data() + kSnapshotMagic.size());
  if (format == kSnapshotFormat) return true;
  return refuse(Code::Refused,
                fmt::format("it has format {} and this program knows format {}: run a newer version of it", format,
                            kSnapshotFormat));
}

// Records of a type stand together and types in order, except that changes follow each batch.
bool SnapshotDecoder::Progress::read(RecordType type, std::string_view body) {
  const bool change_after_batch = last == RecordType::Change && type == RecordType::Batch;
  if (type < last && !change_after_batch) return false;
  if (positioned == (type == RecordType::Position)) return false;
  last = type;
  ++records;
  switch (type) {
    case RecordType::Position: return read_position(body);
    case RecordType::Alarm: return read_alarm(body);
    case RecordType::Lease: return read_lease(body);
    case RecordType::Directory: return read_directory(body);
    case RecordType::Key: return read_key(body);
    case RecordType::Batch: return read_batch(body);
    case RecordType::Change: return read_change(body);
    case RecordType::End: return read_end(body);
  }
  return false;
}

bool SnapshotDecoder::Progress::read_position(std::string_view body) {
  FieldReader r(body);
  uint64_t allocated = 0;
  // What is zero is not written.
  state->compacted = Revision(0);
  state->settings = {.memory_quota_bytes = 0, .history_bytes = 0, .min_lease_ttl_ms = 0};
  while (r.next()) {
    switch (r.field()) {
      case 1: state->applied_index = r.uint(); break;
      case 2: state->revision = Revision(r.sint()); break;
      case 3: state->compacted = Revision(r.sint()); break;
      case 4: state->largest_stamp = WallTime{r.sint()}; break;
      case 5: allocated = r.uint(); break;
      case 6: state->settings.memory_quota_bytes = r.sint(); break;
      case 7: state->settings.history_bytes = r.sint(); break;
      case 8: state->settings.min_lease_ttl_ms = r.sint(); break;
      default: break;
    }
  }
  positioned = true;
  // Far below the largest number, so that counting up from it never overflows.
  constexpr Revision kMaxRevision(int64_t{1} << 62);
  constexpr uint64_t kMaxAllocated = uint64_t{1} << 60;  // likewise for lease ids
  if (!r.ok() || allocated > kMaxAllocated || state->revision < Revision(1) || state->revision > kMaxRevision ||
      state->compacted < Revision(-1) || state->compacted > state->revision) {
    return false;
  }
  state->leases.restore_allocated(allocated);
  state->trimmed = state->compacted;
  state->history.start_at(std::max(state->compacted, Revision(2)));
  return true;
}

bool SnapshotDecoder::Progress::read_alarm(std::string_view body) {
  FieldReader r(body);
  AlarmChange alarm{.active = true};
  uint64_t kind = 0;
  while (r.next()) {
    if (r.field() == 1) alarm.member = r.uint();
    if (r.field() == 2) kind = r.uint();
  }
  if (!r.ok() || kind < 1 || kind > static_cast<uint64_t>(AlarmKind::Corrupt)) return false;
  alarm.kind = static_cast<AlarmKind>(kind);
  state->alarms.apply(alarm);
  return true;
}

bool SnapshotDecoder::Progress::read_lease(std::string_view body) {
  FieldReader r(body);
  LeaseId id;
  LeaseRow row;
  uint64_t kind = 0;
  while (r.next()) {
    switch (r.field()) {
      case 1: id = LeaseId(r.sint()); break;
      case 2: kind = r.uint(); break;
      case 3: row.ttl_ms = r.sint(); break;
      case 4: row.remaining_ms = r.sint(); break;
      default: break;
    }
  }
  if (!r.ok() || id == LeaseId(0) || kind > static_cast<uint64_t>(LeaseKind::Consul) ||
      state->leases.find(id) != nullptr)
    return false;
  row.kind = static_cast<LeaseKind>(kind);
  state->leases.insert(id, row);
  return true;
}

bool SnapshotDecoder::Progress::read_directory(std::string_view body) {
  FieldReader r(body);
  std::string_view path;
  Directory row;
  while (r.next()) {
    switch (r.field()) {
      case 1: path = r.bytes(); break;
      case 2: row.created = r.sint(); break;
      case 3: row.children = r.sint(); break;
      case 4: row.changed = Revision(r.sint()); break;
      default: break;
    }
  }
  directories.emplace_back(Blob(path), row);
  return r.ok();
}

bool SnapshotDecoder::Progress::read_key(std::string_view body) {
  Row row;
  if (!read_row(body, state->compacted - 1, row) || !row.version) return false;
  Index::Place place = state->index.find(row.key);
  if (place.found()) return false;
  state->index.insert(place, Blob(row.key));
  const Revision at = row.version->mod_revision;
  place.chain().push(at, std::move(row.version));
  state->index.add_live(place, 1);
  return true;
}

bool SnapshotDecoder::Progress::read_batch(std::string_view body) {
  if (!close_batch()) return false;
  FieldReader r(body);
  batch = std::make_shared<ChangeBatch>();
  while (r.next()) {
    switch (r.field()) {
      case 1: batch->revision = Revision(r.sint()); break;
      case 2: batch_stamp = WallTime{r.sint()}; break;
      case 3: batch_changes = r.uint(); break;
      default: break;
    }
  }
  const bool in_order =
      state->history.last() < state->history.first() || batch_stamp >= state->history.at(state->history.last()).stamp;
  return r.ok() && in_order && batch->revision == state->history.last() + 1 && batch->revision <= state->revision;
}

bool SnapshotDecoder::Progress::close_batch() {
  if (batch == nullptr) return true;
  if (batch->changes.size() != batch_changes) return false;
  batch->bytes = batch_bytes_of(*batch);
  state->history.append(std::move(batch), batch_stamp);
  batch = nullptr;
  batch_changes = 0;
  return true;
}

bool SnapshotDecoder::Progress::read_change(std::string_view body) {
  if (batch == nullptr || batch->changes.size() >= batch_changes) return false;
  Row row;
  if (!read_row(body, batch->revision, row)) return false;
  if (row.version && row.version->mod_revision != batch->revision) return false;
  Index::Place place = state->index.find(row.key);
  VersionRef before;
  if (place.found()) {
    // Changed twice in one revision; or, at the compacted one, also listed as unchanged there.
    if (place.chain().latest_revision() == batch->revision || batch->revision == state->compacted) return false;
    before = place.chain().latest_ref();
  }
  if (!row.version && !before && batch->revision != state->compacted) return false;
  if (!place.found()) state->index.insert(place, Blob(row.key));
  place.chain().push(batch->revision, row.version);
  if (static_cast<bool>(before) != static_cast<bool>(row.version)) state->index.add_live(place, row.version ? 1 : -1);
  batch->changes.push_back({place.key(), std::move(before), std::move(row.version)});
  return true;
}

bool SnapshotDecoder::Progress::read_end(std::string_view body) {
  FieldReader r(body);
  uint64_t said = 0;
  while (r.next()) {
    switch (r.field()) {
      case 1: said = r.uint(); break;
      case 2: digest.high = r.fixed64(); break;
      case 3: digest.low = r.fixed64(); break;
      default: break;
    }
  }
  return r.ok() && close_batch() && said + 1 == records &&
         state->history.last() == std::max(state->revision, Revision(1));
}

// What follows from the keys is made again, not read: owners, directories' present children, the digest. In key order a
// parent comes before its children, which the directories rely on.
bool SnapshotDecoder::Progress::build() {
  for (Index::Cursor cursor = state->index.lower_bound(""); !cursor.done(); cursor.next()) {
    const Version* const version = cursor.chain().latest();
    if (version == nullptr) continue;
    if (version->lease != LeaseId(0)) {
      if (state->leases.find(version->lease) == nullptr) return damaged("a key has an owner that is not there");
      state->leases.attach(version->lease, cursor.key());
    }
    state->digest.add(digest_of(cursor.key(), *version));
    state->data_bytes += bytes_of_row(cursor.key(), *version);
    state->directories.appeared(cursor.key(), Revision(0));
  }
  for (const auto& [path, row] : directories) {
    if (!state->directories.restore(path, row)) return damaged("a directory contradicts the keys");
  }
  if (store->digest() != digest) return damaged("its digest is not that of its content");
  return true;
}

Result<std::unique_ptr<Store>> SnapshotDecoder::finish() {
  Progress& p = *progress_;
  if (!p.error && !p.complete) p.damaged("it ends before its end");
  if (!p.error) p.build();
  if (p.error) return std::unexpected(*p.error);
  return std::move(p.store);
}

}  // namespace witan::store
