/* SPDX-License-Identifier: Apache-2.0 */
#include "common/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

const VSS_ID id_null = {0};

VSS_ID id_new(void)
{
    uint8_t bytes[16];
    /* Up to 256 bytes getrandom never returns short once the pool is ready; it waits until then. */
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        abort();
    }
    VSS_ID id = id_from_bytes(bytes);
    id.data3 = (uint16_t)((id.data3 & 0x0fff) | 0x4000);
    id.data4[0] = (uint8_t)((id.data4[0] & 0x3f) | 0x80);
    return id;
}

bool id_equal(const VSS_ID *a, const VSS_ID *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool id_is_null(const VSS_ID *id)
{
    return id_equal(id, &id_null);
}

char *id_text(const VSS_ID *id, char out[ID_TEXT_BYTES])
{
    const uint8_t *d = id->data4;
    (void)snprintf(out, ID_TEXT_BYTES, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                   id->data1, id->data2, id->data3, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The 16 bytes of "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" in the order of the text; false also where
 * that ends early: NUL is neither digit nor dash. */
static bool read_bytes(const char *text, uint8_t out[16])
{
    for (size_t i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') {
            return false;
        }
        int high = hex_value(text[0]);
        int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return true;
}

bool id_parse(const char *text, VSS_ID *out)
{
    uint8_t b[16];
    bool is_braced = text[0] == '{';
    const char *t = is_braced ? text + 1 : text;
    if (!read_bytes(t, b) || strcmp(t + ID_TEXT_BYTES - 1, is_braced ? "}" : "") != 0) {
        return false;
    }
    out->data1 = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    out->data2 = (uint16_t)(b[4] << 8 | b[5]);
    out->data3 = (uint16_t)(b[6] << 8 | b[7]);
    memcpy(out->data4, b + 8, sizeof(out->data4));
    return true;
}

void id_to_bytes(const VSS_ID *id, uint8_t out[16])
{
    for (size_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(id->data1 >> (8 * i));
    }
    for (size_t i = 0; i < 2; i++) {
        out[4 + i] = (uint8_t)(id->data2 >> (8 * i));
        out[6 + i] = (uint8_t)(id->data3 >> (8 * i));
    }
    memcpy(out + 8, id->data4, 8);
}

VSS_ID id_from_bytes(const uint8_t bytes[16])
{
    VSS_ID id = {.data1 = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                          (uint32_t)bytes[3] << 24,
                 .data2 = (uint16_t)(bytes[4] | bytes[5] << 8),
                 .data3 = (uint16_t)(bytes[6] | bytes[7] << 8)};
    memcpy(id.data4, bytes + 8, 8);
    return id;
}
