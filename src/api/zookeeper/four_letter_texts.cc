#include "api/zookeeper/four_letter_texts.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>

#include "api/zookeeper/config_node.h"
#include "api/zookeeper/metrics.h"
#include "api/zookeeper/root.h"

namespace witan::api::zookeeper {
namespace {

using Text = fmt::memory_buffer;

template <class... Args>
void put(Text& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string hex(int64_t id) { return fmt::format("0x{:x}", static_cast<uint64_t>(id)); }

void put_clients(Text& out, const Report& report, bool brief) {
  for (const ConnectionStatistics& c : report.connections) {
    put(out, " /{}[{}](queued={},recved={},sent={}", c.remote, c.reading ? 1 : 0, c.outstanding, c.received, c.sent);
    if (!brief && c.session.value != 0) {
      put(out, ",sid={},lop={},est={},to={}", hex(c.session.value), c.last_operation, c.established.ms, c.timeout_ms);
      if (c.last_xid >= 0) put(out, ",lcxid={}", hex(c.last_xid));
      put(out, ",lzxid={},lresp={},llat={},minlat={},avglat={},maxlat={}", hex(c.last_zxid),
          c.last_response.ns / 1'000'000, c.last_latency_ms, c.latency.min_ms,
          static_cast<int64_t>(c.latency.average_ms()), c.latency.max_ms);
    }
    put(out, ")\n");
  }
  put(out, "\n");
}

void put_state(Text& out, const Report& report) {
  const ServerStatistics& s = report.statistics;
  put(out, "Latency min/avg/max: {}/{}/{}\n", s.latency.min_ms, java_double(s.latency.average_ms()), s.latency.max_ms);
  put(out, "Received: {}\nSent: {}\nConnections: {}\nOutstanding: {}\n", s.received, s.sent, s.connections,
      s.outstanding);
  put(out, "Zxid: {}\nMode: {}\n", hex(report.zxid), report.server_state());
  put(out, "Node count: {}\n", report.census.nodes + 1);  // its root counts twice, as "" and as "/"
  if (const auto& leading = report.census.leading; leading && !report.alone()) {
    put(out, "Proposal sizes last/min/max: {}/{}/{}\n", leading->last_proposal, leading->min_proposal,
        leading->max_proposal);
  }
}

// The end of the tick in which a client's time is up that stays silent from its last answer on.
int64_t end_of_patience(const Facts& facts, const Report& report, const ConnectionStatistics& c) {
  const int64_t tick = std::max<int64_t>(facts.options.tick / milliseconds(1), 1);
  int64_t from = c.established.ms;
  if (c.last_response.ns > 0) from = report.wall.ms - (report.now - c.last_response) / milliseconds(1);
  const int64_t patience = c.session.value == 0 ? facts.options.session_within / milliseconds(1) : c.timeout_ms;
  return ((from + patience) / tick + 1) * tick;
}

void put_connections(Text& out, const Facts& facts, const Report& report) {
  std::map<int64_t, std::vector<const ConnectionStatistics*>> by_time;  // ms of the wall clock
  for (const ConnectionStatistics& c : report.connections) by_time[end_of_patience(facts, report, c)].push_back(&c);
  put(out, "Connections dump:\nConnections Sets ({})/({}):\n", by_time.size(), report.connections.size());
  for (const auto& [when, connections] : by_time) {
    put(out, "{} expire at {}:\n", connections.size(), java_date({when}));
    for (const ConnectionStatistics* c : connections) {
      put(out, "\tip: /{} sessionId: {}\n", c->remote, hex(c->session.value));
    }
  }
}

// A member that leads tells when each session expires at the latest: those that are not connected here may have been
// heard of just now by another one. The others know no more than the timeouts.
void put_sessions(Text& out, const Facts& facts, const Report& report) {
  put(out, "SessionTracker dump:\n");
  if (!report.alone() && !report.view.is_leader) {
    put(out, "Global Sessions({}):\n", report.census.list.size());
    for (const node::Census::Session& session : report.census.list) {
      put(out, "{}\t{}ms\n", hex(session.id.value), session.timeout_ms);
    }
    return;
  }
  std::map<int64_t, int64_t> of_connections;  // session -> ms of the wall clock
  for (const ConnectionStatistics& c : report.connections) {
    of_connections[c.session.value] = end_of_patience(facts, report, c);
  }
  std::map<int64_t, std::vector<int64_t>> by_time;
  const int64_t tick = std::max<int64_t>(facts.options.tick / milliseconds(1), 1);
  for (const node::Census::Session& session : report.census.list) {
    const auto connected = of_connections.find(session.id.value);
    const int64_t latest = ((report.wall.ms + session.timeout_ms) / tick + 1) * tick;
    by_time[connected == of_connections.end() ? latest : connected->second].push_back(session.id.value);
  }
  put(out, "Session Sets ({})/({}):\n", by_time.size(), report.census.list.size());
  for (const auto& [when, sessions] : by_time) {
    put(out, "{} expire at {}:\n", sessions.size(), java_date({when}));
    for (const int64_t session : sessions) put(out, "\t{}\n", hex(session));
  }
}

template <class Items>
size_t total_paths(const Items& items) {
  size_t total = 0;
  for (const auto& item : items) total += item.paths.size();
  return total;
}

}  // namespace

std::string java_date(WallTime time) {
  using namespace std::chrono;
  constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_time<milliseconds> point{milliseconds(time.ms)};
  const sys_days day = floor<days>(point);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(point - day));
  return fmt::format("{} {} {:02} {:02}:{:02}:{:02} UTC {}", kDays[weekday(day).c_encoding()],
                     kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     static_cast<int>(date.year()));
}

std::vector<std::pair<std::string_view, std::vector<store::LeaseId>>> watched_by_path(const WatchListing& watches) {
  std::map<std::string_view, std::vector<store::LeaseId>> by_path;
  for (const WatchListing::Item& item : watches.sessions) {
    for (const std::string& path : item.paths) by_path[path].push_back(item.session);
  }
  return {by_path.begin(), by_path.end()};
}

std::string text_of_srvr(const Facts& facts, const Report& report) {
  Text out;
  put(out, "Zookeeper version: {}\n", facts.version);
  put_state(out, report);
  return to_string(out);
}

std::string text_of_stat(const Facts& facts, const Report& report) {
  Text out;
  put(out, "Zookeeper version: {}\nClients:\n", facts.version);
  put_clients(out, report, true);
  put_state(out, report);
  return to_string(out);
}

std::string text_of_cons(const Report& report) {
  Text out;
  put_clients(out, report, false);
  return to_string(out);
}

std::string text_of_conf(const Facts& facts, const Report& report) {
  const Options& o = facts.options;
  Text out;
  put(out, "clientPort={}\nsecureClientPort=-1\n", facts.client_port);
  put(out, "dataDir={0}\ndataDirSize={1}\ndataLogDir={0}\ndataLogSize={2}\n", facts.data_dir,
      std::max<int64_t>(report.machine.snapshot_bytes, 0), std::max<int64_t>(report.machine.log_bytes, 0));
  put(out, "tickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\n", o.tick / milliseconds(1),
      o.max_connections_per_address, o.shortest_session() / milliseconds(1), o.longest_session() / milliseconds(1));
  put(out, "clientPortListenBacklog=-1\nserverId={}\n", facts.server_id);
  if (facts.quorum_port == 0) return to_string(out);
  // 3 is the only election algorithm that ZooKeeper still has.
  put(out, "initLimit={}\nsyncLimit={}\nelectionAlg=3\nelectionPort={}\n", facts.init_limit, facts.sync_limit,
      facts.election_port);
  put(out, "quorumPort={}\npeerType={}\nmembership: \n", facts.quorum_port, report.view.is_learner ? 1 : 0);
  put(out, "{}\n", config_text(report.members, report.view.members_version));
  return to_string(out);
}

std::string text_of_envi(const Facts& facts) {
  Text out;
  put(out, "Environment:\nzookeeper.version={}\n", facts.version);
  for (const auto& [name, value] : facts.environment) put(out, "{}={}\n", name, value);
  return to_string(out);
}

std::string text_of_mntr(const Facts& facts, const Report& report) {
  Text out;
  for (const Metric& metric : metrics(facts, report)) {
    put(out, "zk_{}\t", metric.name);
    if (const auto* text = std::get_if<std::string>(&metric.value)) {
      put(out, "{}\n", *text);
    } else if (const auto* number = std::get_if<int64_t>(&metric.value)) {
      put(out, "{}\n", *number);
    } else {
      put(out, "{}\n", java_double(std::get<double>(metric.value)));
    }
  }
  return to_string(out);
}

std::string text_of_dump(const Facts& facts, const Report& report) {
  const Root root(facts.options.root);
  Text out;
  put_sessions(out, facts, report);
  const auto owners =
      std::ranges::count_if(report.census.list, [](const auto& session) { return !session.keys.empty(); });
  put(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):\n", owners);
  for (const node::Census::Session& session : report.census.list) {
    if (session.keys.empty()) continue;
    put(out, "{}:\n", hex(session.id.value));
    for (const Blob& key : session.keys) {
      if (const auto path = root.to_client(key.view())) put(out, "\t{}\n", *path);
    }
  }
  put_connections(out, facts, report);
  return to_string(out);
}

std::string text_of_wchs(const Report& report) {
  return fmt::format("{} connections watching {} paths\nTotal watches:{}\n", report.watches.sessions.size(),
                     watched_by_path(report.watches).size(), total_paths(report.watches.sessions));
}

std::string text_of_wchc(const Report& report) {
  Text out;
  for (const WatchListing::Item& item : report.watches.sessions) {
    put(out, "{}\n", hex(item.session.value));
    for (const std::string& path : item.paths) put(out, "\t{}\n", path);
  }
  put(out, "\n");
  return to_string(out);
}

std::string text_of_wchp(const Report& report) {
  Text out;
  for (const auto& [path, sessions] : watched_by_path(report.watches)) {
    put(out, "{}\n", path);
    for (const store::LeaseId session : sessions) put(out, "\t{}\n", hex(session.value));
  }
  put(out, "\n");
  return to_string(out);
}

std::string text_of_dirs(const Report& report) {
  return fmt::format("datadir_size: {}\nlogdir_size: {}\n", std::max<int64_t>(report.machine.snapshot_bytes, 0),
                     std::max<int64_t>(report.machine.log_bytes, 0));
}

}  // namespace witan::api::zookeeper
