// Snapshots from a hostile member or a bad disk: read in pieces of any size they give a store or a clean error, and
// what a store they give does goes on working.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "store/command.h"
#include "store/snapshot.h"
#include "store/store.h"

namespace witan::store {
namespace {

void use(Store& store) {
  store.apply(store.applied_index() + 1, {.body = Put{.key = "/a/b", .value = "v"}}, true);
  store.apply(store.applied_index() + 1, {.body = DeleteRange{}}, true);
  store.apply(store.applied_index() + 1, {.body = Compact{store.revision()}}, true);
  while (store.compact_step(100)) {
  }
  CHECK(store.range({})->items.empty(), "everything was deleted");
}

// The first byte says how the rest is cut. Pieces and the whole must be judged alike.
void run(std::string_view input) {
  if (input.empty()) return;
  const size_t piece = 1 + static_cast<unsigned char>(input[0]);
  std::string bytes(input.substr(1));
  // The checksum would stop every mutation at the door; give them the right one.
  if (piece % 2 == 0 && bytes.size() >= 4) {
    bytes.resize(bytes.size() - 4);
    put_fixed32(bytes, crc32c(bytes));
  }
  SnapshotDecoder whole;
  const bool fed_whole = whole.feed(bytes).has_value();
  auto store = whole.finish();
  CHECK(fed_whole || !store, "an error was forgotten");
  SnapshotDecoder pieces;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    if (!pieces.feed(std::string_view(bytes).substr(at, piece))) break;
  }
  auto other = pieces.finish();
  CHECK(store.has_value() == other.has_value(), "the cutting makes a difference");
  if (!store) return;
  CHECK((*store)->digest() == (*other)->digest(), "the cutting makes a difference");
  if ((*store)->applied_index() < UINT64_MAX - 3) use(**store);
}

}  // namespace
}  // namespace witan::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  witan::store::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
