#include "api/etcd/errors.h"

#include "base/check.h"

namespace witan::api::etcd {
namespace {

using enum wire::GrpcStatus;

// Texts: etcd 3.7.1, api/v3rpc/rpctypes; the last groups from the packages that make them.
constexpr ErrorRow kTable[] = {
    {Error::EmptyKey, InvalidArgument, "etcdserver: key is not provided"},
    {Error::KeyNotFound, InvalidArgument, "etcdserver: key not found"},
    {Error::ValueProvided, InvalidArgument, "etcdserver: value is provided"},
    {Error::LeaseProvided, InvalidArgument, "etcdserver: lease is provided"},
    {Error::TooManyOperations, InvalidArgument, "etcdserver: too many operations in txn request"},
    {Error::DuplicateKey, InvalidArgument, "etcdserver: duplicate key given in txn request"},
    {Error::InvalidClientVersion, InvalidArgument, "etcdserver: invalid client api version"},
    {Error::InvalidSortOption, InvalidArgument, "etcdserver: invalid sort option"},
    {Error::BadMemberUrls, InvalidArgument, "etcdserver: given member URLs are invalid"},
    {Error::RequestTooLarge, InvalidArgument, "etcdserver: request is too large"},
    {Error::WrongDowngradeFormat, InvalidArgument, "etcdserver: wrong downgrade target version format"},
    {Error::InvalidDowngradeTarget, InvalidArgument, "etcdserver: invalid downgrade target version"},
    {Error::Compacted, OutOfRange, "etcdserver: mvcc: required revision has been compacted"},
    {Error::FutureRevision, OutOfRange, "etcdserver: mvcc: required revision is a future revision"},
    {Error::LeaseTtlTooLarge, OutOfRange, "etcdserver: too large lease TTL"},
    {Error::NoSpace, ResourceExhausted, "etcdserver: mvcc: database space exceeded"},
    {Error::LeaseNotFound, NotFound, "etcdserver: requested lease not found"},
    {Error::MemberNotFound, NotFound, "etcdserver: member not found"},
    {Error::UnknownHealthService, NotFound, "unknown service"},
    {Error::LeaseExists, FailedPrecondition, "etcdserver: lease already exists"},
    {Error::MemberExists, FailedPrecondition, "etcdserver: member ID already exist"},
    {Error::PeerUrlExists, FailedPrecondition, "etcdserver: Peer URLs already exists"},
    {Error::MemberNotLearner, FailedPrecondition, "etcdserver: can only promote a learner member"},
    {Error::LearnerNotReady, FailedPrecondition,
     "etcdserver: can only promote a learner member which is in sync with leader"},
    {Error::TooManyLearners, FailedPrecondition, "etcdserver: too many learner members in cluster"},
    {Error::MemberNumbersUsedUp, FailedPrecondition,
     "witan: 254 members were added to this cluster in its life, and there can be no more"},
    {Error::AuthNotEnabled, FailedPrecondition, "etcdserver: authentication is not enabled"},
    {Error::NotLeader, FailedPrecondition, "etcdserver: not leader"},
    {Error::NotSupportedForLearner, FailedPrecondition, "etcdserver: rpc not supported for learner"},
    {Error::BadLeaderTransferee, FailedPrecondition, "etcdserver: bad leader transferee"},
    {Error::NoInflightDowngrade, FailedPrecondition, "etcdserver: no inflight downgrade job"},
    {Error::PermissionDenied, PermissionDenied, "etcdserver: permission denied"},
    {Error::Corrupt, DataLoss, "etcdserver: corrupt cluster"},
    {Error::WatchCanceled, Cancelled, "etcdserver: watch canceled"},
    {Error::NoLeader, Unavailable, "etcdserver: no leader"},
    {Error::LeaderChanged, Unavailable, "etcdserver: leader changed"},
    {Error::Stopped, Unavailable, "etcdserver: server stopped"},
    {Error::Timeout, Unavailable, "etcdserver: request timed out"},
    {Error::TimeoutLeaderFailed, Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"},
    {Error::TimeoutConnectionLost, Unavailable, "etcdserver: request timed out, possibly due to connection lost"},
    {Error::Unhealthy, Unavailable, "etcdserver: unhealthy cluster"},
    // These leave etcd with the code Unknown, whatever its constants say.
    {Error::TooManyRequests, Unknown, "etcdserver: too many requests"},
    {Error::NotEnoughStarted, Unknown, "etcdserver: re-configuration failed due to not enough started members"},
    {Error::LeaderTransferTimeout, Unknown, "etcdserver: request timed out, leader transfer took too long"},
    // clientv3/concurrency, which etcd runs inside the server.
    {Error::SessionExpired, Unknown, "mutex: session is expired"},
    {Error::NotElected, Unknown, "election: not leader"},
    {Error::NoElectedLeader, Unknown, "election: no leader"},
    {Error::MissingLeaderKey, Unknown, "\"leader\" field must be provided"},
    {Error::ObservationEnded, Unknown, "election: observe closed early"},
    {Error::StreamSortOrder, Unimplemented, "RangeStream does not support custom sort orders"},
    {Error::StreamRevisionFilter, Unimplemented, "RangeStream does not support revision filters"},
    {Error::UnknownMethod, Unknown, "etcdserver: unknown method"},
    {Error::AuthNotImplemented, Unimplemented, "etcdserver: authentication is not implemented by this server"},
    // gRPC-Go's words in front, Go's protobuf's behind.
    {Error::Unmarshal, Internal, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"},
    {Error::UnmarshalStream, Internal,
     "grpc: failed to unmarshal the received message: proto: cannot parse invalid wire-format data"},
};

const ErrorRow& row_of(Error error) {
  const ErrorRow& row = kTable[static_cast<size_t>(error)];
  CHECK(row.error == error, "the error table is out of order at {}", static_cast<int>(error));
  return row;
}

}  // namespace

std::span<const ErrorRow> error_table() { return kTable; }

std::string_view text_of(Error error) { return row_of(error).text; }

Status status_of(Error error) {
  const ErrorRow& row = row_of(error);
  return {row.code, std::string(row.text)};
}

Status status_of(const store::Failure& failure) {
  using enum store::Reason;
  switch (failure.reason) {
    case None: return {};
    case LeaseNotFound: return status_of(Error::LeaseNotFound);
    case LeaseExists: return status_of(Error::LeaseExists);
    case LeaseTtlTooLarge: return status_of(Error::LeaseTtlTooLarge);
    case KeyNotFound: return status_of(Error::KeyNotFound);
    case RevisionCompacted: return status_of(Error::Compacted);
    case RevisionInFuture: return status_of(Error::FutureRevision);
    case NoSpace: return status_of(Error::NoSpace);
    case CorruptCluster: return status_of(Error::Corrupt);
    case PermissionDenied: return status_of(Error::PermissionDenied);
    // Of commands that only ZooKeeper's clients send.
    case NodeNotFound:
    case NodeExists:
    case NodeHasChildren:
    case NodeIsEphemeral:
    case VersionMismatch:
    case BadArguments:
    case InvalidAcl:
    case SessionExpired:
    case SessionMoved:
    case QuotaExceeded: break;
  }
  return {Unknown, "etcdserver: unknown reason"};
}

Status status_of(const node::NotApplied& refused) {
  using enum node::Refusal;
  switch (refused.refusal) {
    case NoLeader: return status_of(Error::NoLeader);
    case TooManyRequests: return status_of(Error::TooManyRequests);
    case TooLarge: return status_of(Error::RequestTooLarge);
    case Stopping: return status_of(Error::Stopped);
    case LeaderChanged: return status_of(Error::LeaderChanged);
    case Timeout: return status_of(Error::Timeout);
    case Other: break;
  }
  return {Unknown, "etcdserver: " + (refused.message.empty() ? std::string("refused") : refused.message)};
}

Status status_of(const node::Unknown& unknown) {
  using enum node::Unknown::Why;
  switch (unknown.why) {
    case Timeout: return status_of(Error::Timeout);
    case LeaderLost: return status_of(Error::TimeoutLeaderFailed);
    case ConnectionLost: return status_of(Error::TimeoutConnectionLost);
    case Stopping: return status_of(Error::Stopped);
  }
  return status_of(Error::Timeout);
}

Status status_of(node::MemberFailure failure) {
  using enum node::MemberFailure;
  switch (failure) {
    case NotFound: return status_of(Error::MemberNotFound);
    case IdExists: return status_of(Error::MemberExists);
    case PeerUrlExists: return status_of(Error::PeerUrlExists);
    case BadUrls: return status_of(Error::BadMemberUrls);
    case NotLearner: return status_of(Error::MemberNotLearner);
    case LearnerNotReady: return status_of(Error::LearnerNotReady);
    case TooManyLearners: return status_of(Error::TooManyLearners);
    case NumbersUsedUp: return status_of(Error::MemberNumbersUsedUp);
    case NotEnoughStarted: return status_of(Error::NotEnoughStarted);
    case Unhealthy: return status_of(Error::Unhealthy);
    // etcd has one change at a time too and lets the second one wait until it times out.
    case ChangeInProgress: return status_of(Error::Timeout);
    case VersionMismatch: return status_of(Error::Unhealthy);  // no change of etcd's names a version
    case NoLeader: return status_of(Error::NoLeader);
    case Timeout: return status_of(Error::Timeout);
    case Stopping: return status_of(Error::Stopped);
  }
  return status_of(Error::Timeout);
}

Status move_leader_status(const witan::Error& error) {
  switch (error.code) {
    case Code::NotLeader: return status_of(Error::NotLeader);
    case Code::Invalid:
    case Code::NotFound: return status_of(Error::BadLeaderTransferee);
    default: return status_of(Error::LeaderTransferTimeout);
  }
}

}  // namespace witan::api::etcd
