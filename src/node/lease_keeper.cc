#include "node/lease_keeper.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/planted.h"
#include "node/halves.h"
#include "node/read_queue.h"

namespace witan::node {
namespace {

// A burst of expiries is worked off in helpings, so that it never delays a healthy client (core L7).
constexpr size_t kExpiriesAtOnce = 200;
constexpr Duration kBetweenHelpings = milliseconds(50);
constexpr size_t kCheckpointsAtOnce = 1000;
// An end that failed at apply would fail again for as long as an alarm is raised.
constexpr Duration kBetweenFailures = seconds(10);

NotApplied no_leader(const Error& error) {
  return NotApplied{error.code == Code::Unknown ? Refusal::Timeout : Refusal::NoLeader, error.message};
}

}  // namespace

LeaseKeeper::LeaseKeeper(env::Loop& loop, Duration election, Duration session_allowance, ReadQueue& reads,
                         Logger logger)
    : loop_(loop), election_(election), reads_(reads), logger_(std::move(logger)), lessor_(session_allowance) {}

LeaseKeeper::~LeaseKeeper() { loop_.cancel(timer_); }

// ---- Renewals -----------------------------------------------------------------------------------

void LeaseKeeper::renew(LeaseName lease, Function<void(Answer<LeaseRenewal>)> done) {
  queue(Renewal{lease, [done = std::move(done)](Answer<int64_t> ttl_ms) mutable {
                  if (!ttl_ms) return done(std::unexpected(std::move(ttl_ms.error())));
                  done(LeaseRenewal{*ttl_ms});
                }});
}

void LeaseKeeper::renew(std::vector<LeaseName> leases, Function<void(Answer<std::vector<int64_t>>)> done) {
  if (leases.empty()) return done(std::vector<int64_t>());
  struct Report {
    std::vector<int64_t> ttls;
    size_t missing;
    std::optional<NotApplied> failed;
    Function<void(Answer<std::vector<int64_t>>)> done;
  };
  auto report = std::make_shared<Report>(
      Report{std::vector<int64_t>(leases.size()), leases.size(), std::nullopt, std::move(done)});
  for (size_t i = 0; i < leases.size(); ++i) {
    queue(Renewal{leases[i], [report, i](Answer<int64_t> ttl_ms) {
                    if (ttl_ms) {
                      report->ttls[i] = *ttl_ms;
                    } else {
                      report->failed = std::move(ttl_ms.error());
                    }
                    if (--report->missing > 0) return;
                    if (report->failed) return report->done(std::unexpected(std::move(*report->failed)));
                    report->done(std::move(report->ttls));
                  }});
  }
}

void LeaseKeeper::queue(Renewal renewal) {
  if (stopped_) return renewal.done(std::unexpected(NotApplied{Refusal::Stopping, "the member is stopping"}));
  waiting_.push_back(std::move(renewal));
  if (std::exchange(flush_posted_, true)) return;
  loop_.post([this] { flush(); });
}

void LeaseKeeper::flush() {
  flush_posted_ = false;
  std::vector<Renewal> batch = std::exchange(waiting_, {});
  if (batch.empty()) return;
  if (lessor_.leading()) {
    renew_here(std::move(batch));
  } else {
    renew_there(std::move(batch));
  }
}

// Core L2: the confirmation begins after the renewals arrived, and the answer waits until the state has reached it.
void LeaseKeeper::renew_here(std::vector<Renewal> batch) {
  reads_.ask([this, batch = std::move(batch)](Answer<raft::Index> confirmed) mutable {
    for (Renewal& renewal : batch) {
      if (!confirmed) {
        renewal.done(std::unexpected(confirmed.error()));
      } else if (!lessor_.leading()) {
        renewal.done(std::unexpected(NotApplied{Refusal::NoLeader, "the leader changed"}));
      } else {
        decide(std::move(renewal));
      }
    }
    reset_checkpoints();
    rearm();
  });
}

void LeaseKeeper::decide(Renewal renewal) {
  const store::LeaseId id = renewal.lease.id;
  switch (lessor_.renew(loop_.now(), id, renewal.lease.kind)) {
    case Lessor::Renewal::Renewed: {
      const auto time = lessor_.time_of(loop_.now(), id, renewal.lease.kind);
      return renewal.done(time ? time->ttl_ms : 0);
    }
    case Lessor::Renewal::NotFound: return renewal.done(0);
    case Lessor::Renewal::NeedsReset:
      if (!undecided_.contains(id)) resets_.push_back(id);
      [[fallthrough]];
    case Lessor::Renewal::Closing: undecided_.emplace(id, std::move(renewal));
  }
}

void LeaseKeeper::reset_checkpoints() {
  if (resets_.empty()) return;
  std::vector<store::LeaseId> ids = std::exchange(resets_, {});
  store::LeaseCheckpoint reset;
  for (const store::LeaseId id : ids) reset.items.push_back({id, 0});
  agreement_->propose_in(term_, store::encode(store::Command{.header = {}, .body = std::move(reset)}),
                         [this, ids = std::move(ids)](raft::ProposeResult result) {
                           if (result) return;
                           logger_.warn("leases cannot be renewed: {}", result.error().message);
                           for (const store::LeaseId id : ids) give_up(id);
                         });
}

// Nothing that they wait for is on its way; whoever asks again sets it going again.
void LeaseKeeper::give_up(store::LeaseId id) {
  std::vector<Renewal> waited;
  const auto [begin, end] = undecided_.equal_range(id);
  for (auto it = begin; it != end; ++it) waited.push_back(std::move(it->second));
  undecided_.erase(begin, end);
  for (Renewal& renewal : waited) {
    renewal.done(std::unexpected(NotApplied{Refusal::NoLeader, "the leader could not log the renewal"}));
  }
}

void LeaseKeeper::renew_there(std::vector<Renewal> batch) {
  std::vector<LeaseName> names;
  names.reserve(batch.size());
  for (const Renewal& renewal : batch) names.push_back(renewal.lease);
  agreement_->call_leader(CallKind::RenewLeases, peer::Lane::Control, encode_renewals(names), election_ * 2,
                          [batch = std::move(batch)](Result<Blob> reply) mutable {
                            Result<std::vector<int64_t>> ttls =
                                reply ? decode_ttls(reply->view()) : std::unexpected(std::move(reply.error()));
                            if (ttls && ttls->size() != batch.size())
                              ttls = fail(Code::Corrupt, "the leader answered other renewals");
                            for (size_t i = 0; i < batch.size(); ++i) {
                              if (ttls) {
                                batch[i].done((*ttls)[i]);
                              } else {
                                batch[i].done(std::unexpected(no_leader(ttls.error())));
                              }
                            }
                          });
}

void LeaseKeeper::answer_renewals(peer::Call call, peer::Responder respond) {
  auto names = decode_renewals(call.payload.view());
  if (!names) return respond(encode_refusal(names.error()));
  if (!lessor_.leading()) return respond(encode_refusal(Error{Code::NotLeader, "the member asked does not lead"}));
  renew(std::move(*names), [respond = std::move(respond)](Answer<std::vector<int64_t>> ttls) mutable {
    respond(ttls ? encode_ttls(*ttls) : encode_refusal(Error{Code::NotLeader, "leadership was not confirmed"}));
  });
}

// ---- Remaining time -----------------------------------------------------------------------------

void LeaseKeeper::time(LeaseName lease, Function<void(Answer<LeaseTime>)> done) {
  if (lessor_.leading()) return time_here(lease, std::move(done));
  agreement_->call_leader(CallKind::LeaseTime, peer::Lane::Control, encode_renewals({lease}), election_ * 2,
                          [done = std::move(done)](Result<Blob> reply) mutable {
                            Result<LeaseTime> time =
                                reply ? decode_lease_time(reply->view()) : std::unexpected(std::move(reply.error()));
                            if (!time) return done(std::unexpected(no_leader(time.error())));
                            done(std::move(*time));
                          });
}

void LeaseKeeper::time_here(LeaseName lease, Function<void(Answer<LeaseTime>)> done) {
  reads_.ask([this, lease, done = std::move(done)](Answer<raft::Index> confirmed) mutable {
    if (!confirmed) return done(std::unexpected(std::move(confirmed.error())));
    if (!lessor_.leading()) return done(std::unexpected(NotApplied{Refusal::NoLeader, "the leader changed"}));
    const auto time = lessor_.time_of(loop_.now(), lease.id, lease.kind);
    if (!time) return done(LeaseTime{});
    done(LeaseTime{.found = true, .granted_ms = time->ttl_ms, .remaining_ms = time->remaining_ms, .keys = {}});
  });
}

void LeaseKeeper::answer_time(peer::Call call, peer::Responder respond) {
  const auto names = decode_renewals(call.payload.view());
  if (!names || names->size() != 1) {
    return respond(encode_refusal(Error{Code::Invalid, "exactly one lease is asked for at a time"}));
  }
  if (!lessor_.leading()) return respond(encode_refusal(Error{Code::NotLeader, "the member asked does not lead"}));
  time_here((*names)[0], [respond = std::move(respond)](Answer<LeaseTime> time) mutable {
    respond(time ? encode_lease_time(*time) : encode_refusal(Error{Code::NotLeader, time.error().message}));
  });
}

// ---- Leading ------------------------------------------------------------------------------------

void LeaseKeeper::lead(raft::Term term, const store::Store& store) {
  term_ = term;
  std::vector<Lessor::Known> known;
  std::optional<store::LeaseId> after;
  for (;;) {
    const std::vector<store::LeaseInfo> some = store.leases(after, 1000);
    if (some.empty()) break;
    for (const store::LeaseInfo& lease : some)
      known.push_back({lease.id, lease.kind, lease.ttl_ms, lease.remaining_ms, lease.generation});
    after = some.back().id;
  }
  lessor_.lead(loop_.now(), election_, known);
  rearm();
}

void LeaseKeeper::follow() {
  if (!planted(Bug::LeaseRevokedByDeposedLeader)) lessor_.follow();
  resets_.clear();
  for (auto& [id, renewal] : std::exchange(undecided_, {})) {
    renewal.done(std::unexpected(NotApplied{Refusal::NoLeader, "the leader changed"}));
  }
}

void LeaseKeeper::granted(const store::LeaseInfo& lease) {
  lessor_.granted(loop_.now(), {lease.id, lease.kind, lease.ttl_ms, 0, lease.generation});
  decide_again(lease.id);
  rearm();
}

void LeaseKeeper::ended(store::LeaseId id) {
  lessor_.ended(id);
  const auto [begin, end] = undecided_.equal_range(id);
  for (auto it = begin; it != end; ++it) it->second.done(0);
  undecided_.erase(begin, end);
}

// The alarm that stood in its way may go again, and nobody else would ever end it.
void LeaseKeeper::end_failed(const store::LeaseRevoke& end, raft::Term term) {
  if (!lessor_.leading() || term != term_) return;
  lessor_.not_ended(end, loop_.now() + kBetweenFailures);
  decide_again(end.id);
  rearm();
}

void LeaseKeeper::checkpointed(store::LeaseId id, int64_t remaining_ms) {
  lessor_.checkpointed(id, remaining_ms);
  if (remaining_ms == 0) decide_again(id);
}

void LeaseKeeper::decide_again(store::LeaseId id) {
  std::vector<Renewal> again;
  const auto [begin, end] = undecided_.equal_range(id);
  for (auto it = begin; it != end; ++it) again.push_back(std::move(it->second));
  undecided_.erase(begin, end);
  for (Renewal& renewal : again) decide(std::move(renewal));
  reset_checkpoints();
}

void LeaseKeeper::rearm() {
  if (!lessor_.leading() || timer_ != 0) return;
  const Instant next = lessor_.next_deadline();
  if (next == Instant::never()) return;
  // Deadlines move with every renewal; a fixed rhythm costs less than following them.
  timer_ = loop_.call_at(std::max(loop_.now() + kBetweenHelpings, std::min(next, loop_.now() + seconds(1))), [this] {
    timer_ = 0;
    wake();
  });
}

void LeaseKeeper::wake() {
  if (!lessor_.leading()) return;
  const Instant now = loop_.now();
  for (const store::LeaseRevoke& end : lessor_.take_expired(now, kExpiriesAtOnce)) propose_end(end);
  auto items = lessor_.take_checkpoints(now, kCheckpointsAtOnce);
  if (!items.empty()) {
    agreement_->propose_in(
        term_, store::encode(store::Command{.header = {}, .body = store::LeaseCheckpoint{std::move(items)}}),
        [](raft::ProposeResult) {});  // a lost checkpoint is made up for by the next
  }
  rearm();
}

void LeaseKeeper::propose_end(const store::LeaseRevoke& end) {
  Blob command = store::encode(store::Command{.header = {}, .body = end});
  if (planted(Bug::LeaseRevokedByDeposedLeader)) return agreement_->propose({Proposal{0, std::move(command)}});
  agreement_->propose_in(term_, std::move(command), [this, end](raft::ProposeResult result) {
    if (result) return;
    lessor_.not_ended(end, loop_.now());
    decide_again(end.id);
    rearm();  // its deadline is over already and may be the only one
  });
}

void LeaseKeeper::stop() {
  stopped_ = true;
  for (Renewal& renewal : std::exchange(waiting_, {})) {
    renewal.done(std::unexpected(NotApplied{Refusal::Stopping, "the member is stopping"}));
  }
  follow();
  loop_.cancel(std::exchange(timer_, 0));
}

}  // namespace witan::node
