// What a server can be told, and the three places where it is told: a TOML file, the environment, flags. The same names
// everywhere: `snapshot-bytes` in the file, WITAN_SNAPSHOT_BYTES, --snapshot-bytes. A later place wins over an earlier.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "env/address.h"
#include "os/log.h"
#include "server/sasl_users.h"
#include "server/values.h"

namespace witan::server {

struct NamedAddress {
  std::string name;
  env::Address address;
  uint32_t number = 0;   // 0: by the order of the names
  bool learner = false;  // begins as one
  friend bool operator==(const NamedAddress&, const NamedAddress&) = default;
};

// What only a ZooKeeper configuration file tells (zoo_file.h).
struct ZooKeeperFile {
  int64_t server_id = 0;   // myid; 0: alone
  int64_t init_limit = 0;  // ticks; 0 when alone, like the three below
  int64_t sync_limit = 0;
  uint16_t quorum_port = 0;
  uint16_t election_port = 0;
  std::string servers;                                          // its lines for servers
  std::vector<std::pair<std::string, std::string>> properties;  // -Dname=value
};

struct Config {
  std::string name = "n1";
  std::string data_dir = "witan-data";
  std::optional<env::Address> etcd_listen = env::Address{.host = "127.0.0.1", .port = 2379};  // none: off
  std::vector<env::Address> etcd_advertise;  // empty: etcd_listen, until check() fills it in
  std::optional<env::Address> peer_listen = env::Address{.host = "127.0.0.1", .port = 2380};       // none: off, alone
  std::optional<env::Address> peer_advertise;                                                      // likewise
  std::optional<env::Address> zookeeper_listen = env::Address{.host = "127.0.0.1", .port = 2181};  // none: off
  std::optional<env::Address> zookeeper_advertise;  // like peer_advertise
  std::string zookeeper_root = "/";
  Duration zookeeper_tick = milliseconds(2000);
  Duration zookeeper_min_session{};  // 0: two ticks
  Duration zookeeper_max_session{};  // 0: twenty ticks
  std::string zookeeper_super_digest;
  std::string zookeeper_sasl_file;                // of zookeeper_sasl_users; empty: none was named
  std::optional<Passwords> zookeeper_sasl_users;  // none: SASL is off
  std::vector<std::string> zookeeper_sasl_super;  // those of them who may do everything
  bool zookeeper_sasl_ids = false;                // access lists may name such users
  uint64_t zookeeper_max_connections = 60;        // of one address
  uint64_t zookeeper_max_packet = 0xfffff;
  Duration zookeeper_container_check = seconds(60);
  bool zookeeper_read_only = false;
  bool zookeeper_reconfig = false;
  bool zookeeper_enforce_quota = false;
  std::vector<std::string> zookeeper_words = {"srvr"};  // four-letter words that are answered; "*": all
  std::optional<env::Address> zookeeper_admin_listen;   // none: off
  std::string zookeeper_admin_url = "/commands";
  Duration zookeeper_admin_idle = seconds(30);
  std::optional<ZooKeeperFile> zookeeper_file;  // of `witan zookeeper`
  std::vector<std::string> warnings;            // whole sentences about what was told, for the log
  std::vector<NamedAddress> initial_cluster;    // likewise: this member alone
  bool join_existing = false;
  std::optional<std::string> initial_cluster_token;  // none: witan-cluster, when one is founded
  Duration heartbeat = milliseconds(100);
  Duration election = milliseconds(1000);
  uint64_t snapshot_entries = 1'000'000;
  uint64_t snapshot_bytes = 0;               // 0: the larger of 64 MiB and the last snapshot
  std::optional<unsigned> api_threads;       // nothing: by the machine; 0: the node's own
  Duration auto_compaction = seconds(3600);  // 0: never by time
  uint64_t history_bytes = uint64_t{1} << 30;
  uint64_t memory_quota = 0;  // 0: none
  uint64_t max_request_bytes = 1536 * 1024;
  LogLevel log_level = LogLevel::Info;
  os::LogFormat log_format = os::LogFormat::Text;
};

// One thing that can be told.
struct Setting {
  std::string_view name;   // "etcd-listen"
  std::string_view value;  // what its value is called in the help
  std::string_view help;
  Parsed<void> (*apply)(Config&, std::string_view text);
};
std::span<const Setting> settings();
const Setting* find_setting(std::string_view name);
// "WITAN_ETCD_LISTEN"
std::string environment_name(std::string_view setting);

// Puts one value into `config`. `where` says where it stood: "--heartbeat-ms abc". Errors: Invalid, one whole sentence.
Result<> apply_setting(Config& config, const Setting& setting, std::string_view text, std::string_view where);

// Every key of the TOML text in `contents`. Errors name the file and the line.
Result<> apply_file(Config& config, std::string_view path, std::string_view contents);

// What no setting alone can know. Fills in what follows from other settings.
Result<> check(Config& config);

}  // namespace witan::server
