#include <cstdio>

#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr size_t kBlocksMost = 4;  // in one report

std::string state(const Thread& thread) {
  if (thread.exited) return "have exited";
  return std::string("wait in ") + thread.waits_in + " at " + thread.site.file + ":" + std::to_string(thread.site.line);
}

// "\n  threads 0-30, 64: wait in a warp shuffle at kernel.cu:12" for each state that threads of the block are in.
std::string states(const Block& block) {
  struct Group {
    std::string state, threads;
  };
  std::vector<Group> groups;
  const size_t count = block.threads.size();
  for (size_t first = 0; first < count;) {
    const std::string now = state(*block.threads[first]);
    size_t end = first + 1;
    while (end < count && state(*block.threads[end]) == now) ++end;
    auto group = groups.begin();
    while (group != groups.end() && group->state != now) ++group;
    if (group == groups.end()) group = groups.insert(group, {now, ""});
    group->threads += (group->threads.empty() ? "" : ", ") + std::to_string(first);
    if (end - first > 1) group->threads += "-" + std::to_string(end - 1);
    first = end;
  }
  std::string text;
  for (const Group& group : groups) text += "\n  threads " + group.threads + ": " + group.state;
  return text;
}

}  // namespace

std::string describe_deadlock(std::span<const std::unique_ptr<Block>> blocks) {
  std::string text = "deadlock: no thread can run";
  size_t described = 0;
  for (const auto& block : blocks) {
    if (block->live_threads == 0 || described++ >= kBlocksMost) continue;
    const Uint3 index = block->threads.front()->coordinates.block;
    char heading[80];
    std::snprintf(heading, sizeof heading, "\nblock (%u, %u, %u):", index.x, index.y, index.z);
    text += heading + states(*block);
  }
  return text;
}

}  // namespace halftone::cuda_host::machine
