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

}  // namespace
}  // namespace witan::wire
