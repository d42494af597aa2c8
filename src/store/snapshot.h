// The state at an applied index as a stream of bytes (core S4): docs/formats/snapshot.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

namespace witan::store {

// Writes the state as it was when the encoder was made, while the store goes on applying commands. Holds back physical
// compaction and makes the tables keep what they change. Thread and lifetime as the Store's readers.
class SnapshotEncoder {
 public:
  explicit SnapshotEncoder(Store& store);
  ~SnapshotEncoder();
  SnapshotEncoder(const SnapshotEncoder&) = delete;
  SnapshotEncoder& operator=(const SnapshotEncoder&) = delete;

  uint64_t applied_index() const;
  Revision revision() const;
  // Finds out how long the stream will be, without copying a value: about `budget` bytes of anything else a call. True
  // when size() is known. The first call must come before next() and before the store applies anything more.
  bool measure(size_t budget);
  // Of the whole stream. Requires that measure() has returned true.
  uint64_t size() const;
  // Appends about `budget` bytes: more when a row is larger, fewer or none after many keys that have nothing to write.
  // False when the stream is complete; what was appended by that last call belongs to it.
  bool next(size_t budget, std::string& out);

 private:
  struct Progress;
  std::unique_ptr<Progress> progress_;
  std::unique_ptr<Progress> meter_;  // while measuring
  std::optional<uint64_t> size_;
};

// Reads such a stream. Memory is bounded by what was fed: lengths in the stream reserve nothing. Hostile or damaged
// bytes give Corrupt, a newer format Refused, each naming the offset.
class SnapshotDecoder {
 public:
  SnapshotDecoder();
  ~SnapshotDecoder();
  SnapshotDecoder(const SnapshotDecoder&) = delete;
  SnapshotDecoder& operator=(const SnapshotDecoder&) = delete;

  // The next bytes, cut anywhere. After a failure every further call fails the same way.
  Result<> feed(std::string_view bytes);
  // The store, checked against the counts, checksum and digest in the stream. Requires nothing; call once, at the end.
  Result<std::unique_ptr<Store>> finish();

 private:
  struct Progress;
  std::unique_ptr<Progress> progress_;
};

}  // namespace witan::store
