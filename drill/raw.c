/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/raw.h"

#include "common/buffer.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES       (64u * 1024) /* no target is slow with these */
#define WINDOW            32
#define ATTEMPTS          5
#define COMMAND_SECONDS   20
#define SILENCE_MS        30000
#define ALIVE_MS          2000
#define LOGIN_SECONDS     10
#define DEFAULT_PORT_TEXT ":3260"

HRESULT raw_parse(const char *url, struct raw_address *out, struct error *err)
{
    static const char scheme[] = "iscsi://";
    memset(out, 0, sizeof(*out));
    const char *portal =
        strncmp(url, scheme, sizeof(scheme) - 1) == 0 ? url + sizeof(scheme) - 1 : "";
    const char *target = strchr(portal, '/');
    const char *lun = target ? strrchr(target, '/') : NULL;
    size_t portal_length = target ? (size_t)(target - portal) : 0;
    size_t target_length = lun > target ? (size_t)(lun - target) - 1 : 0;
    char *end = NULL;
    long number = lun ? strtol(lun + 1, &end, 10) : -1;
    if (portal_length == 0 || portal_length > sizeof(out->portal) - sizeof(DEFAULT_PORT_TEXT) ||
        target_length == 0 || target_length >= sizeof(out->target) || number < 0 ||
        number > 16383 || end == lun + 1 || (*end != '\0' && *end != '#')) {
        return error_set(err, E_INVALIDARG, "%s is not iscsi://host:port/target/lun", url);
    }
    memcpy(out->portal, portal, portal_length);
    if (!strrchr(out->portal, ':')) {
        memcpy(out->portal + portal_length, DEFAULT_PORT_TEXT, sizeof(DEFAULT_PORT_TEXT));
    }
    memcpy(out->target, target + 1, target_length);
    out->lun = (int)number;
    return S_OK;
}

static HRESULT lose(struct raw *raw, struct error *err, const char *what)
{
    raw->is_lost = true;
    if (raw->iscsi) {
        /* Ends every command in flight through its callback, while their memory still stands. */
        (void)iscsi_destroy_context(raw->iscsi);
        raw->iscsi = NULL;
    }
    return error_set(err, VSS_E_UNEXPECTED, "%s: the session is lost (%s)", raw->name, what);
}

/* Lets libiscsi work for up to timeout_ms. */
static HRESULT serve(struct raw *raw, int timeout_ms, struct error *err)
{
    if (!raw->iscsi) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: the session is lost", raw->name);
    }
    struct pollfd p = {.fd = iscsi_get_fd(raw->iscsi),
                       .events = (short)iscsi_which_events(raw->iscsi)};
    int rc = poll(&p, 1, timeout_ms);
    if (rc < 0 && errno != EINTR) {
        return lose(raw, err, strerror(errno));
    }
    if (iscsi_service(raw->iscsi, rc > 0 ? p.revents : 0) < 0) {
        return lose(raw, err, "connection closed");
    }
    return S_OK;
}

/* ---- one command without a data phase of ours ---- */

struct single {
    bool done;
    int status;
    struct scsi_task *task;
};

static void single_done(struct iscsi_context *iscsi, int status, void *data, void *user)
{
    struct single *s = user;
    (void)iscsi;
    s->done = true;
    s->status = status;
    s->task = data;
}

