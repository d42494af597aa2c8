#include "node/state.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "store/history.h"

namespace witan::node {
namespace {

// Per turn of the loop, so that timers and heartbeats come through between (core P4).
constexpr size_t kEntriesPerTurn = 256;
constexpr size_t kBytesPerTurn = size_t{4} << 20;

const Error kStopping{Code::Unavailable, "the member is stopping"};

}  // namespace

State::State(StateOptions options, std::unique_ptr<store::Store> store, raft::SnapshotMeta applied, env::Loop& loop,
             Snapshots& snapshots, Logger logger)
    : options_(std::move(options)), loop_(loop), snapshots_(snapshots), logger_(logger), store_(std::move(store)),
      applied_(applied.index), applied_term_(applied.term), applied_configuration_(applied.configuration),
      members_(applied.configuration), configuration_(std::move(applied.configuration)),
      reads_(loop, options_.request_timeout, milliseconds(20)),
      leases_(loop, options_.election, options_.session_allowance, reads_, logger.named("lease")),
      auditor_(options_.self, options_.election, remedies(), logger.named("audit")) {
  note_number();
  reads_.applied(applied_);
  if (options_.witness != nullptr) options_.witness->replaced(applied_, *store_);
}

State::~State() { loop_.cancel(upkeep_timer_); }

// ---- Applying -----------------------------------------------------------------------------------

void State::committed(std::vector<raft::Entry> entries) {
  // What a snapshot newer than the one asked for has brought comes as entries all the same.
  const auto fresh = std::ranges::find_if(entries, [&](const raft::Entry& entry) { return entry.index > applied_; });
  inbox_.insert(inbox_.end(), std::make_move_iterator(fresh), std::make_move_iterator(entries.end()));
  if (!apply_posted_ && !replacing()) apply_some();
}

void State::apply_some() {
  if (replacing()) return;
  size_t bytes = 0;
  for (size_t n = 0; n < kEntriesPerTurn && bytes < kBytesPerTurn && !inbox_.empty(); ++n) {
    const raft::Entry entry = std::move(inbox_.front());
    inbox_.pop_front();
    bytes += entry.data.size();
    apply(entry);
  }
  flush();
  agreement_->applied(applied_, store_->largest_stamp());
  raise_alarms();
  maybe_snapshot();
  if (!inbox_.empty() && !std::exchange(apply_posted_, true)) {
    loop_.post([this] {
      apply_posted_ = false;
      apply_some();
    });
  }
}

// Core F1: the entry's changes, its replies, then the reads that waited for it; only then the next entry.
void State::apply(const raft::Entry& entry) {
  CHECK(entry.index == applied_ + 1, "entry {} after {}", entry.index, applied_);
  applied_ = entry.index;
  applied_term_ = entry.term;
  ++entries_since_snapshot_;
  bytes_since_snapshot_ += entry.data.size();
  store::ChangeBatchPtr changes;
  if (entry.kind == raft::EntryKind::Command) {
    changes = apply_command(entry);
  } else {
    store_->advance(entry.index.value);
    if (entry.kind == raft::EntryKind::Membership) {
      auto configuration = raft::decode_configuration(entry.data.view());
      CHECK(configuration.has_value(), "entry {}: {}", entry.index, configuration.error().message);
      applied_configuration_ = std::move(*configuration);
      if (!applied_configuration_.joint) tell_members();
    }
  }
  auditor_.applied(entry.index, store_->digest());
  if (options_.witness != nullptr) options_.witness->applied(entry, *store_, changes);
  std::vector<uint64_t> displaced;
  waiters_.committed(entry.index, entry.term, displaced);
  for (const uint64_t request : displaced) {
    resolve(request, NotApplied{Refusal::LeaderChanged, "another leader's entry took its place in the log"});
  }
  reads_.applied(entry.index);
}

store::ChangeBatchPtr State::apply_command(const raft::Entry& entry) {
  const auto command = store::decode(entry.data.view());
  if (!command) {
    const std::string what = command.error().message;
    fatal(Error{command.error().code, fmt::format("entry {} of the log cannot be applied: {}", entry.index, what)});
    return nullptr;
  }
  const store::Origin& origin = command->header.origin;
  const bool mine = origin.member == options_.self.value && origin.incarnation == options_.incarnation &&
                    waiters_.find(origin.request) != nullptr;
  store::Applied applied = store_->apply(entry.index.value, *command, mine);
  if (applied.changes) fan_out(applied.changes);
  note_leases(*command, applied.reply, entry.term);
  if (std::holds_alternative<store::Compact>(command->body)) compact_physically();
  if (mine) resolve(origin.request, Done{std::move(applied.reply), entry.term.value});
  return std::move(applied.changes);
}

void State::note_leases(const store::Command& command, const store::Reply& reply, raft::Term term) {
  const store::Body& body = command.body;
  const auto* const revoke = std::get_if<store::LeaseRevoke>(&body);
  if (reply.failure.reason != store::Reason::None) {
    // Those of clients have an origin; only a leader's own leave a lease closing.
    if (revoke != nullptr && command.header.origin.member == 0) leases_.end_failed(*revoke, term);
    return;
  }
  if (revoke != nullptr) {
    leases_.ended(revoke->id);
    if (revoke->kind == store::LeaseKind::ZooKeeper) tell_sessions({revoke->id, 0});
  } else if (const auto* grant = std::get_if<store::LeaseGrantResult>(&reply.result)) {
    if (const auto lease = store_->lease(grant->id)) leases_.granted(*lease);
    if (std::holds_alternative<store::SessionAttach>(body)) tell_sessions({grant->id, grant->generation});
  } else if (const auto* checkpoint = std::get_if<store::LeaseCheckpoint>(&body)) {
    for (const auto& item : checkpoint->items) leases_.checkpointed(item.id, item.remaining_ms);
  }
}

void State::tell_sessions(const SessionNews& news) {
  broken_.erase(news.id);
  for (PortId id = 0; id < outlets_.size(); ++id) {
    if (outlets_[id].attached) deliver(id, news);
  }
}

// What became of the sessions of `before` in entries that nobody has seen.
void State::tell_sessions_since(const store::Store& before) {
  std::optional<store::LeaseId> after;
  for (auto some = before.leases(after, 1000); !some.empty(); some = before.leases(after, 1000)) {
    for (const store::LeaseInfo& known : some) {
      if (known.kind != store::LeaseKind::ZooKeeper) continue;
      const auto now = store_->lease(known.id);
      if (!now || now->generation != known.generation) tell_sessions({known.id, now ? now->generation : 0});
    }
    after = some.back().id;
  }
}

void State::resolve(uint64_t request, Outcome outcome) {
  auto waiter = waiters_.take(request);
  if (!waiter) return;
  if (!std::holds_alternative<Done>(outcome)) break_session(waiter->session, waiter->generation);
  deliver(waiter->port, ProposalReply{std::move(waiter->done), std::move(outcome)});
  if (waiter->ticket != 0) outlets_[waiter->port].tickets.erase(waiter->ticket);
  for (ReadRequest& read : waiter->then) serve(waiter->port, std::move(read));
}

// One that has ended needs no entry: apply refuses what it sends, and no news of it would ever take the entry away.
void State::break_session(store::LeaseId session, uint64_t generation) {
  if (session == store::LeaseId(0) || !store_->lease(session)) return;
  uint64_t& broken = broken_[session];
  broken = std::max(broken, generation);
}

// Core L5: what a session has on its way when something may have been lost is given up, so that nothing of it
// overtakes.
void State::break_sessions() {
  ++disorders_;
  for (const uint64_t request : waiters_.of_sessions()) {
    const bool maybe = waiters_.find(request)->maybe_appended;
    resolve(request, maybe ? Outcome(Unknown{Unknown::Why::LeaderLost})
                           : Outcome(NotApplied{Refusal::NoLeader, "the leader changed"}));
  }
}

void State::fatal(Error error) {
  if (fatal_) std::exchange(fatal_, {})(std::move(error));
}

// ---- Installing a snapshot ----------------------------------------------------------------------

void State::install(raft::SnapshotMeta meta) {
  if (meta.index <= applied_) return;
  installing_ = meta;
  rebuild_.reset();
  snapshots_.load([this, meta](Result<std::optional<LoadedSnapshot>> loaded) {
    if (!installing_ || installing_->index != meta.index) return;  // another one is wanted by now
    if (!loaded) return fatal(std::move(loaded.error()));
    // A newer one may have come meanwhile and taken its place.
    if (!*loaded || (*loaded)->meta.index < meta.index) {
      return fatal(Error{Code::Corrupt, fmt::format("the snapshot at entry {} is gone", meta.index)});
    }
    installed(std::move((*loaded)->meta), std::move((*loaded)->store));
  });
}

void State::installed(raft::SnapshotMeta meta, std::unique_ptr<store::Store> store) {
  logger_.info("the state is now the leader's snapshot at entry {}", meta.index);
  installing_.reset();
  take_over(std::move(store), std::move(meta));
}

void State::take_over(std::unique_ptr<store::Store> store, raft::SnapshotMeta meta) {
  const store::Revision before = store_->revision();
  abandon_work();
  snapshots_.abandon();
  compacting_ = false;
  copies_.clear();
  const std::unique_ptr<store::Store> old = std::exchange(store_, std::move(store));
  applied_ = meta.index;
  applied_term_ = meta.term;
  applied_configuration_ = std::move(meta.configuration);
  tell_members();
  entries_since_snapshot_ = 0;
  bytes_since_snapshot_ = 0;
  std::vector<uint64_t> unseen;
  std::erase_if(inbox_, [&](const raft::Entry& entry) { return entry.index <= applied_; });
  waiters_.skipped(applied_, unseen);
  for (const uint64_t request : unseen) resolve(request, Unknown{Unknown::Why::LeaderLost});
  if (store_->revision() > before) {
    for (Outlet& outlet : outlets_) {
      if (!outlet.attached) continue;
      close_gap(outlet);
      outlet.outbox.push_back(Gap{before + 1, store_->revision()});
    }
  }
  tell_sessions_since(*old);
  absl::erase_if(broken_, [this](const auto& entry) { return !store_->lease(entry.first); });
  auditor_.replaced(applied_, store_->digest());
  if (options_.witness != nullptr) options_.witness->replaced(applied_, *store_);
  reads_.applied(applied_);
  flush_soon();
  apply_some();
}

// ---- To the API loops ---------------------------------------------------------------------------

void State::add_port(Port& port) {
  port.id_ = static_cast<PortId>(outlets_.size());
  outlets_.push_back(Outlet{.port = &port,
                            .self = port.self_,
                            .loop = &port.loop_,
                            .backlog = port.backlog_,
                            .outbox = {},
                            .attached = false,
                            .missed_from = store::Revision(0)});
}

void State::attach(PortId port) {
  outlets_[port].attached = true;
  deliver(port, Attached{store_->revision(), view()});
}

void State::deliver(PortId port, Delivery delivery) {
  outlets_[port].outbox.push_back(std::move(delivery));
  flush_soon();
}

void State::fan_out(const store::ChangeBatchPtr& batch) {
  const size_t bytes = store::batch_bytes_of(*batch);
  for (Outlet& outlet : outlets_) {
    if (!outlet.attached) continue;
    const size_t waiting = outlet.backlog->bytes.load(std::memory_order_relaxed);
    if (outlet.missed_from != store::Revision(0)) {
      if (waiting > options_.max_backlog_bytes / 2) continue;
      close_gap(outlet);
      continue;  // the gap reaches to this batch
    }
    if (waiting > options_.max_backlog_bytes) {
      outlet.missed_from = batch->revision;
      continue;
    }
    outlet.backlog->bytes.fetch_add(bytes, std::memory_order_relaxed);
    outlet.outbox.push_back(News{batch, bytes});
  }
}

void State::close_gap(Outlet& outlet) {
  if (outlet.missed_from == store::Revision(0)) return;
  outlet.outbox.push_back(Gap{std::exchange(outlet.missed_from, store::Revision(0)), store_->revision()});
}

void State::flush_soon() {
  if (std::exchange(flush_posted_, true)) return;
  loop_.post([this] {
    flush_posted_ = false;
    flush();
  });
}

void State::flush() {
  for (Outlet& outlet : outlets_) {
    if (outlet.outbox.empty()) continue;
    std::vector<Delivery> deliveries = std::exchange(outlet.outbox, {});
    outlet.outbox.reserve(std::min<size_t>(deliveries.size(), 1024));
    outlet.loop->post([self = outlet.self, deliveries = std::move(deliveries)]() mutable {
      if (*self != nullptr) (*self)->receive(std::move(deliveries));
    });
  }
}

View State::view() const {
  return View{.leader = standing_.leader.value,
              .term = standing_.term.value,
              .is_learner = configuration_.is_learner(options_.self),
              .is_leader = standing_.role == raft::Role::Leader,
              .number = number_,
              .members_version = members_.version,
              .members_changed = members_.changed};
}

void State::announce_view() {
  for (PortId id = 0; id < outlets_.size(); ++id) {
    if (outlets_[id].attached) deliver(id, view());
  }
}

// ---- Proposals ----------------------------------------------------------------------------------

void State::submit(PortId port, std::vector<Submission> submissions) {
  for (Submission& submission : submissions) {
    if (auto* proposal = std::get_if<ProposalRequest>(&submission)) {
      propose(port, std::move(*proposal));
    } else if (auto* read = std::get_if<ReadRequest>(&submission)) {
      serve(port, std::move(*read));
    } else {
      std::get<StateTask>(submission)(*this);
    }
  }
  if (!proposals_.empty()) agreement_->propose(std::exchange(proposals_, {}));
}

void State::propose(PortId port, ProposalRequest request) {
  // What the session sends behind it must not be done either.
  const auto refuse = [&](Refusal refusal, const char* why) {
    break_session(request.session, request.generation);
    deliver(port, ProposalReply{std::move(request.done), NotApplied{refusal, why}});
  };
  if (stopped_) return refuse(Refusal::Stopping, "the member is stopping");
  if (request.too_large) return refuse(Refusal::TooLarge, "the command exceeds the limit of a request");
  if (waiters_.size() >= options_.max_pending) return refuse(Refusal::TooManyRequests, "too many proposals wait");
  const bool ordered = request.session != store::LeaseId(0);
  if (const auto broken = broken_.find(request.session);
      ordered && broken != broken_.end() && broken->second >= request.generation) {
    return refuse(Refusal::LeaderChanged, "a command of this session may have been lost: attach it again");
  }
  const uint64_t number = waiters_.add(port, std::move(request.done), loop_.now() + options_.request_timeout);
  store::set_origin(request.command, store::Origin{options_.self.value, options_.incarnation, number});
  Waiters::Waiter& waiter = *waiters_.find(number);
  waiter.maybe_appended = true;
  waiter.session = request.session;
  waiter.generation = request.generation;
  waiter.ticket = request.ticket;
  if (request.ticket != 0) outlets_[port].tickets.emplace(request.ticket, number);
  proposals_.push_back(Proposal{number, std::move(request.command), ordered ? disorders_ + 1 : 0});
}

void State::accepted(std::vector<uint64_t> requests, raft::Accepted where) {
  waiters_.placed(std::move(requests), where);
}

void State::refused(std::vector<Proposal> proposals, Error why) {
  for (Proposal& proposal : proposals) {
    if (proposal.order != 0) {
      resolve(proposal.request, NotApplied{Refusal::NoLeader, why.message});
      continue;
    }
    switch (why.code) {
      // Certainly not in any log: it may be sent to the next leader (core P2).
      case Code::NotLeader:
      case Code::Unavailable:
      case Code::Refused: waiters_.park(std::move(proposal)); break;
      case Code::Exhausted: resolve(proposal.request, NotApplied{Refusal::TooManyRequests, why.message}); break;
      default: resolve(proposal.request, NotApplied{Refusal::Other, why.message});
    }
  }
  break_sessions();
}

void State::lost(std::vector<uint64_t> requests) {
  for (const uint64_t request : requests) {
    if (Waiters::Waiter* waiter = waiters_.find(request)) waiter->lost_connection = true;
  }
  break_sessions();
}

void State::overtaken(std::vector<uint64_t> requests) {
  for (const uint64_t request : requests) {
    resolve(request, NotApplied{Refusal::LeaderChanged, "an earlier command of the session may have been lost"});
  }
}

void State::retry_parked() {
  std::vector<Proposal> parked = waiters_.take_parked();
  for (const Proposal& proposal : parked) waiters_.find(proposal.request)->maybe_appended = true;
  if (!parked.empty()) agreement_->propose(std::move(parked));
}

void State::expire(Instant now) {
  while (const auto request = waiters_.expired(now)) {
    const Waiters::Waiter* waiter = waiters_.find(*request);
    if (!waiter->maybe_appended) {
      resolve(*request, NotApplied{Refusal::NoLeader, "no leader was found in time"});
    } else {
      resolve(*request, Unknown{waiter->lost_connection ? Unknown::Why::ConnectionLost : Unknown::Why::Timeout});
    }
  }
  reads_.expire(now);
}

// ---- Reads --------------------------------------------------------------------------------------

void State::serve(PortId port, ReadRequest request) {
  if (stopped_) {
    return deliver(
        port, ReadReply{std::move(request.done), std::unexpected(NotApplied{Refusal::Stopping, kStopping.message})});
  }
  const auto run = [this, port](ReadRequest ready) {
    const auto command = store::decode(ready.command.view());
    CHECK(command.has_value(), "a read of our own does not decode: {}", command.error().message);
    if (const auto* range = std::get_if<store::Range>(&command->body)) {
      return read_range(port, std::move(ready), *range);
    }
    if (const auto* nodes = std::get_if<store::NodeReads>(&command->body)) {
      store::Reply reply{.revision = store_->revision(), .failure = {}, .result = {}};
      reply.result = store_->read_nodes(*nodes, command->header.session, command->header.principals);
      return finish_read(port, std::move(ready), std::move(reply));
    }
    store::Reply reply = store_->read(std::get<store::Txn>(command->body));
    finish_read(port, std::move(ready), std::move(reply));
  };
  if (const auto before = outlets_[port].tickets.find(request.after); before != outlets_[port].tickets.end()) {
    Waiters::Waiter* const waiter = waiters_.find(before->second);
    request.after = 0;
    return waiter->then.push_back(std::move(request));
  }
  if (request.consistency == Consistency::Local) return run(std::move(request));
  reads_.ask([this, port, run, request = std::move(request)](Answer<raft::Index> ready) mutable {
    if (ready) return run(std::move(request));
    deliver(port, ReadReply{std::move(request.done), std::unexpected(std::move(ready.error()))});
  });
}

void State::finish_read(PortId port, ReadRequest request, store::Reply reply) {
  deliver(port, ReadReply{std::move(request.done), Done{std::move(reply), standing_.term.value}});
}

// Short ranges are read at once, long ones in slices at one revision while writes go on (core P4).
void State::read_range(PortId port, ReadRequest request, const store::Range& range) {
  constexpr size_t kAtOnce = 4096;
  constexpr size_t kSlice = 4096;
  const auto failed = [&](const store::Failure& failure) {
    finish_read(port, std::move(request),
                store::Reply{.revision = store_->revision(), .failure = failure, .result = {}});
  };
  if (store_->work_of(range) <= kAtOnce) {
    auto result = store_->range(range);
    if (!result) return failed(result.error());
    const store::Revision revision = result->revision;
    return finish_read(port, std::move(request),
                       store::Reply{.revision = revision, .failure = {}, .result = std::move(*result)});
  }
  auto reader = store_->start_range(range);
  if (!reader) return failed(reader.error());
  auto shared = std::make_shared<ReadRequest>(std::move(request));
  work_on({[this, port, shared, reader = std::move(*reader)]() mutable {
             if (!reader.step(kSlice)) return false;
             store::RangeResult result = reader.finish();
             const store::Revision revision = result.revision;
             finish_read(port, std::move(*shared),
                         store::Reply{.revision = revision, .failure = {}, .result = std::move(result)});
             return true;
           },
           [this, port, shared] {
             deliver(port,
                     ReadReply{std::move(shared->done),
                               std::unexpected(NotApplied{Refusal::LeaderChanged, "a snapshot replaced the state"})});
           }});
}

void State::hash_kv(PortId port, store::Revision revision, Function<void(std::expected<KvHash, HashFailure>)> done) {
  using Hash = std::expected<KvHash, HashFailure>;
  const auto reply = [this, port](Function<void(Hash)> callback, Hash hash) {
    deliver(port, Task([callback = std::move(callback), hash]() mutable { callback(hash); }));
  };
  auto reader = store_->start_hash(revision);
  if (!reader) {
    const bool compacted = reader.error().reason == store::Reason::RevisionCompacted;
    return reply(std::move(done), std::unexpected(compacted ? HashFailure::Compacted : HashFailure::Future));
  }
  auto shared = std::make_shared<Function<void(Hash)>>(std::move(done));
  work_on({[this, reply, shared, reader = std::move(*reader)]() mutable {
             constexpr size_t kSlice = 2048;
             if (!reader.step(kSlice)) return false;
             const store::HashKv hash = reader.result();
             reply(std::move(*shared), KvHash{.hash = hash.hash,
                                              .hash_revision = hash.hashed,
                                              .compacted = hash.compacted,
                                              .revision = store_->revision(),
                                              .term = standing_.term.value});
             return true;
           },
           [reply, shared] { reply(std::move(*shared), std::unexpected(HashFailure::Compacted)); }});
}

void State::work_on(LongWork work) {
  long_work_.push_back(std::move(work));
  work_soon();
}

void State::abandon_work() {
  for (LongWork& work : std::exchange(long_work_, {})) {
    if (work.abandoned) work.abandoned();
  }
}

void State::work_soon() {
  if (std::exchange(work_posted_, true)) return;
  loop_.post([this] {
    work_posted_ = false;
    work();
  });
}

// One slice of one piece of long work a turn; the pieces take turns.
void State::work() {
  if (long_work_.empty()) return;
  LongWork piece = std::move(long_work_.front());
  long_work_.pop_front();
  if (!piece.step()) long_work_.push_back(std::move(piece));
  if (!long_work_.empty()) work_soon();
}

// ---- Standing -----------------------------------------------------------------------------------

void State::standing(const raft::Standing& standing) {
  const raft::Standing before = std::exchange(standing_, standing);
  if (before.leader != standing.leader || before.term != standing.term) break_sessions();
  if (before.leader != standing.leader || before.term != standing.term || before.role != standing.role) announce_view();
  if (before.role == raft::Role::Leader && standing.role != raft::Role::Leader) {
    leases_.follow();
    auditor_.follow();
  }
  if (standing.leading && (!before.leading || before.term != standing.term)) begin_leading();
  if (standing.leader != raft::kNobody) {
    retry_parked();
    reads_.leader_known();
    check_ready();
  }
}

// Deadlines start only when the state holds all that earlier leaders did (core L2, L3).
void State::begin_leading() {
  reads_.ask([this, term = standing_.term](Answer<raft::Index> ready) {
    if (stopped_ || standing_.term != term || !standing_.leading) return;
    // Nobody confirmed the lead in time, and still it is not lost: without deadlines no lease would ever end.
    if (!ready) return begin_leading();
    compaction_proposed_ = false;
    leases_.lead(term, *store_);
    const store::Settings& now = store_->settings();
    const store::SettingsChange& wanted = options_.settings;
    const auto differs = [](int64_t want, int64_t have) { return want != 0 && want != have; };
    const int64_t enforced = now.enforce_node_quotas ? 1 : -1;
    if (differs(wanted.memory_quota_bytes, now.memory_quota_bytes) || differs(wanted.enforce_node_quotas, enforced) ||
        differs(wanted.history_bytes, now.history_bytes) || differs(wanted.min_lease_ttl_ms, now.min_lease_ttl_ms)) {
      propose_upkeep(wanted);
    }
  });
}

void State::configuration(const raft::Configuration& configuration) {
  const bool was_learner = configuration_.is_learner(options_.self);
  configuration_ = configuration;
  note_number();
  if (configuration_.is_learner(options_.self) != was_learner) announce_view();
}

void State::tell_members() {
  members_ = applied_configuration_;
  announce_view();
}

void State::note_number() {
  if (const raft::Member* const me = configuration_.find(options_.self)) number_ = record_of(*me).number;
}

void State::check_ready() {
  if (!ready_ || standing_.leader == raft::kNobody) return;
  reads_.ask([this](Answer<raft::Index> answer) {
    if (!ready_) return;
    if (answer) return std::exchange(ready_, Task())();
    check_ready();
  });
}

void State::on_call(raft::NodeId from, peer::Call call, peer::Responder respond) {
  switch (static_cast<CallKind>(call.kind)) {
    case CallKind::RenewLeases: return leases_.answer_renewals(std::move(call), std::move(respond));
    case CallKind::LeaseTime: return leases_.answer_time(std::move(call), std::move(respond));
    case CallKind::Digest: return auditor_.answer_digest(std::move(call), std::move(respond));
    case CallKind::Rebuild:
      if (from != standing_.leader)
        return respond(encode_refusal(Error{Code::Refused, "only the leader may ask that"}));
      return auditor_.answer_rebuild(std::move(respond));
    default:
      logger_.warn("member {:x} asked something this version does not know (kind {})", from.value, call.kind);
      respond(encode_refusal(Error{Code::Invalid, "this member does not know that call"}));
  }
}

size_t State::pending() const {
  return waiters_.size() + (reads_.empty() ? 0 : 1) + leases_.pending() + long_work_.size() + copies_.size();
}

Status State::status() const {
  const store::Usage usage = store_->usage();
  const int64_t quota = store_->settings().memory_quota_bytes;
  return Status{.cluster_id = 0,
                .member_id = options_.self.value,
                .leader = standing_.leader.value,
                .term = standing_.term.value,
                .commit_index = (inbox_.empty() ? applied_ : inbox_.back().index).value,
                .applied_index = applied_.value,
                .revision = store_->revision(),
                .compacted = store_->compacted(),
                .is_learner = configuration_.is_learner(options_.self),
                .bytes_in_use = usage.data_bytes + usage.history_bytes,
                .bytes_allocated = std::max(usage.memory_bytes, usage.data_bytes + usage.history_bytes),
                .quota_bytes = std::max<int64_t>(quota, 0),
                .alarms = store_->alarms()};
}

Census State::census(bool with_sessions) const {
  const store::Usage usage = store_->usage();
  Census out;
  out.nodes = store_->node_count();
  out.data_bytes = usage.data_bytes;
  out.memory_bytes = usage.memory_bytes;
  out.sessions = usage.sessions;
  out.session_keys = usage.session_keys;
  for (const raft::Member& member : configuration_.members) {
    ++(configuration_.is_learner(member.id) ? out.learners : out.voters);
  }
  out.members = out.voters + out.learners;
  out.votes = configuration_.is_voter(options_.self);
  if (!with_sessions) return out;
  std::optional<store::LeaseId> after;
  for (auto some = store_->leases(after, 1000); !some.empty(); some = store_->leases(after, 1000)) {
    for (const store::LeaseInfo& lease : some) {
      if (lease.kind != store::LeaseKind::ZooKeeper) continue;
      out.list.push_back({.id = lease.id, .timeout_ms = lease.ttl_ms, .keys = store_->lease_keys(lease.id)});
    }
    after = some.back().id;
  }
  return out;
}

// ---- Stopping -----------------------------------------------------------------------------------

void State::stop() {
  stopped_ = true;
  for (PortId id = 0; id < outlets_.size(); ++id) deliver(id, Stopping{});
  while (const auto request = waiters_.oldest()) {
    const bool maybe = waiters_.find(*request)->maybe_appended;
    resolve(*request, maybe ? Outcome(Unknown{Unknown::Why::Stopping})
                            : Outcome(NotApplied{Refusal::Stopping, kStopping.message}));
  }
  reads_.stop();
  leases_.stop();
  auditor_.stop();
  snapshots_.abandon();
  flush();
}

}  // namespace witan::node
