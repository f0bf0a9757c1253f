/* SPDX-License-Identifier: Apache-2.0 */
#include "crash/world.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "lun/lun.h"
#include "lun/scsi.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000 /* for what ends by itself */

static const char *const scsi_ids[WORLD_LUNS] = {"6001405000000000000000000000c001",
                                                 "6001405000000000000000000000c002"};
static const char *const scripts[WORLD_LUNS] = {
    "truncate -s 8M \"$F\"; printf 'label: dos\\nlabel-id: "
    "0x11223344\\nstart=2048,size=4M,type=83\\n' "
    "| sfdisk -q --no-reread \"$F\"",
    "truncate -s 8M \"$F\"; sgdisk -a 8 -n 1:2048:+2M -n 2:0:+2M \"$F\"",
};
/* New disk ids, by other tools than ours. */
static const char *const id_scripts[WORLD_LUNS] = {
    "sfdisk -q --no-reread --disk-id \"$F\" 0x55667788",
    "sgdisk -G \"$F\"",
};

void world_fail(struct world *w, const char *format, ...)
{
    va_list arguments;
    char line[4096];
    w->failures++;
    (void)printf("FAILED at %s: ", w->point ? w->point : "the start");
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
    FILE *log = fopen(w->log, "re");
    while (log && fgets(line, sizeof(line), log)) {
        (void)printf("    %s", line);
    }
    if (log) {
        (void)fclose(log);
    }
    (void)fflush(stdout);
}

/* ---- files ----------------------------------------------------------------------------------- */

uint8_t *world_read(const char *path)
{
    uint8_t *data = malloc(WORLD_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!data || fd < 0 || pread(fd, data, WORLD_BYTES, 0) != (ssize_t)WORLD_BYTES) {
        free(data);
        data = NULL;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return data;
}

bool world_equals(const char *path, const uint8_t *content)
{
    uint8_t *now = world_read(path);
    bool is_equal = now && memcmp(now, content, WORLD_BYTES) == 0;
    free(now);
    return is_equal;
}

static bool write_file(const char *path, const uint8_t *content)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pwrite(fd, content, WORLD_BYTES, 0) == (ssize_t)WORLD_BYTES;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

bool world_save(const char *path, const uint8_t *content)
{
    FILE *file = fopen(path, "we");
    bool ok = file && fwrite(content, 1, WORLD_BYTES, file) == WORLD_BYTES;
    return file && fclose(file) == 0 && ok;
}

void world_write_all(struct world *w, uint8_t *const content[WORLD_LUNS])
{
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        if (!write_file(w->files[i], content[i])) {
            world_fail(w, "%s cannot be written", w->files[i]);
        }
    }
}

static bool run_script(const char *path, const char *script)
{
    char *line = text_printf("F='%s'; PATH=$PATH:/usr/sbin:/sbin; %s", path, script);
    const char *const argv[] = {"sh", "-ec", line, NULL};
    bool ok = line && SUCCEEDED(process_run(argv, 2 * LONG_MS, NULL, NULL));
    free(line);
    return ok;
}

/* Content all over the disk but where labels are. */
static void fill(uint8_t *content, uint8_t seed)
{
    for (size_t at = WORLD_EDGE; at < WORLD_BYTES - WORLD_EDGE; at++) {
        content[at] = (uint8_t)(seed + at + at / 4096 * 7);
    }
}

static bool make_filesystem(struct world *w)
{
    static const char script[] = "mkdir \"$F.tree\"; echo held >\"$F.tree/file\"; "
                                 "mkfs.ext4 -q -F -d \"$F.tree\" -E offset=1048576 \"$F\" 4096k; "
                                 "rm -r \"$F.tree\"";
    free(w->golden[0]);
    w->golden[0] = run_script(w->files[0], script) ? world_read(w->files[0]) : NULL;
    return w->golden[0] != NULL;
}

static bool make_content(struct world *w, size_t i)
{
    bool ok = run_script(w->files[i], scripts[i]);
    w->golden[i] = ok ? world_read(w->files[i]) : NULL;
    if (!w->golden[i]) {
        return false;
    }
    fill(w->golden[i], (uint8_t)(i + 1));
    ok = write_file(w->files[i], w->golden[i]);
    if (ok && i == 0 && !w->no_mounts) {
        ok = make_filesystem(w);
    }
    ok = ok && run_script(w->files[i], id_scripts[i]);
    w->damaged[i] = ok ? world_read(w->files[i]) : NULL;
    if (!w->damaged[i]) {
        return false;
    }
    fill(w->damaged[i], (uint8_t)(i + 101));
    return write_file(w->files[i], w->golden[i]);
}

