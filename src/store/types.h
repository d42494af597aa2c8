// The words of the replicated state: revisions, leases, versions of entries, ranges, change batches.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/container/inlined_vector.h>

#include "base/blob.h"
#include "base/strong.h"
#include "base/time.h"

namespace witan::store {

// The one counter of everything visible: etcd's revision, ZooKeeper's zxid, Consul's index. An empty store is at 1.
using Revision = Strong<struct RevisionTag, int64_t>;
// One id space for etcd leases, ZooKeeper and Consul sessions (core L1). 0 = none. Negative ids are legal.
using LeaseId = Strong<struct LeaseIdTag, int64_t>;

enum class LeaseKind : uint8_t { Etcd = 0, ZooKeeper = 1, Consul = 2 };

// A wall-clock stamp in six bytes: milliseconds of 4,400 years around 1970; what lies beyond becomes the nearest of
// them.
class Stamp {
 public:
  constexpr Stamp() = default;
  constexpr explicit Stamp(WallTime time) {
    constexpr int64_t kLimit = (int64_t{1} << 47) - 1;
    const int64_t ms = time.ms > kLimit ? kLimit : time.ms < -kLimit ? -kLimit : time.ms;
    for (int i = 0; i < 6; ++i) bytes_[i] = static_cast<uint8_t>(ms >> (8 * i));
  }
  constexpr WallTime time() const {
    uint64_t ms = 0;
    for (int i = 0; i < 6; ++i) ms |= static_cast<uint64_t>(bytes_[i]) << (8 * i + 16);
    return WallTime{static_cast<int64_t>(ms) >> 16};
  }
  constexpr int64_t ms() const { return time().ms; }

 private:
  uint8_t bytes_[6] = {};
};

// Immutable: one value a key had. Shared by the version chain, history and change batches; never copied.
struct Version {
  mutable std::atomic<uint32_t> references{1};
  Stamp created;  // when this life of the key began
  Stamp modified;
  Revision create_revision;  // first revision of this life of the key
  Revision mod_revision;     // the revision that made this version
  int64_t version = 0;       // 1 at creation
  LeaseId lease;
  Blob value;  // null differs from empty (ZooKeeper)
};
static_assert(sizeof(Version) == 56,
              "a Version and malloc's header fill one cache line; docs/decisions has the budget");

// A counted reference to a Version; null means "no such key".
class VersionRef {
 public:
  VersionRef() = default;
  explicit VersionRef(const Version* adopted) : version_(adopted) {}
  VersionRef(const VersionRef& other) noexcept : version_(other.version_) {
    if (version_ != nullptr) version_->references.fetch_add(1, std::memory_order_relaxed);
  }
  VersionRef(VersionRef&& other) noexcept : version_(std::exchange(other.version_, nullptr)) {}
  VersionRef& operator=(VersionRef other) noexcept {
    std::swap(version_, other.version_);
    return *this;
  }
  ~VersionRef() {
    if (version_ != nullptr && version_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete version_;
  }
  explicit operator bool() const { return version_ != nullptr; }
  const Version* get() const { return version_; }
  // Gives the reference up without dropping it: whoever takes the pointer owns one count.
  const Version* release() { return std::exchange(version_, nullptr); }
  const Version* operator->() const { return version_; }
  const Version& operator*() const { return *version_; }

 private:
  const Version* version_ = nullptr;
};

// A key and what it held.
struct KeyVersion {
  Blob key;
  VersionRef version;
};

// A set of keys, [begin, end) in byte order. `end` empty means unbounded: every key >= begin.
struct KeyRange {
  std::string begin;
  std::string end;

  static KeyRange single(std::string_view key) { return {std::string(key), std::string(key) + '\0'}; }
  static KeyRange all() { return {std::string(), std::string()}; }
  bool contains(std::string_view key) const { return key >= begin && (end.empty() || key < end); }
  bool empty() const { return !end.empty() && end <= begin; }
};
// The same without owning the bytes, inside commands. `single` instead of an end that would need a new string.
struct KeyRangeView {
  std::string_view begin;
  std::string_view end;  // empty: unbounded, unless single
  bool single = false;

  bool contains(std::string_view key) const {
    return single ? key == begin : key >= begin && (end.empty() || key < end);
  }
};

// One key's change. `before` null: created. `after` null: deleted. Neither copies a value.
struct Change {
  Blob key;
  VersionRef before;
  VersionRef after;
};

// What happened to one node of the ZooKeeper view. Created and Deleted are news of its parent's children too.
struct NodeEvent {
  enum class Type : uint8_t { Created, Deleted, Changed } type = Type::Created;
  Blob path;
  Blob acl;         // who may hear of it (store/acl.h); null: everybody
  Blob parent_acl;  // who may hear of it as the parent's news
};

// Everything one revision changed, in key order of the operations (core F2). Immutable and shared.
struct ChangeBatch {
  Revision revision;
  absl::InlinedVector<Change, 1> changes;  // each key once; there are as many batches in memory as revisions
  // The same as the ZooKeeper view sees it, in the order it happened. Only there when it does not follow from `changes`
  // alone: implied nodes, ACLs, the hidden table, a node that changed twice. Use for_each_node_event (store/node.h).
  std::unique_ptr<std::vector<NodeEvent>> node_events;
};
using ChangeBatchPtr = std::shared_ptr<const ChangeBatch>;

}  // namespace witan::store
