// Whole members: what only shows when all rooms work together.
#include "node/node.h"

#include <algorithm>
#include <deque>
#include <map>

#include <gtest/gtest.h>

#include "node/snapshots.h"
#include "node/testing.h"
#include "store/snapshot.h"

namespace witan::node {
namespace {

using testing::Cluster;
using testing::Member;

bool is_done(const std::optional<Outcome>& outcome) { return outcome && std::holds_alternative<Done>(*outcome); }

TEST(Members, ReplicateAndComeBack) {
  Cluster cluster(3);
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(is_done(cluster.put(cluster[i], fmt::format("k{}", i), "v")));
  for (size_t i = 0; i < 3; ++i) cluster[i].kill();
  for (size_t i = 0; i < 3; ++i) cluster[i].start();
  ASSERT_NE(cluster.leader(), nullptr);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_done(cluster.put(cluster[i], "again", fmt::format("{}", i))));
    EXPECT_EQ(cluster.local(cluster[i], "k0"), "v");
    EXPECT_EQ(cluster.local(cluster[i], "k2"), "v");
  }
}

TEST(Members, OneThatIsFarBehindGetsASnapshot) {
  Cluster cluster(3, [](Options& options) {
    options.snapshot_entries = 20;
    options.keep_entries = 5;
  });
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& behind = leader == &cluster[0] ? cluster[1] : cluster[0];
  behind.kill();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(is_done(cluster.put(*leader, fmt::format("k{:03}", i), "v")));
  behind.start();
  EXPECT_TRUE(cluster.run_until([&] { return cluster.local(behind, "k099") == "v"; }));
  EXPECT_EQ(cluster.local(behind, "k000"), "v");
  ASSERT_TRUE(is_done(cluster.put(behind, "after", "v")));
}

// A proposal that found no connection is in no log, so it is sent again (core P2), and not only to another leader.
TEST(Members, AProposalWhoseConnectionBrokeIsSentWhenItIsBack) {
  Cluster cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = leader == &cluster[0] ? cluster[1] : cluster[0];
  // One of them is the one that proposals travel on.
  const uint64_t made = cluster.network().connections_made();
  for (uint64_t connection = 1; connection <= made; ++connection) {
    cluster.network().cut(connection);
    const Instant told = cluster.loop().now() + milliseconds(5);
    cluster.run_until([&] { return cluster.loop().now() >= told; }, milliseconds(5));
    EXPECT_TRUE(is_done(cluster.put(follower, "k", "v", seconds(3)))) << "without connection " << connection;
  }
  EXPECT_EQ(cluster.leader(), leader) << "another leader would have been another reason to try again";
}

// Core rule 8 of the architecture: a leader whose disk hangs gives the lead to one whose disk does not.
TEST(Members, ALeaderWhoseDiskStallsStepsDown) {
  Cluster cluster(3);
  cluster.start();
  Member* stalled = cluster.leader();
  ASSERT_NE(stalled, nullptr);
  stalled->log_lane().stall(true);
  Member& other = stalled == &cluster[0] ? cluster[1] : cluster[0];
  stalled->client().propose(store::Put{.key = "k", .value = "v"}, [](const Outcome&) {});
  EXPECT_TRUE(cluster.run_until([&] {
    const MemberId leader = cluster.status(other).leader;
    return leader != 0 && leader != stalled->id();
  }));
  EXPECT_TRUE(is_done(cluster.put(other, "k2", "v")));
  stalled->log_lane().stall(false);
  EXPECT_TRUE(cluster.run_until([&] { return cluster.local(*stalled, "k2") == "v"; }));
}

