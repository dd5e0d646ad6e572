#include "server/executor/whole_row.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "server/executor/sampler.h"

namespace halftone {
namespace {

// 2^(i / kParts).
constexpr size_t kParts = 128;
const std::array<double, kParts> kRoots = [] {
  std::array<double, kParts> roots{};
  for (size_t i = 0; i < kParts; ++i) roots[i] = std::exp2(static_cast<double>(i) / kParts);
  return roots;
}();

constexpr int kBinBits = 12;  // sign, exponent and three bits of the mantissa
constexpr int kRestBits = 32 - kBinBits;
constexpr int kDigitBits = kRestBits / 2;
constexpr size_t kBins = size_t{1} << kBinBits;
constexpr size_t kBlock = 256;

// The greatest logit has the least key; both zeros have one.
uint32_t key_of(float logit) {
  const uint32_t bits = std::bit_cast<uint32_t>(logit + 0.0f);
  return bits ^ ((bits >> 31) == 0 ? 0x7fffffffu : 0);
}
float logit_of(uint32_t key) { return std::bit_cast<float>(key ^ ((key >> 31) == 0 ? 0x7fffffffu : 0)); }
size_t bin_of(uint32_t key) { return key >> kRestBits; }

struct Item {
  uint32_t key = 0;
  int32_t id = 0;
};

// By falling logit, equal ones by rising id as they come: two stable rounds over the bits that a bin leaves open.
void sort_bin(std::vector<Item>& items) {
  std::vector<Item> other(items.size());
  for (int shift : {0, kDigitBits}) {
    std::array<size_t, size_t{1} << kDigitBits> places{};
    const auto digit = [&](const Item& item) { return (item.key >> shift) % places.size(); };
    for (const Item& item : items) ++places[digit(item)];
    size_t sum = 0;
    for (size_t& place : places) sum += std::exchange(place, sum);
    for (const Item& item : items) other[places[digit(item)]++] = item;
    items.swap(other);
  }
}

// A prefix of the row in falling order; mass is relative to the best one's.
struct Prefix {
  size_t count = 0;
  double mass = 0;
};

// Where a prefix ends: with the token that brings its mass to `mass` (`beyond`: above it), with `count` tokens, or
// before the first token of less weight than `weight`, whichever comes first.
struct Ending {
  size_t count = 0;
  double mass = HUGE_VAL;
  bool beyond = false;
  double weight = 0;
  bool reached(double sum) const { return beyond ? sum > mass : sum >= mass; }
};

class Row {
 public:
  Row(std::span<const float> logits, std::span<const LogitEdit> edits, double inverse_temperature, float best)
      : logits_(logits), edits_(edits), scale_(inverse_temperature), best_(bounded_logit(best) * scale_), bins_(kBins) {
    for_each_block([&](size_t, std::span<const float> block) {
      double weights[kBlock];
      for (size_t i = 0; i < block.size(); ++i) weights[i] = weight(block[i]);
      for (size_t i = 0; i < block.size(); ++i) {
        Bin& bin = bins_[bin_of(key_of(block[i]))];
        bin.mass += weights[i];
        ++bin.count;
      }
    });
  }

  Prefix all() const {
    Prefix all;
    for (const Bin& bin : bins_) all = {all.count + bin.count, all.mass + bin.mass};
    return all;
  }
  Prefix prefix(const Ending& ending) {
    Prefix prefix;
    Item last;
    walk(ending, &prefix, &last);
    return prefix;
  }
  // The last token of the prefix that can be drawn.
  LogitCandidate last(const Ending& ending) {
    Prefix prefix;
    Item last;
    walk(ending, &prefix, &last);
    const float raw = logits_[static_cast<size_t>(last.id)];
    return {last.id, logit_of(last.key), raw};
  }

 private:
  struct Bin {
    double mass = 0;
    size_t count = 0;
  };

  double weight(float logit) const { return exp_of_negative(bounded_logit(logit) * scale_ - best_); }

  template <typename Visit>
  void for_each_block(const Visit& visit) const {
    auto edit = edits_.begin();
    float block[kBlock];
    for (size_t first = 0; first < logits_.size(); first += kBlock) {
      const size_t count = std::min(kBlock, logits_.size() - first);
      std::copy_n(logits_.begin() + static_cast<std::ptrdiff_t>(first), count, block);
      for (; edit != edits_.end() && static_cast<size_t>(edit->id) < first + count; ++edit) {
        float& logit = block[static_cast<size_t>(edit->id) - first];
        logit = edit->apply(logit);
      }
      visit(first, std::span<const float>(block, count));
    }
  }

