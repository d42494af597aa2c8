#include "node/node.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "node/bootstrap.h"
#include "node/bridge.h"
#include "node/calls.h"
#include "node/consensus.h"
#include "node/data_directory.h"
#include "node/identity.h"
#include "node/log_writer.h"
#include "node/membership.h"
#include "node/port.h"
#include "node/snapshot_transfer.h"
#include "node/snapshots.h"
#include "node/state.h"

namespace witan::node {
namespace {

// Bug::AppliedIndexApartFromEffects: what the log knows to be committed is taken for applied.
void believe_commit(raft::Initial& initial, raft::SnapshotMeta& applied) {
  for (const raft::Entry& entry : initial.entries) {
    if (entry.index > initial.hard_state.commit) break;
    if (entry.kind == raft::EntryKind::Membership) {
      applied.configuration = raft::decode_configuration(entry.data.view()).value();
    }
    applied.index = initial.applied = entry.index;
    applied.term = entry.term;
  }
}

}  // namespace

void Node::prepare(const Options& options, const World& world, Function<void(Result<>)> done) {
  const auto reply = [&world, &done](Result<> result) {
    world.loop.post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
  };
  auto lock = lock_directory(options, world.disk);
  if (!lock) return reply(std::unexpected(lock.error()));
  const auto present = read_identity(world.disk, options.data_dir);
  if (!present) return reply(std::unexpected(present.error()));
  if (*present) return reply({});
  Rng rng = Rng(world.seed).fork("uuid");
  const std::string uuid = make_uuid(rng);
  const Ground ground{.disk = world.disk, .log = world.log, .seed = world.seed};
  if (!options.join_existing) {
    const auto identity = found_cluster(options, uuid);
    return reply(identity ? settle(options, ground, *identity) : Result<>(std::unexpected(identity.error())));
  }
  join_cluster(options, world, uuid,
               [options, ground, lock = std::move(*lock), done = std::move(done)](Result<Identity> identity) mutable {
                 Result<> result =
                     identity ? settle(options, ground, *identity) : Result<>(std::unexpected(identity.error()));
                 lock.reset();
                 done(std::move(result));
               });
}

// ---- Putting the parts together -----------------------------------------------------------------

struct Node::Core {
  Options options;
  World world;
  Logger logger;
  std::unique_ptr<env::DirectoryLock> lock;
  Identity identity;
  std::unique_ptr<LogWriter> log;
  std::unique_ptr<FarLane> file_lane;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<State> state;
  std::unique_ptr<FarApplier> applier;
  std::unique_ptr<SnapshotTransfer> transfer;
  std::unique_ptr<Consensus> consensus;
  std::unique_ptr<FarAgreement> agreement;
  std::unique_ptr<peer::Peers> peers;
  Task ready;

