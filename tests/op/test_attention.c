// Attention in every style (attention_cases.def): is it tiled exactly where it should be, are blocks that masks empty
// skipped, and do all engines agree, on fresh shapes, data and CPU levels?
//
//   NNC_SEED   first seed; else from the clock, printed
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "op/agree.h"
#include "op/attention_cases.h"
#include "passes/program.h"

// The interpreters take minutes for all cases under a sanitizer: there every fifth of them, the seed says which.
#ifdef __SANITIZE_ADDRESS__
enum { EVERY = 5 };
#else
enum { EVERY = 1 };
#endif

static uint32_t attentions(const ir_module *m) {
  uint32_t n = 0;
  for (const ir_node *q = m->graphs.at[0]->body->first; q; q = q->next)
    n += q->op == OP_group && !strcmp(ir_attr_str(q, "kind", ""), "attention");
  return n;
}

static bool has_state(arena *a, const program_set *set) {
  for (size_t i = 0; i < set->kernels.n; i++) {
    strbuf b;
    sb_init(&b, a);
    kir_print(&b, set->kernels.at[i]);
    if (strstr(sb_cstr(&b), "group state ")) return true;
  }
  return false;
}

// The loop over blocks of keys, as text: "0..n0 step", or bounded by what the mask leaves.
static const char *key_loop(arena *a, const program_set *set) {
  for (size_t i = 0; i < set->kernels.n; i++) {
    strbuf b;
    sb_init(&b, a);
    kir_print(&b, set->kernels.at[i]);
    const char *found = strstr(sb_cstr(&b), "for kb_");
    if (found) return str_fmt(a, "%.*s", (int)strcspn(found, "\n"), found);
  }
  return "";
}

// What a first kernel leaves of parts of the keys is for the next one to read.
static bool parts_are_merged(const program *p) {
  for (size_t i = 0; i < p->buffers.n; i++) {
    const prog_buffer *b = &p->buffers.at[i];
    bool of_parts = b->cls == PROG_arena && !strncmp(p->steps.at[b->first].label, "parts", strlen("parts"));
    if (of_parts && b->last == b->first) return false;
  }
  return true;
}

// Scores in memory are what tiling is for: no buffer may have as many elements as queries times keys.
static void tiled_where_it_should_be(void **state) {
  (void)state;
  for (size_t i = 0; i < attention_n_cases; i++) {
    const attention_case *t = &attention_cases[i];
    arena *a = arena_new(NULL);
    diag_list l;
    ir_module *m = attention_case_load(a, &l, t);
    strbuf said;
    sb_init(&said, a);
    diag_render_all(&l, false, &said);
    if (!m) fail_msg("%s: %s", t->name, sb_cstr(&said));
    pass_context c = {.a = a, .diags = &l, .target = target_find("x86-64-v3")};
    pass_options options = PASS_OPTIONS_INIT;
    options.round_trip = true;
    program_set *set = pass_run_all(&c, m, &options, NULL) ? lower_module(&c, m) : NULL;
    diag_render_all(&l, false, &said);
    if (!set) fail_msg("%s: %s", t->name, sb_cstr(&said));
    if (attentions(m) != (t->tiled != TILED_N))
      fail_msg("%s: %u groups are attention\n%s", t->name, attentions(m), sb_cstr(&said));
    if (has_state(a, set) != (t->tiled == TILED_L || t->tiled == TILED_LC))
      fail_msg("%s: wrong order of sums", t->name);
    const char *loop = key_loop(a, set);
    bool from_start = strstr(loop, " in 0..") != NULL, to_end = strstr(loop, "..n") != NULL;
    if (t->tiled == TILED_T && (!from_start || !to_end) && strcmp(t->name, "grown_keys") != 0)
      fail_msg("%s: skips keys: %s", t->name, loop);
    if (t->tiled == TILED_C && (!from_start || to_end)) fail_msg("%s: reads keys in vain: %s", t->name, loop);
    if (t->tiled == TILED_W && (from_start || to_end)) fail_msg("%s: reads keys in vain: %s", t->name, loop);
    if ((t->tiled == TILED_P) != (strstr(loop, "part") != NULL)) fail_msg("%s: parts of keys: %s", t->name, loop);
    if (!parts_are_merged(set->entries.at[0])) fail_msg("%s: parts that nobody merges", t->name);
    arena_free(a);
  }
}

static void engines_agree_on_attention(void **state) {
  (void)state;
  const char *given = getenv("NNC_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 100;
  print_message("NNC_SEED=%llu\n", (unsigned long long)seed);
  agree_counts counts = {0};
  for (size_t i = seed % EVERY; i < attention_n_cases; i += EVERY) {
    arena *a = arena_new(NULL);
    diag_list l;
    strbuf why;
    sb_init(&why, a);
    ir_module *m = attention_case_load(a, &l, &attention_cases[i]);
    assert_non_null(m);
    if (!engines_agree(a, m, seed + i, NULL, &counts, &why))
      fail_msg("%s, NNC_SEED=%llu: %s", attention_cases[i].name, (unsigned long long)seed, sb_cstr(&why));
    arena_free(a);
  }
  print_message("%llu tensors, %llu with a wide bound\n", (unsigned long long)counts.tensors,
                (unsigned long long)counts.vague);
}

// What keeps an attention from being tiled is said where it is written.
static void the_reason_is_given(void **state) {
  (void)state;
  for (size_t i = 0; i < attention_n_cases; i++) {
    const attention_case *t = &attention_cases[i];
    if (strcmp(t->name, "weights_returned") != 0 && strcmp(t->name, "scores_reused") != 0) continue;
    arena *a = arena_new(NULL);
    diag_list l;
    ir_module *m = attention_case_load(a, &l, t);
    pass_context c = {.a = a, .diags = &l, .target = target_find("x86-64-v3")};
    pass_options options = PASS_OPTIONS_INIT;
    assert_true(pass_run_all(&c, m, &options, NULL));
    bool said = false;
    for (size_t k = 0; k < l.items.n; k++) said = said || l.items.at[k]->id == DIAG_ID_attention_not_tiled;
    if (!said) fail_msg("%s: nothing is said", t->name);
    arena_free(a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(tiled_where_it_should_be),
                                     cmocka_unit_test(engines_agree_on_attention),
                                     cmocka_unit_test(the_reason_is_given)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
