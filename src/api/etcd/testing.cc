#include "api/etcd/testing.h"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/check.h"

namespace witan::api::etcd::testing {

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

void FakeClient::set_view(const node::View& view) {
  next_view = view;
  loop_.post([this, view] {
    view_ = view;
    if (listener_ != nullptr) listener_->on_view(view);
  });
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

store::Reply FakeClient::apply(const store::Body& body) {
  // As on the wire: what is applied are the bytes, not the views of the request.
  const Blob bytes = store::encode(store::Command{.header = {.stamp = loop_.wall()}, .body = body});
  auto command = store::decode(bytes.view());
  CHECK(command.has_value(), "{}", command.error().message);
  store::Applied applied = store_.apply(++index_, *command, true);
  deliver(applied.changes);
  return std::move(applied.reply);
}

void FakeClient::propose(const store::Body& body, Function<void(node::Outcome)> done) {
  ++proposals;
  if (auto outcome = std::exchange(next_outcome, std::nullopt)) {
    return loop_.post([outcome = std::move(*outcome), done = std::move(done)]() mutable { done(std::move(outcome)); });
  }
  store::Reply reply = apply(body);
  settle_gap();
  loop_.post([reply = std::move(reply), done = std::move(done)]() mutable {
    done(node::Done{.reply = std::move(reply), .term = kTerm});
  });
}

void FakeClient::read(const store::Body& body, node::Consistency consistency,
                      Function<void(node::Answer<node::Done>)> done) {
  ++(consistency == node::Consistency::Local ? reads_local : reads_linearizable);
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
    done(node::Done{.reply = std::move(reply), .term = kTerm});
  });
}

