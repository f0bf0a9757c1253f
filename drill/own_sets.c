/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "drill/own_internal.h"
#include "registry/journal.h"
#include "registry/sets.h"
#include "requester/half_written.h"
#include "resync/recover.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PIECE_BYTES (4u << 20)
#define EDGE_BYTES  (1u << 20)

/* ---- the set --------------------------------------------------------------------------------- */

static HRESULT begin(struct own_drill *o, struct vss_backup_components *s, struct error *err)
{
    uint32_t context = VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE;
    HRESULT hr = drill_call(s, vss_backup_components_set_context(s, context), "SetContext", err);
    if (SUCCEEDED(hr)) {
        hr = drill_call(s,
                        vss_backup_components_set_backup_state(s, false, false, VSS_BT_FULL, false),
                        "SetBackupState", err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_async(&o->base, s, "GatherWriterMetadata",
                         vss_backup_components_gather_writer_metadata, err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_call(s, vss_backup_components_start_snapshot_set(s, &o->set_id),
                        "StartSnapshotSet", err);
    }
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = drill_call(s,
                        vss_backup_components_add_to_snapshot_set(s, o->volumes[i].name, NULL,
                                                                  &o->snapshots[i]),
                        "AddToSnapshotSet", err);
    }
    return hr;
}

static HRESULT commit(struct own_drill *o, struct vss_backup_components *s, struct error *err)
{
    HRESULT hr =
        drill_async(&o->base, s, "PrepareForBackup", vss_backup_components_prepare_for_backup, err);
    if (SUCCEEDED(hr)) {
        hr = drill_async(&o->base, s, "DoSnapshotSet", vss_backup_components_do_snapshot_set, err);
    }
    if (SUCCEEDED(hr)) {
        o->has_set = true;
        hr = drill_call(s, vss_backup_components_save_as_xml(s, &o->xml), "SaveAsXML", err);
    }
    if (SUCCEEDED(hr)) {
        hr = drill_async(&o->base, s, "BackupComplete", vss_backup_components_backup_complete, err);
    }
    return hr;
}

/* The set as the registry of this host has it. */
static HRESULT load_set(const struct own_drill *o, struct set_record *out, struct error *err)
{
    struct store *store = NULL;
    HRESULT hr = store_open(o->base.state, &store, err);
    if (SUCCEEDED(hr)) {
        hr = sets_load(store, &o->set_id, out, err);
    }
    store_close(store);
    return hr;
}

HRESULT own_create(struct own_drill *o, struct error *err)
{
    struct vss_backup_components *s = NULL;
    struct set_record set = {0};
    HRESULT hr = drill_session(&o->base, NULL, false, &s, err);
    if (SUCCEEDED(hr)) {
        hr = begin(o, s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = commit(o, s, err);
    }
    vss_backup_components_release(s);
    if (SUCCEEDED(hr)) {
        hr = load_set(o, &set, err);
    }
    if (SUCCEEDED(hr)) {
        report_figure(o->base.report, "cut_us", "first LUN cut to last", set.cut_us, "us");
        report_figure(o->base.report, "hold_us", "I/O held", set.hold_us, "us");
        (void)report_check(o->base.report, "one moment", set.snapshot_count == o->options->count,
                           "%zu LUNs in one set", set.snapshot_count);
    }
    set_record_free(&set);
    return hr;
}

/* ---- recovery -------------------------------------------------------------------------------- */

static HRESULT add_members(struct own_drill *o, struct vss_backup_components *s, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = own_check_scratch(o, i, err);
        if (SUCCEEDED(hr)) {
            hr = drill_call(s,
                            vss_backup_components_add_snapshot_to_recovery_set(
                                s, &o->snapshots[i], 0, o->scratch[i].name),
                            "AddSnapshotToRecoverySet", err);
        }
    }
    return hr;
}

/* A resync that stopped half-way keeps its journal entry, and everything that writes waits for it.
 */
static void note_unfinished(struct own_drill *o)
{
    struct store *store = NULL;
    struct journal_entry *entries = NULL;
    size_t count = 0;
    if (SUCCEEDED(store_open(o->base.state, &store, NULL))) {
        (void)journal_load_open(store, false, &entries, &count, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].operation == JOURNAL_RESYNC && entries[i].destination_invalid) {
            report_leftover(o->base.report, "%s, unfinished: see lunshadow recover --list",
                            entries[i].description ? entries[i].description : "a resync");
        }
    }
    journal_free_all(entries, count);
    store_close(store);
}

/* Nobody needs what was to come onto LUNs that are blank. */
static void close_unfinished(struct own_drill *o)
{
    struct set_environment *env = NULL;
    struct error err = {0};
    HRESULT hr = set_environment_open(o->base.config, o->base.state, &env, &err);
    if (SUCCEEDED(hr)) {
        hr = recover_close_blank(env, &err);
    }
    if (FAILED(hr)) {
        report_error(o->base.report, "unfinished recovery closed", &err);
    }
    set_environment_close(env);
}

void own_end_recovery(struct own_drill *o, bool are_blank)
{
    if (are_blank) {
        close_unfinished(o);
    }
    note_unfinished(o);
}

