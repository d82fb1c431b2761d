// The roofline as a chart: see roofline.h.
//
// Both axes are logarithmic; the roof is what the two measured rates allow. A kernel is a dot whose area is its share
// of the time, with its number in the legend below. Numbers are put, those of the longest kernels first, at the nearest
// place around their dot that no other number and no dot's middle has taken, with a line to the dot where that is not
// beside it. Kernels without multiply-adds have no place on the chart: the legend tells their share of the bandwidth.
#include "base/file.h"
#include "tools/nnc/roofline.h"

#include <math.h>
#include <string.h>

enum {
  WIDTH = 960,
  LEFT = 70,
  RIGHT = 930,
  TOP = 60,
  BOTTOM = 500,
  LEGEND = 560,
  ROW = 17,
  NUMBER_HEIGHT = 12,
  NUMBER_WIDTH = 8, // of a digit
  NUMBER_GAP = 4,
  MOST_RINGS = 40,
  DIRECTIONS = 16,
  LABEL_LETTERS = 64
};

static const double MARGIN = 0.3; // of a decade

typedef struct box {
  double x, y, w, h; // its middle and its size
} box;

typedef struct chart {
  strbuf b;
  const roofline *f;
  double x_lo, x_hi, y_lo, y_hi; // as powers of ten
  VEC(box) taken;
} chart;

static double x_of(const chart *c, double v) {
  return LEFT + (RIGHT - LEFT) * (log10(v) - c->x_lo) / (c->x_hi - c->x_lo);
}
static double y_of(const chart *c, double v) {
  return BOTTOM - (BOTTOM - TOP) * (log10(v) - c->y_lo) / (c->y_hi - c->y_lo);
}

static double gflops_of(const roof_kernel *k) { return k->flops / (k->ms > 0 ? k->ms : 1e-6) * 1e-6; }
static bool is_drawn(const roof_kernel *k) { return k->flops > 0 && k->bytes > 0; }
static double radius_of(const roof_kernel *k) { return 3 + 14 * sqrt(k->share); }

static void escaped(strbuf *b, const char *text, size_t most) {
  for (size_t i = 0; text[i] && i < most; i++) {
    char ch = text[i];
    if (ch == '&') sb_z(b, "&amp;");
    else if (ch == '<') sb_z(b, "&lt;");
    else if (ch == '>') sb_z(b, "&gt;");
    else if ((unsigned char)ch < 0x20) sb_char(b, ' ');
    else sb_char(b, ch);
  }
}

static void line(strbuf *b, const char *class, double x1, double y1, double x2, double y2) {
  sb_fmt(b, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2);
}

static void label(strbuf *b, const char *anchor, double x, double y, const char *text) {
  sb_fmt(b, "<text text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", anchor, x, y);
  escaped(b, text, SIZE_MAX);
  sb_z(b, "</text>\n");
}

// -- axes and roof --

static void widen(double v, double *lo, double *hi) {
  *lo = fmin(*lo, log10(v) - MARGIN);
  *hi = fmax(*hi, log10(v) + MARGIN);
}

// Room for every kernel, and for the roof a decade to both sides of its ridge.
static void choose_ranges(chart *c) {
  double ridge = c->f->peak_gflops / c->f->read_gbytes_per_s;
  c->x_lo = log10(ridge) - 1, c->x_hi = log10(ridge) + 1;
  c->y_lo = log10(c->f->peak_gflops) - 1, c->y_hi = log10(c->f->peak_gflops) + MARGIN;
  for (size_t i = 0; i < c->f->kernels.n; i++) {
    const roof_kernel *k = c->f->kernels.at[i];
    if (!is_drawn(k)) continue;
    widen(roof_intensity(k), &c->x_lo, &c->x_hi);
    widen(gflops_of(k), &c->y_lo, &c->y_hi);
  }
}

static void draw_axes(chart *c) {
  strbuf *b = &c->b;
  for (double e = ceil(c->x_lo); e <= c->x_hi; e++) {
    double x = x_of(c, pow(10, e));
    line(b, "grid", x, TOP, x, BOTTOM);
    label(b, "middle", x, BOTTOM + 18, str_fmt(b->a, "%g", pow(10, e)));
  }
  for (double e = ceil(c->y_lo); e <= c->y_hi; e++) {
    double y = y_of(c, pow(10, e));
    line(b, "grid", LEFT, y, RIGHT, y);
    label(b, "end", LEFT - 8, y + 4, str_fmt(b->a, "%g", pow(10, e)));
  }
  label(b, "middle", (LEFT + RIGHT) / 2.0, BOTTOM + 38, "FLOP/byte, each operand once");
  label(b, "start", LEFT - 50, TOP - 14, "GFLOP/s");
}

static void take(chart *c, double x, double y, double w, double h) { vec_push(c->b.a, &c->taken, ((box){x, y, w, h})); }

static void draw_roof(chart *c) {
  const roofline *f = c->f;
  strbuf *b = &c->b;
  double ridge = f->peak_gflops / f->read_gbytes_per_s, start = pow(10, c->x_lo);
  double low = fmax(start, pow(10, c->y_lo) / f->read_gbytes_per_s); // where the slope enters the chart
  line(b, "roof", x_of(c, low), y_of(c, low * f->read_gbytes_per_s), x_of(c, ridge), y_of(c, f->peak_gflops));
  line(b, "roof", x_of(c, ridge), y_of(c, f->peak_gflops), RIGHT, y_of(c, f->peak_gflops));
  const char *text = str_fmt(b->a, "%.4g GFLOP/s, %.4g GB/s", f->peak_gflops, f->read_gbytes_per_s);
  label(b, "end", RIGHT, y_of(c, f->peak_gflops) - 8, text);
  take(c, RIGHT - 120, y_of(c, f->peak_gflops) - 12, 260, 20);
}

