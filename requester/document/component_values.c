/* SPDX-License-Identifier: Apache-2.0 */

/* What a Backup Components Document notes of one component. */

#include "requester/document/components.h"

#include <stdio.h>
#include <string.h>

#define METADATA_NAME "BACKUP_METADATA"

/* By enum component_text; BACKUP_METADATA is a child element of VSS, BACKUP_STAMP an attribute of
 * VSS, all others are ours. */
static const char *const text_names[COMPONENT_TEXT_COUNT] = {
    [COMPONENT_BACKUP_METADATA] = "metadata",
    [COMPONENT_BACKUP_STAMP] = "backupStamp",
    [COMPONENT_BACKUP_OPTIONS] = "backupOptions",
    [COMPONENT_RESTORE_OPTIONS] = "restoreOptions",
    [COMPONENT_PREVIOUS_BACKUP_STAMP] = "previousBackupStamp",
    [COMPONENT_RESTORE_METADATA] = "restoreMetadata",
    [COMPONENT_PRE_RESTORE_FAILURE] = "preRestoreFailure",
    [COMPONENT_POST_RESTORE_FAILURE] = "postRestoreFailure",
    [COMPONENT_PREPARE_FOR_BACKUP_FAILURE] = "prepareForBackupFailure",
    [COMPONENT_POST_SNAPSHOT_FAILURE] = "postSnapshotFailure",
    [COMPONENT_ROLL_FORWARD_POINT] = "rollForwardPoint",
    [COMPONENT_RESTORE_NAME] = "restoreName",
    [COMPONENT_RESTORE_INSTANCE] = "restoreInstance",
};

static const char *const flag_names[COMPONENT_FLAG_COUNT] = {
    [COMPONENT_BACKUP_SUCCEEDED] = "backupSucceeded",
    [COMPONENT_SELECTED_FOR_RESTORE] = "selectedForRestore",
    [COMPONENT_ADDITIONAL_RESTORES] = "additionalRestores",
    [COMPONENT_AUTHORITATIVE_RESTORE] = "authoritativeRestore",
};

/* By the enum of each; the first is what an absent one means. */
static const char *const targets[] = {"undefined", "original", "alternate", "directed",
                                      "originalLocation"};
static const char *const statuses[] = {"undefined", "none", "all", "failed"};
static const char *const roll_forwards[] = {"undefined", "none", "all", "partial"};

static const struct {
    const char *name;
    const char *const *words;
    int32_t count;
} word_rows[COMPONENT_WORD_COUNT] = {
    [COMPONENT_RESTORE_TARGET] = {"restoreTarget", targets, VSS_RT_ORIGINAL_LOCATION + 1},
    [COMPONENT_FILE_RESTORE_STATUS] = {"fileRestoreStatus", statuses, VSS_RS_FAILED + 1},
    [COMPONENT_ROLL_FORWARD] = {"rollForward", roll_forwards, VSS_RF_PARTIAL + 1},
};

static const char *const list_names[COMPONENT_LIST_COUNT] = {
    [COMPONENT_ALTERNATE_LOCATIONS] = "ALTERNATE_LOCATION",
    [COMPONENT_NEW_TARGETS] = "NEW_TARGET",
    [COMPONENT_PARTIAL_FILES] = "PARTIAL_FILE",
    [COMPONENT_DIRECTED_TARGETS] = "DIRECTED_TARGET",
    [COMPONENT_RESTORE_SUBCOMPONENTS] = "RESTORE_SUBCOMPONENT",
    [COMPONENT_DIFFERENCED_FILES] = "DIFFERENCED_FILES",
};

#define FAILURE_NAME             "failure"
#define APPLICATION_FAILURE_NAME "applicationFailure"
#define APPLICATION_MESSAGE_NAME "applicationMessage"

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while working on a document");
}

static HRESULT check_text(const char *name, const char *text, struct error *err)
{
    if (text && strlen(text) > COMPONENT_TEXT_MAX) {
        return error_set(err, E_INVALIDARG, "%s: a text has at most %zu bytes", name,
                         COMPONENT_TEXT_MAX);
    }
    if (text && !xml_can_hold(text)) {
        return error_set(err, E_INVALIDARG,
                         "%s: a text is UTF-8 without control characters, but for tabs and line "
                         "breaks",
                         name);
    }
    return S_OK;
}

/* ---- texts ---- */

