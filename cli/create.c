/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/components.h"
#include "cli/interrupt.h"
#include "cli/session.h"
#include "cli/set_view.h"
#include "cli/text.h"
#include "cli/writer_view.h"
#include "common/buffer.h"
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"context", 'x', "CONTEXT", "what the copies are for (app-rollback); see below"},
    {"transportable", 't', NULL, "do not show the copies to this host: import does, anywhere"},
    {"differential", 'd', NULL, "copies that share unchanged blocks with the original"},
    {"plex", 'p', NULL, "full copies"},
    {"provider", 0, "ID", "the provider that shall make them"},
    {"output", 'o', "FILE", "save the document of a transportable set to a new file"},
    {"exec", 'e', "COMMAND", "run it by the shell once the copies are there"},
    {"no-writers", 0, NULL, "leave the applications alone: copies as after a power cut"},
};

/* One creation on its way. */
struct creation {
    struct cli *cli;
    struct vss_backup_components *session;
    uint32_t context;
    VSS_ID provider_id;
    VSS_ID set_id;
    const char *document_path; /* NULL: none wanted */
    int document_fd;
    bool is_made; /* the set exists: failures from here on leave it */
    struct error error;
};

static bool has_writers(const struct creation *c)
{
    return (c->context & VSS_VOLSNAP_ATTR_NO_WRITERS) == 0;
}

static bool is_auto_release(const struct creation *c)
{
    return (c->context & VSS_VOLSNAP_ATTR_NO_AUTO_RELEASE) == 0;
}

/* The command line into *c; false after having complained. */
static bool read_options(struct creation *c)
{
    const struct cli *cli = c->cli;
    const char *context = cli_value(cli, "context");
    const char *provider = cli_value(cli, "provider");
    c->document_path = cli_value(cli, "output");
    if (!text_parse_context(context ? context : "app-rollback", &c->context)) {
        (void)cli_misuse(cli, "no such context; these are: %s", text_context_names());
        return false;
    }
    if (cli_has(cli, "differential") && cli_has(cli, "plex")) {
        (void)cli_misuse(cli, "--differential and --plex exclude each other");
        return false;
    }
    if (provider && !id_parse(provider, &c->provider_id)) {
        (void)cli_misuse(cli, "--provider takes a provider's id: see lunshadow providers");
        return false;
    }
    if (c->document_path && !cli_has(cli, "transportable")) {
        (void)cli_misuse(cli,
                         "--output needs --transportable: only the document of a transportable "
                         "set describes its copies, so that import and resync can use it");
        return false;
    }
    if (is_auto_release(c) && !cli_has(cli, "exec")) {
        (void)cli_misuse(cli,
                         "copies of the context %s end with this command: say with --exec what "
                         "to do with them, or use app-rollback",
                         text_context(c->context));
        return false;
    }
    c->context |= cli_has(cli, "no-writers") ? VSS_VOLSNAP_ATTR_NO_WRITERS : 0u;
    c->context |= cli_has(cli, "transportable") ? VSS_VOLSNAP_ATTR_TRANSPORTABLE : 0u;
    c->context |= cli_has(cli, "differential") ? VSS_VOLSNAP_ATTR_DIFFERENTIAL : 0u;
    c->context |= cli_has(cli, "plex") ? VSS_VOLSNAP_ATTR_PLEX : 0u;
    return true;
}

