/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/journal.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/owner.h"
#include "registry/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char open_text[] =
    "INSERT INTO journal_entries(entry_id, operation, object_id, opened, boot_id, pid, pid_start,"
    " description, destination_invalid) VALUES(?, ?, ?, ?, ?, ?, ?, ?, 0)";
static const char step_text[] = "INSERT INTO journal_steps(time, name, lun_key, data, entry_seq)"
                                " SELECT ?, ?, ?, ?, seq FROM journal_entries WHERE entry_id = ?";
static const char mark_text[] =
    "UPDATE journal_entries SET destination_invalid = ? WHERE entry_id = ?";
static const char close_text[] = "DELETE FROM journal_entries WHERE entry_id = ?";
static const char entries_text[] =
    "SELECT boot_id, pid, pid_start, entry_id, operation, object_id, opened, description,"
    " destination_invalid FROM journal_entries ORDER BY seq";
static const char steps_text[] =
    "SELECT time, name, lun_key, data FROM journal_steps WHERE entry_seq ="
    " (SELECT seq FROM journal_entries WHERE entry_id = ?) ORDER BY seq";

static const char *const operation_names[] = {
    [JOURNAL_CREATE] = "create", [JOURNAL_IMPORT] = "import", [JOURNAL_BREAK] = "break",
    [JOURNAL_DELETE] = "delete", [JOURNAL_RESYNC] = "resync", [JOURNAL_DISK_IDS] = "disk-ids",
    [JOURNAL_EXPOSE] = "expose",
};

static bool is_operation(int64_t value)
{
    return value >= JOURNAL_CREATE && value <= JOURNAL_EXPOSE;
}

const char *journal_operation_name(enum journal_operation operation)
{
    return is_operation(operation) ? operation_names[operation] : "unknown operation";
}

HRESULT journal_open(struct store *store, enum journal_operation operation, const VSS_ID *object_id,
                     const char *description, VSS_ID *out_entry_id, struct error *err)
{
    *out_entry_id = id_null;
    if (!is_operation(operation)) {
        return error_set(err, E_INVALIDARG, "the journal knows no operation %d", (int)operation);
    }
    struct owner self;
    HRESULT hr = owner_self(&self, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct sql_statement s;
    hr = sql_use(store, open_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    VSS_ID entry_id = id_new();
    sql_add_id(&s, &entry_id);
    sql_add_int(&s, operation);
    sql_add_id(&s, object_id);
    sql_add_int(&s, clock_filetime());
    sql_add_text(&s, self.boot_id);
    sql_add_int(&s, self.pid);
    sql_add_uint(&s, self.pid_start);
    sql_add_text(&s, description);
    hr = sql_run(&s, err);
    if (SUCCEEDED(hr)) {
        *out_entry_id = entry_id;
    }
    return hr;
}

/* Runs a statement that touches nothing only where the entry is not there. */
static HRESULT run_on_entry(struct sql_statement *s, const VSS_ID *entry_id, struct error *err)
{
    struct store *store = s->store;
    HRESULT hr = sql_run(s, err);
    if (SUCCEEDED(hr) && sql_changed_rows(store) == 0) {
        char text[ID_TEXT_BYTES];
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND,
                       "the journal has no open entry %s: it was closed, perhaps by a recovery",
                       id_text(entry_id, text));
    }
    return hr;
}

HRESULT journal_step(struct store *store, const VSS_ID *entry_id, const char *name,
                     const char *lun_key, const void *data, size_t data_bytes, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, step_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, clock_filetime());
    sql_add_text(&s, name);
    sql_add_text(&s, lun_key);
    sql_add_blob(&s, data, data_bytes);
    sql_add_id(&s, entry_id);
    return run_on_entry(&s, entry_id, err);
}

HRESULT journal_mark_invalid(struct store *store, const VSS_ID *entry_id, bool invalid,
                             struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, mark_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, invalid);
    sql_add_id(&s, entry_id);
    return run_on_entry(&s, entry_id, err);
}

HRESULT journal_close(struct store *store, const VSS_ID *entry_id, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, close_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, entry_id);
    return run_on_entry(&s, entry_id, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void free_entry(struct journal_entry *entry)
{
    free(entry->description);
    for (size_t i = 0; i < entry->step_count; i++) {
        free(entry->steps[i].name);
        free(entry->steps[i].lun_key);
        free(entry->steps[i].data);
    }
    free(entry->steps);
}

void journal_free_all(struct journal_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free_entry(&entries[i]);
    }
    free(entries);
}

const struct journal_step *journal_find_step(const struct journal_entry *entry, const char *name,
                                             const char *lun_key)
{
    for (size_t i = entry->step_count; i-- > 0;) {
        const struct journal_step *s = &entry->steps[i];
        bool is_about = !lun_key || (s->lun_key && strcmp(s->lun_key, lun_key) == 0);
        if (is_about && strcmp(s->name, name) == 0) {
            return s;
        }
    }
    return NULL;
}