/* ---- lab ------------------------------------------------------------------------------------- */

static HRESULT add_lun(struct world *w, size_t i, struct error *err)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "lun%zu.img", i + 1);
    struct lab_lun_options lun = {.target = WORLD_TARGET,
                                  .lun = (uint32_t)(i + 1),
                                  .file = name,
                                  .block_bytes = 512,
                                  .scsi_id = scsi_ids[i],
                                  .serial = scsi_ids[i]};
    return lab_add_lun(w->lab, &lun, err);
}

static bool serve_luns(struct world *w)
{
    struct error err = {0};
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        if (FAILED(add_lun(w, i, &err))) {
            (void)printf("%s\n", error_text(&err));
            return false;
        }
    }
    return true;
}

void world_revive_target(struct world *w, bool was_killed)
{
    struct error err = {0};
    struct pollfd p = {.fd = w->lab->tgtd.pidfd, .events = POLLIN};
    if (p.fd >= 0 && poll(&p, 1, was_killed ? LONG_MS : 0) == 0) {
        return; /* it lives */
    }
    if (FAILED(lab_restart(w->lab, &err)) || !serve_luns(w)) {
        world_fail(w, "tgtd cannot be started again: %s", error_text(&err));
    }
}

void world_restart_target(struct world *w)
{
    (void)kill(w->lab->tgtd_pid, SIGKILL);
    world_revive_target(w, true);
}

static bool write_config(const struct world *w, bool copies_by_host, bool loses_target)
{
    static const char provider[] = "provider = tgt\n";
    struct buffer text = BUFFER_INIT;
    bool ok = SUCCEEDED(lab_config(w->lab, &text));
    buffer_add_text(&text, "[initiator]\nname = iqn.2026-01.org.lunshadow.test:host\n"
                           "[copy]\nreconnect_seconds = 1\n"); /* a killed tgtd stays away */
    if (loses_target) { /* else a busy disk would seem to be one that is lost */
        buffer_add_text(&text, "[expose]\nlost_after_seconds = 2\n");
    }
    const char *at = ok && SUCCEEDED(buffer_status(&text)) ? strstr(text.data, provider) : NULL;
    FILE *file = fopen(w->config, "we");
    ok = at && file &&
         fprintf(file, "%.*s%s%s", (int)(at - text.data) + (int)sizeof(provider) - 1, text.data,
                 copies_by_host ? "resync = emulated\n" : "", at + sizeof(provider) - 1) > 0;
    ok = file && fclose(file) == 0 && ok;
    buffer_free(&text);
    return ok;
}

static bool has_tools(void)
{
    return process_has_program("tgtd") && process_has_program("sgdisk") &&
           process_has_program("sfdisk");
}

/* NULL: copies can be mounted. */
static const char *why_no_mounts(void)
{
    bool has_tools = process_has_program("qemu-storage-daemon") &&
                     process_has_program("qemu-img") && process_has_program("mkfs.ext4");
    return geteuid() != 0                                  ? "not root"
           : access("/dev/fuse", R_OK | W_OK) != 0         ? "no /dev/fuse"
           : access("/dev/loop-control", R_OK | W_OK) != 0 ? "no loop devices"
           : !has_tools                                    ? "no qemu-storage-daemon or mkfs.ext4"
                                                           : NULL;
}

/* A shell writer that keeps a lock while its application is frozen; it is not in use yet. */
static bool make_writer(const struct world *w)
{
    static const char script[] =
        "mkdir \"$F\" \"$F/../writers.d\"; cat >\"$F/metadata.xml\" <<'XML'\n"
        "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">\n"
        "<IDENTIFICATION writerId=\"5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a11\"\n"
        " instanceId=\"d8b1f0f4-58a7-4c0b-8a39-1a2f4c7be911\" friendlyName=\"App\"\n"
        " usage=\"USER_DATA\" dataSource=\"OTHER\"/>\n"
        "<RESTORE_METHOD method=\"RESTORE_IF_CAN_BE_REPLACED\" writerRestore=\"never\"\n"
        " rebootRequired=\"no\"/></WRITER_METADATA>\nXML\n"
        "cat >\"$F/writer\" <<'SH'\n#!/bin/sh\n"
        "while read -r event number rest; do\n"
        "case $event in\n"
        "set) continue ;;\n"
        "identify) printf 'lunshadow-writer 1\\nmetadata\\n%s\\n.\\n' "
        "\"$(cat \"$APP/metadata.xml\")\" ;;\n"
        "freeze) exec 9>\"$APP/lock\"; flock 9 ;;\n"
        "thaw | abort) exec 9>&- ;;\n"
        "esac\n"
        "echo \"ok $number\"\n"
        "done\nSH\nchmod 755 \"$F/writer\"";
    return run_script(w->app, script);
}

