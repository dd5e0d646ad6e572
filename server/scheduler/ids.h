// Names of things that the scheduler and its neighbours pass around. Plain integers, nothing else.
#pragma once

#include <cstdint>

namespace halftone {

using PageId = int32_t;       // a page of the arena: address = arena + page * page_bytes
using SequenceId = int64_t;   // never used twice
using ModeIndex = int32_t;    // position in --modes
using Nanoseconds = int64_t;  // since an arbitrary start; always passed in, never asked for

}  // namespace halftone
