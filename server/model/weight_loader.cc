#include "server/model/weight_loader.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "kernels/weights/weights.h"

namespace halftone {
namespace {

bool same_values(const SourceTensor& tensor, const WeightFormat& format) {
  return format.name == "f32" || (format.name == "bf16" && tensor.type() == "BF16");
}

int64_t chunks_of(const SourceTensor& tensor) { return (tensor.rows() + kPackRows - 1) / kPackRows; }

// work(i, is it the caller's thread) for all i, until one answers false. What one throws, this throws when all have
// ended.
void in_parallel(int threads, size_t count, const std::function<bool(size_t, bool)>& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr thrown;
  auto loop = [&](bool caller) {
    try {
      for (size_t i; (i = next.fetch_add(1)) < count;) {
        if (!work(i, caller)) next.store(count);
      }
    } catch (...) {  // memory that ended, say
      next.store(count);
      std::lock_guard lock(mutex);
      thrown = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  try {
    helpers.reserve(static_cast<size_t>(std::max(threads, 1)));
    for (int i = 1; i < threads; ++i) helpers.emplace_back(loop, false);
  } catch (const std::exception&) {  // fewer do it, too
  }
  loop(true);
  for (std::thread& helper : helpers) helper.join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

absl::Status WeightLoader::check_supported(const WeightChoice& choice, size_t mode) const {
  const WeightFormat* format = find_weight_format(choice.format);
  HALFTONE_CHECK(format != nullptr);
  const std::string& activations = modes_[mode].activations;
  if (device_.supports(*format, *parse_activations(activations))) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("mode ", modes_[mode].id, ": device ", std::string(device_.name()),
                                                    " cannot run weight format ", choice.format, " with ", activations,
                                                    " activations"));
}

absl::StatusOr<std::unique_ptr<Weights::Packed>> WeightLoader::plan_packed(const SourceTensor& tensor,
                                                                           const std::string& name,
                                                                           const WeightChoice& choice) const {
  const WeightFormat* format = find_weight_format(choice.format);
  std::optional<AffineGrid> grid = tensor.grid();
  std::optional<PackedShape> shape;
  const bool may_import = grid && !choice.requantize && (choice.group == 0 || choice.group == grid->group);
  if (may_import) shape = format->plan_import(tensor.rows(), tensor.cols(), *grid);
  auto packed = std::make_unique<Weights::Packed>();
  packed->import = shape.has_value();
  if (!shape) shape = format->plan(tensor.rows(), tensor.cols(), choice.group);
  if (!shape) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor ", name, " [", tensor.rows(), ", ", tensor.cols(), "] does not fit weight format ", choice.format,
        ": its rows are no whole number of groups of 32; ", choice.format, "g32 takes it, with a shorter last group"));
  }
  packed->matrix = {format, *shape, nullptr, nullptr};
  packed->exact = packed->import || same_values(tensor, *format);
  return packed;
}

const WeightChoice* WeightLoader::choose(const ExpectedTensor& expected, size_t mode) const {
  if (expected.tensor_class != TensorClass::kRouter) {
    return modes_[mode].recipe.choose(expected.tensor_class, expected.layer);
  }
  static const WeightChoice kExact{.format = "f32"}, kNear{.format = "bf16"};
  return device_.supports(*find_weight_format("f32"), Activations::kA16) ? &kExact : &kNear;
}

absl::Status WeightLoader::plan_matrix(const ExpectedTensor& expected, size_t mode) {
  const std::string& name = expected.name;
  const WeightChoice* choice = choose(expected, mode);
  if (choice == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("mode ", modes_[mode].id, ": no row of the recipe is for ", name));
  }
  absl::Status supported = check_supported(*choice, mode);
  if (!supported.ok()) return supported;
  auto place = weights_->packed_.try_emplace({name, choice->name()}).first;
  std::unique_ptr<Weights::Packed>& packed = place->second;
  if (packed != nullptr) {
    if (packed->users.back() != mode) packed->users.push_back(mode);
    return absl::OkStatus();
  }
  const SourceTensor* tensor = source_.find(name);
  HALFTONE_CHECK(tensor != nullptr);  // who opened the source looked
  absl::StatusOr<std::unique_ptr<Weights::Packed>> planned = plan_packed(*tensor, name, *choice);
  if (!planned.ok()) return planned.status();
  packed = *std::move(planned);
  packed->users = {mode};
  jobs_.push_back({packed.get(), tensor, &place->first.first, &place->first.second});
  return absl::OkStatus();
}

