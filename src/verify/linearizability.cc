#include "verify/linearizability.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace witan::verify {
namespace {

template <class Each>
void for_each_simple(const Operation& operation, const Each& each) {
  if (const Txn* txn = std::get_if<Txn>(&operation)) {
    for (const Simple& simple : txn->then) each(simple);
    for (const Simple& simple : txn->otherwise) each(simple);
  } else if (const Put* put = std::get_if<Put>(&operation)) {
    each(Simple(*put));
  } else if (const Delete* what = std::get_if<Delete>(&operation)) {
    each(Simple(*what));
  } else {
    each(Simple(std::get<Range>(operation)));
  }
}

// Those of one kind, wherever they stand in the operation.
template <class Kind>
std::vector<Kind> parts(const Operation& operation) {
  std::vector<Kind> found;
  for_each_simple(operation, [&](const Simple& simple) {
    if (const Kind* part = std::get_if<Kind>(&simple)) found.push_back(*part);
  });
  return found;
}

std::vector<std::string> lines(std::string_view title, const std::vector<Change>& changes) {
  std::vector<std::string> out;
  for (const Change& change : changes) out.push_back(fmt::format("{} {}", title, describe(change)));
  if (changes.empty()) out.push_back(fmt::format("{} nothing", title));
  return out;
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
  for (std::string& line : more) to.push_back(std::move(line));
}

// A place in the order of the header's rules, and the call that stands there.
struct Position {
  int64_t value = 0;
  size_t call = 0;
};

class Judge {
 public:
  Judge(const Truth& truth, const std::vector<Call>& calls, const Explanations& explanations)
      : truth_(truth), calls_(calls), explanations_(explanations) {}

  std::vector<Violation> run() {
    causes_.resize(static_cast<size_t>(truth_.revision() + 1));
    positions_.resize(calls_.size());
    index_values();
    check_history();
    for (size_t call = 0; call < calls_.size(); ++call) {
      if (calls_[call].outcome == Outcome::Ok) judge_ok(call);
      if (calls_[call].outcome == Outcome::Failed) check_not_applied(call);
    }
    check_causes();
    check_real_time();
    return findings_.take();
  }

 private:
  void index_values() {
    for (size_t call = 0; call < calls_.size(); ++call) {
      for (const Put& put : parts<Put>(calls_[call].operation)) writers_[put.value].push_back(call);
      if (calls_[call].outcome == Outcome::Unknown && !parts<Delete>(calls_[call].operation).empty()) {
        unknown_deleters_.push_back(call);
      }
    }
    for (int64_t revision = 2; revision <= truth_.revision(); ++revision) {
      for (const Change& change : truth_.changes(revision)) {
        if (change.after) written_[{change.key, change.after->value}].push_back(revision);
      }
    }
  }

  // ---- The truth itself ---------------------------------------------------------------------------

  void check_history() {
    std::map<int64_t, std::set<std::string>> owned;  // keys by lease
    for (int64_t revision = 2; revision <= truth_.revision(); ++revision) {
      const std::vector<Change>& changes = truth_.changes(revision);
      for (const Change& change : changes) {
        check_change(revision, change);
        if (change.before) owned[change.before->lease].erase(change.key);
        if (change.after) owned[change.after->lease].insert(change.key);
      }
      if (explanations_.lease_ends.contains(revision)) check_lease_end(revision, owned);
    }
  }

  void check_change(int64_t revision, const Change& change) {
    const std::optional<Version> before = truth_.at(change.key, revision - 1);
    bool right = change.before == before && (change.before || change.after);
    if (change.after) {
      right = right && change.after->mod_revision == revision &&
              change.after->create_revision == (before ? before->create_revision : revision) &&
              change.after->version == (before ? before->version + 1 : 1);
    }
    if (right) return;
    findings_.add("history", fmt::format("revision {} does not follow from the one before it", revision),
                  {fmt::format("before it {}", before ? describe(*before) : "nothing"), describe(change)});
  }

  void check_lease_end(int64_t revision, const std::map<int64_t, std::set<std::string>>& owned) {
    const std::vector<Change>& changes = truth_.changes(revision);
    const int64_t lease = changes.front().before ? changes.front().before->lease : 0;
    for (const Change& change : changes) {
      if (lease != 0 && change.before && change.before->lease == lease && !change.after) continue;
      findings_.add("lease-end",
                    fmt::format("the end of lease {} at revision {} changed what it does not own", lease, revision),
                    {describe(change)});
    }
    const auto left = owned.find(lease);
    if (lease == 0 || left == owned.end() || left->second.empty()) return;
    findings_.add(
        "lease-end",
        fmt::format("the end of lease {} at revision {} left {} of its keys", lease, revision, left->second.size()),
        {printable(*left->second.begin()) + " is still there"});
  }

  // ---- Each call for itself -----------------------------------------------------------------------

