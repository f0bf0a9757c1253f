/* SPDX-License-Identifier: Apache-2.0 */
/* Registered providers and real sets: who copies a LUN where several could, who is in use, and what
 * ends a set in creation. */
#include <lunshadow/admin.h>

#include "component/array_fixture.h"

#include "common/buffer.h"
#include "common/id.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROLLBACK      ((uint32_t)VSS_CTX_APP_ROLLBACK)
#define TRANSPORTABLE (ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

static struct vss_admin *admin_of(const struct array *a)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    struct vss_admin *admin = NULL;
    char *text = NULL;
    options.config_path = a->config;
    options.state_directory = a->state;
    if (FAILED(vss_create_admin(&options, &admin, &text))) {
        fail_msg("%s", text);
    }
    return admin;
}

static void must(struct vss_admin *admin, HRESULT hr)
{
    if (FAILED(hr)) {
        fail_msg("0x%08x: %s", (unsigned)hr, vss_admin_error_text(admin));
    }
}

static void must_refuse(struct vss_admin *admin, HRESULT hr, HRESULT code, const char *words)
{
    const char *text = vss_admin_error_text(admin);
    if (hr != code || !strstr(text, words)) {
        fail_msg("0x%08x instead of 0x%08x with \"%s\": %s", (unsigned)hr, (unsigned)code, words,
                 text);
    }
}

static VSS_ID register_own(struct array *a, struct vss_admin *admin)
{
    VSS_ID id;
    must(admin, vss_admin_register_provider(
                    admin, provider_path(providers_find(a->env->providers, "lab")), &id));
    array_reopen(a);
    return id;
}

static void delete_set(struct array *a, struct set_record *set)
{
    struct error err = {0};
    int32_t deleted = 0;
    assert_ok(set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, &err),
              &err);
    set_record_free(set);
}

/* ---- selection ---------------------------------------------------------------------------------
 */

/* A second provider that can copy the lab's LUNs: the plug-in that was compiled for ABI 0.9. */
static char *install_files(struct array *a)
{
    struct utsname machine;
    struct error err = {0};
    if (uname(&machine) != 0 || strcmp(machine.machine, "x86_64") != 0) {
        print_message("skipped: %s is for x86_64\n", OLD_PLUGIN_PATH);
        skip();
    }
    char *path = text_printf("%s/files.so", a->base);
    const char *const argv[] = {"install", "-m", "644", OLD_PLUGIN_PATH, path, NULL};
    assert_non_null(path);
    assert_ok(process_run(argv, 5000, NULL, &err), &err);
    return path;
}

static void configure_files(struct array *a, const char *path)
{
    const struct config_section *lab =
        config_find(a->env->config, "array", provider_array(providers_at(a->env->providers, 0)));
    char *text = text_printf("[array files]\nprovider = %s\nsocket = %s\ncontrol_port = %s\n"
                             "directory = %s\nmax_hold_ms = 10000\n",
                             path, config_value(lab, "socket", ""),
                             config_value(lab, "control_port", ""), a->lab->disks);
    assert_non_null(text);
    array_configure(a, text);
    free(text);
    assert_int_equal(providers_count(a->env->providers), 2);
}

/* Adds a volume to a set that is given up; the array that takes it. wanted NULL: any. */
static void assert_taken_by(struct array *a, const VSS_ID *wanted, const char *array)
{
    struct error err = {0};
    struct set_builder *builder = NULL;
    struct set_record set = {0};
    VSS_ID id;
    assert_ok(set_start(a->env, ROLLBACK, &builder, &id, &err), &err);
    assert_ok(set_add_volume(builder, a->urls[1], wanted, &id, &err), &err);
    assert_ok(set_commit(builder, NULL, &set, &err), &err);
    set_builder_free(builder);
    assert_string_equal(set.luns[0].array, array);
    delete_set(a, &set);
}

