// A made-up tree of /proc and /sys in a temporary folder, gone with the object. Tests only.
#pragma once

#include <string>

namespace halftone {

class MadeUpSystem {
 public:
  MadeUpSystem();
  ~MadeUpSystem();
  MadeUpSystem(const MadeUpSystem&) = delete;
  MadeUpSystem& operator=(const MadeUpSystem&) = delete;

  const std::string& root() const { return root_; }
  // path: "/proc/meminfo"; its folders are made.
  void write(const std::string& path, const std::string& text);

  // A machine of 64 GiB, 60 of them free.
  void large_machine();
  // A cgroup v2 mount at /sys/fs/cgroup whose root is `mount_root`, this process in group `path`.
  void v2(const std::string& path, const std::string& mount_root = "/");
  // v1 mounts of memory and of cpu,cpuacct, this process in group `path` of both.
  void v1(const std::string& path, const std::string& mount_root = "/");

 private:
  std::string root_;
};

}  // namespace halftone
