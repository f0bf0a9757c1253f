/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include "tgtadm.h"

#include <string.h>
#include <time.h>

#define SETTLE_US 5000000ull
#define PAUSE_MS  20

static char *tid_text(const struct tgt *t, const struct tgt_target *target)
{
    return tgt_text(t, "%u", target->tid);
}

static void pause_a_moment(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
}

HRESULT tgt_target_check(const struct tgt *t, const struct tgt_target *target, const char *set)
{
    for (const struct tgt_lun *lun = target->luns; lun; lun = lun->next) {
        if (tgt_lun_is_disk(lun) && !tgt_path_is_copy(lun->path, set)) {
            return tgt_fail(t, VSS_E_PROVIDER_VETO,
                            "target %s shows %s, which is no copy of this set: it is left alone; "
                            "remove that LUN first",
                            target->name, lun->path);
        }
    }
    return S_OK;
}

HRESULT tgt_target_remove_set(const struct tgt *t, const struct tgt_view *view,
                              const VSS_ID *set_id)
{
    char id[TGT_ID_TEXT_BYTES];
    char *name = tgt_text(t, "%s.%s", t->copies, tgt_id_text(set_id, id));
    if (!name) {
        return E_OUTOFMEMORY;
    }
    const struct tgt_target *target = tgt_view_target(view, name);
    if (!target) {
        return S_OK;
    }
    HRESULT hr = tgt_target_check(t, target, id);
    if (FAILED(hr)) {
        return hr;
    }
    char *tid = tid_text(t, target);
    return tid ? tgt_run(t,
                         (const char *const[]){"--op", "delete", "--mode", "target", "--tid", tid,
                                               "--force", NULL},
                         NULL)
               : E_OUTOFMEMORY;
}

HRESULT tgt_target_remove_lun(const struct tgt *t, const struct tgt_lun *lun)
{
    char *tid = tid_text(t, lun->target);
    char *number = tgt_text(t, "%ju", (uintmax_t)lun->number);
    if (!tid || !number) {
        return E_OUTOFMEMORY;
    }
    uint64_t deadline_us = tgt_now_us() + SETTLE_US;
    HRESULT hr = S_FALSE;
    while (hr == S_FALSE && tgt_now_us() < deadline_us) {
        hr = tgt_try(t, (const char *const[]){"--op", "delete", "--mode", "logicalunit", "--tid",
                                              tid, "--lun", number, NULL});
        if (hr == S_FALSE) {
            pause_a_moment();
        }
    }
    return hr != S_FALSE ? hr
                         : tgt_run(t,
                                   (const char *const[]){"--op", "delete", "--mode", "logicalunit",
                                                         "--tid", tid, "--lun", number, NULL},
                                   NULL);
}

HRESULT tgt_target_update_lun(const struct tgt *t, const struct tgt_lun *lun, const char *params)
{
    char *tid = tid_text(t, lun->target);
    char *number = tgt_text(t, "%ju", (uintmax_t)lun->number);
    return tid && number
               ? tgt_run(t,
                         (const char *const[]){"--op", "update", "--mode", "logicalunit", "--tid",
                                               tid, "--lun", number, "--params", params, NULL},
                         NULL)
               : E_OUTOFMEMORY;
}

/* tgtd keeps initiator names and addresses apart but prints them in one list. */
static bool is_initiator_name(const char *name)
{
    return strncmp(name, "iqn.", 4) == 0 || strncmp(name, "eui.", 4) == 0 ||
           strncmp(name, "naa.", 4) == 0;
}

HRESULT tgt_target_unbind_all(const struct tgt *t, const struct tgt_target *target)
{
    char *tid = tid_text(t, target);
    HRESULT hr = tid ? S_OK : E_OUTOFMEMORY;
    for (const struct tgt_acl *acl = target->acl; SUCCEEDED(hr) && acl; acl = acl->next) {
        const char *option =
            is_initiator_name(acl->name) ? "--initiator-name" : "--initiator-address";
        hr = tgt_run(t,
                     (const char *const[]){"--op", "unbind", "--mode", "target", "--tid", tid,
                                           option, acl->name, NULL},
                     NULL);
    }
    return hr;
}

static HRESULT close_connection(const struct tgt *t, const char *tid,
                                const struct tgt_connection *c)
{
    char *session = tgt_text(t, "%ju", (uintmax_t)c->session);
    char *connection = tgt_text(t, "%u", c->connection);
    return session && connection
               ? tgt_try(t, (const char *const[]){"--op", "delete", "--mode", "conn", "--tid", tid,
                                                  "--sid", session, "--cid", connection, NULL})
               : E_OUTOFMEMORY;
}

static uint32_t count_left(const struct tgt_connection *now, const struct tgt_connection *before,
                           bool must_stay_empty)
{
    uint32_t left = 0;
    for (; now; now = now->next) {
        bool was_there = must_stay_empty;
        for (const struct tgt_connection *b = before; b && !was_there; b = b->next) {
            was_there = b->session == now->session && b->connection == now->connection;
        }
        left += was_there ? 1 : 0;
    }
    return left;
}

HRESULT tgt_target_evict(const struct tgt *t, const struct tgt_target *target, bool must_stay_empty)
{
    char *tid = tid_text(t, target);
    struct tgt_connection *before = NULL;
    HRESULT hr = tid ? tgt_show_connections(t, target->tid, &before) : E_OUTOFMEMORY;
    if (FAILED(hr)) {
        return hr;
    }
    uint64_t deadline_us = tgt_now_us() + SETTLE_US;
    const struct tgt_connection *victims = before;
    for (;;) {
        for (const struct tgt_connection *c = victims; SUCCEEDED(hr) && c; c = c->next) {
            /* It may have gone by itself since it was listed; the list below decides. */
            hr = close_connection(t, tid, c);
        }
        struct tgt_connection *now = NULL;
        hr = SUCCEEDED(hr) ? tgt_show_connections(t, target->tid, &now) : hr;
        uint32_t left = SUCCEEDED(hr) ? count_left(now, before, must_stay_empty) : 0;
        if (FAILED(hr) || left == 0) {
            return hr;
        }
        if (tgt_now_us() > deadline_us) {
            return tgt_fail(t, VSS_E_PROVIDER_VETO,
                            "%u connections to target %s cannot be closed; stop their initiators",
                            left, target->name);
        }
        victims = must_stay_empty ? now : NULL;
        pause_a_moment();
    }
}
