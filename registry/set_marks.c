/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/set_marks.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/owner.h"
#include "registry/sql.h"

#include <stdio.h>
#include <stdlib.h>

static const char own_text[] =
    "INSERT INTO set_owners(set_seq, boot_id, pid, pid_start)"
    " SELECT seq, ?1, ?2, ?3 FROM sets WHERE set_id = ?4"
    " ON CONFLICT(set_seq) DO UPDATE SET boot_id = ?1, pid = ?2, pid_start = ?3";
static const char owned_text[] =
    "SELECT boot_id, pid, pid_start, sets.set_id FROM set_owners"
    " JOIN sets ON sets.seq = set_owners.set_seq WHERE NOT EXISTS"
    " (SELECT 1 FROM journal_entries WHERE object_id = sets.set_id) ORDER BY sets.seq";

static const char add_safety_text[] = "INSERT INTO safety_copies(set_seq, resync_id, taken)"
                                      " SELECT seq, ?1, ?2 FROM sets WHERE set_id = ?3"
                                      " ON CONFLICT(set_seq) DO UPDATE SET resync_id = ?1";
static const char drop_safety_text[] =
    "DELETE FROM safety_copies WHERE set_seq = (SELECT seq FROM sets WHERE set_id = ?1)";
static const char load_safety_text[] =
    "SELECT sets.set_id, resync_id, taken FROM safety_copies"
    " JOIN sets ON sets.seq = safety_copies.set_seq ORDER BY sets.seq";

static HRESULT run_on_set(struct sql_statement *s, const VSS_ID *set_id, struct error *err)
{
    struct store *store = s->store;
    HRESULT hr = sql_run(s, err);
    if (SUCCEEDED(hr) && sql_changed_rows(store) == 0) {
        char id[ID_TEXT_BYTES];
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "the registry has no set %s",
                       id_text(set_id, id));
    }
    return hr;
}

HRESULT set_marks_own(struct store *store, const VSS_ID *set_id, struct error *err)
{
    struct owner self;
    struct sql_statement s;
    HRESULT hr = owner_self(&self, err);
    if (SUCCEEDED(hr)) {
        hr = sql_use(store, own_text, &s, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_text(&s, self.boot_id);
    sql_add_int(&s, self.pid);
    sql_add_uint(&s, self.pid_start);
    sql_add_id(&s, set_id);
    return run_on_set(&s, set_id, err);
}

static HRESULT read_owned(struct sql_statement *s, VSS_ID **sets, size_t *count, struct error *err)
{
    struct owner owner = {0};
    VSS_ID set_id = id_null;
    (void)snprintf(owner.boot_id, sizeof(owner.boot_id), "%s", sql_get_borrowed(s));
    owner.pid = sql_get_int(s);
    owner.pid_start = sql_get_uint(s);
    sql_get_id(s, &set_id);
    HRESULT hr = sql_row_check(s, "set_owners", &set_id, err);
    if (FAILED(hr) || owner_lives(&owner)) {
        return hr;
    }
    VSS_ID *all = sql_grow(*sets, *count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading abandoned sets");
    }
    *sets = all;
    all[(*count)++] = set_id;
    return S_OK;
}

HRESULT set_marks_load_abandoned(struct store *store, VSS_ID **out, size_t *out_count,
                                 struct error *err)
{
    VSS_ID *sets = NULL;
    size_t count = 0;
    struct sql_statement s;
    *out = NULL;
    *out_count = 0;
    HRESULT hr = sql_use(store, owned_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read_owned(&s, &sets, &count, err);
        hr = SUCCEEDED(hr) ? sql_next(&s, err) : hr;
    }
    sql_end(&s);
    if (FAILED(hr)) {
        free(sets);
        return hr;
    }
    *out = sets;
    *out_count = count;
    return S_OK;
}

/* ---- safety copies --------------------------------------------------------------------------- */

HRESULT set_marks_add_safety(struct store *store, const VSS_ID *set_id, const VSS_ID *resync_id,
                             struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, add_safety_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, resync_id);
    sql_add_int(&s, clock_filetime());
    sql_add_id(&s, set_id);
    return run_on_set(&s, set_id, err);
}

HRESULT set_marks_drop_safety(struct store *store, const VSS_ID *set_id, struct error *err)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, drop_safety_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_id(&s, set_id);
    return sql_run(&s, err);
}

static HRESULT read_safety(struct sql_statement *s, struct safety_mark **marks, size_t *count,
                           struct error *err)
{
    struct safety_mark *all = sql_grow(*marks, *count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading safety copies");
    }
    *marks = all;
    struct safety_mark *mark = &all[(*count)++];
    *mark = (struct safety_mark){0};
    sql_get_id(s, &mark->set_id);
    sql_get_id(s, &mark->resync_id);
    mark->taken = sql_get_int(s);
    return sql_row_check(s, "safety_copies", &mark->set_id, err);
}

HRESULT set_marks_load_safety(struct store *store, struct safety_mark **out, size_t *out_count,
                              struct error *err)
{
    struct safety_mark *marks = NULL;
    size_t count = 0;
    struct sql_statement s;
    *out = NULL;
    *out_count = 0;
    HRESULT hr = sql_use(store, load_safety_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read_safety(&s, &marks, &count, err);
        hr = SUCCEEDED(hr) ? sql_next(&s, err) : hr;
    }
    sql_end(&s);
    if (FAILED(hr)) {
        free(marks);
        return hr;
    }
    *out = marks;
    *out_count = count;
    return S_OK;
}
