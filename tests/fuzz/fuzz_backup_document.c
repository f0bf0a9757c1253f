/* SPDX-License-Identifier: Apache-2.0 */

/* Backup Components Documents: one that loads is saved to bytes that load again and are saved to
 * the same bytes; all that can be asked of its components answers; and what is set is read back,
 * saved and loaded. */

#include "fuzz/fuzz.h"

#include <string.h>

#include "requester/document/components.h"

static char *save(const struct document *document)
{
    char *xml = NULL;
    HRESULT hr = document_save(document, &xml, NULL);
    fuzz_check(SUCCEEDED(hr) || hr == VSS_E_UNEXPECTED); /* escapes may make it too long */
    return xml;
}

static void check_same_again(const struct document *document)
{
    char *once = save(document);
    struct document *again = NULL;
    if (!once) {
        return;
    }
    struct error err = {0};
    if (FAILED(document_load(once, strlen(once), &again, &err))) {
        (void)fprintf(stderr, "what was saved does not load: %s\n%s\n", err.text, once);
        abort();
    }
    char *twice = save(again);
    fuzz_check(twice && strcmp(once, twice) == 0);
    free(twice);
    free(once);
    document_free(again);
}

static void check_reads(struct document *document, xmlNodePtr component)
{
    struct component_name name;
    struct component_failure failure;
    const char *text = NULL;
    bool flag = false;
    int32_t word = 0;
    (void)component_check(component, NULL);
    (void)component_get_name(component, &name, NULL);
    (void)component_get_failure(component, &failure, NULL);
    for (int i = 0; i < COMPONENT_TEXT_COUNT; i++) {
        (void)component_get_text(component, (enum component_text)i, &text, NULL);
    }
    for (int i = 0; i < COMPONENT_FLAG_COUNT; i++) {
        (void)component_get_flag(component, (enum component_flag)i, &flag, NULL);
    }
    for (int i = 0; i < COMPONENT_WORD_COUNT; i++) {
        (void)component_get_word(component, (enum component_word)i, &word, NULL);
    }
    for (int i = 0; i < COMPONENT_LIST_COUNT; i++) {
        size_t count = component_count_entries(component, (enum component_list)i);
        for (size_t j = 0; j < count; j++) {
            fuzz_check(component_entry(document, component, (enum component_list)i, j));
        }
        fuzz_check(!component_entry(document, component, (enum component_list)i, count));
    }
}

static void check_writes(struct document *document, xmlNodePtr component)
{
    static const char set[] = "<a b=\"%s\">&\t\r\n";
    const struct component_value values[] = {{"path", set}, {"filespec", NULL}};
    const char *text = NULL;
    size_t count = component_count_entries(component, COMPONENT_NEW_TARGETS);
    for (int i = 0; i < COMPONENT_TEXT_COUNT; i++) {
        if (SUCCEEDED(component_set_text(component, (enum component_text)i, set, NULL)) &&
            SUCCEEDED(component_get_text(component, (enum component_text)i, &text, NULL))) {
            fuzz_check(strcmp(text, set) == 0);
        }
    }
    fuzz_check(component_add_entry(component, COMPONENT_NEW_TARGETS, values, 2, NULL) == S_OK);
    fuzz_check(component_count_entries(component, COMPONENT_NEW_TARGETS) == count + 1);
    fuzz_check(component_entry(document, component, COMPONENT_NEW_TARGETS, count));
}

static void add_one(struct document *document)
{
    const struct component_owner owner = {.instance_id = {1, 2, 3, {4}},
                                          .writer_id = {5, 6, 7, {8}}};
    const struct component_name name = {VSS_CT_DATABASE, "p", "n"};
    xmlNodePtr node = NULL;
    if (document_add_component(document, &owner, &name, NULL) == S_OK) {
        fuzz_check(document_find_component(document, &owner.instance_id, &owner.writer_id, &name,
                                           &node, NULL) == S_OK);
        fuzz_check(component_check(node, NULL) == S_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct document *document = NULL;
    struct error err = {0};
    HRESULT hr = document_load(data, size, &document, &err);
    if (FAILED(hr)) {
        fuzz_check(hr == VSS_E_INVALID_XML_DOCUMENT && !document);
        fuzz_check(err.text[0] != '\0' && !strchr(err.text, '\n'));
        return 0;
    }
    check_same_again(document);
    const struct document_writer *writer = NULL;
    for (size_t i = 0; (writer = document_writer_at(document, i)) != NULL; i++) {
        for (size_t j = 0; j < writer->components.count; j++) {
            check_reads(document, writer->components.nodes[j]);
            check_writes(document, writer->components.nodes[j]);
        }
    }
    add_one(document);
    (void)document_set_restore_type(document, VSS_RTYPE_OTHER, NULL);
    check_same_again(document);
    document_free(document);
    return 0;
}
