/* SPDX-License-Identifier: Apache-2.0 */
/* What several LUNs have in common. Everything that should be one LUN's alone is noted as a fact,
 * the facts are sorted, and each run of equal ones is judged: thousands of LUNs are no trouble. */
#include "common/buffer.h"
#include "common/id.h"
#include "lun/lint/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T10_VENDOR_BYTES 8u
#define T10_SHORT_BYTES  8u /* what some software keeps of a T10 designator's body */

enum fact_kind {
    FACT_DESIGNATOR,
    FACT_T10_HEAD,
    FACT_SERIAL,
    FACT_MBR_SIGNATURE,
    FACT_DISK_GUID,
    FACT_PARTITION_GUID
};

struct fact {
    enum fact_kind kind;
    char *text; /* as a finding names it */
    const struct scan_lun *lun;
};

/* Two LUNs that are not one; other NULL: all are. */
struct pair {
    const struct scan_lun *one;
    const struct scan_lun *other;
};

/* What a LUN may not have told, and then differs from none in. */
enum trait { TRAIT_SIZE, TRAIT_SERIAL, TRAIT_VENDOR, TRAIT_PRODUCT, TRAIT_LABEL, TRAITS };

struct facts {
    struct fact *items;
    size_t count;
    size_t room;
    HRESULT status;
};

/* ---- one LUN or two ---- */

static bool is_blank(const char *text)
{
    return !text || text[strspn(text, " ")] == '\0';
}

static bool texts_differ(const char *a, const char *b)
{
    return !is_blank(a) && !is_blank(b) && strcmp(a, b) != 0;
}

/* The disk GUID or MBR signature; null where the label has none or was not read. */
static VSS_ID disk_signature(const struct scan_lun *lun)
{
    const struct label *label = lun->label;
    VSS_ID id = id_null;
    if (label && label->kind == VSS_DISK_LABEL_GPT) {
        id = label->primary.is_valid ? label->primary.disk_guid : label->backup.disk_guid;
    } else if (label && label->kind == VSS_DISK_LABEL_MBR) {
        id.data1 = label->mbr_signature;
    }
    return id;
}

const char *lint_difference(const struct scan_lun *a, const struct scan_lun *b)
{
    const struct vss_lun_info *x = &a->identity.info;
    const struct vss_lun_info *y = &b->identity.info;
    VSS_ID x_disk = disk_signature(a);
    VSS_ID y_disk = disk_signature(b);
    if (texts_differ(x->serial_number, y->serial_number)) {
        return "serial number";
    }
    if (a->identity.block_count != b->identity.block_count ||
        a->identity.block_bytes != b->identity.block_bytes) {
        return "size";
    }
    if (texts_differ(x->vendor_id, y->vendor_id) || texts_differ(x->product_id, y->product_id)) {
        return "INQUIRY strings";
    }
    return a->label && b->label && !id_equal(&x_disk, &y_disk) ? "disk id" : NULL;
}

static bool shares(const struct scan_lun *a, const struct scan_lun *b, bool only_sound)
{
    const struct vss_storage_device_id_descriptor *x = &a->identity.info.device_id;
    const struct vss_storage_device_id_descriptor *y = &b->identity.info.device_id;
    for (uint32_t i = 0; i < x->identifier_count; i++) {
        enum lun_id_flaw flaw = lun_id_flaw(&x->identifiers[i]);
        bool is_asked_for =
            only_sound ? flaw == LUN_ID_SOUND : flaw != LUN_ID_BLANK && flaw != LUN_ID_UNSUITED;
        for (uint32_t k = 0; is_asked_for && k < y->identifier_count; k++) {
            if (lun_id_equal(&x->identifiers[i], &y->identifiers[k])) {
                return true;
            }
        }
    }
    return false;
}

bool lint_shares_designator(const struct scan_lun *a, const struct scan_lun *b)
{
    return shares(a, b, false);
}

