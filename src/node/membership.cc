#include "node/membership.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "base/digest.h"

namespace witan::node {
namespace {

constexpr uint32_t kLastNumber = 254;  // one byte on top of session ids, and never given twice (core M1)

uint64_t first_eight_bytes(const std::array<unsigned char, 20>& digest) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | digest[static_cast<size_t>(i)];
  return v;
}

raft::Member* find(raft::Configuration& configuration, raft::NodeId id) {
  for (raft::Member& member : configuration.members) {
    if (member.id == id) return &member;
  }
  return nullptr;
}

bool url_in_use(const raft::Configuration& configuration, const std::vector<std::string>& urls, raft::NodeId except) {
  for (const raft::Member& member : configuration.members) {
    if (member.id == except) continue;
    const MemberRecord record = record_of(member);
    for (const std::string& url : urls) {
      if (std::ranges::find(record.peer_urls, url) != record.peer_urls.end()) return true;
    }
  }
  return false;
}

// Normalises "host:port" to "http://host:port".
std::expected<std::vector<std::string>, MemberFailure> checked_urls(const std::vector<std::string>& urls) {
  std::vector<std::string> out;
  for (const std::string& url : urls) {
    const auto address = env::parse_address(url);
    if (!address) return std::unexpected(MemberFailure::BadUrls);
    out.push_back(address->url());
  }
  if (out.empty()) return std::unexpected(MemberFailure::BadUrls);
  std::ranges::sort(out);
  return out;
}

const raft::Progress* progress_of(const ChangeContext& context, raft::NodeId id) {
  const auto p = std::ranges::find(context.progress, id, &raft::Progress::id);
  return p == context.progress.end() ? nullptr : &*p;
}

bool is_active(const ChangeContext& context, raft::NodeId id) {
  const raft::Progress* const p = progress_of(context, id);
  return id == context.self || (p != nullptr && p->recently_active);
}

// etcd: a learner is ready when its log has 90 % of the leader's.
bool is_ready(const ChangeContext& context, raft::NodeId id) {
  const raft::Progress* const p = progress_of(context, id);
  return id == context.self ||
         (p != nullptr && p->recently_active && p->match.value * 10 >= context.last_index.value * 9);
}

// etcd's strict reconfiguration check: started voters must still be a quorum after the change.
bool enough_started(const raft::Configuration& target) {
  size_t voters = 0;
  size_t started = 0;
  for (const raft::Member& member : target.members) {
    if (member.incoming != raft::Suffrage::Voter) continue;
    ++voters;
    if (!record_of(member).name.empty()) ++started;
  }
  return voters > 0 && started >= voters / 2 + 1;
}

// Would the voters of whom `good` holds still be a quorum after the change?
bool have_quorum(bool good(const ChangeContext&, raft::NodeId), const raft::Configuration& target,
                 const ChangeContext& context) {
  size_t voters = 0;
  size_t those = 0;
  for (const raft::Member& member : target.members) {
    if (member.incoming != raft::Suffrage::Voter) continue;
    ++voters;
    if (good(context, member.id)) ++those;
  }
  return those >= voters / 2 + 1;
}

using Planned = std::expected<PlannedChange, MemberFailure>;

Planned plan_add(const raft::Configuration& now, const AddMember& add, const ChangeContext& context) {
  auto urls = checked_urls(add.peer_urls);
  if (!urls) return std::unexpected(urls.error());
  // A voter that cannot connect would cost the quorum as soon as it counts.
  if (!context.reachable) return std::unexpected(MemberFailure::Unhealthy);
  if (url_in_use(now, *urls, raft::kNobody)) return std::unexpected(MemberFailure::PeerUrlExists);
  const auto learners = std::ranges::count_if(now.members, [&](const raft::Member& m) { return now.is_learner(m.id); });
  if (add.learner && static_cast<size_t>(learners) >= context.max_learners) {
    return std::unexpected(MemberFailure::TooManyLearners);
  }
  const raft::NodeId id(make_member_id(*urls, context.token, context.now.ms / 1000));
  if (now.find(id) != nullptr || std::ranges::binary_search(now.removed, id)) {
    return std::unexpected(MemberFailure::IdExists);
  }
  if (now.last_number >= kLastNumber) return std::unexpected(MemberFailure::NumbersUsedUp);
  PlannedChange planned{.target = now, .subject = id};
  MemberRecord record{
      .number = ++planned.target.last_number, .directory_uuid = {}, .name = {}, .peer_urls = *urls, .client_urls = {}};
  planned.target.members.push_back(
      raft::Member{.id = id,
                   .incoming = add.learner ? raft::Suffrage::Learner : raft::Suffrage::Voter,
                   .outgoing = raft::Suffrage::None,
                   .info = encode(record)});
  std::ranges::sort(planned.target.members, {}, &raft::Member::id);
  if (!add.learner && now.members.size() > 1) {
    if (!enough_started(planned.target)) return std::unexpected(MemberFailure::NotEnoughStarted);
    // The new voter counts as soon as the change is in the log (thesis 4.1) and has yet to start: what must acknowledge
    // it is a majority that includes it. With one of three down this would wait for the newcomer, or for ever.
    if (!have_quorum(is_active, planned.target, context)) return std::unexpected(MemberFailure::Unhealthy);
  }
  return planned;
}

Planned plan_remove(const raft::Configuration& now, const RemoveMember& remove, const ChangeContext& context) {
  const raft::NodeId id(remove.id);
  if (now.find(id) == nullptr) return std::unexpected(MemberFailure::NotFound);
  PlannedChange planned{.target = now, .subject = id};
  std::erase_if(planned.target.members, [&](const raft::Member& m) { return m.id == id; });
  planned.target.removed.push_back(id);
  std::ranges::sort(planned.target.removed);
  if (now.is_voter(id)) {
    if (!enough_started(planned.target)) return std::unexpected(MemberFailure::NotEnoughStarted);
    // Removing a member that is down is always welcome; removing a live one must not cost the quorum.
    if (is_active(context, id) && !have_quorum(is_active, planned.target, context)) {
      return std::unexpected(MemberFailure::Unhealthy);
    }
  }
  return planned;
}

Planned plan_update(const raft::Configuration& now, const UpdateMember& update) {
  const raft::NodeId id(update.id);
  PlannedChange planned{.target = now, .subject = id};
  raft::Member* member = find(planned.target, id);
  if (member == nullptr) return std::unexpected(MemberFailure::NotFound);
  auto urls = checked_urls(update.peer_urls);
  if (!urls) return std::unexpected(urls.error());
  if (url_in_use(now, *urls, id)) return std::unexpected(MemberFailure::PeerUrlExists);
  MemberRecord record = record_of(*member);
  if (record.peer_urls != *urls) record.election_port = 0;  // it stood behind another address
  record.peer_urls = *urls;
  member->info = encode(record);
  return planned;
}

Planned plan_promote(const raft::Configuration& now, const PromoteMember& promote, const ChangeContext& context) {
  const raft::NodeId id(promote.id);
  PlannedChange planned{.target = now, .subject = id};
  raft::Member* member = find(planned.target, id);
  if (member == nullptr) return std::unexpected(MemberFailure::NotFound);
  if (!now.is_learner(id)) return std::unexpected(MemberFailure::NotLearner);
  if (!is_ready(context, id)) return std::unexpected(MemberFailure::LearnerNotReady);
  member->incoming = raft::Suffrage::Voter;
  if (!enough_started(planned.target)) return std::unexpected(MemberFailure::NotEnoughStarted);
  return planned;
}

raft::Member* find_number(raft::Configuration& configuration, uint32_t number) {
  for (raft::Member& member : configuration.members) {
    if (record_of(member).number == number) return &member;
  }
  return nullptr;
}

// One joiner of a ReplaceMembers: a member of that number is changed, otherwise one is added.
std::expected<void, MemberFailure> join(PlannedChange& planned, const JoiningMember& joiner,
                                        const ChangeContext& context) {
  auto urls = checked_urls(joiner.peer_urls);
  if (!urls) return std::unexpected(urls.error());
  const raft::Suffrage suffrage = joiner.learner ? raft::Suffrage::Learner : raft::Suffrage::Voter;
  if (raft::Member* const member = find_number(planned.target, joiner.number)) {
    if (url_in_use(planned.target, *urls, member->id)) return std::unexpected(MemberFailure::PeerUrlExists);
    MemberRecord record = record_of(*member);
    std::vector<std::string> known = record.peer_urls;
    std::ranges::sort(known);
    if (!std::ranges::includes(known, *urls)) record.peer_urls = *urls;
    record.zookeeper = joiner.zookeeper;
    record.election_port = joiner.election_port;
    member->info = encode(record);
    member->incoming = suffrage;
    planned.subject = member->id;
    return {};
  }
  // Session ids carry the number, so one that may have been given before is not given again (core M1).
  if (joiner.number > kLastNumber || joiner.number <= planned.target.last_number) {
    return std::unexpected(MemberFailure::NumbersUsedUp);
  }
  if (url_in_use(planned.target, *urls, raft::kNobody)) return std::unexpected(MemberFailure::PeerUrlExists);
  // An address that was removed in this very second gives an id that is used up: the next second's will do.
  raft::NodeId id;
  for (int64_t at_s = context.now.ms / 1000;; ++at_s) {
    id = raft::NodeId(make_member_id(*urls, context.token, at_s));
    if (planned.target.find(id) == nullptr && !std::ranges::binary_search(planned.target.removed, id)) break;
  }
  planned.target.last_number = joiner.number;
  planned.target.members.push_back(raft::Member{.id = id,
                                                .incoming = suffrage,
                                                .outgoing = raft::Suffrage::None,
                                                .info = encode(MemberRecord{.number = joiner.number,
                                                                            .directory_uuid = {},
                                                                            .name = {},
                                                                            .peer_urls = *urls,
                                                                            .client_urls = {},
                                                                            .zookeeper = joiner.zookeeper,
                                                                            .election_port = joiner.election_port})});
  std::ranges::sort(planned.target.members, {}, &raft::Member::id);
  planned.subject = id;
  return {};
}

Planned plan_replace(const raft::Configuration& now, const ReplaceMembers& replace, const ChangeContext& context) {
  if (replace.expected_version && *replace.expected_version != now.version) {
    return std::unexpected(MemberFailure::VersionMismatch);
  }
  PlannedChange planned{.target = now, .subject = context.self};
  std::map<uint32_t, JoiningMember> joining;  // of two for one number the second counts
  for (const JoiningMember& joiner : replace.joining) joining.insert_or_assign(joiner.number, joiner);
  std::erase_if(planned.target.members, [&](const raft::Member& member) {
    const uint32_t number = record_of(member).number;
    const bool joins = joining.contains(number);
    const bool named = std::ranges::find(replace.leaving, number) != replace.leaving.end();
    const bool leaves = !joins && (named || replace.whole);
    if (leaves) planned.target.removed.push_back(member.id);
    return leaves;
  });
  std::ranges::sort(planned.target.removed);
  for (const auto& [number, joiner] : joining) {
    if (auto joined = join(planned, joiner, context); !joined) return std::unexpected(joined.error());
  }
  if (!enough_started(planned.target)) return std::unexpected(MemberFailure::NotEnoughStarted);
  // Learners among them have nothing to vote with before they have caught up: the change would wait for that.
  if (!have_quorum(is_ready, planned.target, context)) return std::unexpected(MemberFailure::Unhealthy);
  return planned;
}

}  // namespace

