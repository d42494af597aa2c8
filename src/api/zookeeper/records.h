// What ZooKeeper's clients say: the handshake and every request, as views into the packet they came in. Decoding
// allocates nothing; vectors are ranges that decode their items as they are walked, checked once before. Numbers that a
// handler answers for (flags, versions, permissions) stay as they were sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <variant>

#include "api/zookeeper/codes.h"
#include "wire/jute.h"

namespace witan::api::zookeeper {

using wire::JuteReader;
using wire::JuteText;

inline constexpr size_t kPasswordBytes = 16;

struct ConnectRequest {
  int32_t protocol_version = 0;
  int64_t last_zxid_seen = 0;
  int32_t timeout_ms = 0;
  int64_t session_id = 0;  // 0: a new session
  JuteText password;       // of any length
  bool read_only = false;
  bool has_read_only = false;  // clients up to 3.3 send no such byte, and must be answered without it
};
// Nullopt: it does not parse, close without a reply. Bytes behind it are ignored.
std::optional<ConnectRequest> decode_connect(std::string_view packet);

// The items of a vector that was already checked. Walking decodes them; item views point into the packet.
// Item needs `static Item read(JuteReader&)` or a specialisation of read_item().
template <class Item>
Item read_item(JuteReader& r) {
  return Item::read(r);
}
template <>
inline std::string_view read_item<std::string_view>(JuteReader& r) {
  return r.required_text();
}
template <class Item>
class Items {
 public:
  class Iterator {
   public:
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    Iterator(std::string_view rest, size_t left) : rest_(rest), left_(left) {}
    Item operator*() const {
      JuteReader r(rest_);
      return read_item<Item>(r);
    }
    Iterator& operator++() {
      JuteReader r(rest_);
      read_item<Item>(r);
      rest_ = r.rest();
      --left_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.left_ == b.left_; }

   private:
    std::string_view rest_;
    size_t left_ = 0;
  };

  Items() = default;
  // Requires: `size` items can be read from the front of `bytes`.
  Items(std::string_view bytes, size_t size) : bytes_(bytes), size_(size) {}
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Iterator begin() const { return {bytes_, size_}; }
  Iterator end() const { return {{}, 0}; }

 private:
  std::string_view bytes_;
  size_t size_ = 0;
};

// One entry of an access list. A null scheme or id reads as empty.
struct Acl {
  int32_t perms = 0;
  std::string_view scheme;
  std::string_view id;
  static Acl read(JuteReader& r);
  friend bool operator==(const Acl&, const Acl&) = default;
};
using AclList = Items<Acl>;  // a null list reads as empty: both are INVALIDACL
using PathList = Items<std::string_view>;

// Opcodes 1, 15, 19 and 21. Inside a multi, `op` is what the flags say, as ZooKeeper has it there: Create for 1, 15, 19
// and 21 alike, CreateContainer for the container flag, CreateTtl for opcode 21 with a TTL flag; Error for another one
// with a TTL flag, which makes the whole multi a malformed one when its turn comes.
struct CreateRequest {
  OpCode op = OpCode::Create;
  std::string_view path;
  JuteText data;
  AclList acl;
  int32_t flags = 0;
  int64_t ttl_ms = -1;  // -1 unless op is CreateTtl
  // Whether the answer has a Stat behind the path.
  bool answers_stat() const { return op != OpCode::Create; }
};
struct DeleteRequest {
  std::string_view path;
  int32_t version = -1;
};
// A server's own. ZooKeeper takes the whole packet of a client for the path, header and all, which no node has.
struct DeleteContainerRequest {};
struct ExistsRequest {
  std::string_view path;
  bool watch = false;
};
struct GetDataRequest {
  std::string_view path;
  bool watch = false;
};
struct SetDataRequest {
  std::string_view path;
  JuteText data;
  int32_t version = -1;
};
struct GetAclRequest {
  std::string_view path;
};
struct SetAclRequest {
  std::string_view path;
  AclList acl;
  int32_t version = -1;
};
struct GetChildrenRequest {
  std::string_view path;
  bool watch = false;
  bool with_stat = false;  // opcode 12
};
struct SyncRequest {
  JuteText path;  // echoed, null too
};
struct PingRequest {};
struct CheckRequest {
  std::string_view path;
  int32_t version = -1;
};

using WriteOp = std::variant<CreateRequest, DeleteRequest, SetDataRequest, CheckRequest>;
using ReadOp = std::variant<GetDataRequest, GetChildrenRequest>;
struct MultiRequest {
  Items<WriteOp> ops;
};
struct MultiReadRequest {
  Items<ReadOp> ops;
};
template <>
WriteOp read_item<WriteOp>(JuteReader& r);
template <>
ReadOp read_item<ReadOp>(JuteReader& r);

struct ReconfigRequest {
  JuteText joining_servers, leaving_servers, new_members;
  int64_t config_id = -1;
};
struct CheckWatchesRequest {
  std::string_view path;
  WatcherType type = WatcherType::Any;
};
struct RemoveWatchesRequest {
  std::string_view path;
  WatcherType type = WatcherType::Any;
};
struct AuthRequest {
  int32_t type = 0;
  std::string_view scheme;
  JuteText auth;
};
// Opcodes 101 and 105; the first has no persistent ones.
struct SetWatchesRequest {
  int64_t relative_zxid = 0;
  PathList data, exist, child, persistent, persistent_recursive;
};
struct SaslRequest {
  std::string_view token;
};
struct GetEphemeralsRequest {
  std::string_view prefix;  // null reads as empty: all of them
};
struct GetAllChildrenNumberRequest {
  std::string_view path;
};
struct AddWatchRequest {
  std::string_view path;
  AddWatchMode mode = AddWatchMode::Persistent;
};
struct WhoAmIRequest {};
struct CloseSessionRequest {};

using RequestBody =
    std::variant<std::monostate, CreateRequest, DeleteRequest, DeleteContainerRequest, ExistsRequest, GetDataRequest,
                 SetDataRequest, GetAclRequest, SetAclRequest, GetChildrenRequest, SyncRequest, PingRequest,
                 MultiRequest, MultiReadRequest, ReconfigRequest, CheckWatchesRequest, RemoveWatchesRequest,
                 AuthRequest, SetWatchesRequest, SaslRequest, GetEphemeralsRequest, GetAllChildrenNumberRequest,
                 AddWatchRequest, WhoAmIRequest, CloseSessionRequest>;

// What a server does with a packet, before it looks at its own state.
enum class Verdict : uint8_t {
  Ok,
  Malformed,      // answer MARSHALLINGERROR, keep the connection
  Unimplemented,  // answer UNIMPLEMENTED with zxid -1, then close
  Close,          // no answer: no header, or an auth or sasl packet that does not parse
};

struct Request {
  int32_t xid = 0;   // to be echoed; 0 when there is no header
  int32_t type = 0;  // as it was sent, an OpCode if the verdict is Ok
  Verdict verdict = Verdict::Close;
  RequestBody body;  // monostate unless the verdict is Ok
};
// Views point into `packet`. Bytes behind a record are ignored, as ZooKeeper does. A stand-alone check is Unimplemented
// (so it is from 3.8.5 and 3.9.3 on; before, it damaged the log).
Request decode_request(std::string_view packet);

}  // namespace witan::api::zookeeper
