#include <algorithm>
#include <numeric>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/testing_member.h"

namespace witan::peer {
namespace {

using ::testing::ElementsAre;
using testing::FakeLoop;
using testing::FakeNetwork;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Member;

const raft::NodeId kA(1);
const raft::NodeId kB(2);

std::vector<uint64_t> up_to(uint64_t n) {
  std::vector<uint64_t> out(n);
  std::iota(out.begin(), out.end(), 1);
  return out;
}

// A client that speaks bytes: a member's evil or confused twin.
class Raw final : public env::ConnectionHandler {
 public:
  Raw(FakeLoop& loop, FakeNetwork& network, const env::Address& to) {
    network.connect(loop, to, seconds(1), [this](Result<std::unique_ptr<env::Connection>> made) {
      ASSERT_TRUE(made.has_value());
      connection = std::move(*made);
      connection->start(*this);
    });
    loop.run_until([&] { return connection != nullptr; });
  }
  void on_bytes(std::string_view bytes) override {
    reader.feed(bytes);
    Frame frame;
    while (reader.next(frame)) frames.emplace_back(frame.type, frame.payload);
  }
  void on_closed(std::string_view) override { closed = true; }
  void send(Chain&& bytes) { connection->write(std::move(bytes)); }
  void send(std::string_view bytes) {
    Chain chain;
    chain.append(bytes);
    send(std::move(chain));
  }

  std::unique_ptr<env::Connection> connection;
  FrameReader reader{1 << 20};
  std::vector<std::pair<FrameType, std::string>> frames;
  bool closed = false;
};

Greeting greeting(uint64_t from, uint64_t to, Purpose purpose) {
  return {.purpose = purpose,
          .hello = {.cluster_id = testing::kCluster,
                    .member = raft::NodeId(from),
                    .target = raft::NodeId(to),
                    .directory_uuid = fmt::format("dir-{}", from)}};
}

class PeersTest : public ::testing::Test {
 protected:
  void meet() {
    a.knows({&b});
    b.knows({&a});
    ASSERT_TRUE(loop.run_until([&] { return a.peers->connected(kB) && b.peers->connected(kA); }, seconds(5)));
    loop.run_for(milliseconds(100));  // the bulk lanes
  }
  // What came of a call, once it has come.
  std::optional<CallResult> call(Member& from, const Member& to, Duration timeout, std::string payload = "question",
                                 Lane lane = Lane::Control) {
    auto result = std::make_shared<std::optional<CallResult>>();
    from.peers->call(raft::NodeId(to.id), {.kind = 3, .lane = lane, .payload = Blob(payload)}, timeout,
                     [result](CallResult r) {
                       EXPECT_FALSE(result->has_value()) << "answered twice";
                       *result = std::move(r);
                     });
    EXPECT_FALSE(result->has_value()) << "answered inside the call";
    loop.run_until([&] { return result->has_value(); }, seconds(100));
    return *result;
  }

