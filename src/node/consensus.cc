#include "node/consensus.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"

namespace witan::node {

Consensus::Consensus(ConsensusOptions options, raft::Initial initial, env::Loop& loop, LogWriter& log,
                     SnapshotPort& snapshots, Applier& applier, Rng rng, Logger logger)
    : options_(std::move(options)), loop_(loop), log_(log), snapshots_(snapshots), applier_(applier), logger_(logger),
      raft_(options_.raft, std::move(initial), loop.now(), std::move(rng), logger.named("raft")) {
  log_.on_durable([this](raft::Persist done) {
    for (raft::Envelope& envelope : done.then_send) peers_->send(std::move(envelope));
    stalled_ = false;
    feed(raft::Persisted{done.ticket});
    settle_durable();
  });
  log_.on_failure([this](Error error) {
    feed(raft::StepDown{"the log cannot be written"});
    applier_.fatal(std::move(error));
  });
}

Consensus::~Consensus() {
  loop_.cancel(timer_);
  loop_.cancel(publish_timer_);
  if (transfer_) loop_.cancel(transfer_->timeout);
}

void Consensus::start() {
  started_ = true;
  on_configuration(raft_.configuration());
  feed(raft::Wake{});
}

// ---- Driving raft -------------------------------------------------------------------------------

void Consensus::feed(raft::Event event, Function<void(raft::ProposeResult)> proposed) {
  jobs_.push_back(Job{std::move(event), std::move(proposed)});
  // An output's consequences may feed again; the outer call takes them in turn, so step() is never re-entered.
  if (!driving_) drive();
}

void Consensus::drive() {
  driving_ = true;
  while (!jobs_.empty()) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    handle(raft_.step(loop_.now(), std::move(job.event)), job.proposed);
  }
  driving_ = false;
  rearm();
}

void Consensus::handle(raft::Output output, Function<void(raft::ProposeResult)>& proposed) {
  if (output.proposed && proposed) proposed(std::move(*output.proposed));
  if (output.standing) on_standing(*output.standing);
  if (output.configuration) on_configuration(*output.configuration);
  if (output.transfer_refused) on_transfer_refused(std::move(*output.transfer_refused));
  for (raft::Envelope& envelope : output.messages) peers_->send(std::move(envelope));
  if (output.install) applier_.install(std::move(*output.install));
  if (output.persist) persist(std::move(*output.persist));
  for (const raft::Fetch& wanted : output.fetches) fetch(wanted);
  for (const raft::NodeId to : output.send_snapshot) {
    snapshots_.send_newest(to, standing_.term, [this, to](bool delivered) { feed(raft::SnapshotSent{to, delivered}); });
  }
  if (!output.committed.empty()) applier_.committed(std::move(output.committed));
  for (const raft::ReadReady& ready : output.reads) {
    if (auto node = reads_.extract(ready.id)) node.mapped()(ready.index);
  }
  for (const uint64_t id : output.reads_failed) {
    if (auto node = reads_.extract(id)) node.mapped()(fail(Code::NotLeader, "leadership was not confirmed"));
  }
}

void Consensus::persist(raft::Persist persist) { log_.write(std::move(persist)); }

void Consensus::fetch(const raft::Fetch& wanted) {
  log_.read(wanted.from, wanted.to, wanted.max_bytes, [this, peer = wanted.peer](std::vector<raft::Entry> entries) {
    feed(raft::Fetched{peer, std::move(entries)});
  });
}

void Consensus::rearm() {
  if (!started_) return;
  const Instant next = raft_.next_deadline();
  if (timer_ != 0 && next == armed_for_) return;
  // A deadline that moved later need not be rearmed: an early Wake does nothing, and heartbeats would rearm thousands
  // of times a second otherwise.
  if (timer_ != 0 && next > armed_for_ && armed_for_ > loop_.now()) return;
  loop_.cancel(timer_);
  armed_for_ = next;
  timer_ = loop_.call_at(next, [this] {
    timer_ = 0;
    watch_disk();
    feed(raft::Wake{});
  });
}

// Rule 8 of the architecture: a leader whose disk hangs gives the lead to a member whose disk does not.
void Consensus::watch_disk() {
  const auto since = log_.busy_since();
  if (!since || stalled_ || loop_.now() - *since < options_.raft.election) return;
  stalled_ = true;
  logger_.warn("the disk of the log has not answered for {} ms{}",
               std::chrono::duration_cast<milliseconds>(loop_.now() - *since).count(),
               standing_.role == raft::Role::Leader ? "; stepping down" : "");
  if (standing_.role == raft::Role::Leader && raft_.configuration().members.size() > 1) {
    feed(raft::StepDown{"the disk of the log is stalled"});
  }
}

