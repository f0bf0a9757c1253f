/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/writers/writers.h"

#include "common/clock.h"
#include "common/id.h"
#include "common/log.h"
#include "registry/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define GRACE_US     2000000u /* to end by itself, at the session's end */
#define LAST_WORD_US 200000u  /* of one that is lost */

struct id_list {
    VSS_ID *ids;
    size_t count;
};

struct writers {
    struct writer **items; /* WRITERS_MAX of them have room */
    size_t count;
    struct id_list enabled_classes;
    struct id_list disabled_classes;
    struct id_list disabled_instances;
    bool has_enabled;
    bool has_lost; /* the last event told lost one */
};

HRESULT writers_new(struct writers **out, struct error *err)
{
    *out = calloc(1, sizeof(**out));
    if (*out) {
        (*out)->items = calloc(WRITERS_MAX, sizeof(struct writer *));
    }
    if (!*out || !(*out)->items) {
        free(*out);
        *out = NULL;
        return error_set(err, E_OUTOFMEMORY, "out of memory while making a session");
    }
    return S_OK;
}

size_t writers_count(const struct writers *ws)
{
    return ws->count;
}

const struct writer *writers_at(const struct writers *ws, size_t index)
{
    return ws->items[index];
}

/* ---- which ones ---- */

static HRESULT add_ids(struct id_list *list, const VSS_ID *ids, size_t count)
{
    if (count == 0) {
        return S_OK;
    }
    VSS_ID *grown = realloc(list->ids, (list->count + count) * sizeof(*grown));
    if (!grown) {
        return E_OUTOFMEMORY;
    }
    memcpy(grown + list->count, ids, count * sizeof(*grown));
    list->ids = grown;
    list->count += count;
    return S_OK;
}

static bool has_id(const struct id_list *list, const VSS_ID *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (id_equal(&list->ids[i], id)) {
            return true;
        }
    }
    return false;
}

HRESULT writers_enable_classes(struct writers *ws, const VSS_ID *ids, size_t count)
{
    HRESULT hr = add_ids(&ws->enabled_classes, ids, count);
    if (SUCCEEDED(hr) && !ws->has_enabled) {
        ws->has_enabled = true;
        ws->disabled_classes.count = 0;
    }
    return hr;
}

HRESULT writers_disable_classes(struct writers *ws, const VSS_ID *ids, size_t count)
{
    return add_ids(&ws->disabled_classes, ids, count);
}

HRESULT writers_disable_instances(struct writers *ws, const VSS_ID *ids, size_t count)
{
    return add_ids(&ws->disabled_instances, ids, count);
}

static bool is_enabled(const struct writers *ws, const struct writer *w)
{
    return (!ws->has_enabled || has_id(&ws->enabled_classes, &w->class_id)) &&
           !has_id(&ws->disabled_classes, &w->class_id) &&
           !has_id(&ws->disabled_instances, &w->instance_id);
}

/* ---- what became of an event ---- */

/* Ends a process that is of no more use, and says how it ended: "" where it was killed. */
static void lose(struct writer *w, char out[64])
{
    int status = -1;
    uint64_t grace = w->answer == ANSWER_GONE ? LAST_WORD_US : 0;
    channel_end(&w->channel, clock_monotonic_us() + grace, &status);
    out[0] = '\0';
    if (status != -1 && WIFEXITED(status)) {
        (void)snprintf(out, 64, "ended with exit code %d", WEXITSTATUS(status));
    } else if (status != -1 && WIFSIGNALED(status)) {
        (void)snprintf(out, 64, "died of signal %d", WTERMSIG(status));
    }
}

