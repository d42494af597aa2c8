#include "verify/truth.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace witan::verify {

void Truth::append(int64_t revision, std::vector<Change> changes, Instant when) {
  CHECK(revision == this->revision() + 1, "revision {} after {}", revision, this->revision());
  CHECK(!changes.empty(), "revision {} changes nothing", revision);
  CHECK(entries_.empty() || when >= entries_.back().when, "revision {} goes back in time", revision);
  for (const Change& change : changes) {
    std::vector<Mark>& marks = keys_[change.key];
    if (!marks.empty() && marks.back().revision == revision) marks.pop_back();  // changed twice: the last one counts
    marks.push_back({.revision = revision, .version = change.after});
  }
  entries_.push_back({.changes = std::move(changes), .when = when});
}

void Truth::compact(int64_t revision, Instant when) {
  if (!compactions_.empty()) {
    CHECK(revision > compactions_.back().second, "compaction at {} after {}", revision, compactions_.back().second);
    CHECK(when >= compactions_.back().first, "compaction at {} goes back in time", revision);
  }
  compactions_.emplace_back(when, revision);
}

int64_t Truth::revision_by(Instant now) const {
  const auto end =
      std::partition_point(entries_.begin(), entries_.end(), [now](const Entry& e) { return e.when <= now; });
  return 1 + (end - entries_.begin());
}

int64_t Truth::compacted_by(Instant now) const {
  const auto end =
      std::partition_point(compactions_.begin(), compactions_.end(), [now](const auto& c) { return c.first <= now; });
  return end == compactions_.begin() ? 0 : std::prev(end)->second;
}

const std::vector<Change>& Truth::changes(int64_t revision) const {
  static const std::vector<Change> kNothing;
  CHECK(has(revision), "no revision {}", revision);
  return revision == 1 ? kNothing : entries_[static_cast<size_t>(revision - 2)].changes;
}

Instant Truth::when(int64_t revision) const {
  CHECK(has(revision), "no revision {}", revision);
  if (revision == 1) return Instant{std::numeric_limits<int64_t>::min()};
  return entries_[static_cast<size_t>(revision - 2)].when;
}

const Version* Truth::find(const std::vector<Mark>& marks, int64_t revision) {
  const auto end =
      std::partition_point(marks.begin(), marks.end(), [revision](const Mark& m) { return m.revision <= revision; });
  if (end == marks.begin() || !std::prev(end)->version) return nullptr;
  return &*std::prev(end)->version;
}

std::optional<Version> Truth::at(const std::string& key, int64_t revision) const {
  CHECK(has(revision), "no revision {}", revision);
  const auto marks = keys_.find(key);
  if (marks == keys_.end()) return std::nullopt;
  const Version* version = find(marks->second, revision);
  return version == nullptr ? std::nullopt : std::optional(*version);
}

std::vector<KeyVersion> Truth::range(const std::string& begin, std::string_view end, int64_t revision) const {
  CHECK(has(revision), "no revision {}", revision);
  std::vector<KeyVersion> found;
  for (auto key = keys_.lower_bound(begin); key != keys_.end() && in_range(key->first, begin, end); ++key) {
    const Version* version = find(key->second, revision);
    if (version != nullptr) found.push_back({.key = key->first, .version = *version});
  }
  return found;
}

}  // namespace witan::verify
