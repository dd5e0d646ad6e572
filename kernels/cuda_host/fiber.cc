#include "kernels/cuda_host/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kernels/contract/check.h"
#include "kernels/cuda_host/sanitizers.h"

// void halftone_change_stack(void** save, void* load): what a call must keep (System V x86-64) goes onto the old stack
// and comes off the new one.
extern "C" void halftone_change_stack(void** save, void* load);
asm(R"(
.pushsection .text
.globl halftone_change_stack
.hidden halftone_change_stack
.type halftone_change_stack, @function
halftone_change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size halftone_change_stack, . - halftone_change_stack
.popsection
)");

namespace halftone::cuda_host::machine {

namespace {

constexpr size_t kSavedRegisters = 6;
Fiber* left = nullptr;     // by the latest change
Fiber* running = nullptr;  // since the latest change

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

Stack::Stack() {
  void* memory =
      mmap(nullptr, kBytes + page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  HALFTONE_CHECK(memory != MAP_FAILED);
  HALFTONE_CHECK(mprotect(memory, page_bytes(), PROT_NONE) == 0);
  bottom_ = static_cast<std::byte*>(memory) + page_bytes();
}

Stack::~Stack() { munmap(bottom_ - page_bytes(), kBytes + page_bytes()); }

Fiber::~Fiber() {
  if (owns_thread_) __tsan_destroy_fiber(thread_);
}

void Fiber::adopt() {
  if (__tsan_get_current_fiber != nullptr) thread_ = __tsan_get_current_fiber();
}

void Fiber::begin(const Stack& stack, size_t colour, void (*entry)()) {
  // Whoever was here left redzones behind.
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(stack.bottom(), Stack::kBytes);
  constexpr size_t kColours = 61, kColourBytes = 320;
  auto* top = reinterpret_cast<void**>(stack.bottom() + Stack::kBytes - colour % kColours * kColourBytes);
  *--top = nullptr;  // where enter() would return to: and with it the stack as aligned as after a call
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  for (size_t i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  stack_pointer_ = top;
  entry_ = entry;
  fake_stack_ = nullptr;
  bottom_ = stack.bottom();
  bytes_ = Stack::kBytes;
  if (owns_thread_) __tsan_destroy_fiber(thread_);
  owns_thread_ = __tsan_create_fiber != nullptr;
  if (owns_thread_) thread_ = __tsan_create_fiber(0);
}

void Fiber::change(Fiber& from, Fiber& to) {
  left = &from;
  running = &to;
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(&from.fake_stack_, to.bottom_, to.bytes_);
  }
  if (__tsan_switch_to_fiber != nullptr) __tsan_switch_to_fiber(to.thread_, 0);
  halftone_change_stack(&from.stack_pointer_, to.stack_pointer_);
  from.entered();
}

void Fiber::entered() {
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(fake_stack_, &left->bottom_, &left->bytes_);
  }
}

void Fiber::enter() {
  running->entered();
  running->entry_();
  __builtin_unreachable();
}

}  // namespace halftone::cuda_host::machine
