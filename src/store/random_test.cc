// Random command streams against the slow twin: replies, reads at every revision, history, leases, directories, nodes
// and what happened to them, and the same again after a snapshot that was taken while the stream went on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/rng.h"
#include "store/acl.h"
#include "store/node.h"
#include "store/path.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "store/twin.h"

namespace witan::store {
namespace {

using twin::Row;
using twin::Twin;

using std::string_view_literals::operator""sv;

constexpr std::string_view kKeys[] = {"/",
                                      "/a",
                                      "/a/b",
                                      "/a/b/c",
                                      "/a/b-c",
                                      "/a/b/d",
                                      "/a/bb",
                                      "/b",
                                      "/b/x/y/z",
                                      "/b/x",
                                      "/c/",
                                      "//",
                                      "/c//d",
                                      "k",
                                      "k1",
                                      "k2",
                                      "k\0x"sv,
                                      "/registry/pods/default/a",
                                      "/registry/pods/default/b",
                                      "/registry/pods/kube/a",
                                      "/registry/services/a",
                                      "/zookeeper/key",
                                      "zz"};

// What only nodes are called; the ones above are tried as nodes too.
constexpr std::string_view kMorePaths[] = {"/zookeeper",
                                           "/zookeeper/quota",
                                           "/zookeeper/config",
                                           "/zookeeper/quota/a",
                                           "/zookeeper/quota/a/b",
                                           "/zookeeper/quota/a-b",
                                           "/a/s-",
                                           "/a/b/",
                                           "/e",
                                           "/e/f",
                                           "e",
                                           "/a\0b"sv};
// Quotas, where their limits stand, and where it stands what they count.
constexpr std::string_view kQuotas[] = {"/", "/a", "/a/b"};
constexpr std::string_view kLimits[] = {"/zookeeper/quota/zookeeper_limits", "/zookeeper/quota/a/zookeeper_limits",
                                        "/zookeeper/quota/a/b/zookeeper_limits"};
constexpr std::string_view kCounted[] = {"/zookeeper/quota/zookeeper_stats", "/zookeeper/quota/a/zookeeper_stats",
                                         "/zookeeper/quota/a/b/zookeeper_stats"};
constexpr std::string_view kPrincipals[] = {"digest:u:h", "ip:10.1.2.3", "super:"};

// Draws commands. What it draws points into strings it keeps until the next draw.
class Dice {
 public:
  explicit Dice(uint64_t seed) : rng_(seed) {}

  Rng& rng() { return rng_; }

  std::string_view keep(std::string text) {
    return *strings_.insert(strings_.end(), std::make_unique<std::string>(std::move(text)))->get();
  }
  std::string_view key() { return kKeys[rng_.below(std::size(kKeys))]; }
  KeyRangeView range() {
    switch (rng_.below(5)) {
      case 0: return {};
      case 1: return {.begin = key()};
      case 2: {
        const std::string_view prefix = key();
        std::string end(prefix);
        ++end.back();
        return {.begin = prefix, .end = keep(end)};
      }
      case 3: return {.begin = key(), .end = key()};
      default: return {.begin = key(), .single = true};
    }
  }
  LeaseId lease() { return LeaseId(rng_.between(-2, 4)); }
  int64_t revision_near(int64_t current) { return rng_.chance(1, 2) ? 0 : rng_.between(-1, current + 2); }

