// Events of watches, encoded once for every watcher they go to.
#pragma once

#include <cstdint>
#include <vector>

#include "base/blob.h"
#include "base/chain.h"
#include "store/types.h"

namespace witan::api::etcd {

// One event as a field of a WatchResponse: up to four pieces, large values being those of the store itself.
class EncodedEvent {
 public:
  EncodedEvent() = default;
  EncodedEvent(const store::Change& change, store::Revision revision, bool with_previous);

  bool is_null() const { return head_.is_null(); }
  size_t size() const { return head_.size() + value_.size() + middle_.size() + previous_.size(); }
  void append_to(Chain& out) const;

 private:
  Blob head_, value_, middle_, previous_;
};

// The events of one batch, encoded when somebody wants them. Lives while the batch is being handed out.
class BatchEvents {
 public:
  explicit BatchEvents(store::ChangeBatchPtr batch) : batch_(std::move(batch)) {}

  const store::ChangeBatch& batch() const { return *batch_; }
  const EncodedEvent& event(uint32_t change, bool with_previous);

 private:
  store::ChangeBatchPtr batch_;
  std::vector<EncodedEvent> encoded_[2];  // empty, or one for each change; without and with the previous value
};

// One change of a batch.
struct EventRef {
  BatchEvents* events = nullptr;
  uint32_t change = 0;

  const store::Change& get() const { return events->batch().changes[change]; }
  store::Revision revision() const { return events->batch().revision; }
};

}  // namespace witan::api::etcd
