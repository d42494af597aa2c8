// What consensus promises (thesis figure 3.2), told as plain numbers while a world runs. The rules:
//
//   election      a term has one leader
//   agreement     all members apply the same entry at an index, and reach the same digest with it
//   order         a life applies index after index, a snapshot never takes it back, and no log has a gap
//   terms         terms never decrease along a log
//   log-matching  entries of equal index and term are equal, and so are those before them, in all logs at all times
//   completeness  no leader elected after an entry was applied writes another one at its index
//   ahead         nobody starts from, or has a snapshot of, what nobody has applied
//   durable       what was acknowledged has been applied, and is on the disks of a majority
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "verify/violation.h"

namespace witan::verify {

// A running checksum of the whole state; equal states have equal ones.
struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};

struct Applied {
  uint64_t index = 0;  // 0: nothing yet
  uint64_t term = 0;
};

struct LogEntry {
  uint64_t index = 0;
  uint64_t term = 0;
  std::optional<uint64_t> content_hash;  // the same function as in Ledger::applied()
};

// What a member would find after a crash at this moment: its synced disk.
struct LogImage {
  uint64_t member = 0;
  uint64_t snapshot_index = 0;  // everything up to it is covered by the snapshot; 0: there is none
  std::optional<uint64_t> snapshot_term;
  std::vector<LogEntry> entries;  // ascending; may begin before the snapshot's end
};

class Ledger {
 public:
  // Told before anything of the term is written or applied.
  void leads(uint64_t member, uint64_t term, Instant when);

  // A new life of the member begins with the state at `index` (0: the empty state); the next it applies is index + 1.
  // The first life of a member that starts empty need not be announced.
  void restarted(uint64_t member, uint64_t index, Instant when);
  void applied(uint64_t member, uint64_t index, uint64_t term, uint64_t content_hash, Digest digest, Instant when);
  // The member's state was replaced by a snapshot's; the next it applies is index + 1.
  void installed(uint64_t member, uint64_t index, Digest digest, Instant when);

  // The last entry that anybody applied: it and all before it are committed.
  Applied highest() const;
  // The term with which the entry was committed; none when nobody has applied it.
  std::optional<uint64_t> term_of(uint64_t index) const;

  // Judges what is on the disks against each other, and against everything seen earlier.
  void check_images(const std::vector<LogImage>& images);
  // The entry applied at `index` is on disk, as entry or in a snapshot, at a majority of every set of voters. A member
  // without an image has an empty disk.
  void check_durable(uint64_t index, const std::vector<LogImage>& images,
                     const std::vector<std::set<uint64_t>>& quorums);

  // What was found since the last call.
  std::vector<Violation> take_violations() { return findings_.take(); }

 private:
  struct Committed {
    uint64_t term = 0;
    uint64_t content_hash = 0;
    Digest digest;
    uint64_t member = 0;  // who applied it first
    Instant when;
    uint64_t last_term = 0;  // the last in which somebody led by then: it was committed in that one or before
  };
  struct Written {
    std::optional<uint64_t> content_hash;
    std::optional<uint64_t> previous_term;  // of the entry before it, once a log showed both
    uint64_t member = 0;                    // who had it first
  };

  void commit(uint64_t index, const Committed& entry);
  void judge_log(const LogImage& image);
  void judge_entry(const LogImage& image, const LogEntry& entry, std::optional<uint64_t> previous_term);
  void judge_snapshot(const LogImage& image);

  std::map<uint64_t, uint64_t> leaders_;                      // by term
  std::map<uint64_t, uint64_t> positions_;                    // last index of each member's present life
  std::map<uint64_t, Committed> committed_;                   // by index
  std::map<std::pair<uint64_t, uint64_t>, Written> written_;  // by index and term
  Findings findings_;
};

}  // namespace witan::verify
