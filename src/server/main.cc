// The witan binary.

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "os/log.h"
#include "server/command_line.h"
#include "server/serve.h"

namespace witan::server {
namespace {

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return {};
  return std::string(value);
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream contents;
  if (file) contents << file.rdbuf();
  if (!file || file.bad()) {
    return fail(Code::Io, fmt::format("the configuration file {} cannot be read: {}", path, std::strerror(errno)));
  }
  return contents.str();
}

int run(std::vector<std::string> words) {
  Surroundings surroundings{.environment = environment, .read_file = read_file};
  const Invocation invocation = read_command_line(std::move(words), surroundings);
  std::fputs(invocation.text.c_str(), invocation.exit_code == 0 ? stdout : stderr);
  if (!invocation.serve) return invocation.exit_code;
  const auto log = os::make_log_sink({.format = invocation.serve->log_format, .level = invocation.serve->log_level});
  return serve(*invocation.serve, *log);
}

}  // namespace
}  // namespace witan::server

int main(int argc, char** argv) {
  try {
    return witan::server::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    // No memory, no threads: nothing of ours throws.
    std::fprintf(stderr, "witan: %s\n", error.what());
    return 1;
  }
}
