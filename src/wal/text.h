// The sentences people read when stored bytes are not what was written.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/result.h"

namespace witan::wal {

// Code::Corrupt: which file, where, what is wrong, and what can be done.
std::unexpected<Error> damaged(const std::string& path, uint64_t offset, std::string_view what);

// Code::Invalid: written by a newer program.
std::unexpected<Error> too_new(const std::string& path, std::string_view what);

}  // namespace witan::wal