/* Where neither has a designator that counts, one place on one target is all there is to go by. */
static bool is_one_place(const struct scan_lun *a, const struct scan_lun *b)
{
    const char *reason = NULL;
    return strcmp(a->address.target, b->address.target) == 0 && a->address.lun == b->address.lun &&
           !lun_info_is_unique(&a->identity.info, &reason) &&
           !lun_info_is_unique(&b->identity.info, &reason);
}

bool lint_is_one_lun(const struct scan_lun *a, const struct scan_lun *b)
{
    return a == b || ((is_one_place(a, b) || shares(a, b, true)) && !lint_difference(a, b));
}

/* ---- facts ---- */

/* Takes text over. */
static void add_fact(struct facts *facts, enum fact_kind kind, char *text,
                     const struct scan_lun *lun)
{
    if (!text || FAILED(facts->status)) {
        facts->status = E_OUTOFMEMORY;
        free(text);
        return;
    }
    if (facts->count == facts->room) {
        size_t room = facts->room ? facts->room * 2 : 256;
        struct fact *grown = realloc(facts->items, room * sizeof(*grown));
        if (!grown) {
            facts->status = E_OUTOFMEMORY;
            free(text);
            return;
        }
        facts->items = grown;
        facts->room = room;
    }
    facts->items[facts->count++] = (struct fact){kind, text, lun};
}

/* The body comes behind the vendor; tgtd's have none where somebody chose a scsi_id. */
static void add_t10_head(struct facts *facts, const struct scan_lun *lun,
                         const struct vss_storage_identifier *id)
{
    const char *vendor = lun->identity.info.vendor_id;
    size_t vendor_bytes = vendor ? strlen(vendor) : 0;
    bool has_vendor = vendor_bytes > 0 && id->identifier_bytes > T10_VENDOR_BYTES &&
                      vendor_bytes <= T10_VENDOR_BYTES &&
                      memcmp(id->identifier, vendor, vendor_bytes) == 0;
    uint32_t head_bytes = (has_vendor ? T10_VENDOR_BYTES : 0) + T10_SHORT_BYTES;
    if (id->identifier_bytes > head_bytes) {
        struct vss_storage_identifier head = *id;
        char text[LUN_KEY_BYTES];
        head.identifier_bytes = head_bytes;
        add_fact(facts, FACT_T10_HEAD, text_copy(lun_id_text(&head, text)), lun);
    }
}

/* One that does not count is of interest only where the LUN has nothing better. */
static void add_designators(struct facts *facts, const struct scan_lun *lun)
{
    const struct vss_storage_device_id_descriptor *page = &lun->identity.info.device_id;
    enum lun_id_rank best = LUN_ID_NONE;
    for (uint32_t i = 0; i < page->identifier_count; i++) {
        enum lun_id_rank rank = lun_id_rank(&page->identifiers[i]);
        best = rank > best ? rank : best;
    }
    for (uint32_t i = 0; i < page->identifier_count; i++) {
        const struct vss_storage_identifier *id = &page->identifiers[i];
        enum lun_id_flaw flaw = lun_id_flaw(id);
        bool is_known = flaw != LUN_ID_BLANK && flaw != LUN_ID_UNSUITED;
        char text[LUN_KEY_BYTES];
        if (best == LUN_ID_NONE ? is_known : flaw == LUN_ID_SOUND) {
            add_fact(facts, FACT_DESIGNATOR, text_copy(lun_id_text(id, text)), lun);
        }
        if (best == LUN_ID_T10 && lun_id_rank(id) == LUN_ID_T10) {
            add_t10_head(facts, lun, id);
        }
    }
}

static void add_label(struct facts *facts, const struct scan_lun *lun)
{
    const struct label *label = lun->label;
    VSS_ID disk = disk_signature(lun);
    char text[ID_TEXT_BYTES];
    if (!label || id_is_null(&disk)) {
        return;
    }
    if (label->kind == VSS_DISK_LABEL_MBR) {
        add_fact(facts, FACT_MBR_SIGNATURE, text_printf("0x%08x", label->mbr_signature), lun);
        return;
    }
    add_fact(facts, FACT_DISK_GUID, text_copy(id_text(&disk, text)), lun);
    for (size_t i = 0; i < label->partition_count; i++) {
        if (!id_is_null(&label->partitions[i].guid)) {
            add_fact(facts, FACT_PARTITION_GUID,
                     text_copy(id_text(&label->partitions[i].guid, text)), lun);
        }
    }
}

