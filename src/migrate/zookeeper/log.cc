#include "migrate/zookeeper/log.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <zlib.h>

#include "migrate/zookeeper/file_header.h"

namespace witan::migrate::zookeeper {
namespace {

constexpr size_t kHeadSize = 12;  // checksum and length
constexpr char kRecordEnd = 'B';

uint32_t adler(std::string_view bytes) {
  return static_cast<uint32_t>(adler32_z(1, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

bool all_zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == 0; });
}

}  // namespace

Decoded<> LogReader::open() {
  read_file_header(in_, kLogMagic);
  if (!in_.ok()) return std::unexpected(in_.fault());
  return {};
}

Decoded<std::optional<Transaction>> LogReader::next() {
  record_ = in_.offset();
  end_.offset = record_;
  const std::string_view head = in_.peek(kHeadSize);
  if (head.size() < kHeadSize) {
    if (!in_.ok()) return std::unexpected(in_.fault());
    end_.torn = !all_zero(head);
    return std::nullopt;
  }
  Input numbers(head);
  const int64_t checksum = numbers.int64();
  const int32_t size = numbers.int32();
  if (size == 0) {
    in_.bytes(head.size());
    end_.torn = checksum != 0;
    return std::nullopt;
  }
  if (size < 0 || static_cast<size_t>(size) > kMaxField) {
    return problem(record_, fmt::format("a record of {} bytes", size));
  }
  in_.bytes(sizeof(int64_t));
  // The record with its length and its last byte.
  const size_t whole = sizeof(int32_t) + static_cast<size_t>(size) + 1;
  const std::string_view record = in_.peek(whole);
  if (!in_.ok()) return std::unexpected(in_.fault());
  if (record.size() < whole || record.back() != kRecordEnd) {
    end_.torn = true;
    in_.bytes(record.size());
    return std::nullopt;
  }
  const std::string_view payload = in_.bytes(whole).substr(sizeof(int32_t), static_cast<size_t>(size));
  if (checksum != static_cast<int64_t>(adler(payload))) return problem(record_, "the checksum of a record is wrong");
  auto decoded = decode_transaction(payload, record_ + kHeadSize);
  if (!decoded) return std::unexpected(std::move(decoded.error()));
  return std::optional(std::move(*decoded));
}

Decoded<LogEnd> LogReader::end() {
  constexpr size_t kPiece = 64 << 10;
  while (!end_.more_bytes && !in_.at_end()) {
    const std::string_view piece = in_.peek(kPiece);
    end_.more_bytes = !all_zero(piece);
    in_.bytes(piece.size());
  }
  if (!in_.ok()) return std::unexpected(in_.fault());
  return end_;
}

}  // namespace witan::migrate::zookeeper
