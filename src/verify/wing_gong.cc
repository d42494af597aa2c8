#include "verify/wing_gong.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace witan::verify {
namespace {

// A call with its values numbered, so that states are small and quick to compare.
struct Item {
  enum class Kind : uint8_t { Read, Write, Swap, NoSwap, MaybeSwap };
  Kind kind = Kind::Read;
  int expected = 0;
  int desired = 0;
  bool certain = true;  // it happened; otherwise perhaps
  Instant invoked;
  Instant returned;

  // Only looks at the register.
  bool looks() const { return kind == Kind::Read || kind == Kind::NoSwap; }
  // The register after the call, if the call can happen on it now. What is not certain happens only if it matters.
  std::optional<int> on(int value) const {
    switch (kind) {
      case Kind::Read: return value == expected ? std::optional(value) : std::nullopt;
      case Kind::NoSwap: return value != expected ? std::optional(value) : std::nullopt;
      case Kind::Swap: return value == expected ? std::optional(desired) : std::nullopt;
      case Kind::MaybeSwap: return value == expected && value != desired ? std::optional(desired) : std::nullopt;
      case Kind::Write: return certain || value != desired ? std::optional(desired) : std::nullopt;
    }
    return std::nullopt;
  }
};

class Search {
 public:
  Search(const std::vector<RegisterCall>& calls, const RegisterOptions& options) : budget_(options.step_budget) {
    initial_ = number(options.initial);
    for (const RegisterCall& call : calls) add(call);
    std::ranges::sort(items_, {}, [](const Item& item) { return std::pair(item.invoked, item.returned); });
  }

  Verdict run() {
    std::vector<State> open{first_state()};
    look(open.front());
    std::set<std::tuple<std::vector<uint64_t>, int, bool>> seen;
    while (!open.empty()) {
      State state = std::move(open.back());
      open.pop_back();
      if (state.left == 0) return Verdict::Linearizable;
      if (!seen.emplace(state.done, state.value, state.owed).second) continue;
      if (++steps_ > budget_) return Verdict::Undecided;
      expand(state, open);
    }
    return Verdict::NotLinearizable;
  }

  uint64_t steps() const { return steps_; }

 private:
  struct State {
    std::vector<uint64_t> done;  // a bit for each item that has taken effect
    size_t first = 0;            // none before it is open
    size_t left = 0;             // certain ones that have not
    int value = 0;               // of the register
    bool owed = false;           // what took effect last was not certain, and only a swap can still prove its use
  };

  int number(const RegisterValue& value) {
    return numbers_.try_emplace(value, static_cast<int>(numbers_.size())).first->second;
  }

  void add(const RegisterCall& call) {
    if (call.outcome == Outcome::Failed) return;
    Item item{.certain = call.outcome == Outcome::Ok, .invoked = call.invoked};
    item.returned = item.certain ? call.returned : Instant::never();
    if (const auto* read = std::get_if<RegisterRead>(&call.action)) {
      if (!item.certain) return;
      item.expected = number(read->value);
    } else if (const auto* write = std::get_if<RegisterWrite>(&call.action)) {
      item.kind = Item::Kind::Write;
      item.desired = number(write->value);
    } else if (const auto* swap = std::get_if<RegisterCompareAndSet>(&call.action)) {
      item.kind = !item.certain ? Item::Kind::MaybeSwap : swap->swapped ? Item::Kind::Swap : Item::Kind::NoSwap;
      item.expected = number(swap->expected);
      item.desired = number(swap->desired);
    } else {
      item.kind = Item::Kind::Write;
      item.desired = number(std::nullopt);
    }
    items_.push_back(item);
  }

  State first_state() const {
    const auto certain = std::ranges::count_if(items_, [](const Item& item) { return item.certain; });
    return {
        .done = std::vector<uint64_t>(items_.size() / 64 + 1), .left = static_cast<size_t>(certain), .value = initial_};
  }

  static bool is_done(const State& state, size_t i) { return (state.done[i / 64] >> (i % 64) & 1) != 0; }

  // What may take effect next: nothing that has not was over before it was invoked. Items come by invocation, and none
  // returns before it is invoked, so the horizon never passes one that was found.
  std::vector<size_t> candidates(const State& state) const {
    std::vector<size_t> found;
    Instant horizon = Instant::never();
    for (size_t i = state.first; i < items_.size() && items_[i].invoked <= horizon; ++i) {
      if (is_done(state, i)) continue;
      found.push_back(i);
      horizon = std::min(horizon, items_[i].returned);
    }
    return found;
  }

  // A call that only looks may as well look at once when it sees what it saw: that forbids nothing to the others.
  // True when there was one.
  bool look(State& state) const {
    const size_t left = state.left;
    bool again = true;
    while (again) {
      again = false;
      for (const size_t i : candidates(state)) {
        if (!items_[i].looks() || !items_[i].on(state.value)) continue;
        take(state, i);
        again = true;
      }
    }
    return state.left < left;
  }

  void expand(const State& state, std::vector<State>& open) const {
    std::vector<size_t> found = candidates(state);
    // The last is tried first: certain ones before others, and those that returned early before those that did not.
    std::ranges::sort(found, std::greater<>(), [this](size_t i) { return std::pair(items_[i].returned, i); });
    for (const size_t i : found) {
      if (items_[i].looks() || !items_[i].on(state.value)) continue;
      if (state.owed && items_[i].kind == Item::Kind::Write) continue;
      State next = state;
      take(next, i);
      // What is not certain, is seen by nobody and helps no swap need not have happened: the next write covers it.
      const bool seen = look(next);
      next.owed = !items_[i].certain && !seen;
      if (!next.owed || helps_a_swap(next)) open.push_back(std::move(next));
    }
  }