static bool set_up(struct world *w)
{
    struct error err = {0};
    char locks[96];
    char directory[96];
    (void)snprintf(w->at, sizeof(w->at), "%s/at", w->base);
    (void)snprintf(w->app, sizeof(w->app), "%s/app", w->base);
    (void)snprintf(w->config, sizeof(w->config), "%s/lunshadow.conf", w->base);
    (void)snprintf(w->state, sizeof(w->state), "%s/state", w->base);
    (void)snprintf(w->document, sizeof(w->document), "%s/set.xml", w->base);
    (void)snprintf(w->log, sizeof(w->log), "%s/log", w->base);
    (void)snprintf(locks, sizeof(locks), "%s/locks", w->base);
    (void)snprintf(directory, sizeof(directory), "%s/lab", w->base);
    if (mkdir(w->at, 0700) != 0 || !make_writer(w) || mkdir(locks, 0700) != 0 ||
        setenv("LUNSHADOW_LOCK_DIR", locks, 1) != 0) {
        return false;
    }
    struct lab_options options = {.directory = directory, .image_bytes = 512ull << 20};
    if (FAILED(lab_up(&options, &w->lab, &err))) {
        (void)printf("%s\n", error_text(&err));
        return false;
    }
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        (void)snprintf(w->files[i], sizeof(w->files[i]), "%s/lun%zu.img", w->lab->disks, i + 1);
        (void)snprintf(w->urls[i], sizeof(w->urls[i]), "iscsi://%s/" WORLD_TARGET "/%zu",
                       w->lab->portal, i + 1);
        (void)snprintf(w->parts[i], sizeof(w->parts[i]), "%s#1", w->urls[i]);
        if (!make_content(w, i)) {
            return false;
        }
    }
    return serve_luns(w) && write_config(w, false, false);
}

bool world_open(struct world *w, const char *lunshadow, const char **out_why)
{
    *w = (struct world){.base = "/tmp/lunshadow-crash-XXXXXX"};
    *out_why = NULL;
    if (!has_tools()) {
        *out_why = "no tgtd, sgdisk or sfdisk here";
        return false;
    }
    (void)snprintf(w->lunshadow, sizeof(w->lunshadow), "%s", lunshadow);
    w->no_mounts = why_no_mounts();
    if (!mkdtemp(w->base) || !set_up(w)) {
        world_fail(w, "the lab cannot be made");
        return false;
    }
    return true;
}

void world_close(struct world *w)
{
    struct error err = {0};
    const char *const argv[] = {"rm", "-rf", "--one-file-system", w->base, NULL};
    world_drop_exposures(w);
    if (w->lab && FAILED(lab_down(w->lab, &err))) {
        world_fail(w, "lab_down: %s", error_text(&err));
    }
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        free(w->golden[i]);
        free(w->damaged[i]);
    }
    (void)process_run(argv, 10000, NULL, NULL);
}

/* ---- commands -------------------------------------------------------------------------------- */

const char *const *world_argv(struct world *w, const char *const arguments[])
{
    static const char *argv[WORLD_ARGUMENTS];
    size_t n = 0;
    argv[n++] = w->lunshadow;
    argv[n++] = arguments[0];
    argv[n++] = "--config";
    argv[n++] = w->config;
    argv[n++] = "--state-dir";
    argv[n++] = w->state;
    for (size_t i = 1; arguments[i] && n < WORLD_ARGUMENTS - 1; i++) {
        argv[n++] = arguments[i];
    }
    argv[n] = NULL;
    return argv;
}

