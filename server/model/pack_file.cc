#include "server/model/pack_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <tuple>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/model/checksum.h"
#include "server/model/scratch_file.h"
#include "server/source/json_fields.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr uint64_t kMagic = 0x6b63617074666c68;  // "hlftpack"
constexpr uint64_t kLayout = 1;                  // counts up when this file's layout changes
constexpr uint64_t kMostIndexBytes = uint64_t{64} << 20;
constexpr size_t kPiece = size_t{256} << 10;  // read and checked while it is in the cache

struct Header {
  uint64_t magic = kMagic, layout = kLayout;
  uint64_t file_bytes = 0, index_at = 0, index_bytes = 0, index_checksum = 0;
  uint64_t unused[2] = {};
};
static_assert(sizeof(Header) == 64);

absl::Status system_error(const std::string& path, const char* action) {
  std::string text = absl::StrCat(path, ": cannot ", action, ": ", std::strerror(errno));
  return errno == ENOENT || errno == ENOTDIR ? absl::NotFoundError(text) : absl::UnavailableError(text);
}

absl::Status useless(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", why));
}

uint64_t checksum_of(std::span<const std::byte> bytes) {
  Checksum checksum;
  checksum.add(bytes);
  return checksum.value();
}

uint64_t checksum_of(uint64_t codes, uint64_t scales) {
  uint64_t both[] = {codes, scales};
  return checksum_of(std::as_bytes(std::span(both)));
}

uint64_t checksum_of(const PackedMatrix& matrix, const PackedBytes& bytes) {
  return checksum_of(checksum_of({matrix.codes, bytes.codes}), checksum_of({matrix.scales, bytes.scales}));
}

PackEntry read_entry(JsonFields* fields) {
  PackEntry e;
  auto size = [&](const char* key) { return static_cast<uint64_t>(std::max<int64_t>(fields->integer(key), 0)); };
  e.format = fields->text("format");
  e.packing = static_cast<int>(fields->integer("packing"));
  e.shape.rows = fields->integer("rows");
  e.shape.cols = fields->integer("cols");
  e.shape.group = static_cast<int>(fields->integer("group"));
  e.shape.offset = static_cast<AffineGrid::Offset>(fields->integer("offset"));
  e.bytes = {size("codes"), size("scales")};
  e.at = size("at");
  if (!absl::SimpleHexAtoi(fields->text("checksum"), &e.checksum)) {
    fields->complain(absl::InvalidArgumentError(fields->name("checksum") + " is no number"));
  }
  return e;
}

nlohmann::json entry_json(const PackEntry& e) {
  return {{"format", e.format},
          {"packing", e.packing},
          {"rows", e.shape.rows},
          {"cols", e.shape.cols},
          {"group", e.shape.group},
          {"offset", static_cast<int>(e.shape.offset)},
          {"codes", e.bytes.codes},
          {"scales", e.bytes.scales},
          {"at", e.at},
          {"checksum", absl::StrCat(absl::Hex(e.checksum, absl::kZeroPad16))}};
}

}  // namespace

PackEntry PackEntry::of(const PackedMatrix& matrix) {
  PackEntry e;
  e.format = std::string(matrix.format->name);
  e.packing = matrix.format->packing;
  e.shape = matrix.shape;
  e.bytes = matrix.format->bytes(matrix.shape);
  return e;
}

bool PackEntry::same_packing(const PackEntry& other) const {
  auto all = [](const PackEntry& e) {
    return std::make_tuple(e.format, e.packing, e.shape.rows, e.shape.cols, e.shape.group, e.shape.offset,
                           e.bytes.codes, e.bytes.scales);
  };
  return all(*this) == all(other);
}

absl::StatusOr<std::unique_ptr<PackFile>> PackFile::open(const std::string& path, const std::string& source,
                                                         const std::string& choice) {
  // O_NONBLOCK: a pipe must not hold us up; it is refused for its length.
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return system_error(path, "open");
  std::unique_ptr<PackFile> file(new PackFile(path, descriptor));
  absl::Status status = file->read_index(source, choice);
  if (!status.ok()) return status;
  return file;
}

PackFile::~PackFile() { ::close(descriptor_); }

