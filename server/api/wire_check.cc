#include "server/api/wire_check.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/api/status_details.h"

namespace halftone {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

constexpr int kMaxDepth = 32;          // our messages need 3; the rest is for unknown groups
constexpr uint32_t kMaxParts = 65536;  // strings, messages and unknown fields

enum WireType : uint32_t { kVarint, kFixed64, kBytes, kGroup, kGroupEnd, kFixed32 };

// The first byte that is part of no character, as RFC 3629 has it: no surrogates, nothing twice as long as needed.
std::optional<size_t> broken_utf8(absl::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  for (size_t i = 0; i < text.size();) {
    uint64_t eight = 0;
    if (text.size() - i >= 8 && (std::memcpy(&eight, bytes + i, 8), (eight & 0x8080808080808080) == 0)) {
      i += 8;
      continue;
    }
    const unsigned char first = bytes[i];
    if (first < 0x80) {
      ++i;
      continue;
    }
    const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() - i < size) return i;
    const unsigned char least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned char most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (bytes[i + 1] < least || bytes[i + 1] > most) return i;
    for (size_t k = 2; k < size; ++k) {
      if ((bytes[i + k] & 0xC0) != 0x80) return i;
    }
    i += size;
  }
  return std::nullopt;
}

// Walks the bytes without taking memory for what they mean; what is wrong first ends the walk.
class Walk {
 public:
  explicit Walk(absl::string_view bytes) : bytes_(bytes) {}

  // One message from `at` to `end`; `type` is null inside unknown groups. `group`: ends with that group's end tag.
  bool message(const Descriptor* type, size_t end, const std::string& path, int depth, uint32_t group = 0) {
    if (depth > kMaxDepth) return wrong(path, absl::StrCat("is nested deeper than ", kMaxDepth, " times"));
    std::map<uint32_t, int> seen;  // repeated fields: elements so far
    while (at_ < end) {
      uint64_t tag = 0;
      if (!varint(end, &tag)) return wrong(path, "has a field's number that does not end");
      const uint64_t number = tag >> 3;
      if (number == 0 || tag > UINT32_MAX) return wrong(path, "has a field whose number is out of range");
      if ((tag & 7) == kGroupEnd) {
        if (group == number) return true;
        return wrong(path, absl::StrCat("ends a group ", number, " that did not begin"));
      }
      const FieldDescriptor* field = type == nullptr ? nullptr : type->FindFieldByNumber(static_cast<int>(number));
      uint64_t value_of_number = 0;
      if (field != nullptr && (tag & 7) == kVarint && varint(end, &value_of_number)) continue;
      const std::string base = path.empty() ? "" : path + ".";
      std::string name = base + (field != nullptr ? field->name() : absl::StrCat("field ", number));
      if (field != nullptr && field->is_repeated() && field->type() != FieldDescriptor::TYPE_UINT32) {
        absl::StrAppend(&name, "[", seen[static_cast<uint32_t>(number)]++, "]");
      }
      if (!value(field, static_cast<uint32_t>(number), static_cast<uint32_t>(tag & 7), end, name, depth)) return false;
    }
    return group == 0 || wrong(path, absl::StrCat("has a group ", group, " that does not end"));
  }

  const std::string& what() const { return what_; }

 private:
  bool value(const FieldDescriptor* field, uint32_t number, uint32_t wire, size_t end, const std::string& name,
             int depth) {
    if (field == nullptr && !count(name)) return false;
    uint64_t size = 0;
    switch (wire) {
      case kVarint:
        return varint(end, &size) || wrong(name, "is a number that does not end");
      case kFixed64:
        return skip(8, end) || ends_early(name, end);
      case kFixed32:
        return skip(4, end) || ends_early(name, end);
      case kGroup:
        return message(nullptr, end, name, depth + 1, number);
      case kBytes:
        if (!varint(end, &size)) return wrong(name, "has a length that does not end");
        if (size > end - at_) return ends_early(name, end);
        return delimited(field, at_ + static_cast<size_t>(size), name, depth);
      default:
        return wrong(name, absl::StrCat("has wire type ", wire, ", which does not exist"));
    }
  }

  bool delimited(const FieldDescriptor* field, size_t end, const std::string& name, int depth) {
    if (field != nullptr && field->is_packable()) {
      for (uint64_t number = 0; at_ < end;) {
        if (!varint(end, &number)) return wrong(name, "has a number that does not end");
      }
      return true;
    }
    if (!count(name)) return false;
    if (field != nullptr && field->message_type() != nullptr) {
      return message(field->message_type(), end, name, depth + 1);
    }
    if (field != nullptr && field->type() == FieldDescriptor::TYPE_STRING) {
      if (const auto broken = broken_utf8(bytes_.substr(at_, end - at_))) {
        return wrong(name, absl::StrCat("is not UTF-8 (byte ", *broken, " of it)"));
      }
    }
    at_ = end;
    return true;
  }

  bool count(const std::string& name) {
    if (++parts_ <= kMaxParts) return true;
    return wrong(name,
                 absl::StrCat("is one of more than ", kMaxParts, " strings and messages, which no request needs"));
  }

  bool varint(size_t end, uint64_t* value) {
    *value = 0;
    for (int shift = 0; shift < 70 && at_ < end; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      if (shift < 64) *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool skip(size_t bytes, size_t end) {
    if (end - at_ < bytes) return false;
    at_ += bytes;
    return true;
  }

  bool ends_early(const std::string& name, size_t end) {
    return wrong(name,
                 absl::StrCat("begins at byte ", at_, " and reaches beyond byte ", end, ", where its place ends"));
  }

  bool wrong(const std::string& name, const std::string& what) {
    what_ = absl::StrCat(name.empty() ? "it" : name, " ", what);
    return false;
  }

  const absl::string_view bytes_;
  size_t at_ = 0;
  uint32_t parts_ = 0;
  std::string what_;
};

}  // namespace

absl::Status parse_message(absl::string_view bytes, google::protobuf::Message* out) {
  Walk walk(bytes);
  const Descriptor* type = out->GetDescriptor();
  const bool well_formed = walk.message(type, bytes.size(), "", 0);
  if (well_formed && out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  absl::Status status = absl::InvalidArgumentError(
      absl::StrCat("the message is not a ", type->name(), ": ", well_formed ? "protobuf cannot read it" : walk.what()));
  set_reason(status, "MALFORMED_MESSAGE");
  return status;
}

}  // namespace halftone
