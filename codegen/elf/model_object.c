// The object that makes kernels and plan one library: an ELF relocatable written directly, so that no LLVM is needed.
//
//   .rodata           the plan, then the kernels of a device
//   .data.rel.ro      nnc_aot_model {magic, abi, plan, kernels, constants, layout, device}, then the table of kernels;
//                     relocated, then read-only
//   .nnc.weights      one page that stands for the weights: they are appended when everything is linked (append.c)
//   .rela.data.rel.ro the addresses in it: of .rodata, of the table, of the weights, of each kernel of the CPU
#include "codegen/elf/elf.h"

#include <elf.h>
#include <string.h>

enum section { S_none, S_rodata, S_weights, S_data, S_rela, S_symbols, S_strings, S_names, S_stack, N_SECTIONS };

static const char section_names[] =
    "\0.rodata\0.nnc.weights\0.data.rel.ro\0.rela.data.rel.ro\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";
static const uint32_t section_name_at[N_SECTIONS] = {0, 1, 9, 22, 35, 53, 61, 69, 79};

// Symbols: none, the three sections, the model, then the kernels.
enum { SYM_rodata = 1, SYM_weights, SYM_data, SYM_model, SYM_kernels };

enum {
  PAGE = 4096,
  FIELD_plan = 16,
  FIELD_kernels = 24,
  FIELD_constants = 32,
  FIELD_layout = 40,
  FIELD_device = 56,
  MODEL_BYTES = 64,
  FIXED_RELOCATIONS = 2
};

static const char model_name[] = "nnc_aot_model";

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

typedef struct layout {
  uint64_t offset[N_SECTIONS], bytes[N_SECTIONS]; // in the file
  uint64_t device;                                // behind the plan
  size_t n_symbols;                               // of kernels
  uint64_t headers, total;
} layout;

static layout lay_out(const model_parts *m) {
  layout w = {0};
  w.device = round_up(m->plan.n, 8);
  w.bytes[S_rodata] = m->device.n ? w.device + m->device.n : m->plan.n;
  for (size_t i = 0; i < m->n_kernels; i++) w.n_symbols += (size_t)(m->kernels[i] != NULL);
  w.bytes[S_weights] = m->has_weights ? PAGE : 0;
  w.bytes[S_data] = MODEL_BYTES + 8 * m->n_kernels;
  w.bytes[S_rela] = ((size_t)FIXED_RELOCATIONS + (size_t)m->has_weights + (size_t)(m->device.n > 0) + w.n_symbols) *
                    sizeof(Elf64_Rela);
  w.bytes[S_symbols] = (SYM_kernels + w.n_symbols) * sizeof(Elf64_Sym);
  w.bytes[S_strings] = 1 + sizeof model_name;
  for (size_t i = 0; i < m->n_kernels; i++)
    if (m->kernels[i]) w.bytes[S_strings] += strlen(m->kernels[i]) + 1;
  w.bytes[S_names] = sizeof section_names;
  uint64_t at = sizeof(Elf64_Ehdr);
  for (int s = S_rodata; s < N_SECTIONS; s++) {
    w.offset[s] = round_up(at, s == S_weights ? PAGE : 64);
    at = w.offset[s] + w.bytes[s];
  }
  w.headers = round_up(at, 8);
  w.total = w.headers + N_SECTIONS * sizeof(Elf64_Shdr);
  return w;
}

Elf64_Ehdr elf_object_head(uint64_t sections_at, uint16_t n_sections, uint16_t names) {
  return (Elf64_Ehdr){
      .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
      .e_type = ET_REL,
      .e_machine = EM_X86_64,
      .e_version = EV_CURRENT,
      .e_shoff = sections_at,
      .e_ehsize = sizeof(Elf64_Ehdr),
      .e_shentsize = sizeof(Elf64_Shdr),
      .e_shnum = n_sections,
      .e_shstrndx = names};
}

