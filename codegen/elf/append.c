// Weights at the end of a linked library.
//
// A linker would read and copy them: seconds and several times their size in memory, for bytes that it has nothing to
// do with. So it links one page in their place, which the script makes the last segment of the file (a byte without
// content before it keeps it out of the writable one). Afterwards two headers are changed: the segment's and the
// section's offset and size. Nothing that is loaded lies behind the weights' addresses, so they may be of any size.
#include "codegen/elf/elf.h"

#include <elf.h>
#include <string.h>

enum { PAGE = 4096 };

static const char section_name[] = ".nnc.weights";

const char elf_weights_script[] =
    "SECTIONS { .nnc.gap (NOLOAD) : { . += 1; } .nnc.weights : { KEEP(*(.nnc.weights)) } } "
    "INSERT AFTER .bss;\n";

static bool table_fits(size_t file, uint64_t offset, uint64_t n, uint64_t each) {
  return offset <= file && n * each <= file - offset;
}

// The section of the weights, and where its header lies in the file; 0: there is none.
static uint64_t find_section(const char *file, size_t n, const Elf64_Ehdr *h, Elf64_Shdr *out) {
  Elf64_Shdr names;
  if (h->e_shstrndx >= h->e_shnum || !table_fits(n, h->e_shoff, h->e_shnum, sizeof names)) return 0;
  memcpy(&names, file + h->e_shoff + h->e_shstrndx * sizeof names, sizeof names);
  for (uint64_t i = 0; i < h->e_shnum; i++) {
    uint64_t at = h->e_shoff + i * sizeof *out;
    memcpy(out, file + at, sizeof *out);
    if (table_fits(n, names.sh_offset + out->sh_name, 1, sizeof section_name) &&
        memcmp(file + names.sh_offset + out->sh_name, section_name, sizeof section_name) == 0)
      return at;
  }
  return 0;
}

// The loaded segment that begins at `address` and after which nothing is loaded; 0: there is none.
static uint64_t find_segment(const char *file, size_t n, const Elf64_Ehdr *h, uint64_t address, Elf64_Phdr *out) {
  uint64_t found = 0;
  if (!table_fits(n, h->e_phoff, h->e_phnum, sizeof *out)) return 0;
  for (uint64_t i = 0; i < h->e_phnum; i++) {
    Elf64_Phdr p;
    memcpy(&p, file + h->e_phoff + i * sizeof p, sizeof p);
    if (p.p_type != PT_LOAD) continue;
    if (p.p_vaddr > address) return 0;
    if (p.p_vaddr == address && !(p.p_flags & PF_W)) found = h->e_phoff + i * sizeof p, *out = p;
  }
  return found;
}

uint64_t elf_append_weights(char *library, size_t library_bytes, uint64_t bytes) {
  Elf64_Ehdr h;
  Elf64_Shdr s;
  Elf64_Phdr p;
  if (library_bytes < sizeof h) return 0;
  memcpy(&h, library, sizeof h);
  uint64_t section = find_section(library, library_bytes, &h, &s);
  uint64_t segment = section ? find_segment(library, library_bytes, &h, s.sh_addr, &p) : 0;
  if (!segment || p.p_filesz != s.sh_size) return 0;
  p.p_offset = s.sh_offset = (library_bytes + PAGE - 1) / PAGE * PAGE;
  p.p_filesz = p.p_memsz = s.sh_size = bytes;
  memcpy(library + section, &s, sizeof s);
  memcpy(library + segment, &p, sizeof p);
  return p.p_offset;
}
