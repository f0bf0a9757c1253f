/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/internal.h"

#include "common/clock.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Both end at what they wait for. A busy disk may keep a tgtd that was killed for long. */
enum { START_MS = 60000, STOP_MS = 60000 };
enum { START_POLL_MS = 5, TGTADM_MS = 10000, PORT_TRIES = 8 };

char *lab_tgtd_control_path(const struct lab *lab)
{
    return text_printf("%s.%u", lab->socket, lab->control_port);
}

HRESULT lab_tgtadm(struct lab *lab, const char *const arguments[], struct buffer *out,
                   struct error *err)
{
    enum { FIXED = 5, MOST = 32 };
    char port[16];
    const char *argv[MOST + 1] = {"tgtadm", "-C", port, "--lld", "iscsi"};
    size_t n = FIXED;
    (void)snprintf(port, sizeof(port), "%u", lab->control_port);
    for (size_t i = 0; arguments[i]; i++) {
        if (n == MOST) {
            return error_set(err, E_INVALIDARG, "too many arguments for tgtadm");
        }
        argv[n++] = arguments[i];
    }
    argv[n] = NULL;
    char *socket_name = text_printf("TGT_IPC_SOCKET=%s", lab->socket);
    if (!socket_name) {
        return error_set(err, E_OUTOFMEMORY, "out of memory calling tgtadm");
    }
    const char *const environment[] = {socket_name, NULL};
    HRESULT hr = process_run_with(argv, environment, TGTADM_MS, out, err);
    free(socket_name);
    return hr;
}

/* The start time of a living process in clock ticks since boot; 0 where there is none, or a zombie.
 */
static uint64_t read_start_time(pid_t pid)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    /* The name in parentheses may hold anything, so count fields from the last one: state is 3rd.
     */
    const char *at = strrchr(text, ')');
    if (!at || strlen(at) < 3 || at[2] == 'Z' || at[2] == 'X') {
        return 0;
    }
    at += 2;
    for (int field = 3; field < 22 && at; field++) {
        at = strchr(at + 1, ' ');
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

/* The process that listens at the control socket: the kernel remembers who called listen(), also
 * while that one is stopped. 0 where nobody does. */
static pid_t ask_socket(const struct lab *lab)
{
    pid_t pid = 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t length = sizeof(peer);
    char *path = lab_tgtd_control_path(lab);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || !path || strlen(path) >= sizeof(address.sun_path)) {
        goto out;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0) {
        pid = peer.pid;
    }
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    free(path);
    return pid;
}

void lab_tgtd_find(struct lab *lab)
{
    if (lab->tgtd_pid > 0 && lab->tgtd_start != 0 &&
        read_start_time(lab->tgtd_pid) == lab->tgtd_start) {
        return;
    }
    /* Not recorded (its starter died in between) or gone. */
    lab->tgtd_pid = lab->control_port ? ask_socket(lab) : 0;
    lab->tgtd_start = lab->tgtd_pid > 0 ? read_start_time(lab->tgtd_pid) : 0;
    if (lab->tgtd_start == 0) {
        lab->tgtd_pid = 0;
    }
}

/* The first port that the kernel gives to connections that go out. */
static uint16_t first_outgoing_port(void)
{
    enum { USUAL = 32768 };
    unsigned first = 0;
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (!f || fscanf(f, "%u", &first) != 1 || first > UINT16_MAX) {
        first = USUAL;
    }
    if (f) {
        (void)fclose(f);
    }
    return (uint16_t)first;
}

/* wanted 0: any. The loopback port if nobody has it right now; 0 where it is taken. */
static uint16_t try_port(uint16_t wanted)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(wanted)};
    socklen_t length = sizeof(address);
    uint16_t port = 0;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return 0;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
        port = ntohs(address.sin_port);
    }
    (void)close(fd);
    return port;
}

/* One that no connection takes which goes out while a tgtd is restarted, if there is such. */
static uint16_t find_free_port(void)
{
    enum { LOWEST = 10000, LEAST = 1000, TRIES = 64 };
    uint16_t first = first_outgoing_port();
    uint16_t port = 0;
    for (int i = 0; i < TRIES && port == 0 && first >= LOWEST + LEAST; i++) {
        uint32_t random = 0;
        (void)getrandom(&random, sizeof(random), 0);
        port = try_port((uint16_t)(LOWEST + random % (first - LOWEST)));
    }
    return port ? port : try_port(0);
}