static void add_facts(struct facts *facts, const struct scan_lun *lun)
{
    const struct vss_lun_info *info = &lun->identity.info;
    add_designators(facts, lun);
    if (!is_blank(info->serial_number)) {
        add_fact(facts, FACT_SERIAL,
                 text_printf("%s of %s %s", info->serial_number,
                             info->vendor_id ? info->vendor_id : "-",
                             info->product_id ? info->product_id : "-"),
                 lun);
    }
    add_label(facts, lun);
}

static int compare_facts(const void *a, const void *b)
{
    const struct fact *x = a;
    const struct fact *y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    int order = strcmp(x->text, y->text);
    return order != 0 ? order : strcmp(x->lun->url, y->lun->url);
}

static void free_facts(struct facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        free(facts->items[i].text);
    }
    free(facts->items);
}

/* ---- judging runs ---- */

static bool has_trait(const struct scan_lun *lun, enum trait trait)
{
    const struct vss_lun_info *info = &lun->identity.info;
    switch (trait) {
    case TRAIT_SERIAL:
        return !is_blank(info->serial_number);
    case TRAIT_VENDOR:
        return !is_blank(info->vendor_id);
    case TRAIT_PRODUCT:
        return !is_blank(info->product_id);
    case TRAIT_LABEL:
        return lun->label != NULL;
    case TRAIT_SIZE:
    case TRAITS:
    default:
        return true;
    }
}

/* Two that differ may both be one LUN with a third that tells less. So each is compared with the
 * first that has a trait, for every trait: no more is needed to find two that differ in it. */
static struct pair find_difference(const struct fact *run, size_t count)
{
    const struct scan_lun *first[TRAITS] = {NULL};
    for (size_t i = 0; i < count; i++) {
        const struct scan_lun *lun = run[i].lun;
        for (enum trait t = TRAIT_SIZE; t < TRAITS; t++) {
            first[t] = !first[t] && has_trait(lun, t) ? lun : first[t];
            if (first[t] && lint_difference(first[t], lun)) {
                return (struct pair){first[t], lun};
            }
        }
    }
    return (struct pair){NULL, NULL};
}

static struct pair find_pair(const struct fact *run, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        bool is_other = run->kind == FACT_T10_HEAD ? !lint_shares_designator(run->lun, run[i].lun)
                                                   : !lint_is_one_lun(run->lun, run[i].lun);
        if (is_other) {
            return (struct pair){run->lun, run[i].lun};
        }
    }
    return run->kind == FACT_T10_HEAD ? (struct pair){NULL, NULL} : find_difference(run, count);
}

/* Copies with the ids of their original are told once, by the disk GUID. */
static bool is_one_disk_guid(const struct fact *run, size_t count)
{
    VSS_ID first = disk_signature(run->lun);
    for (size_t i = 1; i < count; i++) {
        VSS_ID disk = disk_signature(run[i].lun);
        if (!id_equal(&first, &disk)) {
            return false;
        }
    }
    return true;
}

static bool is_within_one(const struct fact *run, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (run[i].lun == run[i - 1].lun) {
            return true;
        }
    }
    return false;
}

static char *designator_text(const struct fact *run, size_t count, const struct pair *pair)
{
    const char *difference = lint_difference(pair->one, pair->other);
    if (difference && count > 2) {
        return text_printf("%s is on LUNs that differ in their %s, as %s and %s do", run->text,
                           difference, pair->one->url, pair->other->url);
    }
    return difference ? text_printf("%s is on LUNs that differ in their %s", run->text, difference)
                      : text_printf("%s is in two targets, and nothing says that it is one LUN",
                                    run->text);
}

/* LUNs with one id often have it in several forms: the first is enough, "naa." coming before
 * "t10.".
 */