  void judge_ok(size_t index) {
    const Call& call = calls_[index];
    const int64_t revision = call.reply.revision;
    const bool writes = says_changed(call.operation, call.reply);
    if (call.reply.failure != Failure::None) return accuse("reply", "an acknowledged call says that it failed", index);
    if (!truth_.has(revision) || (writes && revision == 1)) {
      return accuse("reply", fmt::format("revision {} of {} was never made", revision, truth_.revision()), index);
    }
    positions_[index] = writes ? 2 * revision : 2 * revision + 1;
    if (truth_.when(revision) > call.returned) {
      accuse("time",
             fmt::format("revision {} was seen before it was applied, which happened at {}", revision,
                         describe(truth_.when(revision))),
             index);
    }
    if (writes) {
      judge_write(index);
    } else {
      judge_read(index);
    }
  }

  void judge_write(size_t index) {
    const Call& call = calls_[index];
    const int64_t revision = call.reply.revision;
    const Effect expected = evaluate(truth_, call.operation, revision - 1);
    if (expected.changes != truth_.changes(revision)) {
      std::vector<std::string> window{describe(call)};
      append(window, lines("should have changed", expected.changes));
      append(window, lines("but revision changed", truth_.changes(revision)));
      findings_.add("effect", fmt::format("revision {} is not what the call that claims it does", revision),
                    std::move(window));
    } else {
      compare(index, expected.reply);
    }
    if (truth_.when(revision) < call.invoked) {
      accuse("time",
             fmt::format("revision {} was applied before it was asked for, at {}", revision,
                         describe(truth_.when(revision))),
             index);
    }
    claim(revision, index);
  }

  // Reads, and what could have changed something but says that it did not.
  void judge_read(size_t index) {
    const Call& call = calls_[index];
    const Effect expected = evaluate(truth_, call.operation, call.reply.revision);
    if (expected.changes.empty()) return compare(index, expected.reply);
    std::vector<std::string> window{describe(call)};
    append(window, lines("should have changed", expected.changes));
    findings_.add("effect", fmt::format("the call says that it changed nothing at revision {}", call.reply.revision),
                  std::move(window));
  }

  void compare(size_t index, const Reply& expected) {
    const Call& call = calls_[index];
    if (call.reply == expected) return;
    findings_.add("reply", fmt::format("the answer is not the one of revision {}", call.reply.revision),
                  {describe(call), "should have been answered " + describe(expected)});
  }

  void claim(int64_t revision, size_t index) {
    std::optional<size_t>& cause = causes_[static_cast<size_t>(revision)];
    if (explanations_.lease_ends.contains(revision)) {
      accuse("claim", fmt::format("revision {} is the end of a lease", revision), index);
    }
    if (cause) {
      findings_.add("claim", fmt::format("two calls claim revision {}", revision),
                    {describe(calls_[*cause]), describe(calls_[index])});
    }
    cause = index;
  }

  void check_not_applied(size_t index) {
    for (const Put& put : parts<Put>(calls_[index].operation)) {
      const auto found = written_.find({put.key, put.value});
      if (found == written_.end()) continue;
      accuse("not-applied", fmt::format("the call failed, and yet revision {} has what it puts", found->second.front()),
             index);
    }
  }

  // ---- Each revision has a cause --------------------------------------------------------------------

  bool is_internal(int64_t revision) const {
    return std::ranges::all_of(truth_.changes(revision), [this](const Change& change) {
      return std::ranges::any_of(explanations_.internal_prefixes,
                                 [&](const std::string& prefix) { return change.key.starts_with(prefix); });
    });
  }

  void check_causes() {
    for (int64_t revision = 2; revision <= truth_.revision(); ++revision) {
      if (causes_[static_cast<size_t>(revision)] || explanations_.lease_ends.contains(revision)) continue;
      if (is_internal(revision)) continue;
      std::set<size_t> tried;
      if (assign(revision, tried)) continue;
      std::vector<std::string> window = lines("changed", truth_.changes(revision));
      for (const size_t call : suspects(revision)) window.push_back("not by " + describe(calls_[call]));
      findings_.add("unexplained",
                    fmt::format("nobody made revision {}, applied at {}", revision, describe(truth_.when(revision))),
                    std::move(window));
    }
  }

  // Calls that share a value with the revision.
  std::vector<size_t> suspects(int64_t revision) const {
    for (const Change& change : truth_.changes(revision)) {
      if (!change.after) continue;
      const auto found = writers_.find(change.after->value);
      return found == writers_.end() ? std::vector<size_t>{} : found->second;
    }
    return {};
  }

  bool could_have_made(size_t index, int64_t revision) const {
    const Call& call = calls_[index];
    return call.outcome == Outcome::Unknown && truth_.when(revision) >= call.invoked &&
           evaluate(truth_, call.operation, revision - 1).changes == truth_.changes(revision);
  }

  // An Unknown call for the revision, taking it from another revision that finds a different one (Kuhn's matching):
  // which of several deletes was it?
  bool assign(int64_t revision, std::set<size_t>& tried) {
    const bool puts =
        std::ranges::any_of(truth_.changes(revision), [](const Change& c) { return c.after.has_value(); });
    for (const size_t call : puts ? suspects(revision) : unknown_deleters_) {
      if (tried.contains(call) || !could_have_made(call, revision)) continue;
      tried.insert(call);
      const auto taken = assigned_.find(call);
      if (taken != assigned_.end() && !assign(taken->second, tried)) continue;
      assigned_[call] = revision;
      return true;
    }
    return false;
  }

