/* SPDX-License-Identifier: Apache-2.0 */
/* The guard against real processes and a real loop-mounted XFS. */
#include "common/clock.h"
#include "common/process.h"
#include "lab/lab.h"
#include "provider/guard.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHILDREN = 3 };

/* What a child does, seen from outside: the time it was last running. */
struct beat {
    _Atomic uint64_t last_us;
    _Atomic uint64_t count;
};

struct fixture {
    struct beat *beats;
    pid_t children[CHILDREN];
};

static void beat_forever(struct beat *beat, pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
        atomic_store(&beat->last_us, clock_monotonic_us());
        atomic_fetch_add(&beat->count, 1);
        (void)usleep(200);
    }
    _exit(0);
}

static bool wait_for_beat(struct beat *beat, uint32_t timeout_ms)
{
    uint64_t before = atomic_load(&beat->count);
    uint64_t until = clock_monotonic_us() + (uint64_t)timeout_ms * 1000;
    while (atomic_load(&beat->count) == before && clock_monotonic_us() < until) {
        (void)usleep(200);
    }
    return atomic_load(&beat->count) != before;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->beats = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(f->beats != MAP_FAILED);
    pid_t self = getpid();
    for (int i = 0; i < CHILDREN; i++) {
        f->children[i] = fork();
        if (f->children[i] == 0) {
            beat_forever(&f->beats[i], self);
        }
        assert_true(f->children[i] > 0);
        assert_true(wait_for_beat(&f->beats[i], 2000));
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < CHILDREN; i++) {
        if (f->children[i] > 0) {
            (void)kill(f->children[i], SIGKILL);
            (void)waitpid(f->children[i], NULL, 0);
        }
    }
    (void)munmap(f->beats, 4096);
    free(f);
    return 0;
}

static struct guard *start(const struct fixture *f, uint32_t deadline_ms)
{
    struct error err = {0};
    struct guard *guard = NULL;
    struct guard_target targets[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        targets[i] = (struct guard_target){.kind = GUARD_PROCESS, .pid = f->children[i]};
    }
    HRESULT hr = guard_start(targets, CHILDREN, deadline_ms, &guard, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
    return guard;
}

/* Its line in /proc. What is behind its name begins with " S", its state; NULL: no such process. */
static const char *read_stat(pid_t pid, char text[256])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    FILE *file = fopen(path, "re");
    if (!file) {
        return NULL;
    }
    bool read = fgets(text, 256, file) != NULL;
    (void)fclose(file);
    const char *end = read ? strrchr(text, ')') : NULL;
    return end ? end + 1 : NULL;
}

static bool is_child_of_ours(pid_t pid, const char *name)
{
    char text[256];
    const char *state = read_stat(pid, text);
    long parent = 0;
    return state && sscanf(state, " %*c %ld", &parent) == 1 && parent == getpid() &&
           strstr(text, name) && state[1] != 'Z';
}

/* The helper of this process. */
static pid_t find_helper(void)
{
    char path[64];
    char text[4096] = "";
    (void)snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    (void)!fgets(text, sizeof(text), file);
    (void)fclose(file);
    for (char *at = strtok(text, " "); at; at = strtok(NULL, " ")) {
        pid_t pid = (pid_t)strtol(at, NULL, 10);
        if (is_child_of_ours(pid, "(lunshadow-guard")) {
            return pid;
        }
    }
    return 0;
}

static void assert_all_run(const struct fixture *f, uint32_t within_ms)
{
    for (int i = 0; i < CHILDREN; i++) {
        assert_true(wait_for_beat(&f->beats[i], within_ms));
    }
}

static void nothing_moves_while_held(void **state)
{
    struct fixture *f = *state;
    struct guard_report report;
    struct error err = {0};
    uint64_t counts[CHILDREN];
    struct guard *guard = start(f, 3000);
    assert_all_run(f, 1000); /* a guard that was only started holds nothing */
    uint64_t asked = clock_monotonic_us();
    assert_int_equal(guard_hold(guard, &err), S_OK);
    uint64_t held = clock_monotonic_us();
    for (int i = 0; i < CHILDREN; i++) {
        counts[i] = atomic_load(&f->beats[i].count);
    }
    clock_sleep_ms(100);
    for (int i = 0; i < CHILDREN; i++) {
        assert_int_equal(atomic_load(&f->beats[i].count), counts[i]);
        assert_true(atomic_load(&f->beats[i].last_us) <= held);
    }
    uint64_t releasing = clock_monotonic_us();
    assert_int_equal(guard_release(guard, &report, &err), S_OK);
    assert_all_run(f, 1000);
    assert_true(report.held_at_us >= asked && report.held_at_us <= held);
    assert_true(report.released_at_us >= releasing);
    assert_false(report.by_deadline);
    assert_int_equal(find_helper(), 0);
    print_message("hold of %d processes took %llu us\n", CHILDREN,
                  (unsigned long long)(report.held_at_us - asked));
}

