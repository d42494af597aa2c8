// Log entries from a hostile member: decoding them is total, encoding what was decoded is stable, and applying it never
// breaks the store: after every run its snapshot restores to the same digest.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "store/command.h"
#include "store/snapshot.h"
#include "store/store.h"

namespace witan::store {
namespace {

void check_snapshot(Store& store) {
  SnapshotEncoder encoder(store);
  std::string bytes;
  while (encoder.next(1 << 16, bytes)) {
  }
  SnapshotDecoder decoder;
  CHECK(decoder.feed(bytes), "a snapshot of ours is refused");
  const auto restored = decoder.finish();
  CHECK(restored && (*restored)->digest() == store.digest(), "a snapshot differs from its store");
}

// Input: entries, each behind two bytes of length. One that does not begin as a command is given an empty header, so
// that mutations reach the bodies.
void run(std::string_view input) {
  const std::string header(encode({.body = Nothing{}}).view().substr(0, 46));
  Store store;
  Store twin;
  uint64_t index = 0;
  while (input.size() >= 2) {
    const size_t length =
        static_cast<unsigned char>(input[0]) | static_cast<size_t>(static_cast<unsigned char>(input[1])) << 8;
    std::string entry(input.substr(2, length));
    input.remove_prefix(2 + entry.size());
    if (!origin_of(entry)) entry.insert(0, header);
    const Result<Command> command = decode(entry);
    if (!command) continue;
    const Blob again = encode(*command);
    const Result<Command> second = decode(again);
    CHECK(second, "what was encoded here is not understood here");
    CHECK(encode(*second) == again, "encoding is not stable");
    ++index;
    store.apply(index, *command, true);
    twin.apply(index, *second, false);
    store.compact_step(2);
  }
  CHECK(store.digest() == twin.digest(), "members with equal logs differ");
  check_snapshot(store);
}

}  // namespace
}  // namespace witan::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::store::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
