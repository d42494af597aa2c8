#include "verify/kv.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "verify/truth.h"
#include "verify/violation.h"

namespace witan::verify {
namespace {

constexpr std::string_view kToTheEnd("\0", 1);

template <class... Cases>
struct Overload : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overload(Cases...) -> Overload<Cases...>;

template <class T>
bool related(const T& left, Compare::Relation relation, const T& right) {
  switch (relation) {
    case Compare::Relation::Equal: return left == right;
    case Compare::Relation::NotEqual: return left != right;
    case Compare::Relation::Greater: return left > right;
    case Compare::Relation::Less: return left < right;
  }
  return false;
}

int64_t number_of(const Version& version, Compare::Target target) {
  switch (target) {
    case Compare::Target::Version: return version.version;
    case Compare::Target::Create: return version.create_revision;
    case Compare::Target::Mod: return version.mod_revision;
    case Compare::Target::Lease: return version.lease;
    case Compare::Target::Value: break;
  }
  CHECK(false, "a value is no number");
  std::unreachable();
}

bool holds(const Compare& compare, const std::optional<Version>& version) {
  if (compare.target == Compare::Target::Value) {
    return version && related(version->value, compare.relation, compare.text);
  }
  return related(number_of(version.value_or(Version{}), compare.target), compare.relation, compare.number);
}

// The state of one revision, and what is being done to it.
class Workbench {
 public:
  Workbench(const Truth& truth, int64_t at) : truth_(truth), at_(at) {}

  std::optional<Version> find(const std::string& key) const {
    const auto touched = touched_.find(key);
    return touched != touched_.end() ? touched->second : truth_.at(key, at_);
  }

  PutReply run(const Put& put) {
    const std::optional<Version> before = find(put.key);
    set(put.key, before,
        Version{.value = put.value,
                .create_revision = before ? before->create_revision : at_ + 1,
                .mod_revision = at_ + 1,
                .version = before ? before->version + 1 : 1,
                .lease = put.lease});
    return {.previous = put.prev_kv ? before : std::nullopt};
  }

  DeleteReply run(const Delete& what) {
    DeleteReply reply;
    for (KeyVersion& found : present(what.begin, what.end)) {
      ++reply.deleted;
      set(found.key, found.version, std::nullopt);
      if (what.prev_kv) reply.previous.push_back(std::move(found));
    }
    return reply;
  }

  RangeReply run(const Range& range) const {
    std::vector<KeyVersion> found =
        range.revision <= 0 ? present(range.begin, range.end) : truth_.range(range.begin, range.end, range.revision);
    RangeReply reply{.count = static_cast<int64_t>(found.size())};
    if (range.count_only) return reply;
    if (range.limit > 0 && reply.count > range.limit) {
      found.resize(static_cast<size_t>(range.limit));
      reply.more = true;
    }
    if (range.keys_only) {
      for (KeyVersion& item : found) item.version.value.clear();
    }
    reply.kvs = std::move(found);
    return reply;
  }

  SimpleReply run_any(const Simple& operation) {
    return std::visit([this](const auto& what) -> SimpleReply { return run(what); }, operation);
  }

  bool is_future(const Simple& operation) const {
    const Range* range = std::get_if<Range>(&operation);
    return range != nullptr && range->revision > at_;
  }

  std::vector<Change> take_changes() { return std::move(changes_); }

 private:
  std::vector<KeyVersion> present(const std::string& begin, const std::string& end) const {
    std::map<std::string, Version> merged;
    for (KeyVersion& found : truth_.range(begin, end, at_))
      merged.emplace(std::move(found.key), std::move(found.version));
    for (const auto& [key, version] : touched_) {
      if (!in_range(key, begin, end)) continue;
      merged.erase(key);
      if (version) merged.emplace(key, *version);
    }
    std::vector<KeyVersion> found;
    for (auto& [key, version] : merged) found.push_back({.key = key, .version = std::move(version)});
    return found;
  }

  void set(const std::string& key, const std::optional<Version>& before, const std::optional<Version>& after) {
    changes_.push_back({.key = key, .before = before, .after = after});
    touched_[key] = after;
  }

  const Truth& truth_;
  int64_t at_;
  std::map<std::string, std::optional<Version>> touched_;
  std::vector<Change> changes_;
};

Reply run(Workbench& bench, const Txn& txn) {
  const bool succeeded = std::ranges::all_of(txn.when, [&](const Compare& c) { return holds(c, bench.find(c.key)); });
  const std::vector<Simple>& taken = succeeded ? txn.then : txn.otherwise;
  // Judged before anything is done, on the branch taken only: a transaction is done whole or not at all.
  if (std::ranges::any_of(taken, [&](const Simple& s) { return bench.is_future(s); })) {
    return {.failure = Failure::FutureRevision};
  }
  TxnReply reply{.succeeded = succeeded};
  for (const Simple& operation : taken) reply.replies.push_back(bench.run_any(operation));
  return {.answer = std::move(reply)};
}

Reply run(Workbench& bench, const Simple& operation) {
  if (bench.is_future(operation)) return {.failure = Failure::FutureRevision};
  return std::visit([](auto answer) { return Reply{.answer = std::move(answer)}; }, bench.run_any(operation));
}

}  // namespace

bool in_range(std::string_view key, std::string_view begin, std::string_view end) {
  if (end.empty()) return key == begin;
  return key >= begin && (end == kToTheEnd || key < end);
}

bool may_change(const Operation& operation) {
  const auto writes = [](const Simple& simple) { return !std::holds_alternative<Range>(simple); };
  return std::visit(
      Overload{[](const Put&) { return true; }, [](const Delete&) { return true; }, [](const Range&) { return false; },
               [&](const Txn& txn) {
                 return std::ranges::any_of(txn.then, writes) || std::ranges::any_of(txn.otherwise, writes);
               }},
      operation);
}

bool says_changed(const Operation& operation, const Reply& reply) {
  if (reply.failure != Failure::None || !may_change(operation)) return false;
  const auto simple =
      Overload{[](const PutReply&) { return true; }, [](const DeleteReply& deleted) { return deleted.deleted > 0; },
               [](const RangeReply&) { return false; }};
  return std::visit(Overload{[](std::monostate) { return false; },
                             [&](const TxnReply& txn) {
                               return std::ranges::any_of(txn.replies,
                                                          [&](const SimpleReply& r) { return std::visit(simple, r); });
                             },
                             simple},
                    reply.answer);
}

Effect evaluate(const Truth& truth, const Operation& operation, int64_t at) {
  CHECK(truth.has(at), "no revision {}", at);
  Workbench bench(truth, at);
  Effect effect;
  effect.reply = std::visit(Overload{[&](const Txn& txn) { return run(bench, txn); },
                                     [&](const auto& simple) { return run(bench, Simple(simple)); }},
                            operation);
  effect.changes = bench.take_changes();
  effect.reply.revision = effect.changes.empty() ? at : at + 1;
  return effect;
}

}  // namespace witan::verify
