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

#include "os/disk.h"
#include "os/log.h"
#include "os/machine.h"
#include "server/command_line.h"
#include "server/import_zookeeper.h"
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

int import_zookeeper(const ImportZookeeper& what) {
  os::Disk disk;
  const auto log = os::make_log_sink({.level = LogLevel::Warn});
  Function<void(std::string_view)> write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  };
  const Result<> done = import_zookeeper(what, {.disk = disk, .log = log.get(), .seed = os::random_seed()}, write);
  if (!done) {
    std::fprintf(stderr, "witan: %s\n", done.error().message.c_str());
    return 1;
  }
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0 ? 0 : 1;
}

int run(std::vector<std::string> words) {
  Surroundings surroundings{.environment = environment, .read_file = read_file};
  const Invocation invocation = read_command_line(std::move(words), surroundings);
  std::fputs(invocation.text.c_str(), invocation.exit_code == 0 ? stdout : stderr);
  if (invocation.import_zookeeper) return import_zookeeper(*invocation.import_zookeeper);
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
