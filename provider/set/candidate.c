/* SPDX-License-Identifier: Apache-2.0 */
/* A volume, from its name to its LUNs and to the array that copies them. */
#include "provider/set/candidate.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "lun/host/stack.h"
#include "lun/host_device.h"
#include "lun/volume.h"
#include "provider/set/call.h"
#include "provider/set/visible.h"

#include <stdlib.h>
#include <string.h>

static void free_lun(struct candidate_lun *c)
{
    free(c->open_name);
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
    free(c->mount_point);
    free(c->nested_file);
    *c = (struct candidate){0};
}

static HRESULT find_partition(struct candidate_lun *c, struct error *err)
{
    if (c->partition == 0) {
        return S_OK;
    }
    for (size_t i = 0; i < c->label->partition_count; i++) {
        const struct label_partition *p = &c->label->partitions[i];
        if (p->number == c->partition) {
            c->first_lba = p->first_lba;
            c->block_count = p->last_lba - p->first_lba + 1;
            return S_OK;
        }
    }
    return error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s has no partition %u; see `lunshadow luns`",
                     c->lun->url, c->partition);
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
    static const struct host_roots roots = HOST_ROOTS_INIT;
    char device[HOST_DEVICE_NAME_BYTES];
    HRESULT hr =
        host_path_lies_on(&roots, store_path(env->store), &c->lun->identity.info, device, err);
    if (hr == S_OK) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "the state directory %s lies on %s (%s), which would be held while it is "
                         "copied; set LUNSHADOW_STATE_DIR to a place outside the set",
                         store_path(env->store), c->lun->url, device);
    }
    return FAILED(hr) ? hr : S_OK;
}

static HRESULT read_label(const struct set_environment *env, struct candidate_lun *c,
                          struct error *err)
{
    HRESULT hr = lun_read_label(c->lun, &env->lun, &c->label, err);
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
    *c = (struct candidate_lun){.partition = partition, .open_name = text_copy(url)};
    HRESULT hr = c->open_name ? lun_open(url, &env->lun, true, &c->lun, err)
                              : error_set(err, E_OUTOFMEMORY, "out of memory resolving a volume");
    if (SUCCEEDED(hr)) {
        hr = check_identity(c, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_state_directory(env, c, err);
    }
    if (SUCCEEDED(hr)) {
        c->block_count = c->lun->block.block_count;
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
    out->has_name = true;
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

/* ---- names of this host ---------------------------------------------------------------------- */

static HRESULT out_of_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory resolving a volume");
}

/* Where a configured portal shows a disk of this host. */
static HRESULT find_disk(const struct visible *visible, const struct host_part *part, char **out,
                         struct error *err)
{
    const struct scan_lun *ambiguous = NULL;
    const struct scan_lun *found =
        part->url ? NULL : visible_find(visible, &part->info, &ambiguous);
    if (ambiguous) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%s shares a page-83 designator with this host's %s but contradicts it in "
                         "another; mend the array first",
                         ambiguous->url, part->name);
    }
    if (!part->url && !found && !visible->all_answered) { /* it may be behind what is silent */
        return error_set(err, VSS_E_UNEXPECTED,
                         "where this host's %s (%s) is cannot be told: no configured portal shows "
                         "it, and not everything behind them answers: %s",
                         part->name, part->key, error_text(&visible->unanswered));
    }
    if (!part->url && !found) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "no configured portal shows this host's %s (%s)", part->name, part->key);
    }
    *out = text_copy(part->url ? part->url : found->url);
    return *out ? S_OK : out_of_memory(err);
}

static bool is_same_lun(const struct host_part *part, const struct candidate_lun *c)
{
    return part->url ? strcmp(part->key, c->key) == 0
                     : lun_info_compare(&part->info, &c->lun->identity.info) == LUN_SAME;
}

/* Two parts of one LUN are taken for all of it: a copy is of all of it anyway. */
static bool merge_part(struct candidate *c, const struct host_part *part)
{
    for (size_t i = 0; i < c->lun_count; i++) {
        if (is_same_lun(part, &c->luns[i])) {
            c->luns[i].first_lba = 0;
            c->luns[i].block_count = c->luns[i].lun->block.block_count;
            return true;
        }
    }
    return false;
}

