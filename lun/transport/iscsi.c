/* SPDX-License-Identifier: Apache-2.0 */
/* libiscsi first: our status names are macros with the values of its enum. */
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "lun/transport/iscsi.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MAX_IN_FLIGHT    128u
#define MAX_LUN          16383u
#define FLAT_SPACE       0x4000u /* SAM-5 4.7.7 */
#define OPEN_TRIES       3
#define OPEN_PAUSE_MS    200u
#define MAX_REDIRECTIONS 4
#define LOGOUT_MS        1000u
#define COPY_BELOW_BYTES                                                                           \
    8192u /* short answers go through libiscsi's buffer, which counts what came */

/* Login status of RFC 7143 11.13.5: class and detail. */
#define LOGIN_AUTHENTICATION 0x0201
#define LOGIN_FORBIDDEN      0x0202
#define LOGIN_NOT_FOUND      0x0203
#define LOGIN_REMOVED        0x0204

struct iscsi_session {
    struct scsi_transport transport; /* first */
    struct iscsi_context *context;   /* NULL once the session is lost */
    struct scsi_command *first;      /* submitted, oldest first */
    struct scsi_command *last;
    bool is_broken;     /* a callback saw the end of the session */
    bool has_refused;   /* commands are listed that could not be sent */
    struct error death; /* why it is lost */
    char *name;
};

/* A connect, login or discovery under way. */
struct iscsi_step {
    bool is_done;
    int status;
    char ***names; /* discovery only */
    size_t *name_count;
    HRESULT names_result;
};

static struct iscsi_session *session_of(struct scsi_transport *transport)
{
    return (struct iscsi_session *)transport;
}

