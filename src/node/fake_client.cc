#include "node/fake_client.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/check.h"

namespace witan::node::testing {

// ---- TestLoop -----------------------------------------------------------------------------------

env::TimerId TestLoop::call_at(Instant when, Task task) {
  timers_[++last_timer_] = {when, std::move(task)};
  return last_timer_;
}

bool TestLoop::step() {
  if (tasks_.empty()) return false;
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  task();
  return true;
}

void TestLoop::advance(Duration duration) {
  const Instant end = now_ + duration;
  run();
  while (true) {
    const auto next = std::ranges::min_element(timers_, {}, [](const auto& timer) { return timer.second.when; });
    if (next == timers_.end() || next->second.when > end) break;
    now_ = std::max(now_, next->second.when);
    Task task = std::move(next->second.task);
    timers_.erase(next);
    task();
    run();
  }
  now_ = end;
}

// ---- FakeClient ---------------------------------------------------------------------------------

void FakeClient::set_view(const View& view) {
  next_view = view;
  loop_.post([this, view] {
    view_ = view;
    if (listener_ != nullptr) listener_->on_view(view);
  });
}

void FakeClient::set_members(std::vector<MemberInfo> members) {
  members_now = std::move(members);
  ++next_view.members_version;
  next_view.members_changed = loop_.wall();
  if (!members_told_late) set_view(next_view);
}

void FakeClient::begin_gap() { gap_from_ = store_.revision() + 1; }

// What is posted after batches that were kept back must not overtake them (core F1): the gap is told first.
void FakeClient::settle_gap() {
  if (!gap_from_ || *gap_from_ > store_.revision()) return;
  end_gap();
  begin_gap();
}

void FakeClient::end_gap() {
  const store::Revision from = *std::exchange(gap_from_, std::nullopt);
  const store::Revision to = store_.revision();
  if (to < from) return;
  loop_.post([this, from, to] {
    revision_ = to;
    if (listener_ != nullptr) listener_->on_gap(from, to);
  });
}

void FakeClient::deliver(store::ChangeBatchPtr batch) {
  if (batch == nullptr || gap_from_) return;
  loop_.post([this, batch] {
    revision_ = batch->revision;
    if (listener_ != nullptr) listener_->on_changes({&batch, 1});
  });
}

store::Reply FakeClient::apply(const store::Body& body, const Caller& caller) {
  // As on the wire: what is applied are the bytes, not the views of the request.
  const Blob bytes = store::encode(store::Command{.header = {.stamp = loop_.wall(),
                                                             .session = caller.session,
                                                             .attach_generation = caller.generation,
                                                             .principals = caller.principals},
                                                  .body = body});
  auto command = store::decode(bytes.view());
  CHECK(command.has_value(), "{}", command.error().message);
  store::Applied applied = store_.apply(++index_, *command, true);
  deliver(applied.changes);
  tell_sessions(body, applied.reply);
  return std::move(applied.reply);
}

void FakeClient::tell_sessions(const store::Body& body, const store::Reply& reply) {
  if (reply.failure.reason != store::Reason::None) return;
  std::optional<SessionNews> news;
  if (const auto* attach = std::get_if<store::SessionAttach>(&body)) {
    news = SessionNews{.id = attach->id, .generation = std::get<store::LeaseGrantResult>(reply.result).generation};
  } else if (const auto* revoke = std::get_if<store::LeaseRevoke>(&body)) {
    if (revoke->kind == store::LeaseKind::ZooKeeper) news = SessionNews{.id = revoke->id, .generation = 0};
  }
  if (!news) return;
  loop_.post([this, news = *news] {
    if (listener_ != nullptr) listener_->on_session(news);
  });
}

void FakeClient::propose(const store::Body& body, Function<void(Outcome)> done) {
  ++proposals;
  if (auto outcome = std::exchange(next_outcome, std::nullopt)) {
    return loop_.post([outcome = std::move(*outcome), done = std::move(done)]() mutable { done(std::move(outcome)); });
  }
  store::Reply reply = apply(body);
  settle_gap();
  loop_.post([reply = std::move(reply), done = std::move(done)]() mutable {
    done(Done{.reply = std::move(reply), .term = kTerm});
  });
}

// ---- sessions

void FakeClient::in_order(Task task) {
  if (held) return waiting_.push_back(std::move(task));
  task();
}

void FakeClient::release() {
  held = false;
  for (Task& task : std::exchange(waiting_, {})) task();
}

Ticket FakeClient::propose_as(const Caller& caller, const store::Body& body, Function<void(Outcome)> done) {
  ++proposals;
  const Ticket ticket = ++last_ticket_;
  // The caller's views end with the call, the command's bytes do not.
  const auto bytes =
      std::make_shared<const Blob>(store::encode(store::Command{.header = {.stamp = loop_.wall(),
                                                                           .session = caller.session,
                                                                           .attach_generation = caller.generation,
                                                                           .principals = caller.principals},
                                                                .body = body}));
  auto outcome = std::exchange(next_outcome, std::nullopt);
  in_order([this, bytes, outcome = std::move(outcome), done = std::move(done)]() mutable {
    if (!outcome) {
      const auto command = store::decode(bytes->view());
      CHECK(command.has_value(), "{}", command.error().message);
      const Caller who{.session = command->header.session,
                       .generation = command->header.attach_generation,
                       .principals = command->header.principals};
      outcome = Done{.reply = apply(command->body, who), .term = kTerm};
    }
    settle_gap();
    loop_.post([outcome = std::move(*outcome), done = std::move(done)]() mutable { done(std::move(outcome)); });
  });
  return ticket;
}

void FakeClient::read_as(const Caller& caller, const store::Body& body, Ticket /*after*/,
                         Function<void(Answer<Done>)> done) {
  ++reads_local;
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  std::vector<std::pair<store::NodeQuery, std::string>> reads;
  for (const store::NodeRead& read : std::get<store::NodeReads>(body).reads) reads.emplace_back(read.query, read.path);
  std::vector<std::string> principals(caller.principals.begin(), caller.principals.end());
  in_order([this, session = caller.session, reads = std::move(reads), principals = std::move(principals),
            done = std::move(done)]() mutable {
    settle_gap();
    store::NodeReads asked;
    for (const auto& [query, path] : reads) asked.reads.push_back({.query = query, .path = path});
    const std::vector<std::string_view> views(principals.begin(), principals.end());
    store::Reply reply{.revision = store_.revision(), .result = store_.read_nodes(asked, session, views)};
    loop_.post([reply = std::move(reply), done = std::move(done)]() mutable {
      done(Done{.reply = std::move(reply), .term = kTerm});
    });
  });
}

void FakeClient::sync(Function<void(Answer<store::Revision>)> done) {
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  in_order([this, done = std::move(done)]() mutable {
    settle_gap();
    loop_.post([revision = store_.revision(), done = std::move(done)]() mutable { done(revision); });
  });
}

void FakeClient::renew_sessions(std::vector<store::LeaseId> ids, Renewed done) {
  renewals.push_back(ids);
  if (leader_is_silent) {
    unanswered_.emplace_back(std::move(ids), std::move(done));
  } else {
    answer_renewal(ids, std::move(done));
  }
}

void FakeClient::answer_renewals() {
  leader_is_silent = false;
  for (auto& [ids, done] : std::exchange(unanswered_, {})) answer_renewal(ids, std::move(done));
}

void FakeClient::answer_renewal(const std::vector<store::LeaseId>& ids, Renewed done) {
  Answer<std::vector<store::LeaseId>> answer;
  if (auto refused = refusal()) {
    answer = std::unexpected(std::move(*refused));
  } else {
    for (const store::LeaseId id : ids) {
      const auto lease = store_.lease(id);
      if (!lease || lease->kind != store::LeaseKind::ZooKeeper) answer->push_back(id);
    }
  }
  loop_.post([answer = std::move(answer), done = std::move(done)]() mutable { done(std::move(answer)); });
}

void FakeClient::read(const store::Body& body, Consistency consistency, Function<void(Answer<Done>)> done) {
  ++(consistency == Consistency::Local ? reads_local : reads_linearizable);
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  settle_gap();
  store::Reply reply;
  reply.revision = store_.revision();
  if (const auto* range = std::get_if<store::Range>(&body)) {
    auto result = store_.range(*range);
    if (result) {
      reply.result = std::move(*result);
    } else {
      reply.failure = result.error();
    }
  } else {
    reply = store_.read(std::get<store::Txn>(body));
  }
  loop_.post([reply = std::move(reply), done = std::move(done)]() mutable {
    done(Done{.reply = std::move(reply), .term = kTerm});
  });
}

void FakeClient::history(HistoryRequest request, Function<void(Answer<History>)> done) {
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  settle_gap();
  History history{.revision = store_.revision(), .term = kTerm};
  auto slice =
      store_.history(request.from, request.ranges, std::min(history_changes, request.max_batches), size_t{1} << 20);
  if (slice) {
    history.batches = std::move(slice->batches);
    history.through = slice->through;
    history.caught_up = slice->through == slice->current;
  } else {
    history.was_compacted = true;
    history.compacted = store_.compacted();
  }
  loop_.post([history = std::move(history), done = std::move(done)]() mutable { done(std::move(history)); });
}

void FakeClient::renew_lease(store::LeaseId id, store::LeaseKind kind, Function<void(Answer<LeaseRenewal>)> done) {
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  const auto lease = store_.lease(id);
  const int64_t ttl = lease && lease->kind == kind ? lease->ttl_ms : 0;
  loop_.post([ttl, done = std::move(done)]() mutable { done(LeaseRenewal{.ttl_ms = ttl}); });
}

void FakeClient::lease_time(store::LeaseId id, bool with_keys, Function<void(Answer<LeaseTime>)> done) {
  LeaseTime time;
  if (const auto lease = store_.lease(id)) {
    time = {.found = true, .granted_ms = lease->ttl_ms, .remaining_ms = lease->ttl_ms - 1};
    if (with_keys) time.keys = store_.lease_keys(id);
  }
  loop_.post([time = std::move(time), done = std::move(done)]() mutable { done(std::move(time)); });
}

void FakeClient::leases(store::LeaseKind kind, Function<void(Answer<std::vector<store::LeaseId>>)> done) {
  std::vector<store::LeaseId> ids;
  for (const store::LeaseInfo& lease : store_.leases(std::nullopt, 1'000'000)) {
    if (lease.kind == kind) ids.push_back(lease.id);
  }
  loop_.post([ids = std::move(ids), done = std::move(done)]() mutable { done(std::move(ids)); });
}

void FakeClient::members(Consistency consistency, Function<void(Answer<std::vector<MemberInfo>>)> done) {
  ++(consistency == Consistency::Local ? reads_local : reads_linearizable);
  settled_members(std::move(done));
}

void FakeClient::settled_members(Function<void(Answer<std::vector<MemberInfo>>)> done) {
  loop_.post([members = members_now, done = std::move(done)]() mutable { done(std::move(members)); });
}

void FakeClient::change_members(MemberChange change,
                                Function<void(std::expected<MembersChanged, MemberFailure>)> done) {
  if (auto failure = std::exchange(next_member_failure, std::nullopt)) {
    return loop_.post([failure = *failure, done = std::move(done)]() mutable { done(std::unexpected(failure)); });
  }
  MembersChanged changed{.term = kTerm};
  if (const auto* replacing = std::get_if<ReplaceMembers>(&change)) {
    auto replaced = replace(*replacing);
    return loop_.post(
        [replaced = std::move(replaced), done = std::move(done)]() mutable { done(std::move(replaced)); });
  }
  if (const auto* add = std::get_if<AddMember>(&change)) {
    changed.subject = 100 + members_now.size();
    members_now.push_back({.id = changed.subject, .peer_urls = add->peer_urls, .is_learner = add->learner});
    calls.push_back(fmt::format("add {}", fmt::join(add->peer_urls, ",")));
  } else if (const auto* removed = std::get_if<RemoveMember>(&change)) {
    changed.subject = removed->id;
    std::erase_if(members_now, [&](const auto& m) { return m.id == removed->id; });
    calls.push_back("remove " + std::to_string(removed->id));
  } else if (const auto* updated = std::get_if<UpdateMember>(&change)) {
    changed.subject = updated->id;
    calls.push_back(fmt::format("update {}", fmt::join(updated->peer_urls, ",")));
  } else {
    changed.subject = std::get<PromoteMember>(change).id;
    calls.push_back("promote " + std::to_string(changed.subject));
  }
  changed.members = members_now;
  loop_.post([changed = std::move(changed), done = std::move(done)]() mutable { done(std::move(changed)); });
}

// Without the checks of node/membership.h, which the member makes.
std::expected<MembersChanged, MemberFailure> FakeClient::replace(const ReplaceMembers& replace) {
  if (replace.expected_version && *replace.expected_version != next_view.members_version) {
    return std::unexpected(MemberFailure::VersionMismatch);
  }
  std::vector<MemberInfo> members;
  std::string call = replace.whole ? "replace whole" : "replace";
  for (const MemberInfo& member : members_now) {
    const bool joins =
        std::ranges::find(replace.joining, member.number, &JoiningMember::number) != replace.joining.end();
    const bool named = std::ranges::find(replace.leaving, member.number) != replace.leaving.end();
    if (!joins && !named && !replace.whole) members.push_back(member);
  }
  for (const uint32_t number : replace.leaving) call += fmt::format(" -{}", number);
  for (const JoiningMember& joiner : replace.joining) {
    call += fmt::format(" +{}", joiner.number);
    members.push_back({.id = 100 + joiner.number,
                       .name = {},
                       .peer_urls = joiner.peer_urls,
                       .client_urls = {},
                       .is_learner = joiner.learner,
                       .number = joiner.number,
                       .zookeeper = joiner.zookeeper,
                       .election_port = joiner.election_port});
  }
  calls.push_back(std::move(call));
  set_members(std::move(members));
  return MembersChanged{.members = members_now,
                        .version = next_view.members_version,
                        .changed = next_view.members_changed,
                        .subject = 0,
                        .term = kTerm};
}

void FakeClient::move_leader(MemberId to, Function<void(Result<>)> done) {
  calls.push_back("move " + std::to_string(to));
  Result<> result;
  if (const auto code = std::exchange(next_transfer_error, std::nullopt)) result = witan::fail(*code, "no");
  loop_.post([result, done = std::move(done)]() mutable { done(result); });
}

void FakeClient::census(bool with_sessions, Function<void(Census)> done) {
  const store::Usage usage = store_.usage();
  Census out;
  out.nodes = store_.node_count();
  out.data_bytes = usage.data_bytes;
  out.sessions = usage.sessions;
  out.session_keys = usage.session_keys;
  out.members = out.voters = members_now.size();
  out.votes = true;
  if (with_sessions) {
    for (const store::LeaseInfo& lease : store_.leases(std::nullopt, 10'000)) {
      if (lease.kind != store::LeaseKind::ZooKeeper) continue;
      out.list.push_back({.id = lease.id, .timeout_ms = lease.ttl_ms, .keys = store_.lease_keys(lease.id)});
    }
  }
  loop_.post([done = std::move(done), out = std::move(out)]() mutable { done(std::move(out)); });
}

void FakeClient::status(Function<void(Status)> done) {
  Status status{.cluster_id = cluster_id(),
                .member_id = member_id(),
                .leader = view_.leader,
                .term = view_.term,
                .commit_index = index_,
                .applied_index = index_,
                .revision = store_.revision(),
                .compacted = store_.compacted(),
                .is_learner = view_.is_learner,
                .bytes_in_use = 4096,
                .bytes_allocated = 8192,
                .quota_bytes = quota_bytes,
                .alarms = store_.alarms()};
  loop_.post([status = std::move(status), done = std::move(done)]() mutable { done(std::move(status)); });
}

void FakeClient::hash_kv(store::Revision revision, Function<void(std::expected<KvHash, HashFailure>)> done) {
  std::expected<KvHash, HashFailure> result;
  if (auto reader = store_.start_hash(revision)) {
    while (!reader->step(1000)) {
    }
    const store::HashKv hash = reader->result();
    result = KvHash{.hash = hash.hash,
                    .hash_revision = hash.hashed,
                    .compacted = hash.compacted,
                    .revision = store_.revision(),
                    .term = kTerm};
  } else {
    const bool compacted = reader.error().reason == store::Reason::RevisionCompacted;
    result = std::unexpected(compacted ? HashFailure::Compacted : HashFailure::Future);
  }
  loop_.post([result, done = std::move(done)]() mutable { done(result); });
}

namespace {

class StringSnapshot final : public SnapshotStream {
 public:
  StringSnapshot(env::Loop& loop, std::string bytes) : loop_(loop), bytes_(std::move(bytes)) {}
  void next(size_t max_bytes, Function<void(Answer<Blob>)> done) override {
    Blob piece(std::string_view(bytes_).substr(at_, max_bytes));
    at_ += piece.size();
    loop_.post([piece, done = std::move(done)]() mutable { done(piece); });
  }
  uint64_t remaining() const override { return bytes_.size() - at_; }

 private:
  env::Loop& loop_;
  std::string bytes_;
  size_t at_ = 0;
};

}  // namespace

void FakeClient::snapshot(Function<void(Answer<std::unique_ptr<SnapshotStream>>)> done) {
  loop_.post(
      [this, done = std::move(done)]() mutable { done(std::make_unique<StringSnapshot>(loop_, snapshot_bytes)); });
}

}  // namespace witan::node::testing
