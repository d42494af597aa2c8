// Reads, writes and watches of a few nodes that everybody fights for, several at a time.
#include <array>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "sim/node_workload.h"

namespace witan::sim {

// ---- One session after the other ----------------------------------------------------------------

void NodeWorkload::begin() {
  if (stopping_ || client_.has_session() || std::exchange(beginning_, true)) return;
  later(milliseconds(1), milliseconds(500), [this] {
    beginning_ = false;
    if (stopping_ || client_.has_session()) return;
    constexpr std::array<int64_t, 4> kTicks{2, 3, 6, 12};
    client_.begin(ground_.plan.zookeeper_tick * kTicks[rng_.below(kTicks.size())], [this] { opened(); });
  });
}

void NodeWorkload::over() {
  lost();
  begin();
}

void NodeWorkload::leave() {
  if (!client_.has_session()) return begin();
  if (rng_.chance(1, 2)) {
    client_.abandon();
    return over();
  }
  client_.close([this] { over(); });
}

void NodeWorkload::stop() {
  Workload::stop();
  wind_up();
}

// The last answer tells of everything that the session's watches must have told of before.
void NodeWorkload::wind_up() {
  const auto again = [this] { later(milliseconds(100), milliseconds(300), [this] { wind_up(); }); };
  if (!client_.has_session()) return;
  if (!client_.connected() || client_.session().close_sent) return again();
  Request sync{.kind = Request::Kind::Sync, .path = std::string(kNodeRoot)};
  client_.ask(std::move(sync), [this, again](const Reply* synced) {
    if (synced == nullptr) return again();
    client_.ask({.kind = Request::Kind::Exists, .path = std::string(kNodeRoot)}, [this, again](const Reply* seen) {
      if (seen == nullptr) return again();
      lost();
      client_.close([] {});
    });
  });
}

std::string NodeWorkload::unsettled(const verify::Truth&) const {
  return client_.has_session() ? fmt::format("{}: the end of its session at m{}", name_, client_.server()) : "";
}

void NodeWorkload::set_members(const std::vector<const Member*>& members) {
  std::vector<env::Address> endpoints;
  for (const Member* member : members) endpoints.push_back(member->zookeeper_address());
  client_.set_endpoints(std::move(endpoints));
}

namespace {

class NodeClient final : public NodeWorkload {
 public:
  NodeClient(Ground ground, MachineId machine, int number, History& history, Rng rng)
      : NodeWorkload(ground, machine, fmt::format("node{}", number), history, std::move(rng)) {}

 private:
  void opened() override {
    seen_.clear();
    client_.ask(write(create(std::string(kNodeRoot), value())), [this](const Reply*) { think(); });
  }
  void lost() override { under_way_ = 0; }

  void think() {
    if (stopping_) return;
    later(Duration(0), ground_.plan.think * 2, [this] {
      if (!stopping_ && client_.has_session()) act();
    });
  }
  void act() {
    if (under_way_ > 0) return;
    if (rng_.chance(1, 80)) return leave();
    if (rng_.chance(1, 60)) client_.reconnect();
    under_way_ = 1 + rng_.below(rng_.chance(1, 4) ? 12 : 2);
    for (size_t left = under_way_; left > 0 && client_.has_session(); --left) {
      Request request = draw();
      const std::string path = request.path;
      client_.ask(std::move(request), [this, path](const Reply* reply) {
        if (reply != nullptr && reply->stat) seen_[path] = reply->stat->version;
        if (under_way_ > 0 && --under_way_ == 0) think();
      });
    }
  }

  std::string node() { return fmt::format("{}/{}", kNodeRoot, rng_.below(ground_.plan.nodes)); }
  std::string any_path() {
    return rng_.chance(1, 2) ? node() : fmt::format("{}/{}", node(), static_cast<char>('a' + rng_.below(3)));
  }
  int64_t version_of(const std::string& path) {
    const auto known = seen_.find(path);
    return known == seen_.end() || rng_.chance(1, 2) ? -1 : known->second;
  }

  verify::NodeOp draw_op() {
    using Kind = verify::NodeOp::Kind;
    const std::string path = any_path();
    switch (rng_.below(8)) {
      case 0:
      case 1: return create(path, value());
      case 2: {
        verify::NodeOp op = create(node() + "/e" + std::to_string(rng_.below(3)), value());
        op.ephemeral = true;
        return op;
      }
      case 3: {
        verify::NodeOp op = create(node() + "/s-", value());
        op.sequential = true;
        op.ephemeral = rng_.chance(3, 4);
        return op;
      }
      case 4:
      case 5: return {.kind = Kind::Delete, .path = path, .value = {}, .expected = version_of(path)};
      default: return {.kind = Kind::Set, .path = path, .value = value(), .expected = version_of(path)};
    }
  }

  // No node twice: what becomes of one is then told by the revision.
  Request draw_multi() {
    Request request{.kind = Request::Kind::Multi};
    std::set<std::string> named;
    for (uint64_t left = 1 + rng_.below(4); left > 0; --left) {
      verify::NodeOp op = draw_op();
      if (named.insert(op.path).second) request.ops.push_back(std::move(op));
    }
    const std::string path = node();
    if (rng_.chance(1, 2) && named.insert(path).second) {
      request.ops.insert(
          request.ops.begin(),
          verify::NodeOp{.kind = verify::NodeOp::Kind::Check, .path = path, .value = {}, .expected = version_of(path)});
    }
    return request;
  }

  Request draw() {
    const uint64_t dice = rng_.below(100);
    if (dice < 45) {
      Request request = write(draw_op());
      request.answers_stat = rng_.chance(1, 2);
      return request;
    }
    if (dice < 53) return draw_multi();
    if (dice < 56) return {.kind = Request::Kind::Sync, .path = node()};
    if (dice < 58) {
      Request request{.kind = Request::Kind::AddWatch, .path = rng_.chance(1, 4) ? std::string(kNodeRoot) : node()};
      request.recursive = rng_.chance(1, 2);
      return request;
    }
    const auto kind = dice < 75 ? Request::Kind::Data : dice < 88 ? Request::Kind::Exists : Request::Kind::Children;
    Request request{.kind = kind, .path = kind == Request::Kind::Children ? node() : any_path()};
    request.watch = rng_.chance(1, 2);
    return request;
  }

  size_t under_way_ = 0;
  std::map<std::string, int64_t> seen_;  // versions, as last heard of
};

}  // namespace

std::unique_ptr<Workload> make_node_client(Ground ground, MachineId machine, int number, History& history, Rng rng) {
  return std::make_unique<NodeClient>(ground, machine, number, history, std::move(rng));
}

}  // namespace witan::sim