Blob encode(const MemberRecord& record) {
  std::string out;
  FieldWriter w(out);
  w.uint(1, record.number);
  w.bytes(2, record.directory_uuid);
  w.bytes(3, record.name);
  for (const std::string& url : record.peer_urls) w.bytes_always(4, url);
  for (const std::string& url : record.client_urls) w.bytes_always(5, url);
  w.bytes(6, record.zookeeper);
  w.uint(7, record.election_port);
  return Blob(out);
}

Result<MemberRecord> decode_member(std::string_view bytes) {
  MemberRecord record;
  FieldReader r(bytes);
  while (r.next()) {
    switch (r.field()) {
      case 1: record.number = static_cast<uint32_t>(r.uint()); break;
      case 2: record.directory_uuid = r.bytes(); break;
      case 3: record.name = r.bytes(); break;
      case 4: record.peer_urls.emplace_back(r.bytes()); break;
      case 5: record.client_urls.emplace_back(r.bytes()); break;
      case 6: record.zookeeper = r.bytes(); break;
      case 7: record.election_port = static_cast<uint16_t>(r.uint()); break;
      default: break;
    }
  }
  if (!r.ok()) return fail(Code::Corrupt, "a member record does not decode");
  return record;
}

MemberRecord record_of(const raft::Member& member) {
  auto record = decode_member(member.info.view());
  CHECK(record.has_value(), "member {:x}: {}", member.id.value, record.error().message);
  return std::move(*record);
}

