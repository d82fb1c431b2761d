// rt_nms: boxes in order, each kept unless it overlaps too much with one kept before. One group: work-items share the
// boxes kept so far. In f64, as on the host.
#ifdef cl_khr_fp64
double rt_area(double4 b) { return (b.z - b.x) * (b.w - b.y); }

// Intersection over union.
double rt_overlap(double4 a, double4 b) {
  const double w = fmin(a.z, b.z) - fmax(a.x, b.x), h = fmin(a.w, b.w) - fmax(a.y, b.y);
  const double both = fmax(w, 0.0) * fmax(h, 0.0);
  return both / (rt_area(a) + rt_area(b) - both);
}

__kernel void rt_nms(__global uchar *memory0, ulong begin0, __global uchar *memory1, ulong begin1,
                     __global uchar *memory2, ulong begin2, __global uchar *memory3, ulong begin3, long n, long most,
                     long limit_bits, ulong points, __global ulong *fault) {
  __local int hits;
  const int lane = get_local_id(0), lanes = get_local_size(0);
  const __global double *boxes = (const __global double *)(memory0 + begin0);
  const __global int *order = (const __global int *)(memory1 + begin1);
  __global int *kept = (__global int *)(memory2 + begin2);
  const double limit = as_double(limit_bits);
  long count = 0;
  for (long i = 0; i < n && count < most; i++) {
    const double4 box = vload4(order[i], boxes);
    if (lane == 0) hits = 0;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    for (long k = lane; k < count; k += lanes)
      if (rt_overlap(vload4(kept[k], boxes), box) > limit) atomic_inc(&hits);
    barrier(CLK_LOCAL_MEM_FENCE);
    const int keep = hits == 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (keep && lane == 0) kept[count] = order[i];
    count += keep;
  }
  for (long i = count + lane; i < most; i += lanes) kept[i] = 0;
  if (lane == 0) *(__global int *)(memory3 + begin3) = (int)count;
}
#endif
