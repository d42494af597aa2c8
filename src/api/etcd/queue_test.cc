// Lock and Election: who holds what, who waits for whom, and what is left behind (reference 1.13).
#include <gtest/gtest.h>

#include <string>

#include "api/etcd/proto/election.pb.h"
#include "api/etcd/proto/lock.pb.h"
#include "api/etcd/queue_call.h"
#include "api/etcd/testing.h"

namespace witan::api::etcd {
namespace {

using testing::TestApi;
using namespace v3electionpb;

class Queue : public ::testing::Test {
 protected:
  Queue() {
    for (const int64_t id : {10, 11, 12}) {
      api.client.apply(store::LeaseGrant{.id = store::LeaseId(id), .ttl_ms = 60'000});
    }
    api.loop.run();
  }
  CallKey lock(const std::string& name, int64_t lease) {
    v3lockpb::LockRequest request;
    request.set_name(name);
    request.set_lease(lease);
    return start("/v3lockpb.Lock/Lock", request);
  }
  CallKey campaign(const std::string& name, int64_t lease, const std::string& value) {
    CampaignRequest request;
    request.set_name(name);
    request.set_lease(lease);
    request.set_value(value);
    return start("/v3electionpb.Election/Campaign", request);
  }
  template <class Request>
  CallKey start(const char* path, const Request& request) {
    const CallKey call = api.transport.open(path);
    api.transport.message(call, request.SerializeAsString());
    api.loop.run();
    return call;
  }
  bool waits(CallKey call) { return !api.transport.at(call).status.has_value(); }
  Status status(CallKey call) {
    return api.transport.at(call).status.value_or(Status{wire::GrpcStatus::Aborted, "open"});
  }
  template <class Response>
  Response response(CallKey call) {
    Response out;
    EXPECT_EQ(status(call), Status{});
    EXPECT_TRUE(!api.transport.at(call).messages.empty() && out.ParseFromString(api.transport.at(call).messages[0]));
    return out;
  }
  void revoke(int64_t lease) {
    api.client.apply(store::LeaseRevoke{.id = store::LeaseId(lease)});
    api.loop.run();
  }
  bool exists(const std::string& key) { return static_cast<bool>(api.client.store().get(key)); }
  TestApi api;
};

TEST(QueueKeys, AreThoseOfEtcdsClientLibrary) {
  EXPECT_EQ(queue_key(queue_prefix("lock"), 0x7f00ab), "lock/7f00ab");
  EXPECT_EQ(queue_key("p/", -255), "p/-ff");
  EXPECT_EQ(prefix_end("a/"), "a0");
  EXPECT_EQ(prefix_end("a\xff\xff"), "b");
  EXPECT_EQ(prefix_end("\xff"), "");
}

TEST_F(Queue, AFreeLockIsTakenAtOnce) {
  const auto got = response<v3lockpb::LockResponse>(lock("l", 10));
  EXPECT_EQ(got.key(), "l/a");
  EXPECT_EQ(got.header().revision(), 2);
  EXPECT_EQ(api.client.store().get("l/a")->lease.value, 10);
}

TEST_F(Queue, ASecondLockOfTheSameSessionIsTheSameLock) {
  lock("l", 10);
  EXPECT_EQ(response<v3lockpb::LockResponse>(lock("l", 10)).key(), "l/a");
}

TEST_F(Queue, LocksAreServedInTheOrderOfTheirRequests) {
  lock("l", 10);
  const CallKey second = lock("l", 11);
  const CallKey third = lock("l", 12);
  EXPECT_TRUE(waits(second) && waits(third));
  api.put("l/zzz", "not in front of anybody");
  api.put("other", "x");
  EXPECT_TRUE(waits(second));
  v3lockpb::UnlockRequest unlock;
  unlock.set_key("l/a");
  start("/v3lockpb.Lock/Unlock", unlock);
  EXPECT_EQ(response<v3lockpb::LockResponse>(second).key(), "l/b");
  EXPECT_TRUE(waits(third));
  revoke(11);
  EXPECT_EQ(response<v3lockpb::LockResponse>(third).key(), "l/c");
}

TEST_F(Queue, ALockWhoseSessionEndedWhileWaitingIsRefused) {
  lock("l", 10);
  const CallKey second = lock("l", 11);
  revoke(11);
  EXPECT_TRUE(waits(second));
  revoke(10);
  EXPECT_EQ(status(second), status_of(Error::SessionExpired));
}

TEST_F(Queue, ALockOfALeaseThatIsNotThereIsRefused) {
  EXPECT_EQ(status(lock("l", 99)), without_code(status_of(Error::LeaseNotFound)));
  EXPECT_FALSE(exists("l/63"));
}

TEST_F(Queue, ErrorsFromTheStoreHaveLostTheirCodes) {
  const Status no_lease{wire::GrpcStatus::Unknown, "etcdserver: requested lease not found"};
  const Status no_key{wire::GrpcStatus::Unknown, "etcdserver: key is not provided"};
  const Status no_leader{wire::GrpcStatus::Unknown, "etcdserver: no leader"};
  EXPECT_EQ(status(lock("l", 99)), no_lease);
  EXPECT_EQ(status(campaign("e", 99, "x")), no_lease);
  EXPECT_EQ(status(start("/v3lockpb.Lock/Unlock", v3lockpb::UnlockRequest())), no_key);
  ProclaimRequest proclaim;
  proclaim.mutable_leader()->set_lease(99);
  EXPECT_EQ(status(start("/v3electionpb.Election/Proclaim", proclaim)), no_key);
  proclaim.mutable_leader()->set_key("not there");  // created at 0, so the put is tried
  EXPECT_EQ(status(start("/v3electionpb.Election/Proclaim", proclaim)), no_lease);
  ResignRequest resign;
  resign.mutable_leader();
  EXPECT_EQ(status(start("/v3electionpb.Election/Resign", resign)), no_key);
  const node::NotApplied refusal{node::Refusal::NoLeader, ""};
  v3lockpb::UnlockRequest unlock;
  unlock.set_key("l");
  api.client.next_outcome = refusal;
  EXPECT_EQ(status(start("/v3lockpb.Lock/Unlock", unlock)), no_leader);
  api.client.next_outcome = refusal;
  EXPECT_EQ(status(lock("l", 0)), no_leader);  // the grant of a lease
  api.client.next_refusal = refusal;
  EXPECT_EQ(status(start("/v3electionpb.Election/Leader", LeaderRequest())), no_leader);
  api.client.next_refusal = refusal;
  EXPECT_EQ(status(start("/v3electionpb.Election/Observe", LeaderRequest())), status_of(Error::ObservationEnded));
}

TEST_F(Queue, ALockWithoutALeaseGetsOneOfAMinute) {
  const auto got = response<v3lockpb::LockResponse>(lock("l", 0));
  const auto leases = api.client.store().leases(std::nullopt, 10);
  ASSERT_EQ(leases.size(), 4u);
  bool found = false;
  for (const auto& lease : leases) {
    if (queue_key("l/", lease.id.value) == got.key()) found = lease.ttl_ms == kSessionTtlMs;
  }
  EXPECT_TRUE(found);
}

TEST_F(Queue, CancelledCallLeavesTheQueue) {
  lock("l", 10);
  const CallKey second = lock("l", 11);
  const CallKey third = lock("l", 12);
  api.transport.cancel(second);
  api.loop.run();
  EXPECT_FALSE(exists("l/b"));
  revoke(10);
  EXPECT_EQ(response<v3lockpb::LockResponse>(third).key(), "l/c");
}

TEST_F(Queue, ACallCancelledBeforeItsPutIsAnsweredLeavesNothing) {
  v3lockpb::LockRequest request;
  request.set_name("l");
  request.set_lease(10);
  const CallKey call = api.transport.open("/v3lockpb.Lock/Lock");
  api.transport.message(call, request.SerializeAsString());  // the put is under way
  api.transport.cancel(call);
  api.loop.run();
  EXPECT_FALSE(exists("l/a"));
}

TEST_F(Queue, ACancelledSecondCallDoesNotReleaseTheFirst) {
  lock("l", 10);
  v3lockpb::LockRequest request;
  request.set_name("l");
  request.set_lease(10);
  const CallKey call = api.transport.open("/v3lockpb.Lock/Lock");
  api.transport.message(call, request.SerializeAsString());
  api.transport.cancel(call);
  api.loop.run();
  EXPECT_TRUE(exists("l/a"));
}

TEST_F(Queue, AWaitThatFailsLeavesTheQueue) {
  lock("l", 10);
  const CallKey second = lock("l", 11);
  api.client.next_refusal = node::NotApplied{node::Refusal::NoLeader, ""};
  revoke(10);
  EXPECT_EQ(status(second), without_code(status_of(Error::NoLeader)));
  EXPECT_FALSE(exists("l/b"));
}

TEST_F(Queue, AWaiterThatMissedTheReleaseInAGapLooksAgain) {
  lock("l", 10);
  const CallKey second = lock("l", 11);
  api.client.begin_gap();
  api.client.apply(store::DeleteRange{.range = {.begin = "l/a", .single = true}});
  api.client.end_gap();
  api.loop.run();
  EXPECT_EQ(response<v3lockpb::LockResponse>(second).key(), "l/b");
}

// ---- Election -----------------------------------------------------------------------------------

TEST_F(Queue, TheFirstCandidateLeadsAndTheNextFollows) {
  const auto first = response<CampaignResponse>(campaign("e", 10, "one"));
  EXPECT_EQ(first.leader().name(), "e");
  EXPECT_EQ(first.leader().key(), "e/a");
  EXPECT_EQ(first.leader().rev(), 2);
  EXPECT_EQ(first.leader().lease(), 10);
  const CallKey second = campaign("e", 11, "two");
  EXPECT_TRUE(waits(second));
  ResignRequest resign;
  *resign.mutable_leader() = first.leader();
  response<ResignResponse>(start("/v3electionpb.Election/Resign", resign));
  const auto elected = response<CampaignResponse>(second);
  EXPECT_EQ(elected.leader().rev(), 3);
  EXPECT_EQ(elected.header().revision(), 3);  // of the candidacy, as in etcd
}

TEST_F(Queue, ACandidateThatAsksAgainProclaimsItsNewValue) {
  campaign("e", 10, "one");
  EXPECT_EQ(response<CampaignResponse>(campaign("e", 10, "other")).leader().rev(), 2);
  EXPECT_EQ(api.client.store().get("e/a")->value.view(), "other");
}

TEST_F(Queue, ACandidateWhoseSessionEndedIsNotElected) {
  campaign("e", 10, "one");
  const CallKey second = campaign("e", 11, "two");
  revoke(11);
  revoke(10);
  EXPECT_EQ(status(second), status_of(Error::NotElected));
}

TEST_F(Queue, ProclaimIsForTheLeader) {
  ProclaimRequest request;
  EXPECT_EQ(status(start("/v3electionpb.Election/Proclaim", request)), status_of(Error::MissingLeaderKey));
  *request.mutable_leader() = response<CampaignResponse>(campaign("e", 10, "one")).leader();
  request.set_value("news");
  response<ProclaimResponse>(start("/v3electionpb.Election/Proclaim", request));
  EXPECT_EQ(api.client.store().get("e/a")->value.view(), "news");
  revoke(10);
  request.mutable_leader()->set_lease(11);
  EXPECT_EQ(status(start("/v3electionpb.Election/Proclaim", request)), status_of(Error::NotElected));
}

TEST_F(Queue, LeaderShowsTheLeaderOrThatThereIsNone) {
  LeaderRequest request;
  request.set_name("e");
  EXPECT_EQ(status(start("/v3electionpb.Election/Leader", request)), status_of(Error::NoElectedLeader));
  campaign("e", 10, "one");
  campaign("e", 11, "two");
  const auto leader = response<LeaderResponse>(start("/v3electionpb.Election/Leader", request));
  EXPECT_EQ(leader.kv().key(), "e/a");
  EXPECT_EQ(leader.kv().value(), "one");
  EXPECT_EQ(leader.kv().lease(), 10);
}

TEST_F(Queue, ResignWithoutALeaderIsRefusedAndAStaleOneChangesNothing) {
  ResignRequest request;
  EXPECT_EQ(status(start("/v3electionpb.Election/Resign", request)), status_of(Error::MissingLeaderKey));
  *request.mutable_leader() = response<CampaignResponse>(campaign("e", 10, "one")).leader();
  request.mutable_leader()->set_rev(99);
  response<ResignResponse>(start("/v3electionpb.Election/Resign", request));
  EXPECT_TRUE(exists("e/a"));
}

TEST_F(Queue, ObserveTellsEveryLeaderAndEveryProclamation) {
  LeaderRequest request;
  request.set_name("e");
  const CallKey observe = start("/v3electionpb.Election/Observe", request);
  const auto next = [&] {
    const auto message = api.transport.take(observe);
    api.loop.run();
    LeaderResponse told;
    EXPECT_TRUE(message && told.ParseFromString(*message));
    return told.kv().key() + "=" + told.kv().value() + "@" + std::to_string(told.header().revision());
  };
  EXPECT_TRUE(api.transport.at(observe).messages.empty());
  campaign("e", 10, "one");
  EXPECT_EQ(next(), "e/a=one@2");
  campaign("e", 11, "two");  // waits
  api.put("e/a", "news", 10);
  api.put("e/a", "more", 10);
  EXPECT_EQ(next(), "e/a=news@4");
  EXPECT_EQ(next(), "e/a=more@5");
  revoke(10);
  EXPECT_EQ(next(), "e/b=two@6");
  EXPECT_TRUE(api.transport.at(observe).messages.empty());
  api.transport.cancel(observe);
  EXPECT_EQ(api.service.watches().size(), 0u);
}

TEST_F(Queue, ObserveGivesASlowClientTheLatestLeader) {
  Options options;
  options.watch_buffer_bytes = 500;
  TestApi small(options);
  small.transport.low_water = 100;
  small.put("e/a", "0");
  LeaderRequest request;
  request.set_name("e");
  const CallKey observe = small.transport.open("/v3electionpb.Election/Observe");
  small.transport.message(observe, request.SerializeAsString());
  small.loop.run();
  for (int i = 1; i <= 100; ++i) small.put("e/a", std::to_string(i));
  EXPECT_LT(small.transport.at(observe).unread, 700u);
  std::string last;
  while (const auto message = small.transport.take(observe)) {
    LeaderResponse told;
    ASSERT_TRUE(told.ParseFromString(*message));
    last = told.kv().value();
    small.loop.run();
  }
  EXPECT_EQ(last, "100");
}

}  // namespace
}  // namespace witan::api::etcd
