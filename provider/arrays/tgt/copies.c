/* SPDX-License-Identifier: Apache-2.0 */
/* GetTargetLuns, LocateLuns, OnLunEmpty: the life of a copy as a LUN. */
#include "daemon.h"
#include "file.h"
#include "identity.h"
#include "set.h"
#include "target.h"
#include "tgtadm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Somebody else may have deleted them all. */
static HRESULT check_left(const struct tgt *t, const struct tgt_copy_state *states, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct stat st;
        if (lstat(states[i].file, &st) == 0 || errno != ENOENT) {
            return S_OK;
        }
    }
    return tgt_fail(t, VSS_E_OBJECT_NOT_FOUND, "the copy %s of %s is gone", states[0].file,
                    states[0].source);
}

HRESULT tgt_get_target_luns(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_set_in *set = in;
    struct vss_target_luns_out *o = out;
    struct tgt t;
    struct tgt_copy_state *states = NULL;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_set_read(&t, set, &states);
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct vss_lun_info *luns = tgt_alloc(&t, set->lun_count * sizeof(*luns));
    if (!luns) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < set->lun_count; i++) {
        const struct tgt_copy_state *s = &states[i];
        hr = s->is_cut
                 ? tgt_identity_describe(&t, s->scsi_id, s->serial, s->target, s->number, &luns[i])
                 : tgt_fail(&t, VSS_E_PROVIDER_VETO, "%s: no copy was cut of it", s->source);
    }
    if (SUCCEEDED(hr)) {
        hr = check_left(&t, states, set->lun_count);
    }
    if (SUCCEEDED(hr)) {
        o->luns = luns;
    }
    return hr;
}

/* ---- LocateLuns */

/* A copy that is there, and the file as it was looked at. */
struct located {
    const struct tgt_copy_state *state;
    struct stat stat;
};

static bool is_valid_initiator(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.:-"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t length = name ? strlen(name) : 0;
    return length > 4 && length <= 223 && strspn(name, allowed) == length &&
           (strncmp(name, "iqn.", 4) == 0 || strncmp(name, "eui.", 4) == 0 ||
            strncmp(name, "naa.", 4) == 0);
}

/* What is remembered may come from a document: a copy that took the identity of a LUN that is shown
 * already, an original say, would have that one taken for it and written to. */
static HRESULT check_identities(const struct tgt *t, const struct tgt_view *view,
                                const struct tgt_copy_state *states, uint32_t count)
{
    for (const struct tgt_target *target = view->targets; target; target = target->next) {
        for (const struct tgt_lun *lun = target->luns; lun; lun = lun->next) {
            for (uint32_t i = 0; i < count; i++) {
                if (strcasecmp(lun->scsi_id, states[i].scsi_id) == 0 &&
                    strcmp(lun->path, states[i].file) != 0) {
                    return tgt_fail(t, VSS_E_PROVIDER_VETO,
                                    "the copy %s is remembered with scsi_id %s, which %s LUN %ju "
                                    "(%s) has: nothing is shown; import the document that was "
                                    "saved when the set was made, or give that LUN its own scsi_id",
                                    states[i].file, states[i].scsi_id, target->name,
                                    (uintmax_t)lun->number, lun->path);
                }
            }
        }
    }
    return S_OK;
}

/* The set's target, made where *view lacks it: with a number nobody has, tried again where someone
 * else was quicker. */
static HRESULT ensure_target(const struct tgt *t, const char *name, struct tgt_view *view)
{
    HRESULT hr = S_OK;
    for (int attempt = 0; SUCCEEDED(hr) && attempt < 16 && !tgt_view_target(view, name);
         attempt++) {
        uint32_t tid = 0;
        for (const struct tgt_target *other = view->targets; other; other = other->next) {
            tid = other->tid > tid ? other->tid : tid;
        }
        char *text = tgt_text(t, "%u", tid + 1);
        hr = text ? tgt_try(t, (const char *const[]){"--op", "new", "--mode", "target", "--tid",
                                                     text, "--targetname", name, NULL})
                  : E_OUTOFMEMORY;
        if (SUCCEEDED(hr)) {
            hr = tgt_show(t, view);
        }
    }
    if (SUCCEEDED(hr) && !tgt_view_target(view, name)) {
        hr = tgt_fail(t, VSS_E_PROVIDER_VETO, "tgtd does not take the target %s", name);
    }
    return hr;
}

static const struct tgt_lun *lun_of(const struct tgt_target *target, uint64_t number)
{
    const struct tgt_lun *lun = target->luns;
    while (lun && lun->number != number) {
        lun = lun->next;
    }
    return lun;
}

