/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/internal.h"

#include "common/clock.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a target takes in one PDU. tgtd's own 8 KiB make writing two to three times slower. */
#define SEGMENT_BYTES "262144"

enum {
    MOST_LUN = 16383,
    LONGEST_NAME = 223, /* RFC 3720, iSCSI names */
    LONGEST_SERIAL = 36,
    CLOSE_MS = 5000,
    CLOSE_POLL_MS = 5
};

HRESULT lab_show(struct lab *lab, struct buffer *out, struct error *err)
{
    const char *const show[] = {"--op", "show", "--mode", "target", NULL};
    return lab_tgtadm(lab, show, out, err);
}

/* Copies the line at *rest without its end and moves on; false at the end of the text. */
static bool next_line(const char **rest, char *line, size_t size)
{
    if (!*rest || !**rest) {
        return false;
    }
    size_t length = strcspn(*rest, "\n");
    (void)snprintf(line, size, "%.*s", (int)(length < size ? length : size - 1), *rest);
    *rest += length;
    *rest += **rest == '\n';
    return true;
}

/* The number of "Target N: NAME" in what lab_show() gives; 0 where it is not there. *lowest_free is
 * the first number no target has. Targets are listed in rising order. */
static unsigned find_target(const char *shown, const char *name, unsigned *lowest_free)
{
    char line[512];
    unsigned found = 0;
    *lowest_free = 1;
    while (next_line(&shown, line, sizeof(line))) {
        char *end;
        if (strncmp(line, "Target ", 7) != 0) {
            continue;
        }
        unsigned tid = (unsigned)strtoul(line + 7, &end, 10);
        if (tid == *lowest_free) {
            ++*lowest_free;
        }
        if (strncmp(end, ": ", 2) == 0 && strcmp(end + 2, name) == 0) {
            found = tid;
        }
    }
    return found;
}

static HRESULT look_up(struct lab *lab, const char *target, unsigned *out_tid, struct buffer *shown,
                       struct error *err)
{
    unsigned unused;
    HRESULT hr = lab_show(lab, shown, err);
    if (FAILED(hr)) {
        return hr;
    }
    *out_tid = find_target(shown->data, target, &unused);
    if (*out_tid == 0) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "the lab has no target %s", target);
    }
    return S_OK;
}

static bool is_iscsi_name(const char *name)
{
    size_t length = strlen(name);
    if (length < 5 || length > LONGEST_NAME ||
        (strncmp(name, "iqn.", 4) != 0 && strncmp(name, "eui.", 4) != 0 &&
         strncmp(name, "naa.", 4) != 0)) {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.:-") == length;
}

/* "" and NULL pass. */
static bool is_made_of(const char *text, int (*test)(int), size_t least, size_t most)
{
    if (!text || !*text) {
        return true;
    }
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if (!test((unsigned char)text[i])) {
            return false;
        }
    }
    return length >= least && length <= most;
}

static HRESULT check_options(const struct lab_lun_options *o, struct error *err)
{
    const char *wrong = NULL;
    if (!o->target || !is_iscsi_name(o->target)) {
        wrong = "target is not an iSCSI name (iqn., eui. or naa., lower case)";
    } else if (o->initiator && !is_iscsi_name(o->initiator)) {
        wrong = "initiator is not an iSCSI name (iqn., eui. or naa., lower case)";
    } else if (o->lun < 1 || o->lun > MOST_LUN) {
        wrong = "LUN number is not 1..16383";
    } else if (!o->file || !*o->file || strpbrk(o->file, "/,\n") || o->file[0] == '.') {
        wrong = "file is not a plain name (no slash, no comma, no dot in front)";
    } else if (o->block_bytes != 512 && o->block_bytes != 4096) {
        wrong = "block size is not 512 or 4096";
    } else if (!is_made_of(o->scsi_id, isxdigit, 32, 32)) {
        wrong = "scsi_id is not 32 hex digits"; /* tgtd reads another character as 0: collisions */
    } else if (!is_made_of(o->serial, isalnum, 1, LONGEST_SERIAL)) {
        wrong = "serial is not 1..36 letters and digits";
    }
    return wrong ? error_set(err, E_INVALIDARG, "lab LUN %u of %s: %s", o->lun,
                             o->target ? o->target : "(none)", wrong)
                 : S_OK;
}

