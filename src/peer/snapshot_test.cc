#include <deque>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "peer/testing_member.h"

namespace witan::peer {
namespace {

using testing::FakeLoop;
using testing::FakeNetwork;
using ::testing::HasSubstr;
using testing::Member;

const raft::NodeId kA(1);
const raft::NodeId kB(2);

// Bytes in memory, read in a later turn, as from a disk.
class Source final : public SnapshotSource {
 public:
  Source(FakeLoop& loop, std::string bytes) : loop_(loop), bytes_(std::move(bytes)) {}
  uint64_t size() const override { return announced.value_or(bytes_.size()); }
  void read(size_t max_bytes, Function<void(Result<Blob>)> done) override {
    EXPECT_FALSE(*reading_) << "two reads at a time";
    *reading_ = true;
    Result<Blob> piece = Blob(std::string_view(bytes_).substr(at_, max_bytes));
    at_ += piece->size();
    if (at_ > fail_from) piece = fail(Code::Io, "the disk is gone");
    loop_.call_at(loop_.now() + milliseconds(1),
                  [reading = reading_, piece = std::move(piece), done = std::move(done)]() mutable {
                    *reading = false;
                    done(std::move(piece));
                  });
  }
  std::optional<uint64_t> announced;
  size_t fail_from = SIZE_MAX;

 private:
  FakeLoop& loop_;
  std::string bytes_;
  size_t at_ = 0;
  std::shared_ptr<bool> reading_ = std::make_shared<bool>(false);  // the answer may come after this is gone
};

// What the receiver saw of one snapshot, whatever became of the sink.
struct Seen {
  std::string bytes;
  bool finished = false;
  bool destroyed = false;
  size_t fail_write_from = SIZE_MAX;
  bool fail_finish = false;
  bool stuck = false;  // write() never completes
};

class Sink final : public SnapshotSink {
 public:
  Sink(FakeLoop& loop, std::shared_ptr<Seen> seen) : loop_(loop), seen_(std::move(seen)) {}
  ~Sink() override { seen_->destroyed = true; }
  void write(Blob piece, Function<void(Result<>)> done) override {
    EXPECT_FALSE(writing_) << "two writes at a time";
    if (seen_->stuck) return;
    writing_ = true;
    seen_->bytes += piece.view();
    const bool failed = seen_->bytes.size() > seen_->fail_write_from;
    loop_.call_at(loop_.now() + milliseconds(2), [seen = seen_, this, failed, done = std::move(done)]() mutable {
      if (seen->destroyed) return done(fail(Code::Io, "gone"));
      writing_ = false;
      done(failed ? Result<>(fail(Code::Io, "disk full")) : Result<>());
    });
  }
  void finish(Function<void(Result<>)> done) override {
    EXPECT_FALSE(writing_);
    seen_->finished = true;
    loop_.call_at(loop_.now() + milliseconds(5), [failed = seen_->fail_finish, done = std::move(done)]() mutable {
      done(failed ? Result<>(fail(Code::Corrupt, "checksum")) : Result<>());
    });
  }

 private:
  FakeLoop& loop_;
  std::shared_ptr<Seen> seen_;
  bool writing_ = false;
};

class SnapshotTest : public ::testing::Test {
 protected:
  SnapshotTest() {
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + (i >> 9));
    b.make_sink = [this](uint64_t size) {
      EXPECT_EQ(size, announced.value_or(bytes.size()));
      return std::make_unique<Sink>(loop, seen);
    };
    a.knows({&b});
    b.knows({&a});
    loop.run_until([&] { return a.peers->connected(kB) && b.peers->connected(kA); });
    loop.run_for(milliseconds(100));
  }
  void send(Function<void(Source&)> prepare = {}) {
    auto source = std::make_unique<Source>(loop, bytes);
    if (prepare) prepare(*source);
    announced = source->size();
    delivered.reset();
    raft::SnapshotMeta meta{.index = raft::Index(77), .term = raft::Term(3)};
    meta.configuration.members = {{.id = kA, .incoming = raft::Suffrage::Voter}};
    a.peers->send_snapshot(kB, raft::Term(4), meta, std::move(source), [this](bool ok) {
      EXPECT_FALSE(delivered.has_value()) << "told twice";
      delivered = ok;
    });
    EXPECT_FALSE(delivered.has_value()) << "told inside the call";
  }
  bool sent(Function<void(Source&)> prepare = {}) {
    send(std::move(prepare));
    EXPECT_TRUE(loop.run_until([&] { return delivered.has_value(); }, seconds(200)));
    loop.run_for(milliseconds(50));
    return delivered.value_or(false);
  }

