/* SPDX-License-Identifier: Apache-2.0 */
#include "common/id.h"
#include "provider/set/set.h"
#include "requester/document/internal.h"

#include <stdlib.h>
#include <string.h>

#define SET_NAME      "SNAPSHOT_SET_DESCRIPTION"
#define SNAPSHOT_NAME "SNAPSHOT_DESCRIPTION"
#define MAPPING_NAME  "LUN_MAPPING"
#define EXTENT_NAME   "EXTENT"

/* ---- writing ---- */

static bool lies_on(const struct snapshot_record *snapshot, size_t lun_index)
{
    for (size_t i = 0; i < snapshot->extent_count; i++) {
        if (snapshot->extents[i].lun_index == lun_index) {
            return true;
        }
    }
    return false;
}

static void write_extent(struct xml_writer *w, xmlNodePtr parent,
                         const struct volume_extent *extent)
{
    xmlNodePtr node = xml_add(w, parent, w->own, EXTENT_NAME);
    xml_put_unsigned(w, node, "lun", extent->lun_index);
    xml_put_unsigned(w, node, "firstBlock", extent->first_lba);
    xml_put_unsigned(w, node, "blockCount", extent->block_count);
    xml_put_unsigned(w, node, "volumeOffset", extent->volume_offset_blocks);
}

static void write_snapshot(struct xml_writer *w, xmlNodePtr parent, const struct set_record *set,
                           const struct snapshot_record *snapshot)
{
    xmlNodePtr node = xml_add(w, parent, w->vss, SNAPSHOT_NAME);
    char text[ID_TEXT_BYTES];
    xml_put_plain(w, node, "snapshotId", id_text(&snapshot->snapshot_id, text));
    xml_put_id(w, node, "providerId", &snapshot->provider_id);
    xml_put_text(w, node, "originalVolume", snapshot->original_volume);
    xml_put_text(w, node, "device", snapshot->device);
    xml_put_text(w, node, "exposedName", snapshot->exposed_name);
    xml_put_text(w, node, "exposedPath", snapshot->exposed_path);
    xml_put_unsigned(w, node, "attributes", snapshot->attributes);
    xml_put_signed(w, node, "status", snapshot->status);
    xml_put_signed(w, node, "created", snapshot->created);
    for (size_t i = 0; i < snapshot->extent_count; i++) {
        write_extent(w, node, &snapshot->extents[i]);
    }
    for (size_t i = 0; i < set->lun_count; i++) {
        if (lies_on(snapshot, i)) {
            document_write_lun(w, node, i, &set->luns[i]);
        }
    }
}

static bool is_used(const struct set_record *set, size_t lun_index)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (lies_on(&set->snapshots[i], lun_index)) {
            return true;
        }
    }
    return false;
}

void document_write_set(struct xml_writer *w, xmlNodePtr node, const struct set_record *set)
{
    char text[ID_TEXT_BYTES];
    xml_put_plain(w, node, "snapshotSetId", id_text(&set->set_id, text));
    xml_put_unsigned(w, node, "context", set->context);
    xml_put_text(w, node, "originatingMachine", set->originating_machine);
    xml_put_text(w, node, "serviceMachine", set->service_machine);
    xml_put_unsigned(w, node, "cutMicroseconds", set->cut_us);
    xml_put_unsigned(w, node, "holdMicroseconds", set->hold_us);
    for (size_t i = 0; i < set->snapshot_count; i++) {
        write_snapshot(w, node, set, &set->snapshots[i]);
    }
    for (size_t i = 0; i < set->lun_count; i++) {
        if (!is_used(set, i)) {
            document_write_lun(w, node, i, &set->luns[i]);
        }
    }
}

/* ---- finding ---- */

