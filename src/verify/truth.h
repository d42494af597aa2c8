// The committed history of a world: what every revision changed, and when a first member had applied it. Members may
// lag, restart and forget; the truth only grows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "verify/kv.h"

namespace witan::verify {

class Truth {
 public:
  // Requires revision == revision() + 1, at least one change, and instants that never go back. The changes are taken as
  // the members reported them; check_linearizability() judges whether they make sense.
  void append(int64_t revision, std::vector<Change> changes, Instant when);
  // History below `revision` may be forgotten by the members since `when`, when a first one had applied the compaction.
  // Recorded only, nothing is dropped here. Requires that both ascend.
  void compact(int64_t revision, Instant when);

  // The last one; an empty store is at 1.
  int64_t revision() const { return 1 + static_cast<int64_t>(entries_.size()); }
  bool has(int64_t revision) const { return revision >= 1 && revision <= this->revision(); }
  // The last revision that was applied anywhere by `now`.
  int64_t revision_by(Instant now) const;
  // The largest revision compacted by `now`; 0 when none.
  int64_t compacted_by(Instant now) const;

  // What the revision changed; nothing at revision 1. Requires has(revision).
  const std::vector<Change>& changes(int64_t revision) const;
  // When it was first applied anywhere; before everything for revision 1. Requires has(revision).
  Instant when(int64_t revision) const;

  // What the key held at the revision, if it existed. Requires has(revision).
  std::optional<Version> at(const std::string& key, int64_t revision) const;
  // Everything of the range (as in_range() reads it) at the revision, in key order. Requires has(revision).
  std::vector<KeyVersion> range(const std::string& begin, std::string_view end, int64_t revision) const;

 private:
  struct Entry {
    std::vector<Change> changes;
    Instant when;
  };
  struct Mark {
    int64_t revision = 0;
    std::optional<Version> version;  // none: deleted
  };

  static const Version* find(const std::vector<Mark>& marks, int64_t revision);

  std::vector<Entry> entries_;                            // of revisions 2, 3, ...
  std::map<std::string, std::vector<Mark>> keys_;         // ascending revisions each
  std::vector<std::pair<Instant, int64_t>> compactions_;  // both ascending
};

}  // namespace witan::verify
