/* SPDX-License-Identifier: Apache-2.0 */
/* A volume, from its name to its LUNs and to the array that copies them. */
#include "provider/set/candidate.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/host_device.h"
#include "lun/volume.h"

#include <stdlib.h>
#include <string.h>

static void free_lun(struct candidate_lun *c)
{
    disk_ids_free(&c->ids);
    label_free(c->label);
    lun_close(c->lun);
}

void candidate_free(struct candidate *c)
{
    for (size_t i = 0; i < c->lun_count; i++) {
        free_lun(&c->luns[i]);
    }
    free(c->luns);
    free(c->text);
    *c = (struct candidate){0};
}

static HRESULT find_extent(struct candidate_lun *c, uint32_t partition, struct error *err)
{
    c->first_lba = 0;
    c->block_count = c->lun->block.block_count;
    if (partition == 0) {
        return S_OK;
    }
    for (size_t i = 0; i < c->label->partition_count; i++) {
        const struct label_partition *p = &c->label->partitions[i];
        if (p->number == partition) {
            c->first_lba = p->first_lba;
            c->block_count = p->last_lba - p->first_lba + 1;
            return S_OK;
        }
    }
    return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has no partition %u; see `lunshadow luns`",
                     c->lun->url, partition);
}

static HRESULT check_identity(const struct candidate_lun *c, struct error *err)
{
    const char *reason = NULL;
    if (!lun_info_is_unique(&c->lun->identity.info, &reason)) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s has no page-83 identity that is its alone (%s); give it one on the "
                         "array (tgtd: scsi_id and scsi_sn)",
                         c->lun->url, reason);
    }
    return S_OK;
}

/* While the set is cut, nothing on its LUNs can be written: our own records must lie elsewhere. */
static HRESULT check_state_directory(const struct set_environment *env,
                                     const struct candidate_lun *c, struct error *err)
{
    char device[HOST_DEVICE_NAME_BYTES];
    HRESULT hr =
        host_device_backs_path("/sys", store_path(env->store), &c->lun->identity.info, device, err);
    if (hr == S_OK) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "the state directory %s lies on %s (%s), which would be held while it is "
                         "copied; set LUNSHADOW_STATE_DIR to a place outside the set",
                         store_path(env->store), c->lun->url, device);
    }
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT read_label(struct candidate_lun *c, struct error *err)
{
    HRESULT hr = label_read(&c->lun->block, LABEL_FULL, &c->label, err);
    if (FAILED(hr)) {
        error_prefix(err, "%s", c->lun->url);
        return hr;
    }
    if (c->label->has_dynamic_disk) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s is a dynamic (LDM) disk, whose identity cannot be reverted",
                         c->lun->url);
    }
    if (c->label->kind == VSS_DISK_LABEL_GPT &&
        !(c->label->primary.is_valid && c->label->backup.is_valid)) {
        const struct label_gpt_header *bad =
            c->label->primary.is_valid ? &c->label->backup : &c->label->primary;
        log_line(LOG_WARNING,
                 "%s: the %s GPT header is damaged (%s); copies get a repaired one, mend the "
                 "original with: sgdisk -e",
                 c->lun->url, bad == &c->label->backup ? "backup" : "primary",
                 bad->reason ? bad->reason : "unreadable");
    }
    return label_ids(c->label, &c->ids);
}

