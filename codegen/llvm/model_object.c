// The object that makes kernels, plan and constants one library: an ELF relocatable written directly, in one pass and
// one allocation.
//
// Through a compiler's constants the bytes would be copied four times; weights are up to gigabytes. Layout (System V
// ABI ch. 4 and its AMD64 supplement):
//   .rodata           constants (on a page), then the plan
//   .data.rel.ro      nnc_aot_model {magic, abi, plan, kernels, constants}, then the table of kernels; relocated, then
//   read-only .rela.data.rel.ro the addresses in it: of .rodata, of the table, of each kernel
#include "codegen/llvm/object.h"

#include <elf.h>
#include <string.h>

enum section { S_none, S_rodata, S_data, S_rela, S_symbols, S_strings, S_names, S_stack, N_SECTIONS };

static const char section_names[] =
    "\0.rodata\0.data.rel.ro\0.rela.data.rel.ro\0.symtab\0.strtab\0.shstrtab\0.note.GNU-stack";
static const uint32_t section_name_at[N_SECTIONS] = {0, 1, 9, 22, 40, 48, 56, 66};

// Symbols: none, the two sections, the model, then the kernels.
enum { SYM_rodata = 1, SYM_data, SYM_model, SYM_kernels };

enum {
  PAGE = 4096,
  FIELD_plan = 16,
  FIELD_kernels = 24,
  FIELD_constants = 32,
  MODEL_BYTES = 40,
  FIXED_RELOCATIONS = 3
};

static const char model_name[] = "nnc_aot_model";

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

typedef struct layout {
  uint64_t offset[N_SECTIONS], bytes[N_SECTIONS]; // in the file
  uint64_t plan;                                  // within .rodata
  uint64_t headers, total;
} layout;

static layout lay_out(size_t n_kernels, const char *const *kernels, str plan, str constants) {
  layout w = {.plan = round_up(constants.n, 64)};
  w.bytes[S_rodata] = w.plan + plan.n;
  w.bytes[S_data] = MODEL_BYTES + 8 * n_kernels;
  w.bytes[S_rela] = (FIXED_RELOCATIONS + n_kernels) * sizeof(Elf64_Rela);
  w.bytes[S_symbols] = (SYM_kernels + n_kernels) * sizeof(Elf64_Sym);
  w.bytes[S_strings] = 1 + sizeof model_name;
  for (size_t i = 0; i < n_kernels; i++) w.bytes[S_strings] += strlen(kernels[i]) + 1;
  w.bytes[S_names] = sizeof section_names;
  uint64_t at = sizeof(Elf64_Ehdr);
  for (int s = S_rodata; s < N_SECTIONS; s++) {
    w.offset[s] = round_up(at, s == S_rodata ? PAGE : 8);
    at = w.offset[s] + w.bytes[s];
  }
  w.headers = round_up(at, 8);
  w.total = w.headers + N_SECTIONS * sizeof(Elf64_Shdr);
  return w;
}

static void write_headers(unsigned char *file, const layout *w) {
  Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
                  .e_type = ET_REL,
                  .e_machine = EM_X86_64,
                  .e_version = EV_CURRENT,
                  .e_shoff = w->headers,
                  .e_ehsize = sizeof(Elf64_Ehdr),
                  .e_shentsize = sizeof(Elf64_Shdr),
                  .e_shnum = N_SECTIONS,
                  .e_shstrndx = S_names};
  memcpy(file, &h, sizeof h);
  Elf64_Shdr s[N_SECTIONS] = {
      [S_rodata] = {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_addralign = PAGE},
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
  write_symbol(file, w, SYM_rodata, (Elf64_Sym){.st_info = section, .st_shndx = S_rodata});
  write_symbol(file, w, SYM_data, (Elf64_Sym){.st_info = section, .st_shndx = S_data});
  Elf64_Sym model = {.st_name = write_name(file, w, model_name, &at),
                     .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
                     .st_other = STV_DEFAULT,
                     .st_shndx = S_data,
                     .st_size = MODEL_BYTES};
  write_symbol(file, w, SYM_model, model);
  for (size_t i = 0; i < n_kernels; i++) { // defined elsewhere in the same library
    Elf64_Sym kernel = {.st_name = write_name(file, w, kernels[i], &at),
                        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE),
                        .st_other = STV_HIDDEN,
                        .st_shndx = SHN_UNDEF};
    write_symbol(file, w, SYM_kernels + i, kernel);
  }
}

// The i-th relocation: the 8 bytes at `at` of .data.rel.ro become the address of `symbol`, plus `add`.
static void relocate(unsigned char *file, const layout *w, size_t i, uint64_t at, size_t symbol, uint64_t add) {
  Elf64_Rela r = {.r_offset = at, .r_info = ELF64_R_INFO(symbol, R_X86_64_64), .r_addend = (Elf64_Sxword)add};
  memcpy(file + w->offset[S_rela] + i * sizeof r, &r, sizeof r);
}

bool cg_model_object(arena *a, diag_list *l, const target *t, uint64_t magic, uint64_t abi, size_t n_kernels,
                     const char *const *kernels, str plan, str constants, llvm_object *out) {
  (void)l;
  (void)t; // every level is x86-64
  layout w = lay_out(n_kernels, kernels, plan, constants);
  unsigned char *file = arena_alloc(a, w.total), *model = file + w.offset[S_data];
  write_headers(file, &w);
  if (constants.n > 0) memcpy(file + w.offset[S_rodata], constants.p, constants.n);
  if (plan.n > 0) memcpy(file + w.offset[S_rodata] + w.plan, plan.p, plan.n);
  memcpy(model, &magic, sizeof magic);
  memcpy(model + 8, &abi, sizeof abi);
  write_symbols(file, &w, n_kernels, kernels);
  relocate(file, &w, 0, FIELD_plan, SYM_rodata, w.plan);
  relocate(file, &w, 1, FIELD_kernels, SYM_data, MODEL_BYTES);
  relocate(file, &w, 2, FIELD_constants, SYM_rodata, 0);
  for (size_t i = 0; i < n_kernels; i++) {
    relocate(file, &w, FIXED_RELOCATIONS + i, MODEL_BYTES + 8 * i, SYM_kernels + i, 0);
  }
  *out = (llvm_object){{(const char *)file, w.total}, 0, NULL};
  return true;
}
