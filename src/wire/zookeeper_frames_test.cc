#include "wire/zookeeper_frames.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace witan::wire {
namespace {

using namespace std::literals;

std::string length(uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
}
std::string framed(std::string_view payload) {
  return length(static_cast<uint32_t>(payload.size())) + std::string(payload);
}

struct Seen {
  std::vector<std::string> packets;
  ZookeeperInput last = ZookeeperInput::More;
  std::string word;
};

// What comes out when `bytes` go in cut into random pieces of at most `largest`.
Seen read_all(ZookeeperFramer& framer, std::string_view bytes, Rng& rng, size_t largest) {
  Seen seen;
  while (!bytes.empty() && seen.last == ZookeeperInput::More) {
    const std::string piece(bytes.substr(0, 1 + rng.below(largest)));
    framer.feed(piece);
    std::string_view out;
    while ((seen.last = framer.next(out)) == ZookeeperInput::Packet) seen.packets.emplace_back(out);
    if (seen.last == ZookeeperInput::Word) seen.word = out;
    bytes.remove_prefix(piece.size());
  }
  return seen;
}

TEST(ZookeeperFramesTest, PacketsComeOutWholeWhateverPiecesTheyArriveIn) {
  Rng rng(1);
  std::string bytes;
  std::vector<std::string> sent;
  for (size_t i = 0; i < 300; ++i) {
    sent.emplace_back(rng.below(3) == 0 ? rng.below(20000) : rng.below(20), static_cast<char>('a' + i % 26));
    bytes += framed(sent.back());
  }
  for (const size_t largest : {1, 2, 3, 4, 5, 100, 5000, 10000000}) {
    ZookeeperFramer framer;
    const Seen seen = read_all(framer, bytes, rng, largest);
    EXPECT_EQ(seen.packets, sent) << largest;
    EXPECT_EQ(seen.last, ZookeeperInput::More);
  }
}

TEST(ZookeeperFramesTest, APacketThatLiesWholeInWhatWasFedIsNotCopied) {
  const std::string bytes = framed("one") + framed("") + framed("three");
  ZookeeperFramer framer;
  framer.feed(bytes);
  std::string_view packet;
  ASSERT_EQ(framer.next(packet), ZookeeperInput::Packet);
  EXPECT_EQ(packet.data(), bytes.data() + 4);
  ASSERT_EQ(framer.next(packet), ZookeeperInput::Packet);
  EXPECT_TRUE(packet.empty());
  ASSERT_EQ(framer.next(packet), ZookeeperInput::Packet);
  EXPECT_EQ(packet.data(), bytes.data() + 4 + 3 + 4 + 4);
  EXPECT_EQ(framer.next(packet), ZookeeperInput::More);
}

TEST(ZookeeperFramesTest, TheLargestPacketIsTakenAndOneByteMoreIsNot) {
  Rng rng(2);
  for (const size_t largest : {size_t{1000}, size_t{1} << 30}) {
    ZookeeperFramer framer;
    EXPECT_EQ(read_all(framer, framed(std::string(kDefaultMaxPacket, 'x')), rng, largest).packets.size(), 1u);
    EXPECT_EQ(read_all(framer, length(kDefaultMaxPacket + 1), rng, largest).last, ZookeeperInput::Close);
    EXPECT_EQ(framer.refused_length(), 0x100000);
  }
}

TEST(ZookeeperFramesTest, ANegativeLengthCloses) {
  Rng rng(3);
  for (const uint32_t n : {0xffffffffu, 0x80000000u}) {
    ZookeeperFramer framer;
    const Seen seen = read_all(framer, framed("good") + length(n) + framed("never"), rng, 1 << 20);
    EXPECT_EQ(seen.packets, std::vector<std::string>{"good"});
    EXPECT_EQ(seen.last, ZookeeperInput::Close);
    EXPECT_EQ(framer.refused_length(), static_cast<int32_t>(n));
  }
}

TEST(ZookeeperFramesTest, NothingComesAfterAnEnd) {
  for (const std::string& bytes : {length(0xffffffff), "ruok"s}) {
    ZookeeperFramer framer;
    framer.feed(bytes);
    std::string_view packet;
    EXPECT_NE(framer.next(packet), ZookeeperInput::Packet);
    const std::string good = framed("good");
    framer.feed(good);
    EXPECT_EQ(framer.next(packet), ZookeeperInput::Close);
    EXPECT_TRUE(packet.empty());
  }
}

TEST(ZookeeperFramesTest, AWordIsOneOnlyAtTheVeryBeginning) {
  Rng rng(4);
  for (const size_t largest : {1, 3, 100}) {
    for (const std::string word : {"ruok", "srvr", "aaaa", "zzzz"}) {
      ZookeeperFramer fresh;
      const Seen seen = read_all(fresh, word + "\n", rng, largest);
      EXPECT_EQ(seen.last, ZookeeperInput::Word);
      EXPECT_EQ(seen.word, word);

      ZookeeperFramer used;
      EXPECT_EQ(read_all(used, framed("connect") + word, rng, largest).last, ZookeeperInput::Close);
    }
    for (const std::string bytes : {"RUOK", "GET ", "ru0k", "ruo\n"}) {
      ZookeeperFramer framer;
      EXPECT_EQ(read_all(framer, bytes, rng, largest).last, ZookeeperInput::Close) << bytes;
    }
  }
}

TEST(ZookeeperFramesTest, MemoryGrowsWithWhatArrivesNotWithWhatIsClaimed) {
  ZookeeperFramer framer;
  std::string_view packet;
  const std::string start = length(kDefaultMaxPacket) + "x";
  framer.feed(start);
  EXPECT_EQ(framer.next(packet), ZookeeperInput::More);
  EXPECT_LE(framer.memory(), 64u);
  const std::string more(1000, 'x');
  for (size_t come = 1; come < 100000; come += more.size()) {
    framer.feed(more);
    ASSERT_EQ(framer.next(packet), ZookeeperInput::More);
    ASSERT_LE(framer.memory(), 2 * (4 + come + more.size()) + 64);
  }
}

TEST(ZookeeperFramesTest, TheMemoryOfALargePacketIsGivenBack) {
  Rng rng(5);
  ZookeeperFramer framer;
  EXPECT_EQ(read_all(framer, framed(std::string(500000, 'x')), rng, 1000).packets.size(), 1u);
  EXPECT_LE(framer.memory(), 4096u);
}

}  // namespace
}  // namespace witan::wire
