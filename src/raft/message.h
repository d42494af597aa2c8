// What members say to each other. Each message is its own struct; the peer room puts them on the wire.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "raft/types.h"

namespace witan::raft {

// Asks for a vote, or with `pre` whether one would be given (thesis 9.6); a pre-vote changes nobody's term.
struct VoteRequest {
  Term term;  // of the election asked about: the candidate's own, one higher than its own when `pre`
  bool pre = false;
  Index last_index;
  Term last_term;
  bool leadership_transfer = false;  // thesis 4.2.3: granted although a leader was heard of lately
};

struct VoteReply {
  Term term;
  bool pre = false;
  bool granted = false;
};

struct AppendRequest {
  Term term;
  Index prev_index;
  Term prev_term;
  Index commit;
  std::vector<Entry> entries;
};

struct AppendReply {
  Term term;
  bool accepted = false;
  Index match;     // accepted: everything up to here is on the sender's disk and equals the leader's log
  Index rejected;  // refused: the prev_index that did not match
  Index hint;      // refused: largest index at which the logs may still agree, with
  Term hint_term;  //          the sender's term there (fast back-tracking)
};

// Keeps followers from campaigning and carries the id of the read round that its reply confirms (thesis 6.4).
struct Heartbeat {
  Term term;
  Index commit;
  uint64_t round = 0;  // never reused within a term; 0: only tells the commit index, and wants no reply
};

struct HeartbeatReply {
  Term term;
  uint64_t round = 0;
};

// The state behind the log travels on a connection of its own (core M3); this says that it arrived, is durable
// and stands in for the log up to `index`, or that it was refused.
struct SnapshotReply {
  Term term;
  bool accepted = false;
  Index index;
};

// Thesis 3.10: campaign at once.
struct TimeoutNow {
  Term term;
};

using Message = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply, Heartbeat, HeartbeatReply,
                             SnapshotReply, TimeoutNow>;

struct Envelope {
  NodeId from;
  NodeId to;
  Message message;
};

// "append 1/5 commit=4 [1/6 1/7]": one line for logs and golden files.
std::string describe(const Message& message);

}  // namespace witan::raft
