#include "tests/kernels/remote_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "kernels/contract/check.h"

namespace halftone::test {
namespace {

void unmap(void* data, size_t bytes) { munmap(data, bytes); }

PackedShape piece_of(PackedShape shape, int64_t first_row) {
  shape.rows = std::min(kPackRows, shape.rows - first_row);
  return shape;
}

// Where the 64 rows from first_row on stand in codes and scales.
PackedBytes place_of(const WeightFormat& format, const PackedShape& shape, int64_t first_row) {
  PackedBytes place;
  for (int64_t row = 0; row < first_row; row += kPackRows) {
    const PackedBytes piece = format.bytes(piece_of(shape, row));
    place.codes += RemoteDevice::kPieceHeader + piece.codes;
    place.scales += piece.scales;
  }
  return place;
}

// All rows of a matrix in the host's layout, as numbers.
WeightRows rows_of(const PackedMatrix& matrix) {
  const PackedShape& shape = matrix.shape;
  WeightRows rows;
  if (matrix.format->unpack_codes != nullptr) {
    matrix.format->unpack_codes(matrix, 0, shape.rows, &rows);
    return rows;
  }
  std::vector<float> values(static_cast<size_t>(shape.rows * shape.cols));
  matrix.format->unpack_rows(matrix, 0, shape.rows, values.data());
  matrix.format->quantize(shape, shape.rows, values.data(), &rows);
  return rows;
}

}  // namespace

RemoteDevice::RemoteDevice(const CpuOptions& options, Ledger& ledger)
    : ledger_(ledger), cpu_(make_cpu_device(options, cpu_ledger_)) {
  HALFTONE_CHECK(cpu_ != nullptr);
}

std::string RemoteDevice::error() {
  wait();
  return error_;
}

Buffer RemoteDevice::allocate(size_t bytes, const MemoryTag& tag) {
  if (bytes == 0) return {};
  Range range{bytes, cpu_->allocate(bytes, tag)};
  if (!range.memory) return {};
  void* address = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return {};
  const std::lock_guard lock(mutex_);
  const std::byte* begin = static_cast<std::byte*>(address);
  // What overlaps was freed, or the system would not have given the address again.
  std::erase_if(ranges_,
                [&](const auto& old) { return old.first < begin + bytes && begin < old.first + old.second.bytes; });
  ranges_[begin] = std::move(range);
  return Buffer(address, bytes, unmap, &ledger_, tag);
}

std::byte* RemoteDevice::behind(const void* address) {
  if (address == nullptr) return nullptr;
  const std::lock_guard lock(mutex_);
  const std::byte* wanted = static_cast<const std::byte*>(address);
  auto after = ranges_.upper_bound(wanted);
  HALFTONE_CHECK(after != ranges_.begin());  // an address of the host
  const auto& [begin, range] = *std::prev(after);
  HALFTONE_CHECK(wanted < begin + range.bytes);
  return range.memory.data() + (wanted - begin);
}

Tensor RemoteDevice::behind(Tensor tensor) {
  tensor.data = behind(static_cast<const void*>(tensor.data));
  return tensor;
}

KvTarget RemoteDevice::behind(KvTarget target) {
  target.arena = behind(target.arena);
  return target;
}

void RemoteDevice::upload(std::byte* to, std::span<const std::byte> from) {
  std::copy(from.begin(), from.end(), behind(to));
}

void RemoteDevice::download(std::span<std::byte> to, const std::byte* from) {
  wait();
  std::copy_n(behind(from), to.size(), to.begin());
}

size_t RemoteDevice::workspace_bytes(int64_t max_tokens, int64_t max_cols, int64_t heads, int64_t head_dim) const {
  return cpu_->workspace_bytes(max_tokens, max_cols, heads, head_dim);
}

void RemoteDevice::set_workspace(std::byte* data, size_t bytes) { cpu_->set_workspace(behind(data), bytes); }

bool RemoteDevice::supports(const WeightFormat& format, Activations activations) const {
  return !refused_.contains({std::string(format.name), activations}) && cpu_->supports(format, activations);
}

PackedBytes RemoteDevice::weight_bytes(const WeightFormat& format, const PackedShape& shape) const {
  return place_of(format, shape, (shape.rows + kPackRows - 1) / kPackRows * kPackRows);
}

// Every piece in the host's layout, back to front.
void RemoteDevice::pack_rows(const PackedMatrix& to, int64_t first_row, const WeightRows& rows) {
  const PackedShape shape = piece_of(to.shape, first_row);
  HALFTONE_CHECK(first_row % kPackRows == 0 && rows.rows == shape.rows);
  const PackedBytes place = place_of(*to.format, to.shape, first_row), bytes = to.format->bytes(shape);
  const CpuMatrix piece = new_cpu_matrix(*to.format, shape);
  to.format->pack_rows(piece.matrix, 0, rows);
  std::byte* codes = behind(to.codes) + place.codes;
  std::fill_n(codes, kPieceHeader, std::byte{0xee});
  std::reverse_copy(piece.codes.data(), piece.codes.data() + bytes.codes, codes + kPieceHeader);
  if (bytes.scales > 0) {
    std::reverse_copy(piece.scales.data(), piece.scales.data() + bytes.scales, behind(to.scales) + place.scales);
  }
  const std::lock_guard lock(mutex_);
  matrices_.erase(to.codes);
}

RemoteDevice::CpuMatrix RemoteDevice::new_cpu_matrix(const WeightFormat& format, const PackedShape& shape) {
  const PackedBytes bytes = format.bytes(shape);
  CpuMatrix made{cpu_->allocate(bytes.codes, {"cpu", MemoryCategory::kWeights}),
                 cpu_->allocate(bytes.scales, {"cpu", MemoryCategory::kWeightScales}),
                 {}};
  made.matrix = {&format, shape, made.codes.data(), made.scales.data()};
  return made;
}

RemoteDevice::CpuMatrix RemoteDevice::cpu_matrix(const PackedMatrix& matrix) {
  const WeightFormat& format = *matrix.format;
  CpuMatrix whole = new_cpu_matrix(format, matrix.shape);
  for (int64_t first = 0; first < matrix.shape.rows; first += kPackRows) {
    const CpuMatrix piece = new_cpu_matrix(format, piece_of(matrix.shape, first));
    const PackedBytes place = place_of(format, matrix.shape, first);
    const std::byte* codes = behind(matrix.codes) + place.codes + kPieceHeader;
    std::reverse_copy(codes, codes + piece.codes.bytes(), piece.codes.data());
    if (piece.scales) {
      const std::byte* scales = behind(matrix.scales) + place.scales;
      std::reverse_copy(scales, scales + piece.scales.bytes(), piece.scales.data());
    }
    format.pack_rows(whole.matrix, first, rows_of(piece.matrix));
  }
  return whole;
}

const PackedMatrix* RemoteDevice::behind(const PackedMatrix* matrix) {
  if (matrix == nullptr) return nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (auto known = matrices_.find(matrix->codes); known != matrices_.end()) return &known->second.matrix;
  }
  CpuMatrix made = cpu_matrix(*matrix);
  const std::lock_guard lock(mutex_);
  return &matrices_.emplace(matrix->codes, std::move(made)).first->second.matrix;
}

