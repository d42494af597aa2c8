// Leases at run time: renewals and times asked on any member and answered by the leader (core L2), expiry and
// checkpoints proposed by the leader (core L3, P3). Deadlines are the Lessor's.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "env/loop.h"
#include "node/calls.h"
#include "node/client.h"
#include "node/lessor.h"
#include "peer/peer.h"
#include "raft/raft.h"
#include "store/store.h"

namespace witan::node {

class Agreement;
class ReadQueue;

class LeaseKeeper {
 public:
  // `session_allowance`: see Lessor.
  LeaseKeeper(env::Loop& loop, Duration election, Duration session_allowance, ReadQueue& reads, Logger logger);
  ~LeaseKeeper();
  void connect(Agreement& agreement) { agreement_ = &agreement; }

  // On any member. TTL 0: no such lease.
  void renew(LeaseName lease, Function<void(Answer<LeaseRenewal>)> done);
  // All of them, answered together, in order.
  void renew(std::vector<LeaseName> leases, Function<void(Answer<std::vector<int64_t>>)> done);
  // Without keys.
  void time(LeaseName lease, Function<void(Answer<LeaseTime>)> done);

  // The state holds everything of earlier terms and this member leads `term`: deadlines start (core L3).
  void lead(raft::Term term, const store::Store& store);
  void follow();
  // What apply did with leases.
  void granted(const store::LeaseInfo& lease);
  void ended(store::LeaseId id);
  void checkpointed(store::LeaseId id, int64_t remaining_ms);
  // An end that its leader proposed in `term` changed nothing when it was applied.
  void end_failed(const store::LeaseRevoke& end, raft::Term term);

  // From other members.
  void answer_renewals(peer::Call call, peer::Responder respond);
  void answer_time(peer::Call call, peer::Responder respond);

  void stop();
  // Renewals that wait for something.
  size_t pending() const { return waiting_.size() + undecided_.size(); }

 private:
  using Renewed = Function<void(Answer<int64_t>)>;  // the TTL in ms, 0 when there is no lease
  struct Renewal {
    LeaseName lease;
    Renewed done;
  };

  void queue(Renewal renewal);
  void flush();
  void renew_here(std::vector<Renewal> batch);
  void renew_there(std::vector<Renewal> batch);
  void decide(Renewal renewal);
  void decide_again(store::LeaseId id);
  void reset_checkpoints();
  void give_up(store::LeaseId id);
  void time_here(LeaseName lease, Function<void(Answer<LeaseTime>)> done);
  void wake();
  void rearm();
  void propose_end(const store::LeaseRevoke& end);

  env::Loop& loop_;
  const Duration election_;
  ReadQueue& reads_;
  Logger logger_;
  Agreement* agreement_ = nullptr;
  Lessor lessor_;
  raft::Term term_;
  bool stopped_ = false;

  std::vector<Renewal> waiting_;  // of this turn
  bool flush_posted_ = false;
  std::multimap<store::LeaseId, Renewal> undecided_;  // until an end or a reset is applied
  std::vector<store::LeaseId> resets_;                // checkpoints to reset in one command
  env::TimerId timer_ = 0;
};

}  // namespace witan::node
