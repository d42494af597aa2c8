#include "store/twin.h"

#include <algorithm>

#include "store/path.h"

namespace witan::store::twin {
namespace {

template <class T>
bool related(Relation relation, const T& a, const T& b) {
  if (relation == Relation::Equal) return a == b;
  if (relation == Relation::NotEqual) return a != b;
  return relation == Relation::Greater ? a > b : a < b;
}

bool row_holds(const Compare& c, const Row& row) {
  if (c.target == CompareTarget::Version) return related(c.relation, row.version, c.number);
  if (c.target == CompareTarget::CreateRevision) return related(c.relation, row.create, c.number);
  if (c.target == CompareTarget::ModRevision) return related(c.relation, row.mod, c.number);
  if (c.target == CompareTarget::Lease) return related(c.relation, row.lease, c.number);
  return related(c.relation, std::string_view(row.value), c.value);
}

bool puts_in(const Txn& txn) {
  for (const auto* branch : {&txn.success, &txn.failure}) {
    for (const Operation& operation : *branch) {
      if (std::holds_alternative<Put>(operation.what)) return true;
      const auto* nested = std::get_if<Txn>(&operation.what);
      if (nested != nullptr && puts_in(*nested)) return true;
    }
  }
  return false;
}

}  // namespace

VersionRef version_of(const Row& row) {
  auto* v = new Version;
  v->create_revision = Revision(row.create);
  v->mod_revision = Revision(row.mod);
  v->version = row.version;
  v->lease = LeaseId(row.lease);
  v->created = Stamp(WallTime{row.created});
  v->modified = Stamp(WallTime{row.modified});
  v->value = Blob(row.value);
  return VersionRef(v);
}

std::optional<Row> row_of(const VersionRef& v) {
  if (!v) return std::nullopt;
  return Row{v->create_revision.value, v->mod_revision.value,       v->version, v->lease.value, v->created.ms(),
             v->modified.ms(),         std::string(v->value.view())};
}

std::set<std::string> Twin::nodes() const {
  std::set<std::string> out{"/"};
  for (const auto& [key, row] : tree) {
    if (!is_path(key)) continue;
    for (std::string_view node = key; node != "/"; node = parent_of(node)) out.insert(std::string(node));
  }
  return out;
}

std::vector<std::string> Twin::keys_of(int64_t lease) const {
  std::vector<std::string> out;
  for (const auto& [key, row] : tree) {
    if (row.lease == lease) out.push_back(key);
  }
  return out;
}

void Twin::set(const std::string& key, std::optional<Row> row) {
  touched_ = true;
  const std::set<std::string> nodes_before = nodes();
  std::optional<Row> before;
  if (const auto it = tree.find(key); it != tree.end()) before = it->second;
  if (row) {
    tree[key] = *row;
  } else {
    tree.erase(key);
  }
  const auto at = std::find_if(pending_.begin(), pending_.end(), [&](const Changed& c) { return c.key == key; });
  if (at != pending_.end()) {
    at->after = row;
  } else {
    pending_.push_back({key, before, row});
  }
  const std::set<std::string> nodes_after = nodes();
  for (const std::string& node : nodes_after) {
    if (nodes_before.contains(node)) continue;
    Directory& parent = directories[std::string(parent_of(node))];
    ++parent.created;
    ++parent.children;
    parent.changed = Revision(revision + 1);
  }
  for (const std::string& node : nodes_before) {
    if (nodes_after.contains(node)) continue;
    directories.erase(node);
    const std::string parent_path(parent_of(node));
    // A parent that went as well has its row erased on its own turn, before or after.
    if (nodes_after.contains(parent_path)) {
      Directory& parent = directories[parent_path];
      --parent.children;
      parent.changed = Revision(revision + 1);
    }
  }
}

VersionRef Twin::put(const Put& put) {
  const std::string key(put.key);
  std::optional<Row> before;
  if (const auto it = tree.find(key); it != tree.end()) before = it->second;
  Row after;
  after.create = before ? before->create : revision + 1;
  after.mod = revision + 1;
  after.version = before ? before->version + 1 : 1;
  after.created = before ? before->created : stamp_;
  after.modified = stamp_;
  after.lease = put.ignore_lease ? (before ? before->lease : 0) : put.lease.value;
  after.value = put.ignore_value ? (before ? before->value : "") : std::string(put.value);
  set(key, after);
  return before ? version_of(*before) : VersionRef();
}

int64_t Twin::remove(const KeyRangeView& range, std::vector<KeyVersion>* previous) {
  std::vector<std::string> doomed;
  for (const auto& [key, row] : tree) {
    if (!range.contains(key)) continue;
    doomed.push_back(key);
    if (previous != nullptr) previous->push_back({Blob(key), version_of(row)});
  }
  for (const std::string& key : doomed) set(key, std::nullopt);
  return static_cast<int64_t>(doomed.size());
}

std::optional<Failure> Twin::unreadable(int64_t at) const {
  if (at > revision) return Failure{.reason = Reason::RevisionInFuture};
  if (at > 0 && at < compacted) return Failure{.reason = Reason::RevisionCompacted, .compacted = Revision(compacted)};
  return std::nullopt;
}

RangeResult Twin::range(const Range& r, int64_t current, const Tree& tree_at) const {
  RangeResult out;
  out.revision = Revision(current);
  std::vector<std::pair<std::string, Row>> found;
  for (const auto& [key, row] : tree_at) {
    if (r.range.contains(key)) found.emplace_back(key, row);
  }
  out.count = static_cast<int64_t>(found.size());
  if (r.count_only) return out;
  const bool filters =
      r.min_mod.value != 0 || r.max_mod.value != 0 || r.min_create.value != 0 || r.max_create.value != 0;
  const auto limit = static_cast<size_t>(std::max<int64_t>(r.limit, 0));
  if (limit > 0 && r.order == SortOrder::None && !filters && found.size() > limit + 1) found.resize(limit + 1);
  std::erase_if(found, [&](const auto& item) {
    const Row& row = item.second;
    return (r.min_mod.value != 0 && row.mod < r.min_mod.value) || (r.max_mod.value != 0 && row.mod > r.max_mod.value) ||
           (r.min_create.value != 0 && row.create < r.min_create.value) ||
           (r.max_create.value != 0 && row.create > r.max_create.value);
  });
  const auto before = [&](const auto& a, const auto& b) {
    switch (r.target) {
      case SortTarget::Key: return a.first < b.first;
      case SortTarget::Version: return a.second.version < b.second.version;
      case SortTarget::CreateRevision: return a.second.create < b.second.create;
      case SortTarget::ModRevision: return a.second.mod < b.second.mod;
      case SortTarget::Value: return a.second.value < b.second.value;
    }
    return false;
  };
  // Equal ones stay in key order. Not std::stable_sort: with clang libstdc++ 12's warns about itself.
  std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
    if (before(a, b) || before(b, a)) return r.order == SortOrder::Descend ? before(b, a) : before(a, b);
    return a.first < b.first;
  });
  if (limit > 0 && found.size() > limit) {
    found.resize(limit);
    out.more = true;
  }
  for (const auto& [key, row] : found) out.items.push_back({Blob(key), version_of(row)});
  return out;
}