  Put put() {
    Put put{.key = key(), .value = keep("v" + std::to_string(rng_.below(1000)) + std::string(rng_.below(20), 'x'))};
    if (rng_.chance(1, 4)) put.lease = lease();
    put.ignore_value = rng_.chance(1, 10);
    put.ignore_lease = rng_.chance(1, 10);
    put.want_previous = rng_.chance(1, 3);
    return put;
  }
  DeleteRange del() {
    KeyRangeView which = range();
    if (rng_.chance(1, 2)) which = {.begin = key(), .single = true};
    return {.range = which, .want_previous = rng_.chance(1, 2)};
  }
  Range read(int64_t current) {
    Range r{.range = range(),
            .limit = rng_.chance(1, 2) ? rng_.between(-1, 6) : 0,
            .revision = Revision(revision_near(current))};
    r.order = static_cast<SortOrder>(rng_.below(3));
    r.target = static_cast<SortTarget>(rng_.below(5));
    if (rng_.chance(1, 3)) r.order = SortOrder::None, r.target = SortTarget::Key;
    r.keys_only = rng_.chance(1, 5);
    r.count_only = rng_.chance(1, 5);
    for (Revision* bound : {&r.min_mod, &r.max_mod, &r.min_create, &r.max_create}) {
      if (rng_.chance(1, 12)) *bound = Revision(rng_.between(0, current));
    }
    return r;
  }
  Compare compare(int64_t current) {
    return {.range = range(),
            .target = static_cast<CompareTarget>(rng_.below(5)),
            .relation = static_cast<Relation>(rng_.below(4)),
            .number = rng_.between(0, rng_.chance(1, 2) ? 3 : current),
            .value = keep("v" + std::to_string(rng_.below(1000)))};
  }
  Txn txn(int64_t current, int depth) {
    Txn txn;
    for (uint64_t n = rng_.below(3); n > 0; --n) txn.compares.push_back(compare(current));
    for (auto* branch : {&txn.success, &txn.failure}) {
      for (uint64_t n = rng_.below(4); n > 0; --n) branch->push_back(operation(current, depth));
    }
    return txn;
  }
  Operation operation(int64_t current, int depth) {
    switch (rng_.below(depth > 0 ? 5 : 4)) {
      case 0: return {put()};
      case 1: return {del()};
      case 4: return {txn(current, depth - 1)};
      default: return {read(current)};
    }
  }

