#include "verify/linearizability.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "verify/testing.h"

namespace witan::verify {
namespace {

const std::string kEnd(1, '\0');

// A right server that does one call after the other, and whose history tests then spoil.
struct History {
  Truth truth;
  std::vector<Call> calls;
  Explanations explanations;
  int64_t now = 0;

  // Invoked, applied and returned one millisecond apart, by one client after the other.
  Call& ok(const Operation& operation) {
    Call call{.client = static_cast<int>(calls.size()), .operation = operation, .outcome = Outcome::Ok};
    call.invoked = at_ms(++now);
    call.reply = commit(truth, operation, at_ms(++now));
    call.returned = at_ms(++now);
    return calls.emplace_back(std::move(call));
  }
  Call& put(std::string key, std::string value) { return ok(Put{.key = std::move(key), .value = std::move(value)}); }
  Call& get(std::string key) { return ok(Range{.begin = std::move(key)}); }

  // Lost its reply; applied or not.
  Call& unknown(const Operation& operation, bool applied) {
    Call call{.operation = operation, .invoked = at_ms(++now), .outcome = Outcome::Unknown};
    if (applied) commit(truth, operation, at_ms(++now));
    call.returned = at_ms(++now);
    return calls.emplace_back(std::move(call));
  }
  Call& failed(const Operation& operation, Failure failure = Failure::None) {
    Call call{.operation = operation, .invoked = at_ms(++now), .outcome = Outcome::Failed};
    call.returned = at_ms(++now);
    call.reply.failure = failure;
    return calls.emplace_back(std::move(call));
  }
  // Not by a call.
  int64_t made(const Operation& operation) {
    commit(truth, operation, at_ms(++now));
    return truth.revision();
  }

