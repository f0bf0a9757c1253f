/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/report_luns.h"

#include "lun/big_endian.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 8u
#define FIRST_BYTES  (8u * 1024u)
#define MAX_BYTES    (HEADER_BYTES + 8u * 16384u)

/* SAM-5 4.7: a LUN number we can address, from the eight bytes of a list entry. */
static bool decode_lun(const uint8_t entry[8], uint64_t *out)
{
    for (size_t i = 2; i < 8; i++) {
        if (entry[i] != 0) {
            return false;
        }
    }
    if (entry[0] >> 6 == 1) {
        *out = (uint64_t)(entry[0] & 0x3f) << 8 | entry[1];
        return true;
    }
    *out = entry[1];
    return entry[0] == 0;
}

/* SAM-5 4.7.12: REPORT LUNS, ACCESS CONTROLS and the like. */
static bool is_well_known(const uint8_t entry[8])
{
    static const uint8_t nothing[6];
    return entry[0] == 0xc1 && memcmp(entry + 2, nothing, sizeof(nothing)) == 0;
}

/* What of an entry decode_lun() does not take. */
static const char *form_of(const uint8_t entry[8])
{
    switch (entry[0] >> 6) {
    case 2:
        return "logical unit addressing";
    case 3:
        return "extended addressing";
    default:
        return entry[0] >> 6 == 0 && entry[0] != 0 ? "peripheral addressing of another bus"
                                                   : "more than one level";
    }
}

static void tell_left_out(const struct scsi_transport *session, const uint8_t entry[8],
                          struct error *out)
{
    (void)error_set(out, E_NOTIMPL,
                    "%s lists a LUN in an address form that is not supported (%s, LUN field "
                    "%02x%02x%02x%02x%02x%02x%02x%02x): which disk it is is not known; map it with "
                    "a number below 16384",
                    session->name, form_of(entry), entry[0], entry[1], entry[2], entry[3], entry[4],
                    entry[5], entry[6], entry[7]);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

static size_t sort_unique(uint64_t *numbers, size_t count)
{
    size_t kept = 0;
    qsort(numbers, count, sizeof(*numbers), compare_numbers);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || numbers[i] != numbers[i - 1]) {
            numbers[kept++] = numbers[i];
        }
    }
    return kept;
}

static HRESULT take_list(const struct scsi_transport *session, const uint8_t *list, uint32_t bytes,
                         uint64_t **out_numbers, size_t *out_count, struct error *out_left_out,
                         struct error *err)
{
    bool is_complete = true;
    size_t entries = bytes / 8;
    uint64_t *numbers = calloc(entries + 1, sizeof(*numbers));
    if (!numbers) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the LUNs of %s", session->name);
    }
    size_t count = 0;
    for (size_t i = 0; i < entries; i++) {
        const uint8_t *entry = list + 8 * i;
        if (decode_lun(entry, &numbers[count])) {
            count++;
        } else if (!is_well_known(entry) && is_complete) {
            is_complete = false;
            tell_left_out(session, entry, out_left_out);
        }
    }
    *out_numbers = numbers;
    *out_count = sort_unique(numbers, count);
    return S_OK;
}

/* S_FALSE where the list is longer than the room for it. */
static HRESULT ask(struct scsi_transport *session, uint8_t *data, uint32_t bytes,
                   uint32_t *out_list_bytes, struct error *err)
{
    struct scsi_command c;
    scsi_build_report_luns(&c, data, bytes);
    HRESULT hr = scsi_execute(session, &c, err);
    if (FAILED(hr)) {
        return hr;
    }
    uint32_t listed = c.transferred_bytes >= 4 ? be32_get(data) : 0;
    uint32_t arrived = c.transferred_bytes > HEADER_BYTES ? c.transferred_bytes - HEADER_BYTES : 0;
    bool is_cut = listed > arrived;
    if (c.transferred_bytes < HEADER_BYTES || listed % 8 != 0 ||
        (is_cut && (c.transferred_bytes < bytes || bytes == MAX_BYTES))) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s: its list of LUNs says %u bytes, %u arrived; see the array's own log",
                         session->name, listed, arrived);
    }
    *out_list_bytes = listed;
    return is_cut ? S_FALSE : S_OK;
}

HRESULT report_luns(struct scsi_transport *session, uint64_t **out_numbers, size_t *out_count,
                    struct error *out_left_out, struct error *err)
{
    uint32_t list_bytes = 0;
    *out_numbers = NULL;
    *out_count = 0;
    uint8_t *data = calloc(1, MAX_BYTES);
    if (!data) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the LUNs of %s", session->name);
    }
    HRESULT hr = ask(session, data, FIRST_BYTES, &list_bytes, err);
    if (hr == S_FALSE) {
        hr = ask(session, data, MAX_BYTES, &list_bytes, err);
    }
    if (SUCCEEDED(hr)) {
        hr = take_list(session, data + HEADER_BYTES, list_bytes, out_numbers, out_count,
                       out_left_out, err);
    }
    free(data);
    return hr;
}