  // ---- Real time ------------------------------------------------------------------------------------

  void check_real_time() {
    std::vector<size_t> by_invocation(calls_.size());
    std::iota(by_invocation.begin(), by_invocation.end(), size_t{0});
    std::vector<size_t> by_return;
    std::ranges::copy_if(by_invocation, std::back_inserter(by_return),
                         [this](size_t i) { return positions_[i].has_value(); });
    std::ranges::sort(by_invocation, {}, [this](size_t i) { return std::pair(calls_[i].invoked, i); });
    std::ranges::sort(by_return, {}, [this](size_t i) { return std::pair(calls_[i].returned, i); });

    Position floor;               // of what returned before now
    std::map<int, Position> own;  // of what returned by now, of each client
    const auto raise = [this](Position& to, size_t call) {
      if (*positions_[call] > to.value) to = {.value = *positions_[call], .call = call};
    };
    size_t before = 0;
    size_t by = 0;
    for (const size_t index : by_invocation) {
      const Instant now = calls_[index].invoked;
      for (; before < by_return.size() && calls_[by_return[before]].returned < now; ++before)
        raise(floor, by_return[before]);
      for (; by < by_return.size() && calls_[by_return[by]].returned <= now; ++by) {
        const Call& returned = calls_[by_return[by]];
        if (returned.invoked < returned.returned) raise(own[returned.client], by_return[by]);
      }
      const Position& mine = own[calls_[index].client];
      check_position(index, mine.value > floor.value ? mine : floor);
    }
  }

  void check_position(size_t index, const Position& floor) {
    const Call& call = calls_[index];
    if (call.outcome == Outcome::Failed) return check_refusal(index, floor);
    const std::optional<int64_t>& position = positions_[index];
    if (!position || call.serializable || floor.value == 0) return;
    if (*position >= floor.value) return;  // a write shares its position with nobody, or two claim its revision
    findings_.add("real-time",
                  fmt::format("revision {} was answered at a time when {} was already known", call.reply.revision,
                              calls_[floor.call].reply.revision),
                  {describe(calls_[floor.call]), describe(call)});
  }

  // What the server gives as the reason of a failure must have been possible.
  void check_refusal(size_t index, const Position& floor) {
    const Call& call = calls_[index];
    const std::vector<Range> ranges = parts<Range>(call.operation);
    const std::vector<Put> puts = parts<Put>(call.operation);
    const int64_t compacted = truth_.compacted_by(call.returned);
    const int64_t known = call.serializable ? 0 : floor.value / 2;
    bool possible = true;
    switch (call.reply.failure) {
      case Failure::None: return;
      case Failure::Compacted:
        possible =
            std::ranges::any_of(ranges, [&](const Range& r) { return r.revision > 0 && r.revision < compacted; });
        break;
      case Failure::FutureRevision:
        possible = std::ranges::any_of(ranges, [&](const Range& r) { return r.revision > 0 && r.revision > known; });
        break;
      case Failure::LeaseNotFound:
        possible = std::ranges::any_of(puts, [](const Put& put) { return put.lease != 0; });
        break;
    }
    if (possible) return;
    accuse("reply",
           fmt::format("this cannot be why the call failed: revision {} was known, and compacted below {}", known,
                       compacted),
           index);
  }

  void accuse(std::string rule, std::string what, size_t call) {
    findings_.add(std::move(rule), std::move(what), {describe(calls_[call])});
  }

  const Truth& truth_;
  const std::vector<Call>& calls_;
  const Explanations& explanations_;
  std::map<std::string, std::vector<size_t>> writers_;                           // calls by what they put
  std::vector<size_t> unknown_deleters_;                                         // calls
  std::map<std::pair<std::string, std::string>, std::vector<int64_t>> written_;  // revisions by key and value
  std::vector<std::optional<size_t>> causes_;                                    // Ok calls by revision
  std::map<size_t, int64_t> assigned_;                                           // revisions by Unknown call
  std::vector<std::optional<int64_t>> positions_;                                // of Ok calls
  Findings findings_;
};

}  // namespace

std::vector<Violation> check_linearizability(const Truth& truth, const std::vector<Call>& calls,
                                             const Explanations& explanations) {
  return Judge(truth, calls, explanations).run();
}

std::string describe(const Call& call) {
  std::string text = fmt::format("client {} member {} [{}, {}] {}{}: {}", call.client, call.member,
                                 describe(call.invoked), describe(call.returned), outcome_name(call.outcome),
                                 call.serializable ? " serializable" : "", describe(call.operation));
  const bool answered = call.outcome == Outcome::Ok || call.reply.failure != Failure::None;
  return answered ? text + " => " + describe(call.reply) : text;
}

}  // namespace witan::verify
