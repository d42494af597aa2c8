#include "api/etcd/lower.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace witan::api::etcd {
namespace {

using store::CompareTarget;
using store::Relation;

std::optional<Error> check_operations(const std::vector<OperationRequest>& operations, size_t budget);

std::optional<Error> check_counts(const TxnRequest& request, size_t budget) {
  const size_t most = std::max({request.compares.size(), request.success.size(), request.failure.size()});
  if (most > budget) return Error::TooManyOperations;
  for (const CompareRequest& compare : request.compares) {
    if (compare.key.empty()) return Error::EmptyKey;
  }
  if (auto error = check_operations(request.success, budget - most)) return error;
  return check_operations(request.failure, budget - most);
}

std::optional<Error> check_operations(const std::vector<OperationRequest>& operations, size_t budget) {
  for (const OperationRequest& operation : operations) {
    std::optional<Error> error;
    if (const auto* range = std::get_if<RangeRequest>(&operation.what)) {
      error = check(*range);
    } else if (const auto* put = std::get_if<PutRequest>(&operation.what)) {
      error = check(*put);
    } else if (const auto* erase = std::get_if<DeleteRequest>(&operation.what)) {
      error = check(*erase);
    } else if (const auto* txn = std::get_if<TxnRequest>(&operation.what)) {
      error = check_counts(*txn, budget);
    } else {
      error = Error::KeyNotFound;  // etcd's answer to an operation that says nothing
    }
    if (error) return error;
  }
  return std::nullopt;
}

// A union of intervals of keys.
class Intervals {
 public:
  // [begin, end). As in etcd the end is taken as it stands: "\0", which means "everything", covers nothing here.
  void add(std::string_view begin, std::string_view end) {
    if (end <= begin) return;
    auto it = ends_.upper_bound(begin);
    if (it != ends_.begin() && std::prev(it)->second >= begin) --it;
    while (it != ends_.end() && it->first <= end) {
      begin = std::min(begin, it->first);
      end = std::max(end, it->second);
      it = ends_.erase(it);
    }
    ends_[begin] = end;
  }
  void add_point(std::string_view key) { points_.insert(key); }
  void add(const Intervals& other) {
    for (const auto& [begin, end] : other.ends_) add(begin, end);
    points_.insert(other.points_.begin(), other.points_.end());
  }
  bool contains(std::string_view key) const {
    if (points_.contains(key)) return true;
    const auto it = ends_.upper_bound(key);
    return it != ends_.begin() && key < std::prev(it)->second;
  }

