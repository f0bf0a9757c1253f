/* SPDX-License-Identifier: Apache-2.0 */
#include "component/dead_fixture.h"

#include "common/id.h"
#include "lun/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs act in a process that ends without a word when it is done. */
void in_dead_process(struct array *a, const struct set_record *set,
                     bool (*act)(struct set_environment *, const struct set_record *))
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct set_environment *env = NULL;
        bool ok = SUCCEEDED(set_environment_open(a->config, a->state, &env, NULL)) && act(env, set);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void load_one(struct array *a, struct journal_entry **out)
{
    struct error err = {0};
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, true, out, &count, &err), &err);
    assert_int_equal(count, 1);
}

void assert_none_open(struct array *a)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    journal_free_all(entries, count);
    assert_int_equal(count, 0);
}

void deal_with(struct array *a, enum recover_way way)
{
    struct error err = {0};
    struct journal_entry *entry = NULL;
    load_one(a, &entry);
    assert_null(recover_refusal(entry, way));
    assert_ok(recover_entry(a->env, &entry->entry_id, way, &err), &err);
    journal_free_all(entry, 1);
    assert_none_open(a);
}

void assert_impossible(struct array *a, enum recover_way way, const char *words)
{
    struct error err = {0};
    struct journal_entry *entry = NULL;
    load_one(a, &entry);
    assert_non_null(recover_refusal(entry, way));
    assert_refused(recover_entry(a->env, &entry->entry_id, way, &err), VSS_E_BAD_STATE, &err,
                   words);
    journal_free_all(entry, 1);
}

/* A LUN with the designator of another one, and a serial number of its own. */
void add_twin(struct array *a, const struct vss_lun_info *info)
{
    struct error err = {0};
    char scsi_id[33];
    array_scsi_id(info, scsi_id);
    struct lab_lun_options options = {.target = TWIN_TARGET,
                                      .lun = 1,
                                      .file = "twin.img",
                                      .bytes = ARRAY_BYTES,
                                      .block_bytes = 512,
                                      .scsi_id = scsi_id,
                                      .serial = "TWIN"};
    assert_ok(lab_add_lun(a->lab, &options, &err), &err);
}

/* Refused, with both named, until the twin has gone. */
void assert_twin_refused(struct array *a, enum recover_way way, const char *url)
{
    struct error err = {0};
    struct journal_entry *entry = NULL;
    load_one(a, &entry);
    assert_refused(recover_entry(a->env, &entry->entry_id, way, &err), VSS_E_OBJECT_NOT_FOUND, &err,
                   TWIN_TARGET "/1 and ");
    assert_non_null(strstr(err.text, url));
    journal_free_all(entry, 1);
    assert_ok(lab_remove_target(a->lab, TWIN_TARGET, &err), &err);
}
