// The header of an AOT library: plain C99, also C++, includes nothing but <stdint.h>.
#include "codegen/aot/aot.h"
#include <ctype.h>
#include <inttypes.h>

const char *aot_prefix(arena *a, const char *model_name) {
  strbuf b;
  sb_init(&b, a);
  if (!model_name || !*model_name) model_name = "model";
  if (isdigit((unsigned char)*model_name)) sb_char(&b, '_');
  for (const char *c = model_name; *c; c++)
    sb_char(&b, isalnum((unsigned char)*c) && (unsigned char)*c < 128 ? *c : '_');
  return sb_cstr(&b);
}

static const char *c_type(dtype t) {
  static const char *const names[] = {
      [DT_f32] = "float",  [DT_f16] = "uint16_t", [DT_bf16] = "uint16_t", [DT_f64] = "double",  [DT_i8] = "int8_t",
      [DT_u8] = "uint8_t", [DT_i32] = "int32_t",  [DT_i64] = "int64_t",   [DT_bool] = "uint8_t"};
  return names[t];
}

static bool uses_dim(const ir_graph *g, const sym *s) {
  bool used = false;
  for (uint32_t i = 0; i < g->body->n_params; i++)
    for (uint32_t d = 0; d < g->body->params[i].type.rank; d++)
      used = used || idx_mentions(g->body->params[i].type.dim[d], s);
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    for (uint32_t d = 0; d < g->body->yields[i]->type.rank; d++)
      used = used || idx_mentions(g->body->yields[i]->type.dim[d], s);
  return used;
}

static void entry(strbuf *b, const ir_module *m, const ir_graph *g, size_t index, const char *prefix) {
  arena *a = m->a;
  const char *name = aot_prefix(a, g->name);
  sb_fmt(b, "/* Entry `%s`. Row-major tensors in the caller's memory:\n", g->name);
  for (uint32_t i = 0; i < g->body->n_params + g->body->n_yields; i++) {
    bool in = i < g->body->n_params;
    uint32_t k = in ? i : i - g->body->n_params;
    sb_fmt(b, " *   %s %s: ", in ? "in " : "out", in ? g->param_names[k] : g->output_names[k]);
    ir_type_print(b, in ? g->body->params[k].type : g->body->yields[k]->type);
    sb_z(b, in && g->param_defaults[k] ? "; may be NULL: the default\n" : "\n");
  }
  sb_fmt(b, " * Returns 0; else %s_error says why. */\nstatic inline int %s_%s(%s_session *session", prefix, prefix,
         name, prefix);
  for (size_t i = 0; i < m->dims.n; i++)
    if (uses_dim(g, m->dims.at[i]->symbol)) sb_fmt(b, ", int64_t %s", m->dims.at[i]->symbol->name);
  for (uint32_t i = 0; i < g->body->n_params; i++)
    sb_fmt(b, ", const %s *%s", c_type(g->body->params[i].type.dt), aot_prefix(a, g->param_names[i]));
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    sb_fmt(b, ", %s *out_%s", c_type(g->body->yields[i]->type.dt), aot_prefix(a, g->output_names[i]));
  sb_z(b, ") {\n  const int64_t dims[] = {");
  for (size_t i = 0; i < m->dims.n; i++)
    sb_fmt(b, "%s%s", i ? ", " : "", uses_dim(g, m->dims.at[i]->symbol) ? m->dims.at[i]->symbol->name : "-1");
  sb_z(b, m->dims.n ? "};\n  void *const args[] = {" : "0};\n  void *const args[] = {");
  for (uint32_t i = 0; i < g->body->n_params; i++)
    sb_fmt(b, "%s(void *)(uintptr_t)%s", i ? ", " : "", aot_prefix(a, g->param_names[i]));
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    sb_fmt(b, "%sout_%s", i || g->body->n_params ? ", " : "", aot_prefix(a, g->output_names[i]));
  sb_fmt(b, "};\n  return %s_call(session, %zu, dims, args);\n}\n\n", prefix, index);
}

// What a session keeps, and what can be done about it.
static void states(strbuf *b, const ir_module *m, const char *prefix) {
  sb_z(b, "/* A session keeps this state from call to call; a call that fails leaves it as it was:\n");
  for (size_t i = 0; i < m->states.n; i++) {
    sb_fmt(b, " *   %s: ", m->states.at[i]->name);
    ir_type_print(b, m->states.at[i]->type);
    sb_char(b, '\n');
  }
  sb_fmt(
      b,
      " * The first call makes its memory and fixes the dims in its types. _reset gives initial values again and frees "
      "the dims;\n * _set_dim sets one that no input has (default: the top of its range) before the first call. */\n"
      "void %s_reset(%s_session *session);\n"
      "int %s_set_dim(%s_session *session, const char *name, int64_t value);\n\n",
      prefix, prefix, prefix, prefix);
}

void aot_header_entries(strbuf *b, const ir_module *m, const char *prefix) {
  if (m->states.n) states(b, m, prefix);
  for (size_t i = 0; i < m->graphs.n; i++) entry(b, m, m->graphs.at[i], i, prefix);
}

void aot_header(strbuf *b, const char *model, const char *prefix, str entries, bool weights_in_file, bool on_device) {
  sb_fmt(b,
         "/* Model `%s`, compiled by nnc. Link with the library of the same name; it needs libc, libm and libpthread "
         "only.\n"
         " * A session is used by one thread at a time; any number of sessions may be open. */\n"
         "#ifndef NNC_MODEL_%s_H\n#define NNC_MODEL_%s_H\n\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" "
         "{\n#endif\n\n",
         model, prefix, prefix);
  sb_fmt(b, "typedef struct %s_session %s_session;\n\n", prefix, prefix);
  sb_fmt(b,
         "/* Opens a session on `threads` threads, the caller included; 0 = one per core. 0 on success; otherwise *out "
         "is\n"
         " * NULL (no memory) or a session that tells why (%s_error) and can only be closed.%s */\n"
         "int %s_open(%s_session **out, unsigned threads);\n",
         prefix,
         weights_in_file ? " The weights are in a file beside\n * the library: its own name with .weights." : "",
         prefix, prefix);
  if (weights_in_file)
    sb_fmt(b, "int %s_open_file(%s_session **out, unsigned threads, const char *weights); /* at another place */\n",
           prefix, prefix);
  if (on_device)
    sb_fmt(b,
           "/* The kernels run on an OpenCL device; libOpenCL.so.1 is looked for when a session is opened. _open takes "
           "the first\n * GPU, else the first device; here: \"opencl\", the same; \"opencl:N\", as `nnc devices` "
           "counts. */\n"
           "int %s_open_device(%s_session **out, unsigned threads, const char *device);\n",
           prefix, prefix);
  sb_fmt(b,
         "void %s_close(%s_session *session); /* NULL is fine */\n"
         "const char *%s_error(const %s_session *session); /* of the last failed call; borrowed until the next */\n"
         "/* Entry by number; dims in order (-1 = not used), args: inputs, then outputs. The typed functions below "
         "call this. */\n"
         "int %s_call(%s_session *session, unsigned entry, const int64_t *dims, void *const *args);\n\n",
         prefix, prefix, prefix, prefix, prefix, prefix);
  sb_bytes(b, entries.p, entries.n);
  sb_z(b, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}
