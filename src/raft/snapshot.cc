// Thesis chapter 5: what happens when a follower needs entries that are compacted away. The bytes travel elsewhere
// (core M3); here is only who needs one, and what it stands for once it is there.
#include <algorithm>

#include "raft/core.h"

namespace witan::raft {

void Raft::Core::begin_snapshot(Peer& peer) {
  logger_.info("{} needs entries from {} on, the log begins at {}: a snapshot is sent", peer.id, peer.next,
               log_.base() + 1);
  peer.become_snapshot(log_.base());
  out_.send_snapshot.push_back(peer.id);
}

// The next heartbeat's reply lets the probe go, so that a receiver that fails at once is not asked in a tight loop.
void Raft::Core::on(const SnapshotSent& event) {
  LeaderRole* lead = leader();
  Peer* peer = lead == nullptr ? nullptr : lead->find(event.to);
  if (peer == nullptr || peer->flow != Flow::Snapshot) return;
  peer->become_probe(event.delivered ? peer->snapshot_floor + 1 : peer->match + 1);
  peer->probing = true;
  peer->tried = now_;
}

void Raft::Core::on_message(NodeId from, const SnapshotReply& reply) {
  LeaderRole* lead = leader();
  Peer* peer = lead == nullptr ? nullptr : lead->find(from);
  if (peer == nullptr) return;
  if (reply.accepted) {
    if (reply.index <= log_.last()) return on_accepted(*peer, reply.index);
    logger_.error("dropped a reply of {} to a snapshot at {}, beyond the log", from, reply.index);
  } else if (peer->flow == Flow::Snapshot) {
    peer->become_probe(peer->match + 1);
    peer->probing = true;
    peer->tried = now_;
  }
}

void Raft::Core::on(SnapshotReceived& event) {
  SnapshotMeta& meta = event.meta;
  if (event.term < term_) {
    return send(event.from, SnapshotReply{.term = term_, .accepted = false, .index = meta.index});
  }
  if (event.term > term_) become_follower(event.term, event.from);
  if (!follow(event.from)) return;
  if (meta.index <= log_.commit()) {
    // Late: everything committed here agrees with the leader's log, which is all it wants to know.
    return acknowledge(event.from, log_.commit());
  }
  const Configuration before = configuration();
  if (log_.matches(meta.index, meta.term)) {
    log_.skip_to(meta.index);  // thesis 5.1: entries after the snapshot stay valid
    std::erase_if(configurations_, [&](const ConfigurationAt& one) { return one.index <= meta.index; });
    configurations_.insert(configurations_.begin(), {meta.index, meta.configuration});
  } else {
    log_.reset(meta.index, meta.term);
    for (InFlight& write : in_flight_) write.durable = std::min(write.durable, meta.index);
    configurations_.assign(1, {meta.index, meta.configuration});
    reset_ = meta;
  }
  if (configuration() != before) configuration_changed();
  logger_.info("goes on from a snapshot of {} at {} of term {}", event.from, meta.index, meta.term);
  send_after_save(event.from, SnapshotReply{.term = term_, .accepted = true, .index = meta.index});
  out_.install = std::move(meta);
}

}  // namespace witan::raft
