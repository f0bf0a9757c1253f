/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/internal.h"

#include "common/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1 };

/* Somebody may look at all mounts, or have a copy of them in a namespace that ends soon. */
enum { BUSY_MS = 60000 };

struct lab *lab_new(const char *directory)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    if (!lab) {
        return NULL;
    }
    lab->tgtd = (struct process)PROCESS_INIT;
    lab->busy_ms = BUSY_MS;
    lab->directory = text_copy(directory);
    lab->disks = text_printf("%s/disks", directory);
    lab->image = text_printf("%s/disks.img", directory);
    lab->socket = text_printf("%s/tgtd", directory);
    if (!lab->directory || !lab->disks || !lab->image || !lab->socket) {
        lab_detach(lab);
        return NULL;
    }
    return lab;
}

void lab_detach(struct lab *lab)
{
    if (!lab) {
        return;
    }
    if (lab->tgtd.pidfd >= 0) {
        (void)close(lab->tgtd.pidfd);
    }
    free(lab->directory);
    free(lab->disks);
    free(lab->image);
    free(lab->socket);
    free(lab);
}

/* Which boot this is: pids and start times of another one mean nothing. */
static void read_boot_id(char out[64])
{
    out[0] = '\0';
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f) {
        return;
    }
    if (fgets(out, 64, f)) {
        out[strcspn(out, "\n")] = '\0';
    }
    (void)fclose(f);
}

static void format_state(const struct lab *lab, struct buffer *out)
{
    char boot[64];
    read_boot_id(boot);
    buffer_printf(out, "; a lunshadow lab lies here; \"lunshadow lab down\" removes it\n[lab]\n");
    buffer_printf(out, "format = %d\nboot = %s\n", FORMAT, boot);
    buffer_printf(out, "made_directory = %s\n", lab->made_directory ? "yes" : "no");
    buffer_printf(out, "reflink = %s\n", lab->has_reflink ? "yes" : "no");
    buffer_printf(out, "control_port = %u\nport = %u\n", lab->control_port, lab->port);
    buffer_printf(out, "tgtd_pid = %ld\n", (long)lab->tgtd_pid);
    buffer_printf(out, "tgtd_start = %llu\n", (unsigned long long)lab->tgtd_start);
}

static HRESULT write_all(int fd, const struct buffer *text)
{
    size_t done = 0;
    while (done < text->length) {
        ssize_t n = write(fd, text->data + done, text->length - done);
        if (n < 0 && errno != EINTR) {
            return error_from_errno(errno);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? S_OK : error_from_errno(errno);
}

static void sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* Writes name in the lab's directory, durably, the name included. */
static HRESULT write_file(const struct lab *lab, const char *name, int flags, struct error *err)
{
    HRESULT hr = S_OK;
    struct buffer text = BUFFER_INIT;
    int fd = -1;
    char *path = text_printf("%s/%s", lab->directory, name);
    format_state(lab, &text);
    if (!path || FAILED(buffer_status(&text))) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory writing the lab's state");
        goto out;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (fd < 0) {
        hr = error_set_errno(err, errno, "cannot write %s", path);
        goto out;
    }
    hr = write_all(fd, &text);
    if (FAILED(hr)) {
        hr = error_set(err, hr, "cannot write %s; is its filesystem full?", path);
        goto out;
    }
    sync_directory(lab->directory);
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    buffer_free(&text);
    free(path);
    return hr;
}

HRESULT lab_state_create(const struct lab *lab, struct error *err)
{
    return write_file(lab, "lab.conf", O_EXCL, err);
}

HRESULT lab_state_save(const struct lab *lab, struct error *err)
{
    HRESULT hr = write_file(lab, "lab.conf.new", O_TRUNC, err);
    if (FAILED(hr)) {
        return hr;
    }
    char *from = text_printf("%s/lab.conf.new", lab->directory);
    char *to = text_printf("%s/lab.conf", lab->directory);
    if (!from || !to) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory writing the lab's state");
    } else if (rename(from, to) != 0) {
        hr = error_set_errno(err, errno, "cannot replace %s", to);
    }
    sync_directory(lab->directory);
    free(from);
    free(to);
    return hr;
}

void lab_state_remove(const struct lab *lab)
{
    char *path = text_printf("%s/lab.conf", lab->directory);
    if (path) {
        (void)unlink(path);
    }
    free(path);
}

/* Root acts on what the file says: it must be a file of ours that nobody else can have written. */
static HRESULT check_owner(const char *directory, const char *path, struct error *err)
{
    struct stat dir;
    struct stat file;
    if (lstat(path, &file) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? error_set(err, VSS_E_OBJECT_NOT_FOUND, "no lab in %s", directory)
                   : error_set_errno(err, errno, "cannot read %s", path);
    }
    if (lstat(directory, &dir) != 0 || !S_ISDIR(dir.st_mode) || !S_ISREG(file.st_mode) ||
        dir.st_uid != geteuid() || file.st_uid != geteuid() || (dir.st_mode & 022) != 0) {
        return error_set(err, E_ACCESSDENIED,
                         "the lab in %s belongs to another user, or others can write there; act as "
                         "its owner",
                         directory);
    }
    return S_OK;
}

static HRESULT read_numbers(const struct config_section *s, struct lab *lab, struct error *err)
{
    uint64_t format = 0;
    uint64_t control_port = 0;
    uint64_t port = 0;
    uint64_t pid = 0;
    HRESULT hr = config_number(s, "format", FORMAT, FORMAT, 0, &format, err);
    if (SUCCEEDED(hr)) {
        hr = config_number(s, "control_port", 0, 32767, 0, &control_port, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_number(s, "port", 0, UINT16_MAX, 0, &port, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_number(s, "tgtd_pid", 0, INT32_MAX, 0, &pid, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_number(s, "tgtd_start", 0, UINT64_MAX, 0, &lab->tgtd_start, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_bool(s, "reflink", false, &lab->has_reflink, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_bool(s, "made_directory", false, &lab->made_directory, err);
    }
    char boot[64];
    read_boot_id(boot);
    bool same_boot = strcmp(config_value(s, "boot", ""), boot) == 0;
    lab->control_port = (uint32_t)control_port;
    lab->port = (uint16_t)port;
    lab->tgtd_pid = same_boot ? (pid_t)pid : 0;
    (void)snprintf(lab->portal, sizeof(lab->portal), "127.0.0.1:%u", lab->port);
    return hr;
}

static HRESULT load(const char *directory, const char *path, struct lab **out, struct error *err)
{
    struct lab *lab = NULL;
    struct config *config = NULL;
    HRESULT hr = config_load(path, &config, err);
    if (FAILED(hr)) {
        goto out;
    }
    const struct config_section *section = config_find(config, "lab", "");
    if (!section) {
        hr = error_set(err, E_INVALIDARG, "%s has no [lab] section: not a lab", path);
        goto out;
    }
    lab = lab_new(directory);
    if (!lab) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory opening the lab");
        goto out;
    }
    hr = read_numbers(section, lab, err);
    if (FAILED(hr)) {
        goto out;
    }
    lab->is_mounted = lab_storage_is_mounted(lab);
    *out = lab;
    lab = NULL;
out:
    config_free(config);
    lab_detach(lab);
    return hr;
}

HRESULT lab_state_load(const char *directory, struct lab **out, struct error *err)
{
    char *path = text_printf("%s/lab.conf", directory);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "out of memory opening the lab");
    }
    HRESULT hr = check_owner(directory, path, err);
    if (SUCCEEDED(hr)) {
        hr = load(directory, path, out, err);
    }
    free(path);
    return hr;
}
