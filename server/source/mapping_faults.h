// Which mapped file an address lies in, for the handler of the signal that a read beyond a file's end raises.
// Any thread; looking up is safe in a signal handler. Used by mapped_file.cc.
#pragma once

#include <cstdint>
#include <string>

namespace halftone {

// Of so many mappings at once; what is beyond is not remembered. The path is copied, cut at 1000 bytes.
inline constexpr int kMostMappings = 4200;

void remember_mapping(const uint8_t* data, uint64_t size, const std::string& path);
void forget_mapping(const uint8_t* data);

}  // namespace halftone
