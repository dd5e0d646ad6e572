// The default model and what is known about it. Tests only; one thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace halftone {

// Where tools/fetch_model puts it: $HALFTONE_CACHE, else $XDG_CACHE_HOME/halftone, else ~/.cache/halftone.
std::string default_model_path();

// Why a test of it has to be skipped; empty: it can run. `slow` tests want a release build and vector instructions.
std::string why_not_real(bool slow);

// A file of the shared data about it: "golden_f32.json".
nlohmann::json about_default_model(const std::string& file);
std::string wiki_valid_path();

}  // namespace halftone
