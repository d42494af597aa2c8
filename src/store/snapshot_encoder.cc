#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "store/snapshot.h"
#include "store/snapshot_layout.h"
#include "store/state.h"

namespace witan::store {
namespace {

void write_version(FieldWriter& w, const Version& version) {
  w.sint(2, version.create_revision.value);
  w.sint(3, version.mod_revision.value);
  w.sint(4, version.version);
  w.sint(5, version.lease.value);
  w.sint(6, version.created.ms());
  w.sint(7, version.modified.ms());
  if (!version.value.is_null()) w.bytes_always(8, version.value);  // null is not empty
}

}  // namespace

// The tables come first, because rows that change before they are written must be kept; keys and history have versions
// and only need the pin.
struct SnapshotEncoder::Progress {
  explicit Progress(Store& store, State& s)
      : state(s), pin(s.pins.hold(s.compacted)), applied_index(s.applied_index), revision(s.revision),
        compacted(s.compacted), digest(store.digest()), leases(std::in_place, s.leases.rows()),
        directories(std::in_place, s.directories.rows()), next_batch(std::max(s.compacted, Revision(2))) {
    head.append(kSnapshotMagic);
    put_fixed32(head, kSnapshotFormat);
    write_position();
    for (const AlarmChange& alarm : s.alarms.rows()) {
      record(head, RecordType::Alarm, [&](FieldWriter& w) {
        w.uint(1, alarm.member);
        w.uint(2, static_cast<uint64_t>(alarm.kind));
      });
    }
  }

  void write_position() {
    record(head, RecordType::Position, [&](FieldWriter& w) {
      w.uint(1, applied_index);
      w.sint(2, revision.value);
      w.sint(3, compacted.value);
      w.sint(4, state.largest_stamp.ms);
      w.uint(5, state.leases.allocated());
      w.sint(6, state.settings.memory_quota_bytes);
      w.sint(7, state.settings.history_bytes);
      w.sint(8, state.settings.min_lease_ttl_ms);
    });
  }

  template <class Body>
  void record(std::string& out, RecordType type, Body&& body) {
    fields.clear();
    FieldWriter w(fields);
    body(w);
    out.push_back(static_cast<char>(type));
    put_varint(out, fields.size());
    out.append(fields);
    ++records;
  }

  bool write_head(std::string& out) {
    out.append(head);
    head = std::string();
    return false;
  }
  bool write_lease(std::string& out) {
    const auto row = leases->next();
    if (!row) {
      leases.reset();
      return false;
    }
    record(out, RecordType::Lease, [&](FieldWriter& w) {
      w.sint(1, row->first.value);
      w.uint(2, static_cast<uint64_t>(row->second.kind));
      w.sint(3, row->second.ttl_ms);
      w.sint(4, row->second.remaining_ms);
    });
    return true;
  }
  bool write_directory(std::string& out) {
    const auto row = directories->next();
    if (!row) {
      directories.reset();
      return false;
    }
    record(out, RecordType::Directory, [&](FieldWriter& w) {
      w.bytes(1, row->first);
      w.sint(2, row->second.created);
      w.sint(3, row->second.children);
      w.sint(4, row->second.changed.value);
    });
    return true;
  }
  // The next rows of keys; one call looks at a bounded number of keys, most of which may have nothing to write.
  bool write_keys(std::string& out) {
    constexpr int kKeysAtOnce = 64;
    Index::Cursor cursor = state.index.lower_bound(next_key);
    for (int i = 0; i < kKeysAtOnce; ++i, cursor.next()) {
      if (cursor.done() || compacted <= Revision(2)) return false;
      // What was written at the compacted revision itself comes with that revision's batch.
      const Version* const version = cursor.chain().at(compacted - 1);
      if (version == nullptr || cursor.chain().at(compacted) != version) continue;
      record(out, RecordType::Key, [&](FieldWriter& w) {
        w.bytes(1, cursor.key());
        write_version(w, *version);
      });
    }
    if (cursor.done()) return false;
    next_key = cursor.key();
    return true;
  }
  bool write_change(std::string& out) {
    if (next_batch > revision) return false;
    const History::Slot& slot = state.history.at(next_batch);
    const std::vector<Change>& changes = slot.batch->changes;
    if (next_change == 0) {
      record(out, RecordType::Batch, [&](FieldWriter& w) {
        w.sint(1, slot.batch->revision.value);
        w.sint(2, slot.stamp.ms);
        w.uint(3, changes.size());
      });
    }
    if (next_change < changes.size()) {
      const Change& change = changes[next_change++];
      record(out, RecordType::Change, [&](FieldWriter& w) {
        w.bytes(1, change.key);
        if (change.after) write_version(w, *change.after);
      });
    }
    if (next_change >= changes.size()) {
      next_change = 0;
      ++next_batch;
    }
    return true;
  }
  bool write_end(std::string& out) {
    const uint64_t before = records;
    record(out, RecordType::End, [&](FieldWriter& w) {
      w.uint(1, before);
      w.fixed64(2, digest.high);
      w.fixed64(3, digest.low);
    });
    return false;
  }

  using Stage = bool (Progress::*)(std::string&);
  static constexpr std::array<Stage, 6> kStages = {&Progress::write_head,      &Progress::write_lease,
                                                   &Progress::write_directory, &Progress::write_keys,
                                                   &Progress::write_change,    &Progress::write_end};

  State& state;
  Pin pin;
  const uint64_t applied_index;
  const Revision revision;
  const Revision compacted;
  const Digest digest;
  std::optional<LeaseTable::Rows::Walk> leases;
  std::optional<Directories::Rows::Walk> directories;
  std::string next_key;
  Revision next_batch;
  size_t next_change = 0;

  std::string head;    // the records that are made at once
  std::string fields;  // of the record being written
  uint64_t records = 0;
  uint32_t crc = 0;
  size_t stage = 0;
};

SnapshotEncoder::SnapshotEncoder(Store& store) : progress_(std::make_unique<Progress>(store, *store.state_)) {}
SnapshotEncoder::~SnapshotEncoder() = default;
uint64_t SnapshotEncoder::applied_index() const { return progress_->applied_index; }
Revision SnapshotEncoder::revision() const { return progress_->revision; }

bool SnapshotEncoder::next(size_t budget, std::string& out) {
  Progress& p = *progress_;
  const size_t start = out.size();
  if (p.stage == Progress::kStages.size()) return false;
  do {
    if (!(p.*Progress::kStages[p.stage])(out)) ++p.stage;
  } while (p.stage < Progress::kStages.size() && out.size() - start < budget);
  p.crc = crc32c(std::string_view(out).substr(start), p.crc);
  if (p.stage < Progress::kStages.size()) return true;
  put_fixed32(out, p.crc);
  p.pin = Pin();
  return false;
}

}  // namespace witan::store
