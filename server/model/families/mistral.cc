#include "server/model/families/families.h"

namespace halftone {

// A Llama block whose tokens see only the last sliding_window positions.
constexpr Family kFamilyMistral{.architecture = "mistral", .models = "Mistral", .sliding_window = true};

const Family& mistral_family() { return kFamilyMistral; }

}  // namespace halftone
