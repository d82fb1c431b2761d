// rt_order: the first k of each line in order. A group has a line.
//
// Keys are those of runtime/order.c, with the index below them: a strict total order, so that the result is the same
// whatever the order in which work-items get on. Sorting is bitonic, by a network whose comparisons all put the lesser
// element first (Batcher 1968), so that what lies behind the end counts as the largest and is never touched. Up to
// RT_CHUNK elements are sorted in local memory.
//
// A longer line: what may be among the first is collected, up to half a chunk of results at a time; whenever it fills
// local memory it is sorted and cut to what can still be a result, and from then on only what is better is collected.
// Where all of the line is asked for, it is sorted where the results lie, chunks of it in local memory.
enum { RT_HALF = RT_CHUNK / 2 };

typedef struct rt_form { // of a dtype, in bits of its width
  ulong mask, sign, infinity;
  int down;
} rt_form;

rt_form rt_form_of(int dt, int down) {
  rt_form f;
  f.mask = ULONG_MAX >> (64 - 8 * rt_widths[dt]);
  f.sign = dt == RT_u8 || dt == RT_bool ? 0 : f.mask ^ (f.mask >> 1);
  f.infinity = dt == RT_f32    ? 0x7f800000UL
               : dt == RT_f16  ? 0x7c00UL
               : dt == RT_bf16 ? 0x7f80UL
               : dt == RT_f64  ? 0x7ff0000000000000UL
                               : 0;
  f.down = down;
  return f;
}

ulong rt_key(rt_form f, ulong bits) {
  ulong size = bits & ~f.sign, key = bits ^ f.sign;
  if (f.infinity) {
    if (size == 0) bits = 0;
    key = size > f.infinity ? f.mask : bits & f.sign ? ~bits & f.mask : bits | f.sign;
  }
  return f.down ? ~key & f.mask : key;
}

int rt_before(ulong key, uint at, ulong other, uint other_at) {
  return key < other || (key == other && at < other_at);
}

// -- in local memory --

void rt_compare(__local ulong *key, __local uint *at, int a, int b) {
  ulong key_a = key[a], key_b = key[b];
  uint at_a = at[a], at_b = at[b];
  if (!rt_before(key_b, at_b, key_a, at_a)) return;
  key[a] = key_b, key[b] = key_a;
  at[a] = at_b, at[b] = at_a;
}

