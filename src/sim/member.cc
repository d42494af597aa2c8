#include "sim/member.h"

#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::sim {

// One process. What it holds goes when it ends; its loops and lanes stay, closed.
struct Member::Life {
  Life(Member& member, Rng rng)
      : number(member.lives_.size() + 1),
        node_loop(member.ground_.scheduler, member.clock_, pause, rng.fork("node"), member.ground_.plan.task_cost),
        own_state_loop(member.ground_.scheduler, member.clock_, pause, rng.fork("state"),
                       member.ground_.plan.task_cost),
        state_loop(member.ground_.plan.one_loop ? node_loop : own_state_loop),
        log_lane(member.ground_.scheduler, node_loop, pause, member.pace_),
        file_lane(member.ground_.scheduler, node_loop, pause, member.pace_),
        network(member.ground_.network.at(member.machine_)), seed(rng.next()) {
    for (size_t i = 0; i < member.ground_.plan.api_loops; ++i) {
      auto api = std::make_unique<Api>();
      api->own = std::make_unique<Loop>(member.ground_.scheduler, member.clock_, pause, rng.fork(std::to_string(i)),
                                        member.ground_.plan.task_cost);
      api->loop = member.ground_.plan.one_loop ? &node_loop : api->own.get();
      apis.push_back(std::move(api));
    }
  }
  template <class What>
  void each_loop(What what) {
    what(node_loop);
    what(own_state_loop);
    for (const auto& api : apis) what(*api->own);
  }

  struct Api {
    std::unique_ptr<Loop> own;
    Loop* loop = nullptr;
    std::unique_ptr<node::Client> client;
    std::unique_ptr<api::etcd::Server> server;
    std::unique_ptr<node::Client> zookeeper_client;
    std::unique_ptr<api::zookeeper::Server> zookeeper;
  };

  const uint64_t number;
  Pause pause;
  Loop node_loop;
  Loop own_state_loop;
  Loop& state_loop;
  Lane log_lane;
  Lane file_lane;
  std::unique_ptr<env::Network> network;
  uint64_t seed;
  std::unique_ptr<node::Node> node;
  std::vector<std::unique_ptr<Api>> apis;
  std::unique_ptr<env::Listener> listener;
  std::unique_ptr<env::Listener> zookeeper_listener;
  size_t servers_left = 0;
  bool stopping = false;
};

Member::Member(Ground ground, MachineId machine, node::Options options, node::Witness& witness, Rng rng)
    : ground_(ground), machine_(machine), options_(std::move(options)), witness_(witness), rng_(std::move(rng)),
      disk_(ground.scheduler, rng_.fork("disk")), pace_(rng_.fork("pace"), ground.plan.disk_time),
      clock_(ground.scheduler) {
  options_.data_dir = "data";
  options_.peer_listen = {.host = Network::host_of(machine), .port = kPeerPort};
  options_.peer_url = options_.peer_listen.url();
  options_.client_urls = {client_address().url()};
}

Member::~Member() {
  if (running()) bury(false);
}

// ---- The beginning ------------------------------------------------------------------------------

void Member::start() {
  CHECK(!running(), "{} runs already", options_.name);
  ground_.network.back(machine_);
  disk_.power_on();
  last_error_.reset();
  lives_.push_back(std::make_unique<Life>(*this, rng_.fork(fmt::format("life {}", lives_.size()))));
  life_ = lives_.back().get();
  // The process is told things while it starts, so its steps are tasks of its loop, as in the real one.
  life_->node_loop.post([this, number = life_->number] {
    node::Node::prepare(options_, world(*life_),
                        [this, number](Result<> result) { prepared(number, std::move(result)); });
  });
}

node::World Member::world(Life& life) {
  return node::World{.disk = disk_,
                     .network = *life.network,
                     .loop = life.node_loop,
                     .state_loop = life.state_loop,
                     .log_lane = life.log_lane,
                     .file_lane = life.file_lane,
                     .log = ground_.log,
                     .seed = life.seed,
                     .witness = &witness_};
}

void Member::prepared(uint64_t number, Result<> result) {
  if (!result) return end_soon(number, std::move(result.error()));
  open();
}

void Member::open() {
  Life& life = *life_;
  auto opened = node::Node::open(options_, world(life));
  if (!opened) return end_soon(life.number, std::move(opened.error()));
  life.node = std::move(*opened);
  id_ = life.node->member_id();
  life.node->on_fatal([this, number = life.number](Error error) { end_soon(number, std::move(error)); });
  furnish(life);
  life.node->on_ready([this] { serve(); });
  if (auto started = life.node->start(); !started) return end_soon(life.number, std::move(started.error()));
  // A member that knows no leader serves all the same after a while, as the real one does.
  life.node_loop.call_at(life.node_loop.now() + 3 * options_.election, [this] { serve(); });
}

