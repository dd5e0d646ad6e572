#include "server/engine/engine.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"

namespace halftone {
namespace {

// What a round gives to each mode. Small, so that modes whose steps are short alternate step by step.
constexpr Nanoseconds kQuantum = 1'000'000;
// How long the thread sleeps where something lives but nothing can run; then it looks at flags and deadlines again.
constexpr Nanoseconds kNap = 1'000'000;

// A status of its own for each thread that gets one: ThreadSanitizer cannot see how the distribution's abseil counts
// references to a shared one.
absl::Status own_copy(const absl::Status& status) { return absl::Status(status.code(), status.message()); }

std::vector<int64_t> page_tokens(const Executor& executor) {
  std::vector<int64_t> tokens;
  for (const ModeFacts& mode : executor.modes()) tokens.push_back(mode.page_tokens);
  return tokens;
}

// Decodes always run, with a token and a row each, and one more token must fit where a prompt waits.
int64_t most_running(const EngineConfig& config, const Executor& executor) {
  const int64_t step = std::min(executor.max_step_tokens(), executor.max_step_rows());
  HALFTONE_CHECK(step > 1);
  return std::min(config.max_running, step - 1);
}

SchedulerConfig scheduler_config(const EngineConfig& config, const Executor& executor) {
  SchedulerConfig scheduler;
  scheduler.pages = executor.pages();
  scheduler.page_tokens = page_tokens(executor);
  scheduler.max_running = most_running(config, executor);
  scheduler.prefix_cache = config.prefix_cache;
  std::random_device random;  // nobody outside can aim at collisions
  scheduler.hash_key = (uint64_t{random()} << 32) | random();
  return scheduler;
}

std::vector<ModeCapacity> capacities(const EngineConfig& config, const Executor& executor) {
  int64_t context = executor.context();
  if (config.limits.max_context_tokens > 0) context = std::min<int64_t>(context, config.limits.max_context_tokens);
  std::vector<ModeCapacity> capacities;
  for (const ModeFacts& mode : executor.modes()) {
    capacities.push_back({mode.id, context, static_cast<int64_t>(mode.kv_capacity_tokens)});
  }
  return capacities;
}

}  // namespace

Engine::Life::Life(Admission::Entry entry, const Tokenizer& tokenizer, Account opened)
    : request(std::move(entry.request)),
      stream(std::move(entry.stream)),
      generation(request, tokenizer, entry.max_generated),
      account(opened) {}

Engine::Engine(const EngineConfig& config, Executor& executor, const Tokenizer& tokenizer, Metrics& metrics,
               std::function<Nanoseconds()> clock)
    : config_(config),
      executor_(executor),
      tokenizer_(tokenizer),
      metrics_(metrics),
      clock_(std::move(clock)),
      modes_(executor.modes().size()),
      scheduler_(scheduler_config(config_, executor)),
      turn_(modes_),
      accounting_(executor, metrics),
      has_work_(modes_),
      admission_(config_.limits, capacities(config_, executor)) {}

Engine::~Engine() {
  admission_.stop();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    run();  // never started: ends what came in
  }
}

void Engine::start() {
  HALFTONE_CHECK(!thread_.joinable());
  publish();
  thread_ = std::thread([this] { run(); });
}

std::shared_ptr<OutputStream> Engine::submit(Request request, Refusal* refusal) {
  const ModeIndex mode = request.mode;
  const char* reason = nullptr;
  std::shared_ptr<OutputStream> stream = admission_.submit(std::move(request), clock_(), refusal, &reason);
  if (stream == nullptr) metrics_.request_rejected(mode, reason);
  return stream;
}

void Engine::on_fatal(std::function<void(absl::Status)> callback) {
  MutexLock lock(fatal_mutex_);
  on_fatal_ = std::move(callback);
}

void Engine::run() {
  while (failure_.ok() && !admission_.stopping()) {
    absorb();
    sweep();
    if (!advance()) admission_.wait(lives_.empty() ? std::nullopt : std::optional(kNap));
  }
  const absl::Status stopped = absl::UnavailableError("the server is stopping");
  for (Admission::Entry& entry : admission_.close(own_copy(stopped))) add(std::move(entry));
  end_all(failure_.ok() ? stopped : failure_);
  if (failure_.ok()) return;
  std::function<void(absl::Status)> callback;
  {
    MutexLock lock(fatal_mutex_);
    callback = on_fatal_;
  }
  if (callback) callback(own_copy(failure_));
}

void Engine::absorb() {
  std::vector<Admission::Entry> entries = admission_.take();
  if (entries.empty()) return;
  for (Admission::Entry& entry : entries) add(std::move(entry));
  publish();
}

