// HashKV (reference 1.12): a checksum of the history up to a revision that members can compare.
#include <algorithm>

#include "base/check.h"
#include "base/coding.h"
#include "base/crc32c.h"
#include "store/state.h"
#include "store/store.h"

namespace witan::store {

struct HashReader::Progress {
  const State& state;
  Pin pin;
  HashKv out;
  std::string from;
  bool done = false;
  std::string scratch;

  void add(std::string_view key, const VersionChain& chain);
  void add_step(std::string_view key, Revision at, const Version* version);
};

// Only what every member must still have: versions above the compacted revision, and the one that was present there. A
// deletion exactly at it is skipped, as etcd does since it keeps those (#19179).
void HashReader::Progress::add(std::string_view key, const VersionChain& chain) {
  size_t first = 0;
  while (first + 1 < chain.size() && chain.revision_of(first + 1) <= out.compacted) ++first;
  for (size_t i = first; i < chain.size() && chain.revision_of(i) <= out.hashed; ++i) {
    if (chain.version_of(i) == nullptr && chain.revision_of(i) <= out.compacted) continue;
    add_step(key, chain.revision_of(i), chain.version_of(i));
  }
}

void HashReader::Progress::add_step(std::string_view key, Revision at, const Version* version) {
  scratch.clear();
  put_fixed64(scratch, key.size());
  scratch.append(key);
  put_fixed64(scratch, static_cast<uint64_t>(at.value));
  if (version != nullptr) {
    for (const int64_t number :
         {version->create_revision.value, version->version, version->lease.value, version->created.ms(),
          version->modified.ms(), static_cast<int64_t>(version->value.size())}) {
      put_fixed64(scratch, static_cast<uint64_t>(number));
    }
  }
  out.hash = crc32c(scratch, out.hash);
  if (version != nullptr) out.hash = crc32c(version->value.view(), out.hash);
}

Outcome<HashReader> Store::start_hash(Revision revision) const {
  const Failure failure = state_->readable(revision);
  if (failure.reason != Reason::None) return std::unexpected(failure);
  const HashKv begin{.hashed = revision > Revision(0) ? revision : state_->revision, .compacted = state_->compacted};
  return HashReader(std::unique_ptr<HashReader::Progress>(
      new HashReader::Progress{.state = *state_, .pin = state_->pins.hold(state_->compacted), .out = begin}));
}

HashReader::HashReader(std::unique_ptr<Progress> progress) : progress_(std::move(progress)) {}
HashReader::HashReader(HashReader&&) noexcept = default;
HashReader& HashReader::operator=(HashReader&&) noexcept = default;
HashReader::~HashReader() = default;

bool HashReader::step(size_t budget) {
  Progress& p = *progress_;
  if (p.done) return true;
  size_t looked = 0;
  for (Index::Cursor cursor = p.state.index.lower_bound(p.from); !cursor.done(); cursor.next()) {
    if (looked++ >= std::max<size_t>(budget, 1)) {
      p.from = cursor.key();
      return false;
    }
    p.add(cursor.key(), cursor.chain());
  }
  p.done = true;
  p.pin = Pin();
  return true;
}

HashKv HashReader::result() const {
  CHECK(progress_->done, "a hash is known only at its end");
  return progress_->out;
}

}  // namespace witan::store
