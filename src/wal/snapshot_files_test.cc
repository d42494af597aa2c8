#include "wal/snapshot_files.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "wal/snapshot_format.h"
#include "wal/testing.h"

namespace witan::wal {
namespace {

using raft::Index;
using raft::NodeId;
using raft::Term;
using testing::HasSubstr;

raft::SnapshotMeta meta(uint64_t index, uint64_t term = 2) {
  raft::SnapshotMeta out{.index = Index(index), .term = Term(term), .configuration = {}};
  out.configuration.last_number = 7;
  for (uint64_t id = 1; id <= 3; ++id) {
    out.configuration.members.push_back(
        {.id = NodeId(id), .incoming = raft::Suffrage::Voter, .info = Blob("member " + std::to_string(id))});
  }
  return out;
}

// Half of it compresses, half does not.
std::string state(size_t size, uint64_t seed) {
  Rng rng(seed);
  std::string out(size, 's');
  for (size_t i = 0; i < size / 2; ++i) out[i] = static_cast<char>(rng.next());
  return out;
}

class SnapshotFilesTest : public testing::Test {
 protected:
  SnapshotFilesTest() { reopen(); }
  void reopen() {
    auto files = SnapshotFiles::open(disk_, "snap", {});
    ASSERT_TRUE(files) << files.error().message;
    files_ = std::move(*files);
  }
  void write(const raft::SnapshotMeta& about, std::string_view bytes, size_t slice) {
    auto writer = files_->write(about);
    ASSERT_TRUE(writer) << writer.error().message;
    for (size_t at = 0; at < bytes.size(); at += slice) ASSERT_TRUE((*writer)->append(bytes.substr(at, slice)));
    const auto size = (*writer)->finish();
    ASSERT_TRUE(size) << size.error().message;
    EXPECT_EQ(*size, disk_.bytes("snap/" + snapshot_name(about.index, about.term)).size());
  }
  static Result<std::string> read(SnapshotReader& reader) {
    std::string out;
    for (;;) {
      const auto piece = reader.next();
      if (!piece) return std::unexpected(piece.error());
      if (piece->empty()) return out;
      EXPECT_LE(piece->size(), kMaxBlockSize);
      out += *piece;
    }
  }
  Result<std::string> read(uint64_t index) {
    auto reader = files_->read(Index(index));
    if (!reader) return std::unexpected(reader.error());
    return read(**reader);
  }

