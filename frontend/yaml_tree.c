// libyaml's events to a tree with byte spans.
//
// libyaml marks count characters, the rest of the compiler counts bytes: a cursor walks along the text and turns one
// into the other, in linear time, for marks never go far back. Depth is checked per event: libyaml's work on n unclosed
// brackets grows with n squared, so nothing deep may pass. Reading again after a mistake is bounded by MAX_PASSES.
#include "frontend/yaml_tree.h"
#include "base/map.h"
#include "base/utf8.h"
#include "frontend/yaml_trap.h"

#include <string.h>
#include <yaml.h>

enum { MAX_PASSES = 20 };

// libyaml's objects, on the arena's cleanup list: an allocation that fails half-way leaks nothing.
typedef struct events {
  yaml_parser_t parser;
  yaml_event_t event;
  bool parser_live, event_live;
} events;

typedef struct frame {
  ynode *node;
  ynode *key; // of a map: waits for its value
  map *seen;  // of a map: key text -> ynode *
} frame;

typedef struct duplicate {
  const ynode *key, *first;
} duplicate;

typedef struct reader {
  arena *a;
  diag_list *l;
  uint32_t file;
  bool data;
  const char *p; // the file's text, or a copy with masks
  uint32_t size;
  events *ev;
  size_t cursor_chars; // the cursor: the same place as
  uint32_t cursor_byte;
  frame stack[YAML_MAX_DEPTH];
  size_t depth;
  ynode *root;
  uint32_t scalar_begin, scalar_end; // last plain scalar
  VEC(duplicate) duplicates;
  VEC(yaml_mask) masks;
} reader;

typedef enum outcome { READ_on, READ_done, READ_again, READ_stop } outcome;

static void events_release(void *handle) {
  events *ev = handle;
  if (ev->event_live) yaml_event_delete(&ev->event);
  if (ev->parser_live) yaml_parser_delete(&ev->parser);
  ev->event_live = ev->parser_live = false;
}

static uint32_t byte_of(reader *r, yaml_mark_t mark) {
  while (r->cursor_chars < mark.index && r->cursor_byte < r->size) {
    r->cursor_byte += (uint32_t)utf8_length((str){r->p + r->cursor_byte, r->size - r->cursor_byte});
    r->cursor_chars++;
  }
  while (r->cursor_chars > mark.index && r->cursor_byte > 0) {
    do r->cursor_byte--;
    while (r->cursor_byte > 0 && ((unsigned char)r->p[r->cursor_byte] & 0xc0) == 0x80);
    r->cursor_chars--;
  }
  return r->cursor_byte;
}

static bool is_masked(const reader *r, uint32_t begin, uint32_t end) {
  for (size_t i = 0; i < r->masks.n; i++) {
    if (begin < r->masks.at[i].end && r->masks.at[i].begin < end) return true;
  }
  return false;
}

static ynode *node_new(reader *r, ynode_kind kind, uint32_t begin, uint32_t end) {
  ynode *n = ARENA_NEW(r->a, ynode);
  n->kind = kind;
  n->span = (diag_span){r->file, begin, end};
  n->text = (str){"", 0};
  return n;
}

static outcome mask(reader *r, yaml_mask m) {
  if (m.begin >= m.end) return READ_stop;
  vec_push(r->a, &r->masks, m);
  return READ_again;
}

static void seen_key(reader *r, frame *f, ynode *key) {
  if (key->kind != YN_scalar) return;
  if (!f->seen) f->seen = map_new(r->a);
  ynode *first = map_get(f->seen, key->text);
  if (first) {
    duplicate d = {key, first};
    vec_push(r->a, &r->duplicates, d);
  } else {
    map_put(f->seen, key->text, key);
  }
}

// Hangs a finished or just opened node under the innermost open one.
static void attach(reader *r, ynode *n) {
  if (r->depth == 0) {
    if (!r->root) r->root = n;
    return;
  }
  frame *f = &r->stack[r->depth - 1];
  if (f->node->kind == YN_list) {
    vec_push(r->a, &f->node->items, n);
  } else if (!f->key) {
    f->key = n;
  } else {
    ypair pair = {f->key, n};
    seen_key(r, f, f->key);
    vec_push(r->a, &f->node->pairs, pair);
    f->key = NULL;
  }
}

