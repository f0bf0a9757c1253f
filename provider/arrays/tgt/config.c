/* SPDX-License-Identifier: Apache-2.0 */
#include "tgt.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_SOCKET  "/var/run/tgtd/socket"
#define DEFAULT_COPIES  "iqn.2026-11.lunshadow:copies"
#define DEFAULT_HOLD_MS 1000u
#define DEFAULT_COST_US 25u

/* Room for ".<set id>" behind the prefix in an iSCSI name of 223 bytes. */
#define COPIES_LENGTH_MAX 180u

static HRESULT read_number(const struct tgt *t, const char *key, uint32_t low, uint32_t high,
                           uint32_t fallback, uint32_t *out)
{
    const char *text = t->call->host->config(t->call, key);
    if (!text) {
        *out = fallback;
        return S_OK;
    }
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < low || value > high) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO,
                        "[array %s] %s = %s is not a number from %u to %u; correct it",
                        t->call->array, key, text, low, high);
    }
    *out = (uint32_t)value;
    return S_OK;
}

static HRESULT read_switch(const struct tgt *t, const char *key, bool *out)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};
    const char *text = t->call->host->config(t->call, key);
    *out = false;
    for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return S_OK;
        }
    }
    if (text) {
        return tgt_fail(t, VSS_E_PROVIDER_VETO, "[array %s] %s = %s is neither yes nor no",
                        t->call->array, key, text);
    }
    return S_OK;
}

/* An address is this host's own exactly when a socket can be bound to it. */
static bool is_own_address(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool is_own = bind(fd, address->ai_addr, address->ai_addrlen) == 0;
    (void)close(fd);
    return is_own;
}

/* The host of "host", "host:port" or "[v6]:port"; NULL when memory is short. */
static char *portal_host(const struct tgt *t, const char *portal)
{
    if (*portal == '[') {
        return tgt_copy(t, portal + 1, strcspn(portal + 1, "]"));
    }
    const char *colon = strchr(portal, ':');
    bool is_bare_v6 = colon && strchr(colon + 1, ':');
    return tgt_copy(t, portal, is_bare_v6 || !colon ? strlen(portal) : (size_t)(colon - portal));
}

/* Cloning files and stopping tgtd need its own host: a portal elsewhere is refused, not ignored. */
static HRESULT check_portal(const struct tgt *t)
{
    const char *portal = t->call->host->config(t->call, "portal");
    if (!portal) {
        return S_OK;
    }
    char *host = portal_host(t, portal);
    if (!host) {
        return E_OUTOFMEMORY;
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_family = AF_UNSPEC};
    struct addrinfo *found = NULL;
    bool is_own = false;
    if (*host && getaddrinfo(host, NULL, &hints, &found) == 0) {
        for (const struct addrinfo *a = found; a && !is_own; a = a->ai_next) {
            is_own = is_own_address(a);
        }
        freeaddrinfo(found);
    }
    if (!is_own) {
        return tgt_fail(
            t, VSS_E_PROVIDER_VETO,
            "[array %s] portal = %s is not an address of this host: the tgt driver works "
            "only on the host where tgtd runs; run lunshadow there",
            t->call->array, portal);
    }
    return S_OK;
}

static HRESULT read_copies(struct tgt *t)
{
    const char *text = t->call->host->config(t->call, "copies");
    t->copies = text ? text : DEFAULT_COPIES;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.:-";
    size_t length = strlen(t->copies);
    if (length < 5 || length > COPIES_LENGTH_MAX || strspn(t->copies, allowed) != length ||
        strncmp(t->copies, "iqn.", 4) != 0) {
        return tgt_fail(
            t, VSS_E_PROVIDER_VETO,
            "[array %s] copies = %s is not the beginning of an iSCSI name: iqn. and then "
            "lower case letters, digits, dots, colons and dashes",
            t->call->array, t->copies);
    }
    return S_OK;
}

HRESULT tgt_begin(const struct vss_call *call, struct tgt *out)
{
    struct tgt t = {.call = call};
    bool is_lab = false;
    HRESULT hr = read_number(&t, "control_port", 0, 32767, 0, &t.control_port);
    if (SUCCEEDED(hr)) {
        hr = read_number(&t, "max_hold_ms", 10, 10000, DEFAULT_HOLD_MS, &t.max_hold_ms);
    }
    if (SUCCEEDED(hr)) {
        hr = read_number(&t, "extent_cost_us", 1, 1000000, DEFAULT_COST_US, &t.extent_cost_us);
    }
    if (SUCCEEDED(hr)) {
        hr = read_switch(&t, "allow_hold", &t.allow_hold);
    }
    if (SUCCEEDED(hr)) {
        hr = read_switch(&t, "lab", &is_lab);
    }
    if (SUCCEEDED(hr)) {
        hr = read_copies(&t);
    }
    if (SUCCEEDED(hr)) {
        hr = check_portal(&t);
    }
    if (FAILED(hr)) {
        return hr;
    }
    /* A lab's tgtd serves nobody else. */
    t.allow_hold = t.allow_hold || is_lab;
    t.socket = call->host->config(call, "socket");
    t.lock_path = tgt_text(&t, "%s.%u.lock", t.socket ? t.socket : DEFAULT_SOCKET, t.control_port);
    if (!t.lock_path) {
        return E_OUTOFMEMORY;
    }
    *out = t;
    return S_OK;
}