/* Of whatever product: ids must be ids, each once. */
static void check_snapshot_ids(struct xml_reader *r, const xmlNode *set)
{
    VSS_ID ids[SET_VOLUMES_MAX];
    size_t count = 0;
    for (const xmlNode *n = xml_first(set, DOCUMENT_NS_VSS, SNAPSHOT_NAME); n;
         n = xml_next(n, DOCUMENT_NS_VSS, SNAPSHOT_NAME)) {
        const char *text = xml_get_plain(r, n, "snapshotId");
        if (count == SET_VOLUMES_MAX) {
            xml_refuse(r, n, "a set has at most %d snapshots", SET_VOLUMES_MAX);
            return;
        }
        if (!text || !id_parse(text, &ids[count])) {
            xml_refuse(r, n, "attribute snapshotId is not an id");
            return;
        }
        for (size_t i = 0; i < count; i++) {
            if (id_equal(&ids[i], &ids[count])) {
                xml_refuse(r, n, "snapshot id %.64s is there twice", text);
                return;
            }
        }
        count++;
    }
}

HRESULT document_find_set(const xmlNode *root, xmlNodePtr *out, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    *out = xml_first(root, DOCUMENT_NS_VSS, SET_NAME);
    if (!*out) {
        return S_OK;
    }
    if (xml_next(*out, DOCUMENT_NS_VSS, SET_NAME)) {
        xml_refuse(&r, root, "has more than one " SET_NAME);
    }
    check_snapshot_ids(&r, *out);
    return r.status;
}

/* ---- reading ---- */

/* A set that is being read: which of set.luns are filled. */
struct set_reader {
    struct xml_reader r;
    struct set_record set;
    bool *is_known; /* by index into set.luns */
};

static bool allocate(struct xml_reader *r, size_t count, size_t size, void **out)
{
    *out = count > 0 ? calloc(count, size) : NULL;
    if (count > 0 && !*out) {
        r->status = error_set(r->err, E_OUTOFMEMORY, "out of memory while reading a document");
    }
    return SUCCEEDED(r->status);
}

/* A mapping that was read before must say the same again. */
static void check_repeat(struct xml_reader *r, const xmlNode *node, const struct lun_mapping *known)
{
    struct lun_mapping again = {0};
    bool is_same = false;
    document_read_lun(r, node, &again);
    if (SUCCEEDED(r->status) && FAILED(document_same_lun(known, &again, &is_same))) {
        r->status = error_set(r->err, E_OUTOFMEMORY, "out of memory while reading a document");
    }
    if (SUCCEEDED(r->status) && !is_same) {
        xml_refuse(r, node, "contradicts an earlier LUN_MAPPING of the same number");
    }
    lun_mapping_free(&again);
}

static void read_mapping(struct set_reader *s, const xmlNode *node)
{
    uint64_t index = xml_get_unsigned(&s->r, node, "lun", UINT32_MAX);
    if (SUCCEEDED(s->r.status) && index >= s->set.lun_count) {
        xml_refuse(&s->r, node, "its number is not below the number of LUNs");
    }
    if (FAILED(s->r.status)) {
        return;
    }
    if (s->is_known[index]) {
        check_repeat(&s->r, node, &s->set.luns[index]);
        return;
    }
    document_read_lun(&s->r, node, &s->set.luns[index]);
    s->is_known[index] = true;
}

static void read_mappings(struct set_reader *s, const xmlNode *parent)
{
    for (const xmlNode *n = xml_first(parent, DOCUMENT_NS_VSS, MAPPING_NAME);
         n && SUCCEEDED(s->r.status); n = xml_next(n, DOCUMENT_NS_VSS, MAPPING_NAME)) {
        read_mapping(s, n);
    }
}

/* The highest number + 1 of all mappings, which read_mapping() then holds against what is there. */
static size_t count_luns(struct set_reader *s, const xmlNode *parent)
{
    uint64_t count = 0;
    for (const xmlNode *n = xml_first(parent, DOCUMENT_NS_VSS, MAPPING_NAME);
         n && SUCCEEDED(s->r.status); n = xml_next(n, DOCUMENT_NS_VSS, MAPPING_NAME)) {
        uint64_t index = xml_get_unsigned(&s->r, n, "lun", DOCUMENT_LUNS_MAX - 1);
        count = index + 1 > count ? index + 1 : count;
    }
    return (size_t)count;
}