uint64_t make_member_id(std::vector<std::string> peer_urls, std::string_view token, int64_t added_at_s) {
  std::ranges::sort(peer_urls);
  std::string text;
  for (const std::string& url : peer_urls) text += url;
  text += token;
  if (added_at_s != 0) text += fmt::format("{}", added_at_s);
  return first_eight_bytes(sha1(text));
}

uint64_t make_cluster_id(std::vector<uint64_t> member_ids, std::string_view token) {
  std::ranges::sort(member_ids);
  std::string text;
  for (const uint64_t id : member_ids) {
    for (int shift = 56; shift >= 0; shift -= 8) text.push_back(static_cast<char>(id >> shift));
  }
  // Member ids cover the token already; it is here so that a cluster of none differs by token too.
  if (member_ids.empty()) text += token;
  return first_eight_bytes(sha1(text));
}

raft::Configuration initial_configuration(const std::vector<InitialMember>& members, std::string_view token) {
  raft::Configuration configuration;
  for (const InitialMember& m : members) {
    configuration.members.push_back(
        raft::Member{.id = raft::NodeId(make_member_id({m.peer_url}, token, 0)),
                     .incoming = m.learner ? raft::Suffrage::Learner : raft::Suffrage::Voter,
                     .outgoing = raft::Suffrage::None,
                     .info = {}});
  }
  // Numbers follow the order of names, which every member sees alike whatever the order of its flag was.
  std::vector<size_t> order(members.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](size_t a, size_t b) { return members[a].name < members[b].name; });
  uint32_t last = 0;
  for (const size_t i : order) {
    const uint32_t number = members[i].number > 0 ? members[i].number : ++last;
    configuration.last_number = std::max(configuration.last_number, number);
    // Like etcd, the initial names are known from the start: they count as started for the reconfiguration check.
    configuration.members[i].info = encode(MemberRecord{.number = number,
                                                        .directory_uuid = {},
                                                        .name = members[i].name,
                                                        .peer_urls = {members[i].peer_url},
                                                        .client_urls = {}});
  }
  std::ranges::sort(configuration.members, {}, &raft::Member::id);
  return configuration;
}

