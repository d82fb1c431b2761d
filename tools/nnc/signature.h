// An entry's inputs and outputs with their symbolic shapes, and the values of its dims: what inputs are made and
// checked by. The same whether the entry comes from a graph or from a module of the public API.
#ifndef NNC_TOOLS_SIGNATURE_H
#define NNC_TOOLS_SIGNATURE_H

#include "nnc/nnc.h"
#include "tools/nnc/cli.h"

typedef struct sig_tensor {
  const char *name;
  dtype dt;
  uint32_t rank;
  const idx *dim[IR_MAX_RANK];
  bool optional;
} sig_tensor;

typedef struct sig_dim {
  const sym *symbol;
  int64_t lo, hi, step;
  int64_t value;
  bool of_state;        // a size of a state: the top of its range unless it is bound
  bool bound;           // has its value from a file or --dim
  const char *bound_by; // "input `image`", "--dim"
} sig_dim;

typedef struct signature {
  idx_ctx *ix;
  const char *entry;
  size_t index; // of the entry
  VEC(sig_tensor) inputs, outputs;
  VEC(sig_dim) dims;
} signature;

// Of entry c->opt.entry (default `forward`, else the first). NULL after a diagnostic in c->diags.
signature *signature_of_module(cli *c, const nnc_module *m);
signature *signature_of_graphs(cli *c, const ir_module *m);
signature *signature_of_graph(cli *c, const ir_graph *g, size_t index);

const char *sig_type_text(arena *a, const sig_tensor *t);              // f32[batch, 8, 8]
bool sig_shape(const signature *s, const sig_tensor *t, int64_t *dim); // with the dims' values; false on overflow
// Values from --dim: strict when every name must be a dim of the signature. false after a diagnostic.
bool sig_bind_options(cli *c, signature *s, bool strict);
// Binds the dims that the tensor's shape tells; false when it clashes with a value bound before (*clash names the dim).
bool sig_bind_shape(signature *s, const sig_tensor *t, const int64_t *dim, const char *by, const sig_dim **clash);
void sig_bind_rest(signature *s); // the low end of their ranges; of states' sizes that no input has, the top

#endif
