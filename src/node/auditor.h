// Compares the members' states (core S7): the leader asks everybody for the digest at one entry and acts on the vote.
// On the state's loop.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/function.h"
#include "base/log.h"
#include "base/time.h"
#include "node/digests.h"
#include "node/halves.h"

namespace witan::node {

class Auditor {
 public:
  // What the state does when it is told. All run on its loop.
  struct Remedies {
    Task rebuild;                                               // this member's state is not the majority's
    Function<void(raft::NodeId to)> hand_over;                  // likewise, and it leads
    Function<void(const std::vector<raft::NodeId>&)> distrust;  // nobody knows whose state is right
  };

  Auditor(raft::NodeId self, Duration patience, Remedies remedies, Logger logger);
  void connect(Agreement& agreement) { agreement_ = &agreement; }

  // After every applied entry, in order.
  void applied(raft::Index index, const store::Digest& digest);
  // Another state took the place of this one; it is at `index`.
  void replaced(raft::Index index, const store::Digest& digest);

  // As the leader: begins a comparison, unless one is under way.
  void compare(const raft::Configuration& configuration);
  void follow();  // stopped leading
  void stop();

  // From the leader.
  void answer_digest(peer::Call call, peer::Responder respond);
  void answer_rebuild(peer::Responder respond);

 private:
  struct Round {
    uint64_t number;
    raft::Index index;
    raft::Configuration configuration;
    std::vector<DigestReport> reports;
    size_t missing = 0;
  };

  void on_reply(uint64_t round, raft::NodeId from, const Result<Blob>& reply);
  void conclude();
  void accuse(raft::NodeId member);

  const raft::NodeId self_;
  const Duration patience_;
  Remedies remedies_;
  Logger logger_;
  Agreement* agreement_ = nullptr;

  DigestLog log_;
  std::multimap<raft::Index, peer::Responder> asked_;  // of entries that are not applied here yet
  std::optional<Round> round_;
  uint64_t last_round_ = 0;
  int splits_ = 0;  // comparisons in a row that found no majority
};

}  // namespace witan::node
