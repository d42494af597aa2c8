// Active alarms: a handful at most, one a member and kind.
#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

#include "store/digest.h"
#include "store/store.h"

namespace witan::store {

class AlarmTable {
 public:
  explicit AlarmTable(DigestSum& digest) : digest_(digest) {}

  bool active(AlarmKind kind) const {
    return std::any_of(rows_.begin(), rows_.end(), [kind](const AlarmChange& row) { return row.kind == kind; });
  }
  const std::vector<AlarmChange>& rows() const { return rows_; }  // by member, then kind
  // What it raised or cleared. Raising what is raised already says so again, as etcd does; raising None does nothing.
  // Clearing takes member 0 for every member and None for every kind.
  std::vector<AlarmChange> apply(const AlarmChange& change);

 private:
  static Digest digest_of_row(const AlarmChange& row) {
    return RowHash(RowHash::Kind::Alarm).number(row.member).number(static_cast<uint64_t>(row.kind)).value();
  }
  static bool before(const AlarmChange& a, const AlarmChange& b) {
    return std::tie(a.member, a.kind) < std::tie(b.member, b.kind);
  }

  DigestSum& digest_;
  std::vector<AlarmChange> rows_;
};

inline std::vector<AlarmChange> AlarmTable::apply(const AlarmChange& change) {
  if (change.active) {
    if (change.kind == AlarmKind::None) return {};
    const auto at = std::lower_bound(rows_.begin(), rows_.end(), change, before);
    if (at == rows_.end() || before(change, *at)) {
      rows_.insert(at, change);
      digest_.add(digest_of_row(change));
    }
    return {change};
  }
  std::vector<AlarmChange> cleared;
  std::erase_if(rows_, [&](const AlarmChange& row) {
    const bool gone = (change.member == 0 || change.member == row.member) &&
                      (change.kind == AlarmKind::None || change.kind == row.kind);
    if (gone) {
      digest_.remove(digest_of_row(row));
      cleared.push_back({.member = row.member, .kind = row.kind, .active = false});
    }
    return gone;
  });
  return cleared;
}

}  // namespace witan::store
