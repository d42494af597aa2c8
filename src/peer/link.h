// A connection with frames on it, which notices when nobody is at the other end any more.
#pragma once

#include <memory>
#include <string_view>

#include "base/chain.h"
#include "env/loop.h"
#include "env/network.h"
#include "peer/context.h"
#include "peer/frame.h"

namespace witan::peer {

class Link final : public Mortal, private env::ConnectionHandler {
 public:
  class Owner {
   public:
    // Neither pings nor pongs come here.
    virtual void on_frame(const Frame& frame) = 0;
    // The connection is over, by itself or by damage; nothing follows. Not called for what the owner closes.
    virtual void on_lost(std::string_view why) = 0;

   protected:
    ~Owner() = default;
  };

  // The side that pings is the one that connected.
  enum class Side : uint8_t { Caller, Callee };

  // Takes frames of kMaxGreetingBytes until welcome() is called.
  Link(Context& context, std::unique_ptr<env::Connection> connection, Side side, Owner& owner);

  void start();
  void set_owner(Owner& owner) { owner_ = &owner; }
  void welcome() { reader_.set_max(context_.options.max_frame_bytes); }

  void send(Chain&& frame);
  size_t unsent() const { return connection_->unsent(); }
  // Called now and then: pings, and loses the connection when nothing was heard within the idle timeout.
  void check(Instant now);
  // The owner hears nothing any more; to be buried.
  void close() { state_ = State::Closed; }
  // Sends what is unsent first. No frame comes any more, on_lost does.
  void close_after_flush();
  bool open() const { return state_ == State::Open; }

  const std::string& remote() const { return connection_->peer().remote; }

 private:
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override;
  void lose(std::string_view why);

  Context& context_;
  std::unique_ptr<env::Connection> connection_;
  Owner* owner_;
  const Side side_;
  FrameReader reader_{kMaxGreetingBytes};
  enum class State : uint8_t { Open, Leaving, Closed } state_ = State::Open;
  Instant heard_;  // when there last was proof of life
  Instant pinged_;
  uint64_t written_ = 0;      // bytes given to the connection so far
  uint64_t left_ = 0;         // of them gone at the last check
  bool pushed_back_ = false;  // at the last check more lay unsent than a single turn explains
};

}  // namespace witan::peer