/* Waits for a command that was just submitted (task NULL: could not be). */
static HRESULT wait_single(struct raw *raw, const struct scsi_task *task, struct single *s,
                           uint32_t timeout_ms, struct error *err)
{
    if (!task) {
        return lose(raw, err, "cannot send");
    }
    uint64_t deadline = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
    while (!s->done) {
        HRESULT hr = serve(raw, 100, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (!s->done && clock_monotonic_us() > deadline) {
            return lose(raw, err, "no answer");
        }
    }
    if (s->status == SCSI_STATUS_CANCELLED || s->status == SCSI_STATUS_ERROR ||
        s->status == SCSI_STATUS_TIMEOUT) {
        return lose(raw, err, "command cancelled");
    }
    return S_OK;
}

static void single_free(struct single *s)
{
    if (s->task) {
        scsi_free_scsi_task(s->task);
    }
    *s = (struct single){0};
}

static bool is_unit_attention(int status, const struct scsi_task *task)
{
    return status == SCSI_STATUS_CHECK_CONDITION && task &&
           task->sense.key == SCSI_SENSE_UNIT_ATTENTION;
}

/* A command's failure in words. */
static HRESULT judge(const struct raw *raw, const char *what, int status,
                     const struct scsi_task *task, struct error *err)
{
    if (status == SCSI_STATUS_RESERVATION_CONFLICT) {
        return error_set(err, VSS_E_VOLUME_IN_USE, "%s: %s: reservation conflict", raw->name, what);
    }
    if (status == SCSI_STATUS_CHECK_CONDITION && task) {
        bool is_protected = task->sense.key == SCSI_SENSE_DATA_PROTECTION;
        return error_set(err, is_protected ? E_ACCESSDENIED : VSS_E_UNEXPECTED,
                         "%s: %s: sense %x/%04x%s", raw->name, what, task->sense.key,
                         (unsigned)task->sense.ascq, is_protected ? " (write protected)" : "");
    }
    return error_set(err, VSS_E_UNEXPECTED, "%s: %s: status %#x", raw->name, what,
                     (unsigned)status);
}

HRESULT raw_inquiry(struct raw *raw, int page, struct raw_page *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    if (!raw->iscsi) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: not a LUN with a session", raw->name);
    }
    for (int i = 0; i < ATTEMPTS; i++) {
        struct single s = {0};
        struct scsi_task *task = iscsi_inquiry_task(raw->iscsi, raw->lun, page >= 0,
                                                    page >= 0 ? page : 0, 255, single_done, &s);
        HRESULT hr = wait_single(raw, task, &s, SILENCE_MS, err);
        bool again = SUCCEEDED(hr) && is_unit_attention(s.status, s.task);
        if (SUCCEEDED(hr) && !again && s.status != SCSI_STATUS_GOOD) {
            hr = judge(raw, "INQUIRY", s.status, s.task, err);
        }
        if (SUCCEEDED(hr) && !again) {
            size_t got = s.task->datain.size > 0 ? (size_t)s.task->datain.size : 0;
            out->length = got < RAW_PAGE_BYTES ? got : RAW_PAGE_BYTES;
            memcpy(out->data, s.task->datain.data, out->length);
        }
        single_free(&s);
        if (!again) {
            return hr;
        }
    }
    return error_set(err, VSS_E_UNEXPECTED, "%s: INQUIRY: unit attention without end", raw->name);
}

bool raw_page_equal(const struct raw_page *a, const struct raw_page *b)
{
    return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

bool raw_is_alive(struct raw *raw)
{
    if (!raw->iscsi) {
        return false;
    }
    struct single s = {0};
    struct scsi_task *task = iscsi_testunitready_task(raw->iscsi, raw->lun, single_done, &s);
    HRESULT hr = wait_single(raw, task, &s, ALIVE_MS, NULL);
    single_free(&s);
    return SUCCEEDED(hr);
}

HRESULT raw_flush(struct raw *raw, struct error *err)
{
    if (raw->file >= 0) {
        return fsync(raw->file) == 0 ? S_OK : error_set_errno(err, errno, "%s: fsync", raw->name);
    }
    if (!raw->iscsi) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: the session is lost", raw->name);
    }
    struct single s = {0};
    struct scsi_task *task =
        iscsi_synchronizecache16_task(raw->iscsi, raw->lun, 0, 0, 0, 0, single_done, &s);
    HRESULT hr = wait_single(raw, task, &s, SILENCE_MS, err);
    if (SUCCEEDED(hr) && s.status != SCSI_STATUS_GOOD) {
        hr = judge(raw, "SYNCHRONIZE CACHE", s.status, s.task, err);
    }
    single_free(&s);
    return hr;
}