  std::string_view path() {
    if (rng_.chance(2, 3)) return key();
    // A number that some counter will reach, or has reached.
    if (rng_.chance(1, 4)) return keep(fmt::format("/a/s-{:010}", rng_.below(30)));
    return kMorePaths[rng_.below(std::size(kMorePaths))];
  }
  std::string_view acl() {
    if (rng_.chance(2, 3)) return {};
    constexpr AclEntry kEntries[] = {{perm::kAll, "digest", "u:h"},
                                     {perm::kRead | perm::kDelete, "world", "anyone"},
                                     {perm::kCreate | perm::kWrite, "ip", "10.1.0.0/16"},
                                     {perm::kAdmin, "digest", "other:h"}};
    const size_t first = rng_.below(std::size(kEntries));
    return keep(encode_acl(std::span(kEntries).subspan(first, 1 + rng_.below(std::size(kEntries) - first))));
  }
  int64_t expected() { return rng_.chance(2, 3) ? -1 : rng_.between(0, 2); }
  NodeOperation quota_operation() {
    const std::string_view path =
        rng_.chance(1, 3) ? kCounted[rng_.below(std::size(kCounted))] : kLimits[rng_.below(std::size(kLimits))];
    const std::string_view limits = keep(
        fmt::format("count=1,bytes=-1=;byteHardLimit={};countHardLimit={}", rng_.between(-1, 40), rng_.between(-1, 5)));
    if (rng_.chance(1, 5)) return {DeleteNode{.path = path}};
    if (rng_.chance(1, 3)) return {SetNode{.path = path, .value = limits}};
    if (rng_.chance(1, 3))
      return {CreateNode{.path = rng_.chance(1, 2) ? "/zookeeper/quota/a" : "/zookeeper/quota/a/b"}};
    return {CreateNode{.path = path, .value = limits}};
  }
  NodeOperation node_operation() {
    if (rng_.chance(1, 8)) return quota_operation();
    switch (rng_.below(12)) {
      case 0: return {CheckNode{.path = path(), .expected = expected()}};
      case 1:
        if (rng_.chance(1, 3)) return {RefuseNode{.reason = Reason::InvalidAcl}};
        [[fallthrough]];
      case 2: return {SetNodeAcl{.path = path(), .acl = acl(), .expected = expected()}};
      case 3:
      case 4:
      case 5: return {DeleteNode{.path = path(), .expected = expected(), .only_if_idle = rng_.chance(1, 4)}};
      case 6:
      case 7: {
        const bool null = rng_.chance(1, 5);
        return {SetNode{.path = path(), .value = null ? "" : key(), .null_value = null, .expected = expected()}};
      }
      default: {
        CreateNode create{.path = path(), .value = rng_.chance(1, 2) ? key() : "", .acl = acl()};
        create.null_value = create.value.empty() && rng_.chance(1, 2);
        create.ephemeral = rng_.chance(1, 4);
        create.sequential = rng_.chance(1, 4);
        if (!create.ephemeral && rng_.chance(1, 4)) create.kind = static_cast<NodeKind>(1 + rng_.below(2));
        if (create.kind == NodeKind::Ttl) create.ttl_ms = rng_.between(1, 20);
        return {create};
      }
    }
  }
  NodeTxn node_txn() {
    NodeTxn txn;
    for (uint64_t n = rng_.chance(1, 2) ? 1 : rng_.below(7); n > 0; --n) txn.operations.push_back(node_operation());
    return txn;
  }
  // A ZooKeeper session, mostly one that is there.
  LeaseId session(const Twin& twin) {
    std::vector<int64_t> ids;
    for (const auto& [id, lease] : twin.leases) {
      if (lease.kind == LeaseKind::ZooKeeper) ids.push_back(id);
    }
    return ids.empty() || rng_.chance(1, 10) ? lease() : LeaseId(ids[rng_.below(ids.size())]);
  }
  uint64_t generation(const Twin& twin, LeaseId id) {
    const auto it = twin.leases.find(id.value);
    return it == twin.leases.end() || rng_.chance(1, 10) ? rng_.below(3) : it->second.generation;
  }
  Body session_body(const Twin& twin) {
    const LeaseId id = session(twin);
    switch (rng_.below(4)) {
      case 0: return SessionAttach{.id = id, .ttl_ms = rng_.between(0, 5000)};
      case 1: return LeaseRevoke{.id = id, .kind = LeaseKind::ZooKeeper, .generation = generation(twin, id)};
      default:
        return SessionOpen{.member_number = static_cast<uint32_t>(1 + rng_.below(254)),
                           .salt = static_cast<uint32_t>(rng_.below(3)),
                           .ttl_ms = rng_.between(0, 9000)};
    }
  }
  // Who asks, for bodies that mind.
  void sign(const Twin& twin, Command& command) {
    if (!std::holds_alternative<NodeTxn>(command.body)) return;
    if (rng_.chance(3, 4)) {
      command.header.session = session(twin);
      command.header.attach_generation = generation(twin, command.header.session);
    }
    command.header.principals = principals();
  }
  std::vector<std::string_view> principals() {
    std::vector<std::string_view> out;
    for (const std::string_view one : kPrincipals) {
      if (rng_.chance(1, 2)) out.push_back(one);
    }
    return out;
  }

  // The nodes that quotas need, so that chance has only to set them.
  static NodeTxn quota_nodes() {
    NodeTxn txn;
    for (const std::string_view path : {"/zookeeper/quota/a", "/zookeeper/quota/a/b"}) {
      txn.operations.push_back({CreateNode{.path = path}});
    }
    for (const std::string_view path : kCounted) txn.operations.push_back({CreateNode{.path = path}});
    return txn;
  }

  Body body(const Twin& twin) {
    const int64_t current = twin.revision;
    if (rng_.chance(1, 3)) return node_txn();
    if (rng_.chance(1, 10)) return session_body(twin);
    switch (rng_.below(20)) {
      case 0: return del();
      case 1:
      case 2:
      case 3:
      case 4: return txn(current, 3);
      case 5:
        return LeaseGrant{LeaseId(rng_.between(1, 4)), rng_.chance(3, 4) ? LeaseKind::Etcd : LeaseKind::Consul,
                          rng_.between(-1, 9000)};
      case 6: return LeaseRevoke{lease(), rng_.chance(3, 4) ? LeaseKind::Etcd : LeaseKind::Consul};
      case 7: return LeaseCheckpoint{{{lease(), rng_.between(-1, 9000)}, {lease(), rng_.between(0, 100)}}};
      case 8:
        if (!rng_.chance(1, 3)) return Nothing{};
        return AlarmChange{rng_.below(3), static_cast<AlarmKind>(rng_.below(3)), rng_.chance(1, 4)};
      case 9: return Compact{Revision(rng_.between(std::max<int64_t>(twin.compacted - 1, current - 12), current + 1))};
      case 10: return read(current);
      case 11:
        return SettingsChange{.min_lease_ttl_ms = rng_.between(0, 3000), .enforce_node_quotas = rng_.between(-1, 1)};
      case 12: return AlarmChange{};  // clears
      default: return put();
    }
  }

