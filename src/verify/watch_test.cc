#include "verify/watch.h"

#include <functional>

#include <gtest/gtest.h>

#include "verify/testing.h"

namespace witan::verify {
namespace {

using Kind = WatchMessage::Kind;
const std::string kEnd(1, '\0');

// Revision 2 puts a, 3 puts b, 4 changes a and deletes b, 5 puts z (which nobody watches), 6 puts c under a lease.
// Revision r is applied at the millisecond r; messages are received at the millisecond 100.
struct Watched {
  Truth truth;
  WatchAttachment attachment{.begin = "a", .end = "m", .start_revision = 1, .lived_to_the_end = true};

  Watched() {
    make(Put{.key = "a", .value = "1"});
    make(Put{.key = "b", .value = "2"});
    make(Txn{.then = {Put{.key = "a", .value = "3"}, Delete{.begin = "b"}}});
    make(Put{.key = "z", .value = "4"});
    make(Put{.key = "c", .value = "5", .lease = 7});
    say(Kind::Created, 1);
  }

  void make(const Operation& operation) { commit(truth, operation, at_ms(truth.revision() + 1)); }

  WatchMessage& say(Kind kind, int64_t header) {
    return attachment.messages.emplace_back(WatchMessage{.kind = kind, .header_revision = header, .at = at_ms(100)});
  }
  // A right message of the revisions [first, last].
  WatchMessage& tell(int64_t first, int64_t last) {
    WatchMessage& message = say(Kind::Events, last);
    for (int64_t revision = first; revision <= last; ++revision) {
      for (const Change& change : truth.changes(revision)) {
        if (!in_range(change.key, attachment.begin, attachment.end)) continue;
        if (change.after ? attachment.no_put : attachment.no_delete) continue;
        WatchEvent event{.deleted = !change.after, .key = change.key};
        event.now = change.after.value_or(Version{.mod_revision = revision});
        if (attachment.prev_kv) event.previous = change.before;
        message.events.push_back(std::move(event));
      }
    }
    return message;
  }
  WatchEvent& event(size_t message, size_t event) { return attachment.messages[message].events[event]; }
  // Splits a message after its first `events`; the first piece says that more follows.
  void split(size_t message, size_t events) {
    WatchMessage rest = attachment.messages[message];
    rest.events.erase(rest.events.begin(), rest.events.begin() + static_cast<std::ptrdiff_t>(events));
    attachment.messages[message].events.resize(events);
    attachment.messages[message].more_fragments = true;
    attachment.messages.insert(attachment.messages.begin() + static_cast<std::ptrdiff_t>(message) + 1, rest);
  }
  std::vector<Violation> judge() const { return check_watch(truth, attachment); }
};

#define EXPECT_ACCEPTED(watched) \
  { \
    const auto violations = (watched).judge(); \
    EXPECT_TRUE(violations.empty()) << told(violations); \
  }
#define EXPECT_BROKEN(watched, ...) \
  { \
    const auto violations = (watched).judge(); \
    EXPECT_EQ(broken(violations), (Rules{__VA_ARGS__})) << told(violations); \
    for (const Violation& violation : violations) EXPECT_FALSE(violation.window.empty()); \
  }

TEST(WatchChecker, AcceptsARightWatch) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.tell(1, 2);
  watched.tell(3, 4);
  watched.say(Kind::Progress, 5);
  watched.tell(6, 6);
  watched.say(Kind::Progress, 6);
  EXPECT_ACCEPTED(watched);
  EXPECT_EQ(watched.attachment.messages[2].events.size(), 3U);
}

TEST(WatchChecker, AcceptsAWatchThatEndsAnywhere) {
  Watched watched;
  watched.attachment.lived_to_the_end = false;
  watched.attachment.fragment = true;
  watched.tell(1, 4);
  watched.tell(6, 6);
  watched.split(1, 3);
  while (!watched.attachment.messages.empty()) {
    EXPECT_ACCEPTED(watched);
    watched.attachment.messages.pop_back();
  }
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, AcceptsAStartFromNowAndFromTheFuture) {
  Watched watched;
  watched.attachment.start_revision = 0;
  watched.attachment.messages[0].header_revision = 3;
  watched.tell(4, 6);
  EXPECT_ACCEPTED(watched);

  Watched future;
  future.attachment.start_revision = 9;
  future.make(Put{.key = "a", .value = "6"});
  EXPECT_ACCEPTED(future);
}

TEST(WatchChecker, AcceptsFilters) {
  Watched no_put;
  no_put.attachment.no_put = true;
  no_put.tell(1, 6);
  EXPECT_EQ(no_put.attachment.messages[1].events.size(), 1U);
  EXPECT_ACCEPTED(no_put);
  Watched no_delete;
  no_delete.attachment.no_delete = true;
  no_delete.tell(1, 6);
  EXPECT_ACCEPTED(no_delete);
}

TEST(WatchChecker, AcceptsFragments) {
  Watched watched;
  watched.attachment.fragment = true;
  watched.tell(1, 6);
  watched.split(1, 3);
  watched.split(2, 1);
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, AcceptsAnEmptyFirstKey) {
  Watched watched;
  watched.attachment.begin = kEnd;
  watched.attachment.end = kEnd;
  EXPECT_EQ(watched.tell(1, 6).events.size(), 6U);
  watched.attachment.begin = "";
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, AcceptsPreviousValuesLostToCompaction) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.truth.compact(4, at_ms(50));
  watched.tell(1, 6);
  watched.event(1, 2).previous.reset();
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, AcceptsACancellationByCompaction) {
  Watched watched;
  watched.truth.compact(4, at_ms(50));
  watched.tell(1, 2);
  watched.say(Kind::Canceled, 0).compact_revision = 4;
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, AcceptsACancellationByTheClient) {
  Watched watched;
  watched.tell(1, 3);
  watched.say(Kind::Canceled, 6);
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, RejectsAWatchThatWasNotCreatedFirst) {
  Watched watched;
  watched.attachment.messages.clear();
  watched.tell(1, 6);
  EXPECT_BROKEN(watched, "created");
}

