#include "lab/plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace halftone {
namespace {

constexpr double kWidth = 760, kHeight = 480, kLeft = 80, kRight = 130, kTop = 48, kBottom = 56, kNameHeight = 12;
constexpr double kLeastDecade = -5, kMostDecade = 1;  // of KL: powers of ten
constexpr double kLimits[] = {0.0015, 0.011, 0.035, 0.1, 0.3};

std::string escaped(const std::string& text) {
  std::string plain = text;
  for (char& c : plain) c = c >= 0 && c < ' ' ? ' ' : c;  // XML has no control characters
  return absl::StrReplaceAll(plain, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

double y_of(double kl) {
  double decade = kLeastDecade;
  if (!std::isfinite(kl))
    decade = kMostDecade;
  else if (kl > 0)
    decade = std::clamp(std::log10(kl), kLeastDecade, kMostDecade);
  return kTop + (kHeight - kTop - kBottom) * (kMostDecade - decade) / (kMostDecade - kLeastDecade);
}

// Bits from 0 to the next multiple of 4 above the widest mode.
struct BitsAxis {
  double most = 4;
  double x(double bits) const { return kLeft + (kWidth - kLeft - kRight) * bits / most; }
};

void line(std::string* out, double x1, double y1, double x2, double y2, const char* style) {
  absl::StrAppendFormat(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style);
}

void text(std::string* out, double x, double y, const char* anchor, const std::string& words) {
  absl::StrAppendFormat(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor,
                        escaped(words));
}

void axes(std::string* out, const BitsAxis& axis) {
  const double bottom = kHeight - kBottom, right = kWidth - kRight;
  for (double decade = kLeastDecade; decade <= kMostDecade; ++decade) {
    const double y = y_of(std::pow(10, decade));
    line(out, kLeft, y, right, y, "stroke=\"#ddd\"");
    text(out, kLeft - 8, y + 4, "end", absl::StrFormat("1e%d", static_cast<int>(decade)));
  }
  for (double limit : kLimits) {
    line(out, kLeft, y_of(limit), right, y_of(limit), "stroke=\"#c60\" stroke-dasharray=\"3 4\"");
    ModeQuality at;
    at.kl_mean = limit;
    text(out, right + 6, y_of(limit) + 4, "start", verdict(at));
  }
  for (double bits = 0; bits <= axis.most; bits += 4) {
    line(out, axis.x(bits), bottom, axis.x(bits), bottom + 5, "stroke=\"#000\"");
    text(out, axis.x(bits), bottom + 18, "middle", absl::StrFormat("%g", bits));
  }
  line(out, kLeft, bottom, right, bottom, "stroke=\"#000\"");
  line(out, kLeft, kTop, kLeft, bottom, "stroke=\"#000\"");
  text(out, (kLeft + right) / 2, kHeight - 14, "middle",
       "bits per weight (hollow: as many as the source has, or more)");
  text(out, kLeft, kTop - 12, "start", "mean KL(reference || mode), nats");
}

// Names stand right of their points; where two would touch, the one of the larger divergence moves up.
void points(std::string* out, const BitsAxis& axis, std::vector<ReportedMode> modes) {
  std::sort(modes.begin(), modes.end(), [](const ReportedMode& a, const ReportedMode& b) {
    return std::pair(a.bits_per_weight, y_of(b.quality.kl_mean)) <
           std::pair(b.bits_per_weight, y_of(a.quality.kl_mean));
  });
  double last_bits = -1, last_y = 0;
  for (const ReportedMode& m : modes) {
    const double x = axis.x(m.bits_per_weight), y = y_of(m.quality.kl_mean);
    absl::StrAppendFormat(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" stroke=\"#06c\" fill=\"%s\">", x, y,
                          m.label.empty() ? "#06c" : "#fff");
    absl::StrAppendFormat(out, "<title>%s: %.3f bits, KL %.3g</title></circle>\n", escaped(m.id), m.bits_per_weight,
                          m.quality.kl_mean);
    const bool touches = m.bits_per_weight == last_bits && y > last_y - kNameHeight;
    last_y = touches ? last_y - kNameHeight : y;
    last_bits = m.bits_per_weight;
    text(out, x + 8, last_y + 4, "start", m.id);
  }
}

}  // namespace

std::string plot_svg(const Report& report) {
  BitsAxis axis;
  for (const ReportedMode& m : report.modes) axis.most = std::max(axis.most, 4 * std::ceil(m.bits_per_weight / 4));
  std::string out = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"11\">\n"
      "<rect width=\"%g\" height=\"%g\" fill=\"#fff\"/>\n",
      kWidth, kHeight, kWidth, kHeight);
  text(&out, kLeft, 18, "start",
       absl::StrFormat("%s, %s: %d windows of %d tokens of %s", report.model, report.protocol, report.windows,
                       report.window_tokens, report.text_name));
  axes(&out, axis);
  points(&out, axis, report.modes);
  return out + "</svg>\n";
}

}  // namespace halftone
