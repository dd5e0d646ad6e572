// Compression as Content-Encoding names it. Any thread.
#pragma once

#include <string>

namespace halftone {

// Made to be quick: a page of metrics becomes a tenth or less in a few milliseconds.
std::string gzip(const std::string& text);

// Whether the header Accept-Encoding names gzip, and not with q=0.
bool accepts_gzip(const std::string& accept_encoding);

}  // namespace halftone
