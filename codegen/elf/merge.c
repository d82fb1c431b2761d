// Several relocatable objects become one, so that whatever takes an object need not know how many threads made it.
//
// Every section that counts is kept as it is, under its own name; only what refers to sections and symbols by number is
// renumbered, and the tables of symbols and names become one each. Sections of one name stay apart: a linker joins them
// later. Local symbols come first, as the System V ABI asks (ch. 4, "Symbol Table"); an undefined symbol of several
// objects is written once.
#include "codegen/elf/elf.h"

#include <string.h>

enum { NONE = 0, HEADER_ALIGN = 8 };

typedef VEC(Elf64_Sym) symbols;

typedef struct merge {
  arena *a;
  VEC(Elf64_Shdr) sections;
  VEC(const char *) contents; // of each section, in an object; NULL: written at the end
  symbols locals, globals;
  strbuf names; // of sections and symbols
} merge;

// One object, and what its numbers become.
typedef struct part {
  const char *at;
  Elf64_Ehdr head;
  uint32_t *section; // NONE: dropped
  uint32_t *symbol;  // number among the locals, or among the globals
  bool *is_global;
  uint32_t first_new; // of the merged sections, that is this object's
} part;

static Elf64_Shdr section_of(const part *p, size_t i) {
  Elf64_Shdr s;
  memcpy(&s, p->at + p->head.e_shoff + i * sizeof s, sizeof s);
  return s;
}

static uint32_t add_name(merge *m, const char *name) {
  uint32_t at = (uint32_t)m->names.n;
  sb_bytes(&m->names, name, strlen(name) + 1);
  return at;
}

static uint32_t add_section(merge *m, const char *name, Elf64_Shdr s, const char *content) {
  s.sh_name = add_name(m, name);
  vec_push(m->a, &m->sections, s);
  vec_push(m->a, &m->contents, content);
  return (uint32_t)m->sections.n - 1;
}

static const char *string_of(const part *p, const Elf64_Shdr *table, uint32_t at) {
  return p->at + table->sh_offset + at;
}

// Code, data, and relocations of sections that are kept (which come before them).
static bool counts(const part *p, const Elf64_Shdr *s, const char *name) {
  if (s->sh_type == SHT_RELA) return p->section[s->sh_info] != NONE;
  return (s->sh_flags & SHF_ALLOC) && s->sh_size > 0 && strcmp(name, ".note.GNU-stack") != 0;
}

static void add_sections(merge *m, part *p) {
  Elf64_Shdr names = section_of(p, p->head.e_shstrndx);
  p->section = ARENA_ARRAY(m->a, uint32_t, p->head.e_shnum);
  p->first_new = (uint32_t)m->sections.n;
  for (int relocations = 0; relocations < 2; relocations++)
    for (uint32_t i = 1; i < p->head.e_shnum; i++) {
      Elf64_Shdr s = section_of(p, i);
      const char *name = string_of(p, &names, s.sh_name);
      if ((s.sh_type == SHT_RELA) != relocations || !counts(p, &s, name)) continue;
      p->section[i] = add_section(m, name, s, p->at + s.sh_offset);
    }
}

static uint32_t find_undefined(const merge *m, const char *name) {
  for (uint32_t i = 0; i < m->globals.n; i++)
    if (m->globals.at[i].st_shndx == SHN_UNDEF && strcmp(m->names.p + m->globals.at[i].st_name, name) == 0) return i;
  return UINT32_MAX;
}

static void add_symbol(merge *m, part *p, uint32_t i, Elf64_Sym s, const char *name) {
  symbols *to = ELF64_ST_BIND(s.st_info) == STB_LOCAL ? &m->locals : &m->globals;
  uint32_t known = s.st_shndx == SHN_UNDEF && to == &m->globals ? find_undefined(m, name) : UINT32_MAX;
  p->is_global[i] = to == &m->globals;
  p->symbol[i] = known != UINT32_MAX ? known : (uint32_t)to->n;
  if (known != UINT32_MAX) return;
  if (s.st_shndx < SHN_LORESERVE) s.st_shndx = (Elf64_Section)p->section[s.st_shndx];
  s.st_name = *name ? add_name(m, name) : 0;
  vec_push(m->a, to, s);
}

static void add_symbols(merge *m, part *p) {
  for (uint32_t t = 1; t < p->head.e_shnum; t++) {
    Elf64_Shdr table = section_of(p, t);
    if (table.sh_type != SHT_SYMTAB) continue;
    Elf64_Shdr names = section_of(p, table.sh_link);
    size_t n = table.sh_size / sizeof(Elf64_Sym);
    p->symbol = ARENA_ARRAY(m->a, uint32_t, n);
    p->is_global = ARENA_ARRAY(m->a, bool, n);
    for (uint32_t i = 1; i < n; i++) {
      Elf64_Sym s;
      memcpy(&s, p->at + table.sh_offset + i * sizeof s, sizeof s);
      add_symbol(m, p, i, s, string_of(p, &names, s.st_name));
    }
  }
}

