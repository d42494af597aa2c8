#include "server/zookeeper_facts.h"

#include <chrono>

#include <fmt/format.h>

#include "server/command_line.h"

namespace witan::server {
namespace {

// Clients and exporters look for the number in front to know what a server can do.
constexpr std::string_view kSpoken = "3.9.5";

// "3.9.5-witan-0.1.0, built on 2026-01-31 12:00 UTC"
std::string version_text(WallTime written) {
  using namespace std::chrono;
  const sys_time<milliseconds> point{milliseconds(written.ms)};
  const sys_days day = floor<days>(point);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<minutes>(point - day));
  return fmt::format("{}-witan-{}, built on {}-{:02}-{:02} {:02}:{:02} UTC", kSpoken, kVersion,
                     static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count());
}

}  // namespace

api::zookeeper::Options zookeeper_options(const Config& config) {
  api::zookeeper::Options out;
  out.tick = config.zookeeper_tick;
  out.min_session = config.zookeeper_min_session;
  out.max_session = config.zookeeper_max_session;
  out.root = config.zookeeper_root;
  out.super_digest = config.zookeeper_super_digest;
  if (config.zookeeper_sasl_users) {
    out.sasl_users = std::make_shared<const api::zookeeper::SaslUsers>(
        api::zookeeper::SaslUsers{.passwords = *config.zookeeper_sasl_users, .super = config.zookeeper_sasl_super});
  }
  out.sasl_ids = config.zookeeper_sasl_ids;
  out.max_connections_per_address = config.zookeeper_max_connections;
  out.max_packet = static_cast<uint32_t>(config.zookeeper_max_packet);
  out.read_only = config.zookeeper_read_only;
  out.reconfig = config.zookeeper_reconfig;
  out.read_only_after = 2 * config.election;
  return out;
}

std::shared_ptr<const api::zookeeper::Facts> zookeeper_facts(const Config& config, const os::Host& host,
                                                             WallTime written, Instant started) {
  auto facts = std::make_shared<api::zookeeper::Facts>();
  facts->version = version_text(written);
  facts->options = zookeeper_options(config);
  facts->whitelist = config.zookeeper_words;
  facts->client_port = config.zookeeper_listen->port;
  facts->data_dir = config.data_dir;
  facts->environment = {{"host.name", host.name},     {"os.name", host.system}, {"os.arch", host.machine},
                        {"os.version", host.release}, {"user.name", host.user}, {"user.home", host.home},
                        {"user.dir", host.directory}};
  facts->started = started;
  if (!config.zookeeper_file) return facts;
  const ZooKeeperFile& file = *config.zookeeper_file;
  facts->server_id = file.server_id;
  facts->init_limit = file.init_limit;
  facts->sync_limit = file.sync_limit;
  facts->quorum_port = file.quorum_port;
  facts->election_port = file.election_port;
  facts->initial_configuration = file.servers;
  facts->properties = file.properties;
  return facts;
}

}  // namespace witan::server
