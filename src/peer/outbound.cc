#include "peer/outbound.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace witan::peer {

Outbound::Outbound(Context& context, raft::NodeId to, Lane lane)
    : context_(context), to_(to), lane_(lane), delay_(context.options.min_retry) {
  connect();
}

Outbound::~Outbound() {
  context_.loop.cancel(retry_);
  for (auto& [id, call] : calls_) context_.loop.cancel(call.timeout);
}

std::string Outbound::name() const {
  return fmt::format("member {:x} at {} ({} connection)", to_.value, address_.text(),
                     lane_ == Lane::Control ? "control" : "bulk");
}

void Outbound::connect() {
  const PeerRecord* record = context_.find(to_);
  if (record == nullptr || record->addresses.empty()) return retry_later();
  address_ = record->addresses[next_address_ % record->addresses.size()];
  Greeting greeting{.purpose = lane_ == Lane::Control ? Purpose::Control : Purpose::Bulk,
                    .hello = context_.options.self};
  greeting.hello.target = to_;
  attempt_ = std::make_unique<Attempt>(context_, address_, std::move(greeting),
                                       [this](Attempted outcome) { on_attempted(std::move(outcome)); });
}

void Outbound::on_attempted(Attempted outcome) {
  context_.graveyard.bury(std::move(attempt_));
  if (!outcome) {
    if (complaint_.worth_saying(outcome.error(), context_.loop.now())) {
      context_.log.warn("cannot reach {}: {}; trying again", name(), outcome.error());
    }
    ++next_address_;
    retry_later();
    return context_.handler.on_unreachable(to_);
  }
  link_ = std::move(outcome->link);
  link_->set_owner(*this);
  uuid_ = outcome->hello.directory_uuid;
  since_ = context_.loop.now();
  complaint_ = {};
  context_.log.info("connected to {}", name());
  if (context_.hello) context_.hello(outcome->hello);
}

void Outbound::retry_later() {
  const int64_t span = delay_.count();
  const Duration wait(context_.rng.between(span / 2, span));
  delay_ = std::min(delay_ * 2, context_.options.max_retry);
  retry_ = context_.loop.call_at(context_.loop.now() + wait, [this] {
    retry_ = 0;
    connect();
  });
}

void Outbound::connect_soon() {
  if (retry_ == 0) return;
  context_.loop.cancel(retry_);
  // Not within this turn: the member may just be answering our last attempt with a refusal.
  delay_ = context_.options.min_retry;
  retry_later();
}

void Outbound::disconnect() {
  context_.loop.cancel(std::exchange(retry_, 0));
  if (link_ != nullptr) link_->close();
  context_.graveyard.bury(std::move(link_));
  context_.graveyard.bury(std::move(attempt_));
}

void Outbound::stop() {
  disconnect();
  fail_calls("the member was removed");
}

void Outbound::record_changed() {
  const PeerRecord& record = *context_.find(to_);
  const bool known_address = std::ranges::find(record.addresses, address_) != record.addresses.end();
  const bool other_directory = link_ != nullptr && !record.directory_uuid.empty() && record.directory_uuid != uuid_;
  if (known_address && !other_directory) return;
  const bool was_up = link_ != nullptr;
  disconnect();
  next_address_ = 0;
  delay_ = context_.options.min_retry;
  if (was_up) fail_calls("the member's address or directory changed");
  connect();
}

void Outbound::on_lost(std::string_view why) {
  context_.log.warn("lost {}: {}", name(), why);
  // A member that takes connections and drops them at once is not hammered.
  if (context_.loop.now() - since_ >= context_.options.max_retry) delay_ = context_.options.min_retry;
  disconnect();
  fail_calls("the connection broke");
  retry_later();
  context_.handler.on_unreachable(to_);
}

void Outbound::check(Instant now) {
  if (link_ != nullptr) link_->check(now);
}

std::optional<Instant> Outbound::up_since() const {
  if (link_ == nullptr) return {};
  return since_;
}

bool Outbound::full(size_t more) const { return link_->unsent() + more > context_.options.max_queue_bytes; }

