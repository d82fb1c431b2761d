// The "C" locale for one call: number texts must not change with the user's language. Internal to base/.
// The C library's "C" locale is a constant, so opening it takes no memory; switching is per thread.
#ifndef NNC_BASE_C_LOCALE_H
#define NNC_BASE_C_LOCALE_H

#include <locale.h>

typedef struct c_locale {
  locale_t c, before;
} c_locale;

static inline c_locale c_locale_enter(void) {
  c_locale s = {newlocale(LC_ALL_MASK, "C", (locale_t)0), (locale_t)0};
  if (s.c) s.before = uselocale(s.c);
  return s;
}

static inline void c_locale_leave(c_locale s) {
  if (!s.c) return;
  uselocale(s.before);
  freelocale(s.c);
}

#endif
