/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/postgresql_internal.h"

#include "common/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LUN_BYTES   ((uint64_t)512 << 20) /* XFS takes no less than 300 MiB */
#define ROWS_WANTED 200u                  /* before the set is begun, and after it */
#define ROWS_WAIT_S 60u

/* ---- rows ---- */

/* Until that many rows more are acknowledged. */
static HRESULT await_rows(struct pg_drill *p, uint64_t more, struct error *err)
{
    uint64_t wanted = load_acknowledged(p->load) + more;
    uint64_t most = clock_monotonic_us() + (uint64_t)ROWS_WAIT_S * 1000000;
    while (load_acknowledged(p->load) < wanted) {
        if (drill_was_stopped(&p->base)) {
            return error_set(err, E_ABORT, "the drill was stopped");
        }
        if (clock_monotonic_us() > most) {
            return error_set(err, VSS_E_UNEXPECTED, "the load stands still: %" PRIu64 " rows",
                             load_acknowledged(p->load));
        }
        clock_sleep_ms(20);
    }
    return S_OK;
}

struct rows {
    uint32_t last;
    uint32_t count;
};

/* What the table has of a session. A table that is gone is a failure. */
static HRESULT read_rows(const struct pg_drill *p, size_t session, struct rows *out,
                         struct error *err)
{
    char statement[128];
    char *answer = NULL;
    (void)snprintf(statement, sizeof(statement),
                   "SELECT coalesce(max(n), 0), count(*) FROM ledger WHERE session = %zu",
                   session + 1);
    HRESULT hr = pg_server_ask(&p->server, statement, &answer, err);
    if (SUCCEEDED(hr) && sscanf(answer, "%" SCNu32 "|%" SCNu32, &out->last, &out->count) != 2) {
        hr = error_set(err, VSS_E_UNEXPECTED, "\"%.80s\" instead of two numbers", answer);
    }
    free(answer);
    return hr;
}

/* All rows of a session that were acknowledged before the first moment, none that was sent after
 * the second, and no gap. */
static bool rows_held(const struct pg_drill *p, size_t session, const struct rows *rows,
                      uint64_t from_us, uint64_t to_us)
{
    return rows->count == rows->last &&
           rows->last >= load_acknowledged_before(p->load, session, from_us) &&
           rows->last <= load_sent_before(p->load, session, to_us);
}

static HRESULT check_rows(struct pg_drill *p, const char *name, uint64_t from_us, uint64_t to_us,
                          struct error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < LOAD_SESSIONS; i++) {
        struct rows rows = {0};
        HRESULT hr = read_rows(p, i, &rows, err);
        if (FAILED(hr)) {
            return hr;
        }
        total += rows.count;
        (void)report_check(p->base.report, name, rows_held(p, i, &rows, from_us, to_us),
                           "session %zu: %u rows up to %u; must be there: %u; may be: %u", i + 1,
                           rows.count, rows.last, load_acknowledged_before(p->load, i, from_us),
                           load_sent_before(p->load, i, to_us));
    }
    report_note(p->base.report, "%s: %" PRIu64, name, total);
    return S_OK;
}

/* ---- the phases ---- */

static HRESULT phase_make(struct pg_drill *p, struct error *err)
{
    HRESULT hr = pg_volumes_make(p, err);
    if (SUCCEEDED(hr)) {
        hr = pg_server_make(p, err);
    }
    if (SUCCEEDED(hr)) {
        hr = pg_server_add_writer(p, err);
    }
    char *version = NULL;
    if (SUCCEEDED(hr)) {
        hr = pg_server_ask(&p->server, "SHOW server_version", &version, err);
    }
    if (SUCCEEDED(hr)) {
        report_note(p->base.report, "PostgreSQL %s, data on %s, WAL on %s, copies are %s", version,
                    p->volumes[PG_DATA].url, p->volumes[PG_WAL].url,
                    p->base.lab->has_reflink ? "clones" : "full copies, not clones");
    }
    free(version);
    return hr;
}