static bool is_told(const struct lint_report *report, const struct scan_lun *const *luns,
                    size_t count)
{
    for (size_t i = report->count; i > 0; i--) {
        const struct lint_finding *f = &report->findings[i - 1];
        bool is_same = strcmp(f->name, "designator-duplicate") == 0 && f->url_count == count;
        for (size_t k = 0; is_same && k < count; k++) {
            is_same = strcmp(f->urls[k], luns[k]->url) == 0;
        }
        if (is_same) {
            return true;
        }
    }
    return false;
}

static void judge(struct lint *lint, const struct fact *run, size_t count,
                  const struct scan_lun *const *luns, const struct pair *pair)
{
    const struct scan_lun *other = pair->other;
    switch (run->kind) {
    case FACT_DESIGNATOR:
        if (is_told(lint->report, luns, count)) {
            break;
        }
        lint_add(lint, "designator-duplicate", LINT_ERROR, luns, count,
                 designator_text(run, count, pair), lint_remedy_designator(other));
        break;
    case FACT_T10_HEAD:
        lint_add(lint, "designator-truncated", LINT_WARNING, luns, count,
                 text_printf("these differ only beyond %s: software that keeps 8 characters of a "
                             "T10 designator takes them for one LUN",
                             run->text),
                 lint_remedy_designator(other));
        break;
    case FACT_SERIAL:
        lint_add(lint, "serial-duplicate", LINT_WARNING, luns, count,
                 text_printf("page 80 gives several LUNs the serial number %s", run->text),
                 lint_remedy_serial(other));
        break;
    case FACT_MBR_SIGNATURE:
        lint_add(lint, "mbr-signature-duplicate", LINT_ERROR, luns, count,
                 text_printf("several LUNs have the MBR signature %s", run->text),
                 lint_remedy_disk_ids(other));
        break;
    case FACT_DISK_GUID:
        lint_add(lint, "disk-guid-duplicate", LINT_ERROR, luns, count,
                 text_printf("several LUNs have the GPT disk GUID %s", run->text),
                 lint_remedy_disk_ids(other));
        break;
    case FACT_PARTITION_GUID:
    default:
        lint_add(lint, "partition-guid-duplicate", LINT_ERROR, luns, count,
                 text_printf("several partitions have the GUID %s", run->text),
                 lint_remedy_disk_ids(other));
        break;
    }
}

static void judge_run(struct lint *lint, const struct fact *run, size_t count,
                      const struct scan_lun **luns)
{
    struct pair pair = find_pair(run, count);
    if (run->kind == FACT_PARTITION_GUID) {
        bool is_told_here =
            is_within_one(run, count) || (pair.other && !is_one_disk_guid(run, count));
        pair.other = is_told_here ? run[count - 1].lun : NULL;
    }
    if (!pair.other) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        luns[i] = run[i].lun;
    }
    judge(lint, run, count, luns, &pair);
}

static void judge_all(struct lint *lint, struct facts *facts)
{
    const struct scan_lun **luns = calloc(facts->count + 1, sizeof(*luns));
    if (!luns) {
        lint->status = E_OUTOFMEMORY;
        return;
    }
    if (facts->count > 0) {
        qsort(facts->items, facts->count, sizeof(*facts->items), compare_facts);
    }
    size_t end = 0;
    for (size_t i = 0; i < facts->count; i = end) {
        const struct fact *run = &facts->items[i];
        end = i + 1;
        while (end < facts->count && facts->items[end].kind == run->kind &&
               strcmp(facts->items[end].text, run->text) == 0) {
            end++;
        }
        judge_run(lint, run, end - i, luns);
    }
    free(luns);
}

void lint_shared(struct lint *lint)
{
    struct facts facts = {.status = S_OK};
    for (size_t i = 0; i < lint->count; i++) {
        add_facts(&facts, lint->luns[i]);
    }
    if (FAILED(facts.status)) {
        lint->status = facts.status;
    } else {
        judge_all(lint, &facts);
    }
    free_facts(&facts);
}