void Consensus::on_standing(const raft::Standing& standing) {
  const raft::Standing before = std::exchange(standing_, standing);
  if (before.leader != standing.leader || before.term != standing.term) {
    ++disorders_;
    if (standing.leader == options_.raft.id) {
      logger_.info("leads in term {}", standing.term);
    } else if (standing.leader != raft::kNobody) {
      logger_.info("follows {:x} in term {}", standing.leader.value, standing.term);
    }
  }
  if (before.role != raft::Role::Leader && standing.role == raft::Role::Leader) {
    leads_since_ = loop_.now();
    leading_ = {};
  }
  if (before.role == raft::Role::Leader && standing.role != raft::Role::Leader) {
    for (PendingChange& change : std::exchange(changes_, {})) {
      change.done(fail(Code::Unknown, "the leader changed while the members were being changed"));
    }
    if (on_retired_) std::exchange(on_retired_, Task())();
  }
  if (transfer_ && standing.leader == transfer_->to) settle_transfer({});
  if (options_.witness != nullptr) options_.witness->standing(standing);
  applier_.standing(standing);
}

void Consensus::on_configuration(const raft::Configuration& configuration) {
  tell_peers();
  if (options_.witness != nullptr) options_.witness->configuration(configuration);
  applier_.configuration(configuration);
}

// Who is kept out is what a committed configuration says. A removal that stands in this member's log alone may never
// come to be, and then the one it removes may lead and must get through to take it back
// (scenario ARemovalThatWasNeverCommittedKeepsNobodyOut).
void Consensus::tell_peers() {
  peers_await_commit_ = !raft_.configuration_committed();
  // A joiner has no configuration until a member it was told of sends it one.
  const raft::Configuration& in_force = raft_.configuration();
  peers_->set_members(in_force.members.empty() ? options_.known_peers : peer_records(in_force),
                      raft_.committed_configuration().removed);
}

// ---- Proposals ----------------------------------------------------------------------------------

void Consensus::refuse(std::vector<Proposal> proposals, Error why) {
  ++disorders_;
  applier_.refused(std::move(proposals), std::move(why));
}

void Consensus::lose(std::vector<uint64_t> requests) {
  ++disorders_;
  applier_.lost(std::move(requests));
}

// Takes out of `batch` what may no longer go (Proposal::order).
void Consensus::drop_overtaken(std::vector<Proposal>& batch) {
  std::vector<uint64_t> overtaken;
  std::erase_if(batch, [&](const Proposal& proposal) {
    const bool late = proposal.order != 0 && proposal.order != disorders_ + 1;
    if (late) overtaken.push_back(proposal.request);
    return late;
  });
  if (!overtaken.empty()) applier_.overtaken(std::move(overtaken));
}

void Consensus::propose(std::vector<Proposal> proposals) {
  waiting_.insert(waiting_.end(), std::make_move_iterator(proposals.begin()), std::make_move_iterator(proposals.end()));
  if (std::exchange(flush_posted_, true)) return;
  loop_.post([this] { flush(); });
}

void Consensus::flush() {
  flush_posted_ = false;
  if (waiting_.empty()) return;
  std::vector<Proposal> batch = std::exchange(waiting_, {});
  waiting_.reserve(batch.size());
  drop_overtaken(batch);
  if (batch.empty()) return;
  if (standing_.role == raft::Role::Leader) {
    append_here(std::move(batch));
  } else if (standing_.leader != raft::kNobody) {
    forward(std::move(batch));
  } else {
    refuse(std::move(batch), Error{Code::NotLeader, "there is no leader now"});
  }
}

Result<WallTime> Consensus::next_stamp() const {
  const WallTime now = loop_.wall();
  const int64_t lag_ms = largest_stamp_.ms - now.ms;
  if (milliseconds(lag_ms) > options_.max_clock_lag) {
    return fail(
        Code::Refused,
        fmt::format("this leader's clock is {} s behind the newest entry's; set it right (core C4)", lag_ms / 1000));
  }
  return now;
}

