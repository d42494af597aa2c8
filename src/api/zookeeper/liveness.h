// Keeps the sessions of one loop alive (core L6, L7): tells the leader who was heard of, and lets pings be answered
// only while that works.
//
// Why a client may believe an answered ping: the leader, confirmed by a quorum, counts the time of a reported session
// anew from a moment after the report left. A ping waits until a report that carries its session is acknowledged. One
// that is younger than an interval will do: so much longer the leader waits before it ends a session.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/time.h"
#include "env/loop.h"
#include "node/client.h"
#include "store/types.h"

namespace witan::api::zookeeper {

// A request across an asynchronous edge: the answer to one that is gone finds nobody.
struct RequestKey {
  uint32_t connection = 0;
  uint64_t request = 0;  // counts within the connection
};

class LivenessSink {
 public:
  virtual ~LivenessSink() = default;
  virtual void on_ping_confirmed(RequestKey ping) = 0;
  virtual void on_session_ended(store::LeaseId session) = 0;
  // No report was acknowledged lately, and it will have been `by_then` before this is said again: the connection of a
  // session that cannot wait so long is to be closed. Returns whether any session waits on.
  virtual bool on_cut_off(Duration by_then) = 0;
};

class Liveness {
 public:
  struct Options {
    Duration interval;  // between reports
    Duration patience;  // how long any session may go unacknowledged
  };
  Liveness(env::Loop& loop, node::Client& client, LivenessSink& sink, const Options& options);
  ~Liveness();
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  // Something came from this session's client.
  void heard(store::LeaseId session);
  // True: answer it now. Otherwise on_ping_confirmed() follows, unless the connection goes first. The session was
  // heard() in this round, and before that in the round `reported` (0: in none).
  bool ping(RequestKey key, uint64_t reported);

  // Grows whenever a report leaves: who was heard() since need not be heard() again.
  uint64_t round() const { return round_; }

 private:
  void schedule(Duration apart);
  void send();
  void on_answer(const node::Answer<std::vector<store::LeaseId>>& answer);
  void watch_patience(Instant until);
  void on_patience();
  void forget();

  env::Loop& loop_;
  node::Client& client_;
  LivenessSink& sink_;
  const Options options_;
  std::vector<store::LeaseId> heard_;     // since the last report left; may repeat
  std::vector<store::LeaseId> reported_;  // in the report under way
  std::vector<RequestKey> waiting_;       // pings for the next report
  std::vector<RequestKey> reporting_;     // pings for the report under way
  uint64_t round_ = 1;
  bool under_way_ = false;
  Instant sent_{};                            // the last report
  uint64_t sent_round_ = 0;                   // and who is in it: those heard() in this round, or before
  Instant due_{};                             // the next one, while timer_ runs
  Instant acknowledged_{};                    // when the last report that was acknowledged had left
  uint64_t acknowledged_round_ = 0;           // and its round
  Instant unheard_since_ = Instant::never();  // since when somebody waits for an acknowledgement
  env::TimerId timer_ = 0;
  env::TimerId patience_timer_ = 0;
  std::shared_ptr<bool> alive_;  // the client's answers may come later
};

}  // namespace witan::api::zookeeper
