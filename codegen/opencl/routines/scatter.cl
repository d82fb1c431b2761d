// rt_scatter: rows written, or added, at computed places. A group has the columns of a block (runtime/scatter.c).
//
// A work-item owns columns of the block, and where these are fewer than work-items, every so manyth row too: it copies
// the base there and takes the places in order, as the host does. Nobody waits for anybody.

#define RT_BOTH_32(T, name, meet)                                                                                      \
  case 4 * RT_##T + name: {                                                                                            \
    const rt_##T a = as_rt_##T((uint)old), b = as_rt_##T((uint)new);                                                   \
    return as_uint(meet);                                                                                              \
  }
#define RT_BOTH_64(T, name, meet)                                                                                      \
  case 4 * RT_##T + name: {                                                                                            \
    const rt_##T a = as_rt_##T(old), b = as_rt_##T(new);                                                               \
    return as_ulong(meet);                                                                                             \
  }
#define RT_FIRST (a < b || (a == b && signbit(a)))

typedef float rt_f32;
typedef int rt_i32;
typedef long rt_i64;
#define as_rt_f32 as_float
#define as_rt_i32 as_int
#define as_rt_i64 as_long
#ifdef cl_khr_fp64
typedef double rt_f64;
#define as_rt_f64 as_double
#endif

enum { rt_set, rt_add, rt_max, rt_min };

// Of a value in place and a new one. As the operators `max` and `min`: NaN if either is, and -0 below 0.
ulong rt_meet(int how, ulong old, ulong new) {
  switch (how) {
    RT_BOTH_32(f32, rt_add, a + b)
    RT_BOTH_32(f32, rt_max, isnan(a) || isnan(b) ? as_float(0x7fc00000) : RT_FIRST ? b : a)
    RT_BOTH_32(f32, rt_min, isnan(a) || isnan(b) ? as_float(0x7fc00000) : RT_FIRST ? a : b)
#ifdef cl_khr_fp64
    RT_BOTH_64(f64, rt_add, a + b)
    RT_BOTH_64(f64, rt_max, isnan(a) || isnan(b) ? as_double(0x7ff8000000000000UL) : RT_FIRST ? b : a)
    RT_BOTH_64(f64, rt_min, isnan(a) || isnan(b) ? as_double(0x7ff8000000000000UL) : RT_FIRST ? a : b)
#endif
  case 4 * RT_i32 + rt_add: return (uint)old + (uint)new; // wraps
  case 4 * RT_i64 + rt_add: return old + new;
    RT_BOTH_32(i32, rt_max, a < b ? b : a)
    RT_BOTH_32(i32, rt_min, a < b ? a : b)
    RT_BOTH_64(i64, rt_max, a < b ? b : a)
    RT_BOTH_64(i64, rt_min, a < b ? a : b)
  default: return new;
  }
}

__kernel void rt_scatter(__global uchar *memory0, ulong begin0, __global uchar *memory1, ulong begin1,
                         __global uchar *memory2, ulong begin2, __global uchar *memory3, ulong begin3, long n, long row,
                         long places, long most, long how, long site, ulong blocks_of_all, __global ulong *fault) {
  const int width = rt_widths[how / 4];
  const long blocks = row > most ? (row + most - 1) / most : 1;
  const long matrix = get_group_id(0) / blocks, column = get_group_id(0) % blocks * most;
  const long columns = min(row - column, most);
  const __global int *index = (const __global int *)(memory1 + begin1);
  const __global uchar *base = memory0 + begin0 + (matrix * n * row + column) * width;
  const __global uchar *src = memory2 + begin2 + (matrix * places * row + column) * width;
  __global uchar *out = memory3 + begin3 + (matrix * n * row + column) * width;
  int across = 1; // work-items along the columns
  while (across < columns && across * 2 <= (int)get_local_size(0)) across *= 2;
  const int down = get_local_size(0) / across, own = get_local_id(0) / across, first = get_local_id(0) % across;
  if (own >= down) return;
  for (long i = own; i < n; i += down)
    for (long c = first; c < columns; c += across) rt_store(out, i * row + c, width, rt_load(base, i * row + c, width));
  int inside = 1;
  for (long k = 0; k < places; k++) {
    const long i = index[k];
    if (i < 0 || i >= n) {
      inside = 0;
      continue;
    }
    if (i % down != own) continue;
    for (long c = first; c < columns; c += across) {
      const ulong old = how % 4 == rt_set ? 0 : rt_load(out, i * row + c, width);
      rt_store(out, i * row + c, width, rt_meet((int)how, old, rt_load(src, k * row + c, width)));
    }
  }
  if (!inside) atomic_xchg((volatile __global uint *)fault, (uint)site + 1);
}