void Consensus::append_here(std::vector<Proposal> batch) {
  const auto stamp = next_stamp();
  if (!stamp) {
    logger_.error("{}", stamp.error().message);
    feed(raft::StepDown{stamp.error().message});
    return refuse(std::move(batch), stamp.error());
  }
  raft::Propose propose;
  propose.commands.reserve(batch.size());
  for (Proposal& proposal : batch) {
    store::set_stamp(proposal.command, *stamp);
    propose.commands.push_back(proposal.command);
    const auto bytes = static_cast<int64_t>(proposal.command.size());
    leading_.last_proposal = bytes;
    leading_.min_proposal = leading_.min_proposal < 0 ? bytes : std::min(leading_.min_proposal, bytes);
    leading_.max_proposal = std::max(leading_.max_proposal, bytes);
  }
  feed(std::move(propose), [this, batch = std::move(batch)](raft::ProposeResult result) mutable {
    if (!result) return refuse(std::move(batch), std::move(result.error()));
    std::vector<uint64_t> requests;
    requests.reserve(batch.size());
    for (const Proposal& proposal : batch) requests.push_back(proposal.request);
    applier_.accepted(std::move(requests), *result);
  });
}

void Consensus::propose_in(raft::Term term, Blob command, Function<void(raft::ProposeResult)> done) {
  const auto stamp = next_stamp();
  if (!stamp) return done(std::unexpected(stamp.error()));
  store::set_stamp(command, *stamp);
  raft::Propose propose;
  propose.commands.push_back(std::move(command));
  propose.only_in = term;
  feed(std::move(propose), std::move(done));
}

void Consensus::forward(std::vector<Proposal> batch) {
  // Pieces of a bounded size keep one slow batch from blocking others and a frame below its limit.
  constexpr size_t kPieceBytes = size_t{1} << 20;
  while (!batch.empty()) {
    size_t n = 0;
    size_t bytes = 0;
    std::vector<Blob> commands;
    while (n < batch.size() && (n == 0 || bytes + batch[n].command.size() <= kPieceBytes)) {
      bytes += batch[n].command.size();
      commands.push_back(batch[n++].command);
    }
    std::vector<Proposal> piece(std::make_move_iterator(batch.begin()),
                                std::make_move_iterator(batch.begin() + static_cast<ptrdiff_t>(n)));
    batch.erase(batch.begin(), batch.begin() + static_cast<ptrdiff_t>(n));
    peers_->call(standing_.leader,
                 {static_cast<uint8_t>(CallKind::Forward), peer::Lane::Bulk, encode_forward(standing_.term, commands)},
                 options_.raft.election * 2, [this, piece = std::move(piece)](peer::CallResult result) mutable {
                   on_forwarded(std::move(piece), std::move(result));
                 });
  }
}

void Consensus::on_forwarded(std::vector<Proposal> batch, peer::CallResult result) {
  std::vector<uint64_t> requests;
  for (const Proposal& proposal : batch) requests.push_back(proposal.request);
  if (!result) {
    if (result.error().sent && planted(Bug::DuplicateForward)) {
      loop_.call_at(loop_.now() + options_.raft.heartbeat,
                    [this, batch = std::move(batch)]() mutable { propose(std::move(batch)); });
      return;
    }
    if (result.error().sent) return lose(std::move(requests));
    return refuse(std::move(batch), Error{Code::NotLeader, std::move(result.error().message)});
  }
  auto accepted = decode_accepted(result->view());
  if (accepted) return applier_.accepted(std::move(requests), *accepted);
  if (accepted.error().code == Code::Corrupt) return lose(std::move(requests));
  refuse(std::move(batch), std::move(accepted.error()));
}

void Consensus::answer_forward(peer::Call call, peer::Responder respond) {
  auto forwarded = decode_forward(call.payload.view());
  if (!forwarded) return respond(encode_refusal(forwarded.error()));
  std::vector<Blob>* const commands = &forwarded->commands;
  if (standing_.role != raft::Role::Leader) {
    return respond(encode_refusal(Error{Code::NotLeader, "the member asked does not lead"}));
  }
  const auto stamp = next_stamp();
  if (!stamp) return respond(encode_refusal(stamp.error()));
  for (Blob& command : *commands) {
    if (const auto origin = store::origin_of(command.view()); !origin) return respond(encode_refusal(origin.error()));
    store::set_stamp(command, *stamp);
  }
  // Sent in an earlier term it may overtake what was sent after it became known to have ended (core L5).
  feed(raft::Propose{.commands = std::move(*commands), .only_in = forwarded->term},
       [respond = std::move(respond)](raft::ProposeResult result) mutable {
         respond(result ? encode_accepted(*result) : encode_refusal(result.error()));
       });
}

