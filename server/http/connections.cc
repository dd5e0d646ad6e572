#include "server/http/connections.h"

#include <utility>

namespace halftone {

Connections::Place Connections::add(std::shared_ptr<Connection> connection) {
  return {&waiting_, waiting_.insert(waiting_.end(), std::move(connection))};
}

void Connections::move_to_end(List& list, Place& place) {
  list.splice(list.end(), *place.list, place.at);
  place.list = &list;
}

void Connections::remove(Place& place) {
  if (place.list == nullptr) return;
  place.list->erase(place.at);
  place.list = nullptr;
  reserve_.refill();
}

std::shared_ptr<Connection> Connections::first_to_shed() const {
  if (!waiting_.empty()) return waiting_.front();
  return served_.empty() ? nullptr : served_.front();
}

}  // namespace halftone