/* libiscsi writes data-out by writev(2): a peer that closed would end the process by SIGPIPE. */
static int service(struct iscsi_context *context, int events)
{
    sigset_t pipe_set;
    sigset_t old;
    sigset_t pending;
    const struct timespec no_wait = {0, 0};
    if (!(events & POLLOUT)) {
        return iscsi_service(context, events);
    }
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigemptyset(&pending);
    (void)sigpending(&pending);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    int failed = iscsi_service(context, events);
    if (!sigismember(&pending, SIGPIPE)) {
        while (sigtimedwait(&pipe_set, NULL, &no_wait) < 0 && errno == EINTR) {
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed;
}

/* Waits for the socket up to timeout_ms and lets libiscsi work. False: the connection failed. */
static bool wait_and_service(struct iscsi_context *context, uint32_t timeout_ms)
{
    struct pollfd p = {iscsi_get_fd(context), (short)iscsi_which_events(context), 0};
    int ready = poll(&p, 1, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
    if (ready < 0) {
        return errno == EINTR;
    }
    return ready == 0 || service(context, p.revents) == 0;
}

static uint32_t left_ms(uint64_t deadline_us)
{
    uint64_t now = clock_monotonic_us();
    return now >= deadline_us ? 0 : (uint32_t)((deadline_us - now) / 1000 + 1);
}

/* ---- commands ---- */

static void list_add(struct iscsi_session *s, struct scsi_command *c)
{
    c->transport.next = NULL;
    c->transport.previous = s->last;
    if (s->last) {
        s->last->transport.next = c;
    } else {
        s->first = c;
    }
    s->last = c;
}

static void list_remove(struct iscsi_session *s, struct scsi_command *c)
{
    struct scsi_command *next = c->transport.next;
    struct scsi_command *previous = c->transport.previous;
    if (previous) {
        previous->transport.next = next;
    } else {
        s->first = next;
    }
    if (next) {
        next->transport.previous = previous;
    } else {
        s->last = previous;
    }
}

static uint32_t data_in_arrived(const struct scsi_command *c, const struct scsi_task *task)
{
    uint64_t moved = c->data_bytes;
    if (task->residual_status == SCSI_RESIDUAL_UNDERFLOW) {
        moved = task->residual < moved ? moved - task->residual : 0;
    }
    if (task->iovector_in.iov) {
        return (uint32_t)moved;
    }
    uint64_t copied = task->datain.size > 0 ? (uint64_t)task->datain.size : 0;
    moved = copied < moved ? copied : moved;
    if (moved > 0) {
        memcpy(c->data, task->datain.data, moved);
    }
    return (uint32_t)moved;
}

static uint32_t data_out_taken(const struct scsi_command *c, const struct scsi_task *task)
{
    if (task->residual_status != SCSI_RESIDUAL_UNDERFLOW) {
        return c->data_bytes;
    }
    return task->residual < c->data_bytes ? c->data_bytes - (uint32_t)task->residual : 0;
}

/* Sense data of a SCSI Response PDU begin with a two-byte length. */
static void take_sense(struct scsi_command *c, const struct scsi_task *task)
{
    if (!task->datain.data || task->datain.size < 2) {
        return;
    }
    size_t arrived = (size_t)task->datain.size - 2;
    size_t length = (size_t)task->datain.data[0] << 8 | task->datain.data[1];
    length = length < arrived ? length : arrived;
    (void)scsi_sense_parse(task->datain.data + 2, length < 252 ? length : 252, &c->sense);
}

static void end_command(struct iscsi_session *s, struct scsi_command *c)
{
    list_remove(s, c);
    c->duration_us = (uint32_t)(clock_monotonic_us() - c->transport.started_us);
    scsi_finish(&s->transport, c);
}

/* libiscsi's callback. Above 255 are its own states: cancelled, error, timeout: the session is
 * over, and the task is kept until the context is gone. */
static void on_response(struct iscsi_context *context, int status, void *data, void *user)
{
    (void)context;
    (void)data;
    struct scsi_command *c = user;
    struct scsi_task *task = c->transport.task;
    struct iscsi_session *s = session_of(c->transport.owner);
    if (status < 0 || status > 255) {
        s->is_broken = true;
        return;
    }
    c->status = (uint8_t)status;
    bool is_good = status != SCSI_STATUS_CHECK_CONDITION;
    if (!is_good) {
        take_sense(c, task); /* where data would be */
    } else if (c->direction == SCSI_DATA_IN) {
        c->transferred_bytes = data_in_arrived(c, task);
    }
    if (c->direction == SCSI_DATA_OUT && (is_good || c->sense.is_completed)) {
        c->transferred_bytes = data_out_taken(c, task);
    }
    scsi_free_scsi_task(task);
    c->transport.task = NULL;
    end_command(s, c);
}

/* The task of a command with its data attached, or NULL when memory is short. */
static struct scsi_task *make_task(struct scsi_command *c)
{
    static const int directions[] = {SCSI_XFER_NONE, SCSI_XFER_READ, SCSI_XFER_WRITE};
    struct scsi_task *task =
        scsi_create_task(c->cdb_bytes, c->cdb, directions[c->direction], (int)c->data_bytes);
    if (!task) {
        return NULL;
    }
    int failed = 0;
    if (c->direction == SCSI_DATA_OUT) {
        failed = scsi_task_add_data_out_buffer(task, (int)c->data_bytes, c->data);
    } else if (c->direction == SCSI_DATA_IN && c->data_bytes >= COPY_BELOW_BYTES) {
        failed = scsi_task_add_data_in_buffer(task, (int)c->data_bytes, c->data);
    }
    if (failed) {
        scsi_free_scsi_task(task);
        return NULL;
    }
    return task;
}

uint16_t iscsi_lun_field(uint64_t lun)
{
    return (uint16_t)(lun < 256 ? lun : lun | FLAT_SPACE);
}

static void refuse_command(struct iscsi_session *s, struct scsi_command *c, HRESULT hr)
{
    c->result = hr;
    s->has_refused = true;
}

static void session_submit(struct scsi_transport *transport, struct scsi_command *command)
{
    struct iscsi_session *s = session_of(transport);
    struct scsi_command *c = command;
    uint32_t timeout_ms = c->timeout_ms ? c->timeout_ms : SCSI_DEFAULT_TIMEOUT_MS;
    c->done = false;
    c->result = S_OK;
    c->transport.owner = transport;
    c->transport.task = NULL;
    c->transport.started_us = clock_monotonic_us();
    c->transport.deadline_us = c->transport.started_us + (uint64_t)timeout_ms * 1000;
    list_add(s, c);
    if (!s->context || s->is_broken) {
        return; /* the next poll says so */
    }
    if (c->lun > MAX_LUN || c->data_bytes > INT32_MAX) {
        refuse_command(s, c, E_INVALIDARG);
        return;
    }
    struct scsi_task *task = make_task(c);
    if (!task) {
        refuse_command(s, c, E_OUTOFMEMORY);
        return;
    }
    c->transport.task = task;
    uint16_t lun = iscsi_lun_field(c->lun);
    if (iscsi_scsi_command_async(s->context, lun, task, on_response, NULL, c) != 0) {
        s->is_broken = true;
    }
}

/* Closes for good: after this no buffer of any command is touched. */
static void lose(struct iscsi_session *s, HRESULT hr, const char *why)
{
    if (!s->context) {
        return;
    }
    (void)error_set(&s->death, hr, "%s: %s", s->name, why);
    log_line(LOG_DEBUG, "%s", s->death.text);
    struct iscsi_context *context = s->context;
    s->context = NULL;
    (void)iscsi_destroy_context(context);
    for (struct scsi_command *c = s->first; c; c = c->transport.next) {
        if (c->transport.task) {
            scsi_free_scsi_task(c->transport.task);
            c->transport.task = NULL;
        }
    }
}

/* Ends what is listed now; what their on_done submits waits for the next poll. */
static void end_listed(struct iscsi_session *s, bool refused_only, HRESULT hr)
{
    struct scsi_command *last = s->last;
    struct scsi_command *c = s->first;
    while (c) {
        struct scsi_command *next = c == last ? NULL : c->transport.next;
        if (!refused_only || FAILED(c->result)) {
            c->result = FAILED(c->result) ? c->result : hr;
            end_command(s, c);
        }
        c = next;
    }
}

static const struct scsi_command *first_to_expire(const struct iscsi_session *s)
{
    const struct scsi_command *found = s->first;
    for (const struct scsi_command *c = s->first; c; c = c->transport.next) {
        if (c->transport.deadline_us < found->transport.deadline_us) {
            found = c;
        }
    }
    return found;
}

/* Waits for the socket, at most until the next command expires. */
static void serve(struct iscsi_session *s, uint32_t timeout_ms)
{
    const struct scsi_command *c = first_to_expire(s);
    uint32_t left = c ? left_ms(c->transport.deadline_us) : timeout_ms;
    if (!wait_and_service(s->context, left < timeout_ms ? left : timeout_ms)) {
        s->is_broken = true;
    }
    c = first_to_expire(s);
    if (s->is_broken) {
        s->transport.is_cut = true;
        lose(s, VSS_E_UNEXPECTED,
             "the connection to the target broke; see whether the array runs, then start again");
    } else if (c && left_ms(c->transport.deadline_us) == 0) {
        char why[160];
        (void)snprintf(why, sizeof(why),
                       "LUN %llu did not answer command %02xh in time, so the session was closed; "
                       "see whether the array hangs, then start again",
                       (unsigned long long)c->lun, c->cdb[0]);
        lose(s, VSS_E_UNEXPECTED, why);
    }
}

static HRESULT session_poll(struct scsi_transport *transport, uint32_t timeout_ms,
                            struct error *err)
{
    struct iscsi_session *s = session_of(transport);
    if (s->has_refused) {
        s->has_refused = false;
        end_listed(s, true, S_OK);
        return S_OK;
    }
    if (s->context) {
        serve(s, s->is_broken ? 0 : timeout_ms);
    }
    if (s->context) {
        return S_OK;
    }
    end_listed(s, false, s->death.code);
    return error_set(err, s->death.code, "%s", s->death.text);
}

static int session_descriptor(struct scsi_transport *transport, short *out_events,
                              uint32_t *timeout_ms)
{
    struct iscsi_session *s = session_of(transport);
    if (!s->context || s->is_broken || s->has_refused) {
        return -1;
    }
    const struct scsi_command *c = first_to_expire(s);
    uint32_t left = c ? left_ms(c->transport.deadline_us) : *timeout_ms;
    *timeout_ms = left < *timeout_ms ? left : *timeout_ms;
    *out_events = (short)iscsi_which_events(s->context);
    return iscsi_get_fd(s->context);
}

static void on_step(struct iscsi_context *context, int status, void *data, void *user)
{
    (void)context;
    (void)data;
    struct iscsi_step *step = user;
    step->is_done = true;
    step->status = status;
}

/* True when the step ended by its callback before the deadline. */
static bool finish_step(struct iscsi_context *context, const struct iscsi_step *step,
                        uint64_t deadline_us)
{
    while (!step->is_done) {
        uint32_t left = left_ms(deadline_us);
        if (left == 0 || !wait_and_service(context, left)) {
            return step->is_done;
        }
    }
    return true;
}

static void session_close(struct scsi_transport *transport)
{
    struct iscsi_session *s = session_of(transport);
    if (s->context && !s->first && !s->is_broken) {
        struct iscsi_step step = {0};
        uint64_t deadline_us = clock_monotonic_us() + (uint64_t)LOGOUT_MS * 1000;
        if (iscsi_logout_async(s->context, on_step, &step) == 0) {
            (void)finish_step(s->context, &step, deadline_us);
        }
        /* a logout without answer calls back from here, while step is still there */
        (void)iscsi_destroy_context(s->context);
        s->context = NULL;
    }
    lose(s, VSS_E_UNEXPECTED, "closed");
    end_listed(s, false, VSS_E_UNEXPECTED);
    free(s->name);
    free(s);
}

static const struct scsi_transport_ops session_ops = {session_submit, session_poll, session_close,
                                                      session_descriptor};

/* ---- opening ---- */

/* Why libiscsi failed, in one line; nothing where the text holds what must not be shown. */
static void reason(struct iscsi_context *context, const struct iscsi_options *o, char *out,
                   size_t bytes)
{
    const char *text = iscsi_get_error(context);
    out[0] = '\0';
    if (!text || (o->secret && o->secret[0] && strstr(text, o->secret)) ||
        (o->user && o->user[0] && strstr(text, o->user))) {
        return;
    }
    (void)snprintf(out, bytes, " (%s)", text);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < ' ') {
            *c = ' ';
        }
    }
}

/* "... Status: Target not found(515)" */
static int login_status(struct iscsi_context *context)
{
    const char *text = iscsi_get_error(context);
    const char *digits = text ? strrchr(text, '(') : NULL;
    return digits ? atoi(digits + 1) : 0;
}

/* One try: its errors, and whether another may help. */
struct attempt {
    const struct iscsi_options *options;
    enum iscsi_session_type type;
    uint32_t timeout_ms;
    uint64_t deadline_us;
    char portal[256]; /* the options', until the target redirects */
    bool try_again;
    bool is_redirected;
};

static HRESULT connect_failed(struct attempt *a, struct iscsi_context *context, struct error *err)
{
    char why[256];
    if (left_ms(a->deadline_us) == 0) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "portal %s did not answer within %u ms; check the address and the network",
                         a->portal, a->timeout_ms);
    }
    reason(context, a->options, why, sizeof(why));
    return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                     "portal %s cannot be reached%s; check the address and that the array runs",
                     a->portal, why);
}

