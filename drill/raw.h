/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_DRILL_RAW_H
#define LUNSHADOW_DRILL_RAW_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The drill's own way to a LUN: libiscsi and nothing else. What is judged here is never used for
 * judging, so no code of lun/ is below this. An image file can stand in for a LUN. One thread at a
 * time per raw. */

struct iscsi_context;

struct raw_address {
    char portal[80];  /* host:port */
    char target[256]; /* iSCSI name */
    int lun;
};

struct raw {
    char *name; /* for messages */
    uint32_t block_bytes;
    uint64_t block_count;
    bool is_lost; /* the session ended: nothing works any more, on purpose never reconnected */
    struct iscsi_context *iscsi;
    int lun;
    int file; /* -1: a LUN */
};

/* iscsi://host[:port]/target/lun, with or without "#N" behind it. E_INVALIDARG. */
HRESULT raw_parse(const char *url, struct raw_address *out, struct error *err);

/* Logs in with a session of its own and reads the capacity. VSS_E_OBJECT_NOT_FOUND: no answer,
 * login refused, or no such LUN. Close with raw_close(). */
HRESULT raw_open(const struct raw_address *address, const char *initiator, struct raw **out,
                 struct error *err);

/* An image file as if it were a LUN with blocks of block_bytes. */
HRESULT raw_open_file(const char *path, uint32_t block_bytes, bool read_only, struct raw **out,
                      struct error *err);

void raw_close(struct raw *raw); /* NULL is harmless */

/* Any number of blocks, up to 32 commands of 64 KiB in flight. E_ACCESSDENIED: write protected;
 * VSS_E_VOLUME_IN_USE: reservation conflict; VSS_E_UNEXPECTED: all else, the session's loss among
 * it (then is_lost is set). */
HRESULT raw_read(struct raw *raw, uint64_t lba, uint64_t blocks, void *data, struct error *err);
HRESULT raw_write(struct raw *raw, uint64_t lba, uint64_t blocks, const void *data,
                  struct error *err);
HRESULT raw_flush(struct raw *raw, struct error *err);

#define RAW_PAGE_BYTES 1024
struct raw_page {
    uint8_t data[RAW_PAGE_BYTES];
    size_t length;
};

/* INQUIRY: page -1 the standard data, else that VPD page, byte for byte. */
HRESULT raw_inquiry(struct raw *raw, int page, struct raw_page *out, struct error *err);
bool raw_page_equal(const struct raw_page *a, const struct raw_page *b);

/* TEST UNIT READY: does this session still get an answer within two seconds? */
bool raw_is_alive(struct raw *raw);

/* Is target among those that portal lists for this initiator (SendTargets)? Fails where the portal
 * does not answer. */
HRESULT raw_is_listed(const char *portal, const char *target, const char *initiator, bool *out,
                      struct error *err);

#endif
