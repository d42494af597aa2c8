#include "server/zoo_file.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/command_line.h"
#include "server/properties.h"

namespace witan::server {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::vector<std::string> properties_of(std::string_view text) {
  std::vector<std::string> out;
  const auto parsed = parse_properties("f", text);
  if (!parsed) return {parsed.error().message};
  for (const Property& p : *parsed) out.push_back(fmt::format("{} {}={}", p.line, p.name, p.value));
  return out;
}

TEST(PropertiesTest, AreReadAsJavaReadsThem) {
  EXPECT_THAT(properties_of("a=1\nb : 2\r\nc 3\rd\n"), ElementsAre("1 a=1", "2 b=2", "3 c=3", "4 d="));
  EXPECT_THAT(properties_of("# a=1\n  ! b=2\n\n \t\f\n  c = = 3 "), ElementsAre("5 c== 3 "));
  EXPECT_THAT(properties_of("list=one,\\\n   two,\\\r\n\tthree\nnext=1"),
              ElementsAre("1 list=one,two,three", "4 next=1"));
  EXPECT_THAT(properties_of("path=C\\:\\\\dir\\tx\\u00e9\\u20ac\\z\nkey\\ with\\=both=1"),
              ElementsAre("1 path=C:\\dir\tx\xc3\xa9\xe2\x82\xacz", "2 key with=both=1"));
  EXPECT_THAT(properties_of("a=1\\\\\nb=2"), ElementsAre("1 a=1\\", "2 b=2")) << "an even number continues nothing";
  EXPECT_THAT(properties_of("a=1\\"), ElementsAre("1 a=1"));
  for (const char* bad : {"x=1\na=\\u12", "x=1\na=\\u12g4", "x=1\na=\\ud800"}) {
    EXPECT_THAT(properties_of(bad), ElementsAre(HasSubstr("f, line 2"))) << bad;
  }
}

// `witan zookeeper zoo.cfg` with files of the test's.
class ZooFileTest : public ::testing::Test {
 protected:
  Invocation run(std::vector<std::string> words = {}) {
    words.insert(words.begin(), {"zookeeper", "zoo.cfg"});
    return read_command_line(std::move(words), surroundings);
  }
  Config config(std::vector<std::string> words = {}) {
    const Invocation invocation = run(std::move(words));
    EXPECT_TRUE(invocation.serve.has_value()) << invocation.text;
    return invocation.serve.value_or(Config());
  }
  std::string refusal(const std::string& zoo, std::vector<std::string> words = {}) {
    files["zoo.cfg"] = zoo;
    const Invocation invocation = run(std::move(words));
    EXPECT_FALSE(invocation.serve.has_value()) << zoo;
    EXPECT_EQ(invocation.exit_code, 2);
    return invocation.text;
  }
  std::vector<std::string> warnings(const std::string& more, std::vector<std::string> words = {}) {
    files["zoo.cfg"] = kAlone + more;
    return config(std::move(words)).warnings;
  }

