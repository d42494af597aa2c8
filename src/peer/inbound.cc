#include "peer/inbound.h"

#include <utility>

#include <fmt/format.h>

#include "peer/handshake.h"

namespace witan::peer {
namespace {

constexpr size_t kMaxOpenCalls = 8192;  // of one connection; more are refused
constexpr size_t kMaxCallBytes = size_t{64} << 20;
constexpr Duration kLongestLeave = seconds(2);  // for a refusal to reach who does not read
constexpr Duration kLongestJoin = seconds(60);  // for the single question of a joiner

}  // namespace

// The Responder's other half: answers once, and says so when nobody did.
class Inbound::Answer {
 public:
  Answer(Inbound& inbound, uint64_t id) : alive_(inbound.guard_.watch()), inbound_(inbound), id_(id) {}
  ~Answer() {
    if (!open_) return;
    settle(make_frame(FrameType::NoReply,
                      encode(NoReplyFrame{.id = id_, .acted = true, .message = "the member gave no answer"})));
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  void reply(const Blob& payload) {
    if (open_) settle(make_frame(FrameType::Reply, encode_reply(id_, payload)));
  }

 private:
  void settle(Chain&& frame) {
    open_ = false;
    if (!alive_.expired()) inbound_.settle(id_, std::move(frame));
  }

  std::weak_ptr<const char> alive_;
  Inbound& inbound_;
  uint64_t id_;
  bool open_ = true;
};

Inbound::Inbound(Context& context, std::unique_ptr<env::Connection> connection, uint64_t id, Owner& owner)
    : context_(context), id_(id), owner_(owner), link_(context, std::move(connection), Link::Side::Callee, *this),
      since_(context.loop.now()) {}

void Inbound::check(Instant now) {
  const Duration age = now - since_;
  switch (state_) {
    case State::Stranger:
      if (age >= context_.options.handshake_timeout) close("it did not say who it is");
      return;
    case State::Leaving:
      if (age >= kLongestLeave) close("the refusal was not read");
      return;
    case State::Taken:
      if (caller_.purpose == Purpose::Join && age >= kLongestJoin) return close("a joiner asked nothing");
      return link_.check(now);
    case State::Over: return;
  }
}

void Inbound::close(std::string_view why) {
  if (state_ == State::Over) return;
  if (state_ == State::Taken && caller_.purpose != Purpose::Join) {
    context_.log.info("the connection from member {:x} ({}) ended: {}", from().value, link_.remote(), why);
  } else if (state_ == State::Stranger) {
    context_.log.debug("a connection from {} ended: {}", link_.remote(), why);
  }
  state_ = State::Over;
  link_.close();
  owner_.on_over(*this);
}

std::optional<std::string> Inbound::objection() const {
  return refuse_caller(context_.options.self, caller_, context_.find(from()), context_.removed.contains(from()));
}

bool Inbound::is_unknown() const { return caller_.purpose != Purpose::Join && context_.find(from()) == nullptr; }

void Inbound::recheck() {
  if (state_ != State::Taken || caller_.purpose == Purpose::Join) return;
  if (const auto why = objection()) close(*why);
}

void Inbound::refuse(const std::string& why) {
  state_ = State::Leaving;
  since_ = context_.loop.now();
  context_.log.warn("refused a connection from {}: {}", link_.remote(), why);
  link_.send(make_frame(FrameType::Refuse, why));
  link_.close_after_flush();
}

void Inbound::on_hello(std::string_view payload) {
  Result<Greeting> caller = decode_greeting(payload);
  if (!caller) return close(caller.error().message);
  caller_ = std::move(*caller);
  if (const auto why = objection()) return refuse(*why);
  if (!owner_.on_welcomed(*this)) return refuse("too many who are not members are connected at this moment: try again");
  state_ = State::Taken;
  since_ = context_.loop.now();
  link_.welcome();
  Greeting mine{.purpose = caller_.purpose, .hello = context_.options.self};
  mine.hello.target = from();
  link_.send(make_frame(FrameType::Welcome, encode(mine)));
  if (caller_.purpose == Purpose::Join) return;
  if (is_unknown()) {
    context_.log.info("member {:x}, which this member does not know, connected from {}", from().value, link_.remote());
  } else {
    context_.log.debug("member {:x} connected from {}", from().value, link_.remote());
  }
  if (caller_.purpose == Purpose::Snapshot) {
    snapshot_ =
        std::make_unique<SnapshotReceiver>(context_, link_, from(), [this](std::string_view why) { close(why); });
    return;
  }
  if (context_.hello && !is_unknown()) context_.hello(caller_.hello);
}

void Inbound::on_frame(const Frame& frame) {
  if (state_ == State::Stranger) {
    return frame.type == FrameType::Hello ? on_hello(frame.payload)
                                          : close("something other than a greeting came first");
  }
  if (state_ != State::Taken) return;
  if (snapshot_ != nullptr) return snapshot_->on_frame(frame);
  if (frame.type == FrameType::Call) return on_call(frame.payload);
  if (frame.type == FrameType::Message && caller_.purpose != Purpose::Join) return on_message(frame.payload);
  close(fmt::format("a frame of type {} where it makes no sense", static_cast<int>(frame.type)));
}

void Inbound::on_message(std::string_view payload) {
  Result<raft::Message> message = decode_message(payload);
  if (!message) return close(message.error().message);
  context_.handler.on_message({.from = from(), .to = context_.options.self.member, .message = std::move(*message)});
}

void Inbound::on_call(std::string_view payload) {
  const Result<CallFrame> call = decode_call(payload);
  if (!call) return close(call.error().message);
  if (calls_.contains(call->id)) return close("a call with the number of one that is still open");
  if (is_unknown()) return decline(call->id, fmt::format("it does not know member {:x} yet", from().value));
  const size_t bytes = call->payload.size();
  if (calls_.size() >= kMaxOpenCalls || call_bytes_ + bytes > kMaxCallBytes) {
    return decline(call->id, "the member has too many calls to answer");
  }
  calls_.emplace(call->id, bytes);
  call_bytes_ += bytes;
  const Lane lane = caller_.purpose == Purpose::Bulk ? Lane::Bulk : Lane::Control;
  auto answer = std::make_unique<Answer>(*this, call->id);
  context_.handler.on_call(from(), Call{.kind = call->kind, .lane = lane, .payload = Blob(call->payload)},
                           [answer = std::move(answer)](const Blob& reply) { answer->reply(reply); });
}

void Inbound::decline(uint64_t call, std::string why) {
  link_.send(
      make_frame(FrameType::NoReply, encode(NoReplyFrame{.id = call, .acted = false, .message = std::move(why)})));
}

void Inbound::send_answer(const raft::Message& message) {
  Chain payload = encode(message);
  if (link_.unsent() + payload.size() > context_.options.max_queue_bytes) return;  // as lost as on a connection of ours
  link_.send(make_frame(FrameType::Message, std::move(payload)));
}

void Inbound::settle(uint64_t id, Chain&& frame) {
  const auto at = calls_.find(id);
  if (state_ != State::Taken || at == calls_.end()) return;
  call_bytes_ -= at->second;
  calls_.erase(at);
  // A caller that does not read its answers loses the connection, not our memory.
  if (link_.unsent() + frame.size() > context_.options.max_queue_bytes) return close("answers are not read");
  link_.send(std::move(frame));
}

}  // namespace witan::peer