// ---- Reads --------------------------------------------------------------------------------------

void Consensus::confirm_leadership(Function<void(Result<raft::Index>)> done) {
  if (standing_.role != raft::Role::Leader) return done(fail(Code::NotLeader, "this member does not lead"));
  const uint64_t id = ++next_read_;
  reads_.emplace(id, std::move(done));
  feed(raft::ReadIndex{id});
}

void Consensus::read_index(Function<void(Result<raft::Index>)> done) {
  if (standing_.role == raft::Role::Leader) return confirm_leadership(std::move(done));
  call_leader(CallKind::ReadIndex, peer::Lane::Control, Blob(""), options_.raft.election,
              [done = std::move(done)](Result<Blob> reply) mutable {
                if (!reply) return done(std::unexpected(std::move(reply.error())));
                done(decode_index(reply->view()));
              });
}

void Consensus::call_leader(CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                            Function<void(Result<Blob>)> done) {
  if (standing_.leader == raft::kNobody || standing_.leader == options_.raft.id) {
    return done(fail(Code::NotLeader, "there is no leader now"));
  }
  call(standing_.leader, kind, lane, std::move(payload), timeout, std::move(done));
}

void Consensus::call(raft::NodeId to, CallKind kind, peer::Lane lane, Blob payload, Duration timeout,
                     Function<void(Result<Blob>)> done) {
  peers_->call(to, {static_cast<uint8_t>(kind), lane, std::move(payload)}, timeout,
               [done = std::move(done)](peer::CallResult result) mutable {
                 if (result) return done(std::move(*result));
                 done(fail(result.error().sent ? Code::Unknown : Code::NotLeader, std::move(result.error().message)));
               });
}

void Consensus::describe_leading(Function<void(std::optional<Census::Leading>)> done) {
  if (standing_.role != raft::Role::Leader) return done(std::nullopt);
  Census::Leading out = leading_;
  out.since = loop_.now() - leads_since_;
  for (const raft::Progress& peer : raft_.progress()) {
    if (peer.id == options_.raft.id || !peer.recently_active) continue;
    if (raft_.configuration().is_learner(peer.id)) {
      out.synced_learners += peer.snapshotting ? 0 : 1;
      continue;
    }
    ++out.followers;
    out.synced_followers += peer.snapshotting ? 0 : 1;
  }
  done(out);
}

// ---- Members ------------------------------------------------------------------------------------

void Consensus::change_members(MemberChange change, Function<void(Result<ChangeResult>)> done) {
  if (standing_.role == raft::Role::Leader) return change_as_leader(change, std::move(done));
  call_leader(CallKind::ChangeMembers, peer::Lane::Control, encode_change(change), options_.raft.election * 5,
              [done = std::move(done)](Result<Blob> reply) mutable {
                if (!reply) return done(std::unexpected(std::move(reply.error())));
                done(decode_change_result(reply->view()));
              });
}

void Consensus::change_as_leader(const MemberChange& change, Function<void(Result<ChangeResult>)> done) {
  const ChangeContext context{.now = loop_.wall(),
                              .token = options_.token,
                              .progress = raft_.progress(),
                              .self = options_.raft.id,
                              .last_index = raft_.last_index(),
                              .max_learners = options_.max_learners,
                              .reachable = options_.reachable};
  auto planned = plan_change(raft_.configuration(), change, context);
  if (!planned) return done(ChangeResult(std::unexpected(planned.error())));
  propose_configuration(std::move(planned->target), planned->subject, std::move(done));
}

void Consensus::propose_configuration(raft::Configuration target, raft::NodeId subject,
                                      Function<void(Result<ChangeResult>)> done) {
  feed(raft::ProposeMembership{.target = std::move(target), .only_in = standing_.term},
       [this, subject, done = std::move(done)](raft::ProposeResult result) mutable {
         if (!result) {
           if (result.error().code == Code::Refused) {
             return done(ChangeResult(std::unexpected(MemberFailure::ChangeInProgress)));
           }
           return done(std::unexpected(std::move(result.error())));
         }
         changes_.push_back(PendingChange{result->last, result->term, subject, std::move(done)});
       });
}