// The relocations of one section, with the merged table's numbers: globals stand behind all locals.
static const char *renumber(const merge *m, const part *p, const char *from, uint64_t bytes) {
  char *to = arena_copy(m->a, from, bytes);
  for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= bytes; at += sizeof(Elf64_Rela)) {
    Elf64_Rela r;
    memcpy(&r, to + at, sizeof r);
    uint64_t s = ELF64_R_SYM(r.r_info);
    uint64_t now = s == 0 ? 0 : p->symbol[s] + (p->is_global[s] ? m->locals.n : 0);
    r.r_info = ELF64_R_INFO(now, ELF64_R_TYPE(r.r_info));
    memcpy(to + at, &r, sizeof r);
  }
  return to;
}

static void renumber_sections(merge *m, const part *p, uint32_t end, uint32_t symbol_table) {
  for (uint32_t i = p->first_new; i < end; i++) {
    Elf64_Shdr *s = &m->sections.at[i];
    if (s->sh_type != SHT_RELA) continue;
    s->sh_info = p->section[s->sh_info];
    s->sh_link = symbol_table;
    m->contents.at[i] = renumber(m, p, m->contents.at[i], s->sh_size);
  }
}

static str write_out(merge *m, uint32_t names_section) {
  uint64_t at = sizeof(Elf64_Ehdr);
  for (size_t i = 1; i < m->sections.n; i++) {
    Elf64_Shdr *s = &m->sections.at[i];
    uint64_t align = s->sh_addralign ? s->sh_addralign : 1;
    s->sh_offset = at = (at + align - 1) / align * align;
    if (s->sh_type != SHT_NOBITS) at += s->sh_size;
  }
  uint64_t headers = (at + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
  size_t bytes = headers + m->sections.n * sizeof(Elf64_Shdr);
  char *file = arena_alloc(m->a, bytes);
  Elf64_Ehdr h = elf_object_head(headers, (uint16_t)m->sections.n, (uint16_t)names_section);
  memcpy(file, &h, sizeof h);
  for (size_t i = 1; i < m->sections.n; i++) {
    const Elf64_Shdr *s = &m->sections.at[i];
    if (s->sh_type != SHT_NOBITS && s->sh_size) memcpy(file + s->sh_offset, m->contents.at[i], s->sh_size);
  }
  memcpy(file + headers, m->sections.at, m->sections.n * sizeof(Elf64_Shdr));
  return (str){file, bytes};
}

bool elf_merge(arena *a, size_t n, const str *objects, str *out) {
  merge m = {.a = a};
  part *parts = ARENA_ARRAY(a, part, n);
  sb_init(&m.names, a);
  add_section(&m, "", (Elf64_Shdr){0}, NULL);
  vec_push(a, &m.locals, (Elf64_Sym){0});
  for (size_t i = 0; i < n; i++) {
    parts[i].at = objects[i].p;
    memcpy(&parts[i].head, objects[i].p, sizeof parts[i].head);
    add_sections(&m, &parts[i]);
    add_symbols(&m, &parts[i]);
  }
  uint32_t kept = (uint32_t)m.sections.n, table = kept, names = kept + 1, n_sections = kept + 3;
  if (n_sections >= SHN_LORESERVE) return false;
  for (size_t i = 0; i < n; i++) renumber_sections(&m, &parts[i], i + 1 < n ? parts[i + 1].first_new : kept, table);
  size_t n_locals = m.locals.n;
  for (size_t i = 0; i < m.globals.n; i++) vec_push(a, &m.locals, m.globals.at[i]);
  add_section(&m, ".symtab",
              (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                           .sh_link = names,
                           .sh_info = (uint32_t)n_locals, // the first that is global
                           .sh_size = m.locals.n * sizeof(Elf64_Sym),
                           .sh_entsize = sizeof(Elf64_Sym),
                           .sh_addralign = 8},
              (const char *)m.locals.at);
  add_section(&m, ".strtab", (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_addralign = 1}, NULL);
  add_section(&m, ".note.GNU-stack", (Elf64_Shdr){.sh_type = SHT_PROGBITS, .sh_addralign = 1}, NULL);
  m.sections.at[names].sh_size = m.names.n;
  m.contents.at[names] = m.names.p;
  *out = write_out(&m, names);
  return true;
}
