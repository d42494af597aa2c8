// Random command streams against the slow twin: replies, reads at every revision, history, leases, directories, and the
// same again after a snapshot that was taken while the stream went on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/rng.h"
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
                                      "zz"};

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

  Body body(const Twin& twin) {
    const int64_t current = twin.revision;
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
      case 11: return SettingsChange{.min_lease_ttl_ms = rng_.between(0, 3000)};
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
std::string text(const LeaseGrantResult& r) { return fmt::format("lease {} {}", r.id, r.ttl_ms); }
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
  return fmt::format("@{} failure {} at compacted {}: {}", r.revision, static_cast<int>(r.failure.reason),
                     r.failure.compacted, std::visit([](const auto& what) { return text(what); }, r.result));
}

std::vector<twin::Changed> changes_of(const ChangeBatch& batch) {
  std::vector<twin::Changed> out;
  for (const Change& c : batch.changes)
    out.push_back({std::string(c.key.view()), twin::row_of(c.before), twin::row_of(c.after)});
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
    const Body body = dice_.body(twin_);
    Command command{.body = body};
    command.header.stamp = WallTime{1000 + clock_ + dice_.rng().between(-3, 3)};
    clock_ += dice_.rng().between(0, 4);
    const Blob bytes = encode(command);
    const Command decoded = *decode(bytes);
    log_.push_back(bytes);
    const Reply expected = twin_.apply(decoded);
    const Applied got = store_.apply(++index_, decoded, true);
    ASSERT_EQ(text(expected), text(got.reply)) << "command " << index_;
    ASSERT_EQ(got.changes != nullptr, twin_.history.contains(index_revision_ + 1));
    if (got.changes != nullptr) {
      ++index_revision_;
      EXPECT_EQ(got.changes->revision.value, index_revision_);
      ASSERT_EQ(changes_of(*got.changes), twin_.history[index_revision_]);
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
      ASSERT_EQ(std::tie(lease.kind, lease.ttl_ms, lease.remaining_ms),
                std::tie(expected.kind, expected.ttl, expected.remaining));
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
  for (int i = 0; i < 250; ++i) {
    step();
    if (HasFatalFailure()) return;
    switch (dice_.rng().below(8)) {
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
  check_snapshot();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomStream, testing::Range<uint64_t>(1, 61));

}  // namespace
}  // namespace witan::store