static void deadline_ends_the_hold(void **state)
{
    struct fixture *f = *state;
    struct guard_report report;
    struct error err = {0};
    struct guard *guard = start(f, 500);
    uint64_t asked = clock_monotonic_us();
    assert_int_equal(guard_hold(guard, &err), S_OK);
    assert_all_run(f, 2000); /* without a word of ours */
    assert_int_equal(guard_release(guard, &report, &err), VSS_E_HOLD_WRITES_TIMEOUT);
    assert_true(report.by_deadline);
    assert_true(report.released_at_us >= asked + 500000);
    assert_non_null(strstr(err.text, "500 ms"));
}

static void dead_guard_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct guard_report report;
    struct error err = {0};
    struct guard *guard = start(f, 3000);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    pid_t helper = find_helper();
    assert_true(helper > 0);
    assert_int_equal(kill(helper, SIGKILL), 0);
    clock_sleep_ms(20);
    uint64_t count = atomic_load(&f->beats[0].count);
    clock_sleep_ms(20);
    assert_int_equal(atomic_load(&f->beats[0].count), count); /* else this test shows nothing */
    assert_int_equal(guard_release(guard, &report, &err), VSS_E_UNEXPECTED);
    assert_all_run(f, 2000);
    assert_non_null(strstr(err.text, "guard"));
    assert_true(report.held_at_us > 0);
}

static void silent_guard_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct guard *guard = start(f, 3000);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    pid_t helper = find_helper();
    assert_int_equal(kill(helper, SIGSTOP), 0);
    assert_int_equal(guard_release(guard, NULL, &err), VSS_E_UNEXPECTED);
    assert_all_run(f, 2000);
    assert_int_equal(kill(helper, 0), -1);
}

static void helper_ignores_signals(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct guard *guard = start(f, 3000);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    pid_t helper = find_helper();
    assert_int_equal(getsid(helper), helper);
    assert_int_equal(kill(helper, SIGINT), 0);
    assert_int_equal(kill(helper, SIGTERM), 0);
    assert_int_equal(kill(helper, SIGHUP), 0);
    clock_sleep_ms(10);
    uint64_t count = atomic_load(&f->beats[0].count);
    clock_sleep_ms(20);
    assert_int_equal(atomic_load(&f->beats[0].count), count);
    assert_int_equal(guard_release(guard, NULL, &err), S_OK);
}

/* Holds the children in a process of its own and is killed there. */
static void hold_and_wait(const struct fixture *f, int tell_fd)
{
    struct error err = {0};
    struct guard *guard = start(f, 10000);
    bool held = SUCCEEDED(guard_hold(guard, &err));
    (void)!write(tell_fd, held ? "h" : "f", 1);
    for (;;) {
        (void)pause();
    }
}

static void killed_caller_lets_go(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    char word = 0;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t caller = fork();
    if (caller == 0) {
        hold_and_wait(f, fds[1]);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &word, 1), 1);
    assert_int_equal(word, 'h');
    (void)close(fds[0]);
    uint64_t count = atomic_load(&f->beats[0].count);
    clock_sleep_ms(50);
    assert_int_equal(atomic_load(&f->beats[0].count), count);
    uint64_t killed = clock_monotonic_us();
    assert_int_equal(kill(caller, SIGKILL), 0);
    assert_all_run(f, 2000);
    print_message("running again %llu us after the caller was killed\n",
                  (unsigned long long)(atomic_load(&f->beats[0].last_us) - killed));
    (void)waitpid(caller, NULL, 0);
}

static void a_lock_does_not_outlive_us(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char path[] = "/tmp/lunshadow-guard-XXXXXX";
    int lock = mkostemp(path, 0); /* without close-on-exec, as a careless caller has it */
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    struct guard *guard = start(f, 3000);
    (void)close(lock);
    int again = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(again, LOCK_EX | LOCK_NB), 0);
    (void)close(again);
    (void)unlink(path);
    assert_int_equal(guard_release(guard, NULL, &err), S_OK);
}

