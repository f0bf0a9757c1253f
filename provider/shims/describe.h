/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SHIMS_DESCRIBE_H
#define LUNSHADOW_PROVIDER_SHIMS_DESCRIBE_H

#include <jansson.h>
#include <lunshadow/provider.h>
#include <stdbool.h>

/* What crosses at a call, as a JSON object. is_full: LUN infos with all that is in them, else only
 * the key of each. Of states only the length is told: they are the provider's own. A new reference;
 * NULL when memory is short. */
json_t *describe_in(enum vss_provider_op op, const void *in, bool is_full);
json_t *describe_out(enum vss_provider_op op, const void *out, uint32_t lun_count, bool is_full);

/* The object as "key=value key=[{key=value}]" on one line. malloc'ed; NULL when memory is short. */
char *describe_as_text(const json_t *object);

#endif
