// Upper bounds of every histogram's buckets. The latency lists are OpenTelemetry's (GenAI servers), extended upward,
// and between tokens also downward: a small or compressed model answers a token in well under 10 ms.
#pragma once

#include <vector>

namespace halftone {

using Buckets = std::vector<double>;

// first, first * ratio, ...: `count` of them.
inline Buckets geometric_buckets(double first, double ratio, int count) {
  Buckets buckets;
  double bound = first;
  for (int i = 0; i < count; ++i, bound *= ratio) buckets.push_back(bound);
  return buckets;
}

inline Buckets first_token_buckets() {
  return {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80};
}

inline Buckets token_buckets() {
  return {.0005, .001, .002, .003, .004, .006, .008, .01, .015, .02, .025, .03,
          .04,   .05,  .075, .1,   .15,  .2,   .3,   .4,  .5,   .75, 1,    2.5};
}

inline Buckets queue_buckets() { return {.0001, .0005, .001, .005, .01, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60}; }

inline Buckets request_buckets() { return geometric_buckets(.01, 2, 16); }  // to 327.68 s

inline Buckets step_buckets() { return geometric_buckets(1.5e-4, 1.5, 24); }  // to 1.7 s

// Tokens of one request.
inline Buckets token_count_buckets() {
  return {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
}

inline Buckets batch_buckets() { return geometric_buckets(1, 2, 10); }        // to 512 sequences
inline Buckets step_token_buckets() { return geometric_buckets(1, 2, 14); }   // to 8192 tokens
inline Buckets kv_byte_buckets() { return geometric_buckets(65536, 2, 19); }  // 2^16 to 2^34

}  // namespace halftone
