/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include "identity.h"
#include "original.h"

#include <fcntl.h>
#include <string.h>

HRESULT tgt_on_load(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    struct vss_on_load_out *o = out;
    struct tgt t;
    o->self = NULL; /* nothing is kept between calls */
    return tgt_begin(call, &t);
}

/* Natively, unless the configuration leaves it to the host: resync = emulated. */
static HRESULT read_resync(const struct tgt *t, uint32_t *out)
{
    const char *text = t->call->host->config(t->call, "resync");
    *out = VSS_CAPABILITY_NATIVE;
    if (text && strcmp(text, "emulated") == 0) {
        *out = VSS_CAPABILITY_EMULATED;
    } else if (text && strcmp(text, "native") != 0) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "[array %s] resync = %s is neither native nor emulated", t->call->array,
                        text);
    }
    return S_OK;
}

HRESULT tgt_get_capabilities(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    (void)in;
    struct tgt t;
    HRESULT hr = tgt_begin(call, &t);
    if (FAILED(hr)) {
        return hr;
    }
    struct vss_capabilities_out *o = out;
    hr = read_resync(&t, &o->resync);
    if (FAILED(hr)) {
        return hr;
    }
    o->differential = VSS_CAPABILITY_NATIVE;
    o->plex = VSS_CAPABILITY_NATIVE;
    o->mask = VSS_CAPABILITY_NATIVE;
    o->read_only = VSS_CAPABILITY_NATIVE;
    o->consistent_set = VSS_CAPABILITY_NATIVE;
    o->resize = VSS_CAPABILITY_NATIVE;
    o->max_snapshots_per_lun = 0;
    o->description = tgt_text(&t,
                              "tgt (tgtd, control port %u): backing files cloned where the "
                              "filesystem can, else copied",
                              t.control_port);
    return o->description ? S_OK : E_OUTOFMEMORY;
}

/* S_OK: can be copied now; S_FALSE: cannot. */
static HRESULT check_lun(const struct tgt *t, pid_t pid, const struct tgt_view *view,
                         uint32_t context, const char *device, const struct vss_lun_info *info)
{
    const char *name = tgt_identity_name(t, device, info);
    const struct tgt_lun *lun = NULL;
    HRESULT hr = tgt_identity_find(t, view, info, &lun);
    if (FAILED(hr) || !lun) {
        return FAILED(hr) ? hr : S_FALSE;
    }
    struct tgt_original original;
    hr = tgt_original_open(t, pid, lun, O_RDONLY, name, &original);
    if (FAILED(hr)) {
        return hr;
    }
    enum tgt_mode mode;
    hr = tgt_choose_mode(t, &original, context, name, &mode);
    tgt_original_close(&original);
    return hr;
}

static HRESULT check_all(const struct tgt *t, const struct vss_luns_in *in)
{
    pid_t pid = 0;
    struct tgt_view view;
    HRESULT hr = tgt_daemon_look(t, &pid);
    if (hr == S_OK) {
        hr = tgt_show(t, &view);
    }
    for (uint32_t i = 0; hr == S_OK && i < in->lun_count; i++) {
        hr = check_lun(t, pid, &view, in->context, in->devices ? in->devices[i] : NULL,
                       &in->luns[i]);
    }
    return hr;
}

/* What keeps us from looking keeps us from copying too: "not supported", the reason has been said.
 * Only settings that are wrong and a lack of memory are failures. */
HRESULT tgt_are_luns_supported(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_luns_in *i = in;
    struct vss_supported_out *o = out;
    struct tgt t;
    o->is_supported = 0;
    HRESULT hr = tgt_begin(call, &t);
    if (FAILED(hr)) {
        return hr;
    }
    if (i->lun_count == 0 || !i->luns) {
        return tgt_fail(&t, E_INVALIDARG, "no LUN given");
    }
    if (i->context & VSS_VOLSNAP_ATTR_CLIENT_ACCESSIBLE) {
        return S_OK; /* for system providers only */
    }
    hr = check_all(&t, i);
    o->is_supported = hr == S_OK;
    return hr == E_OUTOFMEMORY ? hr : S_OK;
}

HRESULT tgt_fill_in_lun_info(void *self, const struct vss_call *call, const void *in, void *out)
{
    (void)self;
    const struct vss_luns_in *i = in;
    struct vss_supported_out *o = out;
    struct tgt t;
    o->is_supported = 0;
    HRESULT hr = tgt_begin(call, &t);
    if (FAILED(hr)) {
        return hr;
    }
    if (i->lun_count != 1 || !i->luns) {
        return tgt_fail(&t, E_INVALIDARG, "FillInLunInfo takes one LUN");
    }
    pid_t pid = 0;
    struct tgt_view view;
    const struct tgt_lun *lun = NULL;
    hr = tgt_daemon_look(&t, &pid);
    if (hr == S_OK) {
        hr = tgt_show(&t, &view);
    }
    if (hr == S_OK) {
        hr = tgt_identity_find(&t, &view, i->luns, &lun);
    }
    o->is_supported = lun != NULL;
    return FAILED(hr) ? hr : S_OK; /* without a tgtd no LUN is its */
}