void FakeClient::history(node::HistoryRequest request, Function<void(node::Answer<node::History>)> done) {
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  settle_gap();
  node::History history{.revision = store_.revision(), .term = kTerm};
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

void FakeClient::renew_lease(store::LeaseId id, store::LeaseKind kind,
                             Function<void(node::Answer<node::LeaseRenewal>)> done) {
  if (auto refused = refusal()) {
    return loop_.post([refused = std::move(*refused), done = std::move(done)]() mutable {
      done(std::unexpected(std::move(refused)));
    });
  }
  const auto lease = store_.lease(id);
  const int64_t ttl = lease && lease->kind == kind ? lease->ttl_ms : 0;
  loop_.post([ttl, done = std::move(done)]() mutable { done(node::LeaseRenewal{.ttl_ms = ttl}); });
}

void FakeClient::lease_time(store::LeaseId id, bool with_keys, Function<void(node::Answer<node::LeaseTime>)> done) {
  node::LeaseTime time;
  if (const auto lease = store_.lease(id)) {
    time = {.found = true, .granted_ms = lease->ttl_ms, .remaining_ms = lease->ttl_ms - 1};
    if (with_keys) time.keys = store_.lease_keys(id);
  }
  loop_.post([time = std::move(time), done = std::move(done)]() mutable { done(std::move(time)); });
}

void FakeClient::leases(store::LeaseKind kind, Function<void(node::Answer<std::vector<store::LeaseId>>)> done) {
  std::vector<store::LeaseId> ids;
  for (const store::LeaseInfo& lease : store_.leases(std::nullopt, 1'000'000)) {
    if (lease.kind == kind) ids.push_back(lease.id);
  }
  loop_.post([ids = std::move(ids), done = std::move(done)]() mutable { done(std::move(ids)); });
}

void FakeClient::members(node::Consistency consistency,
                         Function<void(node::Answer<std::vector<node::MemberInfo>>)> done) {
  ++(consistency == node::Consistency::Local ? reads_local : reads_linearizable);
  loop_.post([members = members_now, done = std::move(done)]() mutable { done(std::move(members)); });
}

void FakeClient::change_members(node::MemberChange change,
                                Function<void(std::expected<node::MembersChanged, node::MemberFailure>)> done) {
  if (auto failure = std::exchange(next_member_failure, std::nullopt)) {
    return loop_.post([failure = *failure, done = std::move(done)]() mutable { done(std::unexpected(failure)); });
  }
  node::MembersChanged changed{.term = kTerm};
  if (const auto* add = std::get_if<node::AddMember>(&change)) {
    changed.subject = 100 + members_now.size();
    members_now.push_back({.id = changed.subject, .peer_urls = add->peer_urls, .is_learner = add->learner});
    calls.push_back(fmt::format("add {}", fmt::join(add->peer_urls, ",")));
  } else if (const auto* removed = std::get_if<node::RemoveMember>(&change)) {
    changed.subject = removed->id;
    std::erase_if(members_now, [&](const auto& m) { return m.id == removed->id; });
    calls.push_back("remove " + std::to_string(removed->id));
  } else if (const auto* updated = std::get_if<node::UpdateMember>(&change)) {
    changed.subject = updated->id;
    calls.push_back(fmt::format("update {}", fmt::join(updated->peer_urls, ",")));
  } else {
    changed.subject = std::get<node::PromoteMember>(change).id;
    calls.push_back("promote " + std::to_string(changed.subject));
  }
  changed.members = members_now;
  loop_.post([changed = std::move(changed), done = std::move(done)]() mutable { done(std::move(changed)); });
}

void FakeClient::move_leader(node::MemberId to, Function<void(Result<>)> done) {
  calls.push_back("move " + std::to_string(to));
  Result<> result;
  if (const auto code = std::exchange(next_transfer_error, std::nullopt)) result = witan::fail(*code, "no");
  loop_.post([result, done = std::move(done)]() mutable { done(result); });
}

void FakeClient::status(Function<void(node::Status)> done) {
  node::Status status{.cluster_id = cluster_id(),
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

void FakeClient::hash_kv(store::Revision revision,
                         Function<void(std::expected<node::KvHash, node::HashFailure>)> done) {
  std::expected<node::KvHash, node::HashFailure> result;
  if (auto reader = store_.start_hash(revision)) {
    while (!reader->step(1000)) {
    }
    const store::HashKv hash = reader->result();
    result = node::KvHash{.hash = hash.hash,
                          .hash_revision = hash.hashed,
                          .compacted = hash.compacted,
                          .revision = store_.revision(),
                          .term = kTerm};
  } else {
    const bool compacted = reader.error().reason == store::Reason::RevisionCompacted;
    result = std::unexpected(compacted ? node::HashFailure::Compacted : node::HashFailure::Future);
  }
  loop_.post([result, done = std::move(done)]() mutable { done(result); });
}

namespace {

class StringSnapshot final : public node::SnapshotStream {
 public:
  StringSnapshot(env::Loop& loop, std::string bytes) : loop_(loop), bytes_(std::move(bytes)) {}
  void next(size_t max_bytes, Function<void(node::Answer<Blob>)> done) override {
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

void FakeClient::snapshot(Function<void(node::Answer<std::unique_ptr<node::SnapshotStream>>)> done) {
  loop_.post(
      [this, done = std::move(done)]() mutable { done(std::make_unique<StringSnapshot>(loop_, snapshot_bytes)); });
}

// ---- TestTransport ------------------------------------------------------------------------------

void TestTransport::clear() {
  calls_.clear();
  ended_.clear();
}

CallKey TestTransport::open(std::string_view path) {
  const CallKey call{.connection = 1, .stream = wire::StreamId(last_ += 2)};
  Entry& entry = calls_[call.stream.value];
  entry.method = find_method(path);
  CHECK(entry.method != nullptr, "no method {}", path);
  if (entry.method->open != nullptr) entry.handler = entry.method->open(*service, call);
  return call;
}

void TestTransport::message(CallKey call, std::string_view bytes) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  if (entry.handler != nullptr) {
    entry.handler->on_message(bytes);
  } else {
    entry.method->unary(*service, call, bytes);
  }
  ended_.clear();
}

void TestTransport::half_close(CallKey call) {
  if (StreamHandler* open = handler(call)) open->on_half_close();
  ended_.clear();
}

void TestTransport::cancel(CallKey call) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  if (entry.handler != nullptr) entry.handler->on_cancel();
  entry.seen.status = Status{wire::GrpcStatus::Cancelled, "by the client"};
  end(entry);
  ended_.clear();
}

std::optional<std::string> TestTransport::take(CallKey call) {
  TestCall& seen = at(call);
  if (seen.messages.empty()) return std::nullopt;
  std::string message = std::move(seen.messages.front());
  seen.messages.erase(seen.messages.begin());
  const bool above = seen.unread > low_water;
  seen.unread -= message.size();
  if (above && seen.unread <= low_water) {
    if (StreamHandler* open = handler(call)) open->on_writable();
    ended_.clear();
  }
  return message;
}

void TestTransport::end(Entry& entry) {
  if (entry.handler != nullptr) ended_.push_back(std::move(entry.handler));
}

void TestTransport::send(CallKey call, Chain&& message) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  entry.seen.unread += message.size();
  entry.seen.messages.push_back(message.flatten());
}

void TestTransport::finish(CallKey call, const Status& status) {
  Entry& entry = calls_.at(call.stream.value);
  if (entry.seen.status) return;
  entry.seen.status = status;
  end(entry);
}

void TestTransport::reply(CallKey call, Chain&& message) {
  send(call, std::move(message));
  finish(call, {});
}

void TestTransport::reply(CallKey call, std::string_view message) {
  Chain chain;
  chain.append(message);
  reply(call, std::move(chain));
}

size_t TestTransport::pending(CallKey call) const { return calls_.at(call.stream.value).seen.unread; }

void TestTransport::pause_reading(CallKey call, bool paused) { at(call).paused = paused; }

StreamHandler* TestTransport::handler(CallKey call) {
  const auto it = calls_.find(call.stream.value);
  return it == calls_.end() ? nullptr : it->second.handler.get();
}

// ---- TestApi ------------------------------------------------------------------------------------

TestApi::TestApi(const Options& options) : client(loop), service(loop, client, transport, options, Logger()) {
  transport.service = &service;
  client.listen(*this);
}

// Handlers give their tickets back to the hub, so they go first.
TestApi::~TestApi() { transport.clear(); }

TestCall TestApi::call(std::string_view path, std::string_view message) {
  const CallKey key = transport.open(path);
  transport.message(key, message);
  loop.run();
  return transport.at(key);
}

store::Revision TestApi::put(std::string_view key, std::string_view value, int64_t lease) {
  const store::Reply reply = client.apply(store::Put{.key = key, .value = value, .lease = store::LeaseId(lease)});
  loop.run();
  return reply.revision;
}

store::Revision TestApi::erase(std::string_view key) {
  const store::Reply reply = client.apply(store::DeleteRange{.range = {.begin = key, .single = true}});
  loop.run();
  return reply.revision;
}

}  // namespace witan::api::etcd::testing
