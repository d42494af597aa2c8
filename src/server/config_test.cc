#include "server/config.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/command_line.h"

namespace witan::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ValuesTest, Durations) {
  EXPECT_EQ(parse_duration("1h"), Duration(seconds(3600)));
  EXPECT_EQ(parse_duration("1h30m"), Duration(seconds(5400)));
  EXPECT_EQ(parse_duration("250ms"), Duration(milliseconds(250)));
  EXPECT_EQ(parse_duration("1.5s"), Duration(milliseconds(1500)));
  EXPECT_EQ(parse_duration("7d"), Duration(seconds(7 * 86400)));
  EXPECT_EQ(parse_duration("0"), Duration(0));
  for (const char* bad :
       {"", "soon", "1", "h", "1x", "-1s", "1h ", "1.s", "99999999999999999999s", "9000000000h", "1h1"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
}

TEST(ValuesTest, Sizes) {
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("64MiB"), 64u << 20);
  EXPECT_EQ(parse_bytes("1.5 MiB"), 1536u << 10);
  EXPECT_EQ(parse_bytes("10MB"), 10'000'000u);
  EXPECT_EQ(parse_bytes("2GiB"), uint64_t{2} << 30);
  EXPECT_EQ(parse_bytes("0"), 0u);
  for (const char* bad : {"", "-5", "much", "1.5", "64 mib", "MiB", "1MiBB", "5000000000GiB", "18446744073709551616"}) {
    EXPECT_FALSE(parse_bytes(bad).has_value()) << bad;
  }
}

TEST(ValuesTest, TheNearestName) {
  EXPECT_EQ(edits_between("data-dir", "data-dir"), 0u);
  EXPECT_EQ(edits_between("dtaa-dir", "data-dir"), 1u);
  EXPECT_EQ(edits_between("", "abc"), 3u);
  const std::vector<std::string_view> names = {"data-dir", "log-level", "name"};
  EXPECT_EQ(nearest_name("datadir", names), "data-dir");
  EXPECT_EQ(nearest_name("loglvel", names), "log-level");
  EXPECT_EQ(nearest_name("frobnicate", names), "");
}

// A command line in surroundings of its own.
class CommandLineTest : public ::testing::Test {
 protected:
  Invocation run(std::vector<std::string> words) { return read_command_line(std::move(words), surroundings); }
  Config config(std::vector<std::string> words) {
    words.insert(words.begin(), "serve");
    const Invocation invocation = run(words);
    EXPECT_TRUE(invocation.serve.has_value()) << invocation.text;
    return invocation.serve.value_or(Config());
  }
  // The one line that says why not.
  std::string refusal(std::vector<std::string> words) {
    words.insert(words.begin(), "serve");
    const Invocation invocation = run(words);
    EXPECT_FALSE(invocation.serve.has_value());
    EXPECT_EQ(invocation.exit_code, 2);
    EXPECT_EQ(std::ranges::count(invocation.text, '\n'), 1) << invocation.text;
    return invocation.text;
  }

