/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_CONFORM_OFFLINE_H
#define LUNSHADOW_CONFORM_OFFLINE_H

#include "conform/conform.h"

#include <jansson.h>

/* A run that is recorded, and one that a recording answers. Notes in the recording say which array
 * and which LUNs it was and where each case begins. */

/* The section with "key = value"; takes value, which is malloc'ed (NULL: memory is short). */
HRESULT offline_set_key(struct config_section *section, const char *key, char *value,
                        struct error *err);

/* ---- recording ------------------------------------------------------------------------------- */

/* From now on the provider of the section is recorded to path, which must not be there yet. */
HRESULT offline_record_to(struct conform *c, struct config_section *section, const char *path,
                          struct error *err);

/* Notes of what a run without the array needs to know. */
HRESULT offline_note_run(const struct conform *c, struct error *err);
void offline_note_case(struct conform *c, const char *name);

/* ---- without the array ------------------------------------------------------------------------
 */

/* A configuration with one array, which is the recording; the scratch LUNs and the initiator's name
 * as noted there. position_path is where the replay looks for its place. */
HRESULT offline_open(struct conform *c, const char *path, const char *position_path,
                     struct error *err);
void offline_close(struct conform *c);

/* Lets the next call be answered as in that case; false where it was not recorded. */
bool offline_seek_case(struct conform *c, const char *name);

#endif
