// What the probes are given: random bits, with what is special among them made frequent; the same on every machine.
#pragma once

#include <string>
#include <vector>

#include "tests/kernels/cuda/primitives/probes.h"

namespace halftone::test {

struct Probe {
  std::string name;
  std::string kernel;
  Words in;
  // How far each word that comes out may be from another device's, both as floats. Empty: the bits are the same.
  std::vector<double> bounds;
};

const std::vector<Probe>& all_probes();

}  // namespace halftone::test