static void the_first_registered_provider_copies(void **state)
{
    struct array *a = *state;
    struct vss_admin *admin = admin_of(a);
    char *files = install_files(a);
    configure_files(a, files);
    const char *lab = "lab";
    const VSS_ID tgt_id = provider_table(providers_find(a->env->providers, lab))->provider_id;
    VSS_ID files_id;
    assert_taken_by(a, NULL, lab); /* the first in the file */
    must(admin, vss_admin_register_provider(admin, files, &files_id));
    array_reopen(a);
    assert_taken_by(a, NULL, "files");
    assert_taken_by(a, &tgt_id, lab); /* who is named */
    VSS_ID again = register_own(a, admin);
    assert_true(id_equal(&again, &tgt_id));
    assert_taken_by(a, NULL, "files");
    must(admin, vss_admin_unregister_provider(admin, &files_id));
    array_reopen(a);
    assert_taken_by(a, NULL, lab);
    free(files);
    vss_admin_release(admin);
    array_assert_nothing_left(a);
}

/* ---- in use ------------------------------------------------------------------------------------
 */

static void a_provider_with_copies_stays_registered(void **state)
{
    struct array *a = *state;
    struct vss_admin *admin = admin_of(a);
    struct set_record set = {0};
    struct set_builder *builder = NULL;
    struct error err = {0};
    VSS_ID set_id;
    VSS_ID id = register_own(a, admin);
    array_create(a, TRANSPORTABLE, 2, &set);
    must_refuse(admin, vss_admin_unregister_provider(admin, &id), VSS_E_PROVIDER_IN_USE,
                "2 shadow copies");
    delete_set(a, &set);
    assert_ok(set_start(a->env, ROLLBACK, &builder, &set_id, &err), &err);
    must_refuse(admin, vss_admin_unregister_provider(admin, &id), VSS_E_PROVIDER_IN_USE,
                "a snapshot set is being created");
    set_builder_free(builder);
    must(admin, vss_admin_unregister_provider(admin, &id));
    vss_admin_release(admin);
}

/* ---- which array a set is of -------------------------------------------------------------------
 */

static void rewrite_config(struct array *a, const char *script)
{
    struct error err = {0};
    const char *const argv[] = {"sed", "-i", script, a->config, NULL};
    assert_ok(process_run(argv, 5000, NULL, &err), &err);
    array_reopen(a);
}

static HRESULT try_delete(struct array *a, const struct set_record *set, struct error *err)
{
    int32_t deleted = 0;
    error_clear(err);
    return set_delete(a->env, &set->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, NULL, err);
}

static void a_set_finds_its_array_only_where_there_is_one(void **state)
{
    struct array *a = *state;
    struct error err = {0};
    struct set_record set = {0};
    array_create(a, TRANSPORTABLE, 1, &set);
    assert_string_equal(set.luns[0].array, "lab");
    /* Its own is there and does not work: no other may take its place. */
    array_configure(a, "[array other]\nprovider = tgt\nportal = 127.0.0.1:1\n");
    rewrite_config(a, "0,/^provider = tgt/s//provider = no-such/");
    assert_refused(try_delete(a, &set, &err), VSS_E_PROVIDER_VETO, &err,
                   "lab, which is not usable");
    /* Two others: which one cannot be told. */
    rewrite_config(a, "s/^\\[array lab\\]/[array renamed]/; s/^provider = no-such/provider = tgt/");
    assert_refused(try_delete(a, &set, &err), VSS_E_PROVIDER_VETO, &err, "has 2 arrays");
    /* One other. */
    rewrite_config(a, "/^\\[array other\\]/,$d");
    assert_ok(try_delete(a, &set, &err), &err);
    set_record_free(&set);
    array_assert_nothing_left(a);
}

/* ---- aborting ----------------------------------------------------------------------------------
 */

/* In the child: dies, or waits to be killed, when the copies exist and the set is not yet made. */
static HRESULT die(void *user, struct set_record *set, struct error *err)
{
    (void)user;
    (void)set;
    (void)err;
    (void)raise(SIGKILL);
    return S_OK;
}

static HRESULT wait_for_the_end(void *user, struct set_record *set, struct error *err)
{
    const int *told = user;
    (void)set;
    (void)err;
    (void)!write(*told, "x", 1);
    while (pause() < 0) {
    }
    return S_OK;
}