void Engine::add(Admission::Entry entry) {
  const Account account = accounting_.open(entry.request, entry.arrival);
  SequenceSpec spec;
  spec.mode = entry.request.mode;
  spec.prompt = entry.request.prompt;
  spec.max_tokens = static_cast<int64_t>(spec.prompt.size()) + entry.max_generated;
  spec.priority = entry.request.priority;
  spec.cache_salt = entry.request.cache_salt;
  auto life = std::make_unique<Life>(std::move(entry), tokenizer_, account);
  spec.use_prefix_cache = !life->generation.reads_prompt();
  const std::optional<SequenceId> id = scheduler_.add(std::move(spec), account.arrival);
  HALFTONE_CHECK(id.has_value());  // the door refuses what never fits
  life->sequence = *id;
  lives_.emplace(*id, std::move(life));
}

void Engine::sweep() {
  const Nanoseconds now = clock_();
  const std::optional<Nanoseconds> drain_deadline = admission_.drain_deadline();
  if (drain_deadline && now >= *drain_deadline) {
    end_all(absl::UnavailableError("the server is stopping and waits no longer"));
    return;
  }
  std::vector<End> ends;
  for (auto& [id, life] : lives_) {
    std::optional<absl::Status> status = must_end(*life, now);
    if (!status) continue;
    if (status->ok()) life->generation.end_early(FinishReason::kTimeLimit);
    scheduler_.cancel(id);
    ends.push_back({life.get(), std::move(*status)});
  }
  if (!ends.empty()) end(std::move(ends), now);
}

std::optional<absl::Status> Engine::must_end(Life& life, Nanoseconds now) const {
  const Request& request = life.request;
  const Nanoseconds age = now - life.account.arrival;
  if (life.stream->cancelled()) return absl::CancelledError("the client cancelled the request");
  if (request.deadline && now >= *request.deadline) return absl::DeadlineExceededError("the deadline has passed");
  if (request.max_queue_time && !life.account.scheduled && age >= *request.max_queue_time) {
    return absl::DeadlineExceededError("the request waited longer than its max_queue_seconds");
  }
  if (request.max_time && request.kind == Request::Kind::kGenerate && age >= *request.max_time) return absl::OkStatus();
  if (life.account.scheduled && life.stream->has_pending() &&
      now - life.stream->pending_since() >= config_.stall_limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the client took nothing for ", config_.stall_limit * 1e-9, " seconds"));
  }
  return std::nullopt;
}

void Engine::end_all(const absl::Status& status) {
  std::vector<End> ends;
  for (auto& [id, life] : lives_) {
    scheduler_.cancel(id);
    ends.push_back({life.get(), own_copy(status)});
  }
  end(std::move(ends), clock_());
}

bool Engine::advance() {
  const Nanoseconds now = clock_();
  int64_t working = 0;
  for (size_t mode = 0; mode < modes_; ++mode) {
    has_work_[mode] = scheduler_.has_work(static_cast<ModeIndex>(mode));
    working += has_work_[mode];
  }
  const Nanoseconds budget = std::min(config_.step_budget, config_.modes_budget / std::max<int64_t>(1, working));
  while (const std::optional<ModeIndex> mode = turn_.pick(has_work_, kQuantum)) {
    const StepPlan step = plan(*mode, budget, now);
    if (!step.empty()) {
      execute(step);
      return true;
    }
    has_work_[static_cast<size_t>(*mode)] = false;  // it wants pages that others hold
  }
  return false;
}

int64_t Engine::token_budget(ModeIndex mode, Nanoseconds budget, int64_t* min_prompt) const {
  int64_t decodes = 0;
  bool reads_prompt = false;
  for (const auto& [id, life] : lives_) {
    if (life->request.mode != mode) continue;
    decodes += life->account.decodes();
    reads_prompt |= life->generation.reads_prompt() && life->generation.generated() == 0;
  }
  // A prompt that is read wants a row for each of its tokens.
  const int64_t most =
      reads_prompt ? std::min(executor_.max_step_tokens(), executor_.max_step_rows()) : executor_.max_step_tokens();
  *min_prompt = std::clamp<int64_t>(most - decodes, 1, std::max<int64_t>(1, config_.min_prompt_tokens));
  return std::min(most, executor_.tokens_for(mode, budget));
}

StepPlan Engine::plan(ModeIndex mode, Nanoseconds budget, Nanoseconds now) {
  int64_t min_prompt = 0;
  const int64_t tokens = token_budget(mode, budget, &min_prompt);
  StepPlan step = scheduler_.plan(mode, tokens, min_prompt);
  for (SequenceId id : step.preempted) accounting_.preempted(life(id).account, now);
  for (const PlannedSequence& chunk : step.sequences) {
    Account& account = life(chunk.id).account;
    const int64_t cached = account.scheduled ? 0 : scheduler_.state(chunk.id).cached_tokens;
    accounting_.planned(account, chunk, cached, now);
  }
  publish();  // the door and the account of memory need not wait for the step to end
  return step;
}

