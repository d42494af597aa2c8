#include "api/zookeeper/liveness.h"

#include <algorithm>
#include <utility>

namespace witan::api::zookeeper {

namespace {

// While a ping waits, so does all that its client sent behind it.
constexpr Duration kBetweenReportsForPings = milliseconds(10);

}  // namespace

Liveness::Liveness(env::Loop& loop, node::Client& client, LivenessSink& sink, const Options& options)
    : loop_(loop), client_(client), sink_(sink), options_(options), alive_(std::make_shared<bool>(true)) {}

Liveness::~Liveness() {
  *alive_ = false;
  loop_.cancel(timer_);
  loop_.cancel(patience_timer_);
}

void Liveness::heard(store::LeaseId session) {
  heard_.push_back(session);
  if (unheard_since_ == Instant::never()) {
    unheard_since_ = loop_.now();
    watch_patience(unheard_since_ + options_.patience);
  }
  schedule(options_.interval);
}

bool Liveness::ping(RequestKey key, uint64_t reported) {
  const bool carried = reported != 0 && reported == acknowledged_round_;
  if (carried && loop_.now() - acknowledged_ < options_.interval) return true;
  waiting_.push_back(key);
  schedule(kBetweenReportsForPings);
  return false;
}

// One report at a time. The first after a quiet time leaves at the end of this turn, so that everybody of the turn is
// in it.
void Liveness::schedule(Duration apart) {
  const Instant due = round_ == 1 ? loop_.now() : std::max(loop_.now(), sent_ + apart);
  if (under_way_ || (timer_ != 0 && due_ <= due)) return;
  loop_.cancel(timer_);
  due_ = due;
  timer_ = loop_.call_at(due, [this] {
    timer_ = 0;
    send();
  });
}

void Liveness::send() {
  std::ranges::sort(heard_);
  heard_.erase(std::unique(heard_.begin(), heard_.end()), heard_.end());
  reported_ = std::exchange(heard_, {});
  std::ranges::move(std::exchange(waiting_, {}), std::back_inserter(reporting_));
  under_way_ = true;
  sent_round_ = round_++;
  sent_ = loop_.now();
  client_.renew_sessions(reported_, [this, alive = alive_](node::Answer<std::vector<store::LeaseId>> answer) {
    if (*alive) on_answer(answer);
  });
}

void Liveness::on_answer(const node::Answer<std::vector<store::LeaseId>>& answer) {
  under_way_ = false;
  if (!answer) {
    heard_.insert(heard_.end(), reported_.begin(), reported_.end());
    std::ranges::move(std::exchange(reporting_, {}), std::back_inserter(waiting_));
    if (!heard_.empty() || !waiting_.empty()) schedule(options_.interval);
    return;
  }
  acknowledged_ = sent_;
  acknowledged_round_ = sent_round_;
  reported_.clear();
  const std::vector<RequestKey> confirmed = std::exchange(reporting_, {});
  // Whoever was heard of since was heard of after this report left.
  loop_.cancel(std::exchange(patience_timer_, 0));
  unheard_since_ = heard_.empty() ? Instant::never() : sent_;
  if (!heard_.empty()) watch_patience(unheard_since_ + options_.patience);
  for (const store::LeaseId session : *answer) sink_.on_session_ended(session);
  for (const RequestKey ping : confirmed) sink_.on_ping_confirmed(ping);
  if (!waiting_.empty()) return schedule(kBetweenReportsForPings);
  if (!heard_.empty()) schedule(options_.interval);
}

void Liveness::watch_patience(Instant until) {
  patience_timer_ = loop_.call_at(until, [this] { on_patience(); });
}

// Sessions differ in how long they can wait: those with the least are let go first.
void Liveness::on_patience() {
  patience_timer_ = 0;
  const Instant next = loop_.now() + options_.patience / 2;
  sink_.on_cut_off(next - unheard_since_) ? watch_patience(next) : forget();
}

// Nobody is left. Who was heard of so long ago is not reported any more, or a session whose client is gone would live
// on by it.
void Liveness::forget() {
  unheard_since_ = Instant::never();
  heard_.clear();
  reported_.clear();
  waiting_.clear();
  reporting_.clear();
  ++round_;
}

}  // namespace witan::api::zookeeper
