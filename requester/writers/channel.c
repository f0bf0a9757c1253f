/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/writers/channel.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
#define REAP_MS     5000u

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/* ---- starting ---- */

/* Its ends of the streams. */
struct far_ends {
    int in;
    int out;
    int err;
};

static void close_far_ends(struct far_ends *ends)
{
    close_fd(&ends->in);
    close_fd(&ends->out);
    close_fd(&ends->err);
}

static bool make_pipe(int *near, int *far)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    *near = ends[0];
    *far = ends[1];
    return fcntl(*near, F_SETFL, O_NONBLOCK) == 0;
}

static bool make_streams(struct channel *c, struct far_ends *far)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return false;
    }
    c->to = ends[0];
    far->in = ends[1];
    return shutdown(c->to, SHUT_RD) == 0 && make_pipe(&c->from, &far->out) &&
           make_pipe(&c->says, &far->err);
}

/* argv of the program, through setpriv(1) where it runs as another user. */
static HRESULT build_arguments(const struct writer_settings *s, char options[2][96],
                               const char *argv[8], struct error *err)
{
    size_t count = 0;
    if (s->user) {
        char room[4096];
        struct passwd entry;
        struct passwd *found = NULL;
        if (getpwnam_r(s->user, &entry, room, sizeof(room), &found) != 0 || !found) {
            return error_set(err, E_INVALIDARG, "%s: there is no user %s", s->path, s->user);
        }
        if (geteuid() != 0 && geteuid() != found->pw_uid) {
            return error_set(err, E_ACCESSDENIED,
                             "%s: only root can run a writer as user %s; remove \"user =\" or be "
                             "root",
                             s->path, s->user);
        }
        if (geteuid() == 0) {
            (void)snprintf(options[0], sizeof(options[0]), "--reuid=%lu",
                           (unsigned long)found->pw_uid);
            (void)snprintf(options[1], sizeof(options[1]), "--regid=%lu",
                           (unsigned long)found->pw_gid);
            argv[count++] = "setpriv";
            argv[count++] = options[0];
            argv[count++] = options[1];
            argv[count++] = found->pw_uid == 0 ? "--keep-groups" : "--init-groups";
            argv[count++] = "--no-new-privs";
            argv[count++] = "--";
        }
    }
    argv[count++] = s->program;
    argv[count] = NULL;
    return S_OK;
}

HRESULT channel_start(struct channel *c, const struct writer_settings *settings, struct error *err)
{
    char options[2][96];
    const char *argv[8];
    struct far_ends far = {-1, -1, -1};
    *c = (struct channel)CHANNEL_INIT;
    HRESULT hr = build_arguments(settings, options, argv, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!make_streams(c, &far)) {
        bool is_short_of_files = errno == EMFILE || errno == ENFILE;
        hr = error_set_errno(err, errno, "writer %s: cannot make its streams", settings->name);
        hr = is_short_of_files ? error_translate(err, VSS_E_UNEXPECTED) : hr; /* it alone fails */
        goto out;
    }
    struct process_options o = PROCESS_OPTIONS_INIT;
    o.in_fd = far.in;
    o.out_fd = far.out;
    o.err_fd = far.err;
    o.new_session = true;
    o.environment = (const char *const *)settings->environment;
    o.only_environment = true;
    hr = process_start(argv, &o, &c->process, err);
out:
    close_far_ends(&far);
    if (FAILED(hr)) {
        channel_end(c, 0, NULL);
    }
    return hr;
}

bool channel_is_open(const struct channel *c)
{
    return c->process.pidfd >= 0;
}

/* ---- talking ---- */

void channel_begin(struct channel *c)
{
    c->received_bytes = 0;
}

enum channel_end channel_send(struct channel *c)
{
    if (FAILED(buffer_status(&c->out))) {
        return CHANNEL_NO_MEMORY;
    }
    while (c->sent < c->out.length) {
        ssize_t n = c->to < 0 ? -1
                              : send(c->to, c->out.data + c->sent, c->out.length - c->sent,
                                     MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (c->to < 0 || (errno != EAGAIN && errno != EINTR))) {
            return CHANNEL_CLOSED;
        }
        if (n < 0) {
            return CHANNEL_OPEN;
        }
        c->sent += (size_t)n;
    }
    c->out.length = 0;
    c->sent = 0;
    return CHANNEL_OPEN;
}

