// A picture of an evaluation: mean KL (logarithmic) against bits per weight, a point for each mode, with the classes'
// limits. SVG text, nothing else needed to show it.
#pragma once

#include <string>

#include "lab/report.h"

namespace halftone {

// A KL of 0 or below the axis lies on it; one that is not finite lies at its upper end.
std::string plot_svg(const Report& report);

}  // namespace halftone