static HRESULT set_range(struct candidate_lun *c, const struct host_part *part, struct error *err)
{
    uint32_t block_bytes = c->lun->block.block_bytes;
    uint64_t lun_bytes = c->lun->block.block_count * block_bytes;
    if (part->offset_bytes % block_bytes || part->bytes % block_bytes ||
        part->offset_bytes > lun_bytes || part->bytes > lun_bytes - part->offset_bytes) {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "this host's %s does not fit into %s: has the LUN another size by now?",
                         part->name, c->lun->url);
    }
    c->first_lba = part->offset_bytes / block_bytes;
    c->block_count = part->bytes / block_bytes;
    return S_OK;
}

static HRESULT add_part(struct set_environment *env, const struct visible *visible,
                        struct candidate *out, const struct host_part *part, struct error *err)
{
    char *url = NULL;
    if (merge_part(out, part)) {
        return S_OK;
    }
    HRESULT hr = find_disk(visible, part, &url, err);
    if (SUCCEEDED(hr)) {
        hr = add_lun(env, out, url, 0, err);
    }
    if (SUCCEEDED(hr) && !is_same_lun(part, &out->luns[out->lun_count - 1])) {
        hr = error_set(err, VSS_E_OBJECT_NOT_FOUND, "%s is %s by now, not this host's %s (%s)", url,
                       out->luns[out->lun_count - 1].key, part->name, part->key);
    }
    if (SUCCEEDED(hr)) {
        hr = set_range(&out->luns[out->lun_count - 1], part, err);
    }
    free(url);
    return hr;
}

static HRESULT take_name(struct candidate *c, char *name, struct error *err)
{
    free(c->text);
    c->text = name;
    c->has_name = true;
    return name ? S_OK : out_of_memory(err);
}

/* The name by address of what is a LUN, or one partition of it: one volume has one name. */
static HRESULT name_by_address(struct candidate *c, struct error *err)
{
    const struct candidate_lun *l = c->luns;
    if (l->first_lba == 0 && l->block_count == l->lun->block.block_count) {
        return take_name(c, text_copy(l->lun->url), err);
    }
    for (size_t i = 0; i < l->label->partition_count; i++) {
        const struct label_partition *p = &l->label->partitions[i];
        if (p->first_lba == l->first_lba && p->last_lba - p->first_lba + 1 == l->block_count) {
            return take_name(c, text_printf("%s#%u", l->lun->url, p->number), err);
        }
    }
    return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                     "blocks %llu to %llu of %s are no partition of its label",
                     (unsigned long long)l->first_lba,
                     (unsigned long long)(l->first_lba + l->block_count - 1), l->lun->url);
}

static HRESULT take_host_volume(struct set_environment *env, struct host_volume *volume,
                                struct candidate *out, struct error *err)
{
    struct visible visible = {0};
    bool needs_scan = false;
    for (size_t i = 0; i < volume->part_count; i++) {
        needs_scan = needs_scan || !volume->parts[i].url;
    }
    HRESULT hr = needs_scan ? visible_scan(env, NULL, &visible, err) : S_OK;
    for (size_t i = 0; i < volume->part_count && SUCCEEDED(hr); i++) {
        hr = add_part(env, &visible, out, &volume->parts[i], err);
    }
    visible_free(&visible);
    if (FAILED(hr)) {
        return hr;
    }
    out->mount_point = volume->mount_point;
    out->nested_file = volume->nested_file;
    volume->mount_point = NULL;
    volume->nested_file = NULL;
    out->has_name = volume->is_stacked || out->nested_file;
    out->text = text_copy(volume->device);
    if (!out->text) {
        return out_of_memory(err);
    }
    return out->has_name || out->lun_count
               ? S_OK
               : error_set(err, VSS_E_VOLUME_NOT_SUPPORTED, "the volume lies on no disk");
}

static HRESULT find_by_host(struct set_environment *env, const char *name, struct candidate *out,
                            struct error *err)
{
    static const struct host_roots roots = HOST_ROOTS_INIT;
    struct host_volume volume;
    HRESULT hr = host_volume_find(&roots, name, &volume, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (volume.nesting > 1) {
        hr = error_set(err, VSS_E_NESTED_VOLUME_LIMIT,
                       "%s is a loop device on a file on another loop device: one is the limit",
                       name);
    } else {
        hr = take_host_volume(env, &volume, out, err);
    }
    host_volume_free(&volume);
    return hr;
}

HRESULT candidate_address(struct set_environment *env, const char *volume, char **out_address,
                          struct error *err)
{
    struct candidate c = {0};
    *out_address = NULL;
    if (volume[0] != '/') {
        *out_address = text_copy(volume);
        return *out_address ? S_OK : out_of_memory(err);
    }
    HRESULT hr = candidate_find(env, volume, &c, err);
    if (SUCCEEDED(hr) && (c.nested_file || c.text[0] == '/')) {
        hr = error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                       "%s is not a LUN or a partition of one; name the LUNs that it lies on",
                       volume);
    }
    if (SUCCEEDED(hr)) {
        *out_address = c.text;
        c.text = NULL;
    }
    candidate_free(&c);
    return hr;
}