/* A process that was lost: why. */
static void describe_loss(struct writer *w)
{
    const char *event = writer_event_facts(w->event)->name;
    const char *said = w->channel.said[0] != '\0' ? w->channel.said : "nothing";
    char end[64];
    lose(w, end);
    if (w->answer == ANSWER_LATE) {
        (void)error_set(&w->line, VSS_E_WRITER_NOT_RESPONDING,
                        "writer %s did not answer %s in time and was killed; it last said: %s",
                        w->title, event, said);
    } else if (w->answer == ANSWER_GARBAGE) {
        (void)error_set(
            &w->line, VSS_E_WRITER_NOT_RESPONDING,
            "writer %s answered %s with \"%.80s\", which makes no sense, and was killed", w->title,
            event, w->answered_text);
    } else if (w->answer == ANSWER_TOO_MUCH) {
        (void)error_set(&w->line, VSS_E_WRITER_NOT_RESPONDING,
                        "writer %s said more than it may at %s and was killed", w->title, event);
    } else {
        (void)error_set(&w->line, VSS_E_WRITER_NOT_RESPONDING,
                        "writer %s %s at %s; it last said: %s", w->title,
                        end[0] != '\0' ? end : "closed its streams and was killed", event, said);
    }
}

static void set_failure(struct writer *w, HRESULT code)
{
    error_clear(&w->line);
    w->failure = code;
    w->application = w->answered_application;
    w->is_told = false;
}

static void fail(struct writer *w, HRESULT code)
{
    set_failure(w, code);
    w->state = writer_event_facts(w->event)->state_failed;
    w->is_out = true;
}

static void say_failure(struct writer *w, HRESULT code, const char *how)
{
    const char *text = w->answered_text[0] != '\0' ? w->answered_text : "it does not say why";
    (void)error_set(&w->line, code, "writer %s %s at %s: %s", w->title, how,
                    writer_event_facts(w->event)->name, text);
}

static bool has_failed(const struct writer *w)
{
    return w->is_out && FAILED(w->failure);
}

static void succeed(struct writer *w)
{
    int32_t state = writer_event_facts(w->event)->state_ok;
    if (state != VSS_WS_UNKNOWN && !has_failed(w)) {
        w->state = state;
    }
}

/* Where such an event is cancelled, the sequence is as it was before. */
static bool may_be_repeated(enum writer_event event)
{
    return event == EVENT_STATUS || event == EVENT_BACKUP_COMPLETE;
}

/* From the answer to state and failure. */
static void judge(struct writer *w)
{
    if (w->event == EVENT_ABORT && has_failed(w) && w->answer < ANSWER_LATE) {
        return; /* its first failure says more */
    }
    switch (w->answer) {
    case ANSWER_NONE: /* cancelled: abort will reach it, unless it may be asked again */
        w->is_out = w->is_out || !may_be_repeated(w->event);
        return;
    case ANSWER_OK:
        succeed(w);
        return;
    case ANSWER_PARTIAL:
        succeed(w);
        set_failure(w, VSS_E_WRITERERROR_PARTIAL_FAILURE);
        say_failure(w, w->failure, "failed for some of its components");
        return;
    case ANSWER_FAILED:
        fail(w, w->answered_code);
        say_failure(w, w->failure, "failed");
        return;
    case ANSWER_BUSY:
        fail(w, VSS_E_WRITER_STATUS_NOT_AVAILABLE);
        w->state = VSS_WS_UNKNOWN;
        say_failure(w, w->failure, "takes part in as many sessions as it can");
        return;
    case ANSWER_LATE:
    case ANSWER_GONE:
    case ANSWER_GARBAGE:
    case ANSWER_TOO_MUCH:
    case ANSWER_NO_MEMORY:
        break;
    }
    bool was_lost = !channel_is_open(&w->channel);
    w->is_frozen = false;
    w->is_in_sequence = false;
    if (was_lost && FAILED(w->failure)) { /* its first failure says more */
        w->state = writer_event_facts(w->event)->state_failed;
        return;
    }
    fail(w, VSS_E_WRITER_NOT_RESPONDING);
    describe_loss(w);
}

/* ---- asking several ---- */

