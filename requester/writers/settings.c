/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/writers/settings.h"

#include "provider/trust.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX       ".conf"
#define LIMIT_MIN_MS 10u

static const char *const level_names[LEVEL_COUNT] = {
    [LEVEL_FRONT_END] = "front-end", [LEVEL_BACK_END] = "back-end", [LEVEL_SYSTEM] = "system"};

const char *writer_level_name(enum writer_level level)
{
    return level_names[level];
}

/* ---- one file ---- */

static HRESULT refuse(const struct writer_settings *s, struct error *err, const char *what,
                      const char *which)
{
    return error_set(err, E_INVALIDARG, "%s: %s \"%.60s\"", s->path, what, which);
}

static bool is_one_of(const char *word, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_limit(const char *key)
{
    for (int event = 0; event < EVENT_COUNT; event++) {
        if (strcmp(key, writer_event_facts((enum writer_event)event)->limit_key) == 0) {
            return true;
        }
    }
    return strcmp(key, "frozen_ms") == 0;
}

/* A misspelt key that means nothing would be a limit that does not hold. */
static HRESULT check_keys(const struct writer_settings *s, const struct config *config,
                          struct error *err)
{
    static const char *const keys[] = {"program", "user", "level", "transactions"};
    for (size_t i = 0; i < config->section_count; i++) {
        const struct config_section *section = &config->sections[i];
        bool is_environment = strcmp(section->kind, "environment") == 0;
        bool is_limits = strcmp(section->kind, "limits") == 0;
        if (*section->name != '\0' ||
            (!is_environment && !is_limits && strcmp(section->kind, "writer") != 0)) {
            return refuse(s, err, "no such section:", section->kind);
        }
        for (size_t k = 0; k < section->pair_count && !is_environment; k++) {
            const char *key = section->pairs[k].key;
            if (is_limits ? !is_limit(key)
                          : !is_one_of(key, keys, sizeof(keys) / sizeof(keys[0]))) {
                return refuse(s, err, "no such key:", key);
            }
        }
    }
    return S_OK;
}

static HRESULT read_level(struct writer_settings *s, const struct config_section *section,
                          struct error *err)
{
    const char *text = config_value(section, "level", level_names[LEVEL_FRONT_END]);
    for (int level = 0; level < LEVEL_COUNT; level++) {
        if (strcmp(text, level_names[level]) == 0) {
            s->level = (enum writer_level)level;
            return S_OK;
        }
    }
    return refuse(s, err, "level is front-end, back-end or system, not", text);
}

static HRESULT read_limits(struct writer_settings *s, const struct config *config,
                           struct error *err)
{
    const struct config_section *section = config_find(config, "limits", "");
    uint64_t value = 0;
    for (int event = 0; event < EVENT_COUNT; event++) {
        const struct writer_event_facts *facts = writer_event_facts((enum writer_event)event);
        HRESULT hr = config_number(section, facts->limit_key, LIMIT_MIN_MS, facts->limit_ms,
                                   facts->limit_ms, &value, err);
        if (FAILED(hr)) {
            error_prefix(err, "%s", s->path);
            return hr;
        }
        s->limits_ms[event] = (uint32_t)value;
    }
    HRESULT hr = config_number(section, "frozen_ms", LIMIT_MIN_MS, WRITER_FROZEN_MAX_MS,
                               WRITER_FROZEN_MAX_MS, &value, err);
    s->frozen_ms = (uint32_t)value;
    return hr;
}

/* The home directory of the user, or ours. */
static HRESULT find_home(const struct writer_settings *s, char **out, struct error *err)
{
    char room[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    if (!s->user) {
        const char *home = secure_getenv("HOME");
        *out = text_copy(home ? home : "/");
    } else if (getpwnam_r(s->user, &entry, room, sizeof(room), &found) == 0 && found) {
        *out = text_copy(found->pw_dir);
    } else {
        return refuse(s, err, "there is no user", s->user);
    }
    return *out ? S_OK : E_OUTOFMEMORY;
}

/* Nothing of our own environment but what finds programs: a writer must not learn secrets. */
static HRESULT read_environment(struct writer_settings *s, const struct config *config,
                                struct error *err)
{
    const struct config_section *section = config_find(config, "environment", "");
    size_t given = section ? section->pair_count : 0;
    size_t count = 0;
    char *home = NULL;
    HRESULT hr = find_home(s, &home, err);
    if (FAILED(hr)) {
        return hr;
    }
    s->environment = calloc(given + 5, sizeof(*s->environment));
    if (!s->environment) {
        free(home);
        return E_OUTOFMEMORY;
    }
    /* the first of a name counts, so what the file says stands in front */
    for (size_t i = 0; i < given; i++) {
        s->environment[count++] =
            text_printf("%s=%s", section->pairs[i].key, section->pairs[i].value);
    }
    s->environment[count++] = text_copy("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                                        "/sbin:/bin");
    s->environment[count++] = text_copy("LANG=C.UTF-8");
    s->environment[count++] = text_printf("HOME=%s", home);
    s->environment[count++] = text_printf("LUNSHADOW_WRITER=%s", s->name);
    free(home);
    bool is_whole = true;
    for (size_t i = 0; i < count; i++) {
        is_whole = is_whole && s->environment[i];
    }
    for (size_t i = 0; !is_whole && i < count; i++) { /* whoever frees it stops at the first NULL */
        free(s->environment[i]);
        s->environment[i] = NULL;
    }
    return is_whole ? S_OK : E_OUTOFMEMORY;
}

static HRESULT read_config(struct writer_settings *s, const struct config *config,
                           struct error *err)
{
    const struct config_section *section = config_find(config, "writer", "");
    const char *program = config_value(section, "program", "");
    const char *user = config_value(section, "user", NULL);
    HRESULT hr = check_keys(s, config, err);
    if (SUCCEEDED(hr) && program[0] != '/') {
        hr = error_set(err, E_INVALIDARG, "%s: [writer] needs \"program = /PATH\"", s->path);
    }
    if (FAILED(hr)) {
        return hr;
    }
    s->program = text_copy(program);
    s->user = text_copy(user);
    if (!s->program || (user && !s->user)) {
        return E_OUTOFMEMORY;
    }
    hr = read_level(s, section, err);
    if (SUCCEEDED(hr)) {
        hr = config_bool(section, "transactions", false, &s->coordinates_transactions, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_limits(s, config, err);
    }
    return SUCCEEDED(hr) ? read_environment(s, config, err) : hr;
}

static HRESULT check_program(const struct writer_settings *s, struct error *err)
{
    char *real = realpath(s->program, NULL);
    if (!real) {
        return error_set_errno(err, errno, "%s: program %s", s->path, s->program);
    }
    HRESULT hr = trust_check_file("writer", real, err);
    if (SUCCEEDED(hr)) {
        hr = trust_check_above("writer", real, err);
    }
    free(real);
    return hr;
}

/* "/etc/.../NAME.conf" to NAME. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    size_t suffix = sizeof(SUFFIX) - 1;
    bool has_suffix = length > suffix && strcmp(name + length - suffix, SUFFIX) == 0;
    return text_printf("%.*s", (int)(has_suffix ? length - suffix : length), name);
}

HRESULT writer_settings_load(const char *path, struct writer_settings *out, struct error *err)
{
    *out = (struct writer_settings){.name = name_of(path), .path = text_copy(path)};
    struct config *config = NULL;
    HRESULT hr = out->name && out->path ? S_OK : E_OUTOFMEMORY;
    if (SUCCEEDED(hr)) {
        hr = trust_check_file("writer's file", path, err);
    }
    if (SUCCEEDED(hr)) {
        hr = config_load(path, &config, err);
    }
    if (SUCCEEDED(hr)) {
        hr = read_config(out, config, err);
    }
    if (SUCCEEDED(hr)) {
        hr = check_program(out, err);
    }
    config_free(config);
    return hr == E_OUTOFMEMORY ? error_set(err, hr, "out of memory reading %s", path) : hr;
}

void writer_settings_free(struct writer_settings *s)
{
    for (size_t i = 0; s->environment && s->environment[i]; i++) {
        free(s->environment[i]);
    }
    free(s->environment);
    free(s->user);
    free(s->program);
    free(s->path);
    free(s->name);
    *s = (struct writer_settings){0};
}

/* ---- the directory ---- */

static HRESULT check_directory(const char *directory, struct error *err)
{
    if (access(directory, R_OK | X_OK) != 0 && errno == EACCES) {
        return error_set(err, E_ACCESSDENIED, "this user may not read the writers' directory %s",
                         directory);
    }
    char *real = realpath(directory, NULL);
    if (!real) {
        (void)error_set_errno(err, errno, "the writers' directory %s", directory);
        return errno == ENOMEM ? E_OUTOFMEMORY : error_translate(err, VSS_E_WRITER_INFRASTRUCTURE);
    }
    HRESULT hr = trust_check_directory("writer", real, err);
    if (SUCCEEDED(hr)) {
        hr = trust_check_above("writer", real, err);
    }
    free(real);
    return FAILED(hr) && hr != E_OUTOFMEMORY ? error_translate(err, VSS_E_WRITER_INFRASTRUCTURE)
                                             : hr;
}

static int is_writer_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    size_t suffix = sizeof(SUFFIX) - 1;
    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

static HRESULT add_path(const char *directory, const char *name, struct writer_files *out,
                        struct error *err)
{
    if (out->count == WRITERS_MAX) {
        return error_set(err, VSS_E_WRITER_INFRASTRUCTURE,
                         "%s has more than %u writers, which is the most that are run", directory,
                         WRITERS_MAX);
    }
    char *path = text_printf("%s/%s", directory, name);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "out of memory listing the writers");
    }
    out->paths[out->count++] = path;
    return S_OK;
}

static HRESULT list(const char *directory, struct writer_files *out, struct error *err)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_writer_file, alphasort);
    if (count < 0) {
        (void)error_set_errno(err, errno, "cannot read the writers' directory %s", directory);
        return errno == ENOMEM ? E_OUTOFMEMORY : error_translate(err, VSS_E_WRITER_INFRASTRUCTURE);
    }
    HRESULT hr = S_OK;
    out->paths = calloc(WRITERS_MAX, sizeof(*out->paths));
    if (!out->paths) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory listing the writers");
    }
    for (int i = 0; i < count; i++) {
        if (SUCCEEDED(hr) && out->paths) {
            hr = add_path(directory, entries[i]->d_name, out, err);
        }
        free(entries[i]);
    }
    free(entries);
    if (FAILED(hr)) {
        writer_files_free(out);
    }
    return hr;
}

HRESULT writer_files_list(const struct config *config, struct writer_files *out, struct error *err)
{
    *out = (struct writer_files){0};
    const struct config_section *section = config_find(config, "writers", "");
    const char *directory = config_value(section, "directory", NULL);
    struct stat st;
    if (!directory && stat(WRITERS_DIRECTORY, &st) != 0 && errno == ENOENT) {
        return S_OK;
    }
    directory = directory ? directory : WRITERS_DIRECTORY;
    HRESULT hr = check_directory(directory, err);
    return FAILED(hr) ? hr : list(directory, out, err);
}

void writer_files_free(struct writer_files *files)
{
    for (size_t i = 0; files->paths && i < files->count; i++) {
        free(files->paths[i]);
    }
    free(files->paths);
    *files = (struct writer_files){0};
}
