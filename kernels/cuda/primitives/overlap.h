// A kernel that begins before the one ahead of it in its stream has ended: what it does until it waits (reading
// arguments, asking for weights, which no kernel writes) costs no time of its own. For kernels launched with
// LaunchShape::overlaps. sm_90; before that kernels simply follow each other, as they do on the host.
#pragma once

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// The next kernel of the stream may begin when all blocks have come here or ended.
HALFTONE_DEVICE void let_next_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Until all earlier kernels have ended and what they wrote is seen. Nothing that they write or read may be touched
// before.
HALFTONE_DEVICE void wait_for_earlier() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
