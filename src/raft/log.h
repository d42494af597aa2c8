// The log as consensus sees it: what is only on disk, what is in memory, what is durable, committed, handed out.
// Deciding only; the wal room writes.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "raft/types.h"

namespace witan::raft {

// What an entry is counted as in windows and budgets: its bytes and what it costs to hold and to frame them.
inline size_t cost(const Entry& entry) { return entry.data.size() + sizeof(Entry); }

// A later part of the log could agree with an earlier one only where terms agree (thesis 3.5), so a log is known by
// its terms. They change rarely: `term_at` answers for entries that memory no longer holds.
class Log {
 public:
  // A log that goes on after `base`, of which everything up to `applied` is in the state machine already.
  // Requires: entries contiguous, the first one at base + 1; base <= applied <= last. All of it is durable.
  Log(Index base, Term base_term, std::vector<Entry> entries, Index applied);

  // base <= evicted <= min(applied, stable); applied <= delivered <= commit <= last; stable <= saved <= last
  Index base() const { return base_; }            // entries up to here are compacted away
  Index evicted() const { return evicted_; }      // entries up to here are not in memory
  Index applied() const { return applied_; }      // the driver says that the state has these
  Index delivered() const { return delivered_; }  // handed out as committed
  Index commit() const { return commit_; }
  Index stable() const { return stable_; }  // on this member's disk, and equal to what is here
  Index last() const { return evicted_ + entries_.size(); }
  Term last_term() const { return runs_.back().term; }
  size_t tail_bytes() const { return tail_bytes_; }

  // base <= index <= last, otherwise nullopt.
  std::optional<Term> term_at(Index index) const;
  bool matches(Index index, Term term) const { return term_at(index) == term; }
  // Thesis 3.6.1: may somebody whose log ends like this lead us?
  bool is_up_to_date(Index last, Term last_term) const;
  // The largest index <= `index` whose term is <= `term`; base - 1 (or 0) when that is compacted away.
  Index agreement_limit(Index index, Term term) const;

  // Requires: entry.index == last + 1, entry.term >= last_term.
  void append(Entry entry);
  // Drops entries at and after `from`. Requires: commit < from <= last.
  void cut(Index from);
  // Forgets everything: the log goes on after a snapshot. Requires: index > commit.
  void reset(Index index, Term term);
  // A snapshot at `index` stands in for the entries up to there, the ones after it stay.
  // Requires: commit < index <= last.
  void skip_to(Index index);

  // Requires: index <= last. Never goes back.
  void commit_to(Index index);
  // Committed entries that were not taken yet.
  std::vector<Entry> take_committed();
  bool has_committed() const { return delivered_ < commit_; }
  // Requires: index <= delivered. Never goes back.
  void applied_to(Index index);
  // Everything up to `index` is durable and was not cut since. Never goes back. Requires: index <= saved.
  void stable_to(Index index);

  // Entries that no Persist carries yet, and what must be cut before them.
  struct Unsaved {
    std::optional<Index> cut_from;
    std::vector<Entry> entries;
  };
  bool has_unsaved() const { return saved_ < last() || cut_from_.has_value(); }
  Unsaved take_unsaved();

  // Entries from `from` on, at most `max_bytes` of them but at least one. Requires: evicted < from <= last.
  std::vector<Entry> slice(Index from, size_t max_bytes) const;
  const Entry& at(Index index) const;  // Requires: evicted < index <= last.

  // Drops entries up to `index`, as far as they are applied and stable.
  void compact(Index index);
  // Lets go of entries that are applied and stable until at most `max_bytes` are in memory (core D4).
  void evict(size_t max_bytes);

 private:
  struct Run {
    Index first;  // entries from here up to the next run are of this term
    Term term;
  };

  void start_run(Index first, Term term);
  void drop_front();

  std::vector<Run> runs_;      // never empty; strictly increasing in both; the first begins at base
  std::deque<Entry> entries_;  // (evicted, last]
  size_t tail_bytes_ = 0;
  Index base_;
  Index evicted_;
  Index applied_;
  Index delivered_;
  Index commit_;
  Index stable_;
  Index saved_;  // given to a Persist
  std::optional<Index> cut_from_;
};

}  // namespace witan::raft
