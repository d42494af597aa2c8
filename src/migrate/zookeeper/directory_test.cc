#include "migrate/zookeeper/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migrate/zookeeper/report.h"
#include "migrate/zookeeper/snapshot.h"
#include "migrate/zookeeper/testing.h"

namespace witan::migrate::zookeeper {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kEpoch = int64_t{1} << 32;

std::string snapshot(std::vector<std::string> paths = {}, std::optional<std::pair<int64_t, uint64_t>> digest = {}) {
  SnapshotContents contents{.nodes = {{.path = ""}}, .digest = digest};
  for (const std::string& path : paths) contents.nodes.push_back({.path = path});
  return snapshot_file(contents);
}

std::string create(int64_t zxid, std::string_view path, std::optional<uint64_t> digest = {}) {
  return payload({.zxid = zxid, .type = Type::Create}, create_body(path, "", -1), digest);
}

uint64_t digest_after(const std::string& snapshot_bytes, const std::vector<std::string>& payloads) {
  StringSource source(snapshot_bytes);
  Input in(source, 4096);
  Tree tree;
  EXPECT_TRUE(read_snapshot(in, tree).has_value());
  for (const std::string& one : payloads) tree.replay(*decode_transaction(one, 0));
  return digest_of(std::move(tree).finish(1)->nodes);
}

class DirectoryTest : public ::testing::Test {
 protected:
  Result<Imported> read(std::string log_dir = "") {
    return read_directory(disk, {.data_dir = "d", .data_log_dir = std::move(log_dir)});
  }
  Imported good() {
    auto imported = read();
    EXPECT_TRUE(imported.has_value()) << imported.error().message;
    return imported ? std::move(*imported) : Imported();
  }
  std::string error(std::string log_dir = "") {
    const auto imported = read(std::move(log_dir));
    EXPECT_FALSE(imported.has_value());
    return imported ? "" : imported.error().message;
  }
  static std::vector<std::string> paths(const Imported& imported) {
    std::vector<std::string> all;
    for (const Node& node : imported.nodes) all.push_back(node.path);
    return all;
  }

