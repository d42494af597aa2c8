#include "migrate/zookeeper/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migrate/zookeeper/source.h"
#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

using ::testing::HasSubstr;

SnapshotContents contents() {
  SnapshotContents all;
  all.sessions = {{0x100, 4000}, {0x200, 30000}};
  all.acls = {{1, {{1, "world", "anyone"}}}, {2, {{31, "digest", "u:p"}, {1, "ip", "10.0.0.1"}}}};
  all.nodes = {{.path = "", .stat = {.cversion = 2, .pzxid = 7}},
               {.path = "/b",
                .data = std::string(100000, 'x'),
                .acl = 2,
                .stat = {.czxid = 3,
                         .mzxid = 5,
                         .ctime_ms = 30,
                         .mtime_ms = 50,
                         .version = 2,
                         .cversion = 1,
                         .aversion = 4,
                         .pzxid = 6}},
               {.path = "/b/e", .data = std::nullopt, .stat = {.czxid = 6, .ephemeral_owner = 0x100}},
               {.path = "/a", .acl = 1}};
  return all;
}

Decoded<SnapshotTrailer> read(std::string_view bytes, Tree& tree, size_t piece = SIZE_MAX) {
  StringSource source(bytes, piece);
  Input in(source, 4096);
  return read_snapshot(in, tree);
}

TEST(SnapshotTest, EverythingIsRead) {
  for (const size_t piece : {size_t{1}, size_t{13}, SIZE_MAX}) {
    Tree tree;
    const auto trailer = read(snapshot_file(contents()), tree, piece);
    ASSERT_TRUE(trailer.has_value()) << trailer.error().what;
    EXPECT_FALSE(trailer->digest.has_value());
    EXPECT_FALSE(trailer->last_zxid.has_value());
    const auto imported = std::move(tree).finish(7);
    ASSERT_TRUE(imported.has_value()) << imported.error();
    EXPECT_EQ(imported->sessions, contents().sessions);
    ASSERT_EQ(imported->nodes.size(), 4u);
    const Node& b = imported->nodes[2];
    EXPECT_EQ(b.path, "/b");
    EXPECT_EQ(b.data.size(), 100000u);
    EXPECT_EQ(b.stat, contents().nodes[1].stat);
    EXPECT_EQ(imported->acls[b.acl], contents().acls[1].second);
    EXPECT_EQ(b.children, 1u);
    EXPECT_EQ(imported->nodes[0].children, 2u);
    EXPECT_TRUE(imported->nodes[3].data.is_null());
    EXPECT_EQ(imported->nodes[3].session(), 0x100);
  }
}

TEST(SnapshotTest, ThePartsThatLaterVersionsAdded) {
  SnapshotContents all = contents();
  all.digest = {9, 0x123456789abcdef0};
  Tree with_digest;
  const auto first = read(snapshot_file(all), with_digest);
  ASSERT_TRUE(first.has_value()) << first.error().what;
  ASSERT_TRUE(first->digest.has_value());
  EXPECT_EQ(first->digest->zxid, 9);
  EXPECT_EQ(first->digest->claim.digest, 0x123456789abcdef0);
  all.last_zxid = 11;
  Tree with_both;
  const auto second = read(snapshot_file(all), with_both);
  ASSERT_TRUE(second.has_value()) << second.error().what;
  EXPECT_TRUE(second->digest.has_value());
  EXPECT_EQ(second->last_zxid, 11);
  all.digest.reset();
  Tree without_digest;
  const auto third = read(snapshot_file(all), without_digest);
  ASSERT_TRUE(third.has_value()) << third.error().what;
  EXPECT_FALSE(third->digest.has_value());
  EXPECT_EQ(third->last_zxid, 11);
}

TEST(SnapshotTest, NoByteCanChangeAndNoneCanBeMissing) {
  SnapshotContents all = contents();
  all.nodes[1].data = "short";
  all.digest = {9, 77};
  all.last_zxid = 11;
  const std::string good = snapshot_file(all);
  for (size_t i = 0; i < good.size(); ++i) {
    if (i >= 8 && i < 16) continue;  // the database's id; the checksum has it, and it is damaged below
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    Tree tree;
    EXPECT_FALSE(read(bad, tree).has_value()) << i;
  }
  std::string other_id = good;
  other_id[9] = 'x';
  Tree tree;
  EXPECT_THAT(read(other_id, tree).error().what, HasSubstr("checksum"));
  const std::string without_trailers = [&] {
    SnapshotContents old = all;
    old.digest.reset();
    old.last_zxid.reset();
    return snapshot_file(old);
  }();
  SnapshotContents middle = all;
  middle.last_zxid.reset();
  for (size_t size = 0; size < good.size(); ++size) {
    if (size == without_trailers.size() || size == snapshot_file(middle).size()) continue;  // older versions end there
    Tree cut;
    EXPECT_FALSE(read(std::string_view(good).substr(0, size), cut).has_value()) << size;
  }
}