/* Attributes of ours; NULL takes one away. */
static HRESULT set_own(xmlNodePtr component, const char *name, const char *text, struct error *err)
{
    HRESULT hr = check_text(name, text, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (!text) {
        xmlAttrPtr old = xmlHasNsProp(component, BAD_CAST name, BAD_CAST DOCUMENT_NS_OWN);
        if (old) {
            (void)xmlRemoveProp(old);
        }
        return S_OK;
    }
    struct xml_writer w = {component->ns, xml_own_namespace(component), S_OK};
    if (!w.own) {
        return no_memory(err);
    }
    xml_put_own(&w, component, name, text);
    return FAILED(w.status) ? no_memory(err) : S_OK;
}

static HRESULT set_plain(xmlNodePtr node, const char *name, const char *text, struct error *err)
{
    struct xml_writer w = {node->ns, NULL, S_OK};
    if (text) {
        xml_put_plain(&w, node, name, text);
    } else {
        (void)xmlUnsetNsProp(node, NULL, BAD_CAST name);
    }
    return FAILED(w.status) ? no_memory(err) : S_OK;
}

static HRESULT set_metadata(xmlNodePtr component, const char *text, struct error *err)
{
    xmlNodePtr node = xml_first(component, DOCUMENT_NS_VSS, METADATA_NAME);
    if (node && text) {
        return set_plain(node, text_names[COMPONENT_BACKUP_METADATA], text, err);
    }
    if (!text) {
        xml_remove(node);
        return S_OK;
    }
    struct xml_writer w = {component->ns, NULL, S_OK};
    node = xml_add(&w, component, w.vss, METADATA_NAME);
    xml_put_plain(&w, node, text_names[COMPONENT_BACKUP_METADATA], text);
    if (FAILED(w.status)) {
        xml_remove(node);
        return no_memory(err);
    }
    return S_OK;
}

HRESULT component_set_text(xmlNodePtr component, enum component_text which, const char *text,
                           struct error *err)
{
    HRESULT hr = check_text(text_names[which], text, err);
    if (FAILED(hr)) {
        return hr;
    }
    if (which == COMPONENT_BACKUP_METADATA) {
        return set_metadata(component, text, err);
    }
    return which == COMPONENT_BACKUP_STAMP ? set_plain(component, text_names[which], text, err)
                                           : set_own(component, text_names[which], text, err);
}

static const char *get_metadata(struct xml_reader *r, const xmlNode *component)
{
    const xmlNode *node = xml_first(component, DOCUMENT_NS_VSS, METADATA_NAME);
    if (node && xml_next(node, DOCUMENT_NS_VSS, METADATA_NAME)) {
        xml_refuse(r, component, "has more than one " METADATA_NAME);
    }
    return node ? xml_need_plain(r, node, text_names[COMPONENT_BACKUP_METADATA]) : NULL;
}

HRESULT component_get_text(const xmlNode *component, enum component_text which,
                           const char **out_text, struct error *err)
{
    struct xml_reader r = {S_OK, err};
    if (which == COMPONENT_BACKUP_METADATA) {
        *out_text = get_metadata(&r, component);
    } else if (which == COMPONENT_BACKUP_STAMP) {
        *out_text = xml_get_plain(&r, component, text_names[which]);
    } else {
        *out_text = xml_get_own(&r, component, text_names[which]);
    }
    return r.status;
}

/* ---- flags and words ---- */

HRESULT component_set_flag(xmlNodePtr component, enum component_flag which, bool value,
                           struct error *err)
{
    return set_own(component, flag_names[which], value ? "yes" : "no", err);
}

HRESULT component_get_flag(const xmlNode *component, enum component_flag which, bool *out,
                           struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const char *text = xml_get_own(&r, component, flag_names[which]);
    *out = false;
    if (text && !xml_parse_bool(text, out)) {
        xml_refuse(&r, component, "attribute %s is neither yes nor no", flag_names[which]);
    }
    return r.status;
}

HRESULT component_set_word(xmlNodePtr component, enum component_word which, int32_t value,
                           struct error *err)
{
    if (value <= 0 || value >= word_rows[which].count) {
        return error_set(err, E_INVALIDARG, "%s: %d is no such value", word_rows[which].name,
                         value);
    }
    return set_own(component, word_rows[which].name, word_rows[which].words[value], err);
}

HRESULT component_get_word(const xmlNode *component, enum component_word which, int32_t *out,
                           struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const char *text = xml_get_own(&r, component, word_rows[which].name);
    *out = text ? xml_word(text, word_rows[which].words, word_rows[which].count, -1) : 0;
    if (*out < 0) {
        xml_refuse(&r, component, "attribute %s has a value that is not known: \"%.64s\"",
                   word_rows[which].name, text);
        *out = 0;
    }
    return r.status;
}

/* ---- failure ---- */

static HRESULT set_code(xmlNodePtr component, const char *name, HRESULT code, struct error *err)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", (unsigned)code);
    return set_own(component, name, text, err);
}

