#include "system/cgroups.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "system/files.h"

namespace halftone {
namespace {

// One line of /proc/self/cgroup: "4:memory:/a/b", or "0::/a/b" of v2.
struct Membership {
  bool v2 = false;
  std::vector<std::string_view> controllers;
  std::string path;
};

// One line of /proc/self/mountinfo: the group `root` of a hierarchy is seen as the folder `point`.
struct Mount {
  bool v2 = false;
  std::vector<std::string_view> controllers;
  std::string root, point;
};

// A folder of files that limit one group.
struct Group {
  bool v2 = false;
  std::string folder;
};

bool has(const std::vector<std::string_view>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::vector<Membership> read_memberships(std::string_view text) {
  std::vector<Membership> found;
  for (std::string_view line : split(text, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);  // a path may have colons of its own
    if (second == line.npos || line.substr(second + 1, 1) != "/") continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    found.push_back({controllers.empty(), split(controllers, ','), std::string(line.substr(second + 1))});
  }
  // Without the file: what is mounted is taken for our own group.
  if (found.empty()) found = {{true, {}, "/"}, {false, {"memory", "cpu"}, "/"}};
  return found;
}

// "\040" and its like, as mountinfo writes blanks.
std::string unescaped(std::string_view text) {
  auto octal = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '7'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<Mount> read_mounts(std::string_view text) {
  std::vector<Mount> found;
  for (std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (dash - words.begin() < 6 || words.end() - dash < 4) continue;
    const bool v2 = dash[1] == "cgroup2";
    if (!v2 && dash[1] != "cgroup") continue;
    found.push_back({v2, split(dash[3], ','), unescaped(words[3]), unescaped(words[4])});
  }
  if (found.empty()) {  // where systems have them
    found = {{true, {}, "/", "/sys/fs/cgroup"},
             {false, {"memory"}, "/", "/sys/fs/cgroup/memory"},
             {false, {"cpu"}, "/", "/sys/fs/cgroup/cpu"}};
  }
  return found;
}

// The way from the mount's root down to the path: "" or "/a/b". Nothing: the mount does not show that group.
std::optional<std::string> below(const std::string& path, const std::string& root) {
  std::string rest;
  if (root == "/") {
    rest = path == "/" ? "" : path;
  } else if (path.compare(0, root.size(), root) == 0 && (path.size() == root.size() || path[root.size()] == '/')) {
    rest = path.substr(root.size());
  } else {
    return std::nullopt;
  }
  if (has(split(rest, '/'), "..")) return std::nullopt;  // outside of our namespace
  while (!rest.empty() && rest.back() == '/') rest.pop_back();
  return rest;
}

void add_with_those_above(const Mount& mount, const std::string& rest, std::vector<Group>* groups) {
  for (std::string at = rest;; at.resize(at.rfind('/'))) {
    groups->push_back({mount.v2, mount.point + at});
    if (at.empty()) return;
  }
}

// Our own group and those above it that can limit what the controller controls.
std::vector<Group> groups_of(const std::string& root, std::string_view controller) {
  const std::string memberships_text = read_text(root + "/proc/self/cgroup");
  const std::string mounts_text = read_text(root + "/proc/self/mountinfo");
  const std::vector<Mount> mounts = read_mounts(mounts_text);
  std::vector<Group> groups;
  for (const Membership& membership : read_memberships(memberships_text)) {
    if (!membership.v2 && !has(membership.controllers, controller)) continue;
    std::vector<const Mount*> fitting;
    bool shown = false;
    for (const Mount& mount : mounts) {
      if (mount.v2 != membership.v2 || (!mount.v2 && !has(mount.controllers, controller))) continue;
      fitting.push_back(&mount);
      const std::optional<std::string> rest = below(membership.path, mount.root);
      if (rest) add_with_those_above(mount, *rest, &groups);
      shown = shown || rest.has_value();
    }
    // A container's mount may begin at a group whose name our namespace does not know: it is ours or above ours.
    for (const Mount* mount : fitting) {
      if (!shown) groups.push_back({mount->v2, mount->point});
    }
  }
  for (Group& group : groups) group.folder = root + group.folder + "/";
  return groups;
}

std::optional<uint64_t> number_in(const std::string& path) {
  const std::string text = read_text(path);
  return whole_number(trimmed(text));
}

GroupMemory memory_of(const Group& group) {
  const std::string stat = read_text(group.folder + "memory.stat");
  auto field = [&](const char* name) { return named_number(stat, name); };
  GroupMemory memory;
  auto limit = [&](std::optional<uint64_t> bytes) {
    memory.limit = std::min(memory.limit, bytes.value_or(kNoMemoryLimit));
  };
  uint64_t used = 0, cached = 0;
  if (group.v2) {
    limit(number_in(group.folder + "memory.max"));
    limit(number_in(group.folder + "memory.high"));
    used = number_in(group.folder + "memory.current").value_or(0);
    cached = saturated_add(field("active_file").value_or(0), field("inactive_file").value_or(0));
  } else {
    limit(number_in(group.folder + "memory.limit_in_bytes"));
    limit(field("hierarchical_memory_limit"));  // of groups above that cannot be seen, too
    used = number_in(group.folder + "memory.usage_in_bytes").value_or(0);
    auto total = [&](const char* name) {
      return field((std::string("total_") + name).c_str()).value_or(field(name).value_or(0));
    };
    cached = saturated_add(total("active_file"), total("inactive_file"));
  }
  if (memory.limit == kNoMemoryLimit) return memory;
  used -= std::min(used, cached);
  memory.free = memory.limit - std::min(memory.limit, used);
  return memory;
}

// Quota and period in microseconds, as a group has them.
std::optional<int64_t> processors_of(const Group& group) {
  std::optional<uint64_t> quota, period;
  if (group.v2) {
    const std::string text = read_text(group.folder + "cpu.max");
    const std::vector<std::string_view> words = split(trimmed(text), ' ');
    if (words.empty() || words.size() > 2) return std::nullopt;
    quota = whole_number(words[0]);
    period = words.size() == 2 ? whole_number(words[1]) : 100'000;
  } else {
    quota = number_in(group.folder + "cpu.cfs_quota_us");  // -1: none
    period = number_in(group.folder + "cpu.cfs_period_us");
  }
  if (!quota || !period || *quota == 0 || *period == 0) return std::nullopt;
  const uint64_t whole = *quota / *period + (*quota % *period > 0 ? 1 : 0);
  return static_cast<int64_t>(std::min<uint64_t>(whole, std::numeric_limits<int64_t>::max()));
}

}  // namespace

GroupMemory group_memory(const std::string& root) {
  GroupMemory all;
  for (const Group& group : groups_of(root, "memory")) {
    const GroupMemory memory = memory_of(group);
    all.limit = std::min(all.limit, memory.limit);
    all.free = std::min(all.free, memory.free);
  }
  return all;
}

int64_t group_processors(const std::string& root) {
  int64_t least = 0;
  for (const Group& group : groups_of(root, "cpu")) {
    const std::optional<int64_t> processors = processors_of(group);
    if (processors && (least == 0 || *processors < least)) least = *processors;
  }
  return least;
}

}  // namespace halftone
