// The only thing an API sees of a member. One Client per API loop; every call is made, every callback and every
// Listener call comes, on that loop. Callbacks run exactly once, never inside the call that took them.
//
// Order (core F1): change batches and replies reach a loop in one first-in first-out sequence of apply order, so a
// change is seen before every reply that could reflect it.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/blob.h"
#include "base/function.h"
#include "base/result.h"
#include "base/time.h"
#include "store/command.h"
#include "store/types.h"

namespace witan::node {

using MemberId = uint64_t;  // 0 = nobody

// ---- Outcomes (core P2) -------------------------------------------------------------------------

enum class Refusal : uint8_t {
  NoLeader,         // nobody to ask, or the leader went away before it took the request
  TooManyRequests,  // a bound was reached
  TooLarge,         // the command exceeds the request limit
  Stopping,         // this member is shutting down
  LeaderChanged,    // an entry of another term took its place in the log
  Timeout,          // a read or a query was not answered in time (nothing was changed by it)
  Other,
};

// Certainly not applied.
struct NotApplied {
  Refusal refusal = Refusal::Other;
  std::string message;
};
// It may have been applied, or may be later.
struct Unknown {
  enum class Why : uint8_t { Timeout, LeaderLost, ConnectionLost, Stopping } why = Why::Timeout;
};
// Applied on this member; what came of it may still be a store::Failure.
struct Done {
  store::Reply reply;
  uint64_t term = 0;
};
using Outcome = std::variant<Done, NotApplied, Unknown>;

// What a read or a query gives; the Error's text is for logs, `refusal` decides the API's code.
template <class T>
using Answer = std::expected<T, NotApplied>;

enum class Consistency : uint8_t {
  Linearizable,  // reflects everything acknowledged anywhere before it was asked
  Local,         // this member's present state
};

// ---- Watching -----------------------------------------------------------------------------------

// What a loop knows about the cluster. Sent once at the start and whenever it changes.
struct View {
  MemberId leader = 0;
  uint64_t term = 0;
  bool is_learner = false;
  bool is_leader = false;
  uint32_t number = 0;  // this member's, 1 to 254; 0: not known yet
  // Of what settled_members() tells right behind this view: a number that rises with every change, and when the last
  // one was.
  uint64_t members_version = 0;
  WallTime members_changed;
};

// A session that came to an end or to another connection, wherever that was (core L5).
struct SessionNews {
  store::LeaseId id;
  uint64_t generation = 0;  // what is older is dead; 0: the session has ended
};

// Who asks: with every command of a ZooKeeper session. Views need not outlive the call.
struct Caller {
  store::LeaseId session;
  uint64_t generation = 0;
  std::vector<std::string_view> principals;
};
// Names a proposal of a loop for reads that must come after it; 0: none.
using Ticket = uint64_t;

class Listener {
 public:
  virtual ~Listener() = default;
  // Revisions come in order, each once; between them only a gap can make them jump.
  virtual void on_changes(std::span<const store::ChangeBatchPtr> batches) = 0;
  // Batches of revisions [from, to] will not come: read history (core F4). A snapshot's installation is one too.
  virtual void on_gap(store::Revision from, store::Revision to) = 0;
  virtual void on_view(const View& view) = 0;
  // In the same sequence: after the changes that it came with, before the reply to who asked for it.
  virtual void on_session(const SessionNews& /*news*/) {}
  // The member is going down: finish streams, accept nothing new.
  virtual void on_stop() = 0;
};

struct HistoryRequest {
  std::vector<store::KeyRange> ranges;  // a batch that touches none of them is left out
  store::Revision from;                 // first revision wanted
  size_t max_batches = 1000;
};
struct History {
  std::vector<store::ChangeBatchPtr> batches;  // whole revisions, in order; changes outside the ranges included
  store::Revision through;                     // complete up to and including this revision
  bool caught_up = false;     // `through` is this loop's present revision: changes from through + 1 on will come live
  store::Revision compacted;  // `from` <= compacted (and not == where etcd allows it): nothing was read
  bool was_compacted = false;
  store::Revision revision;  // of the store, for headers
  uint64_t term = 0;
};

// ---- Leases -------------------------------------------------------------------------------------

struct LeaseRenewal {
  int64_t ttl_ms = 0;  // 0: no such lease (it may have expired)
};
struct LeaseTime {
  bool found = false;
  int64_t granted_ms = 0;
  int64_t remaining_ms = 0;
  std::vector<Blob> keys;  // sorted, when asked for
};

// ---- Members and maintenance --------------------------------------------------------------------

struct MemberInfo {
  MemberId id = 0;
  std::string name;                      // empty: not started yet
  std::vector<std::string> peer_urls;    // with scheme
  std::vector<std::string> client_urls;  // empty: not started yet
  bool is_learner = false;
  uint32_t number = 0;         // 1 to 254
  std::string zookeeper;       // "host:port" for ZooKeeper's clients; empty: none
  uint16_t election_port = 0;  // that a reconfig named, only to be shown again; 0: none
};

struct AddMember {
  std::vector<std::string> peer_urls;
  bool learner = false;
};
struct RemoveMember {
  MemberId id = 0;
};
struct UpdateMember {
  MemberId id = 0;
  std::vector<std::string> peer_urls;
};
struct PromoteMember {
  MemberId id = 0;
};
// Several changes in one, as ZooKeeper's `reconfig` asks for them: by number.
struct JoiningMember {
  uint32_t number = 0;                 // of a member: it is changed; otherwise one above all that were ever given
  std::vector<std::string> peer_urls;  // a member that has all of them keeps its others too
  std::string zookeeper;
  bool learner = false;
  uint16_t election_port = 0;  // as in MemberInfo
  friend bool operator==(const JoiningMember&, const JoiningMember&) = default;
};
struct ReplaceMembers {
  std::vector<JoiningMember> joining;
  std::vector<uint32_t> leaving;  // those that join as well stay; numbers of nobody are passed over
  bool whole = false;             // whoever does not join leaves
  std::optional<uint64_t> expected_version;
  friend bool operator==(const ReplaceMembers&, const ReplaceMembers&) = default;
};
using MemberChange = std::variant<AddMember, RemoveMember, UpdateMember, PromoteMember, ReplaceMembers>;

enum class MemberFailure : uint8_t {
  NotFound,
  IdExists,
  PeerUrlExists,
  BadUrls,
  NotLearner,
  LearnerNotReady,
  TooManyLearners,
  NumbersUsedUp,     // 254 members were added in the cluster's life (core M1)
  NotEnoughStarted,  // the change would leave too few started voters for a quorum
  Unhealthy,         // the leader is not connected to a quorum
  ChangeInProgress,
  VersionMismatch,  // the membership is not the one that the change was made for
  NoLeader,
  Timeout,
  Stopping,
};
struct MembersChanged {
  std::vector<MemberInfo> members;  // after the change, with the version and time that a View will tell of it
  uint64_t version = 0;
  WallTime changed;
  MemberId subject = 0;  // the member added or changed
  uint64_t term = 0;
};

struct Status {
  uint64_t cluster_id = 0;
  MemberId member_id = 0;
  MemberId leader = 0;
  uint64_t term = 0;
  uint64_t commit_index = 0;
  uint64_t applied_index = 0;
  store::Revision revision;
  store::Revision compacted;
  bool is_learner = false;
  int64_t bytes_in_use = 0;     // accounted by the store
  int64_t bytes_allocated = 0;  // data directory: log and snapshots
  int64_t quota_bytes = 0;      // 0: none
  std::vector<store::AlarmChange> alarms;
};

// What operators of the ZooKeeper view ask about this member's present state.
struct Census {
  int64_t nodes = 0;       // that clients can see, "/" and the fixed ones below /zookeeper included
  int64_t data_bytes = 0;  // of live keys of every kind, with what is kept for each
  int64_t memory_bytes = 0;
  size_t sessions = 0;
  size_t session_keys = 0;  // ephemeral nodes
  struct Session {
    store::LeaseId id;
    int64_t timeout_ms = 0;
    std::vector<Blob> keys;  // what it owns, sorted
  };
  std::vector<Session> list;  // by id, only when asked for
  size_t voters = 0;
  size_t learners = 0;
  size_t members = 0;  // both
  bool votes = false;  // this member
  // Only from the leader itself.
  struct Leading {
    size_t followers = 0;         // voters heard of lately
    size_t synced_followers = 0;  // of them those that take the log, not a snapshot
    size_t synced_learners = 0;
    Duration since{};            // it became leader
    int64_t last_proposal = -1;  // bytes; -1: none yet
    int64_t min_proposal = -1;
    int64_t max_proposal = -1;
  };
  std::optional<Leading> leading;
};

struct KvHash {
  uint32_t hash = 0;
  store::Revision hash_revision;
  store::Revision compacted;
  store::Revision revision;
  uint64_t term = 0;
};

enum class HashFailure : uint8_t { Compacted, Future };

// A consistent copy of the whole state, in the format of docs/formats/snapshot.md, piece by piece.
class SnapshotStream {
 public:
  virtual ~SnapshotStream() = default;  // gives up
  // The next piece, at most about `max_bytes`; empty at the end.
  virtual void next(size_t max_bytes, Function<void(Answer<Blob>)> done) = 0;
  // Bytes in pieces that have not come yet; exact.
  virtual uint64_t remaining() const = 0;
};

class Client {
 public:
  virtual ~Client() = default;

