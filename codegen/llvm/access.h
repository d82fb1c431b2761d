// Between access.c and transpose.c: accesses by the flattened offset, and accesses that lie turned in memory.
#ifndef NNC_CODEGEN_LLVM_ACCESS_H
#define NNC_CODEGEN_LLVM_ACCESS_H

#include "codegen/llvm/cg.h"

// As cg_load and cg_store, with the row-major element offset, which mentions r and c.
cg_tile *cg_load_at(cg *g, const kir_buffer *buf, const idx *offset, uint32_t rows, uint32_t cols, kir_where w,
                    scalar otherwise);
void cg_store_at(cg *g, const kir_buffer *buf, const idx *offset, const cg_tile *x, uint32_t rows, uint32_t cols,
                 kir_where w);

// Does r run along memory and c across it, in whole blocks of VL x VL?
bool cg_is_turned(cg *g, kir_access acc, uint32_t rows, uint32_t cols);
cg_tile *cg_load_turned(cg *g, kir_access acc, uint32_t rows, uint32_t cols, kir_where w, scalar otherwise);
void cg_store_turned(cg *g, kir_access acc, const cg_tile *x, uint32_t rows, uint32_t cols, kir_where w);

#endif
