// A YAML file as a tree of scalars, lists and maps, every node with its exact bytes.
//
// Only the tame part of YAML is let through: anchors, aliases, tags, merge keys, block scalars, complex keys and second
// documents are mistakes, each with its own message. After a mistake that YAML itself cannot get over, the value it
// stands in is masked in a copy of the text and the file is read again, so that the other mistakes are found too.
// Thread rule: as the arena's.
#ifndef NNC_FRONTEND_YAML_TREE_H
#define NNC_FRONTEND_YAML_TREE_H

#include "base/diag.h"

enum { YAML_MAX_DEPTH = 64 };

typedef enum ynode_kind { YN_scalar, YN_list, YN_map, YN_broken } ynode_kind; // broken: already reported

typedef struct ynode ynode;

typedef struct ypair {
  ynode *key, *value;
} ypair;

struct ynode {
  ynode_kind kind;
  bool flow;      // list or map in brackets
  char quote;     // scalar: 0 plain, else its quote
  diag_span span; // scalar: its raw bytes with quotes; flow: with brackets; block: first mark or key to the end of the
                  // last child
  str text;       // scalar: YAML's reading: unquoted, escapes decoded, lines folded
  VEC(ynode *) items;
  VEC(ypair) pairs;
};

typedef struct ytree {
  ynode *root;   // NULL: empty, or nothing could be read
  bool complete; // false: reading stopped at a mistake, and what follows it is missing
} ytree;

// Reads the text of file `file`. `data`: not a model but a published config; tabs may indent. Mistakes go to `l`.
ytree yaml_read(arena *a, diag_list *l, uint32_t file, bool data);

#endif
