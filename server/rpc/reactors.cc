#include "server/rpc/reactors.h"

#include <chrono>
#include <utility>

#include "server/api/accept.h"
#include "server/api/answer_parts.h"
#include "server/api/answer_size.h"
#include "server/api/convert.h"
#include "server/api/stream_reader.h"
#include "server/api/text_calls.h"
#include "server/api/validate.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/messages.h"

namespace halftone {
namespace {

void set_identity(const Accepted& accepted, v1::GenerateResponse* out) {
  out->set_mode(accepted.mode);
  out->set_weights_digest(accepted.weights_digest);
  out->set_request_id(accepted.request_id);
  out->set_seed(accepted.seed);
}

struct Generating {
  using Wire = v1::GenerateRequest;
  using Response = v1::GenerateResponse;
  static absl::StatusOr<Request> make(const Wire& wire, const RequestRules& rules, const CallTimes& times) {
    return make_generate_request(wire, rules, times);
  }
  static bool wants_receipt(const Wire& wire) { return wire.output().receipt(); }
  static void begin(const Accepted& accepted, Response* out) { set_identity(accepted, out); }
  static void collect(const OutputDelta& delta, const AnswerStyle& style, Response* out) {
    add_delta(delta, style, out);
  }
};

struct Scoring {
  using Wire = v1::ScoreRequest;
  using Response = v1::ScoreResponse;
  static absl::StatusOr<Request> make(const Wire& wire, const RequestRules& rules, const CallTimes& times) {
    return make_score_request(wire, rules, times);
  }
  static bool wants_receipt(const Wire&) { return false; }
  static void begin(const Accepted& accepted, Response* out) {
    out->set_mode(accepted.mode);
    out->set_weights_digest(accepted.weights_digest);
  }
  static void collect(const OutputDelta& delta, const AnswerStyle& style, Response* out) {
    add_scores(delta.tokens, style.tokenizer, out);
  }
};

// What is the same for all: the place at the desk, the client's wish to end, and the clock.
template <class Base>
class DeskReactor : public Base, protected StreamReader {
 public:
  DeskReactor(const Incoming& incoming, TextDesk::Place place)
      : call_(incoming.call),
        context_(incoming.context),
        place_(std::move(place)),
        message_(incoming.message),
        times_{context_.clock(), deadline_of(*call_, context_.clock()), [this] { return over(); }} {}

  void OnCancel() override { cancel(); }
  void OnDone() override { delete this; }
  virtual void work() = 0;  // on a thread of the desk

 protected:
  // Why nobody waits for the answer any more.
  absl::Status over() const {
    if (cancelled()) return absl::CancelledError("the client cancelled the request");
    if (times_.deadline && context_.clock() >= *times_.deadline) {
      return absl::DeadlineExceededError("the deadline has passed");
    }
    return absl::OkStatus();
  }
  void refuse(const absl::Status& status) { this->Finish(to_grpc(status)); }
  // A call that fails says in its trailing metadata what it had used until then.
  void finish(const absl::Status& status) {
    if (!status.ok() && receipt_) {
      call_->AddTrailingMetadata("usage-bin", to_wire(*receipt_, shows_work_).SerializeAsString());
    }
    this->Finish(to_grpc(status));
  }
  void watch() {
    place_.watch([call = call_] { call->TryCancel(); });
  }

  grpc::CallbackServerContext* call_;
  const ServiceContext& context_;
  TextDesk::Place place_;
  grpc::ByteBuffer* message_;
  const CallTimes times_;
  std::optional<Receipt> receipt_;
  bool shows_work_ = false;
};

// The one answer of a unary call, charged until it is read.
class UnaryReactor : public DeskReactor<grpc::ServerUnaryReactor> {
 public:
  UnaryReactor(const Incoming& incoming, TextDesk::Place place, grpc::ByteBuffer* response)
      : DeskReactor(incoming, std::move(place)), response_(response) {}