static void no_description(void *user, struct writer *w, enum writer_event event)
{
    (void)user;
    (void)w;
    (void)event;
}

/* What writers said of their components. Never between freeze and thaw: it may be logged. */
static HRESULT keep_notes(struct writer *const *list, size_t count, const struct writers_call *call,
                          struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < count; i++) {
        struct writer *w = list[i];
        if (SUCCEEDED(hr) && call && call->keep && w->note_count && w->answer != ANSWER_GARBAGE) {
            hr = call->keep(call->user, w, err);
        }
        writer_forget_notes(w);
    }
    return hr;
}

/* Waits for those in list, which were begun, and judges them. */
static HRESULT finish(struct writer *const *list, size_t count, const struct writers_call *call,
                      bool may_be_cancelled, struct error *err)
{
    const atomic_bool *cancelled = call && may_be_cancelled ? call->cancelled : NULL;
    HRESULT hr = writers_wait(list, count, cancelled);
    for (size_t i = 0; i < count; i++) {
        judge(list[i]);
    }
    if (hr == E_ABORT) {
        return error_set(err, hr, "cancelled while the writers were at work");
    }
    return FAILED(hr) ? error_set(err, hr, "out of memory while talking to the writers") : hr;
}

static void begin(struct writer *w, enum writer_event event, const struct writers_call *call,
                  uint32_t limit_ms)
{
    void (*describe)(void *, struct writer *, enum writer_event) =
        call && call->describe ? call->describe : no_description;
    describe(call ? call->user : NULL, w, event);
    writer_begin(w, event, limit_ms);
}

/* A new sequence begins, and what failed before is over; but a lost process does not come back. */
static void renew(struct writer *w, enum writer_event event)
{
    if (channel_is_open(&w->channel)) {
        w->is_out = false;
        w->state = VSS_WS_STABLE;
        w->failure = S_OK;
        w->application = S_OK;
        error_clear(&w->line);
    }
    w->is_in_sequence = event == EVENT_PREPARE_BACKUP;
}

static bool concerns(const struct writer *w, enum writer_event event)
{
    switch (event) {
    case EVENT_PREPARE_SNAPSHOT:
    case EVENT_POST_SNAPSHOT:
    case EVENT_BACKUP_COMPLETE:
        return w->is_listed && w->is_in_sequence && !w->is_out;
    case EVENT_STATUS:
    case EVENT_BACKUP_SHUTDOWN:
        return w->is_listed && channel_is_open(&w->channel) &&
               w->failure != VSS_E_WRITER_STATUS_NOT_AVAILABLE;
    case EVENT_ABORT:
        return w->is_in_sequence && channel_is_open(&w->channel);
    default:
        return w->is_listed;
    }
}

/* Those that failed, and that no thaw told so: they may still hold on to something. */
static void abort_failed(struct writers *ws)
{
    struct writer *list[WRITERS_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < ws->count; i++) {
        struct writer *w = ws->items[i];
        if (w->is_out && concerns(w, EVENT_ABORT)) {
            begin(w, EVENT_ABORT, NULL, UINT32_MAX);
            list[count++] = w;
        }
    }
    (void)finish(list, count, NULL, false, NULL);
    (void)keep_notes(list, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        list[i]->is_in_sequence = false;
    }
}