void Engine::execute(const StepPlan& plan) {
  std::vector<const Generation*> generations;
  for (const PlannedSequence& chunk : plan.sequences) generations.push_back(&life(chunk.id).generation);
  const StepInput& input = builder_.build(plan, generations);
  const Nanoseconds started = clock_();
  absl::Status submitted = executor_.submit(input);
  if (!submitted.ok()) return fail(submitted, plan);
  absl::StatusOr<StepOutput> output = executor_.wait();
  if (!output.ok()) return fail(output.status(), plan);
  settle(plan, *output, started);
}

void Engine::settle(const StepPlan& plan, const StepOutput& output, Nanoseconds started) {
  HALFTONE_CHECK(output.rows.size() == builder_.rows());
  const Nanoseconds now = clock_();
  StepCost cost;
  cost.mode = plan.mode;
  cost.tokens = plan.tokens;
  cost.device_time = output.device_time;
  cost.wall_time = now - started;
  cost.flops = output.flops;
  cost.floor_seconds = output.floor_seconds;
  cost.bytes_moved = output.bytes_moved;
  turn_.charge(plan.mode, output.device_time);
  accounting_.step(plan, cost);
  count_interference(cost);

  std::vector<StepResult> results(plan.sequences.size());
  std::vector<End> ends;
  std::vector<Life*> going_on;
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const PlannedSequence& chunk = plan.sequences[i];
    Life& planned = life(chunk.id);
    accounting_.computed(planned.account, chunk, cost);
    std::optional<absl::Status> over = take_results(chunk, builder_.results(output, i), &results[i], now);
    if (over) {
      ends.push_back({&planned, std::move(*over)});
    } else if (planned.generation.has_delta()) {
      going_on.push_back(&planned);
    }
  }
  scheduler_.accept(plan, results);
  end(std::move(ends), now);
  for (Life* living : going_on) {
    living->stream->note_time(now);
    living->stream->push(living->generation.take_delta());
    delivery_.notify(living->stream);
  }
}

std::optional<absl::Status> Engine::take_results(const PlannedSequence& chunk, std::span<const RowResult> rows,
                                                 StepResult* result, Nanoseconds now) {
  Life& planned = life(chunk.id);
  const Generation::Outcome outcome = planned.generation.take(chunk, rows);
  result->id = chunk.id;
  if (outcome.broken) {
    accounting_.nonfinite_row(planned.request.mode);
    scheduler_.cancel(chunk.id);  // before accept(): what it wrote is shared with nobody
    return absl::InternalError("the model's logits for this request are not finite");
  }
  if (outcome.token) {
    accounting_.token(planned.account, now);
    result->has_token = true;
    result->token = *outcome.token;
  }
  result->ended = outcome.done;
  return outcome.done ? std::optional(absl::OkStatus()) : std::nullopt;
}

void Engine::count_interference(const StepCost& cost) {
  if (modes_ == 1) return;
  std::vector<bool> waited(modes_, false);
  for (auto& [id, life] : lives_) {
    if (life->request.mode == cost.mode || !life->account.decodes()) continue;
    accounting_.waited(life->account, cost);
    waited[static_cast<size_t>(life->request.mode)] = true;
  }
  for (size_t mode = 0; mode < modes_; ++mode) {
    if (waited[mode]) accounting_.interfered(static_cast<ModeIndex>(mode), cost);
  }
}

// The device is lost: the step in flight gave nothing, and run() ends everything that lives.
void Engine::fail(const absl::Status& error, const StepPlan& plan) {
  failure_ = absl::InternalError(absl::StrCat("the device failed: ", error.message()));
  std::vector<StepResult> results;
  for (const PlannedSequence& chunk : plan.sequences) {
    scheduler_.cancel(chunk.id);
    StepResult nothing;
    nothing.id = chunk.id;
    results.push_back(nothing);
  }
  scheduler_.accept(plan, results);
}

void Engine::end(std::vector<End> ends, Nanoseconds now) {
  publish();  // whoever reads the end of a stream finds the numbers already true
  for (End& end : ends) {
    Life& life = *end.life;
    const std::optional<Finish>& finish = life.generation.finish();
    accounting_.close(life.account, end.status.code(), end.status.ok() && finish ? &*finish : nullptr, now);
    OutputDelta last = life.generation.take_delta();
    if (!end.status.ok()) last.finish.reset();
    last.receipt = life.account.receipt;
    life.stream->note_time(now);
    life.stream->push(std::move(last));
    admission_.forget(life.request.id);  // first: who saw the end may use the id again
    life.stream->finish(std::move(end.status));
    delivery_.notify(life.stream);
    lives_.erase(life.sequence);
    admission_.ended();
  }
}

void Engine::publish() { admission_.publish(accounting_.publish(scheduler_)); }

}  // namespace halftone
