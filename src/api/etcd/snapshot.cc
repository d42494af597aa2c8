// Maintenance.Snapshot: the member's whole state in the format of docs/formats/snapshot.md, as `etcdctl snapshot save`
// takes it: blobs of 32 KiB, then one of 32 bytes, the SHA-256 of everything before. etcdctl looks for that digest
// behind a multiple of 512 bytes, so the state is padded with zeros and ends with a trailer that tells its true length.
// remaining_bytes counts down to the digest, which it leaves out, as etcd's does.
#include <string>
#include <utility>

#include "api/etcd/handlers.h"
#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/snapshot_padding.h"
#include "base/check.h"
#include "base/digest.h"

namespace witan::api::etcd {
namespace {

constexpr size_t kBlobBytes = size_t{32} << 10;
// Sent ahead of what the client has taken.
constexpr size_t kAhead = size_t{256} << 10;

class SnapshotCall final : public StreamHandler {
 public:
  SnapshotCall(Service& service, CallKey call) : service_(service), call_(call) {}

  void on_message(std::string_view message) override {
    etcdserverpb::SnapshotRequest request;
    if (started_ || !service_.parse_stream(call_, message, request)) return;
    started_ = true;
    service_.client().snapshot([&service = service_, call = call_](auto answer) {
      auto* self = static_cast<SnapshotCall*>(service.transport().handler(call));
      if (self == nullptr) return;
      if (!answer) return service.fail(call, status_of(answer.error()));
      self->stream_ = std::move(*answer);
      self->length_ = self->stream_->remaining();
      self->remaining_ = padded_snapshot_bytes(self->length_);
      self->read();
    });
  }

  void on_writable() override { read(); }

 private:
  void read() {
    if (stream_ == nullptr || reading_ || service_.transport().pending(call_) > kAhead) return;
    reading_ = true;
    stream_->next(kBlobBytes, [&service = service_, call = call_](const node::Answer<Blob>& piece) {
      auto* self = static_cast<SnapshotCall*>(service.transport().handler(call));
      if (self != nullptr) self->on_piece(piece);
    });
  }

  void on_piece(const node::Answer<Blob>& piece) {
    reading_ = false;
    if (!piece) return service_.fail(call_, status_of(piece.error()));
    if (piece->empty()) return finish();
    buffer_.append(piece->view());
    send_full();
    read();
  }

  void send_full() {
    size_t sent = 0;
    for (; buffer_.size() - sent >= kBlobBytes; sent += kBlobBytes) {
      send(std::string_view(buffer_).substr(sent, kBlobBytes));
    }
    buffer_.erase(0, sent);
  }

  void finish() {
    append_snapshot_padding(buffer_, length_);
    send_full();
    if (!buffer_.empty()) send(buffer_);
    CHECK(remaining_ == 0, "{} bytes of a snapshot of {} are missing", remaining_, length_);
    const auto digest = digest_.finish();
    respond({reinterpret_cast<const char*>(digest.data()), digest.size()});
    service_.transport().finish(call_, {});
  }

  void send(std::string_view blob) {
    remaining_ -= blob.size();
    digest_.update(blob);
    respond(blob);
  }

  void respond(std::string_view blob) {
    etcdserverpb::SnapshotResponse response;
    response.set_remaining_bytes(remaining_);
    response.set_blob(blob.data(), blob.size());
    response.set_version(kStorageVersion);
    service_.send(call_, response);
  }

  Service& service_;
  const CallKey call_;
  std::unique_ptr<node::SnapshotStream> stream_;
  Sha256 digest_;
  std::string buffer_;      // not yet a whole blob
  uint64_t length_ = 0;     // of the state
  uint64_t remaining_ = 0;  // of the padded state, not yet sent
  bool started_ = false;
  bool reading_ = false;
};

}  // namespace

std::unique_ptr<StreamHandler> maintenance_snapshot(Service& service, CallKey call) {
  return std::make_unique<SnapshotCall>(service, call);
}

}  // namespace witan::api::etcd
