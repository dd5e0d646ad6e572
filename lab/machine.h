// What this machine is called, for whoever reads a measurement. Any thread.
#pragma once

#include <string>

namespace halftone {

// The processor's name as the system says it; "unknown processor" where it does not.
std::string processor_name();

}  // namespace halftone
