/* SPDX-License-Identifier: Apache-2.0 */
#include "requester/document/document.h"

#include "common/buffer.h"
#include "common/id.h"
#include "requester/document/components.h"
#include "requester/document/internal.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENT_VERSION "1.2" /* as current documents of VSS have it */
#define ROOT_NAME        "BACKUP_COMPONENTS"
#define SET_NAME         "SNAPSHOT_SET_DESCRIPTION"

/* By enum vss_backup_type. */
static const char *const backup_types[] = {"undefined", "full", "incremental", "differential",
                                           "log",       "copy", "other"};
#define BACKUP_TYPE_COUNT ((int32_t)(sizeof(backup_types) / sizeof(backup_types[0])))

static HRESULT no_memory(struct error *err)
{
    return error_set(err, E_OUTOFMEMORY, "out of memory while working on a document");
}

/* By enum vss_restore_type. */
static const char *const restore_types[] = {"undefined", "byCopy", "import", "other"};
#define RESTORE_TYPE_COUNT ((int32_t)(sizeof(restore_types) / sizeof(restore_types[0])))
#define RESTORE_TYPE_NAME  "restoreType"

/* ---- making, loading, saving ---- */

static struct document *allocate(void)
{
    struct document *document = calloc(1, sizeof(*document));
    if (document) {
        atomic_init(&document->refs, 1);
    }
    return document;
}

static HRESULT make_root(struct document *document)
{
    document->xml = xmlNewDoc(BAD_CAST "1.0");
    document->root = document->xml ? xmlNewNode(NULL, BAD_CAST ROOT_NAME) : NULL;
    if (!document->root) {
        return E_OUTOFMEMORY;
    }
    (void)xmlDocSetRootElement(document->xml, document->root);
    document->xml->encoding = xmlStrdup(BAD_CAST "UTF-8");
    xmlNsPtr vss = xmlNewNs(document->root, BAD_CAST DOCUMENT_NS_VSS, NULL);
    if (!vss || !document->xml->encoding) {
        return E_OUTOFMEMORY;
    }
    xmlSetNs(document->root, vss);
    struct xml_writer w = {vss, NULL, S_OK};
    xml_put_plain(&w, document->root, "version", DOCUMENT_VERSION);
    return w.status;
}

HRESULT document_new(struct document **out, struct error *err)
{
    *out = NULL;
    struct document *document = allocate();
    if (!document) {
        return no_memory(err);
    }
    HRESULT hr = make_root(document);
    struct document_session session = {0};
    if (SUCCEEDED(hr)) {
        hr = document_set_session(document, &session, err);
    }
    if (FAILED(hr)) {
        document_free(document);
        return no_memory(err);
    }
    *out = document;
    return S_OK;
}

static HRESULT check_root(const struct document *document, struct error *err)
{
    if (!document->root || !xml_is(document->root, DOCUMENT_NS_VSS, ROOT_NAME)) {
        return error_set(err, VSS_E_INVALID_XML_DOCUMENT,
                         "not a Backup Components Document: its root is not " ROOT_NAME
                         " in the namespace " DOCUMENT_NS_VSS);
    }
    return S_OK;
}

/* Reads once what is ours of session and set, so that later reads cannot fail for what is in the
 * document, and finds all components; what is noted of each is looked at when it is used. */
static HRESULT check_content(struct document *document, struct error *err)
{
    struct document_session session;
    HRESULT hr = document_index_writers(document, err);
    if (SUCCEEDED(hr)) {
        hr = document_get_session(document, &session, err);
    }
    if (FAILED(hr)) {
        return hr;
    }
    struct set_record set = {0};
    hr = document_get_set(document, &set, err);
    set_record_free(&set);
    return FAILED(hr) ? hr : S_OK;
}

