// What the operating system says about this process's memory. Any thread.
#pragma once

#include <cstdint>

namespace halftone {

uint64_t anonymous_resident_bytes();  // heap, arenas, stacks

}  // namespace halftone
