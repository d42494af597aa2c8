#include "api/zookeeper/metrics.h"

#include <cmath>

#include <fmt/format.h>

namespace witan::api::zookeeper {
namespace {

int64_t in_ms(Duration duration) { return duration / milliseconds(1); }

void add_leader(std::vector<Metric>& out, const node::Census::Leading& leading) {
  const auto learners = static_cast<int64_t>(leading.followers + leading.synced_learners);
  out.push_back({"learners", learners});
  out.push_back({"synced_followers", static_cast<int64_t>(leading.synced_followers)});
  out.push_back({"synced_observers", static_cast<int64_t>(leading.synced_learners)});
  out.push_back({"leader_uptime", in_ms(leading.since)});
  out.push_back({"last_proposal_size", leading.last_proposal});
  out.push_back({"max_proposal_size", leading.max_proposal});
  out.push_back({"min_proposal_size", leading.min_proposal});
}

// "leading - broadcast"
std::string peer_state(const Report& report) {
  if (report.view.leader == 0) return "leaderelection - election";
  if (report.view.is_learner) return "observing - broadcast";
  return report.view.is_leader ? "leading - broadcast" : "following - broadcast";
}

}  // namespace

std::string java_double(double value) {
  std::string text = fmt::format("{:.4f}", value);
  while (text.ends_with('0') && !text.ends_with(".0")) text.pop_back();
  return text;
}

std::vector<Metric> metrics(const Facts& facts, const Report& report) {
  const ServerStatistics& s = report.statistics;
  const auto number = [](auto value) { return static_cast<int64_t>(value); };
  std::vector<Metric> out;
  out.push_back({"version", facts.version});
  out.push_back({"server_state", std::string(report.server_state())});
  if (!report.alone()) out.push_back({"peer_state", peer_state(report)});
  out.push_back({"ephemerals_count", number(report.census.session_keys)});
  out.push_back({"num_alive_connections", number(s.connections)});
  out.push_back({"avg_latency", s.latency.average_ms()});
  out.push_back({"outstanding_requests", number(s.outstanding)});
  out.push_back({"znode_count", report.census.nodes + 1});  // its root counts twice, as "" and as "/"
  out.push_back({"global_sessions", number(report.census.sessions)});
  out.push_back({"packets_sent", number(s.sent)});
  out.push_back({"packets_received", number(s.received)});
  out.push_back({"connection_drop_probability", 0.0});  // nothing is ever dropped at random
  out.push_back({"watch_count", number(s.watches)});
  out.push_back({"auth_failed_count", number(s.authentications_failed)});
  out.push_back({"min_latency", s.latency.min_ms});
  if (report.machine.max_files >= 0) out.push_back({"max_file_descriptor_count", report.machine.max_files});
  out.push_back({"approximate_data_size", report.census.data_bytes});
  if (report.machine.open_files >= 0) out.push_back({"open_file_descriptor_count", report.machine.open_files});
  out.push_back({"local_sessions", number(s.read_only_sessions)});
  out.push_back({"uptime", in_ms(report.now - facts.started)});
  out.push_back({"max_latency", s.latency.max_ms});
  if (!report.alone()) out.push_back({"quorum_size", number(report.census.voters)});
  if (report.census.leading && !report.alone()) add_leader(out, *report.census.leading);
  out.push_back({"connection_rejected", number(s.connections_refused)});
  out.push_back({"connection_request_count", number(s.connections_accepted)});
  out.push_back({"sessionless_connections_expired", number(s.sessionless_closed)});
  out.push_back({"bytes_received_count", number(s.bytes_received)});
  return out;
}

}  // namespace witan::api::zookeeper