  std::map<std::string, std::string> variables, files;
  Surroundings surroundings{.environment = [this](const std::string& name) -> std::optional<std::string> {
                              const auto at = variables.find(name);
                              return at == variables.end() ? std::nullopt : std::optional(at->second);
                            },
                            .read_file = [this](const std::string& path) -> Result<std::string> {
                              const auto at = files.find(path);
                              if (at == files.end())
                                return fail(Code::Io, "the configuration file " + path + " cannot be read");
                              return at->second;
                            }};
};

TEST_F(CommandLineTest, WithoutFlagsItIsAServerOfItsOwn) {
  const Config c = config({});
  EXPECT_EQ(c.name, "n1");
  EXPECT_EQ(c.etcd_listen->text(), "127.0.0.1:2379");
  EXPECT_EQ(c.peer_listen->text(), "127.0.0.1:2380");
  EXPECT_THAT(c.initial_cluster, ElementsAre(NamedAddress{"n1", *c.peer_listen}));
  EXPECT_THAT(c.etcd_advertise, ElementsAre(*c.etcd_listen));
  EXPECT_EQ(c.peer_advertise, c.peer_listen);
  EXPECT_EQ(c.max_request_bytes, 1536u * 1024);
  EXPECT_EQ(c.auto_compaction, Duration(seconds(3600)));
  EXPECT_EQ(c.history_bytes, 1u << 30);
  EXPECT_FALSE(c.join_existing);
}

TEST_F(CommandLineTest, EveryFlagIsTaken) {
  const Config c = config({"--name",
                           "b",
                           "--data-dir",
                           "/d",
                           "--etcd-listen",
                           "http://10.0.0.1:1",
                           "--etcd-advertise",
                           "h1:1,http://h2:2/",
                           "--peer-listen",
                           "[::1]:3",
                           "--peer-advertise",
                           "h1:3",
                           "--initial-cluster",
                           "a=h0:3,b=http://h1:3",
                           "--initial-cluster-state",
                           "existing",
                           "--initial-cluster-token",
                           "t",
                           "--heartbeat-ms",
                           "10",
                           "--election-ms=200",
                           "--snapshot-entries",
                           "5",
                           "--snapshot-bytes",
                           "1MiB",
                           "--api-threads",
                           "0",
                           "--auto-compaction",
                           "90s",
                           "--history-bytes",
                           "5GiB",
                           "--memory-quota",
                           "2GiB",
                           "--max-request-bytes",
                           "100",
                           "--log-level",
                           "debug",
                           "--log-format",
                           "json"});
  EXPECT_EQ(c.name, "b");
  EXPECT_EQ(c.data_dir, "/d");
  EXPECT_EQ(c.etcd_listen->text(), "10.0.0.1:1");
  ASSERT_EQ(c.etcd_advertise.size(), 2u);
  EXPECT_EQ(c.etcd_advertise[1].url(), "http://h2:2");
  EXPECT_EQ(c.peer_listen->text(), "[::1]:3");
  EXPECT_EQ(c.peer_advertise->text(), "h1:3");
  ASSERT_EQ(c.initial_cluster.size(), 2u);
  EXPECT_EQ(c.initial_cluster[1].address.text(), "h1:3");
  EXPECT_TRUE(c.join_existing);
  EXPECT_EQ(c.initial_cluster_token.value_or(""), "t");
  EXPECT_EQ(c.heartbeat, Duration(milliseconds(10)));
  EXPECT_EQ(c.election, Duration(milliseconds(200)));
  EXPECT_EQ(c.snapshot_entries, 5u);
  EXPECT_EQ(c.snapshot_bytes, 1u << 20);
  EXPECT_EQ(c.api_threads, 0u);
  EXPECT_EQ(c.auto_compaction, Duration(seconds(90)));
  EXPECT_EQ(c.history_bytes, uint64_t{5} << 30);
  EXPECT_EQ(c.memory_quota, uint64_t{2} << 30);
  EXPECT_EQ(c.max_request_bytes, 100u);
  EXPECT_EQ(c.log_level, LogLevel::Debug);
  EXPECT_EQ(c.log_format, os::LogFormat::Json);
}

TEST_F(CommandLineTest, ApisCanBeOff) {
  const Config zookeeper = config({"--etcd-listen", "off", "--zookeeper-4lw", "ruok, mntr", "--zookeeper-admin-listen",
                                   "127.0.0.1:8080", "--zookeeper-enforce-quota", "true"});
  EXPECT_FALSE(zookeeper.etcd_listen.has_value());
  EXPECT_TRUE(zookeeper.etcd_advertise.empty());
  EXPECT_THAT(zookeeper.zookeeper_words, ElementsAre("ruok", "mntr"));
  EXPECT_EQ(zookeeper.zookeeper_admin_listen->port, 8080);
  EXPECT_TRUE(zookeeper.zookeeper_enforce_quota);
  const Config alone = config({"--peer-listen", "off", "--zookeeper-listen", "off"});
  EXPECT_EQ(alone.initial_cluster.size(), 1u);
  EXPECT_FALSE(alone.peer_listen || alone.zookeeper_listen || alone.zookeeper_admin_listen);
  EXPECT_THAT(refusal({"--etcd-listen", "off", "--zookeeper-listen", "off"}), HasSubstr("no client could connect"));
  EXPECT_THAT(refusal({"--peer-listen", "off", "--initial-cluster", "n1=h:1,n2=h:2"}), HasSubstr("--peer-listen off"));
  EXPECT_THAT(refusal({"--zookeeper-listen", "off", "--zookeeper-admin-listen", "h:1"}),
              HasSubstr("--zookeeper-admin-listen"));
  EXPECT_THAT(refusal({"--zookeeper-admin-listen", "127.0.0.1:2181"}),
              AllOf(HasSubstr("--zookeeper-listen"), HasSubstr("127.0.0.1:2181")));
  EXPECT_THAT(refusal({"--zookeeper-4lw", "ruok,everything"}), HasSubstr("everything"));
}

TEST_F(CommandLineTest, AFlagWinsOverTheEnvironmentAndThatOverTheFile) {
  files["w.toml"] = "name = \"from-file\"\nheartbeat-ms = 11\nmax-request-bytes = '2MiB'\n";
  EXPECT_EQ(config({"--config", "w.toml"}).name, "from-file");
  EXPECT_EQ(config({"--config", "w.toml"}).heartbeat, Duration(milliseconds(11)));
  EXPECT_EQ(config({"--config", "w.toml"}).max_request_bytes, 2u << 20);
  variables["WITAN_NAME"] = "from-environment";
  EXPECT_EQ(config({"--config", "w.toml"}).name, "from-environment");
  EXPECT_EQ(config({"--config", "w.toml", "--name", "from-flag"}).name, "from-flag");
  variables["WITAN_CONFIG"] = "w.toml";
  EXPECT_EQ(config({}).heartbeat, Duration(milliseconds(11)));
}

TEST_F(CommandLineTest, EverySettingIsUnderstoodInTheEnvironment) {
  for (const Setting& setting : settings()) {
    variables.clear();
    variables[environment_name(setting.name)] = "";
    EXPECT_THAT(refusal({}), HasSubstr(environment_name(setting.name)));
  }
}

TEST_F(CommandLineTest, UsersOfSaslComeFromAFile) {
  EXPECT_FALSE(config({}).zookeeper_sasl_users.has_value());
  EXPECT_FALSE(config({}).zookeeper_sasl_ids);
  files["users"] = "ann:secret\nbob:pass:word\n";
  const Config c = config({"--zookeeper-sasl-users", "users", "--zookeeper-sasl-super", "ann,eve"});
  EXPECT_EQ(c.zookeeper_sasl_users, (Passwords{{"ann", "secret"}, {"bob", "pass:word"}}));
  EXPECT_THAT(c.zookeeper_sasl_super, ElementsAre("ann", "eve"));
  EXPECT_TRUE(c.zookeeper_sasl_ids);
  EXPECT_THAT(refusal({"--zookeeper-sasl-users", "nowhere"}), HasSubstr("nowhere"));
  EXPECT_THAT(refusal({"--zookeeper-sasl-super", "ann,"}), HasSubstr("--zookeeper-sasl-super"));
  files["users"] += "secret\n";
  EXPECT_THAT(refusal({"--zookeeper-sasl-users", "users"}),
              AllOf(HasSubstr("users, line 3"), ::testing::Not(HasSubstr("secret"))));
}

TEST_F(CommandLineTest, RefusalsNameTheFlagAndTheValue) {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> cases = {
      {{"--frobnicate"}, {"--frobnicate"}},
      {{"--datadir", "x"}, {"--datadir", "--data-dir"}},
      {{"--heartbeat-ms", "abc"}, {"--heartbeat-ms", "abc"}},
      {{"--heartbeat-ms", "0"}, {"--heartbeat-ms"}},
      {{"--election-ms", "50"}, {"--election-ms", "--heartbeat-ms"}},
      {{"--election-ms", "-1"}, {"--election-ms", "-1"}},
      {{"--etcd-listen", "nonsense"}, {"--etcd-listen", "nonsense"}},
      {{"--etcd-listen", "127.0.0.1:99999"}, {"99999"}},
      {{"--etcd-listen", "0.0.0.0:2379"}, {"--etcd-listen 0.0.0.0:2379", "--etcd-advertise"}},
      {{"--peer-listen", "[::]:2380"}, {"--peer-listen", "--peer-advertise"}},
      {{"--etcd-listen", "127.0.0.1:0"}, {"--etcd-advertise"}},
      {{"--peer-listen", "127.0.0.1:2379"}, {"--etcd-listen", "--peer-listen"}},
      {{"--initial-cluster-state", "maybe"}, {"--initial-cluster-state", "maybe", "existing"}},
      {{"--initial-cluster", "n1"}, {"--initial-cluster", "name=host:port"}},
      {{"--initial-cluster", "a=h:1,a=h:2"}, {"twice"}},
      {{"--initial-cluster", "a=h:1,b=h:1"}, {"twice"}},
      {{"--initial-cluster", "a=h:1,"}, {"name=host:port"}},
      {{"--log-level", "loud"}, {"--log-level", "loud", "debug"}},
      {{"--log-format", "xml"}, {"--log-format", "xml", "json"}},
      {{"--snapshot-entries", "0"}, {"--snapshot-entries"}},
      {{"--max-request-bytes", "-5"}, {"--max-request-bytes", "-5"}},
      {{"--max-request-bytes", "1GiB"}, {"10MiB"}},
      {{"--auto-compaction", "soon"}, {"--auto-compaction", "soon", "1h"}},
      {{"--api-threads", "100000"}, {"--api-threads", "256"}},
      {{"--name", "a,b"}, {"--name"}},
      {{"--name"}, {"--name"}},
      {{"--name", "a", "--name", "b"}, {"--name"}},
      {{"--config", "/nonexistent/witan.toml"}, {"/nonexistent/witan.toml"}},
      {{"surplus"}, {"surplus"}},
  };
  for (const auto& [words, parts] : cases) {
    const std::string line = refusal(words);
    for (const std::string& part : parts) EXPECT_THAT(line, HasSubstr(part));
  }
}

TEST_F(CommandLineTest, TheFileIsRefusedByLine) {
  files["w.toml"] = "name = \"a\"\n\nlog-levl = \"info\"\n";
  EXPECT_THAT(refusal({"--config", "w.toml"}),
              AllOf(HasSubstr("w.toml, line 3"), HasSubstr("log-levl"), HasSubstr("'log-level' meant?")));
  files["w.toml"] = "api-threads = \"many\"\n";
  EXPECT_THAT(refusal({"--config", "w.toml"}), AllOf(HasSubstr("line 1"), HasSubstr("api-threads"), HasSubstr("many")));
  files["w.toml"] = "name = \"a\"\napi-threads = = 2\n";
  EXPECT_THAT(refusal({"--config", "w.toml"}), HasSubstr("w.toml, line 2"));
  files["w.toml"] = "heartbeat-ms = 1.5\n";
  EXPECT_THAT(refusal({"--config", "w.toml"}), HasSubstr("heartbeat-ms"));
  files["w.toml"] = "[server]\nname = 'a'\n";
  EXPECT_THAT(refusal({"--config", "w.toml"}), HasSubstr("server"));
}

TEST_F(CommandLineTest, HelpAndVersion) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"}, {"serve", "--help"}, {"version"}}) {
    const Invocation invocation = run(words);
    EXPECT_FALSE(invocation.serve.has_value());
    EXPECT_EQ(invocation.exit_code, 0);
  }
  EXPECT_EQ(run({"version"}).text, "witan 0.1.0\n");
  EXPECT_THAT(run({"--help"}).text, AllOf(HasSubstr("serve"), HasSubstr("version"), HasSubstr("etcdctl")));
  const std::string help = run({"serve", "--help"}).text;
  for (const Setting& setting : settings()) EXPECT_THAT(help, HasSubstr("--" + std::string(setting.name)));
  EXPECT_THAT(help, AllOf(HasSubstr("--config"), HasSubstr("WITAN_DATA_DIR")));
}