/* Makes the file or takes the one that is there. */
static HRESULT open_file(const struct lab *lab, const struct lab_lun_options *o, char **out_path,
                         bool *out_made, struct error *err)
{
    HRESULT hr = S_OK;
    struct stat st;
    char *path = text_printf("%s/%s", lab->disks, o->file);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "out of memory adding a LUN");
    }
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    *out_made = fd >= 0;
    if (fd < 0 && errno == EEXIST) {
        fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    }
    if (fd < 0) {
        hr = error_set_errno(err, errno, "cannot open %s", path);
    } else if (*out_made && ftruncate(fd, o->bytes > INT64_MAX ? -1 : (off_t)o->bytes) != 0) {
        hr = error_set_errno(err, errno, "cannot make %s %llu bytes long", path,
                             (unsigned long long)o->bytes);
    } else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
               st.st_size % o->block_bytes != 0) {
        hr = error_set(err, E_INVALIDARG, "%s is not a file of whole %u-byte blocks", path,
                       o->block_bytes);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (FAILED(hr) && *out_made) {
        (void)unlink(path);
    }
    if (FAILED(hr)) {
        free(path);
        path = NULL;
    }
    *out_path = path;
    return hr;
}

static HRESULT run(struct lab *lab, const char *op, const char *mode, unsigned tid,
                   const char *const more[], struct error *err)
{
    char number[16];
    const char *argv[24] = {"--op", op, "--mode", mode, "--tid", number};
    size_t n = 6;
    (void)snprintf(number, sizeof(number), "%u", tid);
    for (size_t i = 0; more[i] && n < 23; i++) {
        argv[n++] = more[i];
    }
    return lab_tgtadm(lab, argv, NULL, err);
}

static HRESULT bind(struct lab *lab, unsigned tid, bool on, const char *who, bool is_name,
                    struct error *err)
{
    const char *const more[] = {is_name ? "-Q" : "-I", who, NULL};
    return run(lab, on ? "bind" : "unbind", "target", tid, more, err);
}

/* scsi_id and serial, given or fresh. A fresh NAA-6 begins with the OUI 001405 (Open-iSCSI's). */
static HRESULT set_ids(struct lab *lab, unsigned tid, const char *lun,
                       const struct lab_lun_options *o, struct error *err)
{
    unsigned char random[20];
    char fresh_id[33] = "6001405";
    char fresh_serial[33] = "LAB";
    struct buffer params = BUFFER_INIT;
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return error_set(err, VSS_E_UNEXPECTED, "no random numbers for a LUN's id");
    }
    for (size_t i = 0; i < 25; i++) {
        unsigned nibble = ((unsigned)random[i / 2] >> (i % 2 ? 4 : 0)) & 15;
        fresh_id[7 + i] = "0123456789abcdef"[nibble];
    }
    for (size_t i = 0; i < 7; i++) {
        (void)snprintf(fresh_serial + 3 + 2 * i, 3, "%02X", random[13 + i]);
    }
    const char *id = o->scsi_id ? o->scsi_id : fresh_id;
    const char *serial = o->serial ? o->serial : fresh_serial;
    if (*id) {
        buffer_printf(&params, "scsi_id=%s", id);
    }
    if (*serial) {
        buffer_printf(&params, "%sscsi_sn=%s", *id ? "," : "", serial);
    }
    HRESULT hr = buffer_status(&params);
    if (FAILED(hr)) {
        hr = error_set(err, hr, "out of memory adding a LUN");
    } else if (params.length > 0) {
        const char *const more[] = {"--lun", lun, "--params", params.data, NULL};
        hr = run(lab, "update", "logicalunit", tid, more, err);
    }
    buffer_free(&params);
    return hr;
}

