/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/shims/recording.h"

#include "common/buffer.h"
#include "common/log.h"
#include "provider/host/wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_OF(number)  #number
#define LINE_OF(version) "lunshadow-replay " TEXT_OF(version) "\n"
#define FIRST_LINE       LINE_OF(RECORDING_VERSION)
#define FIRST_LINE_ANY   "lunshadow-replay "
enum { FIRST_LINE_BYTES = sizeof(FIRST_LINE) - 1, HEADER_BYTES = 4, POSITION_BYTES = 24 };

static HRESULT check_first_line(const char *path, const char *start, size_t bytes,
                                struct error *err)
{
    if (bytes >= FIRST_LINE_BYTES && memcmp(start, FIRST_LINE, FIRST_LINE_BYTES) == 0) {
        return S_OK;
    }
    bool is_other = bytes >= sizeof(FIRST_LINE_ANY) - 1 &&
                    memcmp(start, FIRST_LINE_ANY, sizeof(FIRST_LINE_ANY) - 1) == 0;
    return is_other ? error_set(err, E_INVALIDARG,
                                "%s is a recording of another version than %d; record it again",
                                path, RECORDING_VERSION)
                    : error_set(err, E_INVALIDARG, "%s is no recording", path);
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static bool write_all(int fd, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

static HRESULT begin(const char *path, int fd, struct error *err)
{
    char start[FIRST_LINE_BYTES];
    ssize_t got = pread(fd, start, sizeof(start), 0);
    if (got == 0 && write_all(fd, FIRST_LINE, FIRST_LINE_BYTES)) {
        return S_OK;
    }
    return got > 0 ? check_first_line(path, start, (size_t)got, err)
                   : error_set_errno(err, errno, "recording %s", path);
}

HRESULT recording_append_to(const char *path, int *out_fd, struct error *err)
{
    *out_fd = -1;
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "recording %s", path);
    }
    HRESULT hr = begin(path, fd, err);
    if (FAILED(hr)) {
        (void)close(fd);
        return hr;
    }
    *out_fd = fd;
    return S_OK;
}

/* Length and content in one write: another process may append to the file too. */
bool recording_append(int fd, struct wire_content *content)
{
    uint8_t *frame = malloc(HEADER_BYTES + content->bytes);
    bool ok = frame && content->bytes >= 1 && content->bytes <= FRAME_BYTES_MAX;
    if (ok) {
        for (size_t i = 0; i < HEADER_BYTES; i++) {
            frame[i] = (uint8_t)(content->bytes >> (8 * i));
        }
        memcpy(frame + HEADER_BYTES, content->data, content->bytes);
        ok = write_all(fd, frame, HEADER_BYTES + content->bytes);
    }
    free(frame);
    free(content->data);
    *content = (struct wire_content){0};
    return ok;
}

HRESULT recording_note(const char *path, const char *text, struct error *err)
{
    int fd = -1;
    struct wire_content content = {0};
    HRESULT hr = recording_append_to(path, &fd, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = wire_encode_log(LOG_INFO, text, &content);
    if (SUCCEEDED(hr) && !recording_append(fd, &content)) {
        hr = error_set_errno(err, errno, "recording %s", path);
    }
    (void)close(fd);
    return hr;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static HRESULT read_whole(int fd, struct recording *r, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return error_set(err, E_INVALIDARG, "%s is no recording: not a regular file", r->path);
    }
    if ((uint64_t)st.st_size > RECORDING_BYTES_MAX) {
        return error_set(err, E_INVALIDARG, "%s is larger than %u MiB", r->path,
                         RECORDING_BYTES_MAX >> 20);
    }
    r->data = malloc((size_t)st.st_size + 1);
    if (!r->data) {
        return error_set(err, E_OUTOFMEMORY, "out of memory reading %s", r->path);
    }
    while (r->bytes < (size_t)st.st_size) {
        ssize_t n = read(fd, r->data + r->bytes, (size_t)st.st_size - r->bytes);
        if (n <= 0) {
            return error_set_errno(err, n < 0 ? errno : EIO, "%s", r->path);
        }
        r->bytes += (size_t)n;
    }
    return S_OK;
}

static size_t frame_bytes(const uint8_t *header)
{
    size_t bytes = 0;
    for (size_t i = 0; i < HEADER_BYTES; i++) {
        bytes |= (size_t)header[i] << (8 * i);
    }
    return bytes;
}

/* Where the frame at `at` ends; 0: there is none that is whole. */
static size_t end_of_frame(const struct recording *r, size_t at)
{
    if (at > r->bytes || r->bytes - at < HEADER_BYTES) {
        return 0;
    }
    size_t bytes = frame_bytes(r->data + at);
    bool is_whole = bytes >= 1 && bytes <= FRAME_BYTES_MAX && bytes <= r->bytes - at - HEADER_BYTES;
    return is_whole ? at + HEADER_BYTES + bytes : 0;
}

static HRESULT check_frames(const struct recording *r, struct error *err)
{
    size_t at = FIRST_LINE_BYTES;
    while (at < r->bytes) {
        size_t end = end_of_frame(r, at);
        if (!end) {
            return error_set(err, E_INVALIDARG, "%s ends within a frame, at byte %zu", r->path, at);
        }
        at = end;
    }
    return S_OK;
}

HRESULT recording_load(const char *path, struct recording *out, struct error *err)
{
    *out = (struct recording){.path = realpath(path, NULL)};
    int fd = out->path ? open(out->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    HRESULT hr =
        fd >= 0 ? read_whole(fd, out, err) : error_set_errno(err, errno, "recording %s", path);
    if (SUCCEEDED(hr)) {
        hr = check_first_line(out->path, (const char *)out->data, out->bytes, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_frames(out, err);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (FAILED(hr)) {
        recording_free(out);
    }
    return hr;
}

void recording_free(struct recording *recording)
{
    free(recording->path);
    free(recording->data);
    *recording = (struct recording){0};
}

HRESULT recording_next(const struct recording *recording, size_t *at, struct provider_arena *arena,
                       struct wire_frame *out)
{
    *out = (struct wire_frame){0};
    size_t start = *at < FIRST_LINE_BYTES ? FIRST_LINE_BYTES : *at;
    if (start == recording->bytes) {
        return S_FALSE;
    }
    size_t end = end_of_frame(recording, start);
    if (!end) {
        return VSS_E_UNEXPECTED; /* a position that is none */
    }
    *at = end;
    return wire_decode(recording->data + start + HEADER_BYTES, end - start - HEADER_BYTES, arena,
                       out);
}

/* ---- positions ---------------------------------------------------------------------------------
 */

/* Always as long: written over in one piece. */
HRESULT recording_keep_position(const char *path, size_t at)
{
    char text[POSITION_BYTES + 1];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        return error_from_errno(errno);
    }
    (void)snprintf(text, sizeof(text), "%0*zu\n", POSITION_BYTES - 1, at);
    bool is_kept = pwrite(fd, text, POSITION_BYTES, 0) == POSITION_BYTES;
    return close(fd) == 0 && is_kept ? S_OK : VSS_E_UNEXPECTED;
}

HRESULT recording_recall_position(const char *path, size_t *out_at)
{
    char text[POSITION_BYTES + 1] = "";
    *out_at = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return S_FALSE;
    }
    ssize_t got = read(fd, text, POSITION_BYTES);
    (void)close(fd);
    *out_at = got > 0 ? (size_t)strtoumax(text, NULL, 10) : 0;
    return S_OK;
}
