// The requests of one connection that have begun, in the order they came, and what has become of them. Answers leave in
// that order, whenever they come; notifications leave behind every answer that was there before them, so that a client
// hears of a change after the answers that do not show it and before those that do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "api/zookeeper/codes.h"
#include "api/zookeeper/replies.h"
#include "api/zookeeper/statistics.h"
#include "base/chain.h"
#include "base/time.h"

namespace witan::api::zookeeper {

struct Slot {
  static constexpr int64_t kNoZxid = INT64_MIN;
  enum class State : uint8_t { Waiting, Answered, Cut };

  int32_t xid = 0;
  int32_t type = 0;
  State state = State::Waiting;
  bool watch = false;        // the read sets a watch
  bool barrier = false;      // nothing behind it begins before it is answered
  bool counts_root = false;  // of getAllChildrenNumber: below no path at all ZooKeeper has the root, too
  bool last = false;         // the connection closes behind it
  bool stateless = false;    // its answer says nothing of the state
  ErrorCode error = ErrorCode::Ok;
  uint32_t bytes = 0;  // of the request
  Instant began;
  std::string path;             // of a read that sets a watch, as the store names it
  std::vector<OpCode> parts;    // of a multi or a multiRead
  std::vector<size_t> configs;  // which of its reads are of /zookeeper/config
  // Of an answer. `encoded` may be empty: then it is a header, whose zxid is found when it leaves, and `body`.
  Chain encoded;
  Chain body;
  int64_t zxid = kNoZxid;  // of `encoded`, or one that the protocol fixes
  Chain events;            // notifications to leave right behind it
  uint32_t event_count = 0;
  int64_t first_event_zxid = kNoZxid;
};

class AnswerQueue {
 public:
  // What leaves, and what is to be known about it.
  struct Left {
    size_t packets = 0;
    int64_t zxid = Slot::kNoZxid;  // the last one told
    int32_t xid = 0;
    int32_t type = 0;
    Latency latency;
    int64_t last_latency_ms = 0;
    bool close = false;  // nothing may follow
  };

  // The number of the new slot, counted from 1.
  uint64_t begin(Slot slot);
  // Null when it is gone or was answered. Valid until the next call.
  Slot* waiting(uint64_t number);
  void answer(uint64_t number, ErrorCode error);
  // `encoded` is a whole packet that says `zxid`.
  void answer(uint64_t number, Chain encoded, int64_t zxid);
  // A header and perhaps a body that say nothing of the state: no notification waits for them.
  void answer_stateless(uint64_t number, ErrorCode error, Chain body = {});
  // If it has a header for its answer by now, that says nothing of the state either.
  void mark_stateless(uint64_t number);
  // The connection closes in its place, without a word.
  void cut(uint64_t number);

  // Takes a notification of `zxid`, unless it can leave at once: then false, and `packet` is untouched.
  bool hold_event(Chain& packet, int64_t zxid);

  // Moves what may leave to `out`. `zxid`: the newest that may be told.
  Left leave(Chain& out, int64_t zxid, Instant now);

  size_t size() const { return slots_.size(); }
  size_t bytes() const { return bytes_; }
  bool all_answered() const { return waiting_ == 0; }
  bool blocked() const { return barriers_ > 0; }

 private:
  Slot* find(uint64_t number);
  void done(Slot& slot, Slot::State state);
  int64_t zxid_of_head(int64_t newest) const;

  std::deque<Slot> slots_;
  uint64_t first_ = 1;  // the number of slots_[0]
  size_t bytes_ = 0;
  size_t waiting_ = 0;
  size_t barriers_ = 0;  // that wait
};

}  // namespace witan::api::zookeeper