static void read_luns(struct set_reader *s, const xmlNode *set)
{
    size_t count = count_luns(s, set);
    for (const xmlNode *n = xml_first(set, DOCUMENT_NS_VSS, SNAPSHOT_NAME); n;
         n = xml_next(n, DOCUMENT_NS_VSS, SNAPSHOT_NAME)) {
        size_t below = count_luns(s, n);
        count = below > count ? below : count;
    }
    if (FAILED(s->r.status) ||
        !allocate(&s->r, count, sizeof(*s->set.luns), (void **)&s->set.luns) ||
        !allocate(&s->r, count, sizeof(*s->is_known), (void **)&s->is_known)) {
        return;
    }
    s->set.lun_count = count;
    read_mappings(s, set);
    for (const xmlNode *n = xml_first(set, DOCUMENT_NS_VSS, SNAPSHOT_NAME); n;
         n = xml_next(n, DOCUMENT_NS_VSS, SNAPSHOT_NAME)) {
        read_mappings(s, n);
    }
    for (size_t i = 0; i < count; i++) {
        if (!s->is_known[i]) {
            xml_refuse(&s->r, set, "LUN number %zu is missing", i);
        }
    }
}

/* Within its LUN, whatever the numbers say. */
static void read_extent(struct set_reader *s, const xmlNode *node, struct volume_extent *out)
{
    struct xml_reader *r = &s->r;
    out->lun_index = (uint32_t)xml_get_unsigned(r, node, "lun", UINT32_MAX);
    out->first_lba = xml_get_unsigned(r, node, "firstBlock", UINT64_MAX);
    out->block_count = xml_get_unsigned(r, node, "blockCount", UINT64_MAX);
    out->volume_offset_blocks = xml_get_unsigned(r, node, "volumeOffset", UINT64_MAX);
    if (FAILED(r->status)) {
        return;
    }
    if (out->lun_index >= s->set.lun_count) {
        xml_refuse(r, node, "lies on a LUN that the set does not have");
        return;
    }
    uint64_t blocks = s->set.luns[out->lun_index].block_count;
    if (out->block_count == 0 || out->first_lba > blocks ||
        out->block_count > blocks - out->first_lba ||
        out->volume_offset_blocks > UINT64_MAX - out->block_count) {
        xml_refuse(r, node, "does not lie within its LUN");
    }
}

static void read_extents(struct set_reader *s, const xmlNode *node, struct snapshot_record *out)
{
    size_t count = xml_count(node, DOCUMENT_NS_OWN, EXTENT_NAME);
    if (!allocate(&s->r, count, sizeof(*out->extents), (void **)&out->extents)) {
        return;
    }
    out->extent_count = count;
    const xmlNode *n = xml_first(node, DOCUMENT_NS_OWN, EXTENT_NAME);
    for (size_t i = 0; i < count && SUCCEEDED(s->r.status); i++) {
        read_extent(s, n, &out->extents[i]);
        n = xml_next(n, DOCUMENT_NS_OWN, EXTENT_NAME);
    }
}

/* Each LUN that a snapshot has bytes on is mapped below it, and no other. */
static void check_mappings(struct set_reader *s, const xmlNode *node,
                           const struct snapshot_record *snapshot)
{
    size_t used = 0;
    for (size_t i = 0; i < s->set.lun_count; i++) {
        used += lies_on(snapshot, i) ? 1 : 0;
    }
    size_t mapped = xml_count(node, DOCUMENT_NS_VSS, MAPPING_NAME);
    for (const xmlNode *n = xml_first(node, DOCUMENT_NS_VSS, MAPPING_NAME); n;
         n = xml_next(n, DOCUMENT_NS_VSS, MAPPING_NAME)) {
        uint64_t index = xml_get_unsigned(&s->r, n, "lun", UINT32_MAX);
        if (!lies_on(snapshot, (size_t)index)) {
            xml_refuse(&s->r, n, "maps a LUN that the snapshot has no extent on");
            return;
        }
    }
    if (used != mapped) {
        xml_refuse(&s->r, node, "has extents on %zu LUNs but maps %zu", used, mapped);
    }
}

