/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/session_notes.h"

#include "common/buffer.h"
#include "common/id.h"
#include "common/log.h"
#include "requester/document/components.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a writer is told ---- */

/* KEY TYPE PATH NAME [TEXT] */
static void tell(struct writer *w, const char *key, const struct component_name *name,
                 const char *text)
{
    const char *words[] = {protocol_component_type(name->type),
                           name->logical_path ? name->logical_path : "", name->name, text};
    writer_set_words(w, key, words, text ? 4 : 3);
}

static void tell_text(struct writer *w, const char *key, const xmlNode *component,
                      const struct component_name *name, enum component_text which)
{
    const char *text = NULL;
    if (SUCCEEDED(component_get_text(component, which, &text, NULL)) && text) {
        tell(w, key, name, text);
    }
}

static void tell_flag(struct writer *w, const char *key, const xmlNode *component,
                      const struct component_name *name, enum component_flag which)
{
    bool value = false;
    if (SUCCEEDED(component_get_flag(component, which, &value, NULL)) && value) {
        tell(w, key, name, NULL);
    }
}

static void tell_of_backup(struct writer *w, const xmlNode *component,
                           const struct component_name *name)
{
    tell(w, "component", name, NULL);
    tell_text(w, "backup-options", component, name, COMPONENT_BACKUP_OPTIONS);
    tell_text(w, "previous-backup-stamp", component, name, COMPONENT_PREVIOUS_BACKUP_STAMP);
}

#define ENTRY_WORDS_MAX 4

/* KEY TYPE PATH NAME WORD... for each entry of a list, the words being these attributes of it. */
static void tell_entries(const struct vss_backup_components *session, struct writer *w,
                         const char *key, xmlNodePtr component, const struct component_name *name,
                         enum component_list list, const char *const attributes[])
{
    xmlNodePtr entry = NULL;
    for (size_t i = 0; (entry = component_entry(session->document, component, list, i)) != NULL;
         i++) {
        struct xml_reader r = {S_OK, NULL};
        const char *words[3 + ENTRY_WORDS_MAX] = {protocol_component_type(name->type),
                                                  name->logical_path ? name->logical_path : "",
                                                  name->name};
        size_t count = 3;
        for (size_t j = 0; j < ENTRY_WORDS_MAX && attributes[j]; j++) {
            const char *word = xml_get_plain(&r, entry, attributes[j]);
            words[count++] = word ? word : "";
        }
        if (SUCCEEDED(r.status)) {
            writer_set_words(w, key, words, count);
        }
    }
}

static void tell_lists(const struct vss_backup_components *session, struct writer *w,
                       xmlNodePtr component, const struct component_name *name)
{
    static const char *const files[] = {"path", "filespec", "recursive", "alternatePath"};
    static const char *const parts[] = {"logicalPath", "componentName", NULL};
    static const char *const ranges[] = {"path", "filename", "ranges", "rangesFile"};
    tell_entries(session, w, "new-target", component, name, COMPONENT_NEW_TARGETS, files);
    tell_entries(session, w, "alternate-location", component, name, COMPONENT_ALTERNATE_LOCATIONS,
                 files);
    tell_entries(session, w, "restore-subcomponent", component, name,
                 COMPONENT_RESTORE_SUBCOMPONENTS, parts);
    tell_entries(session, w, "partial-file", component, name, COMPONENT_PARTIAL_FILES, ranges);
}

static const char *const roll_forwards[] = {"-", "none", "all", "partial"};
static const char *const restore_statuses[] = {"-", "none", "all", "failed"};

static void tell_of_restore(struct writer *w, const xmlNode *component,
                            const struct component_name *name)
{
    int32_t word = 0;
    tell(w, "component", name, NULL);
    tell_text(w, "backup-stamp", component, name, COMPONENT_BACKUP_STAMP);
    tell_text(w, "backup-metadata", component, name, COMPONENT_BACKUP_METADATA);
    tell_text(w, "restore-metadata", component, name, COMPONENT_RESTORE_METADATA);
    tell_text(w, "restore-options", component, name, COMPONENT_RESTORE_OPTIONS);
    tell_text(w, "restore-name", component, name, COMPONENT_RESTORE_NAME);
    tell_flag(w, "additional-restores", component, name, COMPONENT_ADDITIONAL_RESTORES);
    tell_flag(w, "authoritative-restore", component, name, COMPONENT_AUTHORITATIVE_RESTORE);
    if (SUCCEEDED(component_get_word(component, COMPONENT_ROLL_FORWARD, &word, NULL)) && word > 0) {
        tell(w, "roll-forward", name, roll_forwards[word]);
        tell_text(w, "roll-forward-point", component, name, COMPONENT_ROLL_FORWARD_POINT);
    }
    if (SUCCEEDED(component_get_word(component, COMPONENT_FILE_RESTORE_STATUS, &word, NULL)) &&
        word > 0) {
        tell(w, "file-restore-status", name, restore_statuses[word]);
    }
}