static void stopped_target_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct guard_report report;
    struct guard *guard = start(f, 3000);
    int status = 0;
    assert_int_equal(kill(f->children[2], SIGSTOP), 0);
    assert_int_equal(waitpid(f->children[2], &status, WUNTRACED), f->children[2]);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(guard_hold(guard, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "already stopped"));
    assert_true(wait_for_beat(&f->beats[0], 2000)); /* those before it run again */
    assert_true(wait_for_beat(&f->beats[1], 2000));
    assert_int_equal(guard_release(guard, &report, &err), S_OK);
    assert_int_equal(report.held_at_us, 0);
    assert_false(wait_for_beat(&f->beats[2], 30)); /* somebody's stop is not ours to end */
    assert_int_equal(kill(f->children[2], SIGCONT), 0);
}

static void broken_hold_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct guard *guard = start(f, 3000);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    assert_int_equal(kill(f->children[1], SIGCONT), 0);
    assert_true(wait_for_beat(&f->beats[1], 2000));
    assert_int_equal(guard_release(guard, NULL, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "somebody else"));
    assert_all_run(f, 2000);
}

static void gone_target_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct guard *guard = start(f, 3000);
    struct guard *none = NULL;
    struct guard_target target = {.kind = GUARD_PROCESS, .pid = f->children[1]};
    siginfo_t info = {0};
    assert_int_equal(kill(f->children[1], SIGKILL), 0);
    /* a zombie then */
    assert_int_equal(waitid(P_PID, (id_t)f->children[1], &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(guard_hold(guard, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "gone"));
    assert_true(wait_for_beat(&f->beats[0], 2000));
    assert_int_equal(guard_release(guard, NULL, &err), S_OK);
    (void)waitpid(f->children[1], NULL, 0);
    f->children[1] = 0;
    error_clear(&err);
    assert_int_equal(guard_start(&target, 1, 1000, &none, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "gone"));
    assert_null(none);
}

static void bad_arguments_are_refused(void **state)
{
    struct fixture *f = *state;
    struct guard *guard = NULL;
    struct guard_target good = {.kind = GUARD_PROCESS, .pid = f->children[0]};
    struct guard_target self = {.kind = GUARD_PROCESS, .pid = getpid()};
    struct guard_target file = {.kind = GUARD_FILESYSTEM, .path = "/proc/self/exe"};
    struct guard_target none = {.kind = GUARD_FILESYSTEM, .path = "/no/such/directory"};
    assert_int_equal(guard_start(&good, 0, 1000, &guard, NULL), E_INVALIDARG);
    assert_int_equal(guard_start(&good, 65, 1000, &guard, NULL), E_INVALIDARG);
    assert_int_equal(guard_start(&good, 1, 0, &guard, NULL), E_INVALIDARG);
    assert_int_equal(guard_start(&good, 1, 10001, &guard, NULL), E_INVALIDARG);
    assert_int_equal(guard_start(&self, 1, 1000, &guard, NULL), E_INVALIDARG);
    assert_true(FAILED(guard_start(&file, 1, 1000, &guard, NULL)));
    assert_int_equal(guard_start(&none, 1, 1000, &guard, NULL), VSS_E_OBJECT_NOT_FOUND);
    assert_null(guard);
    assert_int_equal(guard_release(NULL, NULL, NULL), S_OK);
}

static void twice_the_same_counts_once(void **state)
{
    struct fixture *f = *state;
    struct guard *guard = NULL;
    struct guard_target same[2] = {{.kind = GUARD_PROCESS, .pid = f->children[0]},
                                   {.kind = GUARD_PROCESS, .pid = f->children[0]}};
    assert_int_equal(guard_start(same, 2, 1000, &guard, NULL), S_OK);
    assert_int_equal(guard_hold(guard, NULL), S_OK);
    assert_int_equal(guard_release(guard, NULL, NULL), S_OK);
    assert_true(wait_for_beat(&f->beats[0], 2000));
}

static void a_missing_helper_is_said(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    struct guard *guard = NULL;
    struct guard_target target = {.kind = GUARD_PROCESS, .pid = f->children[0]};
    assert_int_equal(setenv("LUNSHADOW_LIBEXECDIR", "/nowhere", 1), 0);
    assert_true(FAILED(guard_start(&target, 1, 1000, &guard, &err)));
    assert_int_equal(unsetenv("LUNSHADOW_LIBEXECDIR"), 0);
    assert_non_null(strstr(err.text, "/nowhere/lunshadow-guard"));
    assert_null(guard);
}

/* A loop-mounted XFS to freeze. */
static struct lab *mount_xfs(void)
{
    char directory[] = "/tmp/lunshadow-guard-XXXXXX";
    struct lab *lab = NULL;
    struct error err = {0};
    assert_non_null(mkdtemp(directory));
    struct lab_options options = {.directory = directory, .image_bytes = 1ULL << 30};
    HRESULT hr = lab_up(&options, &lab, &err);
    if (FAILED(hr) || !lab->is_mounted) {
        print_message("skipped: no loop-mounted filesystem here: %s\n", err.text);
        (void)lab_down(lab, NULL);
        (void)rmdir(directory);
        skip();
    }
    return lab;
}

static void unmount_xfs(struct lab *lab)
{
    struct error err = {0};
    char *directory = text_copy(lab->directory);
    HRESULT hr = lab_down(lab, &err);
    (void)rmdir(directory);
    free(directory);
    assert_string_equal(err.text, "");
    assert_int_equal(hr, S_OK);
}

static pid_t start_writer(const char *disks, struct beat *beat)
{
    char *path = text_printf("%s/written", disks);
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        while (getppid() == self && pwrite(fd, "x", 1, 0) == 1) {
            atomic_store(&beat->last_us, clock_monotonic_us());
            atomic_fetch_add(&beat->count, 1);
            (void)usleep(200);
        }
        _exit(0);
    }
    free(path);
    return child;
}

