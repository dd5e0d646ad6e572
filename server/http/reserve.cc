#include "server/http/reserve.h"

#include <fcntl.h>

#include <utility>

namespace halftone {

bool Reserve::give() {
  if (kept_.empty()) return false;
  kept_.pop_back();
  return true;
}

void Reserve::refill() {
  while (kept_.size() < size_) {
    Socket one(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (one.fd() < 0) return;
    kept_.push_back(std::move(one));
  }
}

}  // namespace halftone
