#include "peer/frame.h"

#include <gtest/gtest.h>

#include "base/coding.h"
#include "base/rng.h"

namespace witan::peer {
namespace {

constexpr size_t kMax = 1000;

// The payloads that come out when `bytes` go in cut into random pieces, and the error at the end.
std::vector<std::string> read_all(FrameReader& reader, std::string_view bytes, Rng& rng, size_t largest) {
  std::vector<std::string> out;
  Frame frame;
  while (!bytes.empty()) {
    const size_t take = std::min<size_t>(bytes.size(), 1 + rng.below(largest));
    const std::string piece(bytes.substr(0, take));
    reader.feed(piece);
    while (reader.next(frame)) out.emplace_back(frame.payload);
    bytes.remove_prefix(take);
  }
  return out;
}

TEST(FrameTest, FramesComeOutWholeWhateverPiecesTheyArriveIn) {
  Rng rng(1);
  std::string bytes;
  std::vector<std::string> sent;
  for (size_t i = 0; i < 200; ++i) {
    sent.emplace_back(rng.below(3) == 0 ? rng.below(kMax + 1) : rng.below(20), static_cast<char>('a' + i % 26));
    bytes += make_frame(FrameType::Message, sent.back()).flatten();
  }
  for (const size_t largest : {1, 2, 9, 10, 100, 5000, 1000000}) {
    FrameReader reader(kMax);
    EXPECT_EQ(read_all(reader, bytes, rng, largest), sent) << largest;
    EXPECT_EQ(reader.error(), "");
  }
}

TEST(FrameTest, SharedAndCopiedPayloadsMakeTheSameBytes) {
  const Blob blob(std::string(700, 'x'));
  Chain payload;
  payload.append("head");
  payload.append(blob);
  payload.append("tail");
  EXPECT_EQ(make_frame(FrameType::Call, std::move(payload)).flatten(),
            make_frame(FrameType::Call, "head" + std::string(blob.view()) + "tail").flatten());
}

TEST(FrameTest, ALargeBlobIsSharedNotCopied) {
  const Blob blob(std::string(100000, 'x'));
  Chain payload;
  payload.append(blob);
  const Chain frame = make_frame(FrameType::SnapshotPiece, std::move(payload));
  std::vector<std::string_view> pieces;
  frame.peek(pieces, 10);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[1].data(), blob.data());
}

TEST(FrameTest, EveryFlippedBitIsNoticed) {
  const std::string good = make_frame(FrameType::Call, "some payload").flatten();
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    FrameReader reader(kMax);
    reader.feed(bad);
    Frame frame;
    EXPECT_FALSE(reader.next(frame)) << "bit " << bit;  // damage, or the wait for bytes that a larger length promised
  }
}

TEST(FrameTest, AFrameBeyondTheBoundIsRefusedFromItsHeaderAlone) {
  std::string header;
  put_fixed32(header, kMax + 1);
  put_fixed32(header, 0);
  header.push_back(static_cast<char>(FrameType::Message));
  for (const size_t largest : {1, 100}) {
    Rng rng(2);
    FrameReader reader(kMax);
    EXPECT_TRUE(read_all(reader, header, rng, largest).empty());
    EXPECT_EQ(reader.error(), "a frame of 1001 bytes where at most 1000 are allowed");
  }
}

TEST(FrameTest, NothingComesAfterAnError) {
  FrameReader reader(kMax);
  const std::string bad = "GET / HTTP/1.1\r\n\r\n";
  reader.feed(bad);
  Frame frame;
  EXPECT_FALSE(reader.next(frame));
  EXPECT_NE(reader.error(), "");
  const std::string good = make_frame(FrameType::Ping).flatten();
  reader.feed(good);
  EXPECT_FALSE(reader.next(frame));
}

}  // namespace
}  // namespace witan::peer
