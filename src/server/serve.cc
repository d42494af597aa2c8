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
#include "server/api_loop.h"
#include "server/command_line.h"

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

node::Options node_options(const Config& config) {
  node::Options out;
  out.name = config.name;
  out.data_dir = config.data_dir;
  out.peer_listen = config.peer_listen;
  out.peer_url = config.peer_advertise->url();
  out.client_urls = urls(config.etcd_advertise);
  for (const NamedAddress& member : config.initial_cluster) {
    out.initial_cluster.push_back({.name = member.name, .peer_url = member.address.url()});
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
  std::vector<std::unique_ptr<ApiLoop>> api_loops_;
  std::unique_ptr<env::Listener> listener_;
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
  listener_.reset();
  for (const auto& api : api_loops_) api->stop_thread();
  state_thread_.stop();
  state_thread_.loop().close();
  loop_.close();
  if (fatal_) return fail_with(*fatal_);
  log_.info("stopped");
  return exit_code_;
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
  for (const auto& api : api_loops_) api->attach(*node_, etcd_options(config_, rng.next()), log_.named("etcd"));
}

Result<> Service::start() {
  make_api_loops();
  node_->on_ready([this] { on_ready(); });
  node_->on_fatal([this](Error error) {
    fatal_ = std::move(error);
    end(1);
  });
  std::vector<env::AcceptTarget> targets;
  for (const auto& api : api_loops_) targets.push_back(api->accept_target());
  auto listener = network_.listen(config_.etcd_listen, std::move(targets));
  if (!listener) return std::unexpected(std::move(listener.error()));
  listener_ = std::move(*listener);
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
  log_.info("ready to serve client requests: etcd on {}, peers on {}, member {:x} of cluster {:x}",
            listener_->local().text(), config_.peer_listen.text(), node_->member_id(), node_->cluster_id());
}

// First the clients, so that what they still wait for can be answered; then the member, which hands its leadership
// over.
void Service::on_signal(int number) {
  if (stopping_) std::_Exit(128 + number);
  stopping_ = true;
  log_.info("signal {}: stopping (a second one ends the process at once)", number);
  listener_.reset();
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

int serve(const Config& config, LogSink& log) { return Service(config, log).run(); }

}  // namespace witan::server