static HRESULT add_unit(struct lab *lab, unsigned tid, const char *path,
                        const struct lab_lun_options *o, struct error *err)
{
    char lun[16];
    char block[16];
    (void)snprintf(lun, sizeof(lun), "%u", o->lun);
    (void)snprintf(block, sizeof(block), "%u", o->block_bytes);
    const char *const more[] = {"--lun", lun, "-b", path, "--blocksize", block, NULL};
    const char *const only_lun[] = {"--lun", lun, NULL};
    HRESULT hr = run(lab, "new", "logicalunit", tid, more, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = set_ids(lab, tid, lun, o, err);
    if (FAILED(hr)) {
        (void)run(lab, "delete", "logicalunit", tid, only_lun, NULL);
    }
    return hr;
}

static HRESULT add_target(struct lab *lab, unsigned tid, const char *path,
                          const struct lab_lun_options *o, struct error *err)
{
    const char *const name[] = {"-T", o->target, NULL};
    const char *const segment[] = {"-n", "MaxRecvDataSegmentLength", "-v", SEGMENT_BYTES, NULL};
    const char *const force[] = {"--force", NULL};
    HRESULT hr = run(lab, "new", "target", tid, name, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = run(lab, "update", "target", tid, segment, err);
    if (SUCCEEDED(hr)) {
        hr = add_unit(lab, tid, path, o, err);
    }
    if (SUCCEEDED(hr)) {
        hr = bind(lab, tid, true, o->initiator ? o->initiator : "127.0.0.1", o->initiator != NULL,
                  err);
    }
    if (FAILED(hr)) {
        (void)run(lab, "delete", "target", tid, force, NULL);
    }
    return hr;
}

/* True where the target of this number has that LUN in what lab_show() gives. */
static bool has_lun(const char *shown, unsigned tid, uint32_t lun)
{
    char line[512];
    unsigned here = 0;
    while (next_line(&shown, line, sizeof(line))) {
        unsigned long long number = 0;
        if (sscanf(line, "Target %u:", &here) == 1) {
            continue;
        }
        if (here == tid && sscanf(line, " LUN: %llu", &number) == 1 && number == lun) {
            return true;
        }
    }
    return false;
}

HRESULT lab_add_lun(struct lab *lab, const struct lab_lun_options *options, struct error *err)
{
    struct buffer shown = BUFFER_INIT;
    char *path = NULL;
    bool made = false;
    unsigned next_tid = 0;
    HRESULT hr = check_options(options, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = lab_show(lab, &shown, err);
    if (FAILED(hr)) {
        goto out;
    }
    unsigned tid = find_target(shown.data, options->target, &next_tid);
    if (tid && has_lun(shown.data, tid, options->lun)) {
        hr = error_set(err, VSS_E_OBJECT_ALREADY_EXISTS, "target %s has a LUN %u already",
                       options->target, options->lun);
        goto out;
    }
    hr = open_file(lab, options, &path, &made, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = tid ? add_unit(lab, tid, path, options, err)
             : add_target(lab, next_tid, path, options, err);
    if (FAILED(hr)) {
        error_prefix(err, "lab LUN %u of %s", options->lun, options->target);
    }
    if (FAILED(hr) && made) {
        (void)unlink(path);
    }
out:
    free(path);
    buffer_free(&shown);
    return hr;
}

HRESULT lab_remove_lun(struct lab *lab, const char *target, uint32_t lun, struct error *err)
{
    struct buffer shown = BUFFER_INIT;
    unsigned tid = 0;
    char number[16];
    const char *const more[] = {"--lun", number, NULL};
    (void)snprintf(number, sizeof(number), "%u", lun);
    HRESULT hr = look_up(lab, target, &tid, &shown, err);
    if (SUCCEEDED(hr) && !has_lun(shown.data, tid, lun)) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "target %s has no LUN %u", target, lun);
    }
    if (SUCCEEDED(hr)) {
        hr = run(lab, "delete", "logicalunit", tid, more, err);
    }
    buffer_free(&shown);
    return hr;
}

/* Where the bindings of a masked target are remembered. */
static char *mask_path(const struct lab *lab, const char *target)
{
    return text_printf("%s/masked-%s", lab->directory, target);
}

HRESULT lab_remove_target(struct lab *lab, const char *target, struct error *err)
{
    struct buffer shown = BUFFER_INIT;
    unsigned tid = 0;
    const char *const force[] = {"--force", NULL};
    HRESULT hr = look_up(lab, target, &tid, &shown, err);
    if (SUCCEEDED(hr)) {
        hr = run(lab, "delete", "target", tid, force, err);
    }
    if (SUCCEEDED(hr)) {
        char *path = mask_path(lab, target);
        if (path) {
            (void)unlink(path);
        }
        free(path);
    }
    buffer_free(&shown);
    return hr;
}

/* The lines below "ACL information:" of one target: who may log in, one per line. */
static void collect_bindings(const char *shown, unsigned tid, struct buffer *out)
{
    char line[512];
    unsigned here = 0;
    bool in_list = false;
    while (next_line(&shown, line, sizeof(line))) {
        const char *text = line + strspn(line, " ");
        if (strncmp(line, "Target ", 7) == 0) {
            here = (unsigned)strtoul(line + 7, NULL, 10);
            in_list = false;
        } else if (strcmp(text, "ACL information:") == 0) {
            in_list = here == tid;
        } else if (in_list && *text) {
            buffer_printf(out, "%s\n", text);
        }
    }
}

/* An entry does not say which kind it is: names have their prefix, all else is an address or ALL.
 */
static HRESULT bind_each(struct lab *lab, unsigned tid, bool on, const char *list,
                         struct error *err)
{
    char who[512];
    HRESULT hr = S_OK;
    while (SUCCEEDED(hr) && next_line(&list, who, sizeof(who))) {
        bool is_name = is_iscsi_name(who);
        hr = bind(lab, tid, on, who, is_name, NULL);
        if (FAILED(hr)) {
            hr = bind(lab, tid, on, who, !is_name, err);
        }
    }
    return hr;
}

static HRESULT close_connection(struct lab *lab, unsigned tid, unsigned session,
                                unsigned connection)
{
    char sid[16];
    char cid[16];
    const char *const more[] = {"--sid", sid, "--cid", cid, NULL};
    (void)snprintf(sid, sizeof(sid), "%u", session);
    (void)snprintf(cid, sizeof(cid), "%u", connection);
    return run(lab, "delete", "conn", tid, more, NULL);
}

/* One round: asks what is connected and closes it. S_OK when nothing was; S_FALSE: look again, as a
 * connection that just went away is no error and a busy one goes a little later. */
static HRESULT close_round(struct lab *lab, unsigned tid, struct error *err)
{
    char number[16];
    char line[512];
    unsigned session = 0;
    unsigned connection = 0;
    HRESULT hr = S_OK;
    struct buffer out = BUFFER_INIT;
    const char *const show[] = {"--op", "show", "--mode", "conn", "--tid", number, NULL};
    (void)snprintf(number, sizeof(number), "%u", tid);
    hr = lab_tgtadm(lab, show, &out, err);
    const char *rest = out.data;
    while (SUCCEEDED(hr) && next_line(&rest, line, sizeof(line))) {
        if (sscanf(line, "Session: %u", &session) == 1) {
            hr = S_FALSE;
        } else if (sscanf(line, " Connection: %u", &connection) == 1) {
            (void)close_connection(lab, tid, session, connection);
            hr = S_FALSE;
        }
    }
    buffer_free(&out);
    return hr;
}

static HRESULT close_sessions(struct lab *lab, unsigned tid, const char *target, struct error *err)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)CLOSE_MS * 1000;
    while (clock_monotonic_us() < deadline) {
        HRESULT hr = close_round(lab, tid, err);
        if (hr != S_FALSE) {
            return hr;
        }
        clock_sleep_ms(CLOSE_POLL_MS);
    }
    return error_set(err, VSS_E_UNEXPECTED, "sessions of target %s do not close", target);
}