// A matrix that the mode reads: not the head beside an embedding that is the head, nothing of a layer that it drops.
bool WeightLoader::is_used(const ExpectedTensor& expected, size_t mode) const {
  if (expected.vector || (expected.part == TensorPart::kHead && source_.spec.tied_head)) return false;
  return expected.layer < 0 || !modes_[mode].recipe.drops(expected.layer);
}

absl::Status WeightLoader::plan_mode(size_t mode) {
  const Recipe& recipe = modes_[mode].recipe;
  const int64_t layers = source_.spec.layer_count();
  if (!recipe.dropped.empty() && recipe.dropped.back() >= layers) {
    return absl::InvalidArgumentError(absl::StrCat("mode ", modes_[mode].id, " drops layer ", recipe.dropped.back(),
                                                   "; the model has layers 0 to ", layers - 1));
  }
  if (static_cast<int64_t>(recipe.dropped.size()) == layers) {
    return absl::InvalidArgumentError(absl::StrCat("mode ", modes_[mode].id, " drops every layer"));
  }
  absl::Status status;
  for (const ExpectedTensor& expected : expected_) {
    if (status.ok() && is_used(expected, mode)) status = plan_matrix(expected, mode);
  }
  return status;
}

absl::Status WeightLoader::plan() {
  for (size_t mode = 0; mode < modes_.size(); ++mode) {
    absl::Status status = plan_mode(mode);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

uint64_t WeightLoader::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [key, packed] : weights_->packed_) {
    bytes += device_.weight_bytes(*packed->matrix.format, packed->matrix.shape).total();
  }
  for (const auto& [name, tensor] : source_.tensors) {
    if (tensor->rows() == 1) bytes += static_cast<uint64_t>(tensor->cols()) * sizeof(float);
  }
  return bytes;
}

std::string WeightLoader::owner(const Weights::Packed& packed, const std::string& choice) const {
  return packed.users.size() == 1 ? modes_[packed.users[0]].id : choice;
}

// One buffer for each owner and category: as long as it is, the system can back it with huge pages, and a small matrix
// does not take a page of its own.
absl::Status WeightLoader::allocate() {
  using Place = std::pair<std::string, MemoryCategory>;
  auto each_part = [&](const std::function<void(const Place&, size_t bytes, std::byte** data)>& part) {
    for (auto& [key, packed] : weights_->packed_) {
      PackedBytes bytes = device_.weight_bytes(*packed->matrix.format, packed->matrix.shape);
      part({owner(*packed, key.second), MemoryCategory::kWeights}, bytes.codes, &packed->matrix.codes);
      if (bytes.scales == 0) continue;
      part({owner(*packed, key.second), MemoryCategory::kWeightScales}, bytes.scales, &packed->matrix.scales);
    }
  };
  std::map<Place, size_t> sizes;
  each_part([&](const Place& place, size_t bytes, std::byte**) { sizes[place] += bytes; });
  std::map<Place, std::byte*> next;
  for (const auto& [place, bytes] : sizes) {
    weights_->buffers_.push_back(device_.allocate(bytes, {place.first, place.second}));
    if (!weights_->buffers_.back()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for ", bytes, " bytes of ", memory_category_name(place.second), " of ", place.first));
    }
    next[place] = weights_->buffers_.back().data();
  }
  each_part([&](const Place& place, size_t bytes, std::byte** data) {
    *data = next[place];
    next[place] += bytes;
  });
  return absl::OkStatus();
}

absl::Status WeightLoader::fill_chunk(const Chunk& chunk) const {
  WeightRows rows;
  absl::Status status = read_chunk(chunk, &rows);
  if (status.ok()) device_.pack_rows(chunk.job->packed->matrix, chunk.first, rows);
  return status;
}

// The chunk's rows as its format holds them: the source's own codes, or its values rounded.
absl::Status WeightLoader::read_chunk(const Chunk& chunk, WeightRows* rows) const {
  const SourceTensor& tensor = *chunk.job->tensor;
  const auto& [format, shape, codes, scales] = chunk.job->packed->matrix;
  const int64_t count = std::min(kPackRows, tensor.rows() - chunk.first);
  if (chunk.job->packed->import) {
    absl::Status status = tensor.read_codes(chunk.first, count, *rows);
    if (!status.ok() || format->holds(shape, *rows)) return status;
    return absl::InvalidArgumentError(absl::StrCat("tensor ", *chunk.job->name, " (", std::string(tensor.type()),
                                                   "): rows from ", chunk.first,
                                                   " on hold scales that are no finite halves"));
  }
  std::vector<float> values(static_cast<size_t>(count * tensor.cols()));
  absl::Status status = tensor.read_rows(chunk.first, count, values);
  if (status.ok()) format->quantize(shape, count, values.data(), rows);
  return status;
}