std::vector<MemberInfo> list_members(const raft::Configuration& configuration) {
  std::vector<MemberInfo> out;
  for (const raft::Member& member : configuration.members) {
    MemberRecord record = record_of(member);
    out.push_back(MemberInfo{.id = member.id.value,
                             .name = std::move(record.name),
                             .peer_urls = std::move(record.peer_urls),
                             .client_urls = std::move(record.client_urls),
                             .is_learner = configuration.is_learner(member.id),
                             .number = record.number,
                             .zookeeper = std::move(record.zookeeper),
                             .election_port = record.election_port});
  }
  return out;
}

std::vector<peer::PeerRecord> peer_records(const raft::Configuration& configuration) {
  std::vector<peer::PeerRecord> out;
  for (const raft::Member& member : configuration.members) {
    MemberRecord record = record_of(member);
    peer::PeerRecord peer{.id = member.id, .addresses = {}, .directory_uuid = std::move(record.directory_uuid)};
    for (const std::string& url : record.peer_urls) {
      if (auto address = env::parse_address(url)) peer.addresses.push_back(std::move(*address));
    }
    out.push_back(std::move(peer));
  }
  return out;
}

std::expected<PlannedChange, MemberFailure> plan_change(const raft::Configuration& now, const MemberChange& change,
                                                        const ChangeContext& context) {
  struct Visitor {
    const raft::Configuration& now;
    const ChangeContext& context;
    Planned operator()(const AddMember& add) const { return plan_add(now, add, context); }
    Planned operator()(const RemoveMember& remove) const { return plan_remove(now, remove, context); }
    Planned operator()(const UpdateMember& update) const { return plan_update(now, update); }
    Planned operator()(const PromoteMember& promote) const { return plan_promote(now, promote, context); }
    Planned operator()(const ReplaceMembers& replace) const { return plan_replace(now, replace, context); }
  };
  Planned planned = std::visit(Visitor{now, context}, change);
  if (planned) {
    ++planned->target.version;
    planned->target.changed = context.now;
  }
  return planned;
}

}  // namespace witan::node
