/* SPDX-License-Identifier: Apache-2.0 */

/* What a target answers: INQUIRY data and VPD pages, capacity, list of LUNs, reservations,
 * provisioning. The input is a run of answers: the first three bytes of the CDB that it answers, a
 * status, a length (two bytes, big-endian), and so many bytes of data or, with CHECK CONDITION,
 * sense. Two LUNs are identified by them and compared with each other. */

#include "fuzz/fuzz.h"

#include <string.h>

#include "lun/big_endian.h"
#include "lun/identity.h"
#include "lun/lint/lint.h"
#include "lun/pipeline_ops.h"
#include "lun/report_luns.h"

#define RECORD_HEADER 6u
#define MAX_RECORDS   64
#define STATUS_LOST   0xff /* not SAM's: the session ends */
#define MAX_LUNS      16384u

/* ---- a target that answers with the input ---- */

struct record {
    const uint8_t *header;
    const uint8_t *data;
    uint32_t bytes;
    bool is_used;
};

struct target {
    struct scsi_transport transport; /* first */
    struct record records[MAX_RECORDS];
    size_t record_count;
    struct scsi_command *queue;
    uint32_t moved; /* bytes of the last answer */
    bool is_lost;
};

static void submit(struct scsi_transport *transport, struct scsi_command *command)
{
    struct target *target = (struct target *)transport;
    struct scsi_command **end = &target->queue;
    while (*end) {
        end = &(*end)->transport.next;
    }
    command->transport.next = NULL;
    *end = command;
}

/* The next one for such a command; once there is none, the last one again. */
static struct record *find_record(struct target *target, const struct scsi_command *c)
{
    struct record *last = NULL;
    for (size_t i = 0; i < target->record_count; i++) {
        struct record *r = &target->records[i];
        if (memcmp(r->header, c->cdb, 3) != 0) {
            continue;
        }
        last = r;
        if (!r->is_used) {
            r->is_used = true;
            return r;
        }
    }
    return last;
}

static void answer(struct target *target, struct scsi_command *c)
{
    static const struct scsi_sense_code no_such_command = {SCSI_SENSE_ILLEGAL_REQUEST, 0x20, 0,
                                                           false};
    const struct record *r = find_record(target, c);
    c->status = r ? r->header[3] : SCSI_STATUS_CHECK_CONDITION;
    if (target->is_lost || c->status == STATUS_LOST) {
        target->is_lost = true;
        c->result = VSS_E_UNEXPECTED;
    } else if (!r) {
        c->sense = no_such_command;
    } else if (c->status == SCSI_STATUS_CHECK_CONDITION) {
        (void)scsi_sense_parse(r->data, r->bytes, &c->sense);
    } else {
        if (c->status == SCSI_STATUS_BUSY || c->status == SCSI_STATUS_TASK_SET_FULL) {
            c->status = SCSI_STATUS_GOOD; /* what is sent again later takes long */
        }
        c->transferred_bytes = r->bytes < c->data_bytes ? r->bytes : c->data_bytes;
        memcpy(c->data, r->data, c->transferred_bytes);
        target->moved = c->transferred_bytes;
    }
    scsi_finish(&target->transport, c);
}

static HRESULT poll_queue(struct scsi_transport *transport, uint32_t timeout_ms, struct error *err)
{
    struct target *target = (struct target *)transport;
    (void)timeout_ms;
    while (target->queue) {
        struct scsi_command *c = target->queue;
        target->queue = c->transport.next;
        answer(target, c);
    }
    return target->is_lost ? error_set(err, VSS_E_UNEXPECTED, "%s is lost", transport->name) : S_OK;
}

static const struct scsi_transport_ops target_ops = {.submit = submit, .poll = poll_queue};

static void target_init(struct target *target, const uint8_t *data, size_t size)
{
    *target = (struct target){.transport = {&target_ops, "iscsi://array:3260/iqn.target", 8}};
    while (size >= RECORD_HEADER && target->record_count < MAX_RECORDS) {
        uint32_t bytes = be16_get(data + 4);
        size_t left = size - RECORD_HEADER;
        bytes = bytes < left ? bytes : (uint32_t)left;
        target->records[target->record_count++] =
            (struct record){.header = data, .data = data + RECORD_HEADER, .bytes = bytes};
        data += RECORD_HEADER + bytes;
        size -= RECORD_HEADER + bytes;
    }
}

