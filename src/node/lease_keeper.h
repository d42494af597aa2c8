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
  LeaseKeeper(env::Loop& loop, Duration election, ReadQueue& reads, Logger logger);
  ~LeaseKeeper();
  void connect(Agreement& agreement) { agreement_ = &agreement; }

  // On any member. TTL 0: no such lease.
  void renew(LeaseName lease, Function<void(Answer<LeaseRenewal>)> done);
  // Without keys.
  void time(LeaseName lease, Function<void(Answer<LeaseTime>)> done);

  // The state holds everything of earlier terms and this member leads `term`: deadlines start (core L3).
  void lead(raft::Term term, const store::Store& store);
  void follow();
  // What apply did with leases.
  void granted(const store::LeaseInfo& lease);
  void ended(store::LeaseId id);
  void checkpointed(store::LeaseId id, int64_t remaining_ms);

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
  void reset_checkpoints();
  void time_here(LeaseName lease, Function<void(Answer<LeaseTime>)> done);
  void wake();
  void rearm();
  void propose_end(store::LeaseId id, store::LeaseKind kind);

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