  FakeLoop loop;
  FakeNetwork network{loop, 5};
  Member a{loop, network, 1};
  Member b{loop, network, 2};
};

TEST_F(PeersTest, MessagesArriveInOrderOnBothLanes) {
  network.crumble(7);
  meet();
  for (uint64_t i = 1; i <= 50; ++i) {
    a.heartbeat(b, i);
    a.append(b, i, i % 7 == 0 ? 5000 : 10);
    if (i % 10 == 0) loop.run_for(milliseconds(1));
  }
  loop.run_for(milliseconds(10));
  EXPECT_EQ(b.rounds, up_to(50));
  EXPECT_EQ(b.indexes, up_to(50));
  EXPECT_EQ(b.from, kA);
}

TEST_F(PeersTest, MessagesOfOneTurnLeaveInOneWrite) {
  meet();
  const uint64_t before = network.flushes();
  for (uint64_t i = 1; i <= 100; ++i) a.heartbeat(b, i);
  loop.run_for(milliseconds(5));
  EXPECT_EQ(b.rounds, up_to(100));
  EXPECT_EQ(network.flushes() - before, 1u);
}

TEST_F(PeersTest, WithoutAConnectionMessagesAreDroppedAndCallsRefused) {
  a.knows({&b});
  a.heartbeat(b, 1);
  const auto result = call(a, b, seconds(1));
  ASSERT_TRUE(result.has_value());
  EXPECT_FALSE(result->error().sent);
  b.knows({&a});
  loop.run_for(seconds(5));
  EXPECT_THAT(b.rounds, IsEmpty());
  const auto stranger = call(a, Member(loop, network, 77), seconds(1));
  EXPECT_FALSE(stranger->error().sent);
  EXPECT_THAT(stranger->error().message, HasSubstr("not a member"));
}

TEST_F(PeersTest, ABulkBacklogDoesNotHoldUpTheControlLane) {
  meet();
  a.append(b, 1, 8 << 20);
  a.heartbeat(b, 1);
  EXPECT_TRUE(loop.run_until([&] { return b.rounds.size() == 1; }, milliseconds(50)));
}

TEST_F(PeersTest, BeyondTheQueueBoundMessagesAreDroppedAndCallsRefused) {
  Options options{.max_queue_bytes = 100000};
  Member c(loop, network, 3, options);
  c.knows({&b});
  b.knows({&a, &c});
  loop.run_until([&] { return c.peers->connected(kB); });
  loop.run_for(milliseconds(100));
  network.hold(true);
  for (uint64_t i = 1; i <= 20; ++i) c.append(b, i, 9900);
  const auto refused = call(c, b, milliseconds(100), std::string(20000, 'q'), Lane::Bulk);
  ASSERT_TRUE(refused.has_value() && !refused->has_value());
  EXPECT_FALSE(refused->error().sent);
  network.hold(false);
  loop.run_for(seconds(1));
  EXPECT_EQ(b.indexes, up_to(10));
  EXPECT_EQ(c.lines.count("raft messages are dropped"), 1u);
  c.append(b, 21, 10);
  loop.run_for(seconds(1));
  EXPECT_EQ(b.indexes.back(), 21u);
}

TEST_F(PeersTest, AMessageBeyondTheFrameBoundIsDroppedHereNotAtTheOtherEnd) {
  meet();
  a.append(b, 1, 17 << 20);
  a.append(b, 2, 10);
  const auto refused = call(a, b, seconds(1), std::string(17 << 20, 'q'), Lane::Bulk);
  EXPECT_FALSE(refused->error().sent);
  loop.run_for(milliseconds(10));
  EXPECT_THAT(b.indexes, ElementsAre(2));
  EXPECT_TRUE(a.peers->connected(kB));
}

TEST_F(PeersTest, CallsAreAnsweredOnTheSameConnection) {
  meet();
  const uint64_t made = network.connections_made();
  const auto result = call(a, b, seconds(1), "ping me");
  ASSERT_TRUE(result.has_value() && result->has_value());
  EXPECT_EQ((*result)->view(), "ping me");
  EXPECT_EQ(b.calls.at(0).kind, 3);
  EXPECT_EQ(b.from, kA);
  EXPECT_EQ(network.connections_made(), made);
  EXPECT_EQ(call(a, b, seconds(1), "", Lane::Bulk)->value().view(), "");
  EXPECT_EQ(b.calls.at(1).lane, Lane::Bulk);
}

TEST_F(PeersTest, AnswersFindTheirCallsInAnyOrder) {
  meet();
  b.answer_calls = false;
  std::vector<std::string> answers;
  for (const std::string text : {"x", "y", "z"}) {
    a.peers->call(kB, {.payload = Blob(text)}, seconds(1),
                  [&answers, text](const CallResult& r) { answers.push_back(text + std::string(r->view())); });
  }
  loop.run_for(milliseconds(10));
  ASSERT_EQ(b.responders.size(), 3u);
  for (const int i : {2, 0, 1}) b.responders[i](Blob(std::to_string(i)));
  loop.run_for(milliseconds(10));
  EXPECT_THAT(answers, ElementsAre("z2", "x0", "y1"));
}

TEST_F(PeersTest, ACallWithoutAnAnswerMayHaveBeenActedOn) {
  meet();
  b.answer_calls = false;
  const auto late = call(a, b, milliseconds(300));
  EXPECT_TRUE(late->error().sent);
  EXPECT_THAT(late->error().message, HasSubstr("did not answer in time"));
  b.responders.front()(Blob("too late"));
  b.responders.clear();

  std::optional<CallResult> dropped;
  a.peers->call(kB, {.payload = Blob("q")}, seconds(5), [&](CallResult r) { dropped = std::move(r); });
  loop.run_for(milliseconds(10));
  b.responders.clear();  // nobody answers it any more
  loop.run_for(milliseconds(10));
  ASSERT_TRUE(dropped.has_value());
  EXPECT_TRUE(dropped->error().sent);
  EXPECT_THAT(dropped->error().message, HasSubstr("no answer"));
}

TEST_F(PeersTest, ABrokenConnectionFailsItsCallsAndIsMadeAgain) {
  meet();
  b.answer_calls = false;
  std::optional<CallResult> result;
  a.peers->call(kB, {.payload = Blob("q")}, seconds(50), [&](CallResult r) { result = std::move(r); });
  loop.run_for(milliseconds(10));
  const auto before = a.peers->connected_since(kB);
  network.cut_all();
  loop.run_for(milliseconds(10));
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(result->error().sent);
  EXPECT_THAT(a.unreachable, ElementsAre(2, 2));  // each lane once
  ASSERT_TRUE(loop.run_until([&] { return a.peers->connected(kB); }, seconds(1)));
  EXPECT_GT(*a.peers->connected_since(kB), *before);
  b.responders.front()(Blob("into the void"));  // its connection is gone
  b.answer_calls = true;
  EXPECT_TRUE(call(a, b, seconds(1))->has_value());
}

// However the stream breaks: a call is answered or fails once, and what arrives is a prefix of what was sent.
TEST_F(PeersTest, CutAnywhereNothingIsTornOrRepeated) {
  meet();
  for (uint64_t bytes = 1; bytes < 400; bytes += 3) {
    b.indexes.clear();
    const uint64_t newest = network.connections_made();
    for (uint64_t c = 1; c <= newest; ++c) {
      if (network.delivered(c) > 0) network.cut_after(c, network.delivered(c) + bytes);
    }
    for (uint64_t i = 1; i <= 5; ++i) a.append(b, i, 40);
    int answers = 0;
    a.peers->call(kB, {.lane = Lane::Bulk, .payload = Blob("q")}, seconds(3), [&](const CallResult&) { ++answers; });
    loop.run_for(seconds(4));
    EXPECT_EQ(answers, 1);
    EXPECT_EQ(b.indexes, up_to(b.indexes.size()));
    ASSERT_TRUE(loop.run_until([&] { return a.peers->connected(kB) && b.peers->connected(kA); }, seconds(10)));
    loop.run_for(seconds(1));
  }
}

TEST_F(PeersTest, AnUnreachableMemberIsTriedAgainMoreAndMoreSlowly) {
  a.peers->set_members({{.id = raft::NodeId(9), .addresses = {{.host = "127.0.0.1", .port = 9}}}});
  loop.run_for(seconds(1));
  const size_t first = a.unreachable.size();
  EXPECT_GE(first, 6u);
  EXPECT_LE(first, 24u);
  loop.run_for(seconds(9));
  a.unreachable.clear();
  loop.run_for(seconds(60));
  EXPECT_GE(a.unreachable.size(), 50u);          // two lanes, at most max_retry apart
  EXPECT_LE(a.unreachable.size(), 130u);         // and at least half of it
  EXPECT_LE(a.lines.count("cannot reach"), 6u);  // said now and then only
}

TEST_F(PeersTest, AddressesAreTriedInTurn) {
  b.knows({&a});
  a.peers->set_members({{.id = kB, .addresses = {{.host = "127.0.0.1", .port = 9}, b.address}}});
  EXPECT_TRUE(loop.run_until([&] { return a.peers->connected(kB); }, seconds(2)));
}

// The peer vanished without a word: no reset, no end of the stream.
TEST_F(PeersTest, AHalfOpenConnectionIsNoticedByBothEnds) {
  meet();
  network.freeze(true);
  loop.run_for(seconds(3));
  EXPECT_TRUE(a.peers->connected(kB));
  loop.run_for(milliseconds(1600));
  EXPECT_FALSE(a.peers->connected(kB));
  EXPECT_FALSE(b.peers->connected(kA));
  EXPECT_EQ(b.lines.count("nothing was heard"), 4u);  // its own two lanes and the two that A made
  network.freeze(false);
  EXPECT_TRUE(loop.run_until([&] { return a.peers->connected(kB) && b.peers->connected(kA); }, seconds(8)));
}

TEST_F(PeersTest, AnIdleConnectionThatWorksStays) {
  meet();
  const auto since = a.peers->connected_since(kB);
  loop.run_for(seconds(600));
  EXPECT_EQ(a.peers->connected_since(kB), since);
  EXPECT_EQ(network.open(), 4u);
}

TEST_F(PeersTest, AMemberThatReturnsIsReachedAtOnceBothWays) {
  meet();
  b.peers.reset();
  loop.run_for(seconds(30));  // A now waits long between attempts
  Member again(loop, network, 4);
  EXPECT_TRUE(again.listening);
  Options same{.self = {.directory_uuid = "dir-2"}};
  Member b2(loop, network, 2, same);
  b2.knows({&a});
  const Instant start = loop.now();
  ASSERT_TRUE(loop.run_until([&] { return a.peers->connected(kB); }, seconds(5)));
  EXPECT_LE(loop.now() - start, milliseconds(200));
}

TEST_F(PeersTest, RemovedMembersAreDroppedAndRefused) {
  meet();
  b.answer_calls = false;
  std::optional<CallResult> open;
  a.peers->call(kB, {.payload = Blob("q")}, seconds(50), [&](CallResult r) { open = std::move(r); });
  loop.run_for(milliseconds(10));
  a.peers->set_members({}, {kB});
  EXPECT_FALSE(open.has_value()) << "answered inside a call";
  loop.run_for(milliseconds(10));
  ASSERT_TRUE(open.has_value());
  EXPECT_TRUE(open->error().sent);
  EXPECT_FALSE(a.peers->connected(kB));
  EXPECT_FALSE(b.peers->connected(kA));
  loop.run_for(seconds(5));
  EXPECT_FALSE(b.peers->connected(kA));
  EXPECT_GE(b.lines.count("member 2 is not a member of cluster c1"), 1u);
  a.knows({&b});
  EXPECT_TRUE(loop.run_until([&] { return a.peers->connected(kB) && b.peers->connected(kA); }, seconds(5)));
}

// Scenario M1.1: A was down while B was added and everybody whom A knows was removed. B leads and is the only one who
// can tell A, and it needs A's answers to do so, perhaps even A's vote to lead at all (thesis 4.1).
TEST_F(PeersTest, AMemberOfANewerMembershipIsHeardAndAnswered) {
  a.knows({});
  b.knows({&a});
  ASSERT_TRUE(loop.run_until([&] { return b.peers->connected(kA); }, seconds(5)));
  loop.run_for(milliseconds(100));
  b.heartbeat(a, 7);
  b.append(a, 5);
  loop.run_for(milliseconds(50));
  EXPECT_THAT(a.rounds, ElementsAre(7));
  EXPECT_THAT(a.indexes, ElementsAre(5));
  EXPECT_EQ(a.from, kB);
  a.send(b, raft::HeartbeatReply{.term = raft::Term(1), .round = 7});
  a.send(b, raft::AppendReply{.term = raft::Term(1), .accepted = true, .match = raft::Index(5)});
  a.heartbeat(b, 9);
  loop.run_for(milliseconds(50));
  EXPECT_THAT(b.answered, ElementsAre(7));
  EXPECT_THAT(b.matched, ElementsAre(5));
  EXPECT_EQ(b.from, kA);
  EXPECT_THAT(b.rounds, IsEmpty()) << "only answers go to who is no member";

  const auto asked = call(b, a, seconds(5));
  EXPECT_FALSE(asked->has_value());
  EXPECT_FALSE(asked->error().sent);
  EXPECT_THAT(a.calls, IsEmpty());

  const Instant since = *b.peers->connected_since(kA);
  a.knows({&b});
  ASSERT_TRUE(loop.run_until([&] { return a.peers->connected(kB); }, seconds(5)));
  EXPECT_EQ(b.peers->connected_since(kA), since) << "becoming known costs no connection";
  EXPECT_TRUE(call(b, a, seconds(5))->has_value());
  a.peers->set_members({}, {kB});
  loop.run_for(seconds(1));
  EXPECT_FALSE(b.peers->connected(kA));
}

TEST_F(PeersTest, AMemberThatTurnsOutToHaveAnotherDirectoryIsDropped) {
  a.knows({});
  b.knows({&a});
  ASSERT_TRUE(loop.run_until([&] { return b.peers->connected(kA); }, seconds(5)));
  PeerRecord record = b.record();
  record.directory_uuid = "dir-other";
  a.peers->set_members({record});
  loop.run_for(seconds(1));
  EXPECT_FALSE(b.peers->connected(kA));
}

TEST_F(PeersTest, AnswersToWhoIsNoMemberPreferItsControlConnection) {
  const auto connect = [&](Purpose purpose) {
    auto raw = std::make_unique<Raw>(loop, network, a.address);
    raw->send(make_frame(FrameType::Hello, encode(greeting(2, 1, purpose))));
    loop.run_for(milliseconds(10));
    EXPECT_EQ(raw->frames.size(), 1u);
    return raw;
  };
  const auto answer = [&] {
    a.send(b, raft::HeartbeatReply{.term = raft::Term(1), .round = 3});
    loop.run_for(milliseconds(10));
  };
  const auto snapshot = connect(Purpose::Snapshot);
  const auto bulk = connect(Purpose::Bulk);
  answer();
  EXPECT_EQ(bulk->frames.size(), 2u);
  const auto control = connect(Purpose::Control);
  answer();
  EXPECT_EQ(control->frames.size(), 2u);
  EXPECT_EQ(control->frames[1].first, FrameType::Message);
  EXPECT_EQ(bulk->frames.size(), 2u);
  EXPECT_EQ(snapshot->frames.size(), 1u);
}

TEST_F(PeersTest, ConnectionsOfWhoIsNoMemberAreBounded) {
  std::vector<std::unique_ptr<Raw>> raws;
  size_t welcome = 0;
  for (uint64_t i = 0; i < 60; ++i) {
    raws.push_back(std::make_unique<Raw>(loop, network, a.address));
    raws.back()->send(make_frame(FrameType::Hello, encode(greeting(100 + i, 1, Purpose::Control))));
    loop.run_for(milliseconds(10));
    ASSERT_EQ(raws.back()->frames.size(), 1u);
    welcome += raws.back()->frames[0].first == FrameType::Welcome ? 1 : 0;
  }
  EXPECT_EQ(welcome, 48u);
  EXPECT_THAT(raws.back()->frames[0].second, HasSubstr("too many"));
  meet();
}

// Somebody who answers where a member was called, and then says what the test wants.
class Callee final : public env::ConnectionHandler {
 public:
  explicit Callee(std::unique_ptr<env::Connection> made) : connection(std::move(made)) { connection->start(*this); }
  void on_bytes(std::string_view bytes) override {
    reader.feed(bytes);
    Frame frame;
    while (reader.next(frame)) {
      if (frame.type != FrameType::Hello) continue;
      const Greeting caller = decode_greeting(frame.payload).value();
      const Greeting mine = greeting(caller.hello.target.value, caller.hello.member.value, caller.purpose);
      connection->write(make_frame(FrameType::Welcome, encode(mine)));
    }
  }
  void on_closed(std::string_view) override { closed = true; }

