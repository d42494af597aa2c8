// Every error a client of the etcd API can get: code and exact text, in one table. Clients of etcd compare texts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "node/client.h"
#include "store/command.h"
#include "wire/grpc.h"

namespace witan::api::etcd {

// How a call ends. `Ok` has no text.
struct Status {
  wire::GrpcStatus code = wire::GrpcStatus::Ok;
  std::string text;
  friend bool operator==(const Status&, const Status&) = default;
};

enum class Error : uint8_t {
  EmptyKey,
  KeyNotFound,
  ValueProvided,
  LeaseProvided,
  TooManyOperations,
  DuplicateKey,
  InvalidClientVersion,
  InvalidSortOption,
  BadMemberUrls,
  RequestTooLarge,
  WrongDowngradeFormat,
  InvalidDowngradeTarget,
  Compacted,
  FutureRevision,
  LeaseTtlTooLarge,
  NoSpace,
  LeaseNotFound,
  MemberNotFound,
  UnknownHealthService,
  LeaseExists,
  MemberExists,
  PeerUrlExists,
  MemberNotLearner,
  LearnerNotReady,
  TooManyLearners,
  MemberNumbersUsedUp,
  AuthNotEnabled,
  NotLeader,
  NotSupportedForLearner,
  BadLeaderTransferee,
  NoInflightDowngrade,
  PermissionDenied,
  Corrupt,
  WatchCanceled,
  NoLeader,
  LeaderChanged,
  Stopped,
  Timeout,
  TimeoutLeaderFailed,
  TimeoutConnectionLost,
  Unhealthy,
  TooManyRequests,
  NotEnoughStarted,
  LeaderTransferTimeout,
  SessionExpired,
  NotElected,
  NoElectedLeader,
  MissingLeaderKey,
  ObservationEnded,
  StreamSortOrder,
  StreamRevisionFilter,
  UnknownMethod,
  AuthNotImplemented,
  Unmarshal,
  UnmarshalStream,
};

struct ErrorRow {
  Error error;
  wire::GrpcStatus code;
  std::string_view text;
};
// All rows, in the order of the enumeration.
std::span<const ErrorRow> error_table();

Status status_of(Error error);
Status status_of(const store::Failure& failure);
Status status_of(const node::NotApplied& refused);
Status status_of(const node::Unknown& unknown);
Status status_of(node::MemberFailure failure);
// What move_leader's error means to a client.
Status move_leader_status(const witan::Error& error);

// As etcd's cancel_reason of a watch shows an error: with or without gRPC's words around it.
std::string_view text_of(Error error);

}  // namespace witan::api::etcd
