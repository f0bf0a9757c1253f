/* SPDX-License-Identifier: Apache-2.0 */

/* What belongs to the host and to no LUN: threads' models, paths, platform levels. */
#include "unit/registry_fixture.h"

#include <lunshadow/requester.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "requester/paths.h"

static char *directory;

static int setup(void **state)
{
    (void)state;
    directory = fixture_directory();
    fixture_write_file(fixture_path(directory, "empty.conf"), "", 0);
    return setenv("LUNSHADOW_LOCK_DIR", directory, 1);
}

static int teardown(void **state)
{
    (void)state;
    fixture_remove(directory);
    return 0;
}

static struct vss_session_options options_at(uint32_t level)
{
    struct vss_session_options options = VSS_SESSION_OPTIONS_INIT;
    options.config_path = fixture_path(directory, "empty.conf");
    options.state_directory = directory;
    options.platform_level = level;
    return options;
}

static struct vss_backup_components *create(uint32_t level)
{
    struct vss_session_options options = options_at(level);
    struct vss_backup_components *session = NULL;
    char *text = NULL;
    if (FAILED(vss_create_backup_components(&options, &session, &text))) {
        fail_msg("%s", text);
    }
    return session;
}

/* ---- CoInitializeEx ---- */

static void *other_thread(void *unused)
{
    (void)unused;
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED), S_OK);
    vss_co_uninitialize();
    return NULL;
}

static void test_apartment(void **state)
{
    (void)state;
    pthread_t thread;
    vss_co_uninitialize(); /* nothing to take back */
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_MULTITHREADED), S_OK);
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_SPEED_OVER_MEMORY), S_FALSE);
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED), RPC_E_CHANGED_MODE);
    assert_int_equal(vss_co_initialize_ex(directory, COINIT_MULTITHREADED), E_INVALIDARG);
    assert_int_equal(vss_co_initialize_ex(NULL, 0x100), E_INVALIDARG);

    /* another thread chooses for itself */
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    vss_co_uninitialize();
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED), RPC_E_CHANGED_MODE);
    vss_co_uninitialize();
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_APARTMENTTHREADED), S_OK);
    assert_int_equal(vss_co_initialize_ex(NULL, COINIT_MULTITHREADED), RPC_E_CHANGED_MODE);
    vss_co_uninitialize();
}

/* ---- options ---- */

static void test_options_of_an_older_header(void **state)
{
    (void)state;
    struct vss_backup_components *session = NULL;
    struct vss_session_options options = options_at(77);
    char *text = NULL;
    assert_int_equal(vss_create_backup_components(&options, &session, &text), E_INVALIDARG);
    assert_non_null(strstr(text, "platform level"));
    vss_free_string(text);

    /* it ended where platform_level begins: what lies behind is not looked at */
    options.struct_size = offsetof(struct vss_session_options, platform_level);
    assert_int_equal(vss_create_backup_components(&options, &session, &text), S_OK);
    vss_backup_components_release(session);

    options.struct_size--;
    assert_int_equal(vss_create_backup_components(&options, &session, NULL), E_INVALIDARG);

    /* the next one ended where the wishes about copying begin */
    options = options_at(VSS_PLATFORM_NEWEST);
    options.copy_verify = VSS_COPY_VERIFY_FULL + 1;
    assert_int_equal(vss_create_backup_components(&options, &session, &text), E_INVALIDARG);
    assert_non_null(strstr(text, "4 is no way to verify"));
    vss_free_string(text);
    options.struct_size = offsetof(struct vss_session_options, copy_verify);
    assert_int_equal(vss_create_backup_components(&options, &session, &text), S_OK);
    vss_backup_components_release(session);

    /* a newer one is longer */
    options = options_at(VSS_PLATFORM_NEWEST);
    options.struct_size += 64;
    assert_int_equal(vss_create_backup_components(&options, &session, NULL), S_OK);
    vss_backup_components_release(session);
}

static void test_rates(void **state)
{
    (void)state;
    static const struct {
        uint64_t rate;
        HRESULT expected;
    } cases[] = {{0, S_OK},
                 {1, E_INVALIDARG},
                 {VSS_COPY_RATE_MIN - 1, E_INVALIDARG},
                 {VSS_COPY_RATE_MIN, S_OK},
                 {VSS_COPY_RATE_MAX, S_OK},
                 {VSS_COPY_RATE_MAX + 1, E_INVALIDARG},
                 {UINT64_MAX, E_INVALIDARG}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vss_session_options options = options_at(VSS_PLATFORM_NEWEST);
        struct vss_backup_components *session = NULL;
        char *text = NULL;
        options.copy_bytes_per_second = cases[i].rate;
        assert_int_equal(vss_create_backup_components(&options, &session, &text),
                         cases[i].expected);
        assert_true(SUCCEEDED(cases[i].expected) || strstr(text, "bytes a second"));
        vss_free_string(text);
        vss_backup_components_release(session);
    }
}