static HRESULT login_refused(const struct attempt *a, struct iscsi_context *context,
                             struct error *err)
{
    char why[256];
    const struct iscsi_options *o = a->options;
    const char *target = a->type == ISCSI_SESSION_NORMAL ? o->target : "discovery";
    switch (login_status(context)) {
    case LOGIN_AUTHENTICATION:
        return error_set(err, E_ACCESSDENIED,
                         "portal %s, %s: the target refused the CHAP login of initiator %s; check "
                         "user and secret_file",
                         a->portal, target, o->initiator);
    case LOGIN_FORBIDDEN:
        return error_set(err, E_ACCESSDENIED,
                         "portal %s, %s: the target does not admit initiator %s; give it access on "
                         "the array",
                         a->portal, target, o->initiator);
    case LOGIN_NOT_FOUND:
    case LOGIN_REMOVED:
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "portal %s has no target %s for initiator %s; list what it shows with "
                         "'lunshadow luns'",
                         a->portal, target, o->initiator);
    default:
        reason(context, o, why, sizeof(why));
        return error_set(err, VSS_E_UNEXPECTED, "portal %s, %s: login failed%s", a->portal, target,
                         why);
    }
}

static HRESULT login(struct attempt *a, struct iscsi_context *context, struct error *err)
{
    struct iscsi_step step = {0};
    if (iscsi_login_async(context, on_step, &step) != 0 ||
        !finish_step(context, &step, a->deadline_us)) {
        bool is_late = left_ms(a->deadline_us) == 0;
        a->try_again = !is_late;
        return error_set(err, VSS_E_UNEXPECTED, "portal %s: %s", a->portal,
                         is_late ? "no answer to the login in time; see whether the array hangs"
                                 : "the connection was closed during login; check that this is an "
                                   "iSCSI portal");
    }
    if (step.status == SCSI_STATUS_GOOD) {
        return S_OK;
    }
    const char *elsewhere = iscsi_get_target_address(context);
    if (step.status == SCSI_STATUS_REDIRECT && elsewhere && elsewhere[0]) {
        (void)snprintf(a->portal, sizeof(a->portal), "%s", elsewhere);
        a->is_redirected = true;
        return error_set(err, VSS_E_UNEXPECTED, "portal %s: redirected too often to %s",
                         a->options->portal, a->portal);
    }
    return login_refused(a, context, err);
}

