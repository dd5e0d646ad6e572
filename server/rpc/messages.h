// Messages as gRPC moves them: bytes in slices. Any thread; no state.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include "absl/status/statusor.h"
#include "server/api/wire_check.h"

namespace halftone {

// The message that these bytes are. The bytes are given back, whatever they were.
template <class Message>
absl::StatusOr<Message> take_message(grpc::ByteBuffer* bytes) {
  grpc::Slice joined;
  if (bytes->Length() > 0 && !bytes->TrySingleSlice(&joined).ok() && !bytes->DumpToSingleSlice(&joined).ok()) {
    return absl::InternalError("gRPC cannot read the bytes of the message");
  }
  bytes->Clear();
  Message message;
  absl::Status status =
      parse_message(absl::string_view(reinterpret_cast<const char*>(joined.begin()), joined.size()), &message);
  if (!status.ok()) return status;
  return message;
}

// `message` is smaller than 2 GiB, as all are that our limits let out.
template <class Message>
void put_message(const Message& message, grpc::ByteBuffer* out) {
  grpc::Slice slice(message.ByteSizeLong());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  grpc::ByteBuffer bytes(&slice, 1);
  out->Swap(&bytes);
}

}  // namespace halftone
