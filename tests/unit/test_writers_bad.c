/* SPDX-License-Identifier: Apache-2.0 */

/* Writers that misbehave, each beside a good one: only they fail, nothing of theirs goes on
 * running, and the good one is thawed. */

#include "unit/writers_fixture.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/events.h"
#include "requester/writers/writer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct misdeed {
    const char *what;
    const char *body;
    int32_t state;
    HRESULT failure;
    const char *words;
};

#define AT_FREEZE(deed) "[ $event = freeze ] && { echo $$ >$dir/pid; " deed "; }"
#define LOST_AT_FREEZE  VSS_WS_FAILED_AT_FREEZE, VSS_E_WRITER_NOT_RESPONDING

static const struct misdeed misdeeds[] = {
    {"exits", AT_FREEZE("echo no more >&2; exit 3"), LOST_AT_FREEZE,
     "ended with exit code 3 at freeze; it last said: no more"},
    {"dies", AT_FREEZE("kill -SEGV $$"), LOST_AT_FREEZE, "died of signal 11"},
    {"hangs", AT_FREEZE("sleep 1000"), LOST_AT_FREEZE, "did not answer freeze in time"},
    {"stops", AT_FREEZE("kill -STOP $$"), LOST_AT_FREEZE, "did not answer freeze in time"},
    {"ignores signals", AT_FREEZE("trap '' TERM INT HUP; while :; do sleep 1; done"),
     LOST_AT_FREEZE, "did not answer freeze in time"},
    {"says nothing of sense", AT_FREEZE("echo hello"), LOST_AT_FREEZE, "\"hello\""},
    {"answers another event", AT_FREEZE("echo ok 99"), LOST_AT_FREEZE, "makes no sense"},
    {"writes gigabytes", AT_FREEZE("cat /dev/zero"), LOST_AT_FREEZE, "said more than it may"},
    {"writes lines without end", AT_FREEZE("yes 'backup-stamp file-group - a b'"), LOST_AT_FREEZE,
     ""},
    {"complains without end", AT_FREEZE("yes >&2"), LOST_AT_FREEZE, "said more than it may"},
    {"sends NULs", AT_FREEZE("printf 'ok\\0 1\\n'"), LOST_AT_FREEZE, "NUL"},
    {"closes its output", AT_FREEZE("exec >&-; sleep 1000"), LOST_AT_FREEZE, "closed its streams"},
    {"leaves children behind", AT_FREEZE("sleep 1000 & sleep 1000 & exit 0"), LOST_AT_FREEZE,
     "ended with exit code 0"},
    {"introduces itself again", AT_FREEZE("introduce; sleep 1000"), LOST_AT_FREEZE,
     "makes no sense"},
    {"inconsistent", AT_FREEZE("echo failed $number inconsistent half of it; continue"),
     VSS_WS_FAILED_AT_FREEZE, VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT, "half of it"},
    {"out of resources", AT_FREEZE("echo failed $number out-of-resources; continue"),
     VSS_WS_FAILED_AT_FREEZE, VSS_E_WRITERERROR_OUTOFRESOURCES, "does not say why"},
    {"time-out", AT_FREEZE("echo failed $number timeout; continue"), VSS_WS_FAILED_AT_FREEZE,
     VSS_E_WRITERERROR_TIMEOUT, ""},
    {"retryable", AT_FREEZE("echo failed $number retryable; continue"), VSS_WS_FAILED_AT_FREEZE,
     VSS_E_WRITERERROR_RETRYABLE, ""},
    {"non-retryable", AT_FREEZE("echo failed $number non-retryable; continue"),
     VSS_WS_FAILED_AT_FREEZE, VSS_E_WRITERERROR_NONRETRYABLE, ""},
    {"partial",
     AT_FREEZE("echo failed-component retryable file-group - files; echo partial $number;"
               " continue"),
     VSS_WS_WAITING_FOR_BACKUP_COMPLETE, VSS_E_WRITERERROR_PARTIAL_FAILURE, ""},
    {"busy", AT_FREEZE("echo busy $number two sessions; continue"), VSS_WS_UNKNOWN,
     VSS_E_WRITER_STATUS_NOT_AVAILABLE, "two sessions"},
    {"hangs in thaw", "[ $event = thaw ] && sleep 1000", VSS_WS_FAILED_AT_THAW,
     VSS_E_WRITER_NOT_RESPONDING, "did not answer thaw in time"},
    {"dies in prepare-backup", "[ $event = prepare-backup ] && exit 1",
     VSS_WS_FAILED_AT_PREPARE_BACKUP, VSS_E_WRITER_NOT_RESPONDING, "exit code 1"},
    {"dies in prepare-snapshot", "[ $event = prepare-snapshot ] && exit 1",
     VSS_WS_FAILED_AT_PREPARE_SNAPSHOT, VSS_E_WRITER_NOT_RESPONDING, "exit code 1"},
    {"dies in post-snapshot", "[ $event = post-snapshot ] && exit 1",
     VSS_WS_FAILED_AT_POST_SNAPSHOT, VSS_E_WRITER_NOT_RESPONDING, "exit code 1"},
    {"dies after post-snapshot", "[ $event = post-snapshot ] && { echo ok $number; exit 1; }",
     VSS_WS_UNKNOWN, VSS_E_WRITER_NOT_RESPONDING, "at status"},
    {"closes its input", "[ $event = post-snapshot ] && { exec <&-; echo ok $number; sleep 1000; }",
     VSS_WS_UNKNOWN, VSS_E_WRITER_NOT_RESPONDING, "at status"},
};

