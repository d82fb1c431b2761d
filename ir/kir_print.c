// Kernel IR as text: one operation a line, tiles renumbered from %0 in order of appearance.
//
// The text is complete (kir_parse reads it back to an equal kernel) and depends on nothing but the kernel: index
// expressions print in their structural order, numbers in the fewest digits that read back. docs/kernel-ir.md has the
// grammar.
#include "ir/kir_priv.h"

#include <inttypes.h>

typedef struct printer {
  strbuf *b;
  const uint32_t *numbers; // by kir_tile.id
  uint32_t n_tiles;
  int depth;
} printer;

// -- numbering --

typedef struct numbering {
  uint32_t *number, n_tiles, next;
} numbering;

static void number(numbering *n, const kir_tile *t) {
  if (t != NULL && t->id < n->n_tiles && n->number[t->id] == 0) n->number[t->id] = ++n->next;
}

static void number_block(numbering *n, const kir_block *block) {
  for (const kir_stmt *s = block->first; s != NULL; s = s->next) {
    number(n, s->out);
    for (uint32_t i = 0; s->kind == KIR_for && i < s->n_carry; i++) number(n, s->result[i]);
    for (uint32_t i = 0; i < s->n_carry; i++) number(n, s->carry[i]);
    number_block(n, &s->body);
    number_block(n, &s->other);
  }
}

const uint32_t *kir_number_tiles(arena *a, const kir_kernel *k) {
  numbering n = {ARENA_ARRAY(a, uint32_t, k->next_tile), k->next_tile, 0};
  number_block(&n, &k->body);
  return n.number;
}

// -- pieces --

const char *kir_space_word(kir_space s) {
  static const char *const words[] = {[KIR_in] = "in", [KIR_out] = "out", [KIR_inout] = "inout", [KIR_group] = "group"};
  return words[s];
}

static void print_float(strbuf *b, scalar v) {
  size_t begin = b->n;
  double back;
  if (v.dt != DT_f64) {
    sb_f32(b, (float)v.v.f);
    // Read as a double and then rounded, so few digits may be ambiguous where no double lies between two floats.
    if (parse_f64((str){b->p + begin, b->n - begin}, &back) && scalar_same(scalar_f(v.dt, back), v)) return;
    b->n = begin;
  }
  sb_f64(b, v.v.f);
}

static void print_scalar(strbuf *b, scalar v) {
  if (v.dt == DT_bool) sb_z(b, v.v.i != 0 ? "true" : "false");
  else if (dtype_is_float(v.dt)) print_float(b, v);
  else sb_fmt(b, "%" PRId64, v.v.i);
}

static void print_tile(printer *p, const kir_tile *t) {
  uint32_t n = t != NULL && t->id < p->n_tiles ? p->numbers[t->id] : 0;
  if (n != 0) sb_fmt(p->b, "%%%" PRIu32, n - 1);
  else sb_z(p->b, "%?");
}

static void print_tiles(printer *p, uint32_t n, kir_tile *const *tiles) {
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) sb_z(p->b, ", ");
    print_tile(p, tiles[i]);
  }
}

static void print_list(strbuf *b, const char *separator, uint32_t n, const idx *const *e) {
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) sb_z(b, separator);
    idx_print(b, e[i]);
  }
}

static void print_access(strbuf *b, kir_access acc) {
  sb_fmt(b, "%s[", acc.buf->name);
  print_list(b, ", ", acc.buf->rank, acc.index);
  sb_char(b, ']');
}

static void print_shape(strbuf *b, uint32_t rows, uint32_t cols) { sb_fmt(b, "%" PRIu32 "x%" PRIu32, rows, cols); }

static void print_where(strbuf *b, kir_where w) {
  for (uint32_t i = 0; i < w.n; i++) {
    sb_z(b, i == 0 ? " where " : ", ");
    idx_print(b, w.cond[i]);
    sb_z(b, " >= 0");
  }
}

static void print_where_else(strbuf *b, kir_where w, scalar otherwise) {
  print_where(b, w);
  if (w.n == 0) return;
  sb_z(b, " else ");
  print_scalar(b, otherwise);
}

// -- statements --