 private:
  Rng rng_;
  std::vector<std::unique_ptr<std::string>> strings_;
};

// ---- Comparing ----------------------------------------------------------------------------------

std::string text(const std::vector<KeyVersion>& items) {
  std::string out;
  for (const KeyVersion& item : items) {
    const Row row = *twin::row_of(item.version);
    out += fmt::format("[{} c{} m{} v{} l{} {} {} {}]", item.key.view(), row.create, row.mod, row.version, row.lease,
                       row.created, row.modified, row.value);
  }
  return out;
}
std::string text(const std::monostate&) { return "done"; }
std::string text(const PutResult& r) { return r.previous ? "put " + text({{Blob("?"), r.previous}}) : "put"; }
std::string text(const DeleteResult& r) { return fmt::format("deleted {} {}", r.deleted, text(r.previous)); }
std::string text(const RangeResult& r) {
  return fmt::format("range {} {} @{} {}", r.count, r.more, r.revision, text(r.items));
}
std::string text(const LeaseGrantResult& r) { return fmt::format("lease {} {} {}", r.id, r.ttl_ms, r.generation); }
std::string text(const NodeStat& s) {
  return fmt::format("c{} m{} p{} at {} {} v{} a{} children {}/{} owner {} bytes {}", s.created, s.modified,
                     s.children_changed, s.created_at.ms, s.modified_at.ms, s.version, s.acl_version, s.children,
                     s.children_ever, s.owner, s.data_bytes);
}
std::string text(const NodeTxnResult& r) {
  std::string out = "nodes";
  for (const NodeTxnResult::Item& item : r.items) out += fmt::format(" [{} {}]", item.path, text(item.stat));
  return out;
}
std::string text(const NodeReadsResult& r) { return fmt::format("{} nodes", r.items.size()); }
std::string text(const AlarmResult& r) {
  std::string out = "alarms";
  for (const AlarmChange& a : r.changed) out += fmt::format(" {}:{}:{}", a.member, static_cast<int>(a.kind), a.active);
  return out;
}
std::string text(const TxnResult& r) {
  std::string out = fmt::format("txn {} (", r.succeeded);
  for (const OperationResult& one : r.results) {
    out += std::visit([](const auto& what) { return text(what); }, one.what) + fmt::format(" @{}; ", one.revision);
  }
  return out + ")";
}
std::string text(const Reply& r) {
  // Operations of etcd's transactions are numbered by the store alone; those of nodes are seen by clients.
  return fmt::format("@{} failure {} at compacted {}: {}", r.revision, static_cast<int>(r.failure.reason),
                     r.failure.compacted, std::visit([](const auto& what) { return text(what); }, r.result));
}

std::vector<twin::Changed> changes_of(const ChangeBatch& batch) {
  std::vector<twin::Changed> out;
  for (const Change& c : batch.changes)
    out.push_back({std::string(c.key.view()), twin::row_of(c.before), twin::row_of(c.after)});
  return out;
}

std::vector<twin::Event> events_of(const ChangeBatch& batch) {
  std::vector<twin::Event> out;
  for_each_node_event(batch, [&](const NodeEvent& event) {
    out.push_back({event.type, std::string(event.path.view()), std::string(event.acl.view()),
                   std::string(event.parent_acl.view())});
  });
  return out;
}

HashKv hash_of(const Store& store, Revision revision, size_t budget) {
  HashReader reader = *store.start_hash(revision);
  while (!reader.step(budget)) {
  }
  return reader.result();
}

class RandomStream : public testing::TestWithParam<uint64_t> {
 protected:
  RandomStream() : dice_(GetParam()) {}

