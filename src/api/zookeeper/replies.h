// What a ZooKeeper server says, framed. Views and spans need to live only as long as the call; a value's Blob is shared
// into the output, not copied.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "api/zookeeper/codes.h"
#include "api/zookeeper/records.h"
#include "base/blob.h"
#include "base/chain.h"

namespace witan::api::zookeeper {

// In the order they have on the wire, 68 bytes. Times are milliseconds since 1970.
struct Stat {
  int64_t czxid = 0;
  int64_t mzxid = 0;
  int64_t ctime = 0;
  int64_t mtime = 0;
  int32_t version = 0;
  int32_t cversion = 0;
  int32_t aversion = 0;
  int64_t ephemeral_owner = 0;  // 0 for containers and nodes with a TTL too
  int32_t data_length = 0;
  int32_t num_children = 0;
  int64_t pzxid = 0;
  friend bool operator==(const Stat&, const Stat&) = default;
};
inline constexpr size_t kStatBytes = 68;

struct ConnectResponse {
  int32_t protocol_version = 0;
  int32_t timeout_ms = 0;
  int64_t session_id = 0;
  std::array<char, kPasswordBytes> password{};
  // Nullopt to a client that sent no such byte: 36 bytes instead of 37.
  std::optional<bool> read_only;
};
// What a session that does not exist, or a wrong password, is told before the connection is closed.
inline ConnectResponse session_refused(std::optional<bool> read_only) { return {.read_only = read_only}; }

struct ReplyHeader {
  int32_t xid = 0;
  int64_t zxid = 0;
  ErrorCode error = ErrorCode::Ok;
};

// The bodies.
struct PathReply {  // create, sync
  JuteText path;
};
struct CreateReply {  // create2, createContainer, createTTL
  std::string_view path;
  Stat stat;
};
struct StatReply {  // exists, setData, setACL
  Stat stat;
};
struct DataReply {  // getData, reconfig
  Blob data;        // null is said as null
  Stat stat;
};
struct AclReply {  // getACL
  std::span<const Acl> acl;
  Stat stat;
};
struct ChildrenReply {  // getChildren, getEphemerals; with a Stat getChildren2
  std::span<const std::string_view> children;
  std::optional<Stat> stat;
};
struct CountReply {  // getAllChildrenNumber
  int32_t count = 0;
};
struct AddWatchReply {};  // an error code that is always Ok
struct ClientInfo {
  std::string_view scheme;
  std::string_view user;
};
struct SaslReply {
  JuteText token;  // null: none, also of the error that SASL fails with
};
struct WhoAmIReply {
  std::span<const ClientInfo> clients;
};

// The results of a multi's parts. Of one that failed as a whole every part is an ErrorResult: Ok before the part that
// failed, RuntimeInconsistency behind it; the reply's own header says Ok all the same.
struct DeleteResult {};
struct CheckResult {};
struct ErrorResult {
  ErrorCode error = ErrorCode::Ok;
};
// A PathReply stands for create; a CreateReply for the others, which all answer as create2; a StatReply for setData;
// ChildrenReply (without a Stat) and DataReply for the parts of a multiRead.
using MultiResult =
    std::variant<PathReply, CreateReply, DeleteResult, StatReply, CheckResult, DataReply, ChildrenReply, ErrorResult>;
struct MultiReply {
  std::span<const MultiResult> results;
};

using ReplyBody = std::variant<PathReply, CreateReply, StatReply, DataReply, AclReply, ChildrenReply, CountReply,
                               AddWatchReply, WhoAmIReply, SaslReply, MultiReply>;

struct WatcherEvent {
  EventType type = EventType::NodeCreated;
  KeeperState state = KeeperState::SyncConnected;
  std::string_view path;
};

void encode_connect_response(Chain& out, const ConnectResponse& response);
// A reply without a body: every error, and delete, ping, auth, setWatches, checkWatches, removeWatches, closeSession.
void encode_reply(Chain& out, const ReplyHeader& header);
// Requires header.error == Ok (checked): errors have no body.
void encode_reply(Chain& out, const ReplyHeader& header, const ReplyBody& body);
// The same without looking for the alternative; for the hot ones.
void encode_reply(Chain& out, const ReplyHeader& header, const DataReply& body);
void encode_reply(Chain& out, const ReplyHeader& header, const StatReply& body);
// A body by itself, and a reply with one that was made before its header. SASL alone has errors with a body.
Chain encode_body(const ReplyBody& body);
void encode_reply(Chain& out, const ReplyHeader& header, Chain body);
// A notification; `zxid` is that of the change.
void encode_event(Chain& out, int64_t zxid, const WatcherEvent& event);

}  // namespace witan::api::zookeeper
