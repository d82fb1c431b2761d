// Elements of any dtype as bits. RT_f32 and so on are the dtypes' numbers, RT_WIDTHS their bytes, RT_CHUNK and RT_LANES_MOST sizes
// of what lies in local memory: routine.c prints them.
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

__constant int rt_widths[] = RT_WIDTHS;

ulong rt_load(__global const uchar *p, long i, int width) {
  switch (width) {
  case 1: return p[i];
  case 2: return ((__global const ushort *)p)[i];
  case 4: return ((__global const uint *)p)[i];
  default: return ((__global const ulong *)p)[i];
  }
}

void rt_store(__global uchar *p, long i, int width, ulong bits) {
  switch (width) {
  case 1: p[i] = (uchar)bits; break;
  case 2: ((__global ushort *)p)[i] = (ushort)bits; break;
  case 4: ((__global uint *)p)[i] = (uint)bits; break;
  default: ((__global ulong *)p)[i] = bits; break;
  }
}
