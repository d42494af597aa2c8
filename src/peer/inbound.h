// A connection that somebody else made: first a stranger, then a member's lane, a joiner or a snapshot.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "peer/codec.h"
#include "peer/context.h"
#include "peer/link.h"
#include "peer/snapshot_receiver.h"

namespace witan::peer {

class Inbound final : public Mortal, private Link::Owner {
 public:
  class Owner {
   public:
    // The caller was taken; said once. False: it is one too many, with its purpose.
    virtual bool on_welcomed(Inbound& inbound) = 0;
    // It is over and may be buried. Said once, by itself or by close().
    virtual void on_over(Inbound& inbound) = 0;

   protected:
    ~Owner() = default;
  };

  Inbound(Context& context, std::unique_ptr<env::Connection> connection, uint64_t id, Owner& owner);
  void start() { link_.start(); }
  void check(Instant now);
  void close(std::string_view why);
  // Closes when the membership, which has changed, rules the caller out.
  void recheck();
  // To a caller that was taken for Control or Bulk: an answer to one of its raft messages.
  void send_answer(const raft::Message& message);

  uint64_t id() const { return id_; }
  bool is_stranger() const { return state_ == State::Stranger; }
  bool is_taken() const { return state_ == State::Taken; }
  // Of a caller that was taken.
  Purpose purpose() const { return caller_.purpose; }
  raft::NodeId from() const { return caller_.hello.member; }
  // Taken although the membership does not name it: only raft listens to it, and nothing is asked of this member.
  bool is_unknown() const;

 private:
  enum class State : uint8_t {
    Stranger,  // no Hello yet
    Taken,
    Leaving,  // refused, with the reason under way
    Over,
  };
  class Answer;

  void on_frame(const Frame& frame) override;
  void on_lost(std::string_view why) override { close(why); }
  void on_hello(std::string_view payload);
  std::optional<std::string> objection() const;
  void refuse(const std::string& why);
  void on_message(std::string_view payload);
  void on_call(std::string_view payload);
  void decline(uint64_t call, std::string why);
  // Ends the call `id` with `frame`.
  void settle(uint64_t id, Chain&& frame);

  Context& context_;
  const uint64_t id_;
  Owner& owner_;
  State state_ = State::Stranger;
  Link link_;
  Instant since_;
  Greeting caller_;
  std::unique_ptr<SnapshotReceiver> snapshot_;
  std::map<uint64_t, size_t> calls_;  // open ones: id and bytes
  size_t call_bytes_ = 0;
  Guard guard_;
};

}  // namespace witan::peer
