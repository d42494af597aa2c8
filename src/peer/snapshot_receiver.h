// A snapshot arriving: pieces go to the sink one after the other, and each is acknowledged when it is written.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "peer/codec.h"
#include "peer/context.h"
#include "peer/link.h"

namespace witan::peer {

// Owned by the connection it arrives on; destroyed with it, and the sink too if it is not finished.
class SnapshotReceiver {
 public:
  // `broken` is called at most once, with what is wrong with the sender; the connection is then to be closed.
  SnapshotReceiver(Context& context, Link& link, raft::NodeId from, Function<void(std::string_view why)> broken);

  void on_frame(const Frame& frame);

 private:
  void on_offer(std::string_view payload);
  void on_piece(std::string_view payload);
  void pump();
  void on_written(size_t size, const Result<>& result);
  void on_finished(const Result<>& result);
  void fail_with(const Error& error);
  // Tells the sender, an empty text for success, and takes nothing more.
  void end(std::string_view problem);

  Context& context_;
  Link& link_;
  const raft::NodeId from_;
  Function<void(std::string_view)> broken_;
  enum class State : uint8_t { Waiting, Receiving, Finishing, Over } state_ = State::Waiting;
  std::unique_ptr<SnapshotSink> sink_;
  uint64_t size_ = 0;
  uint64_t received_ = 0;  // written_ <= received_ <= size_
  uint64_t written_ = 0;
  bool writing_ = false;
  std::deque<Blob> pieces_;  // received, not yet given to the sink
  Guard guard_;
};

}  // namespace witan::peer
