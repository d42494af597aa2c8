#include "os/machine.h"

#include <pwd.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace witan::os {

unsigned usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

uint64_t random_seed() {
  uint64_t seed = 0;
  CHECK(getrandom(&seed, sizeof(seed), 0) == sizeof(seed), "the system gives no random bytes");
  return seed;
}

namespace {

namespace fs = std::filesystem;

int64_t open_files() {
  std::error_code error;
  int64_t count = 0;
  fs::directory_iterator at("/proc/self/fd", error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) ++count;
  // The directory that is being read is one of them.
  return error ? -1 : count - 1;
}

int64_t max_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  return limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : static_cast<int64_t>(limit.rlim_cur);
}

// Of the files in it; those that go meanwhile do not count.
int64_t bytes_of(const std::string& directory) {
  std::error_code error;
  int64_t total = 0;
  fs::directory_iterator at(directory, error);
  if (error) return -1;
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    std::error_code gone;
    const uintmax_t size = at->is_regular_file(gone) ? at->file_size(gone) : 0;
    if (!gone) total += static_cast<int64_t>(size);
  }
  return error ? -1 : total;
}

}  // namespace

Host describe_host() {
  Host host;
  utsname names{};
  if (uname(&names) == 0) {
    host.name = names.nodename;
    host.system = names.sysname;
    host.release = names.release;
    host.machine = names.machine;
  }
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 16384> text{};
  if (getpwuid_r(geteuid(), &entry, text.data(), text.size(), &found) == 0 && found != nullptr) {
    host.user = found->pw_name;
    host.home = found->pw_dir;
  }
  std::error_code error;
  host.directory = fs::current_path(error).string();
  return host;
}

WallTime program_written() {
  struct stat facts{};
  if (stat("/proc/self/exe", &facts) != 0) return {};
  return {int64_t{facts.st_mtim.tv_sec} * 1000 + facts.st_mtim.tv_nsec / 1'000'000};
}

void Machine::look(env::Loop& home, Function<void(env::MachineFacts)> done) {
  lane_.run(
      [this, home = &home, done = std::move(done)]() mutable {
        const env::MachineFacts facts{.open_files = open_files(),
                                      .max_files = max_files(),
                                      .log_bytes = bytes_of(directories_.log),
                                      .snapshot_bytes = bytes_of(directories_.snapshots)};
        home->post([done = std::move(done), facts]() mutable { done(facts); });
      },
      Task());
}

}  // namespace witan::os