/* ---- what must hold of an identity ---- */

static void check_text(const char *text)
{
    fuzz_check(!text || text[0] == '\0' || fuzz_is_line(text));
    fuzz_check(!text || (text[0] != ' ' && (!text[0] || text[strlen(text) - 1] != ' ')));
    for (; text && *text; text++) {
        fuzz_check((uint8_t)*text <= '~');
    }
}

static void check_failure(HRESULT hr, const struct error *err, const struct lun_identity *id)
{
    static const struct lun_identity nothing;
    fuzz_check(FAILED(hr) && err->code == hr && fuzz_is_line(err->text));
    fuzz_check(memcmp(id, &nothing, sizeof(nothing)) == 0);
}

static unsigned unescaped(const char *at, bool is_hex)
{
    char digits[3] = {at[0], 0, 0};
    if (is_hex || at[0] == '%') {
        digits[0] = at[is_hex ? 0 : 1];
        digits[1] = at[is_hex ? 1 : 2];
        return (unsigned)strtoul(digits, NULL, 16);
    }
    return (uint8_t)at[0];
}

/* Read back from its text, a designator is the same bytes, padding aside; so two different ones
 * never have one text. What is too long for one ends in a digest. */
static void check_designator(const struct vss_storage_identifier *id)
{
    char text[LUN_KEY_BYTES];
    bool is_text =
        id->type == VDSStorageIdTypeVendorId || id->type == VDSStorageIdTypeScsiNameString;
    fuzz_check(fuzz_is_line(lun_id_text(id, text)));
    fuzz_check((lun_id_rank(id) == LUN_ID_NONE) != (lun_id_flaw(id) == LUN_ID_SOUND));
    fuzz_check(lun_id_equal(id, id));
    if (strlen(text) >= LUN_KEY_BYTES - LUN_KEY_DIGEST_BYTES) {
        return;
    }
    const char *at = strchr(text, '.') + 1;
    uint32_t count = 0;
    for (; *at; count++) {
        fuzz_check(count < id->identifier_bytes);
        fuzz_check(unescaped(at, !is_text) == id->identifier[count]);
        at += is_text ? (*at == '%' ? 3 : 1) : 2;
    }
    for (; count < id->identifier_bytes; count++) {
        fuzz_check(is_text && (id->identifier[count] == ' ' || id->identifier[count] == 0));
    }
}

static void check_same(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    const char *reason = NULL;
    bool is_unique = lun_info_is_unique(a, &reason);
    fuzz_check(is_unique || fuzz_is_line(reason));
    fuzz_check(lun_info_compare(a, b) == (is_unique ? LUN_SAME : LUN_DIFFERENT));
    fuzz_check(lun_info_matches(a, b, &reason) == is_unique);
    fuzz_check(is_unique || fuzz_is_line(reason));
}

/* The key is that of the LUN, in whatever order its page 83 has the designators. */
static void check_order(struct vss_lun_info *info)
{
    struct vss_storage_identifier *ids = info->device_id.identifiers;
    char keys[2][LUN_KEY_BYTES];
    (void)lun_info_key(info, keys[0]);
    for (uint32_t i = 0, k = info->device_id.identifier_count; i + 1 < k; i++, k--) {
        struct vss_storage_identifier other = ids[i];
        ids[i] = ids[k - 1];
        ids[k - 1] = other;
    }
    fuzz_check(strcmp(lun_info_key(info, keys[1]), keys[0]) == 0);
}

static void check_copies(const struct vss_lun_info *info)
{
    struct vss_lun_info copy;
    struct vss_lun_info read;
    fuzz_check(lun_info_copy(info, &copy) == S_OK);
    check_same(info, &copy);
    json_t *json = lun_info_to_json(&copy);
    fuzz_check(json && lun_info_from_json(json, &read, NULL) == S_OK);
    json_t *again = lun_info_to_json(&read);
    fuzz_check(json_equal(json, again));
    check_same(info, &read);
    json_decref(again);
    json_decref(json);
    check_order(&copy);
    check_same(info, &copy);
    lun_info_free(&read);
    lun_info_free(&copy);
}

