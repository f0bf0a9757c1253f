/* SPDX-License-Identifier: CC0-1.0 */
/* The array's management interface, here tgtadm. A vendor's REST or CLI calls would stand in its
 * place. No time-outs: past the deadline of a call the host ends this whole process. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX    (4u << 20)
#define ARGUMENTS_MAX 32
#define EVICT_TRIES   250
#define PAUSE_MS      20

extern char **environ;

void *files_alloc(const struct files *f, size_t bytes)
{
    return f->call->host->alloc(f->call, bytes);
}

HRESULT files_fail(const struct files *f, HRESULT code, const char *format, ...)
{
    char line[2 * TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    f->call->host->error(f->call, line);
    return code;
}

char *files_text(const struct files *f, const char *format, ...)
{
    char line[2 * TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof(line)) {
        return NULL;
    }
    char *text = files_alloc(f, (size_t)length + 1);
    return text ? memcpy(text, line, (size_t)length + 1) : NULL;
}

HRESULT files_begin(const struct vss_call *call, struct files *f)
{
    *f = (struct files){
        .call = call,
        .directory = call->host->config(call, "directory"),
        .socket = call->host->config(call, "socket"),
        .control_port = call->host->config(call, "control_port"),
        .max_hold_ms = 1000,
    };
    f->socket = f->socket ? f->socket : "/var/run/tgtd/socket";
    f->control_port = f->control_port ? f->control_port : "0";
    if (!f->directory || f->directory[0] != '/' || strlen(f->directory) > TEXT_MAX / 2) {
        return files_fail(f, E_INVALIDARG,
                          "[array %s]: \"directory =\" must be the absolute path of the images",
                          call->array);
    }
    const char *hold = call->host->config(call, "max_hold_ms");
    if (hold) {
        char *end = NULL;
        unsigned long value = strtoul(hold, &end, 10);
        if (*end || value < 10 || value > 10000) {
            return files_fail(f, E_INVALIDARG, "[array %s]: max_hold_ms is 10 to 10000",
                              call->array);
        }
        f->max_hold_ms = (uint32_t)value;
    }
    return S_OK;
}

/* ---- running tgtadm ---- */

static int spawn(const struct files *f, const char *const arguments[], int out_fd, pid_t *pid)
{
    const char *argv[ARGUMENTS_MAX + 6] = {"tgtadm", "-C", f->control_port, "--lld", "iscsi"};
    for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i]; i++) {
        argv[5 + i] = arguments[i];
    }
    size_t count = 0;
    while (environ[count]) {
        count++;
    }
    const char **env = files_alloc(f, (count + 3) * sizeof(*env));
    char *socket = files_text(f, "TGT_IPC_SOCKET=%s", f->socket);
    if (!env || !socket) {
        return ENOMEM;
    }
    env[0] = socket;
    env[1] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    size_t n = 2;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "TGT_IPC_SOCKET=", 15) != 0 &&
            strncmp(environ[i], "PATH=", 5) != 0) {
            env[n++] = environ[i];
        }
    }
    posix_spawn_file_actions_t actions;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDERR_FILENO);
    const char *program =
        access("/usr/sbin/tgtadm", X_OK) == 0 ? "/usr/sbin/tgtadm" : "/usr/bin/tgtadm";
    rc = posix_spawn(pid, program, &actions, NULL, (char *const *)argv, (char *const *)env);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* All that fd gives; NULL where it is too much, or memory is short. */
static char *read_all(const struct files *f, int fd)
{
    size_t room = 1u << 16;
    size_t length = 0;
    char *text = files_alloc(f, room);
    while (text) {
        ssize_t got = read(fd, text + length, room - length - 1);
        if (got == 0) {
            return text; /* zeroed behind its end */
        }
        if (got < 0 && errno != EINTR) {
            return NULL;
        }
        length += got > 0 ? (size_t)got : 0;
        if (length == room - 1) {
            char *more = room < OUTPUT_MAX ? files_alloc(f, 4 * room) : NULL;
            if (more) {
                memcpy(more, text, length);
            }
            text = more;
            room *= 4;
        }
    }
    return NULL;
}

HRESULT files_tgtadm(const struct files *f, bool is_try, const char *const arguments[], char **out)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return files_fail(f, VSS_E_PROVIDER_VETO, "no pipe to tgtadm: %s", strerror(errno));
    }
    int rc = spawn(f, arguments, ends[1], &pid);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        return files_fail(f, VSS_E_PROVIDER_VETO, "tgtadm cannot be run: %s; install tgt",
                          strerror(rc));
    }
    char *text = read_all(f, ends[0]);
    int status = 0;
    (void)close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!text) {
        return E_OUTOFMEMORY;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        text[strcspn(text, "\n")] = '\0';
        return is_try ? S_FALSE
                      : files_fail(f, VSS_E_PROVIDER_VETO, "tgtadm %s %s failed: %s", arguments[1],
                                   arguments[3], text);
    }
    if (out) {
        *out = text;
    }
    return S_OK;
}

/* ---- what it shows ---- */

static const char *value_of(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) == 0 ? line + length : NULL;
}