static HRESULT configure(const struct attempt *a, struct iscsi_context *context, struct error *err)
{
    static const enum iscsi_header_digest digests[] = {
        ISCSI_HEADER_DIGEST_NONE_CRC32C, ISCSI_HEADER_DIGEST_NONE, ISCSI_HEADER_DIGEST_CRC32C};
    const struct iscsi_options *o = a->options;
    uint32_t isid = 0;
    /* two sessions with one ISID would end each other; libiscsi's own comes from rand() */
    bool ok = getrandom(&isid, sizeof(isid), 0) == (ssize_t)sizeof(isid) &&
              iscsi_set_isid_random(context, isid & 0xffffff, isid >> 24) == 0;
    ok = ok && iscsi_set_session_type(context, a->type) == 0;
    ok = ok && iscsi_set_header_digest(context, digests[o->header_digest]) == 0;
    ok = ok && (a->type != ISCSI_SESSION_NORMAL || iscsi_set_targetname(context, o->target) == 0);
    if (o->user && o->user[0]) {
        ok = ok &&
             iscsi_set_initiator_username_pwd(context, o->user, o->secret ? o->secret : "") == 0;
    }
    iscsi_set_log_level(context, 0);
    iscsi_set_noautoreconnect(context, 1);
    return ok ? S_OK : error_set(err, E_OUTOFMEMORY, "cannot prepare an iSCSI session");
}