bool Twin::holds(const Compare& compare) const {
  bool any = false;
  for (const auto& [key, row] : tree) {
    if (!compare.range.contains(key)) continue;
    any = true;
    if (!row_holds(compare, row)) return false;
  }
  return any || (compare.target != CompareTarget::Value && row_holds(compare, Row{}));
}

bool Twin::judge(const Txn& txn) const {
  return std::all_of(txn.compares.begin(), txn.compares.end(), [&](const Compare& c) { return holds(c); });
}

void Twin::judge_all(const Txn& txn, std::map<const Txn*, bool>& verdicts) const {
  verdicts[&txn] = judge(txn);
  for (const auto* branch : {&txn.success, &txn.failure}) {
    for (const Operation& operation : *branch) {
      if (const auto* nested = std::get_if<Txn>(&operation.what)) judge_all(*nested, verdicts);
    }
  }
}

std::optional<Failure> Twin::failing_put(const Put& put) const {
  if ((put.ignore_value || put.ignore_lease) && !tree.contains(std::string(put.key))) {
    return Failure{.reason = Reason::KeyNotFound};
  }
  if (put.ignore_lease || put.lease.value == 0) return std::nullopt;
  const auto it = leases.find(put.lease.value);
  if (it == leases.end() || it->second.kind != LeaseKind::Etcd) return Failure{.reason = Reason::LeaseNotFound};
  return std::nullopt;
}