static HRESULT phase_copy(struct pg_drill *p, struct error *err)
{
    const char *psql[16];
    uint32_t seconds = p->base.options->seconds ? p->base.options->seconds : 3;
    pg_server_psql(&p->server, psql);
    HRESULT hr = load_start(psql, &p->load, err);
    uint64_t started_us = clock_monotonic_us();
    while (SUCCEEDED(hr) && clock_monotonic_us() - started_us < (uint64_t)seconds * 1000000 &&
           !drill_was_stopped(&p->base)) {
        clock_sleep_ms(50);
    }
    if (SUCCEEDED(hr)) {
        hr = await_rows(p, ROWS_WANTED, err);
    }
    if (SUCCEEDED(hr)) {
        hr = pg_create(p, err);
    }
    if (SUCCEEDED(hr)) {
        hr = await_rows(p, ROWS_WANTED, err);
    }
    uint64_t us = clock_monotonic_us() - started_us;
    if (SUCCEEDED(hr)) {
        hr = load_stop(p->load, err);
    }
    if (SUCCEEDED(hr)) {
        report_figure(p->base.report, "commits_per_second", "commits under the load",
                      load_acknowledged(p->load) * 1000000 / us, "/s");
    }
    return hr;
}

/* The proof of the end, made here: of what the server has now, and, to see it fail, as if the cut
 * had been before the load; and then the table is gone. */
static HRESULT phase_lose(struct pg_drill *p, struct error *err)
{
    struct rows rows = {0};
    struct error gone = {0};
    HRESULT hr = check_rows(p, "rows before the loss", UINT64_MAX, UINT64_MAX, err);
    if (SUCCEEDED(hr)) {
        hr = read_rows(p, 0, &rows, err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(p->base.report, "control: rows sent after the cut are seen",
                           !rows_held(p, 0, &rows, p->before_cut_us, p->after_cut_us),
                           "session 1 has %u rows by now", rows.last);
        hr = pg_server_ask(&p->server, "DROP TABLE ledger; CHECKPOINT", NULL, err);
    }
    if (SUCCEEDED(hr)) {
        bool is_lost = FAILED(read_rows(p, 0, &rows, &gone));
        (void)report_check(p->base.report, "control: the table is lost", is_lost, "%s",
                           error_text(&gone));
    }
    return hr;
}

static HRESULT phase_refused(struct pg_drill *p, struct error *err)
{
    char *one = NULL;
    struct error refused = {0};
    HRESULT code = pg_recover_mounted(p, &refused);
    (void)report_check(p->base.report, "refused while mounted",
                       code == VSS_E_PROVIDER_VETO && strstr(refused.text, p->base.work), "%s",
                       FAILED(code) ? error_text(&refused) : "it was overwritten");
    HRESULT hr = pg_server_ask(&p->server, "SELECT 1", &one, err);
    (void)report_check(p->base.report, "the server did not notice", one && strcmp(one, "1") == 0,
                       "after the refusal");
    free(one);
    return hr;
}

static HRESULT phase_recover(struct pg_drill *p, struct error *err)
{
    HRESULT hr = pg_recover(p, err);
    if (SUCCEEDED(hr)) {
        report_figure(p->base.report, "recover_set_ms", "RecoverSet", p->recovery_us / 1000, "ms");
        uint64_t down_us = clock_monotonic_us() - p->down_since_us - p->check_us;
        report_figure(p->base.report, "down_ms", "PreRestore to PostRestore, the server is down",
                      down_us / 1000, "ms");
        report_figure(p->base.report, "check_ms", "reading the LUNs beside it", p->check_us / 1000,
                      "ms");
    }
    return hr;
}

static HRESULT phase_prove(struct pg_drill *p, struct error *err)
{
    struct error why = {0};
    HRESULT hr = check_rows(p, "rows of the cut", p->before_cut_us, p->after_cut_us, err);
    if (SUCCEEDED(hr)) {
        HRESULT code = pg_server_amcheck(&p->server, &why);
        (void)report_check(p->base.report, "pg_amcheck", SUCCEEDED(code), "%s",
                           FAILED(code) ? error_text(&why) : "heap and indexes agree");
        hr = pg_server_ask(&p->server, "INSERT INTO ledger VALUES (0, 1, ''); CHECKPOINT", NULL,
                           err);
    }
    if (SUCCEEDED(hr)) {
        (void)report_check(p->base.report, "it takes new rows", true, "one more");
    }
    return hr;
}

static HRESULT phase_end(struct pg_drill *p, struct error *err)
{
    HRESULT hr = pg_delete(p, err);
    (void)report_check(p->base.report, "the copies are deleted", SUCCEEDED(hr), "%d", PG_VOLUMES);
    return hr;
}

static void run_phases(struct pg_drill *p)
{
    static const struct {
        const char *name;
        HRESULT (*run)(struct pg_drill *p, struct error *err);
    } phases[] = {
        {"make the database", phase_make},
        {"shadow-copy it under load", phase_copy},
        {"lose a table", phase_lose},
        {"recover while mounted", phase_refused},
        {"recover", phase_recover},
        {"prove", phase_prove},
        {"delete", phase_end},
    };
    const char *failed = NULL;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        struct error err = {0};
        if (drill_phase_begins(&p->base, phases[i].name, &failed) &&
            FAILED(phases[i].run(p, &err))) {
            drill_phase_failed(&p->base, phases[i].name, &err, &failed);
        }
    }
    report_end(p->base.report);
}

