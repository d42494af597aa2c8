#include "peer/peer.h"

#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "peer/context.h"
#include "peer/inbound.h"
#include "peer/joiner.h"
#include "peer/outbound.h"
#include "peer/snapshot_sender.h"

namespace witan::peer {
namespace {

constexpr Duration kTick = milliseconds(250);
constexpr size_t kMaxJoiners = 16;
constexpr size_t kMaxUnknown = 48;  // connections of members not known here: three each

// The connections this member makes to another.
struct Peer {
  std::unique_ptr<Outbound> control;
  std::unique_ptr<Outbound> bulk;
};

Lane lane_of(const raft::Message& message) {
  return std::holds_alternative<raft::AppendRequest>(message) ? Lane::Bulk : Lane::Control;
}

}  // namespace

struct Peers::Core final : private Inbound::Owner {
  Core(Options options, env::Loop& loop, env::Network& network, Rng rng, Handler& handler, Logger log)
      : context{std::move(options), loop, network, rng, handler, std::move(log)} {
    schedule_tick();
  }
  ~Core() { context.loop.cancel(tick_timer); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void schedule_tick() {
    tick_timer = context.loop.call_at(context.loop.now() + kTick, [this] {
      schedule_tick();
      tick(context.loop.now());
    });
  }
  void tick(Instant now);

  void on_accept(std::unique_ptr<env::Connection> connection);
  void make_room_for_stranger();
  bool on_welcomed(Inbound& inbound) override;
  void on_over(Inbound& inbound) override;
  template <class Filter>
  size_t count_taken(Filter&& filter) const;
  void answer(const raft::Envelope& envelope);

  void add(raft::NodeId id);
  void drop(raft::NodeId id);
  void stop_snapshots(raft::NodeId to);
  Outbound* find(raft::NodeId id, Lane lane);
  void fail_later(Function<void(CallResult)> done, std::string message);

  // Members of these maps end themselves while they are walked: walk copies of the keys.
  template <class Map, class Visit>
  static void for_each(Map& map, Visit&& visit) {
    std::vector<typename Map::key_type> keys;
    keys.reserve(map.size());
    for (const auto& [key, value] : map) keys.push_back(key);
    for (const auto& key : keys) {
      if (const auto at = map.find(key); at != map.end()) visit(at->second);
    }
  }

  Context context;
  env::TimerId tick_timer = 0;
  std::unique_ptr<env::Listener> listener;
  std::map<raft::NodeId, Peer> peers;
  std::map<uint64_t, std::unique_ptr<Inbound>> inbounds;  // in the order they came
  std::map<uint64_t, std::unique_ptr<Joiner>> joiners;
  std::map<uint64_t, std::unique_ptr<SnapshotSender>> snapshots;
  std::map<uint64_t, Function<void(bool)>> snapshot_callbacks;
  uint64_t last_id = 0;
};

void Peers::Core::tick(Instant now) {
  for_each(peers, [&](Peer& peer) {
    Outbound* bulk = peer.bulk.get();
    peer.control->check(now);
    bulk->check(now);
  });
  for_each(inbounds, [&](auto& inbound) { inbound->check(now); });
  for_each(joiners, [&](auto& joiner) { joiner->check(now); });
  for_each(snapshots, [&](auto& sender) { sender->check(now); });
}

void Peers::Core::on_accept(std::unique_ptr<env::Connection> connection) {
  make_room_for_stranger();
  const uint64_t id = ++last_id;
  Inbound::Owner& owner = *this;
  auto inbound = std::make_unique<Inbound>(context, std::move(connection), id, owner);
  inbounds.emplace(id, std::move(inbound)).first->second->start();
}

// The oldest goes: whoever holds many silent connections open must not keep the members out.
void Peers::Core::make_room_for_stranger() {
  size_t strangers = 0;
  Inbound* oldest = nullptr;
  for (const auto& [id, inbound] : inbounds) {
    if (!inbound->is_stranger()) continue;
    ++strangers;
    if (oldest == nullptr) oldest = inbound.get();
  }
  if (strangers >= context.options.max_strangers) oldest->close("too many connections that do not say who they are");
}

template <class Filter>
size_t Peers::Core::count_taken(Filter&& filter) const {
  size_t count = 0;
  for (const auto& [id, inbound] : inbounds) count += inbound->is_taken() && filter(*inbound) ? 1 : 0;
  return count;
}

bool Peers::Core::on_welcomed(Inbound& inbound) {
  if (inbound.purpose() == Purpose::Join) {
    return count_taken([](const Inbound& other) { return other.purpose() == Purpose::Join; }) < kMaxJoiners;
  }
  // The member has made a new connection, so the one it had for this purpose is dead, even if we have not noticed.
  for_each(inbounds, [&](auto& other) {
    if (other.get() == &inbound || !other->is_taken()) return;
    if (other->from() == inbound.from() && other->purpose() == inbound.purpose())
      other->close("the member made a new one");
  });
  if (const auto at = peers.find(inbound.from()); at != peers.end()) {
    at->second.control->connect_soon();
    at->second.bulk->connect_soon();
  }
  if (!inbound.is_unknown()) return true;
  return count_taken([](const Inbound& other) { return other.is_unknown(); }) < kMaxUnknown;
}

// A member that is not known here has no connection of ours, and its address is not known either: what it asks is
// answered on the connection that it made.
void Peers::Core::answer(const raft::Envelope& envelope) {
  if (!is_answer(envelope.message)) return;
  Inbound* way = nullptr;
  for (const auto& [id, inbound] : inbounds) {
    if (!inbound->is_taken() || inbound->from() != envelope.to) continue;
    if (inbound->purpose() == Purpose::Control || (inbound->purpose() == Purpose::Bulk && way == nullptr)) {
      way = inbound.get();
    }
  }
  if (way != nullptr) way->send_answer(envelope.message);
}

void Peers::Core::on_over(Inbound& inbound) {
  const auto at = inbounds.find(inbound.id());
  CHECK(at != inbounds.end());
  context.graveyard.bury(std::move(at->second));
  inbounds.erase(at);
}

void Peers::Core::add(raft::NodeId id) {
  peers.emplace(id, Peer{.control = std::make_unique<Outbound>(context, id, Lane::Control),
                         .bulk = std::make_unique<Outbound>(context, id, Lane::Bulk)});
}

void Peers::Core::drop(raft::NodeId id) {
  const auto at = peers.find(id);
  at->second.control->stop();
  at->second.bulk->stop();
  context.graveyard.bury(std::move(at->second.control));
  context.graveyard.bury(std::move(at->second.bulk));
  peers.erase(at);
  stop_snapshots(id);
}

void Peers::Core::stop_snapshots(raft::NodeId to) {
  for (auto at = snapshots.begin(); at != snapshots.end();) {
    if (at->second->to() != to) {
      ++at;
      continue;
    }
    at->second->stop();
    context.graveyard.bury(std::move(at->second));
    const auto callback = snapshot_callbacks.extract(at->first);
    context.loop.post(context.guard.wrap([done = std::move(callback.mapped())]() mutable { done(false); }));
    at = snapshots.erase(at);
  }
}

Outbound* Peers::Core::find(raft::NodeId id, Lane lane) {
  const auto at = peers.find(id);
  if (at == peers.end()) return nullptr;
  return lane == Lane::Control ? at->second.control.get() : at->second.bulk.get();
}

void Peers::Core::fail_later(Function<void(CallResult)> done, std::string message) {
  context.loop.post(context.guard.wrap([done = std::move(done), message = std::move(message)]() mutable {
    done(std::unexpected(CallError{.sent = false, .message = std::move(message)}));
  }));
}

Peers::Peers(Options options, env::Loop& loop, env::Network& network, Rng rng, Handler& handler, Logger log)
    : core_(std::make_unique<Core>(std::move(options), loop, network, rng, handler, std::move(log))) {}

Peers::~Peers() = default;

Result<> Peers::listen(const env::Address& address) {
  Core* core = core_.get();
  std::vector<env::AcceptTarget> targets;
  targets.push_back({.loop = &core->context.loop,
                     .on_accept = core->context.guard.wrap([core](std::unique_ptr<env::Connection> connection) {
                       core->on_accept(std::move(connection));
                     })});
  Result<std::unique_ptr<env::Listener>> listener = core->context.network.listen(address, std::move(targets));
  if (!listener) return std::unexpected(std::move(listener.error()));
  core->listener = std::move(*listener);
  return {};
}

env::Address Peers::local() const {
  CHECK(core_->listener != nullptr, "local() before listen()");
  return core_->listener->local();
}

void Peers::set_members(std::vector<PeerRecord> members, const std::vector<raft::NodeId>& removed) {
  Core& core = *core_;
  core.context.removed = {removed.begin(), removed.end()};
  std::set<raft::NodeId> before;
  for (const auto& [id, record] : core.context.members) before.insert(id);
  core.context.members.clear();
  for (PeerRecord& record : members) {
    const raft::NodeId id = record.id;
    if (id != core.context.options.self.member) core.context.members.emplace(id, std::move(record));
  }
  for (const raft::NodeId id : before) {
    if (core.context.find(id) == nullptr) core.drop(id);
  }
  for (const auto& [id, record] : core.context.members) {
    if (!before.contains(id)) {
      core.add(id);
    } else {
      core.find(id, Lane::Control)->record_changed();
      core.find(id, Lane::Bulk)->record_changed();
    }
  }
  Core::for_each(core.inbounds, [](auto& inbound) { inbound->recheck(); });
}

void Peers::send(raft::Envelope envelope) {
  if (Outbound* outbound = core_->find(envelope.to, lane_of(envelope.message))) return outbound->send(envelope.message);
  core_->answer(envelope);
}

void Peers::call(raft::NodeId to, Call call, Duration timeout, Function<void(CallResult)> done) {
  if (Outbound* outbound = core_->find(to, call.lane)) return outbound->call(std::move(call), timeout, std::move(done));
  core_->fail_later(std::move(done), fmt::format("{:x} is not a member of the cluster", to.value));
}

void Peers::call_address(const env::Address& to, Call call, Duration timeout, Function<void(CallResult)> done) {
  Core* core = core_.get();
  const uint64_t id = ++core->last_id;
  auto over = [core, id, done = std::move(done)](CallResult result) mutable {
    const auto joiner = core->joiners.extract(id);
    core->context.graveyard.bury(std::move(joiner.mapped()));
    done(std::move(result));
  };
  core->joiners.emplace(id, std::make_unique<Joiner>(core->context, to, std::move(call), timeout, std::move(over)));
}

void Peers::send_snapshot(raft::NodeId to, raft::Term term, raft::SnapshotMeta meta,
                          std::unique_ptr<SnapshotSource> source, Function<void(bool)> done) {
  Core* core = core_.get();
  const PeerRecord* record = core->context.find(to);
  if (record == nullptr || record->addresses.empty()) {
    core->context.loop.post(core->context.guard.wrap([done = std::move(done)]() mutable { done(false); }));
    return;
  }
  const uint64_t id = ++core->last_id;
  core->snapshot_callbacks.emplace(id, std::move(done));
  auto over = [core, id](bool delivered) {
    auto sender = core->snapshots.extract(id);
    auto callback = core->snapshot_callbacks.extract(id);
    core->context.graveyard.bury(std::move(sender.mapped()));
    callback.mapped()(delivered);
  };
  SnapshotOffer offer{.term = term, .meta = std::move(meta), .size = source->size()};
  core->snapshots.emplace(
      id, std::make_unique<SnapshotSender>(core->context, to, std::move(offer), std::move(source), std::move(over)));
}

bool Peers::connected(raft::NodeId to) const { return connected_since(to).has_value(); }

std::optional<Instant> Peers::connected_since(raft::NodeId to) const {
  const Outbound* outbound = core_->find(to, Lane::Control);
  return outbound == nullptr ? std::nullopt : outbound->up_since();
}

void Peers::on_hello(Function<void(const Hello&)> callback) { core_->context.hello = std::move(callback); }

}  // namespace witan::peer