/* ---- reading and writing ---- */

struct transfer;

struct chunk {
    struct transfer *owner;
    uint64_t lba;
    uint32_t blocks;
    uint8_t *data;
    uint32_t attempts;
    bool is_busy;
};

struct transfer {
    struct raw *raw;
    bool is_write;
    uint64_t lba; /* of the next chunk */
    uint64_t blocks;
    uint8_t *data;
    uint32_t in_flight;
    uint64_t progressed_us;
    HRESULT result;
    struct error *err;
    struct chunk chunks[WINDOW];
};

static void start_chunk(struct iscsi_context *iscsi, struct chunk *c);

static void chunk_done(struct iscsi_context *iscsi, int status, void *data, void *user)
{
    struct chunk *c = user;
    struct transfer *t = c->owner;
    struct scsi_task *task = data;
    t->progressed_us = clock_monotonic_us();
    t->in_flight--;
    c->is_busy = false;
    bool again = is_unit_attention(status, task) && c->attempts < ATTEMPTS;
    if (status == SCSI_STATUS_CANCELLED || status == SCSI_STATUS_ERROR ||
        status == SCSI_STATUS_TIMEOUT) {
        t->raw->is_lost = true;
        t->result = error_set(t->err, VSS_E_UNEXPECTED, "%s: the session is lost", t->raw->name);
    } else if (status != SCSI_STATUS_GOOD && !again) {
        t->result = judge(t->raw, t->is_write ? "WRITE(16)" : "READ(16)", status, task, t->err);
    } else if (!again && task && task->residual_status != SCSI_RESIDUAL_NO_RESIDUAL) {
        t->result = error_set(t->err, VSS_E_UNEXPECTED, "%s: short transfer at block %llu",
                              t->raw->name, (unsigned long long)c->lba);
    }
    if (task) {
        scsi_free_scsi_task(task);
    }
    if (again) {
        start_chunk(iscsi, c);
    }
}

static void start_chunk(struct iscsi_context *iscsi, struct chunk *c)
{
    struct transfer *t = c->owner;
    struct raw *raw = t->raw;
    uint32_t bytes = c->blocks * raw->block_bytes;
    struct scsi_task *task;
    c->attempts++;
    c->is_busy = true;
    t->in_flight++;
    if (t->is_write) {
        task = iscsi_write16_task(iscsi, raw->lun, c->lba, c->data, bytes, (int)raw->block_bytes, 0,
                                  0, 0, 0, 0, chunk_done, c);
    } else {
        task = iscsi_read16_task(iscsi, raw->lun, c->lba, bytes, (int)raw->block_bytes, 0, 0, 0, 0,
                                 0, chunk_done, c);
        if (task) {
            (void)scsi_task_add_data_in_buffer(task, (int)bytes, c->data);
        }
    }
    if (!task) {
        t->in_flight--;
        c->is_busy = false;
        t->result = error_set(t->err, VSS_E_UNEXPECTED, "%s: cannot send: %s", raw->name,
                              iscsi_get_error(iscsi));
    }
}

static void start_more(struct transfer *t)
{
    uint32_t chunk_blocks = CHUNK_BYTES / t->raw->block_bytes;
    for (size_t i = 0; i < WINDOW && t->blocks > 0 && SUCCEEDED(t->result); i++) {
        struct chunk *c = &t->chunks[i];
        if (c->is_busy) {
            continue;
        }
        uint32_t blocks = t->blocks < chunk_blocks ? (uint32_t)t->blocks : chunk_blocks;
        *c = (struct chunk){.owner = t, .lba = t->lba, .blocks = blocks, .data = t->data};
        t->lba += blocks;
        t->blocks -= blocks;
        t->data += (size_t)blocks * t->raw->block_bytes;
        start_chunk(t->raw->iscsi, c);
    }
}

