#include "api/zookeeper/admin_commands.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
// The library's only source file: its shared object would be one more thing to install.
#include <boost/json/src.hpp>

#include "api/zookeeper/four_letter_texts.h"
#include "api/zookeeper/metrics.h"
#include "api/zookeeper/root.h"

namespace witan::api::zookeeper {
namespace {

namespace json = boost::json;

using Fill = void (*)(json::object& out, const Facts& facts, const Report& report);

std::string_view host_and_port(std::string_view url) {
  const size_t scheme = url.find("://");
  return scheme == std::string_view::npos ? url : url.substr(scheme + 3);
}

json::array addresses(const std::vector<std::string>& urls) {
  json::array out;
  for (const std::string& url : urls) out.emplace_back(host_and_port(url));
  return out;
}

void configuration(json::object& out, const Facts& facts, const Report& report) {
  const Options& o = facts.options;
  out["client_port"] = facts.client_port;
  out["data_dir"] = facts.data_dir;
  out["data_log_dir"] = facts.data_dir;
  out["tick_time"] = o.tick / milliseconds(1);
  out["max_client_cnxns"] = o.max_connections_per_address;
  out["min_session_timeout"] = o.shortest_session() / milliseconds(1);
  out["max_session_timeout"] = o.longest_session() / milliseconds(1);
  out["server_id"] = facts.server_id;
  out["client_port_listen_backlog"] = -1;
  if (facts.quorum_port == 0) return;
  out["init_limit"] = facts.init_limit;
  out["sync_limit"] = facts.sync_limit;
  out["quorum_port"] = facts.quorum_port;
  out["peer_type"] = report.view.is_learner ? 1 : 0;
}

void connections_of(json::object& out, const Report& report, bool brief) {
  json::array list;
  for (const ConnectionStatistics& c : report.connections) {
    json::object one;
    one["remote_socket_address"] = c.remote;
    one["interest_ops"] = c.reading ? 1 : 0;
    one["outstanding_requests"] = c.outstanding;
    one["packets_received"] = c.received;
    one["packets_sent"] = c.sent;
    if (!brief) {
      one["session_id"] = c.session.value;
      one["last_operation"] = c.last_operation;
      one["established"] = c.established.ms;
      one["session_timeout"] = c.timeout_ms;
      one["last_cxid"] = c.last_xid;
      one["last_zxid"] = c.last_zxid;
      one["last_response_time"] = c.last_response.ns / 1'000'000;
      one["last_latency"] = c.last_latency_ms;
      one["min_latency"] = c.latency.min_ms;
      one["avg_latency"] = static_cast<int64_t>(c.latency.average_ms());
      one["max_latency"] = c.latency.max_ms;
    }
    list.push_back(std::move(one));
  }
  out["connections"] = std::move(list);
  out["secure_connections"] = json::array();
}

void connections(json::object& out, const Facts&, const Report& report) { connections_of(out, report, false); }

void dirs(json::object& out, const Facts&, const Report& report) {
  out["datadir_size"] = std::max<int64_t>(report.machine.snapshot_bytes, 0);
  out["logdir_size"] = std::max<int64_t>(report.machine.log_bytes, 0);
}

// When sessions expire is the leader's knowledge, and not told here.
void dump(json::object& out, const Facts& facts, const Report& report) {
  const Root root(facts.options.root);
  json::object paths;
  for (const node::Census::Session& session : report.census.list) {
    json::array owned;
    for (const Blob& key : session.keys) {
      if (const auto path = root.to_client(key.view())) owned.emplace_back(*path);
    }
    if (!owned.empty()) paths[std::to_string(session.id.value)] = std::move(owned);
  }
  out["expiry_time_to_session_ids"] = json::object();
  out["session_id_to_ephemeral_paths"] = std::move(paths);
}

void environment(json::object& out, const Facts& facts, const Report&) {
  out["zookeeper.version"] = facts.version;
  for (const auto& [name, value] : facts.environment) out[name] = value;
}

void hash(json::object& out, const Facts&, const Report&) { out["digests"] = json::array(); }

void initial_configuration(json::object& out, const Facts& facts, const Report&) {
  out["initial_configuration"] = facts.initial_configuration;
}

void is_read_only(json::object& out, const Facts&, const Report& report) { out["read_only"] = report.read_only(); }

void leader(json::object& out, const Facts&, const Report& report) {
  if (report.alone()) {
    out["error"] = "server is not initialized";
    return;
  }
  const auto it = std::ranges::find(report.members, report.view.leader, &node::MemberInfo::id);
  out["is_leader"] = report.view.is_leader;
  if (it == report.members.end()) return;
  out["leader_id"] = it->number;
  const std::string_view address = it->peer_urls.empty() ? "" : host_and_port(it->peer_urls.front());
  out["leader_ip"] = address.substr(0, address.rfind(':'));
}

void monitor(json::object& out, const Facts& facts, const Report& report) {
  for (const Metric& metric : metrics(facts, report)) {
    std::visit([&](const auto& value) { out[metric.name] = value; }, metric.value);
  }
}

void observers(json::object& out, const Facts&, const Report& report) {
  out["synced_observers"] = report.census.leading ? report.census.leading->synced_learners : 0;
  out["observers"] = json::array();
}

void nothing(json::object&, const Facts&, const Report&) {}

void server_stats(json::object& out, const Facts& facts, const Report& report) {
  const ServerStatistics& s = report.statistics;
  out["version"] = facts.version;
  out["read_only"] = report.read_only();
  json::object stats;
  stats["packets_sent"] = s.sent;
  stats["packets_received"] = s.received;
  stats["data_dir_size"] = std::max<int64_t>(report.machine.snapshot_bytes, 0);
  stats["log_dir_size"] = std::max<int64_t>(report.machine.log_bytes, 0);
  stats["provider_null"] = false;
  stats["server_state"] = report.server_state();
  stats["last_processed_zxid"] = report.zxid;
  stats["outstanding_requests"] = s.outstanding;
  stats["avg_latency"] = s.latency.average_ms();
  stats["max_latency"] = s.latency.max_ms;
  stats["min_latency"] = s.latency.min_ms;
  stats["num_alive_client_connections"] = s.connections;
  stats["uptime"] = (report.now - facts.started) / milliseconds(1);
  stats["auth_failed_count"] = s.authentications_failed;
  out["server_stats"] = std::move(stats);
  out["node_count"] = report.census.nodes + 1;
  if (const auto& leading = report.census.leading; leading && !report.alone()) {
    out["proposal_stats"] = {{"last_buffer_size", leading->last_proposal},
                             {"min_buffer_size", leading->min_proposal},
                             {"max_buffer_size", leading->max_proposal}};
  }
}

void stats(json::object& out, const Facts& facts, const Report& report) {
  server_stats(out, facts, report);
  connections_of(out, report, true);
}

void system_properties(json::object& out, const Facts& facts, const Report&) {
  for (const auto& [name, value] : facts.environment) out[name] = value;
  for (const auto& [name, value] : facts.properties) out[name] = value;
}

void trace_mask(json::object& out, const Facts&, const Report&) { out["tracemask"] = 0; }

void voting_view(json::object& out, const Facts&, const Report& report) {
  json::object view;
  for (const node::MemberInfo& member : report.members) {
    if (report.alone() || member.is_learner) continue;
    json::object one;
    one["server_addresses"] = addresses(member.peer_urls);
    one["election_addresses"] = json::array();
    one["client_address"] = member.zookeeper;
    one["learner_type"] = "participant";
    view[std::to_string(member.number)] = std::move(one);
  }
  out["current_config"] = std::move(view);
}

void watches(json::object& out, const Facts&, const Report& report) {
  json::object by_session;
  for (const WatchListing::Item& item : report.watches.sessions) {
    json::array paths;
    for (const std::string& path : item.paths) paths.emplace_back(path);
    by_session[std::to_string(item.session.value)] = std::move(paths);
  }
  out["session_id_to_watched_paths"] = std::move(by_session);
}

void watches_by_path(json::object& out, const Facts&, const Report& report) {
  json::object by_path;
  for (const auto& [path, sessions] : watched_by_path(report.watches)) {
    json::array ids;
    for (const store::LeaseId session : sessions) ids.emplace_back(session.value);
    by_path[path] = std::move(ids);
  }
  out["path_to_session_ids"] = std::move(by_path);
}

void watch_summary(json::object& out, const Facts&, const Report& report) {
  size_t total = 0;
  for (const WatchListing::Item& item : report.watches.sessions) total += item.paths.size();
  out["num_connections"] = report.watches.sessions.size();
  out["num_paths"] = watched_by_path(report.watches).size();
  out["num_total_watches"] = total;
}

void zabstate(json::object& out, const Facts&, const Report& report) {
  out["voting"] = !report.alone() && report.census.votes;
  out["zabstate"] = report.alone() ? "" : report.view.leader == 0 ? "election" : "broadcast";
}

constexpr std::string_view kConf[] = {"conf", "config"}, kCrst[] = {"crst"}, kCons[] = {"cons"},
                           kEnvi[] = {"env", "envi"}, kGtmk[] = {"gtmk"}, kIcfg[] = {"icfg"}, kIsro[] = {"isro"},
                           kLead[] = {"lead"}, kMntr[] = {"mntr"}, kObsr[] = {"obsr"}, kSrvr[] = {"srvr"},
                           kSrst[] = {"srst"}, kStat[] = {"stat"}, kSysp[] = {"sysp"}, kWchs[] = {"wchs"},
                           kWchc[] = {"wchc"}, kWchp[] = {"wchp"};

constexpr AdminCommand kCommands[] = {
    {"configuration", kConf, {.machine = true}},
    {"connection_stat_reset", kCrst, {.reset_connections = true}},
    {"connections", kCons, {.connections = true}},
    {"dirs", {}, {.machine = true}},
    {"dump", {}, {.sessions = true}},
    {"environment", kEnvi, {}, true},
    {"get_trace_mask", kGtmk, {}, true},
    {"hash", {}, {}},
    {"initial_configuration", kIcfg, {}, true},
    {"is_read_only", kIsro, {}},
    {"leader", kLead, {.members = true}},
    {"monitor", kMntr, {.machine = true}},
    {"observers", kObsr, {}},
    {"ruok", {}, {}, true},
    {"server_stats", kSrvr, {.machine = true}},
    {"stat_reset", kSrst, {.reset_server = true}},
    {"stats", kStat, {.connections = true, .machine = true}},
    {"system_properties", kSysp, {}, true},
    {"voting_view", {}, {.members = true}},
    {"watch_summary", kWchs, {.watches = true}},
    {"watches", kWchc, {.watches = true}},
    {"watches_by_path", kWchp, {.watches = true}},
    {"zabstate", {}, {}},
};
// In the same order.
constexpr Fill kFills[] = {configuration,
                           nothing,
                           connections,
                           dirs,
                           dump,
                           environment,
                           trace_mask,
                           hash,
                           initial_configuration,
                           is_read_only,
                           leader,
                           monitor,
                           observers,
                           nothing,
                           server_stats,
                           nothing,
                           stats,
                           system_properties,
                           voting_view,
                           watch_summary,
                           watches,
                           watches_by_path,
                           zabstate};
static_assert(std::size(kCommands) == std::size(kFills));

}  // namespace

std::span<const AdminCommand> admin_commands() { return kCommands; }

const AdminCommand* find_admin_command(std::string_view name) {
  for (const AdminCommand& command : kCommands) {
    if (command.name == name || std::ranges::find(command.also, name) != command.also.end()) return &command;
  }
  return nullptr;
}

std::string admin_answer(const AdminCommand& command, const Facts& facts, const Report& report) {
  json::object out;
  kFills[&command - kCommands](out, facts, report);
  out["command"] = command.name;
  if (!out.contains("error")) out["error"] = nullptr;
  return json::serialize(out);
}

std::string admin_error(std::string_view command, std::string_view error) {
  return json::serialize(json::object{{"command", command}, {"error", error}});
}

}  // namespace witan::api::zookeeper
