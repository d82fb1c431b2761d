// PNG images as tensors [height, width, channels].
#ifndef NNC_FRONTEND_IMAGE_H
#define NNC_FRONTEND_IMAGE_H

#include "ir/graph.h"

// Reads a PNG as u8, or as f32 with 255 mapped to 1. Channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; palettes become
// RGB, transparency by key becomes alpha, fewer than 8 bits are scaled up, 16 bits are rounded to 8. Interlacing is
// undone; gamma and colour profiles are ignored. dt is DT_u8 or DT_f32. NULL after a diagnostic (with the byte up to
// which the file was read).
ir_tensor *png_read(arena *a, diag_list *l, const char *path, dtype dt);

// Writes [h, w, c] with c of 1 to 4, of u8, or of f32 from 0 to 1 (clamped, NaN is 0, rounded to nearest); atomic.
bool png_write(arena *a, diag_list *l, const char *path, const ir_tensor *t);

#endif