/* Nothing of the process group that wrote its pid is left. */
static void assert_nothing_runs(const struct writers_fixture *f)
{
    char path[600];
    int pid = 0;
    (void)snprintf(path, sizeof(path), "%s/pid", f->directory);
    FILE *file = fopen(path, "re");
    if (!file) {
        return;
    }
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    for (int i = 0; kill(-pid, 0) == 0; i++) { /* init may be slow to reap */
        assert_true(i < 500);
        clock_sleep_ms(10);
    }
}

/* For the event that is answered late; for all else a busy machine may take its time. */
static const char *limits_for(const struct misdeed *deed)
{
    if (!strstr(deed->words, "in time")) {
        return NULL;
    }
    return strstr(deed->words, "thaw") ? "[limits]\nthaw_ms = 300\n"
                                       : "[limits]\nfreeze_ms = 300\n";
}

static void check_misdeed(const struct misdeed *deed)
{
    void *state = NULL;
    uint64_t begin = clock_monotonic_us();
    assert_int_equal(writers_setup(&state), 0);
    struct writers_fixture *f = state;
    writers_add(f, "good", NULL, ":");
    writers_add(f, "bad", limits_for(deed), deed->body);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "bad", deed->state, deed->failure, deed->words);
    writers_assert(s, "good", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    vss_backup_components_release(s);
    assert_non_null(strstr(writers_log(f), "good thaw"));
    assert_nothing_runs(f);
    print_message("  %s: %.1f s\n", deed->what, (double)(clock_monotonic_us() - begin) / 1e6);
    (void)writers_teardown(&state);
}

static void test_misdeeds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(misdeeds) / sizeof(misdeeds[0]); i++) {
        check_misdeed(&misdeeds[i]);
    }
}

/* ---- limits ---- */

/* Who is told late because this side was slow has all of its time from then on. */
static void test_time_runs_from_the_line(void **state)
{
    struct writers_fixture *f = *state;
    struct error err = {0};
    struct writer *w = NULL;
    char path[600];
    writers_add(f, "one", "[limits]\nidentify_ms = 20000\n", ":");
    (void)snprintf(path, sizeof(path), "%s/one.conf", f->writers);
    assert_int_equal(writer_new(path, &w, &err), S_OK);
    assert_int_equal(channel_start(&w->channel, &w->settings, &err), S_OK);
    writer_begin(w, EVENT_IDENTIFY, UINT32_MAX);
    clock_sleep_ms(5);
    uint64_t told_us = clock_monotonic_us();
    assert_int_equal(writers_wait(&w, 1, NULL), S_OK);
    assert_int_equal(w->answer, ANSWER_OK);
    assert_true(w->deadline_us >= told_us + 20000000);

    writer_begin(w, EVENT_STATUS, 50); /* what is left for all of them does not grow */
    uint64_t begun_us = clock_monotonic_us();
    (void)writers_wait(&w, 1, NULL);
    assert_true(w->deadline_us <= begun_us + 50000);
    writer_free(w);
}

