/* SPDX-License-Identifier: Apache-2.0 */
/* The copies of a trial as this host finds them: where they are, what is on them, who may write. */
#include "conform/trial.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_LBA 8u

/* Of nothing that was there before the set is more asked than its identity. */
static const char *find_copy(const struct trial *t, const struct visible *visible, uint32_t i)
{
    const struct vss_lun_info *copy = &t->luns[i].destination;
    const struct scan_lun *found = visible_find(visible, copy, NULL);
    if (found && conform_was_there(t->c, copy)) {
        conform_fail(t->c, "what is said to be the copy of %s is %s, which was there before",
                     t->luns[i].device, found->url);
        found = NULL;
    }
    return found ? found->url : NULL;
}

void trial_look(struct trial *t)
{
    struct visible visible;
    trial_forget_urls(t);
    if (conform_skip_offline(t->c, CONFORM_LOOKS)) {
        return;
    }
    (void)conform_scan(t->c, &visible);
    for (uint32_t i = 0; i < t->lun_count; i++) {
        const char *url = find_copy(t, &visible, i);
        t->urls[i] = url ? text_copy(url) : NULL;
    }
    visible_free(&visible);
}

bool trial_expect_visible(struct trial *t)
{
    bool all = true;
    trial_look(t);
    for (size_t i = 0; i < t->lun_count; i++) {
        if (!t->urls[i]) {
            char key[LUN_KEY_BYTES];
            conform_fail_op(t->c, VSS_OP_LOCATE_LUNS,
                            "LocateLuns: the copy of %s (%s) is on no configured portal",
                            t->luns[i].device, lun_info_key(&t->luns[i].destination, key));
            all = false;
        }
    }
    return all;
}

static bool expect_invisible(struct trial *t, uint32_t first, uint32_t count, const char *when)
{
    bool none = true;
    trial_look(t);
    for (uint32_t i = first; i < first + count; i++) {
        if (t->urls[i]) {
            conform_fail(t->c, "the copy of %s is visible %s: %s", t->luns[i].device, when,
                         t->urls[i]);
            none = false;
        }
    }
    return none;
}

bool trial_expect_invisible(struct trial *t, const char *when)
{
    return expect_invisible(t, 0, t->lun_count, when);
}

void trial_expect_gone(struct trial *t, uint32_t first, uint32_t count, const char *when)
{
    struct error err = {0};
    enum vss_provider_op op =
        t->stage < TRIAL_COMMITTED ? VSS_OP_COMMIT_SNAPSHOTS : VSS_OP_LOCATE_LUNS;
    if (expect_invisible(t, first, count, when) &&
        SUCCEEDED(trial_call(t, op, first, count, &err))) {
        conform_fail(t->c, "%s still finds the copies %s", provider_op_name(op), when);
    }
}

bool trial_expect_content(struct trial *t, uint32_t i, uint64_t digest, const char *what)
{
    uint64_t found = 0;
    if (!t->urls[i] || !conform_digest(t->c, t->urls[i], &found)) {
        return false;
    }
    if (found != digest) {
        conform_fail(t->c, "the copy of %s (%s) is not %s: content %016llx instead of %016llx",
                     t->luns[i].device, t->urls[i], what, (unsigned long long)found,
                     (unsigned long long)digest);
    }
    return found == digest;
}

HRESULT trial_open_copy(struct trial *t, uint32_t i, bool read_only, struct lun **out,
                        struct error *err)
{
    HRESULT hr = lun_open(t->urls[i], &t->c->env.lun, read_only, out, err);
    if (SUCCEEDED(hr) &&
        lun_info_compare(&t->luns[i].destination, &(*out)->identity.info) != LUN_SAME) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is not the copy any more", (*out)->url);
        lun_close(*out);
        *out = NULL;
    }
    return hr;
}

enum access { READ, WRITE };

