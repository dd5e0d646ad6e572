#include "lab/protocol.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace halftone {
namespace {

enum class Bos { kEachWindow, kReplacesFirst, kTextOnce };

struct Protocol {
  const char* name;
  int64_t window_tokens;
  bool any_length;
  int64_t first_row;
  Bos bos;
  const char* bos_rule;  // where there is one
};
constexpr Protocol kProtocols[] = {
    {"windows", 1024, true, 0, Bos::kEachWindow, "BOS before each window's text, counted as one of its tokens"},
    {"llamacpp512", 512, false, 256, Bos::kReplacesFirst, "BOS in place of each window's first token"},
    {"gptq2048", 2048, false, 0, Bos::kTextOnce, "BOS before the text: in the first window alone"}};

const Protocol* find_protocol(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kProtocols), std::end(kProtocols), [&](const Protocol& p) { return p.name == name; });
  return found == std::end(kProtocols) ? nullptr : found;
}

}  // namespace

std::string TextWindows::sha256() const {
  std::string bytes;
  for (const std::vector<int32_t>& window : windows) {
    for (int32_t id : window) {
      for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(static_cast<uint32_t>(id) >> shift);
    }
  }
  std::array<char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return absl::BytesToHexString({digest.data(), digest.size()});
}

absl::StatusOr<TextWindows> cut_windows(std::span<const int32_t> ids, std::optional<int32_t> bos,
                                        const WindowOptions& options) {
  const Protocol* protocol = find_protocol(options.protocol);
  if (protocol == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("protocol \"", options.protocol,
                                                   "\" is not known; known protocols: windows, llamacpp512, gptq2048"));
  }
  const int64_t length = options.window_tokens > 0 ? options.window_tokens : protocol->window_tokens;
  if ((!protocol->any_length && length != protocol->window_tokens) || length < 2) {
    const std::string wants = protocol->any_length ? "at least 2" : absl::StrCat(protocol->window_tokens);
    return absl::InvalidArgumentError(
        absl::StrCat("protocol ", options.protocol, " has no windows of ", length, " tokens; it wants ", wants));
  }
  TextWindows out;
  out.protocol = options.protocol;
  out.window_tokens = length;
  out.first_row = protocol->first_row;
  out.bos = bos ? protocol->bos_rule : "none: the tokenizer adds no BOS";

  std::vector<int32_t> stream(ids.begin(), ids.end());
  const bool each = bos && protocol->bos == Bos::kEachWindow;
  if (bos && !each) stream.insert(stream.begin(), *bos);
  const size_t taken = static_cast<size_t>(each ? length - 1 : length);
  const size_t available = stream.size() / taken, wanted = static_cast<size_t>(options.windows);
  if (available == 0 || available < wanted) {
    return absl::InvalidArgumentError(absl::StrCat("the text has ", available, " windows of ", length, " tokens (",
                                                   ids.size(), " tokens in all); wanted are ",
                                                   std::max<size_t>(wanted, 1)));
  }
  for (size_t w = 0; w < (wanted > 0 ? wanted : available); ++w) {
    std::vector<int32_t>& window = out.windows.emplace_back();
    if (each) window.push_back(*bos);
    const auto first = stream.begin() + static_cast<std::ptrdiff_t>(w * taken);
    window.insert(window.end(), first, first + static_cast<std::ptrdiff_t>(taken));
    if (bos && protocol->bos == Bos::kReplacesFirst) window[0] = *bos;
  }
  return out;
}

absl::StatusOr<TextWindows> cut_windows(const Tokenizer& tokenizer, std::string_view text,
                                        const WindowOptions& options) {
  const std::vector<TokenId> ids = tokenizer.encode(text);
  return cut_windows(ids, tokenizer.adds_bos() ? tokenizer.bos() : std::nullopt, options);
}

}  // namespace halftone