TEST(Members, ALeaderWhoseClockIsFarBehindDoesNotLead) {  // core C4
  Cluster cluster(3);
  cluster.start();
  Member* first = cluster.leader();
  ASSERT_NE(first, nullptr);
  Member& late = first == &cluster[0] ? cluster[1] : cluster[0];
  // So that the entries' stamps are of a time that the other one has not seen.
  for (size_t i = 0; i < 3; ++i) {
    if (&cluster[i] != &late) cluster[i].loop().set_skew(seconds(600));
  }
  ASSERT_TRUE(is_done(cluster.put(*first, "k", "v")));
  first->client().move_leader(late.id(), [](const Result<>&) {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.status(late).leader == late.id(); }));
  // It can append nothing; a put asked of it lands with whoever leads afterwards.
  EXPECT_TRUE(is_done(cluster.put(late, "k2", "v")));
  EXPECT_NE(cluster.status(late).leader, late.id());
}

TEST(Members, AWipedDirectoryIsNotTheMemberItWas) {  // core M1
  Cluster cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& wiped = leader == &cluster[0] ? cluster[1] : cluster[0];
  ASSERT_TRUE(is_done(cluster.put(wiped, "k", "v")));
  cluster.loop().run_for(seconds(2));  // all have told the group their directories
  const MemberId id = wiped.id();
  wiped.kill();
  wiped.disk() = wal::MemoryDisk();
  wiped.start();
  EXPECT_EQ(wiped.id(), id) << "founders compute the same id";
  cluster.loop().run_for(seconds(10));
  EXPECT_EQ(cluster.local(wiped, "k"), "");
  EXPECT_EQ(cluster.status(wiped).leader, 0U);
  EXPECT_TRUE(is_done(cluster.put(*leader, "k2", "v")));
}

TEST(Members, AStopHandsTheLeadOver) {
  Cluster cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& other = leader == &cluster[0] ? cluster[1] : cluster[0];
  const MemberId first = leader->id();
  bool stopped = false;
  const Instant begin = cluster.loop().now();
  leader->stop([&] { stopped = true; });
  ASSERT_TRUE(cluster.run_until([&] {
    const MemberId now = cluster.status(other).leader;
    return stopped && now != 0 && now != first;
  }));
  EXPECT_LT(cluster.loop().now() - begin, milliseconds(500)) << "no election timeout was waited for";
}

// ---- Their list ---------------------------------------------------------------------------------

std::string shown(uint32_t number, bool learner) {
  return learner ? fmt::format("[{}]", number) : fmt::format("{}", number);
}

// What a loop is told of the members: for each version their numbers, as in "12[3]" when 3 is a learner.
class Told final : public Listener {
 public:
  explicit Told(Client& client) : client_(client) { client.listen(*this); }
  void on_changes(std::span<const store::ChangeBatchPtr>) override {}
  void on_gap(store::Revision, store::Revision) override {}
  void on_stop() override {}
  void on_view(const View&) override {
    client_.settled_members([this](Answer<std::vector<MemberInfo>> members) {
      std::ranges::sort(*members, {}, &MemberInfo::number);
      std::string text;
      for (const MemberInfo& member : *members) text += shown(member.number, member.is_learner);
      const auto [known, fresh] = versions.emplace(client_.view().members_version, text);
      EXPECT_EQ(known->second, text) << "version " << known->first;
      EXPECT_EQ(known->first, versions.rbegin()->first) << "it does not go back";
    });
  }

  std::map<uint64_t, std::string> versions;

 private:
  Client& client_;
};

