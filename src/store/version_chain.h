// What one key held, revision by revision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/types.h"

namespace witan::store {

// The versions of one key in revision order, deletions included. Eight bytes: most keys have one live version, and that
// one is held directly; anything else stands in a vector of its own. Invariant: revisions strictly ascend, and the
// first step is a deletion only if it is kept for watches from the compacted revision (etcd #19179).
class VersionChain {
 public:
  struct Step {
    Revision at;
    VersionRef version;  // null: deleted
  };

  VersionChain() = default;
  VersionChain(VersionChain&& other) noexcept : bits_(std::exchange(other.bits_, 0)) {}
  VersionChain& operator=(VersionChain&& other) noexcept {
    std::swap(bits_, other.bits_);
    return *this;
  }
  ~VersionChain() { clear(); }

  bool empty() const { return bits_ == 0; }
  size_t size() const { return bits_ == 0 ? 0 : is_many() ? many()->size() : 1; }

  // The newest step. Null and Revision(0) when empty; null also when deleted.
  const Version* latest() const { return is_many() ? many()->back().version.get() : single(); }
  bool is_live() const { return latest() != nullptr; }
  Revision latest_revision() const;
  VersionRef latest_ref() const { return share(latest()); }
  // The newest step not after `revision`.
  const Version* at(Revision revision) const;

  // The i-th step, oldest first. Requires i < size().
  Revision revision_of(size_t i) const { return is_many() ? (*many())[i].at : single()->mod_revision; }
  const Version* version_of(size_t i) const { return is_many() ? (*many())[i].version.get() : single(); }

  // Adds a step, or replaces the newest when it has this revision. Requires revision >= latest_revision().
  void push(Revision revision, VersionRef version);
  // Takes the newest step back. Requires that it has this revision.
  void pop(Revision revision);
  // Drops what no read at `revision` or later can see, except a deletion exactly at `revision`. Returns dropped steps.
  size_t trim(Revision revision);

  // Takes another reference to what a chain holds.
  static VersionRef share(const Version* version) {
    if (version != nullptr) version->references.fetch_add(1, std::memory_order_relaxed);
    return VersionRef(version);
  }

 private:
  using Many = std::vector<Step>;

  bool is_many() const { return (bits_ & 1) != 0; }
  Many* many() const { return reinterpret_cast<Many*>(bits_ & ~uintptr_t{1}); }
  const Version* single() const { return reinterpret_cast<const Version*>(bits_); }
  void clear();
  // Back to the inline form when one live step is left, to nothing when none is.
  void shrink();

  uintptr_t bits_ = 0;  // 0: empty; low bit clear: one owned reference to a Version; low bit set: an owned Many
};

}  // namespace witan::store
