// From etcd's requests to the store's neutral operations: what is checked before, and in which order, is etcd's
// (server/etcdserver/api/v3rpc/key.go). What depends on the state is judged at apply (core C3).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "api/etcd/encode.h"
#include "api/etcd/errors.h"
#include "api/etcd/request.h"
#include "store/command.h"

namespace witan::api::etcd {

// The keys a (key, range_end) pair means: empty end: the one key; "\0": everything from key on.
store::KeyRangeView range_of(std::string_view key, std::string_view range_end);

std::optional<Error> check(const RangeRequest& request);
std::optional<Error> check(const PutRequest& request);
std::optional<Error> check(const DeleteRequest& request);
// Of RangeStream: neither order nor filters.
std::optional<Error> check_stream(const RangeRequest& request);
// Counts and single operations first, then keys that are changed twice.
std::optional<Error> check(const TxnRequest& request, size_t max_operations);

// All of them require that check() found nothing. The results point where the requests do.
store::Range lower(const RangeRequest& request);
store::Put lower(const PutRequest& request);
store::DeleteRange lower(const DeleteRequest& request);
store::Txn lower(const TxnRequest& request);

// What the response needs to know of the request; nothing for the usual transaction.
TxnShape shape_of(const TxnRequest& request);
// Nothing but ranges at the top: served without the log. A nested transaction counts as a write, as in etcd.
bool is_read_only(const TxnRequest& request);
// Every range of it wants no more than the member's own state.
bool is_serializable(const TxnRequest& request);

}  // namespace witan::api::etcd
