/* SPDX-License-Identifier: Apache-2.0 */
#include "component/callback_fixture.h"

#include "common/process.h"
#include "lun/scsi.h"
#include "registry/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct array *running;
vss_provider_callback real[VSS_OP_COUNT];
int calls;

void replace(struct array *a, enum vss_provider_op op, vss_provider_callback callback)
{
    struct provider *p = providers_at(a->env->providers, 0);
    running = a;
    calls = 0;
    real[op] = p->ops[op];
    p->ops[op] = callback;
}

void restore(struct array *a, enum vss_provider_op op)
{
    providers_at(a->env->providers, 0)->ops[op] = real[op];
}

HRESULT veto(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    (void)out;
    calls++;
    call->host->error(call, "the test says no");
    return VSS_E_PROVIDER_VETO;
}

size_t open_entries(struct array *a)
{
    struct error err = {0};
    struct journal_entry *entries = NULL;
    size_t count = 0;
    assert_ok(journal_load_open(a->env->store, false, &entries, &count, &err), &err);
    journal_free_all(entries, count);
    return count;
}

void start_recovery(struct array *a, const struct set_record *set, size_t count,
                    struct recovery **out)
{
    struct error err = {0};
    assert_ok(recovery_new(a->env, set, out, &err), &err);
    for (size_t i = 0; i < count; i++) {
        assert_ok(recovery_add(*out, &set->snapshots[i].snapshot_id, NULL, &err), &err);
    }
}

void recover(struct array *a, const struct set_record *set, size_t count)
{
    struct error err = {0};
    struct recovery *r = NULL;
    start_recovery(a, set, count, &r);
    assert_ok(recovery_run(r, 0, &err), &err);
    recovery_free(r);
}

void fail_to_recover(struct array *a, const struct set_record *set, size_t count, const char *words)
{
    struct error err = {0};
    struct recovery *r = NULL;
    start_recovery(a, set, count, &r);
    assert_refused(recovery_run(r, 0, &err), VSS_E_PROVIDER_VETO, &err, words);
    recovery_free(r);
}

void update_lun(struct array *a, int lun, const char *params)
{
    struct error err = {0};
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", lun);
    const char *const argv[] = {"--op",  "update", "--mode",   "logicalunit", "--tid", "1",
                                "--lun", number,   "--params", params,        NULL};
    assert_ok(lab_tgtadm(a->lab, argv, NULL, &err), &err);
}

void assert_blank(struct array *a, size_t which)
{
    struct vss_disk_ids now;
    array_read_ids(a, a->urls[which], &now);
    assert_int_equal(now.kind, VSS_DISK_LABEL_NONE);
    disk_ids_free(&now);
}

void run_shell(const char *line)
{
    struct error err = {0};
    const char *const argv[] = {"sh", "-ec", line, NULL};
    assert_ok(process_run(argv, 120000, NULL, &err), &err);
}

void make_two(struct array *a, struct set_record *set, uint64_t digests[2])
{
    array_create(a, (uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE, 2, set);
    for (size_t i = 0; i < 2; i++) {
        array_fill(a, i, 4u << 20, 1u << 20, (uint8_t)(0x55 + i));
        digests[i] = array_digest(a->files[i]);
    }
}

void cut_sessions(struct array *a)
{
    char line[1024];
    (void)snprintf(
        line, sizeof(line),
        "export TGT_IPC_SOCKET=%s PATH=$PATH:/usr/sbin; for t in 1 2 3 4 5; do tgtadm -C %u --lld "
        "iscsi --op show --mode conn --tid $t 2>/dev/null | awk '/^Session/ { s = $2 } "
        "/Connection/ { print s, $2 }' | while read s c; do tgtadm -C %u --lld iscsi --op delete "
        "--mode conn --tid $t --sid $s --cid $c || true; done; done",
        a->lab->socket, a->lab->control_port, a->lab->control_port);
    run_shell(line);
}

void leave(struct lun *lun)
{
    struct error err = {0};
    assert_ok(scsi_pr_register(lun->session, lun->address.lun, 0x5757, 0, &err), &err);
    lun_close(lun);
}
