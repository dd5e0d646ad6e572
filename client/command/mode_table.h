// The modes of a server side by side, as text for a terminal. Pure functions.
#pragma once

#include <string>

#include "halftone/v1/inference.pb.h"

namespace halftone {

// A row for each mode, at most 120 columns wide for ids of at most 15 letters. A dash: nothing was measured yet.
// Under it what has to be known to read a mode's quality, by the letter behind its KL.
std::string mode_table(const v1::ServerInfo& info);

}  // namespace halftone
