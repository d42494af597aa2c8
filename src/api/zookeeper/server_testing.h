// What the tests of a whole server share: requests in short, and a server with one client's end of it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/zookeeper/records_testing.h"
#include "api/zookeeper/server.h"
#include "api/zookeeper/testing.h"

namespace witan::api::zookeeper::testing {

inline Record create(std::string_view path, std::string_view data = "x", int32_t flags = 0) {
  return Record().text(path).text(data).open_acl().i32(flags);
}
inline Record read_of(std::string_view path, bool watch = false) { return Record().text(path).boolean(watch); }
inline Record set(std::string_view path, std::string_view data, int32_t version = -1) {
  return Record().text(path).text(data).i32(version);
}
inline Record remove(std::string_view path, int32_t version = -1) { return Record().text(path).i32(version); }
inline Record part(OpCode op, const Record& body) {
  return Record().i32(static_cast<int32_t>(op)).boolean(false).i32(-1).bytes(body.done());
}
inline Record last_part() { return Record().i32(-1).boolean(true).i32(-1); }
inline Record watches_of(int64_t zxid, const std::vector<std::string>& data, const std::vector<std::string>& exist,
                         const std::vector<std::string>& child) {
  return Record().i64(zxid).texts(data).texts(exist).texts(child);
}

inline Stat stat_at_end(const Packet& packet) {
  JuteReader r(std::string_view(packet.body).substr(packet.body.size() - kStatBytes));
  return read_stat(r);
}

inline std::vector<int32_t> xids(const std::vector<Packet>& packets) {
  std::vector<int32_t> out;
  for (const Packet& packet : packets) out.push_back(packet.xid);
  return out;
}
// "1 /path" of an event, "answer 7" of an answer.
inline std::vector<std::string> texts_of(const std::vector<Packet>& packets) {
  std::vector<std::string> out;
  for (const Packet& packet : packets) out.push_back(event_text(packet));
  return out;
}

inline std::string token_of(const Packet& packet) {
  JuteReader r(packet.body);
  return std::string(r.text_or_empty());
}

class FakeTally final : public env::Tally {
 public:
  bool enter(std::string_view name, size_t most) override {
    size_t& there = counts[std::string(name)];
    if (there >= most) return false;
    ++there;
    return true;
  }
  void leave(std::string_view name) override { --counts.at(std::string(name)); }

  std::map<std::string, size_t> counts;
};

class ServerTest : public ::testing::Test {
 protected:
  void restart(const Options& options) { server = std::make_unique<Server>(loop, client, options, Logger()); }
  std::unique_ptr<TestClient> join(int32_t timeout_ms = 10'000) {
    auto peer = std::make_unique<TestClient>(loop, *server);
    peer->connect(0, {}, timeout_ms);
    EXPECT_NE(peer->session, 0);
    return peer;
  }

  FakeTally tally;
  TestLoop loop;
  FakeClient client{loop};
  std::unique_ptr<Server> server = std::make_unique<Server>(loop, client, Options{}, Logger());
};

}  // namespace witan::api::zookeeper::testing
