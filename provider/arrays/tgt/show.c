/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include "tgtadm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the parser is: the tails of the lists and the heading last seen. */
struct parser {
    const struct tgt *t;
    struct tgt_view *view;
    struct tgt_target *target;
    struct tgt_target **target_tail;
    struct tgt_lun *lun;
    struct tgt_lun **lun_tail;
    struct tgt_acl **acl_tail;
    enum { SECTION_OTHER, SECTION_LUNS, SECTION_ACL } section;
};

static bool parse_number(const char *text, uint64_t limit, uint64_t *out, const char **out_rest)
{
    if (*text < '0' || *text > '9') {
        return false;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || value > limit) {
        return false;
    }
    *out = value;
    *out_rest = end;
    return true;
}

/* The text behind "KEY: ", NULL where the line has another key. */
static const char *value_of(const char *line, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) != 0 || line[length] != ':') {
        return NULL;
    }
    return line[length + 1] == ' ' ? line + length + 2 : line + length + 1;
}

static HRESULT add_target(struct parser *p, const char *line)
{
    uint64_t tid = 0;
    const char *rest = NULL;
    if (strncmp(line, "Target ", 7) != 0 || !parse_number(line + 7, INT32_MAX, &tid, &rest) ||
        strncmp(rest, ": ", 2) != 0) {
        return tgt_fail(p->t, VSS_E_PROVIDER_VETO,
                        "tgtadm printed \"%.100s\" where a target was expected", line);
    }
    struct tgt_target *target = tgt_alloc(p->t, sizeof(*target));
    if (!target) {
        return E_OUTOFMEMORY;
    }
    target->tid = (uint32_t)tid;
    target->name = rest + 2;
    *p->target_tail = target;
    p->target_tail = &target->next;
    p->target = target;
    p->lun = NULL;
    p->lun_tail = &target->luns;
    p->acl_tail = &target->acl;
    p->section = SECTION_OTHER;
    return S_OK;
}

static HRESULT add_lun(struct parser *p, const char *line)
{
    const char *text = value_of(line, "LUN");
    uint64_t number = 0;
    const char *rest = NULL;
    if (!text || !parse_number(text, UINT64_MAX, &number, &rest) || *rest != '\0') {
        return tgt_fail(p->t, VSS_E_PROVIDER_VETO,
                        "tgtadm printed \"%.100s\" where a LUN of target %s was expected", line,
                        p->target->name);
    }
    struct tgt_lun *lun = tgt_alloc(p->t, sizeof(*lun));
    if (!lun) {
        return E_OUTOFMEMORY;
    }
    *lun = (struct tgt_lun){.target = p->target,
                            .number = number,
                            .type = "",
                            .scsi_id = "",
                            .serial = "",
                            .bstype = "",
                            .path = "",
                            .flags = ""};
    *p->lun_tail = lun;
    p->lun_tail = &lun->next;
    p->lun = lun;
    return S_OK;
}

static HRESULT add_acl(struct parser *p, const char *line)
{
    struct tgt_acl *acl = tgt_alloc(p->t, sizeof(*acl));
    if (!acl) {
        return E_OUTOFMEMORY;
    }
    acl->name = line;
    *p->acl_tail = acl;
    p->acl_tail = &acl->next;
    return S_OK;
}

static uint32_t block_bytes_of(const char *size_line)
{
    const char *found = strstr(size_line, "Block size: ");
    uint64_t bytes = 0;
    const char *rest = NULL;
    return found && parse_number(found + 12, UINT32_MAX, &bytes, &rest) ? (uint32_t)bytes : 0;
}

static void take_text(const char *line, const char *key, const char **out)
{
    const char *value = value_of(line, key);
    if (value) {
        *out = value;
    }
}

static void take_switch(const char *line, const char *key, bool *out)
{
    const char *value = value_of(line, key);
    if (value) {
        *out = strcmp(value, "Yes") == 0;
    }
}

static void take_lun_line(struct tgt_lun *lun, const char *line)
{
    take_text(line, "Type", &lun->type);
    take_text(line, "SCSI ID", &lun->scsi_id);
    take_text(line, "SCSI SN", &lun->serial);
    take_text(line, "Backing store type", &lun->bstype);
    take_text(line, "Backing store path", &lun->path);
    take_text(line, "Backing store flags", &lun->flags);
    take_switch(line, "Readonly", &lun->is_read_only);
    take_switch(line, "Thin-provisioning", &lun->is_thin);
    take_switch(line, "Removable media", &lun->is_removable);
    const char *size = value_of(line, "Size");
    if (size) {
        lun->block_bytes = block_bytes_of(size);
    }
}

