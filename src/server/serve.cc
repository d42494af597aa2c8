#include "server/serve.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/rng.h"
#include "node/node.h"
#include "os/disk.h"
#include "os/lane.h"
#include "os/loop.h"
#include "os/machine.h"
#include "os/network.h"
#include "os/signals.h"
#include "os/tally.h"
#include "server/api_loop.h"
#include "server/command_line.h"
#include "server/zookeeper_facts.h"

namespace witan::server {
namespace {

// A member that does not know a leader yet keeps its clients waiting, as etcd does; but not for ever, because they may
// be asking why.
constexpr int kElectionsBeforeServing = 3;
constexpr Duration kLongestStop = seconds(15);

std::vector<std::string> urls(const std::vector<env::Address>& addresses) {
  std::vector<std::string> out;
  for (const env::Address& address : addresses) out.push_back(address.url());
  return out;
}

api::etcd::Options etcd_options(const Config& config, uint64_t seed) {
  api::etcd::Options out;
  out.max_request_bytes = config.max_request_bytes;
  out.election_timeout = config.election;
  out.seed = seed;
  return out;
}

// Everything on the node's loop, which is the thread that calls run().
class Service {
 public:
  Service(const Config& config, LogSink& log)
      : config_(config), log_(&log, "server"), seed_(os::random_seed()),
        network_(os::NetworkOptions{.log = Logger(&log, "net")}), loop_("node"), log_lane_(loop_, "log"),
        file_lane_(loop_, "files"), state_thread_("state"), options_(node_options(config)),
        world_{.disk = disk_,
               .network = network_,
               .loop = loop_,
               .state_loop = state_thread_.loop(),
               .log_lane = log_lane_,
               .file_lane = file_lane_,
               .log = &log,
               .seed = seed_} {}

  int run();

 private:
  Result<> prepare();
  Result<> start();
  void make_api_loops();
  Result<> check_import();
  Result<> listen_all();
  Result<> listen(const std::optional<env::Address>& address, std::vector<env::AcceptTarget> targets,
                  std::string& where);
  std::vector<env::AcceptTarget> targets(env::AcceptTarget (ApiLoop::*target)());
  void on_ready();
  void on_signal(int number);
  void on_api_stopped();
  void end(int exit_code);
  int fail_with(const Error& error);

  const Config& config_;
  Logger log_;
  const uint64_t seed_;
  // In the order of their lives: what stands further down uses what stands above it.
  os::Disk disk_;
  os::Network network_;
  os::Loop loop_;
  os::Lane log_lane_;
  os::Lane file_lane_;
  os::LoopThread state_thread_;
  const node::Options options_;
  const node::World world_;
  std::unique_ptr<node::Node> node_;
  os::Tally zookeeper_addresses_;  // of the clients of all API loops
  std::vector<std::unique_ptr<ApiLoop>> api_loops_;
  std::unique_ptr<os::Machine> machine_;  // what is asked of it comes back to the API loops
  std::vector<std::unique_ptr<env::Listener>> listeners_;
  std::string etcd_at_;  // where it listens, for the log
  std::string zookeeper_at_;
  std::string admin_at_;
  std::optional<os::Signals> signals_;

