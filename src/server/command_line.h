// From the words of a command line to what is to be done.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"
#include "base/result.h"
#include "server/config.h"

namespace witan::server {

inline constexpr std::string_view kVersion = "0.1.0";

// The outside of a command line, so that tests can bring their own.
struct Surroundings {
  Function<std::optional<std::string>(const std::string& name)> environment;
  Function<Result<std::string>(const std::string& path)> read_file;
};

// `witan import zookeeper DIR`.
struct ImportZookeeper {
  std::string data_dir;          // ZooKeeper's
  std::string data_log_dir;      // empty: everything is in data_dir
  bool json = false;             // everything that was read, not only a report; without a target only
  std::optional<Config> target;  // the member whose data directory it becomes; none: it is only read
};

// Either a server is to run, or a directory to be imported, or some text is to be printed and the process to end.
struct Invocation {
  std::optional<Config> serve;
  std::optional<ImportZookeeper> import_zookeeper;
  std::string text;   // whole lines
  int exit_code = 0;  // 0: the text goes to standard output; 2: wrong usage, the text is one line for standard error
};

// `words` without the program's name.
Invocation read_command_line(std::vector<std::string> words, Surroundings& surroundings);

}  // namespace witan::server