/* ---- who failed is told ---- */

/* One that was told to freeze and said no may be frozen in part: abort reaches it, with the thaw.
 */
static void test_abort_reaches_who_failed(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "bad", NULL, AT_FREEZE("echo failed $number retryable; continue"));
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_non_null(strstr(writers_log(f), "bad freeze, bad abort"));
    assert_null(strstr(writers_log(f), "bad thaw"));

    /* and in the next set it is a part again */
    vss_backup_components_release(s);
    struct store *store = fixture_open(f->directory);
    struct event_record *events = NULL;
    size_t count = 0;
    struct error err = {0};
    assert_int_equal(events_load(store, 10, &events, &count, &err), S_OK);
    assert_int_equal(count, 1);
    assert_int_equal(events[0].code, VSS_E_WRITERERROR_RETRYABLE);
    assert_non_null(strstr(events[0].text, "writer bad failed at freeze"));
    events_free_all(events, count);
    store_close(store);
}

static unsigned count_of(const char *text, const char *words)
{
    unsigned count = 0;
    for (const char *at = strstr(text, words); at; at = strstr(at + 1, words)) {
        count++;
    }
    return count;
}

/* It is told so in time, not when the session ends: until then it may hold on to something. */
static void check_told_of_failure(const char *event, int32_t failed_state)
{
    void *state = NULL;
    char body[200];
    assert_int_equal(writers_setup(&state), 0);
    struct writers_fixture *f = state;
    (void)snprintf(body, sizeof(body),
                   "[ $event = %s ] && { echo failed $number retryable no; continue; }\n"
                   "[ $event = abort ] && { echo failed $number timeout no again; continue; }",
                   event);
    writers_add(f, "good", NULL, ":");
    writers_add(f, "bad", NULL, body);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(count_of(writers_log(f), "bad abort"), 1);
    assert_int_equal(count_of(writers_log(f), "good abort"), 0);
    writers_assert(s, "bad", failed_state, VSS_E_WRITERERROR_RETRYABLE, "no");
    writers_assert(s, "good", VSS_WS_WAITING_FOR_BACKUP_COMPLETE, S_OK, "");
    vss_backup_components_release(s);
    assert_int_equal(count_of(writers_log(f), "bad abort"), 1);
    assert_int_equal(count_of(writers_log(f), "good abort"), 1);
    (void)writers_teardown(&state);
}

static void test_who_failed_is_told(void **unused)
{
    (void)unused;
    check_told_of_failure("prepare-backup", VSS_WS_FAILED_AT_PREPARE_BACKUP);
    check_told_of_failure("prepare-snapshot", VSS_WS_FAILED_AT_PREPARE_SNAPSHOT);
    check_told_of_failure("freeze", VSS_WS_FAILED_AT_FREEZE);
    check_told_of_failure("thaw", VSS_WS_FAILED_AT_THAW);
    check_told_of_failure("post-snapshot", VSS_WS_FAILED_AT_POST_SNAPSHOT);
}

static void test_a_new_sequence_forgives(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(
        f, "bad", NULL,
        "[ $event = prepare-backup ] && [ ! -e $dir/again ] && { : >$dir/again; echo failed "
        "$number retryable; continue; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "bad", VSS_WS_FAILED_AT_PREPARE_BACKUP, VSS_E_WRITERERROR_RETRYABLE, NULL);
    assert_int_equal(vss_backup_components_abort_backup(s), S_OK);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "bad", VSS_WS_STABLE, S_OK, "");
    vss_backup_components_release(s);
}

