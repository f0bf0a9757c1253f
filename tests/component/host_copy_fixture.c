/* SPDX-License-Identifier: Apache-2.0 */
#include "component/host_copy_fixture.h"

#include "common/clock.h"
#include "registry/journal.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void host_run_shell(const char *line)
{
    struct error err = {0};
    const char *const argv[] = {"sh", "-ec", line, NULL};
    assert_ok(process_run(argv, 60000, NULL, &err), &err);
}

/* The array leaves copying to us; copy is the text of the section [copy]. */
void host_configure(struct array *a, const char *copy)
{
    char line[512];
    (void)snprintf(line, sizeof(line),
                   "sed -i -e '/^resync = /d' -e 's/^provider = tgt$/&\\nresync = emulated/' -e "
                   "'/^\\[copy\\]/,$d' %s; "
                   "printf '[copy]\\n%s' >> %s",
                   a->config, copy, a->config);
    host_run_shell(line);
    array_reopen(a);
}

/* The file of the only copy. */
void host_find_copy(const struct array *a, char out[512])
{
    char line[1024];
    (void)snprintf(line, sizeof(line), "cd %s && ls -Ad $PWD/.lunshadow-* > %s/copy", a->lab->disks,
                   a->base);
    host_run_shell(line);
    (void)snprintf(line, sizeof(line), "%s/copy", a->base);
    FILE *file = fopen(line, "re");
    assert_non_null(file);
    assert_non_null(fgets(out, 512, file));
    out[strcspn(out, "\n")] = '\0';
    assert_int_equal(fclose(file), 0);
}

/* Between the edges, two files are the same: two judges say so. */
void host_assert_same_body(const char *one, const char *other)
{
    char line[2048];
    (void)snprintf(line, sizeof(line), "cmp -n %u -i %u '%s' '%s'", HOST_BODY_BYTES,
                   HOST_EDGE_BYTES, one, other);
    host_run_shell(line);
    (void)snprintf(line, sizeof(line),
                   "command -v qemu-img >/dev/null || exit 0; qemu-img compare --image-opts "
                   "driver=raw,offset=%u,size=%u,file.driver=file,file.filename='%s' "
                   "driver=raw,offset=%u,size=%u,file.driver=file,file.filename='%s'",
                   HOST_EDGE_BYTES, HOST_BODY_BYTES, one, HOST_EDGE_BYTES, HOST_BODY_BYTES, other);
    host_run_shell(line);
}

/* What the LUNs are when the copies are made, kept in files of its own. */
static void keep_originals(const struct array *a)
{
    char line[1024];
    for (size_t i = 0; i < ARRAY_LUNS; i++) {
        (void)snprintf(line, sizeof(line), "cp --sparse=always '%s' %s/original%zu", a->files[i],
                       a->base, i);
        host_run_shell(line);
    }
}

void host_assert_original(const struct array *a, size_t lun)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/original%zu", a->base, lun);
    host_assert_same_body(path, a->files[lun]);
}

/* A set of count LUNs, shown to this host; then the LUNs are damaged. */
void host_make(struct array *a, size_t count, struct set_record *set)
{
    for (size_t i = 0; i < count; i++) {
        array_fill(a, i, 20u * HOST_MIB, 30u * HOST_MIB, (uint8_t)(0x31 + i));
    }
    keep_originals(a);
    array_create(a, HOST_CONTEXT, count, set);
    for (size_t i = 0; i < count; i++) {
        array_fill(a, i, 1u * HOST_MIB, 7u * HOST_MIB, (uint8_t)(0x80 + i));
        array_fill(a, i, 40u * HOST_MIB, 16384, (uint8_t)(0x90 + i));
    }
}

struct recovery *host_add_all(struct array *a, const struct set_record *set)
{
    struct error err = {0};
    struct recovery *r = NULL;
    assert_ok(recovery_new(a->env, set, &r, &err), &err);
    for (size_t i = 0; i < set->snapshot_count; i++) {
        assert_ok(recovery_add(r, &set->snapshots[i].snapshot_id, NULL, &err), &err);
    }
    return r;
}

/* Runs it; the caller gets how it was copied. */
void host_recover(struct array *a, const struct set_record *set, char method[2048])
{
    struct error err = {0};
    size_t count = 0;
    struct recovery *r = host_add_all(a, set);
    assert_ok(recovery_run(r, 0, &err), &err);
    (void)snprintf(method, 2048, "%s", recovery_results(r, &count)[0].method);
    recovery_free(r);
    print_message("%s\n", method);
}

/* A number of the method's text. */
uint64_t host_number_after(const char *method, const char *word)
{
    const char *at = strstr(method, word);
    assert_non_null(at);
    return strtoull(at + strlen(word), NULL, 10);
}

/* A note of the journal that something is durable: not the one of where a copy begins. */
static bool is_of_progress(const struct journal_step *step)
{
    json_int_t begin = 0;
    json_int_t offset = 0;
    json_t *json = strcmp(step->name, "copied") == 0
                       ? json_loadb((const char *)step->data, step->data_bytes, 0, NULL)
                       : NULL;
    bool is = json && json_unpack(json, "{s:I, s:I}", "begin", &begin, "offset", &offset) == 0 &&
              offset > begin;
    json_decref(json);
    return is;
}

static bool is_noted(struct store *store)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    bool is = false;
    assert_ok(journal_load_open(store, false, &entries, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        for (size_t s = 0; s < entries[i].step_count; s++) {
            is = is || is_of_progress(&entries[i].steps[s]);
        }
    }
    journal_free_all(entries, count);
    return is;
}

void host_wait_until_noted(const struct array *a)
{
    struct error err = {0};
    struct store *store = NULL;
    uint64_t until = clock_monotonic_us() + 30000000u;
    assert_ok(store_open(a->state, &store, &err), &err);
    while (!is_noted(store) && clock_monotonic_us() < until) {
        clock_sleep_ms(20);
    }
    store_close(store);
}

static void *run_meanwhile(void *user)
{
    struct host_meanwhile *m = user;
    struct set_environment *env = m->a->env;
    uint64_t until = clock_monotonic_us() + 60000000u;
    while ((atomic_load(&env->progress_total) == 0 ||
            atomic_load(&env->progress_done) < m->at_bytes) &&
           clock_monotonic_us() < until) {
        clock_sleep_ms(2);
    }
    m->acted_us = clock_monotonic_us();
    m->act(m);
    return NULL;
}

void host_start_meanwhile(struct host_meanwhile *m, struct array *a, uint64_t at_bytes,
                          void (*act)(struct host_meanwhile *m))
{
    *m = (struct host_meanwhile){.a = a, .at_bytes = at_bytes, .act = act};
    atomic_store(&a->env->progress_total, 0);
    atomic_store(&a->env->progress_done, 0);
    assert_int_equal(pthread_create(&m->thread, NULL, run_meanwhile, m), 0);
}
