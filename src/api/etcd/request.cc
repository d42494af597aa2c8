#include "api/etcd/request.h"

#include "api/etcd/proto/rpc.pb.h"
#include "base/coding.h"

namespace witan::api::etcd {
namespace {

// What a command of the store can hold (core C1): 64 levels, 65536 operations and compares. A transaction beyond it
// must never be proposed, since no member could read it back.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxOperations = 65'536;

// A known number with another wire type is an unknown field to protobuf; these two tell which it is.
bool number(const FieldReader& fields) { return fields.type() == WireType::Varint; }
bool bytes(const FieldReader& fields) { return fields.type() == WireType::Bytes; }
int32_t enumeration(FieldReader& fields) { return static_cast<int32_t>(fields.uint()); }

void read_number(FieldReader& fields, RangeRequest& out) {
  switch (fields.field()) {
    case 3: out.limit = fields.sint(); break;
    case 4: out.revision = fields.sint(); break;
    case 5: out.sort_order = enumeration(fields); break;
    case 6: out.sort_target = enumeration(fields); break;
    case 7: out.serializable = fields.boolean(); break;
    case 8: out.keys_only = fields.boolean(); break;
    case 9: out.count_only = fields.boolean(); break;
    case 10: out.min_mod = fields.sint(); break;
    case 11: out.max_mod = fields.sint(); break;
    case 12: out.min_create = fields.sint(); break;
    case 13: out.max_create = fields.sint(); break;
    default: break;
  }
}

bool decode_compare(std::string_view message, CompareRequest& out) {
  FieldReader fields(message);
  while (fields.next()) {
    const uint32_t field = fields.field();
    if (number(fields)) {
      if (field == 1) out.result = enumeration(fields);
      if (field == 2) out.target = enumeration(fields);
      if (field == 4 || field == 5 || field == 6 || field == 8) {
        out.given = field;
        out.number = fields.sint();
      }
    } else if (bytes(fields)) {
      if (field == 3) out.key = fields.bytes();
      if (field == 64) out.range_end = fields.bytes();
      if (field == 7) {
        out.given = field;
        out.value = fields.bytes();
      }
    }
  }
  return fields.ok();
}

// Decodes a transaction until something asks for the slow way.
class TxnDecoder {
 public:
  enum class Result : uint8_t { Done, Malformed, TooLarge, InPieces };

  Result txn(std::string_view message, TxnRequest& out, int depth) {
    if (depth > kMaxDepth) return Result::TooLarge;
    FieldReader fields(message);
    while (fields.next()) {
      if (!bytes(fields) || fields.field() < 1 || fields.field() > 3) continue;
      if (++operations_ > kMaxOperations) return Result::TooLarge;
      Result result = Result::Done;
      switch (fields.field()) {
        case 1:
          if (!decode_compare(fields.bytes(), out.compares.emplace_back())) result = Result::Malformed;
          break;
        case 2: result = operation(fields.bytes(), out.success.emplace_back(), depth); break;
        default: result = operation(fields.bytes(), out.failure.emplace_back(), depth);
      }
      if (result != Result::Done) return result;
    }
    return fields.ok() ? Result::Done : Result::Malformed;
  }

 private:
  Result operation(std::string_view message, OperationRequest& out, int depth) {
    FieldReader fields(message);
    while (fields.next()) {
      if (!bytes(fields) || fields.field() < 1 || fields.field() > 4) continue;
      // The same member of a oneof twice is merged by protobuf, another one replaces it.
      if (out.what.index() != 0) return Result::InPieces;
      const Result result = member(fields.field(), fields.bytes(), out, depth);
      if (result != Result::Done) return result;
    }
    return fields.ok() ? Result::Done : Result::Malformed;
  }

  Result member(uint32_t field, std::string_view message, OperationRequest& out, int depth) {
    bool fine = true;
    switch (field) {
      case 1: fine = decode(message, out.what.emplace<RangeRequest>()); break;
      case 2: fine = decode(message, out.what.emplace<PutRequest>()); break;
      case 3: fine = decode(message, out.what.emplace<DeleteRequest>()); break;
      default: return txn(message, out.what.emplace<TxnRequest>(), depth + 1);
    }
    return fine ? Result::Done : Result::Malformed;
  }

  size_t operations_ = 0;
};

}  // namespace

bool decode(std::string_view message, RangeRequest& out) {
  FieldReader fields(message);
  while (fields.next()) {
    if (number(fields)) {
      read_number(fields, out);
    } else if (bytes(fields)) {
      if (fields.field() == 1) out.key = fields.bytes();
      if (fields.field() == 2) out.range_end = fields.bytes();
    }
  }
  return fields.ok();
}

bool decode(std::string_view message, PutRequest& out) {
  FieldReader fields(message);
  while (fields.next()) {
    const uint32_t field = fields.field();
    if (bytes(fields)) {
      if (field == 1) out.key = fields.bytes();
      if (field == 2) out.value = fields.bytes();
    } else if (number(fields)) {
      if (field == 3) out.lease = fields.sint();
      if (field == 4) out.prev_kv = fields.boolean();
      if (field == 5) out.ignore_value = fields.boolean();
      if (field == 6) out.ignore_lease = fields.boolean();
    }
  }
  return fields.ok();
}

bool decode(std::string_view message, DeleteRequest& out) {
  FieldReader fields(message);
  while (fields.next()) {
    if (bytes(fields)) {
      if (fields.field() == 1) out.key = fields.bytes();
      if (fields.field() == 2) out.range_end = fields.bytes();
    } else if (number(fields) && fields.field() == 3) {
      out.prev_kv = fields.boolean();
    }
  }
  return fields.ok();
}

TxnDecoding decode(std::string_view message, TxnRequest& out, std::string& scratch) {
  using Result = TxnDecoder::Result;
  Result result = TxnDecoder().txn(message, out, 1);
  if (result == Result::InPieces) {
    etcdserverpb::TxnRequest whole;
    if (!whole.ParseFromArray(message.data(), static_cast<int>(message.size()))) return TxnDecoding::Malformed;
    scratch = whole.SerializeAsString();
    out = {};
    result = TxnDecoder().txn(scratch, out, 1);
  }
  switch (result) {
    case Result::Done: return TxnDecoding::Done;
    case Result::TooLarge: return TxnDecoding::TooLarge;
    default: return TxnDecoding::Malformed;
  }
}

}  // namespace witan::api::etcd
