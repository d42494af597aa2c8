#include "node/data_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/snapshots.h"
#include "node/testing.h"
#include "store/builder.h"
#include "wal/snapshot_files.h"

namespace witan::node {
namespace {

using testing::Cluster;
using ::testing::HasSubstr;

constexpr store::Revision kRevision(int64_t{7} << 32);

// The root, and nodes /n0 to /n9, one of them a session's.
std::unique_ptr<store::Store> some_state() {
  store::StoreBuilder builder(kRevision);
  EXPECT_TRUE(builder.add_session(store::LeaseId(-5), 30'000));
  EXPECT_TRUE(builder.add_node(
      {.path = "/", .stat = {.children_changed = kRevision - 1, .children_ever = 12, .children = 11}}));
  for (int i = 0; i < 10; ++i) {
    const std::string path = fmt::format("/n{}", i);
    const store::Revision at = kRevision - 20 + i;
    const store::NodeStat stat{
        .created = at, .modified = at, .children_changed = at, .owner = store::LeaseId(i == 3 ? -5 : 0)};
    EXPECT_TRUE(builder.add_node({.path = path, .value = Blob(std::string(900, 'v')), .stat = stat}));
  }
  auto store = builder.finish();
  EXPECT_TRUE(store) << store.error().message;
  return std::move(*store);
}

Options alone(Options options = {}) {
  options.data_dir = "data";
  options.log_segment_bytes = 8192;
  options.initial_cluster = {{.name = options.name, .peer_url = options.peer_url}};
  return options;
}

Result<> agree(const store::Store&) { return {}; }

Result<Identity> found(const Options& options, env::Disk& disk) {
  return found_on_state(options, {.disk = disk, .seed = 3}, some_state(), agree);
}

TEST(DataDirectory, AMemberServesTheStateItWasFoundedOnAndOthersJoin) {
  Cluster cluster(2, [](Options& options) {
    if (options.name == "n1") {
      options = alone(options);
    } else {
      options.join_existing = true;
    }
  });
  const auto identity = found(cluster[0].options(), cluster[0].disk());
  ASSERT_TRUE(identity) << identity.error().message;
  cluster[0].start();
  ASSERT_TRUE(cluster.run_until([&] { return cluster.status(cluster[0]).leader == cluster[0].id(); }));
  EXPECT_EQ(cluster[0].id(), identity->member.value);
  EXPECT_EQ(cluster.local(cluster[0], "/n7"), std::string(900, 'v'));
  const auto put = cluster.put(cluster[0], "/n7", "new");
  ASSERT_TRUE(put && std::holds_alternative<Done>(*put));
  EXPECT_GT(std::get<Done>(*put).reply.revision, kRevision);

  std::optional<bool> added;
  cluster[0].client().change_members(AddMember{.peer_urls = {cluster[1].options().peer_url}, .learner = true},
                                     [&](const auto& result) { added = result.has_value(); });
  ASSERT_TRUE(cluster.run_until([&] { return added.has_value(); }));
  ASSERT_TRUE(*added);
  cluster[1].start();
  EXPECT_TRUE(cluster.run_until([&] { return cluster.local(cluster[1], "/n7") == "new"; }));
  EXPECT_EQ(cluster.local(cluster[1], "/n3"), std::string(900, 'v'));
  cluster[0].kill();
  cluster[0].start();
  EXPECT_TRUE(cluster.run_until([&] { return cluster.local(cluster[0], "/n7") == "new"; }));
}

TEST(DataDirectory, OnlyAVacantOneIsFounded) {
  wal::MemoryDisk disk;
  const Options options = alone();
  Options many = options;
  many.initial_cluster.push_back({.name = "n2", .peer_url = "http://10.0.0.2:2380"});
  EXPECT_THAT(found(many, disk).error().message, HasSubstr("by one member alone"));
  Options joins = options;
  joins.join_existing = true;
  EXPECT_EQ(found(joins, disk).error().code, Code::Invalid);
  disk.put("data/notes.txt", "mine");
  EXPECT_THAT(found(options, disk).error().message, HasSubstr("has notes.txt in it"));
  EXPECT_EQ(disk.paths(), std::vector<std::string>{"data/notes.txt"});
  ASSERT_TRUE(disk.remove("data/notes.txt"));
  disk.put("data/log/rest", "of an interrupted start");
  ASSERT_TRUE(found(options, disk));
  EXPECT_EQ(found(options, disk).error().code, Code::Exists);
}

TEST(DataDirectory, WhoeverLooksAtTheStateHasTheLastWord) {
  wal::MemoryDisk disk;
  const auto refused = found_on_state(alone(), {.disk = disk, .seed = 3}, some_state(), [](const store::Store& store) {
    EXPECT_EQ(store.revision(), kRevision);
    EXPECT_EQ(store.lease_keys(store::LeaseId(-5)).size(), 1u);
    return Result<>(fail(Code::Corrupt, "no"));
  });
  EXPECT_EQ(refused.error().message, "no");
  EXPECT_FALSE(read_identity(disk, "data")->has_value());
  EXPECT_TRUE(check_vacant(alone(), disk));
}

// What a power failure leaves is a whole state under an identity, or a directory that was promised to nobody.
TEST(DataDirectory, FoundingIsAllOrNothing) {
  Rng rng(5);
  int whole = 0;
  int vacant = 0;
  const auto look = [&](wal::MemoryDisk& disk) {
    const auto identity = read_identity(disk, "data");
    ASSERT_TRUE(identity) << identity.error().message;
    if (!identity->has_value()) {
      ++vacant;
      EXPECT_TRUE(check_vacant(alone(), disk));
      return;
    }
    ++whole;
    auto files = wal::SnapshotFiles::open(disk, "data/snapshots", {});
    ASSERT_TRUE(files);
    const auto loaded = load_newest(**files);
    ASSERT_TRUE(loaded && *loaded);
    EXPECT_EQ((*loaded)->store->revision(), kRevision);
    wal::LogOptions options = log_options(alone(), 3);
    options.snapshot_index = (*loaded)->meta.index;
    options.may_create = false;
    const auto log = wal::Log::open(disk, "data/log", options, {});
    ASSERT_TRUE(log) << log.error().message;
    EXPECT_EQ(log->log->last_index(), (*loaded)->meta.index);
    EXPECT_TRUE(log->entries.empty());
  };
  bool over = false;
  for (uint64_t operation = 0; !over; ++operation) {
    wal::MemoryDisk disk;
    disk.fail_at(operation, true, "power failure");
    over = found(alone(), disk).has_value();
    disk.heal();
    disk.after_power_failure(rng, look);
    if (HasFatalFailure()) FAIL() << "after " << operation << " operations";
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(vacant, 10);
}

}  // namespace
}  // namespace witan::node
