// What only raw calls can send: any bytes for a request, methods that do not exist, reflection.
#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

// One call with these bytes for its request (and only one message read back).
class RawCall {
 public:
  explicit RawCall(const LiveServer& server)
      : stub_(grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials())) {}

  grpc::Status run(const std::string& method, const std::string& request, std::string* response = nullptr) {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    auto call = stub_.PrepareCall(&context, method, &queue);
    call->StartCall(nullptr);
    next(queue);
    grpc::Slice slice(request);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    next(queue);
    grpc::ByteBuffer reply;
    for (call->Read(&reply, nullptr); next(queue); call->Read(&reply, nullptr)) {
      if (response != nullptr) response->append(bytes_of(reply));
    }
    grpc::Status status;
    call->Finish(&status, nullptr);
    next(queue);
    return status;
  }

 private:
  static bool next(grpc::CompletionQueue& queue) {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  }
  static std::string bytes_of(const grpc::ByteBuffer& buffer) {
    std::vector<grpc::Slice> slices;
    EXPECT_TRUE(buffer.Dump(&slices).ok());
    std::string out;
    for (const grpc::Slice& slice : slices) out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    return out;
  }

  grpc::GenericStub stub_;
};

constexpr const char* kMethods[] = {"Generate",   "GenerateStream", "Score",    "Tokenize",
                                    "Detokenize", "GetServerInfo",  "GetMemory"};

std::string path(const std::string& method) { return "/halftone.v1.Inference/" + method; }

std::string random_bytes(std::mt19937& random) {
  std::string out(random() % 60, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// A legal request with some bytes changed, dropped or doubled gets deeper than noise.
std::string mutated(std::string bytes, std::mt19937& random) {
  for (int i = 0, changes = 1 + static_cast<int>(random() % 4); i < changes && !bytes.empty(); ++i) {
    const size_t at = random() % bytes.size();
    switch (random() % 3) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes.erase(at, 1 + random() % 3);
        break;
      default:
        bytes.insert(at, bytes.substr(at, random() % 8));
        break;
    }
  }
  return bytes;
}

TEST(RawCall, RandomBytesNeverBringTheServerDown) {
  LiveServer server;
  RawCall call(server);
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) (void)call.run(path(kMethods[i % 7]), random_bytes(random));
  EXPECT_TRUE(server.client().generate(text_request("still there")).ok());
  EXPECT_TRUE(server.eventually([&] { return server.idle(); }));
}

TEST(RawCall, DamagedRequestsNeverBringTheServerDown) {
  LiveServer server;
  RawCall call(server);
  std::mt19937 random(8);
  const auto whole = from_text<v1::GenerateRequest>(
      "chat { messages { role: 'user' content: 'hi' } } mode: 'w4a16' sampling { temperature: 0.5 top_p: 0.5 seed: 3 "
      "logit_bias { id: 4 bias: 2 } } stopping { max_new_tokens: 4 stop: 'x' stop_token_ids: 5 max_seconds: 2 } "
      "output { logprobs: 2 receipt: true } scheduling { priority: 1 cache_salt: 's' }");
  const std::string bytes = whole.SerializeAsString();
  int ok = 0, refused = 0;
  for (int i = 0; i < 400; ++i) {
    const grpc::Status status = call.run(path(kMethods[i % 3]), mutated(bytes, random));
    (status.ok() ? ok : refused) += 1;
  }
  EXPECT_GT(refused, 100);
  EXPECT_TRUE(server.client().generate(text_request("still there")).ok());
  EXPECT_TRUE(server.eventually([&] { return server.idle(); }));
}

TEST(RawCall, AnUnknownFieldIsRefusedInEveryCall) {
  LiveServer server;
  RawCall call(server);
  const std::string field_4000("\x80\xfa\x01\x01", 4);
  for (const char* method : kMethods) {
    const grpc::Status status = call.run(path(method), field_4000);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), testing::HasSubstr("has field 4000, which this server does not know"));
  }
}

TEST(RawCall, AMethodThatDoesNotExistIsUnimplemented) {
  LiveServer server;
  EXPECT_EQ(RawCall(server).run(path("Shutdown"), "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

// Descriptors of the reflection protocol come with gRPC's reflection library, its header does not.
std::string reflection_request(const std::string& field, const std::string& value) {
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      "grpc.reflection.v1alpha.ServerReflectionRequest");
  google::protobuf::DynamicMessageFactory factory;
  std::unique_ptr<google::protobuf::Message> message(factory.GetPrototype(descriptor)->New());
  message->GetReflection()->SetString(message.get(), descriptor->FindFieldByName(field), value);
  return message->SerializeAsString();
}

constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

TEST(Reflection, ListsTheServicesAndDescribesThem) {
  LiveServer server;
  RawCall call(server);
  std::string services, file, health;
  EXPECT_TRUE(call.run(kReflection, reflection_request("list_services", ""), &services).ok());
  EXPECT_THAT(services, testing::HasSubstr("halftone.v1.Inference"));
  EXPECT_THAT(services, testing::HasSubstr("grpc.health.v1.Health"));
  EXPECT_TRUE(call.run(kReflection, reflection_request("file_containing_symbol", "halftone.v1.Inference"), &file).ok());
  EXPECT_THAT(file, testing::HasSubstr("GenerateStream"));
  EXPECT_TRUE(
      call.run(kReflection, reflection_request("file_containing_symbol", "grpc.health.v1.Health"), &health).ok());
  EXPECT_THAT(health, testing::HasSubstr("HealthCheckRequest"));
}

TEST(Reflection, CanBeTurnedOff) {
  LiveOptions options;
  options.reflection = false;
  LiveServer server(options);
  EXPECT_EQ(RawCall(server).run(kReflection, reflection_request("list_services", "")).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace halftone
