#include "peer/codec.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/coding.h"
#include "base/rng.h"

namespace witan::peer {
namespace {

template <class T>
void draw(Rng& rng, T& v) {
  v = T(rng.chance(1, 4) ? 0 : rng.next() >> rng.below(64));
}
bool flip(Rng& rng) { return rng.chance(1, 2); }

raft::Entry random_entry(Rng& rng) {
  raft::Entry entry{.term = raft::Term(1 + rng.below(1000)),
                    .index = raft::Index(1 + rng.next() / 2),
                    .kind = static_cast<raft::EntryKind>(rng.below(3))};
  if (flip(rng)) entry.data = Blob(std::string(rng.chance(1, 5) ? rng.below(3000) : rng.below(30), 'd'));
  return entry;
}

raft::Message random_message(Rng& rng, size_t kind) {
  switch (kind) {
    case 0: {
      raft::VoteRequest m{.pre = flip(rng), .leadership_transfer = flip(rng)};
      draw(rng, m.term), draw(rng, m.last_index), draw(rng, m.last_term);
      return m;
    }
    case 1: {
      raft::VoteReply m{.pre = flip(rng), .granted = flip(rng)};
      draw(rng, m.term);
      return m;
    }
    case 2: {
      raft::AppendRequest m;
      draw(rng, m.term), draw(rng, m.prev_index), draw(rng, m.prev_term), draw(rng, m.commit);
      for (uint64_t n = rng.below(6); n > 0; --n) m.entries.push_back(random_entry(rng));
      return m;
    }
    case 3: {
      raft::AppendReply m{.accepted = flip(rng)};
      draw(rng, m.term), draw(rng, m.match), draw(rng, m.rejected), draw(rng, m.hint), draw(rng, m.hint_term);
      return m;
    }
    case 4: {
      raft::Heartbeat m;
      draw(rng, m.term), draw(rng, m.commit), draw(rng, m.round);
      return m;
    }
    case 5: {
      raft::HeartbeatReply m;
      draw(rng, m.term), draw(rng, m.round);
      return m;
    }
    case 6: {
      raft::SnapshotReply m{.accepted = flip(rng)};
      draw(rng, m.term), draw(rng, m.index);
      return m;
    }
    default: {
      raft::TimeoutNow m;
      draw(rng, m.term);
      return m;
    }
  }
}

// Every field in words, entries' data and its nullness included: raft's messages have no equality.
std::string words(const raft::VoteRequest& m) {
  return fmt::format("{} {} {} {} {}", m.term, m.pre, m.last_index, m.last_term, m.leadership_transfer);
}
std::string words(const raft::VoteReply& m) { return fmt::format("{} {} {}", m.term, m.pre, m.granted); }
std::string words(const raft::AppendRequest& m) {
  std::string out = fmt::format("{} {} {} {}:", m.term, m.prev_index, m.prev_term, m.commit);
  for (const raft::Entry& e : m.entries) {
    out +=
        fmt::format(" [{} {} {} {} '{}']", e.term, e.index, static_cast<int>(e.kind), e.data.is_null(), e.data.view());
  }
  return out;
}
std::string words(const raft::AppendReply& m) {
  return fmt::format("{} {} {} {} {} {}", m.term, m.accepted, m.match, m.rejected, m.hint, m.hint_term);
}
std::string words(const raft::Heartbeat& m) { return fmt::format("{} {} {}", m.term, m.commit, m.round); }
std::string words(const raft::HeartbeatReply& m) { return fmt::format("{} {}", m.term, m.round); }
std::string words(const raft::SnapshotReply& m) { return fmt::format("{} {} {}", m.term, m.accepted, m.index); }
std::string words(const raft::TimeoutNow& m) { return fmt::format("{}", m.term); }
std::string words(const raft::Message& message) {
  return fmt::format("{}: {}", message.index(), std::visit([](const auto& m) { return words(m); }, message));
}

constexpr size_t kKinds = std::variant_size_v<raft::Message>;

TEST(CodecTest, EveryMessageReadsBackAsItWasWritten) {
  Rng rng(7);
  for (int i = 0; i < 4000; ++i) {
    const raft::Message message = random_message(rng, i % kKinds);
    const std::string bytes = encode(message).flatten();
    const Result<raft::Message> back = decode_message(bytes);
    ASSERT_TRUE(back.has_value()) << back.error().message;
    ASSERT_EQ(words(*back), words(message));
  }
}

TEST(CodecTest, LargeEntriesAreSharedWhenSent) {
  raft::AppendRequest append{.term = raft::Term(1), .entries = {{.term = raft::Term(1), .index = raft::Index(1)}}};
  append.entries[0].data = Blob(std::string(50000, 'v'));
  const char* data = append.entries[0].data.data();
  const Chain bytes = encode(raft::Message(append));
  std::vector<std::string_view> pieces;
  bytes.peek(pieces, 100);
  EXPECT_TRUE(std::ranges::any_of(pieces, [&](std::string_view piece) { return piece.data() == data; }));
}

// Decoders are total: what cannot be read is an error, and what can be reads the same after another round.
TEST(CodecTest, DamagedMessagesAreRefusedOrStable) {
  Rng rng(8);
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = encode(random_message(rng, i % kKinds)).flatten();
    if (flip(rng)) bytes.resize(rng.below(bytes.size() + 1));
    for (uint64_t n = rng.below(4); n > 0 && !bytes.empty(); --n)
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
    const Result<raft::Message> first = decode_message(bytes);
    refused += first ? 0 : 1;
    if (!first) continue;
    const Result<raft::Message> second = decode_message(encode(*first).flatten());
    ASSERT_TRUE(second.has_value());
    ASSERT_EQ(words(*second), words(*first));
  }
  EXPECT_GT(refused, 2000);
}

TEST(CodecTest, UnknownFieldsAreSkippedAndUnknownKindsRefused) {
  std::string bytes = encode(raft::Message(raft::Heartbeat{.term = raft::Term(5), .round = 9})).flatten();
  FieldWriter(bytes).bytes(200, "from the future");
  const Result<raft::Message> message = decode_message(bytes);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<raft::Heartbeat>(*message).round, 9u);