static void take_lun_line(struct files_lun *lun, const char *line)
{
    const char *value = value_of(line, "SCSI ID: ");
    lun->scsi_id = value ? value : lun->scsi_id;
    value = value_of(line, "SCSI SN: ");
    lun->serial = value ? value + strspn(value, " ") : lun->serial;
    value = value_of(line, "Backing store path: ");
    lun->path = value ? value : lun->path;
    value = strstr(line, "Block size: ");
    lun->block_bytes = value ? (unsigned)strtoul(value + 12, NULL, 10) : lun->block_bytes;
}

/* A target, LUN or initiator is a line of its own depth; what follows deeper belongs to it. */
static HRESULT take_line(const struct files *f, struct files_view *view, const char *line,
                         bool *in_acl)
{
    size_t depth = strspn(line, " ");
    const char *text = line + depth;
    unsigned number = 0;
    int name_at = 0;
    if (depth == 0 && sscanf(text, "Target %u: %n", &number, &name_at) == 1 && name_at > 0) {
        struct files_target *target = files_alloc(f, sizeof(*target));
        if (target) {
            *target = (struct files_target){number, text + name_at, view->targets};
            view->targets = target;
        }
        return target ? S_OK : E_OUTOFMEMORY;
    }
    if (depth == 4) {
        *in_acl = value_of(text, "ACL information:") != NULL;
    } else if (depth == 8 && *in_acl && view->targets) {
        struct files_initiator *initiator = files_alloc(f, sizeof(*initiator));
        if (!initiator) {
            return E_OUTOFMEMORY;
        }
        *initiator = (struct files_initiator){view->targets, text, view->initiators};
        view->initiators = initiator;
    } else if (depth == 8 && view->targets && sscanf(text, "LUN: %u", &number) == 1) {
        struct files_lun *lun = files_alloc(f, sizeof(*lun));
        if (!lun) {
            return E_OUTOFMEMORY;
        }
        *lun = (struct files_lun){view->targets, number, 0, "", "", "", view->luns};
        view->luns = lun;
    } else if (depth == 12 && view->luns) {
        take_lun_line(view->luns, text);
    }
    return S_OK;
}

HRESULT files_show(const struct files *f, struct files_view *view)
{
    char *text = NULL;
    bool in_acl = false;
    *view = (struct files_view){0};
    HRESULT hr = files_tgtadm(
        f, false, (const char *const[]){"--op", "show", "--mode", "target", NULL}, &text);
    for (char *line = NULL; SUCCEEDED(hr) && (line = strsep(&text, "\n")) != NULL;) {
        hr = take_line(f, view, line, &in_acl);
    }
    return hr;
}

void files_naa(const char *scsi_id, uint8_t out[SCSI_ID / 2])
{
    for (size_t i = 0; i < SCSI_ID / 2; i++) {
        unsigned byte = 0;
        (void)sscanf(scsi_id + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
}

static bool has_naa(const struct vss_lun_info *info, const char *scsi_id)
{
    uint8_t naa[SCSI_ID / 2];
    if (strlen(scsi_id) != SCSI_ID || strspn(scsi_id, "0123456789abcdefABCDEF") != SCSI_ID ||
        scsi_id[0] != '6') {
        return false; /* tgtd's own default, the same on every tgtd */
    }
    files_naa(scsi_id, naa);
    for (uint32_t i = 0; i < info->device_id.identifier_count; i++) {
        const struct vss_storage_identifier *id = &info->device_id.identifiers[i];
        if (id->type == VDSStorageIdTypeFCPHName && id->identifier_bytes == sizeof(naa) &&
            memcmp(id->identifier, naa, sizeof(naa)) == 0) {
            return true;
        }
    }
    return false;
}

const struct files_lun *files_find(const struct files_view *view, const struct vss_lun_info *info)
{
    const struct files_lun *found = NULL;
    for (const struct files_lun *lun = view->luns; lun; lun = lun->next) {
        if (info->serial_number && strcmp(info->serial_number, lun->serial) == 0 &&
            has_naa(info, lun->scsi_id)) {
            if (found && strcmp(found->path, lun->path) != 0) {
                return NULL; /* one identity, two files: not to be trusted */
            }
            found = lun;
        }
    }
    return found;
}

const struct files_target *files_find_target(const struct files_view *view, const char *name)
{
    const struct files_target *target = view->targets;
    while (target && strcmp(target->name, name) != 0) {
        target = target->next;
    }
    return target;
}

HRESULT files_evict(const struct files *f, const struct files_target *target)
{
    char *tid = files_text(f, "%u", target->tid);
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    for (int i = 0; tid && i < EVICT_TRIES; i++) {
        char *text = NULL;
        char session[24] = "";
        bool is_left = false;
        HRESULT hr = files_tgtadm(
            f, false, (const char *const[]){"--op", "show", "--mode", "conn", "--tid", tid, NULL},
            &text);
        if (FAILED(hr)) {
            return hr;
        }
        for (char *line = strsep(&text, "\n"); line; line = strsep(&text, "\n")) {
            char connection[24];
            (void)sscanf(line, " Session: %23[0-9]", session);
            if (sscanf(line, " Connection: %23[0-9]", connection) == 1) {
                is_left = true;
                (void)files_tgtadm(f, true,
                                   (const char *const[]){"--op", "delete", "--mode", "conn",
                                                         "--tid", tid, "--sid", session, "--cid",
                                                         connection, NULL},
                                   NULL);
            }
        }
        if (!is_left) {
            return S_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
    return files_fail(f, VSS_E_PROVIDER_VETO, "sessions of target %s cannot be closed",
                      target->name);
}
