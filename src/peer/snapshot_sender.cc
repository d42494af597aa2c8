#include "peer/snapshot_sender.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace witan::peer {

SnapshotSender::SnapshotSender(Context& context, raft::NodeId to, SnapshotOffer offer,
                               std::unique_ptr<SnapshotSource> source, Function<void(bool)> over)
    : context_(context), to_(to), offer_(std::move(offer)), source_(std::move(source)), over_(std::move(over)),
      progress_(context.loop.now()) {
  connect();
}

void SnapshotSender::connect() {
  const std::vector<env::Address>& addresses = context_.find(to_)->addresses;
  Greeting greeting{.purpose = Purpose::Snapshot, .hello = context_.options.self};
  greeting.hello.target = to_;
  attempt_ = std::make_unique<Attempt>(context_, addresses[next_address_ % addresses.size()], std::move(greeting),
                                       [this](Attempted outcome) { on_attempted(std::move(outcome)); });
}

void SnapshotSender::on_attempted(Attempted outcome) {
  context_.graveyard.bury(std::move(attempt_));
  if (!outcome) {
    const PeerRecord* record = context_.find(to_);
    // Each address once; raft asks again when all have failed.
    if (record != nullptr && ++next_address_ < record->addresses.size()) return connect();
    return finish(false, outcome.error());
  }
  link_ = std::move(outcome->link);
  link_->set_owner(*this);
  progress_ = context_.loop.now();
  context_.log.info("sending member {:x} a snapshot of {} bytes at index {}", to_.value, offer_.size,
                    offer_.meta.index);
  link_->send(make_frame(FrameType::SnapshotOffer, encode(offer_)));
  pump();
}

// One read at a time, and no further ahead of the receiver than the window.
void SnapshotSender::pump() {
  const uint64_t window = context_.options.snapshot_window_bytes;
  if (link_ == nullptr || reading_ || sent_ == offer_.size || sent_ - acked_ >= window) return;
  reading_ = true;
  const uint64_t most =
      std::min<uint64_t>({context_.options.snapshot_piece_bytes, offer_.size - sent_, window - (sent_ - acked_)});
  source_->read(most, guard_.wrap([this](Result<Blob> piece) { on_read(std::move(piece)); }));
}

void SnapshotSender::on_read(Result<Blob> piece) {
  reading_ = false;
  if (link_ == nullptr) return;
  if (!piece) return finish(false, piece.error().message);
  if (piece->empty() || piece->size() > offer_.size - sent_) {
    return finish(false, fmt::format("the snapshot is not of the {} bytes it was announced with", offer_.size));
  }
  sent_ += piece->size();
  progress_ = context_.loop.now();
  Chain payload;
  payload.append(*piece);
  link_->send(make_frame(FrameType::SnapshotPiece, std::move(payload)));
  pump();
}

void SnapshotSender::on_frame(const Frame& frame) {
  if (frame.type == FrameType::SnapshotAck) return on_ack(frame.payload);
  if (frame.type == FrameType::SnapshotDone) return on_done(frame.payload);
  finish(false, fmt::format("a frame of type {} in answer to a snapshot", static_cast<int>(frame.type)));
}

void SnapshotSender::on_ack(std::string_view payload) {
  const Result<uint64_t> written = decode_snapshot_ack(payload);
  if (!written) return finish(false, written.error().message);
  if (*written < acked_ || *written > sent_) return finish(false, "an acknowledgement of bytes that were not sent");
  acked_ = *written;
  progress_ = context_.loop.now();
  pump();
}

void SnapshotSender::on_done(std::string_view payload) {
  const Result<std::string> problem = decode_snapshot_done(payload);
  if (!problem) return finish(false, problem.error().message);
  if (!problem->empty()) return finish(false, *problem);
  if (sent_ != offer_.size) return finish(false, "it was called complete before it was");
  finish(true, {});
}

void SnapshotSender::check(Instant now) {
  if (link_ == nullptr) return;
  if (now - progress_ >= context_.options.snapshot_patience) return finish(false, "it made no progress");
  link_->check(now);
}

void SnapshotSender::stop() {
  over_ = nullptr;
  if (link_ != nullptr) link_->close();
  context_.graveyard.bury(std::move(link_));
  context_.graveyard.bury(std::move(attempt_));
}

void SnapshotSender::finish(bool delivered, std::string_view why) {
  if (delivered) {
    context_.log.info("member {:x} has the snapshot at index {}", to_.value, offer_.meta.index);
  } else {
    context_.log.warn("the snapshot at index {} did not reach member {:x}: {}", offer_.meta.index, to_.value, why);
  }
  Function<void(bool)> over = std::move(over_);
  stop();
  if (over) over(delivered);
}

}  // namespace witan::peer
