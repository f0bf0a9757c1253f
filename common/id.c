/* SPDX-License-Identifier: Apache-2.0 */
#include "common/id.h"

#include <ctype.h>
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

static bool has_id_shape(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        bool ok = shape[i] == 'x' ? isxdigit((unsigned char)text[i]) != 0 : text[i] == '-';
        if (!ok) {
            return false; /* also where the text ends early: NUL is neither */
        }
    }
    return true;
}

static uint64_t hex_field(const char *text, size_t digits)
{
    char field[17];
    memcpy(field, text, digits);
    field[digits] = '\0';
    return strtoull(field, NULL, 16);
}

bool id_parse(const char *text, VSS_ID *out)
{
    bool is_braced = text[0] == '{';
    const char *t = is_braced ? text + 1 : text;
    if (!has_id_shape(t) || strcmp(t + ID_TEXT_BYTES - 1, is_braced ? "}" : "") != 0) {
        return false;
    }
    VSS_ID id = {.data1 = (uint32_t)hex_field(t, 8),
                 .data2 = (uint16_t)hex_field(t + 9, 4),
                 .data3 = (uint16_t)hex_field(t + 14, 4)};
    for (size_t i = 0; i < 8; i++) {
        id.data4[i] = (uint8_t)hex_field(t + (i < 2 ? 19 : 20) + 2 * i, 2);
    }
    *out = id;
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
