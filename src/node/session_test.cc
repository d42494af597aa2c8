// ZooKeeper's sessions through whole members (core L): order, moves, ends, renewals, and what the leader removes.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/rng.h"
#include "node/node.h"
#include "node/testing.h"
#include "store/node.h"

namespace witan::node {
namespace {

using store::LeaseId;
using store::Reason;
using testing::Cluster;
using testing::Member;

using Waited = std::shared_ptr<std::optional<Outcome>>;

bool is_done(const std::optional<Outcome>& outcome) { return outcome && std::holds_alternative<Done>(*outcome); }
// Of an outcome that is done.
Reason reason_of(const std::optional<Outcome>& outcome) {
  EXPECT_TRUE(is_done(outcome));
  return is_done(outcome) ? std::get<Done>(*outcome).reply.failure.reason : Reason::NoSpace;
}

// Remembers in which order it was told what.
class Notes final : public Listener {
 public:
  void on_changes(std::span<const store::ChangeBatchPtr> batches) override {
    for (const auto& batch : batches) {
      for_each_node_event(*batch, [&](const store::NodeEvent& event) {
        const bool created = event.type == store::NodeEvent::Type::Created;
        const bool deleted = event.type == store::NodeEvent::Type::Deleted;
        add(fmt::format("{}{}", created ? "+" : deleted ? "-" : "~", event.path.view()));
      });
    }
  }
  void on_gap(store::Revision /*from*/, store::Revision /*to*/) override { add("gap"); }
  void on_view(const View& /*view*/) override {}
  void on_session(const SessionNews& news) override {
    add(news.generation == 0 ? fmt::format("end of {:x}", news.id.value)
                             : fmt::format("{:x} as {}", news.id.value, news.generation));
  }
  void on_stop() override {}

  void add(std::string note) { notes.push_back(std::move(note)); }
  bool has(std::string_view note) const { return std::ranges::find(notes, note) != notes.end(); }

  std::vector<std::string> notes;
};

struct Session {
  LeaseId id;
  uint64_t generation = 0;
  Caller caller() const { return {.session = id, .generation = generation, .principals = {}}; }
};

struct Sessions : Cluster {
  using Cluster::Cluster;

  Member& other_than(const Member& one) { return &one == &(*this)[0] ? (*this)[1] : (*this)[0]; }

  Waited propose(Member& member, const store::Body& body) {
    auto out = std::make_shared<std::optional<Outcome>>();
    member.client().propose(body, [out](Outcome outcome) { *out = std::move(outcome); });
    return out;
  }
  Waited propose_as(Member& member, const Session& session, const store::Body& body, Ticket* ticket = nullptr) {
    auto out = std::make_shared<std::optional<Outcome>>();
    const Ticket given =
        member.client().propose_as(session.caller(), body, [out](Outcome outcome) { *out = std::move(outcome); });
    if (ticket != nullptr) *ticket = given;
    return out;
  }
  static store::NodeTxn create(std::string_view path, bool ephemeral = false) {
    store::NodeTxn txn;
    txn.operations.push_back({store::CreateNode{.path = path, .ephemeral = ephemeral}});
    return txn;
  }
  static store::NodeTxn set(std::string_view path, std::string_view value) {
    store::NodeTxn txn;
    txn.operations.push_back({store::SetNode{.path = path, .value = value}});
    return txn;
  }
  bool over(const Waited& waited) {
    return run_until([&] { return waited->has_value(); });
  }
  Reason outcome(const Waited& waited) {
    EXPECT_TRUE(over(waited));
    return reason_of(*waited);
  }

  Session granted(const Waited& waited) {
    EXPECT_EQ(outcome(waited), Reason::None);
    const auto& result = std::get<store::LeaseGrantResult>(std::get<Done>(**waited).reply.result);
    return {result.id, result.generation};
  }
  Session open(Member& member, int64_t ttl_ms = 6000) {
    return granted(propose(member, store::SessionOpen{.member_number = 1, .salt = 7, .ttl_ms = ttl_ms}));
  }
  Session attach(Member& member, LeaseId id) { return granted(propose(member, store::SessionAttach{.id = id})); }

