/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab.h"

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAB_TARGET "iqn.2026-11.lunshadow:lab"

static const struct cli_option options[] = {
    {"luns", 'n', "N", "up: how many LUNs to make (0 to 255; 2)"},
    {"size", 's', "SIZE", "up: size of each (256M)"},
    {"block-size", 'b', "BYTES", "up: 512 or 4096 (512)"},
};

struct lab_request {
    unsigned long luns;
    unsigned long block_bytes;
    uint64_t bytes;
};

static bool read_request(const struct cli *cli, struct lab_request *out)
{
    const char *size = cli_value(cli, "size");
    out->bytes = 256u << 20;
    if (!cli_number(cli, "luns", 0, 255, 2, &out->luns) ||
        !cli_number(cli, "block-size", 512, 4096, 512, &out->block_bytes)) {
        return false;
    }
    if (out->block_bytes != 512 && out->block_bytes != 4096) {
        (void)cli_misuse(cli, "--block-size is 512 or 4096");
        return false;
    }
    if ((size && !text_parse_size(size, &out->bytes)) || out->bytes % out->block_bytes != 0) {
        (void)cli_misuse(cli, "--size is a number of whole blocks: 256M, 1G, 1048576");
        return false;
    }
    return true;
}

static HRESULT add_luns(struct lab *lab, const struct lab_request *request, struct error *err)
{
    HRESULT hr = S_OK;
    for (unsigned i = 1; SUCCEEDED(hr) && i <= request->luns && !interrupt_was_asked(); i++) {
        char file[32];
        (void)snprintf(file, sizeof(file), "lun%u.img", i);
        struct lab_lun_options lun = {.target = LAB_TARGET,
                                      .lun = i,
                                      .file = file,
                                      .bytes = request->bytes,
                                      .block_bytes = (uint32_t)request->block_bytes};
        hr = lab_add_lun(lab, &lun, err);
    }
    if (SUCCEEDED(hr) && interrupt_was_asked()) {
        hr = error_set(err, E_ABORT, "cancelled; the lab is taken down again");
    }
    return hr;
}

static char *config_path(const struct lab *lab)
{
    return text_printf("%s/lunshadow.conf", lab->directory);
}

