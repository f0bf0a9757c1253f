/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/array_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_config(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;
    if (!file || getdelim(&text, &room, '\0', file) < 0) {
        perror(path);
        exit(2);
    }
    (void)fclose(file);
    return text;
}

static void close_environment(struct array *a)
{
    set_environment_close(a->env);
    a->env = NULL;
}

void array_bench_start(struct array_bench *ab)
{
    void *state = NULL;
    (void)array_start(&state);
    struct array *a = state;
    *ab = (struct array_bench){.array = a};
    ab->bench.directory = a->base;
    (void)snprintf(ab->bench.state, sizeof(ab->bench.state), "%s", a->state);
    (void)snprintf(ab->bench.config, sizeof(ab->bench.config), "%s", a->config);
    ab->config_text = read_config(a->config);
    ab->provider_id = provider_table(providers_at(a->env->providers, 0))->provider_id;
    close_environment(a);
}

void array_bench_stop(struct array_bench *ab)
{
    void *state = ab->array;
    contract_check(array_stop(&state) == 0, "the lab goes down");
    free(ab->config_text);
}

/* lines in the place of that which names the provider */
static void write_config(struct array_bench *ab, const char *lines)
{
    static const char plain[] = "provider = tgt\n";
    char *at = strstr(ab->config_text, plain);
    FILE *file = fopen(ab->bench.config, "we");
    if (!file || !at) {
        perror(ab->bench.config);
        exit(2);
    }
    (void)fwrite(ab->config_text, 1, (size_t)(at - ab->config_text), file);
    (void)fputs(lines ? lines : plain, file);
    (void)fputs(at + strlen(plain), file);
    (void)fclose(file);
}

void array_bench_fault(struct array_bench *ab, const char *fault)
{
    char lines[256];
    (void)snprintf(lines, sizeof(lines), "provider = fault/tgt\nfault = %s\n", fault ? fault : "");
    write_config(ab, fault ? lines : NULL);
}

void array_bench_provider(struct array_bench *ab, const char *path)
{
    char lines[1024];
    (void)snprintf(lines, sizeof(lines), "provider = %s\n", path);
    write_config(ab, lines);
}

static void nothing_is_left(void **state)
{
    struct array_bench *ab = *state;
    array_reopen(ab->array);
    array_assert_nothing_left(ab->array);
}

void array_bench_check_nothing_left(struct array_bench *ab)
{
    array_bench_fault(ab, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(nothing_is_left, ab)};
    contract_check(cmocka_run_group_tests(tests, NULL, NULL) == 0, "something is left");
    close_environment(ab->array);
}

static void add_volumes(struct array_bench *ab, struct trial *t, size_t count, VSS_ID *out)
{
    for (size_t i = 0; i < count; i++) {
        VSS_ID id;
        trial_must(t, vss_backup_components_add_to_snapshot_set(t->session, ab->array->urls[i],
                                                                NULL, &id));
        if (i == 0) {
            *out = id;
        }
    }
}

char *array_bench_make_set(struct array_bench *ab, uint32_t context, size_t count,
                           VSS_ID *out_set_id, VSS_ID *out_snapshot_id)
{
    struct trial t = {.bench = &ab->bench};
    char *xml = NULL;
    array_bench_fault(ab, NULL);
    trial_context(&t, context);
    trial_must(&t, vss_backup_components_start_snapshot_set(t.session, out_set_id));
    add_volumes(ab, &t, count, out_snapshot_id);
    HRESULT hr = trial_finish(&t, vss_backup_components_do_snapshot_set(t.session, &t.async));
    if (FAILED(hr)) {
        (void)fprintf(stderr, "no set: %s\n", t.status_text);
        exit(2);
    }
    trial_must(&t, vss_backup_components_save_as_xml(t.session, &xml));
    trial_drop(&t);
    return xml;
}

void array_bench_copy(struct array_bench *ab, const char *volume, uint32_t context,
                      VSS_ID *out_set_id, VSS_ID *out_snapshot_id)
{
    char *first = ab->array->urls[0];
    char usual[320];
    (void)snprintf(usual, sizeof(usual), "%s", first);
    (void)snprintf(first, sizeof(usual), "%.319s", volume);
    vss_free_string(array_bench_make_set(ab, context, 1, out_set_id, out_snapshot_id));
    (void)snprintf(first, sizeof(usual), "%s", usual);
}

void array_bench_delete_set(struct array_bench *ab, const VSS_ID *set_id)
{
    struct trial t = {.bench = &ab->bench};
    int32_t deleted = 0;
    array_bench_fault(ab, NULL);
    trial_context(&t, VSS_CTX_ALL);
    trial_must(&t, vss_backup_components_delete_snapshots(
                       t.session, set_id, VSS_OBJECT_SNAPSHOT_SET, false, &deleted, &t.id));
    trial_drop(&t);
}

void array_bench_add_lun(struct array_bench *ab, uint32_t lun, bool has_identity, char url[320])
{
    char name[32];
    struct error err = {0};
    (void)snprintf(name, sizeof(name), "extra%u.img", lun);
    struct lab_lun_options options = {.target = ARRAY_TARGET,
                                      .lun = lun,
                                      .file = name,
                                      .bytes = ARRAY_BENCH_LUN_BYTES,
                                      .block_bytes = 512,
                                      .scsi_id = has_identity ? NULL : "",
                                      .serial = has_identity ? NULL : ""};
    assert_ok(lab_add_lun(ab->array->lab, &options, &err), &err);
    (void)snprintf(url, 320, "iscsi://%s/" ARRAY_TARGET "/%u", ab->array->lab->portal, lun);
}

bool array_bench_run(const struct array_bench *ab, const char *line)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "PATH=$PATH:/usr/sbin:/sbin; cd '%s'; %s", ab->array->base,
                   line);
    const char *const argv[] = {"sh", "-ec", text, NULL};
    return SUCCEEDED(process_run(argv, 60000, NULL, NULL));
}
