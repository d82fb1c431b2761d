// Index maps of contractions, windows and windowed reductions taken apart, so that passes can move axes and change
// indices, and put together as text again (graph.h says what a map is).
#ifndef NNC_PASSES_AXIS_MAP_H
#define NNC_PASSES_AXIS_MAP_H

#include "ir/graph.h"

enum { AXIS_MAP_LABELS = 32 };

typedef struct axis_map {
  ir_module *m;
  uint32_t n_labels, n_operands, out_rank;
  ir_label label[AXIS_MAP_LABELS];
  struct {
    ir_value *v;
    uint32_t rank;
    ir_axis axis[IR_MAX_RANK];
  } operand[2];
  uint32_t out[IR_MAX_RANK]; // labels of the result
} axis_map;

// The map of `n`, whose operands are `in`; false where it has none.
bool axis_map_read(axis_map *x, ir_module *m, const ir_node *n, ir_value *const *in);
// A new label; its name is `like`'s with something behind it. false: there are too many.
bool axis_map_add(axis_map *x, uint32_t like, const idx *extent, uint32_t *out);
// The label that an axis is, or -1 where it is more.
int axis_map_label(const axis_map *x, const ir_axis *a);
// Does operand o mention a label?
bool axis_map_mentions(const axis_map *x, uint32_t o, uint32_t label);
// Operand o becomes `v`, whose axis i is axis perm[i] of what was.
void axis_map_permute(axis_map *x, uint32_t o, ir_value *v, const int64_t *perm);
const char *axis_map_text(const axis_map *x); // in the module's arena

#endif
