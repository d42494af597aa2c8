// The hot responses of KV and the events of watches, encoded by hand: small fields copied together, values shared with
// the store (core S6). Tests read them with the generated classes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/etcd/header.h"
#include "base/blob.h"
#include "base/chain.h"
#include "store/command.h"
#include "store/types.h"

namespace witan::api::etcd {

// Bytes of a mvccpb.KeyValue.
size_t key_value_size(size_t key_size, const store::Version& version, bool with_value);
// Appends it, without tag and length.
void put_key_value(Chain& out, std::string_view key, const store::Version& version, bool with_value);

// What of a request its response depends on, kept while the request is under way. Empty for most.
struct OperationShape;
struct TxnShape {
  std::vector<OperationShape> success, failure;  // both empty: nothing special in the whole transaction
};
struct OperationShape {
  bool keys_only = false;
  std::string key;  // of a put that wants the previous value
  TxnShape nested;
};

// Everything of a RangeResponse but the header, which the caller puts in front.
void put_range_body(Chain& out, const store::RangeResult& result, bool keys_only);

Chain range_response(const Header& header, const store::RangeResult& result, bool keys_only);
// The message of one KeyValue: `key` is what the request named.
Chain put_response(const Header& header, const store::PutResult& result, std::string_view key);
Chain delete_response(const Header& header, const store::DeleteResult& result);
Chain txn_response(const Header& header, const store::TxnResult& result, const TxnShape& shape);

}  // namespace witan::api::etcd
