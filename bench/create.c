/* SPDX-License-Identifier: Apache-2.0 */
/* A set, whole, beside a shell script that makes a target with the same LUNs. */
#include "bench/bench.h"

#include "common/buffer.h"
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define LUNS_MOST   64
#define SMALL_BYTES (16ull << 20)
#define PEER_TID    900

/* Copies, shown under ids of their own; no point in time, no labels, no record. */
static char *peer_script(const struct place *place, size_t count)
{
    return text_printf("set -e\n"
                       "PATH=$PATH:/usr/sbin:/sbin; export TGT_IPC_SOCKET='%s'\n"
                       "cd '%s'\n"
                       "t='tgtadm -C %u --lld iscsi'\n"
                       "$t --op new --mode target --tid %d -T iqn.2026-11.lunshadow.bench:peer\n"
                       "i=1\n"
                       "while [ $i -le %zu ]; do\n"
                       "  cp --reflink=always disk$i.img peer$i.img\n"
                       "  $t --op new --mode logicalunit --tid %d --lun $i -b \"$PWD/peer$i.img\"\n"
                       "  $t --op update --mode logicalunit --tid %d --lun $i --params "
                       "scsi_id=$(printf '6001405%%025x' $i),scsi_sn=PEER$i\n"
                       "  i=$((i + 1))\n"
                       "done\n"
                       "$t --op bind --mode target --tid %d -Q " PLACE_INITIATOR "\n",
                       place->lab->socket, place->lab->disks, place->lab->control_port, PEER_TID,
                       count, PEER_TID, PEER_TID, PEER_TID);
}

static char *undo_script(const struct place *place)
{
    return text_printf("set -e\n"
                       "PATH=$PATH:/usr/sbin:/sbin; export TGT_IPC_SOCKET='%s'\n"
                       "tgtadm -C %u --lld iscsi --op delete --mode target --tid %d --force\n"
                       "rm -f '%s'/peer*.img\n",
                       place->lab->socket, place->lab->control_port, PEER_TID, place->lab->disks);
}

static HRESULT run_script(char *script, double *out_us, struct error *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    HRESULT hr = script ? child_time(argv, NULL, out_us, err)
                        : error_set(err, E_OUTOFMEMORY, "no memory for a script");
    free(script);
    return hr;
}

static HRESULT peer_once(const struct place *place, size_t count, struct samples *out,
                         struct error *err)
{
    double us = 0;
    double unused = 0;
    HRESULT hr = run_script(peer_script(place, count), &us, err);
    samples_add(out, us);
    HRESULT undone = run_script(undo_script(place), &unused, SUCCEEDED(hr) ? err : NULL);
    return FAILED(hr) ? hr : undone;
}

/* From opening configuration, registry and plug-in to closing them, as the command does. */
static HRESULT ours_once(struct place *place, uint32_t context, size_t count, struct samples *out,
                         struct error *err)
{
    struct set_record set;
    set_environment_close(place->env);
    place->env = NULL;
    uint64_t started = clock_monotonic_us();
    HRESULT hr = set_environment_open(place->config, place->state, &place->env, err);
    if (SUCCEEDED(hr)) {
        hr = place_create(place, context, count, &set, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    set_environment_close(place->env);
    place->env = NULL;
    samples_add(out, (double)(clock_monotonic_us() - started));
    hr = set_environment_open(place->config, place->state, &place->env, err);
    if (FAILED(hr)) {
        set_record_free(&set);
        return hr;
    }
    return place_delete(place, &set, err);
}

static HRESULT measure(const struct bench *bench, struct place *place, size_t count,
                       const char *limit, struct error *err)
{
    static const uint32_t shown = (uint32_t)VSS_CTX_APP_ROLLBACK;
    static const uint32_t kept = (uint32_t)VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE;
    struct samples with_import = {.count = 0};
    struct samples without = {.count = 0};
    struct samples peer = {.count = 0};
    char what[96];
    HRESULT hr = S_OK;
    progress("create: %zu LUNs", count);
    for (size_t i = 0; SUCCEEDED(hr) && i < bench->pairs; i++) {
        hr = ours_once(place, shown, count, &with_import, err);
        if (SUCCEEDED(hr)) {
            hr = peer_once(place, count, &peer, err);
        }
        if (SUCCEEDED(hr)) {
            hr = ours_once(place, kept, count, &without, err);
        }
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct row row = {.what = what,
                      .ours = &with_import,
                      .peer_name = "shell script: cp --reflink, tgtadm",
                      .peer = &peer,
                      .limit = limit};
    (void)snprintf(what, sizeof(what), "create %zu, shown with labels of their own", count);
    table_row(&row);
    (void)snprintf(what, sizeof(what), "create %zu, transportable (copies, not shown yet)", count);
    row.ours = &without;
    table_row(&row);
    return S_OK;
}

HRESULT bench_create(const struct bench *bench, struct error *err)
{
    static const size_t counts[] = {1, 8, LUNS_MOST};
    struct place *place = NULL;
    struct limits limits;
    struct place_options options = {.luns = LUNS_MOST,
                                    .lun_bytes = SMALL_BYTES,
                                    .written_bytes = SMALL_BYTES,
                                    .has_label = true};
    table_head("Create: a set of copies, whole");
    HRESULT hr = place_open(&options, &place, err);
    if (SUCCEEDED(hr)) {
        hr = limits_measure(place, &limits, err);
    }
    for (size_t i = 0; SUCCEEDED(hr) && i < 3; i++) {
        char limit[128];
        char least[DURATION_BYTES];
        double calls = 2.0 + 2.0 * (double)counts[i];
        (void)snprintf(limit, sizeof(limit), "%.0f tgtadm calls at the least: %s", calls,
                       duration_text(calls * samples_median(&limits.tgtadm_us), least));
        hr = measure(bench, place, counts[i], limit, err);
    }
    place_close(place);
    return hr;
}
