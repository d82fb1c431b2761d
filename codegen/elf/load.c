// The loader of kernels: a relocatable object becomes executable memory.
//
// Sections that are allocated are laid out one after another in one mapping, then 16 bytes a libm routine that is
// called: a jump through its address, since libm may lie further away than a call reaches, and a slot that holds the
// address. Relocations are applied while the mapping is writable; then it becomes executable and is never writable
// again. Unwind tables are left out: nothing is thrown through a kernel. The object is read with care, for it may come
// from a file: every offset is checked against the object's length before it is used.
#define _DEFAULT_SOURCE // MAP_ANONYMOUS
#include "codegen/elf/elf.h"
#include "ir/libm.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, STUB_BYTES = 16, STUB_SLOT = 8, MOST_BYTES = 1 << 30 };

struct loaded_code {
  arena *a;
  str object;
  Elf64_Ehdr head;
  uint64_t *place; // [sections]: offset in the mapping, or NOWHERE
  Elf64_Shdr symbols, names;
  uint64_t n_symbols;
  uint64_t *stub; // [symbols]: offset of the stub of an undefined one
  char *at;       // the mapping
  size_t bytes;
};

#define NOWHERE UINT64_MAX

static void *refuse(diag_list *l, const char *what, const char *why) {
  diag_at(l, NO_SPAN, codegen_jit, what, why);
  return NULL;
}

static bool broken(diag_list *l, const char *why) { return refuse(l, "the object is damaged", why) != NULL; }

static bool inside(const loaded_code *c, uint64_t offset, uint64_t bytes) {
  return offset <= c->object.n && bytes <= c->object.n - offset;
}

static Elf64_Shdr section(const loaded_code *c, size_t i) {
  Elf64_Shdr s;
  memcpy(&s, c->object.p + c->head.e_shoff + i * sizeof s, sizeof s);
  return s;
}

static Elf64_Sym symbol(const loaded_code *c, uint64_t i) {
  Elf64_Sym s;
  memcpy(&s, c->object.p + c->symbols.sh_offset + i * sizeof s, sizeof s);
  return s;
}

// NUL-terminated: read_headers has seen that the table ends with one.
static const char *name_of(const loaded_code *c, const Elf64_Sym *s) {
  return s->st_name < c->names.sh_size ? c->object.p + c->names.sh_offset + s->st_name : "";
}

static bool read_headers(loaded_code *c, diag_list *l) {
  if (c->object.n < sizeof c->head) return broken(l, "it is too short");
  memcpy(&c->head, c->object.p, sizeof c->head);
  const Elf64_Ehdr *h = &c->head;
  if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_type != ET_REL ||
      h->e_machine != EM_X86_64 || h->e_shentsize != sizeof(Elf64_Shdr))
    return broken(l, "it is no x86-64 object");
  if (!inside(c, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr))) return broken(l, "sections are missing");
  for (size_t i = 0; i < h->e_shnum; i++) {
    Elf64_Shdr s = section(c, i);
    if (s.sh_type != SHT_NOBITS && !inside(c, s.sh_offset, s.sh_size)) return broken(l, "a section is cut short");
    if (s.sh_type != SHT_SYMTAB) continue;
    if (s.sh_link >= h->e_shnum) return broken(l, "its symbols have no names");
    c->symbols = s;
    c->names = section(c, s.sh_link);
    c->n_symbols = s.sh_size / sizeof(Elf64_Sym);
  }
  if (!c->n_symbols || c->names.sh_type != SHT_STRTAB || !c->names.sh_size ||
      c->object.p[c->names.sh_offset + c->names.sh_size - 1])
    return broken(l, "it has no symbols");
  return true;
}

static bool is_loaded(const Elf64_Shdr *s) {
  return (s->sh_flags & SHF_ALLOC) && (s->sh_type == SHT_PROGBITS || s->sh_type == SHT_NOBITS);
}

// Places sections and stubs; c->bytes becomes the size of the whole.
static bool lay_out(loaded_code *c, diag_list *l) {
  uint64_t at = 0;
  c->place = ARENA_ARRAY(c->a, uint64_t, c->head.e_shnum + (size_t)1);
  c->stub = ARENA_ARRAY(c->a, uint64_t, c->n_symbols);
  for (size_t i = 0; i < c->head.e_shnum; i++) {
    Elf64_Shdr s = section(c, i);
    c->place[i] = NOWHERE;
    if (!is_loaded(&s)) continue;
    uint64_t align = s.sh_addralign ? s.sh_addralign : 1;
    if (align > PAGE || (align & (align - 1)) || s.sh_size > MOST_BYTES || at > MOST_BYTES)
      return broken(l, "a section has an absurd size");
    c->place[i] = at = (at + align - 1) & ~(align - 1);
    at += s.sh_size;
  }
  at = (at + STUB_BYTES - 1) & ~(uint64_t)(STUB_BYTES - 1);
  for (uint64_t i = 1; i < c->n_symbols; i++) {
    if (symbol(c, i).st_shndx != SHN_UNDEF) continue;
    c->stub[i] = at;
    at += STUB_BYTES;
  }
  c->bytes = at ? (size_t)((at + PAGE - 1) / PAGE * PAGE) : PAGE;
  return true;
}

