/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

static struct {
    pthread_mutex_t lock;
    log_sink sink;
    void *user;
    enum log_level level;
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_set_sink(log_sink sink, void *user, enum log_level level)
{
    (void)pthread_mutex_lock(&log_state.lock);
    log_state.sink = sink;
    log_state.user = user;
    log_state.level = level;
    (void)pthread_mutex_unlock(&log_state.lock);
}

int log_wants(enum log_level level)
{
    (void)pthread_mutex_lock(&log_state.lock);
    int wants = log_state.sink && level <= log_state.level;
    (void)pthread_mutex_unlock(&log_state.lock);
    return wants;
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)pthread_mutex_lock(&log_state.lock);
    if (log_state.sink && level <= log_state.level) {
        char line[2048];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        log_state.sink(level, line, log_state.user);
    }
    (void)pthread_mutex_unlock(&log_state.lock);
}

void log_to_stderr(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)user;
    (void)fprintf(stderr, "lunshadow: %s\n", line);
}
