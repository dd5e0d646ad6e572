// The modes of a server side by side, as text for a terminal. Pure functions.
#pragma once

#include <string>

#include "halftone/v1/inference.pb.h"

namespace halftone {

// A row for each mode, at most 120 columns wide for ids of at most 17 letters. A dash: nothing was measured yet.
std::string mode_table(const v1::ServerInfo& info);

}  // namespace halftone