  FakeLoop loop;
  FakeNetwork network{loop, 6};
  Member a{loop, network, 1};
  Member b{loop, network, 2};
  std::string bytes = std::string(3'000'001, 'x');
  std::optional<uint64_t> announced;
  std::shared_ptr<Seen> seen = std::make_shared<Seen>();
  std::optional<bool> delivered;
};

TEST_F(SnapshotTest, ArrivesWholeOnAConnectionOfItsOwn) {
  const uint64_t before = network.connections_made();
  EXPECT_TRUE(sent());
  EXPECT_EQ(seen->bytes, bytes);
  EXPECT_TRUE(seen->finished);
  EXPECT_EQ(b.snapshot_index, raft::Index(77));
  EXPECT_EQ(b.snapshot_term, raft::Term(4));
  EXPECT_EQ(b.from, kA);
  EXPECT_EQ(network.connections_made(), before + 1);
  EXPECT_EQ(network.open(), 4u);
}

TEST_F(SnapshotTest, AnEmptyOneArrivesToo) {
  bytes.clear();
  EXPECT_TRUE(sent());
  EXPECT_TRUE(seen->finished);
}

TEST_F(SnapshotTest, ASlowReceiverIsNotOverrun) {
  seen->stuck = true;
  send();
  loop.run_for(seconds(5));
  const uint64_t delivered_bytes = network.delivered(network.connections_made());
  EXPECT_GE(delivered_bytes, size_t{1} << 20);
  EXPECT_LE(delivered_bytes, (size_t{1} << 20) + 2000);
}

TEST_F(SnapshotTest, WithoutProgressItIsGivenUp) {
  seen->stuck = true;
  send();
  loop.run_for(seconds(115));
  EXPECT_FALSE(delivered.has_value());
  loop.run_for(seconds(10));
  EXPECT_EQ(delivered, false);
  loop.run_for(seconds(1));
  EXPECT_TRUE(seen->destroyed);
  EXPECT_EQ(network.open(), 4u);
}

TEST_F(SnapshotTest, ARefusedOneIsNotDelivered) {
  b.make_sink = nullptr;
  EXPECT_FALSE(sent());
  EXPECT_EQ(a.lines.count("does not want a snapshot now"), 1u);
}

TEST_F(SnapshotTest, FailuresOfEitherDiskEndIt) {
  seen->fail_write_from = 1'000'000;
  EXPECT_FALSE(sent());
  EXPECT_TRUE(seen->destroyed && !seen->finished);
  EXPECT_EQ(a.lines.count("disk full"), 1u);

  seen = std::make_shared<Seen>(Seen{.fail_finish = true});
  EXPECT_FALSE(sent());
  EXPECT_TRUE(seen->destroyed);

  seen = std::make_shared<Seen>();
  EXPECT_FALSE(sent([](Source& source) { source.fail_from = 1'000'000; }));
  EXPECT_TRUE(seen->destroyed && !seen->finished);
  EXPECT_EQ(network.open(), 4u);
}

TEST_F(SnapshotTest, ASourceOfAnotherSizeIsNotDelivered) {
  EXPECT_FALSE(sent([](Source& source) { source.announced = 3'000'500; }));
  EXPECT_TRUE(seen->destroyed && !seen->finished);
  seen = std::make_shared<Seen>();
  EXPECT_TRUE(sent([](Source& source) { source.announced = 2'000'000; }));  // the rest is simply not read
  EXPECT_EQ(seen->bytes, bytes.substr(0, 2'000'000));
}

// Cut at every kind of point: the sender is told "no" exactly once and the receiver throws away what it has,
// unless the end had been confirmed.
TEST_F(SnapshotTest, CutAnywhereItIsAllOrNothing) {
  bytes.resize(700'000);
  int complete = 0;
  std::vector<uint64_t> limits;  // close together where the handshake, the offer and the end are
  for (uint64_t limit = 1; limit < 500; limit += 13) limits.push_back(limit);
  for (uint64_t limit = 500; limit < 700'000; limit += 23'456) limits.push_back(limit);
  for (uint64_t limit = 700'000; limit < 700'700; limit += 7) limits.push_back(limit);
  for (const uint64_t limit : limits) {
    seen = std::make_shared<Seen>();
    network.cut_after(network.connections_made() + 1, limit);
    const bool ok = sent();
    loop.run_for(milliseconds(100));
    if (ok) {
      EXPECT_EQ(seen->bytes, bytes);
      ++complete;
    }
    EXPECT_TRUE(seen->destroyed || seen->bytes.empty());
    EXPECT_TRUE(!seen->finished || seen->bytes == bytes);
  }
  EXPECT_GT(complete, 10);
  EXPECT_LT(complete, 90);
}

TEST_F(SnapshotTest, ArrivesFromAMemberOfANewerMembershipToo) {
  b.peers->set_members({});
  EXPECT_TRUE(sent());
  EXPECT_TRUE(seen->bytes == bytes);
}

TEST_F(SnapshotTest, RemovingTheReceiverEndsIt) {
  send();
  loop.run_for(milliseconds(20));
  a.peers->set_members({});
  loop.run_for(milliseconds(20));
  EXPECT_EQ(delivered, false);
  EXPECT_TRUE(seen->destroyed);
  send();
  loop.run_for(milliseconds(20));
  EXPECT_EQ(delivered, false);
}

TEST_F(SnapshotTest, AHalfOpenConnectionEndsIt) {
  send();
  loop.run_for(milliseconds(10));
  network.freeze(true);
  loop.run_for(seconds(5));
  EXPECT_EQ(delivered, false);
  EXPECT_TRUE(seen->destroyed);
}

TEST_F(SnapshotTest, ANewSnapshotReplacesTheOldOne) {
  seen->stuck = true;
  send();
  loop.run_for(milliseconds(50));
  const auto old = seen;
  delivered.reset();
  seen = std::make_shared<Seen>();
  auto source = std::make_unique<Source>(loop, bytes);
  std::optional<bool> second;
  a.peers->send_snapshot(kB, raft::Term(4), {.index = raft::Index(78)}, std::move(source),
                         [&](bool ok) { second = ok; });
  loop.run_for(seconds(1));
  EXPECT_EQ(second, true);
  EXPECT_EQ(delivered, false);
  EXPECT_TRUE(old->destroyed);
}

TEST_F(SnapshotTest, TheEndOfEitherSideIsClean) {
  send();
  loop.run_for(milliseconds(10));
  a.peers.reset();
  loop.run_for(milliseconds(100));
  EXPECT_TRUE(seen->destroyed);
  EXPECT_FALSE(delivered.has_value());
}

}  // namespace
}  // namespace witan::peer
