// A snapshot on its way to a member, on a connection of its own.
#pragma once

#include <memory>
#include <string>

#include "peer/attempt.h"
#include "peer/codec.h"
#include "peer/context.h"
#include "peer/link.h"

namespace witan::peer {

class SnapshotSender final : public Mortal, private Link::Owner {
 public:
  // `over` is called once, never inside the constructor; stop() and destruction mean never.
  // Requires: `to` stands in context.members and has an address.
  SnapshotSender(Context& context, raft::NodeId to, SnapshotOffer offer, std::unique_ptr<SnapshotSource> source,
                 Function<void(bool delivered)> over);

  void check(Instant now);
  void stop();
  raft::NodeId to() const { return to_; }

 private:
  void connect();
  void on_attempted(Attempted outcome);
  void on_frame(const Frame& frame) override;
  void on_lost(std::string_view why) override { finish(false, why); }
  void on_ack(std::string_view payload);
  void on_done(std::string_view payload);
  void pump();
  void on_read(Result<Blob> piece);
  void finish(bool delivered, std::string_view why);

  Context& context_;
  const raft::NodeId to_;
  const SnapshotOffer offer_;
  std::unique_ptr<SnapshotSource> source_;
  Function<void(bool)> over_;
  size_t next_address_ = 0;
  std::unique_ptr<Attempt> attempt_;
  std::unique_ptr<Link> link_;
  bool reading_ = false;
  uint64_t sent_ = 0;  // acked_ <= sent_ <= offer_.size
  uint64_t acked_ = 0;
  Instant progress_;  // when something last moved
  Guard guard_;
};

}  // namespace witan::peer
