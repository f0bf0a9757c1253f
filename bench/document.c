/* SPDX-License-Identifier: Apache-2.0 */
/* lunshadow-bench-document: load and save of documents with 20,000 components, beside libxml2 alone
 * (parse, serialise, free) on the same bytes, in turns; what both hold in memory; and how long the
 * methods on components take when there are many. Needs no array; runs alone. */
#include "bench/times.h"
#include "common/buffer.h"
#include "requester/document/components.h"

#include <libxml/parser.h>
#include <libxml/xmlsave.h>
#include <malloc.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { ROUNDS = 15, WRITERS = 20, COMPONENTS = 1000 };

extern char **environ;

/* ---- the documents ---- */

static char *make_backup_document(void)
{
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b,
                    "<BACKUP_COMPONENTS xmlns=\"x-schema:#VssComponentMetadata\" version=\"1.2\""
                    " selectComponents=\"yes\" backupType=\"full\">");
    for (int i = 0; i < WRITERS; i++) {
        buffer_printf(&b,
                      "<WRITER_COMPONENTS instanceId=\"a6ad56c2-b509-4e6c-bb19-%012d\""
                      " writerId=\"a65faa63-5ea8-4ebc-9dbd-a0c4db26912a\" backupSchema=\"881\">",
                      i);
        for (int j = 0; j < COMPONENTS; j++) {
            buffer_printf(&b,
                          "<COMPONENT logicalPath=\"SERVER\\instance%d\" componentName=\"database "
                          "%d\" componentType=\"filegroup\" backupStamp=\"%d\"><BACKUP_METADATA "
                          "metadata=\"what the writer of database %d wants to know\"/></COMPONENT>",
                          i, j, i * j, j);
        }
        buffer_add_text(&b, "</WRITER_COMPONENTS>");
    }
    buffer_add_text(&b, "</BACKUP_COMPONENTS>");
    return buffer_take(&b);
}

static char *make_writer_metadata(void)
{
    struct buffer b = BUFFER_INIT;
    buffer_add_text(&b,
                    "<WRITER_METADATA xmlns=\"x-schema:#VssWriterMetadataInfo\" version=\"1.2\">"
                    "<IDENTIFICATION writerId=\"a65faa63-5ea8-4ebc-9dbd-a0c4db26912a\""
                    " instanceId=\"a6ad56c2-b509-4e6c-bb19-49d8f43532f0\" friendlyName=\"bench\""
                    " usage=\"USER_DATA\" dataSource=\"TRANSACTION_DB\"/><RESTORE_METHOD"
                    " method=\"CUSTOM\" writerRestore=\"always\"/><BACKUP_LOCATIONS>");
    for (int i = 0; i < WRITERS * COMPONENTS; i++) {
        buffer_printf(&b,
                      "<FILE_GROUP logicalPath=\"SERVER\\instance\" componentName=\"database %d\""
                      " selectable=\"yes\" componentFlags=\"0\"><FILE_LIST path=\"D:\\data\\%d\""
                      " filespec=\"*.mdf\" filespecBackupType=\"3855\"/></FILE_GROUP>",
                      i, i);
    }
    buffer_add_text(&b, "</BACKUP_LOCATIONS></WRITER_METADATA>");
    return buffer_take(&b);
}

/* ---- what is measured ---- */

/* NULL where it failed. */
static void *load_bare(const char *xml, size_t length)
{
    return xmlReadMemory(xml, (int)length, NULL, NULL, XML_PARSE_NONET);
}

static bool save_bare(void *loaded)
{
    xmlBufferPtr buffer = xmlBufferCreate();
    xmlSaveCtxtPtr save = xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL | XML_SAVE_AS_XML);
    (void)xmlSaveTree(save, xmlDocGetRootElement(loaded));
    (void)xmlSaveClose(save);
    bool is_saved = xmlBufferLength(buffer) > 0;
    xmlBufferFree(buffer);
    return is_saved;
}

static void free_bare(void *loaded)
{
    xmlFreeDoc(loaded);
}

static void *load_document(const char *xml, size_t length)
{
    struct document *document = NULL;
    return SUCCEEDED(document_load(xml, length, &document, NULL)) ? document : NULL;
}

static bool save_document(void *loaded)
{
    char *xml = NULL;
    bool is_saved = SUCCEEDED(document_save(loaded, &xml, NULL));
    free(xml);
    return is_saved;
}

static void free_document(void *loaded)
{
    document_free(loaded);
}

static void *load_metadata(const char *xml, size_t length)
{
    struct metadata *metadata = NULL;
    return SUCCEEDED(metadata_load(xml, length, &metadata, NULL)) ? metadata : NULL;
}

static bool save_metadata(void *loaded)
{
    char *xml = NULL;
    bool is_saved = SUCCEEDED(metadata_save(loaded, &xml, NULL));
    free(xml);
    return is_saved;
}

static void free_metadata(void *loaded)
{
    metadata_release(loaded);
}

struct way {
    const char *name;
    char *(*make)(void);
    void *(*load)(const char *xml, size_t length);
    bool (*save)(void *loaded);
    void (*drop)(void *loaded);
};

static const struct way ways[] = {
    {"bare-backup", make_backup_document, load_bare, save_bare, free_bare},
    {"backup", make_backup_document, load_document, save_document, free_document},
    {"bare-metadata", make_writer_metadata, load_bare, save_bare, free_bare},
    {"metadata", make_writer_metadata, load_metadata, save_metadata, free_metadata},
};
enum { WAY_COUNT = sizeof(ways) / sizeof(ways[0]) };

