#include "store/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/coding.h"
#include "base/crc32c.h"
#include "store/acl.h"
#include "store/snapshot_layout.h"
#include "store/testing.h"

namespace witan::store {
namespace {

// A bit of everything, compacted in the middle, at a deletion.
void fill(Tester& t) {
  t.grant(5);
  t.must(LeaseGrant{.id = LeaseId(-6), .kind = LeaseKind::Consul, .ttl_ms = 10});
  t.must(LeaseCheckpoint{{{LeaseId(5), 1234}}});
  t.put("/a/b", "one", 5);
  t.put("/a/b", "two", 5);
  t.put("/a/c", "");
  t.remove("/a/c");
  t.put("gone");
  t.stamp = 2000;
  const int64_t at = t.remove("gone");
  t.put("later", "x");
  t.must(Txn{.success = {{Put{.key = "later", .value = "y"}},
                         {Put{.key = "another"}},
                         {DeleteRange{.range = {.begin = "/a/b", .single = true}}}}});
  t.put("owned", "z", 5);
  t.must(Compact{Revision(at)});
  t.must(AlarmChange{.member = 3, .kind = AlarmKind::NoSpace, .active = true});
  t.must(SettingsChange{.memory_quota_bytes = 99, .history_bytes = 77, .min_lease_ttl_ms = 55});
}

const std::string kReadable = encode_acl(std::vector<AclEntry>{{perm::kRead, "world", "anyone"}});

Reason run_node(Store& store, const NodeOperation& operation, LeaseId session = {}, uint64_t generation = 0) {
  NodeTxn txn;
  txn.operations.push_back(operation);
  Command command{.body = std::move(txn)};
  command.header.stamp = WallTime{3000};
  command.header.session = session;
  command.header.attach_generation = generation;
  command.header.principals = {kSuperPrincipal};
  return store.apply(store.applied_index() + 1, command, true).reply.failure.reason;
}
LeaseId open_session(Tester& t) {
  const Applied applied = t.apply(SessionOpen{.member_number = 200, .salt = 3, .ttl_ms = 4000});
  return std::get<LeaseGrantResult>(applied.reply.result).id;
}

// Of every kind of node one.
void fill_nodes(Tester& t) {
  const LeaseId session = open_session(t);
  t.must(SessionAttach{.id = session});
  const auto run = [&](const NodeOperation& operation) {
    EXPECT_EQ(run_node(t.store, operation, session, 2), Reason::None);
  };
  run({CreateNode{.path = "/plain", .null_value = true}});
  run({CreateNode{.path = "/secret", .value = "x", .acl = kReadable}});
  run({CreateNode{.path = "/same", .acl = kReadable}});
  run({CreateNode{.path = "/container", .kind = NodeKind::Container}});
  run({CreateNode{.path = "/container/child", .ephemeral = true}});
  run({CreateNode{.path = "/mortal", .kind = NodeKind::Ttl, .ttl_ms = 500}});
  run({SetNodeAcl{.path = "/"}});
  run({CreateNode{.path = "/zookeeper/quota/a", .null_value = true, .acl = kReadable}});
  run({CreateNode{.path = "/zookeeper/quota/a/b", .value = "v"}});
  run({CreateNode{.path = "/zookeeper/quota/a/c", .ephemeral = true}});
  run({CreateNode{.path = "/zookeeper/quota/gone"}});
  run({DeleteNode{.path = "/zookeeper/quota/gone"}});
  run({SetNode{.path = "/zookeeper/quota", .value = "v"}});
  run({SetNodeAcl{.path = "/zookeeper/config"}});
}

std::string describe(const Store& store) {
  constexpr std::string_view kPaths[] = {"/",
                                         "/plain",
                                         "/secret",
                                         "/same",
                                         "/container",
                                         "/mortal",
                                         "/zookeeper",
                                         "/container/child",
                                         "/zookeeper/quota",
                                         "/zookeeper/quota/a",
                                         "/zookeeper/quota/a/b",
                                         "/zookeeper/quota/a/c",
                                         "/zookeeper/config"};
  std::string out;
  for (const std::string_view path : kPaths) {
    NodeReads reads;
    for (const NodeQuery query : {NodeQuery::Data, NodeQuery::Acl, NodeQuery::Children, NodeQuery::Descendants}) {
      reads.reads.push_back({query, path});
    }
    const std::string_view super = kSuperPrincipal;
    const NodeReadsResult r = store.read_nodes(reads, {}, {&super, 1});
    const NodeStat& s = r.items[0].stat;
    out += fmt::format("{}: {} '{}'{} acl {} of {} bytes; c{} m{} p{} {} {} {} {} {}; {} below\n", path,
                       static_cast<int>(r.items[0].reason), r.items[0].value.view(),
                       r.items[0].value.is_null() ? " null" : "", s.acl_version, r.items[1].acl.size(), s.created,
                       s.modified, s.children_changed, s.created_at.ms, s.version, s.children_ever, s.children, s.owner,
                       r.items[3].count);
  }
  return out;
}

TEST(Snapshot, RestoresNodesAndSessions) {
  Tester t;
  fill_nodes(t);
  const auto restored = restore(snapshot_of(t.store));
  ASSERT_TRUE(restored) << restored.error().message;
  Store& copy = **restored;
  EXPECT_EQ(copy.digest(), t.store.digest());
  EXPECT_EQ(describe(copy), describe(t.store));
  EXPECT_EQ(copy.usage().memory_bytes, t.store.usage().memory_bytes);
  const LeaseInfo session = copy.leases(std::nullopt, 1).at(0);
  EXPECT_EQ(session.generation, 2u);
  EXPECT_EQ(session.keys, 2u);
  EXPECT_EQ(session.kind, LeaseKind::ZooKeeper);
  for (Store* store : {&copy, &t.store}) {
    EXPECT_EQ(run_node(*store, {DeleteNode{.path = "/container/child"}}), Reason::None);
    EXPECT_EQ(run_node(*store, {DeleteNode{.path = "/container", .only_if_idle = true}}), Reason::None);
    EXPECT_EQ(run_node(*store, {DeleteNode{.path = "/same"}}), Reason::None);
    EXPECT_EQ(run_node(*store, {DeleteNode{.path = "/zookeeper/quota/a/b"}}), Reason::None);
    EXPECT_EQ(run_node(*store, {CreateNode{.path = "/zookeeper/quota/a/s", .sequential = true}}), Reason::None);
    const Command end{.body = LeaseRevoke{.id = session.id, .kind = LeaseKind::ZooKeeper}};
    store->apply(store->applied_index() + 1, end, true);
    EXPECT_FALSE(store->lease(session.id));
  }
  EXPECT_EQ(copy.digest(), t.store.digest());
  EXPECT_EQ(describe(copy), describe(t.store));
}

TEST(Snapshot, QuotasAreCountedAgain) {
  Tester t;
  for (const char* path : {"/zookeeper/quota/a", "/zookeeper/quota/a/b"}) {
    ASSERT_EQ(run_node(t.store, {CreateNode{.path = path}}), Reason::None);
  }
  t.must(SettingsChange{.enforce_node_quotas = 1});
  const auto limit = [&](std::string_view base, std::string_view limits) {
    const std::string path(base);
    EXPECT_EQ(run_node(t.store, {CreateNode{.path = path + "/zookeeper_limits", .value = limits}}), Reason::None);
    EXPECT_EQ(run_node(t.store, {CreateNode{.path = path + "/zookeeper_stats"}}), Reason::None);
  };
  limit("/zookeeper/quota", "count=-1,bytes=-1");
  limit("/zookeeper/quota/a", "count=-1,bytes=-1=;countHardLimit=2");
  limit("/zookeeper/quota/a/b", "count=-1,bytes=-1");
  t.put("/a", "12345");
  t.put("/a/b/c", "123");
  t.put("/a/x", "1");
  t.put("/z");
  t.put("no node");
  const auto counted = [](const Store& store) {
    std::string out;
    for (const char* base : {"", "/a", "/a/b"}) {
      const std::string path = fmt::format("/zookeeper/quota{}/zookeeper_stats", base);
      NodeReads reads;
      reads.reads.push_back({NodeQuery::Data, path});
      out += fmt::format("{} ", store.read_nodes(reads, {}, {}).items[0].value.view());
    }
    return out;
  };
  EXPECT_EQ(counted(t.store), "count=1,bytes=1 count=2,bytes=6 count=1,bytes=3 ");
  const auto restored = restore(snapshot_of(t.store));
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(counted(**restored), counted(t.store));
  for (Store* store : {&t.store, restored->get()}) {
    EXPECT_EQ(run_node(*store, {CreateNode{.path = "/a/y"}}), Reason::QuotaExceeded) << "enforced as before";
    EXPECT_EQ(run_node(*store, {DeleteNode{.path = "/a/x"}}), Reason::None);
    EXPECT_EQ(run_node(*store, {CreateNode{.path = "/a/y"}}), Reason::None);
  }
}

TEST(Snapshot, NodesThatChangeWhileItIsWrittenAreAsTheyWere) {
  Tester t;
  fill_nodes(t);
  for (int i = 0; i < 30; ++i) {
    ASSERT_EQ(run_node(t.store, {CreateNode{.path = fmt::format("/n{:02}", i), .acl = kReadable}}), Reason::None);
    ASSERT_EQ(run_node(t.store, {CreateNode{.path = fmt::format("/zookeeper/quota/n{:02}", i)}}), Reason::None);
  }
  const LeaseId session = t.store.leases(std::nullopt, 1).at(0).id;
  const Digest digest = t.store.digest();
  const std::string was = describe(t.store);
  SnapshotEncoder encoder(t.store);
  std::string bytes;
  for (int i = 0; encoder.next(1, bytes); ++i) {
    if (i >= 30) continue;
    // Ahead of the cursor and behind it.
    for (const int n : {i, 29 - i}) {
      run_node(t.store, {SetNodeAcl{.path = fmt::format("/n{:02}", n)}});
      run_node(t.store, {SetNode{.path = fmt::format("/zookeeper/quota/n{:02}", n), .value = "new"}});
      run_node(t.store, {DeleteNode{.path = fmt::format("/zookeeper/quota/n{:02}", n)}});
    }
    run_node(t.store, {DeleteNode{.path = fmt::format("/n{:02}", i)}});
    run_node(t.store, {CreateNode{.path = fmt::format("/late{}", i), .acl = kReadable, .kind = NodeKind::Container}});
    run_node(t.store, {CreateNode{.path = fmt::format("/zookeeper/quota/late{}", i)}});
    t.must(SessionAttach{.id = session});
  }
  ASSERT_NE(t.store.digest(), digest);
  const auto restored = restore(bytes);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ((*restored)->digest(), digest);
  EXPECT_EQ(describe(**restored), was);
}

TEST(Snapshot, RestoresEveryTableAndTheHistoryThatIsLeft) {
  Tester t;
  fill(t);
  const auto restored = restore(snapshot_of(t.store));
  ASSERT_TRUE(restored) << restored.error().message;
  const Store& copy = **restored;
  EXPECT_EQ(copy.digest(), t.store.digest());
  EXPECT_EQ(copy.applied_index(), t.store.applied_index());
  EXPECT_EQ(copy.revision(), t.store.revision());
  EXPECT_EQ(copy.compacted(), t.store.compacted());
  EXPECT_EQ(copy.largest_stamp(), WallTime{2000});
  EXPECT_EQ(copy.settings().min_lease_ttl_ms, 55);
  ASSERT_EQ(copy.alarms().size(), 1u);
  EXPECT_EQ(copy.alarms()[0].member, 3u);
  EXPECT_EQ(copy.lease(LeaseId(5))->remaining_ms, 1234);
  EXPECT_EQ(copy.lease(LeaseId(-6))->kind, LeaseKind::Consul);
  ASSERT_EQ(copy.lease_keys(LeaseId(5)).size(), 1u);
  EXPECT_EQ(copy.revision_as_of(WallTime{1999}), copy.compacted());
  for (int64_t r = copy.compacted().value; r <= copy.revision().value; ++r) {
    EXPECT_EQ(Tester::text(copy.range({.revision = Revision(r)})), t.list({}, r));
  }
  EXPECT_EQ(copy.directory("/a").created, t.store.directory("/a").created);
}

TEST(Snapshot, AnEmptyStoreIsOneToo) {
  Tester t;
  const auto restored = restore(snapshot_of(t.store));
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ((*restored)->revision(), Revision(1));
  EXPECT_EQ((*restored)->compacted(), Revision(-1));
  EXPECT_EQ((*restored)->settings().memory_quota_bytes, -1);
}

// Revision 4 was a deletion, and compaction took everything that mentions it (etcd #17780): the counter is stored, not
// inferred from keys.
TEST(Snapshot, TheRevisionSurvivesThoughItsChangeIsCompacted) {
  Tester t;
  t.put("a");
  t.put("b");
  t.must(DeleteRange{});  // 4
  t.compact_all(4);
  const auto restored = restore(snapshot_of(t.store));
  ASSERT_TRUE(restored);
  EXPECT_EQ((*restored)->revision(), Revision(4));
  EXPECT_EQ((*restored)->usage().keys, 0u);
  Command put{.body = Put{.key = "a"}};
  EXPECT_EQ((*restored)->apply((*restored)->applied_index() + 1, put, true).reply.revision, Revision(5));
}

TEST(Snapshot, WritesAfterItsBeginningDoNotShow) {
  Tester t;
  for (int i = 0; i < 50; ++i) t.grant(100 + i);
  for (int i = 0; i < 50; ++i) t.put(fmt::format("/dir/{}/x", i), "old", 100 + i);
  const Digest digest = t.store.digest();
  SnapshotEncoder encoder(t.store);
  std::string bytes;
  for (int i = 0; encoder.next(1, bytes); ++i) {
    // Ahead of the cursor and behind it: change, remove and add rows of every table.
    if (i >= 50) continue;
    t.must(LeaseRevoke{.id = LeaseId(149 - i)});
    t.must(LeaseCheckpoint{{{LeaseId(100 + i), 7}}});
    t.grant(1000 + i);
    t.put(fmt::format("/dir/{}/y", i), "new");
    t.put("/other", "new");
    t.must(Compact{t.store.revision()});
    t.compact_physically();
  }
  const auto restored = restore(bytes);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ((*restored)->digest(), digest);
  EXPECT_EQ((*restored)->usage().keys, 50u);
  EXPECT_EQ((*restored)->compacted(), Revision(-1));
}

TEST(Snapshot, IsAsLongAsItWasMeasured) {
  Tester t;
  fill(t);
  t.must(AlarmChange{.member = 3, .kind = AlarmKind::NoSpace, .active = false});
  t.put("big", std::string(100'000, 'x'));
  t.put("empty", "");
  for (int i = 0; i < 50; ++i) t.grant(100 + i);
  SnapshotEncoder encoder(t.store);
  // Rows that go while it is measured were there when it began.
  for (int i = 0; !encoder.measure(20); ++i) {
    if (i < 50) t.must(LeaseRevoke{.id = LeaseId(149 - i)});
    t.put(fmt::format("late/{}", i));
    t.must(Compact{t.store.revision()});
    t.compact_physically();
  }
  std::string bytes;
  while (encoder.next(100, bytes)) t.put("later", "still");
  EXPECT_EQ(bytes.size(), encoder.size());
  EXPECT_TRUE(restore(bytes));
}

TEST(SnapshotDeathTest, IsMeasuredBeforeAnythingElse) {
  Tester t;
  SnapshotEncoder written(t.store);
  std::string bytes;
  written.next(1, bytes);
  EXPECT_DEATH(written.measure(1), "before anything else");
  SnapshotEncoder late(t.store);
  t.put("a");
  EXPECT_DEATH(late.measure(1), "before anything else");
}

// Keys that are younger than the compaction have no row among the keys; passing them is work all the same.
TEST(Snapshot, ManyKeysWithoutARowDoNotMakeALongSlice) {
  Tester t;
  t.put("old");
  t.must(Compact{Revision(t.put("old"))});
  Txn many;
  std::vector<std::string> keys;
  for (int i = 0; i < 5000; ++i) keys.push_back(fmt::format("young/{}", i));
  for (const std::string& key : keys) many.success.push_back({Put{.key = key}});
  t.must(many);
  t.must(DeleteRange{});
  SnapshotEncoder encoder(t.store);
  std::string bytes;
  int empty = 0;
  for (size_t before = 0; encoder.next(1000, bytes); before = bytes.size()) empty += bytes.size() == before ? 1 : 0;
  EXPECT_GT(empty, 50);
  EXPECT_TRUE(restore(bytes));
}

TEST(Snapshot, OutlivesItsStoreHarmlessly) {
  auto t = std::make_unique<Tester>();
  t->put("a");
  auto encoder = std::make_unique<SnapshotEncoder>(t->store);
  auto reader = std::make_unique<RangeReader>(*t->store.start_range({}));
  t.reset();
  encoder.reset();
  reader.reset();
}

TEST(Snapshot, EveryFlippedBitIsNoticed) {
  Tester t;
  fill(t);
  const std::string good = snapshot_of(t.store);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    const auto restored = restore(bad);
    ASSERT_FALSE(restored) << "byte " << i;
    EXPECT_EQ(restored.error().code, i >= 8 && i < 12 ? Code::Refused : Code::Corrupt) << "byte " << i;
  }
}

TEST(Snapshot, EveryFlippedBitOfNodesIsNoticed) {
  Tester t;
  fill_nodes(t);
  const std::string good = snapshot_of(t.store);
  for (size_t i = kSnapshotPrologue; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    ASSERT_FALSE(restore(bad)) << "byte " << i;
  }
}

TEST(Snapshot, EveryCutAndEveryExtraByteIsNoticed) {
  Tester t;
  fill(t);
  const std::string good = snapshot_of(t.store);
  for (size_t n = 0; n < good.size(); ++n) {
    const auto restored = restore(std::string_view(good).substr(0, n));
    ASSERT_FALSE(restored) << n << " bytes";
    EXPECT_EQ(restored.error().code, Code::Corrupt);
  }
  EXPECT_FALSE(restore(good + "x"));
}

void write_format(std::string& bytes, uint32_t format) {
  set_fixed32(bytes.data() + kSnapshotMagic.size(), format);
  set_fixed32(bytes.data() + bytes.size() - 4, crc32c(std::string_view(bytes).substr(0, bytes.size() - 4)));
}

TEST(Snapshot, AnOlderFormatIsReadAsOneWithoutNodes) {
  Tester t;
  fill(t);
  std::string bytes = snapshot_of(t.store);
  write_format(bytes, 1);
  const auto restored = restore(bytes);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ((*restored)->digest(), t.store.digest());
  write_format(bytes, 0);
  EXPECT_FALSE(restore(bytes));
}

TEST(Snapshot, ANewerFormatIsRefused) {
  Tester t;
  std::string bytes = snapshot_of(t.store);
  write_format(bytes, kSnapshotFormat + 1);
  const auto restored = restore(bytes);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, Code::Refused);
  EXPECT_NE(restored.error().message.find("newer version"), std::string::npos);
}

// ---- Well-formed streams that lie, with the right checksum --------------------------------------

class Forged {
 public:
  Forged() {
    bytes_.append(kSnapshotMagic);
    put_fixed32(bytes_, kSnapshotFormat);
  }
  template <class Body>
  Forged& add(RecordType type, Body&& body) {
    std::string fields;
    FieldWriter w(fields);
    body(w);
    bytes_.push_back(static_cast<char>(type));
    put_varint(bytes_, fields.size());
    bytes_ += fields;
    ++records_;
    return *this;
  }
  Forged& position(int64_t revision, int64_t compacted) {
    return add(RecordType::Position, [&](FieldWriter& w) { w.sint(2, revision), w.sint(3, compacted); });
  }
  Forged& key(std::string_view key, int64_t mod, int64_t lease = 0) { return row(RecordType::Key, key, mod, lease); }
  Forged& batch(int64_t revision, uint64_t changes) {
    return add(RecordType::Batch, [&](FieldWriter& w) { w.sint(1, revision), w.uint(3, changes); });
  }
  Forged& change(std::string_view key, int64_t mod) { return row(RecordType::Change, key, mod, 0); }
  // What reading it says.
  std::string verdict() {
    add(RecordType::End, [&](FieldWriter& w) { w.uint(1, records_); });
    put_fixed32(bytes_, crc32c(bytes_));
    const auto restored = restore(bytes_);
    if (restored) return "fine";
    EXPECT_EQ(restored.error().code, Code::Corrupt);
    return restored.error().message.substr(restored.error().message.find(": ") + 2);
  }

