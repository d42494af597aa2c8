#include "raft/log.h"

#include <algorithm>

#include "base/check.h"

namespace witan::raft {

Log::Log(Index base, Term base_term, std::vector<Entry> entries, Index applied)
    : base_(base), evicted_(base), applied_(applied), delivered_(applied), commit_(applied), stable_(base),
      saved_(base) {
  runs_.push_back({base, base_term});
  for (Entry& entry : entries) append(std::move(entry));
  CHECK(base <= applied && applied <= last(), "applied {} is outside of the log {}..{}", applied, base, last());
  stable_ = saved_ = last();
}

std::optional<Term> Log::term_at(Index index) const {
  if (index < base_ || index > last()) return std::nullopt;
  if (index >= runs_.back().first) return runs_.back().term;
  const auto after = std::ranges::upper_bound(runs_, index, {}, &Run::first);
  return std::prev(after)->term;
}

bool Log::is_up_to_date(Index last_index, Term term) const {
  return term > last_term() || (term == last_term() && last_index >= last());
}

Index Log::agreement_limit(Index index, Term term) const {
  index = std::min(index, last());
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->first > index) continue;
    if (run->term <= term) return index;
    index = run->first.value == 0 ? Index(0) : run->first - 1;
  }
  return index;
}

void Log::start_run(Index first, Term term) {
  CHECK(term >= runs_.back().term, "term {} after {} at {}", term, runs_.back().term, first);
  if (term != runs_.back().term) runs_.push_back({first, term});
}

void Log::append(Entry entry) {
  CHECK(entry.index == last() + 1, "entry {} after {}", entry.index, last());
  start_run(entry.index, entry.term);
  tail_bytes_ += cost(entry);
  entries_.push_back(std::move(entry));
}

void Log::cut(Index from) {
  CHECK(commit_ < from && from <= last(), "cut from {} with commit {} and last {}", from, commit_, last());
  while (last() >= from) {
    tail_bytes_ -= cost(entries_.back());
    entries_.pop_back();
  }
  while (runs_.back().first >= from) runs_.pop_back();
  stable_ = std::min(stable_, from - 1);
  if (saved_ < from) return;
  saved_ = from - 1;
  cut_from_ = cut_from_ ? std::min(*cut_from_, from) : from;
}

void Log::reset(Index index, Term term) {
  CHECK(index > commit_, "reset to {} with commit {}", index, commit_);
  entries_.clear();
  tail_bytes_ = 0;
  runs_.assign(1, Run{index, term});
  base_ = evicted_ = applied_ = delivered_ = commit_ = stable_ = saved_ = index;
  cut_from_.reset();
}

void Log::skip_to(Index index) {
  CHECK(commit_ < index && index <= last(), "skip to {} with commit {} and last {}", index, commit_, last());
  commit_ = delivered_ = applied_ = index;
  stable_ = std::max(stable_, index);
  saved_ = std::max(saved_, index);
  compact(index);
}

void Log::commit_to(Index index) {
  CHECK(index <= last(), "commit {} beyond {}", index, last());
  commit_ = std::max(commit_, index);
}

std::vector<Entry> Log::take_committed() {
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(delivered_ - evicted_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(commit_ - evicted_);
  delivered_ = commit_;
  return {begin, end};
}

void Log::applied_to(Index index) {
  CHECK(index <= delivered_, "applied {} but handed out only {}", index, delivered_);
  applied_ = std::max(applied_, index);
}

void Log::stable_to(Index index) {
  CHECK(index <= saved_, "stable {} but saved only {}", index, saved_);
  stable_ = std::max(stable_, index);
}

Log::Unsaved Log::take_unsaved() {
  Unsaved unsaved{.cut_from = cut_from_, .entries = {}};
  unsaved.entries.assign(entries_.begin() + static_cast<std::ptrdiff_t>(saved_ - evicted_), entries_.end());
  saved_ = last();
  cut_from_.reset();
  return unsaved;
}

const Entry& Log::at(Index index) const {
  CHECK(evicted_ < index && index <= last(), "entry {} is not in memory: {}..{}", index, evicted_, last());
  return entries_[index - evicted_ - 1];
}

std::vector<Entry> Log::slice(Index from, size_t max_bytes) const {
  size_t bytes = cost(at(from));
  Index to = from + 1;
  for (; to <= last(); ++to) {
    bytes += cost(at(to));
    if (bytes > max_bytes) break;
  }
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(from - evicted_ - 1);
  return {begin, begin + static_cast<std::ptrdiff_t>(to - from)};
}

void Log::drop_front() {
  tail_bytes_ -= cost(entries_.front());
  entries_.pop_front();
  ++evicted_;
}

void Log::compact(Index index) {
  index = std::min({index, applied_, stable_});
  if (index <= base_) return;
  const Term term = *term_at(index);
  while (evicted_ < index) drop_front();
  std::erase_if(runs_, [&](const Run& run) { return run.first <= index; });
  runs_.insert(runs_.begin(), Run{index, term});
  base_ = index;
}

void Log::evict(size_t max_bytes) {
  const Index limit = std::min(applied_, stable_);
  while (tail_bytes_ > max_bytes && evicted_ < limit) drop_front();
}

}  // namespace witan::raft