  bytes[0] = static_cast<char>(kKinds + 1);
  EXPECT_EQ(decode_message(bytes).error().message, "a raft message of unknown kind 9");
  EXPECT_FALSE(decode_message("").has_value());
}

TEST(CodecTest, EntriesWithoutTermOrIndexAreRefused) {
  raft::AppendRequest append{.term = raft::Term(1), .entries = {{.term = raft::Term(0), .index = raft::Index(1)}}};
  EXPECT_FALSE(decode_message(encode(raft::Message(append)).flatten()).has_value());
  append.entries[0] = {.term = raft::Term(1), .index = raft::Index(0)};
  EXPECT_FALSE(decode_message(encode(raft::Message(append)).flatten()).has_value());
}

TEST(CodecTest, GreetingsReadBack) {
  const Greeting said{.purpose = Purpose::Snapshot,
                      .hello = {.min_protocol = 1,
                                .max_protocol = 3,
                                .feature_level = 2,
                                .cluster_id = 0xfedcba9876543210,
                                .member = raft::NodeId(0x8000000000000001),
                                .target = raft::NodeId(3),
                                .directory_uuid = "u-1"}};
  const Result<Greeting> heard = decode_greeting(encode(said));
  ASSERT_TRUE(heard.has_value());
  EXPECT_EQ(heard->purpose, said.purpose);
  EXPECT_EQ(heard->hello.max_protocol, 3u);
  EXPECT_EQ(heard->hello.feature_level, 2u);
  EXPECT_EQ(heard->hello.cluster_id, said.hello.cluster_id);
  EXPECT_EQ(heard->hello.member, said.hello.member);
  EXPECT_EQ(heard->hello.target, said.hello.target);
  EXPECT_EQ(heard->hello.directory_uuid, "u-1");
  EXPECT_FALSE(decode_greeting("").has_value());
  EXPECT_FALSE(decode_greeting("some other protocol").has_value());
}

TEST(CodecTest, CallsRepliesAndSnapshotFramesReadBack) {
  const Blob payload(std::string(2000, 'p'));
  const std::string call = encode_call(7, 255, payload).flatten();
  EXPECT_EQ(decode_call(call)->id, 7u);
  EXPECT_EQ(decode_call(call)->kind, 255);
  EXPECT_EQ(decode_call(call)->payload, payload.view());
  const std::string reply = encode_reply(8, Blob("r")).flatten();
  EXPECT_EQ(decode_reply(reply)->id, 8u);
  EXPECT_EQ(decode_reply(reply)->payload, "r");
  const Result<NoReplyFrame> none = decode_no_reply(encode(NoReplyFrame{.id = 9, .acted = true, .message = "why\n"}));
  EXPECT_EQ(none->id, 9u);
  EXPECT_TRUE(none->acted);
  EXPECT_EQ(none->message, "why?");
  EXPECT_EQ(*decode_snapshot_ack(encode_snapshot_ack(1 << 30)), 1u << 30);
  EXPECT_EQ(*decode_snapshot_done(encode_snapshot_done("full")), "full");
  EXPECT_EQ(*decode_snapshot_done(encode_snapshot_done("")), "");

  SnapshotOffer offer{.term = raft::Term(4), .size = 1000};
  offer.meta = {.index = raft::Index(100), .term = raft::Term(3)};
  offer.meta.configuration.members = {{.id = raft::NodeId(1), .incoming = raft::Suffrage::Voter, .info = Blob("n1")}};
  const Result<SnapshotOffer> back = decode_snapshot_offer(encode(offer));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->meta, offer.meta);
  EXPECT_EQ(back->term, offer.term);
  EXPECT_EQ(back->size, 1000u);
}

TEST(CodecTest, TextFromOutsideIsMadePrintable) {
  EXPECT_EQ(printable("a\x1b[31mb\xff\n"), "a?[31mb??");
  EXPECT_EQ(printable(std::string(5000, 'x')).size(), 1024u);
}

}  // namespace
}  // namespace witan::peer