static void get_code(struct xml_reader *r, const xmlNode *component, const char *name, HRESULT *out)
{
    const char *text = xml_get_own(r, component, name);
    uint32_t value = 0;
    if (text && !xml_parse_number(text, &value)) {
        xml_refuse(r, component, "attribute %s is not a number of 32 bits", name);
    }
    *out = (HRESULT)value;
}

/* The code is written last: it is what says that there is a failure. */
HRESULT component_set_failure(xmlNodePtr component, const struct component_failure *failure,
                              struct error *err)
{
    HRESULT hr = set_own(component, APPLICATION_MESSAGE_NAME, failure->application_message, err);
    if (SUCCEEDED(hr)) {
        hr = set_code(component, APPLICATION_FAILURE_NAME, failure->application_code, err);
    }
    return SUCCEEDED(hr) ? set_code(component, FAILURE_NAME, failure->code, err) : hr;
}

HRESULT component_get_failure(const xmlNode *component, struct component_failure *out,
                              struct error *err)
{
    struct xml_reader r = {S_OK, err};
    *out = (struct component_failure){0};
    get_code(&r, component, FAILURE_NAME, &out->code);
    get_code(&r, component, APPLICATION_FAILURE_NAME, &out->application_code);
    out->application_message = xml_get_own(&r, component, APPLICATION_MESSAGE_NAME);
    return r.status;
}

/* ---- all of it ---- */

HRESULT component_check(const xmlNode *component, struct error *err)
{
    struct component_name name = {0};
    struct component_failure failure;
    const char *text = NULL;
    bool flag = false;
    int32_t word = 0;
    HRESULT hr = component_get_name(component, &name, err);
    for (int i = 0; i < COMPONENT_TEXT_COUNT && SUCCEEDED(hr); i++) {
        hr = component_get_text(component, (enum component_text)i, &text, err);
    }
    for (int i = 0; i < COMPONENT_FLAG_COUNT && SUCCEEDED(hr); i++) {
        hr = component_get_flag(component, (enum component_flag)i, &flag, err);
    }
    for (int i = 0; i < COMPONENT_WORD_COUNT && SUCCEEDED(hr); i++) {
        hr = component_get_word(component, (enum component_word)i, &word, err);
    }
    return SUCCEEDED(hr) ? component_get_failure(component, &failure, err) : hr;
}

/* ---- lists ---- */

HRESULT component_add_entry(xmlNodePtr component, enum component_list list,
                            const struct component_value *values, size_t count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        HRESULT hr = check_text(values[i].name, values[i].text, err);
        if (FAILED(hr)) {
            return hr;
        }
    }
    struct xml_writer w = {component->ns, xml_own_namespace(component), S_OK};
    xmlNodePtr node = w.own ? xml_add(&w, component, w.own, list_names[list]) : NULL;
    for (size_t i = 0; i < count && node; i++) {
        if (values[i].text) {
            xml_put_plain(&w, node, values[i].name, values[i].text);
        }
    }
    if (!node || FAILED(w.status)) {
        xml_remove(node);
        return no_memory(err);
    }
    return S_OK;
}

size_t component_count_entries(const xmlNode *component, enum component_list list)
{
    return xml_count(component, DOCUMENT_NS_OWN, list_names[list]);
}

xmlNodePtr component_entry(struct document *document, xmlNodePtr component,
                           enum component_list list, size_t place)
{
    struct list_cursor *cursor = &document->cursor;
    bool is_behind = cursor->component == component && cursor->list == (int)list && cursor->entry &&
                     cursor->place <= place;
    size_t at = is_behind ? cursor->place : 0;
    xmlNodePtr node =
        is_behind ? cursor->entry : xml_first(component, DOCUMENT_NS_OWN, list_names[list]);
    for (; node && at < place; at++) {
        node = xml_next(node, DOCUMENT_NS_OWN, list_names[list]);
    }
    if (node) {
        *cursor = (struct list_cursor){component, (int)list, place, node};
    }
    return node;
}

HRESULT component_set_entry_text(xmlNodePtr entry, const char *name, const char *text,
                                 struct error *err)
{
    HRESULT hr = check_text(name, text, err);
    return SUCCEEDED(hr) ? set_plain(entry, name, text, err) : hr;
}