TEST(WatchChecker, RejectsASecondCreation) {
  Watched watched;
  watched.tell(1, 6);
  watched.say(Kind::Created, 6);
  EXPECT_BROKEN(watched, "created");
}

TEST(WatchChecker, RejectsEventsOutOfOrder) {
  Watched watched;
  watched.tell(1, 6);
  std::swap(watched.event(1, 0), watched.event(1, 1));
  EXPECT_BROKEN(watched, "ordered");
}

TEST(WatchChecker, RejectsEventsOfOneRevisionOutOfOrder) {
  Watched watched;
  watched.tell(1, 6);
  std::swap(watched.event(1, 2), watched.event(1, 3));
  EXPECT_BROKEN(watched, "ordered");
}

TEST(WatchChecker, RejectsAnEventBeforeTheStart) {
  Watched watched;
  watched.tell(1, 6);
  watched.attachment.start_revision = 3;
  EXPECT_BROKEN(watched, "ordered");
}

TEST(WatchChecker, RejectsAnEventThatComesTwice) {
  Watched watched;
  watched.tell(1, 6);
  watched.attachment.messages.push_back(watched.attachment.messages[1]);
  EXPECT_BROKEN(watched, "unique");
}

TEST(WatchChecker, RejectsAMissingEvent) {
  Watched watched;
  watched.attachment.lived_to_the_end = false;
  watched.tell(1, 2);
  watched.tell(4, 6);
  EXPECT_BROKEN(watched, "complete");
}

TEST(WatchChecker, RejectsAMissingFirstEvent) {
  Watched watched;
  watched.attachment.start_revision = 0;
  watched.attachment.messages[0].header_revision = 2;
  watched.tell(4, 6);
  EXPECT_BROKEN(watched, "complete");
}