/* One block of the copy, in a session of its own. */
static HRESULT reach_copy(struct trial *t, uint32_t i, uint64_t lba, enum access access,
                          uint8_t *block, struct error *err)
{
    struct lun *lun = NULL;
    HRESULT hr = trial_open_copy(t, i, access == READ, &lun, err);
    if (SUCCEEDED(hr) && lun->block.block_bytes != t->c->scratch[i].block_bytes) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has blocks of another size", lun->url);
    }
    if (SUCCEEDED(hr)) {
        hr = access == READ ? block_read(&lun->block, lba, 1, block, err)
                            : block_write(&lun->block, lba, 1, block, err);
    }
    if (SUCCEEDED(hr) && access == WRITE) {
        hr = block_flush(&lun->block, err);
    }
    lun_close(lun);
    return hr;
}

static void invert(const struct trial *t, uint32_t i, uint8_t *block)
{
    for (uint32_t n = 0; n < t->c->scratch[i].block_bytes; n++) {
        block[n] = (uint8_t)~block[n];
    }
}

bool trial_invert_block(struct trial *t, uint32_t i, uint64_t lba)
{
    struct error err = {0};
    uint8_t *block = malloc(t->c->scratch[i].block_bytes);
    HRESULT hr = block ? reach_copy(t, i, lba, READ, block, &err)
                       : error_set(&err, E_OUTOFMEMORY, "out of memory");
    if (SUCCEEDED(hr)) {
        invert(t, i, block);
        hr = reach_copy(t, i, lba, WRITE, block, &err);
    }
    if (FAILED(hr)) {
        conform_fail(t->c, "%s cannot be written: %s", t->urls[i], error_text(&err));
    }
    free(block);
    return SUCCEEDED(hr);
}

/* Inverts the block, looks whether that was kept, and puts it back. A failure: it could not be read
 * or not put back. *out_refusal: what the write itself came to. */
static HRESULT try_write(struct trial *t, uint32_t i, bool *out_is_kept, struct error *out_refusal,
                         struct error *err)
{
    uint32_t bytes = t->c->scratch[i].block_bytes;
    uint8_t *block = malloc(bytes);
    uint8_t *found = malloc(bytes);
    *out_is_kept = false;
    HRESULT hr = block && found ? reach_copy(t, i, WRITE_LBA, READ, block, err)
                                : error_set(err, E_OUTOFMEMORY, "out of memory");
    if (SUCCEEDED(hr)) {
        invert(t, i, block);
        HRESULT written = reach_copy(t, i, WRITE_LBA, WRITE, block, out_refusal);
        hr = reach_copy(t, i, WRITE_LBA, READ, found, err);
        *out_is_kept = SUCCEEDED(hr) && SUCCEEDED(written) && memcmp(block, found, bytes) == 0;
    }
    if (*out_is_kept) {
        invert(t, i, block);
        hr = reach_copy(t, i, WRITE_LBA, WRITE, block, err);
    }
    free(found);
    free(block);
    return hr;
}

/* A LUN without its original's content is none of the copies, whatever its identity. */
void trial_expect_writable(struct trial *t, uint32_t i, bool is_writable, const char *when)
{
    struct error refusal = {0};
    struct error err = {0};
    bool is_kept = false;
    if (!t->urls[i]) {
        conform_fail(t->c, "the copy of %s is not visible %s", t->luns[i].device, when);
        return;
    }
    if (!trial_expect_content(t, i, t->c->scratch[i].digest, "its original's: it is not written")) {
        return;
    }
    if (FAILED(try_write(t, i, &is_kept, &refusal, &err))) {
        conform_fail(t->c, "%s was tried to be written %s: %s", t->urls[i], when, error_text(&err));
    } else if (is_writable && !is_kept) {
        conform_fail(t->c, "%s cannot be written %s: %s", t->urls[i], when,
                     refusal.text[0] ? error_text(&refusal) : "what was written is not there");
    } else if (!is_writable && is_kept) {
        conform_fail(t->c, "%s can be written %s", t->urls[i], when);
    }
}
