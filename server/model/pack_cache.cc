#include "server/model/pack_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/weights/weights.h"

namespace halftone {
namespace {

constexpr size_t kNameDigits = 32;  // of the source's digest; the file holds all of it

std::string file_name(const std::string& source, const std::string& choice) {
  std::string digits = source.substr(source.find(':') + 1).substr(0, kNameDigits);
  std::replace_if(
      digits.begin(), digits.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return absl::StrCat(digits, "-", choice, ".packed");
}

bool is_current(const PackEntry& entry) {
  const WeightFormat* format = find_weight_format(entry.format);
  return format != nullptr && format->packing == entry.packing;
}

std::string message_of(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

PackCache::PackCache(std::string directory, std::string source, std::function<void(const std::string&)> warn)
    : directory_(std::move(directory)), source_(std::move(source)), warn_(std::move(warn)) {}

size_t PackCache::add(const std::string& tensor, const std::string& choice, const PackedMatrix& matrix) {
  File& file = files_[choice];
  file.items.push_back(items_.size());
  items_.push_back({tensor, &matrix, &file});
  return items_.size() - 1;
}

// Whoever may write to the directory decides on the weights.
bool PackCache::may_be_used() const {
  struct stat info;
  if (::stat(directory_.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return true;  // as it turns out later
  if ((info.st_mode & S_IWOTH) != 0) {
    warn_(absl::StrCat(directory_, ": anybody may write to it, and would decide on the weights: not used until that ",
                       "right is taken away (chmod o-w)"));
    return false;
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    warn_(absl::StrCat(directory_, ": belongs to the user ", info.st_uid, ", who decides on the weights with it"));
  }
  return true;
}

void PackCache::open() {
  used_ = may_be_used();
  if (!used_) return;
  for (auto& [choice, file] : files_) {
    file.path = (std::filesystem::path(directory_) / file_name(source_, choice)).string();
    open_file(choice, &file);
  }
}

void PackCache::open_file(const std::string& choice, File* file) {
  absl::StatusOr<std::unique_ptr<PackFile>> old = PackFile::open(file->path, source_, choice);
  if (!old.ok()) {
    file->complete = false;
    if (!absl::IsNotFound(old.status())) file->trouble = message_of(old.status());
    return;
  }
  file->old = *std::move(old);
  for (size_t i : file->items) {
    Item& item = items_[i];
    auto found = file->old->entries().find(item.tensor);
    bool there = found != file->old->entries().end();
    item.present = there && found->second.same_packing(PackEntry::of(*item.matrix));
    if (item.present) continue;
    file->complete = false;
    if (there && file->trouble.empty()) {
      file->trouble = absl::StrCat(file->path, ": ", item.tensor, " was packed by another rule or in another shape");
    }
  }
}

bool PackCache::read(size_t i) {
  Item& item = items_[i];
  absl::Status status = item.file->old->read(item.tensor, *item.matrix);
  if (status.ok()) return true;
  PackedBytes bytes = item.matrix->format->bytes(item.matrix->shape);
  std::memset(item.matrix->codes, 0, bytes.codes);
  if (bytes.scales > 0) std::memset(item.matrix->scales, 0, bytes.scales);
  std::lock_guard lock(mutex_);
  item.file->complete = false;
  if (item.file->trouble.empty()) item.file->trouble = message_of(status);
  return false;
}

void PackCache::write() {
  if (!used_) return;
  for (const auto& [choice, file] : files_) {
    if (!file.trouble.empty()) warn_(absl::StrCat(file.trouble, "; packed anew"));
    if (file.complete) continue;
    absl::Status status = write_file(choice, file);
    if (!status.ok()) warn_(absl::StrCat(message_of(status), "; the next start packs again"));
  }
}

bool PackCache::is_ours(const std::string& tensor, const File& file) const {
  return std::any_of(file.items.begin(), file.items.end(), [&](size_t i) { return items_[i].tensor == tensor; });
}

absl::Status PackCache::write_file(const std::string& choice, const File& file) const {
  std::error_code error;
  const bool created = std::filesystem::create_directories(directory_, error);
  if (error) return absl::UnavailableError(absl::StrCat(directory_, ": cannot create: ", error.message()));
  using std::filesystem::perms;
  if (created) {
    std::filesystem::permissions(directory_, perms::others_write, std::filesystem::perm_options::remove, error);
  }
  absl::StatusOr<std::unique_ptr<PackFileWriter>> writer = PackFileWriter::create(file.path);
  if (!writer.ok()) return writer.status();
  absl::Status status;
  for (size_t i : file.items) {
    if (status.ok()) status = (*writer)->add(items_[i].tensor, *items_[i].matrix);
  }
  // What other modes of other starts use stays, so that two starts in turn do not undo each other's work.
  for (const auto& [tensor, entry] : file.old != nullptr ? file.old->entries() : PackFile::Entries()) {
    if (status.ok() && is_current(entry) && !is_ours(tensor, file)) status = (*writer)->copy(tensor, *file.old);
  }
  if (status.ok()) status = (*writer)->finish(source_, choice);
  return status;
}

}  // namespace halftone