static outcome open_container(reader *r, ynode_kind kind, bool flow, uint32_t begin, uint32_t end) {
  if (r->depth == YAML_MAX_DEPTH) {
    uint32_t to = end > begin ? end : begin + 1;
    diag_at(r->l, ((diag_span){r->file, begin, to}), yaml_too_deep, YAML_MAX_DEPTH);
    return READ_stop;
  }
  ynode *n = node_new(r, kind, begin, end);
  n->flow = flow;
  attach(r, n);
  r->stack[r->depth++] = (frame){n, NULL, NULL};
  return READ_on;
}

static outcome close_container(reader *r, uint32_t end) {
  ynode *n = r->stack[--r->depth].node;
  if (n->flow) n->span.end = end;
  else if (n->kind == YN_list && n->items.n) n->span.end = vec_last(&n->items)->span.end;
  else if (n->kind == YN_map && n->pairs.n) n->span.end = vec_last(&n->pairs).value->span.end;
  return READ_on;
}

static bool is_map_key(const reader *r) {
  return r->depth && r->stack[r->depth - 1].node->kind == YN_map && !r->stack[r->depth - 1].key;
}

static outcome scalar(reader *r, const yaml_event_t *e, uint32_t begin, uint32_t end) {
  yaml_scalar_style_t style = e->data.scalar.style;
  if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE) {
    return mask(r, yaml_reject_mark(r->l, r->file, begin));
  }
  ynode *n = node_new(r, YN_scalar, begin, end);
  str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
  n->text = (str){str_dup(r->a, text), text.n};
  if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE) n->quote = '\'';
  else if (style == YAML_DOUBLE_QUOTED_SCALAR_STYLE) n->quote = '"';
  else r->scalar_begin = begin, r->scalar_end = end;
  if (is_masked(r, begin, end)) n->kind = YN_broken;
  else if (!n->quote && is_map_key(r) && str_is(n->text, "<<")) return mask(r, yaml_reject_mark(r->l, r->file, begin));
  attach(r, n);
  return READ_on;
}

// `? key`: the mark stands before a key and is no event of its own.
static bool after_question_mark(const reader *r, uint32_t begin, uint32_t *at) {
  uint32_t i = begin;
  while (i > 0 && (r->p[i - 1] == ' ' || r->p[i - 1] == '\n' || r->p[i - 1] == '\r')) i--;
  if (i == 0 || i == begin || r->p[i - 1] != '?') return false;
  *at = i - 1;
  return i < 2 || strchr(" \n,{[-", r->p[i - 2]);
}

static outcome take_event(reader *r, const yaml_event_t *e) {
  uint32_t begin = byte_of(r, e->start_mark), end = byte_of(r, e->end_mark), question;
  const yaml_char_t *anchor = NULL, *tag = NULL;
  bool begins_node = true;
  if (e->type == YAML_SCALAR_EVENT) anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
  else if (e->type == YAML_SEQUENCE_START_EVENT)
    anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
  else if (e->type == YAML_MAPPING_START_EVENT) anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
  else begins_node = e->type == YAML_ALIAS_EVENT;
  if (anchor || tag || e->type == YAML_ALIAS_EVENT) return mask(r, yaml_reject_mark(r->l, r->file, begin));
  if (begins_node && end > begin && is_map_key(r) && after_question_mark(r, begin, &question)) {
    return mask(r, yaml_reject_mark(r->l, r->file, question));
  }
  switch (e->type) {
  case YAML_STREAM_END_EVENT: return READ_done;
  case YAML_DOCUMENT_START_EVENT:
    if (e->data.document_start.version_directive ||
        e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end) {
      return mask(r, yaml_reject_mark(r->l, r->file, begin));
    }
    if (r->root) {
      diag *d = diag_at(r->l, ((diag_span){r->file, begin, end > begin ? end : begin + 1}), yaml_document);
      diag_note_to(r->l, d, "one file holds one model");
      return READ_done;
    }
    return READ_on;
  case YAML_SCALAR_EVENT: return scalar(r, e, begin, end);
  case YAML_SEQUENCE_START_EVENT:
    return open_container(r, YN_list, e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE, begin, end);
  case YAML_MAPPING_START_EVENT:
    return open_container(r, YN_map, e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE, begin, end);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT: return close_container(r, end);
  case YAML_NO_EVENT:
  case YAML_STREAM_START_EVENT:
  case YAML_DOCUMENT_END_EVENT:
  case YAML_ALIAS_EVENT: break;
  }
  return READ_on;
}

