/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/memory.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlmemory.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many allocations are left until the one that fails; 0: none fails. */
static atomic_long left;
static atomic_bool has_failed;

static bool must_fail(void)
{
    if (atomic_load(&left) == 0 || atomic_fetch_sub(&left, 1) != 1) {
        return false;
    }
    atomic_store(&has_failed, true);
    errno = ENOMEM;
    return true;
}

void memory_fail_at(long number)
{
    atomic_store(&has_failed, false);
    atomic_store(&left, number);
}

long memory_count(void)
{
    return MEMORY_NEVER - atomic_load(&left);
}

bool memory_stop(void)
{
    atomic_store(&left, 0);
    return atomic_load(&has_failed);
}

/* ---- the product's own objects ---- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_reallocarray(void *memory, size_t count, size_t bytes);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t bytes);
char *__real_realpath(const char *path, char *resolved);
FILE *__real_fopen(const char *path, const char *mode);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_reallocarray(void *memory, size_t count, size_t bytes);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t bytes);
char *__wrap_realpath(const char *path, char *resolved);
FILE *__wrap_fopen(const char *path, const char *mode);

void *__wrap_malloc(size_t bytes)
{
    return must_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return must_fail() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return must_fail() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t bytes)
{
    return must_fail() ? NULL : __real_reallocarray(memory, count, bytes);
}

char *__wrap_strdup(const char *text)
{
    return must_fail() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t bytes)
{
    return must_fail() ? NULL : __real_strndup(text, bytes);
}

char *__wrap_realpath(const char *path, char *resolved)
{
    return must_fail() ? NULL : __real_realpath(path, resolved);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return must_fail() ? NULL : __real_fopen(path, mode);
}

/* ---- the libraries that take an allocator ---- */

static sqlite3_mem_methods of_sqlite;

static void *sqlite_malloc(int bytes)
{
    return must_fail() ? NULL : of_sqlite.xMalloc(bytes);
}

static void *sqlite_realloc(void *memory, int bytes)
{
    return must_fail() ? NULL : of_sqlite.xRealloc(memory, bytes);
}

static void *realloc_surely(void *memory, size_t bytes)
{
    return __real_realloc(memory, bytes);
}

/* What libxml2 writes to stderr for each failed allocation. */
static void say_nothing(void *user, const char *format, ...)
{
    (void)user;
    (void)format;
}

void memory_begin(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &of_sqlite);
    sqlite3_mem_methods failing = of_sqlite;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &failing);
    /* libxml2 2.9 crashes where its input's buffer cannot grow, and nobody above can help it. */
    (void)xmlMemSetup(free, __wrap_malloc, realloc_surely, __wrap_strdup);
    xmlInitParser();
    xmlSetGenericErrorFunc(NULL, say_nothing);
    xmlThrDefSetGenericErrorFunc(NULL, say_nothing); /* of threads to come */
}
