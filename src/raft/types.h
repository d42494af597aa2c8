// The words of consensus that other rooms share: ids, entries, configurations, what must be on disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/blob.h"
#include "base/result.h"
#include "base/strong.h"
#include "base/time.h"

namespace witan::raft {

using NodeId = Strong<struct NodeIdTag>;  // 0 = nobody
using Term = Strong<struct TermTag>;      // 0 = before the first election
using Index = Strong<struct IndexTag>;    // the first entry has index 1; 0 = before the log

inline constexpr NodeId kNobody{};

enum class EntryKind : uint8_t {
  Command = 0,     // opaque to raft
  Membership = 1,  // an encoded Configuration; in force from the moment it is appended (core M2)
  Empty = 2,       // a new leader's first entry (thesis 6.4)
};

struct Entry {
  Term term;
  Index index;
  EntryKind kind = EntryKind::Command;
  Blob data;

  friend bool operator==(const Entry&, const Entry&) = default;
};

enum class Suffrage : uint8_t { None = 0, Learner = 1, Voter = 2 };

// One member of the group. During a joint change it may have one suffrage in the outgoing configuration
// and another in the incoming one; otherwise `outgoing` is None and means nothing.
struct Member {
  NodeId id;
  Suffrage incoming = Suffrage::None;
  Suffrage outgoing = Suffrage::None;
  Blob info;  // names, addresses, data directory's UUID: opaque to raft, stored with the membership

  friend bool operator==(const Member&, const Member&) = default;
};

// Who belongs to the group. The only record of membership there is (core M2).
struct Configuration {
  std::vector<Member> members;  // sorted by id, no id twice
  bool joint = false;           // thesis 4.3: quorums of both configurations are needed
  // Numbers 1-254 given to members are never reused (core M1); the highest given so far, and ids removed for good.
  uint32_t last_number = 0;
  std::vector<NodeId> removed;  // sorted
  uint64_t version = 0;         // counts changes; whoever makes the next configuration raises it ...
  WallTime changed;             // ... and says when that was by its clock

  const Member* find(NodeId id) const;
  bool is_voter(NodeId id) const;    // in either half of a joint configuration
  bool is_learner(NodeId id) const;  // a member that votes in neither half

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

std::string encode(const Configuration& configuration);
// Refuses what no encode() of a sorted configuration gives: damage, members out of order or twice, unknown suffrage.
Result<Configuration> decode_configuration(std::string_view bytes);
// "1:v 2:v 3:l", and "joint 1:v>v 2:v>- 3:->v" with the outgoing suffrage first.
std::string describe(const Configuration& configuration);

// Thesis figure 3.1, "persistent state". `commit` is a hint that may lag; it spares a restart from waiting.
struct HardState {
  Term term;
  NodeId vote;
  Index commit;

  friend bool operator==(const HardState&, const HardState&) = default;
};

// What a snapshot stands for: the log up to and including `index`.
struct SnapshotMeta {
  Index index;
  Term term;
  Configuration configuration;  // in force at `index`

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

}  // namespace witan::raft
