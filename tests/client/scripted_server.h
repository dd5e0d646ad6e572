// A server that gives the answers it was told to give, one for each call, and remembers what it was asked. No gRPC
// header is needed here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "halftone/v1/inference.pb.h"

namespace halftone {

struct ScriptedAnswer {
  std::vector<v1::GenerateResponse> messages;
  absl::Status status;            // payloads go on the wire
  std::string usage;              // serialized; "" for none
  bool waits_for_cancel = false;  // after the messages
};

class ScriptedServer {
 public:
  ScriptedServer();
  ~ScriptedServer();

  std::string address() const;
  // Of GenerateStream. When the last one is used up, it is given again and again.
  void answer(std::vector<ScriptedAnswer> answers);
  std::vector<v1::GenerateRequest> requests() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// A message of this text with one token for each byte; `finish` makes it a last one.
v1::GenerateResponse message_of(const std::string& text, bool finish = false);

}  // namespace halftone
