/* SPDX-License-Identifier: Apache-2.0 */
/* Scratch LUNs that are mounted on this host: neither a drill nor the conformance suite writes to
 * them. Root only; skipped where the host has no FUSE, no loop devices or no qemu-storage-daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "component/expose_fixture.h"
#include "drill/own.h"
#include "lun/host/loop.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_MS 60000

/* LUN 1 is only read, LUN 2 is the scratch LUN for it. */
struct drilled {
    struct array *array;
    const char *check;
    FILE *out;
    enum drill_result result;
    struct error err;
};

static void name_scratch(struct array *a, size_t index)
{
    char key[LUN_KEY_BYTES];
    struct error err = {0};
    struct lun *lun = NULL;
    assert_ok(lun_open(a->urls[index], &a->env->lun, true, &lun, &err), &err);
    char *section = text_printf("\n[scratch s%zu]\nlun = %s\nidentity = %s\n", index,
                                a->urls[index], lun_info_key(&lun->identity.info, key));
    lun_close(lun);
    array_configure(a, section);
    free(section);
}

static void *run_drill(void *context)
{
    struct drilled *d = context;
    const char *volume = d->array->urls[0];
    const char *onto = d->array->urls[1];
    const struct drill_own_options options = {
        .common = {.state_directory = d->array->state, .out = d->out},
        .config_path = d->array->config,
        .volumes = &volume,
        .onto = &onto,
        .count = 1,
        .check = d->check,
        .max_rto_s = 2 * WAIT_MS / 1000};
    d->result = drill_own_run(&options, &d->err);
    return NULL;
}

static FILE *open_output(const struct array *a)
{
    FILE *out = fopen(mounted_path(a, "output"), "w+e");
    assert_non_null(out);
    return out;
}

/* The program has printed the words. */
static bool has_printed(const struct array *a, const char *words)
{
    char *line = text_printf("grep -q '%s' '%s/output'", words, a->base);
    const char *const argv[] = {"sh", "-c", line, NULL};
    HRESULT hr = process_run(argv, 5000, NULL, NULL);
    free(line);
    return SUCCEEDED(hr);
}

static void wait_until_there(const char *path)
{
    uint64_t until_us = clock_monotonic_us() + WAIT_MS * 1000ull;
    struct stat st;
    while (stat(path, &st) != 0 && clock_monotonic_us() < until_us) {
        clock_sleep_ms(20);
    }
    assert_int_equal(stat(path, &st), 0);
}

/* A filesystem on the whole LUN, at "at", as a person who uses it has it; it does not write. */
static void use(struct array *a, size_t index)
{
    struct error err = {0};
    struct loop_range range = {.bytes = ARRAY_BYTES, .block_bytes = 512};
    char loop[LOOP_NAME_BYTES];
    int fd = -1;
    char *file = export_file(mounted_export_lun(a, a->urls[index], "export", 60));
    assert_ok(loop_attach(file, &range, &fd, loop, &err), &err);
    SHELL("mkdir '%s/at' '%s/tree'; printf '" MOUNTED_TEXT "' > '%s/tree/file';"
          "mkfs.ext4 -q -F -d '%s/tree' %s; sync -f %s; mount -t ext4 -o ro,noload %s '%s/at'",
          a->base, a->base, a->base, a->base, loop, file, loop, a->base);
    assert_int_equal(close(fd), 0);
    free(file);
}

/* It is still what use() made of it. */
static void assert_intact(const struct array *a, size_t index)
{
    SHELL("test \"$(blkid -p -s TYPE -o value '%s')\" = ext4", a->files[index]);
    mounted_assert_file(mounted_path(a, "at"), "file", MOUNTED_TEXT);
}

static void stop_using(const struct array *a)
{
    struct error err = {0};
    SHELL("umount '%s/at'", a->base);
    assert_ok(export_stop(mounted_path(a, "export"), &err), &err);
}

static void a_drill_does_not_begin_on_one(void **state)
{
    struct array *a = *state;
    array_need_mounts();
    name_scratch(a, 1);
    use(a, 1);
    uint64_t before = array_digest(a->files[1]);
    struct drilled d = {.array = a, .check = "true", .out = open_output(a)};
    (void)run_drill(&d);
    assert_int_equal(fclose(d.out), 0);
    assert_true(array_digest(a->files[1]) == before);
    assert_int_equal(d.result, DRILL_DID_NOT_RUN);
    assert_non_null(strstr(error_text(&d.err), "mounted on this host at"));
    assert_intact(a, 1);
    stop_using(a);
    array_assert_nothing_left(a);
}

/* What was recovered is looked at by somebody who mounts it, and has not unmounted it at the end.
 */
static void a_drill_does_not_wipe_one(void **state)
{
    struct array *a = *state;
    pthread_t thread;
    array_need_mounts();
    name_scratch(a, 1);
    SHELL("echo 'label: dos' | sfdisk -q --no-reread --wipe always '%s'", a->files[1]);
    char *check = text_printf(": > '%s/checking'; until test -e '%s/go'; do sleep 0.05; done",
                              a->base, a->base);
    struct drilled d = {.array = a, .check = check, .out = open_output(a)};
    assert_int_equal(pthread_create(&thread, NULL, run_drill, &d), 0);
    wait_until_there(mounted_path(a, "checking"));
    use(a, 1);
    SHELL(": > '%s/go'", a->base);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(fclose(d.out), 0);
    assert_intact(a, 1);
    assert_int_equal(d.result, DRILL_LEFT_BEHIND);
    assert_true(has_printed(a, "left behind: .*mounted on this host at"));
    stop_using(a);
    array_assert_nothing_left(a);
    free(check);
}

/* A configuration for lunshadow-conform, which writes to LUN 1 and 2. */
static void configure_conform(struct array *a)
{
    name_scratch(a, 0);
    name_scratch(a, 1);
    SHELL("sed '/^\\[array /a scratch = %s\\nscratch2 = %s' '%s' > '%s/conform.conf'", a->urls[0],
          a->urls[1], a->config, a->base);
}

static void start_conform(const struct array *a, struct process *out)
{
    const char *const argv[] = {CONFORM_PATH, "--config", mounted_path(a, "conform.conf"),
                                "--array",    "lab",      NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    struct error err = {0};
    int fd = open(mounted_path(a, "output"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    options.out_fd = fd;
    options.err_fd = fd;
    assert_ok(process_start(argv, &options, out, &err), &err);
    assert_int_equal(close(fd), 0);
}

static void conform_stops_writing_to_one(void **state)
{
    struct array *a = *state;
    struct process conform = PROCESS_INIT;
    uint64_t until_us = clock_monotonic_us() + WAIT_MS * 1000ull;
    int status = 0;
    array_need_mounts();
    configure_conform(a);
    start_conform(a, &conform);
    while (!has_printed(a, "^ok") && clock_monotonic_us() < until_us) {
        clock_sleep_ms(20);
    }
    use(a, 1);
    assert_int_equal(process_wait(&conform, 240000, &status), S_OK);
    assert_true(has_printed(a, "scratch LUN .* is mounted on this host at"));
    assert_intact(a, 1);
    stop_using(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_drill_does_not_begin_on_one, array_start, mounted_stop),
        cmocka_unit_test_setup_teardown(a_drill_does_not_wipe_one, array_start, mounted_stop),
        cmocka_unit_test_setup_teardown(conform_stops_writing_to_one, array_start, mounted_stop),
    };
    return cmocka_run_group_tests_name("scratch_in_use", tests, NULL, NULL);
}