TEST(SnapshotTest, ATreeThatIsNone) {
  SnapshotContents orphan = contents();
  orphan.nodes[1].path = "/x/y";
  Tree first;
  EXPECT_THAT(read(snapshot_file(orphan), first).error().what, HasSubstr("before its parent"));
  SnapshotContents twice = contents();
  twice.nodes[3].path = "/b";
  Tree second;
  EXPECT_THAT(read(snapshot_file(twice), second).error().what, HasSubstr("twice"));
  Tree third;
  EXPECT_THAT(read(snapshot_file({}), third).error().what, HasSubstr("root"));
}

// A list of ACLs that no node of the snapshot may name before a transaction sets it.
TEST(SnapshotTest, AMissingListOfAclsIsAnErrorUnlessTheLogSetsIt) {
  SnapshotContents all = contents();
  all.nodes[3].acl = 5;
  Tree repaired;
  ASSERT_TRUE(read(snapshot_file(all), repaired).has_value());
  repaired.replay(*decode_transaction(payload({.zxid = 8, .type = Type::Create}, create_body("/a", "", 2)), 0));
  EXPECT_TRUE(std::move(repaired).finish(8).has_value());
  Tree broken;
  ASSERT_TRUE(read(snapshot_file(all), broken).has_value());
  EXPECT_THAT(std::move(broken).finish(8).error(), HasSubstr("/a has a list of ACLs that is missing"));
}

template <class Unpacked>
std::string unpack(std::string_view packed, size_t piece, std::string* error = nullptr) {
  StringSource source(packed, piece);
  Unpacked unpacked(source);
  std::string out;
  char buffer[777];
  while (true) {
    const Result<size_t> got = unpacked.read(buffer);
    if (!got && error) *error = got.error().message;
    if (!got || *got == 0) return out;
    out.append(buffer, *got);
  }
}

TEST(SourceTest, GzipAndSnappyGiveBackWhatWasPacked) {
  const std::string bytes = snapshot_file(contents());
  for (const size_t piece : {size_t{1}, size_t{100}, SIZE_MAX}) {
    EXPECT_EQ(unpack<GzipSource>(gzipped(bytes), piece), bytes);
    EXPECT_EQ(unpack<GzipSource>(gzipped(bytes) + gzipped("more"), piece), bytes + "more");
    EXPECT_EQ(unpack<SnappySource>(snappied(bytes), piece), bytes);
    EXPECT_EQ(unpack<SnappySource>(snappied(bytes, 500) + snappied("more"), piece), bytes + "more");
  }
}

TEST(SourceTest, DamagedPackingIsAnErrorAndNotTheEnd) {
  const std::string bytes = snapshot_file(contents());
  const std::string gzip = gzipped(bytes);
  const std::string snappy = snappied(bytes, 500);
  std::string error;
  unpack<GzipSource>(std::string_view(gzip).substr(0, gzip.size() - 3), SIZE_MAX, &error);
  EXPECT_THAT(error, HasSubstr("too early"));
  unpack<GzipSource>("no gzip at all", SIZE_MAX, &error);
  EXPECT_THAT(error, HasSubstr("damaged"));
  unpack<SnappySource>(std::string_view(snappy).substr(0, snappy.size() - 3), SIZE_MAX, &error);
  EXPECT_THAT(error, HasSubstr("too early"));
  unpack<SnappySource>("no snappy at all, of this kind", SIZE_MAX, &error);
  EXPECT_THAT(error, HasSubstr("no header"));
  std::string boast = snappied("x");
  boast.replace(boast.size() - 3, 1, "\xff");  // the block's length unpacked
  unpack<SnappySource>(boast, SIZE_MAX, &error);
  EXPECT_THAT(error, HasSubstr("block"));
}

}  // namespace
}  // namespace witan::migrate::zookeeper
