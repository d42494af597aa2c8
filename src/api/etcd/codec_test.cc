// The hand codecs against protobuf, their slow twin, and the checks that come before the log.
#include <gtest/gtest.h>

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "api/etcd/encode.h"
#include "api/etcd/event.h"
#include "api/etcd/lower.h"
#include "api/etcd/proto/rpc.pb.h"
#include "api/etcd/range_index.h"
#include "api/etcd/request.h"
#include "base/rng.h"

namespace witan::api::etcd {
namespace {

std::string random_bytes(Rng& rng, uint64_t limit) {
  std::string out(rng.below(limit), '\0');
  for (char& c : out) c = static_cast<char>(rng.below(256));
  return out;
}

int64_t random_number(Rng& rng) {
  switch (rng.below(4)) {
    case 0: return 0;
    case 1: return static_cast<int64_t>(rng.below(200));
    case 2: return -static_cast<int64_t>(rng.below(200));
    default: return static_cast<int64_t>(rng.next());
  }
}

etcdserverpb::RangeRequest random_range(Rng& rng) {
  etcdserverpb::RangeRequest m;
  m.set_key(random_bytes(rng, 20));
  m.set_range_end(random_bytes(rng, 20));
  m.set_limit(random_number(rng));
  m.set_revision(random_number(rng));
  m.set_sort_order(static_cast<etcdserverpb::RangeRequest::SortOrder>(rng.between(-2, 5)));
  m.set_sort_target(static_cast<etcdserverpb::RangeRequest::SortTarget>(rng.between(-2, 6)));
  m.set_serializable(rng.chance(1, 2));
  m.set_keys_only(rng.chance(1, 2));
  m.set_count_only(rng.chance(1, 2));
  m.set_min_mod_revision(random_number(rng));
  m.set_max_mod_revision(random_number(rng));
  m.set_min_create_revision(random_number(rng));
  m.set_max_create_revision(random_number(rng));
  return m;
}

etcdserverpb::PutRequest random_put(Rng& rng) {
  etcdserverpb::PutRequest m;
  m.set_key(random_bytes(rng, 20));
  m.set_value(random_bytes(rng, 40));
  m.set_lease(random_number(rng));
  m.set_prev_kv(rng.chance(1, 2));
  m.set_ignore_value(rng.chance(1, 2));
  m.set_ignore_lease(rng.chance(1, 2));
  return m;
}

etcdserverpb::DeleteRangeRequest random_delete(Rng& rng) {
  etcdserverpb::DeleteRangeRequest m;
  m.set_key(random_bytes(rng, 20));
  m.set_range_end(random_bytes(rng, 20));
  m.set_prev_kv(rng.chance(1, 2));
  return m;
}

etcdserverpb::TxnRequest random_txn(Rng& rng, int depth);

void random_operation(Rng& rng, int depth, etcdserverpb::RequestOp& out) {
  switch (rng.below(depth > 0 ? 5 : 4)) {
    case 0: break;
    case 1: *out.mutable_request_range() = random_range(rng); break;
    case 2: *out.mutable_request_put() = random_put(rng); break;
    case 3: *out.mutable_request_delete_range() = random_delete(rng); break;
    default: *out.mutable_request_txn() = random_txn(rng, depth - 1);
  }
}

etcdserverpb::TxnRequest random_txn(Rng& rng, int depth) {
  etcdserverpb::TxnRequest m;
  for (uint64_t i = rng.below(4); i > 0; --i) {
    auto& compare = *m.add_compare();
    compare.set_key(random_bytes(rng, 5));
    compare.set_range_end(random_bytes(rng, 5));
    compare.set_result(static_cast<etcdserverpb::Compare::CompareResult>(rng.between(-1, 5)));
    compare.set_target(static_cast<etcdserverpb::Compare::CompareTarget>(rng.between(-1, 6)));
    switch (rng.below(6)) {
      case 0: compare.set_version(random_number(rng)); break;
      case 1: compare.set_create_revision(random_number(rng)); break;
      case 2: compare.set_mod_revision(random_number(rng)); break;
      case 3: compare.set_value(random_bytes(rng, 9)); break;
      case 4: compare.set_lease(random_number(rng)); break;
      default: break;
    }
  }
  for (uint64_t i = rng.below(4); i > 0; --i) random_operation(rng, depth, *m.add_success());
  for (uint64_t i = rng.below(4); i > 0; --i) random_operation(rng, depth, *m.add_failure());
  return m;
}

void expect_same(const RangeRequest& ours, const etcdserverpb::RangeRequest& theirs) {
  EXPECT_EQ(ours.key, theirs.key());
  EXPECT_EQ(ours.range_end, theirs.range_end());
  EXPECT_EQ(ours.limit, theirs.limit());
  EXPECT_EQ(ours.revision, theirs.revision());
  EXPECT_EQ(ours.sort_order, static_cast<int>(theirs.sort_order()));
  EXPECT_EQ(ours.sort_target, static_cast<int>(theirs.sort_target()));
  EXPECT_EQ(ours.serializable, theirs.serializable());
  EXPECT_EQ(ours.keys_only, theirs.keys_only());
  EXPECT_EQ(ours.count_only, theirs.count_only());
  EXPECT_EQ(ours.min_mod, theirs.min_mod_revision());
  EXPECT_EQ(ours.max_mod, theirs.max_mod_revision());
  EXPECT_EQ(ours.min_create, theirs.min_create_revision());
  EXPECT_EQ(ours.max_create, theirs.max_create_revision());
}

void expect_same(const PutRequest& ours, const etcdserverpb::PutRequest& theirs) {
  EXPECT_EQ(ours.key, theirs.key());
  EXPECT_EQ(ours.value, theirs.value());
  EXPECT_EQ(ours.lease, theirs.lease());
  EXPECT_EQ(ours.prev_kv, theirs.prev_kv());
  EXPECT_EQ(ours.ignore_value, theirs.ignore_value());
  EXPECT_EQ(ours.ignore_lease, theirs.ignore_lease());
}

void expect_same(const DeleteRequest& ours, const etcdserverpb::DeleteRangeRequest& theirs) {
  EXPECT_EQ(ours.key, theirs.key());
  EXPECT_EQ(ours.range_end, theirs.range_end());
  EXPECT_EQ(ours.prev_kv, theirs.prev_kv());
}

void expect_same(const TxnRequest& ours, const etcdserverpb::TxnRequest& theirs);

void expect_same(const OperationRequest& ours, const etcdserverpb::RequestOp& theirs) {
  ASSERT_EQ(static_cast<int>(ours.what.index()), static_cast<int>(theirs.request_case()));
  switch (ours.what.index()) {
    case 1: return expect_same(std::get<1>(ours.what), theirs.request_range());
    case 2: return expect_same(std::get<2>(ours.what), theirs.request_put());
    case 3: return expect_same(std::get<3>(ours.what), theirs.request_delete_range());
    case 4: return expect_same(std::get<4>(ours.what), theirs.request_txn());
    default: return;
  }
}

void expect_same(const TxnRequest& ours, const etcdserverpb::TxnRequest& theirs) {
  ASSERT_EQ(static_cast<int>(ours.compares.size()), theirs.compare_size());
  for (int i = 0; i < theirs.compare_size(); ++i) {
    const CompareRequest& compare = ours.compares[static_cast<size_t>(i)];
    EXPECT_EQ(compare.key, theirs.compare(i).key());
    EXPECT_EQ(compare.range_end, theirs.compare(i).range_end());
    EXPECT_EQ(compare.result, static_cast<int>(theirs.compare(i).result()));
    EXPECT_EQ(compare.target, static_cast<int>(theirs.compare(i).target()));
    EXPECT_EQ(compare.given, static_cast<uint32_t>(theirs.compare(i).target_union_case()));
    EXPECT_EQ(compare.given == 7 ? compare.value : "", theirs.compare(i).value());
  }
  ASSERT_EQ(static_cast<int>(ours.success.size()), theirs.success_size());
  ASSERT_EQ(static_cast<int>(ours.failure.size()), theirs.failure_size());
  for (int i = 0; i < theirs.success_size(); ++i) expect_same(ours.success[static_cast<size_t>(i)], theirs.success(i));
  for (int i = 0; i < theirs.failure_size(); ++i) expect_same(ours.failure[static_cast<size_t>(i)], theirs.failure(i));
}

// Groups and varints of more than 64 bits are not read by hand; no proto3 client writes them.
template <class Ours, class Theirs>
void damaged(Rng& rng, std::string bytes) {
  if (!bytes.empty()) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
  if (rng.chance(1, 3)) bytes.resize(rng.below(bytes.size() + 1));
  Ours ours;
  Theirs theirs;
  if (!decode(bytes, ours)) return;  // at worst stricter than protobuf
  ASSERT_TRUE(theirs.ParseFromString(bytes)) << "read by hand, refused by protobuf";
  expect_same(ours, theirs);
}

TEST(Codec, RequestsAreReadAsProtobufReadsThem) {
  Rng rng(1);
  for (int i = 0; i < 3000; ++i) {
    const auto range = random_range(rng);
    const auto put = random_put(rng);
    const auto erase = random_delete(rng);
    RangeRequest our_range;
    PutRequest our_put;
    DeleteRequest our_delete;
    const std::string bytes[] = {range.SerializeAsString(), put.SerializeAsString(), erase.SerializeAsString()};
    ASSERT_TRUE(decode(bytes[0], our_range));
    ASSERT_TRUE(decode(bytes[1], our_put));
    ASSERT_TRUE(decode(bytes[2], our_delete));
    expect_same(our_range, range);
    expect_same(our_put, put);
    expect_same(our_delete, erase);
    damaged<RangeRequest, etcdserverpb::RangeRequest>(rng, bytes[0]);
    damaged<PutRequest, etcdserverpb::PutRequest>(rng, bytes[1]);
    damaged<DeleteRequest, etcdserverpb::DeleteRangeRequest>(rng, bytes[2]);
    if (HasFailure()) return;
  }
}

TEST(Codec, TransactionsAreReadAsProtobufReadsThem) {
  Rng rng(2);
  for (int i = 0; i < 2000; ++i) {
    const auto txn = random_txn(rng, 3);
    std::string bytes = txn.SerializeAsString();
    std::string scratch;
    TxnRequest ours;
    ASSERT_EQ(decode(bytes, ours, scratch), TxnDecoding::Done);
    expect_same(ours, txn);
    if (!bytes.empty()) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    TxnRequest other;
    if (decode(bytes, other, scratch) == TxnDecoding::Done) {
      etcdserverpb::TxnRequest theirs;
      ASSERT_TRUE(theirs.ParseFromString(bytes));
      expect_same(other, theirs);
    }
    if (HasFailure()) return;
  }
}

TEST(Codec, AnOperationInPiecesIsPutTogether) {
  etcdserverpb::RequestOp first;
  first.mutable_request_put()->set_key("k");
  etcdserverpb::RequestOp second;
  second.mutable_request_put()->set_value("v");
  etcdserverpb::TxnRequest txn;
  txn.add_success()->ParseFromString(first.SerializeAsString() + second.SerializeAsString());
  std::string bytes = "\x12";  // success = 2
  const std::string operation = first.SerializeAsString() + second.SerializeAsString();
  bytes += static_cast<char>(operation.size());
  bytes += operation;
  std::string scratch;
  TxnRequest ours;
  ASSERT_EQ(decode(bytes, ours, scratch), TxnDecoding::Done);
  expect_same(ours, txn);
  EXPECT_EQ(std::get<PutRequest>(ours.success[0].what).value, "v");
}

// What is accepted can be proposed, and what can not be read back from the log is not accepted.
TEST(Codec, ATransactionTheLogCannotHoldIsRefused) {
  std::string scratch;
  etcdserverpb::TxnRequest txn;
  for (int depth = 1; depth < 70; ++depth) {
    const std::string bytes = txn.SerializeAsString();
    TxnRequest ours;
    const TxnDecoding result = decode(bytes, ours, scratch);
    EXPECT_EQ(result, depth <= 64 ? TxnDecoding::Done : TxnDecoding::TooLarge);
    if (result == TxnDecoding::Done) {
      EXPECT_TRUE(store::decode(store::encode({.header = {}, .body = lower(ours)}).view())) << depth;
    }
    etcdserverpb::TxnRequest outer;
    outer.add_success()->mutable_request_txn()->Swap(&txn);
    txn.Swap(&outer);
  }
  txn.Clear();
  for (int i = 0; i < 65'536; ++i) txn.add_success()->mutable_request_txn();
  TxnRequest most;
  EXPECT_EQ(decode(txn.SerializeAsString(), most, scratch), TxnDecoding::Done);
  EXPECT_TRUE(store::decode(store::encode({.header = {}, .body = lower(most)}).view()));
  txn.add_success();
  TxnRequest more;
  EXPECT_EQ(decode(txn.SerializeAsString(), more, scratch), TxnDecoding::TooLarge);
}

// ---- responses ----------------------------------------------------------------------------------

store::VersionRef random_version(Rng& rng) {
  auto* version = new store::Version;
  version->create_revision = store::Revision(random_number(rng));
  version->mod_revision = store::Revision(random_number(rng));
  version->version = random_number(rng);
  version->lease = store::LeaseId(random_number(rng));
  if (rng.chance(3, 4)) version->value = Blob(random_bytes(rng, rng.chance(1, 3) ? 3000 : 40));
  return store::VersionRef(version);
}

void to_proto(const Blob& key, const store::VersionRef& version, bool with_value, mvccpb::KeyValue& out) {
  out.set_key(key.data(), key.size());
  out.set_create_revision(version->create_revision.value);
  out.set_mod_revision(version->mod_revision.value);
  out.set_version(version->version);
  out.set_lease(version->lease.value);
  if (with_value) out.set_value(version->value.data(), version->value.size());
}

template <class Message>
void expect_encodes(const Chain& bytes, const Message& expected) {
  Message read;
  ASSERT_TRUE(read.ParseFromString(bytes.flatten()));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(read, expected)) << read.ShortDebugString() << "\n"
                                                                                  << expected.ShortDebugString();
  EXPECT_EQ(bytes.size(), expected.ByteSizeLong());
}

TEST(Codec, ResponsesAreReadBackByProtobuf) {
  Rng rng(3);
  for (int i = 0; i < 1000; ++i) {
    const Header header{.cluster = rng.next(),
                        .member = rng.next(),
                        .revision = store::Revision(random_number(rng)),
                        .term = rng.below(1000)};
    store::RangeResult range;
    etcdserverpb::RangeResponse expected;
    fill(*expected.mutable_header(), header);
    const bool keys_only = rng.chance(1, 3);
    for (uint64_t n = rng.below(5); n > 0; --n) {
      range.items.push_back({Blob(random_bytes(rng, 20)), random_version(rng)});
      to_proto(range.items.back().key, range.items.back().version, !keys_only, *expected.add_kvs());
    }
    range.more = rng.chance(1, 2);
    range.count = random_number(rng);
    expected.set_more(range.more);
    expected.set_count(range.count);
    expect_encodes(range_response(header, range, keys_only), expected);

    store::DeleteResult erase{.deleted = random_number(rng), .previous = range.items};
    etcdserverpb::DeleteRangeResponse deleted;
    fill(*deleted.mutable_header(), header);
    deleted.set_deleted(erase.deleted);
    for (const auto& item : erase.previous) to_proto(item.key, item.version, true, *deleted.add_prev_kvs());
    expect_encodes(delete_response(header, erase), deleted);

    store::PutResult put{.previous = rng.chance(1, 2) ? random_version(rng) : store::VersionRef()};
    etcdserverpb::PutResponse stored;
    fill(*stored.mutable_header(), header);
    if (put.previous) to_proto(Blob("key"), put.previous, true, *stored.mutable_prev_kv());
    expect_encodes(put_response(header, put, "key"), stored);
    if (HasFailure()) return;
  }
}

TEST(Codec, EventsAreReadBackByProtobuf) {
  Rng rng(4);
  for (int i = 0; i < 2000; ++i) {
    store::Change change{.key = Blob(random_bytes(rng, 20) + "k")};
    if (rng.chance(2, 3)) change.before = random_version(rng);
    if (rng.chance(2, 3)) change.after = random_version(rng);
    const store::Revision revision(static_cast<int64_t>(1 + rng.below(1'000'000)));
    const bool previous = rng.chance(1, 2);
    etcdserverpb::WatchResponse expected;
    mvccpb::Event& event = *expected.add_events();
    if (change.after) {
      to_proto(change.key, change.after, true, *event.mutable_kv());
    } else {
      event.set_type(mvccpb::Event::DELETE);
      event.mutable_kv()->set_key(change.key.data(), change.key.size());
      event.mutable_kv()->set_mod_revision(revision.value);
    }
    if (previous && change.before) to_proto(change.key, change.before, true, *event.mutable_prev_kv());
    const EncodedEvent encoded(change, revision, previous);
    Chain bytes;
    encoded.append_to(bytes);
    EXPECT_EQ(bytes.size(), encoded.size());
    expect_encodes(bytes, expected);
    if (HasFailure()) return;
  }
}

// ---- checks -------------------------------------------------------------------------------------

std::optional<Error> check_of(const etcdserverpb::TxnRequest& txn, size_t limit = 128) {
  const std::string bytes = txn.SerializeAsString();
  std::string scratch;
  TxnRequest request;
  EXPECT_EQ(decode(bytes, request, scratch), TxnDecoding::Done);
  return check(request, limit);
}

void add_put(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& to, const std::string& key) {
  to.Add()->mutable_request_put()->set_key(key);
}
void add_delete(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& to, const std::string& key,
                const std::string& end = "") {
  auto& erase = *to.Add()->mutable_request_delete_range();
  erase.set_key(key);
  erase.set_range_end(end);
}

TEST(TxnCheck, OperationsAreCountedAndNestedOnesGetWhatIsLeft) {
  etcdserverpb::TxnRequest txn;
  for (int i = 0; i < 128; ++i) txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_EQ(check_of(txn), std::nullopt);
  txn.add_success()->mutable_request_range()->set_key("k");
  EXPECT_EQ(check_of(txn), Error::TooManyOperations);
  txn.Clear();
  auto& nested = *txn.add_success()->mutable_request_txn();
  for (int i = 0; i < 3; ++i) nested.add_failure()->mutable_request_range()->set_key("k");
  EXPECT_EQ(check_of(txn, 4), std::nullopt);
  EXPECT_EQ(check_of(txn, 3), Error::TooManyOperations);
}

TEST(TxnCheck, ComparesAndOperationsNeedKeys) {
  etcdserverpb::TxnRequest txn;
  txn.add_compare();
  EXPECT_EQ(check_of(txn), Error::EmptyKey);
  txn.Clear();
  txn.add_failure();
  EXPECT_EQ(check_of(txn), Error::KeyNotFound);
  txn.Clear();
  txn.add_success()->mutable_request_txn()->add_success()->mutable_request_put();
  EXPECT_EQ(check_of(txn), Error::EmptyKey);
}

TEST(TxnCheck, NoKeyIsChangedTwice) {
  etcdserverpb::TxnRequest txn;
  add_put(*txn.mutable_success(), "a");
  add_put(*txn.mutable_failure(), "a");
  EXPECT_EQ(check_of(txn), std::nullopt);  // the branches exclude each other
  add_put(*txn.mutable_success(), "a");
  EXPECT_EQ(check_of(txn), Error::DuplicateKey);

  txn.Clear();
  add_put(*txn.mutable_success(), "b");
  add_delete(*txn.mutable_success(), "a", "c");
  EXPECT_EQ(check_of(txn), Error::DuplicateKey);
  txn.mutable_success(1)->mutable_request_delete_range()->set_range_end("b");
  EXPECT_EQ(check_of(txn), std::nullopt);
  add_delete(*txn.mutable_success(), "a", "b");  // deletes may overlap
  EXPECT_EQ(check_of(txn), std::nullopt);
  add_delete(*txn.mutable_success(), "b");
  EXPECT_EQ(check_of(txn), Error::DuplicateKey);
}

TEST(TxnCheck, NestedBranchesMayPutTheSameKeyButNotOneThatIsChangedOutside) {
  etcdserverpb::TxnRequest txn;
  auto& nested = *txn.add_success()->mutable_request_txn();
  add_put(*nested.mutable_success(), "a");
  add_put(*nested.mutable_failure(), "a");
  EXPECT_EQ(check_of(txn), std::nullopt);
  auto& other = *txn.add_success()->mutable_request_txn();
  add_put(*other.mutable_failure(), "a");
  EXPECT_EQ(check_of(txn), Error::DuplicateKey);
  txn.mutable_success()->RemoveLast();
  add_delete(*nested.mutable_failure(), "x", "z");
  EXPECT_EQ(check_of(txn), std::nullopt);
  add_put(*txn.mutable_success(), "y");
  EXPECT_EQ(check_of(txn), Error::DuplicateKey);
}

TEST(TxnCheck, OverlapIsFoundAmongManyIntervals) {
  Rng rng(5);
  for (int round = 0; round < 300; ++round) {
    etcdserverpb::TxnRequest txn;
    std::vector<std::pair<char, char>> deletes;
    for (uint64_t n = rng.below(6); n > 0; --n) {
      deletes.push_back({static_cast<char>('a' + rng.below(20)), static_cast<char>('a' + rng.below(20))});
      add_delete(*txn.mutable_success(), std::string(1, deletes.back().first), std::string(1, deletes.back().second));
    }
    const char key = static_cast<char>('a' + rng.below(20));
    add_put(*txn.mutable_success(), std::string(1, key));
    const bool overlap = std::ranges::any_of(deletes, [&](const auto& d) { return d.first <= key && key < d.second; });
    EXPECT_EQ(check_of(txn), overlap ? std::optional(Error::DuplicateKey) : std::nullopt);
  }
}

// ---- the index of watchers ----------------------------------------------------------------------

TEST(RangeIndexTest, FindsWhatAWalkOverAllRangesFinds) {
  Rng rng(6);
  for (int round = 0; round < 20; ++round) {
    RangeIndex index;
    std::vector<std::pair<store::KeyRange, uint32_t>> all;
    uint32_t last = 0;
    const auto key = [&] { return std::string(1 + rng.below(2), static_cast<char>('a' + rng.below(8))); };
    for (int i = 0; i < 600; ++i) {
      if (all.empty() || rng.chance(3, 5)) {
        store::KeyRange range{key(), rng.chance(1, 4) ? "" : key()};
        if (rng.chance(1, 3)) range = store::KeyRange::single(range.begin);
        index.insert(range, ++last);
        all.emplace_back(range, last);
      } else {
        const size_t at = rng.below(all.size());
        index.erase(all[at].first, all[at].second);
        all.erase(all.begin() + static_cast<std::ptrdiff_t>(at));
      }
      const std::string probe = key();
      std::vector<uint32_t> found;
      index.find(probe, found);
      std::vector<uint32_t> expected;
      for (const auto& [range, item] : all) {
        if (range.contains(probe)) expected.push_back(item);
      }
      std::ranges::sort(found);
      std::ranges::sort(expected);
      ASSERT_EQ(found, expected);
      ASSERT_EQ(index.size(), all.size());
    }
  }
}

}  // namespace
}  // namespace witan::api::etcd
