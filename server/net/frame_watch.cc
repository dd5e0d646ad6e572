#include "server/net/frame_watch.h"

#include <algorithm>
#include <utility>

namespace halftone {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum Type : uint8_t { kData, kHeaderStart, kPriority, kReset, kSettings, kPushPromise, kPing, kGoAway, kWindow, kMore };
constexpr uint8_t kEndStream = 1, kEndHeaders = 4;
constexpr uint32_t kWork = 20;               // of a frame that makes gRPC answer or tear down, beside a plain one
constexpr uint32_t kOpening = 2;             // of a frame that opens a stream, the same
constexpr uint32_t kHeaderBytesOfCost = 64;  // decoding this many costs as much as one more frame

}  // namespace

uint32_t FrameWatch::Reader::stream() const {
  return (uint32_t{header[5]} << 24 | uint32_t{header[6]} << 16 | uint32_t{header[7]} << 8 | header[8]) & 0x7fffffff;
}

bool FrameWatch::Reader::take(std::string_view& bytes) {
  if (left > 0) {
    const size_t count = std::min<size_t>(left, bytes.size());
    left -= static_cast<uint32_t>(count);
    bytes.remove_prefix(count);
    return false;
  }
  const size_t count = std::min(header.size() - have, bytes.size());
  std::copy_n(bytes.begin(), count, header.begin() + static_cast<std::ptrdiff_t>(have));
  have += count;
  bytes.remove_prefix(count);
  if (have < header.size()) return false;
  have = 0;
  left = length();
  return true;
}

const char* FrameWatch::greet(std::string_view& bytes) {
  const size_t count = std::min(kPreface.size() - greeting_, bytes.size());
  if (bytes.substr(0, count) != kPreface.substr(greeting_, count)) return "it does not speak HTTP/2";
  greeting_ += count;
  bytes.remove_prefix(count);
  return nullptr;
}

const char* FrameWatch::from_client(std::string_view bytes, Time now) {
  while (!bytes.empty()) {
    if (greeting_ < kPreface.size()) {
      if (const char* broken = greet(bytes)) return broken;
      continue;
    }
    const size_t before = bytes.size();
    const bool in_block = in_block_;
    const bool whole_header = client_.take(bytes);
    if (in_block) held_ += before - bytes.size();
    if (whole_header) {
      if (const char* broken = client_frame(now)) return broken;
    }
    if (in_block_ && block_ends_ && client_.left == 0) {
      in_block_ = false;
      held_ = 0;
    }
  }
  return nullptr;
}

const char* FrameWatch::client_frame(Time now) {
  const uint8_t type = client_.type();
  ++cost_;
  if (!greeted_ && type != kSettings) return "its first frame is not SETTINGS";
  greeted_ = true;
  if (type != kData && client_.length() > limits_.frame_bytes) return "a frame is too long";
  if (in_block_ != (type == kMore)) return "a header block is interrupted, or continued where there is none";
  switch (type) {
    case kData:
      return data_frame();
    case kHeaderStart:
    case kMore:
      return header_frame(now);
    case kPushPromise:
      return "a client cannot push";
    case kReset:
      cost_ += kWork;
      end_stream(client_.stream());
      return nullptr;
    case kWindow:
      return nullptr;
    default:
      cost_ += kWork;
      return nullptr;
  }
}

const char* FrameWatch::header_frame(Time now) {
  const uint32_t id = client_.stream();
  cost_ += client_.length() / kHeaderBytesOfCost;
  if (client_.type() == kMore) {
    if (id != block_stream_) return "a header block goes on in another stream";
    block_bytes_ += client_.length();
    if (++block_continuations_ > limits_.continuations) return "a header block has too many CONTINUATION frames";
  } else {
    if (id % 2 == 0) return "a stream that a client cannot open";
    block_stream_ = id;
    block_bytes_ = client_.length();
    block_continuations_ = 0;
    if (id > last_stream_) {
      last_stream_ = id;
      cost_ += kOpening;
      streams_.emplace(id, Stream{now});
      if (streams_.size() > limits_.streams) return "too many streams are open";
    }
    const auto stream = streams_.find(id);
    if (client_.flag(kEndStream) && stream != streams_.end()) stream->second.request_whole = true;
  }
  if (block_bytes_ > limits_.header_block_bytes) return "a header block is too long";
  in_block_ = true;
  block_ends_ = client_.flag(kEndHeaders);
  return nullptr;
}

const char* FrameWatch::data_frame() {
  if (client_.length() == 0 && !client_.flag(kEndStream)) cost_ += kWork;
  const auto stream = streams_.find(client_.stream());
  if (stream == streams_.end()) return nullptr;
  stream->second.bytes += client_.length();
  request_bytes_ += client_.length();
  if (client_.flag(kEndStream)) stream->second.request_whole = true;
  return stream->second.bytes > limits_.request_bytes ? "a request is too long" : nullptr;
}

void FrameWatch::end_stream(uint32_t id) {
  const auto stream = streams_.find(id);
  if (stream == streams_.end()) return;
  request_bytes_ -= stream->second.bytes;
  streams_.erase(stream);
}

void FrameWatch::from_server(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!server_.take(bytes)) continue;
    const uint8_t type = server_.type();
    const bool ends = (type == kData || type == kHeaderStart) && server_.flag(kEndStream);
    if (ends || type == kReset) end_stream(server_.stream());
  }
}

bool FrameWatch::has_unfinished_request(Time time) const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [time](const auto& entry) { return !entry.second.request_whole && entry.second.opened < time; });
}

uint32_t FrameWatch::take_cost() { return std::exchange(cost_, 0); }

}  // namespace halftone
