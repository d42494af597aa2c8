// Physical compaction: removing, in slices, what logical compaction has hidden already (core S2, S4).
#include <algorithm>

#include "base/check.h"
#include "store/state.h"
#include "store/store.h"

namespace witan::store {
namespace {

// A run goes through the log from where the last run ended up to its target and trims the chain of every key met there;
// only keys that changed can hold anything to drop. The target is fixed for a run and its batch stays in the log: a
// watch may start at the compacted revision (etcd #18089, #19179), and a deletion standing exactly there is met again,
// and dropped, by the next run.
void start_run(State& state) {
  Revision target = state.compacted;
  if (const std::optional<Revision> pinned = state.pins.lowest()) target = std::min(target, *pinned);
  if (target <= state.trimmed) return;
  state.trimming = {.target = target, .at = std::max(state.history.first(), state.trimmed)};
}

void trim_key(State& state, std::string_view key) {
  Index::Place place = state.index.find(key);
  if (!place.found()) return;  // gone with an earlier change of it
  place.chain().trim(state.trimming.target);
  if (place.chain().empty()) state.index.erase(place);
}

}  // namespace

bool Store::compact_step(size_t budget) {
  State& state = *state_;
  State::Trimming& run = state.trimming;
  if (run.target == Revision(0)) start_run(state);
  if (run.target == Revision(0)) return false;
  for (size_t work = 0; run.at <= std::min(run.target, state.history.last()); ++work) {
    if (work >= std::max<size_t>(budget, 1)) return true;
    const ChangeBatch& batch = *state.history.at(run.at).batch;
    if (run.change < batch.changes.size()) {
      trim_key(state, batch.changes[run.change++].key);
      continue;
    }
    run.change = 0;
    if (run.at < run.target) state.history.drop_first();
    ++run.at;
  }
  if (run.target >= state.history.first()) state.history.forget_before();
  state.trimmed = run.target;
  run = {};
  return state.compacted > state.trimmed && (!state.pins.lowest() || *state.pins.lowest() > state.trimmed);
}

}  // namespace witan::store