static void read_snapshot(struct set_reader *s, const xmlNode *node, struct snapshot_record *out)
{
    struct xml_reader *r = &s->r;
    const char *id = xml_get_plain(r, node, "snapshotId");
    if (!id || !id_parse(id, &out->snapshot_id)) {
        xml_refuse(r, node, "attribute snapshotId is not an id");
    }
    xml_get_id(r, node, "providerId", &out->provider_id);
    xml_get_text(r, node, "originalVolume", &out->original_volume);
    xml_get_text(r, node, "device", &out->device);
    xml_get_text(r, node, "exposedName", &out->exposed_name);
    xml_get_text(r, node, "exposedPath", &out->exposed_path);
    out->attributes = (uint32_t)xml_get_unsigned(r, node, "attributes", UINT32_MAX);
    out->status = (int32_t)xml_get_signed(r, node, "status", VSS_SS_UNKNOWN, VSS_SS_POSTCOMMITTED);
    out->created = xml_get_signed(r, node, "created", 0, INT64_MAX);
    document_check_url(r, node, "originalVolume", out->original_volume);
    document_check_url(r, node, "device", out->device);
    read_extents(s, node, out);
    if (SUCCEEDED(r->status)) {
        check_mappings(s, node, out);
    }
}

static void read_snapshots(struct set_reader *s, const xmlNode *set)
{
    size_t count = xml_count(set, DOCUMENT_NS_VSS, SNAPSHOT_NAME);
    if (FAILED(s->r.status) ||
        !allocate(&s->r, count, sizeof(*s->set.snapshots), (void **)&s->set.snapshots)) {
        return;
    }
    s->set.snapshot_count = count;
    const xmlNode *n = xml_first(set, DOCUMENT_NS_VSS, SNAPSHOT_NAME);
    for (size_t i = 0; i < count && SUCCEEDED(s->r.status); i++) {
        read_snapshot(s, n, &s->set.snapshots[i]);
        n = xml_next(n, DOCUMENT_NS_VSS, SNAPSHOT_NAME);
    }
}

static void read_head(struct set_reader *s, const xmlNode *node)
{
    struct xml_reader *r = &s->r;
    const char *id = xml_get_plain(r, node, "snapshotSetId");
    if (!id || !id_parse(id, &s->set.set_id)) {
        xml_refuse(r, node, "attribute snapshotSetId is not an id");
    }
    s->set.context = (uint32_t)xml_get_unsigned(r, node, "context", UINT32_MAX);
    xml_get_text(r, node, "originatingMachine", &s->set.originating_machine);
    xml_get_text(r, node, "serviceMachine", &s->set.service_machine);
    s->set.cut_us = xml_get_unsigned(r, node, "cutMicroseconds", UINT64_MAX);
    s->set.hold_us = xml_get_unsigned(r, node, "holdMicroseconds", UINT64_MAX);
}

HRESULT document_read_set(const xmlNode *node, struct set_record *out, struct error *err)
{
    *out = (struct set_record){0};
    if (!xml_has(node, "context")) {
        return S_FALSE;
    }
    struct set_reader s = {{S_OK, err}, {{0}, 0, NULL, NULL, 0, 0, NULL, 0, NULL, 0}, NULL};
    check_snapshot_ids(&s.r, node);
    read_head(&s, node);
    read_luns(&s, node);
    read_snapshots(&s, node);
    free(s.is_known);
    if (FAILED(s.r.status)) {
        set_record_free(&s.set);
        return s.r.status;
    }
    *out = s.set;
    return S_OK;
}