static void check_identity(const struct lun_identity *id)
{
    const struct vss_lun_info *info = &id->info;
    uint32_t block = id->block_bytes;
    check_text(info->vendor_id);
    check_text(info->product_id);
    check_text(info->product_revision);
    check_text(info->serial_number);
    fuzz_check(block >= 512 && block <= 65536 && (block & (block - 1)) == 0);
    fuzz_check(id->block_count > 0 && id->block_count <= INT64_MAX / block);
    fuzz_check(id->physical_block_bytes >= block);
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        check_designator(&info->device_id.identifiers[i]);
    }
    check_copies(info);
}

static void check_pair(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    char keys[2][LUN_KEY_BYTES];
    const char *reason = NULL;
    enum lun_match match = lun_info_compare(a, b);
    fuzz_check(match == lun_info_compare(b, a));
    bool matches = lun_info_matches(a, b, &reason);
    fuzz_check(matches == lun_info_matches(b, a, &reason));
    fuzz_check(!matches || match == LUN_SAME);
    fuzz_check(match == LUN_DIFFERENT ||
               (lun_info_is_unique(a, &reason) && lun_info_is_unique(b, &reason)));
    if (strcmp(lun_info_key(a, keys[0]), lun_info_key(b, keys[1])) == 0) {
        fuzz_check(match != LUN_DIFFERENT || strcmp(keys[0], "none") == 0);
    }
}

/* Both as a scan would bring them. */
static void check_lint(struct lun_identity ids[2])
{
    char keys[2][LUN_KEY_BYTES];
    char urls[2][8] = {"url/0", "url/1"};
    struct scan_lun rows[2] = {{.label_result = S_FALSE}, {.label_result = S_FALSE}};
    struct scan scan = {.luns = rows, .count = 2};
    struct scan *scans[] = {&scan};
    struct lint_report report = {0};
    for (size_t i = 0; i < 2; i++) {
        rows[i].url = urls[i];
        rows[i].identity = ids[i];
        rows[i].key = lun_info_key(&ids[i].info, keys[i]);
        rows[i].address.lun = i;
    }
    const struct lint_input in = {.scans = scans, .scan_count = 1};
    fuzz_check(lint_run(&in, &report, NULL) == S_OK);
    for (size_t i = 0; i < report.count; i++) {
        fuzz_check(fuzz_is_line(report.findings[i].text));
        fuzz_check(fuzz_is_line(report.findings[i].remedy));
        fuzz_check(report.findings[i].url_count > 0);
    }
    lint_report_free(&report);
    fuzz_check(!scan_duplicate(&scan, &rows[0]) == !scan_duplicate(&scan, &rows[1]));
}

/* ---- one answer alone, in memory of its own size ---- */

typedef HRESULT parser(const uint8_t *, uint32_t, struct lun_identity *, struct error *);

static void try_parser(parser *parse, const uint8_t *data, uint32_t bytes)
{
    struct lun_identity id = {0};
    struct error err = {0};
    HRESULT hr = parse(data, bytes, &id, &err);
    if (FAILED(hr)) {
        check_failure(hr, &err, &id);
    }
    identity_free(&id);
}

static void try_limits(const uint8_t *data, uint32_t bytes)
{
    struct lun_identity id = {0};
    identity_parse_limits(data, bytes, data, bytes, data, bytes, &id);
    fuzz_check(!id.max_transfer_blocks || bytes >= 12);
    fuzz_check(!id.max_write_same_blocks || bytes >= 44);
}

/* Some descriptor says that this block is deallocated. */
static bool is_unmapped(const uint8_t *data, uint32_t bytes, uint64_t lba)
{
    for (uint32_t at = 8; at + 16 <= bytes; at += 16) {
        uint64_t first = be64_get(data + at);
        if (lba >= first && lba - first < be32_get(data + at + 8) && (data[at + 12] & 0x0f) == 1) {
            return true;
        }
    }
    return false;
}

