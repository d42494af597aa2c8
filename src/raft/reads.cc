// Linearizable reads without writing to the log: thesis 6.4, ReadIndex.
#include <algorithm>

#include "base/planted.h"
#include "raft/core.h"

namespace witan::raft {

void Raft::Core::on(const ReadIndex& event) {
  LeaderRole* lead = leader();
  if (lead == nullptr) {
    out_.reads_failed.push_back(event.id);
    return;
  }
  // Step 1: before its first own commit a leader does not know how far the committed log goes.
  if (log_.commit() < lead->first) return lead->parked.push_back(event.id);
  if (planted(Bug::ReadWithoutQuorum)) return out_.reads.push_back({.id = event.id, .index = log_.commit()});
  const bool shares = planted(Bug::ReusedReadIndexId) && !lead->reads.empty();
  const uint64_t round = shares ? lead->reads.back().round : lead->round + 1;
  lead->reads.push_back({.id = event.id, .index = log_.commit(), .round = round});
}

void Raft::Core::unpark_reads() {
  LeaderRole* lead = leader();
  if (log_.commit() < lead->first) return;
  for (const uint64_t id : lead->parked) {
    lead->reads.push_back({.id = id, .index = log_.commit(), .round = lead->round + 1});
  }
  lead->parked.clear();
}

// One round of reads at a time: what arrives meanwhile shares the next one. A round that is lost is followed by the
// heartbeat timer's, which is later and therefore confirms as well.
void Raft::Core::start_read_round() {
  LeaderRole* lead = leader();
  if (!lead->reads.empty() && lead->reads.front().round > lead->round) heartbeat(true);
}

// Step 3: a quorum answered a round that began after the read arrived, so nobody else led at that moment.
void Raft::Core::confirm_reads() {
  LeaderRole* lead = leader();
  if (lead->reads.empty()) return;
  const uint64_t confirmed =
      quorum_.agreed([&](NodeId id) { return id == options_.id ? lead->round : lead->find(id)->round; });
  for (; !lead->reads.empty() && lead->reads.front().round <= confirmed; lead->reads.pop_front()) {
    out_.reads.push_back({.id = lead->reads.front().id, .index = lead->reads.front().index});
  }
  start_read_round();
}

void Raft::Core::fail_reads() {
  LeaderRole* lead = leader();
  out_.reads_failed.insert(out_.reads_failed.end(), lead->parked.begin(), lead->parked.end());
  for (const LeaderRole::Read& read : lead->reads) out_.reads_failed.push_back(read.id);
  lead->parked.clear();
  lead->reads.clear();
}

}  // namespace witan::raft