/* The filesystem is frozen by now; what the writer wrote before it may only have counted since. */
static void wait_until_blocked(pid_t writer)
{
    char text[256];
    const char *state = read_stat(writer, text);
    for (int i = 0; i < 10000 && state && state[1] != 'D'; i++) {
        (void)usleep(1000);
        state = read_stat(writer, text);
    }
    assert_non_null(state);
    assert_int_equal(state[1], 'D');
}

static void frozen_filesystem_blocks_writers(void **state)
{
    struct fixture *f = *state;
    struct beat *beat = &f->beats[CHILDREN];
    struct error err = {0};
    struct guard *guard = NULL;
    struct guard_report report;
    struct lab *lab = mount_xfs();
    struct guard_target targets[2] = {{.kind = GUARD_FILESYSTEM, .path = lab->disks},
                                      {.kind = GUARD_PROCESS, .pid = f->children[0]}};
    pid_t writer = start_writer(lab->disks, beat);
    assert_true(wait_for_beat(beat, 2000));
    assert_int_equal(guard_start(targets, 2, 10000, &guard, &err), S_OK);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    wait_until_blocked(writer);
    uint64_t count = atomic_load(&beat->count);
    clock_sleep_ms(100);
    assert_int_equal(atomic_load(&beat->count), count);
    assert_int_equal(guard_release(guard, &report, &err), S_OK);
    assert_true(wait_for_beat(beat, 2000));
    assert_true(wait_for_beat(&f->beats[0], 2000));
    assert_true(report.released_at_us - report.held_at_us >= 100000);
    (void)kill(writer, SIGKILL);
    (void)waitpid(writer, NULL, 0);
    unmount_xfs(lab);
}

/* A writer blocked in a frozen filesystem cannot be stopped: the attempt must give up at the
 * deadline and take nothing with it. */
