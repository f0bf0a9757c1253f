/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LUNSHADOW_TESTS_COMPONENTS_FIXTURE_H
#define LUNSHADOW_TESTS_COMPONENTS_FIXTURE_H

#include "unit/registry_fixture.h"

#include <lunshadow/component.h>
#include <string.h>

#include "requester/session.h"
#include "unit/metadata_samples.h"

/* Sessions over documents alone: writers' documents are put into the session as if their writers
 * had answered. Everything here fails the running test where it cannot do its work. */

/* A component of the database's writer in metadata_samples.h. */
#define PATH "SRV\\one"
#define NAME "master"
#define TYPE VSS_CT_FILEGROUP

struct fixture {
    char *directory;
    VSS_ID instance; /* of the database's writer, and its class */
    VSS_ID writer;
    VSS_ID other_instance; /* of the other writer */
    VSS_ID other_writer;
};

int components_setup(void **state);
int components_teardown(void **state);

/* Both writers of metadata_samples.h: the database's, the other one. */
extern const char *const both_writers[2];

struct vss_backup_components *create_session(const struct fixture *f);

/* GatherWriterMetadata, with these writers as its result. */
void gather(struct vss_backup_components *session, const char *const documents[], size_t count);

/* A backup that selects components, and has gathered both writers; a restore of a document. */
struct vss_backup_components *begin_backup(const struct fixture *f);
struct vss_backup_components *begin_restore(const struct fixture *f, const char *xml);

/* AddComponent of the database's writer. */
HRESULT add_component(const struct fixture *f, struct vss_backup_components *session,
                      const char *path, const char *name);

/* The first component of the first writer. */
struct vss_component *only_component(struct vss_backup_components *session);

/* The call, which sets text; then text is freed. expected NULL: it must be S_FALSE, and text NULL.
 */
#define assert_text(call, text, expected)                                                          \
    do {                                                                                           \
        HRESULT text_hr = call;                                                                    \
        check_text(text_hr, text, expected);                                                       \
    } while (0)
void check_text(HRESULT hr, char *text, const char *expected);

#define assert_refusal(session, call, code, says)                                                  \
    do {                                                                                           \
        HRESULT refused_hr = call;                                                                 \
        const char *refused_text = vss_backup_components_error_text(session);                      \
        if (refused_hr != (code) || !strstr(refused_text, says)) {                                 \
            fail_msg("0x%08x: %s", (unsigned)refused_hr, refused_text);                            \
        }                                                                                          \
    } while (0)

/* A Backup Components Document around components of the database's writer. */
#define BACKUP_OPEN(attributes)                                                                    \
    "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\""                                  \
    " xmlns:ls=\"urn:lunshadow:document:1\" version=\"1.2\" selectComponents=\"yes\"" attributes   \
    "><WRITER_COMPONENTS instanceId=\"aaaaaaaa-0000-0000-0000-000000000001\" "                     \
    "writerId=\"" DB_WRITER_ID "\" backupSchema=\"881\" instanceName=\"DB one\">"
#define BACKUP_CLOSE "</WRITER_COMPONENTS></BACKUP_COMPONENTS>"
#define RESTORED                                                                                   \
    "<COMPONENT logicalPath=\"SRV\\one\" componentName=\"master\" componentType=\"filegroup\""     \
    " backupStamp=\"7\"><BACKUP_METADATA metadata=\"m\"/>"                                         \
    "<ls:PARTIAL_FILE path=\"D:\\data\" filename=\"a\" ranges=\"0:1\"/></COMPONENT>"

#endif
