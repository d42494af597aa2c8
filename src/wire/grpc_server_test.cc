#include "wire/grpc_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wire/grpc_test_peer.h"

namespace witan::wire {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

TEST(GrpcServer, AUnaryCallIsAnsweredWithMessageAndStatus) {
  Joined j;
  j.echo();
  const StreamId id = j.client.call("/pkg.Service/Method", "hello", {{"token", "abc"}, {"hasleader", "true"}});
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /pkg.Service/Method", "1 message hello", "1 half-close"));
  EXPECT_THAT(j.handler.metadata, ElementsAre(Pair("token", "abc"), Pair("hasleader", "true")));
  EXPECT_EQ(j.handler.authority, "localhost");
  EXPECT_EQ(j.handler.deadlines[1], Instant::never());
  const GrpcAnswer& answer = j.client.answer(id);
  EXPECT_THAT(answer.messages, ElementsAre("re: hello"));
  EXPECT_EQ(answer.status(), GrpcStatus::Ok);
  EXPECT_THAT(answer.headers, Contains(Pair(":status", "200")));
  EXPECT_THAT(answer.headers, Contains(Pair("content-type", "application/grpc")));
  EXPECT_THAT(answer.trailers, ElementsAre(Pair("grpc-status", "0")));
  EXPECT_TRUE(answer.closed);
  EXPECT_EQ(answer.reset_code, 0u);
  EXPECT_EQ(j.server.open_streams(), 0u);
  EXPECT_EQ(j.server.memory(), 0u);
}

TEST(GrpcServer, ALaterCallCostsTheClientFewBytes) {
  Joined j;
  j.handler.when_half_closed = [&](StreamId id, std::string_view) { j.server.reply(id, "x"); };
  for (int i = 0; i < 2; ++i) {
    j.client.call("/pkg.Service/Method", "hello");
    j.run();
  }
  const size_t before = j.from_server.size();
  j.client.call("/pkg.Service/Method", "hello");
  j.run();
  // Three frame headers, :status and content-type in a byte each, prefix and message, grpc-status in a byte.
  EXPECT_EQ(j.from_server.size() - before, 3 * 9u + 2 + 6 + 1);
}

// A conversation of every kind of call, recorded once as the client's bytes.
std::string conversation() {
  Joined j;
  j.echo();
  std::string bytes;
  const auto talk = [&] {
    for (bool moved = true; moved;) {
      const std::string out = j.client.take_output();
      bytes += out;
      moved = j.to_server(out);
      while (j.server.wants_write()) moved |= j.to_client(j.server.take_output().flatten());
    }
  };
  j.client.call("/s/Unary", "one");
  j.client.call("/s/Empty", "");
  const StreamId stream = j.client.start("/s/Bidirectional");
  for (const char* m : {"a", "", "ccc"}) {
    j.client.send(stream, m);
    talk();
  }
  j.client.send(stream, std::string(40'000, 'L'));
  j.client.half_close(stream);
  const StreamId cancelled = j.client.start("/s/Cancelled");
  j.client.send(cancelled, "x");
  talk();
  j.client.reset(cancelled);
  talk();
  EXPECT_TRUE(j.client_ok);
  return bytes;
}

// What a handler hears of `bytes` when they come in two reads cut at `cut`, and what the server says to them.
std::pair<std::vector<std::string>, std::string> hear(std::string_view bytes, size_t cut) {
  Joined j;
  j.echo();
  for (const std::string_view part : {bytes.substr(0, cut), bytes.substr(cut)}) {
    if (!part.empty()) j.server.on_bytes(j.now, part);
  }
  std::string out;
  while (j.server.wants_write()) out += j.server.take_output().flatten();
  EXPECT_FALSE(j.server.wants_close()) << "cut at " << cut;
  return {j.handler.log, out};
}

TEST(GrpcServer, BytesMayBeCutAnywhere) {
  const std::string bytes = conversation();
  const auto [expected, answer] = hear(bytes, bytes.size());
  ASSERT_THAT(expected, Contains("5 message (40000 bytes)"));
  ASSERT_THAT(expected, Contains("7 cancel"));
  for (size_t cut = 0; cut <= bytes.size(); cut += cut < 2000 || cut + 200 > bytes.size() ? 1 : 97) {
    const auto [heard, said] = hear(bytes, cut);
    ASSERT_EQ(heard, expected) << "cut at " << cut;
    ASSERT_EQ(said, answer) << "cut at " << cut;
  }
}

TEST(GrpcServer, BytesMayComeOneByOne) {
  const std::string bytes = conversation();
  Joined j;
  j.echo();
  for (const char& c : bytes) j.server.on_bytes(j.now, std::string_view(&c, 1));
  EXPECT_EQ(j.handler.log, hear(bytes, bytes.size()).first);
}

TEST(GrpcServer, AMessageMayBeSplitOverDataFramesAndSeveralShareOne) {
  Joined j;
  j.echo();
  const StreamId id = j.client.start("/s/Stream");
  const std::string frames("\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\2de", 20);
  for (size_t first = 0; first <= frames.size(); ++first) {
    j.handler.log.clear();
    j.client.send_raw(id, std::string_view(frames).substr(0, first));
    j.run();
    j.client.send_raw(id, std::string_view(frames).substr(first));
    j.run();
    const auto heard = std::vector<std::string>(j.handler.log.end() - 3, j.handler.log.end());
    EXPECT_THAT(heard, ElementsAre("1 message abc", "1 message ", "1 message de")) << first;
  }
  EXPECT_EQ(j.server.memory(), 0u) << "nothing of a complete message is kept";
}

TEST(GrpcServer, ServerStreamingAndLateRepliesWork) {
  Joined j;
  const StreamId id = j.client.call("/s/Watch", "w");
  j.run();
  for (int i = 0; i < 3; ++i) {
    j.server.send_message(id, std::to_string(i));
    j.run();
  }
  EXPECT_THAT(j.client.answer(id).messages, ElementsAre("0", "1", "2"));
  EXPECT_FALSE(j.client.answer(id).closed);
  j.server.finish(id, GrpcStatus::OutOfRange, "compacted");
  j.run();
  EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::OutOfRange);
  EXPECT_TRUE(j.client.answer(id).closed);
  j.server.send_message(id, "too late");
  j.server.finish(id, GrpcStatus::Ok);
  EXPECT_FALSE(j.server.wants_write()) << "a stream that is gone is ignored";
}

TEST(GrpcServer, AnErrorWithoutMessagesIsOneHeadersFrame) {
  Joined j;
  j.handler.when_half_closed = [&](StreamId id, std::string_view) {
    j.server.finish(id, GrpcStatus::NotFound, "etcdserver: requested lease not found\n100% \xc3\xa4");
  };
  const StreamId id = j.client.call("/s/M", "");
  j.run();
  const GrpcAnswer& answer = j.client.answer(id);
  EXPECT_TRUE(answer.trailers.empty());
  EXPECT_THAT(answer.headers, Contains(Pair(":status", "200")));
  EXPECT_THAT(answer.headers, Contains(Pair("grpc-status", "5")));
  EXPECT_EQ(answer.message(), "etcdserver: requested lease not found\n100% \xc3\xa4");
}

TEST(GrpcServer, EveryStatusReachesTheClient) {
  Joined j;
  for (int code = 0; code <= 16; ++code) {
    const auto status = static_cast<GrpcStatus>(code);
    j.handler.when_half_closed = [&](StreamId id, std::string_view) { j.server.finish(id, status, "text"); };
    const StreamId id = j.client.call("/s/M", "");
    j.run();
    EXPECT_EQ(j.client.answer(id).status(), status);
    EXPECT_EQ(j.client.answer(id).message(), "text");
  }
}

TEST(GrpcServer, AnAnswerBeforeTheRequestEndsClosesTheStreamWithoutError) {
  Joined j;
  j.handler.when_called = [&](StreamId id, std::string_view) { j.server.finish(id, GrpcStatus::Unimplemented, "no"); };
  const StreamId id = j.client.start("/s/M");
  j.client.send(id, "ignored");
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/M")) << "nothing is called after finish, on_cancel included";
  EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::Unimplemented);
  EXPECT_TRUE(j.client.answer(id).closed);
  EXPECT_EQ(j.client.answer(id).reset_code, 0u);
  EXPECT_EQ(j.server.open_streams(), 0u);
}

TEST(GrpcServer, AResetByTheClientIsACancel) {
  Joined j;
  const StreamId id = j.client.start("/s/M");
  j.run();
  j.server.send_message(id, "queued");
  j.client.reset(id);
  j.run();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/M", "1 cancel"));
  EXPECT_EQ(j.server.open_streams(), 0u);
  EXPECT_EQ(j.server.memory(), 0u);
  j.server.finish(id, GrpcStatus::Ok);
  EXPECT_FALSE(j.server.wants_write());
}

TEST(GrpcServer, ALostConnectionCancelsEveryOpenStreamOnce) {
  Joined j;
  j.client.start("/s/A");
  j.client.start("/s/B");
  const StreamId done = j.client.start("/s/C");
  j.run();
  j.server.finish(done, GrpcStatus::Ok);
  j.server.on_disconnect();
  j.server.on_disconnect();
  EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/A", "3 call /s/B", "5 call /s/C", "1 cancel", "3 cancel"));
  EXPECT_TRUE(j.server.wants_close());
}

TEST(GrpcServer, ATooLargeMessageIsRefusedByItsPrefix) {
  GrpcServerOptions options;
  options.max_message = 100;
  Joined j(options);
  j.echo();
  const StreamId good = j.client.call("/s/M", std::string(100, 'x'));
  const StreamId bad = j.client.start("/s/M");
  j.client.send_raw(bad, std::string("\0\0\0\0\x65", 5));  // 101 bytes are announced, none sent
  j.run();
  EXPECT_EQ(j.client.answer(good).status(), GrpcStatus::Ok);
  EXPECT_EQ(j.client.answer(bad).status(), GrpcStatus::ResourceExhausted);
  EXPECT_EQ(j.client.answer(bad).message(), "grpc: received message larger than max (101 vs. 100)");
  EXPECT_THAT(j.handler.log, Contains("3 cancel"));
  EXPECT_EQ(j.server.memory(), 0u);
}

TEST(GrpcServer, ATooLargeMessageAfterAnswersIsRefusedInTrailers) {
  GrpcServerOptions options;
  options.max_message = 100;
  Joined j(options);
  j.echo();
  const StreamId id = j.client.start("/s/M");
  j.client.send(id, "a");
  j.run();
  j.client.send(id, std::string(101, 'x'));
  j.run();
  EXPECT_THAT(j.client.answer(id).messages, ElementsAre("re: a"));
  EXPECT_THAT(j.client.answer(id).trailers, Contains(Pair("grpc-status", "8")));
}

TEST(GrpcServer, CompressionIsRefusedAsTheSpecificationSays) {
  Joined j;
  j.echo();
  const StreamId gzip = j.client.call("/s/M", "x", {{"grpc-encoding", "gzip"}});
  const StreamId identity = j.client.call("/s/M", "x", {{"grpc-encoding", "identity"}});
  const StreamId flagged = j.client.start("/s/M");
  j.client.send_raw(flagged, std::string("\1\0\0\0\1x", 6));
  const StreamId odd = j.client.start("/s/M");
  j.client.send_raw(odd, std::string("\2\0\0\0\1x", 6));
  j.run();
  EXPECT_EQ(j.client.answer(gzip).status(), GrpcStatus::Unimplemented);
  EXPECT_EQ(j.client.answer(gzip).message(), "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
  EXPECT_THAT(j.client.answer(gzip).headers, Contains(Pair("grpc-accept-encoding", "identity")));
  EXPECT_EQ(j.client.answer(identity).status(), GrpcStatus::Ok);
  EXPECT_EQ(j.client.answer(flagged).status(), GrpcStatus::Internal);
  EXPECT_EQ(j.client.answer(flagged).message(), "grpc: compressed flag set with identity or empty encoding");
  EXPECT_EQ(j.client.answer(odd).message(), "grpc: received unexpected payload format 2");
}

TEST(GrpcServer, AStreamThatEndsInsideAMessageFails) {
  for (const size_t cut : {1, 4, 5, 7}) {
    Joined j;
    j.echo();
    const StreamId id = j.client.start("/s/M");
    j.client.send_raw(id, std::string("\0\0\0\0\3abc", 8).substr(0, cut));
    j.client.half_close(id);
    j.run();
    EXPECT_EQ(j.client.answer(id).status(), GrpcStatus::Internal) << cut;
    EXPECT_THAT(j.handler.log, ElementsAre("1 call /s/M", "1 cancel"));
  }
}

TEST(GrpcServer, WhatIsNotGrpcIsAnsweredInPlainHttp) {
  Joined j;
  const StreamId json = j.client.call("/v3/kv/range", "{}", {{"content-type", "application/json"}});
  const StreamId get = j.client.call("/health", "", {{":method", "GET"}});
  const StreamId close_but_no = j.client.call("/s/M", "", {{"content-type", "application/grpcweb"}});
  j.run();
  EXPECT_TRUE(j.client_ok) << j.server.close_reason();
  for (const StreamId id : {json, get, close_but_no}) {
    EXPECT_THAT(j.client.answer(id).headers, Contains(Pair(":status", "415")));
    EXPECT_EQ(j.client.answer(id).body, "this port speaks gRPC\n");
    EXPECT_TRUE(j.client.answer(id).closed);
  }
  EXPECT_TRUE(j.handler.log.empty());
  const StreamId proto = j.client.call("/s/M", "", {{"content-type", "application/grpc+proto"}});
  const StreamId parameter = j.client.call("/s/M", "", {{"content-type", "application/grpc;v=1"}});
  j.echo();
  j.run();
  EXPECT_EQ(j.client.answer(proto).status(), GrpcStatus::Ok);
  EXPECT_EQ(j.client.answer(parameter).status(), GrpcStatus::Ok);
}

TEST(GrpcServer, AHandlerMayAnswerPlainHttp) {
  struct Gateway : RecordingHandler {
    PlainAnswer on_plain_request(const PlainRequest& request) override {
      EXPECT_EQ(request.method, "GET");
      EXPECT_EQ(request.path, "/version");
      return {.status = 200, .content_type = "application/json", .body = std::string(30'000, '1')};
    }
  } gateway;
  GrpcServerConnection server({}, gateway, Instant{0});
  GrpcClientConnection client;
  const StreamId id = client.start("/version", {{":method", "GET"}, {"content-type", "text/plain"}});
  client.half_close(id);
  server.on_bytes(Instant{0}, client.take_output());
  EXPECT_TRUE(client.on_bytes(server.take_output().flatten()));
  EXPECT_EQ(client.answer(id).headers.at(":status"), "200");
  EXPECT_EQ(client.answer(id).headers.at("content-type"), "application/json");
  EXPECT_EQ(client.answer(id).body, std::string(30'000, '1'));
  EXPECT_TRUE(client.answer(id).closed);
  EXPECT_EQ(server.open_streams(), 0u);
}

TEST(GrpcServer, Http1IsRefusedCleanlyHoweverItIsCut) {
  const std::string request = "POST /v3/kv/range HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t cut = 0; cut < request.size(); ++cut) {
    Joined j;
    for (const auto part : {std::string_view(request).substr(0, cut), std::string_view(request).substr(cut)}) {
      j.server.on_bytes(j.now, part);
    }
    EXPECT_THAT(j.server.take_output().flatten(), StartsWith("HTTP/1.1 404 Not Found\r\n")) << cut;
    EXPECT_TRUE(j.server.wants_close());
    EXPECT_EQ(j.server.close_reason(), "HTTP/1 request");
  }
  Joined endless;
  endless.server.on_bytes(endless.now, "GET / HTTP/1.1\r\n");
  EXPECT_FALSE(endless.server.wants_close()) << "the head is not complete";
  EXPECT_FALSE(endless.server.wants_write());
  for (int i = 0; i < 10; ++i) endless.server.on_bytes(endless.now, std::string(1000, 'x'));
  EXPECT_THAT(endless.server.take_output().flatten(), StartsWith("HTTP/1.1 431 "));
  EXPECT_TRUE(endless.server.wants_close());
}

TEST(GrpcServer, NoiseAndTlsAreClosedWithoutAnAnswer) {
  for (const std::string& noise : {std::string("\x16\x03\x01\x02", 4), std::string(1, '\0'), std::string("\xff\xff")}) {
    Joined j;
    j.server.on_bytes(j.now, noise);
    EXPECT_TRUE(j.server.wants_close());
    EXPECT_FALSE(j.server.wants_write());
  }
}

TEST(GrpcServer, BadFramesEndTheConnectionWithAGoAwayAndAReason) {
  Joined j;
  j.run();
  j.to_server(std::string("\0\0\4\0\1\0\0\0\0abcd", 13));  // DATA on stream 0
  j.run();
  EXPECT_EQ(j.client.goaway_code(), 1);  // PROTOCOL_ERROR
  EXPECT_TRUE(j.server.wants_close());
  EXPECT_THAT(j.server.close_reason(), HasSubstr("PROTOCOL_ERROR"));
  j.to_server("more");
  EXPECT_FALSE(j.server.wants_write());
}

TEST(GrpcServer, TooManyHeadersFailOneCallOnly) {
  GrpcServerOptions options;
  options.max_header_list = 2000;
  Joined j(options);
  j.echo();
  const StreamId bad = j.client.call("/s/M", "x", {{"token", std::string(3000, 't')}});
  const StreamId good = j.client.call("/s/M", "x", {{"token", std::string(1000, 't')}});
  j.run();
  EXPECT_TRUE(j.client.answer(bad).closed);
  EXPECT_NE(j.client.answer(bad).reset_code, 0u);
  EXPECT_EQ(j.client.answer(good).status(), GrpcStatus::Ok);
  EXPECT_FALSE(j.server.wants_close());
}

TEST(GrpcServer, ManyStreamsAtOnceEachGetTheirOwnAnswer) {
  Joined j;
  j.echo();
  std::vector<StreamId> ids;
  for (int i = 0; i < 2000; ++i) ids.push_back(j.client.call("/s/M", std::to_string(i)));
  j.run();
  for (int i = 0; i < 2000; ++i) {
    ASSERT_THAT(j.client.answer(ids[static_cast<size_t>(i)]).messages, ElementsAre("re: " + std::to_string(i)));
    ASSERT_EQ(j.client.answer(ids[static_cast<size_t>(i)]).status(), GrpcStatus::Ok);
  }
  EXPECT_EQ(j.server.open_streams(), 0u);
}

TEST(GrpcServer, StreamsBeyondALimitTheClientDoesNotKnowYetAreRefused) {
  GrpcServerOptions options;
  options.max_streams = 3;
  Joined j(options);
  j.echo();
  std::vector<StreamId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(j.client.call("/s/M", "x"));
  j.run();
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_TRUE(j.client.answer(ids[i]).closed);
    EXPECT_EQ(j.client.answer(ids[i]).reset_code, i < 3 ? 0u : 7u) << "REFUSED_STREAM: safe to try again";
  }
  EXPECT_THAT(j.handler.log, Not(Contains("7 call /s/M")));
  EXPECT_FALSE(j.server.wants_close());
}

TEST(GrpcServer, StreamsBeyondTheLimitAreNotOpened) {
  GrpcServerOptions options;
  options.max_streams = 3;
  Joined j(options);
  j.run();  // the client knows the limit now and queues
  for (int i = 0; i < 5; ++i) j.client.start("/s/M");
  j.run();
  EXPECT_EQ(j.server.open_streams(), 3u);
  j.server.finish(StreamId(1), GrpcStatus::Ok);
  j.run();
  EXPECT_EQ(j.server.open_streams(), 3u);
  EXPECT_THAT(j.handler.log, Contains("7 call /s/M"));
}

}  // namespace
}  // namespace witan::wire
