#include "store/twin.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "store/acl.h"
#include "store/path.h"
#include "store/quota.h"

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
  v->value = row.null ? Blob() : Blob(row.value);
  return VersionRef(v);
}

std::optional<Row> row_of(const VersionRef& v) {
  if (!v) return std::nullopt;
  return Row{v->create_revision.value, v->mod_revision.value,        v->version,        v->lease.value, v->created.ms(),
             v->modified.ms(),         std::string(v->value.view()), v->value.is_null()};
}

std::set<std::string> Twin::nodes() const {
  std::set<std::string> out{"/"};
  for (const auto& [key, row] : tree) {
    if (!is_path(key) || is_hidden(key)) continue;
    for (std::string_view node = key; node != "/"; node = parent_of(node)) out.insert(std::string(node));
  }
  return out;
}

std::vector<std::string> Twin::keys_of(int64_t lease) const {
  std::vector<std::string> out;
  for (const Tree* const where : {&tree, &hidden}) {
    for (const auto& [key, row] : *where) {
      if (row.lease == lease) out.push_back(key);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

void Twin::count_child(std::map<std::string, Directory>& counts, const std::string& node, int by) {
  Directory& parent = counts[std::string(parent_of(node))];
  parent.created += by > 0 ? 1 : 0;
  parent.children += by;
  parent.changed = Revision(revision + 1);
}

void Twin::note(NodeEvent::Type type, const std::string& path) {
  events.push_back({type, path, extra(path).acl, path == "/" ? "" : extra(std::string(parent_of(path))).acl});
}

void Twin::set(const std::string& key, std::optional<Row> row) {
  touched = true;
  const std::set<std::string> before_all = nodes();
  std::optional<Row> before;
  if (const auto it = tree.find(key); it != tree.end()) before = it->second;
  if (row) {
    tree[key] = *row;
  } else {
    tree.erase(key);
  }
  const auto at = std::find_if(pending.begin(), pending.end(), [&](const Changed& c) { return c.key == key; });
  if (at != pending.end()) {
    at->after = row;
  } else {
    pending.push_back({key, before, row});
  }
  const std::set<std::string> after_all = nodes();
  std::vector<std::string> came;
  std::vector<std::string> went;
  std::set_difference(after_all.begin(), after_all.end(), before_all.begin(), before_all.end(),
                      std::back_inserter(came));  // parents first
  std::set_difference(before_all.begin(), before_all.end(), after_all.begin(), after_all.end(),
                      std::back_inserter(went));
  if (came.empty() && went.empty() && after_all.contains(key)) note(NodeEvent::Type::Changed, key);
  for (const std::string& node : came) {
    count_child(directories, node, 1);
    note(NodeEvent::Type::Created, node);
  }
  std::reverse(went.begin(), went.end());  // children first
  for (const std::string& node : went) note(NodeEvent::Type::Deleted, node);
  for (const std::string& node : went) {
    directories.erase(node);
    extras.erase(node);
    // A parent that went as well is erased on its own turn, after this.
    count_child(directories, node, -1);
  }
  // What is only implied from now on is no container.
  if (!row && after_all.contains(key) && extras.contains(key)) {
    extras[key].kind = NodeKind::Ordinary;
    extras[key].ttl = 0;
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
  after.null = put.ignore_value && before && before->null;
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

// ---- Nodes of the ZooKeeper view ----------------------------------------------------------------

namespace {

bool is_base(std::string_view path) { return path == kHiddenRoot || path == kQuotaNode || path == kConfigNode; }

bool grows_nodes(const NodeTxn& txn) {
  return std::any_of(txn.operations.begin(), txn.operations.end(), [](const NodeOperation& operation) {
    return std::holds_alternative<CreateNode>(operation.what) || std::holds_alternative<SetNode>(operation.what) ||
           std::holds_alternative<SetNodeAcl>(operation.what);
  });
}

// Empty: there is none to look for.
std::string parent_text(std::string_view path) {
  if (path.find('\0') != std::string_view::npos || path.find('/') == std::string_view::npos) return {};
  const std::string parent(path.substr(0, path.rfind('/')));
  return parent.empty() ? "/" : parent;
}

}  // namespace

std::set<std::string> Twin::all_nodes() const {
  std::set<std::string> out = nodes();
  out.insert({std::string(kHiddenRoot), std::string(kQuotaNode), std::string(kConfigNode)});
  for (const auto& [path, row] : hidden) out.insert(path);
  return out;
}

bool Twin::exists(const std::string& path) const { return all_nodes().contains(path); }

Extra Twin::extra(const std::string& path) const {
  if (const auto it = extras.find(path); it != extras.end()) return it->second;
  if (path != kConfigNode) return {};
  const AclEntry entry{.permissions = perm::kRead, .scheme = "world", .id = "anyone"};
  return {.acl = encode_acl({&entry, 1}), .acl_version = -1};
}

const Row* Twin::row(const std::string& path) const {
  const Tree& where = is_hidden(path) ? hidden : tree;
  const auto it = where.find(path);
  return it == where.end() ? nullptr : &it->second;
}

int64_t Twin::data_version(const std::string& path) const { return row(path) == nullptr ? 0 : row(path)->version - 1; }

NodeStat Twin::stat(const std::string& path) const {
  NodeStat out;
  if (const Row* const it = row(path)) {
    if (path != "/" && !is_base(path)) {
      out.created = Revision(it->create);
      out.created_at = WallTime{it->created};
    }
    out.modified = Revision(it->mod);
    out.modified_at = WallTime{it->modified};
    out.version = it->version - 1;
    out.owner = LeaseId(it->lease);
    out.data_bytes = static_cast<int64_t>(it->value.size());
  }
  const auto& counts = is_hidden(path) ? hidden_directories : directories;
  const auto counted = counts.find(path);
  const Directory children = counted == counts.end() ? Directory{} : counted->second;
  out.children_changed = std::max(out.created, children.changed);
  out.acl_version = extra(path).acl_version;
  out.children_ever = children.created;
  for (const std::string& node : all_nodes()) out.children += node != "/" && parent_of(node) == path ? 1 : 0;
  return out;
}

bool Twin::may(const std::string& path, uint32_t permission, const Header& header) const {
  return allows(extra(path).acl, header.principals, permission);
}

namespace {

std::string limits_of(const std::string& path) {
  return std::string(kQuotaNode) + (path == "/" ? "" : path) + "/zookeeper_limits";
}

// The path whose quota covers `path`; empty: none.
std::string quota_over(const std::string& path, const Tree& limits) {
  for (std::string at = path;; at = std::string(parent_of(at))) {
    if (limits.contains(limits_of(at))) return at;
    if (at == "/") return {};
  }
}

}  // namespace

std::pair<int64_t, int64_t> Twin::counted(const std::string& path, const Tree& limits) const {
  std::pair<int64_t, int64_t> out;
  for (const auto& [key, row] : tree) {
    if (!is_path(key) || is_hidden(key) || quota_over(key, limits) != path) continue;
    ++out.first;
    out.second += static_cast<int64_t>(row.value.size());
  }
  return out;
}

bool Twin::fits(const std::string& path, int64_t nodes, int64_t bytes) const {
  if (!enforce_quotas || is_hidden(path)) return true;
  const std::string quota = quota_over(path, *limits_);
  if (quota.empty()) return true;
  const Quotas::Limits limits = parse_limits(limits_->at(limits_of(quota)).value);
  const auto [have_nodes, have_bytes] = counted(quota, *limits_);
  if (nodes != 0 && limits.hard_count >= 0 && have_nodes + nodes > limits.hard_count) return false;
  return bytes == 0 || limits.hard_bytes < 0 || have_bytes + bytes <= limits.hard_bytes;
}

Failure Twin::run_nodes(const NodeTxn& txn, const Header& header, NodeTxnResult& result) {
  const Present as_it_was = *this;
  limits_ = &as_it_was.hidden;
  for (size_t i = 0; i < txn.operations.size(); ++i) {
    NodeTxnResult::Item& item = result.items.emplace_back();
    const Reason reason =
        std::visit([&](const auto& operation) { return run_one(operation, header, item); }, txn.operations[i].what);
    if (reason == Reason::None) continue;
    static_cast<Present&>(*this) = as_it_was;
    return {.reason = reason, .operation = static_cast<uint32_t>(i)};
  }
  return {};
}

void Twin::write_node(const std::string& path, std::string_view value, bool null, std::optional<int64_t> owner) {
  const bool existed = exists(path);
  const Row* const before = row(path);
  Row after = before != nullptr ? *before : Row{};
  if (before == nullptr) {
    after.create = revision + 1;
    after.created = stamp_;
    after.version = existed ? 1 : 0;
  }
  ++after.version;
  after.mod = revision + 1;
  after.modified = stamp_;
  after.lease = owner.value_or(after.lease);
  after.value = std::string(value);
  after.null = null;
  if (!is_hidden(path)) return set(path, after);
  touched = true;
  hidden[path] = after;
  if (!existed) count_child(hidden_directories, path, 1);
  note(existed ? NodeEvent::Type::Changed : NodeEvent::Type::Created, path);
}

Reason Twin::run_one(const CreateNode& create, const Header& header, NodeTxnResult::Item& item) {
  const std::string parent = parent_text(create.path);
  if (parent.empty()) return Reason::BadArguments;
  if (!exists(parent)) return Reason::NodeNotFound;
  if (!may(parent, perm::kCreate, header)) return Reason::PermissionDenied;
  item.path = create.path;
  if (create.sequential) item.path += fmt::format("{:010}", stat(parent).children_ever);
  if (!is_path(item.path)) return Reason::BadArguments;
  if (exists(item.path)) return Reason::NodeExists;
  if (stat(parent).owner != LeaseId(0)) return Reason::NodeIsEphemeral;
  if (create.ephemeral && header.session == LeaseId(0)) return Reason::BadArguments;
  if (!fits(item.path, 1, static_cast<int64_t>(create.value.size()))) return Reason::QuotaExceeded;
  if (!create.acl.empty() || create.kind != NodeKind::Ordinary) {
    extras[item.path] = {.acl = std::string(create.acl), .kind = create.kind, .ttl = create.ttl_ms};
  }
  write_node(item.path, create.value, create.null_value, create.ephemeral ? header.session.value : 0);
  item.stat = stat(item.path);
  return Reason::None;
}

Reason Twin::run_one(const DeleteNode& del, const Header& header, NodeTxnResult::Item&) {
  const std::string path(del.path);
  const std::string parent = parent_text(path);
  if (parent.empty() || path == "/" || is_base(path)) return Reason::BadArguments;
  if (!exists(parent)) return Reason::NodeNotFound;
  if (!del.only_if_idle && !may(parent, perm::kDelete, header)) return Reason::PermissionDenied;
  if (!exists(path)) return Reason::NodeNotFound;
  if (del.expected != -1 && del.expected != data_version(path)) return Reason::VersionMismatch;
  if (stat(path).children > 0) return Reason::NodeHasChildren;
  const Extra what = extra(path);
  if (del.only_if_idle) {
    const bool used = what.kind == NodeKind::Container && stat(path).children_ever > 0;
    const bool late = what.kind == NodeKind::Ttl && largest_stamp > row(path)->modified + what.ttl;
    if (!used && !late) return Reason::VersionMismatch;
  }
  erase_node(path);
  return Reason::None;
}

void Twin::erase_node(const std::string& path) {
  if (!is_hidden(path)) return set(path, std::nullopt);
  touched = true;
  note(NodeEvent::Type::Deleted, path);
  hidden.erase(path);
  hidden_directories.erase(path);
  extras.erase(path);
  count_child(hidden_directories, path, -1);
}

Reason Twin::run_one(const SetNode& set, const Header& header, NodeTxnResult::Item& item) {
  const std::string path(set.path);
  if (!is_path(path)) return Reason::BadArguments;
  if (!exists(path)) return Reason::NodeNotFound;
  if (!may(path, perm::kWrite, header)) return Reason::PermissionDenied;
  if (path == kConfigNode) return Reason::BadArguments;
  const Row* const before = row(path);
  const int64_t had = before == nullptr ? 0 : static_cast<int64_t>(before->value.size());
  if (!fits(path, before == nullptr && path != "/" ? 1 : 0, static_cast<int64_t>(set.value.size()) - had)) {
    return Reason::QuotaExceeded;
  }
  if (set.expected != -1 && set.expected != data_version(path)) return Reason::VersionMismatch;
  write_node(path, set.value, set.null_value, std::nullopt);
  item.stat = stat(path);
  return Reason::None;
}

Reason Twin::run_one(const SetNodeAcl& set, const Header& header, NodeTxnResult::Item& item) {
  const std::string path(set.path);
  if (!is_path(path)) return Reason::BadArguments;
  if (!exists(path)) return Reason::NodeNotFound;
  if (!may(path, perm::kAdmin, header)) return Reason::PermissionDenied;
  Extra what = extra(path);
  if (set.expected != -1 && set.expected != what.acl_version) return Reason::VersionMismatch;
  what.acl = std::string(set.acl);
  ++what.acl_version;
  extras[path] = what;
  touched = true;
  item.stat = stat(path);
  return Reason::None;
}

Reason Twin::run_one(const CheckNode& check, const Header& header, NodeTxnResult::Item&) {
  const std::string path(check.path);
  if (!is_path(path)) return Reason::BadArguments;
  if (!exists(path)) return Reason::NodeNotFound;
  if (!may(path, perm::kRead, header)) return Reason::PermissionDenied;
  return check.expected == -1 || check.expected == data_version(path) ? Reason::None : Reason::VersionMismatch;
}

Failure Twin::refuse(const Command& command) const {
  const Body& body = command.body;
  const auto alarmed = [&](AlarmKind kind) {
    return std::any_of(alarms.begin(), alarms.end(), [kind](const auto& a) { return a.second == kind; });
  };
  const bool repairs = std::holds_alternative<Nothing>(body) || std::holds_alternative<Range>(body) ||
                       std::holds_alternative<LeaseCheckpoint>(body) || std::holds_alternative<AlarmChange>(body) ||
                       std::holds_alternative<SettingsChange>(body);
  const auto* nodes = std::get_if<NodeTxn>(&body);
  if (nodes != nullptr && command.header.session != LeaseId(0)) {
    const auto session = leases.find(command.header.session.value);
    if (session == leases.end() || session->second.kind != LeaseKind::ZooKeeper) {
      return {.reason = Reason::SessionExpired};
    }
    if (session->second.generation != command.header.attach_generation) return {.reason = Reason::SessionMoved};
  }
  if (alarmed(AlarmKind::Corrupt) && !repairs) return {.reason = Reason::CorruptCluster};
  const auto* txn = std::get_if<Txn>(&body);
  const bool grows = std::holds_alternative<Put>(body) || std::holds_alternative<LeaseGrant>(body) ||
                     std::holds_alternative<SessionOpen>(body) || (nodes != nullptr && grows_nodes(*nodes)) ||
                     (txn != nullptr && puts_in(*txn));
  return {.reason = alarmed(AlarmKind::NoSpace) && grows ? Reason::NoSpace : Reason::None};
}

Failure Twin::run(const Command& command, Reply& reply) {
  const Body& body = command.body;
  if (const Failure refused = refuse(command); refused.reason != Reason::None) return refused;
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
  } else if (const auto* txn = std::get_if<Txn>(&body)) {
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
  } else if (const auto* a = std::get_if<AlarmChange>(&body)) {
    reply.result = change_alarm(*a);
  } else if (const auto* s = std::get_if<SettingsChange>(&body)) {
    if (s->min_lease_ttl_ms > 0) min_ttl = s->min_lease_ttl_ms;
    if (s->enforce_node_quotas != 0) enforce_quotas = s->enforce_node_quotas > 0;
  } else if (const auto* nodes = std::get_if<NodeTxn>(&body)) {
    NodeTxnResult result;
    const Failure failure = run_nodes(*nodes, command.header, result);
    if (failure.reason != Reason::None) return failure;
    reply.result = std::move(result);
  } else {
    return run_leases(body, reply);
  }
  return {};
}

Failure Twin::run_leases(const Body& body, Reply& reply) {
  if (const auto* g = std::get_if<LeaseGrant>(&body)) {
    if (g->ttl_ms > 9'000'000'000'000) return {.reason = Reason::LeaseTtlTooLarge};
    if (leases.contains(g->id.value)) return {.reason = Reason::LeaseExists};
    const int64_t ttl = std::max<int64_t>(g->ttl_ms, g->kind == LeaseKind::Etcd ? min_ttl : 1);
    const uint64_t generation = g->kind == LeaseKind::ZooKeeper ? 1 : 0;
    leases[g->id.value] = {g->kind, ttl, 0, generation};
    reply.result = LeaseGrantResult{g->id, ttl, generation};
  } else if (const auto* v = std::get_if<LeaseRevoke>(&body)) {
    const auto it = leases.find(v->id.value);
    if (it == leases.end() || it->second.kind != v->kind) return {.reason = Reason::LeaseNotFound};
    if (v->generation != 0 && v->generation != it->second.generation) return {.reason = Reason::SessionMoved};
    for (const std::string& key : keys_of(v->id.value)) {
      if (v->kind == LeaseKind::ZooKeeper) {
        erase_node(key);
      } else {
        set(key, std::nullopt);
      }
    }
    leases.erase(it);
  } else if (const auto* k = std::get_if<LeaseCheckpoint>(&body)) {
    for (const auto& item : k->items) {
      const auto it = leases.find(item.id.value);
      if (it == leases.end()) continue;
      it->second.remaining = item.remaining_ms > 0 && item.remaining_ms < it->second.ttl ? item.remaining_ms : 0;
    }
  } else {
    return run_sessions(body, reply);
  }
  return {};
}

Failure Twin::run_sessions(const Body& body, Reply& reply) {
  if (const auto* open = std::get_if<SessionOpen>(&body)) {
    int64_t id = 0;
    while (id == 0 || leases.contains(id)) {
      id = static_cast<int64_t>((uint64_t{open->member_number} << 56) + (uint64_t{open->salt} << 32) + ++allocated);
    }
    leases[id] = {LeaseKind::ZooKeeper, std::max<int64_t>(open->ttl_ms, 1), 0, 1};
    reply.result = LeaseGrantResult{LeaseId(id), leases[id].ttl, 1};
  } else if (const auto* attach = std::get_if<SessionAttach>(&body)) {
    const auto it = leases.find(attach->id.value);
    if (it == leases.end() || it->second.kind != LeaseKind::ZooKeeper) return {.reason = Reason::SessionExpired};
    if (attach->ttl_ms > 0) it->second.ttl = attach->ttl_ms;
    it->second.remaining = 0;
    reply.result = LeaseGrantResult{attach->id, it->second.ttl, ++it->second.generation};
  }
  return {};
}

Reply Twin::apply(const Command& command) {
  stamp_ = command.header.stamp.ms;
  largest_stamp = std::max(largest_stamp, stamp_);
  touched = false;
  pending.clear();
  events.clear();
  Reply reply;
  reply.failure = run(command, reply);
  if (touched) {
    ++revision;
    std::erase_if(pending, [](const Changed& c) { return !c.before && !c.after; });
    history[revision] = pending;
    stamps[revision] = largest_stamp;
    past[revision] = tree;
  }
  reply.revision = Revision(revision);
  return reply;
}

}  // namespace witan::store::twin