static void write_headers(unsigned char *file, const layout *w) {
  Elf64_Ehdr h = elf_object_head(w->headers, N_SECTIONS, S_names);
  memcpy(file, &h, sizeof h);
  Elf64_Shdr s[N_SECTIONS] = {
      [S_rodata] = {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_addralign = 64},
      [S_weights] = {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_addralign = PAGE},
      [S_data] = {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_WRITE, .sh_addralign = 8},
      [S_rela] = {.sh_type = SHT_RELA, .sh_flags = SHF_INFO_LINK, .sh_link = S_symbols, .sh_info = S_data},
      [S_symbols] = {.sh_type = SHT_SYMTAB,
                     .sh_link = S_strings,
                     .sh_info = SYM_model}, // info: the first that is global
      [S_strings] = {.sh_type = SHT_STRTAB, .sh_addralign = 1},
      [S_names] = {.sh_type = SHT_STRTAB, .sh_addralign = 1},
      [S_stack] = {.sh_type = SHT_PROGBITS, .sh_addralign = 1}};
  s[S_rela].sh_addralign = s[S_symbols].sh_addralign = 8;
  s[S_rela].sh_entsize = sizeof(Elf64_Rela);
  s[S_symbols].sh_entsize = sizeof(Elf64_Sym);
  for (int i = S_rodata; i < N_SECTIONS; i++) {
    s[i].sh_name = section_name_at[i];
    s[i].sh_offset = w->offset[i];
    s[i].sh_size = w->bytes[i];
  }
  memcpy(file + w->headers, s, sizeof s);
  memcpy(file + w->offset[S_names], section_names, sizeof section_names);
}

static void write_symbol(unsigned char *file, const layout *w, size_t i, Elf64_Sym s) {
  memcpy(file + w->offset[S_symbols] + i * sizeof s, &s, sizeof s);
}

// Copies a name into the string table at *at; returns where it is.
static uint32_t write_name(unsigned char *file, const layout *w, const char *name, uint64_t *at) {
  uint64_t here = *at;
  size_t n = strlen(name) + 1;
  memcpy(file + w->offset[S_strings] + here, name, n);
  *at += n;
  return (uint32_t)here;
}

static void write_symbols(unsigned char *file, const layout *w, size_t n_kernels, const char *const *kernels) {
  unsigned char section = ELF64_ST_INFO(STB_LOCAL, STT_SECTION);
  uint64_t at = 1;
  size_t n = SYM_kernels;
  write_symbol(file, w, SYM_rodata, (Elf64_Sym){.st_info = section, .st_shndx = S_rodata});
  write_symbol(file, w, SYM_weights, (Elf64_Sym){.st_info = section, .st_shndx = S_weights});
  write_symbol(file, w, SYM_data, (Elf64_Sym){.st_info = section, .st_shndx = S_data});
  Elf64_Sym model = {.st_name = write_name(file, w, model_name, &at),
                     .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
                     .st_other = STV_DEFAULT,
                     .st_shndx = S_data,
                     .st_size = MODEL_BYTES};
  write_symbol(file, w, SYM_model, model);
  for (size_t i = 0; i < n_kernels; i++) { // defined elsewhere in the same library
    if (!kernels[i]) continue;
    Elf64_Sym kernel = {.st_name = write_name(file, w, kernels[i], &at),
                        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE),
                        .st_other = STV_HIDDEN,
                        .st_shndx = SHN_UNDEF};
    write_symbol(file, w, n++, kernel);
  }
}

// The i-th relocation: the 8 bytes at `at` of .data.rel.ro become the address of `symbol`, plus `add`.
static void relocate(unsigned char *file, const layout *w, size_t i, uint64_t at, size_t symbol, uint64_t add) {
  Elf64_Rela r = {.r_offset = at, .r_info = ELF64_R_INFO(symbol, R_X86_64_64), .r_addend = (Elf64_Sxword)add};
  memcpy(file + w->offset[S_rela] + i * sizeof r, &r, sizeof r);
}

str model_object(arena *a, const model_parts *m) {
  layout w = lay_out(m);
  unsigned char *file = arena_alloc(a, w.total), *model = file + w.offset[S_data];
  write_headers(file, &w);
  if (m->plan.n > 0) memcpy(file + w.offset[S_rodata], m->plan.p, m->plan.n);
  if (m->device.n > 0) memcpy(file + w.offset[S_rodata] + w.device, m->device.p, m->device.n);
  memcpy(model, &m->magic, sizeof m->magic);
  memcpy(model + 8, &m->abi, sizeof m->abi);
  memcpy(model + FIELD_layout, m->layout, 2 * sizeof *m->layout);
  write_symbols(file, &w, m->n_kernels, m->kernels);
  size_t n = 0;
  relocate(file, &w, n++, FIELD_plan, SYM_rodata, 0);
  relocate(file, &w, n++, FIELD_kernels, SYM_data, MODEL_BYTES);
  if (m->has_weights) relocate(file, &w, n++, FIELD_constants, SYM_weights, 0);
  if (m->device.n > 0) relocate(file, &w, n++, FIELD_device, SYM_rodata, w.device);
  for (size_t i = 0, symbol = SYM_kernels; i < m->n_kernels; i++)
    if (m->kernels[i]) relocate(file, &w, n++, MODEL_BYTES + 8 * i, symbol++, 0);
  return (str){(const char *)file, w.total};
}
