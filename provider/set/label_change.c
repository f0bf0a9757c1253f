/* SPDX-License-Identifier: Apache-2.0 */
#include "provider/set/label_change.h"

#include "common/buffer.h"
#include "provider/set/call.h"
#include "provider/set/dry_run.h"
#include "registry/journal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define RENEWALS 3 /* of a session that its target closes */

/* The copies under change, in the order of the transaction's members. */
struct change {
    struct lun **luns;
    struct label **labels;
    char (*keys)[LUN_KEY_BYTES];
    const char **key_pointers;
    size_t *index; /* into set->luns */
    size_t count;
    struct disk_ids_transaction transaction;
};

static void change_free(struct change *c)
{
    disk_ids_transaction_free(&c->transaction);
    for (size_t i = 0; i < c->count; i++) {
        label_free(c->labels[i]);
        lun_close(c->luns[i]);
    }
    free(c->luns);
    free(c->labels);
    free(c->keys);
    free(c->key_pointers);
    free(c->index);
}

static HRESULT change_init(struct change *c, size_t room)
{
    *c = (struct change){0};
    room = room ? room : 1;
    c->luns = calloc(room, sizeof(*c->luns));
    c->labels = calloc(room, sizeof(*c->labels));
    c->keys = calloc(room, sizeof(*c->keys));
    c->key_pointers = calloc(room, sizeof(*c->key_pointers));
    c->index = calloc(room, sizeof(*c->index));
    return c->luns && c->labels && c->keys && c->key_pointers && c->index ? S_OK : E_OUTOFMEMORY;
}

/* One run of old bytes in the journal: LBA and count, both little-endian 64-bit, then the bytes. */
static void pack_write(const struct label_write *w, uint32_t block_bytes, struct buffer *out)
{
    uint64_t head[2] = {htole64(w->lba), htole64(w->blocks)};
    buffer_add(out, head, sizeof(head));
    buffer_add(out, w->old_data, (size_t)w->blocks * block_bytes);
}

HRESULT label_journal_sink(const struct disk_ids_transaction *transaction, void *user,
                           struct error *err)
{
    const struct label_journal *journal = user;
    HRESULT hr = S_OK;
    for (size_t i = 0; i < transaction->count && SUCCEEDED(hr); i++) {
        const struct disk_ids_member *m = &transaction->members[i];
        struct buffer old = BUFFER_INIT;
        for (size_t w = 0; w < m->writes.count; w++) {
            pack_write(&m->writes.items[w], m->dev->block_bytes, &old);
        }
        hr = buffer_status(&old);
        if (SUCCEEDED(hr)) {
            hr = journal_step(journal->store, journal->entry_id, OLD_LABEL_STEP,
                              journal->lun_keys[i], old.data, old.length, err);
        }
        buffer_free(&old);
    }
    return hr;
}

/* Opens a copy for writing. What answers at its address must be the copy, asked in this very
 * session. */
static HRESULT open_copy(struct set_environment *env, const struct lun_mapping *m, struct lun **out,
                         struct error *err)
{
    HRESULT hr = lun_open(m->copy_url, &env->lun, env->is_dry_run, out, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (lun_info_compare(&m->copy, &(*out)->identity.info) != LUN_SAME) {
        char expected[LUN_KEY_BYTES];
        char found[LUN_KEY_BYTES];
        return error_set(err, VSS_E_OBJECT_NOT_FOUND,
                         "%s is %s by now, not the copy %s; nothing was written", m->copy_url,
                         lun_info_key(&(*out)->identity.info, found),
                         lun_info_key(&m->copy, expected));
    }
    return S_OK;
}

static void set_attributes(struct vss_disk_ids *ids, const struct vss_disk_ids *original,
                           bool is_read_write, const struct vss_disk_ids *current)
{
    for (uint32_t i = 0; i < ids->partition_count; i++) {
        const struct vss_partition_id *before =
            disk_ids_partition(original, ids->partitions[i].number);
        uint64_t kept = current->partitions[i].attributes & ~GPT_ATTR_SHADOW_COPY;
        ids->partitions[i].attributes = is_read_write && before ? before->attributes : kept;
    }
}

static HRESULT wanted_ids(const struct lun_mapping *m, const struct vss_disk_ids *current,
                          enum label_change change, struct vss_disk_ids *out, struct error *err)
{
    *out = (struct vss_disk_ids){0};
    bool is_read_write = change == LABEL_CHANGE_KEEP_RW || change == LABEL_CHANGE_REVERT_RW;
    bool is_revert = change == LABEL_CHANGE_REVERT || change == LABEL_CHANGE_REVERT_RW;
    if (is_revert && !disk_ids_share_partitions(&m->source_ids, current)) {
        return error_set(err, VSS_E_CANNOT_REVERT_DISKID,
                         "%s: its partitions are not those that the original had when it was "
                         "added to the set; its disk ids are left as they are",
                         m->copy_url);
    }
    HRESULT hr;
    if (change == LABEL_CHANGE_FRESH) {
        hr = label_fresh_ids(current, GPT_ATTR_SHADOW_BITS, 0, out);
    } else {
        hr = disk_ids_copy(is_revert ? &m->source_ids : current, out);
    }
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory staging disk ids");
    }
    if (change != LABEL_CHANGE_FRESH) {
        set_attributes(out, &m->source_ids, is_read_write, current);
    }
    return S_OK;
}

