// halftone.v1.Inference over gRPC's callback API, on raw messages: what they are is found out at the text desk, so that
// gRPC's threads, which call these methods, neither work on texts nor wait.
#pragma once

#include "halftone/v1/inference.grpc.pb.h"
#include "server/api/service_context.h"
#include "server/api/text_desk.h"
#include "server/rpc/reactors.h"

namespace halftone {

template <class Base>
using RawGenerate = v1::Inference::WithRawCallbackMethod_Generate<Base>;
template <class Base>
using RawGenerateStream = v1::Inference::WithRawCallbackMethod_GenerateStream<Base>;
template <class Base>
using RawScore = v1::Inference::WithRawCallbackMethod_Score<Base>;
template <class Base>
using RawTokenize = v1::Inference::WithRawCallbackMethod_Tokenize<Base>;
template <class Base>
using RawDetokenize = v1::Inference::WithRawCallbackMethod_Detokenize<Base>;
template <class Base>
using RawGetServerInfo = v1::Inference::WithRawCallbackMethod_GetServerInfo<Base>;
template <class Base>
using RawGetMemory = v1::Inference::WithRawCallbackMethod_GetMemory<Base>;
using RawInference = RawGenerate<
    RawGenerateStream<RawScore<RawTokenize<RawDetokenize<RawGetServerInfo<RawGetMemory<v1::Inference::Service>>>>>>>;

class InferenceService final : public RawInference {
 public:
  explicit InferenceService(ServiceContext context);

  using Call = grpc::CallbackServerContext;
  using Bytes = grpc::ByteBuffer;
  grpc::ServerUnaryReactor* Generate(Call* call, const Bytes* request, Bytes* response) override;
  StreamReactor* GenerateStream(Call* call, const Bytes* request) override;
  grpc::ServerUnaryReactor* Score(Call* call, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* Tokenize(Call* call, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* Detokenize(Call* call, const Bytes* request, Bytes* response) override;
  // These two have next to no message, and are answered at once, however full the desk is.
  grpc::ServerUnaryReactor* GetServerInfo(Call* call, const Bytes* request, Bytes* response) override;
  grpc::ServerUnaryReactor* GetMemory(Call* call, const Bytes* request, Bytes* response) override;

  TextDesk& text_desk() { return desk_; }

 private:
  Incoming incoming(Call* call, const Bytes* request);

  ServiceContext context_;
  TextDesk desk_;  // last: its threads use the rest
};

}  // namespace halftone