static HRESULT run_transfer(struct transfer *t)
{
    t->progressed_us = clock_monotonic_us();
    start_more(t);
    while (t->in_flight > 0) {
        HRESULT hr = serve(t->raw, 500, t->err);
        if (SUCCEEDED(hr) && t->in_flight > 0 &&
            clock_monotonic_us() > t->progressed_us + (uint64_t)SILENCE_MS * 1000) {
            hr = lose(t->raw, t->err, "no answer");
        }
        if (FAILED(hr)) {
            return hr; /* nothing is in flight after a loss */
        }
        start_more(t);
    }
    return t->result;
}

static HRESULT transfer_file(struct raw *raw, bool is_write, uint64_t lba, uint64_t blocks,
                             uint8_t *data, struct error *err)
{
    uint64_t left = blocks * raw->block_bytes;
    uint64_t offset = lba * raw->block_bytes;
    while (left > 0) {
        ssize_t n = is_write ? pwrite(raw->file, data, left, (off_t)offset)
                             : pread(raw->file, data, left, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return error_set_errno(err, n < 0 ? errno : EIO, "%s: offset %llu", raw->name,
                                   (unsigned long long)offset);
        }
        left -= (uint64_t)n;
        offset += (uint64_t)n;
        data += n;
    }
    return S_OK;
}

static HRESULT transfer(struct raw *raw, bool is_write, uint64_t lba, uint64_t blocks,
                        uint8_t *data, struct error *err)
{
    if (lba > raw->block_count || blocks > raw->block_count - lba) {
        return error_set(err, E_INVALIDARG, "%s: blocks %llu+%llu are past its end", raw->name,
                         (unsigned long long)lba, (unsigned long long)blocks);
    }
    if (raw->file >= 0) {
        return transfer_file(raw, is_write, lba, blocks, data, err);
    }
    if (!raw->iscsi || raw->is_lost) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: the session is lost", raw->name);
    }
    struct transfer t = {.raw = raw,
                         .is_write = is_write,
                         .lba = lba,
                         .blocks = blocks,
                         .data = data,
                         .result = S_OK,
                         .err = err};
    return run_transfer(&t);
}

HRESULT raw_read(struct raw *raw, uint64_t lba, uint64_t blocks, void *data, struct error *err)
{
    return transfer(raw, false, lba, blocks, data, err);
}

HRESULT raw_write(struct raw *raw, uint64_t lba, uint64_t blocks, const void *data,
                  struct error *err)
{
    union { /* the transfer is shared with reading; a write never changes the bytes */
        const void *in;
        uint8_t *out;
    } bytes = {.in = data};
    return transfer(raw, true, lba, blocks, bytes.out, err);
}

/* ---- opening ---- */

static HRESULT read_capacity(struct raw *raw, struct error *err)
{
    struct single s = {0};
    HRESULT hr = wait_single(raw, iscsi_readcapacity16_task(raw->iscsi, raw->lun, single_done, &s),
                             &s, SILENCE_MS, err);
    if (SUCCEEDED(hr) && s.status != SCSI_STATUS_GOOD) {
        hr = judge(raw, "READ CAPACITY(16)", s.status, s.task, err);
    }
    struct scsi_readcapacity16 *answer = SUCCEEDED(hr) ? scsi_datain_unmarshall(s.task) : NULL;
    if (answer) {
        raw->block_bytes = answer->block_length;
        raw->block_count = answer->returned_lba + 1;
    }
    if (SUCCEEDED(hr) && (!answer || raw->block_bytes < 512 || raw->block_bytes > 65536 ||
                          (raw->block_bytes & (raw->block_bytes - 1)) != 0)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s: a capacity that makes no sense", raw->name);
    }
    single_free(&s);
    return hr;
}

