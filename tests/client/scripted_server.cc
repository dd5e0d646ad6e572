#include "tests/client/scripted_server.h"

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "halftone/v1/inference.grpc.pb.h"
#include "kernels/contract/check.h"
#include "server/rpc/grpc_status.h"

namespace halftone {
namespace {

class Service final : public v1::Inference::Service {
 public:
  grpc::Status GenerateStream(grpc::ServerContext* context, const v1::GenerateRequest* request,
                              grpc::ServerWriter<v1::GenerateResponse>* writer) override {
    const ScriptedAnswer answer = next(*request);
    for (const v1::GenerateResponse& message : answer.messages) writer->Write(message);
    while (answer.waits_for_cancel && !context->IsCancelled())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (!answer.usage.empty()) context->AddTrailingMetadata("usage-bin", answer.usage);
    return to_grpc(answer.status);
  }
  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*, v1::ServerInfo* info) override {
    info->set_model("scripted");
    info->set_default_mode("w4a16");
    info->add_modes()->set_id("w4a16");
    info->add_modes()->set_id("bf16");
    info->set_vocabulary_tokens(1000);
    return grpc::Status::OK;
  }

  void answer(std::vector<ScriptedAnswer> answers) {
    std::lock_guard lock(mutex_);
    answers_ = std::move(answers);
    next_ = 0;
  }
  std::vector<v1::GenerateRequest> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  ScriptedAnswer next(const v1::GenerateRequest& request) {
    std::lock_guard lock(mutex_);
    requests_.push_back(request);
    HALFTONE_CHECK(!answers_.empty());
    return answers_[std::min(next_++, answers_.size() - 1)];
  }

  mutable std::mutex mutex_;
  std::vector<ScriptedAnswer> answers_;
  size_t next_ = 0;
  std::vector<v1::GenerateRequest> requests_;
};

}  // namespace

struct ScriptedServer::Parts {
  Service service;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
};

ScriptedServer::ScriptedServer() : parts_(std::make_unique<Parts>()) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &parts_->port);
  builder.RegisterService(&parts_->service);
  parts_->server = builder.BuildAndStart();
  HALFTONE_CHECK(parts_->server != nullptr);
}

ScriptedServer::~ScriptedServer() { parts_->server->Shutdown(std::chrono::system_clock::now()); }

std::string ScriptedServer::address() const { return absl::StrCat("127.0.0.1:", parts_->port); }
void ScriptedServer::answer(std::vector<ScriptedAnswer> answers) { parts_->service.answer(std::move(answers)); }
std::vector<v1::GenerateRequest> ScriptedServer::requests() const { return parts_->service.requests(); }

v1::GenerateResponse message_of(const std::string& text, bool finish) {
  v1::GenerateResponse message;
  message.set_text(text);
  message.set_mode("w4a16");
  for (char c : text) {
    v1::TokenInfo* token = message.add_tokens();
    token->set_id(static_cast<unsigned char>(c));
    token->set_piece(std::string(1, c));
  }
  if (finish) message.mutable_finish()->set_reason(v1::Finish::STOP);
  if (finish) message.mutable_receipt()->set_generated_tokens(static_cast<uint32_t>(text.size()));
  return message;
}

}  // namespace halftone
