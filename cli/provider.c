/* SPDX-License-Identifier: Apache-2.0 */
/* For those who write plug-ins, and those who install them. */
#include "cli/commands.h"
#include "cli/providers.h"
#include "cli/skeleton.h"
#include "cli/text.h"
#include "common/buffer.h"
#include "provider/host/host.h"
#include "provider/host/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LETTERS 32

/* ---- dump ------------------------------------------------------------------------------------ */

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static json_t *operations_json(const struct inspection *i)
{
    json_t *list = json_object();
    for (uint32_t op = 0; list && op < VSS_OP_COUNT; op++) {
        if (json_object_set_new(list, provider_op_name((enum vss_provider_op)op),
                                json_boolean(i->has_op[op]))) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static int print_json(const struct cli *cli, const struct inspection *i)
{
    const struct vss_provider_table *t = &i->table;
    char abi[32];
    (void)snprintf(abi, sizeof(abi), "%u.%u", t->abi_major, t->abi_minor);
    return cli_print_json(
        cli, json_pack("{s:o, s:o, s:o, s:s, s:I, s:I, s:o, s:o, s:i, s:I, s:o, s:o}", "path",
                       text_to_json(i->path), "name", text_to_json(t->name), "version",
                       text_to_json(t->version), "abi", abi, "struct_size",
                       (json_int_t)t->struct_size, "operation_count", (json_int_t)t->op_count,
                       "provider", text_id_to_json(&t->provider_id), "version_id",
                       text_id_to_json(&t->version_id), "type", (int)t->type, "thread_model",
                       (json_int_t)t->thread_model, "operations", operations_json(i), "refused",
                       i->verdict.text[0] ? text_to_json(i->verdict.text) : json_null()));
}

static void print_line(const char *key, const char *text)
{
    (void)printf("%-14s ", key);
    text_put(stdout, text);
    (void)putchar('\n');
}

static void print_text(const struct inspection *i)
{
    const struct vss_provider_table *t = &i->table;
    char id[ID_TEXT_BYTES];
    print_line("path", i->path);
    print_line("name", or_dash(t->name));
    print_line("version", or_dash(t->version));
    (void)printf("%-14s %u.%u (this host speaks %u.%u)\n", "ABI", t->abi_major, t->abi_minor,
                 VSS_PROVIDER_ABI_MAJOR, VSS_PROVIDER_ABI_MINOR);
    (void)printf("%-14s %u bytes, %u operations (this host: %zu, %u)\n", "table", t->struct_size,
                 t->op_count, sizeof(*t), (unsigned)VSS_OP_COUNT);
    print_line("provider id", id_text(&t->provider_id, id));
    print_line("version id", id_text(&t->version_id, id));
    print_line("type", t->type == VSS_PROV_HARDWARE ? "hardware" : "not hardware");
    print_line("thread model",
               t->thread_model == VSS_THREADS_SERIALIZED ? "serialized" : "unknown");
    (void)puts("operations");
    for (uint32_t op = 0; op < VSS_OP_COUNT; op++) {
        (void)printf("    %-3s  %s\n", i->has_op[op] ? "yes" : "no",
                     provider_op_name((enum vss_provider_op)op));
    }
}

static int dump(struct cli *cli)
{
    struct error err = {0};
    struct inspection i;
    if (FAILED(inspection_open(cli->arguments[1], &i, &err))) {
        return cli_fail(cli, &err);
    }
    int exit_code = CLI_OK;
    if (cli->json) {
        exit_code = print_json(cli, &i);
    } else {
        print_text(&i);
    }
    if (i.verdict.text[0]) {
        exit_code = cli_fail(cli, &i.verdict);
    }
    inspection_close(&i);
    return exit_code;
}

/* ---- new ------------------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t length = strlen(name);
    return length > 0 && length <= NAME_MAX_LETTERS && strspn(name, allowed) == length &&
           name[0] >= 'a' && name[0] <= 'z';
}

/* A fresh id as an initializer of VSS_ID. */
static void id_source(char out[96])
{
    VSS_ID id = id_new();
    (void)snprintf(out, 96,
                   "{0x%08x, 0x%04x, 0x%04x, {0x%02x, 0x%02x, 0x%02x, 0x%02x, 0x%02x, 0x%02x, "
                   "0x%02x, 0x%02x}}",
                   id.data1, id.data2, id.data3, id.data4[0], id.data4[1], id.data4[2], id.data4[3],
                   id.data4[4], id.data4[5], id.data4[6], id.data4[7]);
}

/* text with every @NAME@ and so on replaced. */
static void fill_in(const char *text, const char *name, struct buffer *out)
{
    char provider_id[96];
    char version_id[96];
    id_source(provider_id);
    id_source(version_id);
    const struct {
        const char *mark;
        const char *value;
    } marks[] = {{"@NAME@", name}, {"@PROVIDER_ID@", provider_id}, {"@VERSION_ID@", version_id}};
    while (*text) {
        size_t length = strcspn(text, "@");
        buffer_add(out, text, length);
        text += length;
        size_t taken = *text ? 1 : 0;
        const char *value = "@";
        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            if (strncmp(text, marks[i].mark, strlen(marks[i].mark)) == 0) {
                taken = strlen(marks[i].mark);
                value = marks[i].value;
            }
        }
        if (taken) {
            buffer_add_text(out, value);
        }
        text += taken;
    }
}

static HRESULT write_file(int directory, const struct skeleton_file *file, const char *name,
                          struct error *err)
{
    struct buffer text = BUFFER_INIT;
    fill_in(file->text, name, &text);
    HRESULT hr = buffer_status(&text);
    if (FAILED(hr)) {
        return error_set(err, hr, "out of memory writing %s/%s", name, file->name);
    }
    int fd = openat(directory, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && write(fd, text.data, text.length) == (ssize_t)text.length;
    if (fd >= 0 && close(fd) != 0) {
        is_written = false;
    }
    if (!is_written) {
        hr = error_set_errno(err, errno, "%s/%s", name, file->name);
    }
    buffer_free(&text);
    return hr;
}

static int make_new(struct cli *cli)
{
    const char *name = cli->arguments[1];
    struct error err = {0};
    if (!is_name(name)) {
        return cli_misuse(cli,
                          "a provider's name is of letters a to z, digits and -, begins with a "
                          "letter, and has at most %d characters",
                          NAME_MAX_LETTERS);
    }
    if (mkdir(name, 0755) != 0) {
        (void)error_set_errno(&err, errno, "cannot make the directory %s", name);
        return cli_fail(cli, &err);
    }
    int directory = open(name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    HRESULT hr = directory >= 0 ? S_OK : error_set_errno(&err, errno, "%s", name);
    for (size_t i = 0; SUCCEEDED(hr) && skeleton_files[i].name; i++) {
        hr = write_file(directory, &skeleton_files[i], name, &err);
    }
    if (directory >= 0) {
        (void)close(directory);
    }
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        return cli_print_json(cli, json_pack("{s:s}", "directory", name));
    }
    (void)printf("Wrote %s/: provider.c, Makefile, CMakeLists.txt.\n"
                 "Next: cd %s && make && lunshadow provider dump lunshadow-provider-%s.so\n"
                 "lunshadow-provider(7) says what each operation has to do, lunshadow-conform(1)\n"
                 "what is not done yet.\n",
                 name, name, name);
    return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int list(struct cli *cli)
{
    return providers_print(cli, NULL);
}

static int show(struct cli *cli)
{
    return providers_print(cli, cli->arguments[1]);
}

static const struct {
    const char *name;
    int arguments; /* behind the name */
    int (*run)(struct cli *cli);
} verbs[] = {
    {"new", 1, make_new},
    {"dump", 1, dump},
    {"list", 0, list},
    {"show", 1, show},
    {"register", 1, providers_register_file},
    {"unregister", 1, providers_unregister_id},
};

static int run(struct cli *cli)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, cli->arguments[0]) != 0) {
            continue;
        }
        if (cli->argument_count != verbs[i].arguments + 1) {
            return cli_misuse(cli, "%s takes %d argument%s", verbs[i].name, verbs[i].arguments,
                              verbs[i].arguments == 1 ? "" : "s");
        }
        return verbs[i].run(cli);
    }
    return cli_misuse(cli, "%s is not new, dump, register, unregister, list or show",
                      cli->arguments[0]);
}

const struct cli_command command_provider = {
    .name = "provider",
    .summary = "write a plug-in's skeleton; look at a plug-in; register one",
    .arguments =
        "new NAME | dump FILE.so | register FILE.so | unregister ID | list | show ARRAY|ID",
    .help =
        "new NAME writes the directory NAME with a provider that builds and has everything yet to\n"
        "do. dump FILE.so prints what a plug-in says of itself and which operations it has, and\n"
        "fails with the reason where a host would refuse it; the file is checked as for use (its\n"
        "owner, who may write it) and then loaded into this process.\n\n"
        "register FILE.so makes a plug-in known by its name and id, which the provider = line of\n"
        "an [array] section then may have; it is loaded by a process of its own. Registered\n"
        "providers come first, in their order, where several could copy a LUN. Another version of\n"
        "a registered one takes its place. unregister ID forgets one that has no shadow copies.\n\n"
        "list is lunshadow providers; show ARRAY is one row of it, show ID those of one provider.",
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run,
};