HRESULT writers_tell(struct writers *ws, enum writer_event event, const struct writers_call *call,
                     struct error *err)
{
    struct writer *list[WRITERS_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < ws->count; i++) {
        struct writer *w = ws->items[i];
        if (!concerns(w, event)) {
            continue;
        }
        if (event == EVENT_PREPARE_BACKUP || event == EVENT_PRE_RESTORE) {
            renew(w, event);
        }
        begin(w, event, call, UINT32_MAX);
        list[count++] = w;
    }
    HRESULT hr = finish(list, count, call, event != EVENT_ABORT, err);
    HRESULT kept = keep_notes(list, count, call, SUCCEEDED(hr) ? err : NULL);
    hr = SUCCEEDED(hr) ? kept : hr;
    ws->has_lost = false;
    for (size_t i = 0; i < count; i++) {
        ws->has_lost = ws->has_lost || list[i]->answer >= ANSWER_LATE;
        bool is_complete =
            event == EVENT_BACKUP_COMPLETE && !list[i]->is_out && list[i]->answer != ANSWER_NONE;
        if (event == EVENT_ABORT || is_complete) {
            list[i]->is_in_sequence = false;
            list[i]->is_frozen = false;
        }
    }
    if (event == EVENT_POST_SNAPSHOT || event == EVENT_BACKUP_COMPLETE) {
        abort_failed(ws);
    }
    return hr;
}

void writers_abort(struct writers *ws)
{
    (void)writers_tell(ws, EVENT_ABORT, NULL, NULL);
}

bool writers_have_lost(const struct writers *ws)
{
    return ws->has_lost;
}

/* ---- freeze and thaw ---- */

static uint32_t ms_left(uint64_t deadline_us)
{
    uint64_t now = clock_monotonic_us();
    return deadline_us > now ? (uint32_t)((deadline_us - now) / 1000) : 0;
}

static HRESULT freeze_level(struct writers *ws, enum writer_level level, uint64_t deadline_us,
                            const struct writers_call *call, struct error *err)
{
    struct writer *list[WRITERS_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < ws->count; i++) {
        struct writer *w = ws->items[i];
        if (w->settings.level == level && w->is_in_sequence && !w->is_out) {
            w->is_frozen = true;
            w->frozen_at_us = clock_monotonic_us();
            begin(w, EVENT_FREEZE, call, ms_left(deadline_us));
            list[count++] = w;
        }
    }
    return finish(list, count, call, true, err);
}

/* A set whose transactions were not held has them torn: that is no set. */
static HRESULT check_transactions(const struct writers *ws, enum writer_event event, HRESULT code,
                                  struct error *err)
{
    for (size_t i = 0; i < ws->count; i++) {
        const struct writer *w = ws->items[i];
        if (w->settings.coordinates_transactions && w->event == event && w->is_out &&
            FAILED(w->failure)) {
            return error_set(err, code, "transactions: %s", w->line.text);
        }
    }
    return S_OK;
}

HRESULT writers_freeze(struct writers *ws, bool is_transacted, const struct writers_call *call,
                       struct error *err)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)WRITER_FROZEN_MAX_MS * 1000;
    HRESULT hr = S_OK;
    for (int level = 0; level < LEVEL_COUNT && SUCCEEDED(hr); level++) {
        hr = freeze_level(ws, (enum writer_level)level, deadline, call, err);
    }
    if (SUCCEEDED(hr) && is_transacted) {
        hr = check_transactions(ws, EVENT_FREEZE, VSS_E_TRANSACTION_FREEZE_TIMEOUT, err);
    }
    return hr;
}

static bool was_frozen_too_long(const struct writer *w)
{
    return clock_monotonic_us() - w->frozen_at_us > (uint64_t)w->settings.frozen_ms * 1000;
}

/* Its application may have gone on before the cut. */
static void note_too_long(struct writer *w)
{
    if (!w->is_out) {
        fail(w, VSS_E_WRITERERROR_TIMEOUT);
        (void)error_set(&w->line, w->failure,
                        "writer %s was frozen for more than %u ms (frozen_ms of %s)", w->title,
                        w->settings.frozen_ms, w->settings.path);
    }
}

