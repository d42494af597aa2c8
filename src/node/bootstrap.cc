#include "node/bootstrap.h"

#include <algorithm>
#include <utility>

#include "node/calls.h"
#include "node/membership.h"
#include "peer/peer.h"

namespace witan::node {
namespace {

std::string list_cluster(const Options& options) {
  std::string text;
  for (const auto& member : options.initial_cluster) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", member.name, member.peer_url);
  }
  return text;
}

Result<> check_own_entry(const Options& options) {
  for (const auto& member : options.initial_cluster) {
    if (member.name != options.name) continue;
    if (member.peer_url == options.peer_url) return {};
    return fail(Code::Invalid,
                fmt::format("--initial-cluster gives {} the address {}, but this member advertises {}; make "
                            "--peer-advertise and --initial-cluster agree",
                            options.name, member.peer_url, options.peer_url));
  }
  return fail(Code::Invalid, fmt::format("--initial-cluster '{}' does not name this member '{}'; add {}={} to it or "
                                         "correct --name",
                                         list_cluster(options), options.name, options.name, options.peer_url));
}

// Asks one member after the other who this is. Lives until it has an answer.
class Joiner final : public peer::Handler {
 public:
  static constexpr int kRounds = 10;

  Joiner(const Options& options, const World& world, std::string uuid, Function<void(Result<Identity>)> done)
      : options_(options), loop_(world.loop), uuid_(std::move(uuid)), done_(std::move(done)),
        peers_(peer::Options{}, world.loop, world.network, Rng(world.seed).fork("join"), *this,
               Logger(world.log, "join")) {
    for (const auto& member : options_.initial_cluster) {
      if (member.peer_url == options_.peer_url) continue;
      if (auto address = env::parse_address(member.peer_url)) targets_.push_back(std::move(*address));
    }
  }

  void ask() {
    if (targets_.empty()) {
      return finish(fail(Code::Invalid, "to join an existing cluster, --initial-cluster must name its other members"));
    }
    if (next_ == targets_.size() * kRounds) return finish(fail(Code::Unavailable, last_error_));
    const env::Address& target = targets_[next_++ % targets_.size()];
    peers_.call_address(target, {static_cast<uint8_t>(CallKind::AskMembers), peer::Lane::Control, Blob("")}, seconds(2),
                        [this, target](peer::CallResult reply) { on_reply(target, std::move(reply)); });
  }

  // A joiner is asked nothing.
  void on_message(raft::Envelope) override {}
  void on_call(raft::NodeId, peer::Call, peer::Responder) override {}
  void on_unreachable(raft::NodeId) override {}
  std::unique_ptr<peer::SnapshotSink> on_snapshot(raft::NodeId, raft::Term, raft::SnapshotMeta, uint64_t) override {
    return nullptr;
  }

 private:
  void on_reply(const env::Address& target, peer::CallResult reply) {
    if (!reply)
      return again(fmt::format("no member of the cluster answered; the last one asked, {}: {}", target.text(),
                               reply.error().message));
    const auto answer = decode_members(reply->view());
    if (!answer) return again(fmt::format("{}: {}", target.text(), answer.error().message));
    for (const MemberInfo& member : answer->members) {
      if (std::ranges::find(member.peer_urls, options_.peer_url) == member.peer_urls.end()) continue;
      return finish(Identity{.cluster_id = answer->cluster_id,
                             .member = raft::NodeId(member.id),
                             .name = options_.name,
                             .directory_uuid = uuid_,
                             .token = answer->token,
                             .initial_configuration = {},
                             .known_members = std::string(reply->view())});
    }
    again(
        fmt::format("the cluster has no member with the peer address {}; add it first: "
                    "etcdctl member add {} --peer-urls={}",
                    options_.peer_url, options_.name, options_.peer_url));
  }

  void again(std::string why) {
    last_error_ = std::move(why);
    loop_.call_at(loop_.now() + milliseconds(500), [this] { ask(); });
  }

  void finish(Result<Identity> result) {
    // The callback may destroy this object's world; peers_ must not be on the stack when it goes.
    loop_.post([this, result = std::move(result)]() mutable {
      Function<void(Result<Identity>)> done = std::move(done_);
      delete this;
      done(std::move(result));
    });
  }

  const Options options_;
  env::Loop& loop_;
  const std::string uuid_;
  Function<void(Result<Identity>)> done_;
  peer::Peers peers_;
  std::vector<env::Address> targets_;
  size_t next_ = 0;
  std::string last_error_;
};

}  // namespace

std::string make_uuid(Rng& rng) {
  const uint64_t a = rng.next();
  const uint64_t b = rng.next();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     0x8000 | ((b >> 48) & 0x3fff), b & 0xffffffffffff);
}

Result<Identity> found_cluster(const Options& options, const std::string& directory_uuid) {
  if (auto checked = check_own_entry(options); !checked) return std::unexpected(checked.error());
  std::vector<InitialMember> members;
  for (const auto& member : options.initial_cluster) {
    const auto same = std::ranges::find_if(
        members, [&](const InitialMember& m) { return m.name == member.name || m.peer_url == member.peer_url; });
    if (same != members.end()) {
      return fail(Code::Invalid, fmt::format("--initial-cluster names {} at {} and {} at {}: names and addresses must "
                                             "differ",
                                             same->name, same->peer_url, member.name, member.peer_url));
    }
    members.push_back({member.name, member.peer_url, member.number, member.learner});
  }
  const std::string token = options.token.value_or("witan-cluster");
  const raft::Configuration configuration = initial_configuration(members, token);
  std::vector<uint64_t> ids;
  for (const raft::Member& member : configuration.members) ids.push_back(member.id.value);
  return Identity{.cluster_id = make_cluster_id(ids, token),
                  .member = raft::NodeId(make_member_id({options.peer_url}, token, 0)),
                  .name = options.name,
                  .directory_uuid = directory_uuid,
                  .token = token,
                  .initial_configuration = raft::encode(configuration),
                  .known_members = {}};
}

void join_cluster(const Options& options, const World& world, std::string directory_uuid,
                  Function<void(Result<Identity>)> done) {
  (new Joiner(options, world, std::move(directory_uuid), std::move(done)))->ask();
}

}  // namespace witan::node