  void step() {
    Command command{.body = dice_.body(twin_)};
    dice_.sign(twin_, command);
    run(command);
  }

  void run(Command& command) {
    command.header.stamp = WallTime{1000 + clock_ + dice_.rng().between(-3, 3)};
    clock_ += dice_.rng().between(0, 4);
    const Blob bytes = encode(command);
    const Command decoded = *decode(bytes);
    log_.push_back(bytes);
    const Reply expected = twin_.apply(decoded);
    const Applied got = store_.apply(++index_, decoded, true);
    ASSERT_EQ(text(expected), text(got.reply)) << "command " << index_;
    if (std::holds_alternative<NodeTxn>(command.body)) {
      ASSERT_EQ(expected.failure.operation, got.reply.failure.operation);
    }
    ASSERT_EQ(got.changes != nullptr, twin_.history.contains(index_revision_ + 1));
    if (got.changes != nullptr) {
      ++index_revision_;
      EXPECT_EQ(got.changes->revision.value, index_revision_);
      ASSERT_EQ(changes_of(*got.changes), twin_.history[index_revision_]);
      ASSERT_EQ(events_of(*got.changes), twin_.events) << "command " << index_;
    }
    mute_.apply(index_, decoded, false);
    ASSERT_EQ(store_.digest(), mute_.digest()) << "without a reply the outcome differs";
  }

  void check_range() {
    const Range r = dice_.read(twin_.revision);
    const auto failure = twin_.unreadable(r.revision.value);
    const Outcome<RangeResult> got = store_.range(r);
    Outcome<RangeReader> reader = store_.start_range(r);
    ASSERT_EQ(failure.has_value(), !got.has_value());
    ASSERT_EQ(failure.has_value(), !reader.has_value());
    if (failure) {
      EXPECT_EQ(failure->reason, got.error().reason);
      return;
    }
    const int64_t at = r.revision.value > 0 ? r.revision.value : twin_.revision;
    const std::string expected = text(twin_.range(r, twin_.revision, twin_.past.at(at)));
    ASSERT_EQ(expected, text(*got));
    // The same in slices, while commands and physical compaction go on.
    std::vector<KeyVersion> taken;
    while (!reader->step(1 + dice_.rng().below(3))) {
      if (dice_.rng().chance(1, 2)) step();
      if (dice_.rng().chance(1, 2)) store_.compact_step(3);
      if (reader->streams()) {
        for (KeyVersion& item : reader->take_items()) taken.push_back(std::move(item));
      }
    }
    RangeResult sliced = reader->finish();
    for (KeyVersion& item : sliced.items) taken.push_back(std::move(item));
    sliced.items = std::move(taken);
    ASSERT_EQ(expected, text(sliced));
  }

  void check_history(const Store& store) {
    const int64_t from = dice_.rng().between(-2, twin_.revision + 2);
    const KeyRangeView view = dice_.range();
    KeyRange range{std::string(view.begin), std::string(view.end)};
    if (view.single) range = KeyRange::single(view.begin);
    Revision next(from);
    std::map<int64_t, std::vector<twin::Changed>> got;
    for (;;) {
      const auto slice =
          store.history(next, std::span(&range, 1), 1 + dice_.rng().below(5), 1 + dice_.rng().below(2000));
      ASSERT_EQ(slice.has_value(), from >= twin_.compacted);
      if (!slice) {
        EXPECT_EQ(slice.error().compacted.value, twin_.compacted);
        return;
      }
      for (const ChangeBatchPtr& batch : slice->batches) {
        ASSERT_TRUE(got.emplace(batch->revision.value, changes_of(*batch)).second);
      }
      ASSERT_EQ(slice->current.value, twin_.revision);
      if (slice->through == slice->current) break;
      ASSERT_GE(slice->through, next);
      next = slice->through + 1;
    }
    std::map<int64_t, std::vector<twin::Changed>> expected;
    for (const auto& [revision, changes] : twin_.history) {
      if (revision < from) continue;
      for (twin::Changed change : changes) {
        if (!range.contains(change.key)) continue;
        if (revision == twin_.compacted) change.before.reset();
        expected[revision].push_back(std::move(change));
      }
    }
    ASSERT_EQ(expected, got);
  }

