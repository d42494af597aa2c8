#include "wire/http1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace witan::wire {
namespace {

using Input = Http1Decoder::Input;

TEST(Http1Test, RequestsComeOneAfterTheOtherInAnyPieces) {
  const std::string bytes =
      "GET /commands/ruok HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /commands/srvr?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "HEAD / HTTP/1.0\r\n\r\n"
      "PUT /c HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n"
      "PUT /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  for (const size_t piece : {size_t{1}, size_t{7}, bytes.size()}) {
    Http1Decoder decoder;
    std::vector<std::string> seen;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      decoder.feed(std::string_view(bytes).substr(at, piece));
      Http1Request request;
      while (decoder.next(request) == Input::Request) {
        seen.push_back(request.method + " " + request.target + (request.keep_alive ? " keep" : " close"));
      }
    }
    EXPECT_THAT(seen, ::testing::ElementsAre("GET /commands/ruok keep", "POST /commands/srvr?x=1 keep", "HEAD / close",
                                             "PUT /c close", "PUT /d keep"))
        << piece;
    EXPECT_EQ(decoder.waiting(), 0u);
  }
}

unsigned status_for(const std::string& bytes) {
  Http1Decoder decoder;
  decoder.feed(bytes);
  Http1Request request;
  if (decoder.next(request) != Input::Bad) return 0;
  EXPECT_EQ(decoder.next(request), Input::Bad);
  decoder.feed("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(decoder.next(request), Input::Bad) << "nothing follows what was bad";
  return decoder.error_status();
}

TEST(Http1Test, WhatIsNoRequestIsRefused) {
  EXPECT_EQ(status_for("\x16\x03\x01 hello\r\n\r\n"), 400u);
  EXPECT_EQ(status_for("GET / HTTP/9.9\r\n\r\n"), 400u);
  EXPECT_EQ(status_for("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), 400u);
  EXPECT_EQ(status_for("GET / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"), 413u);
  EXPECT_EQ(status_for("GET /" + std::string(Http1Decoder::kMaxHeader, 'a') + " HTTP/1.1\r\n\r\n"), 431u);
  EXPECT_EQ(status_for("GET / HTTP/1.1\r\nA: " + std::string(Http1Decoder::kMaxHeader, 'a') + "\r\n\r\n"), 431u);
}

TEST(Http1Test, AHeaderThatNeverEndsIsNotKept) {
  Http1Decoder decoder;
  Http1Request request;
  size_t most = 0;
  Input input = Input::More;
  for (int i = 0; i < 10'000 && input == Input::More; ++i) {
    decoder.feed("X-Field: value\r\n");
    input = decoder.next(request);
    most = std::max(most, decoder.waiting());
  }
  EXPECT_EQ(input, Input::Bad);
  EXPECT_LE(most, 2 * Http1Decoder::kMaxHeader);
}

TEST(Http1Test, Responses) {
  EXPECT_EQ(encode_http1_response({.status = 200, .content_type = "a/b", .keep_alive = true}, "xyz"),
            "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nxyz");
  EXPECT_EQ(encode_http1_response({.status = 405, .content_type = "a/b", .allow = "GET, HEAD", .head = true}, "xyz"),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: a/b\r\nContent-Length: 3\r\nConnection: close\r\n"
            "Allow: GET, HEAD\r\n\r\n");
}

}  // namespace
}  // namespace witan::wire
