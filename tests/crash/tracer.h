/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_CRASH_TRACER_H
#define LUNSHADOW_TESTS_CRASH_TRACER_H

#include <stdbool.h>
#include <sys/types.h>

/* Runs a lunshadow command under ptrace and counts, from outside, the moments at which its death
 * could matter: each system call of the command or of its provider host that makes something
 * durable or visible elsewhere (a write to a file, a removal, a sync, a clone; a SCSI command that
 * writes, reserves or releases; a message between command and host; a mount; the start of a program
 * such as tgtadm, and its first step). At the chosen one, before the call is made, the victim is
 * killed with SIGKILL. */

enum victim {
    VICTIM_COMMAND, /* the command; its provider host then ends by itself */
    VICTIM_HOST,    /* the provider host; the command goes on and ends as it sees fit */
    VICTIM_TARGET   /* tgtd */
};

struct trace_plan {
    const char *const *argv; /* argv[0] is a path */
    int output;              /* standard output and error */
    long kill_at;            /* the number of the point, from 1; 0: none, all are counted */
    enum victim victim;
    pid_t target; /* tgtd */
};

struct trace_result {
    long points;    /* up to the kill, or in all */
    bool is_killed; /* the victim was there and was killed */
    int status;     /* of the command, as waitpid() gives it */
    char at[96];    /* the point of the kill: "host: ftruncate", ... */
};

/* Returns when command and host are both gone. False: ptrace is not allowed here, or the command
 * took longer than two minutes; *out says nothing then. */
bool trace_run(const struct trace_plan *plan, struct trace_result *out);

#endif
