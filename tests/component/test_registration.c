/* SPDX-License-Identifier: Apache-2.0 */
/* Registering real plug-ins, and the arrays that name them: each refusal by its real cause. */
#include <lunshadow/admin.h>

#include "common/config.h"
#include "common/id.h"
#include "provider/host/host.h"
#include "registry/events.h"
#include "registry/locks.h"
#include "registry/providers.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const VSS_ID tgt_id = {
    0x6f1d0c5e, 0x2b7a, 0x4e0b, {0x9a, 0x41, 0x3d, 0x8e, 0x57, 0xc2, 0x10, 0x7b}};
static const VSS_ID tgt_version = {
    0x0c94e6d1, 0x83f5, 0x4b26, {0xb1, 0x0e, 0x6a, 0x2f, 0x94, 0xd8, 0x35, 0xe0}};
static const VSS_ID bad_id = {.data1 = 0xbad};
static const VSS_ID other_id = {.data1 = 77};

struct fixture {
    char directory[64];
    char config[96];
    char tgt[96]; /* copies: the build may lie where others can write */
    char bad[96];
    struct vss_admin *admin;
    struct providers *providers;
    struct config *parsed;
    struct store *store;
};

static void shell(const char *line)
{
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c): paths of our own making */
}

static void copy_file(const char *from, const char *to)
{
    char line[1024];
    (void)snprintf(line, sizeof(line), "rm -f '%s' && cp '%s' '%s' && chmod 755 '%s'", to, from, to,
                   to);
    shell(line);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};
    assert_non_null(f);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/lunshadow-registration-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->config, sizeof(f->config), "%s/lunshadow.conf", f->directory);
    (void)snprintf(f->tgt, sizeof(f->tgt), "%s/tgt.so", f->directory);
    (void)snprintf(f->bad, sizeof(f->bad), "%s/bad.so", f->directory);
    copy_file(TGT_PATH, f->tgt);
    copy_file(BAD_PATH, f->bad);
    write_text(f->config, "");
    assert_int_equal(setenv("LUNSHADOW_LOCK_DIR", f->directory, 1), 0);
    assert_int_equal(setenv("LUNSHADOW_PROVIDER_DIR", f->directory, 1), 0);
    assert_int_equal(store_open(f->directory, &f->store, &err), S_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char line[96];
    vss_admin_release(f->admin);
    providers_close(f->providers);
    config_free(f->parsed);
    store_close(f->store);
    (void)snprintf(line, sizeof(line), "rm -rf '%s'", f->directory);
    int rc = system(line); /* NOLINT(cert-env33-c): a path of our own making */
    free(f);
    return rc;
}

/* ---- what the tests share ----------------------------------------------------------------------
 */

/* Opened anew with this configuration. */
static struct vss_admin *admin_of(struct fixture *f, const char *config)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    char *text = NULL;
    options.config_path = f->config;
    options.state_directory = f->directory;
    write_text(f->config, config);
    vss_admin_release(f->admin);
    if (FAILED(vss_create_admin(&options, &f->admin, &text))) {
        fail_msg("%s", text);
    }
    return f->admin;
}

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words)) {
        fail_msg("\"%s\" lacks \"%s\"", text, words);
    }
}

static void register_file(struct vss_admin *admin, const char *path)
{
    VSS_ID id;
    if (FAILED(vss_admin_register_provider(admin, path, &id))) {
        fail_msg("%s", vss_admin_error_text(admin));
    }
    assert_string_equal(vss_admin_error_text(admin), "");
    assert_false(id_is_null(&id));
}

static void assert_refused(struct vss_admin *admin, const char *path, HRESULT code,
                           const char *words)
{
    VSS_ID id = tgt_id;
    assert_int_equal(vss_admin_register_provider(admin, path, &id), code);
    assert_true(id_is_null(&id));
    assert_has(vss_admin_error_text(admin), words);
}

