// HALFTONE_CHECK(condition): our own mistakes end the process with the place and the condition. Never for a user's
// input.
#pragma once

#include <cstdio>
#include <cstdlib>

#define HALFTONE_CHECK(condition)                                                          \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)
