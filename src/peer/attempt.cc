#include "peer/attempt.h"

#include <utility>

#include "peer/handshake.h"

namespace witan::peer {

Attempt::Attempt(Context& context, const env::Address& address, Greeting greeting, Function<void(Attempted)> done)
    : context_(context), greeting_(std::move(greeting)), done_(std::move(done)) {
  context_.network.connect(context_.loop, address, context_.options.connect_timeout,
                           guard_.wrap([this](Result<std::unique_ptr<env::Connection>> connection) {
                             on_connected(std::move(connection));
                           }));
}

Attempt::~Attempt() { context_.loop.cancel(deadline_); }

void Attempt::on_connected(Result<std::unique_ptr<env::Connection>> connection) {
  if (!connection) return finish(std::unexpected(std::move(connection.error().message)));
  Link::Owner& owner = *this;
  link_ = std::make_unique<Link>(context_, std::move(*connection), Link::Side::Caller, owner);
  deadline_ = context_.loop.call_at(context_.loop.now() + context_.options.handshake_timeout, [this] {
    finish(std::unexpected("the connection was made but nobody answered the greeting in time"));
  });
  link_->start();
  link_->send(make_frame(FrameType::Hello, encode(greeting_)));
}

void Attempt::on_frame(const Frame& frame) {
  if (frame.type == FrameType::Welcome) return on_welcome(frame.payload);
  if (frame.type == FrameType::Refuse) return finish(std::unexpected("refused: " + printable(frame.payload)));
  finish(std::unexpected("something other than a welcome came first"));
}

void Attempt::on_welcome(std::string_view payload) {
  Result<Greeting> answer = decode_greeting(payload);
  if (!answer) return finish(std::unexpected(std::move(answer.error().message)));
  if (auto why = refuse_callee(greeting_, answer->hello, context_.find(greeting_.hello.target))) {
    return finish(std::unexpected(std::move(*why)));
  }
  link_->welcome();
  finish(Established{.link = std::move(link_), .hello = std::move(answer->hello)});
}

void Attempt::on_lost(std::string_view why) {
  finish(std::unexpected("the connection closed before a welcome: " + std::string(why)));
}

void Attempt::finish(Attempted outcome) {
  context_.loop.cancel(std::exchange(deadline_, 0));
  if (link_ != nullptr) {
    link_->close();
    context_.graveyard.bury(std::move(link_));
  }
  // The callback may bury this object; nothing of it is touched afterwards.
  Function<void(Attempted)> done = std::move(done_);
  if (done) done(std::move(outcome));
}

}  // namespace witan::peer
