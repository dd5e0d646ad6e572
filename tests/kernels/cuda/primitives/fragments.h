// The fragments of the PTX manual, spelled as there: which element of its matrix a register's part of a lane is.
#pragma once

namespace halftone::test {

struct Element {
  int row, column;
};

// "Matrix fragments for mma.m16n8k16", A: row = groupID for a0, a1, a4, a5, else groupID + 8;
// column = threadID_in_group * 2 + (i & 1) for i < 4, else + 8.
inline Element a16(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {(i < 2 || (4 <= i && i < 6)) ? group : group + 8, thread * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}
inline Element b16(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {thread * 2 + (i & 1) + (i < 2 ? 0 : 8), group};
}
// "mma.m16n8k32", .s8: A: row = groupID for 0 <= i < 4 and 8 <= i < 12, else groupID + 8;
// column = threadID_in_group * 4 + (i & 3) for i < 8, else + 16.
inline Element a8(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {(i < 4 || (8 <= i && i < 12)) ? group : group + 8, thread * 4 + (i & 3) + (i < 8 ? 0 : 16)};
}
inline Element b8(int lane, int i) {
  const int group = lane >> 2, thread = lane % 4;
  return {thread * 4 + (i & 3) + (i < 4 ? 0 : 16), group};
}
inline Element c32(int lane, int i) { return {(lane >> 2) + (i < 2 ? 0 : 8), lane % 4 * 2 + (i & 1)}; }

}  // namespace halftone::test
