/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/lun.h"

#include "common/buffer.h"
#include "common/log.h"
#include "lun/transport/iscsi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_PREFIX    "iqn.2026-11.lunshadow:"
#define NAME_FILE      "/etc/iscsi/initiatorname.iscsi"
#define MIN_TIMEOUT_MS 100u
#define MAX_TIMEOUT_MS 600000u

/* What a login needs besides the address. */
struct login {
    struct iscsi_options options;
    char *initiator;
    char user[256];
    char secret[256];
};

/* ---- initiator name ---- */

/* The host's name with what an iSCSI name does not allow as '-'. */
static char *name_of_host(void)
{
    char host[65] = "";
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
        (void)snprintf(host, sizeof(host), "localhost");
    }
    for (char *c = host; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c - 'A' + 'a');
        } else if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '.') {
            *c = '-';
        }
    }
    return text_printf(NAME_PREFIX "%s", host);
}

/* InitiatorName of the host's iSCSI stack; false where the file has none or may not be read. */
static bool name_of_stack(char out[256])
{
    static const char key[] = "InitiatorName=";
    char line[512];
    bool is_found = false;
    FILE *file = fopen(NAME_FILE, "re");
    while (file && !is_found && fgets(line, sizeof(line), file)) {
        line[strcspn(line, " \t\r\n")] = '\0';
        const char *name = line + strlen(key);
        if (strncmp(line, key, strlen(key)) == 0 && lun_is_iscsi_name(name)) {
            (void)snprintf(out, 256, "%.255s", name);
            is_found = true;
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return is_found;
}

HRESULT lun_initiator_name(const struct lun_options *options, char **out, struct error *err)
{
    char stack[256];
    *out = NULL;
    const char *name = options ? options->initiator_name : NULL;
    if (!name && options) {
        name = config_value(config_find(options->config, "initiator", ""), "name", NULL);
    }
    if (name && !lun_is_iscsi_name(name)) {
        return error_set(
            err, E_INVALIDARG,
            "initiator name \"%.80s\" is not an iSCSI name; write iqn.YYYY-MM.DOMAIN:X", name);
    }
    if (!name && name_of_stack(stack)) {
        name = stack;
    }
    *out = name ? text_copy(name) : name_of_host();
    return *out ? S_OK : error_set(err, E_OUTOFMEMORY, "no memory for the initiator name");
}

/* ---- [portal] ---- */

/* The section with this address; NULL where none has it. */
static HRESULT find_portal(const struct config *config, const char *portal,
                           const struct config_section **out, struct error *err)
{
    *out = NULL;
    for (size_t i = 0; config && i < config->section_count; i++) {
        const struct config_section *s = &config->sections[i];
        const char *address = config_value(s, "address", NULL);
        char text[272];
        if (strcmp(s->kind, "portal") != 0 || !address) {
            continue;
        }
        HRESULT hr = lun_portal_parse(address, text, err);
        if (FAILED(hr)) {
            error_prefix(err, "configuration [portal %s] address", s->name);
            return hr;
        }
        if (!*out && strcmp(text, portal) == 0) {
            *out = s;
        }
    }
    return S_OK;
}

static HRESULT read_secret_file(const char *path, char out[256], struct error *err)
{
    struct stat st;
    char line[300] = "";
    HRESULT hr = S_OK;
    FILE *file = fopen(path, "re");
    if (!file) {
        return error_set_errno(err, errno, "secret_file %s", path);
    }
    if (fstat(fileno(file), &st) == 0 && (st.st_mode & 077) != 0) {
        log_line(LOG_WARNING, "secret_file %s can be read by others than its owner; chmod 600",
                 path);
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* no second copy of the secret in a freed buffer */
    bool is_read = fgets(line, sizeof(line), file) != NULL;
    line[strcspn(line, "\r\n")] = '\0';
    if (!is_read || line[0] == '\0' || strlen(line) > 255) {
        hr = error_set(err, E_INVALIDARG,
                       "secret_file %s: its first line is not a secret of 1 to 255 characters",
                       path);
    } else {
        memcpy(out, line, strlen(line) + 1);
    }
    (void)fclose(file);
    explicit_bzero(line, sizeof(line));
    return hr;
}

static HRESULT read_secret(const struct config_section *section, char out[256], struct error *err)
{
    if (!section) {
        return S_OK;
    }
    const char *path = config_value(section, "secret_file", NULL);
    if (path) {
        return read_secret_file(path, out, err);
    }
    const char *variable = config_value(section, "secret_env", NULL);
    if (!variable) {
        return S_OK;
    }
    const char *secret = secure_getenv(variable);
    if (!secret || secret[0] == '\0' || strlen(secret) > 255) {
        return error_set(
            err, E_INVALIDARG,
            "configuration [portal %s] secret_env: variable %.60s holds no secret of 1 "
            "to 255 characters",
            section->name, variable);
    }
    memcpy(out, secret, strlen(secret) + 1);
    return S_OK;
}

static HRESULT take_digests(const struct config_section *section, struct iscsi_options *options,
                            struct error *err)
{
    options->header_digest = ISCSI_DIGEST_OFFERED;
    if (!section) {
        return S_OK;
    }
    const char *header = config_value(section, "header_digest", NULL);
    const char *data = config_value(section, "data_digest", "none");
    if (header && strcmp(header, "none") == 0) {
        options->header_digest = ISCSI_DIGEST_NONE;
    } else if (header && strcmp(header, "crc32c") == 0) {
        options->header_digest = ISCSI_DIGEST_CRC32C;
    } else if (header) {
        return error_set(err, E_INVALIDARG,
                         "configuration [portal %s] header_digest is none or crc32c",
                         section->name);
    }
    if (strcmp(data, "none") != 0) {
        return error_set(
            err, E_INVALIDARG,
            "configuration [portal %s] data_digest can only be none: the iSCSI library "
            "has no data digests",
            section->name);
    }
    return S_OK;
}

static HRESULT take_chap(const struct config_section *section, const char *user, const char *secret,
                         struct login *login, struct error *err)
{
    const char *from_config = config_value(section, "user", "");
    const char *name = user && user[0] ? user : from_config;
    if (strlen(name) >= sizeof(login->user)) {
        return error_set(err, E_INVALIDARG, "configuration [portal %s] user is too long",
                         section ? section->name : "");
    }
    memcpy(login->user, name, strlen(name) + 1);
    if (name[0] == '\0') {
        return S_OK;
    }
    if (secret && secret[0]) {
        (void)snprintf(login->secret, sizeof(login->secret), "%s", secret);
        return S_OK;
    }
    return read_secret(section, login->secret, err);
}

static void login_free(struct login *login)
{
    free(login->initiator);
    explicit_bzero(login, sizeof(*login));
}

static HRESULT login_prepare(const char *portal, const char *user, const char *secret,
                             const struct lun_options *options, struct login *out,
                             struct error *err)
{
    const struct config *config = options ? options->config : NULL;
    const struct config_section *section = NULL;
    uint64_t timeout_ms = 0;
    memset(out, 0, sizeof(*out));
    HRESULT hr = find_portal(config, portal, &section, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = config_number(config_find(config, "initiator", ""), "timeout_ms", MIN_TIMEOUT_MS,
                       MAX_TIMEOUT_MS, SCSI_DEFAULT_TIMEOUT_MS, &timeout_ms, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = take_digests(section, &out->options, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = take_chap(section, user, secret, out, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = lun_initiator_name(options, &out->initiator, err);
    out->options.portal = portal;
    out->options.initiator = out->initiator;
    out->options.user = out->user;
    out->options.secret = out->secret;
    out->options.timeout_ms =
        options && options->timeout_ms ? options->timeout_ms : (uint32_t)timeout_ms;
out:
    if (FAILED(hr)) {
        login_free(out);
    }
    return hr;
}

HRESULT lun_open_session(const struct lun_address *address, const struct lun_options *options,
                         struct scsi_transport **out, struct error *err)
{
    struct login login;
    *out = NULL;
    HRESULT hr =
        login_prepare(address->portal, address->user, address->secret, options, &login, err);
    if (FAILED(hr)) {
        return hr;
    }
    login.options.target = address->target;
    hr = iscsi_open(&login.options, out, err);
    login_free(&login);
    return hr;
}

HRESULT lun_credentials(const struct lun_address *address, const struct lun_options *options,
                        char out_user[256], char out_secret[256], struct error *err)
{
    struct login login;
    out_user[0] = '\0';
    out_secret[0] = '\0';
    HRESULT hr =
        login_prepare(address->portal, address->user, address->secret, options, &login, err);
    if (FAILED(hr)) {
        return hr;
    }
    memcpy(out_user, login.user, sizeof(login.user));
    memcpy(out_secret, login.secret, sizeof(login.secret));
    login_free(&login);
    return S_OK;
}

HRESULT lun_discover(const char *portal, const struct lun_options *options, char ***out,
                     size_t *out_count, struct error *err)
{
    struct login login;
    char text[272];
    *out = NULL;
    *out_count = 0;
    HRESULT hr = lun_portal_parse(portal, text, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = login_prepare(text, NULL, NULL, options, &login, err);
    if (FAILED(hr)) {
        return hr;
    }
    hr = iscsi_discover(&login.options, out, out_count, err);
    login_free(&login);
    return hr;
}