static void test_backup_complete(void **state)
{
    struct writers_fixture *f = *state;
    struct vss_async *async = NULL;
    writers_add(f, "good", NULL, ":");
    writers_add(f, "bad", NULL, "[ $event = backup-complete ] && exit 1");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_finished(vss_backup_components_backup_complete(s, &async), &async),
                     VSS_E_UNEXPECTED_WRITER_ERROR);
    writers_assert(s, "bad", VSS_WS_FAILED_AT_BACKUP_COMPLETE, VSS_E_WRITER_NOT_RESPONDING, NULL);
    writers_assert(s, "good", VSS_WS_STABLE, S_OK, "");
    assert_int_equal(writers_finished(vss_backup_components_backup_complete(s, &async), &async),
                     VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
}

/* ---- introductions ---- */

static void test_introductions(void **state)
{
    struct writers_fixture *f = *state;
    static const char open[] = "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\"";
    char huge[256];
    writers_add(f, "good", NULL, ":");
    writers_add_with(f, "not-xml", NULL, ":", "hello");
    writers_add_with(f, "entity", NULL, ":",
                     "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>");
    writers_add_with(f, "root", NULL, ":", "<BACKUP_COMPONENTS/>");
    writers_add_with(f, "cut", NULL, ":", open);
    writers_add(
        f, "version", NULL,
        "[ $event = identify ] && { introduce | sed 's/writer 1/writer 2/'; echo ok $number; "
        "continue; }");
    writers_add(f, "silent", NULL, "[ $event = identify ] && { echo ok $number; continue; }");
    writers_add(f, "endless", "[limits]\nidentify_ms = 2000\n",
                "[ $event = identify ] && { introduce | grep -v '^[.]$'; sleep 1000; }");
    (void)snprintf(
        huge, sizeof(huge),
        "[ $event = identify ] && { echo lunshadow-writer 1; echo metadata; yes '<a>'; }");
    writers_add(f, "huge", NULL, huge);
    writers_add(f, "refuses", NULL,
                "[ $event = identify ] && { echo failed $number retryable not now; continue; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    uint32_t count = 0;
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(vss_backup_components_get_writer_metadata_count(s, &count), S_OK);
    assert_int_equal(count, 1);
    const int32_t at = VSS_WS_FAILED_AT_IDENTIFY;
    writers_assert(s, "good", VSS_WS_STABLE, S_OK, "");
    writers_assert(s, "not-xml", at, VSS_E_WRITERERROR_NONRETRYABLE, "not XML");
    writers_assert(s, "entity", at, VSS_E_WRITERERROR_NONRETRYABLE, "DTD");
    writers_assert(s, "root", at, VSS_E_WRITERERROR_NONRETRYABLE, NULL);
    writers_assert(s, "cut", at, VSS_E_WRITERERROR_NONRETRYABLE, NULL);
    writers_assert(s, "version", at, VSS_E_WRITERERROR_NONRETRYABLE, "version");
    writers_assert(s, "silent", at, VSS_E_WRITERERROR_NONRETRYABLE, "version");
    writers_assert(s, "endless", at, VSS_E_WRITER_NOT_RESPONDING, "in time");
    writers_assert(s, "huge", at, VSS_E_WRITER_NOT_RESPONDING, "more than it may");
    writers_assert(s, "refuses", at, VSS_E_WRITERERROR_RETRYABLE, "not now");
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_made(s), VSS_S_ASYNC_FINISHED);
    vss_backup_components_release(s);
    assert_null(strstr(writers_log(f), "refuses prepare"));
}

static void test_same_instance_twice(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL, ":");
    f->count = 0;
    writers_add(f, "two", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_STABLE, S_OK, "");
    writers_assert(s, "two", VSS_WS_FAILED_AT_IDENTIFY, VSS_E_WRITERERROR_NONRETRYABLE,
                   "instance id");
    vss_backup_components_release(s);
}