  void check_tables(const Store& store) {
    std::vector<LeaseInfo> leases = store.leases(std::nullopt, 100);
    ASSERT_EQ(leases.size(), twin_.leases.size());
    for (const LeaseInfo& lease : leases) {
      const twin::Lease& expected = twin_.leases.at(lease.id.value);
      ASSERT_EQ(std::tie(lease.kind, lease.ttl_ms, lease.remaining_ms, lease.generation),
                std::tie(expected.kind, expected.ttl, expected.remaining, expected.generation));
      std::vector<std::string> keys;
      for (const Blob& key : store.lease_keys(lease.id)) keys.emplace_back(key.view());
      ASSERT_EQ(keys, twin_.keys_of(lease.id.value));
    }
    const std::set<std::string> nodes = twin_.nodes();
    for (const std::string& node : nodes) {
      ASSERT_TRUE(store.node_exists(node)) << node;
      const Directory got = store.directory(node);
      const auto it = twin_.directories.find(node);
      const Directory expected = it == twin_.directories.end() ? Directory{} : it->second;
      ASSERT_EQ(std::tie(got.created, got.children, got.changed),
                std::tie(expected.created, expected.children, expected.changed))
          << node;
      std::set<std::string> children;
      for (std::string after;;) {
        Store::Children some = store.children(node, after, 2);
        for (std::string& name : some.names) ASSERT_TRUE(children.insert(std::move(name)).second);
        after = some.next;
        if (after.empty()) break;
      }
      std::set<std::string> expected_children;
      for (const std::string& other : nodes) {
        if (other == "/") continue;
        const size_t slash = other.rfind('/');
        if ((slash == 0 ? "/" : other.substr(0, slash)) == node) expected_children.insert(other.substr(slash + 1));
      }
      ASSERT_EQ(children, expected_children) << node;
      ASSERT_EQ(static_cast<size_t>(got.children), children.size());
    }
    for (const std::string_view key : kKeys) ASSERT_EQ(store.node_exists(key), nodes.contains(std::string(key))) << key;
    ASSERT_EQ(store.usage().directories, twin_.directories.size());
  }

  NodeReadsResult::Item read_node(const Store& store, NodeQuery query, std::string_view path, LeaseId session,
                                  std::span<const std::string_view> who) {
    NodeReads reads;
    reads.reads.push_back({.query = query, .path = path});
    return std::move(store.read_nodes(reads, session, who).items.at(0));
  }

  // What stands at `path` when it tells what a quota counts.
  std::optional<std::string> counted_at(const std::string& path) const {
    for (size_t i = 0; i < std::size(kCounted); ++i) {
      if (path != kCounted[i] || !twin_.hidden.contains(std::string(kLimits[i]))) continue;
      const auto [nodes, bytes] = twin_.counted(std::string(kQuotas[i]), twin_.hidden);
      return fmt::format("count={},bytes={}", nodes, bytes);
    }
    return std::nullopt;
  }

