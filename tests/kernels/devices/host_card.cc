#include "kernels/devices/host_card.h"

#include "kernels/cuda_host/cuda_host_device.h"

namespace halftone {

std::unique_ptr<Device> make_host_card(Ledger& ledger) { return make_cuda_host_device(ledger); }

}  // namespace halftone