/* Before anything is copied: a set whose document cannot be written should not be made. */
static HRESULT open_document(struct creation *c)
{
    if (!c->document_path) {
        return S_OK;
    }
    c->document_fd =
        open(c->document_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (c->document_fd < 0 && errno == EEXIST) {
        return error_set(&c->error, VSS_E_OBJECT_ALREADY_EXISTS,
                         "%s is there already: give the document another name", c->document_path);
    }
    if (c->document_fd < 0) {
        return error_set_errno(&c->error, errno, "cannot make the document %s", c->document_path);
    }
    return S_OK;
}

static HRESULT write_document(struct creation *c)
{
    char *xml = NULL;
    HRESULT hr =
        session_check(c->session, vss_backup_components_save_as_xml(c->session, &xml), &c->error);
    if (FAILED(hr)) {
        return hr;
    }
    size_t length = strlen(xml);
    size_t done = 0;
    while (SUCCEEDED(hr) && done < length) {
        ssize_t written = write(c->document_fd, xml + done, length - done);
        if (written >= 0) {
            done += (size_t)written;
        } else if (errno != EINTR) {
            hr =
                error_set_errno(&c->error, errno, "cannot write the document %s", c->document_path);
        }
    }
    if (SUCCEEDED(hr) && fsync(c->document_fd) != 0) {
        hr = error_set_errno(&c->error, errno, "cannot write the document %s", c->document_path);
    }
    vss_free_string(xml);
    return hr;
}

static HRESULT check(struct creation *c, HRESULT hr)
{
    return session_check(c->session, hr, &c->error);
}

/* An empty file is no document: it goes where the set did not come to be. */
static void close_document(struct creation *c)
{
    if (c->document_fd >= 0) {
        (void)close(c->document_fd);
        if (!c->is_made) {
            (void)unlink(c->document_path);
        }
    }
}

static HRESULT begin_session(struct creation *c)
{
    struct vss_async *async = NULL;
    HRESULT hr = session_open(c->cli, &c->session, &c->error);
    if (FAILED(hr)) {
        return hr;
    }
    hr = check(c, vss_backup_components_initialize_for_backup(c->session, NULL));
    if (FAILED(hr)) {
        return hr;
    }
    hr = check(c, vss_backup_components_set_context(c->session, c->context));
    if (FAILED(hr)) {
        return hr;
    }
    hr = check(c, vss_backup_components_set_backup_state(c->session, has_writers(c), false,
                                                         VSS_BT_COPY, false));
    if (FAILED(hr) || !has_writers(c)) {
        return hr;
    }
    hr = vss_backup_components_gather_writer_metadata(c->session, &async);
    hr = session_wait(c->session, hr, async, "asking the writers", &c->error);
    return SUCCEEDED(hr) ? components_add(c->cli, c->session, &c->error) : hr;
}

static HRESULT add_volumes(struct creation *c)
{
    HRESULT hr = check(c, vss_backup_components_start_snapshot_set(c->session, &c->set_id));
    for (int i = 0; SUCCEEDED(hr) && i < c->cli->argument_count; i++) {
        VSS_ID snapshot_id = id_null;
        if (interrupt_was_asked()) {
            return error_set(&c->error, E_ABORT, "cancelled; nothing was copied");
        }
        hr = check(c, vss_backup_components_add_to_snapshot_set(c->session, c->cli->arguments[i],
                                                                &c->provider_id, &snapshot_id));
    }
    return hr;
}

/* A copy that is taken for a consistent one and is none is worse than no copy. */
static HRESULT check_writers(struct creation *c, const char *outcome)
{
    struct error why = {0};
    HRESULT hr = writer_rows_check(c->session, &why);
    if (FAILED(hr)) {
        return error_set(&c->error, hr, "%s; %s: mend the writer, or use --no-writers", why.text,
                         outcome);
    }
    return S_OK;
}

static HRESULT delete_copies(struct creation *c)
{
    struct error err = {0};
    char id[ID_TEXT_BYTES];
    int32_t deleted = 0;
    VSS_ID left = id_null;
    HRESULT hr = vss_backup_components_delete_snapshots(
        c->session, &c->set_id, VSS_OBJECT_SNAPSHOT_SET, true, &deleted, &left);
    if (FAILED(session_check(c->session, hr, &err))) {
        error_prefix(&err, "set %s was not deleted", id_text(&c->set_id, id));
        cli_warn(c->cli, &err);
    }
    return hr;
}

static HRESULT take_snapshots(struct creation *c)
{
    struct vss_async *async = NULL;
    HRESULT hr = S_OK;
    if (has_writers(c)) {
        hr = vss_backup_components_prepare_for_backup(c->session, &async);
        hr = session_wait(c->session, hr, async, "preparing the writers", &c->error);
        if (SUCCEEDED(hr)) {
            hr = check_writers(c, "nothing was copied");
        }
        if (FAILED(hr)) {
            return hr;
        }
    }
    async = NULL;
    hr = vss_backup_components_do_snapshot_set(c->session, &async);
    hr = session_wait(c->session, hr, async, "creating the set", &c->error);
    if (FAILED(hr) || !has_writers(c)) {
        return hr;
    }
    hr = check_writers(c, "the copies were deleted");
    if (FAILED(hr) && FAILED(delete_copies(c))) {
        c->is_made = true;
        error_clear(&c->error);
        hr = check_writers(c, "the copies are there still");
    }
    return hr;
}

/* The user's command, with the set's id in LUNSHADOW_SET; its standard streams are ours. */
static HRESULT run_command(struct creation *c)
{
    const char *const argv[] = {"/bin/sh", "-c", cli_value(c->cli, "exec"), NULL};
    char id[ID_TEXT_BYTES];
    char set[sizeof("LUNSHADOW_SET=") + ID_TEXT_BYTES];
    const char *const environment[] = {set, NULL};
    struct process_options process_options = PROCESS_OPTIONS_INIT;
    struct process process = PROCESS_INIT;
    int status = 0;
    (void)snprintf(set, sizeof(set), "LUNSHADOW_SET=%s", id_text(&c->set_id, id));
    process_options.in_fd = STDIN_FILENO;
    process_options.out_fd = STDOUT_FILENO;
    process_options.environment = environment;
    (void)fflush(stdout);
    HRESULT hr = process_start(argv, &process_options, &process, &c->error);
    if (FAILED(hr)) {
        return hr;
    }
    do {
        hr = process_wait(&process, 1000, &status);
    } while (hr == S_FALSE);
    if (SUCCEEDED(hr) && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        hr = error_set(&c->error, E_FAIL, "the command of --exec ended with %s %d",
                       WIFEXITED(status) ? "status" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    process_kill(&process);
    return hr;
}

/* What follows once the set is there. */
static HRESULT finish(struct creation *c)
{
    struct vss_async *async = NULL;
    HRESULT hr = has_writers(c) ? components_succeeded(c->session, &c->error) : S_OK;
    if (SUCCEEDED(hr) && c->document_path) {
        hr = write_document(c);
    }
    if (SUCCEEDED(hr) && cli_has(c->cli, "exec")) {
        hr = run_command(c);
    }
    if (!has_writers(c)) {
        return hr;
    }
    if (FAILED(hr)) {
        (void)vss_backup_components_abort_backup(c->session);
        return hr;
    }
    hr = vss_backup_components_backup_complete(c->session, &async);
    hr = session_wait(c->session, hr, async, "telling the writers", &c->error);
    return SUCCEEDED(hr) ? writer_rows_check(c->session, &c->error) : hr;
}

static int print_set(struct creation *c)
{
    struct set_record set = {0};
    struct error err = {0};
    if (FAILED(session_find_set(c->cli, &c->set_id, &set, NULL, &err))) {
        return cli_fail(c->cli, &err);
    }
    int exit_code = set_view_print(c->cli, &set, false);
    set_record_free(&set);
    return exit_code;
}

static int run(struct cli *cli)
{
    struct creation c = {.cli = cli, .document_fd = -1};
    int exit_code = CLI_FAILED;
    if (!read_options(&c)) {
        return CLI_UNUSABLE;
    }
    HRESULT hr = open_document(&c);
    if (FAILED(hr)) {
        goto out;
    }
    interrupt_install();
    hr = begin_session(&c);
    if (FAILED(hr)) {
        goto out;
    }
    hr = add_volumes(&c);
    if (FAILED(hr)) {
        goto out;
    }
    hr = take_snapshots(&c);
    if (FAILED(hr)) {
        goto out;
    }
    c.is_made = true;
    exit_code = print_set(&c) == CLI_OK ? CLI_OK : CLI_PARTIAL;
    hr = finish(&c);
out:
    if (FAILED(hr)) {
        (void)cli_fail(cli, &c.error);
        exit_code = c.is_made ? CLI_PARTIAL : CLI_FAILED;
    }
    /* The session's end would delete them too, but nobody would hear that it could not. */
    if (c.is_made && is_auto_release(&c) && FAILED(delete_copies(&c))) {
        exit_code = CLI_PARTIAL;
    }
    close_document(&c);
    vss_backup_components_release(c.session);
    return exit_code;
}

const struct cli_command command_create = {
    .name = "create",
    .summary = "shadow-copy volumes as one consistent set",
    .arguments = "VOLUME...",
    .help =
        "Makes a snapshot set of all volumes named, cut at one point in time. A VOLUME is\n"
        "iscsi://host[:port]/target/lun, with #N behind it for partition N; or a block device or "
        "a\n"
        "mount point of this host whose disks a configured portal shows.\n"
        "\n"
        "Contexts: app-rollback, backup, nas-rollback, file-share-backup, client-accessible,\n"
        "client-accessible-writers. Copies of backup and file-share-backup are deleted when this\n"
        "command ends, so they need --exec. The COMMAND finds the set's id in LUNSHADOW_SET.\n"
        "\n"
        "Writers (see: lunshadow writers) make their applications consistent for the copies, and "
        "what they\n"
        "say of their components is kept in the document. Where one fails there are no copies.\n"
        "--no-writers takes the context's sister without them.\n"
        "\n"
        "The document of --output is what import (on any host) and resync read; keep it safe. Only "
        "that\n"
        "of a --transportable set describes the copies.",
    .exit_unread = CLI_PARTIAL,
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run,
};