/* Masking twice must not forget the bindings of the first time. */
static HRESULT remember_bindings(const struct lab *lab, const char *target,
                                 const struct buffer *bindings, struct error *err)
{
    if (bindings->length == 0) {
        return S_OK;
    }
    char *path = mask_path(lab, target);
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    HRESULT hr = S_OK;
    if (fd < 0 || write(fd, bindings->data, bindings->length) != (ssize_t)bindings->length) {
        hr = error_set(err, VSS_E_UNEXPECTED, "cannot note who may see target %s in %s", target,
                       lab->directory);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    return hr;
}

HRESULT lab_mask_target(struct lab *lab, const char *target, struct error *err)
{
    struct buffer shown = BUFFER_INIT;
    struct buffer bindings = BUFFER_INIT;
    unsigned tid = 0;
    HRESULT hr = look_up(lab, target, &tid, &shown, err);
    if (FAILED(hr)) {
        goto out;
    }
    collect_bindings(shown.data, tid, &bindings);
    hr = buffer_status(&bindings);
    if (FAILED(hr)) {
        hr = error_set(err, hr, "out of memory masking target %s", target);
        goto out;
    }
    hr = remember_bindings(lab, target, &bindings, err);
    if (FAILED(hr)) {
        goto out;
    }
    /* Unbinding first: else initiators log in again faster than we close. */
    hr = bind_each(lab, tid, false, bindings.data, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = close_sessions(lab, tid, target, err);
out:
    buffer_free(&bindings);
    buffer_free(&shown);
    return hr;
}

static void recall_bindings(const char *path, struct buffer *out)
{
    char line[512];
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        buffer_add_text(out, line);
    }
    if (f) {
        (void)fclose(f);
    }
}

HRESULT lab_unmask_target(struct lab *lab, const char *target, struct error *err)
{
    struct buffer shown = BUFFER_INIT;
    struct buffer present = BUFFER_INIT;
    struct buffer wanted = BUFFER_INIT;
    unsigned tid = 0;
    HRESULT hr = S_OK;
    char *path = mask_path(lab, target);
    if (!path) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory unmasking target %s", target);
        goto out;
    }
    hr = look_up(lab, target, &tid, &shown, err);
    if (FAILED(hr)) {
        goto out;
    }
    collect_bindings(shown.data, tid, &present);
    if (present.length > 0) {
        goto out; /* it is not masked */
    }
    recall_bindings(path, &wanted);
    hr = bind_each(lab, tid, true, wanted.length ? wanted.data : "127.0.0.1", err);
    if (SUCCEEDED(hr)) {
        (void)unlink(path);
    }
out:
    buffer_free(&wanted);
    buffer_free(&present);
    buffer_free(&shown);
    free(path);
    return hr;
}