absl::Status PackFile::read_index(const std::string& source, const std::string& choice) {
  struct stat info;
  if (::fstat(descriptor_, &info) != 0) return system_error(path_, "look at");
  if (!S_ISREG(info.st_mode)) return useless(path_, "not a regular file");
  if ((info.st_mode & S_IWOTH) != 0) return useless(path_, "anybody may write to it");
  auto size = static_cast<uint64_t>(info.st_size);
  Header header;
  if (size < sizeof header) return useless(path_, "truncated");
  absl::Status status = read_at(0, reinterpret_cast<std::byte*>(&header), sizeof header);
  if (!status.ok()) return status;
  if (header.magic != kMagic) return useless(path_, "no file of packed weights");
  if (header.layout != kLayout) {
    return useless(path_, absl::StrCat("version ", header.layout, " of the layout, not ", kLayout));
  }
  if (header.file_bytes != size) {
    return useless(path_, absl::StrCat(size, " bytes long and not ", header.file_bytes));
  }
  bool inside = header.index_at >= sizeof header && header.index_at <= size &&
                header.index_bytes == size - header.index_at && header.index_bytes <= kMostIndexBytes;
  if (!inside) return useless(path_, "its header is damaged");
  std::string text(header.index_bytes, '\0');
  status = read_at(header.index_at, reinterpret_cast<std::byte*>(text.data()), text.size());
  if (!status.ok()) return status;
  if (checksum_of(std::as_bytes(std::span(text))) != header.index_checksum) {
    return useless(path_, "its index is damaged");
  }
  data_end_ = header.index_at;
  return read_entries(text, source, choice);
}

absl::Status PackFile::read_entries(const std::string& text, const std::string& source, const std::string& choice) {
  absl::StatusOr<nlohmann::json> index = parse_json_object(text, path_);
  if (!index.ok()) return index.status();
  JsonFields top(*index, path_);
  std::string its_source = top.text("source"), its_choice = top.text("choice");
  const nlohmann::json* tensors = top.find("tensors");
  if (!top.status().ok()) return top.status();
  if (its_source != source) return useless(path_, absl::StrCat("of another source, ", shown(its_source)));
  if (its_choice != choice) return useless(path_, absl::StrCat("of another format, ", shown(its_choice)));
  if (tensors == nullptr || !tensors->is_object()) return useless(path_, "its index has no tensors");
  for (const auto& [tensor, value] : tensors->items()) {
    if (!value.is_object()) return useless(path_, absl::StrCat(shown(tensor), " is no object"));
    JsonFields fields(value, path_, shown(tensor) + ".");
    PackEntry entry = read_entry(&fields);
    if (!fields.status().ok()) return fields.status();
    bool inside = entry.at <= data_end_ && entry.bytes.codes <= data_end_ - entry.at &&
                  entry.bytes.scales <= data_end_ - entry.at - entry.bytes.codes;
    if (!inside) return useless(path_, absl::StrCat(shown(tensor), " lies outside the file"));
    entries_.emplace(tensor, std::move(entry));
  }
  return absl::OkStatus();
}

absl::Status PackFile::read_at(uint64_t at, std::byte* into, size_t bytes) const {
  while (bytes > 0) {
    ssize_t got = ::pread(descriptor_, into, bytes, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path_, "read");
    if (got == 0) return useless(path_, "truncated");
    at += static_cast<uint64_t>(got);
    into += got;
    bytes -= static_cast<size_t>(got);
  }
  return absl::OkStatus();
}

absl::Status PackFile::read(const std::string& tensor, const PackedMatrix& matrix) const {
  const PackEntry& entry = entries_.at(tensor);
  uint64_t at = entry.at, sums[2];
  std::pair<std::byte*, size_t> parts[] = {{matrix.codes, entry.bytes.codes}, {matrix.scales, entry.bytes.scales}};
  for (size_t part = 0; part < 2; ++part) {
    Checksum checksum;
    auto [into, left] = parts[part];
    while (left > 0) {
      size_t piece = std::min(left, kPiece);
      absl::Status status = read_at(at, into, piece);
      if (!status.ok()) return status;
      checksum.add({into, piece});
      at += piece, into += piece, left -= piece;
    }
    sums[part] = checksum.value();
  }
  if (checksum_of(sums[0], sums[1]) == entry.checksum) return absl::OkStatus();
  return useless(path_, absl::StrCat(tensor, " is damaged"));
}

