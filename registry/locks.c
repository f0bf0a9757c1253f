/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/locks.h"

#include "common/buffer.h"
#include "registry/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define STANDARD_PARENT    "/run/lock"
#define STANDARD_DIRECTORY "/run/lock/lunshadow"
#define FALLBACK_DIRECTORY "/tmp/lunshadow-lock"

#define SCRATCH_FILE_BYTES 32

#define DIRECTORY_MODE 01777
#define FILE_MODE      0666

/* A file that was taken away between opening and locking is tried again so often. */
#define MAX_ATTEMPTS 16

struct lock {
    int fd;
};

struct kind {
    const char *file;
    HRESULT busy;
    const char *what;
};

static const struct kind kinds[] = {
    [LOCK_SET_IN_PROGRESS] = {"set.lock", VSS_E_SNAPSHOT_SET_IN_PROGRESS,
                              "a snapshot set is being created"},
    [LOCK_IMPORT] = {"import.lock", VSS_E_BAD_STATE, "an import is running"},
    [LOCK_RESYNC] = {"resync.lock", VSS_E_RESYNC_IN_PROGRESS, "a resync is running"},
    [LOCK_RECOVER] = {"recover.lock", VSS_E_BAD_STATE,
                      "what a dead process left is being dealt with"},
};

static const char *lock_directory(bool *out_is_ours)
{
    const char *named = getenv("LUNSHADOW_LOCK_DIR");
    *out_is_ours = !named || !*named;
    if (!*out_is_ours) {
        return named;
    }
    /* One that cannot be looked at is not lacking: elsewhere it would be no lock to all others. */
    struct stat st;
    bool is_there = stat(STANDARD_PARENT, &st) == 0;
    bool is_lacking = is_there ? !S_ISDIR(st.st_mode) : errno == ENOENT || errno == ENOTDIR;
    return is_lacking ? FALLBACK_DIRECTORY : STANDARD_DIRECTORY;
}

/* What somebody put in our place is a matter of access, whatever errno says about it. */
static HRESULT refuse(int errnum, const char *path, struct error *err)
{
    switch (errnum) {
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENXIO:
        return error_set(err, E_ACCESSDENIED,
                         "the lock %s is a symbolic link or of a wrong kind: look who put it "
                         "there, and remove it",
                         path);
    case EACCES:
    case EPERM:
    case EROFS:
        return error_set_errno(err, errnum,
                               "the lock %s cannot be used by user %u (its directory must be of "
                               "mode 1777: install -d -m 1777, as root)",
                               path, (unsigned)geteuid());
    default:
        return error_set(err, VSS_E_UNEXPECTED, "the lock %s cannot be opened: %s", path,
                         strerrordesc_np(errnum));
    }
}

/* The mode of a directory that we made, or whose name is ours alone; a directory that the user
 * named keeps its own. Root also takes it over from whoever made it first. */
static HRESULT settle_directory(int fd, const char *path, bool is_ours, const struct stat *st,
                                struct error *err)
{
    bool is_root = geteuid() == 0;
    if (is_ours && is_root && st->st_uid != 0 && fchown(fd, 0, 0) != 0) {
        return refuse(errno, path, err);
    }
    bool is_owner = is_root || st->st_uid == geteuid();
    mode_t mode = st->st_mode & 07777;
    if (is_ours && is_owner && mode != DIRECTORY_MODE && fchmod(fd, DIRECTORY_MODE) != 0) {
        return refuse(errno, path, err);
    }
    bool is_open_to_all = !(is_ours && is_owner) && (mode & S_IWOTH) && !(mode & S_ISVTX);
    if (is_open_to_all) {
        return error_set(err, E_ACCESSDENIED,
                         "in %s everybody can remove everybody's files, so it protects no lock: "
                         "chmod 1777",
                         path);
    }
    return S_OK;
}

static HRESULT open_directory(const char *path, bool is_ours, int *out_fd, struct error *err)
{
    *out_fd = -1;
    bool is_made = mkdir(path, 0700) == 0;
    if (!is_made && errno != EEXIST) {
        return refuse(errno, path, err);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return refuse(errno, path, err);
    }
    struct stat st;
    HRESULT hr = fstat(fd, &st) == 0 ? settle_directory(fd, path, is_ours || is_made, &st, err)
                                     : refuse(errno, path, err);
    if (FAILED(hr)) {
        (void)close(fd);
        return hr;
    }
    *out_fd = fd;
    return S_OK;
}

/* First without O_CREAT: with it the kernel may refuse a file of another user in a sticky directory
 * (fs.protected_regular). O_NONBLOCK: a fifo or device must not hang us. */
static int open_file(int directory, const char *name, bool *out_is_made)
{
    int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    *out_is_made = false;
    int fd = openat(directory, name, flags);
    if (fd >= 0 || errno != ENOENT) {
        return fd;
    }
    fd = openat(directory, name, flags | O_CREAT | O_EXCL, FILE_MODE);
    *out_is_made = fd >= 0;
    if (fd < 0 && errno == EEXIST) {
        fd = openat(directory, name, flags);
    }
    return fd;
}

/* A second name would be somebody's way to have us write into another file. */
static HRESULT check_file(int fd, const char *path, bool is_made, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return refuse(errno, path, err);
    }
    if (!S_ISREG(st.st_mode) || st.st_nlink > 1) {
        return error_set(err, E_ACCESSDENIED,
                         "the lock %s is not a plain file of its own: look who put it there, and "
                         "remove it",
                         path);
    }
    if (geteuid() == 0 && st.st_uid != 0 && fchown(fd, 0, 0) != 0) {
        return refuse(errno, path, err);
    }
    bool is_owner = is_made || geteuid() == 0 || st.st_uid == geteuid();
    if (is_owner && (st.st_mode & 07777) != FILE_MODE && fchmod(fd, FILE_MODE) != 0) {
        return refuse(errno, path, err);
    }
    return S_OK;
}