static const char *word_of(const kir_stmt *s) {
  switch (s->kind) {
  case KIR_dot: return "dot";
  case KIR_mma: return "mma";
  case KIR_fma: return "fma";
  case KIR_zip: return s->n_in == 1 ? "ziprows" : "zip";
  case KIR_select: return "select";
  case KIR_op: return kir_op_word(s->op);
  case KIR_reduce: return kir_reduce_word(s->op) != NULL ? kir_reduce_word(s->op) : op_get(s->op)->name;
  case KIR_let:
  case KIR_load:
  case KIR_const:
  case KIR_index:
  case KIR_store:
  case KIR_copy:
  case KIR_prefetch:
  case KIR_barrier:
  case KIR_fault:
  case KIR_for:
  case KIR_if: break;
  }
  return "?";
}

static void print_operation(printer *p, const kir_stmt *s) {
  sb_fmt(p->b, "%s ", word_of(s));
  print_tiles(p, s->n_in, s->in);
  if (s->kind == KIR_dot) sb_fmt(p->b, " {%s}", s->variant != NULL ? s->variant : "?");
  if (s->kind == KIR_mma) {
    sb_z(p->b, ", ");
    print_access(p->b, s->acc);
    sb_z(p->b, ", ");
    print_access(p->b, s->from);
    sb_fmt(p->b, " : %" PRIu32, s->cols);
  }
  if (s->kind == KIR_op && s->op == OP_cast) sb_fmt(p->b, " to %s", dtype_name(s->out->dt));
  if (s->kind == KIR_select) print_where_else(p->b, s->where, s->imm);
  if (s->kind == KIR_reduce && s->across != NULL) sb_fmt(p->b, " across %s", s->across->name);
}

static void print_type(strbuf *b, const kir_tile *t) {
  sb_fmt(b, " : %s ", dtype_name(t->dt));
  print_shape(b, t->rows, t->cols);
}

static void print_loop(printer *p, const kir_stmt *s) {
  print_tiles(p, s->n_carry, s->result);
  sb_fmt(p->b, "%sfor %s in ", s->n_carry > 0 ? " = " : "", s->var->name);
  idx_print(p->b, s->lo);
  sb_z(p->b, "..");
  idx_print(p->b, s->hi);
  sb_fmt(p->b, " step %" PRId64, s->step);
  if (s->unroll != 1) sb_fmt(p->b, " unroll %" PRId64, s->unroll);
  for (uint32_t i = 0; i < s->n_carry; i++) {
    sb_z(p->b, i == 0 ? " carry (" : ", ");
    print_tile(p, s->carry[i]);
    sb_z(p->b, " = ");
    print_tile(p, s->init[i]);
  }
  sb_z(p->b, s->n_carry > 0 ? ") {" : " {");
}

// The first line, without its end.
static void print_head(printer *p, const kir_stmt *s) {
  strbuf *b = p->b;
  if (s->out != NULL) {
    print_tile(p, s->out);
    sb_z(b, " = ");
  }
  switch (s->kind) {
  case KIR_let:
    sb_fmt(b, "let %s = ", s->var->name);
    idx_print(b, s->index);
    break;
  case KIR_load:
    sb_z(b, "load ");
    print_access(b, s->acc);
    print_type(b, s->out);
    print_where_else(b, s->where, s->imm);
    break;
  case KIR_const:
    sb_z(b, "const ");
    print_scalar(b, s->imm);
    print_type(b, s->out);
    break;
  case KIR_index:
    sb_z(b, "index ");
    idx_print(b, s->index);
    print_type(b, s->out);
    break;
  case KIR_dot:
  case KIR_mma:
  case KIR_op:
  case KIR_fma:
  case KIR_zip:
  case KIR_select:
  case KIR_reduce: print_operation(p, s); break;
  case KIR_store:
    sb_z(b, "store ");
    print_access(b, s->acc);
    sb_z(b, " = ");
    print_tile(p, s->in[0]);
    if (s->rows != s->in[0]->rows || s->cols != s->in[0]->cols) {
      sb_z(b, " : ");
      print_shape(b, s->rows, s->cols);
    }
    print_where(b, s->where);
    break;
  case KIR_copy:
    sb_z(b, "copy ");
    print_access(b, s->acc);
    sb_z(b, " = ");
    print_access(b, s->from);
    sb_z(b, " : ");
    print_shape(b, s->rows, s->cols);
    print_where_else(b, s->where, s->imm);
    if (s->n_carry > 0) {
      sb_z(b, " then ");
      print_tile(p, s->carry[0]);
      sb_z(b, " {");
    }
    break;
  case KIR_prefetch:
    sb_z(b, "prefetch ");
    print_access(b, s->acc);
    break;
  case KIR_barrier: sb_z(b, "barrier"); break;
  case KIR_fault:
    sb_fmt(b, "fault %" PRId64 " : ", s->site);
    print_shape(b, s->rows, s->cols);
    print_where(b, s->where);
    break;
  case KIR_for: print_loop(p, s); break;
  case KIR_if:
    sb_z(b, "if ");
    idx_print(b, s->index);
    sb_z(b, " >= 0 {");
    break;
  }
}