TEST(WatchChecker, RejectsAMissingEndWhenItLivedLongEnough) {
  Watched watched;
  watched.tell(1, 4);
  EXPECT_BROKEN(watched, "complete");
  watched.attachment.lived_to_the_end = false;
  EXPECT_ACCEPTED(watched);
}

TEST(WatchChecker, RejectsSilence) {
  Watched watched;
  EXPECT_BROKEN(watched, "complete");
}

TEST(WatchChecker, RejectsARevisionInTwoMessages) {
  Watched watched;
  watched.tell(1, 6);
  watched.split(1, 3);
  watched.attachment.messages[1].more_fragments = false;
  EXPECT_BROKEN(watched, "atomic");
}

TEST(WatchChecker, RejectsHalfARevisionAtTheEnd) {
  Watched watched;
  watched.attachment.lived_to_the_end = false;
  watched.tell(1, 4).events.pop_back();
  EXPECT_BROKEN(watched, "atomic");
}

TEST(WatchChecker, RejectsFragmentsThatNobodyAskedFor) {
  Watched watched;
  watched.tell(1, 6);
  watched.split(1, 3);
  EXPECT_BROKEN(watched, "atomic");
}

TEST(WatchChecker, RejectsSomethingBetweenFragments) {
  Watched watched;
  watched.attachment.fragment = true;
  watched.tell(1, 6);
  watched.split(1, 3);
  watched.say(Kind::Progress, 6);
  std::swap(watched.attachment.messages[2], watched.attachment.messages[3]);
  EXPECT_BROKEN(watched, "atomic", "progress");
}

TEST(WatchChecker, RejectsAFragmentThatNeverComes) {
  Watched watched;
  watched.attachment.fragment = true;
  watched.tell(1, 6).more_fragments = true;
  EXPECT_BROKEN(watched, "atomic");
}

TEST(WatchChecker, RejectsAnEmptyMessage) {
  Watched watched;
  watched.tell(1, 6);
  watched.say(Kind::Events, 6);
  EXPECT_BROKEN(watched, "content");
}

TEST(WatchChecker, RejectsWrongContent) {
  const std::function<void(Version&)> spoil[] = {[](Version& v) { v.value = "x"; },
                                                 [](Version& v) { ++v.create_revision; },
                                                 [](Version& v) { ++v.version; }, [](Version& v) { ++v.lease; }};
  for (const auto& change : spoil) {
    Watched watched;
    watched.tell(1, 6);
    change(watched.event(1, 0).now);
    EXPECT_BROKEN(watched, "content");
    Watched deleted;
    deleted.tell(1, 6);
    change(deleted.event(1, 3).now);  // of a delete nothing but its revision is told
    EXPECT_BROKEN(deleted, "content");
  }
}

TEST(WatchChecker, RejectsAPutThatWasADelete) {
  Watched watched;
  watched.tell(1, 6);
  watched.event(1, 3).deleted = false;
  EXPECT_BROKEN(watched, "content");
}

TEST(WatchChecker, RejectsAnInventedEvent) {
  Watched watched;
  watched.tell(1, 6);
  watched.event(1, 4).key = "d";
  EXPECT_BROKEN(watched, "content", "complete");
}

TEST(WatchChecker, RejectsAnEventOutOfRange) {
  Watched watched;
  watched.attachment.end = kEnd;
  watched.tell(1, 6);
  watched.attachment.end = "m";
  EXPECT_BROKEN(watched, "content");
}

TEST(WatchChecker, RejectsAWrongPreviousValue) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.tell(1, 6);
  watched.event(1, 2).previous->value = "x";
  EXPECT_BROKEN(watched, "previous");
}

TEST(WatchChecker, RejectsAMissingPreviousValue) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.truth.compact(3, at_ms(50));
  watched.truth.compact(4, at_ms(101));  // not yet when the message came
  watched.tell(1, 6);
  watched.event(1, 2).previous.reset();
  EXPECT_BROKEN(watched, "previous");
}