static HRESULT new_lun(const struct tgt *t, const char *tid, const char *number,
                       const struct tgt_copy_state *s)
{
    char *block = tgt_text(t, "%u", s->block_bytes);
    if (!block) {
        return E_OUTOFMEMORY;
    }
    /* NULL ends the list early where there are no flags. */
    return tgt_run(t,
                   (const char *const[]){"--op", "new", "--mode", "logicalunit", "--tid", tid,
                                         "--lun", number, "--backing-store", s->file, "--bstype",
                                         s->bstype, "--blocksize", block,
                                         *s->flags ? "--bsoflags" : NULL, s->flags, NULL},
                   NULL);
}

/* Makes the LUN where it is missing. tgtd opens whatever its path leads to by then: what is not the
 * file that was looked at is taken away again. */
static HRESULT ensure_file(const struct tgt *t, const struct tgt_target *target, pid_t pid,
                           const char *tid, const char *number, const struct located *copy)
{
    const struct tgt_copy_state *s = copy->state;
    const struct tgt_lun *lun = lun_of(target, s->number);
    if (lun && strcmp(lun->path, s->file) != 0) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "LUN %u of target %s shows %s instead of %s",
                        s->number, s->target, lun->path, s->file);
    }
    HRESULT hr = lun ? S_OK : new_lun(t, tid, number, s);
    if (FAILED(hr)) {
        return hr;
    }
    hr = tgt_daemon_check_file(t, pid, &copy->stat, s->file);
    if (FAILED(hr) && !lun) {
        const struct tgt_lun made = {.target = target, .number = s->number};
        (void)tgt_target_remove_lun(t, &made);
    }
    return hr;
}

/* One copy in its target under its own identity, writable. A LUN that is there already is taken as
 * it is, or given the identity that a call before did not come to give it. */
static HRESULT ensure_lun(const struct tgt *t, const struct tgt_target *target, pid_t pid,
                          const struct located *copy)
{
    const struct tgt_copy_state *s = copy->state;
    char *tid = tgt_text(t, "%u", target->tid);
    char *number = tgt_text(t, "%u", s->number);
    char *params = tgt_text(t, "scsi_id=%s,scsi_sn=%s%s,readonly=0", s->scsi_id, s->serial,
                            s->is_thin ? ",thin_provisioning=1" : "");
    if (!tid || !number || !params) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = ensure_file(t, target, pid, tid, number, copy);
    if (SUCCEEDED(hr)) {
        hr = tgt_run(t,
                     (const char *const[]){"--op", "update", "--mode", "logicalunit", "--tid", tid,
                                           "--lun", number, "--params", params, NULL},
                     NULL);
    }
    return hr;
}

