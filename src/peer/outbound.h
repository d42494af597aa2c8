// One lasting connection to one member, made again whenever it breaks.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "peer/attempt.h"
#include "peer/codec.h"
#include "peer/context.h"
#include "peer/link.h"

namespace witan::peer {

class Outbound final : public Mortal, private Link::Owner {
 public:
  // Begins to connect. Requires: `to` stands in context.members, until stop() is called.
  Outbound(Context& context, raft::NodeId to, Lane lane);
  ~Outbound() override;

  // Gives up: open calls fail, nothing is said to anybody else. To be buried.
  void stop();
  // The member's record changed: connects anew if it forbids what there is.
  void record_changed();
  // The member is known to be there at this moment: no more waiting.
  void connect_soon();
  void check(Instant now);

  // Dropped when there is no connection or its queue is full.
  void send(const raft::Message& message);
  void call(Call call, Duration timeout, Function<void(CallResult)> done);

  // Since when it is up.
  std::optional<Instant> up_since() const;

 private:
  struct OpenCall {
    Function<void(CallResult)> done;
    env::TimerId timeout = 0;
  };

  void connect();
  void on_attempted(Attempted outcome);
  void on_frame(const Frame& frame) override;
  void on_reply(std::string_view payload);
  void on_message(std::string_view payload);
  void on_no_reply(std::string_view payload);
  void on_lost(std::string_view why) override;
  void retry_later();
  void disconnect();
  void fail_calls(std::string_view why);
  void answer(uint64_t id, CallResult result);
  // Runs `done` in a turn of its own.
  void refuse(Function<void(CallResult)> done, CallError error);
  bool full(size_t more) const;
  std::string name() const;

  Context& context_;
  const raft::NodeId to_;
  const Lane lane_;
  std::unique_ptr<Attempt> attempt_;  // at most one of attempt_, link_ and retry_ is set
  std::unique_ptr<Link> link_;
  env::TimerId retry_ = 0;
  Duration delay_;
  size_t next_address_ = 0;
  env::Address address_;  // the one used last
  std::string uuid_;      // what the member said when link_ was made
  Instant since_;
  uint64_t dropped_ = 0;  // messages since the queue was last below its bound
  uint64_t last_call_ = 0;
  std::map<uint64_t, OpenCall> calls_;
  Complaint complaint_;
};

}  // namespace witan::peer