/* ---- files ---- */

static void change(const struct writers_fixture *f, const char *file, mode_t mode)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", f->directory, file);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_files(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "program", NULL, ":");
    writers_add(f, "conf", NULL, ":");
    writers_add(f, "level", "level = top\n", ":");
    writers_add(f, "key", "limit = 7\n", ":");
    writers_add(f, "limit", "[limits]\nfreeze_ms = 60001\n", ":");
    writers_add(f, "user", "user = nobody-by-that-name\n", ":");
    writers_add(f, "gone", NULL, ":");
    writers_add(f, "section", "[limit]\nfreeze_ms = 100\n", ":");
    writers_add(f, "noexec", NULL, ":");
    change(f, "program", 0720);
    change(f, "writers.d/conf.conf", 0602);
    change(f, "noexec", 0600);
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/gone", f->directory);
    assert_int_equal(unlink(path), 0);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    static const char *const words[][2] = {{"program", "writable by others"},
                                           {"conf", "writable by others"},
                                           {"level", "\"top\""},
                                           {"key", "\"limit\""},
                                           {"limit", "60001"},
                                           {"user", "nobody-by-that-name"},
                                           {"gone", "No such file"},
                                           {"section", "no such section"},
                                           {"noexec", "cannot start"}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        writers_assert(s, words[i][0], VSS_WS_FAILED_AT_IDENTIFY, VSS_E_WRITER_NOT_RESPONDING,
                       words[i][1]);
    }
    vss_backup_components_release(s);
    assert_int_equal(access(f->log, F_OK), -1); /* none of them ran */
}

static HRESULT status_of(struct vss_backup_components *s)
{
    struct vss_async *async = NULL;
    return writers_finished(vss_backup_components_gather_writer_status(s, &async), &async);
}

static void test_infrastructure(void **state)
{
    struct writers_fixture *f = *state;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    change(f, "writers.d", 0777);
    assert_int_equal(writers_gathered(s), VSS_E_WRITER_INFRASTRUCTURE);
    change(f, "writers.d", 0700);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED); /* may be tried again */
    assert_int_equal(status_of(s), VSS_S_ASYNC_FINISHED);
    change(f, "writers.d", 0777);
    assert_int_equal(status_of(s), VSS_E_WRITER_INFRASTRUCTURE);
    vss_backup_components_release(s);

    char command[600];
    (void)snprintf(command, sizeof(command), "rm -r %s", f->writers);
    assert_int_equal(system(command), 0);
    s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_E_WRITER_INFRASTRUCTURE);
    vss_backup_components_release(s);

    (void)snprintf(command, sizeof(command),
                   "mkdir -m 700 %s && cd %s && i=0 && while [ $i -lt 65 ]; do : >$i.conf; "
                   "i=$((i + 1)); done",
                   f->writers, f->writers);
    assert_int_equal(system(command), 0);
    s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_E_WRITER_INFRASTRUCTURE);
    vss_backup_components_release(s);
}

static int gather_as_stranger(const char *directory)
{
    struct writers_fixture f = {.directory = (char *)directory};
    (void)snprintf(f.config, sizeof(f.config), "%s/test.conf", directory);
    f.directory = text_printf("%s/own", directory);
    struct vss_backup_components *s = writers_session(&f, VSS_CTX_APP_ROLLBACK);
    HRESULT hr = writers_gathered(s);
    HRESULT status = status_of(s);
    vss_backup_components_release(s);
    return hr == E_ACCESSDENIED && status == E_ACCESSDENIED ? 0 : 1;
}

static void test_a_stranger(void **state)
{
    struct writers_fixture *f = *state;
    if (geteuid() != 0) {
        print_message("skipped: needs root to be another user\n");
        skip();
    }
    writers_add(f, "one", NULL, ":");
    char own[600];
    (void)snprintf(own, sizeof(own), "%s/own", f->directory);
    assert_int_equal(mkdir(own, 0700), 0);
    assert_int_equal(chown(own, 65534, 65534), 0);
    change(f, "", 0755);
    change(f, "test.conf", 0644);
    assert_int_equal(fixture_in_child(65534, gather_as_stranger, f->directory), 0);
}

