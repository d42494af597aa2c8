#include "base/blob.h"

#include <cstdlib>
#include <limits>
#include <new>

#include "base/check.h"

namespace witan {

Blob::Rep* Blob::allocate(size_t size) {
  CHECK(size <= std::numeric_limits<uint32_t>::max(), "a blob of {} bytes; the limit is 4 GiB", size);
  void* memory = ::operator new(sizeof(Rep) + size);
  return new (memory) Rep{.references = 1, .size = static_cast<uint32_t>(size)};
}

void Blob::destroy(Rep* rep) {
  rep->~Rep();
  ::operator delete(rep);
}

Blob::Blob(std::string_view bytes) : rep_(allocate(bytes.size())) {
  if (!bytes.empty()) std::memcpy(bytes_of(rep_), bytes.data(), bytes.size());
}

Blob Blob::uninitialized(size_t size) { return Blob(allocate(size)); }

char* Blob::mutable_data() {
  CHECK(rep_ != nullptr && rep_->references.load(std::memory_order_acquire) == 1, "a shared blob is immutable");
  return bytes_of(rep_);
}

}  // namespace witan
