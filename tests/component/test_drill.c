/* SPDX-License-Identifier: Apache-2.0 */
/* The drill as a whole, on small LUNs: it passes, it says so when it cannot run, and whatever
 * happens it takes everything away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/process.h"
#include "drill/drill.h"
#include "drill/report.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_LUN ((uint64_t)64 << 20)

struct place {
    char base[32];
    char *work;
    char *state;
    char *output;
    FILE *out;
};

static void open_place(struct place *p)
{
    (void)strcpy(p->base, "/var/tmp/lsd-XXXXXX");
    assert_non_null(mkdtemp(p->base));
    p->work = text_printf("%s/work", p->base);
    p->state = text_printf("%s/a/b/state", p->base);
    p->output = text_printf("%s/output", p->base);
    p->out = fopen(p->output, "w+e");
    assert_non_null(p->out);
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", p->base, 1), 0);
}

static void close_place(struct place *p)
{
    const char *command[] = {"rm", "-rf", p->base, NULL};
    struct error err = {0};
    (void)fclose(p->out);
    assert_int_equal(process_run(command, 10000, NULL, &err), S_OK);
    free(p->work);
    free(p->state);
    free(p->output);
}

static struct drill_options options_for(const struct place *p)
{
    return (struct drill_options){.state_directory = p->state,
                                  .work_directory = p->work,
                                  .lun_bytes = SMALL_LUN,
                                  .seconds = 2,
                                  .json = true,
                                  .out = p->out};
}

static json_t *read_output(struct place *p)
{
    rewind(p->out);
    json_error_t where;
    json_t *root = json_loadf(p->out, 0, &where);
    if (!root) {
        fail_msg("the report is not JSON: %s", where.text);
    }
    return root;
}

static void print_bad(const json_t *root)
{
    size_t i;
    size_t j;
    const json_t *phase;
    const json_t *one;
    json_array_foreach(json_object_get(root, "phases"), i, phase)
    {
        json_array_foreach(json_object_get(phase, "checks"), j, one)
        {
            const char *verdict = json_string_value(json_object_get(one, "verdict"));
            if (strcmp(verdict, "held") != 0) {
                print_message("%s: %s: %s\n", verdict,
                              json_string_value(json_object_get(one, "name")),
                              json_string_value(json_object_get(one, "text")));
            }
        }
    }
}

static json_int_t figure(const json_t *root, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(root, "figures"), key));
}

static json_int_t checks(const json_t *root, const char *key)
{
    return json_integer_value(json_object_get(json_object_get(root, "checks"), key));
}

static void the_drill_passes_and_leaves_nothing(void **state)
{
    (void)state;
    struct place p;
    struct error err = {0};
    open_place(&p);
    struct drill_options options = options_for(&p);
    enum drill_result result = drill_run(&options, &err);
    json_t *root = read_output(&p);
    print_bad(root);
    assert_int_equal(result, DRILL_PASSED);
    assert_int_equal(checks(root, "failed"), 0);
    assert_int_equal(checks(root, "skipped"), 0);
    assert_true(checks(root, "held") > 150);
    assert_true(figure(root, "records_before_cut") >= 1000);
    assert_true(figure(root, "hold_us") > 0);
    assert_true(figure(root, "rto_us") >= figure(root, "recover_us"));
    assert_int_equal(access(p.work, F_OK), -1);
    char *kept = text_printf("ls %s/drills/*.json | wc -l | grep -qx 1", p.state);
    const char *command[] = {"sh", "-c", kept, NULL};
    assert_int_equal(process_run(command, 10000, NULL, &err), S_OK);
    free(kept);
    json_decref(root);
    close_place(&p);
}

static int questions_left;

static bool stop_after_some(void)
{
    return questions_left-- <= 0;
}

static void a_stopped_drill_fails_and_leaves_nothing(void **state)
{
    (void)state;
    struct place p;
    struct error err = {0};
    open_place(&p);
    struct drill_options options = options_for(&p);
    options.should_stop = stop_after_some;
    questions_left = 12; /* the load runs by then */
    assert_int_equal(drill_run(&options, &err), DRILL_FAILED);
    json_t *root = read_output(&p);
    assert_true(checks(root, "skipped") > 5);
    assert_int_equal(json_array_size(json_object_get(root, "left_behind")), 0);
    assert_int_equal(access(p.work, F_OK), -1);
    json_decref(root);
    close_place(&p);
}

static void what_cannot_run_says_so(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    struct drill_options options = options_for(&p);
    struct error err = {0};
    assert_int_equal(mkdir(p.work, 0700), 0);
    char *file = text_printf("%s/something", p.work);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    options.lun_bytes = SMALL_LUN;
    assert_int_equal(drill_run(&options, &err), DRILL_DID_NOT_RUN); /* not an empty directory */
    assert_non_null(strstr(err.text, p.work));
    assert_int_equal(access(file, F_OK), 0);
    error_clear(&err);
    assert_int_equal(unlink(file), 0);
    options.lun_bytes = (uint64_t)1 << 50;
    assert_int_equal(drill_run(&options, &err), DRILL_DID_NOT_RUN);
    error_clear(&err);
    options.lun_bytes = SMALL_LUN + 512;
    assert_int_equal(drill_run(&options, &err), DRILL_DID_NOT_RUN);
    error_clear(&err);
    options.lun_bytes = SMALL_LUN;
    options.state_directory = "/proc/none";
    assert_int_equal(drill_run(&options, &err), DRILL_DID_NOT_RUN);
    assert_non_null(strstr(err.text, "/proc/none"));
    free(file);
    close_place(&p);
}

static void a_skipped_check_is_not_held(void **state)
{
    (void)state;
    VSS_ID id = {0};
    struct report *r = report_new(NULL);
    assert_non_null(r);
    report_phase(r, "one");
    assert_true(report_check(r, "good", true, "%d", 1));
    assert_false(report_check(r, "bad", false, "\xff not UTF-8"));
    report_skip(r, "left out", "because");
    report_leftover(r, "/a/file");
    report_end(r);
    struct report_totals t = report_count(r);
    assert_int_equal(t.held, 1);
    assert_int_equal(t.failed, 1);
    assert_int_equal(t.skipped, 1);
    assert_int_equal(t.leftovers, 1);
    char *json = report_json(r, &id, 1);
    json_t *root = json ? json_loads(json, 0, NULL) : NULL;
    assert_non_null(root);
    assert_int_equal(checks(root, "held"), 1);
    json_decref(root);
    free(json);
    report_free(r);
}

int main(void)
{
    struct error err = {0};
    if (access("/usr/sbin/tgtd", X_OK) != 0 || FAILED(judge_check_tools(&err))) {
        print_message("skipped: the drill needs tgtd, sgdisk, sfdisk and fdisk\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_skipped_check_is_not_held),
        cmocka_unit_test(what_cannot_run_says_so),
        cmocka_unit_test(a_stopped_drill_fails_and_leaves_nothing),
        cmocka_unit_test(the_drill_passes_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