int world_open_log(struct world *w)
{
    return open(w->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

int world_run(struct world *w, const char *const arguments[])
{
    int status = -1;
    struct process p = PROCESS_INIT;
    struct process_options options = PROCESS_OPTIONS_INIT;
    options.out_fd = options.err_fd = world_open_log(w);
    HRESULT hr = process_start(world_argv(w, arguments), &options, &p, NULL);
    if (SUCCEEDED(hr) && process_wait(&p, 120000, &status) != S_OK) {
        process_kill(&p);
        status = -1;
    }
    (void)close(options.out_fd);
    return SUCCEEDED(hr) && status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- the registry ---------------------------------------------------------------------------- */

size_t world_sets(struct world *w, struct set_record **out)
{
    struct store *store = NULL;
    struct error err = {0};
    size_t count = 0;
    *out = NULL;
    HRESULT hr = store_open(w->state, &store, &err);
    if (SUCCEEDED(hr)) {
        hr = sets_load_all(store, out, &count, &err);
    }
    if (FAILED(hr)) {
        world_fail(w, "the registry: %s", error_text(&err));
    }
    store_close(store);
    return count;
}

size_t world_entries(struct world *w, struct journal_entry **out)
{
    struct store *store = NULL;
    struct error err = {0};
    size_t count = 0;
    *out = NULL;
    HRESULT hr = store_open(w->state, &store, &err);
    if (SUCCEEDED(hr)) {
        hr = journal_load_open(store, false, out, &count, &err);
    }
    if (FAILED(hr)) {
        world_fail(w, "the registry: %s", error_text(&err));
    }
    store_close(store);
    return count;
}

/* ---- order ----------------------------------------------------------------------------------- */

/* Does the name have the id of one of these sets in it? */
static bool is_of_set(const char *name, const struct set_record *sets, size_t count,
                      const VSS_ID *also)
{
    char id[ID_TEXT_BYTES];
    if (also && strstr(name, id_text(also, id))) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (strstr(name, id_text(&sets[i].set_id, id))) {
            return true;
        }
    }
    return false;
}

static void check_files(struct world *w, const struct set_record *sets, size_t count,
                        const VSS_ID *also)
{
    DIR *dir = opendir(w->lab->disks);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strncmp(e->d_name, ".lunshadow-", 11) == 0 &&
            !is_of_set(e->d_name, sets, count, also)) {
            world_fail(w, "%s was left, and no set has it", e->d_name);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
}

static void check_targets(struct world *w, const struct set_record *sets, size_t count,
                          const VSS_ID *also)
{
    struct buffer shown = BUFFER_INIT;
    struct error err = {0};
    if (FAILED(lab_show(w->lab, &shown, &err))) {
        world_fail(w, "tgtd does not answer: %s", error_text(&err));
    }
    char *rest = NULL;
    for (char *line = shown.data ? strtok_r(shown.data, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "Target ", 7) == 0 && !strstr(line, WORLD_TARGET) &&
            !is_of_set(line, sets, count, also)) {
            world_fail(w, "%s was left, and no set has it", line);
        }
    }
    buffer_free(&shown);
}

void world_check_order(struct world *w, const VSS_ID *also)
{
    struct set_record *sets = NULL;
    struct journal_entry *entries = NULL;
    size_t count = world_sets(w, &sets);
    size_t open = world_entries(w, &entries);
    if (open) {
        world_fail(w, "%zu journal entries are open, the first of a %s", open,
                   journal_operation_name(entries[0].operation));
    }
    check_files(w, sets, count, also);
    check_targets(w, sets, count, also);
    journal_free_all(entries, open);
    sets_free_all(sets, count);
}

static void remove_copies(struct world *w)
{
    DIR *dir = opendir(w->lab->disks);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strncmp(e->d_name, ".lunshadow-", 11) == 0) {
            (void)unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
}

static void remove_targets(struct world *w)
{
    struct buffer shown = BUFFER_INIT;
    char *rest = NULL;
    (void)lab_show(w->lab, &shown, NULL);
    for (char *line = shown.data ? strtok_r(shown.data, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *name = strncmp(line, "Target ", 7) == 0 ? strstr(line, ": ") : NULL;
        if (name && strcmp(name + 2, WORLD_TARGET) != 0) {
            (void)lab_remove_target(w->lab, name + 2, NULL);
        }
    }
    buffer_free(&shown);
}

void world_clear(struct world *w)
{
    struct set_record *sets = NULL;
    size_t count = world_sets(w, &sets);
    for (size_t i = 0; i < count; i++) {
        char id[ID_TEXT_BYTES];
        const char *const arguments[] = {"delete", id_text(&sets[i].set_id, id), NULL};
        if (world_run(w, arguments) != 0) {
            world_fail(w, "a set cannot be deleted");
        }
    }
    sets_free_all(sets, count);
    remove_targets(w);
    remove_copies(w);
    (void)unlink(w->document);
}

void world_forget(struct world *w)
{
    const char *const argv[] = {"rm", "-rf", w->state, NULL};
    (void)process_run(argv, 10000, NULL, NULL);
}

void world_check_no_fence(struct world *w)
{
    struct lun_options options = {.initiator_name = "iqn.2026-01.org.lunshadow.test:other"};
    for (size_t i = 0; i < WORLD_LUNS; i++) {
        struct lun *lun = NULL;
        struct error err = {0};
        uint64_t keys[4];
        size_t count = 0;
        HRESULT hr = lun_open(w->urls[i], &options, true, &lun, &err);
        if (SUCCEEDED(hr)) {
            hr = scsi_pr_read_keys(lun->session, lun->address.lun, keys, 4, &count, &err);
        }
        if (FAILED(hr) || count) {
            world_fail(w, "%s: %zu reservation keys are left: %s", w->urls[i], count,
                       error_text(&err));
        }
        lun_close(lun);
    }
}

void world_configure(struct world *w, bool copies_by_host, bool loses_target)
{
    if (!write_config(w, copies_by_host, loses_target)) {
        world_fail(w, "%s cannot be written", w->config);
    }
}

/* ---- writers --------------------------------------------------------------------------------- */

void world_use_writer(struct world *w, bool wanted)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/writers.d/app.conf", w->base);
    (void)unlink(path);
    FILE *file = wanted ? fopen(path, "wxe") : NULL;
    if (file) {
        (void)fprintf(file, "[writer]\nprogram = %s/writer\n[environment]\nAPP = %s\n", w->app,
                      w->app);
    }
    if (wanted && (!file || fclose(file) != 0)) {
        world_fail(w, "%s cannot be written", path);
    }
}

/* Does a process have both texts on its command line? */
static bool has_process(const char *program, const char *text)
{
    DIR *dir = opendir("/proc");
    bool found = false;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && !found; e = readdir(dir)) {
        char path[300];
        char line[8192];
        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
        int fd = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t got = fd >= 0 ? read(fd, line, sizeof(line)) : 0;
        if (fd >= 0) {
            (void)close(fd);
        }
        found = got > 0 && memmem(line, (size_t)got, program, strlen(program)) &&
                memmem(line, (size_t)got, text, strlen(text));
    }
    if (dir) {
        (void)closedir(dir);
    }
    return found;
}