  bool helps_a_swap(const State& state) const {
    return std::ranges::any_of(candidates(state), [&](size_t i) {
      return items_[i].kind != Item::Kind::Write && items_[i].on(state.value).has_value();
    });
  }

  void take(State& state, size_t i) const {
    state.done[i / 64] |= uint64_t{1} << (i % 64);
    while (state.first < items_.size() && is_done(state, state.first)) ++state.first;
    state.value = *items_[i].on(state.value);
    if (items_[i].certain) --state.left;
  }

  std::vector<Item> items_;  // by invocation
  std::map<RegisterValue, int> numbers_;
  int initial_ = 0;
  uint64_t budget_;
  uint64_t steps_ = 0;
};

// The history as somebody would have recorded it who stopped at `end`.
std::vector<RegisterCall> until(const std::vector<RegisterCall>& calls, Instant end) {
  std::vector<RegisterCall> kept;
  for (const RegisterCall& call : calls) {
    if (call.outcome == Outcome::Failed || call.invoked > end) continue;
    const bool open = call.outcome == Outcome::Ok && call.returned > end;
    if (open && std::holds_alternative<RegisterRead>(call.action)) continue;
    kept.push_back(call);
    if (open) kept.back().outcome = Outcome::Unknown;
  }
  return kept;
}

// Looks for what a person must look at. Every step leaves a history that is impossible, and claims less than the one
// before.
class Shrinker {
 public:
  explicit Shrinker(const RegisterOptions& options) : options_(options), left_(options.step_budget) {}

  std::vector<RegisterCall> shrink(const std::vector<RegisterCall>& calls) {
    std::vector<Instant> ends;
    for (const RegisterCall& call : calls) {
      if (call.outcome == Outcome::Ok) ends.push_back(call.returned);
    }
    std::ranges::sort(ends);
    const auto end = std::ranges::partition_point(ends, [&](Instant at) { return !is_impossible(until(calls, at)); });
    std::vector<RegisterCall> kept = end == ends.end() ? calls : until(calls, *end);
    std::ranges::sort(kept, {}, [](const RegisterCall& call) { return std::pair(call.invoked, call.returned); });
    // Most reads make no difference, so many at a time first.
    for (size_t many = kept.size(); many > 0; many /= 2) {
      for (size_t begin = 0; begin < kept.size();) {
        const std::vector<RegisterCall> fewer = without_reads(kept, begin, begin + many);
        if (fewer.size() < kept.size() && is_impossible(fewer)) {
          kept = fewer;
        } else {
          begin += many;
        }
      }
    }
    return kept;
  }

 private:
  static std::vector<RegisterCall> without_reads(const std::vector<RegisterCall>& calls, size_t begin, size_t end) {
    std::vector<RegisterCall> kept;
    for (size_t i = 0; i < calls.size(); ++i) {
      const bool drop = i >= begin && i < end && std::holds_alternative<RegisterRead>(calls[i].action);
      if (!drop) kept.push_back(calls[i]);
    }
    return kept;
  }

  // False as well when the budget for all attempts together is spent.
  bool is_impossible(const std::vector<RegisterCall>& calls) {
    RegisterOptions options = options_;
    options.step_budget = left_;
    Search search(calls, options);
    const Verdict verdict = search.run();
    left_ -= std::min(left_, search.steps());
    return verdict == Verdict::NotLinearizable;
  }

  RegisterOptions options_;
  uint64_t left_;
};

std::string text_of(const RegisterValue& value) { return value ? printable(*value) : "nothing"; }

std::vector<std::string> window_of(const std::vector<RegisterCall>& calls) {
  constexpr size_t kMost = 16;
  std::vector<std::string> window;
  const size_t first = calls.size() > kMost ? calls.size() - kMost : 0;
  if (first > 0) window.push_back(fmt::format("after {} others", first));
  for (size_t i = first; i < calls.size(); ++i) window.push_back(describe(calls[i]));
  return window;
}

}  // namespace

RegisterJudgement check_register(const std::vector<RegisterCall>& calls, const RegisterOptions& options) {
  Search search(calls, options);
  RegisterJudgement judgement{.verdict = search.run(), .steps = search.steps()};
  if (judgement.verdict != Verdict::NotLinearizable) return judgement;
  judgement.violations.push_back(
      {.rule = "linearizability",
       .what = fmt::format("no order of the {} calls explains what they answered", calls.size()),
       .window = window_of(Shrinker(options).shrink(calls))});
  return judgement;
}

std::string describe(const RegisterCall& call) {
  std::string action = "delete";
  if (const auto* read = std::get_if<RegisterRead>(&call.action)) {
    action = call.outcome == Outcome::Ok ? "read " + text_of(read->value) : "read";
  } else if (const auto* write = std::get_if<RegisterWrite>(&call.action)) {
    action = "write " + printable(write->value);
  } else if (const auto* swap = std::get_if<RegisterCompareAndSet>(&call.action)) {
    action = fmt::format("swap {} for {}", text_of(swap->expected), text_of(swap->desired));
    if (call.outcome == Outcome::Ok) action += swap->swapped ? " => yes" : " => no";
  }
  const Instant returned = call.outcome == Outcome::Unknown ? Instant::never() : call.returned;
  return fmt::format("[{}, {}] {}: {}", describe(call.invoked), describe(returned), outcome_name(call.outcome), action);
}

}  // namespace witan::verify