  static constexpr std::string_view kThree =
      "tickTime=500\ndataDir=/d\ninitLimit=10\nsyncLimit=5\nclientPort=2181\n"
      "server.1=a:2888:3888\nserver.2=b:2889:3889:participant\nserver.30=[::1]:2890:3890:observer;10.0.0.3:2281\n";
  const std::string kAlone = "dataDir=/d\nclientPort=2181\n";
  std::map<std::string, std::string> files, variables;
  Surroundings surroundings{.environment = [this](const std::string& name) -> std::optional<std::string> {
                              const auto at = variables.find(name);
                              return at == variables.end() ? std::nullopt : std::optional(at->second);
                            },
                            .read_file = [this](const std::string& path) -> Result<std::string> {
                              const auto at = files.find(path);
                              if (at == files.end()) return fail(Code::Io, path + " cannot be read");
                              return at->second;
                            }};
};

TEST_F(ZooFileTest, OneServerOpensItsClientPortAndNoOther) {
  files["zoo.cfg"] = kAlone;
  const Config c = config();
  EXPECT_EQ(c.data_dir, "/d/witan");
  EXPECT_EQ(c.zookeeper_listen->text(), "0.0.0.0:2181");
  EXPECT_EQ(c.zookeeper_advertise->text(), "localhost:2181");
  EXPECT_FALSE(c.etcd_listen || c.peer_listen || c.zookeeper_admin_listen);
  EXPECT_THAT(c.etcd_advertise, IsEmpty());
  EXPECT_EQ(c.initial_cluster.size(), 1u);
  EXPECT_EQ(c.zookeeper_tick, Duration(milliseconds(3000))) << "ZooKeeper's default, not ours";
  EXPECT_THAT(c.zookeeper_words, ElementsAre("srvr"));
  EXPECT_EQ(c.zookeeper_file->server_id, 0);
  EXPECT_THAT(c.warnings, IsEmpty());
}

TEST_F(ZooFileTest, EveryKeyIsTaken) {
  files["zoo.cfg"] = kAlone +
                     "tickTime=100\nclientPortAddress=127.0.0.1\nminSessionTimeout=500\nmaxSessionTimeout=70000\n"
                     "maxClientCnxns=0\n4lw.commands.whitelist=ruok, srvr ,mntr\nadmin.enableServer=true\n"
                     "admin.serverPort=8081\nadmin.serverAddress=127.0.0.2\nadmin.commandURL=/zk\n"
                     "admin.idleTimeout=5000\njute.maxbuffer=0x200000\nreadonlymode.enabled=TRUE\nenforceQuota=true\n"
                     "snapCount=7\n";
  const Config c =
      config({"-Dzookeeper.DigestAuthenticationProvider.superDigest=super:abc=", "-Dzookeeper.admin.serverPort=1"});
  EXPECT_EQ(c.zookeeper_tick, Duration(milliseconds(100)));
  EXPECT_EQ(c.zookeeper_listen->text(), "127.0.0.1:2181");
  EXPECT_EQ(c.zookeeper_min_session, Duration(milliseconds(500)));
  EXPECT_EQ(c.zookeeper_max_session, Duration(milliseconds(70'000)));
  EXPECT_EQ(c.zookeeper_max_connections, 0u);
  EXPECT_THAT(c.zookeeper_words, ElementsAre("ruok", "srvr", "mntr"));
  EXPECT_EQ(c.zookeeper_admin_listen->text(), "127.0.0.2:8081") << "the file wins over a property";
  EXPECT_EQ(c.zookeeper_admin_url, "/zk");
  EXPECT_EQ(c.zookeeper_admin_idle, Duration(seconds(5)));
  EXPECT_EQ(c.zookeeper_max_packet, 0x200000u);
  EXPECT_TRUE(c.zookeeper_read_only);
  EXPECT_TRUE(c.zookeeper_enforce_quota);
  EXPECT_EQ(c.snapshot_entries, 7u);
  EXPECT_EQ(c.zookeeper_super_digest, "super:abc=");
  EXPECT_THAT(c.zookeeper_file->properties,
              ElementsAre(std::pair("zookeeper.DigestAuthenticationProvider.superDigest", "super:abc="),
                          std::pair("zookeeper.admin.serverPort", "1")));
  EXPECT_THAT(c.warnings, IsEmpty());
}

TEST_F(ZooFileTest, PropertiesAloneAreEnough) {
  files["zoo.cfg"] = kAlone;
  const Config c = config({"-Dzookeeper.4lw.commands.whitelist=*", "-Dreadonlymode.enabled=true", "-D",
                           "jute.maxbuffer=4096", "-Dzookeeper.admin.enableServer=true"});
  EXPECT_THAT(c.zookeeper_words, ElementsAre("*"));
  EXPECT_TRUE(c.zookeeper_read_only);
  EXPECT_EQ(c.zookeeper_max_packet, 4096u);
  EXPECT_EQ(c.zookeeper_admin_listen->text(), "0.0.0.0:8080") << "ZooKeeper's port when none is named";
}

TEST_F(ZooFileTest, TheAdminServerIsOffUnlessTheFileAsksForIt) {
  files["zoo.cfg"] = kAlone + "admin.serverPort=9\n";
  EXPECT_TRUE(config().zookeeper_admin_listen.has_value());
  files["zoo.cfg"] = kAlone + "admin.serverPort=9\nadmin.enableServer=false\n";
  EXPECT_FALSE(config().zookeeper_admin_listen.has_value());
}

TEST_F(ZooFileTest, ServersBecomeMembersWithTheirNumbersAndRoles) {
  files["zoo.cfg"] = kThree;
  files["/d/myid"] = "2\n";
  const Config c = config();
  EXPECT_EQ(c.name, "2");
  EXPECT_EQ(c.peer_listen->text(), "b:2889");
  EXPECT_EQ(c.peer_advertise->text(), "b:2889");
  EXPECT_EQ(c.zookeeper_advertise->text(), "b:2181");
  EXPECT_THAT(c.initial_cluster,
              ElementsAre(NamedAddress{"1", {"a", 2888}, 1, false}, NamedAddress{"2", {"b", 2889}, 2, false},
                          NamedAddress{"30", {"::1", 2890}, 30, true}));
  EXPECT_EQ(c.zookeeper_file->server_id, 2);
  EXPECT_EQ(c.zookeeper_file->init_limit, 10);
  EXPECT_EQ(c.zookeeper_file->sync_limit, 5);
  EXPECT_EQ(c.zookeeper_file->quorum_port, 2889);
  EXPECT_EQ(c.zookeeper_file->election_port, 3889);

  files["/d/myid"] = "30";
  files["zoo.cfg"] = std::string(kThree).replace(kThree.find("clientPort=2181\n"), 16, "quorumListenOnAllIPs=true\n");
  const Config observer = config();
  EXPECT_EQ(observer.peer_listen->text(), "0.0.0.0:2890");
  EXPECT_EQ(observer.peer_advertise->text(), "[::1]:2890");
  EXPECT_EQ(observer.zookeeper_listen->text(), "10.0.0.3:2281");
}

TEST_F(ZooFileTest, AServerThatIsTheOnlyOneHasNoPeerPort) {
  files["zoo.cfg"] = "dataDir=/d\nserver.1=a:2888:3888;2181\n";
  EXPECT_FALSE(config().peer_listen.has_value());
  EXPECT_EQ(config().zookeeper_listen->text(), "0.0.0.0:2181");
  files["zoo.cfg"] += "standaloneEnabled=false\ninitLimit=5\nsyncLimit=2\n";
  files["/d/myid"] = "1";
  EXPECT_EQ(config().peer_listen->text(), "a:2888");
}

TEST_F(ZooFileTest, ServersCanStandInAFileOfTheirOwn) {
  files["zoo.cfg"] = "dataDir=/d\ninitLimit=10\nsyncLimit=5\ndynamicConfigFile=/etc/zoo.dynamic\n";
  files["/etc/zoo.dynamic"] = "server.1=a:1:2:participant;3\nserver.2=b:1:2:participant;3\nversion=100000000\n";
  files["/d/myid"] = "1";
  EXPECT_EQ(config().initial_cluster.size(), 2u);
  EXPECT_EQ(config().zookeeper_listen->port, 3);
  files["/etc/zoo.dynamic"] += "tickTime=1\n";
  EXPECT_THAT(refusal(files["zoo.cfg"]), HasSubstr("/etc/zoo.dynamic, line 4: tickTime"));
}

TEST_F(ZooFileTest, SettingsWinOverTheFile) {
  files["zoo.cfg"] = kAlone;
  variables["WITAN_ETCD_LISTEN"] = "127.0.0.1:2379";
  const Config c = config({"--data-dir", "/elsewhere"});
  EXPECT_EQ(c.etcd_listen->text(), "127.0.0.1:2379");
  EXPECT_EQ(c.data_dir, "/elsewhere");
}

TEST_F(ZooFileTest, UsersOfSaslAreThoseOfTheJaasFile) {
  const std::string provider = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n";
  const std::string jaas = "-Djava.security.auth.login.config=/jaas";
  files["/jaas"] =
      "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_ann=\"a\" user_super=\"s\"; };\n"
      "Second { org.apache.zookeeper.server.auth.DigestLoginModule required user_bob=\"b\"; };\n";
  files["zoo.cfg"] = kAlone + provider + "superUser=ann\n";
  Config c = config({jaas, "-Dzookeeper.superUser.2=bob"});
  EXPECT_EQ(c.zookeeper_sasl_users, (Passwords{{"ann", "a"}, {"super", "s"}}));
  EXPECT_TRUE(c.zookeeper_sasl_ids);
  EXPECT_THAT(c.zookeeper_sasl_super, ElementsAre("bob", "ann"));
  EXPECT_THAT(c.warnings, IsEmpty());

  c = config({"-Djava.security.auth.login.config==/jaas", "-Dzookeeper.sasl.serverconfig=Second",
              "-Dzookeeper.SASLAuthenticationProvider.superPassword=hidden"});
  EXPECT_EQ(c.zookeeper_sasl_users, (Passwords{{"bob", "b"}}))
      << "whom the file does not name a property does not make";
  EXPECT_THAT(c.zookeeper_file->properties,
              Contains(std::pair("zookeeper.SASLAuthenticationProvider.superPassword", "***")));
  c = config({jaas, "-Dzookeeper.SASLAuthenticationProvider.superPassword=hidden"});
  EXPECT_EQ(c.zookeeper_sasl_users, (Passwords{{"ann", "a"}, {"super", "hidden"}}));

  files["zoo.cfg"] = kAlone + provider;
  EXPECT_FALSE(config().zookeeper_sasl_users.has_value());
  EXPECT_TRUE(config().zookeeper_sasl_ids) << "as in ZooKeeper, that is all that lists need";
  files["/users"] = "eve:e\n";
  EXPECT_EQ(config({jaas, "--zookeeper-sasl-users", "/users"}).zookeeper_sasl_users, (Passwords{{"eve", "e"}}));
}

TEST_F(ZooFileTest, WhatSaslLacksIsTold) {
  const std::string jaas = "-Djava.security.auth.login.config=/jaas";
  files["/jaas"] = "";
  EXPECT_THAT(warnings("", {jaas}), ElementsAre(AllOf(HasSubstr("/jaas"), HasSubstr("Server"))));
  files["/jaas"] = "Server { org.apache.zookeeper.server.auth.DigestLoginModule required user_ann=\"a\"; };";
  EXPECT_THAT(warnings("", {jaas}), ElementsAre(HasSubstr("authProvider.1=")));
  EXPECT_THAT(warnings("authProvider.1=org.example.Provider\n"), ElementsAre(HasSubstr("authProvider.1")));
  files["/jaas"] = "Server { com.sun.security.auth.module.Krb5LoginModule required; };";
  EXPECT_THAT(refusal(kAlone, {jaas}), AllOf(HasSubstr("/jaas, line 1"), HasSubstr("Krb5LoginModule")));
  EXPECT_THAT(refusal(kAlone, {"-Djava.security.auth.login.config=/nowhere"}), HasSubstr("/nowhere"));
}

TEST_F(ZooFileTest, WhatHasNoEffectIsTold) {
  EXPECT_THAT(warnings("tikTime=5\n"),
              ElementsAre(AllOf(HasSubstr("zoo.cfg, line 3"), HasSubstr("tikTime"), HasSubstr("is tickTime meant?"))));
  EXPECT_THAT(warnings("frobnication=1\n"), ElementsAre(AllOf(HasSubstr("frobnication"), Not(HasSubstr("meant?")))));
  EXPECT_THAT(warnings("dataLogDir=/l\nsecureClientPort=2281\nssl.keyStore.password=secret\n"),
              ElementsAre(HasSubstr("line 3: dataLogDir"), HasSubstr("line 4: secureClientPort"),
                          AllOf(HasSubstr("line 5: ssl.keyStore.password"), Not(HasSubstr("secret")))));
  EXPECT_THAT(warnings("preAllocSize=1\nautopurge.purgeInterval=1\nautopurge.snapRetainCount=3\n"),
              ElementsAre(HasSubstr("autopurge.purgeInterval, autopurge.snapRetainCount, preAllocSize")));
  EXPECT_THAT(warnings("clientPort=2182\n"), ElementsAre(AllOf(HasSubstr("line 3"), HasSubstr("line 2"))));
  EXPECT_THAT(warnings("", {"-Dzookeeper.tickTime=5", "-Dwhatever"}),
              ElementsAre(HasSubstr("-Dzookeeper.tickTime"), HasSubstr("-Dwhatever")));
  EXPECT_THAT(warnings("jute.maxbuffer=104857600\n"), ElementsAre(HasSubstr("10485760")));
  EXPECT_THAT(warnings("sslQuorum=false\n"), IsEmpty());
}

TEST_F(ZooFileTest, RefusalsNameFileAndLine) {
  const auto line = [&](const std::string& more) { return refusal(kAlone + more); };
  EXPECT_THAT(line("tickTime=soon\n"), AllOf(HasSubstr("zoo.cfg, line 3: tickTime"), HasSubstr("soon")));
  EXPECT_THAT(line("clientPort=0\n"), HasSubstr("line 3: clientPort"));
  EXPECT_THAT(line("4lw.commands.whitelist=everything\n"), HasSubstr("everything"));
  EXPECT_THAT(line("standaloneEnabled=maybe\n"), HasSubstr("maybe"));
  EXPECT_THAT(line("minSessionTimeout=5000\nmaxSessionTimeout=4000\n"), HasSubstr("5000"));
  for (const char* server : {"a", "a:1", "a:1:2:spectator", "a:1:2:observer:3", ":1:2", "a:0:2", "a:1:70000",
                             "[::1:1:2", "a:1:2;x", "a:1:2;:3"}) {
    EXPECT_THAT(line(std::string("server.1=") + server + "\n"), HasSubstr("line 3: server.1")) << server;
  }
  EXPECT_THAT(line("server.0=a:1:2\n"), HasSubstr("server.0"));
  EXPECT_THAT(line("server.255=a:1:2\n"), HasSubstr("254"));
  EXPECT_THAT(line("sslQuorum=true\n"), HasSubstr("without TLS"));
  EXPECT_THAT(line("enforce.auth.enabled=true\n"), HasSubstr("without authentication"));
  EXPECT_THAT(line("server.1=a:1:2\nserver.2=b:1:2\n"), HasSubstr("initLimit"));
  EXPECT_THAT(line("server.1=a:1:2;5\n"), HasSubstr("clientPort"));
  EXPECT_THAT(refusal("clientPort=1\n"), HasSubstr("dataDir is missing"));
  EXPECT_THAT(refusal("dataDir=/d\n"), HasSubstr("clientPort is missing"));
  EXPECT_THAT(refusal(kAlone, {"surplus"}), HasSubstr("surplus"));
  EXPECT_THAT(refusal(kAlone, {"--etcd-listn", "x"}), HasSubstr("--etcd-listen"));
}

TEST_F(ZooFileTest, RefusalsOfSeveralServers) {
  EXPECT_THAT(refusal(std::string(kThree)), AllOf(HasSubstr("myid"), HasSubstr("/d/myid")));
  files["/d/myid"] = "7";
  EXPECT_THAT(refusal(std::string(kThree)), HasSubstr("no server.7"));
  files["/d/myid"] = "one";
  EXPECT_THAT(refusal(std::string(kThree)), HasSubstr("/d/myid"));
  files["/d/myid"] = "1";
  EXPECT_THAT(refusal(std::string(kThree) + "server.2=0.0.0.0:1:2\n"),
              AllOf(HasSubstr("server.2"), HasSubstr("quorumListenOnAllIPs")));
  EXPECT_THAT(refusal("dataDir=/d\nclientPort=1\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2:observer\n"
                      "server.2=b:1:2:observer\n"),
              HasSubstr("observers"));
}

TEST_F(ZooFileTest, HelpTellsOfItsOwnWords) {
  const Invocation invocation = read_command_line({"zookeeper", "--help"}, surroundings);
  EXPECT_EQ(invocation.exit_code, 0);
  EXPECT_THAT(invocation.text, AllOf(HasSubstr("zoo.cfg"), HasSubstr("NAME=VALUE"), HasSubstr("dataDir/witan")));
}

}  // namespace
}  // namespace witan::server
