#include "raft/core.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"

namespace witan::raft {
namespace {

bool agrees(const SnapshotMeta& snapshot, const std::vector<Entry>& entries) {
  // Without entries it is not known where the log on disk ends: it is told to go on after the snapshot.
  if (entries.empty()) return snapshot.index == Index(0);
  if (entries.front().index == snapshot.index + 1) return true;
  if (entries.back().index < snapshot.index) return false;
  return entries[snapshot.index - entries.front().index].term == snapshot.term;
}

Log make_log(Initial& initial) {
  const SnapshotMeta& snapshot = initial.snapshot;
  std::vector<Entry> entries = std::move(initial.entries);
  CHECK(initial.applied >= snapshot.index, "applied {} is older than the snapshot at {}", initial.applied,
        snapshot.index);
  if (entries.empty() || entries.front().index > snapshot.index) {
    return Log(snapshot.index, snapshot.term, std::move(entries), initial.applied);
  }
  // Entries from before the snapshot are kept for slow followers; the first of them only lends its term.
  const Entry base = entries.front();
  entries.erase(entries.begin());
  return Log(base.index, base.term, std::move(entries), initial.applied);
}

}  // namespace

Term term_of(const Message& message) {
  return std::visit([](const auto& m) { return m.term; }, message);
}

Raft::Core::Core(Options options, Initial initial, Instant now, Rng rng, Logger logger)
    : options_(options), rng_(rng), logger_(std::move(logger)), now_(now), term_(initial.hard_state.term),
      vote_(initial.hard_state.vote), log_([&] {
        if (!agrees(initial.snapshot, initial.entries)) {
          initial.entries.clear();
          reset_ = initial.snapshot;
        }
        return make_log(initial);
      }()) {
  configurations_.push_back({initial.snapshot.index, initial.snapshot.configuration});
  for (Index i = log_.base() + 1; i <= log_.last(); ++i) {
    if (i <= initial.snapshot.index || log_.at(i).kind != EntryKind::Membership) continue;
    Result<Configuration> configuration = decode_configuration(log_.at(i).data);
    CHECK(configuration.has_value(), "entry {} of the log: {}", i, configuration.error().message);
    configurations_.push_back({i, std::move(*configuration)});
  }
  quorum_ = Quorum(configuration());
  if (log_.last_term() > term_) {
    term_ = log_.last_term();
    vote_ = kNobody;
  }
  log_.commit_to(std::min(initial.hard_state.commit, log_.last()));
  saved_ = initial.hard_state;
  durable_term_ = saved_.term;
  durable_vote_ = saved_.vote;
  // Nobody else can lead when nobody else votes: a lone member need not wait.
  role_ = FollowerRole{
      .leader = kNobody, .heard = now, .deadline = quorum_.is_only(options_.id) ? now : election_deadline()};
}

Output Raft::Core::step(Instant now, Event event) {
  now_ = std::max(now_, now);
  std::visit([this](auto& one) { on(one); }, event);
  settle();
  return std::exchange(out_, Output{});
}

// What follows from the event, once a step: so a batch of acknowledgements or proposals costs one commit decision,
// one message a peer and one write.
void Raft::Core::settle() {
  if (leader() != nullptr) {
    advance_commit();
    finish_joint_change();
    unpark_reads();
    start_read_round();
    confirm_reads();
    replicate();
    forget_told_peers();
    leave_if_removed();
  }
  save();
  hand_out();
}

Instant Raft::Core::next_deadline() const {
  if (const LeaderRole* lead = leader()) {
    if (lead->peers.empty()) return Instant::never();
    const Instant next = std::min(lead->heartbeat_at, lead->check_at);
    return lead->transfer ? std::min(next, lead->transfer->deadline) : next;
  }
  if (!can_campaign()) return Instant::never();
  if (const auto* pre = std::get_if<PreCandidateRole>(&role_)) return pre->deadline;
  if (const auto* candidate = std::get_if<CandidateRole>(&role_)) return candidate->deadline;
  return std::get<FollowerRole>(role_).deadline;
}

Standing Raft::Core::standing() const {
  Standing standing{.term = term_};
  if (const LeaderRole* lead = leader()) {
    standing.role = Role::Leader;
    standing.leader = options_.id;
    standing.leading = log_.commit() >= lead->first;
  } else if (const auto* role = std::get_if<FollowerRole>(&role_)) {
    standing.leader = role->leader;
  } else {
    standing.role = std::holds_alternative<CandidateRole>(role_) ? Role::Candidate : Role::PreCandidate;
  }
  return standing;
}

void Raft::Core::on(const Wake&) {
  if (leader() == nullptr) {
    if (now_ >= next_deadline()) campaign_softly();
    return;
  }
  check_quorum();
  if (leader() != nullptr) heartbeat_on_timer();
}

void Raft::Core::on(Receive& event) {
  Envelope& envelope = event.envelope;
  const NodeId from = envelope.from;
  if (envelope.to != options_.id || from == options_.id || from == kNobody) {
    logger_.warn("dropped a message from {} to {}: it is not for this member", from, envelope.to);
    return;
  }
  const Term term = term_of(envelope.message);
  if (term < term_) return answer_old_term(from, envelope.message);
  if (term > term_ && !catch_up_with_term(from, envelope.message)) return;
  if (LeaderRole* lead = leader()) {
    if (Peer* peer = lead->find(from)) peer->heard = now_;
  }
  std::visit([&](auto& message) { on_message(from, message); }, envelope.message);
}

// The ticket's entries count as durable only as far as nothing cut them since: `durable` was lowered by every cut, so
// the completion of an overwritten write says nothing about what was written in its place.
void Raft::Core::on(const Persisted& event) {
  const auto done = std::ranges::find(in_flight_, event.ticket, &InFlight::ticket);
  if (done == in_flight_.end()) {
    logger_.warn("ticket {} of term {} is not under way", event.ticket.number, event.ticket.term);
    return;
  }
  durable_term_ = done->term;
  durable_vote_ = done->vote;
  log_.stable_to(planted(Bug::TicketWithoutTerm) ? std::min(event.ticket.last, log_.last()) : done->durable);
  in_flight_.erase(in_flight_.begin(), done + 1);
  log_.evict(options_.max_tail_bytes);
  if (auto* candidate = std::get_if<CandidateRole>(&role_); candidate != nullptr && hard_state_durable()) {
    candidate->votes.record(options_.id, true);
    count_votes();
  }
}

void Raft::Core::on(const Applied& event) {
  // A driver that has more than it was handed out got it with a snapshot; it says so again when the entries come.
  log_.applied_to(std::min(event.index, log_.delivered()));
  log_.evict(options_.max_tail_bytes);
}

void Raft::Core::on(const Compact& event) {
  // A driver that has a snapshot at an index has applied it, whether or not it said so yet.
  log_.applied_to(std::min(event.index, log_.delivered()));
  log_.compact(event.index);
}

void Raft::Core::save() {
  const bool vote_moved = term_ != saved_.term || vote_ != saved_.vote;
  const bool writes = vote_moved || log_.has_unsaved() || reset_.has_value();
  if (!writes && after_save_.empty()) return;
  Persist persist{.ticket = {.number = ++last_ticket_, .term = term_, .last = log_.last()}};
  // The hint never names an entry that is not on disk yet, in whatever order a crash leaves records behind.
  const HardState state{.term = term_, .vote = vote_, .commit = std::min(log_.commit(), log_.stable())};
  if (writes && state != saved_) {
    persist.hard_state = state;
    saved_ = state;
  }
  persist.reset = std::exchange(reset_, std::nullopt);
  Log::Unsaved unsaved = log_.take_unsaved();
  persist.cut_from = unsaved.cut_from;
  persist.entries = std::move(unsaved.entries);
  persist.then_send = std::exchange(after_save_, {});
  in_flight_.push_back({.ticket = persist.ticket, .durable = log_.last(), .term = term_, .vote = vote_});
  out_.persist = std::move(persist);
}

void Raft::Core::hand_out() {
  if (log_.has_committed()) out_.committed = log_.take_committed();
  while (configurations_.size() > 1 && configurations_[1].index <= log_.commit()) {
    configurations_.erase(configurations_.begin());
  }
  if (std::exchange(configuration_moved_, false)) out_.configuration = configuration();
  if (const Standing now = standing(); now != reported_) {
    reported_ = now;
    out_.standing = now;
  }
}

// ---- The public face ----------------------------------------------------------------------------

Raft::Raft(Options options, Initial initial, Instant now, Rng rng, Logger log)
    : core_(std::make_unique<Core>(options, std::move(initial), now, rng, std::move(log))) {}
Raft::~Raft() = default;
Raft::Raft(Raft&&) noexcept = default;
Raft& Raft::operator=(Raft&&) noexcept = default;

Output Raft::step(Instant now, Event event) { return core_->step(now, std::move(event)); }
Instant Raft::next_deadline() const { return core_->next_deadline(); }
Standing Raft::standing() const { return core_->standing(); }
HardState Raft::hard_state() const { return {core_->term_, core_->vote_, core_->log_.commit()}; }
const Configuration& Raft::configuration() const { return core_->configuration(); }
bool Raft::configuration_committed() const { return core_->configuration_committed(); }
const Configuration& Raft::committed_configuration() const { return core_->configurations_.front().configuration; }
Index Raft::first_index() const { return core_->log_.base() + 1; }
Index Raft::last_index() const { return core_->log_.last(); }
Index Raft::commit_index() const { return core_->log_.commit(); }
Index Raft::durable_index() const { return core_->log_.stable(); }
std::optional<Term> Raft::term_at(Index index) const { return core_->log_.term_at(index); }
std::string Raft::describe() const { return core_->describe(); }

std::vector<Progress> Raft::progress() const {
  std::vector<Progress> all;
  const LeaderRole* lead = core_->leader();
  if (lead == nullptr) return all;
  for (const Peer& peer : lead->peers) {
    if (peer.dropped_at) continue;
    all.push_back({.id = peer.id,
                   .match = peer.match,
                   .next = peer.next,
                   .recently_active = core_->now_ - peer.heard < core_->options_.election,
                   .snapshotting = peer.flow == Flow::Snapshot});
  }
  return all;
}

}  // namespace witan::raft
