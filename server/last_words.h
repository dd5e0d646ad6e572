// What the process says where memory or threads end in the middle of something: a line on standard error and a status
// in the place of an abort. Nothing here needs memory.
#pragma once

namespace halftone {

// From now on an exception that nobody catches, on any thread, is such a line.
void say_last_words_at_the_end();

// gRPC's library aborts where it finds no threads or memory to start with: while this lives, that is such a line, too.
class AbortsSaid {
 public:
  AbortsSaid();
  ~AbortsSaid();
  AbortsSaid(const AbortsSaid&) = delete;
  AbortsSaid& operator=(const AbortsSaid&) = delete;
};

}  // namespace halftone