TEST_F(CommandLineTest, WithoutACommandItSaysWhatThereIs) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{}, {"frobnicate"}, {"version", "surplus"}, {"--frobnicate"}}) {
    const Invocation invocation = run(words);
    EXPECT_EQ(invocation.exit_code, 2);
    EXPECT_EQ(std::ranges::count(invocation.text, '\n'), 1) << invocation.text;
  }
}

TEST_F(CommandLineTest, ImportOfZookeeper) {
  const Invocation all = run({"import", "zookeeper", "/zk", "--data-log-dir", "/logs", "--dry-run", "--json"});
  ASSERT_TRUE(all.import_zookeeper.has_value()) << all.text;
  EXPECT_EQ(all.import_zookeeper->data_dir, "/zk");
  EXPECT_EQ(all.import_zookeeper->data_log_dir, "/logs");
  EXPECT_TRUE(all.import_zookeeper->json);
  EXPECT_FALSE(all.serve.has_value());
  EXPECT_FALSE(run({"import", "zookeeper", "/zk", "--dry-run"}).import_zookeeper->json);
  EXPECT_FALSE(all.import_zookeeper->target.has_value());
  const Invocation real = run({"import", "zookeeper", "/zk", "--data-dir", "/d", "--name", "n7", "--peer-listen",
                               "10.0.0.1:2380", "--initial-cluster-token", "t"});
  ASSERT_TRUE(real.import_zookeeper.has_value() && real.import_zookeeper->target.has_value()) << real.text;
  EXPECT_EQ(real.import_zookeeper->data_dir, "/zk");
  EXPECT_EQ(real.import_zookeeper->target->data_dir, "/d");
  ASSERT_EQ(real.import_zookeeper->target->initial_cluster.size(), 1u);
  EXPECT_EQ(real.import_zookeeper->target->initial_cluster[0].name, "n7");
  EXPECT_EQ(real.import_zookeeper->target->initial_cluster[0].address.text(), "10.0.0.1:2380");
  EXPECT_THAT(run({"import", "zookeeper", "/zk", "--json"}).text, HasSubstr("--json is for --dry-run"));
  EXPECT_THAT(run({"import", "zookeeper", "/zk", "--peer-listen", "x y"}).text, HasSubstr("--peer-listen x y"));
  variables["WITAN_ZOOKEEPER_ROOT"] = "/inner";
  EXPECT_THAT(run({"import", "zookeeper", "/zk"}).text, HasSubstr("--zookeeper-root is /inner"));
  variables.clear();
  for (const std::vector<std::string>& words : {std::vector<std::string>{"import"},
                                                {"import", "zookeeper"},
                                                {"import", "zookeeper", "--dry-run"},
                                                {"import", "zookeeper", "/zk", "/more", "--dry-run"},
                                                {"import", "zookeeper", "/zk", "--etcd-listen", "1.2.3.4:5"},
                                                {"import", "etcd", "/x"}}) {
    const Invocation refused = run(words);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_FALSE(refused.import_zookeeper.has_value());
    EXPECT_TRUE(refused.text.starts_with("witan: ")) << refused.text;
  }
}

}  // namespace
}  // namespace witan::server
