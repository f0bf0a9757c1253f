/* SPDX-License-Identifier: Apache-2.0 */
#include "set.h"

#include "file.h"
#include "identity.h"

#include <string.h>
#include <strings.h>

const char *tgt_set_name(const struct tgt *t, const struct vss_set_in *in, uint32_t i)
{
    return tgt_identity_name(t, in->luns[i].device, &in->luns[i].source);
}

/* The key that two copies of a set have in common and must not; NULL: none. */
static const char *common_key(const struct tgt_copy_state *a, const struct tgt_copy_state *b)
{
    return a->number == b->number                    ? "number"
           : strcmp(a->file, b->file) == 0           ? "file"
           : strcasecmp(a->scsi_id, b->scsi_id) == 0 ? "scsi_id"
                                                     : NULL;
}

/* One LUN that stands for two copies would change its identity between them. */
static HRESULT check_distinct(const struct tgt *t, const struct vss_set_in *in,
                              const struct tgt_copy_state *states, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        const char *key = common_key(&states[i], &states[index]);
        if (key) {
            return tgt_fail(t, VSS_E_PROVIDER_VETO,
                            "what is remembered of the copies of %s and %s is the same at \"%s\": "
                            "import the document that was saved when the set was made",
                            tgt_set_name(t, in, i), tgt_set_name(t, in, index), key);
        }
    }
    return S_OK;
}

HRESULT tgt_set_read(const struct tgt *t, const struct vss_set_in *in,
                     struct tgt_copy_state **out_states)
{
    *out_states = NULL;
    if (in->lun_count == 0 || !in->luns) {
        return tgt_fail(t, E_INVALIDARG, "a set without LUNs");
    }
    struct tgt_copy_state *states = tgt_alloc(t, in->lun_count * sizeof(*states));
    if (!states) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < in->lun_count; i++) {
        HRESULT hr =
            tgt_state_read(t, &in->luns[i].state, &in->set_id, tgt_set_name(t, in, i), &states[i]);
        if (SUCCEEDED(hr)) {
            hr = check_distinct(t, in, states, i);
        }
        if (FAILED(hr)) {
            return hr;
        }
    }
    *out_states = states;
    return S_OK;
}

HRESULT tgt_set_write(const struct tgt *t, const struct tgt_copy_state *states, uint32_t count,
                      struct vss_states_out *out)
{
    struct vss_state *texts = tgt_alloc(t, count * sizeof(*texts));
    if (!texts) {
        return E_OUTOFMEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        HRESULT hr = tgt_state_write(t, &states[i], &texts[i]);
        if (FAILED(hr)) {
            return hr;
        }
    }
    out->states = texts;
    return S_OK;
}

HRESULT tgt_set_remove_files(const struct tgt *t, const struct tgt_copy_state *state)
{
    HRESULT hr = tgt_file_remove(t, state->file);
    if (state->cut) {
        HRESULT cut_hr = tgt_file_remove(t, state->cut);
        hr = FAILED(hr) ? hr : cut_hr;
    }
    return hr;
}
