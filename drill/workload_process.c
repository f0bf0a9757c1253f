/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/process.h"
#include "drill/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 10000
#define STOP_MS  30000

struct workload {
    struct process process;
    int stop_fd; /* our end of its standard input: closing it says stop */
    int words_fd;
    struct acks *acks;
};

char *workload_program(void)
{
    const char *named = secure_getenv("LUNSHADOW_LIBEXECDIR");
    if (named && *named) {
        return text_printf("%s/lunshadow-workload", named);
    }
#ifdef LUNSHADOW_BUILD_DIR
    /* Only for programs of that build: an installed one must not run what lies in a build
     * directory. */
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    if (strncmp(self, LUNSHADOW_BUILD_DIR "/", sizeof(LUNSHADOW_BUILD_DIR)) == 0 &&
        access(LUNSHADOW_BUILD_WORKLOAD, X_OK) == 0) {
        return text_copy(LUNSHADOW_BUILD_WORKLOAD);
    }
#endif
    return text_copy(LUNSHADOW_LIBEXECDIR "/lunshadow-workload");
}

/* Strings of the command line, each malloc'ed. */
struct words {
    char **items;
    size_t count;
};

static void words_free(struct words *words)
{
    for (size_t i = 0; words->items && i < words->count; i++) {
        free(words->items[i]);
    }
    free(words->items);
}

static HRESULT build_words(const struct workload_plan *plan, struct words *words, struct error *err)
{
    size_t count = 6 + 2 * plan->lun_count;
    words->items = calloc(count + 1, sizeof(char *));
    if (!words->items) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the workload");
    }
    words->count = count;
    words->items[0] = workload_program();
    words->items[1] = text_copy(plan->log_path);
    words->items[2] = text_printf("%" PRIu64, plan->seed);
    words->items[3] = text_printf("%" PRIu64, plan->first_record);
    words->items[4] = text_printf("%" PRIu64, plan->record_limit);
    words->items[5] = text_copy(plan->initiator);
    for (size_t i = 0; i < plan->lun_count; i++) {
        const struct raw_address *a = &plan->luns[i].address;
        words->items[6 + 2 * i] = text_printf("iscsi://%s/%s/%d", a->portal, a->target, a->lun);
        words->items[7 + 2 * i] = layout_text(plan->luns[i].layout);
    }
    for (size_t i = 0; i < count; i++) {
        if (!words->items[i]) {
            return error_set(err, E_OUTOFMEMORY, "out of memory for the workload");
        }
    }
    return S_OK;
}

static HRESULT spawn(const struct workload_plan *plan, struct workload *w, struct error *err)
{
    int in[2] = {-1, -1};
    int out[2] = {-1, -1};
    struct words words = {0};
    HRESULT hr = build_words(plan, &words, err);
    if (SUCCEEDED(hr) && (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)) {
        hr = error_set_errno(err, errno, "cannot make a pipe for the workload");
    }
    if (SUCCEEDED(hr)) {
        struct process_options options = PROCESS_OPTIONS_INIT;
        options.in_fd = in[0];
        options.err_fd = out[1];
        options.new_session = true; /* a Ctrl-C ends the drill, which then stops it in order */
        hr = process_start((const char *const *)words.items, &options, &w->process, err);
    }
    for (int i = 0; i < 2; i++) { /* the child's ends, and ours where nothing was started */
        if (in[0] >= 0 && (i == 0 || FAILED(hr))) {
            (void)close(in[i]);
        }
        if (out[0] >= 0 && (i == 1 || FAILED(hr))) {
            (void)close(out[i]);
        }
    }
    if (SUCCEEDED(hr)) {
        w->stop_fd = in[1];
        w->words_fd = out[0];
    }
    words_free(&words);
    return hr;
}

/* What it said on standard error, in one line. */
static void last_words(struct workload *w, char *text, size_t bytes)
{
    (void)fcntl(w->words_fd, F_SETFL, O_NONBLOCK);
    ssize_t n = read(w->words_fd, text, bytes - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static HRESULT report_end(struct workload *w, int status, struct error *err)
{
    char words[256];
    last_words(w, words, sizeof(words));
    return error_set(err, VSS_E_UNEXPECTED, "the workload ended (%s %d): %s",
                     WIFSIGNALED(status) ? "signal" : "exit",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), words);
}

HRESULT workload_check(struct workload *workload, struct error *err)
{
    int status = 0;
    HRESULT hr = process_wait(&workload->process, 0, &status);
    return hr == S_FALSE ? S_OK : report_end(workload, status, err);
}

static HRESULT wait_for_first(const struct workload_plan *plan, struct workload *w,
                              struct error *err)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)START_MS * 1000;
    while (!w->acks || acks_count(w->acks) == 0) {
        HRESULT hr = workload_check(w, err);
        if (FAILED(hr)) {
            return hr;
        }
        if (clock_monotonic_us() > deadline) {
            return error_set(err, VSS_E_UNEXPECTED, "the workload wrote nothing within %d ms",
                             START_MS);
        }
        if (!w->acks) {
            (void)acks_open(plan->log_path, &w->acks, NULL);
        }
        clock_sleep_ms(5);
    }
    return S_OK;
}

static void workload_free(struct workload *w)
{
    process_kill(&w->process);
    if (w->stop_fd >= 0) {
        (void)close(w->stop_fd);
    }
    if (w->words_fd >= 0) {
        (void)close(w->words_fd);
    }
    acks_close(w->acks);
    free(w);
}

HRESULT workload_start(const struct workload_plan *plan, struct workload **out, struct error *err)
{
    *out = NULL;
    struct workload *w = calloc(1, sizeof(*w));
    if (!w) {
        return error_set(err, E_OUTOFMEMORY, "out of memory for the workload");
    }
    *w = (struct workload){.process = PROCESS_INIT, .stop_fd = -1, .words_fd = -1};
    HRESULT hr = spawn(plan, w, err);
    if (SUCCEEDED(hr)) {
        hr = wait_for_first(plan, w, err);
    }
    if (FAILED(hr)) {
        workload_free(w);
        return hr;
    }
    *out = w;
    return S_OK;
}

const struct acks *workload_acks(const struct workload *workload)
{
    return workload->acks;
}

HRESULT workload_stop(struct workload *workload, struct error *err)
{
    if (!workload) {
        return S_OK;
    }
    int status = 0;
    (void)close(workload->stop_fd);
    workload->stop_fd = -1;
    HRESULT hr = process_wait(&workload->process, STOP_MS, &status);
    if (hr == S_FALSE) {
        hr = error_set(err, VSS_E_UNEXPECTED, "the workload did not stop and was killed");
    } else if (FAILED(hr) || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        hr = report_end(workload, status, err);
    }
    workload_free(workload);
    return hr;
}