// A demotion and a removal at once take a joint configuration, which no client must see.
TEST(Members, AreListedAsTheyAreBeforeAChangeOrBehindIt) {
  Cluster cluster(5);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = leader == &cluster[0] ? cluster[1] : cluster[0];
  cluster.loop().run_for(seconds(2));  // all have told the group who they are
  std::deque<Told> told;
  for (size_t i = 0; i < 5; ++i) told.emplace_back(cluster[i].client());
  cluster.loop().run_for(seconds(1));
  const uint64_t before = told[0].versions.rbegin()->first;
  ASSERT_EQ(told[0].versions.rbegin()->second, "12345");
  std::vector<uint32_t> others;
  std::vector<MemberInfo> members;
  follower.client().members(Consistency::Local, [&](Answer<std::vector<MemberInfo>> m) { members = std::move(*m); });
  cluster.run_until([&] { return !members.empty(); });
  JoiningMember demoted;
  for (const MemberInfo& member : members) {
    if (member.id == leader->id() || member.id == follower.id()) continue;
    others.push_back(member.number);
    demoted = {.number = member.number, .peer_urls = member.peer_urls, .zookeeper = "z:1", .learner = true};
  }
  std::optional<std::expected<MembersChanged, MemberFailure>> result;
  follower.client().change_members(
      ReplaceMembers{.joining = {demoted}, .leaving = {others[0]}, .expected_version = before},
      [&](auto r) { result = std::move(r); });
  ASSERT_TRUE(cluster.run_until([&] { return result.has_value(); }));
  ASSERT_TRUE(result->has_value());
  EXPECT_EQ((*result)->version, before + 1);
  EXPECT_EQ((*result)->members.size(), 4u);
  ASSERT_TRUE(cluster.run_until(
      [&] { return told[0].versions.contains(before + 1) || told[1].versions.contains(before + 1); }));
  cluster.loop().run_for(seconds(1));
  std::string expected;
  for (uint32_t number = 1; number <= 5; ++number) {
    if (number != others[0]) expected += shown(number, number == demoted.number);
  }
  const std::map<uint64_t, std::string> both{{before, "12345"}, {before + 1, expected}};
  for (uint32_t number = 1; number <= 5; ++number) {
    if (number == others[0]) continue;
    EXPECT_EQ(told[number - 1].versions, both) << "member " << number;
  }
}

// ---- Upkeep -------------------------------------------------------------------------------------

TEST(Upkeep, HistoryIsBoundedByTime) {  // core S3
  Cluster cluster(1, [](Options& options) { options.auto_compaction = seconds(60); });
  cluster.start();
  Member& member = cluster[0];
  ASSERT_NE(cluster.leader(), nullptr);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(is_done(cluster.put(member, "k", fmt::format("{}", i))));
  cluster.loop().run_for(seconds(50));
  EXPECT_LT(cluster.status(member).compacted, store::Revision(1)) << "nothing is a minute old";
  ASSERT_TRUE(is_done(cluster.put(member, "k", "late")));
  cluster.loop().run_for(seconds(20));
  const Status status = cluster.status(member);
  EXPECT_EQ(status.compacted, status.revision - 1) << "what is older than a minute, and no more";
  EXPECT_EQ(cluster.local(member, "k"), "late");
}