  // Every query about `path`.
  void check_node(const Store& store, const std::string& path) {
    const std::vector<std::string_view> who = dice_.principals();
    const auto read = [&](NodeQuery query) { return read_node(store, query, path, LeaseId(0), who); };
    const std::set<std::string> nodes = twin_.all_nodes();
    const twin::Extra extra = twin_.extra(path);
    const auto reason = [&](uint32_t permissions) {
      if (!nodes.contains(path)) return Reason::NodeNotFound;
      return allows(extra.acl, who, permissions) ? Reason::None : Reason::PermissionDenied;
    };
    ASSERT_EQ(read(NodeQuery::Acl).reason, reason(perm::kRead | perm::kAdmin)) << path;
    if (reason(perm::kRead) == Reason::None) {
      ASSERT_EQ(read(NodeQuery::Acl).acl.view(), extra.acl) << path;
      ASSERT_EQ(read(NodeQuery::Acl).is_admin, allows(extra.acl, who, perm::kAdmin)) << path;
    }
    for (const NodeQuery query : {NodeQuery::Exists, NodeQuery::Data, NodeQuery::Children, NodeQuery::Descendants}) {
      ASSERT_EQ(read(query).reason, reason(perm::kRead)) << path;
    }
    if (reason(perm::kRead) != Reason::None) return;
    const twin::Tree& where = is_hidden(path) ? twin_.hidden : twin_.tree;
    const auto row = where.find(path);
    NodeStat stat = twin_.stat(path);
    Blob expected = row == where.end() ? Blob(""sv) : row->second.null ? Blob() : Blob(row->second.value);
    if (const auto counted = counted_at(path)) {
      expected = Blob(*counted);
      stat.data_bytes = static_cast<int64_t>(counted->size());
    }
    ASSERT_EQ(text(read(NodeQuery::Exists).stat), text(stat)) << path;
    const Blob value = read(NodeQuery::Data).value;
    ASSERT_EQ(value.view(), expected.view()) << path;
    ASSERT_EQ(value.is_null(), expected.is_null()) << path;
    std::vector<std::string> children;
    int64_t descendants = 0;
    for (const std::string& node : nodes) {
      if (node == "/") continue;
      if (parent_of(node) == path) children.push_back(node.substr(node.rfind('/') + 1));
      descendants += path == "/" || node.starts_with(path + "/") ? 1 : 0;
    }
    ASSERT_THAT(read(NodeQuery::Children).names, testing::UnorderedElementsAreArray(children)) << path;
    ASSERT_EQ(read(NodeQuery::Descendants).count, descendants) << path;
  }

  void check_nodes(const Store& store) {
    std::set<std::string> paths = twin_.all_nodes();
    for (const std::string_view key : kKeys) paths.insert(std::string(key));
    for (const std::string_view path : kMorePaths) paths.insert(std::string(path));
    for (const std::string_view path : kCounted) paths.insert(std::string(path));
    for (const std::string& path : paths) {
      check_node(store, path);
      if (HasFatalFailure()) return;
    }
    const LeaseId session = dice_.session(twin_);
    const std::string_view prefix = dice_.key();
    std::vector<std::string> owned = twin_.keys_of(session.value);
    if (session == LeaseId(0)) owned.clear();
    std::erase_if(owned, [&](const std::string& key) { return !key.starts_with(prefix); });
    ASSERT_EQ(read_node(store, NodeQuery::Ephemerals, prefix, session, {}).names, owned);
    check_idle(store);
  }

  // A small bound changes how often one asks, not what one finds.
  void check_idle(const Store& store) {
    const int64_t now = 1000 + clock_ + dice_.rng().between(-10, 30);
    std::vector<std::string> expected;
    for (const auto& [path, extra] : twin_.extras) {
      const NodeStat stat = twin_.stat(path);
      if (stat.children > 0) continue;
      if ((extra.kind == NodeKind::Container && stat.children_ever > 0) ||
          (extra.kind == NodeKind::Ttl && now - stat.modified_at.ms > extra.ttl)) {
        expected.push_back(path);
      }
    }
    std::vector<std::string> got;
    std::string after;
    const size_t limit = 1 + dice_.rng().below(3);
    const size_t look_at = 1 + dice_.rng().below(3);
    do {
      for (std::string& path : store.idle_nodes(WallTime{now}, after, limit, look_at)) got.push_back(std::move(path));
    } while (!after.empty());
    ASSERT_EQ(got, expected);
  }

  void check_past() {
    const int64_t stamp = 995 + dice_.rng().between(0, clock_ + 10);
    int64_t expected = std::max<int64_t>(twin_.compacted, 1);
    for (const auto& [revision, at] : twin_.stamps) {
      if (at <= stamp) expected = std::max(expected, revision);
    }
    ASSERT_EQ(store_.revision_as_of(WallTime{stamp}).value, expected);
    const int64_t bytes = dice_.rng().between(0, store_.usage().history_bytes + 100);
    const Revision fit = store_.revision_to_fit(bytes);
    ASSERT_GE(fit, store_.compacted());
    ASSERT_LE(fit, store_.revision());
    if (fit == store_.compacted()) {
      ASSERT_LE(store_.usage().history_bytes, bytes);
    }
  }

