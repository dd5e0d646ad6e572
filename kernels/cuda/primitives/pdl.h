// Programmatic dependent launch (CUDA Programming Guide): a kernel begins before the one ahead of it in its stream has
// ended; what it does until pdl_wait() (reading arguments, loading weights, which no kernel writes) overlaps with that
// one. For kernels launched with LaunchShape::pdl. sm_90; before that kernels simply follow each other, as they do on
// the host.
#pragma once

#include "kernels/cuda/dialect.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

// Trigger: the next kernel of the stream may begin when all CTAs have come here or ended.
HALFTONE_DEVICE void pdl_trigger() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Waits until all earlier kernels have ended and their writes are visible. Before it a kernel must not read what they
// write, nor write what they read.
HALFTONE_DEVICE void pdl_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