static HRESULT open_lock(int directory, const char *path, const char *name, int *out_fd,
                         struct error *err)
{
    bool is_made;
    int fd = open_file(directory, name, &is_made);
    if (fd < 0) {
        return refuse(errno, path, err);
    }
    HRESULT hr = check_file(fd, path, is_made, err);
    if (FAILED(hr)) {
        (void)close(fd);
        return hr;
    }
    *out_fd = fd;
    return S_OK;
}

/* The holder writes itself into the file so that others can name it; a full disk does not matter.
 */
static void sign(int fd)
{
    struct owner self;
    char text[128];
    if (FAILED(owner_self(&self, NULL)) || ftruncate(fd, 0) != 0) {
        return;
    }
    int length = snprintf(text, sizeof(text), "%" PRId64 " %" PRIu64 " %s\n", self.pid,
                          self.pid_start, self.boot_id);
    ssize_t written = pwrite(fd, text, (size_t)length, 0);
    (void)written;
}

/* Anybody can write into the file: what it says counts only where such a process lives. */
static bool read_holder(int fd, struct owner *out)
{
    char text[128];
    ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
    if (got <= 0) {
        return false;
    }
    text[got] = '\0';
    *out = (struct owner){0};
    int fields =
        sscanf(text, "%" SCNd64 " %" SCNu64 " %36s", &out->pid, &out->pid_start, out->boot_id);
    return fields == 3 && owner_lives(out);
}

static HRESULT busy(int fd, const struct kind *kind, const char *path, struct error *err)
{
    struct owner holder;
    char program[OWNER_PROGRAM_BYTES];
    if (!read_holder(fd, &holder)) {
        return error_set(err, kind->busy,
                         "%s on this machine, by a process that %s does not name: try again when "
                         "it is done (lsof shows who has the file open)",
                         kind->what, path);
    }
    return error_set(err, kind->busy,
                     "%s on this machine, by process %" PRId64 " (%s): try again when it is done",
                     kind->what, holder.pid, owner_program(holder.pid, program));
}

/* S_OK: locked. S_FALSE: what was locked is no longer the file of that name. */
static HRESULT try_lock(int directory, int fd, const struct kind *kind, const char *path,
                        struct error *err)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &range) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return busy(fd, kind, path, err);
        }
        return error_set_errno(err, errno, "the lock %s cannot be taken", path);
    }
    struct stat held;
    struct stat named;
    bool is_same = fstat(fd, &held) == 0 &&
                   fstatat(directory, kind->file, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                   held.st_dev == named.st_dev && held.st_ino == named.st_ino;
    return is_same ? S_OK : S_FALSE;
}

static HRESULT take_in(int directory, const struct kind *kind, const char *path, int *out_fd,
                       struct error *err)
{
    for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        int fd = -1;
        HRESULT hr = open_lock(directory, path, kind->file, &fd, err);
        if (FAILED(hr)) {
            return hr;
        }
        hr = try_lock(directory, fd, kind, path, err);
        if (hr == S_OK) {
            sign(fd);
            *out_fd = fd;
            return S_OK;
        }
        (void)close(fd);
        if (FAILED(hr)) {
            return hr;
        }
    }
    return error_set(err, E_ACCESSDENIED,
                     "the lock %s is being removed again and again: look which program does it",
                     path);
}

static HRESULT take(const struct kind *kind, struct lock **out, struct error *err)
{
    bool is_ours;
    int directory = -1;
    const char *directory_path = lock_directory(&is_ours);
    char *path = NULL;
    struct lock *lock = calloc(1, sizeof(*lock));
    bool has_path = asprintf(&path, "%s/%s", directory_path, kind->file) >= 0;
    HRESULT hr = S_OK;
    if (!lock || !has_path) {
        path = has_path ? path : NULL;
        hr = error_set(err, E_OUTOFMEMORY, "out of memory while taking a lock");
        goto out;
    }
    hr = open_directory(directory_path, is_ours, &directory, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = take_in(directory, kind, path, &lock->fd, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = lock;
    lock = NULL;

out:
    if (directory >= 0) {
        (void)close(directory);
    }
    free(lock);
    free(path);
    return hr;
}

HRESULT lock_take(enum lock_kind kind, struct lock **out, struct error *err)
{
    *out = NULL;
    if ((size_t)kind >= sizeof(kinds) / sizeof(kinds[0])) {
        return error_set(err, E_INVALIDARG, "there is no lock of kind %d", (int)kind);
    }
    return take(&kinds[kind], out, err);
}

/* A key is longer than the name of a file may be, and may have a '/' in it. */
HRESULT lock_take_scratch(const char *key, struct lock **out, struct error *err)
{
    char file[SCRATCH_FILE_BYTES];
    char *what = text_printf("the scratch LUN %s is being used", key);
    *out = NULL;
    if (!what) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while taking a lock");
    }
    (void)snprintf(file, sizeof(file), "lun-%016" PRIx64 ".lock",
                   (uint64_t)XXH64(key, strlen(key), 0));
    const struct kind kind = {file, VSS_E_BAD_STATE, what};
    HRESULT hr = take(&kind, out, err);
    free(what);
    return hr;
}

void lock_release(struct lock *lock)
{
    if (!lock) {
        return;
    }
    int cut = ftruncate(lock->fd, 0);
    (void)cut;
    /* Said aloud, in case the descriptor was inherited by a child that has not called exec yet. */
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    (void)fcntl(lock->fd, F_OFD_SETLK, &range);
    (void)close(lock->fd);
    free(lock);
}
