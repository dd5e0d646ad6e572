#include "server/source/gguf_parts.h"

#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/source/message.h"
#include "server/source/model_name.h"

namespace halftone {
namespace {

constexpr int64_t kMaxParts = 4096;

absl::Status wrong(const std::string& file, std::string_view what) {
  return absl::InvalidArgumentError(message(file, ": ", what));
}

struct Part {
  std::unique_ptr<MappedFile> file;
  GgufFile gguf;
};

absl::StatusOr<Part> open_part(const std::string& path) {
  absl::StatusOr<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<GgufFile> gguf = parse_gguf((*file)->bytes(), path);
  if (!gguf.ok()) return gguf.status();
  return Part{*std::move(file), *std::move(gguf)};
}

// Part `number` of the model, counted from 1.
absl::StatusOr<Part> open_numbered(const GgufPartName& name, int64_t number) {
  const std::string path = name.path(number);
  absl::StatusOr<Part> part = open_part(path);
  if (!part.ok()) return part;
  const GgufMetadata& keys = part->gguf.metadata;
  if (keys.integer("split.count") != name.count || keys.integer("split.no") != number - 1) {
    return wrong(path, message("split.no and split.count do not say that it is part ", number, " of ", name.count));
  }
  return part;
}

void add_part(Part part, GgufParts& parts) {
  if (parts.files.empty()) {
    parts.all = std::move(part.gguf);
  } else {
    std::move(part.gguf.tensors.begin(), part.gguf.tensors.end(), std::back_inserter(parts.all.tensors));
  }
  parts.files.push_back(std::move(part.file));
}

}  // namespace

absl::StatusOr<GgufParts> open_gguf_parts(const std::string& path) {
  absl::StatusOr<Part> named = open_part(path);
  if (!named.ok()) return named.status();
  GgufParts parts;
  const int64_t count = named->gguf.metadata.integer("split.count").value_or(0);
  if (count <= 1) {
    add_part(*std::move(named), parts);
    return parts;
  }
  const std::optional<GgufPartName> name = gguf_part_name(path);
  if (!name || name->count != count || count > kMaxParts) {
    return wrong(path, absl::StrFormat("one of %d parts of a model, expected a name that ends in -00001-of-%05d.gguf",
                                       count, count));
  }
  *named = Part();
  for (int64_t number = 1; number <= count; ++number) {
    absl::StatusOr<Part> part = open_numbered(*name, number);
    if (!part.ok()) return part.status();
    add_part(*std::move(part), parts);
  }
  const std::optional<int64_t> tensors = parts.all.metadata.integer("split.tensors.count");
  if (tensors && *tensors != static_cast<int64_t>(parts.all.tensors.size())) {
    return wrong(name->path(1), message("split.tensors.count = ", *tensors, ", but the ", count, " parts hold ",
                                        parts.all.tensors.size(), " tensors"));
  }
  return parts;
}

}  // namespace halftone