static HRESULT write_config(const struct lab *lab, struct error *err)
{
    struct buffer text = BUFFER_INIT;
    char *path = config_path(lab);
    HRESULT hr = lab_config(lab, &text);
    if (FAILED(hr) || !path) {
        hr = error_set(err, E_OUTOFMEMORY, "not enough memory for the lab's configuration");
        goto out;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    bool is_written = fd >= 0 && write(fd, text.data, text.length) == (ssize_t)text.length;
    if (!is_written) {
        hr = error_set_errno(err, errno, "cannot write %s", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
out:
    buffer_free(&text);
    free(path);
    return hr;
}

static json_t *lab_json(const struct lab *lab)
{
    char *path = config_path(lab);
    json_t *json =
        json_pack("{s:o, s:o, s:s, s:o, s:b, s:b, s:b, s:i}", "directory",
                  text_to_json(lab->directory), "portal", text_to_json(lab->portal), "target",
                  LAB_TARGET, "config", text_to_json(path), "running", lab->tgtd_pid != 0, "clones",
                  lab->has_reflink, "mounted", lab->is_mounted, "tgtd_pid", (int)lab->tgtd_pid);
    free(path);
    return json;
}

static void print_lab(const struct lab *lab)
{
    (void)printf("portal     %s%s\n", lab->portal,
                 lab->tgtd_pid == 0 ? "  (its tgtd is gone: lunshadow lab down clears the rest)"
                                    : "");
    (void)fputs("directory  ", stdout);
    text_put(stdout, lab->directory);
    (void)printf("\ncopies     %s\n", lab->has_reflink
                                          ? "clones (the filesystem shares blocks)"
                                          : "full copies: the filesystem cannot clone");
}

/* Everything that a shell needs to go on. */
static void print_next_steps(const struct lab *lab, const struct lab_request *request)
{
    for (unsigned long i = 1; i <= request->luns; i++) {
        (void)printf("LUN        iscsi://%s/" LAB_TARGET "/%lu\n", lab->portal, i);
    }
    (void)puts("\nTo use it in this shell:");
    (void)fputs("  export LUNSHADOW_CONFIG=", stdout);
    text_put(stdout, lab->directory);
    (void)fputs("/lunshadow.conf\n  export LUNSHADOW_STATE_DIR=", stdout);
    text_put(stdout, lab->directory);
    (void)fputs("/state\n", stdout);
}

static int up(const struct cli *cli, const char *directory)
{
    struct lab_request request;
    struct lab_options lab_options = {.directory = directory, .detached = true};
    struct lab *lab = NULL;
    struct error err = {0};
    if (!read_request(cli, &request)) {
        return CLI_UNUSABLE;
    }
    interrupt_install();
    HRESULT hr = lab_up(&lab_options, &lab, &err);
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    hr = add_luns(lab, &request, &err);
    if (SUCCEEDED(hr)) {
        hr = write_config(lab, &err);
    }
    if (FAILED(hr)) {
        (void)lab_down(lab, NULL);
        return cli_fail(cli, &err);
    }
    int exit_code = CLI_OK;
    if (cli->json) {
        exit_code = cli_print_json(cli, lab_json(lab));
    } else {
        print_lab(lab);
        print_next_steps(lab, &request);
    }
    lab_detach(lab);
    return exit_code;
}

/* As long as somebody waits who does not know for what. */
enum { BUSY_MS = 10000 };

static int down(const struct cli *cli, const char *directory)
{
    struct lab *lab = NULL;
    struct error err = {0};
    interrupt_install();
    HRESULT hr = lab_attach(directory, &lab, &err);
    if (SUCCEEDED(hr)) {
        lab->busy_ms = BUSY_MS;
        hr = lab_down(lab, &err);
    }
    if (FAILED(hr)) {
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        return cli_print_json(cli, json_pack("{s:o}", "removed", text_to_json(directory)));
    }
    (void)puts("The lab is gone.");
    return CLI_OK;
}

static int status(const struct cli *cli, const char *directory)
{
    struct lab *lab = NULL;
    struct buffer shown = BUFFER_INIT;
    struct error err = {0};
    int exit_code = CLI_OK;
    if (FAILED(lab_attach(directory, &lab, &err))) {
        return cli_fail(cli, &err);
    }
    if (cli->json) {
        exit_code = cli_print_json(cli, lab_json(lab));
        goto out;
    }
    print_lab(lab);
    if (lab->tgtd_pid == 0) {
        goto out;
    }
    if (FAILED(lab_show(lab, &shown, &err))) {
        exit_code = cli_fail(cli, &err);
        goto out;
    }
    (void)printf("\n%s", shown.data ? shown.data : "");
out:
    buffer_free(&shown);
    lab_detach(lab);
    return exit_code;
}

static int run(struct cli *cli)
{
    static const struct {
        const char *name;
        int (*run)(const struct cli *cli, const char *directory);
    } actions[] = {{"up", up}, {"down", down}, {"status", status}};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(actions[i].name, cli->arguments[0]) == 0) {
            return actions[i].run(cli, cli->arguments[1]);
        }
    }
    return cli_misuse(cli, "%s is not up, down or status", cli->arguments[0]);
}

const struct cli_command command_lab = {
    .name = "lab",
    .summary = "a private iSCSI array to try things on",
    .arguments = "up|down|status DIR",
    .help = "up starts a tgtd of its own on a free loopback port, with empty LUNs whose files lie "
            "below\n"
            "DIR, an empty or absent directory; as root on a loop-mounted XFS that can clone. It "
            "keeps\n"
            "running until down, which stops it and removes all below DIR. A tgtd that was there "
            "already\n"
            "is never touched. status shows what it serves.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};