static void test_levels(void **state)
{
    (void)state;
    static const struct {
        uint32_t level;
        HRESULT expected;
    } cases[] = {
        {VSS_PLATFORM_NEWEST, VSS_E_UNEXPECTED},
        {VSS_PLATFORM_2008, E_UNEXPECTED},
        {VSS_PLATFORM_VISTA, E_UNEXPECTED},
        {VSS_PLATFORM_2003, E_UNEXPECTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vss_backup_components *s = create(cases[i].level);
        VSS_ID id = {1, 2, 3, {4}};
        int32_t deleted = 0;
        /* not initialized, in methods whose lists have no VSS_E_BAD_STATE */
        assert_int_equal(vss_backup_components_break_snapshot_set(s, &id), cases[i].expected);
        assert_non_null(
            strstr(vss_backup_components_error_text(s), "call InitializeForBackup first"));
        assert_int_equal(vss_backup_components_delete_snapshots(s, &id, VSS_OBJECT_SNAPSHOT, false,
                                                                &deleted, &id),
                         cases[i].expected);
        assert_int_equal(vss_backup_components_set_context(s, VSS_CTX_ALL), VSS_E_BAD_STATE);
        vss_backup_components_release(s);
    }
}

/* A registry that is none: what fails has no session to keep its level. */
static void test_level_without_a_session(void **state)
{
    (void)state;
    struct vss_backup_components *session = NULL;
    bool is_present = true;
    int32_t capability = 1;
    char *text = NULL;
    fixture_write_file(fixture_path(directory, "registry.db"), "no database at all, really", 26);
    for (uint32_t level = VSS_PLATFORM_NEWEST; level <= VSS_PLATFORM_2003; level++) {
        struct vss_session_options options = options_at(level);
        HRESULT expected = level == VSS_PLATFORM_NEWEST ? VSS_E_UNEXPECTED : E_UNEXPECTED;
        assert_int_equal(vss_create_backup_components(&options, &session, NULL), expected);
        assert_int_equal(vss_is_volume_snapshotted(&options, "iscsi://h/iqn.2026-11.x:y/1",
                                                   &is_present, &capability, &text),
                         expected);
        assert_non_null(strstr(text, "registry.db"));
        assert_false(is_present);
        assert_int_equal(capability, 0);
        vss_free_string(text);
    }
}

/* ---- paths ---- */

static const char table[] = "22 1 8:2 / / rw - ext4 /dev/sda2 rw\n"
                            "30 22 8:17 / %s/vol rw - xfs /dev/sdb1 rw\n"
                            "33 22 0:44 / %s/net rw - nfs4 localhost:/export rw\n"
                            "34 22 0:45 / %s/share rw - cifs //localhost/share rw\n";

static char *make_table(void)
{
    char *real = realpath(directory, NULL);
    char *text = text_printf(table, real, real, real);
    assert_non_null(text);
    assert_int_equal(mkdir(fixture_path(directory, "self"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(directory, "vol"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(directory, "net"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(directory, "share"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(directory, "vol/sub"), 0700), 0);
    assert_int_equal(symlink("vol/sub", fixture_path(directory, "link")), 0);
    fixture_write_file(fixture_path(directory, "self/mountinfo"), text, strlen(text));
    free(text);
    return real;
}

static void assert_paths(const char *path, bool normalize, const char *root, const char *prefix)
{
    char *found_root = NULL;
    char *found_prefix = NULL;
    struct error err = {0};
    HRESULT hr = paths_find(directory, path, normalize, &found_root, &found_prefix, &err);
    if (FAILED(hr)) {
        fail_msg("%s: %s", path, err.text);
    }
    assert_string_equal(found_root, root);
    assert_string_equal(found_prefix, prefix);
    free(found_root);
    free(found_prefix);
}

static void test_paths(void **state)
{
    (void)state;
    char *real = make_table();
    const char *volume = fixture_path(real, "vol/");
    assert_paths("/", false, "/", "/");
    assert_paths("/no/such/file", false, "/", "/");
    assert_paths(fixture_path(real, "vol"), false, volume, volume);
    assert_paths(fixture_path(real, "vol/sub/f"), false, volume, volume);
    assert_paths(fixture_path(real, "link/not/there"), false, volume, volume);
    assert_paths(fixture_path(real, "volume"), false, "/", "/");
    assert_paths(fixture_path(real, "net/f"), false, "localhost:/export",
                 fixture_path(real, "net/"));
    assert_paths(fixture_path(real, "share/f"), false, "//localhost/share",
                 fixture_path(real, "share/"));
    free(real);
}

static void test_method(void **state)
{
    (void)state;
    struct vss_backup_components *s = create(VSS_PLATFORM_NEWEST);
    char *root = NULL;
    char *prefix = NULL;
    HRESULT hr = vss_backup_components_get_root_and_logical_prefix_paths(s, "/proc/self/status",
                                                                         false, &root, &prefix);
    assert_int_equal(hr, VSS_E_UNEXPECTED); /* its list has no VSS_E_BAD_STATE */
    assert_int_equal(vss_backup_components_initialize_for_backup(s, NULL), S_OK);
    hr = vss_backup_components_get_root_and_logical_prefix_paths(s, "/proc/stat", true, &root,
                                                                 &prefix);
    assert_int_equal(hr, S_OK);
    assert_string_equal(root, "/proc/");
    assert_string_equal(prefix, "/proc/");
    vss_free_string(root);
    vss_free_string(prefix);
    hr = vss_backup_components_get_root_and_logical_prefix_paths(s, "stat", false, &root, &prefix);
    assert_int_equal(hr, E_INVALIDARG);
    assert_null(root);
    hr = vss_backup_components_get_root_and_logical_prefix_paths(s, "/", false, NULL, &prefix);
    assert_int_equal(hr, E_INVALIDARG);
    vss_backup_components_release(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_apartment), TEST(test_options_of_an_older_header), TEST(test_levels),
        TEST(test_rates),     TEST(test_level_without_a_session),    TEST(test_paths),
        TEST(test_method),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
