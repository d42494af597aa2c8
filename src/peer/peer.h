// Members talking to members. Frames are length-bounded and checksummed (docs/formats/peer.md).
//
// Between two members there are, each way, two lasting connections, so that a heartbeat never queues behind a megabyte
// of entries (core M3, L7): `Control` for heartbeats, votes, read rounds and lease renewals; `Bulk` for entries and
// forwarded proposals. A snapshot travels on a connection of its own that lives as long as it does. All calls and
// callbacks on the loop given at construction.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"
#include "base/chain.h"
#include "base/function.h"
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "env/loop.h"
#include "env/network.h"
#include "raft/message.h"

namespace witan::peer {

// What a connection begins with (core M1).
struct Hello {
  uint32_t min_protocol = 1;
  uint32_t max_protocol = 1;
  uint32_t feature_level = 1;
  uint64_t cluster_id = 0;  // 0 with member 0: somebody who wants to join and may only ask kAskMembers
  raft::NodeId member;
  raft::NodeId target;  // whom the caller believes to have reached; 0 when joining
  std::string directory_uuid;
};

// A peer as the membership records it.
struct PeerRecord {
  raft::NodeId id;
  std::vector<env::Address> addresses;  // tried in turn
  std::string directory_uuid;           // empty: not known yet, anyone with the right id is believed
};

enum class Lane : uint8_t { Control, Bulk };

// A question to another member and its answer; the payload is the caller's business.
struct Call {
  uint8_t kind = 0;
  Lane lane = Lane::Control;
  Blob payload;
};
struct CallError {
  bool sent = false;  // true: the other side may have acted on it (core P2)
  std::string message;
};
using CallResult = std::expected<Blob, CallError>;

// Answers a Call. Dropping it without answering fails the call at the other side with sent = true.
using Responder = Function<void(Blob reply)>;

// Where a snapshot's bytes come from (usually a file on a lane) and where they go.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  virtual uint64_t size() const = 0;
  // The next piece; empty at the end. One at a time.
  virtual void read(size_t max_bytes, Function<void(Result<Blob>)> done) = 0;
};
class SnapshotSink {
 public:
  virtual ~SnapshotSink() = default;  // destroyed unfinished: the connection broke, throw the rest away
  // The next piece is asked for when `done` is called: this is the flow control.
  virtual void write(Blob piece, Function<void(Result<>)> done) = 0;
  // All bytes are there; `done` after they are checked and durable.
  virtual void finish(Function<void(Result<>)> done) = 0;
};

// Told what arrives. May call any member of Peers from within, but must not destroy it there.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void on_message(raft::Envelope envelope) = 0;
  virtual void on_call(raft::NodeId from, Call call, Responder respond) = 0;  // from 0: a joiner
  // A lasting connection to `to` broke or could not be made. At most once per attempt.
  virtual void on_unreachable(raft::NodeId to) = 0;
  // A snapshot of `size` bytes is offered; null refuses it.
  virtual std::unique_ptr<SnapshotSink> on_snapshot(raft::NodeId from, raft::Term term, raft::SnapshotMeta meta,
                                                    uint64_t size) = 0;
};

struct Options {
  Hello self;                                 // target is filled in per connection
  size_t max_frame_bytes = size_t{16} << 20;  // larger frames close the connection
  size_t max_queue_bytes =
      size_t{64} << 20;  // unsent per peer and lane; beyond it raft messages are dropped, calls refused
  Duration connect_timeout = seconds(2);
  Duration min_retry = milliseconds(50);  // doubles up to max_retry, with jitter
  Duration max_retry = seconds(2);
  Duration handshake_timeout = seconds(3);  // from a connection to both sides knowing each other
  Duration ping_interval = seconds(1);      // said by the side that connected, answered by the other
  Duration idle_timeout = seconds(4);       // nothing heard for so long: the connection is dead, whatever TCP says
  size_t max_strangers = 64;                // connections that have not said who they are; the oldest gives way
  size_t snapshot_piece_bytes = size_t{256} << 10;
  size_t snapshot_window_bytes = size_t{1} << 20;  // sent but not yet written by the receiver
  Duration snapshot_patience = seconds(120);       // without any progress a snapshot is given up
};

class Peers {
 public:
  Peers(Options options, env::Loop& loop, env::Network& network, Rng rng, Handler& handler, Logger log);
  ~Peers();  // closes everything; callbacks of open calls are not called any more

  // Errors: Io (the port is in use, ...).
  Result<> listen(const env::Address& address);
  env::Address local() const;  // after listen(), with the port the system chose for 0

  // Connects to those not yet connected, drops those not named. A known id with another directory UUID is refused when
  // it calls, and who was `removed`. An id never heard of is taken, because its membership may be newer than this one:
  // its raft messages and snapshots are passed on, its calls are not (core M1). `self` may be among them and is
  // skipped.
  void set_members(std::vector<PeerRecord> members, const std::vector<raft::NodeId>& removed = {});

  // At most once, in order per peer and lane; dropped when there is no connection. Appends go by Bulk, the rest by
  // Control. To who is not a member here only answers go, and only while it is connected.
  void send(raft::Envelope envelope);

  // The callback runs exactly once: the answer, or why there is none. Never retried here.
  void call(raft::NodeId to, Call call, Duration timeout, Function<void(CallResult)> done);
  // To somebody whose id is not known yet, as a joiner with cluster id 0 and member 0.
  void call_address(const env::Address& to, Call call, Duration timeout, Function<void(CallResult)> done);

  // Streams `source` on its own connection. True: the receiver has it, checked and durable.
  void send_snapshot(raft::NodeId to, raft::Term term, raft::SnapshotMeta meta, std::unique_ptr<SnapshotSource> source,
                     Function<void(bool delivered)> done);

  bool connected(raft::NodeId to) const;
  // Since when a connection to `to` has been up without a break; nullopt when it is down.
  std::optional<Instant> connected_since(raft::NodeId to) const;
  // Told when a known peer's Hello arrives: its feature level and directory UUID (the leader records them).
  void on_hello(Function<void(const Hello&)> callback);

 private:
  struct Core;
  std::unique_ptr<Core> core_;
};

}  // namespace witan::peer