  FixedDisk disk;
};

TEST_F(DirectoryTest, TheNewestSnapshotAndTheLogsBehindIt) {
  disk.put("d/version-2/snapshot.0", snapshot());
  disk.put("d/version-2/snapshot.2", snapshot({"/a", "/b"}));
  disk.put("d/version-2/log.1", log_file({create(1, "/a"), create(2, "/b"), create(3, "/c")}));
  disk.put("d/version-2/log.4", log_file({create(4, "/d")}));
  disk.put("d/version-2/acceptedEpoch", "1");
  disk.put("d/myid", "1");
  const Imported imported = good();
  EXPECT_THAT(paths(imported), ElementsAre("/", "/a", "/b", "/c", "/d"));
  EXPECT_EQ(imported.last_zxid, 4);
  EXPECT_EQ(imported.report.snapshot, "d/version-2/snapshot.2");
  EXPECT_EQ(imported.report.snapshot_nodes, 3u);
  ASSERT_THAT(imported.report.logs, SizeIs(2));
  EXPECT_EQ(imported.report.logs[0].skipped, 2u);
  EXPECT_EQ(imported.report.logs[0].transactions, 1u);
  EXPECT_EQ(imported.report.logs[1].last_zxid, 4);
  EXPECT_EQ(imported.report.transactions.at("create"), 2u);
  EXPECT_THAT(imported.report.notes, IsEmpty());
}

TEST_F(DirectoryTest, LogsFromBeforeTheSnapshotAreNotOpened) {
  disk.put("d/snapshot.5", snapshot());
  disk.put("d/log.1", "rubbish");
  disk.put("d/log.4", log_file({create(4, "/a"), create(5, "/b"), create(6, "/c")}));
  EXPECT_THAT(paths(good()), ElementsAre("/", "/c"));
}

TEST_F(DirectoryTest, LogsInADirectoryOfTheirOwn) {
  disk.put("d/version-2/snapshot.0", snapshot());
  disk.put("l/version-2/log.1", log_file({create(1, "/a")}));
  EXPECT_THAT(good().report.notes, ElementsAre(HasSubstr("d/version-2 has no transaction log")));
  EXPECT_EQ(read("l")->last_zxid, 1);
  EXPECT_EQ(read("l/version-2")->last_zxid, 1);
  disk.put("d/version-2/log.1", log_file({create(1, "/a")}));
  EXPECT_THAT(error("l"), HasSubstr("d/version-2/log.1 is a transaction log, and dataLogDir is l"));
  EXPECT_EQ(read("d")->last_zxid, 1);
}

TEST_F(DirectoryTest, PackedSnapshots) {
  disk.put("d/snapshot.0.gz", gzipped(snapshot({"/gz"})));
  EXPECT_THAT(paths(good()), ElementsAre("/", "/gz"));
  disk.put("d/snapshot.1.snappy", snappied(snapshot({"/snappy"})));
  EXPECT_THAT(paths(good()), ElementsAre("/", "/snappy"));
}

TEST_F(DirectoryTest, AnInvalidSnapshotGivesWayToAnOlderOne) {
  disk.put("d/snapshot.0", snapshot());
  disk.put("d/snapshot.1", snapshot({"/wrong"}).substr(0, 60));
  disk.put("d/snapshot.2", "");
  disk.put("d/snapshot.2.gz", "nothing");
  disk.put("d/log.1", log_file({create(1, "/a"), create(2, "/b")}));
  const Imported imported = good();
  EXPECT_THAT(paths(imported), ElementsAre("/", "/a", "/b"));
  EXPECT_EQ(imported.report.snapshot, "d/snapshot.0");
  EXPECT_THAT(imported.report.notes, SizeIs(3));
  EXPECT_THAT(imported.report.notes, Contains(HasSubstr("d/snapshot.1 is no valid snapshot")));
  disk.put("d/snapshot.0", "also broken");
  EXPECT_THAT(error(), AllOf(HasSubstr("d has no valid snapshot"), HasSubstr("nothing was imported")));
}

TEST_F(DirectoryTest, NothingAndHalfOfIt) {
  EXPECT_EQ(read().error().code, Code::NotFound);
  disk.put("d/zoo.cfg", "");
  EXPECT_EQ(read().error().code, Code::NotFound);
  disk.put("d/log.1", log_file({create(1, "/a")}));
  EXPECT_THAT(error(), HasSubstr("d/log.1 is there, but d has no snapshot"));
}

TEST_F(DirectoryTest, StrangersAreNamed) {
  disk.put("d/snapshot.0", snapshot());
  disk.put("d/snapshot.7.tmp", "x");
  disk.put("d/log.zz", "x");
  disk.put("d/log.-1", "x");
  EXPECT_THAT(good().report.notes, SizeIs(4));
}

TEST_F(DirectoryTest, MissingTransactionsAreAnError) {
  disk.put("d/snapshot.0", snapshot());
  disk.put("d/log.3", log_file({create(3, "/a")}));
  EXPECT_THAT(error(),
              AllOf(HasSubstr("d/log.3, byte 16:"), HasSubstr("zxid 0x3 follows 0x0, which d/snapshot.0 ends with")));
  disk.put("d/log.1", log_file({create(1, "/a"), create(2, "/b")}));
  EXPECT_EQ(good().last_zxid, 3);
  disk.put("d/log.6", log_file({create(6, "/f")}));
  EXPECT_THAT(error(), HasSubstr("zxid 0x6 follows 0x3, which the log before ends with"));
}

TEST_F(DirectoryTest, ANewLeaderBeginsAnew) {
  disk.put("d/snapshot.0", snapshot());
  disk.put("d/log.1", log_file({create(1, "/a"), create(kEpoch + 1, "/b"), create(3 * kEpoch + 1, "/c")}));
  EXPECT_EQ(good().last_zxid, 3 * kEpoch + 1);
  disk.put("d/log.1", log_file({create(1, "/a"), create(kEpoch + 2, "/b")}));
  EXPECT_THAT(error(), HasSubstr("transactions are missing"));
}

TEST_F(DirectoryTest, ARepeatedTransactionIsReplayedAgain) {
  disk.put("d/snapshot.0", snapshot());
  disk.put("d/log.1", log_file({create(1, "/a"), create(2, "/b")}));
  disk.put("d/log.2", log_file({create(2, "/b"), create(3, "/c")}));
  EXPECT_THAT(paths(good()), ElementsAre("/", "/a", "/b", "/c"));
}

TEST_F(DirectoryTest, TheEndsOfLogs) {
  disk.put("d/snapshot.0", snapshot());
  const std::string whole = log_file({create(1, "/a"), create(2, "/b")}, 0);
  disk.put("d/log.1", whole.substr(0, whole.size() - 5) + std::string(100, '\0'));
  const Imported torn = good();
  EXPECT_EQ(torn.last_zxid, 1);
  EXPECT_THAT(torn.report.notes, ElementsAre(HasSubstr("not written to its end, at byte ")));
  disk.put("d/log.3", log_file({create(3, "/c")}));
  EXPECT_THAT(error(), HasSubstr("0x3 follows 0x1"));
  disk.put("d/log.1", whole);
  disk.put("d/log.4", "");
  EXPECT_THAT(good().report.notes, ElementsAre(HasSubstr("d/log.4 is empty")));
  disk.put("d/log.5", log_file({create(4, "/d")}));
  EXPECT_THAT(error(), HasSubstr("d/log.4, byte 0:"));
}

TEST_F(DirectoryTest, DamageNamesFileAndByte) {
  disk.put("d/snapshot.0", snapshot());
  disk.put("d/log.1", log_file({create(1, "/a"), create(2, "/b")}));
  const size_t second = log_file({create(1, "/a")}, 0).size();
  disk.bytes("d/log.1")[second + 30] ^= 1;
  EXPECT_THAT(error(), AllOf(HasSubstr("d/log.1, byte " + std::to_string(second) + ": the checksum"),
                             HasSubstr("another member")));
}

TEST_F(DirectoryTest, DigestsOfTransactions) {
  const std::string first = snapshot();
  const uint64_t right = digest_after(first, {create(1, "/a")});
  disk.put("d/snapshot.0", first);
  disk.put("d/log.1", log_file({create(1, "/a", right)}));
  const Imported imported = good();
  EXPECT_EQ(imported.report.digests_compared, 1u);
  EXPECT_EQ(imported.report.proven_zxid, 1);
  disk.put("d/log.1", log_file({create(1, "/a", right), create(2, "/b", right)}));
  EXPECT_THAT(error(),
              AllOf(HasSubstr("d/log.1, byte "), HasSubstr("after zxid 0x2 (create) the digest of the tree is not")));
  EXPECT_TRUE(read_directory(disk, {.data_dir = "d", .check_digests = false}).has_value());
}

TEST_F(DirectoryTest, TheDigestOfAFuzzySnapshotIsComparedWhereItWasTaken) {
  const uint64_t at_two = digest_after(snapshot(), {create(1, "/a"), create(2, "/b")});
  disk.put("d/snapshot.0", snapshot({}, std::pair(2, at_two)));
  // Up to there the transactions' digests are of trees that this one never was.
  disk.put("d/log.1", log_file({create(1, "/a", 1), create(2, "/b", 2), create(3, "/c")}));
  const Imported imported = good();
  EXPECT_TRUE(imported.report.snapshot_digest_compared);
  EXPECT_EQ(imported.report.proven_zxid, 2);
  disk.put("d/log.1", log_file({create(1, "/a")}));
  EXPECT_THAT(error(), AllOf(HasSubstr("changes up to zxid 0x2"), HasSubstr("end at 0x1")));
  disk.put("d/log.1", log_file({create(1, "/a"), create(kEpoch + 1, "/b")}));
  EXPECT_THAT(error(), HasSubstr("no log has that transaction"));
}

TEST_F(DirectoryTest, AWrongDigestOfTheSnapshotIsAnErrorUnlessTheNextOneIsRight) {
  const uint64_t at_one = digest_after(snapshot(), {create(1, "/a")});
  const uint64_t at_two = digest_after(snapshot(), {create(1, "/a"), create(2, "/b")});
  disk.put("d/snapshot.0", snapshot({}, std::pair(1, at_one + 1)));
  disk.put("d/log.1", log_file({create(1, "/a")}));
  EXPECT_THAT(error(), HasSubstr("after zxid 0x1 the digest of the tree is not the one that d/snapshot.0 says"));
  disk.put("d/log.1", log_file({create(1, "/a"), create(2, "/b", at_two + 1)}));
  EXPECT_THAT(error(), HasSubstr("that d/snapshot.0 says"));
  disk.put("d/log.1", log_file({create(1, "/a"), create(2, "/b", at_two)}));
  EXPECT_EQ(good().report.proven_zxid, 2);
  disk.put("d/snapshot.3", snapshot({"/x"}, std::pair(3, 4711)));
  EXPECT_THAT(error(), HasSubstr("the digest of the tree at zxid 0x3"));
}

TEST_F(DirectoryTest, ADigestFromBeforeTheSnapshotSaysNothing) {
  disk.put("d/snapshot.100000000", snapshot({"/x"}, std::pair(3, 4711)));
  const Imported imported = good();
  EXPECT_FALSE(imported.report.snapshot_digest_compared);
  EXPECT_EQ(imported.last_zxid, kEpoch);
}

TEST_F(DirectoryTest, TheReportForPeopleAndForPrograms) {
  SnapshotContents contents{.sessions = {{0x100, 4000}},
                            .nodes = {{.path = ""}, {.path = "/q\"\n\xff\u00f6", .data = std::nullopt}}};
  disk.put("d/snapshot.0", snapshot_file(contents));
  disk.put("d/log.1",
           log_file({create(1, "/a"), payload({.zxid = 2, .type = Type::SetData}, set_data_body("/a", "data", 1)),
                     payload({.zxid = 3, .type = Type::Multi},
                             multi_body({{Type::Delete, path_body("/a")},
                                         {Type::Create, create_body("/e", "\x01\x02", -1, true)}}))}));
  const Imported imported = good();
  EXPECT_EQ(describe(imported),
            "read d/snapshot.0: 2 nodes, 1 sessions, zxid 0x0\n"
            "read d/log.1: 3 transactions replayed, 0 were in the snapshot, up to zxid 0x3\n"
            "  create                   1\n"
            "  multi                    1\n"
            "  multi/create             1\n"
            "  multi/delete             1\n"
            "  setData                  1\n"
            "nodes: 3 (1 ephemeral, 0 container, 0 TTL), 2 bytes of data, 1 lists of ACLs\n"
            "sessions: 1\n"
            "last zxid: 0x3\n"
            "proof: no digest was compared: ZooKeeper 3.6 and later leave them, if digest.enabled is not off\n");
  std::string json;
  Function<void(std::string_view)> write = [&](std::string_view piece) { json += piece; };
  write_json(imported, write);
  EXPECT_THAT(json,
              HasSubstr(R"("transactions":{"create":1,"multi":1,"multi/create":1,"multi/delete":1,"setData":1},)"));
  EXPECT_THAT(json, HasSubstr(R"("sessions":[{"id":"0x100","timeoutMs":4000}],)"));
  EXPECT_THAT(json, HasSubstr(R"("acls":[[{"perms":31,"scheme":"world","id":"anyone"}]],)"));
  EXPECT_THAT(
      json,
      HasSubstr(R"({"path":"/e","kind":"ephemeral","ttlMs":0,"session":"0x100","data":"AQI=","acl":0,"czxid":"0x3",)"));
  EXPECT_THAT(
      json,
      HasSubstr("{\"path\":\"/"
                "q\\\"\\u000a\\ufffd\u00f6\",\"kind\":\"ordinary\",\"ttlMs\":0,\"session\":\"0x0\",\"data\":null,"));
  EXPECT_THAT(json, HasSubstr(R"("version":0,"cversion":2,"aversion":0,"createdChildren":2,"children":2})"));
}

}  // namespace
}  // namespace witan::migrate::zookeeper