  // What never changes while the process lives.
  virtual uint64_t cluster_id() const = 0;
  virtual MemberId member_id() const = 0;
  // The present view and revision of this loop (what it has been told so far).
  virtual View view() const = 0;
  virtual store::Revision revision() const = 0;

  // Where changes go. Before the first call nothing is delivered. The listener must outlive the client.
  virtual void listen(Listener& listener) = 0;

  // Replicates `body` and answers when this member has applied it. The body's views are not needed after the call.
  virtual void propose(const store::Body& body, Function<void(Outcome)> done) = 0;

  // The same for a session. Its proposals keep their order: one that might overtake another fails as Unknown or
  // NotApplied instead, and nothing is sent twice (core L5).
  virtual Ticket propose_as(const Caller& caller, const store::Body& body, Function<void(Outcome)> done) = 0;
  // Reads this member's state right after the proposal `after` was applied (or as it is, when there is none or it is
  // over), and before anything that was proposed later is: what the session wrote before it is there, what it wrote
  // behind it is not. `body`: NodeReads.
  virtual void read_as(const Caller& caller, const store::Body& body, Ticket after,
                       Function<void(Answer<Done>)> done) = 0;
  // Runs `done` once this member has applied all that was acknowledged anywhere before the call (ReadIndex).
  virtual void sync(Function<void(Answer<store::Revision>)> done) = 0;
  // Tells the leader that these sessions are alive. Answers with those that have ended. The answer means that the
  // leader, confirmed by a quorum, counts their time anew from a moment after this call.
  virtual void renew_sessions(std::vector<store::LeaseId> ids,
                              Function<void(Answer<std::vector<store::LeaseId>>)> done) = 0;