Failure Twin::check(const Txn& txn, bool puts) const {
  for (const Operation& operation : judge(txn) ? txn.success : txn.failure) {
    std::optional<Failure> failure;
    if (const auto* put = std::get_if<Put>(&operation.what); put != nullptr && puts) failure = failing_put(*put);
    if (const auto* range = std::get_if<Range>(&operation.what); range != nullptr && !puts)
      failure = range->revision.value < 0 && range->revision.value < compacted
                    ? Failure{.reason = Reason::RevisionCompacted, .compacted = Revision(compacted)}
                    : unreadable(range->revision.value);
    if (const auto* nested = std::get_if<Txn>(&operation.what)) failure = check(*nested, puts);
    if (failure && failure->reason != Reason::None) return *failure;
  }
  return {};
}

TxnResult Twin::run_txn(const Txn& txn, const std::map<const Txn*, bool>& verdicts) {
  TxnResult out;
  out.succeeded = verdicts.at(&txn);
  for (const Operation& operation : out.succeeded ? txn.success : txn.failure) {
    OperationResult& one = out.results.emplace_back();
    if (const auto* p = std::get_if<Put>(&operation.what)) {
      VersionRef previous = put(*p);
      one.what = PutResult{p->want_previous ? previous : VersionRef()};
    } else if (const auto* d = std::get_if<DeleteRange>(&operation.what)) {
      DeleteResult result;
      result.deleted = remove(d->range, d->want_previous ? &result.previous : nullptr);
      one.what = std::move(result);
    } else if (const auto* r = std::get_if<Range>(&operation.what)) {
      one.what = range(*r, seen(), r->revision.value > 0 ? past.at(r->revision.value) : tree);
    } else {
      one.what = run_txn(std::get<Txn>(operation.what), verdicts);
    }
    one.revision = Revision(seen());
  }
  return out;
}

AlarmResult Twin::change_alarm(const AlarmChange& a) {
  AlarmResult result;
  if (a.active) {
    if (a.kind == AlarmKind::None) return result;
    alarms.emplace(a.member, a.kind);
    result.changed.push_back(a);
    return result;
  }
  std::erase_if(alarms, [&](const auto& one) {
    const bool member = a.member == 0 || a.member == one.first;
    const bool gone = member && (a.kind == AlarmKind::None || a.kind == one.second);
    if (gone) result.changed.push_back({.member = one.first, .kind = one.second});
    return gone;
  });
  return result;
}