// A change is over when its entry is applied here and no joint configuration is left (thesis 4.3).
void Consensus::settle_changes() {
  if (changes_.empty() || !raft_.configuration_committed() || raft_.configuration().joint) return;
  std::vector<PendingChange> done;
  std::erase_if(changes_, [&](PendingChange& change) {
    if (change.index > applied_) return false;
    done.push_back(std::move(change));
    return true;
  });
  for (PendingChange& change : done) {
    change.done(ChangeResult(MembersChanged{.members = list_members(raft_.configuration()),
                                            .version = raft_.configuration().version,
                                            .changed = raft_.configuration().changed,
                                            .subject = change.subject.value,
                                            .term = change.term.value}));
  }
}

void Consensus::publish(MemberRecord self, Task done) {
  published_ = std::move(self);
  on_published_ = std::move(done);
  publish_again();
}

void Consensus::publish_again() {
  if (!published_) return;
  const raft::Member* me = raft_.configuration().find(options_.raft.id);
  if (me != nullptr && raft_.configuration_committed()) {
    const MemberRecord record = record_of(*me);
    if (record.name == published_->name && record.client_urls == published_->client_urls &&
        record.zookeeper == published_->zookeeper && record.directory_uuid == published_->directory_uuid) {
      published_.reset();
      if (on_published_) std::exchange(on_published_, Task())();
      return;
    }
  }
  loop_.cancel(publish_timer_);
  // Often: changes of the membership go one at a time, and several members publish at once when a cluster starts.
  publish_timer_ = loop_.call_at(loop_.now() + milliseconds(50), [this] { publish_again(); });
  if (standing_.leading && standing_.leader == options_.raft.id) {
    record_member(options_.raft.id, *published_, [](Result<>) {});
  } else if (standing_.role != raft::Role::Leader) {
    call_leader(CallKind::Publish, peer::Lane::Control, encode(*published_), options_.raft.election,
                [](Result<Blob>) {});
  }
}

// The leader writes what a member says of itself into the membership. A directory that differs from the one on record
// is a wiped member that forgot its vote: refused until it is removed and added again (core M1).
void Consensus::record_member(raft::NodeId id, const MemberRecord& published, Function<void(Result<>)> done) {
  raft::Configuration target = raft_.configuration();
  const auto member = std::ranges::find(target.members, id, &raft::Member::id);
  if (member == target.members.end()) return done(fail(Code::NotFound, "not a member"));
  MemberRecord record = record_of(*member);
  if (!record.directory_uuid.empty() && record.directory_uuid != published.directory_uuid) {
    return done(
        fail(Code::Refused,
             fmt::format("member {:x} is known with another data directory; remove it and add it again", id.value)));
  }
  record.name = published.name;
  record.client_urls = published.client_urls;
  record.zookeeper = published.zookeeper;
  record.directory_uuid = published.directory_uuid;
  member->info = encode(record);
  if (target == raft_.configuration()) return done({});
  ++target.version;
  target.changed = loop_.wall();
  feed(raft::ProposeMembership{.target = std::move(target), .only_in = standing_.term},
       [done = std::move(done)](raft::ProposeResult result) mutable {
         if (!result) return done(std::unexpected(std::move(result.error())));
         done({});
       });
}

void Consensus::answer_change(peer::Call call, peer::Responder respond) {
  const auto change = decode_change(call.payload.view());
  if (!change) return respond(encode_refusal(change.error()));
  if (standing_.role != raft::Role::Leader) {
    return respond(encode_refusal(Error{Code::NotLeader, "the member asked does not lead"}));
  }
  change_as_leader(*change, [respond = std::move(respond)](Result<ChangeResult> result) mutable {
    respond(result ? encode_change_result(*result) : encode_refusal(result.error()));
  });
}

// Any member tells a joiner what it knows; whoever was added is in the newest configuration.
void Consensus::answer_members(peer::Responder respond) {
  respond(encode_members(MembersAnswer{
      .cluster_id = options_.cluster_id, .token = options_.token, .members = list_members(raft_.configuration())}));
}

void Consensus::answer_publish(raft::NodeId from, peer::Call call, peer::Responder respond) {
  const auto record = decode_member(call.payload.view());
  if (!record) return respond(encode_refusal(record.error()));
  if (!standing_.leading) return respond(encode_refusal(Error{Code::NotLeader, "the member asked does not lead yet"}));
  record_member(from, *record, [respond = std::move(respond)](Result<> result) mutable {
    respond(result ? Blob("") : encode_refusal(result.error()));
  });
}

