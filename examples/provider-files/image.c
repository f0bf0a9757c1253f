/* SPDX-License-Identifier: CC0-1.0 */
/* Image files, and what is remembered of a copy. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERIAL_DIGITS 20

void files_set_id_text(const VSS_ID *id, char out[SET_ID])
{
    (void)snprintf(out, SET_ID, "%08x%04x%04x%02x%02x%02x%02x%02x%02x%02x%02x", id->data1,
                   id->data2, id->data3, id->data4[0], id->data4[1], id->data4[2], id->data4[3],
                   id->data4[4], id->data4[5], id->data4[6], id->data4[7]);
}

HRESULT files_fail_errno(const struct files *f, const char *what, const char *path)
{
    HRESULT code = errno == ENOENT ? VSS_E_OBJECT_NOT_FOUND : VSS_E_PROVIDER_VETO;
    code = errno == ENOSPC || errno == EDQUOT ? VSS_E_INSUFFICIENT_STORAGE : code;
    return files_fail(f, code, "%s %s: %s", what, path, strerror(errno));
}

/* Only regular files directly in the directory are touched. */
HRESULT files_open(const struct files *f, const char *path, int flags, int *fd, struct stat *st)
{
    size_t length = strlen(f->directory);
    *fd = -1;
    if (strncmp(path, f->directory, length) != 0 || path[length] != '/' ||
        strchr(path + length + 1, '/')) {
        return files_fail(f, VSS_E_PROVIDER_VETO, "%s does not lie in %s", path, f->directory);
    }
    *fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (*fd < 0) {
        return files_fail_errno(f, "cannot open", path);
    }
    if (fstat(*fd, st) != 0 || !S_ISREG(st->st_mode)) {
        (void)close(*fd);
        *fd = -1;
        return files_fail(f, VSS_E_PROVIDER_VETO, "%s is not a regular file", path);
    }
    return S_OK;
}

HRESULT files_copy(const struct files *f, int from, int to, uint64_t start, uint64_t end,
                   const char *path)
{
    static char buffer[1 << 20];
    while (start < end) {
        size_t piece = end - start < sizeof(buffer) ? (size_t)(end - start) : sizeof(buffer);
        ssize_t got = pread(from, buffer, piece, (off_t)start);
        if (got == 0) {
            return files_fail(f, VSS_E_PROVIDER_VETO, "%s: the file it is copied from is shorter",
                              path);
        }
        if (got < 0 || pwrite(to, buffer, (size_t)got, (off_t)start) != got) {
            return files_fail_errno(f, "cannot copy to", path);
        }
        start += (uint64_t)got;
    }
    return S_OK;
}

/* ---- states ---- */

HRESULT files_copy_finish(const struct files *f, struct files_copy_state *copy)
{
    copy->path = files_text(f, "%s/.files-%s-%u.img", f->directory, copy->set_id, copy->number);
    copy->target = files_text(f, TARGET_FOR "%s", copy->set_id);
    return copy->path && copy->target ? S_OK : E_OUTOFMEMORY;
}

HRESULT files_copy_read(const struct files *f, const struct vss_state *state,
                        struct files_copy_state *copy)
{
    char *text = files_alloc(f, (size_t)state->bytes + 1);
    int source_at = 0;
    if (!text) {
        return E_OUTOFMEMORY;
    }
    memcpy(text, state->data ? state->data : (const uint8_t *)"", state->data ? state->bytes : 0);
    if (sscanf(text, "1 %u %u %u %32[0-9a-f] %32[0-9a-f] %n", &copy->number, &copy->block_bytes,
               &copy->is_cut, copy->scsi_id, copy->set_id, &source_at) != 5 ||
        source_at == 0 || strlen(text + source_at) >= TEXT_MAX ||
        strlen(copy->scsi_id) != SCSI_ID || strlen(copy->set_id) != SET_ID - 1) {
        return files_fail(f, VSS_E_OBJECT_NOT_FOUND, "nothing is remembered of this copy");
    }
    (void)snprintf(copy->source, sizeof(copy->source), "%s", text + source_at);
    return files_copy_finish(f, copy);
}

HRESULT files_copy_write(const struct files *f, const struct files_copy_state *copy,
                         struct vss_state *state)
{
    char *text = files_text(f, "1 %u %u %u %s %s %s", copy->number, copy->block_bytes, copy->is_cut,
                            copy->scsi_id, copy->set_id, copy->source);
    if (!text) {
        return E_OUTOFMEMORY;
    }
    *state = (struct vss_state){.bytes = (uint32_t)strlen(text), .data = (const uint8_t *)text};
    return S_OK;
}

const char *files_copy_serial(const struct files_copy_state *copy)
{
    return copy->scsi_id + SCSI_ID - SERIAL_DIGITS;
}
