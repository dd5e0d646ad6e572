// All open connections, in the order in which they are shed when there are too many: those that make the server wait,
// longest first, then those that the server makes wait. One thread: the I/O loop's.
#pragma once

#include <cstddef>
#include <list>
#include <memory>

#include "server/http/reserve.h"

namespace halftone {

class Connection;

class Connections {
 public:
  using List = std::list<std::shared_ptr<Connection>>;

  struct Place {
    List* list = nullptr;  // null: it is in none
    List::iterator at;
  };

  explicit Connections(size_t reserved_descriptors) : reserve_(reserved_descriptors) {}

  Reserve& reserve() { return reserve_; }
  size_t size() const { return waiting_.size() + served_.size(); }

  // It waits for its client's first request from now on.
  Place add(std::shared_ptr<Connection> connection);
  // It waits for its client from now on: to send a request, or to take an answer.
  void waits(Place& place) { move_to_end(waiting_, place); }
  // Its client waits for us.
  void is_served(Place& place) { move_to_end(served_, place); }
  void remove(Place& place);

  // Null: there are none.
  std::shared_ptr<Connection> first_to_shed() const;

 private:
  static void move_to_end(List& list, Place& place);

  Reserve reserve_;
  List waiting_, served_;
};

}  // namespace halftone
