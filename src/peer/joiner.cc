#include "peer/joiner.h"

#include <utility>

#include <fmt/format.h>

namespace witan::peer {

Joiner::Joiner(Context& context, const env::Address& to, Call call, Duration timeout, Function<void(CallResult)> over)
    : context_(context), address_(to.text()), call_(std::move(call)), over_(std::move(over)) {
  // Whatever this member is, a joiner is nobody yet.
  Greeting greeting{.purpose = Purpose::Join, .hello = context_.options.self};
  greeting.hello.cluster_id = 0;
  greeting.hello.member = raft::kNobody;
  greeting.hello.target = raft::kNobody;
  attempt_ = std::make_unique<Attempt>(context_, to, std::move(greeting),
                                       [this](Attempted outcome) { on_attempted(std::move(outcome)); });
  deadline_ = context_.loop.call_at(context_.loop.now() + timeout, [this] { fail_with("no answer in time"); });
}

Joiner::~Joiner() { context_.loop.cancel(deadline_); }

void Joiner::check(Instant now) {
  if (link_ != nullptr) link_->check(now);
}

void Joiner::on_attempted(Attempted outcome) {
  context_.graveyard.bury(std::move(attempt_));
  if (!outcome) return fail_with(std::move(outcome.error()));
  link_ = std::move(outcome->link);
  link_->set_owner(*this);
  Chain payload = encode_call(1, call_.kind, call_.payload);
  if (payload.size() > context_.options.max_frame_bytes) return fail_with("the call is too large");
  sent_ = true;
  link_->send(make_frame(FrameType::Call, std::move(payload)));
}

void Joiner::on_frame(const Frame& frame) {
  if (frame.type == FrameType::Reply) {
    const Result<ReplyFrame> reply = decode_reply(frame.payload);
    return reply ? finish(Blob(reply->payload)) : fail_with(reply.error().message);
  }
  if (frame.type == FrameType::NoReply) {
    Result<NoReplyFrame> reply = decode_no_reply(frame.payload);
    if (!reply) return fail_with(std::move(reply.error().message));
    return finish(std::unexpected(CallError{.sent = reply->acted, .message = std::move(reply->message)}));
  }
  fail_with(fmt::format("a frame of type {} where an answer is expected", static_cast<int>(frame.type)));
}

void Joiner::on_lost(std::string_view why) { fail_with(fmt::format("the connection closed: {}", why)); }

void Joiner::fail_with(std::string message) {
  finish(std::unexpected(CallError{.sent = sent_, .message = fmt::format("{}: {}", address_, message)}));
}

void Joiner::finish(CallResult result) {
  context_.loop.cancel(std::exchange(deadline_, 0));
  if (link_ != nullptr) link_->close();
  context_.graveyard.bury(std::move(link_));
  context_.graveyard.bury(std::move(attempt_));
  Function<void(CallResult)> over = std::move(over_);
  if (over) over(std::move(result));
}

}  // namespace witan::peer
