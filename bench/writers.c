/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-bench-writers: telling writers one event and having their answers, beside a bare round
 * trip of such a line through cat(1), in turns. */
#include "requester/writers/writers.h"
#include "common/process.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 3000, WARM_UP = 100, GOAL_US = 1000 };

static const char shell_writer[] = "#!/bin/sh\n"
                                   "while read -r event number rest; do\n"
                                   "    case $event in\n"
                                   "    set) continue ;;\n"
                                   "    identify) cat \"$0.answer\" ;;\n"
                                   "    esac\n"
                                   "    echo \"ok $number\"\n"
                                   "done\n";

static const char answer[] =
    "lunshadow-writer 1\nmetadata\n"
    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"
    "<IDENTIFICATION writerId=\"5a3c1f62-6c1f-4c6c-9f0b-0d2b8d3f6a13\" "
    "instanceId=\"d8b1f0f4-58a7-4c0b-8a39-%012zu\" friendlyName=\"bench\" usage=\"OTHER\" "
    "dataSource=\"OTHER\"/><BACKUP_LOCATIONS/></WRITER_METADATA>\n.\n";

struct job {
    const char *name;
    size_t shell_count;
    bool has_c; /* the fsfreeze writer */
    uint64_t call_ns[ROUNDS];
    uint64_t bare_ns[ROUNDS];
};

struct cat {
    struct process process;
    int to;
    int from;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the writers ---- */

static bool write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    bool is_written = file && fputs(text, file) >= 0;
    is_written = file && fclose(file) == 0 && is_written;
    return is_written && chmod(path, mode) == 0;
}

static bool add_shell_writer(const char *directory, size_t number)
{
    char path[512];
    char text[1024];
    (void)snprintf(path, sizeof(path), "%s/w%zu", directory, number);
    bool is_made = write_file(path, shell_writer, 0700);
    (void)snprintf(text, sizeof(text), "[writer]\nprogram = %s\n", path);
    (void)snprintf(path, sizeof(path), "%s/w%zu.conf", directory, number);
    is_made = is_made && write_file(path, text, 0600);
    (void)snprintf(text, sizeof(text), answer, number);
    (void)snprintf(path, sizeof(path), "%s/w%zu.answer", directory, number);
    return is_made && write_file(path, text, 0600);
}

static bool make_writers(const char *directory, const struct job *job)
{
    char path[512];
    bool is_made = true;
    for (size_t i = 0; i < job->shell_count; i++) {
        is_made = is_made && add_shell_writer(directory, i);
    }
    (void)snprintf(path, sizeof(path), "%s/fsfreeze.conf", directory);
    return is_made &&
           (!job->has_c || write_file(path, "[writer]\nprogram = " BENCH_FSFREEZE "\n", 0600));
}

/* ---- the bare one ---- */

static bool start_cat(struct cat *cat)
{
    static const char *const argv[] = {"cat", NULL};
    struct process_options options = PROCESS_OPTIONS_INIT;
    int in[2];
    int out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        return false;
    }
    options.in_fd = in[0];
    options.out_fd = out[1];
    bool is_started = SUCCEEDED(process_start(argv, &options, &cat->process, NULL));
    (void)close(in[0]);
    (void)close(out[1]);
    cat->to = in[1];
    cat->from = out[0];
    return is_started;
}

static bool echo(const struct cat *cat)
{
    static const char line[] = "status 1\n";
    char room[64];
    ssize_t length = (ssize_t)(sizeof(line) - 1);
    return write(cat->to, line, sizeof(line) - 1) == length &&
           read(cat->from, room, sizeof(room)) == length;
}

/* ---- measuring ---- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static void report(struct job *job)
{
    qsort(job->call_ns, ROUNDS, sizeof(uint64_t), by_value);
    qsort(job->bare_ns, ROUNDS, sizeof(uint64_t), by_value);
    double call = (double)job->call_ns[ROUNDS / 2] / 1e3;
    double bare = (double)job->bare_ns[ROUNDS / 2] / 1e3;
    (void)printf("%s: %.1f us (%.1f .. %.1f us at 10 and 99 %%), bare round trip through cat %.1f "
                 "us (medians of %d): %.2f times; goal %d us%s\n",
                 job->name, call, (double)job->call_ns[ROUNDS / 10] / 1e3,
                 (double)job->call_ns[ROUNDS * 99 / 100] / 1e3, bare, ROUNDS, call / bare, GOAL_US,
                 call <= GOAL_US ? ": held" : ": MISSED");
}

static bool all_well(const struct writers *writers, size_t expected)
{
    for (size_t i = 0; i < writers_count(writers); i++) {
        if (FAILED(writers_at(writers, i)->failure)) {
            (void)fprintf(stderr, "lunshadow-bench-writers: %s\n",
                          error_text(&writers_at(writers, i)->line));
            return false;
        }
    }
    return writers_count(writers) == expected;
}

static bool measure(struct job *job, struct writers *writers, const struct cat *cat)
{
    for (size_t i = 0; i < WARM_UP + ROUNDS; i++) {
        size_t at = i < WARM_UP ? 0 : i - WARM_UP;
        uint64_t start = now_ns();
        if (FAILED(writers_tell(writers, EVENT_STATUS, NULL, NULL))) {
            return false;
        }
        uint64_t middle = now_ns();
        if (!echo(cat)) {
            return false;
        }
        job->call_ns[at] = middle - start;
        job->bare_ns[at] = now_ns() - middle;
    }
    return all_well(writers, job->shell_count + (job->has_c ? 1 : 0));
}

static void clean(const char *directory)
{
    const char *const argv[] = {"rm", "-r", "--", directory, NULL};
    (void)process_run(argv, 10000, NULL, NULL);
}

static bool run(struct job *job, const struct cat *cat)
{
    char directory[] = "/tmp/lunshadow-bench-writers-XXXXXX";
    char text[256];
    struct writers *writers = NULL;
    struct config *config = NULL;
    struct gathered_writers gathered = {0};
    struct error err = {0};
    if (!mkdtemp(directory) || !make_writers(directory, job)) {
        return false;
    }
    (void)snprintf(text, sizeof(text), "[writers]\ndirectory = %s\n", directory);
    HRESULT hr = config_parse(text, "bench", &config, &err);
    if (SUCCEEDED(hr)) {
        hr = writers_new(&writers, &err);
    }
    if (SUCCEEDED(hr)) {
        hr = writers_gather(writers, config, NULL, &gathered, &err);
    }
    bool is_done = SUCCEEDED(hr) && measure(job, writers, cat);
    if (FAILED(hr)) {
        (void)fprintf(stderr, "lunshadow-bench-writers: %s\n", error_text(&err));
    }
    gathered_writers_clear(&gathered);
    writers_free(writers, false);
    config_free(config);
    clean(directory);
    if (is_done) {
        report(job);
    }
    return is_done;
}

int main(void)
{
    static struct job jobs[] = {{.name = "1 writer in C (fsfreeze)", .has_c = true},
                                {.name = "1 shell writer", .shell_count = 1},
                                {.name = "8 shell writers at once", .shell_count = 8}};
    struct cat cat = {.process = PROCESS_INIT, .to = -1, .from = -1};
    bool goes_on = start_cat(&cat);
    for (size_t i = 0; goes_on && i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        goes_on = run(&jobs[i], &cat);
    }
    process_kill(&cat.process);
    return goes_on ? EXIT_SUCCESS : EXIT_FAILURE;
}