  // Evaluates `body` (a Range, or a Txn of nothing but ranges) without the log. Long ranges run in slices at one
  // revision.
  virtual void read(const store::Body& body, Consistency consistency, Function<void(Answer<Done>)> done) = 0;

  // Past changes for a watch that starts before the present, or to arm one (core F3).
  virtual void history(HistoryRequest request, Function<void(Answer<History>)> done) = 0;

  virtual void renew_lease(store::LeaseId id, store::LeaseKind kind, Function<void(Answer<LeaseRenewal>)> done) = 0;
  virtual void lease_time(store::LeaseId id, bool with_keys, Function<void(Answer<LeaseTime>)> done) = 0;
  virtual void leases(store::LeaseKind kind, Function<void(Answer<std::vector<store::LeaseId>>)> done) = 0;

  // Of the newest change in the log, which may yet be taken back: whoever added a member and got no answer finds it
  // here also when it is this member that the quorum waits for.
  virtual void members(Consistency consistency, Function<void(Answer<std::vector<MemberInfo>>)> done) = 0;
  // Those that are certain, and not on the way from one configuration to another, on this member.
  virtual void settled_members(Function<void(Answer<std::vector<MemberInfo>>)> done) = 0;
  virtual void change_members(MemberChange change,
                              Function<void(std::expected<MembersChanged, MemberFailure>)> done) = 0;
  // NotLeader: ask the leader. Invalid: no such voter. Timeout: it did not take over.
  virtual void move_leader(MemberId to, Function<void(Result<>)> done) = 0;

  virtual void status(Function<void(Status)> done) = 0;
  virtual void census(bool with_sessions, Function<void(Census)> done) = 0;
  virtual void hash_kv(store::Revision revision, Function<void(std::expected<KvHash, HashFailure>)> done) = 0;
  virtual void snapshot(Function<void(Answer<std::unique_ptr<SnapshotStream>>)> done) = 0;
};

}  // namespace witan::node