 private:
  std::map<std::string_view, std::string_view> ends_;  // disjoint; begin -> end
  std::set<std::string_view> points_;                  // single keys, whose end would need a new string
};

// What a list of operations changes, nested transactions included.
struct Changes {
  std::set<std::string_view> puts;
  Intervals deletes;
};

// False: a key is put twice, or put and deleted.
bool collect_changes(const std::vector<OperationRequest>& operations, Changes& out);

// The branches of one nested transaction exclude each other, so they may put the same key.
bool collect_nested(const TxnRequest& txn, Changes& out) {
  Changes then;
  Changes otherwise;
  if (!collect_changes(txn.success, then) || !collect_changes(txn.failure, otherwise)) return false;
  for (const std::string_view key : then.puts) {
    if (out.deletes.contains(key) || !out.puts.insert(key).second) return false;
  }
  for (const std::string_view key : otherwise.puts) {
    if (out.deletes.contains(key)) return false;
    if (!out.puts.insert(key).second && !then.puts.contains(key)) return false;
  }
  out.deletes.add(then.deletes);
  out.deletes.add(otherwise.deletes);
  return true;
}

// The order is etcd's: deletes of this level, then nested transactions, then puts of this level.
bool collect_changes(const std::vector<OperationRequest>& operations, Changes& out) {
  for (const OperationRequest& operation : operations) {
    const auto* erase = std::get_if<DeleteRequest>(&operation.what);
    if (erase == nullptr) continue;
    if (erase->range_end.empty()) {
      out.deletes.add_point(erase->key);
    } else {
      out.deletes.add(erase->key, erase->range_end);
    }
  }
  for (const OperationRequest& operation : operations) {
    const auto* txn = std::get_if<TxnRequest>(&operation.what);
    if (txn != nullptr && !collect_nested(*txn, out)) return false;
  }
  for (const OperationRequest& operation : operations) {
    const auto* put = std::get_if<PutRequest>(&operation.what);
    if (put == nullptr) continue;
    if (out.deletes.contains(put->key) || !out.puts.insert(put->key).second) return false;
  }
  return true;
}

// A compare that never holds: no version is below the smallest number.
store::Compare never(const CompareRequest& request) {
  return {.range = store::KeyRangeView{.begin = request.key, .single = true},
          .target = CompareTarget::Version,
          .relation = Relation::Less,
          .number = std::numeric_limits<int64_t>::min()};
}

// Adds what `request` means. A value of another kind than the target counts as zero or nothing; relations that etcd
// does not know hold, and targets it does not know compare as equal (etcd, txn.go: applyCompare).
void add_compare(const CompareRequest& request, std::vector<store::Compare>& out) {
  const bool known_target = request.target >= 0 && request.target <= 4;
  const bool known_relation = request.result >= 0 && request.result <= 3;
  if (!known_target) {
    if (known_relation && static_cast<Relation>(request.result) != Relation::Equal) out.push_back(never(request));
    return;
  }
  const auto target = static_cast<CompareTarget>(request.target);
  const store::KeyRangeView range = range_of(request.key, request.range_end);
  if (!known_relation) {
    // It still fails when a value is compared and there is no key: "not less than nothing" holds for every value.
    if (target != CompareTarget::Value) return;
    out.push_back({.range = range, .target = CompareTarget::Version, .relation = Relation::Greater, .number = 0});
    return;
  }
  constexpr uint32_t kField[] = {4, 5, 6, 7, 8};  // of the value that belongs to the target
  const bool fits = request.given == kField[request.target];
  out.push_back({.range = range,
                 .target = target,
                 .relation = static_cast<Relation>(request.result),
                 .number = fits ? request.number : 0,
                 .value = fits ? request.value : std::string_view()});
}

std::vector<store::Operation> lower_all(const std::vector<OperationRequest>& operations) {
  std::vector<store::Operation> out;
  out.reserve(operations.size());
  for (const OperationRequest& operation : operations) {
    if (const auto* range = std::get_if<RangeRequest>(&operation.what)) {
      out.push_back({lower(*range)});
    } else if (const auto* put = std::get_if<PutRequest>(&operation.what)) {
      out.push_back({lower(*put)});
    } else if (const auto* erase = std::get_if<DeleteRequest>(&operation.what)) {
      out.push_back({lower(*erase)});
    } else {
      out.push_back({lower(std::get<TxnRequest>(operation.what))});
    }
  }
  return out;
}

bool is_plain(const TxnShape& shape) { return shape.success.empty() && shape.failure.empty(); }

std::vector<OperationShape> shapes_of(const std::vector<OperationRequest>& operations) {
  std::vector<OperationShape> out(operations.size());
  bool plain = true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if (const auto* range = std::get_if<RangeRequest>(&operations[i].what)) {
      out[i].keys_only = range->keys_only;
      plain = plain && !range->keys_only;
    } else if (const auto* put = std::get_if<PutRequest>(&operations[i].what); put != nullptr && put->prev_kv) {
      out[i].key = put->key;
      plain = false;
    } else if (const auto* txn = std::get_if<TxnRequest>(&operations[i].what)) {
      out[i].nested = shape_of(*txn);
      plain = plain && is_plain(out[i].nested);
    }
  }
  if (plain) out.clear();
  return out;
}

bool all_ranges(const std::vector<OperationRequest>& operations) {
  return std::ranges::all_of(operations, [](const auto& o) { return std::holds_alternative<RangeRequest>(o.what); });
}