static void take_heading(struct parser *p, const char *line)
{
    p->lun = NULL;
    p->section = SECTION_OTHER;
    if (value_of(line, "LUN information")) {
        p->section = SECTION_LUNS;
    } else if (value_of(line, "ACL information")) {
        p->section = SECTION_ACL;
    }
}

static HRESULT take_line(struct parser *p, const char *line)
{
    size_t indent = strspn(line, " ");
    const char *text = line + indent;
    if (*text == '\0') {
        return S_OK;
    }
    if (indent == 0) {
        return add_target(p, text);
    }
    if (!p->target) {
        return tgt_fail(p->t, VSS_E_PROVIDER_VETO, "tgtadm printed \"%.100s\" before any target",
                        text);
    }
    if (indent == 4) {
        take_heading(p, text);
    } else if (indent == 8 && p->section == SECTION_LUNS) {
        return add_lun(p, text);
    } else if (indent == 8 && p->section == SECTION_ACL) {
        return add_acl(p, text);
    } else if (indent == 12 && p->section == SECTION_LUNS && p->lun) {
        take_lun_line(p->lun, text);
    }
    return S_OK;
}

HRESULT tgt_show_parse(const struct tgt *t, char *text, struct tgt_view *out)
{
    struct tgt_view view = {NULL};
    struct parser p = {.t = t, .view = &view, .target_tail = &view.targets};
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        HRESULT hr = take_line(&p, line);
        if (FAILED(hr)) {
            return hr;
        }
    }
    *out = view;
    return S_OK;
}

HRESULT tgt_show(const struct tgt *t, struct tgt_view *out)
{
    char *text = NULL;
    HRESULT hr = tgt_run(t, (const char *const[]){"--op", "show", "--mode", "target", NULL}, &text);
    return FAILED(hr) ? hr : tgt_show_parse(t, text, out);
}

const struct tgt_target *tgt_view_target(const struct tgt_view *view, const char *name)
{
    const struct tgt_target *target = view->targets;
    while (target && strcmp(target->name, name) != 0) {
        target = target->next;
    }
    return target;
}

bool tgt_lun_is_disk(const struct tgt_lun *lun)
{
    return strcmp(lun->type, "controller") != 0;
}

bool tgt_target_has_disks(const struct tgt_target *target)
{
    for (const struct tgt_lun *lun = target->luns; lun; lun = lun->next) {
        if (tgt_lun_is_disk(lun)) {
            return true;
        }
    }
    return false;
}

const struct tgt_lun *tgt_view_by_path(const struct tgt_view *view, const char *path,
                                       const struct tgt_lun *from)
{
    const struct tgt_target *target = from ? from->target : view->targets;
    const struct tgt_lun *lun = from ? from->next : target ? target->luns : NULL;
    while (target) {
        for (; lun; lun = lun->next) {
            if (tgt_lun_is_disk(lun) && strcmp(lun->path, path) == 0) {
                return lun;
            }
        }
        target = target->next;
        lun = target ? target->luns : NULL;
    }
    return NULL;
}

HRESULT tgt_show_connections(const struct tgt *t, uint32_t tid, struct tgt_connection **out)
{
    *out = NULL;
    char *text = NULL;
    char *tid_text = tgt_text(t, "%u", tid);
    if (!tid_text) {
        return E_OUTOFMEMORY;
    }
    HRESULT hr = tgt_run(
        t, (const char *const[]){"--op", "show", "--mode", "conn", "--tid", tid_text, NULL}, &text);
    if (FAILED(hr)) {
        return hr;
    }
    struct tgt_connection **tail = out;
    uint64_t session = 0;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        line += strspn(line, " ");
        uint64_t number = 0;
        const char *end = NULL;
        const char *value = value_of(line, "Session");
        if (value && parse_number(value, UINT64_MAX, &number, &end)) {
            session = number;
        }
        value = value_of(line, "Connection");
        if (value && parse_number(value, UINT32_MAX, &number, &end)) {
            struct tgt_connection *c = tgt_alloc(t, sizeof(*c));
            if (!c) {
                return E_OUTOFMEMORY;
            }
            *c = (struct tgt_connection){.session = session, .connection = (uint32_t)number};
            *tail = c;
            tail = &c->next;
        }
    }
    return S_OK;
}
