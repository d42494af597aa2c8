#include "wal/text.h"

#include <fmt/format.h>

namespace witan::wal {

std::unexpected<Error> damaged(const std::string& path, uint64_t offset, std::string_view what) {
  return fail(
      Code::Corrupt,
      fmt::format("{} is damaged at offset {}: {}. Nothing was changed. What was acknowledged may be missing here, "
                  "so this member must not go on from it. If the cluster has other members: remove this member from "
                  "it, delete its data directory, and add it again as a new one; it will copy everything. If it "
                  "is the only one: restore the data directory from a backup, and check the disk.",
                  path, offset, what));
}

std::unexpected<Error> too_new(const std::string& path, std::string_view what) {
  return fail(Code::Invalid, fmt::format("{} was written by a newer witan: {}. Start the version that wrote it, or a "
                                         "later one.",
                                         path, what));
}

}  // namespace witan::wal