/* ---- the order ---- */

/* However far it came. */
static void clean_up(struct pg_drill *p)
{
    struct error err = {0};
    load_free(p->load);
    pg_server_kill(p);
    if (FAILED(pg_volumes_unmount(p, &err))) {
        report_leftover(p->base.report, "a filesystem of the drill (%s)", error_text(&err));
    }
    setup_end(&p->base);
    pg_server_free(&p->server);
    pg_volumes_free(p);
    vss_free_string(p->xml);
}

static HRESULT prepare(struct pg_drill *p, struct error *err)
{
    struct drill *d = &p->base;
    d->lun_bytes = d->options->lun_bytes ? d->options->lun_bytes : LUN_BYTES;
    if (d->lun_bytes < LUN_BYTES) {
        return error_set(err, E_INVALIDARG, "a database's LUNs are of 512 MiB at the least");
    }
    HRESULT hr = pg_server_find(&p->server, err);
    if (SUCCEEDED(hr)) {
        hr = setup_array(d, PG_VOLUMES, err);
    }
    if (SUCCEEDED(hr) && chmod(d->work, 0711) != 0) { /* the server's user passes through */
        hr = error_set(err, VSS_E_UNEXPECTED, "cannot open %s to the server", d->work);
    }
    return hr;
}

static enum drill_result run(struct pg_drill *p, struct error *err)
{
    char *directory = NULL;
    enum drill_result result = DRILL_DID_NOT_RUN;
    HRESULT hr = drill_reports_directory(p->base.options, &directory, err);
    if (SUCCEEDED(hr)) {
        hr = prepare(p, err);
    }
    if (SUCCEEDED(hr)) {
        p->base.is_set_up = true;
        run_phases(p);
    }
    clean_up(p);
    if (SUCCEEDED(hr)) {
        result = drill_publish(p->base.options, p->base.report, &p->base.id, directory, err);
    } else if (report_count(p->base.report).leftovers) {
        report_print(p->base.report, p->base.options->out);
    }
    free(directory);
    return result;
}

enum drill_result drill_postgresql_run(const struct drill_options *options, struct error *err)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before;
    struct pg_drill *p = calloc(1, sizeof(*p));
    struct report *report = report_new(options->json ? NULL : options->out);
    enum drill_result result = DRILL_DID_NOT_RUN;
    if (p && report) {
        (void)sigaction(SIGPIPE, &ignore, &before);
        p->base = (struct drill){.options = options, .report = report};
        result = run(p, err);
        (void)sigaction(SIGPIPE, &before, NULL);
    } else {
        (void)error_set(err, E_OUTOFMEMORY, "out of memory for the drill");
    }
    report_free(report);
    free(p);
    return result;
}
