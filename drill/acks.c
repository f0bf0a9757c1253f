/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/acks.h"

#include "common/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define ACKS_MAGIC 0x31534b4341444e55ull

struct head {
    uint64_t magic;
    uint64_t entry_bytes;
    uint64_t first_record;
    uint64_t capacity;
    _Atomic uint64_t count; /* raised after the entry is complete */
    uint64_t reserved[3];
};

struct acks {
    struct head *head;
    struct ack *entries;
    size_t mapped_bytes;
    char *path;
};

static uint32_t check_of(const struct ack *ack)
{
    struct ack copy = *ack;
    copy.check = 0;
    return (uint32_t)XXH3_64bits(&copy, sizeof(copy));
}

static HRESULT map(const char *path, int fd, size_t bytes, int protection, struct acks **out,
                   struct error *err)
{
    struct acks *acks = calloc(1, sizeof(*acks));
    char *copy = text_copy(path);
    if (!acks || !copy) {
        free(acks);
        free(copy);
        return error_set(err, E_OUTOFMEMORY, "out of memory for the log %s", path);
    }
    void *at = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        HRESULT hr = error_set_errno(err, errno, "cannot map the log %s", path);
        free(acks);
        free(copy);
        return hr;
    }
    acks->head = at;
    acks->entries = (struct ack *)(acks->head + 1);
    acks->mapped_bytes = bytes;
    acks->path = copy;
    *out = acks;
    return S_OK;
}

HRESULT acks_create(const char *path, uint64_t first_record, uint64_t capacity, struct acks **out,
                    struct error *err)
{
    *out = NULL;
    size_t bytes = sizeof(struct head) + capacity * sizeof(struct ack);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot make the log %s", path);
    }
    HRESULT hr = S_OK;
    if (ftruncate(fd, (off_t)bytes) != 0) {
        hr = error_set_errno(err, errno, "cannot size the log %s", path);
    }
    if (SUCCEEDED(hr)) {
        hr = map(path, fd, bytes, PROT_READ | PROT_WRITE, out, err);
    }
    (void)close(fd);
    if (SUCCEEDED(hr)) {
        struct head *h = (*out)->head;
        h->entry_bytes = sizeof(struct ack);
        h->first_record = first_record;
        h->capacity = capacity;
        h->magic = ACKS_MAGIC;
    }
    return hr;
}

static bool is_sane(const struct acks *acks)
{
    const struct head *h = acks->head;
    size_t room = (acks->mapped_bytes - sizeof(*h)) / sizeof(struct ack);
    return h->magic == ACKS_MAGIC && h->entry_bytes == sizeof(struct ack) && h->capacity <= room &&
           atomic_load(&h->count) <= h->capacity;
}

HRESULT acks_open(const char *path, struct acks **out, struct error *err)
{
    *out = NULL;
    struct stat status = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot open the log %s", path);
    }
    HRESULT hr = S_OK;
    if (fstat(fd, &status) != 0 || (size_t)status.st_size < sizeof(struct head)) {
        hr = error_set(err, VSS_E_UNEXPECTED, "%s is not a workload's log", path);
    }
    if (SUCCEEDED(hr)) {
        hr = map(path, fd, (size_t)status.st_size, PROT_READ, out, err);
    }
    (void)close(fd);
    if (SUCCEEDED(hr) && !is_sane(*out)) {
        acks_close(*out);
        *out = NULL;
        hr = error_set(err, VSS_E_UNEXPECTED, "%s is not a workload's log", path);
    }
    return hr;
}

void acks_close(struct acks *acks)
{
    if (!acks) {
        return;
    }
    (void)munmap(acks->head, acks->mapped_bytes);
    free(acks->path);
    free(acks);
}

HRESULT acks_append(struct acks *acks, const struct ack *ack, struct error *err)
{
    uint64_t count = atomic_load_explicit(&acks->head->count, memory_order_relaxed);
    if (count >= acks->head->capacity) {
        return error_set(err, VSS_E_INSUFFICIENT_STORAGE,
                         "the log %s is full (%" PRIu64 " entries)", acks->path, count);
    }
    acks->entries[count] = *ack;
    acks->entries[count].check = check_of(ack);
    atomic_store_explicit(&acks->head->count, count + 1, memory_order_release);
    return S_OK;
}

uint64_t acks_first_record(const struct acks *acks)
{
    return acks->head->first_record;
}

uint64_t acks_count(const struct acks *acks)
{
    uint64_t count = atomic_load_explicit(&acks->head->count, memory_order_acquire);
    return count < acks->head->capacity ? count : acks->head->capacity;
}

const struct ack *acks_at(const struct acks *acks, uint64_t index)
{
    return &acks->entries[index];
}

HRESULT acks_verify(const struct acks *acks, struct error *err)
{
    uint64_t count = acks_count(acks);
    for (uint64_t i = 0; i < count; i++) {
        if (acks->entries[i].check != check_of(&acks->entries[i])) {
            return error_set(err, VSS_E_UNEXPECTED, "entry %" PRIu64 " of the log %s is damaged", i,
                             acks->path);
        }
    }
    return S_OK;
}