TEST(WatchChecker, RejectsAWrongPreviousValueInPlaceOfACompactedOne) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.truth.compact(4, at_ms(50));
  watched.tell(1, 6);
  watched.event(1, 2).previous->value = "x";
  EXPECT_BROKEN(watched, "previous");
}

TEST(WatchChecker, RejectsAPreviousValueOfANewKey) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.tell(1, 6);
  watched.event(1, 0).previous = Version{.value = "x"};
  EXPECT_BROKEN(watched, "previous");
}

TEST(WatchChecker, RejectsAPreviousValueThatNobodyAskedFor) {
  Watched watched;
  watched.attachment.prev_kv = true;
  watched.tell(1, 6);
  watched.attachment.prev_kv = false;
  EXPECT_BROKEN(watched, "previous");
}

TEST(WatchChecker, RejectsWhatWasFilteredOut) {
  Watched watched;
  watched.tell(1, 6);
  watched.attachment.no_delete = true;
  EXPECT_BROKEN(watched, "filter");
  watched.attachment.no_delete = false;
  watched.attachment.no_put = true;
  EXPECT_BROKEN(watched, "filter");
}

TEST(WatchChecker, RejectsAHeaderThatDecreases) {
  Watched watched;
  watched.tell(1, 4).header_revision = 6;
  watched.say(Kind::Progress, 5);
  watched.tell(6, 6);
  EXPECT_BROKEN(watched, "header");
}

TEST(WatchChecker, RejectsAHeaderBelowItsEvents) {
  Watched watched;
  watched.tell(1, 6).header_revision = 5;
  EXPECT_BROKEN(watched, "header");
}

TEST(WatchChecker, RejectsAHeaderFromTheFuture) {
  Watched watched;
  watched.attachment.messages[0].header_revision = 6;
  watched.attachment.messages[0].at = at_ms(5);
  watched.tell(1, 6);
  EXPECT_BROKEN(watched, "header");
}

TEST(WatchChecker, RejectsProgressThatRunsAhead) {
  Watched watched;
  watched.tell(1, 4);
  watched.say(Kind::Progress, 6);
  watched.tell(6, 6);
  EXPECT_BROKEN(watched, "progress");
}

TEST(WatchChecker, RejectsProgressAtTheEndThatRunsAhead) {
  Watched watched;
  watched.attachment.lived_to_the_end = false;
  watched.tell(1, 4);
  watched.say(Kind::Progress, 6);
  EXPECT_BROKEN(watched, "progress");
}

TEST(WatchChecker, RejectsProgressBeforeTheStart) {
  Watched watched;
  watched.attachment.start_revision = 7;
  watched.say(Kind::Progress, 6);
  EXPECT_BROKEN(watched, "progress");
}

TEST(WatchChecker, RejectsACancellationForACompactionThatWasNot) {
  Watched watched;
  watched.truth.compact(4, at_ms(50));
  watched.truth.compact(5, at_ms(101));
  watched.say(Kind::Canceled, 0).compact_revision = 5;
  EXPECT_BROKEN(watched, "canceled");
}

TEST(WatchChecker, RejectsACancellationOfWhoNeedsNothingCompacted) {
  Watched watched;
  watched.truth.compact(4, at_ms(50));
  watched.attachment.start_revision = 4;
  watched.say(Kind::Canceled, 0).compact_revision = 4;
  EXPECT_BROKEN(watched, "canceled");
  watched.attachment.start_revision = 3;
  EXPECT_ACCEPTED(watched);

  Watched further;
  further.truth.compact(4, at_ms(50));
  further.tell(1, 3);
  further.say(Kind::Canceled, 0).compact_revision = 4;
  EXPECT_BROKEN(further, "canceled");
}

TEST(WatchChecker, RejectsACancellationOfWhoHadProgressBeyondIt) {
  Watched watched;
  watched.truth.compact(6, at_ms(50));
  watched.tell(1, 4);
  watched.say(Kind::Canceled, 0).compact_revision = 6;
  EXPECT_ACCEPTED(watched);
  watched.say(Kind::Progress, 5);
  std::swap(watched.attachment.messages[2], watched.attachment.messages[3]);
  EXPECT_BROKEN(watched, "canceled");
}

