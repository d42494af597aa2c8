#include "api/etcd/event.h"

#include <utility>

#include "api/etcd/encode.h"
#include "base/coding.h"

namespace witan::api::etcd {
namespace {

constexpr char kEventsTag = 0x5a;    // WatchResponse.events = 11
constexpr char kKvTag = 0x12;        // Event.kv = 2
constexpr char kPreviousTag = 0x1a;  // Event.prev_kv = 3

size_t field_size(size_t length) { return 1 + varint_size(length) + length; }

// Collects the pieces of an event: text grows the last piece until a value is shared.
class Pieces {
 public:
  explicit Pieces(std::string& text) : text_(text) {}

  void tag(char tag, size_t length) {
    text_.push_back(tag);
    put_varint(text_, length);
  }
  // The value must be the last thing of its message, or what follows goes to the next piece.
  void key_value(std::string_view key, const store::Version& version, Blob& piece, Blob& value) {
    FieldWriter fields(text_);
    fields.bytes(1, key);
    fields.sint(2, version.create_revision.value);
    fields.sint(3, version.mod_revision.value);
    fields.sint(4, version.version);
    fields.sint(6, version.lease.value);
    if (version.value.size() < Chain::kShareFrom) {
      fields.bytes(5, version.value);
      return;
    }
    tag(0x2a, version.value.size());
    piece = Blob(text_);
    text_.clear();
    value = version.value;
  }

 private:
  std::string& text_;
};

}  // namespace

EncodedEvent::EncodedEvent(const store::Change& change, store::Revision revision, bool with_previous) {
  // Of a deletion the key and the revision are shown and nothing else.
  const bool deleted = !change.after;
  size_t kv_size = 0;
  if (deleted) {
    kv_size = (change.key.empty() ? 0 : field_size(change.key.size())) + 1 +
              varint_size(static_cast<uint64_t>(revision.value));
  } else {
    kv_size = key_value_size(change.key.size(), *change.after, true);
  }
  const bool previous = with_previous && change.before;
  const size_t previous_size = previous ? key_value_size(change.key.size(), *change.before, true) : 0;

  std::string text;
  Pieces pieces(text);
  pieces.tag(kEventsTag, (deleted ? 2 : 0) + field_size(kv_size) + (previous ? field_size(previous_size) : 0));
  if (deleted) text.append("\x08\x01", 2);  // type = DELETE
  pieces.tag(kKvTag, kv_size);
  if (deleted) {
    FieldWriter fields(text);
    fields.bytes(1, change.key);
    fields.sint(3, revision.value);
  } else {
    pieces.key_value(change.key, *change.after, head_, value_);
  }
  if (previous) {
    pieces.tag(kPreviousTag, previous_size);
    Blob piece;
    pieces.key_value(change.key, *change.before, piece, previous_);
    if (!piece.is_null()) (head_.is_null() ? head_ : middle_) = std::move(piece);
  }
  if (!text.empty()) (head_.is_null() ? head_ : middle_) = Blob(text);
}

void EncodedEvent::append_to(Chain& out) const {
  out.append(head_);
  if (!value_.is_null()) out.append(value_);
  if (!middle_.is_null()) out.append(middle_);
  if (!previous_.is_null()) out.append(previous_);
}

const EncodedEvent& BatchEvents::event(uint32_t change, bool with_previous) {
  std::vector<EncodedEvent>& events = encoded_[with_previous ? 1 : 0];
  if (events.empty()) events.resize(batch_->changes.size());
  if (events[change].is_null()) {
    events[change] = EncodedEvent(batch_->changes[change], batch_->revision, with_previous);
  }
  return events[change];
}

}  // namespace witan::api::etcd
