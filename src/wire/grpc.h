// The words of gRPC over HTTP/2 that servers and clients share (gRPC: PROTOCOL-HTTP2.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strong.h"
#include "base/time.h"

namespace witan::wire {

// The codes of gRPC with their numbers.
enum class GrpcStatus : uint8_t {
  Ok = 0,
  Cancelled = 1,
  Unknown = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  NotFound = 5,
  AlreadyExists = 6,
  PermissionDenied = 7,
  ResourceExhausted = 8,
  FailedPrecondition = 9,
  Aborted = 10,
  OutOfRange = 11,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
  DataLoss = 15,
  Unauthenticated = 16,
};

struct StreamTag;
// An HTTP/2 stream. Never reused within a connection, so an id whose stream is gone is harmless.
using StreamId = Strong<StreamTag, int32_t>;

// Request headers in the order they came: lower-case names; pseudo-headers and what gRPC itself reads are left out.
using Metadata = std::vector<std::pair<std::string_view, std::string_view>>;

// The first value of `name`.
std::optional<std::string_view> find_metadata(const Metadata& metadata, std::string_view name);

// "250m" -> 250 ms. Nothing when the text is not 1 to 8 digits and one of H M S m u n.
std::optional<Duration> parse_grpc_timeout(std::string_view text);

// Appends `message` as the grpc-message header carries it: '%' and all bytes outside 0x20..0x7e as %XX.
void percent_encode(std::string_view message, std::string& out);
// The reverse. Sequences that are not %XX stay as they are, as gRPC demands.
std::string percent_decode(std::string_view text);

}  // namespace witan::wire