static void try_status(const uint8_t *data, uint32_t bytes)
{
    const uint64_t block = 512;
    const uint64_t blocks = 0x1000000000;
    struct pipeline p = {.block_bytes = (uint32_t)block, .bytes = blocks * block};
    uint64_t begin = bytes > 16 ? data[15] * block : 0;
    uint64_t offset = begin;
    bool goes_on = pipeline_take_status(&p, data, bytes, &offset);
    fuzz_check(!goes_on || (offset > begin && offset < p.bytes));
    fuzz_check(offset >= begin && offset <= p.bytes && offset % block == 0);
    for (size_t i = 0; i < p.run_count; i++) {
        uint64_t before = i > 0 ? p.runs[i - 1].end : begin;
        fuzz_check(p.runs[i].end > before && p.runs[i].end <= offset);
        fuzz_check(i == 0 || p.runs[i].is_hole != p.runs[i - 1].is_hole);
        fuzz_check(!p.runs[i].is_hole || (is_unmapped(data, bytes, before / block) &&
                                          is_unmapped(data, bytes, p.runs[i].end / block - 1)));
    }
}

static void try_alone(const struct record *r)
{
    uint8_t *exact = malloc(r->bytes ? r->bytes : 1);
    fuzz_check(exact);
    memcpy(exact, r->data, r->bytes);
    try_parser(identity_parse_inquiry, exact, r->bytes);
    try_parser(identity_parse_vpd80, exact, r->bytes);
    try_parser(identity_parse_vpd83, exact, r->bytes);
    try_parser(identity_parse_capacity16, exact, r->bytes);
    try_limits(exact, r->bytes);
    try_status(exact, r->bytes);
    free(exact);
}

/* ---- all of them, as they come ---- */

static HRESULT identify(struct target *target, uint64_t lun, struct lun_identity *out)
{
    struct error err = {0};
    HRESULT hr = identity_read(&target->transport, lun, out, &err);
    if (FAILED(hr)) {
        check_failure(hr, &err, out);
        return hr;
    }
    check_identity(out);
    return hr;
}

static void try_identities(struct target *target)
{
    struct lun_identity ids[2] = {{.block_bytes = 0}, {.block_bytes = 0}};
    if (SUCCEEDED(identify(target, 0, &ids[0])) && SUCCEEDED(identify(target, 1, &ids[1]))) {
        check_pair(&ids[0].info, &ids[1].info);
        check_lint(ids);
    }
    identity_free(&ids[0]);
    identity_free(&ids[1]);
}

static void try_report_luns(struct target *target)
{
    struct error err = {0};
    uint64_t *numbers = NULL;
    size_t count = 0;
    struct error left_out = {0};
    HRESULT hr = report_luns(&target->transport, &numbers, &count, &left_out, &err);
    fuzz_check(SUCCEEDED(left_out.code) || (SUCCEEDED(hr) && fuzz_is_line(left_out.text)));
    fuzz_check(SUCCEEDED(hr) ? numbers != NULL : !numbers && count == 0 && fuzz_is_line(err.text));
    for (size_t i = 0; i < count; i++) {
        fuzz_check(numbers[i] < MAX_LUNS && (i == 0 || numbers[i] > numbers[i - 1]));
    }
    fuzz_check(count == 0 || 8 + 8 * count <= target->moved);
    free(numbers);
}

static void try_reservations(struct target *target)
{
    struct error err = {0};
    struct error err_keys = {0};
    uint64_t key = 0;
    uint64_t keys[4] = {0};
    size_t count = 0;
    uint8_t type = 0;
    HRESULT hr = scsi_pr_read_reservation(&target->transport, 0, &key, &type, &err);
    fuzz_check(SUCCEEDED(hr) || fuzz_is_line(err.text));
    fuzz_check(hr == S_OK ? type <= 0x0f : key == 0 && type == 0);
    hr = scsi_pr_read_keys(&target->transport, 0, keys, 4, &count, &err_keys);
    fuzz_check(SUCCEEDED(hr) || fuzz_is_line(err_keys.text));
    fuzz_check(count == 0 || (SUCCEEDED(hr) && 8 + 8 * count <= target->moved));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct target target;
    target_init(&target, data, size);
    for (size_t i = 0; i < target.record_count; i++) {
        try_alone(&target.records[i]);
    }
    try_report_luns(&target);
    try_reservations(&target);
    try_identities(&target);
    return 0;
}
