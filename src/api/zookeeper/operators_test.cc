// What operators ask, through fake sockets: every text is held against the shape that a running ZooKeeper 3.8.0 gave
// it.
#include "api/zookeeper/operators.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "api/zookeeper/admin.h"
#include "api/zookeeper/admin_commands.h"
#include "api/zookeeper/four_letter_texts.h"
#include "api/zookeeper/metrics.h"
#include "api/zookeeper/testing.h"
#include "api/zookeeper/words.h"

namespace witan::api::zookeeper {
namespace {

using node::View;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using testing::FakeClient;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using testing::Record;
using ::testing::StartsWith;
using testing::TestClient;
using testing::TestLoop;

class FakeMachine final : public env::Machine {
 public:
  void look(env::Loop& home, Function<void(env::MachineFacts)> done) override {
    home.post([done = std::move(done)]() mutable {
      done({.open_files = 31, .max_files = 1024, .log_bytes = 500, .snapshot_bytes = 70});
    });
  }
};

// Two loops' worth of servers, on one loop of the test's.
class OperatorsTest : public ::testing::Test {
 protected:
  OperatorsTest() {
    // Members of their own, so that sessions have different ids.
    View second = clients[1].next_view;
    second.number = 2;
    clients[1].set_view(second);
    restart(facts());
  }

  static Facts facts() {
    Facts out;
    out.version = "3.9.5-witan-1, built on 2026-01-31 12:00 UTC";
    out.whitelist = {"*"};
    out.client_port = 2181;
    out.data_dir = "/d";
    out.environment = {{"os.name", "Linux"}};
    out.properties = {{"zookeeper.a", "b"}};
    return out;
  }

  void restart(Facts told) {
    admin.reset();
    for (auto& place : places) place = {};
    auto shared = std::make_shared<const Facts>(std::move(told));
    auto desks = std::make_shared<std::vector<std::shared_ptr<Desk>>>();
    for (size_t i = 0; i < places.size(); ++i) {
      desks->push_back(std::make_shared<Desk>(Desk{.loop = &loop, .server = nullptr}));
      places[i].server = std::make_unique<Server>(loop, clients[i], shared->options, Logger());
      desks->back()->server = places[i].server.get();
    }
    for (size_t i = 0; i < places.size(); ++i) {
      places[i].operators = std::make_unique<Operators>(loop, clients[i], *places[i].server, shared, desks, &machine);
      places[i].words = std::make_unique<Words>(*places[i].operators);
      places[i].server->serve_words(*places[i].words);
    }
    admin = std::make_unique<AdminServer>(loop, *places[0].operators, AdminOptions(), Logger());
    loop.run();
  }

  // A client of loop `i` with a session.
  std::unique_ptr<TestClient> join(size_t i = 0) {
    auto peer = std::make_unique<TestClient>(loop, *places[i].server);
    EXPECT_FALSE(peer->connect().empty());
    return peer;
  }

  std::string ask(std::string_view word, size_t i = 0) {
    TestClient peer(loop, *places[i].server, "10.0.0.9:99");
    peer.write(std::string(word));
    peer.pump();
    EXPECT_TRUE(peer.closed()) << word;
    return peer.take_bytes();
  }

  std::unique_ptr<TestClient> browse() {
    return std::make_unique<TestClient>(
        loop, [this](std::unique_ptr<env::Connection> socket) { admin->accept(std::move(socket)); }, "10.0.0.9:98");
  }
  std::string fetch(std::string_view request) {
    const auto peer = browse();
    peer->write(fmt::format("{}\r\nConnection: close\r\n\r\n", request));
    peer->pump();
    EXPECT_TRUE(peer->closed()) << request;
    return peer->take_bytes();
  }
  boost::json::object command(std::string_view name) {
    const std::string answer = fetch(fmt::format("GET /commands/{} HTTP/1.1", name));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n")) << name;
    return boost::json::parse(answer.substr(answer.find("\r\n\r\n") + 4)).as_object();
  }

  static Record create(std::string_view path, int32_t flags = 0) {
    return Record().text(path).text("x").open_acl().i32(flags);
  }
  static Record read_of(std::string_view path) { return Record().text(path).boolean(true); }

