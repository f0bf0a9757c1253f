/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-bench-isolation: one call to a plug-in in its own process, beside a bare round trip of
 * as many bytes over a socket pair, in turns. Left alone, the scheduler puts the far end of the one
 * beside its caller and that of the other elsewhere, and waking a process on another processor
 * costs more than all the rest; so both are measured in both places. */
#include "provider/host/internal.h"
#include "provider/host/remote.h"
#include "provider/host/wire/wire.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 3000, WARM_UP = 100, LUNS_MOST = 64, FRAME_HEADER = 4, JOBS = 2 };

struct job {
    const char *name;
    uint32_t lun_count;
    double goal;
    struct vss_luns_in in;
    size_t request_bytes;
    size_t reply_bytes;
    uint64_t call_ns[ROUNDS];
    uint64_t bare_ns[ROUNDS];
};

static const char *devices[LUNS_MOST];
static struct vss_lun_info infos[LUNS_MOST];

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void make_luns(void)
{
    static uint8_t naa[16] = {0x60, 0x14, 0x05};
    static uint8_t t10[24] = "IET     00010001";
    static uint8_t port[] = "iqn.2026-01.org.lunshadow.bench:array";
    static uint8_t address[8] = {0, 1};
    static struct vss_storage_identifier ids[2] = {
        {.code_set = 1, .type = 3, .identifier_bytes = sizeof(naa), .identifier = naa},
        {.code_set = 2, .type = 1, .identifier_bytes = sizeof(t10), .identifier = t10}};
    static struct vss_interconnect path = {.address_type = VDS_IA_SCSI,
                                           .port_bytes = sizeof(port) - 1,
                                           .port = port,
                                           .address_bytes = sizeof(address),
                                           .address = address};
    for (size_t i = 0; i < LUNS_MOST; i++) {
        devices[i] = "iscsi://127.0.0.1:3260/iqn.2026-01.org.lunshadow.bench:array/1";
        infos[i] = (struct vss_lun_info){
            .version = 1,
            .bus_type = VDSBusTypeiScsi,
            .vendor_id = (char *)"IET",
            .product_id = (char *)"VIRTUAL-DISK",
            .product_revision = (char *)"0001",
            .serial_number = (char *)"beaf10001",
            .device_id = {.version = 1, .identifier_count = 2, .identifiers = ids},
            .interconnect_count = 1,
            .interconnects = &path};
    }
}

static void measure_sizes(struct job *job)
{
    struct wire_content content = {0};
    struct wire_reply reply = {.number = 1};
    struct vss_supported_out out = {.is_supported = 1, .luns = infos};
    job->in = (struct vss_luns_in){.struct_size = sizeof(job->in),
                                   .lun_count = job->lun_count,
                                   .devices = devices,
                                   .luns = infos};
    (void)wire_encode_request(1, VSS_OP_ARE_LUNS_SUPPORTED, 60000, &job->in, &content);
    job->request_bytes = content.bytes + FRAME_HEADER;
    free(content.data);
    (void)wire_encode_reply(&reply, VSS_OP_ARE_LUNS_SUPPORTED, &out, job->lun_count, &content);
    job->reply_bytes = content.bytes + FRAME_HEADER;
    free(content.data);
}

static bool move(int socket, bool is_out, size_t bytes)
{
    static char room[1 << 20];
    for (size_t done = 0; done < bytes;) {
        ssize_t n = is_out ? send(socket, room, bytes - done, MSG_NOSIGNAL)
                           : recv(socket, room, bytes - done, 0);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* The other end of the bare round trip. */
static pid_t start_echo(const struct job *job, int *out_socket)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        while (move(ends[1], false, job->request_bytes) && move(ends[1], true, job->reply_bytes)) {
        }
        _exit(0);
    }
    (void)close(ends[1]);
    *out_socket = ends[0];
    return pid;
}

static bool run_once(struct provider *provider, int echo, struct job *job, size_t i)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_supported_out out = {0};
    struct error err = {0};
    uint64_t start = now_ns();
    HRESULT hr =
        provider_call(provider, VSS_OP_ARE_LUNS_SUPPORTED, &job->in, &out, &arena, 0, &err);
    provider_arena_free(&arena);
    uint64_t middle = now_ns();
    bool is_echoed = move(echo, true, job->request_bytes) && move(echo, false, job->reply_bytes);
    job->call_ns[i] = middle - start;
    job->bare_ns[i] = now_ns() - middle;
    if (FAILED(hr)) {
        (void)fprintf(stderr, "lunshadow-bench-isolation: %s\n", error_text(&err));
    }
    return SUCCEEDED(hr) && is_echoed;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static void report(struct job *job, unsigned far)
{
    qsort(job->call_ns, ROUNDS, sizeof(uint64_t), by_value);
    qsort(job->bare_ns, ROUNDS, sizeof(uint64_t), by_value);
    double call = (double)job->call_ns[ROUNDS / 2] / 1e3;
    double bare = (double)job->bare_ns[ROUNDS / 2] / 1e3;
    double low = (double)job->call_ns[ROUNDS / 10] / (double)job->bare_ns[ROUNDS / 10];
    (void)printf("%s, %s: %zu + %zu bytes, call %.1f us, bare round trip %.1f us (medians of %d): "
                 "%.2f times (goal %.0f%s); fastest tenth %.2f times\n",
                 job->name, far ? "two processors" : "one processor", job->request_bytes,
                 job->reply_bytes, call, bare, ROUNDS, call / bare, job->goal,
                 call / bare <= job->goal ? "" : ", MISSED", low);
}

static bool pin(pid_t pid, unsigned processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return sched_setaffinity(pid, sizeof(set), &set) == 0;
}

/* far: the processor of both far ends; ours is the first. */
static bool run(struct provider *provider, struct job *job, unsigned far)
{
    int echo = -1;
    measure_sizes(job);
    pid_t pid = start_echo(job, &echo);
    bool goes_on = pid > 0 && pin(pid, far) && pin(remote_pid(provider->remote), far);
    for (size_t i = 0; goes_on && i < WARM_UP; i++) {
        goes_on = run_once(provider, echo, job, i);
    }
    for (size_t i = 0; goes_on && i < ROUNDS; i++) {
        goes_on = run_once(provider, echo, job, i);
    }
    if (echo >= 0) {
        (void)close(echo);
    }
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
    if (goes_on) {
        report(job, far);
    }
    return goes_on;
}

int main(void)
{
    static struct job jobs[JOBS] = {{.name = "1 LUN", .lun_count = 1, .goal = 2},
                                    {.name = "64 LUNs", .lun_count = LUNS_MOST, .goal = 4}};
    char text[512];
    struct config *config = NULL;
    struct error err = {0};
    struct provider provider = {0};
    (void)snprintf(text, sizeof(text), "[array bench]\nprovider = %s\n", BENCH_PLUGIN);
    HRESULT hr = config_parse(text, "bench", &config, &err);
    if (SUCCEEDED(hr)) {
        provider.section = config_find(config, "array", "bench");
        hr = remote_open(config, provider.section, &provider.remote, &err);
    }
    make_luns();
    bool goes_on = SUCCEEDED(hr) && pin(0, 0);
    unsigned places = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    for (unsigned i = 0; goes_on && i < places * JOBS; i++) {
        goes_on = run(&provider, &jobs[i % JOBS], i / JOBS);
    }
    remote_close(provider.remote);
    config_free(config);
    if (FAILED(hr)) {
        (void)fprintf(stderr, "lunshadow-bench-isolation: %s\n", error_text(&err));
    }
    return goes_on ? EXIT_SUCCESS : EXIT_FAILURE;
}