static void indent(printer *p) {
  for (int i = 0; i < p->depth; i++) sb_z(p->b, "  ");
}

static void print_block(printer *p, const kir_block *block, uint32_t n_yield, kir_tile *const *yield);

static void print_stmt(printer *p, const kir_stmt *s) {
  indent(p);
  print_head(p, s);
  sb_char(p->b, '\n');
  bool has_block = s->kind == KIR_for || s->kind == KIR_if || (s->kind == KIR_copy && s->n_carry > 0);
  if (!has_block) return;
  print_block(p, &s->body, s->n_carry, s->yield);
  if (s->kind == KIR_if && s->other.first != NULL) {
    indent(p);
    sb_z(p->b, "} else {\n");
    print_block(p, &s->other, 0, NULL);
  }
  indent(p);
  sb_z(p->b, "}\n");
}

static void print_block(printer *p, const kir_block *block, uint32_t n_yield, kir_tile *const *yield) {
  p->depth++;
  for (const kir_stmt *s = block->first; s != NULL; s = s->next) print_stmt(p, s);
  if (n_yield > 0) {
    indent(p);
    sb_z(p->b, "yield ");
    print_tiles(p, n_yield, yield);
    sb_char(p->b, '\n');
  }
  p->depth--;
}

const char *kir_stmt_text(arena *a, const kir_kernel *k, const uint32_t *numbers, const kir_stmt *s) {
  strbuf b;
  sb_init(&b, a);
  print_head(&(printer){&b, numbers, k->next_tile, 0}, s);
  return sb_cstr(&b);
}

// -- the header --

static void print_buffer(strbuf *b, const kir_buffer *buf) {
  sb_fmt(b, "  %s %s %s[", kir_space_word(buf->space), buf->name, dtype_name(buf->dt));
  print_list(b, ",", buf->rank, buf->dim);
  sb_char(b, ']');
}

static void print_header(strbuf *b, const kir_kernel *k) {
  for (size_t i = 0; i < k->params.n; i++) print_buffer(b, k->params.at[i]);
  if (k->params.n > 0) sb_char(b, '\n');
  for (uint32_t i = 0; i < k->n_grid; i++) {
    sb_fmt(b, i == 0 ? "  grid %s: " : ", %s: ", k->grid[i]->name);
    idx_print(b, k->grid_extent[i]);
  }
  if (k->n_grid > 0) sb_char(b, '\n');
  for (uint32_t i = 0; i < k->n_workers; i++) {
    sb_fmt(b, i == 0 ? "  workers %s: %" PRId64 : ", %s: %" PRId64, k->workers[i]->name, k->worker_extent[i]);
  }
  if (k->n_workers > 0) sb_char(b, '\n');
  for (size_t i = 0; i < k->group.n; i++) print_buffer(b, k->group.at[i]);
  if (k->group.n > 0) sb_char(b, '\n');
  for (size_t i = 0; i < k->facts.n; i++) {
    const kir_fact *f = &k->facts.at[i];
    sb_fmt(b, "  fact %s in %" PRId64 "..%" PRId64 "\n", f->symbol->name, f->lo, f->hi);
    if (f->multiple != 1) sb_fmt(b, "  fact %s %% %" PRId64 " == 0\n", f->symbol->name, f->multiple);
  }
}

static void print_after_name(strbuf *b, const kir_kernel *k, arena *a) {
  print_header(b, k);
  sb_z(b, "{\n");
  printer p = {b, kir_number_tiles(a, k), k->next_tile, 0};
  print_block(&p, &k->body, 0, NULL);
  sb_z(b, "}\n");
}

void kir_print(strbuf *b, const kir_kernel *k) {
  sb_fmt(b, "kernel %s\n", k->name);
  print_after_name(b, k, b->a);
}

str kir_fingerprint(const kir_kernel *k, arena *a) {
  strbuf b;
  sb_init(&b, a);
  print_after_name(&b, k, a);
  return sb_str(&b);
}
