/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_PROVIDER_SHIMS_RECORDING_H
#define LUNSHADOW_PROVIDER_SHIMS_RECORDING_H

#include "common/error.h"
#include "provider/host/wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* A recording: the line "lunshadow-replay 1", then frames as they cross to a host process
 * (wire/frame.h, wire/wire.proto), one behind the other: the facts of the plug-in for each process,
 * and for each call its request and, where the process lived so long, its reply. A log frame is a
 * note of who records.
 *
 * The number is that of the encoding: it grows where a change of wire.proto would make an older
 * recording unreadable. */
#define RECORDING_VERSION   1
#define RECORDING_BYTES_MAX (256u << 20)

/* Opens path for appending; a new file (mode 0600) gets its first line. E_INVALIDARG: the file is
 * something else, or a recording of another version. */
HRESULT recording_append_to(const char *path, int *out_fd, struct error *err);

/* Frees content. False where the frame could not be written whole. */
bool recording_append(int fd, struct wire_content *content);

/* Appends a note, one line. */
HRESULT recording_note(const char *path, const char *text, struct error *err);

/* One in memory. Starts zeroed. */
struct recording {
    char *path; /* resolved */
    uint8_t *data;
    size_t bytes;
};

/* E_INVALIDARG: no recording, one of another version, or one that ends within a frame. */
HRESULT recording_load(const char *path, struct recording *out, struct error *err);
void recording_free(struct recording *recording);

/* Decodes the frame at *at (0: the first one) into arena and moves *at behind it. S_FALSE: the end.
 * VSS_E_UNEXPECTED: what is there is no frame. */
HRESULT recording_next(const struct recording *recording, size_t *at, struct provider_arena *arena,
                       struct wire_frame *out);

/* Writes where a replay shall go on into the file that "replay_position" names. */
HRESULT recording_keep_position(const char *path, size_t at);

/* Reads it; S_FALSE where there is no such file. */
HRESULT recording_recall_position(const char *path, size_t *out_at);

#endif