static void fail(const char *what)
{
    (void)fprintf(stderr, "lunshadow-bench-document: %s failed\n", what);
    exit(EXIT_FAILURE);
}

/* One load and save, in milliseconds; what the loaded document holds. */
static double run_once(const struct way *way, const char *xml, size_t length, size_t *out_bytes)
{
    size_t before = mallinfo2().uordblks;
    double begin = now_ms();
    void *loaded = way->load(xml, length);
    double loaded_at = now_ms();
    if (!loaded) {
        fail(way->name);
    }
    *out_bytes = mallinfo2().uordblks - before;
    double saving_at = now_ms();
    if (!way->save(loaded)) {
        fail(way->name);
    }
    double saved_at = now_ms();
    way->drop(loaded);
    return loaded_at - begin + (saved_at - saving_at) + (now_ms() - saved_at);
}

/* The most that a process of its own held which did this once and nothing else, in KiB. What we
 * have held ourselves until now counts as the child's too, so this is asked first. */
static long measure_peak(const char *name)
{
    static const char self[] = "/proc/self/exe";
    char *const arguments[] = {(char *)self, (char *)"peak", (char *)name, NULL};
    pid_t pid = 0;
    int status = 0;
    struct rusage usage;
    if (posix_spawn(&pid, self, NULL, NULL, arguments, environ) != 0 ||
        wait4(pid, &status, 0, &usage) != pid || status != 0) {
        fail("a process of its own");
    }
    return usage.ru_maxrss;
}

static int run_peak(const char *name)
{
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (strcmp(ways[i].name, name) == 0) {
            size_t bytes = 0;
            char *xml = ways[i].make();
            (void)run_once(&ways[i], xml, strlen(xml), &bytes);
            free(xml);
            return EXIT_SUCCESS;
        }
    }
    return EXIT_FAILURE;
}

static void compare(const struct way *bare, const struct way *ours, const long peak_kib[2])
{
    char *xml = bare->make();
    size_t length = strlen(xml);
    double bare_ms[ROUNDS];
    double our_ms[ROUNDS];
    size_t bare_bytes = 0;
    size_t our_bytes = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        bare_ms[i] = run_once(bare, xml, length, &bare_bytes);
        our_ms[i] = run_once(ours, xml, length, &our_bytes);
    }
    free(xml);
    qsort(bare_ms, ROUNDS, sizeof(double), by_value);
    qsort(our_ms, ROUNDS, sizeof(double), by_value);
    double ratio = our_ms[ROUNDS / 2] / bare_ms[ROUNDS / 2];
    double memory = (double)our_bytes / (double)bare_bytes;
    printf("%s document, %d components, %zu bytes: load and save %.1f ms (%.1f .. %.1f), libxml2 "
           "alone %.1f ms (%.1f .. %.1f): %.2f times (goal 3%s)\n",
           ours->name, WRITERS * COMPONENTS, length, our_ms[ROUNDS / 2], our_ms[0],
           our_ms[ROUNDS - 1], bare_ms[ROUNDS / 2], bare_ms[0], bare_ms[ROUNDS - 1], ratio,
           ratio <= 3 ? "" : ", MISSED");
    printf(
        "  in memory %.1f MiB, the tree alone %.1f MiB: %.2f times (goal 2%s); most at any time, "
        "process: %ld KiB, alone %ld KiB\n",
        (double)our_bytes / 1048576, (double)bare_bytes / 1048576, memory,
        memory <= 2 ? "" : ", MISSED", peak_kib[1], peak_kib[0]);
}

/* ---- methods on components ---- */

static void add_and_set(size_t count)
{
    struct document *document = NULL;
    struct component_owner owner = {.instance_id = {1, 2, 3, {4}}, .writer_id = {5, 6, 7, {8}}};
    char text[32];
    struct component_name name = {VSS_CT_FILEGROUP, "path", text};
    if (FAILED(document_new(&document, NULL))) {
        fail("document_new");
    }
    double begin = now_ms();
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(text, sizeof(text), "component %zu", i);
        if (FAILED(document_add_component(document, &owner, &name, NULL))) {
            fail("document_add_component");
        }
    }
    double added = now_ms();
    for (size_t i = 0; i < count; i++) {
        xmlNodePtr node = NULL;
        (void)snprintf(text, sizeof(text), "component %zu", i);
        if (FAILED(document_find_component(document, NULL, &owner.writer_id, &name, &node, NULL)) ||
            FAILED(component_check(node, NULL)) ||
            FAILED(component_set_text(node, COMPONENT_BACKUP_OPTIONS, "options", NULL))) {
            fail("setting");
        }
    }
    double set = now_ms();
    printf("%zu components: adding one %.2f us, finding, checking and setting one %.2f us\n", count,
           (added - begin) * 1e3 / (double)count, (set - added) * 1e3 / (double)count);
    document_free(document);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "peak") == 0) {
        return run_peak(argv[2]);
    }
    long peaks_kib[WAY_COUNT];
    for (size_t i = 0; i < WAY_COUNT; i++) {
        peaks_kib[i] = measure_peak(ways[i].name);
    }
    for (size_t i = 0; i < WAY_COUNT; i += 2) {
        compare(&ways[i], &ways[i + 1], &peaks_kib[i]);
    }
    add_and_set(2000);
    add_and_set(20000);
    return EXIT_SUCCESS;
}
