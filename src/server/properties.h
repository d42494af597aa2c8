// Java's properties files, which ZooKeeper's configuration is written in.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace witan::server {

struct Property {
  std::string name;
  std::string value;
  size_t line = 0;  // where it begins, from 1
};

// As Java reads them: '=', ':' or blanks after the name, comments, lines that a backslash continues, escapes. In the
// order of the text. Errors: Invalid, one sentence with path and line: an escape that is none.
Result<std::vector<Property>> parse_properties(std::string_view path, std::string_view contents);

}  // namespace witan::server
