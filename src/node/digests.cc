#include "node/digests.h"

#include <algorithm>

namespace witan::node {

void DigestLog::note(raft::Index index, const store::Digest& digest) {
  slots_[index.value % kSlots] = {index, digest};
  newest_ = index;
}

void DigestLog::forget() {
  std::ranges::fill(slots_, Slot());
  newest_ = raft::Index(0);
}

std::optional<store::Digest> DigestLog::at(raft::Index index) const {
  const Slot& slot = slots_[index.value % kSlots];
  if (index == raft::Index(0) || slot.index != index) return std::nullopt;
  return slot.digest;
}

Judgement judge(const std::vector<DigestReport>& reports, size_t voters) {
  const auto same = [&](const DigestReport& report) {
    return static_cast<size_t>(std::ranges::count_if(
        reports, [&](const DigestReport& other) { return other.voter && other.digest == report.digest; }));
  };
  Judgement judgement;
  const auto winner = std::ranges::find_if(reports, [&](const DigestReport& r) { return same(r) * 2 > voters; });
  if (winner == reports.end()) {
    judgement.split = std::ranges::any_of(
        reports, [&](const DigestReport& report) { return report.digest != reports.front().digest; });
    return judgement;
  }
  for (const DigestReport& report : reports) {
    (report.digest == winner->digest ? judgement.majority : judgement.minority).push_back(report.member);
  }
  return judgement;
}

}  // namespace witan::node