int64_t RemoteDevice::begin(const StepBatch& batch) {
  wait();
  cpu_->begin(batch);
  tokens_ = static_cast<int64_t>(batch.tokens.size());
  const int64_t rounded = (tokens_ + kRowUnit - 1) / kRowUnit * kRowUnit;
  rows_ = std::max(tokens_, std::min(rounded, batch.max_rows));
  return rows_;
}

void RemoteDevice::enqueue(Operation operation) {
  if (recording_ != nullptr) recording_->push_back(operation);
  waiting_.push_back(std::move(operation));
}

void RemoteDevice::wait() {
  for (const Operation& operation : std::exchange(waiting_, {})) {
    if (error_.empty()) operation();
  }
}

void RemoteDevice::replayable(uint64_t key, const std::function<void()>& work) {
  const auto [place, is_new] = recorded_.try_emplace(key);
  if (is_new) {
    recording_ = &place->second;
    work();
    recording_ = nullptr;
    return;
  }
  ++replays_;
  for (const Operation& operation : place->second) waiting_.push_back(operation);
}

void RemoteDevice::embed(const EmbedCall& call) {
  enqueue([this, weights = behind(call.weights), y = behind(call.y), scale = call.scale] {
    HALFTONE_CHECK(y.rows == rows_);
    cpu_->embed({weights, y, scale});
    for (int64_t row = tokens_; row < y.rows; ++row) std::fill_n(y.f32(row), y.cols, kNothing);
  });
}

