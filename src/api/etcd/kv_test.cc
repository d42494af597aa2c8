// KV: what etcd's clients may rely on, request by request.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/testing.h"

namespace witan::api::etcd {
namespace {

using namespace etcdserverpb;
using testing::TestApi;
using wire::GrpcStatus;

constexpr const char* kRange = "/etcdserverpb.KV/Range";
constexpr const char* kPut = "/etcdserverpb.KV/Put";
constexpr const char* kDelete = "/etcdserverpb.KV/DeleteRange";
constexpr const char* kTxn = "/etcdserverpb.KV/Txn";
constexpr const char* kCompact = "/etcdserverpb.KV/Compact";
constexpr const char* kStream = "/etcdserverpb.KV/RangeStream";

template <class Response>
Response parse(const testing::TestCall& call) {
  EXPECT_EQ(call.status->text, "");
  EXPECT_EQ(call.messages.size(), 1u);
  Response response;
  EXPECT_TRUE(!call.messages.empty() && response.ParseFromString(call.messages[0]));
  return response;
}

class Kv : public ::testing::Test {
 protected:
  template <class Response, class Request>
  Response ok(const char* path, const Request& request) {
    return parse<Response>(api.call(path, request.SerializeAsString()));
  }
  template <class Request>
  Status error(const char* path, const Request& request) {
    const auto call = api.call(path, request.SerializeAsString());
    EXPECT_TRUE(call.messages.empty());
    return *call.status;
  }
  RangeResponse get(const std::string& key, const std::string& end = "") {
    RangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    return ok<RangeResponse>(kRange, request);
  }
  TestApi api;
};

TEST_F(Kv, PutAnswersWithTheRevisionItMade) {
  PutRequest request;
  request.set_key("k");
  request.set_value("v");
  const auto response = ok<PutResponse>(kPut, request);
  EXPECT_EQ(response.header().revision(), 2);
  EXPECT_EQ(response.header().cluster_id(), 0xc1u);
  EXPECT_EQ(response.header().member_id(), 7u);
  EXPECT_EQ(response.header().raft_term(), 3u);
  EXPECT_FALSE(response.has_prev_kv());
  const auto read = get("k");
  ASSERT_EQ(read.kvs_size(), 1);
  EXPECT_EQ(read.kvs(0).value(), "v");
  EXPECT_EQ(read.kvs(0).create_revision(), 2);
  EXPECT_EQ(read.count(), 1);
}

TEST_F(Kv, PutShowsThePreviousValueOnlyWhenAsked) {
  api.put("k", "old");
  PutRequest request;
  request.set_key("k");
  request.set_value(std::string(2000, 'n'));
  request.set_prev_kv(true);
  const auto response = ok<PutResponse>(kPut, request);
  EXPECT_EQ(response.prev_kv().key(), "k");
  EXPECT_EQ(response.prev_kv().value(), "old");
  EXPECT_EQ(get("k").kvs(0).value(), std::string(2000, 'n'));
}

TEST_F(Kv, IgnoredValueOrLeaseMustNotBeGivenAndNeedsTheKey) {
  PutRequest request;
  request.set_key("k");
  request.set_ignore_value(true);
  EXPECT_EQ(error(kPut, request), status_of(Error::KeyNotFound));
  request.set_value("v");
  EXPECT_EQ(error(kPut, request), status_of(Error::ValueProvided));
  request.Clear();
  request.set_key("k");
  request.set_ignore_lease(true);
  request.set_lease(5);
  EXPECT_EQ(error(kPut, request), status_of(Error::LeaseProvided));
  request.set_ignore_lease(false);
  EXPECT_EQ(error(kPut, request), status_of(Error::LeaseNotFound));
}

TEST_F(Kv, AKeyMustBeGiven) {
  EXPECT_EQ(error(kRange, RangeRequest()), status_of(Error::EmptyKey));
  EXPECT_EQ(error(kPut, PutRequest()), status_of(Error::EmptyKey));
  EXPECT_EQ(error(kDelete, DeleteRangeRequest()), status_of(Error::EmptyKey));
  EXPECT_EQ(api.client.proposals, 0u);
}

TEST_F(Kv, RangeEndsMeanWhatEtcdMeans) {
  for (const char* key : {"a", "b", "c"}) api.put(key, key);
  const std::string from_key("\0", 1);
  EXPECT_EQ(get("b").kvs_size(), 1);
  EXPECT_EQ(get("b", from_key).kvs_size(), 2);
  EXPECT_EQ(get(from_key, from_key).kvs_size(), 3);
  EXPECT_EQ(get("a", "c").kvs_size(), 2);
  EXPECT_EQ(get("c", "a").kvs_size(), 0);
  EXPECT_EQ(get("c", "a").count(), 0);
}

TEST_F(Kv, RangeLimitsSaysMoreAndCountsAll) {
  for (const char* key : {"a", "b", "c"}) api.put(key, "value");
  RangeRequest request;
  request.set_key("a");
  request.set_range_end("z");
  request.set_limit(2);
  auto response = ok<RangeResponse>(kRange, request);
  EXPECT_EQ(response.kvs_size(), 2);
  EXPECT_TRUE(response.more());
  EXPECT_EQ(response.count(), 3);
  request.set_limit(0);
  request.set_keys_only(true);
  response = ok<RangeResponse>(kRange, request);
  EXPECT_EQ(response.kvs(1).value(), "");
  EXPECT_EQ(response.kvs(1).mod_revision(), 3);
  request.set_count_only(true);
  response = ok<RangeResponse>(kRange, request);
  EXPECT_EQ(response.kvs_size(), 0);
  EXPECT_EQ(response.count(), 3);
}

TEST_F(Kv, UnknownSortOptionsAreRefused) {
  RangeRequest request;
  request.set_key("a");
  request.set_sort_order(static_cast<RangeRequest::SortOrder>(3));
  EXPECT_EQ(error(kRange, request), status_of(Error::InvalidSortOption));
  request.set_sort_order(RangeRequest::NONE);
  request.set_sort_target(static_cast<RangeRequest::SortTarget>(5));
  EXPECT_EQ(error(kRange, request), status_of(Error::InvalidSortOption));
}

TEST_F(Kv, ReadsAtARevisionShowThePresentOneInTheHeader) {
  api.put("a", "1");
  api.put("a", "2");
  RangeRequest request;
  request.set_key("a");
  request.set_revision(2);
  const auto response = ok<RangeResponse>(kRange, request);
  EXPECT_EQ(response.kvs(0).value(), "1");
  EXPECT_EQ(response.header().revision(), 3);
  request.set_revision(4);
  EXPECT_EQ(error(kRange, request), status_of(Error::FutureRevision));
}

TEST_F(Kv, SerializableReadsStayOnTheMember) {
  RangeRequest request;
  request.set_key("a");
  ok<RangeResponse>(kRange, request);
  EXPECT_EQ(api.client.reads_linearizable, 1u);
  request.set_serializable(true);
  ok<RangeResponse>(kRange, request);
  EXPECT_EQ(api.client.reads_local, 1u);
}

TEST_F(Kv, CompactionHidesWhatIsBelowAndNothingElse) {
  api.put("a", "1");
  api.put("a", "2");
  CompactionRequest request;
  request.set_revision(3);
  EXPECT_EQ(ok<CompactionResponse>(kCompact, request).header().revision(), 3);
  EXPECT_EQ(error(kCompact, request), status_of(Error::Compacted));
  request.set_revision(9);
  EXPECT_EQ(error(kCompact, request), status_of(Error::FutureRevision));
  RangeRequest read;
  read.set_key("a");
  read.set_revision(2);
  EXPECT_EQ(error(kRange, read), status_of(Error::Compacted));
  read.set_revision(3);
  EXPECT_EQ(ok<RangeResponse>(kRange, read).kvs(0).value(), "2");
}

TEST_F(Kv, DeleteCountsAndShowsWhatItDeleted) {
  api.put("a", "1");
  api.put("b", "2");
  DeleteRangeRequest request;
  request.set_key("a");
  request.set_range_end("z");
  request.set_prev_kv(true);
  auto response = ok<DeleteRangeResponse>(kDelete, request);
  EXPECT_EQ(response.deleted(), 2);
  EXPECT_EQ(response.prev_kvs(1).value(), "2");
  EXPECT_EQ(response.header().revision(), 4);
  response = ok<DeleteRangeResponse>(kDelete, request);
  EXPECT_EQ(response.deleted(), 0);
  EXPECT_EQ(response.header().revision(), 4);  // nothing changed, no revision
}

TEST_F(Kv, TxnTakesOneBranchAndShowsInnerRevisions) {
  api.put("a", "1");
  TxnRequest request;
  auto& compare = *request.add_compare();
  compare.set_key("a");
  compare.set_target(Compare::VALUE);
  compare.set_value("1");
  auto& put = *request.add_success()->mutable_request_put();
  put.set_key("a");
  put.set_value("2");
  put.set_prev_kv(true);
  auto& range = *request.add_success()->mutable_request_range();
  range.set_key("a");
  range.set_keys_only(true);
  auto& nested = *request.add_success()->mutable_request_txn();
  nested.add_success()->mutable_request_range()->set_key("a");
  const auto response = ok<TxnResponse>(kTxn, request);
  EXPECT_TRUE(response.succeeded());
  EXPECT_EQ(response.header().revision(), 3);
  ASSERT_EQ(response.responses_size(), 3);
  EXPECT_EQ(response.responses(0).response_put().prev_kv().value(), "1");
  EXPECT_EQ(response.responses(0).response_put().header().revision(), 3);
  EXPECT_EQ(response.responses(1).response_range().kvs(0).value(), "");
  EXPECT_EQ(response.responses(1).response_range().kvs(0).mod_revision(), 3);
  const TxnResponse& inner = response.responses(2).response_txn();
  EXPECT_TRUE(inner.has_header());
  EXPECT_EQ(inner.header().revision(), 0);
  EXPECT_EQ(inner.responses(0).response_range().kvs(0).value(), "2");
}

TEST_F(Kv, TxnOfRangesOnlyNeverReachesTheLog) {
  TxnRequest request;
  request.add_success()->mutable_request_range()->set_key("a");
  ok<TxnResponse>(kTxn, request);
  EXPECT_EQ(api.client.proposals, 0u);
  EXPECT_EQ(api.client.reads_linearizable, 1u);
  request.mutable_success(0)->mutable_request_range()->set_serializable(true);
  ok<TxnResponse>(kTxn, request);
  EXPECT_EQ(api.client.reads_local, 1u);
  request.add_failure()->mutable_request_txn();
  ok<TxnResponse>(kTxn, request);
  EXPECT_EQ(api.client.proposals, 1u);  // a nested transaction counts as a write
}

TEST_F(Kv, TxnWithAnOperationThatSaysNothingIsRefused) {
  TxnRequest request;
  request.add_success();
  EXPECT_EQ(error(kTxn, request), status_of(Error::KeyNotFound));
}

TEST_F(Kv, RequestsThatAreTooLargeAreRefusedBeforeTheLog) {
  PutRequest request;
  request.set_key("k");
  request.set_value(std::string(api.service.options().max_request_bytes, 'x'));
  EXPECT_EQ(error(kPut, request), status_of(Error::RequestTooLarge));
  EXPECT_EQ(api.client.proposals, 0u);
}

TEST_F(Kv, BytesThatAreNoMessageAreAnInternalError) {
  for (const char* path : {kRange, kPut, kDelete, kTxn, kCompact}) {
    const auto call = api.call(path, "\x0a\xff");
    EXPECT_EQ(*call.status, status_of(Error::Unmarshal)) << path;
  }
  EXPECT_EQ(*api.call(kStream, "\x0a\xff").status, status_of(Error::UnmarshalStream));
}

TEST_F(Kv, ALearnerServesOnlyItsOwnState) {
  api.client.set_view({.leader = 9, .term = 3, .is_learner = true});
  api.loop.run();
  RangeRequest request;
  request.set_key("a");
  EXPECT_EQ(error(kRange, request), status_of(Error::NotSupportedForLearner));
  request.set_serializable(true);
  ok<RangeResponse>(kRange, request);
}

TEST_F(Kv, OutcomesOfAProposalKeepApart) {
  PutRequest request;
  request.set_key("k");
  using Why = node::Unknown::Why;
  const std::pair<node::Outcome, Error> rows[] = {
      {node::NotApplied{node::Refusal::NoLeader, ""}, Error::NoLeader},
      {node::NotApplied{node::Refusal::TooManyRequests, ""}, Error::TooManyRequests},
      {node::NotApplied{node::Refusal::TooLarge, ""}, Error::RequestTooLarge},
      {node::NotApplied{node::Refusal::Stopping, ""}, Error::Stopped},
      {node::NotApplied{node::Refusal::LeaderChanged, ""}, Error::LeaderChanged},
      {node::NotApplied{node::Refusal::Timeout, ""}, Error::Timeout},
      {node::Unknown{Why::Timeout}, Error::Timeout},
      {node::Unknown{Why::LeaderLost}, Error::TimeoutLeaderFailed},
      {node::Unknown{Why::ConnectionLost}, Error::TimeoutConnectionLost},
      {node::Unknown{Why::Stopping}, Error::Stopped},
  };
  for (const auto& [outcome, expected] : rows) {
    api.client.next_outcome = outcome;
    EXPECT_EQ(error(kPut, request), status_of(expected));
  }
}

// ---- RangeStream --------------------------------------------------------------------------------

TEST_F(Kv, RangeStreamMergesToTheRangeOfItsFirstMoment) {
  for (int i = 0; i < 100; ++i) api.put("k" + std::to_string(1000 + i), std::string(50, 'v'));
  RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  const auto whole = ok<RangeResponse>(kRange, request);

  const CallKey call = api.transport.open(kStream);
  api.transport.message(call, request.SerializeAsString());
  api.loop.step();
  api.client.apply(store::Put{.key = "k1050x", .value = "later"});  // must not be seen
  api.loop.run();
  const auto& seen = api.transport.at(call);
  EXPECT_EQ(*seen.status, Status{});
  EXPECT_GT(seen.messages.size(), 2u);
  RangeResponse merged;
  for (size_t i = 0; i < seen.messages.size(); ++i) {
    RangeStreamResponse piece;
    ASSERT_TRUE(piece.ParseFromString(seen.messages[i]));
    EXPECT_EQ(piece.range_response().has_header(), i + 1 == seen.messages.size());
    merged.MergeFrom(piece.range_response());
  }
  EXPECT_EQ(merged.SerializeAsString(), whole.SerializeAsString());
}

TEST_F(Kv, RangeStreamStopsAtItsLimitAndSaysMore) {
  for (int i = 0; i < 30; ++i) api.put("k" + std::to_string(100 + i), "v");
  RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  request.set_limit(25);
  const auto whole = ok<RangeResponse>(kRange, request);
  const auto seen = api.call(kStream, request.SerializeAsString());
  RangeResponse merged;
  for (const std::string& message : seen.messages) {
    RangeStreamResponse piece;
    ASSERT_TRUE(piece.ParseFromString(message));
    merged.MergeFrom(piece.range_response());
  }
  EXPECT_EQ(merged.SerializeAsString(), whole.SerializeAsString());
  EXPECT_TRUE(merged.more());
}

TEST_F(Kv, RangeStreamWaitsForAClientThatDoesNotRead) {
  Options options;
  options.max_request_bytes = 4096;
  TestApi small(options);
  for (int i = 0; i < 200; ++i) small.put("k" + std::to_string(1000 + i), std::string(200, 'v'));
  RangeRequest request;
  request.set_key("k");
  request.set_range_end("l");
  const CallKey call = small.transport.open(kStream);
  small.transport.message(call, request.SerializeAsString());
  small.loop.run();
  EXPECT_FALSE(small.transport.at(call).status.has_value());
  EXPECT_LT(small.transport.at(call).unread, 4 * 4096u);
  int kvs = 0;
  while (auto message = small.transport.take(call)) {
    RangeStreamResponse piece;
    ASSERT_TRUE(piece.ParseFromString(*message));
    kvs += piece.range_response().kvs_size();
    small.loop.run();
  }
  EXPECT_EQ(kvs, 200);
  EXPECT_EQ(*small.transport.at(call).status, Status{});
}

TEST_F(Kv, RangeStreamKnowsNeitherOrdersNorFilters) {
  RangeRequest request;
  request.set_key("k");
  request.set_sort_order(RangeRequest::DESCEND);
  EXPECT_EQ(error(kStream, request), status_of(Error::StreamSortOrder));
  request.set_sort_order(RangeRequest::ASCEND);
  request.set_max_mod_revision(4);
  EXPECT_EQ(error(kStream, request), status_of(Error::StreamRevisionFilter));
}

TEST_F(Kv, RangeStreamOfACountIsOneMessage) {
  for (const char* key : {"a", "b", "c"}) api.put(key, "v");
  RangeRequest request;
  request.set_key("a");
  request.set_range_end("z");
  request.set_count_only(true);
  const auto seen = api.call(kStream, request.SerializeAsString());
  ASSERT_EQ(seen.messages.size(), 1u);
  RangeStreamResponse piece;
  ASSERT_TRUE(piece.ParseFromString(seen.messages[0]));
  EXPECT_EQ(piece.range_response().count(), 3);
}

}  // namespace
}  // namespace witan::api::etcd
