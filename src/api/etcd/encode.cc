#include "api/etcd/encode.h"

#include "base/coding.h"

namespace witan::api::etcd {
namespace {

constexpr char kTag1 = 0x0a;  // field 1, bytes
constexpr char kTag2 = 0x12;
constexpr char kTag3 = 0x1a;
constexpr char kTag4 = 0x22;
constexpr char kTag5 = 0x2a;

size_t number_size(int64_t v) { return v == 0 ? 0 : 1 + varint_size(static_cast<uint64_t>(v)); }
size_t bytes_size(size_t n) { return n == 0 ? 0 : 1 + varint_size(n) + n; }

void put_tag_and_length(Chain& out, char tag, size_t length) {
  char buffer[11] = {tag};
  const char* end = write_varint(buffer + 1, length);
  out.append(std::string_view(buffer, static_cast<size_t>(end - buffer)));
}

char* write_number(char* p, char tag, int64_t v) {
  if (v == 0) return p;
  *p++ = tag;
  return write_varint(p, static_cast<uint64_t>(v));
}

void put_number(Chain& out, char tag, int64_t v) {
  char buffer[11];
  const char* end = write_number(buffer, tag, v);
  out.append(std::string_view(buffer, static_cast<size_t>(end - buffer)));
}

// A KeyValue as a field of the message around it.
void put_key_value_field(Chain& out, char tag, std::string_view key, const store::Version& version, bool with_value) {
  put_tag_and_length(out, tag, key_value_size(key.size(), version, with_value));
  put_key_value(out, key, version, with_value);
}

Chain begin(const Header& header) {
  std::string bytes;
  put_header(bytes, header);
  Chain out;
  out.append(bytes);
  return out;
}

// The headers inside a transaction show a revision and nothing else (etcd, txn.go).
void put_inner_header(Chain& out, store::Revision revision) {
  std::string bytes;
  put_header(bytes, Header{.revision = revision});
  out.append(bytes);
}

void put_delete_body(Chain& out, const store::DeleteResult& result) {
  put_number(out, 0x10, result.deleted);
  for (const store::KeyVersion& item : result.previous) put_key_value_field(out, kTag3, item.key, *item.version, true);
}

void put_txn_body(Chain& out, const store::TxnResult& result, const TxnShape& shape);

// The message inside a ResponseOp; returns its tag.
char put_operation_body(Chain& out, const store::OperationResult& result, const OperationShape* shape) {
  if (const auto* range = std::get_if<store::RangeResult>(&result.what)) {
    put_inner_header(out, result.revision);
    put_range_body(out, *range, shape != nullptr && shape->keys_only);
    return kTag1;
  }
  if (const auto* put = std::get_if<store::PutResult>(&result.what)) {
    put_inner_header(out, result.revision);
    if (put->previous && shape != nullptr) put_key_value_field(out, kTag2, shape->key, *put->previous, true);
    return kTag2;
  }
  if (const auto* deleted = std::get_if<store::DeleteResult>(&result.what)) {
    put_inner_header(out, result.revision);
    put_delete_body(out, *deleted);
    return kTag3;
  }
  put_inner_header(out, {});
  put_txn_body(out, std::get<store::TxnResult>(result.what), shape != nullptr ? shape->nested : TxnShape{});
  return kTag4;
}

void put_txn_body(Chain& out, const store::TxnResult& result, const TxnShape& shape) {
  put_number(out, 0x10, result.succeeded ? 1 : 0);
  const std::vector<OperationShape>& taken = result.succeeded ? shape.success : shape.failure;
  for (size_t i = 0; i < result.results.size(); ++i) {
    Chain body;
    const char tag = put_operation_body(body, result.results[i], i < taken.size() ? &taken[i] : nullptr);
    put_tag_and_length(out, kTag3, 1 + varint_size(body.size()) + body.size());
    put_tag_and_length(out, tag, body.size());
    out.append(std::move(body));
  }
}

}  // namespace

size_t key_value_size(size_t key_size, const store::Version& version, bool with_value) {
  return bytes_size(key_size) + number_size(version.create_revision.value) + number_size(version.mod_revision.value) +
         number_size(version.version) + (with_value ? bytes_size(version.value.size()) : 0) +
         number_size(version.lease.value);
}

void put_key_value(Chain& out, std::string_view key, const store::Version& version, bool with_value) {
  if (!key.empty()) {
    put_tag_and_length(out, kTag1, key.size());
    out.append(key);
  }
  char buffer[64];
  char* p = write_number(buffer, 0x10, version.create_revision.value);
  p = write_number(p, 0x18, version.mod_revision.value);
  p = write_number(p, 0x20, version.version);
  p = write_number(p, 0x30, version.lease.value);
  if (with_value && !version.value.empty()) {
    *p++ = kTag5;
    p = write_varint(p, version.value.size());
  }
  out.append(std::string_view(buffer, static_cast<size_t>(p - buffer)));
  if (with_value) out.append(version.value);
}

void put_range_body(Chain& out, const store::RangeResult& result, bool keys_only) {
  for (const store::KeyVersion& item : result.items) {
    put_key_value_field(out, kTag2, item.key, *item.version, !keys_only);
  }
  put_number(out, 0x18, result.more ? 1 : 0);
  put_number(out, 0x20, result.count);
}

Chain range_response(const Header& header, const store::RangeResult& result, bool keys_only) {
  Chain out = begin(header);
  put_range_body(out, result, keys_only);
  return out;
}

Chain put_response(const Header& header, const store::PutResult& result, std::string_view key) {
  Chain out = begin(header);
  if (result.previous) put_key_value_field(out, kTag2, key, *result.previous, true);
  return out;
}

Chain delete_response(const Header& header, const store::DeleteResult& result) {
  Chain out = begin(header);
  put_delete_body(out, result);
  return out;
}

Chain txn_response(const Header& header, const store::TxnResult& result, const TxnShape& shape) {
  Chain out = begin(header);
  put_txn_body(out, result, shape);
  return out;
}

}  // namespace witan::api::etcd