static HRESULT choose_ports(struct lab *lab, struct error *err)
{
    uint32_t random = 0;
    (void)getrandom(&random, sizeof(random), 0);
    lab->control_port = 1 + random % 32767;
    lab->port = find_free_port();
    if (lab->port == 0) {
        return error_set(err, VSS_E_UNEXPECTED, "no free port at 127.0.0.1");
    }
    (void)snprintf(lab->portal, sizeof(lab->portal), "127.0.0.1:%u", lab->port);
    return S_OK;
}

static int open_log(const struct lab *lab)
{
    char *path = text_printf("%s/tgtd.log", lab->directory);
    int fd = -1;
    if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    free(path);
    return fd;
}

static HRESULT spawn_tgtd(struct lab *lab, bool detached, struct error *err)
{
    char control_port[16];
    char portal[48];
    /* setpriv asks the kernel to kill tgtd when the thread that spawned it ends, SIGKILL included.
     */
    const char *const argv[] = {"setpriv", "--pdeathsig", "KILL",    "tgtd", "-f",
                                "-C",      control_port,  "--iscsi", portal, NULL};
    const char *path = getenv("PATH");
    char *search = text_printf("PATH=%s:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "");
    char *socket_name = text_printf("TGT_IPC_SOCKET=%s", lab->socket);
    /* glibc gives each buffer of 128 KiB or more back to the kernel, and takes it anew page by
     * page. */
    const char *keep = lab->stock_allocator ? NULL : "MALLOC_MMAP_THRESHOLD_=33554432";
    const char *const environment[] = {socket_name, search, keep,
                                       "MALLOC_TRIM_THRESHOLD_=268435456", NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    HRESULT hr = E_OUTOFMEMORY;
    (void)snprintf(control_port, sizeof(control_port), "%u", lab->control_port);
    (void)snprintf(portal, sizeof(portal), "portal=%s", lab->portal);
    options.out_fd = open_log(lab);
    options.err_fd = options.out_fd;
    options.new_session = true;
    options.environment = environment;
    if (search && socket_name) {
        hr = process_start(detached ? argv + 3 : argv, &options, &lab->tgtd, err);
    }
    if (SUCCEEDED(hr)) {
        lab->tgtd_pid = lab->tgtd.pid;
        lab->tgtd_start = read_start_time(lab->tgtd_pid);
    }
    if (options.out_fd >= 0) {
        (void)close(options.out_fd);
    }
    free(search);
    free(socket_name);
    return hr;
}

/* The last line tgtd (or setpriv) wrote, for an error that says why. */
static void read_last_log_line(const struct lab *lab, char *out, size_t size)
{
    out[0] = '\0';
    char *path = text_printf("%s/tgtd.log", lab->directory);
    FILE *f = path ? fopen(path, "re") : NULL;
    char line[256];
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(out, size, "%s", line);
    }
    if (f) {
        (void)fclose(f);
    }
    free(path);
}

/* S_OK: it serves our portal; S_FALSE: not yet. When the port was taken, tgtd goes on with its
 * defaults, which are all interfaces: VSS_E_OBJECT_ALREADY_EXISTS, and it must be ended at once. */
static HRESULT look_whether_ready(struct lab *lab)
{
    const char *const show[] = {"--op", "show", "--mode", "portal", NULL};
    char wanted[64];
    struct buffer out = BUFFER_INIT;
    if (ask_socket(lab) != lab->tgtd_pid) {
        return S_FALSE;
    }
    (void)snprintf(wanted, sizeof(wanted), "Portal: %s,", lab->portal);
    HRESULT hr = lab_tgtadm(lab, show, &out, NULL);
    if (FAILED(hr)) {
        hr = S_FALSE;
    } else if (!out.data || !strstr(out.data, wanted)) {
        hr = VSS_E_OBJECT_ALREADY_EXISTS;
    }
    buffer_free(&out);
    return hr;
}

static HRESULT wait_until_ready(struct lab *lab, struct error *err)
{
    uint64_t deadline = clock_monotonic_us() + (uint64_t)START_MS * 1000;
    while (clock_monotonic_us() < deadline) {
        int status;
        if (process_wait(&lab->tgtd, START_POLL_MS, &status) != S_FALSE) {
            char line[256];
            read_last_log_line(lab, line, sizeof(line));
            return error_set(err, VSS_E_UNEXPECTED, "tgtd ended while starting: %s",
                             line[0] ? line : "no output");
        }
        HRESULT hr = look_whether_ready(lab);
        if (hr != S_FALSE) {
            return hr;
        }
    }
    return error_set(err, VSS_E_UNEXPECTED, "tgtd did not answer within %d ms", START_MS);
}

/* Also one that did not come up as it should, which may serve all interfaces. */
static void end_tgtd(struct lab *lab)
{
    process_kill(&lab->tgtd);
    lab->tgtd_pid = 0;
    lab->tgtd_start = 0;
}

HRESULT lab_tgtd_start(struct lab *lab, bool detached, struct error *err)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        HRESULT hr = choose_ports(lab, err);
        if (SUCCEEDED(hr)) {
            hr = lab_state_save(lab, err);
        }
        if (SUCCEEDED(hr)) {
            hr = spawn_tgtd(lab, detached, err);
        }
        if (FAILED(hr)) {
            return hr;
        }
        hr = wait_until_ready(lab, err);
        if (SUCCEEDED(hr)) {
            lab->tgtd_start = read_start_time(lab->tgtd_pid);
            return lab_state_save(lab, err);
        }
        end_tgtd(lab);
        if (hr != VSS_E_OBJECT_ALREADY_EXISTS) {
            return hr;
        }
        log_line(LOG_INFO, "port %u was taken, trying another", lab->port);
    }
    return error_set(err, VSS_E_UNEXPECTED, "every port tried at 127.0.0.1 was taken");
}