  const std::vector<Item>& sorted(size_t bin) {
    const auto [place, is_new] = sorted_.try_emplace(bin);
    std::vector<Item>& items = place->second;
    if (!is_new) return items;
    items.reserve(bins_[bin].count);
    for_each_block([&](size_t first, std::span<const float> block) {
      for (size_t i = 0; i < block.size(); ++i) {
        const uint32_t key = key_of(block[i]);
        if (bin_of(key) == bin) items.push_back({key, static_cast<int32_t>(first + i)});
      }
    });
    sort_bin(items);
    return items;
  }

  // The keys at the ends of a bin stand for NaN where the exponent is the greatest.
  double greatest_weight(size_t bin) const {
    return weight(logit_of(std::max(static_cast<uint32_t>(bin << kRestBits), key_of(HUGE_VALF))));
  }
  double least_weight(size_t bin) const {
    const auto last = static_cast<uint32_t>(((bin + 1) << kRestBits) - 1);
    return weight(logit_of(std::min(last, key_of(-HUGE_VALF))));
  }

  bool holds_whole(const Ending& ending, const Prefix& so_far, size_t bin) const {
    return so_far.count + bins_[bin].count <= ending.count && !ending.reached(so_far.mass + bins_[bin].mass) &&
           (ending.weight == 0 || least_weight(bin) >= ending.weight);
  }

  void walk(const Ending& ending, Prefix* prefix, Item* last) {
    size_t last_mass_in = kBins;  // a bin that the prefix holds whole, where nothing after it weighs anything
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (bins_[bin].count == 0) continue;
      if (ending.weight > 0 && prefix->count > 0 && greatest_weight(bin) < ending.weight) break;
      if (holds_whole(ending, *prefix, bin)) {
        *prefix = {prefix->count + bins_[bin].count, prefix->mass + bins_[bin].mass};
        if (bins_[bin].mass > 0) last_mass_in = bin;
        continue;
      }
      if (take(ending, sorted(bin), prefix, last, &last_mass_in)) break;
    }
    if (last_mass_in == kBins) return;
    for (const Item& item : sorted(last_mass_in)) {
      if (weight(logit_of(item.key)) > 0) *last = item;
    }
  }

  // Whether the prefix ends among these.
  bool take(const Ending& ending, const std::vector<Item>& items, Prefix* prefix, Item* last, size_t* last_mass_in) {
    for (const Item& item : items) {
      if (prefix->count == ending.count) return true;
      const double weight = this->weight(logit_of(item.key));
      if (weight < ending.weight && prefix->count > 0) return true;
      *prefix = {prefix->count + 1, prefix->mass + weight};
      if (weight > 0) {
        *last = item;
        *last_mass_in = kBins;
      }
      if (ending.reached(prefix->mass)) return true;
    }
    return false;
  }

  const std::span<const float> logits_;
  const std::span<const LogitEdit> edits_;
  const double scale_, best_;
  std::vector<Bin> bins_;
  std::map<size_t, std::vector<Item>> sorted_;  // bins that were looked into
};

}  // namespace

double exp_of_negative(double x) {
  constexpr double kLowest = -708, kRound = 0x1.8p52;  // added, it leaves the nearest integer in the low bits
  const double bounded = x < kLowest ? kLowest : x;
  const double shifted = bounded * (kParts * 0x1.71547652b82fep0) + kRound;
  const double n = shifted - kRound;  // nearest(x * kParts / ln 2)
  double r = bounded - n * 0x1.62e42feep-8;
  r -= n * 0x1.a39ef35793c76p-40;
  // |r| < 0.0028: the next term of the series is below 2e-15.
  const double p = (r + r * r * 0.5) + r * r * r * (1.0 / 6 + r * (1.0 / 24));
  const uint64_t bits = std::bit_cast<uint64_t>(shifted);
  const auto exponent = static_cast<uint64_t>(static_cast<int64_t>(bits << 13) >> 20);  // floor(n / kParts)
  const double root = std::bit_cast<double>(std::bit_cast<uint64_t>(kRoots[bits % kParts]) + (exponent << 52));
  return x < kLowest ? 0 : root + root * p;
}

LogitCandidate choose_from_row(const SamplingParams& params, int64_t position, std::span<const float> logits,
                               std::span<const LogitEdit> edits, float best) {
  Row row(logits, edits, static_cast<double>(inverse_temperature(params)), best);
  Prefix kept = row.all();
  if (params.top_k > 0 && params.top_k < kept.count) kept = row.prefix({.count = params.top_k});
  if (params.top_p < 1) {
    kept = row.prefix({.count = kept.count, .mass = static_cast<double>(params.top_p) * kept.mass});
  }
  if (params.min_p > 0) kept = row.prefix({.count = kept.count, .weight = static_cast<double>(params.min_p)});
  return row.last({.count = kept.count, .mass = draw(params.seed, position) * kept.mass, .beyond = true});
}

}  // namespace halftone
