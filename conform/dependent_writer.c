/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/dependent_writer.h"

#include "common/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LUNS       2
#define RECORD_LBA 16u
#define WAIT_MS    10000u

struct dependent_writer {
    pthread_t thread;
    bool is_running;
    struct lun *luns[LUNS];
    atomic_bool must_stop;
    atomic_bool has_ended;
    _Atomic uint64_t written[LUNS];
    struct error err; /* of the thread, once it has ended */
    bool has_failed;
};

static void *write_records(void *argument)
{
    struct dependent_writer *w = argument;
    uint8_t *block = calloc(1, w->luns[0]->block.block_bytes);
    HRESULT hr = block ? S_OK : error_set(&w->err, E_OUTOFMEMORY, "out of memory");
    for (uint64_t record = 1; SUCCEEDED(hr) && !atomic_load(&w->must_stop); record++) {
        memcpy(block, &record, sizeof(record));
        for (size_t i = 0; SUCCEEDED(hr) && i < LUNS; i++) {
            hr = block_write(&w->luns[i]->block, RECORD_LBA, 1, block, &w->err);
            if (SUCCEEDED(hr)) {
                atomic_store(&w->written[i], record);
            }
        }
    }
    free(block);
    w->has_failed = FAILED(hr);
    atomic_store(&w->has_ended, true);
    return NULL;
}

struct dependent_writer *dependent_writer_start(struct conform *c)
{
    struct dependent_writer *w = calloc(1, sizeof(*w));
    if (!w) {
        conform_fail(c, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < LUNS; i++) {
        w->luns[i] = scratch_open(c, i, false);
    }
    int rc = w->luns[0] && w->luns[1] ? pthread_create(&w->thread, NULL, write_records, w) : -1;
    w->is_running = rc == 0;
    if (rc > 0) {
        conform_fail(c, "no thread for the writer: error %d", rc);
    }
    if (rc != 0) {
        dependent_writer_stop(c, w);
        return NULL;
    }
    return w;
}

bool dependent_writer_wait(struct conform *c, struct dependent_writer *writer, uint64_t records)
{
    uint64_t end_us = clock_monotonic_us() + WAIT_MS * 1000ull;
    uint64_t wanted = atomic_load(&writer->written[0]) + records;
    while (atomic_load(&writer->written[LUNS - 1]) < wanted) {
        if (atomic_load(&writer->has_ended)) {
            return false; /* dependent_writer_stop() says why */
        }
        if (clock_monotonic_us() > end_us) {
            conform_fail(c, "the scratch LUNs take no writes");
            return false;
        }
        clock_sleep_ms(1);
    }
    return true;
}

void dependent_writer_look(struct dependent_writer *writer, uint64_t written[2])
{
    for (size_t i = 0; i < LUNS; i++) {
        written[i] = atomic_load(&writer->written[i]);
    }
}

void dependent_writer_stop(struct conform *c, struct dependent_writer *writer)
{
    if (!writer) {
        return;
    }
    atomic_store(&writer->must_stop, true);
    if (writer->is_running) {
        (void)pthread_join(writer->thread, NULL);
    }
    if (writer->has_failed) {
        conform_fail(c, "a write to a scratch LUN failed: %s", error_text(&writer->err));
    }
    for (size_t i = 0; i < LUNS; i++) {
        lun_close(writer->luns[i]);
        (void)conform_digest(c, c->scratch[i].url, &c->scratch[i].digest);
    }
    free(writer);
}

bool dependent_writer_read(struct conform *c, const char *url, uint64_t *out)
{
    struct error err = {0};
    struct lun *lun = NULL;
    HRESULT hr = lun_open(url, &c->env.lun, true, &lun, &err);
    uint8_t *block = SUCCEEDED(hr) ? malloc(lun->block.block_bytes) : NULL;
    if (SUCCEEDED(hr)) {
        hr = block ? block_read(&lun->block, RECORD_LBA, 1, block, &err) : E_OUTOFMEMORY;
    }
    if (SUCCEEDED(hr)) {
        memcpy(out, block, sizeof(*out));
    } else {
        conform_fail(c, "%s cannot be read: %s", url, error_text(&err));
    }
    free(block);
    lun_close(lun);
    return SUCCEEDED(hr);
}
