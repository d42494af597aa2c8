#include "base/planted.h"

#ifdef WITAN_PLANTED_BUGS

#include <algorithm>
#include <array>

namespace witan {
namespace {

Bug planted_bug = Bug::None;

constexpr std::array kBugs = {
    BugInfo{Bug::AcknowledgeBeforeSync, "acknowledge-before-sync",
            "What is to be written counts as durable as soon as the disk was asked (etcd #14370)."},
    BugInfo{Bug::VoteNotPersisted, "vote-not-persisted",
            "A write of nothing but term and vote is left out, and reported as done."},
    BugInfo{Bug::CommitOldTermByCounting, "commit-old-term-by-counting",
            "A leader commits an entry of an earlier term because enough members have it (thesis 3.6.2, figure 3.7)."},
    BugInfo{Bug::ReadWithoutQuorum, "read-without-quorum",
            "Who believes to lead answers ReadIndex without asking anybody whether it still does (thesis 6.4)."},
    BugInfo{Bug::ReusedReadIndexId, "reused-read-index-id",
            "A read shares the round under way, whose answers may have been sent before the read came (etcd #20418)."},
    BugInfo{Bug::ReadJoinsAskedRound, "read-joins-asked-round",
            "A member's read takes the index that the leader was asked for before the read came."},
    BugInfo{Bug::TicketWithoutTerm, "ticket-without-term",
            "A completed write makes durable whatever stands at its indices and in its term now, also what took the "
            "place of what was written (the ABA race)."},
    BugInfo{Bug::LogCutBeforeSnapshotDurable, "log-cut-before-snapshot-durable",
            "The log goes when the snapshot that stands for it begins, not when it is durable."},
    BugInfo{Bug::UnsyncedDirectoryRename, "unsynced-directory-rename",
            "A snapshot gets its name without a sync of the directory, and the log before it goes."},
    BugInfo{Bug::LeaseRevokedByDeposedLeader, "lease-revoked-by-deposed-leader",
            "A leader's lease clock goes on after it is deposed, and what it ends is forwarded to its successor "
            "(etcd #15247)."},
    BugInfo{Bug::ProgressAheadOfEvents, "progress-ahead-of-events",
            "A watcher that is still reading history is told a revision whose events it has not got (etcd #15220)."},
    BugInfo{Bug::WatchEventDroppedAtCompaction, "watch-event-dropped-at-compaction",
            "A watch that begins exactly at the compacted revision misses that revision's events (etcd #18089)."},
    BugInfo{Bug::AppliedIndexApartFromEffects, "applied-index-apart-from-effects",
            "After a restart the log's commit index counts as applied, but the state is the snapshot's (etcd #13766)."},
    BugInfo{Bug::NonIdempotentReplay, "non-idempotent-replay",
            "A snapshot holds more than its index says, and a restart applies the rest again."},
    BugInfo{Bug::LockWithoutRecheck, "lock-without-recheck",
            "Who waited for a lock gets it without a look at whether its own key is still there (etcd #11456)."},
    BugInfo{Bug::DuplicateForward, "duplicate-forward",
            "A proposal whose connection broke half way is forwarded again, though it may be in the log."},
    BugInfo{Bug::SessionMoveIgnored, "session-move-ignored",
            "What a session sent on a connection that it has left is done all the same (core L5)."},
    BugInfo{Bug::ReadOvertakesOwnWrite, "read-overtakes-own-write",
            "A session's read is served from what the member has applied, whatever the session wrote before it."},
    BugInfo{Bug::WatchSetAgainForgets, "watch-set-again-forgets",
            "A one-shot watch that is set again waits for the next change, whatever happened in between."},
};

}  // namespace

bool planted(Bug bug) { return planted_bug == bug; }
void plant(Bug bug) { planted_bug = bug; }
std::span<const BugInfo> planted_bugs() { return kBugs; }

std::optional<Bug> parse_bug(std::string_view name) {
  const auto found = std::ranges::find(kBugs, name, &BugInfo::name);
  return found == kBugs.end() ? std::nullopt : std::optional(found->bug);
}

}  // namespace witan

#endif
