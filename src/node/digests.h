// What members say of their states, and what follows from it (core S7). Values, no clock, no network.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "raft/types.h"
#include "store/store.h"

namespace witan::node {

// The digests at the newest entries, so that members which apply at different speeds can compare the same one.
class DigestLog {
 public:
  // After every applied entry, in order.
  void note(raft::Index index, const store::Digest& digest);
  // Another state took this one's place: what it was at earlier entries says nothing any more.
  void forget();
  // nullopt: not noted, or longer ago than the log reaches.
  std::optional<store::Digest> at(raft::Index index) const;
  raft::Index newest() const { return newest_; }

 private:
  struct Slot {
    raft::Index index;  // 0: empty
    store::Digest digest;
  };
  static constexpr size_t kSlots = 4096;

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);  // entry i stands in slot i modulo their number
  raft::Index newest_;
};

struct DigestReport {
  raft::NodeId member;
  bool voter = false;
  store::Digest digest;
};

struct Judgement {
  std::vector<raft::NodeId> majority;  // those of the digest that more than half of all voters have; may be empty
  std::vector<raft::NodeId> minority;  // the others, if there is a majority
  bool split = false;                  // they differ, and nobody has a majority
};

// `voters`: how many there are, whether they reported or not. All reports are of the same entry.
Judgement judge(const std::vector<DigestReport>& reports, size_t voters);

}  // namespace witan::node