static void tell_of_end(struct writer *w, const xmlNode *component,
                        const struct component_name *name)
{
    tell(w, "component", name, NULL);
    tell_flag(w, "succeeded", component, name, COMPONENT_BACKUP_SUCCEEDED);
}

static bool is_restore_event(enum writer_event event)
{
    return event == EVENT_PRE_RESTORE || event == EVENT_POST_RESTORE;
}

/* Who restores a component that no instance was named for: the instance that the backup had it of,
 * or the one that has its name now; NULL: any of the class. */
static const struct gathered_writer *find_restorer(const struct vss_backup_components *session,
                                                   const struct document_writer *of)
{
    struct xml_reader r = {S_OK, NULL};
    const char *name = xml_get_plain(&r, of->node, "instanceName");
    const struct gathered_writer *same = gathered_writers_find(&session->writers, &of->instance_id);
    for (size_t i = 0; name && !same && i < session->writers.count; i++) {
        const struct gathered_writer *w = &session->writers.items[i];
        if (id_equal(&w->writer_id, &of->writer_id) && w->instance_name &&
            strcmp(w->instance_name, name) == 0) {
            same = w;
        }
    }
    return same;
}

/* A restore's are the selected ones, and where one instance was named for it, that one's alone. */
static bool is_selected_for(const struct vss_backup_components *session,
                            const struct document_writer *of, const xmlNode *component,
                            const struct writer *w)
{
    bool is_selected = false;
    const char *instance = NULL;
    VSS_ID id;
    if (FAILED(component_get_flag(component, COMPONENT_SELECTED_FOR_RESTORE, &is_selected, NULL)) ||
        FAILED(component_get_text(component, COMPONENT_RESTORE_INSTANCE, &instance, NULL))) {
        return false;
    }
    if (instance) {
        return is_selected && id_parse(instance, &id) && id_equal(&id, &w->instance_id);
    }
    const struct gathered_writer *restorer = find_restorer(session, of);
    return is_selected && (!restorer || id_equal(&restorer->instance_id, &w->instance_id));
}

static void tell_of_component(const struct vss_backup_components *session,
                              const struct document_writer *of, xmlNodePtr component,
                              struct writer *w, enum writer_event event)
{
    struct component_name name = {0};
    if (FAILED(component_get_name(component, &name, NULL))) {
        return;
    }
    if (event == EVENT_PREPARE_BACKUP) {
        tell_of_backup(w, component, &name);
    } else if (event == EVENT_BACKUP_COMPLETE) {
        tell_of_end(w, component, &name);
    } else if (is_selected_for(session, of, component, w)) {
        tell_of_restore(w, component, &name);
        tell_lists(session, w, component, &name);
    }
}

void session_describe_components(struct vss_backup_components *session, struct writer *writer,
                                 enum writer_event event)
{
    bool is_restore = is_restore_event(event);
    if (!is_restore && event != EVENT_PREPARE_BACKUP && event != EVENT_BACKUP_COMPLETE) {
        return;
    }
    const struct document_writer *of = NULL;
    for (size_t i = 0; (of = document_writer_at(session->document, i)) != NULL; i++) {
        /* the document of a backup may be from before the instance was made anew */
        bool is_its = is_restore ? id_equal(&of->writer_id, &writer->class_id)
                                 : id_equal(&of->instance_id, &writer->instance_id);
        for (size_t j = 0; is_its && j < of->components.count; j++) {
            tell_of_component(session, of, of->components.nodes[j], writer, event);
        }
    }
}

/* ---- what a writer says ---- */

/* What a restore told a writer of under this name, whichever instance the backup had it of. NULL
 * where that is none, or several. */