/* Replaces the only place where an id stands in a plug-in, as another release of it would have. */
static void patch(const char *path, const VSS_ID *from, const VSS_ID *to)
{
    char line[256];
    char copy[128];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *bytes = malloc((size_t)st.st_size);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    char *at = memmem(bytes, (size_t)st.st_size, from, sizeof(*from));
    assert_non_null(at);
    memcpy(at, to, sizeof(*to));
    assert_null(memmem(bytes, (size_t)st.st_size, from, sizeof(*from)));
    (void)snprintf(copy, sizeof(copy), "%s.new", path);
    fd = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, (size_t)st.st_size), st.st_size);
    assert_int_equal(close(fd), 0);
    free(bytes);
    (void)snprintf(line, sizeof(line), "mv '%s' '%s'", copy, path);
    shell(line);
}

static size_t query(struct vss_admin *admin, struct vss_object_prop out[4])
{
    struct vss_enum_object *objects = NULL;
    uint32_t fetched = 0;
    assert_int_equal(vss_admin_query_providers(admin, &objects), S_OK);
    assert_int_equal(vss_enum_object_next(objects, 4, out, &fetched), S_FALSE);
    vss_enum_object_release(objects);
    return fetched;
}

/* Opens the arrays of this configuration; the provider of the one with this name, or NULL. */
static struct provider *open_array(struct fixture *f, const char *config, const char *array)
{
    struct error err = {0};
    providers_close(f->providers);
    config_free(f->parsed);
    f->providers = NULL;
    assert_int_equal(config_parse(config, "test", &f->parsed, &err), S_OK);
    assert_int_equal(providers_open(f->parsed, f->store, &f->providers, &err), S_OK);
    return providers_find(f->providers, array);
}

static void assert_uses(struct fixture *f, const char *config, const char *path)
{
    struct provider *p = open_array(f, config, "a");
    assert_non_null(p);
    assert_string_equal(provider_path(p), path);
    assert_string_equal(provider_array(p), "a");
}

static void assert_not_usable(struct fixture *f, const char *config, HRESULT code,
                              const char *words)
{
    struct event_record *events = NULL;
    size_t count = 0;
    assert_null(open_array(f, config, "a"));
    assert_int_equal(events_load(f->store, 1, &events, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    assert_has(events[0].text, "array a is not usable");
    assert_has(events[0].text, words);
    assert_int_equal(events[0].code, code);
    events_free_all(events, count);
}

static void assert_not_loaded_here(const char *path)
{
    char line[1024];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        assert_null(strstr(line, path));
    }
    assert_int_equal(fclose(maps), 0);
}

/* ---- registering -------------------------------------------------------------------------------
 */

static void plug_ins_are_registered_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    struct vss_object_prop found[4];
    VSS_ID id;
    assert_int_equal(query(admin, found), 0);
    assert_int_equal(vss_admin_register_provider(admin, f->tgt, &id), S_OK);
    assert_true(id_equal(&id, &tgt_id));
    assert_not_loaded_here(f->tgt);
    register_file(admin, f->bad);
    assert_int_equal(query(admin, found), 2);
    assert_int_equal(found[0].type, VSS_OBJECT_PROVIDER);
    assert_string_equal(found[0].obj.prov.provider_name, "tgt");
    assert_true(id_equal(&found[0].obj.prov.provider_version_id, &tgt_version));
    assert_int_equal(found[0].obj.prov.provider_type, VSS_PROV_HARDWARE);
    assert_string_equal(found[1].obj.prov.provider_name, "bad");
    assert_true(id_equal(&found[1].obj.prov.provider_id, &bad_id));
    vss_free_object_properties(&found[0]);
    vss_free_object_properties(&found[1]);
}

static void one_version_is_registered_once_and_another_replaces_it(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    struct vss_object_prop found[4];
    char moved[128];
    register_file(admin, f->tgt);
    register_file(admin, f->bad);
    assert_refused(admin, f->tgt, VSS_E_PROVIDER_ALREADY_REGISTERED, f->tgt);
    (void)snprintf(moved, sizeof(moved), "%s/moved.so", f->directory);
    copy_file(f->tgt, moved);
    assert_refused(admin, moved, VSS_E_PROVIDER_ALREADY_REGISTERED, f->tgt);
    patch(moved, &tgt_version, &other_id);
    register_file(admin, moved);
    assert_int_equal(query(admin, found), 2);
    assert_true(id_equal(&found[0].obj.prov.provider_version_id, &other_id));
    vss_free_object_properties(&found[0]);
    vss_free_object_properties(&found[1]);
    assert_uses(f, "[array a]\nprovider = tgt\n", moved);
}