HRESULT candidate_identify(struct set_environment *env, const char *volume, struct candidate *out,
                           struct error *err)
{
    *out = (struct candidate){0};
    HRESULT hr =
        volume[0] == '/' ? find_by_host(env, volume, out, err) : find_by_url(env, volume, out, err);
    if (FAILED(hr)) {
        candidate_free(out);
    }
    return hr;
}

HRESULT candidate_read(struct set_environment *env, struct candidate *c, struct error *err)
{
    HRESULT hr = S_OK;
    for (size_t i = 0; i < c->lun_count && SUCCEEDED(hr); i++) {
        hr = read_label(env, &c->luns[i], err);
        if (SUCCEEDED(hr)) {
            hr = find_partition(&c->luns[i], err);
        }
    }
    return SUCCEEDED(hr) && !c->has_name ? name_by_address(c, err) : hr;
}

HRESULT candidate_find(struct set_environment *env, const char *volume, struct candidate *out,
                       struct error *err)
{
    HRESULT hr = candidate_identify(env, volume, out, err);
    if (SUCCEEDED(hr)) {
        hr = candidate_read(env, out, err);
    }
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
    if (c->nested_file) {
        return error_set(
            err, any ? VSS_E_VOLUME_NOT_SUPPORTED : VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER,
            "%s is a loop device on the file %s, which no array copies by itself; name "
            "the volume that has the file",
            c->text, c->nested_file);
    }
    if (!any && !providers_has_id(env->providers, id)) {
        char text[ID_TEXT_BYTES];
        return error_set(err, VSS_E_PROVIDER_NOT_REGISTERED,
                         "no configured array uses provider %s; see `lunshadow providers`",
                         id_text(id, text));
    }
    const char *without_cut = NULL; /* an array that cannot cut them at one point in time */
    for (size_t i = 0; i < providers_count(env->providers) && !*out; i++) {
        struct provider *p = providers_at(env->providers, i);
        if (!any && !id_equal(&provider_table(p)->provider_id, id)) {
            continue;
        }
        if (c->lun_count > 1 && provider_capabilities(p)->consistent_set == VSS_CAPABILITY_NO) {
            without_cut = provider_array(p);
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
        return error_set(
            err, any ? VSS_E_VOLUME_NOT_SUPPORTED : VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER,
            "%s (%s%s): no configured array can copy %s in this context%s%s%s; see "
            "`lunshadow providers`",
            c->text, c->luns[0].key, c->lun_count > 1 ? " and others" : "",
            c->lun_count > 1 ? "these LUNs" : "this LUN", without_cut ? ", array " : "",
            without_cut ? without_cut : "", without_cut ? " not at one point in time" : "");
    }
    return S_OK;
}

static HRESULT ask_owner(struct provider *p, const struct candidate *c, bool *out,
                         struct error *err)
{
    HRESULT hr = S_OK;
    *out = true;
    for (size_t l = 0; l < c->lun_count && SUCCEEDED(hr) && *out; l++) {
        struct vss_lun_info info = {0};
        hr = lun_info_copy(&c->luns[l].lun->identity.info, &info);
        if (SUCCEEDED(hr)) {
            hr = set_call_fill_in(p, c->luns[l].lun->url, &info, out, err);
        }
        lun_info_free(&info);
    }
    return hr;
}

HRESULT candidate_owner(struct set_environment *env, const struct candidate *c,
                        struct provider **out, struct error *err)
{
    *out = NULL;
    struct error first = {0}; /* of those that cannot tell */
    for (size_t i = 0; i < providers_count(env->providers) && !*out; i++) {
        struct error why = {0};
        bool is_mine = false;
        HRESULT hr = ask_owner(providers_at(env->providers, i), c, &is_mine, &why);
        if (hr == E_OUTOFMEMORY) { /* it says nothing of the array */
            return error_set(err, hr, "%s", error_text(&why));
        }
        if (FAILED(hr)) {
            (void)error_set(&first, hr, "%s", error_text(&why));
        } else if (is_mine) {
            *out = providers_at(env->providers, i);
        }
    }
    return *out || SUCCEEDED(first.code) ? S_OK
                                         : error_set(err, first.code, "%s", error_text(&first));
}
