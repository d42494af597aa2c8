#include "api/zookeeper/operators.h"

#include <algorithm>
#include <tuple>

namespace witan::api::zookeeper {

bool Facts::allows(std::string_view word) const {
  if (std::ranges::find(whitelist, "*") != whitelist.end() || std::ranges::find(whitelist, word) != whitelist.end()) {
    return true;
  }
  // Clients look for a read-only server with it.
  return word == "isro" && options.read_only;
}

std::string_view Report::server_state() const {
  if (read_only()) return "read-only";
  if (alone()) return "standalone";
  if (view.is_learner) return "observer";
  return view.is_leader ? "leader" : "follower";
}

// ---- gathering ----------------------------------------------------------------------------------

struct Operators::Survey {
  Wanted wanted;
  Function<void(const Report&)> done;
  size_t left = 0;            // parts
  std::vector<Report> parts;  // of each desk
  Report report;
};

Operators::Operators(env::Loop& loop, node::Client& client, Server& server, std::shared_ptr<const Facts> facts,
                     Desks desks, env::Machine* machine)
    : loop_(loop), client_(client), server_(server), facts_(std::move(facts)), desks_(std::move(desks)),
      machine_(machine) {}

namespace {

// On the desk's loop.
Report look(Server& server, const Wanted& wanted) {
  Report out;
  out.statistics = server.statistics();
  if (wanted.connections) out.connections = server.connection_statistics();
  if (wanted.watches) out.watches = server.watch_listing();
  if (wanted.reset_server) server.reset_statistics();
  if (wanted.reset_connections) server.reset_connection_statistics();
  return out;
}

void merge(Report& into, Report&& part) {
  into.statistics.add(part.statistics);
  std::ranges::move(part.connections, std::back_inserter(into.connections));
  std::ranges::move(part.watches.sessions, std::back_inserter(into.watches.sessions));
}

}  // namespace

void Operators::ask_desk(const std::shared_ptr<Survey>& survey, const std::shared_ptr<Desk>& desk) {
  const size_t place = survey->parts.size();
  survey->parts.emplace_back();
  ++survey->left;
  desk->loop->post([this, alive = alive_, home = &loop_, survey, desk, place, wanted = survey->wanted] {
    Report part;
    if (desk->server != nullptr) part = look(*desk->server, wanted);
    home->post([this, alive, survey, place, part = std::move(part)]() mutable {
      survey->parts[place] = std::move(part);
      if (*alive) part_done(survey);
    });
  });
}

void Operators::survey(const Wanted& wanted, Function<void(const Report&)> done) {
  auto survey = std::make_shared<Survey>();
  survey->wanted = wanted;
  survey->done = std::move(done);
  survey->left = 2;  // the census, and that everybody was asked
  // Answers of the client are never late: it lives no longer than this loop's objects do.
  client_.census(wanted.sessions, [this, alive = alive_, survey](node::Census census) {
    survey->report.census = std::move(census);
    if (*alive) part_done(survey);
  });
  if (wanted.members) {
    ++survey->left;
    client_.members(node::Consistency::Local,
                    [this, alive = alive_, survey](node::Answer<std::vector<node::MemberInfo>> members) {
                      if (members) survey->report.members = std::move(*members);
                      if (*alive) part_done(survey);
                    });
  }
  if (wanted.machine && machine_ != nullptr) {
    ++survey->left;
    machine_->look(loop_, [this, alive = alive_, survey](env::MachineFacts facts) {
      survey->report.machine = facts;
      if (*alive) part_done(survey);
    });
  }
  for (const auto& desk : *desks_) ask_desk(survey, desk);
  part_done(survey);
}

void Operators::part_done(const std::shared_ptr<Survey>& survey) {
  if (--survey->left > 0) return;
  Report& report = survey->report;
  for (Report& part : survey->parts) merge(report, std::move(part));
  std::ranges::sort(report.watches.sessions, [](const auto& a, const auto& b) {
    return std::tie(a.session.value, a.paths) < std::tie(b.session.value, b.paths);
  });
  report.view = client_.view();
  report.zxid = client_.revision().value;
  report.mode = server_.mode();
  report.now = loop_.now();
  report.wall = loop_.wall();
  survey->done(report);
}

}  // namespace witan::api::zookeeper
