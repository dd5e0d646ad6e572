#include "server/source/model_name.h"

#include <filesystem>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "server/source/mapped_file.h"
#include "server/text/clean_text.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCached = "models--";
constexpr size_t kDigits = 5;

// Absolute, without "." and "..", without a slash at the end.
fs::path plain(const std::string& path) {
  std::error_code ignored;
  const fs::path whole = (fs::absolute(path, ignored) / "").lexically_normal();
  return whole.parent_path();
}

std::optional<int64_t> number_of(const std::string& digits) {
  int64_t number = 0;
  if (digits.size() != kDigits || digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return absl::SimpleAtoi(digits, &number) ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string name_of_directory(const std::string& path) {
  const fs::path directory = plain(path);
  const fs::path snapshots = directory.parent_path();
  const std::string cached = snapshots.parent_path().filename().string();
  if (snapshots.filename() == "snapshots" && cached.starts_with(kCached)) {
    return clean_text(absl::StrReplaceAll(cached.substr(kCached.size()), {{"--", "/"}}));
  }
  return clean_text(directory.filename().string());
}

std::string name_of_gguf(const std::string& path) {
  const std::optional<GgufPartName> part = gguf_part_name(path);
  return clean_text(part ? fs::path(part->prefix).filename().string() : fs::path(path).stem().string());
}

std::string GgufPartName::path(int64_t of_number) const {
  return absl::StrFormat("%s-%05d-of-%05d.gguf", prefix, of_number, count);
}

std::optional<GgufPartName> gguf_part_name(const std::string& path) {
  constexpr size_t kSuffix = std::string_view("-00001-of-00001.gguf").size();
  if (path.size() <= kSuffix) return std::nullopt;
  const std::string suffix = path.substr(path.size() - kSuffix);
  const auto number = number_of(suffix.substr(1, kDigits)), count = number_of(suffix.substr(10, kDigits));
  if (suffix[0] != '-' || suffix.substr(6, 4) != "-of-" || suffix.substr(15) != ".gguf") return std::nullopt;
  if (!number || !count || *number < 1 || *number > *count) return std::nullopt;
  return GgufPartName{path.substr(0, path.size() - kSuffix), *number, *count};
}

std::string snapshot_directory(const std::string& path) {
  const fs::path directory = plain(path);
  std::error_code ignored;
  if (!directory.filename().string().starts_with(kCached) || !fs::is_directory(directory / "snapshots", ignored)) {
    return path;
  }
  absl::StatusOr<std::string> main = read_small_file((directory / "refs" / "main").string(), 256);
  if (main.ok()) {
    const std::string hash(absl::StripAsciiWhitespace(*main));
    const bool is_name = !hash.empty() && hash.find('/') == std::string::npos && hash.find('\0') == std::string::npos;
    const fs::path snapshot = directory / "snapshots" / hash;
    if (is_name && hash != ".." && fs::is_directory(snapshot, ignored)) return snapshot.string();
  }
  std::vector<fs::path> all;
  for (fs::directory_iterator entry(directory / "snapshots", ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    all.push_back(entry->path());
  }
  return all.size() == 1 ? all.front().string() : path;
}

}  // namespace halftone
