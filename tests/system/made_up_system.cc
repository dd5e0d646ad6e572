#include "tests/system/made_up_system.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace halftone {

MadeUpSystem::MadeUpSystem() {
  std::string folder = (std::filesystem::temp_directory_path() / "system-XXXXXX").string();
  if (mkdtemp(folder.data()) != nullptr) root_ = folder;
}

MadeUpSystem::~MadeUpSystem() {
  std::error_code ignored;
  if (!root_.empty()) std::filesystem::remove_all(root_, ignored);
}

void MadeUpSystem::write(const std::string& path, const std::string& text) {
  const std::filesystem::path file(root_ + path);
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

void MadeUpSystem::large_machine() {
  write("/proc/meminfo",
        "MemTotal:       67108864 kB\nMemFree:         1000000 kB\nMemAvailable:   62914560 kB\nSwapFree: 1024 kB\n");
}

void MadeUpSystem::v2(const std::string& path, const std::string& mount_root) {
  write("/proc/self/cgroup", "0::" + path + "\n");
  write("/proc/self/mountinfo",
        "22 1 0:20 / /proc rw,nosuid - proc proc rw\n"
        "30 22 0:26 " +
            mount_root + " /sys/fs/cgroup rw,nosuid,nodev shared:4 master:9 - cgroup2 cgroup2 rw,nsdelegate\n");
}

void MadeUpSystem::v1(const std::string& path, const std::string& mount_root) {
  write("/proc/self/cgroup", "5:memory:" + path + "\n4:cpu,cpuacct:" + path + "\n1:name=systemd:/else\n0::/else\n");
  write("/proc/self/mountinfo",
        "31 23 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
        "33 31 0:29 " +
            mount_root +
            " /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
            "35 31 0:31 " +
            mount_root +
            " /sys/fs/cgroup/memory ro master:15 - cgroup cgroup rw,memory\n"
            "36 31 0:32 / /sys/fs/cgroup/unified ro - cgroup2 cgroup2 rw\n");
}

}  // namespace halftone
