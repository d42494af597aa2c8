// What a leader knows of one other member, and how much it may send to it (thesis 10.2.1, pipelining).
#pragma once

#include <deque>
#include <optional>

#include "base/time.h"
#include "raft/types.h"

namespace witan::raft {

// Entries sent and not yet acknowledged, bounded in messages and in bytes.
class Window {
 public:
  bool full(size_t max_messages, size_t max_bytes) const { return sent_.size() >= max_messages || bytes_ >= max_bytes; }
  bool empty() const { return sent_.empty(); }
  size_t messages() const { return sent_.size(); }
  size_t bytes() const { return bytes_; }

  // Requires: `last` is larger than that of the message before.
  void add(Index last, size_t bytes) {
    sent_.push_back({last, bytes});
    bytes_ += bytes;
  }
  // Everything up to `match` has arrived.
  void release(Index match) {
    for (; !sent_.empty() && sent_.front().last <= match; sent_.pop_front()) bytes_ -= sent_.front().bytes;
  }
  void clear() {
    sent_.clear();
    bytes_ = 0;
  }

 private:
  struct Sent {
    Index last;
    size_t bytes;
  };
  std::deque<Sent> sent_;  // in the order of `last`
  size_t bytes_ = 0;       // of all in sent_
};

enum class Flow : uint8_t {
  Probe,      // where the logs agree is not known: one message, then wait
  Replicate,  // it is: pipeline
  Snapshot,   // the entries it needs are gone: wait for a snapshot to arrive
};

// match < next always; everything up to match is on the peer's disk and equal to ours.
struct Peer {
  NodeId id;
  Index match;
  Index next;
  Flow flow = Flow::Probe;
  bool probing = false;     // Probe: one is under way
  uint32_t asked = 0;       // Probe: so often without entries since it was sent with them ...
  uint32_t most_asked = 1;  // ... until it is sent with them again
  bool fetching = false;    // entries for it are being read back from disk
  Window window;            // Replicate: what is under way
  Index snapshot_floor;     // Snapshot: what is being sent stands for at least this index
  Index told_commit;        // the highest commit index that it learns from what was sent
  Index probe_commit;       // what the probe under way says; it is learned only if the logs agree
  uint64_t round = 0;       // the last heartbeat round it answered
  Instant heard;            // when it last said anything in this term
  Instant tried;            // when entries or a snapshot were last tried on it
  // A member that the newest configuration removed is served a little longer, so that it learns about it.
  std::optional<Instant> dropped_at;

  bool paused(size_t max_messages, size_t max_bytes) const {
    if (fetching) return true;
    switch (flow) {
      case Flow::Probe: return probing;
      case Flow::Replicate: return window.full(max_messages, max_bytes);
      case Flow::Snapshot: break;
    }
    return true;
  }

  void become_probe(Index from) {
    flow = Flow::Probe;
    probing = false;
    asked = 0;
    most_asked = 1;
    window.clear();
    next = std::max(from, match + 1);
  }
  void become_replicate() {
    flow = Flow::Replicate;
    probing = false;
    window.clear();
    next = match + 1;
  }
  void become_snapshot(Index floor) {
    flow = Flow::Snapshot;
    probing = false;
    window.clear();
    snapshot_floor = floor;
  }
};

}  // namespace witan::raft