static outcome explain(reader *r) {
  const yaml_parser_t *y = &r->ev->parser;
  if (y->error == YAML_MEMORY_ERROR) arena_unwind(r->a, 1);
  yaml_problem p = {.data = r->data, .problem = y->problem ? y->problem : "", .context = y->context ? y->context : ""};
  p.at = byte_of(r, y->problem_mark);
  p.context_at = y->context ? byte_of(r, y->context_mark) : p.at;
  p.scalar_begin = r->scalar_begin;
  p.scalar_end = r->scalar_end;
  for (size_t i = r->depth; i-- > 0 && !p.open;) {
    if (!r->stack[i].node->flow) continue;
    p.open_at = r->stack[i].node->span.begin;
    p.open = r->p[p.open_at];
  }
  // What comes before a mask was read already: a problem there is the mask's own doing.
  if (r->masks.n && p.at < vec_last(&r->masks).end) return READ_stop;
  if (is_masked(r, p.at, p.at + 1)) return READ_stop;
  return mask(r, yaml_explain(r->l, r->file, &p));
}

static outcome one_pass(reader *r) {
  r->cursor_chars = 0;
  r->cursor_byte = 0;
  r->depth = 0;
  r->root = NULL;
  r->duplicates.n = 0;
  r->scalar_begin = r->scalar_end = 0;
  uint32_t bom = (uint32_t)utf8_bom((str){r->p, r->size});
  events *ev = r->ev;
  if (!yaml_parser_initialize(&ev->parser)) arena_unwind(r->a, 1);
  ev->parser_live = true;
  yaml_parser_set_encoding(&ev->parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&ev->parser, (const unsigned char *)r->p + bom, r->size - bom);
  r->cursor_byte = bom;
  outcome o = READ_on;
  while (o == READ_on) {
    if (!yaml_parser_parse(&ev->parser, &ev->event)) {
      o = explain(r);
      break;
    }
    ev->event_live = true;
    o = take_event(r, &ev->event);
    yaml_event_delete(&ev->event);
    ev->event_live = false;
  }
  events_release(ev);
  return o;
}

static void apply_mask(reader *r) {
  yaml_mask m = vec_last(&r->masks);
  char *copy = str_dup(r->a, (str){r->p, r->size});
  for (uint32_t i = m.begin; i < m.end; i++) {
    if (!strchr(" \t\r\n", copy[i])) copy[i] = m.fill;
  }
  r->p = copy;
}

// After a stop: the last scalar was cut off by the mistake, as was a map or list in brackets; keys without a value are
// gone with their frames.
static void cut_off(ynode *n) {
  while (n) {
    ynode *last = NULL;
    if (n->flow) {
      n->kind = YN_broken;
      return;
    }
    if (n->kind == YN_list && n->items.n) last = vec_last(&n->items);
    if (n->kind == YN_map && n->pairs.n) last = vec_last(&n->pairs).value;
    if (!last && n->kind != YN_map) n->kind = YN_broken;
    n = last;
  }
}

ytree yaml_read(arena *a, diag_list *l, uint32_t file, bool data) {
  str text = l->files.at[file - 1].text;
  if (!yaml_check_bytes(l, file, data)) return (ytree){NULL, false};
  reader *r = ARENA_NEW(a, reader);
  *r = (reader){
      .a = a, .l = l, .file = file, .data = data, .p = text.p, .size = (uint32_t)text.n, .ev = ARENA_NEW(a, events)};
  arena_defer(a, events_release, r->ev);
  outcome o = READ_again;
  for (int pass = 0; pass < MAX_PASSES && o == READ_again; pass++) {
    if (pass) apply_mask(r);
    o = one_pass(r);
  }
  for (size_t i = 0; i < r->duplicates.n; i++) {
    const duplicate *d = &r->duplicates.at[i];
    uint32_t line, column;
    const char *name;
    diag_position(l, d->first->span, &name, &line, &column);
    diag *g = diag_at(l, d->key->span, yaml_duplicate, d->key->text.p);
    diag_note_to(l, g, "it stands on line %u already", line);
  }
  if (o != READ_done) cut_off(r->root);
  return (ytree){r->root, o == READ_done};
}