  // The sessions that the leader says have ended; nullopt: the report was not acknowledged.
  std::optional<std::vector<LeaseId>> renew(Member& member, const std::vector<LeaseId>& ids) {
    auto out = std::make_shared<std::optional<Answer<std::vector<LeaseId>>>>();
    member.client().renew_sessions(ids, [out](Answer<std::vector<LeaseId>> answer) { *out = std::move(answer); });
    EXPECT_TRUE(run_until([&] { return out->has_value(); }));
    if (!out->has_value() || !**out) return std::nullopt;
    return ***out;
  }
  bool keep(Member& member, LeaseId id) {
    const auto ended = renew(member, {id});
    return ended && ended->empty();
  }
  // As this member has it, everything acknowledged included.
  std::set<LeaseId> alive(Member& member) {
    auto out = std::make_shared<std::optional<std::vector<LeaseId>>>();
    member.client().leases(store::LeaseKind::ZooKeeper,
                           [out](Answer<std::vector<LeaseId>> ids) { *out = ids ? *ids : std::vector<LeaseId>(); });
    EXPECT_TRUE(run_until([&] { return out->has_value(); }));
    return {(*out)->begin(), (*out)->end()};
  }
  std::optional<store::NodeReadsResult::Item> look(Member& member, std::string_view path,
                                                   store::NodeQuery query = store::NodeQuery::Data) {
    store::NodeReads reads;
    reads.reads.push_back({.query = query, .path = path});
    auto out = std::make_shared<std::optional<Answer<Done>>>();
    member.client().read_as({}, reads, 0, [out](Answer<Done> answer) { *out = std::move(answer); });
    EXPECT_TRUE(run_until([&] { return out->has_value(); }));
    if (!**out) return std::nullopt;
    return std::get<store::NodeReadsResult>((**out)->reply.result).items.at(0);
  }
  bool exists(Member& member, std::string_view path) {
    const auto item = look(member, path);
    return item && item->reason == Reason::None;
  }
};

// ---- Opening, moving, ending --------------------------------------------------------------------

TEST(SessionMembers, AMoveIsToldEverywhereAndEndsTheOldConnection) {  // core L5
  Sessions cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& first = cluster.other_than(*leader);
  std::vector<Notes> notes(3);
  for (size_t i = 0; i < 3; ++i) cluster[i].client().listen(notes[i]);
  const Session session = cluster.open(first);
  EXPECT_EQ(static_cast<uint64_t>(session.id.value) >> 56, 1u);
  EXPECT_EQ(session.generation, 1u);
  EXPECT_EQ(cluster.outcome(cluster.propose_as(first, session, Sessions::create("/a", true))), Reason::None);

  const Session moved = cluster.attach(*leader, session.id);
  EXPECT_EQ(moved.generation, 2u);
  EXPECT_EQ(cluster.outcome(cluster.propose_as(first, session, Sessions::create("/b", true))), Reason::SessionMoved);
  EXPECT_EQ(cluster.outcome(cluster.propose_as(*leader, moved, Sessions::create("/c", true))), Reason::None);
  const std::string news = fmt::format("{:x} as 2", session.id.value);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(cluster.run_until([&] { return notes[i].has(news); })) << i;
  EXPECT_TRUE(cluster.exists(*leader, "/a")) << "what it owns moves with it";
}

// Events, then the news, then the answer to who asked for it (core F1).
TEST(SessionMembers, AnEndIsToldAfterWhatItDeletedAndBeforeItsReply) {
  Sessions cluster(1);
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  Member& member = cluster[0];
  Notes notes;
  member.client().listen(notes);
  const Session session = cluster.open(member);
  EXPECT_EQ(cluster.outcome(cluster.propose_as(member, session, Sessions::create("/e", true))), Reason::None);
  notes.notes.clear();
  member.client().propose_as(session.caller(),
                             store::LeaseRevoke{.id = session.id, .kind = store::LeaseKind::ZooKeeper, .generation = 1},
                             [&](const Outcome&) { notes.add("reply"); });
  const Waited late = cluster.propose_as(member, session, Sessions::create("/late", true));
  EXPECT_EQ(cluster.outcome(late), Reason::SessionExpired) << "no create slips in after it";
  EXPECT_EQ(notes.notes, (std::vector<std::string>{"-/e", fmt::format("end of {:x}", session.id.value), "reply"}));
  EXPECT_EQ(cluster.outcome(cluster.propose(member, store::SessionAttach{.id = session.id})), Reason::SessionExpired);
}

// A session that is attached again in the moment in which its time is over either lives on with its full time, or its
// client hears that it is gone. Both happen.
TEST(SessionMembers, AnAttachAndAnEndAtTheSameMoment) {
  int lived = 0;
  int died = 0;
  for (int64_t ms = 0; ms < 160; ms += 4) {
    Sessions cluster(1, [](Options& options) { options.session_allowance = milliseconds(0); });
    cluster.start();
    ASSERT_NE(cluster.leader(), nullptr);
    Member& member = cluster[0];
    const Session session = cluster.open(member, 2000);
    ASSERT_EQ(cluster.outcome(cluster.propose_as(member, session, Sessions::create("/e", true))), Reason::None);
    cluster.loop().run_for(milliseconds(1960 + ms));
    const Waited attached = cluster.propose(member, store::SessionAttach{.id = session.id});
    const Reason reason = cluster.outcome(attached);
    cluster.loop().run_for(milliseconds(1500));
    const bool there = cluster.exists(member, "/e");
    EXPECT_EQ(there, reason == Reason::None) << ms;
    EXPECT_EQ(cluster.alive(member).contains(session.id), reason == Reason::None) << ms;
    ++(there ? lived : died);
  }
  EXPECT_GT(lived, 0);
  EXPECT_GT(died, 0);
}

// ---- Time ---------------------------------------------------------------------------------------

TEST(SessionTime, ReportsOfAnyMemberKeepItAndNothingElseDoes) {
  Sessions cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = cluster.other_than(*leader);
  const Session kept = cluster.open(follower, 3000);
  const Session left = cluster.open(follower, 3000);
  const Instant begin = cluster.loop().now();
  Instant ended = Instant::never();
  for (int i = 0; i < 16; ++i) {
    cluster.loop().run_for(milliseconds(500));
    EXPECT_TRUE(cluster.keep(i % 2 == 0 ? follower : *leader, kept.id)) << i;
    if (ended == Instant::never() && !cluster.alive(follower).contains(left.id)) ended = cluster.loop().now();
  }
  EXPECT_TRUE(cluster.alive(follower).contains(kept.id));
  // Its time, the allowance for late reports, and what the clockwork and this loop take.
  EXPECT_GE(ended - begin, milliseconds(4000));
  EXPECT_LE(ended - begin, milliseconds(5600));
  const auto both = cluster.renew(follower, {kept.id, left.id});
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(*both, std::vector{left.id}) << "the answer names those that have ended";
}

// A client on a follower whose leader dies keeps its session, and only a leader ends one.
TEST(SessionTime, SurvivesTheDeathOfTheLeader) {
  Sessions cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = cluster.other_than(*leader);
  const Session kept = cluster.open(follower, 4000);
  const Session left = cluster.open(follower, 4000);
  EXPECT_TRUE(cluster.keep(follower, kept.id));
  leader->kill();
  int acknowledged = 0;
  for (int i = 0; i < 24; ++i) {
    cluster.loop().run_for(milliseconds(500));
    const auto ended = cluster.renew(follower, {kept.id});
    if (!ended) continue;
    ++acknowledged;
    EXPECT_TRUE(ended->empty()) << i;
  }
  EXPECT_GT(acknowledged, 10);
  EXPECT_EQ(cluster.alive(follower), std::set{kept.id}) << "and the other one has ended";
  EXPECT_EQ(cluster.outcome(cluster.propose_as(follower, kept, Sessions::create("/mine", true))), Reason::None);
  (void)left;
}

// Without a quorum nobody leads, so nobody ends anything, however late it is.
TEST(SessionTime, NobodyEndsOneWithoutAQuorum) {
  Sessions cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  const Session session = cluster.open(*leader, 3000);
  for (size_t i = 0; i < 3; ++i) {
    if (&cluster[i] != leader) cluster[i].kill();
  }
  cluster.loop().run_for(seconds(20));
  EXPECT_FALSE(cluster.renew(*leader, {session.id}).has_value()) << "and no report is acknowledged";
  for (size_t i = 0; i < 3; ++i) {
    if (&cluster[i] != leader) cluster[i].start();
  }
  ASSERT_NE(cluster.leader(), nullptr);
  EXPECT_EQ(cluster.attach(*leader, session.id).generation, 2u) << "a new leader gives its time again";
}

// ZooKeeper 1049: a burst of expiries must cost no healthy session its life (core L7).
TEST(SessionTime, ABurstEndsNoHealthyOne) {
  Sessions cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = cluster.other_than(*leader);
  constexpr size_t kHealthy = 10'000;
  constexpr size_t kDying = 3'000;
  std::vector<Waited> opening;
  for (size_t i = 0; i < kHealthy + kDying; ++i) {
    opening.push_back(cluster.propose(i % 2 == 0 ? follower : *leader,
                                      store::SessionOpen{.member_number = 2, .salt = 1, .ttl_ms = 4000}));
  }
  std::vector<LeaseId> healthy;
  for (size_t i = 0; i < opening.size(); ++i) {
    const Session session = cluster.granted(opening[i]);
    if (i < kHealthy) healthy.push_back(session.id);
  }
  const Waited one = cluster.propose(follower, Sessions::create("/before"));
  EXPECT_EQ(cluster.outcome(one), Reason::None);
  for (int i = 0; i < 10; ++i) {
    cluster.loop().run_for(milliseconds(1000));
    const auto ended = cluster.renew(follower, healthy);
    ASSERT_TRUE(ended.has_value()) << i;
    ASSERT_TRUE(ended->empty()) << i;
  }
  const std::set<LeaseId> alive = cluster.alive(follower);
  EXPECT_EQ(alive, std::set<LeaseId>(healthy.begin(), healthy.end()));
}

// The cluster is CORRUPT when the time of a lease is over, so its end fails. It is renewed by who still renews it, and
// ends when that is over.
TEST(SessionTime, AnEndThatFailsAtApplyIsTriedAgain) {
  Sessions cluster(1, [](Options& options) { options.session_allowance = milliseconds(0); });
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  Member& member = cluster[0];
  const Session kept = cluster.open(member, 2000);
  const Session left = cluster.open(member, 2000);
  store::AlarmChange alarm{.member = 5, .kind = store::AlarmKind::Corrupt, .active = true};
  ASSERT_EQ(cluster.outcome(cluster.propose(member, alarm)), Reason::None);
  cluster.loop().run_for(seconds(5));
  EXPECT_TRUE(cluster.keep(member, kept.id)) << "its end has failed: it is there";
  const uint64_t applied = cluster.status(member).applied_index;
  cluster.loop().run_for(seconds(10));
  EXPECT_LT(cluster.status(member).applied_index, applied + 10) << "it is not tried all the time";
  EXPECT_TRUE(cluster.keep(member, kept.id));
  alarm.active = false;
  ASSERT_EQ(cluster.outcome(cluster.propose(member, alarm)), Reason::None);
  for (int i = 0; i < 11; ++i) {
    cluster.loop().run_for(seconds(1));
    EXPECT_TRUE(cluster.keep(member, kept.id));
  }
  EXPECT_EQ(cluster.alive(member), std::set{kept.id});
  (void)left;
}

// Renewing a lease with a checkpoint logs the reset first (core L3). That reset is refused once.
TEST(SessionTime, ARenewalWhoseResetIsRefusedFailsAndTheNextOneSucceeds) {
  Sessions cluster(1);
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  Member& member = cluster[0];
  const Session session = cluster.open(member, 60'000);
  cluster.loop().run_for(seconds(35));    // half of it is over and written down
  member.loop().set_skew(-seconds(600));  // this leader may append nothing (core C4)
  EXPECT_FALSE(cluster.renew(member, {session.id}).has_value());
  member.loop().set_skew(seconds(0));
  EXPECT_TRUE(cluster.keep(member, session.id));
  cluster.loop().run_for(seconds(50));
  EXPECT_TRUE(cluster.alive(member).contains(session.id)) << "it has had its full time since";
}

// ---- Order (core L5) ----------------------------------------------------------------------------

TEST(SessionOrder, AReadSeesWhatWasWrittenBeforeItAndNotWhatComesBehind) {
  Sessions cluster(3);
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = cluster.other_than(*leader);
  const Session session = cluster.open(follower);
  ASSERT_EQ(cluster.outcome(cluster.propose_as(follower, session, Sessions::create("/n"))), Reason::None);
  store::NodeReads reads;
  reads.reads.push_back({.query = store::NodeQuery::Data, .path = "/n"});
  std::vector<std::string> order;
  const auto read = [&](Ticket after) {
    follower.client().read_as(session.caller(), reads, after, [&](const Answer<Done>& answer) {
      const auto& item = std::get<store::NodeReadsResult>(answer->reply.result).items[0];
      order.push_back(fmt::format("read {}", item.value.view()));
    });
  };
  Ticket ticket = 0;
  std::vector<Waited> writes;
  for (int i = 1; i <= 3; ++i) {
    const std::string value = fmt::format("{}", i);
    ticket = follower.client().propose_as(session.caller(), Sessions::set("/n", value),
                                          [&order, value](const Outcome&) { order.push_back("wrote " + value); });
    read(ticket);
    if (i == 2) read(ticket);
  }
  ASSERT_TRUE(cluster.run_until([&] { return order.size() == 7; }));
  EXPECT_EQ(order, (std::vector<std::string>{"wrote 1", "read 1", "wrote 2", "read 2", "read 2", "wrote 3", "read 3"}));
  read(ticket);
  ASSERT_TRUE(cluster.run_until([&] { return order.size() == 8; }));
  EXPECT_EQ(order.back(), "read 3") << "what it comes after is over long since";
}

// What was refused before it was sent anywhere ends its session's turn as well: what is behind it must not be done.
TEST(SessionOrder, WhatIsRefusedAtOnceBreaksTheSession) {
  Sessions cluster(1);
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  Member& member = cluster[0];
  const Session session = cluster.open(member);
  const Session other = cluster.open(member);
  const std::string large(2 << 20, 'x');
  const Waited before = cluster.propose_as(member, session, Sessions::create("/before"));
  const Waited refused = cluster.propose_as(member, session, Sessions::set("/before", large));
  const Waited behind = cluster.propose_as(member, session, Sessions::create("/behind"));
  const Waited elsewhere = cluster.propose_as(member, other, Sessions::create("/elsewhere"));
  EXPECT_EQ(cluster.outcome(before), Reason::None);
  ASSERT_TRUE(cluster.over(refused));
  EXPECT_EQ(std::get<NotApplied>(**refused).refusal, Refusal::TooLarge);
  ASSERT_TRUE(cluster.over(behind));
  EXPECT_TRUE(std::holds_alternative<NotApplied>(**behind));
  EXPECT_FALSE(cluster.exists(member, "/behind"));
  EXPECT_EQ(cluster.outcome(elsewhere), Reason::None) << "other sessions go on";
  const Session again = cluster.attach(member, session.id);
  EXPECT_EQ(cluster.outcome(cluster.propose_as(member, again, Sessions::create("/behind"))), Reason::None);
}

TEST(SessionOrder, WhatFindsNoRoomBreaksTheSession) {
  Sessions cluster(1);
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  Member& member = cluster[0];
  const Session session = cluster.open(member);
  member.log_lane().stall(true);
  size_t answered = 0;
  constexpr size_t kMany = 100'000;  // as many as may wait
  for (size_t i = 0; i < kMany; ++i) member.client().propose(store::Nothing{}, [&](const Outcome&) { ++answered; });
  const Waited refused = cluster.propose_as(member, session, Sessions::create("/refused"));
  ASSERT_TRUE(cluster.over(refused));
  EXPECT_EQ(std::get<NotApplied>(**refused).refusal, Refusal::TooManyRequests);
  member.log_lane().stall(false);
  ASSERT_TRUE(cluster.run_until([&] { return answered == kMany; }));
  const Waited behind = cluster.propose_as(member, session, Sessions::create("/behind"));
  ASSERT_TRUE(cluster.over(behind));
  EXPECT_TRUE(std::holds_alternative<NotApplied>(**behind));
  EXPECT_FALSE(cluster.exists(member, "/behind"));
}

// One session writes a row of nodes without waiting while connections break, the lead moves and a leader dies. Whatever
// is lost: the nodes that are there in the end are the first ones of each attach.
class SessionFaults : public ::testing::TestWithParam<uint64_t> {};

TEST_P(SessionFaults, WhatIsDoneIsAlwaysABeginning) {
  Rng rng(GetParam());
  // Two times of three consensus knows of a change of leaders before the state does.
  Sessions cluster(3, [](Options&) {}, milliseconds(GetParam() % 3 * 2));
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& member = rng.chance(1, 3) ? *leader : cluster.other_than(*leader);
  Session session = cluster.open(member, 60'000);
  Member* dead = nullptr;
  for (int round = 0; round < 4; ++round) {
    const std::string base = fmt::format("/round{}", round);
    std::vector<Waited> writes{cluster.propose_as(member, session, Sessions::create(base))};
    const uint64_t last = 60 + rng.below(150);
    const uint64_t fault_at = rng.below(last - 40);
    Member* const lead = cluster.leader();
    ASSERT_NE(lead, nullptr);
    for (uint64_t i = 0; i < last; ++i) {
      writes.push_back(cluster.propose_as(member, session, Sessions::create(fmt::format("{}/{:04}", base, i))));
      if (rng.chance(1, 2)) cluster.loop().run_for(Duration(static_cast<int64_t>(rng.below(1'500'000))));
      if (i != fault_at) continue;
      const uint64_t kind = rng.below(6);
      if (kind == 0) cluster.network().cut_all();
      if (kind == 1) cluster.network().cut(1 + rng.below(cluster.network().connections_made()));
      if (kind == 2 && lead != &member) (dead = lead)->kill();
      if (kind > 2) lead->client().move_leader(cluster[rng.below(3)].id(), [](const Result<>&) {});
    }
    for (const Waited& write : writes) ASSERT_TRUE(cluster.over(write));
    if (dead != nullptr) std::exchange(dead, nullptr)->start();
    ASSERT_NE(cluster.leader(), nullptr);
    session = cluster.attach(member, session.id);

    std::set<std::string> names;
    if (const auto item = cluster.look(member, base, store::NodeQuery::Children)) {
      names.insert(item->names.begin(), item->names.end());
    }
    bool done_so_far = true;
    for (uint64_t i = 0; i < last; ++i) {
      const bool there = names.contains(fmt::format("{:04}", i));
      EXPECT_TRUE(there || i >= names.size()) << i << " is missing of " << names.size();
      const bool done = is_done(*writes[i + 1]) && reason_of(*writes[i + 1]) == Reason::None;
      EXPECT_TRUE(!done || there) << i << " was acknowledged";
      EXPECT_TRUE(!std::holds_alternative<NotApplied>(**writes[i + 1]) || !there) << i << " was said to be refused";
      EXPECT_TRUE(done_so_far || !done) << i << " is done after one that is not";
      done_so_far = done_so_far && done;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SessionFaults, ::testing::Range<uint64_t>(1, 41));

// ---- What the leader removes --------------------------------------------------------------------

TEST(IdleNodes, GoThroughTheLogWithTheLeaderThatThereIs) {
  Sessions cluster(3, [](Options& options) { options.idle_scan = seconds(2); });
  cluster.start();
  Member* leader = cluster.leader();
  ASSERT_NE(leader, nullptr);
  Member& follower = cluster.other_than(*leader);
  Notes notes;
  follower.client().listen(notes);
  const auto make = [&](std::string_view path, store::NodeKind kind, int64_t ttl_ms) {
    store::NodeTxn txn;
    txn.operations.push_back({store::CreateNode{.path = path, .kind = kind, .ttl_ms = ttl_ms}});
    EXPECT_EQ(cluster.outcome(cluster.propose(follower, txn)), Reason::None);
  };
  const auto remove = [&](std::string_view path) {
    store::NodeTxn txn;
    txn.operations.push_back({store::DeleteNode{.path = path}});
    EXPECT_EQ(cluster.outcome(cluster.propose(follower, txn)), Reason::None);
  };
  make("/used", store::NodeKind::Container, 0);
  make("/used/child", store::NodeKind::Ordinary, 0);
  make("/unused", store::NodeKind::Container, 0);
  make("/full", store::NodeKind::Container, 0);
  make("/full/child", store::NodeKind::Ordinary, 0);
  make("/short", store::NodeKind::Ttl, 3000);
  make("/long", store::NodeKind::Ttl, 60'000);
  cluster.loop().run_for(seconds(2));
  EXPECT_TRUE(cluster.exists(follower, "/short"));
  remove("/used/child");
  leader->kill();
  ASSERT_NE(cluster.leader(), nullptr);
  ASSERT_TRUE(cluster.run_until([&] { return notes.has("-/used") && notes.has("-/short"); }, seconds(8)));
  cluster.loop().run_for(seconds(10));
  for (const char* path : {"/unused", "/full", "/full/child", "/long"}) EXPECT_TRUE(cluster.exists(follower, path));
  remove("/full/child");
  EXPECT_TRUE(cluster.run_until([&] { return notes.has("-/full"); }, seconds(4)));
  EXPECT_TRUE(cluster.run_until([&] { return notes.has("-/long"); }, seconds(60)));
}

// More of them than one look takes, and more than one turn may remove.
TEST(IdleNodes, ManyGoInHelpings) {
  Sessions cluster(1, [](Options& options) { options.idle_scan = seconds(1); });
  cluster.start();
  ASSERT_NE(cluster.leader(), nullptr);
  Member& member = cluster[0];
  constexpr int kMany = 3000;
  std::vector<Waited> made;
  for (int i = 0; i < kMany; ++i) {
    const std::string path = fmt::format("/t{:04}", i);
    store::NodeTxn txn;
    txn.operations.push_back(
        {store::CreateNode{.path = path, .kind = store::NodeKind::Ttl, .ttl_ms = i % 2 == 0 ? 500 : 600'000}});
    made.push_back(cluster.propose(member, txn));
  }
  for (const Waited& one : made) ASSERT_EQ(cluster.outcome(one), Reason::None);
  const auto left = [&] { return cluster.look(member, "/", store::NodeQuery::Children)->names.size() - 1; };
  EXPECT_TRUE(cluster.run_until([&] { return left() == kMany / 2; }, seconds(10)));
  cluster.loop().run_for(seconds(5));
  EXPECT_EQ(left(), size_t{kMany} / 2);
}

}  // namespace
}  // namespace witan::node