/* One LUN of the volume, opened by its name: that alone carries the user and secret of a URL. */
static HRESULT add_lun(struct set_environment *env, struct candidate *candidate, const char *url,
                       uint32_t partition, struct error *err)
{
    struct candidate_lun *grown =
        realloc(candidate->luns, (candidate->lun_count + 1) * sizeof(*grown));
    if (!grown) {
        return error_set(err, E_OUTOFMEMORY, "out of memory resolving a volume");
    }
    candidate->luns = grown;
    struct candidate_lun *c = &candidate->luns[candidate->lun_count++];
    memset(c, 0, sizeof(*c));
    HRESULT hr = lun_open(url, &env->lun, true, &c->lun, err);
    if (SUCCEEDED(hr)) {
        hr = check_identity(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_state_directory(env, c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_label(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = find_extent(c, partition, err);
    }
    if (SUCCEEDED(hr)) {
        (void)lun_info_key(&c->lun->identity.info, c->key);
    }
    return hr;
}

static HRESULT find_by_url(struct set_environment *env, const char *volume, struct candidate *out,
                           struct error *err)
{
    struct volume_name name;
    HRESULT hr = volume_parse(volume, &name, err);
    if (FAILED(hr)) {
        return hr;
    }
    out->text = volume_text(&name);
    char *url = strndup(volume, strcspn(volume, "#"));
    if (!out->text || !url) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory resolving a volume");
    } else {
        hr = add_lun(env, out, url, name.partition, err);
    }
    free(url);
    explicit_bzero(&name, sizeof(name));
    return hr;
}

HRESULT candidate_find(struct set_environment *env, const char *volume, struct candidate *out,
                       struct error *err)
{
    *out = (struct candidate){0};
    HRESULT hr = find_by_url(env, volume, out, err);
    if (FAILED(hr)) {
        candidate_free(out);
    }
    return hr;
}

/* ---- providers ------------------------------------------------------------------------------- */

HRESULT candidate_views(const struct candidate *c, const char ***out_devices,
                        struct vss_lun_info **out_infos, struct error *err)
{
    *out_devices = calloc(c->lun_count + 1, sizeof(**out_devices));
    *out_infos = calloc(c->lun_count + 1, sizeof(**out_infos));
    if (!*out_devices || !*out_infos) {
        free((void *)*out_devices);
        free(*out_infos);
        *out_devices = NULL;
        *out_infos = NULL;
        return error_set(err, E_OUTOFMEMORY, "out of memory asking a provider");
    }
    for (size_t i = 0; i < c->lun_count; i++) {
        (*out_devices)[i] = c->luns[i].lun->url;
        (*out_infos)[i] = c->luns[i].lun->identity.info;
    }
    return S_OK;
}

static HRESULT ask_supported(struct provider *p, const struct candidate *c, uint32_t context,
                             bool *out, struct error *err)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    const char **devices = NULL;
    struct vss_lun_info *infos = NULL;
    *out = false;
    HRESULT hr = candidate_views(c, &devices, &infos, err);
    if (FAILED(hr)) {
        return hr;
    }
    struct vss_luns_in in = {.struct_size = sizeof(in),
                             .context = context,
                             .lun_count = (uint32_t)c->lun_count,
                             .devices = devices,
                             .luns = infos};
    struct vss_supported_out answer = {0};
    hr = provider_call(p, VSS_OP_ARE_LUNS_SUPPORTED, &in, &answer, &arena, 0, err);
    *out = SUCCEEDED(hr) && answer.is_supported;
    provider_arena_free(&arena);
    free((void *)devices);
    free(infos);
    return hr;
}

HRESULT candidate_choose_provider(struct set_environment *env, const struct candidate *c,
                                  uint32_t context, const VSS_ID *id, struct provider **out,
                                  struct error *err)
{
    *out = NULL;
    bool any = !id || id_is_null(id);
    if (!any && !providers_has_id(env->providers, id)) {
        char text[ID_TEXT_BYTES];
        return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                         "no configured array uses provider %s; see `lunshadow providers`",
                         id_text(id, text));
    }
    for (size_t i = 0; i < providers_count(env->providers) && !*out; i++) {
        struct provider *p = providers_at(env->providers, i);
        if (!any && !id_equal(&provider_table(p)->provider_id, id)) {
            continue;
        }
        bool is_supported = false;
        HRESULT hr = ask_supported(p, c, context, &is_supported, err);
        if (FAILED(hr)) {
            return hr;
        }
        *out = is_supported ? p : NULL;
    }
    if (!*out) {
        return error_set(err,
                         any ? VSS_E_VOLUME_NOT_SUPPORTED : VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER,
                         "%s (%s%s): no configured array can copy this in this context; see "
                         "`lunshadow providers`",
                         c->text, c->luns[0].key, c->lun_count > 1 ? " and others" : "");
    }
    return S_OK;
}
