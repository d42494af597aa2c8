#include "node/lease_keeper.h"

#include <algorithm>
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

NotApplied no_leader(const Error& error) {
  return NotApplied{error.code == Code::Unknown ? Refusal::Timeout : Refusal::NoLeader, error.message};
}

}  // namespace

LeaseKeeper::LeaseKeeper(env::Loop& loop, Duration election, ReadQueue& reads, Logger logger)
    : loop_(loop), election_(election), reads_(reads), logger_(std::move(logger)) {}

LeaseKeeper::~LeaseKeeper() { loop_.cancel(timer_); }

// ---- Renewals -----------------------------------------------------------------------------------

void LeaseKeeper::renew(LeaseName lease, Function<void(Answer<LeaseRenewal>)> done) {
  queue(Renewal{lease, [done = std::move(done)](Answer<int64_t> ttl_ms) mutable {
                  if (!ttl_ms) return done(std::unexpected(std::move(ttl_ms.error())));
                  done(LeaseRenewal{*ttl_ms});
                }});
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
  store::LeaseCheckpoint reset;
  for (const store::LeaseId id : std::exchange(resets_, {})) reset.items.push_back({id, 0});
  agreement_->propose_in(term_, store::encode(store::Command{.header = {}, .body = std::move(reset)}),
                         [this](raft::ProposeResult result) {
                           if (!result) logger_.warn("renewals wait: {}", result.error().message);
                         });
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
  const auto names = decode_renewals(call.payload.view());
  if (!names) return respond(encode_refusal(names.error()));
  if (!lessor_.leading()) return respond(encode_refusal(Error{Code::NotLeader, "the member asked does not lead"}));
  if (names->empty()) return respond(encode_ttls({}));
  struct Report {
    std::vector<int64_t> ttls;
    size_t missing;
    peer::Responder respond;
    bool failed = false;
  };
  auto report =
      std::make_shared<Report>(Report{std::vector<int64_t>(names->size()), names->size(), std::move(respond)});
  for (size_t i = 0; i < names->size(); ++i) {
    queue(Renewal{(*names)[i], [report, i](Answer<int64_t> ttl_ms) {
                    if (ttl_ms) {
                      report->ttls[i] = *ttl_ms;
                    } else {
                      report->failed = true;
                    }
                    if (--report->missing > 0) return;
                    report->respond(report->failed
                                        ? encode_refusal(Error{Code::NotLeader, "leadership was not confirmed"})
                                        : encode_ttls(report->ttls));
                  }});
  }
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
      known.push_back({lease.id, lease.kind, lease.ttl_ms, lease.remaining_ms});
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
  lessor_.granted(loop_.now(), {lease.id, lease.kind, lease.ttl_ms, 0});
  rearm();
}

void LeaseKeeper::ended(store::LeaseId id) {
  lessor_.ended(id);
  const auto [begin, end] = undecided_.equal_range(id);
  for (auto it = begin; it != end; ++it) it->second.done(0);
  undecided_.erase(begin, end);
}

void LeaseKeeper::checkpointed(store::LeaseId id, int64_t remaining_ms) {
  lessor_.checkpointed(id, remaining_ms);
  if (remaining_ms != 0) return;
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
  for (const auto& [id, kind] : lessor_.take_expired(now, kExpiriesAtOnce)) propose_end(id, kind);
  auto items = lessor_.take_checkpoints(now, kCheckpointsAtOnce);
  if (!items.empty()) {
    agreement_->propose_in(
        term_, store::encode(store::Command{.header = {}, .body = store::LeaseCheckpoint{std::move(items)}}),
        [](raft::ProposeResult) {});  // a lost checkpoint is made up for by the next
  }
  rearm();
}

void LeaseKeeper::propose_end(store::LeaseId id, store::LeaseKind kind) {
  Blob command = store::encode(store::Command{.header = {}, .body = store::LeaseRevoke{id, kind}});
  if (planted(Bug::LeaseRevokedByDeposedLeader)) return agreement_->propose({Proposal{0, std::move(command)}});
  agreement_->propose_in(term_, std::move(command), [this, id](raft::ProposeResult result) {
    if (result) return;
    lessor_.not_ended(id);
    std::vector<Renewal> again;
    const auto [begin, end] = undecided_.equal_range(id);
    for (auto it = begin; it != end; ++it) again.push_back(std::move(it->second));
    undecided_.erase(begin, end);
    for (Renewal& renewal : again) decide(std::move(renewal));
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
