/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/events.h"

#include "common/clock.h"
#include "common/id.h"
#include "registry/sql.h"

#include <stdlib.h>

static const char add_text[] =
    "INSERT INTO events(time, level, code, object_id, text) VALUES(?, ?, ?, ?, ?)";
/* How many are kept: a number here, because a bound one would not be checked against the header. */
static const char trim_text[] =
    "DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - 10000";
static const char load_text[] =
    "SELECT time, level, code, object_id, text FROM events ORDER BY seq DESC LIMIT ?";

static HRESULT add(struct store *store, int level, HRESULT code, const VSS_ID *object_id,
                   const char *text)
{
    struct sql_statement s;
    HRESULT hr = sql_use(store, add_text, &s, NULL);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, clock_filetime());
    sql_add_int(&s, level);
    sql_add_int(&s, code);
    sql_add_id(&s, object_id ? object_id : &id_null);
    sql_add_text(&s, text ? text : "");
    hr = sql_run(&s, NULL);
    if (FAILED(hr)) {
        return hr;
    }
    hr = sql_use(store, trim_text, &s, NULL);
    return SUCCEEDED(hr) ? sql_run(&s, NULL) : hr;
}

void events_add(struct store *store, int level, HRESULT code, const VSS_ID *object_id,
                const char *text)
{
    if (!store || FAILED(sql_write_begin(store, NULL))) {
        return;
    }
    HRESULT hr = add(store, level, code, object_id, text);
    (void)sql_write_end(store, hr, NULL);
}

static HRESULT read_event(struct sql_statement *s, struct event_record **events, size_t *count,
                          struct error *err)
{
    struct event_record *all = sql_grow(*events, *count, sizeof(*all));
    if (!all) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while reading events");
    }
    *events = all;
    struct event_record *event = &all[*count];
    *event = (struct event_record){0};
    (*count)++;
    event->when = sql_get_int(s);
    event->level = sql_get_int32(s);
    event->code = sql_get_int32(s);
    sql_get_id(s, &event->object_id);
    sql_get_text(s, &event->text);
    return sql_row_check(s, "events", &event->object_id, err);
}

HRESULT events_load(struct store *store, size_t limit, struct event_record **out, size_t *out_count,
                    struct error *err)
{
    struct event_record *events = NULL;
    size_t count = 0;
    *out = NULL;
    *out_count = 0;
    struct sql_statement s;
    HRESULT hr = sql_use(store, load_text, &s, err);
    if (FAILED(hr)) {
        return hr;
    }
    sql_add_int(&s, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
    hr = sql_next(&s, err);
    while (hr == S_OK) {
        hr = read_event(&s, &events, &count, err);
        if (SUCCEEDED(hr)) {
            hr = sql_next(&s, err);
        }
    }
    sql_end(&s);
    if (FAILED(hr)) {
        events_free_all(events, count);
        return hr;
    }
    *out = events;
    *out_count = count;
    return S_OK;
}

void events_free_all(struct event_record *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(events[i].text);
    }
    free(events);
}
