// Lease, Cluster, Maintenance, Auth, Health: what each RPC answers.
#include <gtest/gtest.h>

#include <string>

#include "api/etcd/handlers.h"
#include "api/etcd/member_urls.h"
#include "api/etcd/proto/health.pb.h"
#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/snapshot_padding.h"
#include "api/etcd/testing.h"
#include "base/digest.h"

namespace witan::api::etcd {
namespace {

using namespace etcdserverpb;
using testing::TestApi;
using wire::GrpcStatus;

class Services : public ::testing::Test {
 protected:
  template <class Response, class Request>
  Response ok(const std::string& path, const Request& request) {
    const auto call = api.call("/etcdserverpb." + path, request.SerializeAsString());
    EXPECT_EQ(call.status->text, "");
    Response response;
    EXPECT_TRUE(call.messages.size() == 1 && response.ParseFromString(call.messages[0]));
    return response;
  }
  template <class Request>
  Status error(const std::string& path, const Request& request) {
    return *api.call("/etcdserverpb." + path, request.SerializeAsString()).status;
  }
  TestApi api;
};

// ---- Lease --------------------------------------------------------------------------------------

TEST_F(Services, GrantedLeasesHaveAtLeastTheShortestTtl) {
  LeaseGrantRequest request;
  request.set_ttl(-5);
  request.set_id(42);
  const auto response = ok<LeaseGrantResponse>("Lease/LeaseGrant", request);
  EXPECT_EQ(response.id(), 42);
  EXPECT_EQ(response.ttl(), 2);
  EXPECT_EQ(error("Lease/LeaseGrant", request), status_of(Error::LeaseExists));
  request.set_ttl(9'000'000'001);
  EXPECT_EQ(error("Lease/LeaseGrant", request), status_of(Error::LeaseTtlTooLarge));
  request.set_ttl(INT64_MAX);
  EXPECT_EQ(error("Lease/LeaseGrant", request), status_of(Error::LeaseTtlTooLarge));
  request.set_ttl(9'000'000'000);
  request.set_id(0);
  const auto picked = ok<LeaseGrantResponse>("Lease/LeaseGrant", request);
  EXPECT_NE(picked.id(), 0);
  EXPECT_EQ(picked.ttl(), 9'000'000'000);
}

TEST_F(Services, RevokingALeaseDeletesItsKeysInOneRevision) {
  api.client.apply(store::LeaseGrant{.id = store::LeaseId(5), .ttl_ms = 60'000});
  api.put("a", "1", 5);
  api.put("b", "2", 5);
  LeaseRevokeRequest request;
  request.set_id(5);
  EXPECT_EQ(ok<LeaseRevokeResponse>("Lease/LeaseRevoke", request).header().revision(), 4);
  EXPECT_FALSE(api.client.store().get("a"));
  EXPECT_EQ(error("Lease/LeaseRevoke", request), status_of(Error::LeaseNotFound));
}

TEST_F(Services, TimeToLiveRoundsDownAndKnowsWhatIsMissing) {
  api.client.apply(store::LeaseGrant{.id = store::LeaseId(5), .ttl_ms = 60'000});
  api.put("b", "1", 5);
  api.put("a", "1", 5);
  LeaseTimeToLiveRequest request;
  request.set_id(5);
  request.set_keys(true);
  const auto response = ok<LeaseTimeToLiveResponse>("Lease/LeaseTimeToLive", request);
  EXPECT_EQ(response.ttl(), 59);  // a millisecond has passed
  EXPECT_EQ(response.grantedttl(), 60);
  ASSERT_EQ(response.keys_size(), 2);
  EXPECT_EQ(response.keys(0), "a");
  request.set_id(6);
  const auto missing = ok<LeaseTimeToLiveResponse>("Lease/LeaseTimeToLive", request);
  EXPECT_EQ(missing.ttl(), -1);
  EXPECT_EQ(missing.id(), 6);
  EXPECT_EQ(missing.grantedttl(), 0);
}

TEST_F(Services, LeasesListsIds) {
  api.client.apply(store::LeaseGrant{.id = store::LeaseId(-3), .ttl_ms = 60'000});
  api.client.apply(store::LeaseGrant{.id = store::LeaseId(5), .ttl_ms = 60'000});
  const auto response = ok<LeaseLeasesResponse>("Lease/LeaseLeases", LeaseLeasesRequest());
  ASSERT_EQ(response.leases_size(), 2);
  EXPECT_EQ(response.leases(0).id(), -3);
}

TEST_F(Services, KeepAliveAnswersInOrderAndZeroForAMissingLease) {
  api.client.apply(store::LeaseGrant{.id = store::LeaseId(5), .ttl_ms = 60'000});
  const CallKey call = api.transport.open("/etcdserverpb.Lease/LeaseKeepAlive");
  for (const int64_t id : {5, 6, 5}) {
    LeaseKeepAliveRequest request;
    request.set_id(id);
    api.transport.message(call, request.SerializeAsString());
  }
  api.transport.half_close(call);
  EXPECT_FALSE(api.transport.at(call).status.has_value());  // three answers are owed
  api.loop.run();
  const auto& seen = api.transport.at(call);
  ASSERT_EQ(seen.messages.size(), 3u);
  EXPECT_EQ(*seen.status, Status{});
  std::string shown;
  for (const std::string& message : seen.messages) {
    LeaseKeepAliveResponse response;
    ASSERT_TRUE(response.ParseFromString(message));
    shown += std::to_string(response.id()) + ":" + std::to_string(response.ttl()) + " ";
  }
  EXPECT_EQ(shown, "5:60 6:0 5:60 ");
}

TEST_F(Services, KeepAliveEndsWithTheErrorOfARenewal) {
  const CallKey call = api.transport.open("/etcdserverpb.Lease/LeaseKeepAlive");
  api.client.next_refusal = node::NotApplied{node::Refusal::NoLeader, ""};
  LeaseKeepAliveRequest request;
  request.set_id(5);
  api.transport.message(call, request.SerializeAsString());
  api.transport.message(call, request.SerializeAsString());
  api.loop.run();
  EXPECT_TRUE(api.transport.at(call).messages.empty());
  EXPECT_EQ(*api.transport.at(call).status, status_of(Error::NoLeader));
}

TEST_F(Services, KeepAliveStopsReadingAClientThatAsksTooFast) {
  const CallKey call = api.transport.open("/etcdserverpb.Lease/LeaseKeepAlive");
  LeaseKeepAliveRequest request;
  request.set_id(5);
  int sent = 0;
  for (; !api.transport.at(call).paused && sent < 10'000; ++sent) {
    api.transport.message(call, request.SerializeAsString());
  }
  EXPECT_LT(sent, 10'000);
  api.loop.run();
  EXPECT_FALSE(api.transport.at(call).paused);
  EXPECT_EQ(api.transport.at(call).messages.size(), static_cast<size_t>(sent));
}

// ---- Cluster ------------------------------------------------------------------------------------

TEST_F(Services, MemberListShowsMembersWithoutARevision) {
  const auto response = ok<MemberListResponse>("Cluster/MemberList", MemberListRequest());
  ASSERT_EQ(response.members_size(), 1);
  EXPECT_EQ(response.members(0).id(), 7u);
  EXPECT_EQ(response.members(0).name(), "n1");
  EXPECT_EQ(response.members(0).clienturls(0), "http://127.0.0.1:2379");
  EXPECT_EQ(response.header().revision(), 0);
  EXPECT_EQ(response.header().raft_term(), 3u);
  EXPECT_EQ(api.client.reads_local, 1u);
  MemberListRequest request;
  request.set_linearizable(true);
  ok<MemberListResponse>("Cluster/MemberList", request);
  EXPECT_EQ(api.client.reads_linearizable, 1u);
}

TEST_F(Services, MembersAreAddedChangedAndRemoved) {
  MemberAddRequest add;
  add.add_peerurls(" http://127.0.0.1:3380 ");
  add.set_islearner(true);
  const auto added = ok<MemberAddResponse>("Cluster/MemberAdd", add);
  EXPECT_TRUE(added.member().islearner());
  EXPECT_EQ(added.member().peerurls(0), "http://127.0.0.1:3380");
  EXPECT_EQ(added.member().name(), "");
  EXPECT_EQ(added.members_size(), 2);
  MemberUpdateRequest update;
  update.set_id(added.member().id());
  update.add_peerurls("http://127.0.0.1:4380");
  ok<MemberUpdateResponse>("Cluster/MemberUpdate", update);
  MemberPromoteRequest promote;
  promote.set_id(added.member().id());
  ok<MemberPromoteResponse>("Cluster/MemberPromote", promote);
  MemberRemoveRequest remove;
  remove.set_id(added.member().id());
  EXPECT_EQ(ok<MemberRemoveResponse>("Cluster/MemberRemove", remove).members_size(), 1);
  EXPECT_EQ(api.client.calls, (std::vector<std::string>{"add http://127.0.0.1:3380", "update http://127.0.0.1:4380",
                                                        "promote 101", "remove 101"}));
  api.client.next_member_failure = node::MemberFailure::LearnerNotReady;
  EXPECT_EQ(error("Cluster/MemberPromote", promote), status_of(Error::LearnerNotReady));
}

TEST_F(Services, MemberUrlsAreJudgedAsEtcdDoes) {
  for (const char* good : {"http://127.0.0.1:2380", "https://host:1", "http://[::1]:2380", "unix://socket:1"}) {
    EXPECT_TRUE(checked_member_urls({good})) << good;
  }
  for (const char* bad : {"", "127.0.0.1:2380", "http://127.0.0.1", "http://127.0.0.1:2380/", "http://:2380/x",
                          "ftp://127.0.0.1:2380", "http://a:b", "http://1:2:3", "http://[::1]"}) {
    EXPECT_FALSE(checked_member_urls({bad})) << bad;
  }
  EXPECT_FALSE(checked_member_urls({}));
  EXPECT_EQ(error("Cluster/MemberAdd", MemberAddRequest()), status_of(Error::BadMemberUrls));
}

// ---- Maintenance --------------------------------------------------------------------------------

TEST_F(Services, StatusTellsVersionSizesAndErrors) {
  api.client.apply(store::AlarmChange{.member = 7, .kind = store::AlarmKind::NoSpace, .active = true});
  api.client.set_view({.leader = 0, .term = 4});
  api.loop.run();
  const auto response = ok<StatusResponse>("Maintenance/Status", StatusRequest());
  EXPECT_EQ(response.version(), "3.7.1");
  EXPECT_EQ(response.storageversion(), "3.7.0");
  EXPECT_EQ(response.dbsize(), 8192);
  EXPECT_EQ(response.dbsizeinuse(), 4096);
  EXPECT_EQ(response.raftterm(), 4u);
  EXPECT_FALSE(response.downgradeinfo().enabled());
  ASSERT_EQ(response.errors_size(), 2);
  EXPECT_EQ(response.errors(0), "etcdserver: no leader");
  EXPECT_EQ(response.errors(1), "memberID:7 alarm:NOSPACE");
}

TEST_F(Services, AlarmsAreRaisedListedAndCleared) {
  AlarmRequest request;
  request.set_action(AlarmRequest::ACTIVATE);
  request.set_memberid(9);
  EXPECT_EQ(ok<AlarmResponse>("Maintenance/Alarm", request).alarms_size(), 0);  // NONE is no alarm
  request.set_alarm(NOSPACE);
  for (int i = 0; i < 2; ++i) {  // twice is as good as once
    const auto raised = ok<AlarmResponse>("Maintenance/Alarm", request);
    ASSERT_EQ(raised.alarms_size(), 1);
    EXPECT_EQ(raised.alarms(0).memberid(), 9u);
  }
  PutRequest put;
  put.set_key("k");
  EXPECT_EQ(error("KV/Put", put), status_of(Error::NoSpace));
  AlarmRequest get;
  EXPECT_EQ(ok<AlarmResponse>("Maintenance/Alarm", get).alarms_size(), 1);
  get.set_alarm(CORRUPT);
  EXPECT_EQ(ok<AlarmResponse>("Maintenance/Alarm", get).alarms_size(), 0);
  request.set_action(AlarmRequest::DEACTIVATE);
  EXPECT_EQ(ok<AlarmResponse>("Maintenance/Alarm", request).alarms_size(), 1);
  EXPECT_EQ(ok<AlarmResponse>("Maintenance/Alarm", request).alarms_size(), 0);
  ok<PutResponse>("KV/Put", put);
}

TEST_F(Services, HashKvAgreesWithItselfAndRefusesWhatIsNotThere) {
  api.put("a", "1");
  api.put("a", "2");
  HashKVRequest request;
  const auto now = ok<HashKVResponse>("Maintenance/HashKV", request);
  EXPECT_EQ(now.header().revision(), 3);
  request.set_revision(3);
  EXPECT_EQ(ok<HashKVResponse>("Maintenance/HashKV", request).hash(), now.hash());
  request.set_revision(2);
  const auto before = ok<HashKVResponse>("Maintenance/HashKV", request);
  EXPECT_NE(before.hash(), now.hash());
  EXPECT_EQ(before.hash_revision(), 2);
  request.set_revision(4);
  EXPECT_EQ(error("Maintenance/HashKV", request), status_of(Error::FutureRevision));
  api.client.apply(store::Compact{.revision = store::Revision(3)});
  request.set_revision(2);
  EXPECT_EQ(error("Maintenance/HashKV", request), status_of(Error::Compacted));
  EXPECT_NE(ok<HashResponse>("Maintenance/Hash", HashRequest()).hash(), 0u);
}

TEST_F(Services, MoveLeaderIsForTheLeaderAndHasNoHeader) {
  MoveLeaderRequest request;
  request.set_targetid(8);
  EXPECT_FALSE(ok<MoveLeaderResponse>("Maintenance/MoveLeader", request).has_header());
  EXPECT_EQ(api.client.calls, (std::vector<std::string>{"move 8"}));
  api.client.next_transfer_error = Code::Invalid;
  EXPECT_EQ(error("Maintenance/MoveLeader", request), status_of(Error::BadLeaderTransferee));
  api.client.next_transfer_error = Code::Timeout;
  EXPECT_EQ(error("Maintenance/MoveLeader", request), status_of(Error::LeaderTransferTimeout));
  api.client.set_view({.leader = 9, .term = 3, .is_leader = false});
  api.loop.run();
  EXPECT_EQ(error("Maintenance/MoveLeader", request), status_of(Error::NotLeader));
}

TEST_F(Services, DefragmentHasNothingToDoAndSaysSo) {
  EXPECT_FALSE(ok<DefragmentResponse>("Maintenance/Defragment", DefragmentRequest()).has_header());
}

TEST_F(Services, NoDowngradeIsPossible) {
  DowngradeRequest request;
  for (const char* version : {"", "3", "x", "3.6.", "3.6.0.1", "03.6", "v3.6"}) {
    request.set_version(version);
    EXPECT_EQ(error("Maintenance/Downgrade", request), status_of(Error::WrongDowngradeFormat)) << version;
  }
  request.set_version("3.6");
  EXPECT_EQ(error("Maintenance/Downgrade", request), status_of(Error::InvalidDowngradeTarget));
  request.set_action(DowngradeRequest::ENABLE);
  request.set_version("3.6.0");
  EXPECT_EQ(error("Maintenance/Downgrade", request), status_of(Error::InvalidDowngradeTarget));
  request.set_action(DowngradeRequest::CANCEL);
  EXPECT_EQ(ok<DowngradeResponse>("Maintenance/Downgrade", request).version(), "3.7");
}

TEST_F(Services, ASnapshotIsPaddedAndDigestedAsEtcdctlWantsIt) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{8176}, size_t{8177}, size_t{32768}, size_t{100'000}}) {
    api.client.snapshot_bytes = std::string(size, 's');
    const CallKey call = api.transport.open("/etcdserverpb.Maintenance/Snapshot");
    api.transport.message(call, "");
    api.loop.run();
    std::string file;
    std::vector<uint64_t> at_end;  // of the file, by what each message says is left
    size_t last = 0;
    while (auto message = api.transport.take(call)) {
      SnapshotResponse response;
      ASSERT_TRUE(response.ParseFromString(*message));
      EXPECT_EQ(response.version(), "3.7.0");
      EXPECT_LE(response.blob().size(), 32768u);
      last = response.blob().size();
      file += response.blob();
      at_end.push_back(file.size() + response.remaining_bytes());
      api.loop.run();
    }
    EXPECT_EQ(*api.transport.at(call).status, Status{});
    EXPECT_EQ(last, 32u);
    EXPECT_EQ(file.size() % 8192, 32u) << size;
    const std::string_view payload = std::string_view(file).substr(0, file.size() - 32);
    EXPECT_EQ(at_end.back(), file.size());
    at_end.pop_back();
    EXPECT_EQ(at_end, std::vector<uint64_t>(at_end.size(), payload.size()));  // the digest is never counted
    Sha256 digest;
    digest.update(payload);
    const auto expected = digest.finish();
    EXPECT_EQ(file.substr(payload.size()), std::string(expected.begin(), expected.end()));
    EXPECT_EQ(strip_snapshot_padding(payload), api.client.snapshot_bytes);
  }
}

TEST_F(Services, PaddingThatIsNoneIsRecognised) {
  EXPECT_FALSE(strip_snapshot_padding(""));
  EXPECT_FALSE(strip_snapshot_padding(std::string(8192, '\0')));
  std::string padded = "state";
  append_snapshot_padding(padded, 5);
  EXPECT_EQ(padded.size(), 8192u);
  EXPECT_EQ(strip_snapshot_padding(padded), "state");
  padded.back() = '\x01';  // a length that cannot be
  EXPECT_FALSE(strip_snapshot_padding(padded));
}

// ---- Auth, health, methods ----------------------------------------------------------------------

TEST_F(Services, AuthIsOffAndSaysSo) {
  EXPECT_FALSE(ok<AuthStatusResponse>("Auth/AuthStatus", AuthStatusRequest()).enabled());
  EXPECT_EQ(error("Auth/Authenticate", AuthenticateRequest()), status_of(Error::AuthNotEnabled));
  EXPECT_EQ(error("Auth/UserAdd", AuthUserAddRequest()), status_of(Error::AuthNotImplemented));
  ok<AuthDisableResponse>("Auth/AuthDisable", AuthDisableRequest());
}

TEST_F(Services, HealthKnowsTheServerAsAWholeOnly) {
  grpc::health::v1::HealthCheckRequest request;
  auto call = api.call("/grpc.health.v1.Health/Check", request.SerializeAsString());
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(response.ParseFromString(call.messages.at(0)));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  request.set_service("etcd");
  call = api.call("/grpc.health.v1.Health/Check", request.SerializeAsString());
  EXPECT_EQ(*call.status, status_of(Error::UnknownHealthService));
  call = api.call("/grpc.health.v1.Health/Watch", request.SerializeAsString());
  ASSERT_TRUE(response.ParseFromString(call.messages.at(0)));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVICE_UNKNOWN);
  EXPECT_FALSE(call.status.has_value());
}

TEST(Methods, EveryMethodIsFoundAndOthersAreNamed) {
  EXPECT_EQ(methods().size(), 51u);
  for (const Method& method : methods()) {
    EXPECT_EQ(find_method(method.path), &method);
    EXPECT_TRUE((method.unary != nullptr) != (method.open != nullptr)) << method.path;
  }
  EXPECT_EQ(find_method("/etcdserverpb.KV/Nothing"), nullptr);
  EXPECT_EQ(unknown_method("/etcdserverpb.KV/Nothing").text, "unknown method Nothing for service etcdserverpb.KV");
  EXPECT_EQ(unknown_method("/etcdserverpb.K/Range").text, "unknown service etcdserverpb.K");
  EXPECT_EQ(unknown_method("/x").text, "malformed method name: \"x\"");
  EXPECT_EQ(unknown_method("").code, GrpcStatus::Unimplemented);
}

}  // namespace
}  // namespace witan::api::etcd