static HRESULT thaw_level(struct writers *ws, enum writer_level level,
                          const struct writers_call *call, struct error *err)
{
    struct writer *list[WRITERS_MAX] = {0};
    bool is_late[WRITERS_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < ws->count; i++) {
        struct writer *w = ws->items[i];
        if (w->settings.level == level && w->is_frozen) {
            bool is_well = !w->is_out && w->state == VSS_WS_WAITING_FOR_THAW;
            is_late[count] = is_well && was_frozen_too_long(w);
            begin(w, is_well ? EVENT_THAW : EVENT_ABORT, call, UINT32_MAX);
            list[count++] = w;
        }
    }
    HRESULT hr = finish(list, count, call, false, err);
    for (size_t i = 0; i < count; i++) {
        list[i]->is_frozen = false;
        list[i]->is_in_sequence = list[i]->is_in_sequence && list[i]->event == EVENT_THAW;
        if (is_late[i]) {
            note_too_long(list[i]);
        }
    }
    return hr;
}

HRESULT writers_thaw(struct writers *ws, bool is_transacted, const struct writers_call *call,
                     struct error *err)
{
    HRESULT hr = S_OK;
    for (int level = LEVEL_COUNT - 1; level >= 0; level--) {
        HRESULT thawed = thaw_level(ws, (enum writer_level)level, call, SUCCEEDED(hr) ? err : NULL);
        hr = SUCCEEDED(hr) ? thawed : hr;
    }
    HRESULT kept = keep_notes(ws->items, ws->count, call, SUCCEEDED(hr) ? err : NULL);
    hr = SUCCEEDED(hr) ? kept : hr;
    if (SUCCEEDED(hr) && is_transacted) {
        hr = check_transactions(ws, EVENT_THAW, VSS_E_TRANSACTION_THAW_TIMEOUT, err);
    }
    abort_failed(ws);
    return hr;
}

/* ---- gathering ---- */

/* Takes the last one out again. */
static void forget(struct writers *ws, size_t index)
{
    writer_free(ws->items[index]);
    ws->count--;
    memmove(&ws->items[index], &ws->items[index + 1],
            (ws->count - index) * sizeof(struct writer *));
}

/* One that cannot be started is there all the same, so that its failure is seen. */
static HRESULT start(struct writers *ws, const char *path)
{
    struct writer *w = NULL;
    struct error why = {0};
    HRESULT hr = writer_new(path, &w, &why);
    if (!w) {
        return hr;
    }
    ws->items[ws->count++] = w;
    if (SUCCEEDED(hr)) {
        hr = channel_start(&w->channel, &w->settings, &why);
    }
    if (hr == E_OUTOFMEMORY || !w->title) {
        return E_OUTOFMEMORY;
    }
    if (FAILED(hr)) {
        fail(w, VSS_E_WRITER_NOT_RESPONDING);
        w->line = why;
    }
    return S_OK;
}

static HRESULT identify(struct writers *ws, const struct writers_call *call, struct error *err)
{
    struct writer *list[WRITERS_MAX] = {0};
    size_t count = 0;
    for (size_t i = 0; i < ws->count; i++) {
        if (channel_is_open(&ws->items[i]->channel)) {
            begin(ws->items[i], EVENT_IDENTIFY, call, UINT32_MAX);
            list[count++] = ws->items[i];
        }
    }
    HRESULT hr = finish(list, count, call, true, err);
    (void)keep_notes(list, count, NULL, NULL); /* no component is known yet */
    return hr;
}

/* A writer whose introduction is not accepted. */
static void refuse(struct writer *w, const char *why)
{
    char end[64];
    fail(w, VSS_E_WRITERERROR_NONRETRYABLE);
    (void)error_set(&w->line, w->failure, "writer %s: %s", w->title, why);
    lose(w, end);
}

