// A client of halftone.v1.Inference. Calls block the calling thread; callbacks run on it, in the order of the answer.
// Any number of threads may call at once. No gRPC header is needed here.
//
// Errors are absl::Status with the server's code and message. Details that the server sent are payloads; the functions
// of status.h read them. A call that finds the server UNAVAILABLE is tried again, with growing pauses, as long as
// nothing of the answer has come; afterwards never, since text would stand there twice.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "halftone/v1/inference.pb.h"

namespace halftone {

// Ends calls from another thread, whether they run, wait to be tried again or have not begun: they end CANCELLED. For
// any number of calls; cancel() is final.
class Cancellation {
 public:
  Cancellation();
  ~Cancellation();
  void cancel();
  bool cancelled() const;

 private:
  friend class Client;
  struct State;
  std::unique_ptr<State> state_;
};

struct ClientConfig {
  std::string server = "localhost:50051";
  int attempts = 4;  // in all
  double first_pause_seconds =
      0.2;  // then twice that, and so on; the server's RetryInfo, where there is one, if longer
  double longest_pause_seconds = 5;
};

struct CallOptions {
  std::optional<double> deadline_seconds = std::nullopt;  // of all attempts together
  Cancellation* cancellation = nullptr;                   // outlives the call
};

class Client {
 public:
  explicit Client(ClientConfig config = {});
  ~Client();

  // GenerateStream. The first message says who answers; the last has `finish`.
  using OnMessage = std::function<void(const v1::GenerateResponse&)>;
  absl::Status generate(const v1::GenerateRequest& request, const OnMessage& on_message,
                        const CallOptions& options = {});
  // Generate: the whole answer in one message.
  absl::StatusOr<v1::GenerateResponse> generate(const v1::GenerateRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::ScoreResponse> score(const v1::ScoreRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::TokenizeResponse> tokenize(const v1::TokenizeRequest& request, const CallOptions& options = {});
  absl::StatusOr<v1::DetokenizeResponse> detokenize(const v1::DetokenizeRequest& request,
                                                    const CallOptions& options = {});
  absl::StatusOr<v1::ServerInfo> info(const CallOptions& options = {});
  absl::StatusOr<v1::MemoryReport> memory(const CallOptions& options = {});
  // The standard health check: "SERVING", "NOT_SERVING", ... `service`: "", "halftone.v1.Inference" or a mode's id;
  // NOT_FOUND for another.
  absl::StatusOr<std::string> health(const std::string& service, const CallOptions& options = {});

 private:
  struct Parts;
  class Call;
  template <class Response, class Method, class Request>
  absl::StatusOr<Response> unary(Method method, const Request& request, const CallOptions& options);

  std::unique_ptr<Parts> parts_;
};

}  // namespace halftone
