#include "node/read_queue.h"

#include <utility>

#include "base/planted.h"
#include "node/halves.h"

namespace witan::node {

ReadQueue::ReadQueue(env::Loop& loop, Duration timeout, Duration retry)
    : loop_(loop), timeout_(timeout), retry_(retry) {}

ReadQueue::~ReadQueue() { loop_.cancel(retry_timer_); }

void ReadQueue::ask(Ready ready) {
  std::vector<Question>& questions = round_ && planted(Bug::ReadJoinsAskedRound) ? asked_ : waiting_;
  questions.push_back(Question{std::move(ready), loop_.now() + timeout_});
  if (!round_ && retry_timer_ == 0) start_round_soon();
}

// One post later: the questions of this turn share the round.
void ReadQueue::start_round_soon() {
  if (std::exchange(start_posted_, true)) return;
  loop_.post([this] {
    start_posted_ = false;
    if (!round_) start_round();
  });
}

void ReadQueue::start_round() {
  if (waiting_.empty()) return;
  round_ = true;
  asked_ = std::exchange(waiting_, {});
  agreement_->read_index([this](Result<raft::Index> index) { on_round(std::move(index)); });
}

void ReadQueue::on_round(Result<raft::Index> index) {
  round_ = false;
  std::vector<Question> questions = std::exchange(asked_, {});
  if (!index) {
    // Reads may be asked again at will. Those that came meanwhile stay behind these.
    questions.insert(questions.end(), std::make_move_iterator(waiting_.begin()),
                     std::make_move_iterator(waiting_.end()));
    waiting_ = std::move(questions);
    if (retry_timer_ == 0) {
      retry_timer_ = loop_.call_at(loop_.now() + retry_, [this] {
        retry_timer_ = 0;
        expire(loop_.now());
        if (!round_) start_round();
      });
    }
    return;
  }
  if (*index <= applied_) {
    for (Question& question : questions) question.ready(applied_);
  } else {
    confirmed_.emplace(*index, std::move(questions));
  }
  if (!waiting_.empty()) start_round_soon();
}

void ReadQueue::applied(raft::Index index) {
  applied_ = index;
  while (!confirmed_.empty() && confirmed_.begin()->first <= index) {
    std::vector<Question> questions = std::move(confirmed_.begin()->second);
    confirmed_.erase(confirmed_.begin());
    for (Question& question : questions) question.ready(index);
  }
}

void ReadQueue::leader_known() {
  if (retry_timer_ == 0) return;
  loop_.cancel(std::exchange(retry_timer_, 0));
  if (!round_) start_round_soon();
}

void ReadQueue::refuse(std::vector<Question>& questions, Refusal refusal, const char* message) {
  for (Question& question : std::exchange(questions, {})) {
    question.ready(std::unexpected(NotApplied{refusal, message}));
  }
}

void ReadQueue::expire(Instant now) {
  std::vector<Question> late;
  const auto sweep = [&](std::vector<Question>& questions) {
    std::erase_if(questions, [&](Question& question) {
      if (question.deadline > now) return false;
      late.push_back(std::move(question));
      return true;
    });
  };
  sweep(waiting_);
  sweep(asked_);
  for (auto& [index, questions] : confirmed_) sweep(questions);
  refuse(late, Refusal::Timeout, "no leader confirmed the read in time");
}

void ReadQueue::stop() {
  refuse(waiting_, Refusal::Stopping, "the member is stopping");
  refuse(asked_, Refusal::Stopping, "the member is stopping");
  for (auto& [index, questions] : std::exchange(confirmed_, {})) {
    refuse(questions, Refusal::Stopping, "the member is stopping");
  }
}

}  // namespace witan::node