void Consensus::transfer_leadership(raft::NodeId to, Function<void(Result<>)> done) {
  if (standing_.role != raft::Role::Leader) return done(fail(Code::NotLeader, "this member does not lead"));
  if (to == options_.raft.id) return done({});
  if (!raft_.configuration().is_voter(to)) return done(fail(Code::Invalid, "the target is not a voting member"));
  if (transfer_) return done(fail(Code::Refused, "another transfer of leadership is under way"));
  transfer_ = PendingTransfer{.to = to, .timeout = 0, .done = std::move(done)};
  transfer_->timeout = loop_.call_at(loop_.now() + options_.raft.election * 2, [this] {
    settle_transfer(fail(Code::Timeout, "the target did not take over in time"));
  });
  feed(raft::TransferLeadership{to});
}

void Consensus::on_transfer_refused(Error why) {
  if (transfer_) return settle_transfer(std::unexpected(std::move(why)));
  if (on_retired_) std::exchange(on_retired_, Task())();
}

void Consensus::settle_transfer(Result<> result) {
  if (!transfer_) return;
  PendingTransfer transfer = std::move(*transfer_);
  transfer_.reset();
  loop_.cancel(transfer.timeout);
  transfer.done(std::move(result));
}

void Consensus::retire(Duration patience, Task done) {
  size_t voters = 0;
  for (const raft::Member& m : raft_.configuration().members) voters += raft_.configuration().is_voter(m.id) ? 1 : 0;
  if (standing_.role != raft::Role::Leader || voters < 2) return loop_.post(std::move(done));
  on_retired_ = std::move(done);
  feed(raft::TransferLeadership{raft::kNobody});
  loop_.call_at(loop_.now() + patience, [this] {
    if (on_retired_) std::exchange(on_retired_, Task())();
  });
}

// ---- What the state and the peers say -----------------------------------------------------------

void Consensus::applied(raft::Index index, WallTime stamp) {
  applied_ = index;
  largest_stamp_ = std::max(largest_stamp_, stamp);
  settle_changes();
  if (peers_await_commit_ && raft_.configuration_committed()) tell_peers();
  feed(raft::Applied{index});
}

void Consensus::when_durable(raft::Index index, Task done) {
  until_durable_.emplace(index, std::move(done));
  settle_durable();
}

void Consensus::settle_durable() {
  while (!until_durable_.empty() && until_durable_.begin()->first <= raft_.durable_index()) {
    auto due = until_durable_.extract(until_durable_.begin());
    due.mapped()();
  }
}

void Consensus::read_log(raft::Index from, raft::Index to, size_t max_bytes,
                         Function<void(std::vector<raft::Entry>)> done) {
  log_.read(from, to, max_bytes, std::move(done));
}

void Consensus::compact(raft::Index index) {
  if (const auto needed = snapshots_.needed_after()) index = std::min(index, *needed);
  feed(raft::Compact{index});
  log_.compact(index);
}

void Consensus::snapshot_received(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta) {
  feed(raft::SnapshotReceived{from, term, std::move(meta)});
}

void Consensus::on_message(raft::Envelope envelope) { feed(raft::Receive{std::move(envelope)}); }

void Consensus::on_unreachable(raft::NodeId to) { feed(raft::Unreachable{to}); }

void Consensus::on_call(raft::NodeId from, peer::Call call, peer::Responder respond) {
  const auto kind = static_cast<CallKind>(call.kind);
  if (from == raft::kNobody && kind != CallKind::AskMembers) {
    return respond(encode_refusal(Error{Code::Refused, "only members may ask that"}));
  }
  switch (kind) {
    case CallKind::Forward: return answer_forward(std::move(call), std::move(respond));
    case CallKind::ChangeMembers: return answer_change(std::move(call), std::move(respond));
    case CallKind::Publish: return answer_publish(from, std::move(call), std::move(respond));
    case CallKind::AskMembers: return answer_members(std::move(respond));
    case CallKind::ReadIndex:
      return confirm_leadership([respond = std::move(respond)](Result<raft::Index> index) mutable {
        respond(index ? encode_index(*index) : encode_refusal(index.error()));
      });
    default: return applier_.on_call(from, std::move(call), std::move(respond));
  }
}

std::unique_ptr<peer::SnapshotSink> Consensus::on_snapshot(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                                           uint64_t size) {
  return snapshots_.receive(from, term, std::move(meta), size);
}

}  // namespace witan::node
