// `.npz`: zip archives of `.npy` members (PKWARE APPNOTE 6.3, sections 4.3 to 4.5; RFC 1951 by zlib).
//
// The list of members is read from the central directory, which is found from the end of the file; a member's data
// follows its local header, of which only the lengths of the name and of the extra field matter. Stored and deflated
// members are read; encryption, several disks, and sizes that need zip64 are refused. Sizes and CRC-32 must agree
// exactly.
#include "frontend/tensorfile.h"

#include "base/file.h"

#include <string.h>
#include <zlib.h>

enum {
  END_BYTES = 22,
  CENTRAL_BYTES = 46,
  LOCAL_BYTES = 30,
  MAX_COMMENT = 65535,
  METHOD_stored = 0,
  METHOD_deflated = 8,
  FLAG_encrypted = 1,
  MAX_DEFLATE_RATIO = 1032, // no deflate stream grows further
};
static const uint32_t end_magic = 0x06054b50, central_magic = 0x02014b50, local_magic = 0x04034b50,
                      zip64_mark = 0xffffffff;

typedef struct member {
  const char *name; // without `.npy`
  uint32_t method, crc, packed_bytes, size_bytes;
  size_t local; // offset of its local header
} member;

struct npz_file {
  arena *a;
  diag_list *l;
  const char *path;
  str bytes;
  VEC(member *) members;
  map *by_name;
};