 protected:
  template <class Response>
  void send(const Response& response) {
    put_message(response, response_);
    if (absl::Status status = place_.hold(response_->Length()); !status.ok()) return refuse(status);
    watch();
    Finish(grpc::Status::OK);
  }

 private:
  grpc::ByteBuffer* response_;
};

// Tokenize and Detokenize: done when the desk has done its work.
template <class Request, class Response>
class TextReactor final : public UnaryReactor {
 public:
  using Answer = absl::Status (*)(const Request&, const RequestRules&, const CallOver&, Response*);
  TextReactor(const Incoming& incoming, TextDesk::Place place, grpc::ByteBuffer* response, Answer answer)
      : UnaryReactor(incoming, std::move(place), response), answer_(answer) {}

  void work() override {
    Response response;
    const absl::Status status = make(&response);
    status.ok() ? send(response) : refuse(count_refused(status, context_.metrics));
  }

 private:
  absl::Status make(Response* response) {
    if (absl::Status status = over(); !status.ok()) return status;
    const auto request = take_message<Request>(message_);
    return request.ok() ? answer_(*request, context_.rules, times_.over, response) : request.status();
  }
  Next on_delta(OutputDelta) override { return Next::kNow; }
  void on_end(absl::Status) override {}

  Answer answer_;
};

// A request for the engine, with a receipt or without. `whole`: the answer is one message, and must fit in it.
template <class Method>
absl::StatusOr<Accepted> submit(grpc::ByteBuffer* message, const ServiceContext& context, const CallTimes& times,
                                bool whole, TextDesk::Place& place, bool* receipt) {
  const auto make = [&]() -> absl::StatusOr<Request> {
    if (absl::Status status = times.over(); !status.ok()) return status;
    const auto wire = take_message<typename Method::Wire>(message);
    if (!wire.ok()) return wire.status();
    *receipt = Method::wants_receipt(*wire);
    absl::StatusOr<Request> request = Method::make(*wire, context.rules, times);
    if (!request.ok()) return request;
    if (whole) {
      if (absl::Status status = check_answer_fits(*request, context.rules); !status.ok()) return status;
    }
    const uint64_t bytes = whole ? most_answer_bytes(*request, context.rules) : prompt_record_bytes(*request);
    if (absl::Status status = place.hand_on(bytes); !status.ok()) return status;
    return request;
  };
  return accept_request(make(), context);
}

// The engine's answer collected in one message.
template <class Method>
class CollectingReactor final : public UnaryReactor {
 public:
  using UnaryReactor::UnaryReactor;

  void work() override {
    auto accepted = submit<Method>(message_, context_, times_, true, place_, &style_.receipt);
    if (!accepted.ok()) return refuse(accepted.status());
    shows_work_ = style_.shows_work = accepted->shows_work;
    Method::begin(*accepted, &answer_);
    follow(std::move(accepted->stream));
  }

 private:
  Next on_delta(OutputDelta delta) override {
    Method::collect(delta, style_, &answer_);
    if (delta.receipt) receipt_ = delta.receipt;
    return Next::kNow;
  }
  void on_end(absl::Status status) override { status.ok() ? send(answer_) : finish(status); }

  AnswerStyle style_{context_.rules.tokenizer};
  typename Method::Response answer_;
};

// Either a write is in flight, or the stream holds a callback, or one thread runs between the two: so OnDone, which
// comes after Finish, never finds anybody inside.
class GenerateStreamReactor final : public DeskReactor<StreamReactor> {
 public:
  using DeskReactor::DeskReactor;

  void work() override {
    AnswerStyle style{context_.rules.tokenizer};
    auto accepted = submit<Generating>(message_, context_, times_, false, place_, &style.receipt);
    if (!accepted.ok()) return refuse(accepted.status());
    shows_work_ = style.shows_work = accepted->shows_work;
    parts_.emplace(style);
    set_identity(*accepted, &response_);
    follow(std::move(accepted->stream));
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      cancel();
      return Finish(grpc::Status::CANCELLED);
    }
    parts_->empty() ? read_on() : write();
  }