static void unmap(void *handle) {
  loaded_code *c = handle;
  if (c->at) munmap(c->at, c->bytes);
}

static bool fill(loaded_code *c, diag_list *l) {
  void *at = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    diag_at(l, NO_SPAN, out_of_memory);
    return false;
  }
  c->at = at;
  for (size_t i = 0; i < c->head.e_shnum; i++) {
    Elf64_Shdr s = section(c, i);
    if (c->place[i] != NOWHERE && s.sh_type != SHT_NOBITS)
      memcpy(c->at + c->place[i], c->object.p + s.sh_offset, s.sh_size);
  }
  for (uint64_t i = 1; i < c->n_symbols; i++) {
    Elf64_Sym s = symbol(c, i);
    if (s.st_shndx != SHN_UNDEF) continue;
    const libm_routine *r = libm_find(name_of(c, &s));
    if (!r) return refuse(l, "a symbol that kernels do not know", name_of(c, &s)) != NULL;
    static const unsigned char jump[] = {0xff, 0x25, STUB_SLOT - 6, 0, 0, 0}; // jmp *slot(%rip)
    uint64_t address = r->of_one ? (uintptr_t)r->of_one : (uintptr_t)r->of_two;
    memcpy(c->at + c->stub[i], jump, sizeof jump);
    memcpy(c->at + c->stub[i] + STUB_SLOT, &address, sizeof address);
  }
  return true;
}

// Where a symbol lies in the mapping; NOWHERE when it does not. A call of a routine goes to its stub, the address of
// one is in the stub's slot.
static uint64_t place_of(const loaded_code *c, uint64_t i, bool slot) {
  if (i == 0 || i >= c->n_symbols) return NOWHERE;
  Elf64_Sym s = symbol(c, i);
  if (s.st_shndx == SHN_UNDEF) return c->stub[i] + (slot ? STUB_SLOT : 0);
  if (s.st_shndx >= c->head.e_shnum || c->place[s.st_shndx] == NOWHERE || slot) return NOWHERE;
  return s.st_value <= c->bytes - c->place[s.st_shndx] ? c->place[s.st_shndx] + s.st_value : NOWHERE;
}

static bool relocate(loaded_code *c, diag_list *l, const Elf64_Rela *r, uint64_t base, uint64_t base_bytes) {
  uint64_t type = ELF64_R_TYPE(r->r_info), width = type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
  bool slot = type == R_X86_64_GOTPCREL || type == R_X86_64_GOTPCRELX || type == R_X86_64_REX_GOTPCRELX;
  if (type != R_X86_64_64 && type != R_X86_64_PC64 && type != R_X86_64_PC32 && type != R_X86_64_PLT32 && !slot)
    return broken(l, "it has a relocation that is not known here");
  uint64_t target = place_of(c, ELF64_R_SYM(r->r_info), slot);
  if (target == NOWHERE || r->r_offset > base_bytes || width > base_bytes - r->r_offset)
    return broken(l, "a relocation points outside");
  uint64_t at = base + r->r_offset, value = (uint64_t)(uintptr_t)c->at + target + (uint64_t)r->r_addend;
  if (type != R_X86_64_64) value -= (uint64_t)(uintptr_t)c->at + at;
  if (width == 4 && (int64_t)value != (int32_t)value) return broken(l, "a relocation does not fit");
  memcpy(c->at + at, &value, width);
  return true;
}

static bool relocate_all(loaded_code *c, diag_list *l) {
  for (size_t i = 0; i < c->head.e_shnum; i++) {
    Elf64_Shdr s = section(c, i);
    if (s.sh_type != SHT_RELA || s.sh_info >= c->head.e_shnum || c->place[s.sh_info] == NOWHERE) continue;
    for (uint64_t k = 0; k < s.sh_size / sizeof(Elf64_Rela); k++) {
      Elf64_Rela r;
      memcpy(&r, c->object.p + s.sh_offset + k * sizeof r, sizeof r);
      if (!relocate(c, l, &r, c->place[s.sh_info], section(c, s.sh_info).sh_size)) return false;
    }
  }
  return true;
}

loaded_code *code_load(arena *a, diag_list *l, str object) {
  loaded_code *c = ARENA_NEW(a, loaded_code);
  *c = (loaded_code){.a = a, .object = object};
  arena_defer(a, unmap, c);
  if (!read_headers(c, l) || !lay_out(c, l) || !fill(c, l) || !relocate_all(c, l)) return NULL;
  if (mprotect(c->at, c->bytes, PROT_READ | PROT_EXEC) != 0)
    return refuse(l, "memory cannot be made executable", "the system forbids it");
  return c;
}

void *code_find(const loaded_code *c, diag_list *l, const char *name) {
  for (uint64_t i = 1; i < c->n_symbols; i++) {
    Elf64_Sym s = symbol(c, i);
    if (s.st_shndx == SHN_UNDEF || strcmp(name_of(c, &s), name) != 0) continue;
    uint64_t at = place_of(c, i, false);
    if (at < c->bytes) return c->at + at;
  }
  return refuse(l, "it has no such symbol", name);
}