/* Kills the process found by lab_tgtd_find(): the start time, looked at behind the pidfd, proves
 * that the pidfd is that process's. */
static HRESULT kill_found(const struct lab *lab, struct error *err)
{
    HRESULT hr = S_OK;
    int pidfd = pidfd_open(lab->tgtd_pid, 0);
    if (pidfd < 0) {
        return errno == ESRCH ? S_OK
                              : error_set_errno(err, errno, "cannot watch tgtd (pid %ld)",
                                                (long)lab->tgtd_pid);
    }
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    if (read_start_time(lab->tgtd_pid) != lab->tgtd_start) {
        hr = S_OK; /* it ended by itself */
    } else if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) != 0 && errno != ESRCH) {
        hr = error_set_errno(err, errno, "cannot end tgtd (pid %ld)", (long)lab->tgtd_pid);
    } else if (poll(&p, 1, STOP_MS) != 1) {
        hr = error_set(err, VSS_E_UNEXPECTED, "tgtd (pid %ld) does not end", (long)lab->tgtd_pid);
    }
    (void)close(pidfd);
    return hr;
}

HRESULT lab_tgtd_restart(struct lab *lab, struct error *err)
{
    end_tgtd(lab);
    HRESULT hr = spawn_tgtd(lab, false, err);
    if (SUCCEEDED(hr)) {
        hr = wait_until_ready(lab, err);
    }
    if (SUCCEEDED(hr)) {
        return lab_state_save(lab, err);
    }
    end_tgtd(lab);
    return hr == VSS_E_OBJECT_ALREADY_EXISTS
               ? error_set(err, VSS_E_UNEXPECTED,
                           "tgtd does not serve %s again, which another program may have taken",
                           lab->portal)
               : hr;
}

HRESULT lab_tgtd_stop(struct lab *lab, struct error *err)
{
    HRESULT hr = S_OK;
    if (lab->tgtd.pidfd >= 0) {
        int status;
        (void)process_signal(&lab->tgtd, SIGKILL); /* it ignores SIGTERM while it has targets */
        if (process_wait(&lab->tgtd, STOP_MS, &status) == S_FALSE) {
            hr = error_set(err, VSS_E_UNEXPECTED, "tgtd (pid %ld) does not end",
                           (long)lab->tgtd_pid);
        }
    } else {
        lab_tgtd_find(lab);
        hr = lab->tgtd_pid > 0 ? kill_found(lab, err) : S_OK;
    }
    if (SUCCEEDED(hr)) {
        lab->tgtd_pid = 0;
    }
    return hr;
}
