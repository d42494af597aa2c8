#include "node/testing.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace witan::node::testing {

// ---- A member's loop and lanes ------------------------------------------------------------------

void MemberLoop::post(Task task) {
  if (closed_) return;
  posted_.push_back(std::move(task));
  const auto run = [this] {
    if (posted_.empty()) return;
    Task next = std::move(posted_.front());
    posted_.pop_front();
    next();
  };
  if (lag_ == Duration::zero()) return base_.post(run);
  base_.call_at(base_.now() + lag_, run);
}

env::TimerId MemberLoop::call_at(Instant when, Task task) {
  if (closed_) return 0;
  auto id = std::make_shared<env::TimerId>(0);
  *id = base_.call_at(when, [this, id] {
    auto due = timers_.extract(*id);
    if (!due.empty()) due.mapped()();
  });
  timers_.emplace(*id, std::move(task));
  return *id;
}

void MemberLoop::cancel(env::TimerId id) {
  base_.cancel(id);
  timers_.erase(id);
}

void MemberLoop::close() {
  closed_ = true;
  const auto posted = std::exchange(posted_, {});
  const auto timers = std::exchange(timers_, {});
}

void MemberLane::run(Task work, Task done) {
  waiting_.emplace_back(std::move(work), std::move(done));
  loop_.post([this] { next(); });
}

void MemberLane::stall(bool stalled) {
  stalled_ = stalled;
  if (!stalled_) loop_.post([this] { next(); });
}

void MemberLane::next() {
  while (!stalled_ && !waiting_.empty()) {
    auto [work, done] = std::move(waiting_.front());
    waiting_.pop_front();
    work();
    loop_.post(std::move(done));
  }
}

// ---- A member -----------------------------------------------------------------------------------

Member::Member(peer::testing::FakeLoop& base, peer::testing::FakeNetwork& network, Options options, uint64_t seed,
               Duration state_lag)
    : base_(base), network_(network), options_(std::move(options)), seed_(seed), state_lag_(state_lag) {}

void Member::start() {
  CHECK(!node_, "{} runs already", options_.name);
  loops_.push_back(std::make_unique<MemberLoop>(base_));
  MemberLoop& loop = *loops_.back();
  MemberLoop* state_loop = &loop;
  if (state_lag_ != Duration::zero()) {
    state_loop = state_loops_.emplace_back(std::make_unique<MemberLoop>(base_)).get();
    state_loop->set_lag(state_lag_);
  }
  for (int i = 0; i < 2; ++i) lanes_.push_back(std::make_unique<MemberLane>(loop));
  const World world{.disk = disk_,
                    .network = network_,
                    .loop = loop,
                    .state_loop = *state_loop,
                    .log_lane = *lanes_[lanes_.size() - 2],
                    .file_lane = *lanes_.back(),
                    .seed = ++seed_};
  std::optional<Result<>> prepared;
  Node::prepare(options_, world, [&](Result<> result) { prepared = std::move(result); });
  CHECK(base_.run_until([&] { return prepared.has_value(); }), "prepare() does not end");
  CHECK(prepared->has_value(), "{}", prepared->error().message);
  auto opened = Node::open(options_, world);
  CHECK(opened.has_value(), "{}", opened.error().message);
  node_ = std::move(*opened);
  client_ = node_->make_client(loop);
  node_->on_fatal([this](Error error) { fatal_ = std::move(error); });
  const auto started = node_->start();
  CHECK(started.has_value(), "{}", started.error().message);
}

void Member::kill() {
  loop().close();
  if (!state_loops_.empty()) state_loops_.back()->close();
  client_.reset();
  node_.reset();
}

// ---- The cluster --------------------------------------------------------------------------------

Cluster::Cluster(size_t size, const Function<void(Options&)>& change, Duration state_lag) {
  std::vector<Options::Initial> initial;
  for (size_t i = 1; i <= size; ++i) {
    initial.push_back({fmt::format("n{}", i), fmt::format("http://10.0.0.{}:2380", i)});
  }
  for (size_t i = 0; i < size; ++i) {
    Options options;
    options.name = initial[i].name;
    options.data_dir = "data";
    options.peer_listen = *env::parse_address(initial[i].peer_url);
    options.peer_url = initial[i].peer_url;
    options.client_urls = {fmt::format("http://10.0.0.{}:2379", i + 1)};
    options.initial_cluster = initial;
    options.log_segment_bytes = size_t{256} << 10;
    const_cast<Function<void(Options&)>&>(change)(options);
    members_.push_back(std::make_unique<Member>(loop_, network_, std::move(options), 1000 * (i + 1), state_lag));
  }
}

void Cluster::start() {
  for (const auto& member : members_) member->start();
}

Member* Cluster::leader(Duration patience) {
  Member* found = nullptr;
  run_until(
      [&] {
        found = nullptr;
        for (const auto& member : members_) {
          if (!member->running()) continue;
          const Status seen = status(*member);
          const auto named =
              std::ranges::find_if(members_, [&](const auto& m) { return m->running() && m->id() == seen.leader; });
          if (named == members_.end() || (found != nullptr && found != named->get())) return false;
          found = named->get();
        }
        return found != nullptr;
      },
      patience);
  return found;
}

std::optional<Outcome> Cluster::put(Member& member, std::string_view key, std::string_view value, Duration patience) {
  return propose(member, store::Put{.key = key, .value = value}, patience);
}

std::optional<Outcome> Cluster::erase(Member& member) {
  return propose(member, store::DeleteRange{.range = {.begin = {}, .end = {}}}, seconds(30));
}

std::optional<Outcome> Cluster::propose(Member& member, const store::Body& body, Duration patience) {
  auto outcome = std::make_shared<std::optional<Outcome>>();
  member.client().propose(body, [outcome](Outcome o) { *outcome = std::move(o); });
  run_until([&] { return outcome->has_value(); }, patience);
  return std::move(*outcome);
}

std::string Cluster::local(Member& member, std::string_view key) {
  auto value = std::make_shared<std::optional<std::string>>();
  member.client().read(store::Range{.range = {.begin = key, .end = {}, .single = true}}, Consistency::Local,
                       [value](const Answer<Done>& done) {
                         const auto& items = std::get<store::RangeResult>(done->reply.result).items;
                         *value = items.empty() ? "" : std::string(items[0].version->value.view());
                       });
  CHECK(run_until([&] { return value->has_value(); }), "a local read does not end");
  return **value;
}

Status Cluster::status(Member& member) {
  auto status = std::make_shared<std::optional<Status>>();
  member.client().status([status](Status s) { *status = std::move(s); });
  CHECK(run_until([&] { return status->has_value(); }), "a status does not end");
  return **status;
}

}  // namespace witan::node::testing