Failure Twin::run(const Body& body, Reply& reply) {
  const auto alarmed = [&](AlarmKind kind) {
    return std::any_of(alarms.begin(), alarms.end(), [kind](const auto& a) { return a.second == kind; });
  };
  const bool repairs = std::holds_alternative<Nothing>(body) || std::holds_alternative<Range>(body) ||
                       std::holds_alternative<LeaseCheckpoint>(body) || std::holds_alternative<AlarmChange>(body) ||
                       std::holds_alternative<SettingsChange>(body);
  if (alarmed(AlarmKind::Corrupt) && !repairs) return {.reason = Reason::CorruptCluster};
  const auto* txn = std::get_if<Txn>(&body);
  const bool grows = std::holds_alternative<Put>(body) || std::holds_alternative<LeaseGrant>(body) ||
                     (txn != nullptr && puts_in(*txn));
  if (alarmed(AlarmKind::NoSpace) && grows) return {.reason = Reason::NoSpace};

  if (const auto* p = std::get_if<Put>(&body)) {
    const Put lease_only{.key = p->key, .value = {}, .lease = p->ignore_lease ? LeaseId(0) : p->lease};
    if (const auto failure = failing_put(lease_only)) return *failure;
    if (const auto failure = failing_put(*p)) return *failure;
    VersionRef previous = put(*p);
    reply.result = PutResult{p->want_previous ? previous : VersionRef()};
  } else if (const auto* d = std::get_if<DeleteRange>(&body)) {
    DeleteResult result;
    result.deleted = remove(d->range, d->want_previous ? &result.previous : nullptr);
    reply.result = std::move(result);
  } else if (const auto* r = std::get_if<Range>(&body)) {
    if (const auto failure = unreadable(r->revision.value)) return *failure;
    reply.result = range(*r, revision, r->revision.value > 0 ? past.at(r->revision.value) : tree);
  } else if (txn != nullptr) {
    for (const bool puts : {true, false}) {
      if (const Failure failure = check(*txn, puts); failure.reason != Reason::None) return failure;
    }
    std::map<const Txn*, bool> verdicts;
    judge_all(*txn, verdicts);
    reply.result = run_txn(*txn, verdicts);
  } else if (const auto* c = std::get_if<Compact>(&body)) {
    if (c->revision.value <= compacted) return {.reason = Reason::RevisionCompacted, .compacted = Revision(compacted)};
    if (c->revision.value > revision) return {.reason = Reason::RevisionInFuture};
    compacted = c->revision.value;
  } else if (const auto* g = std::get_if<LeaseGrant>(&body)) {
    if (g->ttl_ms > 9'000'000'000'000) return {.reason = Reason::LeaseTtlTooLarge};
    if (leases.contains(g->id.value)) return {.reason = Reason::LeaseExists};
    const int64_t ttl = std::max<int64_t>(g->ttl_ms, g->kind == LeaseKind::Etcd ? min_ttl : 1);
    leases[g->id.value] = {g->kind, ttl, 0};
    reply.result = LeaseGrantResult{g->id, ttl};
  } else if (const auto* v = std::get_if<LeaseRevoke>(&body)) {
    const auto it = leases.find(v->id.value);
    if (it == leases.end() || it->second.kind != v->kind) return {.reason = Reason::LeaseNotFound};
    for (const std::string& key : keys_of(v->id.value)) set(key, std::nullopt);
    leases.erase(it);
  } else if (const auto* k = std::get_if<LeaseCheckpoint>(&body)) {
    for (const auto& item : k->items) {
      const auto it = leases.find(item.id.value);
      if (it == leases.end()) continue;
      it->second.remaining = item.remaining_ms > 0 && item.remaining_ms < it->second.ttl ? item.remaining_ms : 0;
    }
  } else if (const auto* a = std::get_if<AlarmChange>(&body)) {
    reply.result = change_alarm(*a);
  } else if (const auto* s = std::get_if<SettingsChange>(&body)) {
    if (s->min_lease_ttl_ms > 0) min_ttl = s->min_lease_ttl_ms;
  }
  return {};
}

Reply Twin::apply(const Command& command) {
  stamp_ = command.header.stamp.ms;
  largest_stamp = std::max(largest_stamp, stamp_);
  touched_ = false;
  pending_.clear();
  Reply reply;
  reply.failure = run(command.body, reply);
  if (touched_) {
    ++revision;
    std::erase_if(pending_, [](const Changed& c) { return !c.before && !c.after; });
    history[revision] = pending_;
    stamps[revision] = largest_stamp;
    past[revision] = tree;
  }
  reply.revision = Revision(revision);
  return reply;
}

}  // namespace witan::store::twin