static uint32_t u16_at(const npz_file *z, size_t at) {
  const unsigned char *p = (const unsigned char *)z->bytes.p + at;
  return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32_at(const npz_file *z, size_t at) { return u16_at(z, at) | u16_at(z, at + 2) << 16; }

static bool bad(const npz_file *z, size_t at, const char *what) {
  diag_at(z->l, NO_SPAN, tensor_file_format, z->path, (unsigned long long)at, "npz", what);
  return false;
}

// `size` bytes from `at` lie in the file.
static bool holds(const npz_file *z, size_t at, size_t size) { return at <= z->bytes.n && size <= z->bytes.n - at; }

// The end record: the last place from which exactly its comment reaches to the end of the file.
static bool find_end(npz_file *z, size_t *at) {
  for (size_t comment = 0; comment <= MAX_COMMENT && holds(z, 0, END_BYTES + comment); comment++) {
    *at = z->bytes.n - END_BYTES - comment;
    if (u32_at(z, *at) == end_magic && u16_at(z, *at + 20) == comment) return true;
  }
  return bad(z, z->bytes.n, "it has no zip end record: not a zip archive, or cut short");
}

static bool read_member(npz_file *z, size_t at, size_t end, size_t *next) {
  if (at > end || end - at < CENTRAL_BYTES || u32_at(z, at) != central_magic)
    return bad(z, at, "its list of members is broken");
  size_t name_bytes = u16_at(z, at + 28), rest = name_bytes + u16_at(z, at + 30) + u16_at(z, at + 32);
  if (end - at - CENTRAL_BYTES < rest) return bad(z, at, "its list of members is broken");
  member *m = ARENA_NEW(z->a, member);
  *m = (member){.method = u16_at(z, at + 10),
                .crc = u32_at(z, at + 16),
                .packed_bytes = u32_at(z, at + 20),
                .size_bytes = u32_at(z, at + 24),
                .local = u32_at(z, at + 42)};
  if (u16_at(z, at + 8) & FLAG_encrypted) return bad(z, at, "a member is encrypted");
  if (m->packed_bytes == zip64_mark || m->size_bytes == zip64_mark || m->local == zip64_mark)
    return bad(z, at, "a member needs zip64, which is not supported; use .npy or .safetensors");
  str name = {z->bytes.p + at + CENTRAL_BYTES, name_bytes};
  if (name.n <= 4 || memcmp(name.p + name.n - 4, ".npy", 4) != 0 || memchr(name.p, '\0', name.n))
    return bad(z, at + CENTRAL_BYTES, "the name of a member does not end in .npy");
  m->name = str_dup(z->a, (str){name.p, name.n - 4});
  if (!map_add(z->by_name, str_of(m->name), m)) return bad(z, at + CENTRAL_BYTES, "two members have the same name");
  vec_push(z->a, &z->members, m);
  *next = at + CENTRAL_BYTES + rest;
  return true;
}

static bool read_members(npz_file *z) {
  size_t end = 0;
  if (!find_end(z, &end)) return false;
  uint32_t count = u16_at(z, end + 10), size = u32_at(z, end + 12), at = u32_at(z, end + 16);
  if (u16_at(z, end + 4) != 0 || u16_at(z, end + 6) != 0 || u16_at(z, end + 8) != count)
    return bad(z, end, "it is spread over several archives");
  if (at > end || end - at != size) return bad(z, end, "its list of members is not where it is said to be");
  size_t next = at;
  for (uint32_t i = 0; i < count; i++)
    if (!read_member(z, next, end, &next)) return false;
  return next == end ? true : bad(z, next, "bytes follow its list of members");
}

npz_file *npz_open(arena *a, diag_list *l, const char *path) {
  npz_file *z = ARENA_NEW(a, npz_file);
  *z = (npz_file){.a = a, .l = l, .path = str_dup(a, str_of(path)), .by_name = map_new(a)};
  return file_map(a, l, path, &z->bytes, NULL) && read_members(z) ? z : NULL;
}

size_t npz_count(const npz_file *z) { return z->members.n; }

const char *npz_name(const npz_file *z, size_t i) { return z->members.at[i]->name; }

// Unpacks exactly `to.n` bytes from exactly all of `from`. No arena call may stand between zlib's init and end.
static bool inflate_all(str from, unsigned char *to, size_t size) {
  z_stream s = {.avail_in = (uInt)from.n, .avail_out = (uInt)size, .next_out = to};
  memcpy(&s.next_in, &from.p, sizeof from.p); // zlib's pointer is not const, but it only reads
  if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return false;
  int rc = inflate(&s, Z_FINISH);
  bool whole = rc == Z_STREAM_END && s.avail_in == 0 && s.avail_out == 0;
  return inflateEnd(&s) == Z_OK && whole;
}

static bool unpack(npz_file *z, const member *m, size_t *data, str *out) {
  if (!holds(z, m->local, LOCAL_BYTES) || u32_at(z, m->local) != local_magic)
    return bad(z, m->local, str_fmt(z->a, "member `%s` is not where it is said to be", m->name));
  *data = m->local + LOCAL_BYTES + u16_at(z, m->local + 26) + u16_at(z, m->local + 28);
  if (!holds(z, *data, m->packed_bytes)) return bad(z, m->local, str_fmt(z->a, "member `%s` is cut short", m->name));
  str packed = {z->bytes.p + *data, m->packed_bytes};
  if (m->method == METHOD_stored && m->packed_bytes == m->size_bytes) {
    *out = packed;
  } else if (m->method == METHOD_deflated && m->size_bytes / MAX_DEFLATE_RATIO <= m->packed_bytes) {
    unsigned char *room = arena_alloc(z->a, m->size_bytes);
    if (!inflate_all(packed, room, m->size_bytes))
      return bad(z, *data, str_fmt(z->a, "member `%s` does not unpack to the size it is said to have", m->name));
    *out = (str){(const char *)room, m->size_bytes};
  } else {
    return bad(z, m->local, str_fmt(z->a, "member `%s` is packed in a way or to a size that cannot be", m->name));
  }
  if (crc32(0, (const Bytef *)out->p, (uInt)out->n) == m->crc) return true;
  return bad(z, *data, str_fmt(z->a, "the checksum of member `%s` is wrong", m->name));
}

ir_tensor *npz_read(npz_file *z, diag_list *l, const char *name) {
  const member *m = map_get(z->by_name, str_of(name));
  size_t at = 0;
  str bytes = {0};
  if (!m) {
    diag_at(l, NO_SPAN, tensor_file_absent, z->path, name);
    return NULL;
  }
  z->l = l;
  return unpack(z, m, &at, &bytes) ? npy_parse(z->a, l, z->path, at, bytes) : NULL;
}

// -- writing --

static void put(strbuf *b, unsigned bytes, uint64_t v) {
  for (; bytes > 0; bytes--, v >>= 8) sb_char(b, (char)(v & 0xff));
}

// What local and central headers have in common: version 2.0, no flags, stored, dated 1980-01-01, checksum, sizes,
// lengths.
static void put_member(strbuf *b, uint32_t crc, size_t size, size_t name_bytes) {
  put(b, 2, 20), put(b, 2, 0), put(b, 2, METHOD_stored), put(b, 2, 0), put(b, 2, 0x21);
  put(b, 4, crc), put(b, 4, size), put(b, 4, size), put(b, 2, name_bytes), put(b, 2, 0);
}

static bool refuse(diag_list *l, const char *path, const char *why) {
  diag_at(l, NO_SPAN, file_write, path, why);
  return false;
}

bool npz_write(arena *a, diag_list *l, const char *path, size_t n, const char *const *names,
               const ir_tensor *const *tensors) {
  strbuf out, central, npy;
  sb_init(&out, a), sb_init(&central, a), sb_init(&npy, a);
  map *seen = map_new(a);
  if (n > UINT16_MAX) return refuse(l, path, "too many tensors for a zip archive");
  for (size_t i = 0; i < n; i++) {
    const char *name = str_fmt(a, "%s.npy", names[i]);
    size_t name_bytes = strlen(name), at = out.n;
    if (!map_add(seen, str_of(name), seen)) return refuse(l, path, str_fmt(a, "two tensors are named `%s`", names[i]));
    npy.n = 0;
    if (!npy_print(&npy, l, path, tensors[i])) return false;
    if (name_bytes > UINT16_MAX || npy.n + out.n + name_bytes + LOCAL_BYTES >= UINT32_MAX)
      return refuse(l, path, "too large for a zip archive without zip64; use .npy or .safetensors");
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)npy.p, (uInt)npy.n);
    put(&out, 4, local_magic);
    put_member(&out, crc, npy.n, name_bytes);
    sb_z(&out, name);
    sb_bytes(&out, npy.p, npy.n);
    put(&central, 4, central_magic), put(&central, 2, 20);
    put_member(&central, crc, npy.n, name_bytes);
    put(&central, 2, 0), put(&central, 2, 0), put(&central, 2, 0), put(&central, 4, 0), put(&central, 4, at);
    sb_z(&central, name);
  }
  size_t at = out.n;
  if (at + central.n >= UINT32_MAX)
    return refuse(l, path, "too large for a zip archive without zip64; use .npy or .safetensors");
  sb_bytes(&out, central.p, central.n);
  put(&out, 4, end_magic), put(&out, 2, 0), put(&out, 2, 0), put(&out, 2, n), put(&out, 2, n);
  put(&out, 4, central.n), put(&out, 4, at), put(&out, 2, 0);
  return file_write(a, l, path, sb_str(&out), 0644);
}