static HRESULT stage_one(struct change *c, struct lun_mapping *m, enum label_change change,
                         struct error *err)
{
    struct vss_disk_ids current = {0};
    struct vss_disk_ids wanted = {0};
    struct lun *lun = c->luns[c->count - 1];
    HRESULT hr = label_read(&lun->block, LABEL_FULL, &c->labels[c->count - 1], err);
    if (SUCCEEDED(hr)) {
        hr = label_ids(c->labels[c->count - 1], &current);
    }
    if (SUCCEEDED(hr)) {
        hr = wanted_ids(m, &current, change, &wanted, err);
    }
    if (SUCCEEDED(hr)) {
        /* Repair is right here: the disk is a copy, and its original keeps what it has. */
        hr = disk_ids_stage(&c->transaction, &lun->block, &wanted, true, err);
    }
    disk_ids_free(&wanted);
    disk_ids_free(&current);
    return hr;
}

/* Staging only reads: where the target closed the session meanwhile, it is done in a new one. */
static HRESULT stage(struct set_environment *env, struct change *c, struct lun_mapping *m,
                     enum label_change change, struct error *err)
{
    struct error why = {0};
    size_t at = c->count - 1;
    HRESULT hr = stage_one(c, m, change, &why);
    for (int i = 0; FAILED(hr) && i < RENEWALS && lun_renew(c->luns[at], &env->lun, NULL) == S_OK;
         i++) {
        label_free(c->labels[at]);
        c->labels[at] = NULL;
        error_clear(&why);
        hr = stage_one(c, m, change, &why);
    }
    return FAILED(hr) ? error_set(err, hr, "%s", error_text(&why)) : hr;
}

static HRESULT gather(struct set_environment *env, struct set_record *set, enum label_change change,
                      struct change *c, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < set->lun_count && SUCCEEDED(hr); i++) {
        struct lun_mapping *m = &set->luns[i];
        if (m->is_empty || !m->copy_url) {
            continue;
        }
        size_t at = c->count;
        hr = open_copy(env, m, &c->luns[at], err);
        if (c->luns[at]) {
            c->index[at] = i;
            c->key_pointers[at] = lun_info_key(&c->luns[at]->identity.info, c->keys[at]);
            c->count++;
        }
        if (SUCCEEDED(hr)) {
            hr = stage(env, c, m, change, err);
        }
    }
    return hr;
}

static HRESULT keep_ids(struct set_environment *env, struct set_record *set, const struct change *c,
                        const char *why, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < c->count && SUCCEEDED(hr); i++) {
        struct lun_mapping *m = &set->luns[c->index[i]];
        struct vss_disk_ids copy;
        hr = disk_ids_copy(&c->transaction.members[i].ids, &copy);
        if (SUCCEEDED(hr)) {
            disk_ids_free(&m->copy_ids);
            m->copy_ids = copy;
            hr = disk_ids_remember(env->store, c->keys[i], &m->copy_ids, why, err);
        }
    }
    return hr;
}

static HRESULT note_changes(struct set_environment *env, const struct change *c, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < c->transaction.count && SUCCEEDED(hr); i++) {
        const struct disk_ids_member *m = &c->transaction.members[i];
        hr = dry_run_note(env, m->dev->name, NULL, &m->writes, m->dev->block_bytes, err);
    }
    return SUCCEEDED(hr) ? dry_run_end(env, err) : hr;
}

HRESULT label_change_copies(struct set_environment *env, struct provider *provider,
                            struct set_record *set, enum label_change change,
                            const VSS_ID *journal_id, bool *out_is_torn, struct error *err)
{
    struct change c;
    *out_is_torn = false;
    HRESULT hr = change_init(&c, set->lun_count);
    if (FAILED(hr)) {
        change_free(&c);
        return error_set(err, hr, "out of memory changing disk ids");
    }
    if (!env->is_dry_run) {
        hr =
            set_call_state_change(provider, set, VSS_ONLUNSTATECHANGE_NOTIFY_LUN_PRE_RECOVERY, err);
    }
    if (SUCCEEDED(hr)) {
        hr = gather(env, set, change, &c, err);
    }
    if (SUCCEEDED(hr) && env->is_dry_run) {
        hr = note_changes(env, &c, err);
    }
    if (SUCCEEDED(hr)) {
        struct label_journal journal = {
            .store = env->store, .entry_id = journal_id, .lun_keys = c.key_pointers};
        hr = disk_ids_apply(&c.transaction, label_journal_sink, &journal, err);
        *out_is_torn = c.transaction.is_torn;
    }
    if (SUCCEEDED(hr)) {
        const char *why =
            change == LABEL_CHANGE_FRESH ? "written by an import" : "written by a break";
        hr = keep_ids(env, set, &c, why, err);
        *out_is_torn = FAILED(hr);
    }
    change_free(&c);
    return hr;
}