  std::unique_ptr<env::Connection> connection;
  FrameReader reader{1 << 20};
  bool closed = false;
};

TEST_F(PeersTest, OnlyAnswersComeBackOnAConnectionOfOurs) {
  const env::Address at{.host = "127.0.0.1", .port = 2007};
  const std::vector<std::pair<raft::Message, bool>> messages = {
      {raft::HeartbeatReply{.term = raft::Term(1), .round = 4}, true},
      {raft::Heartbeat{.term = raft::Term(1), .round = 4}, false},
      {raft::AppendRequest{.term = raft::Term(1)}, false},
      {raft::TimeoutNow{.term = raft::Term(1)}, false},
  };
  for (const auto& [message, taken] : messages) {
    std::vector<std::unique_ptr<Callee>> callees;
    std::vector<env::AcceptTarget> targets;
    targets.push_back({.loop = &loop, .on_accept = [&](std::unique_ptr<env::Connection> made) {
                         callees.push_back(std::make_unique<Callee>(std::move(made)));
                       }});
    const auto listener = network.listen(at, std::move(targets)).value();
    a.peers->set_members({{.id = raft::NodeId(7), .addresses = {at}}});
    ASSERT_TRUE(loop.run_until([&] { return a.peers->connected(raft::NodeId(7)); }, seconds(5)));
    loop.run_for(milliseconds(50));
    callees.at(0)->connection->write(make_frame(FrameType::Message, encode(message)));
    loop.run_for(milliseconds(20));
    EXPECT_EQ(callees.at(0)->closed, !taken) << describe(message);
    a.peers->set_members({});
    loop.run_for(milliseconds(50));
  }
  EXPECT_THAT(a.answered, ElementsAre(4));
  EXPECT_THAT(a.rounds, IsEmpty());
}

TEST_F(PeersTest, AnotherClusterIsToldWhatIsWrong) {
  Options options{.self = {.cluster_id = 0xc2}};
  Member c(loop, network, 3, options);
  c.knows({&a});
  a.knows({&c});
  loop.run_for(seconds(3));
  EXPECT_FALSE(c.peers->connected(kA));
  EXPECT_FALSE(a.peers->connected(raft::NodeId(3)));
  EXPECT_GE(c.lines.count("refused: member 1 belongs to cluster c1 and member 3 to cluster c2"), 1u);
}

TEST_F(PeersTest, AnotherDirectoryIsRefusedEvenWhileConnected) {
  meet();
  PeerRecord record = b.record();
  record.directory_uuid = "dir-2";
  a.peers->set_members({record});
  loop.run_for(seconds(1));
  EXPECT_TRUE(a.peers->connected(kB) && b.peers->connected(kA));
  record.directory_uuid = "dir-other";
  a.peers->set_members({record});
  loop.run_for(seconds(5));
  EXPECT_FALSE(a.peers->connected(kB));
  EXPECT_FALSE(b.peers->connected(kA));
  EXPECT_GE(b.lines.count("comes with data directory dir-2 but joined the cluster with dir-other"), 1u);
}

TEST_F(PeersTest, HellosAreReported) {
  std::vector<std::string> heard;
  a.peers->on_hello([&](const Hello& hello) { heard.push_back(hello.directory_uuid); });
  meet();
  EXPECT_THAT(heard, ElementsAre("dir-2", "dir-2", "dir-2", "dir-2"));  // two lanes each way
}

TEST_F(PeersTest, AJoinerAsksBeforeItIsAMember) {
  Options options{.self = {.cluster_id = 0x77}};
  Member joiner(loop, network, 8, options);
  std::optional<CallResult> result;
  joiner.peers->call_address(a.address, {.kind = 9, .payload = Blob("who is there?")}, seconds(2),
                             [&](CallResult r) { result = std::move(r); });
  EXPECT_TRUE(loop.run_until([&] { return result.has_value(); }, seconds(1)));
  EXPECT_EQ(result->value().view(), "who is there?");
  EXPECT_EQ(a.from, raft::kNobody);
  EXPECT_EQ(a.calls.at(0).kind, 9);
  loop.run_for(seconds(1));
  EXPECT_EQ(network.open(), 0u);

  a.answer_calls = false;
  result.reset();
  joiner.peers->call_address(a.address, {.payload = Blob("q")}, seconds(2),
                             [&](CallResult r) { result = std::move(r); });
  loop.run_for(milliseconds(2100));
  EXPECT_TRUE(result->error().sent);
  result.reset();
  joiner.peers->call_address({.host = "127.0.0.1", .port = 9}, {.payload = Blob("q")}, seconds(2),
                             [&](CallResult r) { result = std::move(r); });
  loop.run_for(milliseconds(100));
  EXPECT_FALSE(result->error().sent);
  EXPECT_THAT(result->error().message, HasSubstr("127.0.0.1:9"));
}

TEST_F(PeersTest, SilentStrangersAreFewAndShown) {
  meet();
  std::vector<std::unique_ptr<Raw>> strangers;
  for (int i = 0; i < 100; ++i) strangers.push_back(std::make_unique<Raw>(loop, network, a.address));
  loop.run_for(milliseconds(10));
  const auto alive = [&] { return std::ranges::count_if(strangers, [](const auto& raw) { return !raw->closed; }); };
  EXPECT_EQ(alive(), 64);
  Member c(loop, network, 3);  // still gets in
  a.knows({&b, &c});
  c.knows({&a});
  EXPECT_TRUE(loop.run_until([&] { return c.peers->connected(kA); }, seconds(1)));
  loop.run_for(seconds(4));
  EXPECT_EQ(alive(), 0);
  EXPECT_TRUE(a.peers->connected(kB));
}

TEST_F(PeersTest, HostileBytesCloseTheirOwnConnectionOnly) {
  meet();
  const std::string hello = make_frame(FrameType::Hello, encode(greeting(2, 1, Purpose::Join))).flatten();
  const std::vector<std::string> attacks = {
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      std::string(9, '\xff'),
      make_frame(FrameType::Hello, "garbage").flatten(),
      make_frame(FrameType::Hello, std::string(kMaxGreetingBytes + 1, 'x')).flatten(),
      make_frame(FrameType::Message, "before any greeting").flatten(),
      make_frame(FrameType::Welcome, encode(greeting(2, 1, Purpose::Control))).flatten(),
      hello,
  };
  for (const std::string& attack : attacks) {
    Raw raw(loop, network, a.address);
    raw.send(attack);
    loop.run_for(milliseconds(50));
    EXPECT_TRUE(raw.closed) << attack;
  }
  EXPECT_TRUE(a.peers->connected(kB) && b.peers->connected(kA));
}

TEST_F(PeersTest, AMemberThatTalksNonsenseLosesItsConnection) {
  a.peers->set_members({{.id = kB, .addresses = {}}});
  const std::vector<std::string> nonsense = {
      make_frame(FrameType::Message, "\x09").flatten(),
      make_frame(FrameType::Message, "").flatten(),
      make_frame(FrameType::Call, "\xff\xff").flatten(),
      make_frame(FrameType::Reply, "").flatten(),
      make_frame(FrameType::SnapshotPiece, "x").flatten(),
      make_frame(FrameType::Hello, encode(greeting(2, 1, Purpose::Control))).flatten(),
      std::string("\xff\xff\xff\x7f\0\0\0\0\6", 9),
  };
  for (const std::string& bytes : nonsense) {
    Raw raw(loop, network, a.address);
    raw.send(make_frame(FrameType::Hello, encode(greeting(2, 1, Purpose::Control))));
    loop.run_for(milliseconds(10));
    ASSERT_EQ(raw.frames.size(), 1u);
    EXPECT_EQ(raw.frames[0].first, FrameType::Welcome);
    raw.send(bytes);
    loop.run_for(milliseconds(50));
    EXPECT_TRUE(raw.closed);
  }
  EXPECT_THAT(a.rounds, IsEmpty());
}

TEST_F(PeersTest, ARefusalReachesWhoWasRefused) {
  Raw raw(loop, network, a.address);
  raw.send(make_frame(FrameType::Hello, encode(greeting(5, 9, Purpose::Control))));
  loop.run_for(milliseconds(50));
  ASSERT_EQ(raw.frames.size(), 1u);
  EXPECT_EQ(raw.frames[0].first, FrameType::Refuse);
  EXPECT_THAT(raw.frames[0].second, HasSubstr("member 9 was called at an address where member 1 answers"));
  EXPECT_TRUE(raw.closed);
}

TEST_F(PeersTest, ANewConnectionOfAMemberReplacesItsOldOne) {
  a.peers->set_members({{.id = kB, .addresses = {}}});
  Raw first(loop, network, a.address);
  first.send(make_frame(FrameType::Hello, encode(greeting(2, 1, Purpose::Bulk))));
  loop.run_for(milliseconds(10));
  Raw second(loop, network, a.address);
  second.send(make_frame(FrameType::Hello, encode(greeting(2, 1, Purpose::Bulk))));
  loop.run_for(milliseconds(10));
  EXPECT_TRUE(first.closed);
  EXPECT_FALSE(second.closed);
}

TEST_F(PeersTest, OpenCallsOfOneConnectionAreBounded) {
  meet();
  b.answer_calls = false;
  size_t refused = 0;
  for (int i = 0; i < 8200; ++i) {
    a.peers->call(kB, {.payload = Blob("q")}, seconds(30),
                  [&](const CallResult& r) { refused += !r && !r.error().sent ? 1 : 0; });
  }
  loop.run_for(seconds(1));
  EXPECT_EQ(b.responders.size(), 8192u);
  EXPECT_EQ(refused, 8u);
}

TEST_F(PeersTest, ThePortInUseIsAnError) {
  Member twin(loop, network, 1);
  EXPECT_FALSE(twin.listening);
}

TEST_F(PeersTest, NothingIsCalledAfterItsEnd) {
  meet();
  b.answer_calls = false;
  bool called = false;
  a.peers->call(kB, {.payload = Blob("q")}, seconds(1), [&](const CallResult&) { called = true; });
  a.peers->call(raft::NodeId(99), {.payload = Blob("q")}, seconds(1), [&](const CallResult&) { called = true; });
  a.peers->call_address(b.address, {.payload = Blob("q")}, seconds(1), [&](const CallResult&) { called = true; });
  a.peers.reset();
  loop.run_for(seconds(10));
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace witan::peer