// Each loop has a server of either kind, with a client of its own, as in the real process.
void Member::furnish(Life& life) {
  Rng rng = Rng(life.seed).fork("api");
  for (const auto& api : life.apis) {
    api->client = life.node->make_client(*api->loop);
    api->zookeeper_client = life.node->make_client(*api->loop);
    api::etcd::Options options;
    options.election_timeout = options_.election;
    options.watch_buffer_bytes = ground_.plan.watch_buffer_bytes;
    options.progress_interval = seconds(2);
    options.seed = rng.next();
    api::zookeeper::Options zookeeper;
    zookeeper.tick = ground_.plan.zookeeper_tick;
    api->loop->post([&api = *api, options, zookeeper, log = ground_.log] {
      api.server = std::make_unique<api::etcd::Server>(*api.loop, *api.client, options, Logger(log, "etcd"));
      api.zookeeper = std::make_unique<api::zookeeper::Server>(*api.loop, *api.zookeeper_client, zookeeper,
                                                               Logger(log, "zookeeper"));
    });
  }
}

void Member::serve() {
  Life& life = *life_;
  if (life.listener || life.stopping) return;
  std::vector<env::AcceptTarget> etcd;
  std::vector<env::AcceptTarget> zookeeper;
  for (const auto& api : life.apis) {
    etcd.push_back({.loop = api->loop, .on_accept = [&api = *api](std::unique_ptr<env::Connection> connection) {
                      if (api.server) api.server->accept(std::move(connection));
                    }});
    zookeeper.push_back({.loop = api->loop, .on_accept = [&api = *api](std::unique_ptr<env::Connection> connection) {
                           if (api.zookeeper) api.zookeeper->accept(std::move(connection));
                         }});
  }
  const auto listen = [&life](const env::Address& address, std::vector<env::AcceptTarget> targets) {
    auto listener = life.network->listen(address, std::move(targets));
    CHECK(listener.has_value(), "{}", listener.error().message);
    return std::move(*listener);
  };
  life.listener = listen(client_address(), std::move(etcd));
  life.zookeeper_listener = listen(zookeeper_address(), std::move(zookeeper));
}

// ---- The end ------------------------------------------------------------------------------------

// Not inside the process' own calls.
void Member::end_soon(uint64_t number, std::optional<Error> error) {
  ground_.scheduler.at(ground_.scheduler.now(), [this, number, error = std::move(error)]() mutable {
    if (!running() || life_->number != number) return;
    if (error && error->code == Code::Corrupt && !damaged_) complaints_.push_back(*error);
    last_error_ = std::move(error);
    bury(false);
    disk_.lose_process();
  });
}

void Member::bury(bool silent) {
  Life& life = *std::exchange(life_, nullptr);
  ground_.network.process_gone(machine_, silent);
  life.each_loop([](Loop& loop) { loop.close(); });
  life.log_lane.close();
  life.file_lane.close();
  life.listener.reset();
  life.zookeeper_listener.reset();
  for (const auto& api : life.apis) {
    api->server.reset();
    api->client.reset();
    api->zookeeper.reset();
    api->zookeeper_client.reset();
  }
  life.node.reset();
}

void Member::kill() {
  if (!running()) return;
  bury(false);
  disk_.lose_process();
}

void Member::lose_power() {
  if (running()) bury(true);
  disk_.lose_power();
}

void Member::lose_power_after(uint64_t disk_operations) {
  if (!running()) return;
  disk_.lose_power_after(disk_operations, [this] {
    if (running()) bury(true);
    disk_.power_on();
  });
}

// First the clients, then the member, as the real process does it.
void Member::stop() {
  if (!running() || !life_->node || life_->stopping) return kill();
  Life& life = *life_;
  life.stopping = true;
  life.listener.reset();
  life.zookeeper_listener.reset();
  life.servers_left = 2 * life.apis.size();
  const auto leave = [this, number = life.number] {
    life_->node->stop([this, number] { end_soon(number, std::nullopt); });
  };
  for (const auto& api : life.apis) {
    const auto stopped = [&life, leave] {
      life.node_loop.post([&life, leave] {
        if (--life.servers_left == 0) leave();
      });
    };
    api->loop->post([&api = *api, stopped] {
      api.server->stop(stopped);
      api.zookeeper->stop(stopped);
    });
  }
}

// ---- Trouble ------------------------------------------------------------------------------------

void Member::pause(Duration span) {
  if (!running()) return;
  life_->pause.until(ground_.scheduler.now() + span);
}

void Member::end_pause() {
  if (!running()) return;
  life_->pause.end();
  life_->each_loop([](Loop& loop) { loop.rearm(); });
}

void Member::damage() {
  if (disk_.rot(options_.data_dir + "/log/")) damaged_ = true;
}

void Member::block_state(Duration span) {
  if (running()) life_->state_loop.block(span);
}

void Member::clocks_changed() {
  if (running()) life_->each_loop([](Loop& loop) { loop.rearm(); });
}

bool Member::serving() const { return running() && life_->listener != nullptr; }

size_t Member::pending() const { return running() && life_->node ? life_->node->pending() : 0; }

size_t Member::connections() const {
  size_t sum = 0;
  if (!running()) return sum;
  for (const auto& api : life_->apis) {
    sum += api->server ? api->server->connections() : 0;
    sum += api->zookeeper ? api->zookeeper->statistics().connections : 0;
  }
  return sum;
}

}  // namespace witan::sim
