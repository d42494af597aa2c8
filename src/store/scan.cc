#include "store/scan.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace witan::store {
namespace {

// Below this many changes going back through history is cheaper than what it saves.
constexpr size_t kCountChanges = 4096;

int64_t growth(const ChangeBatch& batch, const KeyRangeView& range) {
  int64_t sum = 0;
  for (const Change& change : batch.changes) {
    if (range.contains(change.key))
      sum += static_cast<int64_t>(static_cast<bool>(change.after)) - static_cast<bool>(change.before);
  }
  return sum;
}

template <class T>
int order_of(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

int compare_by(SortTarget target, const KeyVersion& a, const KeyVersion& b) {
  switch (target) {
    case SortTarget::Key: break;
    case SortTarget::Version: return order_of(a.version->version, b.version->version);
    case SortTarget::CreateRevision: return order_of(a.version->create_revision, b.version->create_revision);
    case SortTarget::ModRevision: return order_of(a.version->mod_revision, b.version->mod_revision);
    case SortTarget::Value: return a.version->value.view().compare(b.version->value.view());
  }
  return a.key.view().compare(b.key.view());
}

}  // namespace

std::optional<int64_t> count_at(const State& state, const KeyRangeView& range, Revision at, const ChangeBatch* pending,
                                size_t max_changes) {
  if (range.single) {
    const VersionChain* const chain = state.index.chain_of(range.begin);
    return chain != nullptr && chain->at(at) != nullptr ? 1 : 0;
  }
  int64_t count = static_cast<int64_t>(state.index.count_live(range.begin, range.end.empty() ? nullptr : &range.end));
  if (at > state.revision) return count;
  // Every change of a later revision is taken back: created keys were not there, deleted ones were.
  size_t changes = 0;
  if (pending != nullptr) count -= growth(*pending, range);
  for (Revision r = state.revision; r > at; r = r - 1) {
    const ChangeBatch& batch = *state.history.at(r).batch;
    changes += batch.changes.size() + 1;
    if (changes > max_changes) return std::nullopt;
    count -= growth(batch, range);
  }
  return count;
}

Scan::Scan(const State& state, const Range& range, Revision at, const ChangeBatch* pending)
    : state_(state), range_(range), at_(at), current_(state.revision) {
  const bool filters = range.min_mod != Revision(0) || range.max_mod != Revision(0) ||
                       range.min_create != Revision(0) || range.max_create != Revision(0);
  const bool key_order = range.target == SortTarget::Key && range.order != SortOrder::Descend;
  sorts_ = !key_order;
  // Only where the order is that of the keys may the limit cut while reading; with filters it cuts what passed them.
  const bool first_keys_only = range.order == SortOrder::None && !filters;
  collect_ = range.limit > 0 && (key_order || first_keys_only) ? range.limit + (sorts_ ? 1 : 0) : -1;
  if (range.limit == INT64_MAX) collect_ = -1;
  count_ = count_at(state, range.range, at, pending, kCountChanges);
  if (range.count_only && count_) done_ = true;
}

void Scan::make_independent(Pins& pins) {
  begin_ = range_.range.begin;
  end_ = range_.range.end;
  range_.range.begin = begin_;
  range_.range.end = end_;
  pin_ = pins.hold(at_);
}

bool Scan::step(size_t budget) {
  if (done_) return true;
  Index::Cursor cursor = state_.index.lower_bound(stopped_ ? std::string_view(resume_) : range_.range.begin);
  size_t looked = 0;
  for (; !cursor.done() && range_.range.contains(cursor.key()); cursor.next()) {
    if (looked++ >= std::max<size_t>(budget, 1)) {
      resume_ = cursor.key();
      stopped_ = true;
      return false;
    }
    const Version* const version = cursor.chain().at(at_);
    if (version == nullptr) continue;
    if (!visit(cursor.key(), *version)) break;
    if (range_.range.single) break;
  }
  complete();
  return true;
}

// False when nothing further is of interest.
bool Scan::visit(const Blob& key, const Version& version) {
  ++walked_;
  if (range_.count_only || !passes(version)) return true;
  if (collect_ < 0 || found_ < collect_) {
    items_.push_back({key, VersionChain::share(&version)});
    ++found_;
    return true;
  }
  more_ = true;
  return !count_;
}

bool Scan::passes(const Version& version) const {
  const auto at_least = [](Revision bound, Revision r) { return bound == Revision(0) || r >= bound; };
  const auto at_most = [](Revision bound, Revision r) { return bound == Revision(0) || r <= bound; };
  return at_least(range_.min_mod, version.mod_revision) && at_most(range_.max_mod, version.mod_revision) &&
         at_least(range_.min_create, version.create_revision) && at_most(range_.max_create, version.create_revision);
}

void Scan::complete() {
  done_ = true;
  pin_ = Pin();
  if (sorts_) sort();
}

void Scan::sort() {
  const bool descend = range_.order == SortOrder::Descend;
  const SortTarget target = range_.target;
  const auto before = [descend, target](const KeyVersion& a, const KeyVersion& b) {
    const int order = compare_by(target, a, b);
    if (order != 0) return descend ? order > 0 : order < 0;
    return a.key.view() < b.key.view();
  };
  const auto limit = range_.limit > 0 ? static_cast<uint64_t>(range_.limit) : UINT64_MAX;
  if (limit >= items_.size()) {
    std::sort(items_.begin(), items_.end(), before);
    return;
  }
  std::partial_sort(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(limit), items_.end(), before);
  items_.resize(limit);
  more_ = true;
}

RangeResult Scan::finish() {
  CHECK(done_, "a range is finished only when it is done");
  return {.items = take_items(), .count = count_.value_or(walked_), .more = more_, .revision = current_};
}

}  // namespace witan::store
