// Linearizable questions: they wait together for one read index, then for the state to reach it (thesis 6.4). A
// question that comes while a round is under way waits for the next, since only a round begun after it can answer it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/function.h"
#include "base/time.h"
#include "env/loop.h"
#include "node/client.h"
#include "raft/types.h"

namespace witan::node {

class Agreement;

class ReadQueue {
 public:
  // Told that the state reflects everything acknowledged before the question, or why that cannot be known.
  using Ready = Function<void(Answer<raft::Index>)>;

  // `timeout` ends a question for which no leader can be found.
  ReadQueue(env::Loop& loop, Duration timeout, Duration retry);
  ~ReadQueue();
  void connect(Agreement& agreement) { agreement_ = &agreement; }

  void ask(Ready ready);
  // The state has applied `index`: runs what waited for it, in order (core F1).
  void applied(raft::Index index);
  // A leader is known (again): rounds that failed for lack of one start anew.
  void leader_known();
  void expire(Instant now);
  void stop();
  bool empty() const { return waiting_.empty() && asked_.empty() && confirmed_.empty(); }

 private:
  struct Question {
    Ready ready;
    Instant deadline;
  };
  void start_round_soon();
  void start_round();
  void on_round(Result<raft::Index> index);
  static void refuse(std::vector<Question>& questions, Refusal refusal, const char* message);

  env::Loop& loop_;
  const Duration timeout_;
  const Duration retry_;
  Agreement* agreement_ = nullptr;
  raft::Index applied_;
  std::vector<Question> waiting_;  // for the next round
  std::vector<Question> asked_;    // the round under way
  std::multimap<raft::Index, std::vector<Question>> confirmed_;
  bool round_ = false;
  bool start_posted_ = false;
  env::TimerId retry_timer_ = 0;
};

}  // namespace witan::node