  struct Place {
    std::unique_ptr<Server> server;
    std::unique_ptr<Operators> operators;
    std::unique_ptr<Words> words;
    Place() = default;
    Place(Place&&) = default;
    // What refers to others goes first.
    Place& operator=(Place&& other) noexcept {
      words = std::move(other.words);
      operators = std::move(other.operators);
      server = std::move(other.server);
      return *this;
    }
    ~Place() {
      words.reset();
      operators.reset();
    }
  };

  TestLoop loop;
  std::array<FakeClient, 2> clients{FakeClient(loop), FakeClient(loop)};
  FakeMachine machine;
  std::array<Place, 2> places;
  std::unique_ptr<AdminServer> admin;
};

TEST_F(OperatorsTest, OnlyWordsOfTheWhitelistAreCarriedOut) {
  Facts strict = facts();
  strict.whitelist = {"srvr"};
  restart(strict);
  EXPECT_THAT(ask("srvr"), StartsWith("Zookeeper version: 3.9.5"));
  for (const char* word : {"ruok", "stat", "mntr", "wchc", "isro", "crst", "dump"}) {
    EXPECT_EQ(ask(word), std::string(word) + " is not executed because it is not in the whitelist.\n");
  }
  strict.options.read_only = true;
  restart(strict);
  EXPECT_EQ(ask("isro"), "rw") << "clients look for a read-only server with it";
  strict.whitelist = {};
  restart(strict);
  EXPECT_THAT(ask("srvr"), HasSubstr("is not in the whitelist"));
  EXPECT_EQ(ask("nope"), "") << "no word at all";
}

TEST_F(OperatorsTest, ShortAnswers) {
  EXPECT_EQ(ask("ruok"), "imok");
  EXPECT_EQ(ask("isro"), "rw");
  EXPECT_EQ(ask("gtmk"), "0");
  EXPECT_EQ(ask("hash"), "");
  EXPECT_EQ(ask("dirs"), "datadir_size: 70\nlogdir_size: 500\n");
  EXPECT_EQ(ask("envi"), "Environment:\nzookeeper.version=" + facts().version + "\nos.name=Linux\n");
  EXPECT_EQ(ask("conf"),
            "clientPort=2181\nsecureClientPort=-1\ndataDir=/d\ndataDirSize=70\ndataLogDir=/d\ndataLogSize=500\n"
            "tickTime=2000\nmaxClientCnxns=60\nminSessionTimeout=4000\nmaxSessionTimeout=40000\n"
            "clientPortListenBacklog=-1\nserverId=0\n");
}

TEST_F(OperatorsTest, ConfigurationOfSeveralServersHasTheirMembers) {
  Facts three = facts();
  three.server_id = 1;
  three.init_limit = 10;
  three.sync_limit = 5;
  three.quorum_port = 2888;
  three.election_port = 3888;
  restart(three);
  clients[0].members_now = {{.id = 7, .name = "2", .peer_urls = {"http://b:2889"}, .is_learner = true, .number = 2},
                            {.id = 8, .name = "1", .peer_urls = {"http://a:2888"}, .number = 1, .zookeeper = "a:2181"}};
  EXPECT_THAT(ask("conf"), EndsWith("serverId=1\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=3888\n"
                                    "quorumPort=2888\npeerType=0\nmembership: \n"
                                    "server.1=a:2888:0:participant;a:2181\nserver.2=b:2889:0:observer\n"
                                    "version=0\n"));
  const boost::json::object view = command("voting_view").at("current_config").as_object();
  ASSERT_EQ(view.size(), 1u) << "observers do not vote";
  EXPECT_EQ(view.at("1").at("client_address"), "a:2181");
  clients[0].next_view.leader = 8;
  clients[0].set_view(clients[0].next_view);
  loop.run();
  EXPECT_EQ(command("leader").at("leader_id"), 1);
  EXPECT_EQ(command("leader").at("leader_ip"), "a");
}

TEST_F(OperatorsTest, StateCountsAllLoops) {
  const auto first = join(0);
  const auto second = join(1);
  first->call(OpCode::Create, create("/a"));
  EXPECT_THAT(ask("srvr", 1), MatchesRegex("Zookeeper version: 3\\.9\\.5-witan-1, built on 2026-01-31 12:00 UTC\n"
                                           "Latency min/avg/max: [0-9]+/[0-9]+\\.[0-9]+/[0-9]+\n"
                                           "Received: 4\nSent: 3\nConnections: 3\nOutstanding: 0\n"
                                           "Zxid: 0x[0-9a-f]+\nMode: standalone\nNode count: [0-9]+\n"));
  EXPECT_THAT(ask("stat"), MatchesRegex("Zookeeper version: [^\n]*\nClients:\n"
                                        " /127\\.0\\.0\\.1:4711\\[1\\]\\(queued=0,recved=2,sent=2\\)\n"
                                        " /10\\.0\\.0\\.9:99\\[0\\]\\(queued=0,recved=1,sent=0\\)\n"
                                        " /127\\.0\\.0\\.1:4711\\[1\\]\\(queued=0,recved=1,sent=1\\)\n\n"
                                        "Latency(.|\n)*\nConnections: 3\n(.|\n)*Node count: [0-9]+\n"));
}

TEST_F(OperatorsTest, EveryNodeIsCountedAsThereAndTheRootTwice) {
  const auto count = [this] { return command("server_stats").at("node_count").as_int64(); };
  const int64_t empty = count();
  EXPECT_EQ(empty, 5) << "/, again, /zookeeper, /zookeeper/config and /zookeeper/quota";
  const auto peer = join();
  peer->call(OpCode::Create, create("/a"));
  peer->call(OpCode::Create, create("/a/b"));
  EXPECT_EQ(count(), empty + 2);
  EXPECT_THAT(ask("mntr"), HasSubstr(fmt::format("zk_znode_count\t{}\n", empty + 2)));
  peer->call(OpCode::Delete, Record().text("/a/b").i32(-1));
  EXPECT_EQ(count(), empty + 1);
}

TEST_F(OperatorsTest, ConnectionsAreListedWithTheirSessions) {
  const auto peer = join();
  EXPECT_THAT(ask("cons"), HasSubstr(",lop=SESS,"));
  peer->call(OpCode::GetData, read_of("/"));
  EXPECT_THAT(ask("cons"), MatchesRegex(" /127\\.0\\.0\\.1:4711\\[1\\]\\(queued=0,recved=2,sent=2,sid=0x1[0-9a-f]{14},"
                                        "lop=GETD,est=[0-9]+,to=10000,lcxid=0x1,lzxid=0x[0-9a-f]+,lresp=[0-9]+,"
                                        "llat=[0-9]+,minlat=[0-9]+,avglat=[0-9]+,maxlat=[0-9]+\\)\n"
                                        " /10\\.0\\.0\\.9:99\\[0\\]\\(queued=0,recved=1,sent=0\\)\n\n"));
  EXPECT_EQ(ask("crst"), "Connection stats reset.\n");
  EXPECT_THAT(ask("cons"), HasSubstr("(queued=0,recved=0,sent=0,sid=0x1"));
  EXPECT_EQ(ask("srst"), "Server stats reset.\n");
  EXPECT_THAT(ask("srvr"), HasSubstr("Received: 1\nSent: 0\n"));
}

TEST_F(OperatorsTest, WatchesAreListedBySessionAndByPath) {
  const auto first = join(0);
  const auto second = join(1);
  EXPECT_EQ(ask("wchs"), "0 connections watching 0 paths\nTotal watches:0\n");
  EXPECT_EQ(ask("wchc"), "\n");
  EXPECT_EQ(ask("wchp"), "\n");
  first->call(OpCode::Create, create("/a"));
  first->call(OpCode::GetData, read_of("/a"));
  first->call(OpCode::GetData, read_of("/"));
  second->call(OpCode::GetData, read_of("/"));
  second->call(OpCode::GetChildren, read_of("/"));
  const auto id = [](const TestClient& peer) { return fmt::format("0x{:x}", static_cast<uint64_t>(peer.session)); };
  EXPECT_EQ(ask("wchs"), "2 connections watching 2 paths\nTotal watches:3\n") << "of data, as in ZooKeeper";
  EXPECT_EQ(ask("wchc"), fmt::format("{}\n\t/\n\t/a\n{}\n\t/\n\n", id(*first), id(*second)));
  EXPECT_EQ(ask("wchp"), fmt::format("/\n\t{0}\n\t{1}\n/a\n\t{0}\n\n", id(*first), id(*second)));
  const boost::json::object by_path = command("watches_by_path").at("path_to_session_ids").as_object();
  EXPECT_EQ(by_path.at("/").as_array().size(), 2u);
  EXPECT_EQ(by_path.at("/a").at(0), first->session);
}

TEST_F(OperatorsTest, SessionsAreDumpedWithWhatTheyOwn) {
  const auto peer = join();
  peer->call(OpCode::Create, create("/e", 1));
  const std::string id = fmt::format("0x{:x}", static_cast<uint64_t>(peer->session));
  EXPECT_THAT(ask("dump"), MatchesRegex("SessionTracker dump:\nSession Sets \\(1\\)/\\(1\\):\n1 expire at [^\n]*:\n\t" +
                                        id + "\n" + "ephemeral nodes dump:\nSessions with Ephemerals \\(1\\):\n" + id +
                                        ":\n\t/e\nConnections dump:\nConnections Sets \\([12]\\)/\\(2\\):\n" +
                                        "(.|\n)*\tip: /127\\.0\\.0\\.1:4711 sessionId: " + id + "\n(.|\n)*"));
  clients[0].members_now.push_back({.id = 8, .name = "n2", .number = 2});
  View follower = clients[0].next_view;
  follower.is_leader = false;
  clients[0].set_view(follower);
  EXPECT_THAT(ask("dump"), StartsWith("SessionTracker dump:\nGlobal Sessions(1):\n" + id + "\t10000ms\nephemeral "));
  EXPECT_EQ(command("dump").at("session_id_to_ephemeral_paths").at(std::to_string(peer->session)).at(0), "/e");
}

TEST_F(OperatorsTest, GaugesHaveZooKeepersNames) {
  const auto peer = join();
  const std::string text = ask("mntr");
  for (const char* line :
       {"zk_version\t3.9.5-witan-1, built on 2026-01-31 12:00 UTC\n", "\nzk_server_state\tstandalone\n",
        "\nzk_num_alive_connections\t2\n", "\nzk_avg_latency\t0.0\n", "\nzk_global_sessions\t1\n",
        "\nzk_open_file_descriptor_count\t31\n", "\nzk_max_file_descriptor_count\t1024\n", "\nzk_ephemerals_count\t0\n",
        "\nzk_watch_count\t0\n", "\nzk_approximate_data_size\t"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("zk_quorum_size")));
  clients[0].members_now.push_back({.id = 8, .name = "n2", .number = 2});
  EXPECT_THAT(ask("mntr"), AllOf(HasSubstr("\nzk_server_state\tleader\n"), HasSubstr("\nzk_quorum_size\t2\n"),
                                 HasSubstr("\nzk_peer_state\tleading - broadcast\n")));
  const boost::json::object monitor = command("monitor");
  EXPECT_EQ(monitor.at("open_file_descriptor_count"), 31);
  EXPECT_TRUE(monitor.at("error").is_null());
}

TEST_F(OperatorsTest, NumbersAreWrittenAsJavaWritesThem) {
  EXPECT_EQ(java_double(0), "0.0");
  EXPECT_EQ(java_double(1.01854), "1.0185");
  EXPECT_EQ(java_double(12.5), "12.5");
  EXPECT_EQ(java_date({1'795'227'139'000}), "Sat Nov 21 02:12:19 UTC 2026");
}

TEST_F(OperatorsTest, AServerWithoutALeaderSaysThatItServesNobody) {
  View none = clients[0].next_view;
  none.leader = 0;
  none.is_leader = false;
  clients[0].set_view(none);
  loop.run();
  constexpr std::string_view kNotServing = "This ZooKeeper instance is not currently serving requests\n";
  for (const char* word : {"srvr", "stat", "mntr", "cons", "wchs", "srst"}) EXPECT_EQ(ask(word), kNotServing) << word;
  EXPECT_EQ(ask("ruok"), "imok");
  EXPECT_EQ(ask("isro"), "null");
  EXPECT_THAT(ask("envi"), StartsWith("Environment:\n"));
  EXPECT_EQ(command("srvr").at("error"), "This ZooKeeper instance is not currently serving requests");
  EXPECT_TRUE(command("ruok").at("error").is_null());
}

TEST_F(OperatorsTest, BytesAfterAWordChangeNothing) {
  TestClient peer(loop, *places[0].server);
  peer.write("ruok\n");
  peer.pump();
  EXPECT_EQ(peer.take_bytes(), "imok");
  TestClient slow(loop, *places[0].server);
  slow.write("srvr");
  slow.write(std::string(1000, 'x'));
  slow.pump();
  EXPECT_THAT(slow.take_bytes(), StartsWith("Zookeeper version: "));
  EXPECT_TRUE(slow.closed());
}

TEST_F(OperatorsTest, AClientThatLeavesBeforeItsAnswerCostsNothing) {
  auto peer = std::make_unique<TestClient>(loop, *places[0].server);
  peer->write("mntr");
  peer->disconnect();
  const auto visitor = browse();
  visitor->write("GET /commands/mntr HTTP/1.1\r\n\r\n");
  visitor->disconnect();
  EXPECT_EQ(places[0].server->statistics().connections, 0u);
  EXPECT_EQ(admin->connections(), 0u);
}

// ---- over HTTP ----------------------------------------------------------------------------------

TEST_F(OperatorsTest, EveryCommandAnswersWithItsNameAndNoError) {
  for (const AdminCommand& known : admin_commands()) {
    const boost::json::object answer = command(known.name);
    EXPECT_EQ(answer.at("command").as_string(), known.name);
    if (known.name == "leader") continue;  // which a server that is alone has not
    EXPECT_TRUE(answer.at("error").is_null()) << known.name;
    for (const std::string_view also : known.also) EXPECT_EQ(command(also).at("command").as_string(), known.name);
  }
  EXPECT_EQ(command("frob").at("error"), "Unknown command: frob");
  EXPECT_EQ(command("frob\"<").at("error"), "Unknown command: frob\"<") << "whatever was asked, the answer is JSON";
  EXPECT_EQ(command("environment").at("os.name"), "Linux");
  EXPECT_EQ(command("system_properties").at("zookeeper.a"), "b");
  EXPECT_EQ(command("configuration?x=1").at("tick_time"), 2000);
  EXPECT_EQ(command("monitor").at("avg_latency"), 0.0);
}

TEST_F(OperatorsTest, WhatIsNoCommandIsRefusedInHttpsWords) {
  EXPECT_THAT(fetch("GET / HTTP/1.1"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(fetch("GET /commandsx HTTP/1.1"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(fetch("POST /commands/stat_reset HTTP/1.1"),
              AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET, HEAD\r\n")));
  EXPECT_THAT(fetch("nonsense"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(fetch("GET /commands HTTP/1.1"), HasSubstr("<a href=\"/commands/ruok\">ruok</a>"));
  EXPECT_THAT(fetch("HEAD /commands/ruok HTTP/1.1"),
              AllOf(ContainsRegex("Content-Length: [1-9]"), Not(HasSubstr("imok")), EndsWith("\r\n\r\n")));
}

TEST_F(OperatorsTest, RequestsOfAConnectionAreAnsweredOneAfterTheOther) {
  const auto peer = browse();
  peer->write(
      "GET /commands/mntr HTTP/1.1\r\n\r\nGET /commands/ruok HTTP/1.1\r\n\r\nGET /commands/is_read_only "
      "HTTP/1.1\r\n\r\n");
  peer->pump();
  const std::string answers = peer->take_bytes();
  const size_t first = answers.find("\"monitor\"");
  const size_t second = answers.find("\"ruok\"");
  const size_t third = answers.find("\"is_read_only\"");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
  EXPECT_FALSE(peer->closed());
  loop.advance(seconds(31));
  peer->pump();
  EXPECT_TRUE(peer->closed()) << "idle for too long";
  EXPECT_EQ(admin->connections(), 0u);
}

TEST_F(OperatorsTest, VisitorsBeyondTheBoundAreTurnedAway) {
  std::vector<std::unique_ptr<TestClient>> visitors;
  for (size_t i = 0; i < AdminOptions().max_connections; ++i) visitors.push_back(browse());
  EXPECT_FALSE(visitors.back()->closed());
  EXPECT_TRUE(browse()->closed());
  visitors.pop_back();
  admin->stop();
  EXPECT_EQ(admin->connections(), 0u);
  EXPECT_TRUE(browse()->closed());
}

}  // namespace
}  // namespace witan::api::zookeeper