HRESULT own_recover(struct own_drill *o, struct error *err)
{
    struct vss_backup_components *s = NULL;
    struct vss_async *async = NULL;
    uint64_t started_us = clock_monotonic_us();
    HRESULT hr = drill_session(&o->base, o->xml, true, &s, err);
    if (SUCCEEDED(hr)) {
        hr = add_members(o, s, err);
    }
    if (SUCCEEDED(hr)) {
        hr = vss_backup_components_recover_set(s, VSS_RECOVERY_NO_VOLUME_CHECK, &async);
        hr = drill_wait(&o->base, s, hr, async, "RecoverSet", NULL, err);
        o->was_written = session_has_written(s); /* one that was refused has not */
    }
    o->recover_ms = (clock_monotonic_us() - started_us) / 1000;
    vss_backup_components_release(s);
    o->is_unfinished = FAILED(hr) && o->was_written;
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        struct error why = {0};
        HRESULT same = own_check_scratch(o, i, &why);
        (void)report_check(o->base.report, "identity afterwards", SUCCEEDED(same), "%s is %s%s%s",
                           o->scratch[i].url, o->scratch[i].key, FAILED(same) ? "? " : "",
                           FAILED(same) ? error_text(&why) : "");
        report_bytes(o->base.report, o->volumes[i].block_count * o->volumes[i].block_bytes);
    }
    report_figure(o->base.report, "recover_ms", "recovery", o->recover_ms, "ms");
    return hr;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* XXH64 of what lies between the first and the last MiB of the first block_count blocks. */
static HRESULT digest_body(struct own_drill *o, struct raw *raw, uint64_t block_count,
                           uint64_t *out, struct error *err)
{
    uint8_t *data = malloc(PIECE_BYTES);
    XXH64_state_t *state = XXH64_createState();
    uint64_t edge = EDGE_BYTES / raw->block_bytes;
    uint64_t end = block_count > edge ? block_count - edge : 0;
    HRESULT hr = data && state && XXH64_reset(state, 0) == XXH_OK
                     ? S_OK
                     : error_set(err, E_OUTOFMEMORY, "out of memory for a digest");
    for (uint64_t at = edge; at < end && SUCCEEDED(hr);) {
        uint64_t most = PIECE_BYTES / raw->block_bytes;
        uint64_t blocks = end - at < most ? end - at : most;
        hr = drill_was_stopped(&o->base) ? error_set(err, E_ABORT, "the drill was stopped")
                                         : raw_read(raw, at, blocks, data, err);
        if (SUCCEEDED(hr)) {
            (void)XXH64_update(state, data, (size_t)(blocks * raw->block_bytes));
            at += blocks;
        }
    }
    *out = SUCCEEDED(hr) ? XXH64_digest(state) : 0;
    (void)XXH64_freeState(state);
    free(data);
    return hr;
}

static HRESULT digest_at(struct own_drill *o, const char *url, uint64_t block_count, uint64_t *out,
                         struct error *err)
{
    struct raw_address address;
    struct raw *raw = NULL;
    HRESULT hr = raw_parse(url, &address, err);
    if (SUCCEEDED(hr)) {
        hr = raw_open(&address, o->base.initiator, &raw, err);
    }
    if (SUCCEEDED(hr) && raw->block_count < block_count) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s has %llu blocks, not %llu", url,
                       (unsigned long long)raw->block_count, (unsigned long long)block_count);
    }
    if (SUCCEEDED(hr)) {
        hr = digest_body(o, raw, block_count, out, err);
    }
    raw_close(raw);
    return hr;
}

static HRESULT import_set(struct own_drill *o, struct error *err)
{
    struct vss_backup_components *s = NULL;
    HRESULT hr = drill_import(&o->base, o->xml, &s, err);
    vss_backup_components_release(s);
    return hr;
}

/* The mapping of a volume's LUN in the set. */
static const struct lun_mapping *find_mapping(const struct set_record *set,
                                              const struct own_lun *volume)
{
    for (size_t i = 0; i < set->lun_count; i++) {
        if (lun_info_compare(&set->luns[i].source, &volume->info) == LUN_SAME) {
            return &set->luns[i];
        }
    }
    return NULL;
}

static HRESULT compare_one(struct own_drill *o, const struct set_record *set, size_t index,
                           struct error *err)
{
    const struct lun_mapping *m = find_mapping(set, &o->volumes[index]);
    uint64_t copy = 0;
    uint64_t scratch = 0;
    if (!m || !m->copy_url) {
        return error_set(err, VSS_E_OBJECT_NOT_FOUND, "the copy of %s is not visible",
                         o->volumes[index].url);
    }
    HRESULT hr = digest_at(o, m->copy_url, m->block_count, &copy, err);
    if (SUCCEEDED(hr)) {
        hr = digest_at(o, o->scratch[index].url, m->block_count, &scratch, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(o->base.report, "content is the copy's", copy == scratch,
                           "%s: xxh64 %016llx, the copy of %s: %016llx", o->scratch[index].url,
                           (unsigned long long)scratch, o->volumes[index].url,
                           (unsigned long long)copy);
        report_bytes(o->base.report, 2 * m->block_count * m->block_bytes);
    }
    return hr;
}

HRESULT own_compare(struct own_drill *o, struct error *err)
{
    struct set_record set = {0};
    HRESULT hr = import_set(o, err);
    if (SUCCEEDED(hr)) {
        hr = load_set(o, &set, err);
    }
    for (size_t i = 0; i < o->options->count && SUCCEEDED(hr); i++) {
        hr = compare_one(o, &set, i, err);
    }
    set_record_free(&set);
    return hr;
}

HRESULT own_delete(struct own_drill *o, struct error *err)
{
    int32_t deleted = 0;
    HRESULT hr = drill_delete(&o->base, &o->set_id, VSS_OBJECT_SNAPSHOT_SET, &deleted, err);
    if (SUCCEEDED(hr)) {
        (void)report_check(o->base.report, "copies deleted", deleted == (int32_t)o->options->count,
                           "%d of %zu", deleted, o->options->count);
        o->has_set = false;
    }
    return hr;
}
