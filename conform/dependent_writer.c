/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/dependent_writer.h"

#include "common/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LUNS       2
#define RECORD_LBA 16u

struct dependent_writer {
    pthread_t thread;
    bool is_running;
    struct lun *luns[LUNS];
    atomic_bool must_stop;
    _Atomic uint64_t written[LUNS];
};

static void *write_records(void *argument)
{
    struct dependent_writer *w = argument;
    uint8_t *block = calloc(1, w->luns[0]->block.block_bytes);
    HRESULT hr = block ? S_OK : E_OUTOFMEMORY;
    for (uint64_t record = 1; SUCCEEDED(hr) && !atomic_load(&w->must_stop); record++) {
        memcpy(block, &record, sizeof(record));
        for (size_t i = 0; SUCCEEDED(hr) && i < LUNS; i++) {
            hr = block_write(&w->luns[i]->block, RECORD_LBA, 1, block, NULL);
            if (SUCCEEDED(hr)) {
                atomic_store(&w->written[i], record);
            }
        }
    }
    free(block);
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
    c->rewrites = true;
    w->is_running =
        w->luns[0] && w->luns[1] && pthread_create(&w->thread, NULL, write_records, w) == 0;
    if (!w->is_running) {
        (void)dependent_writer_stop(c, w);
        return NULL;
    }
    return w;
}

bool dependent_writer_wait(struct dependent_writer *writer, uint64_t records, uint32_t timeout_ms)
{
    uint64_t end_us = clock_monotonic_us() + timeout_ms * 1000ull;
    while (atomic_load(&writer->written[LUNS - 1]) < records) {
        if (clock_monotonic_us() > end_us) {
            return false;
        }
        clock_sleep_ms(1);
    }
    return true;
}

uint64_t dependent_writer_stop(struct conform *c, struct dependent_writer *writer)
{
    if (!writer) {
        return 0;
    }
    atomic_store(&writer->must_stop, true);
    if (writer->is_running) {
        (void)pthread_join(writer->thread, NULL);
    }
    for (size_t i = 0; i < LUNS; i++) {
        lun_close(writer->luns[i]);
        (void)conform_digest(c, c->scratch[i].url, &c->scratch[i].digest);
    }
    uint64_t written = atomic_load(&writer->written[0]);
    free(writer);
    return written;
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
