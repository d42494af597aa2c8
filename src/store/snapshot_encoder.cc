#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "store/snapshot.h"
#include "store/snapshot_layout.h"
#include "store/state.h"

namespace witan::store {
namespace {

// All of a version but its value, which goes behind.
void write_version(FieldWriter& w, const Version& version) {
  w.sint(2, version.create_revision.value);
  w.sint(3, version.mod_revision.value);
  w.sint(4, version.version);
  w.sint(5, version.lease.value);
  w.sint(6, version.created.ms());
  w.sint(7, version.modified.ms());
}

constexpr uint32_t kValueTag = 8 << 3 | static_cast<uint32_t>(WireType::Bytes);
// What a key that has nothing to write counts for in a budget of bytes.
constexpr size_t kPassedKey = 64;
constexpr size_t kChecksumBytes = 4;

}  // namespace

// The tables come first, because rows that change before they are written must be kept; keys and history have versions
// and only need the pin.
struct SnapshotEncoder::Progress {
  explicit Progress(State& s, Digest d, bool only_measured)
      : state(s), pin(s.pins.hold(s.compacted)), applied_index(s.applied_index), revision(s.revision),
        compacted(s.compacted), digest(d), measuring(only_measured), leases(std::in_place, s.leases.rows()),
        directories(std::in_place, s.directories.rows()), nodes(std::in_place, s.node_rows.rows()),
        hidden(std::in_place, s.hidden.rows()), next_batch(std::max(s.compacted, Revision(2))) {
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
      w.uint(9, state.settings.enforce_node_quotas ? 1 : 0);
    });
  }

  template <class Body>
  void record(std::string& out, RecordType type, Body&& body) {
    fields.clear();
    FieldWriter w(fields);
    body(w);
    finish_record(out, type, {});
  }
  // A key with a version, or without one: a deletion. A value may be large: it is copied once, when it is at all.
  void record_of(std::string& out, RecordType type, const Blob& key, const Version* version) {
    fields.clear();
    FieldWriter w(fields);
    w.bytes(1, key);
    if (version != nullptr) write_version(w, *version);
    if (version == nullptr || version->value.is_null()) return finish_record(out, type, {});  // null is not empty
    put_varint(fields, kValueTag);
    put_varint(fields, version->value.size());
    finish_record(out, type, version->value);
  }
  void finish_record(std::string& out, RecordType type, std::string_view value) {
    out.push_back(static_cast<char>(type));
    put_varint(out, fields.size() + value.size());
    out.append(fields);
    if (measuring) {
      left_out += value.size();
    } else {
      out.append(value);
    }
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
      w.uint(5, row->second.generation);
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
  bool write_node(std::string& out) {
    const auto row = nodes->next();
    if (!row) {
      nodes.reset();
      return false;
    }
    record(out, RecordType::Node, [&](FieldWriter& w) {
      w.bytes(1, row->first);
      w.bytes(2, row->second.acl);
      w.sint(3, row->second.acl_version);
      w.uint(4, static_cast<uint64_t>(row->second.kind));
      w.sint(5, row->second.ttl_ms);
    });
    return true;
  }
  bool write_hidden(std::string& out) {
    const auto row = hidden->next();
    if (!row) {
      hidden.reset();
      return false;
    }
    const HiddenRow& node = row->second;
    record(out, RecordType::Hidden, [&](FieldWriter& w) {
      w.bytes(1, row->first);
      if (node.version) {
        write_version(w, *node.version);
        if (!node.version->value.is_null()) w.bytes_always(8, node.version->value);
      }
      w.sint(9, node.children.created);
      w.sint(10, node.children.children);
      w.sint(11, node.children.changed.value);
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
      if (version == nullptr || cursor.chain().at(compacted) != version) {
        passed += kPassedKey;
        continue;
      }
      record_of(out, RecordType::Key, cursor.key(), version);
    }
    if (cursor.done()) return false;
    next_key = cursor.key();
    return true;
  }
  bool write_change(std::string& out) {
    if (next_batch > revision) return false;
    const History::Slot& slot = state.history.at(next_batch);
    const auto& changes = slot.batch->changes;
    if (next_change == 0) {
      record(out, RecordType::Batch, [&](FieldWriter& w) {
        w.sint(1, slot.batch->revision.value);
        w.sint(2, slot.stamp.ms);
        w.uint(3, changes.size());
      });
    }
    if (next_change < changes.size()) {
      const Change& change = changes[next_change++];
      record_of(out, RecordType::Change, change.key, change.after ? &*change.after : nullptr);
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
  static constexpr std::array<Stage, 8> kStages = {
      &Progress::write_head,   &Progress::write_lease, &Progress::write_directory, &Progress::write_node,
      &Progress::write_hidden, &Progress::write_keys,  &Progress::write_change,    &Progress::write_end};

  State& state;
  Pin pin;
  const uint64_t applied_index;
  const Revision revision;
  const Revision compacted;
  const Digest digest;
  const bool measuring;  // counts values instead of writing them
  std::optional<LeaseTable::Rows::Walk> leases;
  std::optional<Directories::Rows::Walk> directories;
  std::optional<NodeTable::Rows::Walk> nodes;
  std::optional<HiddenTable::Rows::Walk> hidden;
  std::string next_key;
  Revision next_batch;
  size_t next_change = 0;

  // Works until `budget` bytes are there or as much was looked at in vain. False when all stages are over.
  bool advance(size_t budget, std::string& out) {
    const size_t start = out.size();
    passed = 0;
    while (stage < kStages.size()) {
      if (!(this->*kStages[stage])(out)) ++stage;
      if (out.size() - start + passed >= budget) break;
    }
    length += out.size() - start + std::exchange(left_out, 0);
    return stage < kStages.size();
  }

  std::string head;    // the records that are made at once
  std::string fields;  // of the record being written
  uint64_t records = 0;
  uint64_t length = 0;  // so far, without the checksum
  size_t left_out = 0;  // bytes of values in this slice
  size_t passed = 0;    // keys without a row in this slice, as bytes
  uint32_t crc = 0;
  size_t stage = 0;
};

SnapshotEncoder::SnapshotEncoder(Store& store)
    : progress_(std::make_unique<Progress>(*store.state_, store.digest(), false)) {}
SnapshotEncoder::~SnapshotEncoder() = default;
uint64_t SnapshotEncoder::applied_index() const { return progress_->applied_index; }
Revision SnapshotEncoder::revision() const { return progress_->revision; }

bool SnapshotEncoder::measure(size_t budget) {
  if (size_) return true;
  if (meter_ == nullptr) {
    const Progress& p = *progress_;
    CHECK(p.length == 0 && p.applied_index == p.state.applied_index, "a snapshot is measured before anything else");
    meter_ = std::make_unique<Progress>(p.state, p.digest, true);
  }
  std::string unused;
  if (meter_->advance(budget, unused)) return false;
  size_ = meter_->length + kChecksumBytes;
  meter_.reset();
  return true;
}

uint64_t SnapshotEncoder::size() const {
  CHECK(size_, "the snapshot has not been measured");
  return *size_;
}

bool SnapshotEncoder::next(size_t budget, std::string& out) {
  Progress& p = *progress_;
  const size_t start = out.size();
  if (p.stage == Progress::kStages.size()) return false;
  const bool more = p.advance(budget, out);
  p.crc = crc32c(std::string_view(out).substr(start), p.crc);
  if (more) return true;
  put_fixed32(out, p.crc);
  CHECK(!size_ || *size_ == p.length + kChecksumBytes, "a snapshot of {} bytes was measured as {}",
        p.length + kChecksumBytes, *size_);
  p.pin = Pin();
  return false;
}

}  // namespace witan::store
