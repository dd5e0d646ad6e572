#include "kernels/devices/devices.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "kernels/cuda/cuda_device.h"
#include "kernels/devices/cuda_on_host.h"

namespace halftone {
namespace {

// N of "cuda:N".
std::optional<int> cuda_index(std::string_view name) {
  constexpr std::string_view kCuda = "cuda:";
  if (!name.starts_with(kCuda)) return std::nullopt;
  name.remove_prefix(kCuda.size());
  int index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool number = error == std::errc() && end == name.data() + name.size() && index >= 0;
  return number ? std::optional(index) : std::nullopt;
}

}  // namespace

MadeDevice make_device(const std::string& name, const DeviceOptions& options, Ledger& ledger) {
  MadeDevice made;
  if (name == "cpu") {
    made.device = make_cpu_device(options.cpu, ledger);
    made.why = "instruction set " + options.cpu.isa + " does not run on this machine";
  } else if (name == "cuda:host") {
    made.device = make_cuda_on_host(ledger);
    made.why = "only halftone-server-host, of a build with tests, has it";
  } else if (const std::optional<int> index = cuda_index(name)) {
    made.device = make_cuda_device(*index, ledger, &made.why);
  } else {
    made.why = "there is no such device; cpu and cuda:N are known";
  }
  made.why = made.device != nullptr ? "" : "device " + name + ": " + made.why;
  return made;
}

}  // namespace halftone