static void create_in_child(const struct array *a, const struct set_hooks *hooks)
{
    struct set_environment *env = NULL;
    struct set_builder *b = NULL;
    struct set_record set;
    VSS_ID id;
    bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, NULL)) &&
              SUCCEEDED(set_start(env, ROLLBACK, &b, &id, NULL));
    for (size_t i = 0; ok && i < 2; i++) {
        ok = SUCCEEDED(set_add_volume(b, a->urls[i], NULL, &id, NULL));
    }
    (void)(ok && SUCCEEDED(set_commit(b, hooks, &set, NULL)));
    _exit(1);
}

static void assert_killed(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void sets_of_the_dead_are_aborted(void **state)
{
    struct array *a = *state;
    const struct set_hooks hooks = {.post_snapshot = die};
    struct vss_admin *admin = admin_of(a);
    struct set_record set = {0};
    pid_t child = fork();
    if (child == 0) {
        create_in_child(a, &hooks);
    }
    assert_killed(child);
    must(admin, vss_admin_abort_all_snapshots_in_progress(admin));
    array_assert_nothing_left(a);
    must(admin, vss_admin_abort_all_snapshots_in_progress(admin)); /* nothing is a success */
    array_create(a, ROLLBACK, 2, &set);
    must(admin, vss_admin_abort_all_snapshots_in_progress(admin));
    delete_set(a, &set); /* a set that was made is none in progress */
    array_assert_nothing_left(a);
    vss_admin_release(admin);
}

static void what_cannot_be_aborted_stays(void **state)
{
    struct array *a = *state;
    const struct set_hooks hooks = {.post_snapshot = die};
    struct vss_admin *admin = admin_of(a);
    pid_t child = fork();
    if (child == 0) {
        create_in_child(a, &hooks);
    }
    assert_killed(child);
    rewrite_config(a, "s/^provider = tgt/provider = no-such/");
    must_refuse(admin, vss_admin_abort_all_snapshots_in_progress(admin), VSS_E_PROVIDER_VETO,
                "not usable");
    rewrite_config(a, "s/^provider = no-such/provider = tgt/");
    must(admin, vss_admin_abort_all_snapshots_in_progress(admin));
    array_assert_nothing_left(a);
    vss_admin_release(admin);
}

static void sets_of_the_living_are_left_to_them(void **state)
{
    struct array *a = *state;
    int ends[2];
    char text[64];
    struct vss_admin *admin = admin_of(a);
    struct set_builder *builder = NULL;
    struct error err = {0};
    VSS_ID id;
    assert_int_equal(pipe(ends), 0);
    const struct set_hooks hooks = {.user = &ends[1], .post_snapshot = wait_for_the_end};
    pid_t child = fork();
    if (child == 0) {
        create_in_child(a, &hooks);
    }
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(read(ends[0], text, 1), 1);
    (void)snprintf(text, sizeof(text), "process %ld", (long)child);
    must_refuse(admin, vss_admin_abort_all_snapshots_in_progress(admin),
                VSS_E_SNAPSHOT_SET_IN_PROGRESS, text);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_killed(child);
    assert_int_equal(close(ends[0]), 0);
    must(admin, vss_admin_abort_all_snapshots_in_progress(admin));
    array_assert_nothing_left(a);
    /* One of this very process. */
    assert_ok(set_start(a->env, ROLLBACK, &builder, &id, &err), &err);
    (void)snprintf(text, sizeof(text), "process %ld", (long)getpid());
    must_refuse(admin, vss_admin_abort_all_snapshots_in_progress(admin),
                VSS_E_SNAPSHOT_SET_IN_PROGRESS, text);
    set_builder_free(builder);
    vss_admin_release(admin);
}

#define ARRAY_TEST(f) cmocka_unit_test_setup_teardown(f, array_start, array_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARRAY_TEST(the_first_registered_provider_copies),
        ARRAY_TEST(a_provider_with_copies_stays_registered),
        ARRAY_TEST(a_set_finds_its_array_only_where_there_is_one),
        ARRAY_TEST(sets_of_the_dead_are_aborted),
        ARRAY_TEST(what_cannot_be_aborted_stays),
        ARRAY_TEST(sets_of_the_living_are_left_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