static HRESULT log_in(struct raw *raw, const struct raw_address *address, const char *initiator,
                      struct error *err)
{
    raw->iscsi = iscsi_create_context(initiator);
    if (!raw->iscsi) {
        return error_set(err, E_OUTOFMEMORY, "out of memory logging in to %s", raw->name);
    }
    iscsi_set_noautoreconnect(raw->iscsi, 1);
    (void)iscsi_set_timeout(raw->iscsi, LOGIN_SECONDS);
    (void)iscsi_set_session_type(raw->iscsi, ISCSI_SESSION_NORMAL);
    (void)iscsi_set_targetname(raw->iscsi, address->target);
    if (iscsi_full_connect_sync(raw->iscsi, address->portal, address->lun) != 0) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s: cannot log in: %s", raw->name,
                         iscsi_get_error(raw->iscsi));
    }
    (void)iscsi_set_timeout(raw->iscsi, COMMAND_SECONDS);
    return read_capacity(raw, err);
}

HRESULT raw_open(const struct raw_address *address, const char *initiator, struct raw **out,
                 struct error *err)
{
    *out = NULL;
    struct raw *raw = calloc(1, sizeof(*raw));
    char *name = text_printf("iscsi://%s/%s/%d", address->portal, address->target, address->lun);
    if (!raw || !name) {
        free(raw);
        free(name);
        return error_set(err, E_OUTOFMEMORY, "out of memory opening a LUN");
    }
    raw->name = name;
    raw->lun = address->lun;
    raw->file = -1;
    HRESULT hr = log_in(raw, address, initiator, err);
    if (FAILED(hr)) {
        raw_close(raw);
        return hr;
    }
    *out = raw;
    return S_OK;
}

HRESULT raw_open_file(const char *path, uint32_t block_bytes, bool read_only, struct raw **out,
                      struct error *err)
{
    *out = NULL;
    int fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", path);
    }
    struct stat status;
    struct raw *raw = calloc(1, sizeof(*raw));
    char *name = text_copy(path);
    if (!raw || !name || fstat(fd, &status) != 0) {
        (void)close(fd);
        free(raw);
        free(name);
        return error_set(err, E_OUTOFMEMORY, "out of memory opening %s", path);
    }
    *raw = (struct raw){.name = name,
                        .block_bytes = block_bytes,
                        .block_count = (uint64_t)status.st_size / block_bytes,
                        .file = fd};
    *out = raw;
    return S_OK;
}

void raw_close(struct raw *raw)
{
    if (!raw) {
        return;
    }
    if (raw->iscsi) {
        if (!raw->is_lost && iscsi_is_logged_in(raw->iscsi)) {
            (void)iscsi_set_timeout(raw->iscsi, 2);
            (void)iscsi_logout_sync(raw->iscsi);
        }
        (void)iscsi_destroy_context(raw->iscsi);
    }
    if (raw->file >= 0) {
        (void)close(raw->file);
    }
    free(raw->name);
    free(raw);
}

/* ---- discovery ---- */

static bool is_in_list(const struct iscsi_discovery_address *list, const char *target)
{
    for (; list; list = list->next) {
        if (strcmp(list->target_name, target) == 0) {
            return true;
        }
    }
    return false;
}

HRESULT raw_is_listed(const char *portal, const char *target, const char *initiator, bool *out,
                      struct error *err)
{
    *out = false;
    struct iscsi_context *iscsi = iscsi_create_context(initiator);
    if (!iscsi) {
        return error_set(err, E_OUTOFMEMORY, "out of memory asking %s", portal);
    }
    iscsi_set_noautoreconnect(iscsi, 1);
    (void)iscsi_set_timeout(iscsi, LOGIN_SECONDS);
    (void)iscsi_set_session_type(iscsi, ISCSI_SESSION_DISCOVERY);
    HRESULT hr = S_OK;
    if (iscsi_connect_sync(iscsi, portal) != 0 || iscsi_login_sync(iscsi) != 0) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s does not answer: %s", portal,
                       iscsi_get_error(iscsi));
    } else {
        /* NULL also where no target is listed at all */
        struct iscsi_discovery_address *list = iscsi_discovery_sync(iscsi);
        *out = is_in_list(list, target);
        iscsi_free_discovery_data(iscsi, list);
        (void)iscsi_logout_sync(iscsi);
    }
    (void)iscsi_destroy_context(iscsi);
    return hr;
}
