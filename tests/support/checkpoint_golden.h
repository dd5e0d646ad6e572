// The checkpoints of tests/golden/ and the logits that tools/make_golden.py computed from them. Tests only; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace halftone {

struct Golden {
  std::string name;
  std::string directory;  // a Hugging Face checkpoint
  std::vector<int32_t> prompt;
  int64_t rows = 0, cols = 0;  // rows: one of each position of the prompt; cols: the vocabulary
  std::vector<float> logits;   // [rows, cols]; keys and values went through IEEE half
  double range = 0;            // largest logit minus smallest
};

// Every folder there, by name: the golden that somebody adds is tested without being listed.
std::vector<std::string> all_golden_names();
// A missing or damaged file ends the test.
Golden read_golden(const std::string& name);

}  // namespace halftone