static void unsafe_and_foreign_files_are_refused(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    struct vss_object_prop found[4];
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/open/tgt.so", f->directory);
    assert_refused(admin, path, E_INVALIDARG, "No such file");
    assert_refused(admin, "", E_INVALIDARG, "No such file");
    (void)snprintf(path, sizeof(path), "%s/x", f->tgt);
    assert_refused(admin, path, E_INVALIDARG, "Not a directory");
    (void)snprintf(path, sizeof(path), "%s/open/tgt.so", f->directory);
    assert_int_equal(chmod(f->tgt, 0666), 0);
    assert_refused(admin, f->tgt, E_ACCESSDENIED, "chmod go-w");
    assert_int_equal(chmod(f->tgt, 0644), 0);
    assert_refused(admin, f->config, E_INVALIDARG, "cannot load plug-in");
    assert_refused(admin, f->directory, E_ACCESSDENIED, "not a regular file");
    copy_file(LIBRARY_PATH, f->bad);
    assert_refused(admin, f->bad, E_INVALIDARG, "exports no lunshadow_provider_entry");
    *strrchr(path, '/') = '\0';
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    (void)strcat(path, "/tgt.so");
    copy_file(f->tgt, path);
    assert_refused(admin, path, E_ACCESSDENIED, "writable by others");
    assert_int_equal(query(admin, found), 0);
}

/* The first page of a shared object: what loads it dies of SIGBUS, which is not to be us. */
static void a_file_that_kills_its_loader_is_refused(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    VSS_ID id;
    assert_int_equal(truncate(f->bad, 4096), 0);
    assert_int_equal(vss_admin_register_provider(admin, f->bad, &id), E_INVALIDARG);
    register_file(admin, f->tgt);
}

/* ---- arrays that name them ---------------------------------------------------------------------
 */

static void arrays_name_providers_by_name_and_by_id(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    char config[256];
    char id[ID_TEXT_BYTES];
    (void)id_text(&tgt_id, id);
    assert_not_usable(f, "[array a]\nprovider = tgt\n", VSS_E_OBJECT_NOT_FOUND,
                      "lunshadow-provider-tgt.so");
    (void)snprintf(config, sizeof(config), "[array a]\nprovider = %s\n", id);
    assert_not_usable(f, config, VSS_E_PROVIDER_NOT_REGISTERED, id);
    register_file(admin, f->tgt);
    assert_uses(f, config, f->tgt);
    (void)snprintf(config, sizeof(config), "[array a]\nprovider = {%s}\n", id);
    assert_uses(f, config, f->tgt);
    assert_uses(f, "[array a]\nprovider = tgt\n", f->tgt);
    assert_uses(f, "[array a]\nprovider = tgt\nisolation = no\n", f->tgt);
    (void)snprintf(config, sizeof(config), "[array a]\nprovider = %s\n", f->bad);
    assert_uses(f, config, f->bad);
}

/* A plug-in of the provider directory serves where no registered one has the name. */
static void a_registered_name_comes_before_the_directory(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    char installed[128];
    (void)snprintf(installed, sizeof(installed), "%s/lunshadow-provider-tgt.so", f->directory);
    copy_file(f->tgt, installed);
    assert_uses(f, "[array a]\nprovider = tgt\n", installed);
    register_file(admin, f->tgt);
    assert_uses(f, "[array a]\nprovider = tgt\n", f->tgt);
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), S_OK);
    assert_uses(f, "[array a]\nprovider = tgt\n", installed);
}

static void a_name_of_two_is_refused(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    char twin[128];
    char id[ID_TEXT_BYTES];
    (void)snprintf(twin, sizeof(twin), "%s/twin.so", f->directory);
    copy_file(f->tgt, twin);
    patch(twin, &tgt_id, &other_id);
    register_file(admin, f->tgt);
    register_file(admin, twin);
    assert_not_usable(f, "[array a]\nprovider = tgt\n", E_INVALIDARG, id_text(&tgt_id, id));
    assert_not_usable(f, "[array a]\nprovider = tgt\n", E_INVALIDARG, id_text(&other_id, id));
    char config[128];
    (void)snprintf(config, sizeof(config), "[array a]\nprovider = %s\n", id);
    assert_uses(f, config, twin);
}

