// The error table, row by row, against what etcd 3.7.1 sends: clients compare codes and texts.
#include <gtest/gtest.h>

#include <set>

#include "api/etcd/errors.h"

namespace witan::api::etcd {
namespace {

struct Expected {
  Error error;
  int code;  // gRPC's number
  const char* text;
};

// Written down from the reference, not from the table.
constexpr Expected kExpected[] = {
    {Error::EmptyKey, 3, "etcdserver: key is not provided"},
    {Error::KeyNotFound, 3, "etcdserver: key not found"},
    {Error::ValueProvided, 3, "etcdserver: value is provided"},
    {Error::LeaseProvided, 3, "etcdserver: lease is provided"},
    {Error::TooManyOperations, 3, "etcdserver: too many operations in txn request"},
    {Error::DuplicateKey, 3, "etcdserver: duplicate key given in txn request"},
    {Error::InvalidClientVersion, 3, "etcdserver: invalid client api version"},
    {Error::InvalidSortOption, 3, "etcdserver: invalid sort option"},
    {Error::BadMemberUrls, 3, "etcdserver: given member URLs are invalid"},
    {Error::RequestTooLarge, 3, "etcdserver: request is too large"},
    {Error::WrongDowngradeFormat, 3, "etcdserver: wrong downgrade target version format"},
    {Error::InvalidDowngradeTarget, 3, "etcdserver: invalid downgrade target version"},
    {Error::Compacted, 11, "etcdserver: mvcc: required revision has been compacted"},
    {Error::FutureRevision, 11, "etcdserver: mvcc: required revision is a future revision"},
    {Error::LeaseTtlTooLarge, 11, "etcdserver: too large lease TTL"},
    {Error::NoSpace, 8, "etcdserver: mvcc: database space exceeded"},
    {Error::LeaseNotFound, 5, "etcdserver: requested lease not found"},
    {Error::MemberNotFound, 5, "etcdserver: member not found"},
    {Error::UnknownHealthService, 5, "unknown service"},
    {Error::LeaseExists, 9, "etcdserver: lease already exists"},
    {Error::MemberExists, 9, "etcdserver: member ID already exist"},
    {Error::PeerUrlExists, 9, "etcdserver: Peer URLs already exists"},
    {Error::MemberNotLearner, 9, "etcdserver: can only promote a learner member"},
    {Error::LearnerNotReady, 9, "etcdserver: can only promote a learner member which is in sync with leader"},
    {Error::TooManyLearners, 9, "etcdserver: too many learner members in cluster"},
    {Error::MemberNumbersUsedUp, 9,
     "witan: 254 members were added to this cluster in its life, and there can be no more"},
    {Error::AuthNotEnabled, 9, "etcdserver: authentication is not enabled"},
    {Error::NotLeader, 9, "etcdserver: not leader"},
    {Error::NotSupportedForLearner, 9, "etcdserver: rpc not supported for learner"},
    {Error::BadLeaderTransferee, 9, "etcdserver: bad leader transferee"},
    {Error::NoInflightDowngrade, 9, "etcdserver: no inflight downgrade job"},
    {Error::PermissionDenied, 7, "etcdserver: permission denied"},
    {Error::Corrupt, 15, "etcdserver: corrupt cluster"},
    {Error::WatchCanceled, 1, "etcdserver: watch canceled"},
    {Error::NoLeader, 14, "etcdserver: no leader"},
    {Error::LeaderChanged, 14, "etcdserver: leader changed"},
    {Error::Stopped, 14, "etcdserver: server stopped"},
    {Error::Timeout, 14, "etcdserver: request timed out"},
    {Error::TimeoutLeaderFailed, 14, "etcdserver: request timed out, possibly due to previous leader failure"},
    {Error::TimeoutConnectionLost, 14, "etcdserver: request timed out, possibly due to connection lost"},
    {Error::Unhealthy, 14, "etcdserver: unhealthy cluster"},
    {Error::TooManyRequests, 2, "etcdserver: too many requests"},
    {Error::NotEnoughStarted, 2, "etcdserver: re-configuration failed due to not enough started members"},
    {Error::LeaderTransferTimeout, 2, "etcdserver: request timed out, leader transfer took too long"},
    {Error::SessionExpired, 2, "mutex: session is expired"},
    {Error::NotElected, 2, "election: not leader"},
    {Error::NoElectedLeader, 2, "election: no leader"},
    {Error::MissingLeaderKey, 2, "\"leader\" field must be provided"},
    {Error::ObservationEnded, 2, "election: observe closed early"},
    {Error::StreamSortOrder, 12, "RangeStream does not support custom sort orders"},
    {Error::StreamRevisionFilter, 12, "RangeStream does not support revision filters"},
    {Error::UnknownMethod, 2, "etcdserver: unknown method"},
    {Error::AuthNotImplemented, 12, "etcdserver: authentication is not implemented by this server"},
    {Error::Unmarshal, 13, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"},
    {Error::UnmarshalStream, 13,
     "grpc: failed to unmarshal the received message: proto: cannot parse invalid wire-format data"},
};

TEST(Errors, EveryRowHasEtcdsCodeAndText) {
  ASSERT_EQ(std::size(kExpected), error_table().size());
  std::set<Error> seen;
  for (const Expected& expected : kExpected) {
    const Status status = status_of(expected.error);
    EXPECT_EQ(static_cast<int>(status.code), expected.code) << expected.text;
    EXPECT_EQ(status.text, expected.text);
    EXPECT_EQ(text_of(expected.error), expected.text);
    seen.insert(expected.error);
  }
  EXPECT_EQ(seen.size(), error_table().size());
}

TEST(Errors, FailuresOfApplyMapRowByRow) {
  using store::Reason;
  const std::pair<Reason, Error> rows[] = {
      {Reason::LeaseNotFound, Error::LeaseNotFound},
      {Reason::LeaseExists, Error::LeaseExists},
      {Reason::LeaseTtlTooLarge, Error::LeaseTtlTooLarge},
      {Reason::KeyNotFound, Error::KeyNotFound},
      {Reason::RevisionCompacted, Error::Compacted},
      {Reason::RevisionInFuture, Error::FutureRevision},
      {Reason::NoSpace, Error::NoSpace},
      {Reason::CorruptCluster, Error::Corrupt},
      {Reason::PermissionDenied, Error::PermissionDenied},
  };
  for (const auto& [reason, error] : rows) EXPECT_EQ(status_of(store::Failure{.reason = reason}), status_of(error));
  EXPECT_EQ(status_of(store::Failure{}), Status{});
}

TEST(Errors, FailuresOfMembershipMapRowByRow) {
  using F = node::MemberFailure;
  const std::pair<F, Error> rows[] = {
      {F::NotFound, Error::MemberNotFound},
      {F::IdExists, Error::MemberExists},
      {F::PeerUrlExists, Error::PeerUrlExists},
      {F::BadUrls, Error::BadMemberUrls},
      {F::NotLearner, Error::MemberNotLearner},
      {F::LearnerNotReady, Error::LearnerNotReady},
      {F::TooManyLearners, Error::TooManyLearners},
      {F::NumbersUsedUp, Error::MemberNumbersUsedUp},
      {F::NotEnoughStarted, Error::NotEnoughStarted},
      {F::Unhealthy, Error::Unhealthy},
      {F::ChangeInProgress, Error::Timeout},
      {F::NoLeader, Error::NoLeader},
      {F::Timeout, Error::Timeout},
      {F::Stopping, Error::Stopped},
  };
  for (const auto& [failure, error] : rows) EXPECT_EQ(status_of(failure), status_of(error));
}

TEST(Errors, ALeaderTransferFailsInThreeWays) {
  EXPECT_EQ(move_leader_status({Code::NotLeader, ""}), status_of(Error::NotLeader));
  EXPECT_EQ(move_leader_status({Code::Invalid, ""}), status_of(Error::BadLeaderTransferee));
  EXPECT_EQ(move_leader_status({Code::Timeout, ""}), status_of(Error::LeaderTransferTimeout));
}

}  // namespace
}  // namespace witan::api::etcd