 private:
  Next on_delta(OutputDelta delta) override {
    if (delta.receipt) receipt_ = delta.receipt;
    // Where an answer breaks off and nothing is left to send, the status comes at once: with no message before it, a
    // client knows that it may try again.
    if (delta.prompt_tokens.empty() && delta.tokens.empty() && delta.text.empty() && !delta.finish) return Next::kNow;
    parts_->add(std::move(delta));
    write();
    return Next::kLater;
  }
  void write() {
    parts_->next(&response_);
    put_message(response_, &bytes_);
    response_.Clear();
    if (receipt_) watch();  // the engine has ended, and does not look after a stalled reader any more
    StartWrite(&bytes_);
  }
  void on_end(absl::Status status) override { finish(status); }

  std::optional<AnswerParts> parts_;
  v1::GenerateResponse response_;  // before the first message it holds what that one says
  grpc::ByteBuffer bytes_;         // of the message in flight
};

class FailedStreamReactor final : public StreamReactor {
 public:
  explicit FailedStreamReactor(const absl::Status& status) { Finish(to_grpc(status)); }
  void OnDone() override { delete this; }
};

grpc::ServerUnaryReactor* failed(grpc::CallbackServerContext* call, const absl::Status& status,
                                 grpc::ServerUnaryReactor*) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(to_grpc(status));
  return reactor;
}
StreamReactor* failed(grpc::CallbackServerContext*, const absl::Status& status, StreamReactor*) {
  return new FailedStreamReactor(status);
}

// A reactor of this kind at the desk, or one that refuses where the desk is full.
template <class Reactor, class Base, class... More>
Base* at_desk(const Incoming& incoming, More... more) {
  const uint64_t bytes = incoming.message->Length();
  TextDesk& desk = incoming.desk;
  auto place = desk.enter(bytes);
  if (!place.ok()) {
    return failed(incoming.call, count_refused(place.status(), incoming.context.metrics), static_cast<Base*>(nullptr));
  }
  auto* reactor = new Reactor(incoming, *std::move(place), more...);
  // gRPC holds back what the desk's thread finishes until it has the reactor, so it still lives then.
  desk.run(bytes, [reactor] { reactor->work(); });
  return reactor;
}

// Calls that the engine's door does not see.
template <class Request, class Response>
grpc::ServerUnaryReactor* text_reactor(const Incoming& incoming, grpc::ByteBuffer* response,
                                       typename TextReactor<Request, Response>::Answer answer) {
  if (incoming.context.engine.draining()) {
    absl::Status status = absl::UnavailableError("the server is draining: it takes no new requests");
    set_reason(status, "DRAINING");
    set_retry_after(status, 1);
    return failed(incoming.call, count_refused(status, incoming.context.metrics),
                  static_cast<grpc::ServerUnaryReactor*>(nullptr));
  }
  return at_desk<TextReactor<Request, Response>, grpc::ServerUnaryReactor>(incoming, response, answer);
}

}  // namespace

grpc::ServerUnaryReactor* generate_reactor(const Incoming& incoming, grpc::ByteBuffer* response) {
  return at_desk<CollectingReactor<Generating>, grpc::ServerUnaryReactor>(incoming, response);
}

StreamReactor* generate_stream_reactor(const Incoming& incoming) {
  return at_desk<GenerateStreamReactor, StreamReactor>(incoming);
}

grpc::ServerUnaryReactor* score_reactor(const Incoming& incoming, grpc::ByteBuffer* response) {
  return at_desk<CollectingReactor<Scoring>, grpc::ServerUnaryReactor>(incoming, response);
}

grpc::ServerUnaryReactor* tokenize_reactor(const Incoming& incoming, grpc::ByteBuffer* response) {
  return text_reactor<v1::TokenizeRequest, v1::TokenizeResponse>(incoming, response, tokenize);
}

grpc::ServerUnaryReactor* detokenize_reactor(const Incoming& incoming, grpc::ByteBuffer* response) {
  return text_reactor<v1::DetokenizeRequest, v1::DetokenizeResponse>(incoming, response, detokenize);
}

}  // namespace halftone
