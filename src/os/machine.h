// What a process asks its machine once, when it starts.
#pragma once

#include <cstdint>

namespace witan::os {

// Cores this process may run on, at least 1.
unsigned usable_cores();

// From the system's generator of secrets; ends the process when there is none.
uint64_t random_seed();

}  // namespace witan::os