static bool is_complete(const struct tgt_target *target, const struct located *copies,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct tgt_lun *lun = lun_of(target, copies[i].state->number);
        if (!lun || strcmp(lun->scsi_id, copies[i].state->scsi_id) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_bound_to_only(const struct tgt_target *target, const char *initiator)
{
    return target->acl && !target->acl->next && strcmp(target->acl->name, initiator) == 0;
}

/* Nobody sees a target while its LUNs are made, and afterwards only the initiator does. A target
 * that others use is none of ours: what is remembered may come from a document. */
static HRESULT show_to(const struct tgt *t, const struct tgt_target *target,
                       const struct located *copies, uint32_t count, const char *initiator)
{
    pid_t pid = 0;
    HRESULT hr = tgt_target_check(t, target, copies[0].state->set);
    if (SUCCEEDED(hr)) {
        hr = tgt_daemon_find(t, &pid);
    }
    if (FAILED(hr)) {
        return hr;
    }
    bool was_right = is_complete(target, copies, count) && is_bound_to_only(target, initiator);
    if (!was_right) {
        hr = tgt_target_unbind_all(t, target);
        if (SUCCEEDED(hr)) {
            hr = tgt_target_evict(t, target, true);
        }
    }
    for (uint32_t i = 0; SUCCEEDED(hr) && i < count; i++) {
        hr = ensure_lun(t, target, pid, &copies[i]);
    }
    if (SUCCEEDED(hr) && !was_right) {
        char *tid = tgt_text(t, "%u", target->tid);
        hr = tid ? tgt_run(t,
                           (const char *const[]){"--op", "bind", "--mode", "target", "--tid", tid,
                                                 "--initiator-name", initiator, NULL},
                           NULL)
                 : E_OUTOFMEMORY;
    }
    return hr;
}

/* tgtd opens any file, and whatever a link leads to: it is handed what EndPrepare made, and nothing
 * else. S_FALSE: there is no file. */
static HRESULT look_at_copy(const struct tgt *t, const struct tgt_copy_state *s, struct stat *out)
{
    int fd = -1;
    if (lstat(s->file, out) != 0 && errno == ENOENT) {
        return S_FALSE;
    }
    HRESULT hr = tgt_file_open(t, s->file, O_RDWR | O_NOFOLLOW, &fd, out);
    if (FAILED(hr)) {
        return hr;
    }
    (void)close(fd);
    const char *wrong = NULL;
    if (out->st_nlink != 1) {
        wrong = "it has another name too";
    } else if (out->st_uid != geteuid()) {
        wrong = "it belongs to another user";
    } else if ((uint64_t)out->st_size != s->bytes) {
        wrong = "it does not have the size of the original";
    }
    return wrong ? tgt_fail(t, VSS_E_PROVIDER_VETO,
                            "%s is not the copy that was made of %s: %s; nothing is shown, look "
                            "where the file came from",
                            s->file, s->source, wrong)
                 : S_OK;
}

/* Copies that somebody has removed are said and left out: the others can still be imported. */
static HRESULT find_files(const struct tgt *t, const struct tgt_copy_state *states, uint32_t count,
                          struct located *out, uint32_t *out_count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        HRESULT hr = look_at_copy(t, &states[i], &out[kept].stat);
        if (FAILED(hr)) {
            return hr;
        }
        if (hr == S_FALSE) {
            tgt_log(t, VSS_LOG_WARNING, "the copy %s of %s is gone", states[i].file,
                    states[i].source);
            continue;
        }
        if (strcmp(states[i].target, states[0].target) != 0) {
            return tgt_fail(t, VSS_E_PROVIDER_VETO, "copies of one set in two targets, %s and %s",
                            states[0].target, states[i].target);
        }
        out[kept++].state = &states[i];
    }
    *out_count = kept;
    return kept ? S_OK
                : tgt_fail(t, VSS_E_OBJECT_NOT_FOUND, "every copy of the set is gone, %s is one",
                           states[0].file);
}

HRESULT tgt_locate_luns(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct tgt t;
    struct tgt_copy_state *states = NULL;
    struct tgt_view view;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_set_read(&t, set, &states);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (!is_valid_initiator(set->initiator)) {
        return tgt_fail(&t, E_INVALIDARG, "\"%s\" is not an iSCSI initiator name",
                        set->initiator ? set->initiator : "");
    }
    uint32_t count = 0;
    struct located *copies = tgt_alloc(&t, set->lun_count * sizeof(*copies));
    hr = copies ? find_files(&t, states, set->lun_count, copies, &count) : E_OUTOFMEMORY;
    if (SUCCEEDED(hr)) {
        hr = tgt_show(&t, &view);
    }
    if (SUCCEEDED(hr)) { /* of those too that are gone: the host looks for them as well */
        hr = check_identities(&t, &view, states, set->lun_count);
    }
    if (SUCCEEDED(hr)) {
        hr = ensure_target(&t, states[0].target, &view);
    }
    if (SUCCEEDED(hr)) {
        hr = show_to(&t, tgt_view_target(&view, states[0].target), copies, count, set->initiator);
    }
    return hr;
}

/* ---- OnLunEmpty */

/* Takes the copy out of every target that shows it, and the set's target away with its last LUN. */
static HRESULT withdraw(const struct tgt *t, const struct tgt_copy_state *s, const VSS_ID *set_id)
{
    struct tgt_view view;
    HRESULT hr = tgt_show(t, &view);
    if (FAILED(hr)) {
        return hr;
    }
    for (const struct tgt_lun *lun = tgt_view_by_path(&view, s->file, NULL); SUCCEEDED(hr) && lun;
         lun = tgt_view_by_path(&view, s->file, lun)) {
        hr = tgt_target_remove_lun(t, lun);
    }
    if (SUCCEEDED(hr)) {
        hr = tgt_show(t, &view);
    }
    const struct tgt_target *target = SUCCEEDED(hr) ? tgt_view_target(&view, s->target) : NULL;
    if (target && !tgt_target_has_disks(target)) {
        hr = tgt_target_remove_set(t, &view, set_id);
    }
    return hr;
}

HRESULT tgt_on_lun_empty(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)out;
    const struct vss_set_in *set = in;
    struct tgt t;
    struct tgt_copy_state *states = NULL;
    pid_t pid = 0;
    HRESULT hr = tgt_begin(call, &t);
    if (SUCCEEDED(hr)) {
        hr = tgt_set_read(&t, set, &states);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (set->lun_count != 1) {
        return tgt_fail(&t, E_INVALIDARG, "OnLunEmpty takes one LUN");
    }
    hr = tgt_daemon_look(&t, &pid);
    if (hr == S_OK) {
        hr = withdraw(&t, states, &set->set_id);
    }
    /* Without a tgtd nobody has the file open. The state was checked: the name is that of a copy.
     */
    return SUCCEEDED(hr) ? tgt_set_remove_files(&t, states) : hr;
}
