#include "store/txn.h"

#include <algorithm>

#include "base/check.h"
#include "store/authorize.h"
#include "store/scan.h"

namespace witan::store {
namespace {

template <class T>
bool related(Relation relation, const T& a, const T& b) {
  switch (relation) {
    case Relation::Equal: return a == b;
    case Relation::Greater: return a > b;
    case Relation::Less: return a < b;
    case Relation::NotEqual: return a != b;
  }
  return false;
}

bool holds_for(const Compare& c, const Version& v) {
  switch (c.target) {
    case CompareTarget::Version: return related(c.relation, v.version, c.number);
    case CompareTarget::CreateRevision: return related(c.relation, v.create_revision.value, c.number);
    case CompareTarget::ModRevision: return related(c.relation, v.mod_revision.value, c.number);
    case CompareTarget::Value: return related(c.relation, v.value.view(), c.value);
    case CompareTarget::Lease: return related(c.relation, v.lease.value, c.number);
  }
  return false;
}

bool permits(std::span<const std::string_view> principals, const Operation& operation) {
  struct Visitor {
    std::span<const std::string_view> who;
    bool operator()(const Put& put) const { return authorize(who, Access::Write, {.begin = put.key, .single = true}); }
    bool operator()(const DeleteRange& d) const { return authorize(who, Access::Write, d.range); }
    bool operator()(const Range& r) const { return authorize(who, Access::Read, r.range); }
    bool operator()(const Txn&) const { return true; }  // its parts are asked about on their own
  };
  return std::visit(Visitor{principals}, operation.what);
}

}  // namespace

bool has_put(const Txn& txn) {
  const auto puts = [](const Operation& operation) {
    if (const auto* nested = std::get_if<Txn>(&operation.what)) return has_put(*nested);
    return std::holds_alternative<Put>(operation.what);
  };
  return std::any_of(txn.success.begin(), txn.success.end(), puts) ||
         std::any_of(txn.failure.begin(), txn.failure.end(), puts);
}

Failure check_put(const State& state, const Put& put) {
  if ((put.ignore_value || put.ignore_lease) && state.index.latest(put.key) == nullptr) {
    return {.reason = Reason::KeyNotFound};
  }
  return check_lease(state, put);
}

Failure check_lease(const State& state, const Put& put) {
  // A put attaches to leases of etcd's kind; owners of the other kinds come with their own operations (core L1).
  if (!put.ignore_lease && put.lease != LeaseId(0) && !state.leases.has(put.lease, LeaseKind::Etcd)) {
    return {.reason = Reason::LeaseNotFound};
  }
  return {};
}

TxnRun::TxnRun(const State& state, const Txn& txn, std::span<const std::string_view> principals)
    : state_(state), txn_(txn), principals_(principals) {
  judge(txn);
}

void TxnRun::judge(const Txn& txn) {
  const bool verdict =
      std::all_of(txn.compares.begin(), txn.compares.end(), [this](const Compare& c) { return holds(c); });
  verdicts_.push_back(verdict);
  for (const Operation& operation : verdict ? txn.success : txn.failure) {
    if (const auto* nested = std::get_if<Txn>(&operation.what)) judge(*nested);
  }
}

bool TxnRun::holds(const Compare& compare) const {
  bool any = false;
  for (Index::Cursor c = state_.index.lower_bound(compare.range.begin); !c.done() && compare.range.contains(c.key());
       c.next()) {
    const Version* const version = c.chain().latest();
    if (version == nullptr) continue;
    if (!holds_for(compare, *version)) return false;
    any = true;
  }
  // Of what is not there numbers are 0, and no comparison of values holds, not even "differs".
  return any || (compare.target != CompareTarget::Value && holds_for(compare, Version{}));
}

template <class Check>
Failure TxnRun::check_each(const Txn& txn, At& at, Check&& check) const {
  const bool verdict = verdicts_[at.verdict++];
  for (const Operation& operation : verdict ? txn.success : txn.failure) {
    const uint32_t number = at.operation++;
    Failure failure = check(operation);
    failure.operation = number;
    if (failure.reason != Reason::None) return failure;
    if (const auto* nested = std::get_if<Txn>(&operation.what)) {
      failure = check_each(*nested, at, check);
      if (failure.reason != Reason::None) return failure;
    }
  }
  return {};
}

// Both branches, because which one is taken tells about the state.
Failure TxnRun::check_access(const Txn& txn) const {
  for (const Compare& compare : txn.compares) {
    if (!authorize(principals_, Access::Read, compare.range)) return {.reason = Reason::PermissionDenied};
  }
  for (const auto* branch : {&txn.success, &txn.failure}) {
    for (const Operation& operation : *branch) {
      if (!permits(principals_, operation)) return {.reason = Reason::PermissionDenied};
      if (const auto* nested = std::get_if<Txn>(&operation.what)) {
        const Failure failure = check_access(*nested);
        if (failure.reason != Reason::None) return failure;
      }
    }
  }
  return {};
}

// etcd checks every put before any range; where both fail, the put's error is told.
Failure TxnRun::check() const {
  Failure failure = check_access(txn_);
  if (failure.reason != Reason::None) return failure;
  At at;
  failure = check_each(txn_, at, [this](const Operation& operation) {
    const auto* const put = std::get_if<Put>(&operation.what);
    return put == nullptr ? Failure{} : check_put(state_, *put);
  });
  if (failure.reason != Reason::None) return failure;
  at = At{};
  return check_each(txn_, at, [this](const Operation& operation) {
    const auto* const range = std::get_if<Range>(&operation.what);
    if (range == nullptr) return Failure{};
    // As in etcd, a negative revision means the present to a Range of its own, but lies in the past to a transaction.
    if (range->revision < Revision(0) && range->revision < state_.compacted) {
      return Failure{.reason = Reason::RevisionCompacted, .compacted = state_.compacted};
    }
    return state_.readable(range->revision);
  });
}

TxnResult TxnRun::run(BatchWriter* writer, bool want_reply) const {
  At at;
  return run_branch(txn_, at, writer, want_reply);
}

TxnResult TxnRun::run_branch(const Txn& txn, At& at, BatchWriter* writer, bool want_reply) const {
  TxnResult result;
  result.succeeded = verdicts_[at.verdict++];
  const std::vector<Operation>& branch = result.succeeded ? txn.success : txn.failure;
  if (want_reply) result.results.reserve(branch.size());
  for (const Operation& operation : branch) {
    OperationResult one = run_one(operation, at, writer, want_reply);
    if (want_reply) result.results.push_back(std::move(one));
  }
  return result;
}

OperationResult TxnRun::run_one(const Operation& operation, At& at, BatchWriter* writer, bool want_reply) const {
  OperationResult out;
  if (const auto* put = std::get_if<Put>(&operation.what)) {
    CHECK(writer != nullptr, "a put in a transaction that only reads");
    VersionRef previous = writer->put(*put);
    out.what = PutResult{put->want_previous ? std::move(previous) : VersionRef()};
  } else if (const auto* del = std::get_if<DeleteRange>(&operation.what)) {
    CHECK(writer != nullptr, "a delete in a transaction that only reads");
    DeleteResult& result = out.what.emplace<DeleteResult>();
    result.deleted = writer->delete_range(del->range, del->want_previous && want_reply ? &result.previous : nullptr);
  } else if (const auto* range = std::get_if<Range>(&operation.what)) {
    out.what = read(*range, writer, want_reply);
  } else {
    out.what = run_branch(std::get<Txn>(operation.what), at, writer, want_reply);
  }
  out.revision = writer == nullptr ? state_.revision : writer->seen();
  return out;
}

RangeResult TxnRun::read(const Range& range, const BatchWriter* writer, bool want_reply) const {
  if (!want_reply) return {};
  const Revision seen = writer == nullptr ? state_.revision : writer->seen();
  Scan scan(state_, range, range.revision > Revision(0) ? range.revision : seen,
            writer == nullptr ? nullptr : writer->pending());
  scan.step(SIZE_MAX);
  RangeResult result = scan.finish();
  result.revision = seen;
  return result;
}

}  // namespace witan::store