  std::vector<Violation> judge() const { return check_linearizability(truth, calls, explanations); }
};

#define EXPECT_ACCEPTED(history) \
  { \
    const auto violations = (history).judge(); \
    EXPECT_TRUE(violations.empty()) << told(violations); \
  }
#define EXPECT_BROKEN(history, ...) \
  { \
    const auto violations = (history).judge(); \
    EXPECT_EQ(broken(violations), (Rules{__VA_ARGS__})) << told(violations); \
    for (const Violation& violation : violations) EXPECT_FALSE(violation.window.empty()); \
  }

TEST(Linearizability, AcceptsWhatARightServerDoes) {
  History history;
  history.put("a", "1");
  history.get("a");
  history.ok(Put{.key = "a", .value = "2", .prev_kv = true});
  history.ok(Range{.begin = "a", .end = kEnd, .revision = 2});
  history.ok(Delete{.begin = "b"});
  history.ok(Txn{.when = {{.key = "a", .target = Compare::Target::Mod, .number = 3}},
                 .then = {Put{.key = "b", .value = "3"}, Delete{.begin = "a", .prev_kv = true}}});
  history.ok(Txn{.when = {{.key = "a", .target = Compare::Target::Mod, .number = 3}},
                 .then = {Put{.key = "b", .value = "4"}},
                 .otherwise = {Range{.begin = "a", .end = kEnd}}});
  history.ok(Delete{.begin = "a", .end = kEnd});
  EXPECT_ACCEPTED(history);
  EXPECT_EQ(history.truth.revision(), 5);
}

TEST(Linearizability, AcceptsWhatNoCallMadeWhenItIsExplained) {
  History history;
  history.ok(Put{.key = "a", .value = "1", .lease = 7});
  history.ok(Put{.key = "b", .value = "2", .lease = 7});
  history.explanations.lease_ends = {history.made(Delete{.begin = "a", .end = kEnd})};
  history.explanations.internal_prefixes = {"locks/"};
  history.made(Put{.key = "locks/x", .value = ""});
  history.get("a");
  EXPECT_ACCEPTED(history);
}

TEST(Linearizability, AcceptsUnknownCallsThatHappenedOrDidNot) {
  History history;
  history.unknown(Put{.key = "a", .value = "1"}, true);
  history.unknown(Put{.key = "a", .value = "2"}, false);
  history.unknown(Delete{.begin = "a"}, true);
  history.unknown(Delete{.begin = "a"}, true);  // of nothing
  history.get("a");
  EXPECT_ACCEPTED(history);
}

TEST(Linearizability, AcceptsAnUnknownCallThatHappensAfterItsClientGaveUp) {
  History history;
  const Operation put = Put{.key = "a", .value = "1"};
  history.unknown(put, false);
  history.get("a");
  history.made(put);
  history.get("a");
  EXPECT_ACCEPTED(history);
}

// The wide one would have deleted both keys at once, so the first of the two is not its work.
TEST(Linearizability, FindsOutWhichUnknownDeleteItWas) {
  History history;
  history.put("a", "1");
  history.put("c", "2");
  history.unknown(Delete{.begin = "a", .end = "d"}, false);
  history.unknown(Delete{.begin = "a", .end = "b"}, false);
  history.made(Delete{.begin = "a"});
  history.made(Delete{.begin = "c"});
  EXPECT_ACCEPTED(history);
}

// Both could have deleted "a", but only the wide one "c".
TEST(Linearizability, ReassignsAnUnknownDeleteThatIsNeededElsewhere) {
  History history;
  history.put("a", "1");
  history.unknown(Delete{.begin = "a", .end = "d"}, false);
  history.unknown(Delete{.begin = "a"}, false);
  history.made(Delete{.begin = "a"});
  history.put("c", "2");
  history.made(Delete{.begin = "c"});
  EXPECT_ACCEPTED(history);
  history.put("c", "3");
  history.made(Delete{.begin = "c"});  // a third delete, and only two were sent
  EXPECT_BROKEN(history, "unexplained");
}

TEST(Linearizability, AcceptsOverlappingCallsInAnyOrder) {
  History history;
  history.put("a", "1");
  Call slow{.operation = Range{.begin = "a"}, .invoked = at_ms(++history.now), .outcome = Outcome::Ok};
  slow.reply = evaluate(history.truth, slow.operation, 2).reply;
  history.put("a", "2");
  slow.returned = at_ms(++history.now);
  history.calls.push_back(slow);
  EXPECT_ACCEPTED(history);
}

TEST(Linearizability, AcceptsASerializableReadOfThePast) {
  History history;
  history.put("a", "1");
  history.put("a", "2");
  Call& read = history.get("a");
  read.serializable = true;
  read.reply = evaluate(history.truth, read.operation, 2).reply;
  EXPECT_ACCEPTED(history);
}

TEST(Linearizability, AcceptsFailuresThatWerePossible) {
  History history;
  history.put("a", "1");
  history.put("a", "2");
  history.truth.compact(3, at_ms(++history.now));
  history.failed(Range{.begin = "a", .revision = 2}, Failure::Compacted);
  history.failed(Range{.begin = "a", .revision = 4}, Failure::FutureRevision);
  history.failed(Put{.key = "a", .value = "3", .lease = 4}, Failure::LeaseNotFound);
  history.failed(Put{.key = "a", .value = "4"});
  EXPECT_ACCEPTED(history);
}

TEST(Linearizability, RejectsAHistoryWithAWrongBefore) {
  History history;
  history.explanations.internal_prefixes = {""};
  history.made(Put{.key = "a", .value = "1"});
  Version before = *history.truth.at("a", 2);
  before.value = "x";
  const Version after{.value = "2", .create_revision = 2, .mod_revision = 3, .version = 2};
  history.truth.append(3, {{.key = "a", .before = before, .after = after}}, at_ms(++history.now));
  EXPECT_BROKEN(history, "history");
}

TEST(Linearizability, RejectsADeleteOfWhatWasNotThere) {
  History history;
  history.explanations.internal_prefixes = {""};
  history.truth.append(2, {{.key = "a"}}, at_ms(++history.now));
  EXPECT_BROKEN(history, "history");
}

TEST(Linearizability, RejectsAHistoryWithWrongNumbers) {
  for (int field = 0; field < 3; ++field) {
    History history;
    history.explanations.internal_prefixes = {""};
    history.made(Put{.key = "a", .value = "1"});
    const Version before = *history.truth.at("a", 2);
    Version after{.value = "2", .create_revision = 2, .mod_revision = 3, .version = 2};
    int64_t* fields[] = {&after.create_revision, &after.mod_revision, &after.version};
    ++*fields[field];
    history.truth.append(3, {{.key = "a", .before = before, .after = after}}, at_ms(++history.now));
    EXPECT_BROKEN(history, "history");
  }
}

TEST(Linearizability, RejectsAWrongReplyOfARead) {
  History history;
  history.put("a", "1");
  Call& read = history.get("a");
  std::get<RangeReply>(read.reply.answer).kvs[0].version.value = "2";
  EXPECT_BROKEN(history, "reply");
}

TEST(Linearizability, RejectsAWrongCount) {
  History history;
  history.put("a", "1");
  std::get<RangeReply>(history.get("a").reply.answer).count = 2;
  EXPECT_BROKEN(history, "reply");
}

TEST(Linearizability, RejectsAWrongPreviousValue) {
  History history;
  history.put("a", "1");
  history.put("a", "2");
  Call& put = history.ok(Put{.key = "a", .value = "3", .prev_kv = true});
  std::get<PutReply>(put.reply.answer).previous = history.truth.at("a", 2);
  EXPECT_BROKEN(history, "reply");
}

TEST(Linearizability, RejectsAWrongReplyOfASerializableRead) {
  History history;
  history.put("a", "1");
  Call& read = history.get("a");
  read.serializable = true;
  std::get<RangeReply>(read.reply.answer) = RangeReply{};
  EXPECT_BROKEN(history, "reply");
}

TEST(Linearizability, RejectsARevisionThatWasNeverMade) {
  History history;
  history.put("a", "1");
  history.get("a").reply.revision = 3;
  EXPECT_BROKEN(history, "reply");
}

TEST(Linearizability, RejectsAcknowledgementsThatSayFailure) {
  History history;
  history.get("a").reply.failure = Failure::Compacted;
  EXPECT_BROKEN(history, "reply");
}

TEST(Linearizability, RejectsAFailureThatWasImpossible) {
  History history;
  history.put("a", "1");
  history.put("a", "2");
  History compacted = history;
  compacted.failed(Range{.begin = "a", .revision = 2}, Failure::Compacted);
  EXPECT_BROKEN(compacted, "reply");
  History future = history;
  future.failed(Range{.begin = "a", .revision = 3}, Failure::FutureRevision);
  EXPECT_BROKEN(future, "reply");
  future.calls.back().serializable = true;  // a member that lags may say so
  EXPECT_ACCEPTED(future);
  History lease = history;
  lease.failed(Put{.key = "a", .value = "3"}, Failure::LeaseNotFound);
  EXPECT_BROKEN(lease, "reply");
}

TEST(Linearizability, RejectsAnEffectThatDiffersFromTheCall) {
  History history;
  Call& put = history.put("a", "1");
  put.operation = Put{.key = "a", .value = "other"};
  EXPECT_BROKEN(history, "effect");
}

TEST(Linearizability, RejectsALostUpdate) {
  History history;
  history.put("a", "1");
  history.unknown(Put{.key = "a", .value = "2"}, true);
  // It compared with version 1 and says that it won, although version 2 was there already.
  Call& swap = history.ok(Txn{.when = {{.key = "a", .target = Compare::Target::Version, .number = 2}},
                              .then = {Put{.key = "a", .value = "3"}}});
  std::get<Txn>(swap.operation).when[0].number = 1;
  EXPECT_BROKEN(history, "effect");
}

TEST(Linearizability, RejectsACallThatSaysItChangedNothing) {
  History history;
  history.put("a", "1");
  Call& remove = history.ok(Delete{.begin = "b"});
  remove.operation = Delete{.begin = "a"};
  EXPECT_BROKEN(history, "effect");
}

TEST(Linearizability, RejectsTwoClaimsOfOneRevision) {
  History history;
  Call again = history.put("a", "1");
  history.calls.push_back(again);
  EXPECT_BROKEN(history, "claim");
}

TEST(Linearizability, RejectsAClaimOfALeasesEnd) {
  History history;
  history.ok(Put{.key = "a", .value = "1", .lease = 7});
  history.ok(Delete{.begin = "a"});
  history.explanations.lease_ends = {3};
  EXPECT_BROKEN(history, "claim");
}

TEST(Linearizability, RejectsARevisionThatNobodyMade) {
  History history;
  history.made(Put{.key = "a", .value = "1"});
  history.explanations.internal_prefixes = {"locks/"};
  EXPECT_BROKEN(history, "unexplained");
}

TEST(Linearizability, RejectsAnUnknownCallThatHappensTwice) {
  History history;
  const Operation put = Put{.key = "a", .value = "1"};
  history.unknown(put, true);
  history.made(put);
  EXPECT_BROKEN(history, "unexplained");
}

TEST(Linearizability, RejectsAnUnknownCallThatHappensBeforeItWasInvoked) {
  History history;
  const Operation put = Put{.key = "a", .value = "1"};
  history.made(put);
  history.unknown(put, false);
  EXPECT_BROKEN(history, "unexplained");
}

TEST(Linearizability, RejectsAFailedCallThatHappened) {
  History history;
  history.unknown(Put{.key = "a", .value = "1"}, true).outcome = Outcome::Failed;
  EXPECT_BROKEN(history, "not-applied", "unexplained");
}

TEST(Linearizability, RejectsALeaseEndThatDeletesTooMuch) {
  History history;
  history.ok(Put{.key = "a", .value = "1", .lease = 7});
  history.ok(Put{.key = "b", .value = "2"});
  history.explanations.lease_ends = {history.made(Delete{.begin = "a", .end = kEnd})};
  EXPECT_BROKEN(history, "lease-end");
}

TEST(Linearizability, RejectsALeaseEndThatLeavesAKey) {
  History history;
  history.ok(Put{.key = "a", .value = "1", .lease = 7});
  history.ok(Put{.key = "b", .value = "2", .lease = 7});
  history.explanations.lease_ends = {history.made(Delete{.begin = "a"})};
  EXPECT_BROKEN(history, "lease-end");
}

TEST(Linearizability, ALeaseMayLeaveKeysThatItLost) {
  History history;
  history.ok(Put{.key = "a", .value = "1", .lease = 7});
  history.ok(Put{.key = "b", .value = "2", .lease = 7});
  history.put("b", "3");
  history.explanations.lease_ends = {history.made(Delete{.begin = "a"})};
  EXPECT_ACCEPTED(history);
}

TEST(Linearizability, RejectsAStaleRead) {
  History history;
  history.put("a", "1");
  history.put("a", "2");
  Call& read = history.get("a");
  read.reply = evaluate(history.truth, read.operation, 2).reply;
  EXPECT_BROKEN(history, "real-time");
}

TEST(Linearizability, RejectsAReadBehindAnEarlierRead) {
  History history;
  history.put("a", "1");
  history.unknown(Put{.key = "a", .value = "2"}, true);
  history.get("a");
  Call& read = history.get("a");
  read.reply = evaluate(history.truth, read.operation, 2).reply;
  EXPECT_BROKEN(history, "real-time");
}

TEST(Linearizability, RejectsAStaleReadAtTheInstantOfItsClientsReturn) {
  History history;
  history.put("a", "1");
  const Call put = history.put("a", "2");
  Call& read = history.get("a");
  read.reply = evaluate(history.truth, read.operation, 2).reply;
  read.invoked = put.returned;
  EXPECT_ACCEPTED(history);  // of another client: the two may have crossed
  read.client = put.client;
  EXPECT_BROKEN(history, "real-time");
}

TEST(Linearizability, RejectsAWriteThatWasReadBeforeItWasInvoked) {
  History history;
  const Call read = history.get("a");
  Call& put = history.put("a", "1");
  put.invoked = put.returned;
  history.calls[0].reply = evaluate(history.truth, read.operation, 2).reply;
  history.calls[0].returned = at_ms(5);
  EXPECT_BROKEN(history, "real-time", "time");
}

TEST(Linearizability, RejectsAnEffectBeforeItsInvocation) {
  History history;
  Call& put = history.put("a", "1");
  put.invoked = put.returned;
  EXPECT_BROKEN(history, "time");
}

TEST(Linearizability, RejectsAnAcknowledgementBeforeTheEffect) {
  History history;
  Call& put = history.put("a", "1");
  put.returned = put.invoked;
  EXPECT_BROKEN(history, "time");
}

TEST(Linearizability, RejectsAReadOfTheFuture) {
  History history;
  history.get("a");
  history.put("a", "1");
  history.calls[0].reply = evaluate(history.truth, history.calls[0].operation, 2).reply;
  EXPECT_BROKEN(history, "time", "real-time");
}

// Ten thousand calls are judged in no time, and only the spoilt one is found.
TEST(Linearizability, FindsOneStaleReadAmongThousands) {
  History history;
  Rng rng(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = fmt::format("k{}", rng.below(20));
    if (rng.chance(1, 2)) {
      history.put(key, fmt::format("{}", i));
    } else if (rng.chance(1, 4)) {
      history.ok(Delete{.begin = key});
    } else {
      history.get(key);
    }
  }
  EXPECT_ACCEPTED(history);
  Call& read = history.get("k1");
  read.reply = evaluate(history.truth, read.operation, history.truth.revision() - 1).reply;
  EXPECT_BROKEN(history, "real-time");
}

TEST(Linearizability, DescribesACallInALine) {
  History history;
  history.put("a", "1");
  EXPECT_EQ(describe(history.calls[0]), R"(client 0 member 0 [1.000000ms, 3.000000ms] ok: put "a" "1" => at 2: put)");
  history.failed(Range{.begin = "a", .revision = 9}, Failure::FutureRevision).serializable = true;
  EXPECT_EQ(describe(history.calls[1]),
            R"(client 0 member 0 [4.000000ms, 5.000000ms] failed serializable: range "a" rev=9 => future revision)");
}

}  // namespace
}  // namespace witan::verify
