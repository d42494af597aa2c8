#include "peer/link.h"

#include <utility>

namespace witan::peer {
namespace {

// So much unsent means that the system's own buffers are full.
constexpr size_t kPushedBack = size_t{64} << 10;

}  // namespace

Link::Link(Context& context, std::unique_ptr<env::Connection> connection, Side side, Owner& owner)
    : context_(context), connection_(std::move(connection)), owner_(&owner), side_(side) {
  heard_ = pinged_ = context_.loop.now();
}

void Link::start() { connection_->start(*this); }

void Link::send(Chain&& frame) {
  if (!open()) return;
  written_ += frame.size();
  connection_->write(std::move(frame));
}

void Link::close_after_flush() {
  state_ = State::Leaving;
  connection_->close_after_flush();
}

void Link::on_bytes(std::string_view bytes) {
  if (!open()) return;
  heard_ = context_.loop.now();
  reader_.feed(bytes);
  Frame frame;
  while (open() && reader_.next(frame)) {
    if (frame.type == FrameType::Ping) {
      // Somebody who pings without reading gets no more answers than this.
      if (unsent() < kPushedBack) send(make_frame(FrameType::Pong));
    } else if (frame.type != FrameType::Pong) {
      owner_->on_frame(frame);
    }
  }
  if (open() && !reader_.error().empty()) lose(reader_.error());
}

void Link::on_closed(std::string_view reason) {
  if (state_ != State::Closed) lose(reason);
}

void Link::lose(std::string_view why) {
  state_ = State::Closed;
  owner_->on_lost(why);
}

void Link::check(Instant now) {
  if (!open()) return;
  // The pong may wait behind megabytes of ours. When the system had refused to take more and now took some, the other
  // end acknowledged bytes; small writes prove nothing, they vanish into buffers long after the other end is gone.
  const uint64_t left = written_ - unsent();
  if (pushed_back_ && left > left_) heard_ = now;
  left_ = left;
  pushed_back_ = unsent() >= kPushedBack;
  if (now - heard_ >= context_.options.idle_timeout) return lose("nothing was heard from the other end");
  if (side_ == Side::Caller && now - pinged_ >= context_.options.ping_interval) {
    pinged_ = now;
    send(make_frame(FrameType::Ping));
  }
}

}  // namespace witan::peer
