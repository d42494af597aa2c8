#include "wal/log_index.h"

#include <algorithm>

#include "base/check.h"

namespace witan::wal {
namespace {

// A reader of one entry passes over at most this much of log before it.
constexpr uint64_t kSpanBytes = 64 << 10;

}  // namespace

void LogIndex::restart(raft::Index after) {
  spans_.clear();
  first_ = after + 1;
  last_ = after;
  extend_ = false;
}

void LogIndex::cut(raft::Index from) {
  CHECK(from <= last_ + 1, "cut at {} of a log that ends at {}", from, last_);
  if (from == last_ + 1) return;
  // A span that grew past a cut would hold an index twice; its reader takes the first it meets.
  extend_ = false;
  if (from <= first_) {
    spans_.clear();
    first_ = from;
  }
  while (!spans_.empty() && spans_.back().first >= from) spans_.pop_back();
  last_ = from - 1;
  if (!spans_.empty()) spans_.back().last = last_;
}

void LogIndex::compact(raft::Index index) {
  CHECK(index <= last_, "compaction to {} of a log that ends at {}", index, last_);
  first_ = std::max(first_, index + 1);
  const auto kept = std::ranges::find_if(spans_, [&](const Span& span) { return span.last >= first_; });
  spans_.erase(spans_.begin(), kept);
}

void LogIndex::add(uint32_t count, const Place& place) {
  if (count == 0) return;
  const raft::Index from = last_ + 1;
  last_ = last_ + count;
  if (extend_ && !spans_.empty()) {
    Span& span = spans_.back();
    if (span.place.segment == place.segment && place.offset - span.place.offset < kSpanBytes) {
      span.last = last_;
      return;
    }
  }
  spans_.push_back({from, last_, place});
  extend_ = true;
}

const LogIndex::Span& LogIndex::find(raft::Index index) const {
  CHECK(index >= first_ && index <= last_, "entry {} of [{}, {}]", index, first_, last_);
  const auto after = std::ranges::upper_bound(spans_, index, {}, &Span::first);
  return *(after - 1);
}

}  // namespace witan::wal