void WeightLoader::open_cache(const LoadOptions& options) {
  if (options.pack_cache.empty()) return;
  if (!device_.memory_is_hosts()) {
    if (options.warn) {
      options.warn(absl::StrCat("device ", std::string(device_.name()),
                                " holds weights in a layout of its own, which is not kept"));
    }
    return;
  }
  cache_ = std::make_unique<PackCache>(options.pack_cache, source_.digest, [&](const std::string& line) {
    if (options.warn) options.warn(line);
  });
  for (Job& job : jobs_) {
    bool kept = !job.packed->import && PackCache::keeps(*job.packed->matrix.format);
    if (kept) job.cached = cache_->add(*job.name, *job.choice, job.packed->matrix);
  }
  cache_->open();
}

// What could be read is no longer a job.
void WeightLoader::read_cached(const LoadOptions& options, double all) {
  std::vector<char> read(jobs_.size(), 0);
  in_parallel(options.threads, jobs_.size(), [&](size_t i, bool caller) {
    if (!jobs_[i].cached || !cache_->holds(*jobs_[i].cached) || !cache_->read(*jobs_[i].cached)) return true;
    read[i] = 1;
    int64_t done = done_.fetch_add(chunks_of(*jobs_[i].tensor)) + chunks_of(*jobs_[i].tensor);
    if (caller && options.progress) options.progress(static_cast<double>(done) / all);
    return true;
  });
  std::vector<Job> left;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (read[i] == 0) left.push_back(jobs_[i]);
  }
  jobs_ = std::move(left);
}

absl::Status WeightLoader::pack(const LoadOptions& options, double all) {
  std::vector<Chunk> chunks;
  for (const Job& job : jobs_) {
    for (int64_t first = 0; first < job.tensor->rows(); first += kPackRows) chunks.push_back({&job, first});
  }
  std::mutex mutex;
  absl::Status first_error;
  in_parallel(options.threads, chunks.size(), [&](size_t i, bool caller) {
    absl::Status status = fill_chunk(chunks[i]);
    if (!status.ok()) {
      std::lock_guard lock(mutex);
      first_error.Update(status);
      return false;
    }
    int64_t done = done_.fetch_add(1) + 1;
    if (caller && options.progress) options.progress(static_cast<double>(done) / all);
    return true;
  });
  return first_error;
}

absl::Status WeightLoader::fill(const LoadOptions& options) {
  double all = 0;
  for (const Job& job : jobs_) all += static_cast<double>(chunks_of(*job.tensor));
  open_cache(options);
  if (cache_ != nullptr) read_cached(options, all);
  absl::Status status = pack(options, all);
  if (status.ok() && options.progress) options.progress(1);  // the last piece may have been another thread's
  if (status.ok() && cache_ != nullptr) cache_->write();
  return status;
}

absl::Status WeightLoader::read_vectors() {
  for (const auto& [name, tensor] : source_.tensors) {
    if (tensor->rows() != 1 || name == "rope_factors") continue;
    Buffer buffer =
        device_.allocate(static_cast<size_t>(tensor->cols()) * sizeof(float), {"shared", MemoryCategory::kWeights});
    if (!buffer) return absl::ResourceExhaustedError(absl::StrCat("no memory for tensor ", name));
    std::vector<float> values(static_cast<size_t>(tensor->cols()));
    absl::Status status = tensor->read_rows(0, 1, values);
    if (!status.ok()) return status;
    device_.upload(buffer.data(), std::as_bytes(std::span(values)));
    weights_->vectors_.emplace(name, std::move(buffer));
  }
  return absl::OkStatus();
}

std::unique_ptr<Weights> WeightLoader::finish() {
  for (size_t mode = 0; mode < modes_.size(); ++mode) weights_->modes_.push_back(mode_weights(mode));
  return std::move(weights_);
}

absl::StatusOr<std::unique_ptr<Weights>> Weights::load(const ModelSource& source, const std::vector<Mode>& modes,
                                                       Device& device, const LoadOptions& options) {
  WeightLoader loader(source, modes, device);
  absl::Status status = loader.plan();
  if (status.ok() && options.admit) status = options.admit(loader.bytes());
  if (status.ok()) status = loader.allocate();
  if (status.ok()) status = loader.fill(options);
  if (status.ok()) status = loader.read_vectors();
  if (!status.ok()) return status;
  return loader.finish();
}

}  // namespace halftone
