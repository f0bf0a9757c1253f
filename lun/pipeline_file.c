/* SPDX-License-Identifier: Apache-2.0 */
/* An image file or a local block device. The kernel reads ahead what was submitted; the bytes are
 * fetched in the order of submission. */
#include "lun/pipeline_ops.h"

#include "common/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REQUEST_BYTES (1u << 20)

struct file_pipeline {
    struct pipeline pipe; /* first */
    int fd;
    char *path;
    struct pipeline_request *first; /* submitted, oldest first */
    struct pipeline_request *last;
};

static struct file_pipeline *file_of(struct pipeline *p)
{
    return (struct file_pipeline *)p;
}

static void file_submit(struct pipeline *p, struct pipeline_request *request)
{
    struct file_pipeline *f = file_of(p);
    if (request->op == PIPELINE_READ) {
        (void)posix_fadvise(f->fd, (off_t)request->offset, request->bytes, POSIX_FADV_WILLNEED);
    }
    if (f->last) {
        f->last->own.next = request;
    } else {
        f->first = request;
    }
    f->last = request;
}

static HRESULT read_all(struct file_pipeline *f, const struct pipeline_request *r,
                        struct error *err)
{
    uint32_t done = 0;
    while (done < r->bytes) {
        ssize_t got =
            pread(f->fd, (char *)r->data + done, r->bytes - done, (off_t)(r->offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return error_set_errno(err, errno, "%s: cannot read at byte %" PRIu64, f->path,
                                   r->offset + done);
        }
        if (got == 0) {
            return error_set(err, VSS_E_UNEXPECTED,
                             "%s: ends at byte %" PRIu64 ", which it did not when it was opened",
                             f->path, r->offset + done);
        }
        done += (uint32_t)got;
    }
    return S_OK;
}

/* The one at the head, so that the caller can do something else between two of them. */
static void file_poll(struct pipeline *p)
{
    struct file_pipeline *f = file_of(p);
    struct pipeline_request *r = f->first;
    struct error err = {0};
    if (!r) {
        return;
    }
    f->first = r->own.next;
    f->last = f->first ? f->last : NULL;
    HRESULT hr = r->op == PIPELINE_READ
                     ? read_all(f, r, &err)
                     : error_set(&err, E_ACCESSDENIED, "%s: opened read-only", f->path);
    pipeline_finish(p, r, hr, &err);
}

static size_t file_waits(struct pipeline *p, struct scsi_transport **out, size_t capacity,
                         uint32_t *timeout_ms)
{
    (void)out;
    (void)capacity;
    *timeout_ms = file_of(p)->first ? 0 : *timeout_ms;
    return 0;
}

static HRESULT file_map(struct pipeline *p, uint64_t offset)
{
    struct file_pipeline *f = file_of(p);
    bool has_room = true;
    while (has_room && offset < p->bytes) {
        off_t data = lseek(f->fd, (off_t)offset, SEEK_DATA);
        if (data < 0 && errno != ENXIO) {
            return E_NOTIMPL;
        }
        uint64_t hole_end = data < 0 ? p->bytes : (uint64_t)data;
        if (hole_end > offset) {
            has_room = pipeline_add_run(p, hole_end, true);
            offset = hole_end;
            continue;
        }
        off_t end = lseek(f->fd, (off_t)offset, SEEK_HOLE);
        if (end <= (off_t)offset) {
            return E_NOTIMPL;
        }
        has_room = pipeline_add_run(p, (uint64_t)end, false);
        offset = (uint64_t)end;
    }
    return S_OK;
}

static void file_drop(struct pipeline *p)
{
    struct file_pipeline *f = file_of(p);
    p->is_lost = true;
    for (struct pipeline_request *r = f->first; r; r = f->first) {
        f->first = r->own.next;
        pipeline_finish(p, r, E_ABORT, NULL);
    }
    f->last = NULL;
}

static void file_close(struct pipeline *p)
{
    struct file_pipeline *f = file_of(p);
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    free(f->path);
    free(f);
}

static const struct pipeline_ops file_ops = {.submit = file_submit,
                                             .poll = file_poll,
                                             .waits = file_waits,
                                             .map = file_map,
                                             .drop = file_drop,
                                             .close = file_close};

static HRESULT measure(struct file_pipeline *f, struct error *err)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        return error_set_errno(err, errno, "%s: cannot be examined", f->path);
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return error_set(err, E_INVALIDARG,
                         "%s: is neither a LUN's URL (iscsi://...) nor an image file nor a block "
                         "device",
                         f->path);
    }
    off_t size = lseek(f->fd, 0, SEEK_END);
    if (size < 0) {
        return error_set_errno(err, errno, "%s: its size cannot be read", f->path);
    }
    f->pipe.bytes = (uint64_t)size;
    f->pipe.can_map = S_ISREG(st.st_mode);
    return S_OK;
}

HRESULT pipeline_open_file(const char *path, const struct pipeline_options *options,
                           struct pipeline **out, struct error *err)
{
    if (!options->is_read_only) {
        return error_set(err, E_INVALIDARG, "%s: image files are only read here", path);
    }
    struct file_pipeline *f = calloc(1, sizeof(*f));
    char *copy = text_copy(path);
    HRESULT hr = S_OK;
    if (!f || !copy) {
        free(f);
        free(copy);
        return error_set(err, E_OUTOFMEMORY, "no memory to open %s", path);
    }
    f->path = copy;
    f->pipe.ops = &file_ops;
    f->pipe.name = copy;
    f->pipe.block_bytes = 1;
    f->pipe.max_bytes = REQUEST_BYTES;
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not make us wait */
    hr = f->fd < 0 ? error_set_errno(err, errno, "%s: cannot be opened", path) : measure(f, err);
    if (FAILED(hr)) {
        file_close(&f->pipe);
        return hr;
    }
    *out = &f->pipe;
    return S_OK;
}
