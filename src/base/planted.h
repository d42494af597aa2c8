// Deliberate bugs, with which the simulator is tested: each is one that somebody shipped, at the place where a careless
// change would make it, and has to be found. They exist only where WITAN_PLANTED_BUGS is on (the preset `planted`);
// everywhere else planted() is false while compiling, so nothing of them reaches an object file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/check.h"

namespace witan {

// A bug is described in planted.cc. Every one stands somewhere in the product (./dev tidy).
enum class Bug : uint8_t {
  None,
  AcknowledgeBeforeSync,
  VoteNotPersisted,
  CommitOldTermByCounting,
  ReadWithoutQuorum,
  ReusedReadIndexId,
  ReadJoinsAskedRound,
  TicketWithoutTerm,
  LogCutBeforeSnapshotDurable,
  UnsyncedDirectoryRename,
  LeaseRevokedByDeposedLeader,
  ProgressAheadOfEvents,
  WatchEventDroppedAtCompaction,
  AppliedIndexApartFromEffects,
  NonIdempotentReplay,
  LockWithoutRecheck,
  DuplicateForward,
  SessionMoveIgnored,
  ReadOvertakesOwnWrite,
  WatchSetAgainForgets,
};

struct BugInfo {
  Bug bug;
  std::string_view name;  // kebab-case
  std::string_view what;  // a sentence
};

#ifdef WITAN_PLANTED_BUGS

inline constexpr bool kBugsCanBePlanted = true;

bool planted(Bug bug);

// From now on, in the whole process, this bug and no other; None: no bug. Call it while no member runs: one that
// changes its ways half way fails in ways that the bug does not explain.
void plant(Bug bug);

// All but None, in the order of Bug.
std::span<const BugInfo> planted_bugs();
std::optional<Bug> parse_bug(std::string_view name);

#else

inline constexpr bool kBugsCanBePlanted = false;

consteval bool planted(Bug) { return false; }

// The same words, so that who plants bugs is one source for both builds.
inline void plant(Bug bug) { CHECK(bug == Bug::None, "this build has no bugs to plant"); }
constexpr std::span<const BugInfo> planted_bugs() { return {}; }
constexpr std::optional<Bug> parse_bug(std::string_view) { return std::nullopt; }

#endif

}  // namespace witan
