// Flow control, time, floods and the end of connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wire/grpc_server.h"
#include "wire/grpc_test_peer.h"

namespace witan::wire {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr size_t kFull = 65'535;  // HTTP/2's initial window

TEST(GrpcFlow, AClientThatStallsIsWaitedForAndResumes) {
  Joined j({}, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  j.handler.when_half_closed = [&](StreamId id, std::string_view) { j.server.reply(id, std::string(5000, 'v')); };
  const StreamId id = j.client.call("/s/M", "");
  j.run();
  EXPECT_EQ(j.server.pending_bytes(id), 5005u - 1000u);
  EXPECT_TRUE(j.client.answer(id).messages.empty());
  for (int i = 0; i < 5; ++i) {
    j.client.credit(id, 1000);
    j.run();
  }
  EXPECT_THAT(j.client.answer(id).messages, ElementsAre(std::string(5000, 'v')));
  EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::Ok);
  EXPECT_EQ(j.server.memory(), 0u);
}

TEST(GrpcFlow, OneStalledStreamDoesNotHoldTheOthers) {
  Joined j({}, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  const StreamId stalled = j.client.call("/s/A", "");
  const StreamId other = j.client.call("/s/B", "");
  j.run();
  j.server.reply(stalled, std::string(5000, 'v'));
  j.run();
  j.server.reply(other, "quick");
  j.run();
  EXPECT_THAT(j.client.answer(other).messages, ElementsAre("quick"));
}

TEST(GrpcFlow, WritableIsToldOnceWhenTheQueueHasDrained) {
  GrpcServerOptions options;
  options.low_water = 2000;
  Joined j(options, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  const StreamId id = j.client.call("/s/Watch", "");
  j.run();
  for (int i = 0; i < 10; ++i) j.server.send_message(id, std::string(495, 'e'));
  j.run();
  EXPECT_THAT(j.handler.log, Not(Contains("1 writable")));
  for (int i = 0; i < 4; ++i) {
    j.client.credit(id, 1000);
    j.run();
  }
  EXPECT_EQ(std::count(j.handler.log.begin(), j.handler.log.end(), "1 writable"), 1);
  EXPECT_EQ(j.server.pending_bytes(id), 0u);
  j.server.send_message(id, "small");
  j.run();
  EXPECT_EQ(std::count(j.handler.log.begin(), j.handler.log.end(), "1 writable"), 1) << "never above the mark again";
}

TEST(GrpcFlow, WritableIsNotToldWhenWhatWasResumedHasFilledTheQueueAgain) {
  GrpcServerOptions options;
  options.low_water = 500;
  Joined j(options);
  const StreamId id = j.client.start("/s/A");
  j.run();
  j.server.pause_reading(id, true);
  j.client.send(id, "held");
  j.run();
  j.handler.when_message = [&](StreamId s, std::string_view) { j.server.send_message(s, std::string(3000, 'x')); };
  j.handler.when_writable = [&](StreamId s, std::string_view) { EXPECT_EQ(j.server.pending_bytes(s), 0u); };
  j.server.send_message(id, std::string(3000, 'x'));
  j.server.pause_reading(id, false);
  j.run();
  EXPECT_EQ(j.handler.log, (std::vector<std::string>{"1 call /s/A", "1 message held", "1 writable"}));
  EXPECT_EQ(j.client.answer(id).messages.size(), 2u);
}

TEST(GrpcFlow, AHandlerThatFillsUpOnWritableStreamsWithBoundedMemory) {
  GrpcServerOptions options;
  options.low_water = 64 << 10;
  Joined j(options);
  int sent = 0;
  const std::string event(1000, 'e');
  const auto fill = [&](StreamId id, std::string_view) {
    while (sent < 5000 && j.server.pending_bytes(id) <= options.low_water) {
      j.server.send_message(id, event);
      ++sent;
    }
    if (sent == 5000) j.server.finish(id, GrpcStatus::Ok);
  };
  j.handler.when_half_closed = fill;
  size_t most = 0;
  j.handler.when_writable = [&](StreamId id, std::string_view) {
    most = std::max(most, j.server.memory());
    fill(id, {});
  };
  const StreamId id = j.client.call("/s/Watch", "");
  j.run();
  EXPECT_EQ(j.client.answer(id).messages.size(), 5000u);
  EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::Ok);
  EXPECT_LT(most, 600u << 10);
}

TEST(GrpcFlow, OutputComesInPiecesOfTheSizeAskedFor) {
  Joined j({}, {.stream_window = 4u << 20, .connection_window = 4u << 20});
  const StreamId id = j.client.call("/s/M", "");
  j.run();
  const Blob value(std::string(2u << 20, 'v'));
  Chain message;
  message.append(value);
  j.server.reply(id, std::move(message));
  size_t pieces = 0;
  while (j.server.wants_write()) {
    const Chain piece = j.server.take_output(100'000);
    EXPECT_LT(piece.size(), 100'000u + (17u << 10));
    j.to_client(piece.flatten());
    ++pieces;
  }
  EXPECT_GE(pieces, 17u);
  EXPECT_EQ(j.client.answer(id).messages.at(0).size(), value.size());
}

TEST(GrpcFlow, LargeValuesAreSharedWithTheOutputNotCopied) {
  Joined j({}, {.stream_window = 1u << 20, .connection_window = 1u << 20});
  const StreamId id = j.client.call("/s/M", "");
  j.run();
  const Blob value(std::string(50'000, 'v'));
  Chain message;
  message.append("key");
  message.append(value);
  j.server.reply(id, std::move(message));
  const Chain out = j.server.take_output();
  std::vector<std::string_view> pieces;
  out.peek(pieces, 100);
  size_t shared = 0;
  for (const auto piece : pieces) {
    if (piece.data() >= value.data() && piece.data() < value.data() + value.size()) shared += piece.size();
  }
  EXPECT_EQ(shared, value.size());
}

TEST(GrpcFlow, APausedStreamStallsItsClientAndOnlyThat) {
  GrpcServerOptions options;
  options.stream_window = kFull;
  Joined j(options);
  j.echo();
  const StreamId paused = j.client.start("/s/A");
  j.client.send(paused, "first");
  j.handler.when_message = [&](StreamId id, std::string_view) { j.server.pause_reading(id, true); };
  j.run();
  const std::string big(50'000, 'b');
  for (int i = 0; i < 4; ++i) j.client.send(paused, big);
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/A", "1 message first"));
  EXPECT_LE(j.server.memory(), kFull) << "the window bounds what a paused stream holds";
  j.echo();
  const StreamId other = j.client.call("/s/B", "hello");
  j.run();
  EXPECT_THAT(j.client.answer(other).messages, ElementsAre("re: hello"));
  j.client.half_close(paused);
  j.server.pause_reading(paused, false);
  EXPECT_TRUE(j.server.wants_write());
  j.run();
  EXPECT_EQ(j.client.answer(paused).messages.size(), 4u);
  EXPECT_EQ(j.client.answer(paused).status(), GrpcStatus::Ok);
  EXPECT_EQ(j.server.memory(), 0u);
}

TEST(GrpcFlow, PausingBetweenMessagesOfOneReadLosesNothing) {
  Joined j;
  const StreamId id = j.client.start("/s/A");
  for (const char* m : {"a", "b", "c"}) j.client.send(id, m);
  j.client.half_close(id);
  j.handler.when_message = [&](StreamId stream, std::string_view) { j.server.pause_reading(stream, true); };
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/A", "1 message a"));
  j.server.pause_reading(id, false);
  j.run();
  j.server.pause_reading(id, false);
  j.run();
  EXPECT_THAT(j.handler.log, Not(Contains("1 half-close"))) << "paused again by the last message";
  j.server.pause_reading(id, false);
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/A", "1 message a", "1 message b", "1 message c", "1 half-close"));
}

TEST(GrpcFlow, FinishingAPausedStreamGivesItsWindowBack) {
  GrpcServerOptions options;
  options.connection_window = kFull;
  options.stream_window = kFull;
  Joined j(options);
  j.handler.when_called = [&](StreamId id, std::string_view) { j.server.pause_reading(id, true); };
  for (int i = 0; i < 5; ++i) {
    const StreamId id = j.client.start("/s/A");
    j.client.send(id, std::string(60'000, 'x'));
    j.run();
    EXPECT_EQ(j.server.memory(), 60'005u);
    j.server.finish(id, GrpcStatus::Ok);
    EXPECT_EQ(j.server.memory(), 0u) << "what nobody will read is dropped at once";
    j.run();
    EXPECT_TRUE(j.client.answer(id).closed);
    EXPECT_EQ(j.server.memory(), 0u);
  }
}

TEST(GrpcFlow, AClientMaySendOnWhileTheAnswerOfAFinishedStreamWaits) {
  GrpcServerOptions options;
  options.stream_window = kFull;
  Joined j(options, {.stream_window = 100, .connection_window = 1u << 20, .auto_window_update = false});
  j.handler.when_called = [&](StreamId id, std::string_view) { j.server.pause_reading(id, true); };
  const StreamId id = j.client.start("/s/A");
  for (int i = 0; i < 4; ++i) j.client.send(id, std::string(50'000, 'x'));
  j.client.half_close(id);
  j.run();
  EXPECT_LT(j.sent_to_server, 70'000u);
  j.server.reply(id, std::string(500, 'v'));
  j.run();
  EXPECT_GT(j.sent_to_server, 200'000u) << "the window is given back";
  EXPECT_EQ(j.server.pending_bytes(id), 405u);
  for (int i = 0; i < 5; ++i) {
    j.client.credit(id, 100);
    j.run();
  }
  EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::Ok);
  EXPECT_EQ(j.client.answer(id).reset_code, 0u);
  EXPECT_EQ(j.server.open_streams(), 0u);
}

TEST(GrpcFlow, AStreamPausedAgainBeforeItWasServedStaysSilent) {
  Joined j;
  j.handler.when_called = [&](StreamId id, std::string_view) { j.server.pause_reading(id, true); };
  const StreamId id = j.client.call("/s/A", "held");
  j.run();
  j.server.pause_reading(id, false);
  j.server.pause_reading(id, true);
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/A"));
  j.server.pause_reading(id, false);
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/A", "1 message held", "1 half-close"));
}

TEST(GrpcFlow, AStreamInheritsNothingFromTheOneBefore) {
  Joined j({}, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  const StreamId first = j.client.start("/s/A", {{"grpc-timeout", "1S"}});
  j.client.send_raw(first, std::string("\0\0\0\0\x9half", 9));
  j.run();
  j.server.send_message(first, std::string(100'000, 'o'));
  j.server.pause_reading(first, true);
  j.run();
  j.server.finish(first, GrpcStatus::NotFound, "of the first");
  j.client.reset(first);
  j.run();
  ASSERT_EQ(j.server.open_streams(), 0u);
  j.echo();
  const StreamId second = j.client.call("/s/B", "x");
  j.run();
  EXPECT_THAT(j.client.answer(second).messages, ElementsAre("re: x"));
  EXPECT_THAT(j.client.answer(second).trailers,
              ElementsAre(std::pair<const std::string, std::string>("grpc-status", "0")));
  EXPECT_EQ(j.server.memory(), 0u);
}

TEST(GrpcFlow, AMessageLargerThanTheWindowsArrives) {
  GrpcServerOptions options;
  options.stream_window = kFull;
  options.connection_window = kFull;
  Joined j(options);
  size_t size = 0;
  j.handler.when_message = [&](StreamId, std::string_view m) { size = m.size(); };
  j.client.call("/s/M", std::string(1'500'000, 'x'));
  j.run();
  EXPECT_EQ(size, 1'500'000u);
}

TEST(GrpcFlow, UnfinishedMessagesOfOneConnectionAreBounded) {
  GrpcServerOptions options;
  options.max_unfinished = 320'000;
  Joined j(options);
  const std::string partial = std::string("\0\0\1\xff\xff", 5) + std::string(90'000, 'x');  // of 131071 bytes
  std::vector<StreamId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(j.client.start("/s/M"));
    j.client.send_raw(ids.back(), partial);
    j.run();
    EXPECT_LE(j.server.memory(), options.max_unfinished);
  }
  EXPECT_EQ(j.client.answer(ids[3]).status(), GrpcStatus::ResourceExhausted);
  EXPECT_EQ(j.client.answer(ids[4]).status(), GrpcStatus::ResourceExhausted);
  j.client.send_raw(ids[0], std::string(131'071 - 90'000, 'x'));
  j.run();
  EXPECT_THAT(j.handler.log, Contains("1 message (131071 bytes)")) << "those before are not harmed";
}

TEST(GrpcFlow, AClientThatDoesNotTakeItsAnswersIsNotServedMore) {
  GrpcServerOptions options;
  options.max_queued = 100'000;
  options.connection_window = kFull;
  Joined j(options, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  j.handler.when_message = [&](StreamId id, std::string_view) { j.server.reply(id, std::string(20'000, 'v')); };
  std::vector<StreamId> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(j.client.call("/s/M", std::string(2000, 'q')));
  j.run();
  EXPECT_LT(j.server.memory(), 100'000u + 20'000u + kFull);
  const auto served = [&] { return std::count(j.handler.log.begin(), j.handler.log.end(), "1 message (2000 bytes)"); };
  EXPECT_EQ(served(), 1);
  EXPECT_LT(j.handler.log.size(), 120u) << "calls are heard of, messages wait";
  for (int round = 0; round < 3000; ++round) {
    for (const StreamId id : ids) {
      if (!j.client.answer(id).closed) j.client.credit(id, 1000);
    }
    j.run();
  }
  for (const StreamId id : ids) {
    ASSERT_EQ(j.client.answer(id).messages.size(), 1u) << id.value;
    ASSERT_EQ(j.client.answer(id).status(), GrpcStatus::Ok);
  }
  EXPECT_EQ(j.server.memory(), 0u);
}

// ---- time

TEST(GrpcTime, ADeadlineIsShownAndKept) {
  Joined j;
  const StreamId id = j.client.start("/s/M", {{"grpc-timeout", "1500m"}});
  j.run();
  EXPECT_EQ(j.handler.deadlines[1], j.now + milliseconds(1500));
  EXPECT_EQ(j.server.next_deadline(), j.now + milliseconds(1500));
  j.pass(milliseconds(1499));
  EXPECT_FALSE(j.client.answer(id).closed);
  j.pass(milliseconds(1));
  EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::DeadlineExceeded);
  EXPECT_EQ(j.client.answer(id).message(), "context deadline exceeded");
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/M", "1 cancel"));
  EXPECT_GT(j.server.next_deadline(), j.now + seconds(3600)) << "nothing but keep-alive is left";
}

TEST(GrpcTime, ADeadlineOfAFinishedCallIsForgotten) {
  Joined j;
  j.echo();
  j.client.call("/s/M", "x", {{"grpc-timeout", "1S"}});
  j.run();
  EXPECT_GT(j.server.next_deadline(), j.now + seconds(3600));
  j.pass(seconds(2));
  EXPECT_THAT(j.handler.log, Not(Contains("1 cancel")));
}

TEST(GrpcTime, AnAnswerThatTheClientDoesNotReadEndsWithItsDeadline) {
  Joined j({}, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  j.handler.when_message = [&](StreamId id, std::string_view) { j.server.reply(id, std::string(5000, 'v')); };
  const StreamId id = j.client.call("/s/M", "x", {{"grpc-timeout", "1S"}});
  j.run();
  EXPECT_GT(j.server.memory(), 0u);
  j.pass(seconds(1));
  EXPECT_TRUE(j.client.answer(id).closed);
  EXPECT_EQ(j.client.answer(id).reset_code, 8u);
  EXPECT_EQ(j.server.memory(), 0u);
}

TEST(GrpcTime, BadAndPastTimeoutsFailTheCallAtOnce) {
  Joined j;
  const StreamId bad = j.client.start("/s/M", {{"grpc-timeout", "soon"}});
  const StreamId past = j.client.start("/s/M", {{"grpc-timeout", "0n"}});
  const StreamId far = j.client.start("/s/M", {{"grpc-timeout", "99999999H"}});
  j.run();
  EXPECT_EQ(j.client.answer(bad).status(), GrpcStatus::Internal);
  EXPECT_EQ(j.client.answer(bad).message(), "malformed grpc-timeout: \"soon\"");
  EXPECT_EQ(j.client.answer(past).status(), GrpcStatus::DeadlineExceeded);
  EXPECT_FALSE(j.client.answer(far).closed);
  EXPECT_THAT(j.handler.log, ElementsAre("5 call /s/M"));
}

TEST(GrpcTime, ASilentClientIsAskedAndThenClosed) {
  Joined j;
  j.client.start("/s/M");
  j.run();
  EXPECT_EQ(j.server.next_deadline(), j.now + std::chrono::hours(2));
  j.now = j.now + std::chrono::hours(2);
  j.server.on_timer(j.now);
  const std::string ping = j.server.take_output().flatten();
  EXPECT_EQ(ping.size(), 17u);
  EXPECT_EQ(j.server.next_deadline(), j.now + seconds(20));
  j.now = j.now + seconds(19);
  j.server.on_timer(j.now);
  EXPECT_FALSE(j.server.wants_close());
  j.now = j.now + seconds(1);
  j.server.on_timer(j.now);
  EXPECT_TRUE(j.server.wants_close());
  EXPECT_EQ(j.server.close_reason(), "a keep-alive ping was not answered");
}

TEST(GrpcTime, AClientThatAnswersThePingLives) {
  Joined j;
  j.client.start("/s/M");
  j.run();
  for (int i = 0; i < 3; ++i) {
    j.pass(std::chrono::hours(2));
    j.pass(seconds(20));
    EXPECT_FALSE(j.server.wants_close());
  }
}

TEST(GrpcTime, AClientThatNeverShakesHandsIsClosed) {
  for (const std::string_view start : {std::string_view(), std::string_view("PRI * HT"), std::string_view("GET / H")}) {
    Joined j;
    if (!start.empty()) j.server.on_bytes(j.now, start);
    EXPECT_EQ(j.server.next_deadline(), j.now + seconds(120));
    j.pass(seconds(120));
    EXPECT_TRUE(j.server.wants_close());
  }
}

// ---- floods

TEST(GrpcFlood, PingsOfAnEagerClientEndTheConnectionWithTooManyPings) {
  Joined j;
  j.client.start("/s/M");
  j.run();
  for (int i = 0; i < 3; ++i) {
    j.client.ping();
    j.run();
    EXPECT_FALSE(j.server.wants_close());
  }
  EXPECT_EQ(j.client.pings_answered(), 3u);
  j.client.ping();
  j.run();
  EXPECT_EQ(j.client.goaway_code(), 11);  // ENHANCE_YOUR_CALM
  EXPECT_EQ(j.client.goaway_text(), "too_many_pings");
  EXPECT_TRUE(j.server.wants_close());
  EXPECT_EQ(j.server.close_reason(), "too_many_pings");
  j.server.on_disconnect();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/M", "1 cancel"));
}

TEST(GrpcFlood, PingsWhileAnswersFlowAreNotCounted) {
  Joined j;
  const StreamId id = j.client.start("/s/M");
  j.run();
  for (int i = 0; i < 100; ++i) {
    j.server.send_message(id, "event");
    j.client.ping();
    j.run();
  }
  EXPECT_FALSE(j.server.wants_close());
}

TEST(GrpcFlood, PingsEveryFiveSecondsAreWelcome) {
  Joined j;
  j.client.start("/s/M");
  for (int i = 0; i < 100; ++i) {
    j.client.ping();
    j.pass(seconds(5));
  }
  EXPECT_FALSE(j.server.wants_close());
}

TEST(GrpcFlood, RapidResetsEndTheConnection) {
  GrpcServerOptions options;
  options.reset_burst = 50;
  options.reset_rate = 10;
  Joined j(options);
  int calls = 0;
  for (; calls < 1000 && !j.server.wants_close(); ++calls) {
    const StreamId id = j.client.start("/s/M");
    j.run();
    j.client.reset(id);
    j.run();
  }
  EXPECT_EQ(calls, 51);
  EXPECT_EQ(j.client.goaway_code(), 11);
  EXPECT_EQ(j.client.goaway_text(), "too_many_resets");
}

TEST(GrpcFlood, OrdinaryCancelsAreNotAFlood) {
  GrpcServerOptions options;
  options.reset_burst = 50;
  options.reset_rate = 10;
  Joined j(options);
  for (int i = 0; i < 500; ++i) {
    const StreamId id = j.client.start("/s/M");
    j.run();
    j.client.reset(id);
    j.pass(milliseconds(100));
  }
  EXPECT_FALSE(j.server.wants_close());
}

// One HEADERS or CONTINUATION frame on stream 1 whose block is `fields` copies of one literal field of 40 bytes.
std::string header_frame(uint8_t type, uint8_t flags, size_t fields) {
  constexpr std::string_view kField("\0\4x-ab\x21yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", 40);
  const size_t size = fields * kField.size();
  std::string frame = {0,
                       static_cast<char>(size >> 8),
                       static_cast<char>(size & 0xff),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       0,
                       1};
  for (size_t i = 0; i < fields; ++i) frame += kField;
  return frame;
}
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kEndHeaders = 4;

// nghttp2's client would object to answers for a stream that it has not opened: what follows looks at the bytes.
std::string bytes_from(GrpcServerConnection& server) {
  std::string bytes;
  while (server.wants_write()) bytes += server.take_output().flatten();
  return bytes;
}
constexpr std::string_view kRstStream1("\0\0\4\3\0\0\0\0\1", 9);

TEST(GrpcFlood, AHeaderBlockWithoutEndEndsTheConnection) {
  for (const size_t fields : {400u, 1u, 0u}) {  // above and below the largest header list, and no bytes at all
    Joined j;
    j.run();
    j.to_server(header_frame(kHeaders, 0, 1));
    std::string answer;
    int frames = 0;
    for (; frames < 1000 && !j.server.wants_close(); ++frames) {
      j.to_server(header_frame(kContinuation, 0, fields));
      answer += bytes_from(j.server);
      EXPECT_LT(j.server.memory(), size_t{64} << 10);
    }
    EXPECT_EQ(frames, 9);
    constexpr std::string_view kCalm("\0\0\0\xbtoo_many_continuations", 26);  // a GOAWAY's end: ENHANCE_YOUR_CALM
    EXPECT_TRUE(answer.ends_with(kCalm)) << fields;
    EXPECT_EQ(j.server.close_reason(), "too_many_continuations");
    EXPECT_THAT(j.handler.log, ElementsAre());
  }
}

TEST(GrpcFlood, ATooLongHeaderListInFewFramesCostsItsStreamOnly) {
  Joined j;
  j.run();
  j.to_server(header_frame(kHeaders, 0, 400));
  for (int i = 0; i < 7; ++i) j.to_server(header_frame(kContinuation, 0, 400));
  j.to_server(header_frame(kContinuation, kEndHeaders, 400));
  EXPECT_THAT(bytes_from(j.server), HasSubstr(kRstStream1));
  EXPECT_FALSE(j.server.wants_close());
  EXPECT_EQ(j.server.open_streams(), 0u);
  EXPECT_THAT(j.handler.log, ElementsAre());
}

TEST(GrpcFlood, ABurstOfCallsThatTimeOutIsNotAFlood) {
  GrpcServerOptions options;
  options.reset_burst = 50;
  options.reset_rate = 10;
  Joined j(options);
  std::vector<StreamId> ids;
  for (int i = 0; i < 500; ++i) ids.push_back(j.client.start("/s/M"));
  j.run();
  j.pass(milliseconds(100));
  for (const StreamId id : ids) j.client.reset(id);
  j.run();
  EXPECT_FALSE(j.server.wants_close());
  EXPECT_EQ(j.server.open_streams(), 0u);
}

TEST(GrpcFlood, ResetsThatTheClientProvokesCountAsItsOwn) {
  GrpcServerOptions options;
  options.reset_burst = 50;
  options.reset_rate = 10;
  Joined j(options);
  j.run();
  int calls = 0;
  for (; calls < 1000 && !j.server.wants_close(); ++calls) {
    const StreamId id = j.client.start("/s/M");
    j.run();
    // WINDOW_UPDATE beyond 2^31 - 1: the server must reset the stream (RFC 9113 6.9.1).
    const std::string stream = {0, 0, static_cast<char>(id.value >> 8), static_cast<char>(id.value)};
    j.to_server(std::string("\0\0\4\x8\0", 5) + stream + "\x7f\xff\xff\xff");
    j.run();
  }
  EXPECT_EQ(calls, 51);
  EXPECT_EQ(j.client.goaway_text(), "too_many_resets");
}

TEST(GrpcFlood, AClientThatSendsAndNeverReadsIsBounded) {
  Joined j;
  j.run();
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  std::string flood;
  for (int i = 0; i < 100; ++i) flood += settings;
  size_t rounds = 0;
  while (j.server.wants_read() && !j.server.wants_close() && rounds < 1000) {
    j.server.on_bytes(j.now, flood);
    ++rounds;
  }
  EXPECT_LT(rounds, 10u);
  EXPECT_FALSE(j.server.wants_close()) << "it is only not listened to any more";
  for (; rounds < 20; ++rounds) j.server.on_bytes(j.now, flood);
  EXPECT_TRUE(j.server.wants_close()) << "and one whose owner reads on all the same is closed";
}

TEST(GrpcFlood, CallsAreNotReadWhileTheirAnswersAreNotTaken) {
  Joined j;
  j.run();
  j.handler.when_called = [&](StreamId id, std::string_view) { j.server.finish(id, GrpcStatus::Unimplemented, "no"); };
  std::vector<StreamId> ids;
  for (int i = 0; i < 2000; ++i) ids.push_back(j.client.call("/s/M", "x"));
  const std::string bytes = j.client.take_output();
  size_t read = 0;
  for (; read < bytes.size() && j.server.wants_read(); read += 1000) j.server.on_bytes(j.now, bytes.substr(read, 1000));
  EXPECT_LT(read, bytes.size() / 2);
  for (; read < bytes.size(); read += 1000) {
    while (j.server.wants_write()) j.to_client(j.server.take_output().flatten());
    ASSERT_TRUE(j.server.wants_read());
    j.server.on_bytes(j.now, bytes.substr(read, 1000));
  }
  j.run();
  for (const StreamId id : ids) ASSERT_EQ(j.client.answer(id).status(), GrpcStatus::Unimplemented);
}

// ---- the end

TEST(GrpcGoAway, OpenStreamsFinishAndNewOnesAreRefused) {
  Joined j;
  j.echo();
  const StreamId open = j.client.start("/s/M");
  j.run();
  j.server.go_away(j.now);
  j.run();  // the ping's answer makes the second GOAWAY due
  EXPECT_EQ(j.client.goaway_code(), 0);
  j.pass(seconds(0));
  EXPECT_EQ(j.client.goaway_text(), "graceful_stop");
  EXPECT_FALSE(j.server.wants_close()) << "a stream is open";
  j.client.send(open, "late");
  j.client.half_close(open);
  j.run();
  EXPECT_THAT(j.client.answer(open).messages, ElementsAre("re: late"));
  EXPECT_EQ(j.client.answer(open).status(), GrpcStatus::Ok);
  EXPECT_TRUE(j.server.wants_close());
  EXPECT_EQ(j.server.close_reason(), "stopping");
}

TEST(GrpcGoAway, AClientThatSaysNothingIsNotWaitedForLongerThanASecond) {
  Joined j;
  j.run();
  j.server.go_away(j.now);
  (void)j.server.take_output();
  EXPECT_FALSE(j.server.wants_close());
  EXPECT_EQ(j.server.next_deadline(), j.now + seconds(1));
  j.server.on_timer(j.now + seconds(1));
  EXPECT_THAT(j.server.take_output().flatten(), HasSubstr("graceful_stop"));
  EXPECT_TRUE(j.server.wants_close());
}

TEST(GrpcGoAway, AClientThatSaysGoodbyeIsClosedWhenItsStreamsAreDone) {
  Joined j;
  j.echo();
  const StreamId open = j.client.start("/s/M");
  j.run();
  j.to_server(std::string("\0\0\x8\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17));  // GOAWAY, NO_ERROR
  j.run();
  EXPECT_FALSE(j.server.wants_close());
  j.client.half_close(open);
  j.run();
  EXPECT_EQ(j.client.answer(open).status(), GrpcStatus::Ok);
  EXPECT_TRUE(j.server.wants_close());
}

TEST(GrpcGoAway, BeforeTheHandshakeItJustCloses) {
  Joined j;
  j.server.go_away(j.now);
  EXPECT_TRUE(j.server.wants_close());
  EXPECT_FALSE(j.server.wants_write());
}

TEST(GrpcGoAway, AConnectionMayBeDestroyedWithEverythingInFlight) {
  Joined j({}, {.stream_window = 1000, .connection_window = 1u << 20, .auto_window_update = false});
  const StreamId paused = j.client.start("/s/A");
  j.client.send(paused, std::string(3000, 'x'));
  j.handler.when_called = [&](StreamId id, std::string_view) { j.server.pause_reading(id, true); };
  j.run();
  j.server.send_message(paused, std::string(30'000, 'y'));
  j.run();
  EXPECT_GT(j.server.memory(), 0u);
}

}  // namespace
}  // namespace witan::wire