bool journal_speaks_of(const struct journal_entry *entry, const char *lun_key)
{
    for (size_t i = 0; i < entry->step_count; i++) {
        const char *key = entry->steps[i].lun_key;
        if (key && strcmp(key, lun_key) == 0) {
            return true;
        }
    }
    return false;
}

struct loading {
    bool only_dead;
    struct journal_entry *entries;
    size_t count;
};

static void read_owner(struct sql_statement *s, struct owner *out)
{
    *out = (struct owner){0};
    (void)snprintf(out->boot_id, sizeof(out->boot_id), "%s", sql_get_borrowed(s));
    out->pid = sql_get_int(s);
    out->pid_start = sql_get_uint(s);
}

static HRESULT read_entry(struct loading *loading, struct sql_statement *s, struct error *err)
{
    struct owner owner;
    read_owner(s, &owner);
    bool is_dead = !owner_lives(&owner);
    if (loading->only_dead && !is_dead) {
        return S_OK;
    }
    struct journal_entry *all = sql_grow(loading->entries, loading->count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading the journal");
    }
    loading->entries = all;
    struct journal_entry *entry = &all[loading->count];
    *entry =
        (struct journal_entry){.pid = owner.pid, .pid_start = owner.pid_start, .is_dead = is_dead};
    loading->count++;
    sql_get_id(s, &entry->entry_id);
    int32_t operation = sql_get_int32(s);
    sql_get_id(s, &entry->object_id);
    entry->opened = sql_get_int(s);
    sql_get_text(s, &entry->description);
    entry->destination_invalid = sql_get_int(s) != 0;
    entry->operation = (enum journal_operation)operation;
    if (!is_operation(operation)) {
        s->status = SQLITE_MISMATCH;
    }
    return sql_row_check(s, "journal_entries", &entry->entry_id, err);
}

static HRESULT read_entries(struct store *store, struct loading *loading, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, entries_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read_entry(loading, &s, err);
        if (SUCCEEDED(hr)) {
            hr = sql_next(&s, err);
        }
    }
    sql_end(&s);
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT read_step(struct journal_entry *entry, struct sql_statement *s, struct error *err)
{
    struct journal_step *all = sql_grow(entry->steps, entry->step_count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading the journal");
    }
    entry->steps = all;
    struct journal_step *step = &all[entry->step_count];
    *step = (struct journal_step){0};
    entry->step_count++;
    step->when = sql_get_int(s);
    sql_get_text(s, &step->name);
    sql_get_text(s, &step->lun_key);
    sql_get_blob(s, &step->data, &step->data_bytes);
    return sql_row_check(s, "journal_steps", &entry->entry_id, err);
}

static HRESULT read_steps(struct store *store, struct journal_entry *entry, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, steps_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, &entry->entry_id);
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read_step(entry, &s, err);
        if (SUCCEEDED(hr)) {
            hr = sql_next(&s, err);
        }
    }
    sql_end(&s);
    return FAILED(hr) ? hr : S_OK;
}

HRESULT journal_load_open(struct store *store, bool only_dead, struct journal_entry **out,
                          size_t *out_count, struct error *err)
{
    *out = NULL;
    *out_count = 0;
    struct loading loading = {.only_dead = only_dead};
    HRESULT hr = sql_read_begin(store, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = read_entries(store, &loading, err);
    for (size_t i = 0; i < loading.count && SUCCEEDED(hr); i++) {
        hr = read_steps(store, &loading.entries[i], err);
    }
    sql_read_end(store);
    if (FAILED(hr)) {
        journal_free_all(loading.entries, loading.count);
        return hr;
    }
    *out = loading.entries;
    *out_count = loading.count;
    return S_OK;
}

HRESULT journal_refuse(const struct journal_entry *entry, size_t count, struct error *err)
{
    char object[ID_TEXT_BYTES];
    char opened[CLOCK_TEXT_BYTES];
    char more[48] = "";
    if (count > 1) {
        (void)snprintf(more, sizeof(more), " (and %zu more)", count - 1);
    }
    return error_set(
        err, VSS_E_BAD_STATE,
        "process %lld began a %s of %s at %s and ended before it was done%s%s: run 'lunshadow "
        "recover --list' and deal with it first (%s)",
        (long long)entry->pid, journal_operation_name(entry->operation),
        id_text(&entry->object_id, object), clock_text(entry->opened, opened), more,
        entry->destination_invalid ? ", leaving a LUN that must not be used" : "",
        entry->description ? entry->description : "no description");
}

HRESULT journal_check_clean(struct store *store, struct error *err)
{
    struct loading loading = {.only_dead = true};
    HRESULT hr = read_entries(store, &loading, err);
    if (SUCCEEDED(hr) && loading.count > 0) {
        hr = journal_refuse(&loading.entries[0], loading.count, err);
    }
    journal_free_all(loading.entries, loading.count);
    return hr;
}