void RemoteDevice::linear(std::span<const LinearCall> calls) {
  std::vector<LinearCall> own(calls.begin(), calls.end());
  for (LinearCall& call : own) {
    call.weights = behind(call.weights);
    call.x = behind(call.x);
    call.y = behind(call.y);
    call.rms_weight = behind(call.rms_weight);
    call.epilogue.bias = behind(call.epilogue.bias);
    call.epilogue.gate.matrix = behind(call.epilogue.gate.matrix);
    call.epilogue.gate.addend = behind(call.epilogue.gate.addend);
  }
  enqueue([this, own] { cpu_->linear(own); });
}

void RemoteDevice::norm(const NormCall& call) {
  NormCall own = call;
  own.x = behind(call.x);
  own.weight = behind(call.weight);
  own.y = behind(call.y);
  enqueue([this, own] { cpu_->norm(own); });
}

Routing RemoteDevice::behind(Routing routing) {
  routing.experts = reinterpret_cast<int32_t*>(behind(static_cast<const void*>(routing.experts)));
  routing.weights = behind(routing.weights);
  return routing;
}

void RemoteDevice::route(const RouteCall& call) {
  RouteCall own = call;
  own.scores = behind(call.scores);
  own.to = behind(call.to);
  enqueue([this, own] {
    HALFTONE_CHECK(own.scores.rows == rows_);
    cpu_->route(own);
  });
}

void RemoteDevice::experts(const ExpertsCall& call) {
  ExpertsCall own = call;
  for (Tensor* tensor : {&own.x, &own.inputs, &own.gated, &own.results, &own.y}) *tensor = behind(*tensor);
  own.rms_weight = behind(call.rms_weight);
  own.routing = behind(call.routing);
  std::vector<Expert> experts;
  for (const Expert& expert : call.experts) {
    experts.push_back({behind(expert.gate), behind(expert.up), behind(expert.down)});
  }
  enqueue([this, own, experts] {
    HALFTONE_CHECK(own.x.rows == rows_);
    ExpertsCall here = own;
    here.experts = experts;
    cpu_->experts(here);
  });
}

int64_t RemoteDevice::take_experts_read() {
  wait();
  return cpu_->take_experts_read();
}

void RemoteDevice::rope_store(const RopeStoreCall& call) {
  RopeStoreCall own = call;
  own.q = behind(call.q);
  own.k = behind(call.k);
  own.v = behind(call.v);
  own.q_norm = behind(call.q_norm);
  own.k_norm = behind(call.k_norm);
  own.cosines = behind(call.cosines);
  own.sines = behind(call.sines);
  own.kv = behind(call.kv);
  enqueue([this, own] {
    HALFTONE_CHECK(own.q.rows == rows_ && own.k.rows == rows_ && own.v.rows == rows_);
    cpu_->rope_store(own);
  });
}

void RemoteDevice::attention(const AttentionCall& call) {
  AttentionCall own = call;
  own.q = behind(call.q);
  own.y = behind(call.y);
  own.kv = behind(call.kv);
  own.sinks = behind(call.sinks);
  enqueue([this, own] {
    HALFTONE_CHECK(own.q.rows == rows_ && own.y.rows == rows_);
    cpu_->attention(own);
  });
}

void RemoteDevice::gather_rows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) {
  enqueue([this, from = behind(from), to = behind(to), own = std::vector<int64_t>(rows.begin(), rows.end())] {
    cpu_->gather_rows(from, own, to);
  });
}

void RemoteDevice::reduce_logits(std::span<LogitReduction> rows) {
  wait();
  if (!error_.empty()) return;
  for (LogitReduction& row : rows) {
    const float* logits = std::exchange(row.logits, behind(row.logits));
    cpu_->reduce_logits({&row, 1});
    row.logits = logits;
  }
}

uint32_t RemoteDevice::rank(const float* logits, int64_t vocabulary, int32_t id) {
  wait();
  return error_.empty() ? cpu_->rank(behind(logits), vocabulary, id) : 0;
}

int64_t RemoteDevice::take_clamped() {
  wait();
  return cpu_->take_clamped();
}

}  // namespace halftone::test
