// What a watch promises, held against the truth. The rules, for one attachment of a watcher to a member:
//
//   created   the first message says so, and no later one
//   ordered   events come in the order of their revisions, and within one in the order of its changes
//   unique    no event comes twice
//   complete  from the start on nothing is missing below the last event, and nothing at all when it lived to the end
//   atomic    the events of one revision come in one message, or in pieces of one when fragments were asked for
//   content   kind, key, value, lease and revisions are those of the truth; nothing is invented or out of range
//   previous  the value before comes when asked for and only then; compaction of the event's revision may take it away
//   filter    what was filtered out does not come
//   header    revisions of headers never decrease, are never below their events, and never ahead of the cluster
//   progress  at R says that every event up to R has come: none is missing and none comes later; a watcher that starts
//             in the future hears of none before its start
//   canceled  for compaction only when the watcher still needed what really was compacted; and nothing comes after it
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "verify/kv.h"
#include "verify/truth.h"
#include "verify/violation.h"

namespace witan::verify {

struct WatchEvent {
  bool deleted = false;
  std::string key;
  Version now;  // of a delete the mod_revision alone
  std::optional<Version> previous;
};

struct WatchMessage {
  // A response that says both created and canceled is recorded as two messages. Progress that a stream reports for all
  // its watchers is recorded with each one that is not canceled yet.
  enum class Kind : uint8_t { Created, Events, Progress, Canceled };
  Kind kind = Kind::Events;
  int64_t header_revision = 0;   // 0 is allowed when canceled, as etcd leaves it out there
  int64_t compact_revision = 0;  // when canceled for compaction
  std::vector<WatchEvent> events;
  bool more_fragments = false;  // the next message continues this one
  Instant at;                   // when the client received it
};

// One watcher on one stream, from its creation until one of the two ended.
struct WatchAttachment {
  std::string begin;           // empty: from the first key on
  std::string end;             // as in_range() reads it
  int64_t start_revision = 0;  // 0: what comes after the header of `created`
  bool prev_kv = false;
  bool no_put = false;
  bool no_delete = false;
  bool fragment = false;
  bool progress_notify = false;        // says how it was asked for; clients may ask for progress at any time as well
  std::vector<WatchMessage> messages;  // as received
  bool lived_to_the_end = false;       // the world was quiet, and the watcher had all the time it needs to catch up
};

std::vector<Violation> check_watch(const Truth& truth, const WatchAttachment& attachment);

// The attachments of one client's watch, one after the other, each resumed after what the one before had delivered:
//
//   resumable  together they miss nothing and repeat nothing, except what compaction canceled, and the pieces of a
//              revision whose last fragment never came
//
// Each is to be judged by check_watch() as well. Requires equal ranges and filters.
std::vector<Violation> check_resumption(const Truth& truth, const std::vector<WatchAttachment>& attachments);

std::string describe(const WatchMessage& message);

}  // namespace witan::verify