/* The same name as its metadata has it. */
static HRESULT take_name(struct writer *w, const char *name)
{
    char *title = text_copy(name);
    if (!title) {
        return E_OUTOFMEMORY;
    }
    for (char *c = title; *c != '\0'; c++) {
        *c = (char)((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
    }
    free(w->title);
    w->title = title;
    return S_OK;
}

/* Reads what an identified writer said. S_FALSE: it is disabled. Its failures are its own. */
static HRESULT admit(struct writers *ws, struct writer *w, struct gathered_writers *out)
{
    struct metadata *metadata = NULL;
    struct error why = {0};
    if (w->version != WRITER_PROTOCOL_VERSION) {
        refuse(w, "speaks another version of the protocol; this one is 1");
        return S_OK;
    }
    HRESULT hr = metadata_load(w->metadata.data ? w->metadata.data : "", w->metadata.length,
                               &metadata, &why);
    if (SUCCEEDED(hr)) {
        metadata_ids(metadata, &w->instance_id, &w->class_id);
        metadata_release(metadata);
        if (!is_enabled(ws, w)) {
            return S_FALSE;
        }
        hr = gathered_writers_add(out, w->metadata.data, w->metadata.length, &why);
    }
    if (hr == E_OUTOFMEMORY) {
        return hr;
    }
    if (FAILED(hr)) {
        refuse(w, error_text(&why));
        return S_OK;
    }
    w->is_listed = true;
    buffer_free(&w->metadata);
    return take_name(w, out->items[out->count - 1].name);
}

static HRESULT admit_all(struct writers *ws, struct gathered_writers *out, struct error *err)
{
    for (size_t i = 0; i < ws->count;) {
        struct writer *w = ws->items[i];
        HRESULT hr = FAILED(w->failure) ? S_OK : admit(ws, w, out);
        if (FAILED(hr)) {
            return error_set(err, hr, "out of memory while gathering writer metadata");
        }
        if (hr == S_FALSE) {
            forget(ws, i);
        } else {
            i++;
        }
    }
    return S_OK;
}

HRESULT writers_gather(struct writers *ws, const struct config *config,
                       const struct writers_call *call, struct gathered_writers *out,
                       struct error *err)
{
    struct writer_files files;
    HRESULT hr = writer_files_list(config, &files, err);
    if (FAILED(hr)) {
        return hr;
    }
    for (size_t i = 0; i < files.count && SUCCEEDED(hr); i++) {
        hr = start(ws, files.paths[i]);
    }
    writer_files_free(&files);
    if (FAILED(hr)) {
        hr = error_set(err, hr, "out of memory while starting the writers");
    }
    if (SUCCEEDED(hr)) {
        hr = identify(ws, call, err);
    }
    if (SUCCEEDED(hr)) {
        hr = admit_all(ws, out, err);
    }
    while (FAILED(hr) && ws->count) {
        forget(ws, ws->count - 1);
    }
    if (FAILED(hr)) {
        gathered_writers_clear(out);
    }
    return hr;
}

/* ---- the end ---- */

void writers_report(struct writers *ws, struct store *store)
{
    for (size_t i = 0; i < ws->count; i++) {
        struct writer *w = ws->items[i];
        if (FAILED(w->failure) && !w->is_told) {
            log_line(LOG_WARNING, "%s", error_text(&w->line));
            events_add(store, LOG_WARNING, w->failure, &w->instance_id, error_text(&w->line));
            w->is_told = true;
        }
    }
}

void writers_free(struct writers *ws, bool is_backup)
{
    if (!ws) {
        return;
    }
    writers_abort(ws);
    if (is_backup) {
        (void)writers_tell(ws, EVENT_BACKUP_SHUTDOWN, NULL, NULL);
    }
    for (size_t i = 0; i < ws->count; i++) {
        channel_hang_up(&ws->items[i]->channel);
    }
    uint64_t deadline = clock_monotonic_us() + GRACE_US;
    for (size_t i = 0; i < ws->count; i++) {
        channel_end(&ws->items[i]->channel, deadline, NULL);
        writer_free(ws->items[i]);
    }
    free(ws->enabled_classes.ids);
    free(ws->disabled_classes.ids);
    free(ws->disabled_instances.ids);
    free(ws->items);
    free(ws);
}
