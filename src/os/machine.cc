#include "os/machine.h"

#include <sched.h>
#include <sys/random.h>

#include <algorithm>

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

}  // namespace witan::os