HRESULT document_load(const void *xml, size_t length, struct document **out, struct error *err)
{
    *out = NULL;
    struct document *document = allocate();
    if (!document) {
        return no_memory(err);
    }
    HRESULT hr = document_parse(xml, length, &document->xml, err);
    if (FAILED(hr)) {
        hr = hr == VSS_E_CORRUPT_XML_DOCUMENT ? error_translate(err, VSS_E_INVALID_XML_DOCUMENT)
                                              : hr;
        goto out;
    }
    document->root = xmlDocGetRootElement(document->xml);
    hr = check_root(document, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = check_content(document, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = document;
    document = NULL;
out:
    document_free(document);
    return hr;
}

HRESULT document_save(const struct document *document, char **out_xml, struct error *err)
{
    return document_serialise(document->root, out_xml, err);
}

struct document *document_share(struct document *document)
{
    atomic_fetch_add(&document->refs, 1);
    return document;
}

void document_free(struct document *document)
{
    if (!document || atomic_fetch_sub(&document->refs, 1) > 1) {
        return;
    }
    document_free_writers(document);
    xmlFreeDoc(document->xml);
    free(document);
}

/* ---- whose it is now ---- */

void document_set_busy(struct document *document, bool is_busy)
{
    if (document) {
        atomic_store(&document->is_busy, is_busy);
    }
}

void document_close(struct document *document)
{
    if (document) {
        atomic_store(&document->is_closed, true);
    }
}

HRESULT document_check_use(const struct document *document, struct error *err)
{
    if (atomic_load(&document->is_closed)) {
        return error_set(err, VSS_E_BAD_STATE, "the session of this component was released");
    }
    if (atomic_load(&document->is_busy)) {
        return error_set(err, VSS_E_BAD_STATE,
                         "an asynchronous operation of the session still runs; wait for it");
    }
    return S_OK;
}

/* ---- the session's attributes ---- */

static int32_t read_backup_type(struct xml_reader *r, const xmlNode *root)
{
    const char *text = xml_get_plain(r, root, "backupType");
    int32_t type = xml_word(text, backup_types, BACKUP_TYPE_COUNT, -1);
    if (text && type < 0) {
        xml_refuse(r, root, "attribute backupType is not a type of backup");
    }
    return type < 0 ? VSS_BT_UNDEFINED : type;
}

HRESULT document_get_session(const struct document *document, struct document_session *out,
                             struct error *err)
{
    struct xml_reader r = {S_OK, err};
    const xmlNode *root = document->root;
    struct document_session session = {
        .select_components = xml_get_plain_bool(&r, root, "selectComponents"),
        .bootable_system_state = xml_get_plain_bool(&r, root, "bootableSystemStateBackup"),
        .backup_type = read_backup_type(&r, root),
        .partial_file_support = xml_get_plain_bool(&r, root, "partialFileSupport"),
    };
    const char *set_id = xml_get_plain(&r, root, "snapshotSetId");
    if (set_id && !id_parse(set_id, &session.set_id)) {
        xml_refuse(&r, root, "attribute snapshotSetId is not an id");
    }
    *out = SUCCEEDED(r.status) ? session : (struct document_session){0};
    return r.status;
}

HRESULT document_set_session(struct document *document, const struct document_session *session,
                             struct error *err)
{
    if (session->backup_type < 0 || session->backup_type >= BACKUP_TYPE_COUNT) {
        return error_set(err, E_INVALIDARG, "%d is not a type of backup", session->backup_type);
    }
    struct xml_writer w = {NULL, NULL, S_OK};
    xmlNodePtr root = document->root;
    xml_put_plain(&w, root, "bootableSystemStateBackup",
                  session->bootable_system_state ? "yes" : "no");
    xml_put_plain(&w, root, "selectComponents", session->select_components ? "yes" : "no");
    xml_put_plain(&w, root, "backupType", backup_types[session->backup_type]);
    xml_put_plain(&w, root, "partialFileSupport", session->partial_file_support ? "yes" : "no");
    if (id_is_null(&session->set_id)) {
        (void)xmlUnsetNsProp(root, NULL, BAD_CAST "snapshotSetId");
    } else {
        char text[ID_TEXT_BYTES];
        xml_put_plain(&w, root, "snapshotSetId", id_text(&session->set_id, text));
    }
    return FAILED(w.status) ? no_memory(err) : S_OK;
}

HRESULT document_set_restore_type(struct document *document, int32_t restore_type,
                                  struct error *err)
{
    if (restore_type <= VSS_RTYPE_UNDEFINED || restore_type >= RESTORE_TYPE_COUNT) {
        return error_set(err, E_INVALIDARG, "%d is not a type of restore", restore_type);
    }
    struct xml_reader r = {S_OK, err};
    const char *old = xml_get_own(&r, document->root, RESTORE_TYPE_NAME);
    if (old && xml_word(old, restore_types, RESTORE_TYPE_COUNT, -1) < 0) {
        xml_refuse(&r, document->root, "attribute " RESTORE_TYPE_NAME " is not a type of restore");
    }
    if (FAILED(r.status)) {
        return r.status;
    }
    struct xml_writer w = {document->root->ns, xml_own_namespace(document->root), S_OK};
    if (!w.own) {
        return no_memory(err);
    }
    xml_put_own(&w, document->root, RESTORE_TYPE_NAME, restore_types[restore_type]);
    return FAILED(w.status) ? no_memory(err) : S_OK;
}

/* ---- the set ---- */

HRESULT document_get_set(const struct document *document, struct set_record *out, struct error *err)
{
    *out = (struct set_record){0};
    xmlNodePtr node = NULL;
    HRESULT hr = document_find_set(document->root, &node, err);
    if (FAILED(hr)) {
        return hr;
    }
    return node ? document_read_set(node, out, err) : S_FALSE;
}

/* A description that stands in no tree yet; NULL when memory is short. It declares our namespace
 * itself, so that it goes with the description. */
static xmlNodePtr build_set(struct document *document, const struct set_record *set)
{
    struct xml_writer w = {document->root->ns, NULL, S_OK};
    xmlNodePtr node = xmlNewDocNode(document->xml, w.vss, BAD_CAST SET_NAME, NULL);
    if (!node) {
        return NULL;
    }
    w.own = xmlNewNs(node, BAD_CAST DOCUMENT_NS_OWN, BAD_CAST DOCUMENT_PREFIX_OWN);
    if (!w.own) {
        w.status = E_OUTOFMEMORY;
    }
    document_write_set(&w, node, set);
    if (FAILED(w.status)) {
        xmlFreeNode(node);
        return NULL;
    }
    return node;
}

/* What could not be loaded again must not be written: reads it back before it counts. */
static HRESULT check_set(const xmlNode *node, struct error *err)
{
    struct set_record set = {0};
    struct error reason = {0};
    HRESULT hr = document_read_set(node, &set, &reason);
    set_record_free(&set);
    if (hr == E_OUTOFMEMORY) {
        return no_memory(err);
    }
    if (FAILED(hr)) {
        return error_set(err, E_INVALIDARG, "a set that no document can hold: %.900s",
                         error_text(&reason));
    }
    return S_OK;
}

static void replace_set(struct document *document, xmlNodePtr old, xmlNodePtr node)
{
    if (old && node) {
        (void)xmlReplaceNode(old, node);
    } else if (node) {
        (void)xmlAddChild(document->root, node);
    } else if (old) {
        xmlUnlinkNode(old);
    }
    xmlFreeNode(old);
}

HRESULT document_set_set(struct document *document, const struct set_record *set, struct error *err)
{
    xmlNodePtr old = NULL;
    HRESULT hr = document_find_set(document->root, &old, err);
    if (FAILED(hr)) {
        return hr;
    }
    xmlNodePtr node = NULL;
    if (set) {
        node = build_set(document, set);
        if (!node) {
            return no_memory(err);
        }
        hr = check_set(node, err);
        if (FAILED(hr)) {
            xmlFreeNode(node);
            return hr;
        }
    }
    replace_set(document, old, node);
    return S_OK;
}
