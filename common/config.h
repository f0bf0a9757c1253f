/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_COMMON_CONFIG_H
#define LUNSHADOW_COMMON_CONFIG_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

/* A configuration file (INI, read by inih) as it stands: sections "[kind name]" in file order, each
 * with its "key = value" pairs. What the keys mean is known where they are used. */
struct config_pair {
    char *key;
    char *value;
};

struct config_section {
    char *kind; /* "portal", "array", "limits" */
    char *name; /* "" where the header has none */
    struct config_pair *pairs;
    size_t pair_count;
};

struct config {
    char *path; /* where it was read from; "" for the empty configuration */
    struct config_section *sections;
    size_t section_count;
};

/* Reads path. NULL: the file that $LUNSHADOW_CONFIG names, which counts as named; else, for an
 * ordinary user, $XDG_CONFIG_HOME/lunshadow/lunshadow.conf (~/.config where that is not set) if it
 * is there; else /etc/lunshadow/lunshadow.conf; an empty configuration where none is there.
 * E_INVALIDARG with path and line for text that is not INI, for a line of more than 190 bytes
 * (inih's limit), for a section given twice and for a key given twice in one;
 * VSS_E_OBJECT_NOT_FOUND where a named path is not there. Leading blanks of a line mean nothing;
 * there are no continuation lines. " ;" starts a comment. *out is freed by config_free(). */
HRESULT config_load(const char *path, struct config **out, struct error *err);

/* As config_load(), from text; name stands for the path in messages. */
HRESULT config_parse(const char *text, const char *name, struct config **out, struct error *err);

void config_free(struct config *config);

/* The section [kind name], or NULL. name may be "". */
const struct config_section *config_find(const struct config *config, const char *kind,
                                         const char *name);

/* A value, borrowed from the configuration, or fallback (which may be NULL). */
const char *config_value(const struct config_section *section, const char *key,
                         const char *fallback);

/* A decimal number min..max, or fallback where the key is absent. E_INVALIDARG names section, key
 * and range. section may be NULL. */
HRESULT config_number(const struct config_section *section, const char *key, uint64_t min,
                      uint64_t max, uint64_t fallback, uint64_t *out, struct error *err);

/* yes/no, true/false, on/off, 1/0. As config_number(). */
HRESULT config_bool(const struct config_section *section, const char *key, bool fallback, bool *out,
                    struct error *err);

#endif