absl::StatusOr<std::unique_ptr<PackFileWriter>> PackFileWriter::create(const std::string& path) {
  absl::StatusOr<ScratchFile> scratch = create_scratch_file(path);
  if (!scratch.ok()) return scratch.status();
  std::unique_ptr<PackFileWriter> writer(new PackFileWriter(path, scratch->path, scratch->descriptor));
  Header empty;  // of no length: nothing takes it for complete
  absl::Status status = writer->write(&empty, sizeof empty);
  if (!status.ok()) return status;
  return writer;
}

PackFileWriter::~PackFileWriter() {
  ::close(descriptor_);
  if (!scratch_.empty()) ::unlink(scratch_.c_str());
}

absl::Status PackFileWriter::write(const void* from, size_t bytes) {
  const char* at = static_cast<const char*>(from);
  while (bytes > 0) {
    ssize_t done = ::pwrite(descriptor_, at, bytes, static_cast<off_t>(position_));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return system_error(path_, "write");
    at += done;
    bytes -= static_cast<size_t>(done);
    position_ += static_cast<uint64_t>(done);
  }
  return absl::OkStatus();
}

absl::Status PackFileWriter::add(const std::string& tensor, const PackedMatrix& matrix) {
  PackEntry entry = PackEntry::of(matrix);
  entry.at = position_;
  entry.checksum = checksum_of(matrix, entry.bytes);
  absl::Status status = write(matrix.codes, entry.bytes.codes);
  if (status.ok()) status = write(matrix.scales, entry.bytes.scales);
  entries_[tensor] = std::move(entry);
  return status;
}

absl::Status PackFileWriter::copy(const std::string& tensor, const PackFile& from) {
  PackEntry entry = from.entries_.at(tensor);
  uint64_t start = position_, at = entry.at, sums[2];
  std::vector<std::byte> piece(kPiece);
  size_t parts[] = {entry.bytes.codes, entry.bytes.scales};
  for (size_t part = 0; part < 2; ++part) {
    Checksum checksum;
    for (size_t left = parts[part]; left > 0;) {
      size_t size = std::min(left, kPiece);
      if (!from.read_at(at, piece.data(), size).ok()) {
        position_ = start;
        return absl::OkStatus();
      }
      checksum.add({piece.data(), size});
      absl::Status status = write(piece.data(), size);
      if (!status.ok()) return status;
      at += size, left -= size;
    }
    sums[part] = checksum.value();
  }
  if (checksum_of(sums[0], sums[1]) != entry.checksum) {
    position_ = start;
    return absl::OkStatus();
  }
  entry.at = start;
  entries_[tensor] = std::move(entry);
  return absl::OkStatus();
}

absl::Status PackFileWriter::finish(const std::string& source, const std::string& choice) {
  nlohmann::json tensors = nlohmann::json::object();
  for (const auto& [tensor, entry] : entries_) tensors[tensor] = entry_json(entry);
  std::string index = nlohmann::json{{"source", source}, {"choice", choice}, {"tensors", tensors}}.dump();
  Header header;
  header.index_at = position_;
  header.index_bytes = index.size();
  header.index_checksum = checksum_of(std::as_bytes(std::span(index)));
  header.file_bytes = position_ + index.size();
  absl::Status status = write(index.data(), index.size());
  if (!status.ok()) return status;
  uint64_t end = position_;
  position_ = 0;
  status = write(&header, sizeof header);
  position_ = end;
  if (!status.ok()) return status;
  // A copy that was given up may have left bytes behind the end.
  if (::ftruncate(descriptor_, static_cast<off_t>(end)) != 0 || ::fsync(descriptor_) != 0) {
    return system_error(path_, "write");
  }
  if (::rename(scratch_.c_str(), path_.c_str()) != 0) return system_error(path_, "replace");
  scratch_.clear();
  return absl::OkStatus();
}

}  // namespace halftone