static void test_another_user(void **state)
{
    struct writers_fixture *f = *state;
    if (geteuid() != 0) {
        print_message("skipped: needs root to run a writer as another user\n");
        skip();
    }
    (void)snprintf(f->log, sizeof(f->log), "%s/logs/log", f->directory);
    char logs[600];
    (void)snprintf(logs, sizeof(logs), "%s/logs", f->directory);
    assert_int_equal(mkdir(logs, 0700), 0);
    change(f, "logs", 0777 | S_ISVTX);
    writers_add(f, "one", "user = nobody\n",
                "[ $event = prepare-backup ] && { echo partial $number $(id -un) $(pwd) "
                "$(grep NoNewPrivs /proc/self/status) home $HOME; continue; }");
    change(f, "", 0711);
    change(f, "one", 0755);
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_STABLE, VSS_E_WRITERERROR_PARTIAL_FAILURE, "nobody");
    writers_assert(s, "one", VSS_WS_STABLE, VSS_E_WRITERERROR_PARTIAL_FAILURE, "NoNewPrivs: 1");
    vss_backup_components_release(s);
}

/* ---- descriptors ---- */

/* A writer gets three, whatever the caller has open, and what it opens is its own. */
static void test_descriptors(void **state)
{
    struct writers_fixture *f = *state;
    int open_ones[20];
    for (int i = 0; i < 20; i++) {
        open_ones[i] = dup(STDIN_FILENO);
        assert_true(open_ones[i] >= 0);
    }
    writers_add(
        f, "one", NULL,
        "[ $event = prepare-backup ] && { echo partial $number $(echo /proc/$$/fd/*); "
        "continue; }\n"
        "[ $event = freeze ] && { ulimit -n 16; exec 3</dev/null 4<&3 5<&3 6<&3 7<&3 8<&3; }");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    assert_int_equal(writers_gathered(s), VSS_S_ASYNC_FINISHED);
    assert_int_equal(writers_prepared(s), VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_STABLE, VSS_E_WRITERERROR_PARTIAL_FAILURE, "/fd/2");
    writers_assert(s, "one", VSS_WS_STABLE, VSS_E_WRITERERROR_PARTIAL_FAILURE, "/fd/0 ");
    vss_backup_components_release(s);
    for (int i = 0; i < 20; i++) {
        (void)close(open_ones[i]);
    }
    assert_null(strstr(writers_log(f), "/fd/3"));
}

/* Without descriptors of our own no writer starts, and that is all. */
static void test_no_descriptors(void **state)
{
    struct writers_fixture *f = *state;
    struct rlimit before;
    writers_add(f, "one", NULL, ":");
    struct vss_backup_components *s = writers_session(f, VSS_CTX_APP_ROLLBACK);
    int next = dup(STDIN_FILENO);
    assert_true(next >= 0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit tight = {(rlim_t)next + 3, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    HRESULT hr = writers_gathered(s);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(hr, VSS_S_ASYNC_FINISHED);
    writers_assert(s, "one", VSS_WS_FAILED_AT_IDENTIFY, VSS_E_WRITER_NOT_RESPONDING,
                   "cannot make its streams");
    vss_backup_components_release(s);
}

#define with_writers(test) cmocka_unit_test_setup_teardown(test, writers_setup, writers_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misdeeds),
        with_writers(test_time_runs_from_the_line),
        with_writers(test_abort_reaches_who_failed),
        with_writers(test_a_new_sequence_forgives),
        with_writers(test_backup_complete),
        with_writers(test_introductions),
        with_writers(test_same_instance_twice),
        with_writers(test_files),
        with_writers(test_infrastructure),
        with_writers(test_a_stranger),
        with_writers(test_another_user),
        with_writers(test_descriptors),
        with_writers(test_no_descriptors),
        cmocka_unit_test(test_who_failed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