  // Takes a snapshot in slices with commands in between, reads it back in other pieces, replays what came since.
  void check_snapshot() {
    SnapshotEncoder encoder(store_);
    const Digest digest = store_.digest();
    const uint64_t at = encoder.applied_index();
    const auto go_on = [this] {
      if (dice_.rng().chance(1, 3)) step();
      if (dice_.rng().chance(1, 3)) store_.compact_step(dice_.rng().below(10));
      return !HasFatalFailure();
    };
    const bool measured = dice_.rng().chance(1, 2);
    while (measured && !encoder.measure(1 + dice_.rng().below(200))) {
      if (!go_on()) return;
    }
    std::string bytes;
    while (encoder.next(1 + dice_.rng().below(200), bytes)) {
      if (!go_on()) return;
    }
    if (measured) {
      ASSERT_EQ(bytes.size(), encoder.size());
    }
    SnapshotDecoder decoder;
    for (std::string_view rest = bytes; !rest.empty();) {
      const size_t n = std::min<size_t>(rest.size(), 1 + dice_.rng().below(100));
      const Result<> fed = decoder.feed(rest.substr(0, n));
      ASSERT_TRUE(fed) << fed.error().message;
      rest.remove_prefix(n);
    }
    Result<std::unique_ptr<Store>> restored = decoder.finish();
    ASSERT_TRUE(restored) << restored.error().message;
    Store& copy = **restored;
    ASSERT_EQ(copy.digest(), digest);
    ASSERT_EQ(copy.applied_index(), at);
    for (uint64_t i = at; i < index_; ++i) copy.apply(i + 1, *decode(log_[i]), false);
    ASSERT_EQ(copy.digest(), store_.digest());
    ASSERT_EQ(copy.usage().history_bytes, store_.usage().history_bytes);
    ASSERT_EQ(copy.usage().data_bytes, store_.usage().data_bytes);
    const int64_t low = std::max<int64_t>(twin_.compacted, 1);
    const Revision revision(dice_.rng().between(low, twin_.revision));
    const HashKv mine = hash_of(store_, revision, 1 + dice_.rng().below(9));
    const HashKv theirs = hash_of(copy, revision, 1000);
    const HashKv unslimmed = hash_of(mute_, revision, 1000);
    ASSERT_EQ(mine.hash, theirs.hash);
    ASSERT_EQ(mine.hash, unslimmed.hash) << "physical compaction shows in the hash";
    ASSERT_EQ(mine.compacted, theirs.compacted);
    check_history(copy);
    check_tables(copy);
    if (!HasFatalFailure()) check_nodes(copy);
  }

  Dice dice_;
  Twin twin_;
  Store store_;
  Store mute_;  // never asked for replies, never compacted physically
  uint64_t index_ = 0;
  int64_t index_revision_ = 1;
  int64_t clock_ = 0;
  std::vector<Blob> log_;
};

TEST_P(RandomStream, StoreDoesWhatItsTwinDoes) {
  Command quotas{.body = Dice::quota_nodes()};
  run(quotas);
  for (int i = 0; i < 250; ++i) {
    step();
    if (HasFatalFailure()) return;
    switch (dice_.rng().below(9)) {
      case 6: check_nodes(store_); break;
      case 0: check_range(); break;
      case 1: check_history(store_); break;
      case 2: check_tables(store_); break;
      case 3: store_.compact_step(dice_.rng().below(20)); break;
      case 4: check_past(); break;
      case 5:
        if (dice_.rng().chance(1, 6)) check_snapshot();
        break;
      default: break;
    }
    if (HasFatalFailure()) return;
  }
  // Compacted as far as it goes, nothing that is left is more than needed.
  while (store_.compact_step(7)) {
  }
  check_history(store_);
  check_tables(store_);
  check_nodes(store_);
  check_snapshot();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomStream, testing::Range<uint64_t>(1, 61));

}  // namespace
}  // namespace witan::store