TEST(WatchChecker, RejectsAMessageAfterTheCancellation) {
  Watched watched;
  watched.say(Kind::Canceled, 6);
  watched.tell(1, 6);
  EXPECT_BROKEN(watched, "canceled");
}

// ---- Resumption ---------------------------------------------------------------------------------

struct Resumed {
  Watched first;
  Watched second;  // of the same truth

  explicit Resumed(int64_t start) {
    first.attachment.lived_to_the_end = false;
    second.attachment.start_revision = start;
  }
  std::vector<Violation> judge() const { return check_resumption(first.truth, {first.attachment, second.attachment}); }
};

TEST(WatchResumption, AcceptsWhoGoesOnAfterTheLastEvent) {
  Resumed resumed(5);
  resumed.first.tell(1, 4);
  resumed.second.tell(5, 6);
  EXPECT_ACCEPTED(resumed);
}

TEST(WatchResumption, AcceptsWhoGoesOnAfterProgress) {
  Resumed resumed(6);
  resumed.first.tell(1, 4);
  resumed.first.say(Kind::Progress, 5);
  resumed.second.tell(6, 6);
  EXPECT_ACCEPTED(resumed);
}

TEST(WatchResumption, AcceptsARepeatedRevisionWhoseLastFragmentNeverCame) {
  Resumed resumed(4);
  resumed.first.attachment.fragment = true;
  resumed.first.tell(1, 4);
  resumed.first.split(1, 3);
  resumed.first.attachment.messages.pop_back();
  resumed.second.tell(4, 6);
  EXPECT_ACCEPTED(resumed);
}

TEST(WatchResumption, AcceptsALeapOverWhatWasCompacted) {
  Resumed resumed(4);
  resumed.first.tell(1, 2);
  resumed.first.say(Kind::Canceled, 0).compact_revision = 4;
  resumed.second.tell(4, 6);
  EXPECT_ACCEPTED(resumed);
}

TEST(WatchResumption, AcceptsAnAttachmentThatTellsNothing) {
  Resumed resumed(5);
  resumed.first.tell(1, 4);
  const WatchAttachment silent = resumed.second.attachment;
  resumed.second.tell(5, 6);
  const std::vector<WatchAttachment> all{resumed.first.attachment, silent, resumed.second.attachment};
  const std::vector<Violation> violations = check_resumption(resumed.first.truth, all);
  EXPECT_TRUE(violations.empty()) << told(violations);
}

TEST(WatchResumption, RejectsAGap) {
  Resumed resumed(5);
  resumed.first.tell(1, 3);
  resumed.second.tell(5, 6);
  EXPECT_BROKEN(resumed, "resumable");
}

TEST(WatchResumption, RejectsAGapWhenItGoesOnFromNow) {
  Resumed resumed(0);
  resumed.first.tell(1, 4);
  resumed.second.attachment.messages[0].header_revision = 6;
  EXPECT_BROKEN(resumed, "resumable");
  resumed.second.attachment.messages[0].header_revision = 5;
  EXPECT_ACCEPTED(resumed);
}

TEST(WatchResumption, RejectsARepeatedEvent) {
  Resumed resumed(5);
  resumed.first.tell(1, 4);
  resumed.second.tell(4, 6);
  EXPECT_BROKEN(resumed, "resumable");
}

TEST(WatchChecker, DescribesAMessageInALine) {
  Watched watched;
  watched.tell(4, 4);
  EXPECT_EQ(describe(watched.attachment.messages[0]), "100.000000ms created at 1");
  EXPECT_EQ(describe(watched.attachment.messages[1]),
            R"(100.000000ms at 4: put "a" "3" (create 2, mod 4, version 2); delete "b" at 4;)");
}

}  // namespace
}  // namespace witan::verify
