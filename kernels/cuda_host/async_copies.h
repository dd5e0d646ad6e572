// The asynchronous copies of one thread that have not happened yet, in the groups that it committed.
#pragma once

#include <cstddef>
#include <vector>

namespace halftone::cuda_host::machine {

struct AsyncCopy {
  void* to = nullptr;
  const void* from = nullptr;  // null: zeros
  size_t bytes = 0;

  void happen() const;
};

class AsyncCopies {
 public:
  void add(const AsyncCopy& copy) { copies_.push_back(copy); }
  void commit() { group_ends_.push_back(copies_.size()); }
  // Lets all groups but the latest groups_left happen.
  void wait(size_t groups_left);
  void clear();

 private:
  std::vector<AsyncCopy> copies_;
  std::vector<size_t> group_ends_;  // into copies_
};

}  // namespace halftone::cuda_host::machine
