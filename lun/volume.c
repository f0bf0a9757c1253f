/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/volume.h"

#include "common/buffer.h"

#include <stdlib.h>
#include <string.h>

/* Digits without a leading zero, 1 and up: one partition has one name. */
static bool parse_partition(const char *text, uint32_t *out)
{
    uint64_t value = 0;
    if (*text < '1' || *text > '9') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX) {
            return false;
        }
    }
    *out = (uint32_t)value;
    return true;
}

HRESULT volume_parse(const char *name, struct volume_name *out, struct error *err)
{
    memset(out, 0, sizeof(*out));
    if (name[0] == '/') {
        return error_set(err, VSS_E_VOLUME_NOT_SUPPORTED,
                         "%.200s is a name of one host; here it takes the LUN's address, "
                         "iscsi://host[:port]/target/lun",
                         name);
    }
    const char *slash = strrchr(name, '/');
    const char *hash = slash ? strchr(slash, '#') : NULL;
    char *url = hash ? strndup(name, (size_t)(hash - name)) : text_copy(name);
    if (!url) {
        return error_set(err, E_OUTOFMEMORY, "no memory for a volume name");
    }
    HRESULT hr = lun_address_parse(url, &out->address, err);
    explicit_bzero(url, strlen(url));
    free(url);
    if (SUCCEEDED(hr) && hash && !parse_partition(hash + 1, &out->partition)) {
        hr = error_set(err, E_INVALIDARG,
                       "a volume is a LUN's address and #N for partition N, from 1: what stands "
                       "behind the # is no such number");
    }
    if (FAILED(hr)) {
        memset(out, 0, sizeof(*out));
    }
    return hr;
}

char *volume_text(const struct volume_name *volume)
{
    char *url = lun_address_text(&volume->address);
    if (!url || volume->partition == 0) {
        return url;
    }
    char *text = text_printf("%s#%u", url, volume->partition);
    free(url);
    return text;
}
