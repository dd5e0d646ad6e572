// What the command line of halftone-server can say, with its defaults. Parsed once, in one place; each part of the
// server is given only its own numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace halftone {

struct ServerConfig {
  std::string model;            // FILE.gguf or a Hugging Face directory
  std::string modes = "w4a16";  // the first is the default of requests
  std::string listen = "127.0.0.1";
  int port = 50051;
  int metrics_port = 9464;
  uint32_t max_connections = 1024;  // of gRPC; fewer where there are not enough descriptors
  std::string device = "cpu";       // or "cuda:N"
  int threads = 0;                  // 0: one for each processor that the process may use
  int64_t max_context = 0;          // 0: the model's own
  uint64_t kv_bytes = 0;            // 0: a quarter of what is free, at most 2 GiB
  std::string pack_cache;           // a directory; "": weights are packed at each start
  uint32_t queue_requests = 1024;
  uint64_t queue_tokens = 1 << 20;
  double stall_seconds = 60;
  double drain_seconds = 30;
  double keepalive_seconds = 30;
  bool prefix_cache = true;
  bool reflection = true;
  std::string cpu_isa;        // "": the best that runs here
  std::string quality_cards;  // a directory of them; "": none
  std::string system_root;    // tests: where /proc and /sys are looked for
};

// Nothing: go on. Otherwise the process ends with this status; what was to be said (help, version, a mistake) was
// printed.
std::optional<int> parse_command_line(int argc, char** argv, ServerConfig* config);

}  // namespace halftone
