// A fiber: an execution with a stack of its own that goes on where it left off. One thread at a time runs them all.
#pragma once

#include <cstddef>

namespace halftone::cuda_host::machine {

// Memory with an inaccessible page below it, so that running over ends in a fault, not in another's stack.
class Stack {
 public:
  Stack();
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  std::byte* bottom() const { return bottom_; }
  static constexpr size_t kBytes = size_t{256} << 10;  // touched pages only are really there

 private:
  std::byte* bottom_;
};

class Fiber {
 public:
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // To be what runs now, on the stack that it has.
  void adopt();

  // To be entered at entry, from its stack's top, whatever was there before. Entry never returns. Stacks differ in
  // colour, so that the tops of many do not fall into the same few sets of the processor's caches.
  void begin(const Stack& stack, size_t colour, void (*entry)());

  // Leaves the running fiber, which goes on here when it is entered again.
  static void change(Fiber& from, Fiber& to);

 private:
  static void enter();
  void entered();

  void* stack_pointer_ = nullptr;
  void (*entry_)() = nullptr;
  // For AddressSanitizer, which has to know on which stack it is, and ThreadSanitizer, to which it is a thread.
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  size_t bytes_ = 0;
  void* thread_ = nullptr;
  bool owns_thread_ = false;
};

}  // namespace halftone::cuda_host::machine