static void a_registered_file_that_changed_is_refused(void **state)
{
    static const char config[] = "[array a]\nprovider = tgt\n";
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    char id[ID_TEXT_BYTES];
    register_file(admin, f->tgt);
    assert_int_equal(chmod(f->tgt, 0777), 0);
    assert_not_usable(f, config, E_ACCESSDENIED, "registered provider");
    assert_int_equal(unlink(f->tgt), 0);
    assert_not_usable(f, config, VSS_E_OBJECT_NOT_FOUND, f->tgt);
    copy_file(TGT_PATH, f->tgt);
    patch(f->tgt, &tgt_id, &other_id);
    assert_not_usable(f, config, VSS_E_PROVIDER_NOT_REGISTERED, id_text(&other_id, id));
    /* Its own next release is welcome. */
    copy_file(TGT_PATH, f->tgt);
    patch(f->tgt, &tgt_version, &other_id);
    assert_uses(f, config, f->tgt);
    struct vss_object_prop found[4];
    assert_int_equal(query(admin, found), 1);
    assert_true(id_equal(&found[0].obj.prov.provider_version_id, &other_id));
    vss_free_object_properties(&found[0]);
}

static void registered_providers_come_first(void **state)
{
    static const char *const orders[][3] = {{"bad", "x", "y"}, {"x", "y", "bad"}};
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "[array bad]\nprovider = %s\n[array x]\nprovider = %s\n"
                   "[array y]\nprovider = %s\n",
                   f->bad, f->tgt, f->tgt);
    for (size_t round = 0; round < 2; round++) {
        (void)open_array(f, config, "x");
        assert_int_equal(providers_count(f->providers), 3);
        for (size_t i = 0; i < 3; i++) {
            assert_string_equal(provider_array(providers_at(f->providers, i)), orders[round][i]);
        }
        if (round == 0) {
            register_file(admin, f->tgt);
        }
    }
    register_file(admin, f->bad);
    (void)open_array(f, config, "x");
    assert_string_equal(provider_array(providers_at(f->providers, 0)), "x");
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), S_OK);
    (void)open_array(f, config, "x");
    assert_string_equal(provider_array(providers_at(f->providers, 0)), "bad");
}

/* ---- unregistering -----------------------------------------------------------------------------
 */

static bool has_no_memory; /* for the next list of providers */

HRESULT __real_providers_load_all(struct store *store, struct provider_record **out,
                                  size_t *out_count, struct error *err);
HRESULT __wrap_providers_load_all(struct store *store, struct provider_record **out,
                                  size_t *out_count, struct error *err);

HRESULT __wrap_providers_load_all(struct store *store, struct provider_record **out,
                                  size_t *out_count, struct error *err)
{
    if (!has_no_memory) {
        return __real_providers_load_all(store, out, out_count, err);
    }
    has_no_memory = false;
    *out = NULL;
    *out_count = 0;
    return error_set(err, E_OUTOFMEMORY, "the test has no memory");
}

static void unregistering_names_who_still_asks_for_it(void **state)
{
    struct fixture *f = *state;
    struct event_record *events = NULL;
    size_t count = 0;
    char config[512];
    char id[ID_TEXT_BYTES];
    (void)snprintf(config, sizeof(config),
                   "[array one]\nprovider = tgt\n[array two]\nprovider = %s\n"
                   "[array three]\nprovider = %s\n[array four]\nprovider = bad\n",
                   id_text(&tgt_id, id), f->tgt);
    struct vss_admin *admin = admin_of(f, config);
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), VSS_E_PROVIDER_NOT_REGISTERED);
    assert_has(vss_admin_error_text(admin), id);
    register_file(admin, f->tgt);
    register_file(admin, f->bad);
    has_no_memory = true; /* where that is not known, nothing is unregistered unsaid */
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), E_OUTOFMEMORY);
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), S_OK);
    assert_int_equal(events_load(f->store, 1, &events, &count, NULL), S_OK);
    assert_int_equal(count, 1);
    assert_has(events[0].text, "named by [array one], [array two]");
    assert_null(strstr(events[0].text, "three"));
    assert_null(strstr(events[0].text, "four"));
    events_free_all(events, count);
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), VSS_E_PROVIDER_NOT_REGISTERED);
}

