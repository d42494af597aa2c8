#include "api/zookeeper/answer_queue.h"

#include <algorithm>
#include <utility>

namespace witan::api::zookeeper {

uint64_t AnswerQueue::begin(Slot slot) {
  bytes_ += slot.bytes;
  ++waiting_;
  if (slot.barrier) ++barriers_;
  slots_.push_back(std::move(slot));
  return first_ + slots_.size() - 1;
}

Slot* AnswerQueue::find(uint64_t number) {
  return number < first_ || number - first_ >= slots_.size() ? nullptr : &slots_[number - first_];
}

Slot* AnswerQueue::waiting(uint64_t number) {
  Slot* slot = find(number);
  return slot != nullptr && slot->state == Slot::State::Waiting ? slot : nullptr;
}

void AnswerQueue::done(Slot& slot, Slot::State state) {
  slot.state = state;
  --waiting_;
  if (slot.barrier) --barriers_;
}

void AnswerQueue::answer(uint64_t number, ErrorCode error) {
  Slot* slot = waiting(number);
  if (slot == nullptr) return;
  slot->error = error;
  done(*slot, Slot::State::Answered);
}

void AnswerQueue::answer(uint64_t number, Chain encoded, int64_t zxid) {
  Slot* slot = waiting(number);
  if (slot == nullptr) return;
  slot->encoded = std::move(encoded);
  slot->zxid = zxid;
  done(*slot, Slot::State::Answered);
}

void AnswerQueue::answer_stateless(uint64_t number, ErrorCode error, Chain body) {
  if (Slot* slot = waiting(number)) slot->body = std::move(body);
  answer(number, error);
  mark_stateless(number);
}

void AnswerQueue::mark_stateless(uint64_t number) {
  Slot* slot = find(number);
  if (slot != nullptr && slot->state == Slot::State::Answered && slot->encoded.empty()) slot->stateless = true;
}

void AnswerQueue::cut(uint64_t number) {
  if (Slot* slot = waiting(number)) done(*slot, Slot::State::Cut);
}

bool AnswerQueue::hold_event(Chain& packet, int64_t zxid) {
  const auto last = std::find_if(slots_.rbegin(), slots_.rend(), [](const Slot& slot) {
    return slot.state != Slot::State::Waiting && !slot.stateless;
  });
  if (last == slots_.rend()) return false;
  last->events.append(std::move(packet));
  ++last->event_count;
  if (zxid > 0 && last->first_event_zxid == Slot::kNoZxid) last->first_event_zxid = zxid;
  return true;
}

// An answer without a state of its own says the newest zxid there is, but none beyond an answer that stands ready
// behind it, since what a connection is told never goes back (core F5), and none that a notification behind it brings:
// a client whose connection breaks in between would set its watch again from there, and never hear of the change.
int64_t AnswerQueue::zxid_of_head(int64_t newest) const {
  const Slot& head = slots_.front();
  if (head.zxid != Slot::kNoZxid) return head.zxid;
  for (const Slot& slot : slots_) {
    if (!slot.encoded.empty()) return std::min(newest, slot.zxid);
    if (slot.first_event_zxid > 0) return std::min(newest, slot.first_event_zxid - 1);
  }
  return newest;
}

AnswerQueue::Left AnswerQueue::leave(Chain& out, int64_t zxid, Instant now) {
  Left left;
  while (!slots_.empty() && slots_.front().state != Slot::State::Waiting) {
    Slot& head = slots_.front();
    if (head.state == Slot::State::Cut) {
      left.close = true;
      return left;
    }
    const int64_t told = zxid_of_head(zxid);
    if (head.encoded.empty()) {
      encode_reply(out, {.xid = head.xid, .zxid = told, .error = head.error}, std::move(head.body));
    } else {
      out.append(std::move(head.encoded));
    }
    out.append(std::move(head.events));
    left.packets += 1 + head.event_count;
    if (told > 0) left.zxid = told;
    left.xid = head.xid;
    left.type = head.type;
    left.last_latency_ms = (now - head.began) / milliseconds(1);
    left.latency.add(left.last_latency_ms);
    left.close = head.last;
    bytes_ -= head.bytes;
    slots_.pop_front();
    ++first_;
    if (left.close) return left;
  }
  return left;
}

}  // namespace witan::api::zookeeper