bool all_serializable(const std::vector<OperationRequest>& operations) {
  return std::ranges::all_of(operations, [](const auto& o) {
    const auto* range = std::get_if<RangeRequest>(&o.what);
    return range != nullptr && range->serializable;
  });
}

}  // namespace

store::KeyRangeView range_of(std::string_view key, std::string_view range_end) {
  if (range_end.empty()) return {.begin = key, .single = true};
  if (range_end == std::string_view("\0", 1)) return {.begin = key};
  return {.begin = key, .end = range_end};
}

std::optional<Error> check(const RangeRequest& request) {
  if (request.key.empty()) return Error::EmptyKey;
  if (request.sort_order < 0 || request.sort_order > 2) return Error::InvalidSortOption;
  if (request.sort_target < 0 || request.sort_target > 4) return Error::InvalidSortOption;
  return std::nullopt;
}

std::optional<Error> check(const PutRequest& request) {
  if (request.key.empty()) return Error::EmptyKey;
  if (request.ignore_value && !request.value.empty()) return Error::ValueProvided;
  if (request.ignore_lease && request.lease != 0) return Error::LeaseProvided;
  return std::nullopt;
}

std::optional<Error> check(const DeleteRequest& request) {
  if (request.key.empty()) return Error::EmptyKey;
  return std::nullopt;
}

std::optional<Error> check_stream(const RangeRequest& request) {
  if (auto error = check(request)) return error;
  const bool in_key_order = request.sort_order == 0 || (request.sort_target == 0 && request.sort_order == 1);
  if (!in_key_order) return Error::StreamSortOrder;
  if (request.min_mod != 0 || request.max_mod != 0 || request.min_create != 0 || request.max_create != 0) {
    return Error::StreamRevisionFilter;
  }
  return std::nullopt;
}

std::optional<Error> check(const TxnRequest& request, size_t max_operations) {
  if (auto error = check_counts(request, max_operations)) return error;
  for (const auto* branch : {&request.success, &request.failure}) {
    Changes changes;
    if (!collect_changes(*branch, changes)) return Error::DuplicateKey;
  }
  return std::nullopt;
}

store::Range lower(const RangeRequest& request) {
  return {.range = range_of(request.key, request.range_end),
          .limit = request.limit,
          .revision = store::Revision(request.revision),
          .order = static_cast<store::SortOrder>(request.sort_order),
          .target = static_cast<store::SortTarget>(request.sort_target),
          .keys_only = request.keys_only,
          .count_only = request.count_only,
          .min_mod = store::Revision(request.min_mod),
          .max_mod = store::Revision(request.max_mod),
          .min_create = store::Revision(request.min_create),
          .max_create = store::Revision(request.max_create)};
}

store::Put lower(const PutRequest& request) {
  return {.key = request.key,
          .value = request.value,
          .lease = store::LeaseId(request.lease),
          .ignore_value = request.ignore_value,
          .ignore_lease = request.ignore_lease,
          .want_previous = request.prev_kv};
}

store::DeleteRange lower(const DeleteRequest& request) {
  return {.range = range_of(request.key, request.range_end), .want_previous = request.prev_kv};
}

store::Txn lower(const TxnRequest& request) {
  store::Txn out;
  out.compares.reserve(request.compares.size());
  for (const CompareRequest& compare : request.compares) add_compare(compare, out.compares);
  out.success = lower_all(request.success);
  out.failure = lower_all(request.failure);
  return out;
}

TxnShape shape_of(const TxnRequest& request) {
  return {.success = shapes_of(request.success), .failure = shapes_of(request.failure)};
}

bool is_read_only(const TxnRequest& request) { return all_ranges(request.success) && all_ranges(request.failure); }

bool is_serializable(const TxnRequest& request) {
  return all_serializable(request.success) && all_serializable(request.failure);
}

}  // namespace witan::api::etcd