static void nothing_is_unregistered_while_providers_are_at_work(void **state)
{
    static const enum lock_kind kinds[] = {LOCK_SET_IN_PROGRESS, LOCK_IMPORT, LOCK_RESYNC};
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    struct vss_object_prop found[4];
    char pid[32];
    (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    register_file(admin, f->tgt);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct lock *lock = NULL;
        assert_int_equal(lock_take(kinds[i], &lock, NULL), S_OK);
        assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), VSS_E_PROVIDER_IN_USE);
        assert_has(vss_admin_error_text(admin), pid);
        lock_release(lock);
        assert_int_equal(query(admin, found), 1);
        vss_free_object_properties(&found[0]);
    }
    assert_int_equal(vss_admin_unregister_provider(admin, &tgt_id), S_OK);
}

/* ---- wrong use ---------------------------------------------------------------------------------
 */

static void wrong_arguments_are_refused(void **state)
{
    struct fixture *f = *state;
    struct vss_admin *admin = admin_of(f, "");
    struct vss_admin *none = NULL;
    struct vss_enum_object *objects = NULL;
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    char *text = NULL;
    VSS_ID id;
    assert_int_equal(vss_create_admin(NULL, NULL, NULL), E_INVALIDARG);
    assert_int_equal(vss_admin_register_provider(NULL, f->tgt, &id), E_INVALIDARG);
    assert_int_equal(vss_admin_register_provider(admin, NULL, &id), E_INVALIDARG);
    assert_int_equal(vss_admin_register_provider(admin, f->tgt, NULL), E_INVALIDARG);
    assert_int_equal(vss_admin_unregister_provider(NULL, &tgt_id), E_INVALIDARG);
    assert_int_equal(vss_admin_unregister_provider(admin, NULL), E_INVALIDARG);
    assert_int_equal(vss_admin_query_providers(NULL, &objects), E_INVALIDARG);
    assert_int_equal(vss_admin_query_providers(admin, NULL), E_INVALIDARG);
    assert_int_equal(vss_admin_abort_all_snapshots_in_progress(NULL), E_INVALIDARG);
    assert_string_equal(vss_admin_error_text(NULL), "");
    vss_admin_release(NULL);
    options.state_directory = f->directory;
    options.config_path = "/nowhere/lunshadow.conf";
    assert_int_equal(vss_create_admin(&options, &none, &text), E_INVALIDARG);
    assert_has(text, "/nowhere/lunshadow.conf");
    vss_free_string(text);
    options.config_path = f->config;
    options.struct_size = 1;
    assert_int_equal(vss_create_admin(&options, &none, NULL), E_INVALIDARG);
    assert_int_equal(chmod(f->directory, 0777), 0); /* anybody's registry is nobody's */
    options.struct_size = sizeof(options);
    assert_int_equal(vss_create_admin(&options, &none, NULL), E_ACCESSDENIED);
    assert_null(none);
    assert_int_equal(chmod(f->directory, 0700), 0);
}

#define REGISTRATION_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REGISTRATION_TEST(plug_ins_are_registered_in_their_order),
        REGISTRATION_TEST(one_version_is_registered_once_and_another_replaces_it),
        REGISTRATION_TEST(unsafe_and_foreign_files_are_refused),
        REGISTRATION_TEST(a_file_that_kills_its_loader_is_refused),
        REGISTRATION_TEST(arrays_name_providers_by_name_and_by_id),
        REGISTRATION_TEST(a_registered_name_comes_before_the_directory),
        REGISTRATION_TEST(a_name_of_two_is_refused),
        REGISTRATION_TEST(a_registered_file_that_changed_is_refused),
        REGISTRATION_TEST(registered_providers_come_first),
        REGISTRATION_TEST(unregistering_names_who_still_asks_for_it),
        REGISTRATION_TEST(nothing_is_unregistered_while_providers_are_at_work),
        REGISTRATION_TEST(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