/* What has no parent any more takes a moment to end. */
static bool ends(const char *program, const char *text)
{
    uint64_t deadline = clock_monotonic_us() + LONG_MS * 1000ull;
    bool runs = has_process(program, text);
    while (runs && clock_monotonic_us() < deadline) {
        clock_sleep_ms(10);
        runs = has_process(program, text);
    }
    return !runs;
}

void world_check_no_writer(struct world *w)
{
    if (!ends("/writer", w->app)) {
        world_fail(w, "a writer still runs");
    }
    if (!run_script(w->app, "flock -w 60 \"$F/lock\" true")) {
        world_fail(w, "a writer still holds the application");
    }
}

/* ---- exposures ------------------------------------------------------------------------------- */

bool world_has_exposed(struct world *w)
{
    return run_script(w->at, "[ \"$(cat \"$F/file\")\" = held ]");
}

/* Others may hold on to a mount or a loop device for a moment. */
static bool comes_true(const char *path, const char *script)
{
    uint64_t deadline = clock_monotonic_us() + LONG_MS * 1000ull;
    bool is_true = run_script(path, script);
    while (!is_true && clock_monotonic_us() < deadline) {
        clock_sleep_ms(20);
        is_true = run_script(path, script);
    }
    return is_true;
}

void world_check_no_exposure(struct world *w)
{
    static const struct {
        const char *script;
        const char *what;
    } checks[] = {
        {"! grep -qF \"$F/exposed\" /proc/self/mountinfo", "a mount of an export is left"},
        {"! grep -qF \"${F%/state}/at \" /proc/self/mountinfo", "a mount of a copy is left"},
        {"[ ! -e \"$F/exposed\" ] || [ -z \"$(ls -A \"$F/exposed\")\" ]",
         "a directory of an export is left"},
        {"! grep -sqF \"$F/exposed\" /sys/block/loop*/loop/backing_file",
         "a loop device of an export is left"},
    };
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!comes_true(w->state, checks[i].script)) {
            world_fail(w, "%s", checks[i].what);
        }
    }
    if (!ends("qemu-storage-daemon", w->state)) {
        world_fail(w, "a daemon of an export is left");
    }
}

void world_drop_exposures(struct world *w)
{
    (void)run_script(w->state,
                     "umount -q -l \"${F%/state}/at\" || true; "
                     "for p in \"$F\"/exposed/*/pid; do "
                     "if [ -e \"$p\" ]; then kill -9 $(cat \"$p\") || true; fi; done; "
                     "for d in \"$F\"/exposed/*/disk; do umount -q -l \"$d\" || true; done; "
                     "rm -rf \"$F/exposed\"");
}