  MemoryDisk disk_;
  std::unique_ptr<SnapshotFiles> files_;
};

TEST_F(SnapshotFilesTest, WhatWasWrittenInSlicesIsReadBack) {
  EXPECT_EQ(*files_->newest(), std::nullopt);
  const std::string bytes = state(1'000'000, 1);
  for (const size_t slice : {size_t{1000}, size_t{262144}, size_t{700000}, bytes.size()}) {
    write(meta(slice), bytes, slice);
    EXPECT_TRUE(*read(slice) == bytes) << slice;
  }
  const auto newest = files_->newest();
  ASSERT_TRUE(newest && *newest);
  EXPECT_EQ((*newest)->meta, meta(bytes.size()));
  EXPECT_LT((*newest)->bytes, bytes.size() * 2 / 3);
}

TEST_F(SnapshotFilesTest, AnEmptyStateIsAStateToo) {
  write(meta(5), "", 1);
  EXPECT_EQ(*read(5), "");
}

TEST_F(SnapshotFilesTest, OlderOnesGoAndWhoReadsOneGoesOn) {
  for (const uint64_t index : {3, 20, 100}) write(meta(index), "state " + std::to_string(index), 100);
  auto chunks = files_->chunks(Index(20));
  ASSERT_TRUE(chunks);
  ASSERT_TRUE(files_->remove_before(Index(100)));
  EXPECT_EQ(disk_.paths(), std::vector<std::string>{"snap/" + snapshot_name(Index(100), Term(2))});
  EXPECT_EQ(read(20).error().code, Code::NotFound);
  EXPECT_EQ((*chunks)->read(0, 1 << 20)->size(), (*chunks)->size());
}

TEST_F(SnapshotFilesTest, AnUnfinishedOneLeavesNothing) {
  {
    auto writer = files_->write(meta(9));
    ASSERT_TRUE((*writer)->append("half"));
    EXPECT_EQ(disk_.paths().size(), 1u);
  }
  EXPECT_TRUE(disk_.paths().empty());
  disk_.put("snap/17.tmp", "left by a crash");
  disk_.put("snap/notes", "not ours");
  reopen();
  EXPECT_EQ(disk_.paths(), std::vector<std::string>{"snap/notes"});
  EXPECT_EQ(*files_->newest(), std::nullopt);
}

TEST_F(SnapshotFilesTest, AFullDiskEndsTheSnapshotOnly) {
  auto writer = files_->write(meta(9));
  disk_.fail_at(disk_.operations(), false, "no space left on device");
  const std::string bytes = state(300'000, 1);
  EXPECT_FALSE((*writer)->append(bytes));
  writer->reset();
  EXPECT_TRUE(disk_.paths().empty());
  write(meta(10), bytes, 1000);
  EXPECT_TRUE(*read(10) == bytes);
}

TEST_F(SnapshotFilesTest, AFlippedBitIsFoundWhereverItIs) {
  const std::string bytes = state(2000, 4);
  write(meta(9), bytes, 500);
  const std::string path = "snap/" + snapshot_name(Index(9), Term(2));
  for (size_t at = 0; at < disk_.bytes(path).size(); ++at) {
    disk_.bytes(path)[at] ^= static_cast<char>(1 << (at % 8));
    const auto got = read(9);
    ASSERT_FALSE(got) << at;
    EXPECT_TRUE(got.error().code == Code::Corrupt || (got.error().code == Code::Invalid && at >= 8 && at < 12)) << at;
    EXPECT_THAT(got.error().message, HasSubstr(path));
    disk_.bytes(path)[at] ^= static_cast<char>(1 << (at % 8));
  }
  const std::string whole = disk_.bytes(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    disk_.bytes(path) = whole.substr(0, size);
    ASSERT_FALSE(read(9)) << size;
    EXPECT_FALSE(files_->newest()) << size;
  }
  disk_.bytes(path) = whole + "x";
  EXPECT_FALSE(read(9));
  EXPECT_FALSE(files_->newest());
}

TEST_F(SnapshotFilesTest, ABlockThatWasLostIsFoundByTheWholeFilesLength) {
  const std::string bytes = state(3 * kBlockSize, 5);
  write(meta(9), bytes, bytes.size());
  std::string& file = disk_.bytes("snap/" + snapshot_name(Index(9), Term(2)));
  const size_t header = *snapshot_header_size(file);
  const BlockHeader first = decode_block_header(std::string_view(file).substr(header));
  file.erase(header, kBlockHeaderSize + first.stored);
  EXPECT_EQ(read(9).error().code, Code::Corrupt);
}

class SnapshotTransferTest : public SnapshotFilesTest {
 protected:
  SnapshotTransferTest() : bytes_(state(500'000, 8)) {
    write(meta(9), bytes_, 10'000);
    chunks_ = std::move(*files_->chunks(Index(9)));
    EXPECT_EQ(chunks_->meta(), meta(9));
    receiving_ = std::move(*SnapshotFiles::open(other_disk_, "snap", {}));
  }
  // Sends the file in pieces, with one byte changed when `change` says where.
  Result<> transfer(const raft::SnapshotMeta& announced, uint64_t size, std::optional<uint64_t> change = {}) {
    auto receiver = receiving_->receive(announced, size);
    EXPECT_TRUE(receiver);
    for (uint64_t at = 0; at < chunks_->size();) {
      const auto piece = chunks_->read(at, 70'001);
      std::string text(piece->view());
      if (change && *change >= at && *change < at + text.size()) text[*change - at] ^= 1;
      if (auto taken = (*receiver)->append(at, text); !taken) return taken;
      at += piece->size();
      EXPECT_EQ((*receiver)->received(), at);
    }
    return (*receiver)->finish();
  }

  const std::string bytes_;
  std::unique_ptr<SnapshotChunks> chunks_;
  MemoryDisk other_disk_;
  std::unique_ptr<SnapshotFiles> receiving_;
};

TEST_F(SnapshotTransferTest, TheReceiverHasTheSameFile) {
  ASSERT_TRUE(transfer(meta(9), chunks_->size()));
  const std::string path = "snap/" + snapshot_name(Index(9), Term(2));
  EXPECT_TRUE(other_disk_.bytes(path) == disk_.bytes(path));
  auto reader = receiving_->read(Index(9));
  EXPECT_TRUE(*read(**reader) == bytes_);
  EXPECT_EQ(chunks_->read(chunks_->size(), 100)->size(), 0u);
}

TEST_F(SnapshotTransferTest, DamageOnTheWayIsRefusedAndNothingIsKept) {
  const uint64_t size = chunks_->size();
  for (const uint64_t at : {uint64_t{0}, uint64_t{20}, uint64_t{70'001}, size / 2, size - 29, size - 20, size - 1}) {
    const auto refused = transfer(meta(9), size, at);
    ASSERT_FALSE(refused) << at;
    EXPECT_EQ(refused.error().code, Code::Invalid);
    EXPECT_TRUE(other_disk_.paths().empty());
  }
}

TEST_F(SnapshotTransferTest, AnythingButWhatWasAnnouncedIsRefused) {
  EXPECT_FALSE(transfer(meta(10), chunks_->size()));
  EXPECT_FALSE(transfer(meta(9, 3), chunks_->size()));
  EXPECT_FALSE(transfer(meta(9), chunks_->size() - 1));
  EXPECT_FALSE(transfer(meta(9), chunks_->size() + 1));
  EXPECT_FALSE(transfer(meta(9), 3));
  auto receiver = receiving_->receive(meta(9), 100);
  ASSERT_TRUE((*receiver)->append(0, "begin"));
  EXPECT_EQ((*receiver)->append(0, "begin").error().code, Code::Invalid);
  EXPECT_EQ((*receiver)->append(6, "gap").error().code, Code::Invalid);
  EXPECT_EQ((*receiver)->append(5, std::string(96, 'x')).error().code, Code::Invalid);
  receiver->reset();
  EXPECT_TRUE(other_disk_.paths().empty());
}

}  // namespace
}  // namespace witan::wal
