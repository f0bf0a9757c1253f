/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_DISK_LABEL_H
#define LUNSHADOW_DRILL_DISK_LABEL_H

#include "drill/layout.h"

/* The drill's disks get their labels from sfdisk, sgdisk and fdisk, in a sparse file; the bytes
 * then go to the LUN. Partitions are the data ranges of the layout. */
enum label_form {
    LABEL_FORM_MBR,     /* one primary, an extended one with two logical ones */
    LABEL_FORM_GPT,     /* three partitions, 512-byte blocks */
    LABEL_FORM_GPT_4096 /* three partitions, 4096-byte blocks */
};

#define LABEL_DISK_BYTES_MIN ((uint64_t)64 << 20)

const char *disk_label_name(enum label_form form); /* "MBR, extended with two logical" */
uint32_t disk_label_block_bytes(enum label_form form);

/* bytes: a multiple of 4 MiB, at least LABEL_DISK_BYTES_MIN. */
HRESULT disk_label_layout(enum label_form form, uint32_t number, uint64_t bytes, struct layout *out,
                          struct error *err);

/* A fresh label with random ids: the bytes of the fixed areas, freed with free(). scratch is a
 * directory. */
HRESULT disk_label_make(enum label_form form, const struct layout *layout, const char *scratch,
                        uint8_t **out_fixed, struct error *err);

/* Gives the label other ids, by the same tools; fixed is changed in place, on success only. */
HRESULT disk_label_new_ids(enum label_form form, const struct layout *layout, const char *scratch,
                           uint8_t *fixed, struct error *err);

#endif
