#include "peer/snapshot_receiver.h"

#include <utility>

#include <fmt/format.h>

namespace witan::peer {
namespace {

// What a sender may have unacknowledged at most, whatever its own window: the receiver's memory is the receiver's
// bound.
constexpr uint64_t kMaxUnwritten = uint64_t{8} << 20;

}  // namespace

SnapshotReceiver::SnapshotReceiver(Context& context, Link& link, raft::NodeId from,
                                   Function<void(std::string_view)> broken)
    : context_(context), link_(link), from_(from), broken_(std::move(broken)) {}

void SnapshotReceiver::on_frame(const Frame& frame) {
  if (state_ == State::Over) return;  // pieces that were under way when we gave up
  if (frame.type == FrameType::SnapshotOffer && state_ == State::Waiting) return on_offer(frame.payload);
  if (frame.type == FrameType::SnapshotPiece && state_ == State::Receiving) return on_piece(frame.payload);
  broken_(fmt::format("a frame of type {} in the course of a snapshot", static_cast<int>(frame.type)));
}

void SnapshotReceiver::on_offer(std::string_view payload) {
  Result<SnapshotOffer> offer = decode_snapshot_offer(payload);
  if (!offer) return broken_(offer.error().message);
  size_ = offer->size;
  state_ = State::Receiving;
  sink_ = context_.handler.on_snapshot(from_, offer->term, std::move(offer->meta), size_);
  if (sink_ == nullptr) return end("the member does not want a snapshot now");
  pump();
}

void SnapshotReceiver::on_piece(std::string_view payload) {
  if (payload.empty() || payload.size() > size_ - received_)
    return broken_("a snapshot's piece beyond its announced size");
  received_ += payload.size();
  if (received_ - written_ > kMaxUnwritten) return broken_("a snapshot sent faster than it is acknowledged");
  pieces_.emplace_back(payload);
  pump();
}

void SnapshotReceiver::pump() {
  if (writing_ || state_ != State::Receiving) return;
  if (!pieces_.empty()) {
    writing_ = true;
    Blob piece = std::move(pieces_.front());
    pieces_.pop_front();
    const size_t size = piece.size();
    sink_->write(std::move(piece), guard_.wrap([this, size](const Result<>& result) { on_written(size, result); }));
  } else if (written_ == size_) {
    state_ = State::Finishing;
    sink_->finish(guard_.wrap([this](const Result<>& result) { on_finished(result); }));
  }
}

void SnapshotReceiver::on_written(size_t size, const Result<>& result) {
  writing_ = false;
  if (!result) return fail_with(result.error());
  written_ += size;
  link_.send(make_frame(FrameType::SnapshotAck, encode_snapshot_ack(written_)));
  pump();
}

void SnapshotReceiver::on_finished(const Result<>& result) {
  if (!result) return fail_with(result.error());
  end({});
}

void SnapshotReceiver::fail_with(const Error& error) {
  context_.log.warn("a snapshot from member {:x} is thrown away: {}", from_.value, error.message);
  // An empty text would say that all went well.
  end(error.message.empty() ? code_name(error.code) : std::string_view(error.message));
}

void SnapshotReceiver::end(std::string_view problem) {
  state_ = State::Over;
  // The sink may be calling us at this moment.
  context_.loop.post([gone = std::move(sink_)] {});
  pieces_.clear();
  link_.send(make_frame(FrameType::SnapshotDone, encode_snapshot_done(problem)));
}

}  // namespace witan::peer
