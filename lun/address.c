/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/lun.h"

#include "common/buffer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME         "iscsi://"
#define MAX_HOST_BYTES 240u
#define MAX_NAME_BYTES 223u /* RFC 7143 4.2.7.1 */
#define MAX_LUN        16383u
#define DEFAULT_PORT   3260u
#define MAX_PORT       65535u
#define PORTAL_BYTES   sizeof(((struct lun_address *)0)->portal)

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits only, the whole of length characters, at most max. */
static bool parse_decimal(const char *text, size_t length, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > max) {
            return false;
        }
    }
    *out = (uint32_t)value;
    return length > 0;
}

/* Length of the host part, brackets included; 0 where it is none. */
static size_t host_length(const char *text, size_t length)
{
    size_t n = 0;
    if (length > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', length);
        char inside[INET6_ADDRSTRLEN];
        struct in6_addr address;
        size_t bytes = end ? (size_t)(end - text) - 1 : sizeof(inside);
        if (bytes >= sizeof(inside)) {
            return 0;
        }
        memcpy(inside, text + 1, bytes);
        inside[bytes] = '\0';
        return inet_pton(AF_INET6, inside, &address) == 1 ? bytes + 2 : 0;
    }
    while (n < length && (is_letter(text[n]) || is_digit(text[n]) || strchr(".-_", text[n]))) {
        n++;
    }
    return n <= MAX_HOST_BYTES ? n : 0;
}

/* What is wrong with "host[:port]", or NULL. */
static const char *parse_portal(const char *text, size_t length, char out[PORTAL_BYTES])
{
    uint32_t port = DEFAULT_PORT;
    size_t host = host_length(text, length);
    if (host == 0) {
        return "the host is missing or has characters that no host has";
    }
    if (host < length) {
        if (text[host] != ':') {
            return "the host has characters that no host has";
        }
        if (!parse_decimal(text + host + 1, length - host - 1, MAX_PORT, &port) || port == 0) {
            return "the port is not a number from 1 to 65535";
        }
    }
    for (size_t i = 0; i < host; i++) {
        out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    }
    (void)snprintf(out + host, PORTAL_BYTES - host, ":%u", port);
    return NULL;
}

HRESULT lun_portal_parse(const char *text, char out[272], struct error *err)
{
    const char *problem = parse_portal(text, strlen(text), out);
    if (problem) {
        out[0] = '\0';
        return error_set(err, E_INVALIDARG, "a portal is host[:port]: %s", problem);
    }
    return S_OK;
}

static bool is_name(const char *text, size_t length)
{
    if (length < 5 || length > MAX_NAME_BYTES ||
        (memcmp(text, "iqn.", 4) != 0 && memcmp(text, "eui.", 4) != 0 &&
         memcmp(text, "naa.", 4) != 0)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_letter(text[i]) && !is_digit(text[i]) &&
            (text[i] == '\0' || !strchr(".-:_", text[i]))) {
            return false;
        }
    }
    return true;
}

bool lun_is_iscsi_name(const char *text)
{
    return is_name(text, strlen(text));
}

static bool copy_part(const char *text, size_t length, char *out, size_t out_bytes)
{
    if (length >= out_bytes) {
        return false;
    }
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

/* "user%secret" in front of the '@'. */
static const char *parse_user(const char *text, size_t length, struct lun_address *out)
{
    const char *percent = memchr(text, '%', length);
    size_t user = percent ? (size_t)(percent - text) : length;
    if (user == 0 || !copy_part(text, user, out->user, sizeof(out->user))) {
        return "the user is missing or too long";
    }
    if (percent && !copy_part(percent + 1, length - user - 1, out->secret, sizeof(out->secret))) {
        return "the secret is too long";
    }
    return NULL;
}

/* What is wrong with the text behind the scheme, or NULL. No part of the text may be shown: a
 * secret can stand anywhere in one that is wrong. */
static const char *parse_rest(const char *text, struct lun_address *out)
{
    uint32_t lun = 0;
    const char *slash = strchr(text, '/');
    if (!slash) {
        return "target and LUN are missing";
    }
    const char *at = memrchr(text, '@', (size_t)(slash - text));
    const char *host = at ? at + 1 : text;
    const char *problem = at ? parse_user(text, (size_t)(at - text), out) : NULL;
    if (!problem) {
        problem = parse_portal(host, (size_t)(slash - host), out->portal);
    }
    if (problem) {
        return problem;
    }
    const char *target = slash + 1;
    const char *end = strchr(target, '/');
    if (!end) {
        return "the LUN number is missing";
    }
    if (!is_name(target, (size_t)(end - target))) {
        return "the target is not an iSCSI name (iqn., eui. or naa.)";
    }
    (void)copy_part(target, (size_t)(end - target), out->target, sizeof(out->target));
    if (!parse_decimal(end + 1, strlen(end + 1), MAX_LUN, &lun)) {
        return "the LUN is not a number from 0 to 16383";
    }
    out->lun = lun;
    return NULL;
}

HRESULT lun_address_parse(const char *url, struct lun_address *out, struct error *err)
{
    struct lun_address address;
    memset(out, 0, sizeof(*out));
    memset(&address, 0, sizeof(address));
    const char *problem = "it does not begin with iscsi://";
    if (strncmp(url, SCHEME, strlen(SCHEME)) == 0) {
        problem = parse_rest(url + strlen(SCHEME), &address);
    }
    if (!problem) {
        *out = address;
    }
    explicit_bzero(&address, sizeof(address));
    if (problem) {
        return error_set(err, E_INVALIDARG,
                         "a LUN's address is iscsi://[user%%secret@]host[:port]/target/lun: %s",
                         problem);
    }
    return S_OK;
}

char *lun_address_text(const struct lun_address *address)
{
    return text_printf(SCHEME "%s/%s/%llu", address->portal, address->target,
                       (unsigned long long)address->lun);
}
