#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "store/acl.h"
#include "store/derived.h"
#include "store/path.h"
#include "store/snapshot.h"
#include "store/snapshot_layout.h"
#include "store/state.h"

namespace witan::store {
namespace {

// Far below the largest number, so that counting up from it never overflows.
constexpr int64_t kMaxCounted = int64_t{1} << 62;

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
         version->mod_revision <= newest && version->version >= 1 && version->version <= kMaxCounted;
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
  bool read_node(std::string_view body);
  bool read_hidden(std::string_view body);
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
  ReadRows rows;
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
  if (format >= 1 && format <= kSnapshotFormat) return true;
  return refuse(Code::Refused,
                fmt::format("it has format {} and this program knows format {}: run a newer version of it", format,
                            kSnapshotFormat));
}

// Records of a type stand together and types in order, except that changes follow each batch.
bool SnapshotDecoder::Progress::read(RecordType type, std::string_view body) {
  const bool change_after_batch = last == RecordType::Change && type == RecordType::Batch;
  if (place_of(type) < place_of(last) && !change_after_batch) return false;
  if (positioned == (type == RecordType::Position)) return false;
  last = type;
  ++records;
  switch (type) {
    case RecordType::Position: return read_position(body);
    case RecordType::Alarm: return read_alarm(body);
    case RecordType::Lease: return read_lease(body);
    case RecordType::Directory: return read_directory(body);
    case RecordType::Node: return read_node(body);
    case RecordType::Hidden: return read_hidden(body);
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
      case 9: state->settings.enforce_node_quotas = r.uint() != 0; break;
      default: break;
    }
  }
  positioned = true;
  constexpr Revision kMaxRevision(kMaxCounted);
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
      case 5: row.generation = r.uint(); break;
      default: break;
    }
  }
  if (!r.ok() || id == LeaseId(0) || kind > static_cast<uint64_t>(LeaseKind::Consul) || row.generation > kMaxCounted ||
      state->leases.find(id) != nullptr) {
    return false;
  }
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
  rows.directories.emplace_back(Blob(path), row);
  return r.ok() && row.created <= kMaxCounted;
}

bool SnapshotDecoder::Progress::read_node(std::string_view body) {
  FieldReader r(body);
  std::string_view path;
  NodeRow row;
  uint64_t kind = 0;
  while (r.next()) {
    switch (r.field()) {
      case 1: path = r.bytes(); break;
      case 2: row.acl = Blob(r.bytes()); break;
      case 3: row.acl_version = r.sint(); break;
      case 4: kind = r.uint(); break;
      case 5: row.ttl_ms = r.sint(); break;
      default: break;
    }
  }
  if (!r.ok() || kind > static_cast<uint64_t>(NodeKind::Ttl) || !is_acl(row.acl) || row.acl_version < -1 ||
      row.acl_version > kMaxCounted) {
    return false;
  }
  row.kind = static_cast<NodeKind>(kind);
  if (row.acl.empty()) row.acl = Blob();
  rows.nodes.emplace_back(Blob(path), std::move(row));
  return true;
}

// Parents come before their children, which counted them when they were made: the counts are read, not made again.
bool SnapshotDecoder::Progress::read_hidden(std::string_view body) {
  Row row;
  if (!read_row(body, state->revision, row)) return false;
  Directory children;
  FieldReader r(body);
  while (r.next()) {
    switch (r.field()) {
      case 9: children.created = r.sint(); break;
      case 10: children.children = r.sint(); break;
      case 11: children.changed = Revision(r.sint()); break;
      default: break;
    }
  }
  const bool owned = row.version && row.version->lease != LeaseId(0);
  const bool makes_sense =
      is_hidden(row.key) && is_path(row.key) &&
      (HiddenTable::is_base(row.key) ? !owned : row.version && !(owned && children.children > 0)) &&
      (row.key == kHiddenRoot || state->hidden.exists(parent_of(row.key))) &&
      state->hidden.rows().find(row.key) == nullptr && children.children >= 0 &&
      children.created >= children.children && children.created <= kMaxCounted && children.changed <= state->revision;
  if (!r.ok() || !makes_sense) return false;
  state->hidden.restore(row.key, {.version = std::move(row.version), .children = children});
  return true;
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

bool SnapshotDecoder::Progress::build() {
  if (const auto wrong = derive(*state, std::move(rows))) return damaged(*wrong);
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
