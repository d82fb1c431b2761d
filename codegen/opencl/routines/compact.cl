// rt_compact: the rows that a mask selects, to the front. A group has the columns of a block (runtime/select.c). As many
// rows as there are work-items at a time: a sum over their marks says where each goes, then all copy.

__kernel void rt_compact(__global uchar *memory0, ulong begin0, __global uchar *memory1, ulong begin1,
                         __global uchar *memory2, ulong begin2, __global uchar *memory3, ulong begin3, long n,
                         long after, long most_rows, long most, long width, ulong blocks, __global ulong *fault) {
  __local int sum[RT_LANES_MOST], from[RT_LANES_MOST];
  const int lane = get_local_id(0), lanes = get_local_size(0);
  const long column = get_group_id(0) * most, columns = min(after - column, most);
  const __global uchar *x = memory0 + begin0 + column * width, *mask = memory1 + begin1;
  __global uchar *rows = memory2 + begin2 + column * width;
  long kept = 0;
  for (long first = 0; first < n && kept < most_rows; first += lanes) {
    const int selected = first + lane < n && mask[first + lane];
    sum[lane] = selected;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int d = 1; d < lanes; d *= 2) {
      const int before = lane >= d ? sum[lane - d] : 0;
      barrier(CLK_LOCAL_MEM_FENCE);
      sum[lane] += before;
      barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (selected) from[sum[lane] - 1] = lane;
    barrier(CLK_LOCAL_MEM_FENCE);
    const long taken = min((long)sum[lanes - 1], most_rows - kept);
    for (long i = lane; i < taken * columns; i += lanes) {
      const long r = i / columns, c = i % columns;
      rt_store(rows, (kept + r) * after + c, (int)width, rt_load(x, (first + from[r]) * after + c, (int)width));
    }
    kept += taken;
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  for (long i = lane; i < (most_rows - kept) * columns; i += lanes)
    rt_store(rows, (kept + i / columns) * after + i % columns, (int)width, 0);
  if (get_group_id(0) == 0 && lane == 0) *(__global int *)(memory3 + begin3) = (int)kept;
}