static void target_that_does_not_stop(void **state)
{
    struct fixture *f = *state;
    struct beat *beat = &f->beats[CHILDREN];
    struct error err = {0};
    struct guard *first = NULL;
    struct guard *second = NULL;
    struct guard_report report;
    struct lab *lab = mount_xfs();
    pid_t writer = start_writer(lab->disks, beat);
    struct guard_target filesystem = {.kind = GUARD_FILESYSTEM, .path = lab->disks};
    struct guard_target targets[2] = {{.kind = GUARD_PROCESS, .pid = f->children[0]},
                                      {.kind = GUARD_PROCESS, .pid = writer}};
    assert_true(wait_for_beat(beat, 2000));
    assert_int_equal(guard_start(&filesystem, 1, 10000, &first, &err), S_OK);
    assert_int_equal(guard_start(targets, 2, 100, &second, &err), S_OK);
    assert_int_equal(guard_hold(first, &err), S_OK);
    wait_until_blocked(writer);
    uint64_t asked = clock_monotonic_us();
    assert_int_equal(guard_hold(second, &err), VSS_E_HOLD_WRITES_TIMEOUT);
    assert_true(clock_monotonic_us() - asked >= 90000);
    assert_true(wait_for_beat(&f->beats[0], 2000));
    assert_int_equal(guard_release(second, &report, NULL), S_OK);
    assert_int_equal(report.held_at_us, 0);
    assert_int_equal(guard_release(first, NULL, NULL), S_OK);
    assert_true(wait_for_beat(beat, 2000)); /* nobody left it stopped */
    (void)kill(writer, SIGKILL);
    (void)waitpid(writer, NULL, 0);
    unmount_xfs(lab);
}

static void deadline_thaws(void **state)
{
    struct fixture *f = *state;
    struct beat *beat = &f->beats[CHILDREN];
    struct error err = {0};
    struct guard *guard = NULL;
    struct lab *lab = mount_xfs();
    struct guard_target target = {.kind = GUARD_FILESYSTEM, .path = lab->disks};
    pid_t writer = start_writer(lab->disks, beat);
    assert_true(wait_for_beat(beat, 2000));
    assert_int_equal(guard_start(&target, 1, 2000, &guard, &err), S_OK);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    assert_true(wait_for_beat(beat, 10000)); /* of a write before, perhaps */
    assert_true(wait_for_beat(beat, 10000));
    assert_int_equal(guard_release(guard, NULL, &err), VSS_E_HOLD_WRITES_TIMEOUT);
    (void)kill(writer, SIGKILL);
    (void)waitpid(writer, NULL, 0);
    unmount_xfs(lab);
}

static void frozen_by_others_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    struct guard *guard = NULL;
    struct lab *lab = mount_xfs();
    struct guard_target target = {.kind = GUARD_FILESYSTEM, .path = lab->disks};
    int fd = open(lab->disks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(guard_start(&target, 1, 1000, &guard, &err), S_OK);
    assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
    assert_int_equal(guard_hold(guard, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "already stopped"));
    assert_int_equal(guard_release(guard, NULL, NULL), S_OK);
    assert_int_equal(ioctl(fd, FITHAW, 0), 0); /* it was still frozen */
    (void)close(fd);
    unmount_xfs(lab);
}

static void dead_guard_leaves_nothing_frozen(void **state)
{
    (void)state;
    struct error err = {0};
    struct guard *guard = NULL;
    struct lab *lab = mount_xfs();
    struct guard_target target = {.kind = GUARD_FILESYSTEM, .path = lab->disks};
    int fd = open(lab->disks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(guard_start(&target, 1, 3000, &guard, &err), S_OK);
    assert_int_equal(guard_hold(guard, &err), S_OK);
    assert_int_equal(kill(find_helper(), SIGKILL), 0);
    clock_sleep_ms(20);
    assert_int_equal(guard_release(guard, NULL, &err), VSS_E_UNEXPECTED);
    assert_int_equal(ioctl(fd, FITHAW, 0), -1); /* not frozen any more */
    (void)close(fd);
    unmount_xfs(lab);
}

#define GUARD_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(nothing_moves_while_held),    GUARD_TEST(deadline_ends_the_hold),
        GUARD_TEST(dead_guard_is_replaced),      GUARD_TEST(silent_guard_is_replaced),
        GUARD_TEST(helper_ignores_signals),      GUARD_TEST(killed_caller_lets_go),
        GUARD_TEST(a_lock_does_not_outlive_us),  GUARD_TEST(stopped_target_is_refused),
        GUARD_TEST(broken_hold_is_noticed),      GUARD_TEST(gone_target_is_refused),
        GUARD_TEST(bad_arguments_are_refused),   GUARD_TEST(twice_the_same_counts_once),
        GUARD_TEST(a_missing_helper_is_said),    GUARD_TEST(frozen_filesystem_blocks_writers),
        GUARD_TEST(target_that_does_not_stop),   GUARD_TEST(deadline_thaws),
        GUARD_TEST(frozen_by_others_is_refused), GUARD_TEST(dead_guard_leaves_nothing_frozen),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