  Core(Options o, World w) : options(std::move(o)), world(w), logger(w.log, "node") {}
  Result<> recover();
  Result<raft::Initial> open_log(const raft::SnapshotMeta& snapshot);
  void make_snapshots(std::shared_ptr<wal::SnapshotFiles> files, uint64_t newest_bytes);
  void assemble(raft::Initial initial, std::unique_ptr<store::Store> store, raft::SnapshotMeta applied);
  StateOptions state_options() const;
  MemberRecord own_record() const;
  std::vector<peer::PeerRecord> known_peers() const;
};

Result<std::unique_ptr<Node>> Node::open(Options options, World world) {
  auto core = std::make_unique<Core>(std::move(options), world);
  auto lock = lock_directory(core->options, world.disk);
  if (!lock) return std::unexpected(lock.error());
  core->lock = std::move(*lock);
  auto identity = read_identity(world.disk, core->options.data_dir);
  if (!identity) return std::unexpected(identity.error());
  CHECK(identity->has_value(), "open() before prepare()");
  core->identity = std::move(**identity);
  if (auto owned = check_owner(core->identity, core->options.data_dir, core->options.name, core->options.token);
      !owned) {
    return std::unexpected(owned.error());
  }
  if (auto recovered = core->recover(); !recovered) return std::unexpected(recovered.error());
  return std::unique_ptr<Node>(new Node(std::move(core)));
}

Result<> Node::Core::recover() {
  auto files = wal::SnapshotFiles::open(world.disk, snapshot_directory(options), logger.named("snapshot"));
  if (!files) return std::unexpected(files.error());
  raft::SnapshotMeta meta;
  uint64_t bytes = 0;
  auto store = std::make_unique<store::Store>();
  if (auto newest = load_newest(**files); !newest) {
    return std::unexpected(newest.error());
  } else if (newest->has_value()) {
    meta = std::move((*newest)->meta);
    bytes = (*newest)->bytes;
    store = std::move((*newest)->store);
  }
  make_snapshots(std::move(*files), bytes);
  auto initial = open_log(meta);
  if (!initial) return std::unexpected(initial.error());
  if (planted(Bug::AppliedIndexApartFromEffects)) believe_commit(*initial, meta);
  assemble(std::move(*initial), std::move(store), std::move(meta));
  return {};
}

void Node::Core::make_snapshots(std::shared_ptr<wal::SnapshotFiles> files, uint64_t newest_bytes) {
  file_lane = std::make_unique<FarLane>(world.state_loop, world.loop, world.file_lane);
  snapshots = std::make_unique<Snapshots>(files, *file_lane, newest_bytes, logger.named("snapshot"));
  transfer = std::make_unique<SnapshotTransfer>(std::move(files), world.file_lane, logger.named("snapshot"));
}

Result<raft::Initial> Node::Core::open_log(const raft::SnapshotMeta& snapshot) {
  wal::LogOptions log_opts = log_options(options, world.seed);
  log_opts.snapshot_index = snapshot.index;
  log_opts.may_create = false;  // prepare() made it: a member that lost its log has lost its vote (core M1)
  auto opened = wal::Log::open(world.disk, log_directory(options), log_opts, logger.named("log"));
  if (!opened) return std::unexpected(opened.error());
  std::vector<raft::Entry> entries = std::move(opened->entries);
  raft::HardState hard_state = opened->hard_state;
  if (snapshot.index > raft::Index(0)) {
    // A snapshot that came from the leader may be newer than the log, which then is to be forgotten (core D3).
    const bool agrees =
        !entries.empty() && entries.front().index == snapshot.index && entries.front().term == snapshot.term;
    const bool begins_after = !entries.empty() && entries.front().index == snapshot.index + 1;
    const bool ends_at = entries.empty() && opened->log->last_index() == snapshot.index;
    if (agrees) {
      entries.erase(entries.begin());
    } else if (!begins_after && !ends_at) {
      entries.clear();
      hard_state.commit = std::max(hard_state.commit, snapshot.index);
      hard_state.term = std::max(hard_state.term, snapshot.term);
      auto restarted = opened->log->append(
          wal::Batch{.hard_state = hard_state, .cut_from = {}, .entries = {}, .restart_after = snapshot.index});
      if (!restarted) return std::unexpected(restarted.error());
    }
  }
  logger.info("recovered term {}, {} entries after {}", hard_state.term, entries.size(), snapshot.index);
  log = std::make_unique<LogWriter>(std::move(opened->log), world.loop, world.log_lane);
  return raft::Initial{
      .hard_state = hard_state, .snapshot = snapshot, .entries = std::move(entries), .applied = snapshot.index};
}

StateOptions Node::Core::state_options() const {
  StateOptions out;
  out.self = identity.member;
  out.incarnation = Rng(world.seed).fork("incarnation").next();
  out.request_timeout = seconds(5) + 2 * options.election;
  out.election = options.election;
  out.auto_compaction = options.auto_compaction;
  out.snapshot_entries = options.snapshot_entries;
  out.snapshot_bytes = options.snapshot_bytes;
  out.keep_entries = options.keep_entries;
  out.session_allowance = options.session_allowance;
  out.idle_scan = options.idle_scan;
  out.witness = world.witness;
  out.settings.history_bytes = options.history_bytes;
  out.settings.memory_quota_bytes = options.memory_quota > 0 ? options.memory_quota : -1;
  out.settings.enforce_node_quotas = options.enforce_node_quotas ? 1 : -1;
  // etcd's minimum: one and a half election timeouts, in whole seconds.
  const auto election_ms = std::chrono::duration_cast<milliseconds>(options.election).count();
  out.settings.min_lease_ttl_ms = (election_ms * 3 / 2 + 999) / 1000 * 1000;
  return out;
}

void Node::Core::assemble(raft::Initial initial, std::unique_ptr<store::Store> store, raft::SnapshotMeta applied) {
  state = std::make_unique<State>(state_options(), std::move(store), std::move(applied), world.state_loop, *snapshots,
                                  logger);
  applier = std::make_unique<FarApplier>(world.loop, world.state_loop, *state);
  ConsensusOptions consensus_options;
  consensus_options.raft.id = identity.member;
  consensus_options.raft.heartbeat = options.heartbeat;
  consensus_options.raft.election = options.election;
  consensus_options.raft.max_append_bytes = options.max_append_bytes;
  consensus_options.raft.max_inflight_messages = options.max_inflight_messages;
  consensus_options.raft.max_tail_bytes = options.max_tail_bytes;
  consensus_options.token = identity.token;
  consensus_options.cluster_id = identity.cluster_id;
  consensus_options.known_peers = known_peers();
  consensus_options.reachable = !options.peer_listen.host.empty();
  consensus_options.witness = world.witness;
  Rng rng(world.seed);
  consensus = std::make_unique<Consensus>(std::move(consensus_options), std::move(initial), world.loop, *log, *transfer,
                                          *applier, rng.fork("raft"), logger);
  agreement = std::make_unique<FarAgreement>(world.state_loop, world.loop, *consensus);
  peer::Options peer_options;
  peer_options.self.cluster_id = identity.cluster_id;
  peer_options.self.member = identity.member;
  peer_options.self.directory_uuid = identity.directory_uuid;
  peers = std::make_unique<peer::Peers>(std::move(peer_options), world.loop, world.network, rng.fork("peer"),
                                        *consensus, logger.named("peer"));
  consensus->connect(*peers);
  state->connect(*agreement);
  transfer->connect(*consensus, *peers);
}

std::vector<peer::PeerRecord> Node::Core::known_peers() const {
  std::vector<peer::PeerRecord> out;
  const auto answer = decode_members(identity.known_members);
  if (!answer) return out;
  for (const MemberInfo& member : answer->members) {
    peer::PeerRecord peer{.id = raft::NodeId(member.id), .addresses = {}, .directory_uuid = {}};
    for (const std::string& url : member.peer_urls) {
      if (auto address = env::parse_address(url)) peer.addresses.push_back(std::move(*address));
    }
    out.push_back(std::move(peer));
  }
  return out;
}

MemberRecord Node::Core::own_record() const {
  return MemberRecord{.number = 0,
                      .directory_uuid = identity.directory_uuid,
                      .name = options.name,
                      .peer_urls = {options.peer_url},
                      .client_urls = options.client_urls,
                      .zookeeper = options.zookeeper};
}

Node::Node(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Node::~Node() = default;

std::unique_ptr<Client> Node::make_client(env::Loop& loop) {
  auto port = std::make_unique<Port>(loop, core_->world.state_loop, *core_->state, core_->identity.cluster_id,
                                     core_->identity.member.value, core_->options.max_request_bytes);
  core_->state->add_port(*port);
  return port;
}

Result<> Node::start() {
  if (!core_->options.peer_listen.host.empty()) {
    if (auto listening = core_->peers->listen(core_->options.peer_listen); !listening) return listening;
  }
  core_->world.state_loop.post([state = core_->state.get()] { state->start(); });
  core_->consensus->start();
  core_->consensus->publish(core_->own_record(), [core = core_.get()] {
    if (!core->ready) return;
    core->world.state_loop.post(
        [core, ready = on_loop(core->world.loop, std::exchange(core->ready, Task()))]() mutable {
          core->state->on_ready(std::move(ready));
        });
  });
  return {};
}

void Node::on_ready(Task ready) { core_->ready = std::move(ready); }
void Node::on_fatal(Function<void(Error)> fatal) {
  core_->state->on_fatal(on_loop(core_->world.loop, std::move(fatal)));
}

void Node::stop(Task done) {
  core_->consensus->retire(core_->options.election * 2, [core = core_.get(), done = std::move(done)]() mutable {
    core->transfer->stop();
    Task drain = [core, done = std::move(done)]() mutable { core->log->drain(std::move(done)); };
    core->world.state_loop.post([core, drain = on_loop(core->world.loop, std::move(drain))]() mutable {
      core->state->stop();
      drain();
    });
  });
}

size_t Node::pending() const { return core_->state->pending(); }
uint64_t Node::cluster_id() const { return core_->identity.cluster_id; }
MemberId Node::member_id() const { return core_->identity.member.value; }

}  // namespace witan::node
