#include "api/etcd/snapshot_padding.h"

#include "base/coding.h"

namespace witan::api::etcd {
namespace {

constexpr size_t kTrailerBytes = 16;

}  // namespace

uint64_t padded_snapshot_bytes(uint64_t length) {
  return (length + kTrailerBytes + kSnapshotAlignment - 1) / kSnapshotAlignment * kSnapshotAlignment;
}

void append_snapshot_padding(std::string& tail, uint64_t length) {
  tail.append(padded_snapshot_bytes(length) - length - kTrailerBytes, '\0');
  tail.append(kSnapshotTrailer);
  put_fixed64(tail, length);
}

std::optional<std::string_view> strip_snapshot_padding(std::string_view padded) {
  if (padded.size() < kTrailerBytes || padded.size() % kSnapshotAlignment != 0) return std::nullopt;
  const std::string_view trailer = padded.substr(padded.size() - kTrailerBytes);
  if (!trailer.starts_with(kSnapshotTrailer)) return std::nullopt;
  const uint64_t length = get_fixed64(trailer.data() + kSnapshotTrailer.size());
  if (length > padded.size() - kTrailerBytes || padded.size() - kTrailerBytes - length >= kSnapshotAlignment) {
    return std::nullopt;
  }
  return padded.substr(0, length);
}

}  // namespace witan::api::etcd