static HRESULT attempt_once(struct attempt *a, struct iscsi_context **out, struct error *err)
{
    struct iscsi_step step = {0};
    struct iscsi_context *context = iscsi_create_context(a->options->initiator);
    a->try_again = false;
    a->is_redirected = false;
    if (!context) {
        return error_set(err, E_OUTOFMEMORY, "no memory for an iSCSI session");
    }
    HRESULT hr = configure(a, context, err);
    if (FAILED(hr)) {
        goto out;
    }
    if (iscsi_connect_async(context, a->portal, on_step, &step) != 0) {
        hr = connect_failed(a, context, err);
        goto out;
    }
    if (!finish_step(context, &step, a->deadline_us) || step.status != SCSI_STATUS_GOOD) {
        hr = connect_failed(a, context, err);
        a->try_again = left_ms(a->deadline_us) > OPEN_PAUSE_MS;
        goto out;
    }
    (void)fcntl(iscsi_get_fd(context), F_SETFD, FD_CLOEXEC);
    hr = login(a, context, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = context;
    context = NULL;
out:
    if (context) {
        (void)iscsi_destroy_context(context);
    }
    return hr;
}

/* A context that is logged in. */
static HRESULT connect_and_login(const struct iscsi_options *options, enum iscsi_session_type type,
                                 struct iscsi_context **out, struct error *err)
{
    struct attempt a = {.options = options, .type = type};
    int tries = OPEN_TRIES;
    int redirections = 0;
    a.timeout_ms = options->timeout_ms ? options->timeout_ms : SCSI_DEFAULT_TIMEOUT_MS;
    a.deadline_us = clock_monotonic_us() + (uint64_t)a.timeout_ms * 1000;
    (void)snprintf(a.portal, sizeof(a.portal), "%s", options->portal);
    for (;;) {
        struct error failure = {0};
        HRESULT hr = attempt_once(&a, out, &failure);
        if (SUCCEEDED(hr)) {
            return hr;
        }
        bool again =
            a.is_redirected ? ++redirections <= MAX_REDIRECTIONS : a.try_again && --tries > 0;
        if (!again) {
            return error_set(err, hr, "%s", failure.text);
        }
        if (!a.is_redirected) {
            clock_sleep_ms(OPEN_PAUSE_MS);
        }
    }
}

HRESULT iscsi_open(const struct iscsi_options *options, struct scsi_transport **out,
                   struct error *err)
{
    *out = NULL;
    HRESULT hr = S_OK;
    struct iscsi_session *s = calloc(1, sizeof(*s));
    char *name = text_printf("iscsi://%s/%s", options->portal, options->target);
    if (!s || !name) {
        hr = error_set(err, E_OUTOFMEMORY, "no memory for an iSCSI session");
        goto out;
    }
    hr = connect_and_login(options, ISCSI_SESSION_NORMAL, &s->context, err);
    if (FAILED(hr)) {
        goto out;
    }
    s->name = name;
    s->transport.ops = &session_ops;
    s->transport.name = name;
    s->transport.max_in_flight = MAX_IN_FLIGHT;
    *out = &s->transport;
    s = NULL;
    name = NULL;
out:
    free(name);
    free(s);
    return hr;
}

/* ---- discovery ---- */

static bool has_name(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static HRESULT add_name(struct iscsi_step *step, const char *name)
{
    char **names = *step->names;
    size_t count = *step->name_count;
    if (has_name(names, count, name)) {
        return S_OK; /* one entry per portal group */
    }
    names = realloc(names, (count + 1) * sizeof(*names));
    if (!names) {
        return E_OUTOFMEMORY;
    }
    *step->names = names;
    names[count] = text_copy(name);
    if (!names[count]) {
        return E_OUTOFMEMORY;
    }
    *step->name_count = count + 1;
    return S_OK;
}

static void on_discovery(struct iscsi_context *context, int status, void *data, void *user)
{
    (void)context;
    struct iscsi_step *step = user;
    const struct iscsi_discovery_address *a = status == SCSI_STATUS_GOOD ? data : NULL;
    for (; a && SUCCEEDED(step->names_result); a = a->next) {
        step->names_result = add_name(step, a->target_name);
    }
    step->is_done = true;
    step->status = status;
}

HRESULT iscsi_discover(const struct iscsi_options *options, char ***out, size_t *out_count,
                       struct error *err)
{
    struct iscsi_context *context = NULL;
    char **names = NULL;
    size_t count = 0;
    struct iscsi_step step = {false, 0, &names, &count, S_OK};
    uint32_t timeout_ms = options->timeout_ms ? options->timeout_ms : SCSI_DEFAULT_TIMEOUT_MS;
    *out = NULL;
    *out_count = 0;
    HRESULT hr = connect_and_login(options, ISCSI_SESSION_DISCOVERY, &context, err);
    if (FAILED(hr)) {
        return hr;
    }
    uint64_t deadline_us = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
    if (iscsi_discovery_async(context, on_discovery, &step) != 0 ||
        !finish_step(context, &step, deadline_us) || step.status != SCSI_STATUS_GOOD) {
        hr = error_set(err, VSS_E_UNEXPECTED,
                       "portal %s did not list its targets; see the array's own log",
                       options->portal);
    } else if (FAILED(step.names_result)) {
        hr = error_set(err, step.names_result, "no memory for the targets of portal %s",
                       options->portal);
    }
    (void)iscsi_destroy_context(context);
    if (FAILED(hr)) {
        for (size_t i = 0; i < count; i++) {
            free(names[i]);
        }
        free(names);
        return hr;
    }
    *out = names;
    *out_count = count;
    return S_OK;
}
