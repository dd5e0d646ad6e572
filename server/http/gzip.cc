#include "server/http/gzip.h"

#include <zlib.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr int kGzip = MAX_WBITS + 16;  // the wrapper, as zlib names it
constexpr int kMemory = 8;             // zlib's default

bool refused(absl::string_view weight) {  // "q=0", "q=0.000"
  double value = 1;
  return absl::ConsumePrefix(&weight, "q=") && absl::SimpleAtod(weight, &value) && value <= 0;
}

}  // namespace

std::string gzip(const std::string& text) {
  z_stream stream = {};
  HALFTONE_CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string result(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // it is only read
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  HALFTONE_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

bool accepts_gzip(const std::string& accept_encoding) {
  for (absl::string_view coding : absl::StrSplit(accept_encoding, ',')) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(coding, absl::MaxSplits(';', 1));
    if (!absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(parts.first), "gzip")) continue;
    return !refused(absl::StripAsciiWhitespace(parts.second));
  }
  return false;
}

}  // namespace halftone
