#include "server/rpc/reactors.h"

#include <utility>

#include "server/rpc/convert.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/stream_reader.h"

namespace halftone {
namespace {

// A call that fails says in its trailing metadata what it had used until then.
void add_usage(grpc::CallbackServerContext* call, const absl::Status& status, const std::optional<Receipt>& receipt) {
  if (!status.ok() && receipt) call->AddTrailingMetadata("usage-bin", to_wire(*receipt).SerializeAsString());
}

void set_identity(const Accepted& accepted, v1::GenerateResponse* out) {
  out->set_mode(accepted.mode);
  out->set_weights_digest(accepted.weights_digest);
  out->set_request_id(accepted.request_id);
  out->set_seed(accepted.seed);
}

// Either a write is in flight, or the stream holds a callback, or one thread runs between the two: so OnDone, which
// comes after Finish, never finds anybody inside.
class GenerateStreamReactor final : public grpc::ServerWriteReactor<v1::GenerateResponse>, private StreamReader {
 public:
  GenerateStreamReactor(grpc::CallbackServerContext* call, Accepted accepted, AnswerStyle style)
      : StreamReader(std::move(accepted.stream)), call_(call), style_(style) {
    set_identity(accepted, &response_);
    read_on();
  }

  void OnWriteDone(bool ok) override {
    response_.Clear();
    if (ok) return read_on();
    cancel();
    Finish(grpc::Status::CANCELLED);
  }
  void OnCancel() override { cancel(); }
  void OnDone() override { delete this; }

 private:
  Next on_delta(OutputDelta delta) override {
    if (delta.receipt) receipt_ = delta.receipt;
    // Where an answer breaks off and nothing is left to send, the status comes at once: with no message before it, a
    // client knows that it may try again.
    if (delta.prompt_tokens.empty() && delta.tokens.empty() && delta.text.empty() && !delta.finish) return Next::kNow;
    add_delta(delta, style_.receipt, style_.tokenizer, &response_);
    StartWrite(&response_);
    return Next::kLater;
  }
  void on_end(absl::Status status) override {
    add_usage(call_, status, receipt_);
    Finish(to_grpc(status));
  }

  grpc::CallbackServerContext* call_;
  AnswerStyle style_;
  v1::GenerateResponse response_;  // the one in flight; before the first it holds what the first one says
  std::optional<Receipt> receipt_;
};

class FailedStreamReactor final : public grpc::ServerWriteReactor<v1::GenerateResponse> {
 public:
  explicit FailedStreamReactor(const absl::Status& status) { Finish(to_grpc(status)); }
  void OnDone() override { delete this; }
};

// A whole answer in one message. `Collect` adds a delta to it.
template <class Collect>
class CollectingReactor final : public grpc::ServerUnaryReactor, private StreamReader {
 public:
  CollectingReactor(grpc::CallbackServerContext* call, std::shared_ptr<OutputStream> stream, Collect collect)
      : StreamReader(std::move(stream)), call_(call), collect_(std::move(collect)) {
    read_on();
  }

  void OnCancel() override { cancel(); }
  void OnDone() override { delete this; }

 private:
  Next on_delta(OutputDelta delta) override {
    collect_(delta);
    if (delta.receipt) receipt_ = delta.receipt;
    return Next::kNow;
  }
  void on_end(absl::Status status) override {
    add_usage(call_, status, receipt_);
    Finish(to_grpc(status));
  }

  grpc::CallbackServerContext* call_;
  Collect collect_;
  std::optional<Receipt> receipt_;
};

template <class Collect>
grpc::ServerUnaryReactor* collect(grpc::CallbackServerContext* call, Accepted accepted, Collect collect) {
  return new CollectingReactor<Collect>(call, std::move(accepted.stream), std::move(collect));
}

}  // namespace

grpc::ServerWriteReactor<v1::GenerateResponse>* generate_stream_reactor(grpc::CallbackServerContext* call,
                                                                        Accepted accepted, AnswerStyle style) {
  return new GenerateStreamReactor(call, std::move(accepted), style);
}

grpc::ServerWriteReactor<v1::GenerateResponse>* failed_stream_reactor(const absl::Status& status) {
  return new FailedStreamReactor(status);
}

grpc::ServerUnaryReactor* generate_reactor(grpc::CallbackServerContext* call, Accepted accepted, AnswerStyle style,
                                           v1::GenerateResponse* response) {
  set_identity(accepted, response);
  return collect(call, std::move(accepted), [style, response](const OutputDelta& delta) {
    add_delta(delta, style.receipt, style.tokenizer, response);
  });
}

grpc::ServerUnaryReactor* score_reactor(grpc::CallbackServerContext* call, Accepted accepted,
                                        const Tokenizer& tokenizer, v1::ScoreResponse* response) {
  response->set_mode(accepted.mode);
  response->set_weights_digest(accepted.weights_digest);
  return collect(call, std::move(accepted),
                 [&tokenizer, response](const OutputDelta& delta) { add_scores(delta.tokens, tokenizer, response); });
}

}  // namespace halftone
