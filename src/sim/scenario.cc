#include "sim/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"

namespace witan::sim {
namespace {

constexpr Duration kPatience = seconds(60);

Plan told(size_t members, const std::function<void(Plan&)>& change) {
  Plan plan;
  plan.members = members;
  change(plan);
  return plan;
}

}  // namespace

// ---- Answers ------------------------------------------------------------------------------------

const Answer::Slot& Answer::wait() {
  const bool came = scenario_->run_until([&] { return arrived(); }, kPatience);
  EXPECT_TRUE(came) << "no answer within a minute";
  return *slot_;
}

Answer& Answer::expect_ok() {
  const Slot& slot = wait();
  EXPECT_TRUE(slot.result && slot.result->ok()) << (slot.result ? slot.result->error : "nothing");
  return *this;
}

Answer& Answer::expect_failed() {
  EXPECT_EQ(wait().outcome, verify::Outcome::Failed);
  return *this;
}

Answer& Answer::expect_unknown() {
  EXPECT_EQ(wait().outcome, verify::Outcome::Unknown);
  return *this;
}

Answer& Answer::expect_error(std::string_view text) {
  const Slot& slot = wait();
  EXPECT_TRUE(slot.result && !slot.result->ok());
  EXPECT_EQ(slot.result ? slot.result->error : "", text);
  return *this;
}

Answer& Answer::expect_none_for(Duration span) {
  EXPECT_FALSE(scenario_->run_until([&] { return arrived(); }, span)) << "an answer came: " << slot_->result->error;
  return *this;
}

Answer& Answer::expect_value(std::string_view value) {
  expect_ok();
  const auto* range = std::get_if<verify::RangeReply>(&slot_->reply.answer);
  EXPECT_TRUE(range != nullptr && range->kvs.size() == 1) << "no such key";
  EXPECT_EQ(range != nullptr && !range->kvs.empty() ? range->kvs.front().version.value : "", value);
  return *this;
}

Answer& Answer::expect_nothing() {
  expect_ok();
  const auto* range = std::get_if<verify::RangeReply>(&slot_->reply.answer);
  EXPECT_TRUE(range != nullptr && range->kvs.empty()) << "the key exists";
  return *this;
}

int64_t Answer::revision() {
  expect_ok();
  return slot_->reply.revision;
}

const std::string& Answer::message() {
  expect_ok();
  return slot_->result->message;
}

// ---- Watches ------------------------------------------------------------------------------------

const verify::WatchAttachment& Watch::heard() const { return scenario_->world().history().watches.at(name_).back(); }

size_t Watch::events() const {
  size_t sum = 0;
  for (const verify::WatchMessage& message : heard().messages) sum += message.events.size();
  return sum;
}

Watch& Watch::expect_events(size_t count) {
  EXPECT_TRUE(scenario_->run_until([&] { return events() >= count; }, kPatience)) << events() << " of " << count;
  return *this;
}

Watch& Watch::expect(verify::WatchMessage::Kind kind) {
  EXPECT_TRUE(scenario_->run_until(
      [&] { return std::ranges::any_of(heard().messages, [&](const auto& message) { return message.kind == kind; }); },
      kPatience));
  return *this;
}

Watch& Watch::ask_progress() {
  const auto& [channel, stream] = scenario_->streams_.at(name_);
  channel->send(stream, etcd::encode_progress_request());
  return *this;
}

// ---- Clients ------------------------------------------------------------------------------------

Client::Client(Scenario& scenario, MachineId member, int number) : scenario_(&scenario), number_(number) {
  scenario.channels_.push_back(scenario.world().make_channel());
  channel_ = scenario.channels_.back().get();
  channel_->set_endpoints({scenario.node(member).client_address()});
}

Answer Client::call(verify::Operation operation, bool serializable) {
  auto slot = std::make_shared<Answer::Slot>();
  verify::Call call{.client = number_, .operation = std::move(operation), .reply = {}, .serializable = serializable};
  World& world = scenario_->world();
  call.invoked = world.scheduler().now();
  std::string path = etcd::path_of(call.operation);
  std::string request = etcd::encode(call.operation, serializable);
  channel_->call(std::move(path), std::move(request), patience_,
                 [&world, slot, call = std::move(call)](RpcResult result) mutable {
                   call.returned = world.scheduler().now();
                   call.outcome = outcome_of(result, &call.reply.failure);
                   if (result.ok()) call.reply = etcd::decode_reply(call.operation, result.message);
                   slot->outcome = call.outcome;
                   slot->reply = call.reply;
                   slot->result = std::move(result);
                   if (slot->result->ok() || may_change(call.operation)) world.history().calls.push_back(call);
                 });
  return Answer(*scenario_, std::move(slot));
}

Answer Client::put(std::string key, std::string value, int64_t lease) {
  return call(verify::Put{.key = std::move(key), .value = std::move(value), .lease = lease});
}

Answer Client::get(std::string key) { return call(verify::Range{.begin = std::move(key), .end = {}}); }

Answer Client::get_locally(std::string key) { return call(verify::Range{.begin = std::move(key), .end = {}}, true); }

Answer Client::get_at(std::string key, int64_t revision) {
  return call(verify::Range{.begin = std::move(key), .end = {}, .revision = revision});
}

Answer Client::erase(std::string key) { return call(verify::Delete{.begin = std::move(key), .end = {}}); }

void Client::fill(size_t puts, const std::string& key) {
  for (size_t i = 0; i < puts; ++i) {
    put(fmt::format("{}{}", key, i % 10), fmt::format("filled {}", ++scenario_->written_)).expect_ok();
  }
}

Answer Client::compact(int64_t revision) {
  return rpc("/etcdserverpb.KV/Compact", etcd::encode_compaction(revision), patience_);
}

Answer Client::rpc(std::string path, std::string request, Duration patience) {
  auto slot = std::make_shared<Answer::Slot>();
  channel_->call(std::move(path), std::move(request), patience, [slot](RpcResult result) {
    slot->outcome = outcome_of(result);
    slot->result = std::move(result);
  });
  return Answer(*scenario_, std::move(slot));
}

Watch Client::watch(verify::WatchAttachment wanted) {
  World& world = scenario_->world();
  const std::string name = fmt::format("watch {}", ++scenario_->watches_);
  world.history().watches[name].push_back(wanted);
  const auto stream = channel_->open(
      "/etcdserverpb.Watch/Watch",
      [&world, name](std::string_view bytes) {
        auto& messages = world.history().watches[name].back().messages;
        for (auto& message : etcd::decode_watch(bytes, world.scheduler().now()).messages) {
          messages.push_back(std::move(message));
        }
      },
      [](const RpcResult&) {});
  channel_->send(stream, etcd::encode_watch(wanted, 1));
  scenario_->streams_[name] = {channel_, stream};
  return Watch(*scenario_, name);
}

LeaseHolder& Client::lease(int64_t id, int64_t ttl_s) {
  World& world = scenario_->world();
  scenario_->leases_.push_back(std::make_unique<LeaseHolder>(*channel_, world.scheduler(), world.history()));
  LeaseHolder& holder = *scenario_->leases_.back();
  bool answered = false;
  bool granted = false;
  holder.grant(id, ttl_s, [&](bool good) {
    answered = true;
    granted = good;
  });
  CHECK(scenario_->run_until([&] { return answered; }, kPatience), "a grant is never answered");
  EXPECT_TRUE(granted) << "lease " << id << " was not granted";
  return holder;
}

// ---- Sessions -----------------------------------------------------------------------------------

const verify::NodeReply& NodeAnswer::reply() {
  EXPECT_TRUE(scenario_->run_until([&] { return arrived(); }, kPatience)) << "no answer within a minute";
  if (!slot_->reply) {
    ADD_FAILURE() << "the answer was lost";
    slot_->reply.emplace();
  }
  return *slot_->reply;
}

NodeAnswer& NodeAnswer::expect(verify::NodeError error) {
  EXPECT_EQ(reply().error, error);
  return *this;
}

NodeAnswer& NodeAnswer::expect_lost() {
  EXPECT_TRUE(scenario_->run_until([&] { return arrived(); }, kPatience)) << "nothing within a minute";
  EXPECT_FALSE(slot_->reply) << describe(*slot_->reply);
  return *this;
}

Session::Session(Scenario& scenario, const std::vector<MachineId>& members, Duration timeout, int number)
    : scenario_(&scenario), name_(fmt::format("session {}", number)) {
  scenario.channels_.push_back(scenario.world().make_channel());
  scenario.sessions_.push_back(scenario.world().make_zookeeper_client(*scenario.channels_.back(), name_));
  client_ = scenario.sessions_.back().get();
  know(members);
  auto opened = std::make_shared<bool>(false);
  client_->begin(timeout, [opened] { *opened = true; });
  EXPECT_TRUE(scenario.run_until([&] { return *opened; }, kPatience)) << "no session within a minute";
}

void Session::know(const std::vector<MachineId>& members) {
  std::vector<env::Address> endpoints;
  for (const MachineId machine : members) endpoints.push_back(scenario_->node(machine).zookeeper_address());
  client_->set_endpoints(std::move(endpoints));
}

NodeAnswer Session::ask(verify::NodeRequest request) {
  auto slot = std::make_shared<NodeAnswer::Slot>();
  client_->ask(std::move(request), [slot](const verify::NodeReply* reply) {
    slot->arrived = true;
    if (reply != nullptr) slot->reply = *reply;
  });
  return NodeAnswer(*scenario_, std::move(slot));
}

NodeAnswer Session::create(std::string path, bool ephemeral) {
  verify::NodeRequest request{.kind = verify::NodeRequest::Kind::Write};
  request.ops.push_back({.kind = verify::NodeOp::Kind::Create,
                         .path = std::move(path),
                         .value = fmt::format("{} {}", name_, ++scenario_->written_),
                         .ephemeral = ephemeral});
  return ask(std::move(request));
}

NodeAnswer Session::set(std::string path) {
  verify::NodeRequest request{.kind = verify::NodeRequest::Kind::Write};
  request.ops.push_back({.kind = verify::NodeOp::Kind::Set,
                         .path = std::move(path),
                         .value = fmt::format("{} {}", name_, ++scenario_->written_)});
  return ask(std::move(request));
}

NodeAnswer Session::watch(std::string path, bool recursive) {
  verify::NodeRequest request{.kind = verify::NodeRequest::Kind::AddWatch, .path = std::move(path)};
  request.recursive = recursive;
  return ask(std::move(request));
}

NodeAnswer Session::exists(std::string path, bool watch) {
  return ask({.kind = verify::NodeRequest::Kind::Exists, .path = std::move(path), .watch = watch});
}

NodeAnswer Session::sync() { return ask({.kind = verify::NodeRequest::Kind::Sync, .path = "/"}); }

// ---- The stage ----------------------------------------------------------------------------------

Scenario::Scenario(size_t members, const std::function<void(Plan&)>& change) : world_(told(members, change)) {
  world_.start();
}

Scenario::~Scenario() {
  world_.heal();
  for (const auto& lease : leases_) lease->abandon();
  for (const auto& session : sessions_) session->abandon();
  if (const auto unwell = world_.come_to_rest(seconds(120))) ADD_FAILURE() << describe(*unwell);
  world_.observer().examine_disks();
  for (const auto& channel : channels_) channel->quit();
  for (const verify::Violation& violation : world_.say_goodbye()) ADD_FAILURE() << describe(violation);
  for (const verify::Violation& violation : world_.judge()) ADD_FAILURE() << describe(violation);
  leases_.clear();
  sessions_.clear();
  channels_.clear();
}

MachineId Scenario::leader() {
  const auto leads = [&] {
    const MachineId leader = world_.leader();
    return leader != 0 && world_.wanted(leader) && node(leader).serving();
  };
  EXPECT_TRUE(run_until(leads)) << "nobody leads";
  return world_.leader();
}

MachineId Scenario::follower(size_t n) {
  const MachineId leader = this->leader();
  for (const MachineId machine : world_.members()) {
    if (machine != leader && n-- == 0) return machine;
  }
  CHECK(false, "there are not so many followers");
  return 0;
}

MachineId Scenario::join(Client& by, bool learner) {
  const MachineId machine = world_.next_machine();
  const std::string url = fmt::format("http://{}:{}", Network::host_of(machine), Member::kPeerPort);
  by.rpc("/etcdserverpb.Cluster/MemberAdd", etcd::encode_member_add(url, learner)).expect_ok();
  world_.add_machine();
  node(machine).start();
  EXPECT_TRUE(run_until([&] { return node(machine).serving(); })) << "the new member does not serve";
  return machine;
}

void Scenario::part(const std::vector<MachineId>& here, const std::vector<MachineId>& there) {
  for (const MachineId a : here) {
    for (const MachineId b : there) {
      world_.network().block(a, b);
      world_.network().block(b, a);
    }
  }
}

void Scenario::isolate(MachineId machine) {
  for (const MachineId other : world_.members()) {
    if (other != machine) part({machine}, {other});
  }
}

void Scenario::give_lead_to(MachineId machine) {
  if (leader() == machine) return;
  client(leader())
      .rpc("/etcdserverpb.Maintenance/MoveLeader", etcd::encode_move_leader(node(machine).id()))
      .expect_ok();
  EXPECT_EQ(leader(), machine);
}

MachineId Scenario::wait_for_other_leader(MachineId machine) {
  EXPECT_TRUE(run_until([&] { return world_.leader() != machine && world_.leader() != 0; })) << "nobody else leads";
  return world_.leader();
}

void Scenario::wait_for(MachineId machine) {
  EXPECT_TRUE(run_until([&] {
    return node(machine).serving() &&
           world_.observer().applied_by(machine) == world_.observer().ledger().highest().index;
  })) << "m"
      << machine << " does not catch up";
}

void Scenario::bring_back(MachineId machine) {
  if (!node(machine).running()) node(machine).start();
  wait_for(machine);
}

void Scenario::lose_all_power() {
  for (const MachineId machine : world_.members()) node(machine).lose_power();
  for (const MachineId machine : world_.members()) node(machine).start();
  leader();
  for (const MachineId machine : world_.members()) wait_for(machine);
}

}  // namespace witan::sim