  bool ready_ = false;
  bool stopping_ = false;
  size_t api_loops_left_ = 0;
  int exit_code_ = 0;
  std::optional<Error> fatal_;
};

int Service::fail_with(const Error& error) {
  log_.error("{}", error.message);
  return 1;
}

// Until there is a node, a signal ends the process as it ends any other: nothing is half done that a restart minds.
int Service::run() {
  log_.info("witan {}: member {} in {}", kVersion, config_.name, config_.data_dir);
  for (const std::string& warning : config_.warnings) log_.warn("{}", warning);
  if (const auto checked = check_import(); !checked) return fail_with(checked.error());
  if (const auto prepared = prepare(); !prepared) return fail_with(prepared.error());
  auto opened = node::Node::open(options_, world_);
  if (!opened) return fail_with(opened.error());
  node_ = std::move(*opened);
  signals_.emplace(loop_, [this](int number) { on_signal(number); });
  loop_.post([this] {
    if (auto started = start(); !started) {
      fatal_ = std::move(started.error());
      end(1);
    }
  });
  loop_.run();
  signals_.reset();
  listeners_.clear();
  for (const auto& api : api_loops_) api->stop_thread();
  state_thread_.stop();
  state_thread_.loop().close();
  loop_.close();
  if (fatal_) return fail_with(*fatal_);
  log_.info("stopped");
  return exit_code_;
}

// Somebody who moves in expects to find the data there.
Result<> Service::check_import() {
  if (!config_.zookeeper_file || disk_.list(config_.data_dir)) return {};
  const std::string theirs = config_.data_dir.substr(0, config_.data_dir.rfind('/')) + "/version-2";
  const auto names = disk_.list(theirs);
  if (!names) return {};
  for (const std::string& name : *names) {
    if (!name.starts_with("snapshot.") && !name.starts_with("log.")) continue;
    return fail(Code::Invalid,
                fmt::format("{} holds data of ZooKeeper, and {} is not there yet: a new, empty tree would be served. "
                            "`witan import zookeeper` takes the data over, with --data-dir {}; or name another dataDir",
                            theirs, config_.data_dir, config_.data_dir));
  }
  return {};
}

Result<> Service::prepare() {
  Result<> result;
  loop_.post([&] {
    node::Node::prepare(options_, world_, [&](Result<> prepared) {
      result = std::move(prepared);
      loop_.stop();
    });
  });
  loop_.run();
  return result;
}

void Service::make_api_loops() {
  const unsigned threads = config_.api_threads.value_or(std::max(1u, os::usable_cores() - 1));
  if (threads == 0) api_loops_.push_back(std::make_unique<ApiLoop>(&loop_, ""));
  for (unsigned i = 0; i < threads; ++i)
    api_loops_.push_back(std::make_unique<ApiLoop>(nullptr, fmt::format("api-{}", i)));
  Rng rng = Rng(seed_).fork("api");
  ZooKeeperSetup zookeeper;
  if (config_.zookeeper_listen) {
    machine_ = std::make_unique<os::Machine>(
        loop_,
        os::Machine::Directories{.log = config_.data_dir + "/log", .snapshots = config_.data_dir + "/snapshots"});
    auto desks = std::make_shared<std::vector<std::shared_ptr<api::zookeeper::Desk>>>();
    for (const auto& api : api_loops_) desks->push_back(api->desk());
    zookeeper = {.options = zookeeper_options(config_),
                 .facts = zookeeper_facts(config_, os::describe_host(), os::program_written(), loop_.now()),
                 .desks = std::move(desks),
                 .machine = machine_.get(),
                 .addresses = &zookeeper_addresses_,
                 .admin = {.command_url = config_.zookeeper_admin_url, .idle = config_.zookeeper_admin_idle}};
  }
  for (const auto& api : api_loops_) {
    ApiOptions options;
    if (config_.etcd_listen) options.etcd = etcd_options(config_, rng.next());
    zookeeper.options.secret = rng.next();
    if (config_.zookeeper_listen) options.zookeeper = zookeeper;
    api->attach(*node_, options, log_);
  }
}

std::vector<env::AcceptTarget> Service::targets(env::AcceptTarget (ApiLoop::*target)()) {
  std::vector<env::AcceptTarget> out;
  for (const auto& api : api_loops_) out.push_back((api.get()->*target)());
  return out;
}

Result<> Service::listen(const std::optional<env::Address>& address, std::vector<env::AcceptTarget> targets,
                         std::string& where) {
  where = "no port";
  if (!address) return {};
  auto listener = network_.listen(*address, std::move(targets));
  if (!listener) return std::unexpected(std::move(listener.error()));
  where = (*listener)->local().text();
  listeners_.push_back(std::move(*listener));
  return {};
}

Result<> Service::listen_all() {
  if (auto done = listen(config_.etcd_listen, targets(&ApiLoop::etcd_target), etcd_at_); !done) return done;
  if (auto done = listen(config_.zookeeper_listen, targets(&ApiLoop::zookeeper_target), zookeeper_at_); !done) {
    return done;
  }
  // One loop is enough for operators.
  std::vector<env::AcceptTarget> admin;
  admin.push_back(api_loops_.front()->admin_target());
  auto done = listen(config_.zookeeper_admin_listen, std::move(admin), admin_at_);
  if (done && config_.zookeeper_admin_listen) log_.info("ZooKeeper's AdminServer answers on {}", admin_at_);
  return done;
}

Result<> Service::start() {
  make_api_loops();
  node_->on_ready([this] { on_ready(); });
  node_->on_fatal([this](Error error) {
    fatal_ = std::move(error);
    end(1);
  });
  if (auto listening = listen_all(); !listening) return listening;
  if (auto started = node_->start(); !started) return started;
  loop_.call_at(loop_.now() + kElectionsBeforeServing * config_.election, [this] {
    if (ready_ || stopping_) return;
    log_.warn("no leader is known yet; clients are answered as far as that goes");
    for (const auto& api : api_loops_) api->open();
  });
  return {};
}

void Service::on_ready() {
  ready_ = true;
  if (stopping_) return;
  for (const auto& api : api_loops_) api->open();
  log_.info("ready to serve client requests: etcd on {}, ZooKeeper on {}, peers on {}, member {:x} of cluster {:x}",
            etcd_at_, zookeeper_at_, config_.peer_listen ? config_.peer_listen->text() : "no port", node_->member_id(),
            node_->cluster_id());
}

// First the clients, so that what they still wait for can be answered; then the member, which hands its leadership
// over.
void Service::on_signal(int number) {
  if (stopping_) std::_Exit(128 + number);
  stopping_ = true;
  log_.info("signal {}: stopping (a second one ends the process at once)", number);
  listeners_.clear();
  loop_.call_at(loop_.now() + kLongestStop, [this] {
    log_.warn("stopping takes too long; what is left is cut off");
    end(1);
  });
  api_loops_left_ = api_loops_.size();
  for (const auto& api : api_loops_) {
    api->stop([this] { loop_.post([this] { on_api_stopped(); }); });
  }
}

void Service::on_api_stopped() {
  if (--api_loops_left_ > 0) return;
  node_->stop([this] { end(0); });
}

void Service::end(int exit_code) {
  exit_code_ = exit_code;
  loop_.stop();
}

}  // namespace

node::Options node_options(const Config& config) {
  node::Options out;
  out.name = config.name;
  out.data_dir = config.data_dir;
  out.peer_listen = config.peer_listen.value_or(env::Address());
  out.peer_url = config.peer_advertise->url();
  out.client_urls = urls(config.etcd_advertise);
  for (const NamedAddress& member : config.initial_cluster) {
    out.initial_cluster.push_back(
        {.name = member.name, .peer_url = member.address.url(), .number = member.number, .learner = member.learner});
  }
  out.join_existing = config.join_existing;
  out.token = config.initial_cluster_token;
  out.heartbeat = config.heartbeat;
  out.election = config.election;
  out.snapshot_entries = config.snapshot_entries;
  out.snapshot_bytes = config.snapshot_bytes;
  out.max_request_bytes = config.max_request_bytes;
  out.auto_compaction = config.auto_compaction;
  out.history_bytes = static_cast<int64_t>(config.history_bytes);
  out.memory_quota = static_cast<int64_t>(config.memory_quota);
  if (config.zookeeper_listen) {
    out.zookeeper = config.zookeeper_advertise->text();
    out.enforce_node_quotas = config.zookeeper_enforce_quota;
    // A renewal that the leader hears of may have waited for one report and for the next.
    out.idle_scan = config.zookeeper_container_check;
    out.session_allowance = 2 * zookeeper_options(config).report_interval();
  }
  return out;
}

int serve(const Config& config, LogSink& log) { return Service(config, log).run(); }

}  // namespace witan::server