// -- kernels --

static bool is_free(const chart *c, box at) {
  if (at.x - at.w / 2 < LEFT || at.x + at.w / 2 > RIGHT || at.y - at.h / 2 < TOP || at.y + at.h / 2 > BOTTOM)
    return false;
  for (size_t i = 0; i < c->taken.n; i++) {
    const box *o = &c->taken.at[i];
    if (fabs(o->x - at.x) * 2 < o->w + at.w && fabs(o->y - at.y) * 2 < o->h + at.h) return false;
  }
  return true;
}

static void draw_number(chart *c, size_t number, double x, double y, double radius) {
  box at = {x, y,
            NUMBER_GAP + (number < 10    ? NUMBER_WIDTH
                          : number < 100 ? 2 * NUMBER_WIDTH
                                         : 3 * NUMBER_WIDTH),
            NUMBER_HEIGHT};
  double away = radius + 8;
  bool found = false;
  for (int ring = 0; ring < MOST_RINGS && !found; ring++)
    for (int d = 0; d < DIRECTIONS && !found; d++) {
      double angle = 2 * acos(-1) * d / DIRECTIONS;
      away = radius + 8 + 6 * ring;
      at.x = x + away * cos(angle), at.y = y - away * sin(angle);
      found = is_free(c, at);
    }
  take(c, at.x, at.y, at.w, at.h);
  if (away > radius + 8) line(&c->b, "lead", x, y, at.x, at.y);
  sb_fmt(&c->b, "<text class=\"number\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%zu</text>\n", at.x, at.y + 4,
         number);
}

static void draw_kernels(chart *c) {
  const roofline *f = c->f;
  for (int numbers = 0; numbers < 2; numbers++) // dots first: numbers keep off them
    for (size_t i = 0; i < f->kernels.n; i++) {
      const roof_kernel *k = f->kernels.at[i];
      if (!is_drawn(k)) continue;
      double x = x_of(c, roof_intensity(k)), y = y_of(c, gflops_of(k)), r = radius_of(k);
      if (numbers) {
        draw_number(c, i + 1, x, y, r);
        continue;
      }
      sb_fmt(&c->b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", x, y, r);
      take(c, x, y, 6, 6);
    }
}

static void legend_row(chart *c, size_t i, double y) {
  const roof_kernel *k = c->f->kernels.at[i];
  strbuf *b = &c->b;
  const char *rates = is_drawn(k) ? str_fmt(b->a, "%.4g", gflops_of(k)) : "–";
  const char *cells[] = {str_fmt(b->a, "%zu", i + 1), str_fmt(b->a, "%.1f%%", 100 * k->share),
                         str_fmt(b->a, "%llu", (unsigned long long)k->calls), rates,
                         str_fmt(b->a, "%.1f%%", roof_percent(c->f, k))};
  static const double right[] = {40, 95, 145, 215, 280};
  for (size_t n = 0; n < sizeof cells / sizeof *cells; n++) label(b, "end", right[n], y, cells[n]);
  sb_fmt(b, "<text x=\"300\" y=\"%.1f\">", y);
  escaped(b, k->kernel, LABEL_LETTERS);
  if (strlen(k->kernel) > LABEL_LETTERS) sb_z(b, "…");
  if (k->line) {
    sb_z(b, "  ");
    escaped(b, str_fmt(b->a, "%s:%u", k->file, k->line), LABEL_LETTERS / 2);
  }
  sb_z(b, "</text>\n");
}

static void draw_legend(chart *c) {
  static const char *const heads[] = {"#", "time", "calls", "GFLOP/s", "of limit"};
  static const double right[] = {40, 95, 145, 215, 280};
  for (size_t n = 0; n < sizeof heads / sizeof *heads; n++) label(&c->b, "end", right[n], LEGEND, heads[n]);
  label(&c->b, "start", 300, LEGEND, "kernel, and the first place in the model that it computes");
  size_t n = c->f->kernels.n;
  for (size_t i = 0; i < n; i++) legend_row(c, i, LEGEND + ROW * (double)(i + 1));
  label(&c->b, "start", 300, LEGEND + ROW * (double)(n + 1), "–: no multiply-adds; the limit is that of memory");
}

bool roofline_draw(cli *c, const roofline *f, const char *title, const char *path) {
  chart ch = {.f = f};
  sb_init(&ch.b, c->a);
  int height = LEGEND + ROW * (int)(f->kernels.n + 2);
  sb_fmt(&ch.b,
         "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
         "<style>text{font:12px monospace;fill:#222;white-space:pre}.title{font:bold 15px sans-serif}"
         ".number{font:bold 11px sans-serif}.grid{stroke:#ddd}.roof{stroke:#c0392b;stroke-width:2}.lead{stroke:#999}"
         "circle{fill:#2471a3;fill-opacity:.55;stroke:#1b4f72}</style>\n"
         "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
         WIDTH, height, WIDTH, height);
  sb_fmt(&ch.b, "<text class=\"title\" x=\"%d\" y=\"24\">", LEFT - 50);
  escaped(&ch.b, title, SIZE_MAX);
  sb_z(&ch.b, "</text>\n");
  choose_ranges(&ch);
  draw_axes(&ch);
  draw_roof(&ch);
  draw_kernels(&ch);
  draw_legend(&ch);
  sb_z(&ch.b, "</svg>\n");
  return file_write(c->a, &c->diags, path, sb_str(&ch.b), 0644);
}