// The last steps of a merge, from comparisons `stride` apart on.
void rt_merge(__local ulong *key, __local uint *at, int n, int stride) {
  for (; stride > 0; stride /= 2) {
    for (int i = get_local_id(0); i < n / 2; i += get_local_size(0)) {
      int a = i / stride * 2 * stride + i % stride;
      rt_compare(key, at, a, a + stride);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}

// The first n places, which all work-items see.
void rt_sort(__local ulong *key, __local uint *at, int n) {
  int all = 2;
  while (all < n) all *= 2;
  for (int i = n + get_local_id(0); i < all; i += get_local_size(0)) key[i] = ULONG_MAX, at[i] = UINT_MAX;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int size = 2; size <= all; size *= 2) {
    for (int i = get_local_id(0); i < all / 2; i += get_local_size(0)) {
      int first = i / (size / 2) * size, k = i % (size / 2);
      rt_compare(key, at, first + k, first + size - 1 - k);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    rt_merge(key, at, all, size / 4);
  }
}

// -- lines --

typedef struct rt_line { // elements stand `stride` apart
  __global const uchar *x;
  __global uchar *values;
  __global int *index;
  long n, stride;
  int width;
  rt_form form;
} rt_line;

ulong rt_key_at(rt_line l, long i) { return rt_key(l.form, rt_load(l.x, i * l.stride, l.width)); }

void rt_compare_far(rt_line l, long a, long b) {
  ulong key_a = rt_load(l.values, a * l.stride, l.width), key_b = rt_load(l.values, b * l.stride, l.width);
  int at_a = l.index[a * l.stride], at_b = l.index[b * l.stride];
  if (!rt_before(key_b, (uint)at_b, key_a, (uint)at_a)) return;
  rt_store(l.values, a * l.stride, l.width, key_b);
  rt_store(l.values, b * l.stride, l.width, key_a);
  l.index[a * l.stride] = at_b, l.index[b * l.stride] = at_a;
}

// Each chunk through local memory: sorted whole (from the line), or the last steps of a merge (where results lie).
void rt_chunks(rt_line l, __local ulong *key, __local uint *at, int merging) {
  for (long first = 0; first < l.n; first += RT_CHUNK) {
    int n = (int)min(l.n - first, (long)RT_CHUNK);
    for (int i = get_local_id(0); i < RT_CHUNK; i += get_local_size(0)) {
      long place = (first + i) * l.stride;
      key[i] = i >= n ? ULONG_MAX : merging ? rt_load(l.values, place, l.width) : rt_key_at(l, first + i);
      at[i] = i >= n ? UINT_MAX : merging ? (uint)l.index[place] : (uint)(first + i);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (merging) rt_merge(key, at, RT_CHUNK, RT_CHUNK / 2);
    else rt_sort(key, at, RT_CHUNK);
    for (int i = get_local_id(0); i < n; i += get_local_size(0)) {
      rt_store(l.values, (first + i) * l.stride, l.width, key[i]);
      l.index[(first + i) * l.stride] = (int)at[i];
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  }
}

void rt_order_all(rt_line l, __local ulong *key, __local uint *at) {
  rt_chunks(l, key, at, 0);
  for (long size = 2 * RT_CHUNK; size / 2 < l.n; size *= 2) {
    long pairs = (l.n + size - 1) / size * (size / 2);
    for (long stride = size / 2; stride >= RT_CHUNK; stride /= 2) { // the first step compares from both ends
      for (long i = get_local_id(0); i < pairs; i += get_local_size(0)) {
        long a = i / stride * 2 * stride + i % stride, b = a + stride;
        if (stride == size / 2) b = a - i % stride + size - 1 - i % stride;
        if (b < l.n) rt_compare_far(l, a, b);
      }
      barrier(CLK_GLOBAL_MEM_FENCE);
    }
    rt_chunks(l, key, at, 1);
  }
  for (long i = get_local_id(0); i < l.n; i += get_local_size(0))
    rt_store(l.values, i * l.stride, l.width, rt_load(l.x, l.index[i * l.stride] * l.stride, l.width));
}

void rt_order_first(rt_line l, long k, __local ulong *key, __local uint *at, __local int *count) {
  const int lane = get_local_id(0), lanes = get_local_size(0);
  const long most = l.n <= RT_CHUNK ? RT_CHUNK : RT_HALF;
  ulong last = 0; // of the results so far
  uint last_at = 0;
  for (long done = 0; done < k; done += most) {
    const int wanted = (int)min(k - done, most);
    ulong worst = ULONG_MAX; // once there are as many as wanted
    uint worst_at = UINT_MAX;
    int held;
    if (lane == 0) *count = 0;
    for (long first = 0; first < l.n; first += RT_HALF) {
      barrier(CLK_LOCAL_MEM_FENCE);
      held = *count;
      barrier(CLK_LOCAL_MEM_FENCE);
      if (held > RT_HALF) {
        rt_sort(key, at, held);
        worst = key[wanted - 1], worst_at = at[wanted - 1];
        if (lane == 0) *count = wanted;
        barrier(CLK_LOCAL_MEM_FENCE);
      }
      for (long i = first + lane; i < min(first + RT_HALF, l.n); i += lanes) {
        ulong its = rt_key_at(l, i);
        int later = done == 0 || rt_before(last, last_at, its, (uint)i);
        if (!later || !rt_before(its, (uint)i, worst, worst_at)) continue;
        int to = atomic_inc(count);
        key[to] = its, at[to] = (uint)i;
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    held = *count;
    barrier(CLK_LOCAL_MEM_FENCE);
    rt_sort(key, at, held);
    for (int i = lane; i < wanted; i += lanes) {
      l.index[(done + i) * l.stride] = (int)at[i];
      rt_store(l.values, (done + i) * l.stride, l.width, rt_load(l.x, at[i] * l.stride, l.width));
    }
    last = key[wanted - 1], last_at = at[wanted - 1];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}

__kernel void rt_order(__global uchar *memory0, ulong begin0, __global uchar *memory1, ulong begin1,
                       __global uchar *memory2, ulong begin2, long n, long asked, long stride, long how, ulong lines,
                       __global ulong *fault) {
  __local ulong key[RT_CHUNK];
  __local uint at[RT_CHUNK];
  __local int count;
  const long line = get_group_id(0), k = min(asked, n);
  const long from = line / stride * n * stride + line % stride, to = line / stride * k * stride + line % stride;
  rt_line l;
  l.width = rt_widths[how / 2];
  l.x = memory0 + begin0 + from * l.width;
  l.values = memory1 + begin1 + to * l.width;
  l.index = (__global int *)(memory2 + begin2) + to;
  l.n = n;
  l.stride = stride;
  l.form = rt_form_of((int)(how / 2), how % 2 != 0);
  if (k == n && n > RT_CHUNK) rt_order_all(l, key, at);
  else rt_order_first(l, k, key, at, &count);
}