TEST(Upkeep, HistoryIsBoundedByBytes) {  // core S3
  Cluster cluster(1, [](Options& options) { options.history_bytes = 100'000; });
  cluster.start();
  Member& member = cluster[0];
  ASSERT_NE(cluster.leader(), nullptr);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(is_done(cluster.put(member, "k", std::string(1000, static_cast<char>('a' + i % 26)))));
  }
  EXPECT_TRUE(cluster.run_until([&] { return cluster.status(member).compacted > store::Revision(150); }));
  EXPECT_LT(cluster.status(member).compacted, store::Revision(290)) << "what fits stays";
}

TEST(Upkeep, AFullMemoryRaisesNoSpaceUntilThereIsRoom) {  // core S3
  Cluster cluster(1, [](Options& options) {
    options.memory_quota = 200'000;
    options.history_bytes = 20'000;
  });
  cluster.start();
  Member& member = cluster[0];
  ASSERT_NE(cluster.leader(), nullptr);
  const auto refused = [](const std::optional<Outcome>& outcome) {
    return is_done(outcome) && std::get<Done>(*outcome).reply.failure.reason == store::Reason::NoSpace;
  };
  int written = 0;
  while (written < 1000 && !refused(cluster.put(member, fmt::format("k{}", written), std::string(1000, 'x'))))
    ++written;
  EXPECT_GT(written, 150);
  EXPECT_LT(written, 250);
  ASSERT_EQ(cluster.status(member).alarms.size(), 1U);
  ASSERT_TRUE(is_done(cluster.erase(member)));
  EXPECT_TRUE(cluster.run_until([&] { return cluster.status(member).alarms.empty(); }));
  EXPECT_FALSE(refused(cluster.put(member, "again", "v")));
}

// ---- Core S7 ------------------------------------------------------------------------------------

// Replaces the newest snapshot of a member that does not run by another state at the same entry.
void falsify_snapshot(Member& member,
                      const std::vector<store::Body>& commands = {store::Put{.key = "false", .value = "v"}}) {
  const std::string directory = member.options().data_dir + "/snapshots";
  auto files = wal::SnapshotFiles::open(member.disk(), directory, Logger());
  ASSERT_TRUE(files.has_value());
  const auto newest = (*files)->newest();
  ASSERT_TRUE(newest.has_value() && newest->has_value());
  const raft::SnapshotMeta meta = (*newest)->meta;
  store::Store other;
  uint64_t index = meta.index.value - commands.size();
  for (const store::Body& body : commands) {
    const Blob command = store::encode(store::Command{.header = {}, .body = body});
    other.apply(++index, *store::decode(command.view()), false);
  }
  for (const std::string& path : member.disk().paths()) {
    if (!path.starts_with(directory)) continue;
    ASSERT_TRUE(member.disk().remove(path));
  }
  auto writer = (*files)->write(meta);
  ASSERT_TRUE(writer.has_value());
  store::SnapshotEncoder encoder(other);
  std::string bytes;
  while (encoder.next(1 << 16, bytes)) continue;
  ASSERT_TRUE((*writer)->append(bytes));
  ASSERT_TRUE((*writer)->finish());
}

// Its disk is right again as soon as it runs.
void restart_wrong_in_memory(Member& member,
                             const std::vector<store::Body>& commands = {store::Put{.key = "false", .value = "v"}}) {
  member.kill();
  const wal::MemoryDisk sound = member.disk().copy();
  ASSERT_NO_FATAL_FAILURE(falsify_snapshot(member, commands));
  member.start();
  for (const std::string& path : sound.paths()) {
    if (path.find("/snapshots/") != std::string::npos) member.disk().put(path, wal::MemoryDisk(sound).bytes(path));
  }
}

void with_snapshots(Options& options) { options.snapshot_entries = 10; }

void fill(Cluster& cluster) {
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(is_done(cluster.put(*leader, fmt::format("k{}", i), "v")));
  for (size_t i = 0; i < cluster.size(); ++i) {
    ASSERT_TRUE(cluster.run_until([&] { return cluster.local(cluster[i], "k29") == "v"; }));
  }
  cluster.loop().run_for(seconds(2));  // the snapshots are written
}

TEST(Digests, AMinorityThatIsWrongOnDiskStops) {
  Cluster cluster(3, with_snapshots);
  cluster.start();
  ASSERT_NO_FATAL_FAILURE(fill(cluster));
  Member* leader = cluster.leader();
  Member& wrong = leader == &cluster[0] ? cluster[1] : cluster[0];
  wrong.kill();
  ASSERT_NO_FATAL_FAILURE(falsify_snapshot(wrong));
  wrong.start();
  ASSERT_TRUE(cluster.run_until([&] { return wrong.fatal().has_value(); }));
  EXPECT_NE(wrong.fatal()->message.find("add it again"), std::string::npos);
  wrong.kill();
  EXPECT_TRUE(is_done(cluster.put(*leader, "still", "served")));
  EXPECT_TRUE(cluster.status(*leader).alarms.empty());
}

TEST(Digests, AMinorityThatIsWrongInMemoryRebuilds) {
  Cluster cluster(3, with_snapshots);
  cluster.start();
  ASSERT_NO_FATAL_FAILURE(fill(cluster));
  Member* leader = cluster.leader();
  Member& wrong = leader == &cluster[0] ? cluster[1] : cluster[0];
  ASSERT_NO_FATAL_FAILURE(restart_wrong_in_memory(wrong));
  EXPECT_EQ(cluster.local(wrong, "false"), "v");
  ASSERT_TRUE(cluster.run_until([&] { return cluster.local(wrong, "false").empty(); }));
  EXPECT_EQ(cluster.local(wrong, "k0"), "v");
  EXPECT_TRUE(is_done(cluster.put(wrong, "after", "v")));
  cluster.loop().run_for(seconds(5));
  EXPECT_FALSE(wrong.fatal().has_value());
}

class SessionNotes final : public Listener {
 public:
  void on_changes(std::span<const store::ChangeBatchPtr> /*batches*/) override {}
  void on_gap(store::Revision /*from*/, store::Revision /*to*/) override {}
  void on_view(const View& /*view*/) override {}
  void on_stop() override {}
  void on_session(const SessionNews& news) override { told[news.id] = news.generation; }

  std::map<store::LeaseId, uint64_t> told;
};

// Nobody has seen the entries that moved and ended them; their connections here must hear of it all the same.
TEST(Digests, AReplacedStateTellsWhatBecameOfItsSessions) {  // core L5
  Cluster cluster(3, with_snapshots);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  const store::SessionOpen open{.member_number = 1, .salt = 7, .ttl_ms = 600'000};
  store::LeaseId moved;
  const auto note = [&](const Outcome& outcome) {
    moved = std::get<store::LeaseGrantResult>(std::get<Done>(outcome).reply.result).id;
  };
  leader->client().propose(open, note);
  ASSERT_TRUE(cluster.run_until([&] { return moved != store::LeaseId(0); }));
  leader->client().propose(store::SessionAttach{.id = moved}, note);
  ASSERT_NO_FATAL_FAILURE(fill(cluster));
  Member& wrong = leader == &cluster[0] ? cluster[1] : cluster[0];
  // The first one is the one that was moved; the others are of this member's imagination.
  const store::Put sign{.key = "false", .value = "v"};
  ASSERT_NO_FATAL_FAILURE(
      restart_wrong_in_memory(wrong, {open, open, store::LeaseGrant{.id = store::LeaseId(3)}, sign}));
  SessionNotes notes;
  wrong.client().listen(notes);
  ASSERT_EQ(cluster.local(wrong, "false"), "v");
  ASSERT_TRUE(cluster.run_until([&] { return cluster.local(wrong, "false").empty(); }));
  ASSERT_TRUE(cluster.run_until([&] { return notes.told.size() == 2; }));
  EXPECT_EQ(notes.told, (std::map<store::LeaseId, uint64_t>{{moved, 2}, {moved + 1, 0}}));
}

TEST(Digests, AWrongLeaderHandsOver) {
  Cluster cluster(3, with_snapshots);
  cluster.start();
  ASSERT_NO_FATAL_FAILURE(fill(cluster));
  Member* leader = cluster.leader();
  leader->kill();
  ASSERT_NO_FATAL_FAILURE(falsify_snapshot(*leader));
  leader->start();
  Member* interim = cluster.leader();
  ASSERT_NE(interim, nullptr);
  interim->client().move_leader(leader->id(), [](const Result<>&) {});
  ASSERT_TRUE(cluster.run_until([&] { return leader->fatal().has_value(); }));
  leader->kill();
  Member* last = cluster.leader();
  ASSERT_NE(last, nullptr);
  EXPECT_NE(last, leader);
}

TEST(Digests, WithoutAMajorityEverybodyRaisesCorrupt) {
  Cluster cluster(2, with_snapshots);
  cluster.start();
  ASSERT_NO_FATAL_FAILURE(fill(cluster));
  cluster[0].kill();
  ASSERT_NO_FATAL_FAILURE(falsify_snapshot(cluster[0]));
  cluster[0].start();
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(cluster.run_until([&] { return cluster.status(cluster[i]).alarms.size() == 2; }));
    EXPECT_EQ(cluster.status(cluster[i]).alarms[0].kind, store::AlarmKind::Corrupt);
  }
  const auto refused = cluster.put(cluster[1], "k", "v");
  ASSERT_TRUE(is_done(refused));
  EXPECT_EQ(std::get<Done>(*refused).reply.failure.reason, store::Reason::CorruptCluster);
}

// ---- Copies for clients -------------------------------------------------------------------------

std::unique_ptr<SnapshotStream> copy_of(Cluster& cluster, Member& member) {
  std::unique_ptr<SnapshotStream> copy;
  member.client().snapshot([&](Answer<std::unique_ptr<SnapshotStream>> answer) { copy = std::move(*answer); });
  EXPECT_TRUE(is_done(cluster.put(member, "after its beginning", "v")));
  EXPECT_TRUE(cluster.run_until([&] { return copy != nullptr; }));
  return copy;
}

Answer<Blob> next_piece(Cluster& cluster, SnapshotStream& copy) {
  std::optional<Answer<Blob>> piece;
  copy.next(10'000, [&](Answer<Blob> answer) { piece = std::move(answer); });
  EXPECT_TRUE(cluster.run_until([&] { return piece.has_value(); }));
  return std::move(*piece);
}

// Enough keys for several slices.
TEST(Copies, AreOfOneMomentAndKnowTheirSize) {
  Cluster cluster(1);
  cluster.start();
  Member& member = cluster[0];
  ASSERT_NE(cluster.leader(), nullptr);
  std::vector<std::string> keys;
  for (int i = 0; i < 10'000; ++i) keys.push_back(fmt::format("k{}", i));
  store::Txn many;
  for (const std::string& key : keys) many.success.push_back({store::Put{.key = key}});
  member.client().propose(many, [](const Outcome&) {});
  ASSERT_TRUE(is_done(cluster.put(member, "big", std::string(100'000, 'x'))));

  const std::unique_ptr<SnapshotStream> copy = copy_of(cluster, member);
  const uint64_t size = copy->remaining();
  store::SnapshotDecoder decoder;
  for (uint64_t read = 0;;) {
    const Answer<Blob> piece = next_piece(cluster, *copy);
    ASSERT_TRUE(piece);
    read += piece->size();
    ASSERT_EQ(copy->remaining(), size - read);
    if (piece->empty()) break;
    ASSERT_TRUE(decoder.feed(piece->view()));
    ASSERT_TRUE(is_done(cluster.put(member, "k0", "changed meanwhile")));
  }
  EXPECT_EQ(copy->remaining(), 0U);
  const auto restored = decoder.finish();
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ((*restored)->usage().keys, 10'001U);
  EXPECT_EQ((*restored)->get("k0")->value.view(), "");
}

TEST(Copies, EndWhenTheStateIsReplaced) {
  Cluster cluster(3, with_snapshots);
  cluster.start();
  ASSERT_NO_FATAL_FAILURE(fill(cluster));
  Member& wrong = cluster.leader() == &cluster[0] ? cluster[1] : cluster[0];
  ASSERT_NO_FATAL_FAILURE(restart_wrong_in_memory(wrong));
  std::unique_ptr<SnapshotStream> copy;
  wrong.client().snapshot([&](Answer<std::unique_ptr<SnapshotStream>> answer) { copy = std::move(*answer); });
  ASSERT_TRUE(cluster.run_until([&] { return copy != nullptr; }));
  ASSERT_EQ(cluster.local(wrong, "false"), "v");
  ASSERT_TRUE(cluster.run_until([&] { return cluster.local(wrong, "false").empty(); }));
  const Answer<Blob> piece = next_piece(cluster, *copy);
  ASSERT_FALSE(piece);
  EXPECT_EQ(piece.error().refusal, Refusal::LeaderChanged);
}

}  // namespace
}  // namespace witan::node