 private:
  Forged& row(RecordType type, std::string_view key, int64_t mod, int64_t lease) {
    return add(type, [&](FieldWriter& w) {
      w.bytes(1, key);
      if (mod != 0) w.sint(2, mod), w.sint(3, mod), w.sint(4, 1), w.sint(5, lease), w.bytes_always(8, "v");
    });
  }
  std::string bytes_;
  uint64_t records_ = 0;
};

TEST(Snapshot, LiesAreNotBelieved) {
  const std::string kNonsense = "a record makes no sense; it is damaged";
  const std::string kDigest = "its digest is not that of its content; it is damaged";
  EXPECT_EQ(Forged().position(1, -1).verdict(), kDigest) << "all is well except that";
  EXPECT_EQ(Forged().position(5, 5).key("a", 3).key("b", 4).batch(5, 1).change("c", 5).verdict(), kDigest);

  EXPECT_EQ(Forged().verdict(), kNonsense) << "no position";
  EXPECT_EQ(Forged().position(1, -1).position(1, -1).verdict(), kNonsense);
  EXPECT_EQ(Forged().position(5, 6).verdict(), kNonsense) << "compacted beyond its end";
  EXPECT_EQ(Forged().position(INT64_MAX, INT64_MAX).verdict(), kNonsense);
  EXPECT_EQ(Forged().position(5, 5).key("a", 5).batch(5, 0).verdict(), kNonsense) << "too new for its place";
  EXPECT_EQ(Forged().position(5, 5).key("a", 3).key("a", 3).batch(5, 0).verdict(), kNonsense) << "twice";
  EXPECT_EQ(Forged().position(5, 5).key("a", 0).batch(5, 0).verdict(), kNonsense) << "no version";
  EXPECT_EQ(Forged().position(5, 5).key("a", 3).verdict(), kNonsense) << "a revision is missing";
  EXPECT_EQ(Forged().position(5, 5).key("a", 3).batch(6, 0).verdict(), kNonsense);
  EXPECT_EQ(Forged().position(5, 5).key("a", 3).batch(5, 1).change("a", 5).verdict(), kNonsense)
      << "unchanged and changed";
  EXPECT_EQ(Forged().position(3, -1).batch(2, 1).change("a", 2).batch(3, 2).change("a", 3).change("a", 3).verdict(),
            kNonsense);
  EXPECT_EQ(Forged().position(3, -1).batch(2, 1).change("a", 2).batch(3, 1).change("b", 0).verdict(), kNonsense)
      << "a deletion of nothing";
  EXPECT_EQ(Forged().position(2, -1).batch(2, 2).change("a", 2).verdict(), kNonsense) << "fewer changes than said";
  EXPECT_EQ(Forged().position(2, -1).batch(2, 0).change("a", 2).verdict(), kNonsense) << "more changes than said";
  EXPECT_EQ(Forged().position(5, 5).key("a", 3, 7).batch(5, 0).verdict(),
            "a key has an owner that is not there; it is damaged");
  const auto directory = [](std::string_view path, int64_t children) {
    return [=](FieldWriter& w) { w.bytes(1, path), w.sint(2, 3), w.sint(3, children); };
  };
  EXPECT_EQ(Forged().position(1, -1).add(RecordType::Directory, directory("/a", 1)).verdict(),
            "a directory contradicts the keys; it is damaged");
  EXPECT_EQ(Forged().position(1, -1).add(RecordType::Directory, directory("/a", 0)).verdict(),
            "a directory contradicts the keys; it is damaged");
}

// Ends of leases delete keys, ends of sessions nodes.
TEST(Snapshot, OwnersOwnWhatTheirEndsDelete) {
  const auto lease = [](LeaseKind kind) {
    return Forged().position(5, 5).add(RecordType::Lease, [kind](FieldWriter& w) {
      w.sint(1, 7), w.uint(2, static_cast<uint64_t>(kind)), w.sint(3, 1000);
    });
  };
  const std::string kDigest = "its digest is not that of its content; it is damaged";
  EXPECT_EQ(Forged()
                .position(1, -1)
                .add(RecordType::Lease, [](FieldWriter& w) { w.sint(1, 7), w.uint(2, 1), w.uint(5, UINT64_MAX); })
                .verdict(),
            "a record makes no sense; it is damaged")
      << "its generation is counted up";
  const auto key = [&](LeaseKind kind, std::string_view path) {
    return lease(kind).key(path, 3, 7).batch(5, 0).verdict();
  };
  EXPECT_EQ(key(LeaseKind::Etcd, "/zookeeper/a"), kDigest) << "all is well except that";
  EXPECT_EQ(key(LeaseKind::ZooKeeper, "/a"), kDigest);
  EXPECT_EQ(key(LeaseKind::ZooKeeper, "/zookeeper/a"), "a key has an owner that is not there; it is damaged");
  const auto node = [&](LeaseKind kind) {
    Forged forged = lease(kind);
    forged.add(RecordType::Hidden, [](FieldWriter& w) { w.bytes(1, "/zookeeper"), w.sint(9, 1), w.sint(10, 1); });
    forged.add(RecordType::Hidden, [](FieldWriter& w) {
      w.bytes(1, "/zookeeper/a"), w.sint(2, 3), w.sint(3, 3), w.sint(4, 1), w.sint(5, 7);
    });
    return forged.batch(5, 0).verdict();
  };
  EXPECT_EQ(node(LeaseKind::ZooKeeper), kDigest);
  EXPECT_EQ(node(LeaseKind::Etcd), "a node has an owner that is not there; it is damaged");
}

TEST(Snapshot, LiesAboutNodesAreNotBelieved) {
  const std::string kNonsense = "a record makes no sense; it is damaged";
  const std::string kDigest = "its digest is not that of its content; it is damaged";
  const auto node = [](std::string_view path, std::string_view acl, int64_t version = 1, uint64_t kind = 0) {
    return Forged().position(5, -1).add(RecordType::Node, [&](FieldWriter& w) {
      w.bytes(1, path), w.bytes(2, acl), w.sint(3, version), w.uint(4, kind);
    });
  };
  const auto with_batches = [](Forged forged) {
    for (int64_t r = 2; r <= 5; ++r) forged.batch(r, 0);
    return forged.verdict();
  };
  EXPECT_EQ(with_batches(node("/", kReadable)), kDigest) << "all is well except that";
  EXPECT_EQ(with_batches(node("/none", kReadable)), "an access list without its node; it is damaged");
  EXPECT_EQ(with_batches(node("no path", kReadable)), "an access list without its node; it is damaged");
  EXPECT_EQ(node("/", kReadable.substr(1)).verdict(), kNonsense) << "a list cut short";
  EXPECT_EQ(node("/", kReadable, -2).verdict(), kNonsense);
  EXPECT_EQ(node("/", kReadable, INT64_MAX).verdict(), kNonsense) << "it is counted up";
  EXPECT_EQ(node("/", kReadable, 1, 3).verdict(), kNonsense) << "a kind";
  EXPECT_EQ(node("/", kReadable).key("/", 3).add(RecordType::Node, [](FieldWriter&) {}).verdict(), kNonsense)
      << "out of order";

  struct Hidden {
    std::string_view path;
    int64_t mod = 3;
    int64_t created = 0;
    int64_t children = 0;
    int64_t changed = 0;
    int64_t owner = 0;
  };
  const auto hidden = [](std::vector<Hidden> rows) {
    Forged forged;
    forged.position(5, -1);
    for (const Hidden& row : rows) {
      forged.add(RecordType::Hidden, [&](FieldWriter& w) {
        w.bytes(1, row.path);
        if (row.mod != 0) w.sint(2, row.mod), w.sint(3, row.mod), w.sint(4, 1), w.sint(5, row.owner);
        w.sint(9, row.created), w.sint(10, row.children), w.sint(11, row.changed);
      });
    }
    return forged;
  };
  const Hidden quota{.path = "/zookeeper/quota", .mod = 0, .created = 1, .children = 1, .changed = 3};
  EXPECT_EQ(with_batches(hidden({quota, {.path = "/zookeeper/quota/a"}})), kDigest) << "all is well except that";
  EXPECT_EQ(hidden({{.path = "/zookeeper/quota/a/b"}}).verdict(), kNonsense) << "no parent";
  EXPECT_EQ(hidden({{.path = "/elsewhere"}}).verdict(), kNonsense);
  EXPECT_EQ(hidden({{.path = "/zookeeper/quota//a"}}).verdict(), kNonsense);
  EXPECT_EQ(hidden({quota, quota}).verdict(), kNonsense) << "twice";
  EXPECT_EQ(hidden({{.path = "/zookeeper/quota/a", .mod = 0}}).verdict(), kNonsense) << "nobody made it";
  EXPECT_EQ(hidden({{.path = "/zookeeper/quota/a", .mod = 6}}).verdict(), kNonsense) << "newer than the state";
  EXPECT_EQ(hidden({{.path = "/zookeeper/quota", .owner = 7}}).verdict(), kNonsense) << "which no end may delete";
  EXPECT_EQ(hidden({quota, {.path = "/zookeeper/quota/a", .created = 1, .children = 1, .owner = 7}}).verdict(),
            kNonsense);
  const std::string kOwner = "a node has an owner that is not there; it is damaged";
  EXPECT_EQ(with_batches(hidden({quota, {.path = "/zookeeper/quota/a", .owner = 7}})), kOwner);
  EXPECT_EQ(hidden({{.path = "/zookeeper", .created = 1, .children = -1}}).verdict(), kNonsense);
  EXPECT_EQ(hidden({{.path = "/zookeeper", .created = 1, .children = 2}}).verdict(), kNonsense);
  EXPECT_EQ(hidden({{.path = "/zookeeper", .created = INT64_MAX}}).verdict(), kNonsense) << "it is counted up";
  EXPECT_EQ(hidden({{.path = "/zookeeper", .changed = 6}}).verdict(), kNonsense);
  const std::string kCounts = "a node below /zookeeper counts other children than it has; it is damaged";
  EXPECT_EQ(with_batches(hidden({quota})), kCounts) << "a child too few";
  EXPECT_EQ(with_batches(hidden({{.path = "/zookeeper/quota/a"}})), kCounts) << "nobody counts it";
}

TEST(Snapshot, ALengthReservesNothing) {
  std::string bytes(kSnapshotMagic);
  put_fixed32(bytes, kSnapshotFormat);
  bytes.push_back(1);
  put_varint(bytes, kMaxRecord + 1);
  EXPECT_FALSE(restore(bytes));
  SnapshotDecoder decoder;
  EXPECT_TRUE(decoder.feed(std::string_view(bytes).substr(0, 12)));
  std::string header(1, 1);
  put_varint(header, kMaxRecord);
  EXPECT_TRUE(decoder.feed(header)) << "a gigabyte is announced; only what arrives is held";
  EXPECT_FALSE(decoder.finish());
}

}  // namespace
}  // namespace witan::store
