// One range being read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/state.h"

namespace witan::store {

// Reads a Range at one revision, in as many steps as wanted. Follows etcd's order of things, oddities included: filters
// and explicit orders see the whole range before the limit cuts; another target without an order sorts only the first
// limit + 1 keys (reference 1.4).
struct Scan {
 public:
  // `at` is the revision to read, already checked. `pending` is the batch of a transaction under way, null otherwise.
  // The range's strings must live as long as the scan.
  Scan(const State& state, const Range& range, Revision at, const ChangeBatch* pending);

  // Copies the range's strings and pins the revision, so that commands may be applied between steps.
  void make_independent(Pins& pins);

  bool step(size_t budget);
  bool done() const { return done_; }
  bool streams() const { return !sorts_; }
  Revision at() const { return at_; }
  std::vector<KeyVersion> take_items() { return std::exchange(items_, {}); }
  RangeResult finish();

 private:
  bool visit(const Blob& key, const Version& version);
  bool passes(const Version& version) const;
  void complete();
  void sort();

  const State& state_;
  Range range_;
  Revision at_;
  Revision current_;  // when the scan began: what a header says, so that a watch from the next one misses nothing
  std::string begin_, end_;  // what range_ points to once independent
  Pin pin_;

  bool sorts_ = false;            // the order is not that of the keys
  int64_t collect_ = 0;           // stop collecting beyond so many items; negative: never
  std::optional<int64_t> count_;  // when it could be had without walking
  int64_t walked_ = 0;            // live keys met
  int64_t found_ = 0;             // items collected, taken ones included
  bool more_ = false;
  bool done_ = false;
  std::string resume_;  // the key to go on from, when step() has stopped
  bool stopped_ = false;
  std::vector<KeyVersion> items_;
};

// How many keys of `range` were there at `at`: from the index alone at the present, otherwise with the help of up to
// `max_changes` changes of history; nullopt when that is not enough. `pending` as of Scan.
std::optional<int64_t> count_at(const State& state, const KeyRangeView& range, Revision at, const ChangeBatch* pending,
                                size_t max_changes);

}  // namespace witan::store