static xmlNodePtr find_told(const struct vss_backup_components *session, const struct writer *w,
                            const struct component_name *name)
{
    xmlNodePtr told = NULL;
    const struct document_writer *of = NULL;
    for (size_t i = 0; (of = document_writer_at(session->document, i)) != NULL; i++) {
        xmlNodePtr component = NULL;
        if (!id_equal(&of->writer_id, &w->class_id) ||
            FAILED(document_find_component(session->document, &of->instance_id, &of->writer_id,
                                           name, &component, NULL)) ||
            !is_selected_for(session, of, component, w)) {
            continue;
        }
        if (told) {
            return NULL;
        }
        told = component;
    }
    return told;
}

/* In a backup a writer speaks of its own instance's components alone. */
static HRESULT find(const struct vss_backup_components *session, const struct writer *w,
                    const struct component_name *name, xmlNodePtr *out, struct error *err)
{
    *out = is_restore_event(w->event) ? find_told(session, w, name) : NULL;
    return *out ? S_OK
                : document_find_component(session->document, &w->instance_id, &w->class_id, name,
                                          out, err);
}

static HRESULT keep_text(xmlNodePtr component, const struct writer_note *note, struct error *err)
{
    static const enum component_text texts[] = {
        [TEXT_BACKUP_METADATA] = COMPONENT_BACKUP_METADATA,
        [TEXT_BACKUP_STAMP] = COMPONENT_BACKUP_STAMP,
        [TEXT_RESTORE_METADATA] = COMPONENT_RESTORE_METADATA,
    };
    char *text = text_copy(note->text);
    if (!text) {
        return error_set(err, E_OUTOFMEMORY, "out of memory while keeping what a writer said");
    }
    HRESULT hr = protocol_read_word(text)
                     ? component_set_text(component, texts[note->which], text, err)
                     : error_set(err, E_INVALIDARG, "a text has a broken %% escape");
    free(text);
    return hr;
}

static HRESULT keep_note(struct vss_backup_components *session, const struct writer *w,
                         const struct writer_note *note, struct error *err)
{
    const struct component_name name = {note->component_type, note->path, note->component};
    xmlNodePtr component = NULL;
    HRESULT hr = find(session, w, &name, &component, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!note->is_failure) {
        return keep_text(component, note, err);
    }
    const struct component_failure failure = {note->failure, note->application,
                                              note->text[0] ? note->text : NULL};
    return component_set_failure(component, &failure, err);
}

HRESULT session_keep_notes(void *user, const struct writer *writer, struct error *err)
{
    struct vss_backup_components *session = user;
    /* the log may lie on what is frozen */
    bool may_log = writer->event != EVENT_FREEZE && writer->event != EVENT_THAW;
    for (size_t i = 0; i < writer->note_count; i++) {
        struct error reason = {0};
        HRESULT hr = keep_note(session, writer, &writer->notes[i], &reason);
        if (hr == E_OUTOFMEMORY) {
            return error_set(err, hr, "%s", error_text(&reason));
        }
        if (FAILED(hr) && may_log) {
            log_line(LOG_WARNING, "what writer %s said of a component is dropped: %s",
                     writer->title ? writer->title : "", error_text(&reason));
        }
    }
    return S_OK;
}

/* ---- writers that say nothing any more ---- */

static void note_lost(const struct vss_backup_components *session, const struct writer *w)
{
    const struct component_failure lost = {w->failure, S_OK, NULL};
    const struct document_writer *of = NULL;
    for (size_t i = 0; (of = document_writer_at(session->document, i)) != NULL; i++) {
        if (!id_equal(&of->instance_id, &w->instance_id)) {
            continue;
        }
        for (size_t j = 0; j < of->components.count; j++) {
            struct component_failure known;
            HRESULT hr = component_get_failure(of->components.nodes[j], &known, NULL);
            if (SUCCEEDED(hr) && known.code == S_OK) {
                (void)component_set_failure(of->components.nodes[j], &lost, NULL);
            }
        }
    }
}

void session_note_lost(struct vss_backup_components *session)
{
    for (size_t i = 0; i < writers_count(session->writer_host); i++) {
        const struct writer *w = writers_at(session->writer_host, i);
        /* one that never said who it is has no instance, which is not that of any component */
        if (w->is_listed && (w->failure == VSS_E_WRITER_NOT_RESPONDING ||
                             w->failure == VSS_E_WRITER_STATUS_NOT_AVAILABLE)) {
            note_lost(session, w);
        }
    }
}
