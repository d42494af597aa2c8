#include "api/zookeeper/errors.h"

namespace witan::api::zookeeper {

ErrorCode error_of(store::Reason reason) {
  using store::Reason;
  switch (reason) {
    case Reason::None: return ErrorCode::Ok;
    case Reason::NodeNotFound: return ErrorCode::NoNode;
    case Reason::NodeExists: return ErrorCode::NodeExists;
    case Reason::NodeHasChildren: return ErrorCode::NotEmpty;
    case Reason::NodeIsEphemeral: return ErrorCode::NoChildrenForEphemerals;
    case Reason::VersionMismatch: return ErrorCode::BadVersion;
    case Reason::BadArguments: return ErrorCode::BadArguments;
    case Reason::InvalidAcl: return ErrorCode::InvalidAcl;
    case Reason::PermissionDenied: return ErrorCode::NoAuth;
    // A cluster out of memory has no code of its own here; this one is what clients know to mean "less, please".
    case Reason::NoSpace:
    case Reason::QuotaExceeded: return ErrorCode::QuotaExceeded;
    case Reason::LeaseNotFound:
    case Reason::SessionExpired: return ErrorCode::SessionExpired;
    case Reason::SessionMoved: return ErrorCode::SessionMoved;
    case Reason::LeaseExists:
    case Reason::LeaseTtlTooLarge:
    case Reason::KeyNotFound:
    case Reason::RevisionCompacted:
    case Reason::RevisionInFuture:
    case Reason::CorruptCluster: return ErrorCode::SystemError;
  }
  return ErrorCode::SystemError;
}

std::optional<ErrorCode> error_of(node::MemberFailure failure) {
  using node::MemberFailure;
  switch (failure) {
    case MemberFailure::VersionMismatch: return ErrorCode::BadVersion;
    case MemberFailure::ChangeInProgress: return ErrorCode::ReconfigInProgress;
    case MemberFailure::NotEnoughStarted:
    case MemberFailure::Unhealthy:
    case MemberFailure::LearnerNotReady: return ErrorCode::NewConfigNoQuorum;
    case MemberFailure::NotFound:
    case MemberFailure::IdExists:
    case MemberFailure::PeerUrlExists:
    case MemberFailure::BadUrls:
    case MemberFailure::NotLearner:
    case MemberFailure::TooManyLearners:
    case MemberFailure::NumbersUsedUp: return ErrorCode::BadArguments;
    case MemberFailure::NoLeader:
    case MemberFailure::Timeout:
    case MemberFailure::Stopping: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace witan::api::zookeeper
