// The hot requests of KV, decoded by hand: views into the message, no copies (design 7: protobuf copies every bytes
// field). Tests compare them with the generated classes. Enumerations stay numbers: unknown ones have meanings of their
// own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace witan::api::etcd {

struct RangeRequest {
  std::string_view key, range_end;
  int64_t limit = 0;
  int64_t revision = 0;
  int32_t sort_order = 0;
  int32_t sort_target = 0;
  bool serializable = false;
  bool keys_only = false;
  bool count_only = false;
  int64_t min_mod = 0, max_mod = 0, min_create = 0, max_create = 0;
};

struct PutRequest {
  std::string_view key, value;
  int64_t lease = 0;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteRequest {
  std::string_view key, range_end;
  bool prev_kv = false;
};

struct CompareRequest {
  std::string_view key, range_end;
  int32_t result = 0;
  int32_t target = 0;
  uint32_t given = 0;  // field number of the value that was given, 4 to 8; 0: none
  int64_t number = 0;  // when given is not 7
  std::string_view value;
};

struct OperationRequest;
struct TxnRequest {
  std::vector<CompareRequest> compares;
  std::vector<OperationRequest> success;
  std::vector<OperationRequest> failure;
};
struct OperationRequest {
  // monostate: an operation that says nothing.
  std::variant<std::monostate, RangeRequest, PutRequest, DeleteRequest, TxnRequest> what;
};

// False when `bytes` are no such message. Views point into `bytes`.
bool decode(std::string_view bytes, RangeRequest& out);
bool decode(std::string_view bytes, PutRequest& out);
bool decode(std::string_view bytes, DeleteRequest& out);

// Views may point into `scratch` instead, which must live as long: protobuf lets a message come in pieces, and one that
// does is put together there first.
enum class TxnDecoding : uint8_t { Done, Malformed, TooLarge };
TxnDecoding decode(std::string_view bytes, TxnRequest& out, std::string& scratch);

}  // namespace witan::api::etcd
