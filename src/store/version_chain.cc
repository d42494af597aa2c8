#include "store/version_chain.h"

#include <algorithm>

#include "base/check.h"

namespace witan::store {

Revision VersionChain::latest_revision() const {
  if (bits_ == 0) return Revision(0);
  return is_many() ? many()->back().at : single()->mod_revision;
}

const Version* VersionChain::at(Revision revision) const {
  if (!is_many()) return bits_ != 0 && single()->mod_revision <= revision ? single() : nullptr;
  const Many& steps = *many();
  // Most reads want the present.
  if (steps.back().at <= revision) return steps.back().version.get();
  const auto after =
      std::upper_bound(steps.begin(), steps.end(), revision, [](Revision r, const Step& step) { return r < step.at; });
  return after == steps.begin() ? nullptr : std::prev(after)->version.get();
}

void VersionChain::push(Revision revision, VersionRef version) {
  CHECK(revision >= latest_revision(), "revision {} after {}", revision.value, latest_revision().value);
  if (bits_ == 0 && version) {
    CHECK(version->mod_revision == revision, "a version of another revision");
    bits_ = reinterpret_cast<uintptr_t>(version.release());
    return;
  }
  if (!is_many()) {
    auto* steps = new Many;
    steps->reserve(2);
    if (bits_ != 0) {
      const Revision first = single()->mod_revision;
      steps->push_back({first, VersionRef(single())});
    }
    bits_ = reinterpret_cast<uintptr_t>(steps) | 1;
  }
  Many& steps = *many();
  if (!steps.empty() && steps.back().at == revision) {
    steps.back().version = std::move(version);
  } else {
    steps.push_back({revision, std::move(version)});
  }
}

void VersionChain::pop(Revision revision) {
  CHECK(bits_ != 0 && latest_revision() == revision, "nothing to take back at {}", revision.value);
  if (!is_many()) return clear();
  many()->pop_back();
  shrink();
}

size_t VersionChain::trim(Revision revision) {
  if (!is_many()) return 0;
  Many& steps = *many();
  const auto after =
      std::upper_bound(steps.begin(), steps.end(), revision, [](Revision r, const Step& step) { return r < step.at; });
  if (after == steps.begin()) return 0;
  auto keep = std::prev(after);
  if (!keep->version && keep->at < revision) ++keep;
  const auto dropped = static_cast<size_t>(keep - steps.begin());
  steps.erase(steps.begin(), keep);
  if (steps.capacity() > 2 * steps.size() + 8) steps.shrink_to_fit();
  shrink();
  return dropped;
}

void VersionChain::shrink() {
  Many* const steps = many();
  if (steps->size() > 1 || (steps->size() == 1 && !steps->front().version)) return;
  const Version* const last = steps->empty() ? nullptr : steps->front().version.release();
  delete steps;
  bits_ = reinterpret_cast<uintptr_t>(last);
}

void VersionChain::clear() {
  if (is_many()) {
    delete many();
  } else if (bits_ != 0) {
    const VersionRef dropped(single());
  }
  bits_ = 0;
}

}  // namespace witan::store
