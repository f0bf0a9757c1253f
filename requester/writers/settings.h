/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_REQUESTER_WRITERS_SETTINGS_H
#define LUNSHADOW_REQUESTER_WRITERS_SETTINGS_H

#include "common/config.h"
#include "requester/writers/protocol.h"

/* Which writers there are: one file NAME.conf for each in a directory, lunshadow.conf(5). */

/* The order of freezing (and, backwards, of thawing); as enum vss_application_level. */
enum writer_level { LEVEL_FRONT_END, LEVEL_BACK_END, LEVEL_SYSTEM, LEVEL_COUNT };

struct writer_settings {
    char *name; /* of the file, without ".conf" */
    char *path; /* of the file */
    char *program;
    char *user; /* NULL: ours */
    enum writer_level level;
    bool coordinates_transactions; /* a set whose transactions cannot be held fails */
    uint32_t limits_ms[EVENT_COUNT];
    uint32_t frozen_ms; /* from freeze to thaw */
    char **environment; /* "NAME=value", NULL at the end */
};

/* Reads a file and checks it and the program that it names: both must be root's or this user's,
 * and nobody else may write to them. On failure *out still has name and path, and is freed the same
 * way. E_ACCESSDENIED; E_INVALIDARG: a key that is unknown, missing or wrong;
 * VSS_E_OBJECT_NOT_FOUND. */
HRESULT writer_settings_load(const char *path, struct writer_settings *out, struct error *err);
void writer_settings_free(struct writer_settings *s);

const char *writer_level_name(enum writer_level level);

#define WRITERS_DIRECTORY "/etc/lunshadow/writers.d"
#define WRITERS_MAX       64u

struct writer_files {
    char **paths; /* by name */
    size_t count;
};

/* The files of the directory that the configuration names ([writers] directory; none where it is
 * the default and not there). E_ACCESSDENIED: this user may not read it;
 * VSS_E_WRITER_INFRASTRUCTURE: it is not there, others may write to it, or it holds more than
 * WRITERS_MAX. */
HRESULT writer_files_list(const struct config *config, struct writer_files *out, struct error *err);
void writer_files_free(struct writer_files *files);

#endif
