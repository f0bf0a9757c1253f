/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-export-keeper: watches one export (export.h). Its daemon waits for ever for an array
 * that went away, and with it whoever reads: a kernel that waits for a device can neither sync(2)
 * nor unmount. So the LUN is read from time to time, and where no answer came for long enough the
 * daemon is ended: readers get errors, as from a disk that died. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/error.h"
#include "lun/host/export.h"
#include "lun/host/export_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum { PROBE_BYTES = 4096, LOOKS = 4, SECONDS_MAX = 86400 };

struct keeper {
    const char *directory;
    char *disk;
    uint64_t limit_us;
    atomic_uint_fast64_t answered_us; /* when the last answer came */
    atomic_bool is_gone;              /* the file is no more: nobody can end this export by it */
};

/* One read past the page cache, of another place each time: what was written is not asked of the
 * LUN. An error is an answer: nobody waits for it. */
static void probe(struct keeper *k, void *buffer)
{
    struct stat st;
    int fd = open(k->disk, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        atomic_store(&k->is_gone, true);
    }
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= PROBE_BYTES) {
        uint64_t pieces = (uint64_t)st.st_size / PROBE_BYTES;
        uint64_t place = clock_monotonic_us() * 0x9e3779b97f4a7c15 % pieces;
        (void)!pread(fd, buffer, PROBE_BYTES, (off_t)(place * PROBE_BYTES));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void *probe_for_ever(void *user)
{
    struct keeper *k = user;
    void *buffer = NULL;
    if (posix_memalign(&buffer, PROBE_BYTES, PROBE_BYTES) != 0) {
        return NULL; /* without a probe the export ends: better than one that nobody watches */
    }
    for (;;) {
        probe(k, buffer);
        atomic_store(&k->answered_us, clock_monotonic_us());
        clock_sleep_ms((uint32_t)(k->limit_us / 1000 / LOOKS));
    }
}

/* Until the daemon ends, or is ended. */
static void watch(struct keeper *k, int daemon)
{
    for (;;) {
        struct pollfd p = {.fd = daemon, .events = POLLIN};
        int ended = poll(&p, 1, (int)(k->limit_us / 1000 / LOOKS));
        if (ended > 0) {
            return;
        }
        if (atomic_load(&k->is_gone)) {
            (void)pidfd_send_signal(daemon, SIGKILL, NULL, 0);
            return;
        }
        if (clock_monotonic_us() - atomic_load(&k->answered_us) > k->limit_us) {
            syslog(LOG_DAEMON | LOG_ERR,
                   "lunshadow: the LUN behind %s has not answered for %llu s: its export is ended, "
                   "and reading it fails from now on; lunshadow unexpose takes away the rest",
                   k->directory, (unsigned long long)(k->limit_us / 1000000));
            (void)pidfd_send_signal(daemon, SIGKILL, NULL, 0);
            return;
        }
    }
}

/* Before there is a thread: nobody waits for us. */
static void go_to_background(void)
{
    pid_t child = fork();
    if (child != 0) {
        _exit(child > 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    (void)setsid();
    (void)!chdir("/");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= 2; fd++) {
        (void)dup2(null, fd);
    }
    if (null > 2) {
        (void)close(null);
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    pthread_t thread;
    unsigned long seconds = argc == 3 ? strtoul(argv[2], &end, 10) : 0;
    if (seconds == 0 || seconds > SECONDS_MAX || *end != '\0') {
        (void)fprintf(stderr, "usage: lunshadow-export-keeper DIRECTORY SECONDS\n"
                              "Started by lunshadow for each copy that is exposed.\n");
        return 2;
    }
    struct keeper k = {.directory = argv[1],
                       .disk = export_file(argv[1]),
                       .limit_us = (uint64_t)seconds * 1000000};
    int daemon = -1;
    struct error err = {0};
    HRESULT hr = export_daemon_open(argv[1], &daemon, &err);
    if (!k.disk || hr != S_OK) {
        (void)fprintf(stderr, "lunshadow-export-keeper: no export in %s%s%s\n", argv[1],
                      FAILED(hr) ? ": " : "", FAILED(hr) ? error_text(&err) : "");
        return EXIT_FAILURE;
    }
    go_to_background();
    atomic_store(&k.answered_us, clock_monotonic_us());
    if (pthread_create(&thread, NULL, probe_for_ever, &k) == 0) {
        watch(&k, daemon);
    }
    _exit(EXIT_SUCCESS); /* nothing is left to be done, and the probe may be in the middle of it */
}