/* Keeps the last line that is not empty. */
static void keep_said(struct channel *c, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            c->said_is_whole = true;
            continue;
        }
        if (c->said_is_whole) {
            c->said_length = 0;
            c->said_is_whole = false;
        }
        if (c->said_length + 1 < sizeof(c->said)) {
            bool is_plain = bytes[i] >= ' ' && bytes[i] <= '~';
            c->said[c->said_length++] = is_plain ? bytes[i] : '?';
            c->said[c->said_length] = '\0';
        }
    }
}

/* False at the stream's end; *out_bytes 0 where nothing is there now. */
static bool read_some(int fd, char *chunk, size_t room, size_t *out_bytes)
{
    *out_bytes = 0;
    ssize_t n = fd < 0 ? 0 : read(fd, chunk, room);
    if (n > 0) {
        *out_bytes = (size_t)n;
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Its standard error may be closed without harm. */
static void listen_to(struct channel *c, char *chunk)
{
    size_t bytes = 0;
    if (c->says >= 0 && !read_some(c->says, chunk, CHUNK_BYTES, &bytes)) {
        close_fd(&c->says);
    }
    keep_said(c, chunk, bytes);
    c->received_bytes += bytes;
}

enum channel_end channel_receive(struct channel *c)
{
    char chunk[CHUNK_BYTES];
    size_t bytes = 0;
    if (c->used) {
        c->in.length -= c->used;
        memmove(c->in.data, c->in.data + c->used, c->in.length);
        c->used = 0;
    }
    listen_to(c, chunk);
    bool is_open = read_some(c->from, chunk, sizeof(chunk), &bytes);
    if (bytes) {
        buffer_add(&c->in, chunk, bytes);
        c->received_bytes += bytes;
    }
    if (FAILED(buffer_status(&c->in))) {
        return CHANNEL_NO_MEMORY;
    }
    if (c->received_bytes > CHANNEL_BYTES_MAX || c->in.length > CHANNEL_BYTES_MAX) {
        return CHANNEL_TOO_MUCH;
    }
    return is_open ? CHANNEL_OPEN : CHANNEL_CLOSED;
}

char *channel_line(struct channel *c, size_t *out_length)
{
    if (c->used >= c->in.length) {
        return NULL;
    }
    char *line = c->in.data + c->used;
    char *end = memchr(line, '\n', c->in.length - c->used);
    if (!end) {
        return NULL;
    }
    *end = '\0';
    *out_length = (size_t)(end - line);
    c->used += *out_length + 1;
    return line;
}

/* ---- ending ---- */

void channel_hang_up(struct channel *c)
{
    close_fd(&c->to);
}

static bool wait_for_end(const struct channel *c, uint64_t deadline_us)
{
    for (;;) {
        struct pollfd p = {.fd = c->process.pidfd, .events = POLLIN};
        uint64_t now = clock_monotonic_us();
        int rc = poll(&p, 1, deadline_us > now ? (int)((deadline_us - now) / 1000 + 1) : 0);
        if (rc >= 0 || errno != EINTR) {
            return rc > 0;
        }
    }
}

/* One that is on its way out needs no more than that: its exit code says why. */
static bool ends_by_itself(const struct channel *c, uint64_t deadline_us)
{
    return deadline_us != 0 && process_is_ending(&c->process) &&
           wait_for_end(c, clock_monotonic_us() + (uint64_t)REAP_MS * 1000);
}

void channel_end(struct channel *c, uint64_t deadline_us, int *out_status)
{
    int status = -1;
    channel_hang_up(c);
    if (channel_is_open(c)) {
        bool by_itself = wait_for_end(c, deadline_us) || ends_by_itself(c, deadline_us);
        /* until it is reaped its pid, so its group, is nobody else's */
        (void)kill(-c->process.pid, SIGKILL);
        (void)process_signal(&c->process, SIGKILL);
        if (process_wait(&c->process, REAP_MS, &status) == S_FALSE) {
            close_fd(&c->process.pidfd); /* in the kernel's hands: nothing more can be done */
        }
        status = by_itself ? status : -1;
    }
    close_fd(&c->from);
    close_fd(&c->says);
    buffer_free(&c->out);
    buffer_free(&c->in);
    c->process = (struct process)PROCESS_INIT;
    c->sent = 0;
    c->used = 0;
    if (out_status) {
        *out_status = status;
    }
}
