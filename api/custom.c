// Custom operators by libffi: see custom.h.
#include "api/custom.h"
#include <dlfcn.h>
#include <ffi.h>
#include <string.h>

struct custom_host {
  arena *a;
  diag_list *l;
  map *libraries; // path -> handle
};

custom_host *custom_host_new(arena *a, diag_list *l) {
  custom_host *h = ARENA_NEW(a, custom_host);
  *h = (custom_host){a, l, map_new(a)};
  return h;
}

static void close_library(void *handle) { dlclose(handle); }

static bool refuse(custom_host *h, const ir_node *n, const char *why) {
  diag_at(h->l, n->spans.n ? n->spans.at[0] : NO_SPAN, custom_call, ir_attr_str(n, "name", ""), why);
  return false;
}

static void *find_function(custom_host *h, const ir_node *n) {
  const char *path = ir_attr_str(n, "library", "");
  void *library = map_get(h->libraries, str_of(path));
  if (!library) {
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return refuse(h, n, dlerror()), NULL;
    arena_defer(h->a, close_library, library);
    map_put(h->libraries, str_of(path), library);
  }
  void *f = dlsym(library, ir_attr_str(n, "symbol", ""));
  if (!f) refuse(h, n, dlerror());
  return f;
}

static ffi_type *type_of(dtype t) {
  switch (t) {
  case DT_f32: return &ffi_type_float;
  case DT_f64: return &ffi_type_double;
  case DT_f16:
  case DT_bf16: return &ffi_type_uint16;
  case DT_i8: return &ffi_type_sint8;
  case DT_i32: return &ffi_type_sint32;
  case DT_i64: return &ffi_type_sint64;
  case DT_u8:
  case DT_bool:
  case DT_COUNT:
  default: return &ffi_type_uint8;
  }
}

typedef struct call_list { // libffi takes a pointer to each argument's value
  VEC(ffi_type *) types;
  VEC(void *) values;
} call_list;

static void add(arena *a, call_list *c, ffi_type *type, const void *value, size_t bytes) {
  vec_push(a, &c->types, type);
  vec_push(a, &c->values, arena_copy(a, value, bytes));
}

static void add_tensor(arena *a, call_list *c, const ir_tensor *t) {
  add(a, c, &ffi_type_pointer, &t->data, sizeof t->data);
  for (uint32_t i = 0; i < t->rank; i++) add(a, c, &ffi_type_sint64, &t->dim[i], sizeof t->dim[i]);
}

bool custom_host_call(void *host, const ir_node *node, const ir_tensor *const *in, ir_tensor *const *out) {
  custom_host *h = host;
  void *f = find_function(h, node);
  if (!f) return false;
  call_list c = {0};
  for (uint32_t i = 0; i < node->n_in; i++) {
    if (in[i]->rank == 0) add(h->a, &c, type_of(in[i]->dt), in[i]->data, dtype_size(in[i]->dt));
    else add_tensor(h->a, &c, in[i]);
  }
  for (uint32_t i = 0; i < node->n_out; i++) add(h->a, &c, &ffi_type_pointer, &out[i]->data, sizeof out[i]->data);
  ffi_cif cif;
  if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, (unsigned)c.types.n, &ffi_type_sint, c.types.at) != FFI_OK)
    return refuse(h, node, "libffi cannot form the call");
  void (*function)(void);
  memcpy(&function, &f, sizeof f);
  ffi_arg result = 0;
  ffi_call(&cif, function, &result, c.values.at);
  return (int)result == 0 || refuse(h, node, str_fmt(h->a, "it returned %d", (int)result));
}