void Outbound::send(const raft::Message& message) {
  if (link_ == nullptr) return;
  Chain payload = encode(message);
  if (payload.size() > context_.options.max_frame_bytes) {
    return context_.log.error("a raft message of {} bytes for {} exceeds the bound of {} and is dropped",
                              payload.size(), name(), context_.options.max_frame_bytes);
  }
  if (full(payload.size())) {
    if (dropped_++ == 0) context_.log.warn("{} bytes for {} wait; raft messages are dropped", link_->unsent(), name());
    return;
  }
  dropped_ = 0;
  link_->send(make_frame(FrameType::Message, std::move(payload)));
}

void Outbound::refuse(Function<void(CallResult)> done, CallError error) {
  context_.loop.post(context_.guard.wrap(
      [done = std::move(done), error = std::move(error)]() mutable { done(std::unexpected(std::move(error))); }));
}

void Outbound::call(Call call, Duration timeout, Function<void(CallResult)> done) {
  if (link_ == nullptr) {
    return refuse(std::move(done), {.sent = false, .message = fmt::format("not connected to {}", name())});
  }
  Chain payload = encode_call(last_call_ + 1, call.kind, call.payload);
  if (payload.size() > context_.options.max_frame_bytes) {
    return refuse(std::move(done), {.sent = false,
                                    .message = fmt::format("a call of {} bytes exceeds the bound of {}", payload.size(),
                                                           context_.options.max_frame_bytes)});
  }
  if (full(payload.size())) {
    return refuse(std::move(done), {.sent = false, .message = fmt::format("too much waits to be sent to {}", name())});
  }
  const uint64_t id = ++last_call_;
  const env::TimerId timer = context_.loop.call_at(context_.loop.now() + timeout, [this, id] {
    answer(id, std::unexpected(CallError{.sent = true, .message = fmt::format("{} did not answer in time", name())}));
  });
  calls_.emplace(id, OpenCall{.done = std::move(done), .timeout = timer});
  link_->send(make_frame(FrameType::Call, std::move(payload)));
}

void Outbound::answer(uint64_t id, CallResult result) {
  const auto at = calls_.find(id);
  if (at == calls_.end()) return;  // it timed out before
  OpenCall call = std::move(at->second);
  calls_.erase(at);
  context_.loop.cancel(call.timeout);
  call.done(std::move(result));
}

void Outbound::fail_calls(std::string_view why) {
  std::map<uint64_t, OpenCall> calls = std::move(calls_);
  calls_.clear();
  for (auto& [id, call] : calls) {
    context_.loop.cancel(call.timeout);
    refuse(std::move(call.done), {.sent = true, .message = fmt::format("{}: {}", name(), why)});
  }
}

void Outbound::on_reply(std::string_view payload) {
  const Result<ReplyFrame> reply = decode_reply(payload);
  if (!reply) return on_lost(reply.error().message);
  answer(reply->id, Blob(reply->payload));
}

void Outbound::on_no_reply(std::string_view payload) {
  Result<NoReplyFrame> frame = decode_no_reply(payload);
  if (!frame) return on_lost(frame.error().message);
  answer(frame->id, std::unexpected(CallError{.sent = frame->acted, .message = std::move(frame->message)}));
}

void Outbound::on_message(std::string_view payload) {
  Result<raft::Message> message = decode_message(payload);
  if (!message) return on_lost(message.error().message);
  if (!is_answer(*message)) return on_lost("a raft message that is no answer where answers are expected");
  context_.handler.on_message({.from = to_, .to = context_.options.self.member, .message = std::move(*message)});
}

void Outbound::on_frame(const Frame& frame) {
  if (frame.type == FrameType::Reply) return on_reply(frame.payload);
  if (frame.type == FrameType::NoReply) return on_no_reply(frame.payload);
  if (frame.type == FrameType::Message) return on_message(frame.payload);
  on_lost(fmt::format("a frame of type {} where answers are expected", static_cast<int>(frame.type)));
}

}  // namespace witan::peer
