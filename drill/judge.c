/* SPDX-License-Identifier: Apache-2.0 */
#include "drill/judge.h"

#include "common/process.h"
#include "drill/image.h"
#include "drill/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL_MS 30000

static const char *const plain_words[] = {"LC_ALL=C", NULL};

HRESULT judge_run(const char *const argv[], struct buffer *out, struct error *err)
{
    return process_run_with(argv, plain_words, TOOL_MS, out, err);
}

static HRESULT run_from_file(const char *const argv[], int in_fd, struct error *err)
{
    struct process_options options = PROCESS_OPTIONS_INIT;
    struct process process = PROCESS_INIT;
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int status = 0;
    options.in_fd = in_fd;
    options.err_fd = null_fd;
    options.environment = plain_words;
    HRESULT hr = process_start(argv, &options, &process, err);
    if (SUCCEEDED(hr)) {
        hr = process_wait(&process, TOOL_MS, &status);
        if (hr != S_OK || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            hr = error_set(err, VSS_E_UNEXPECTED, "%s failed on its input", argv[0]);
        }
    }
    process_kill(&process);
    if (null_fd >= 0) {
        (void)close(null_fd);
    }
    return hr;
}

HRESULT judge_run_with_input(const char *const argv[], const char *input, const char *scratch,
                             struct error *err)
{
    char *path = text_printf("%s/input", scratch);
    int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    size_t length = strlen(input);
    HRESULT hr = S_OK;
    if (fd < 0 || write(fd, input, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0) {
        hr = error_set_errno(err, errno, "cannot write %s", path ? path : "a scratch file");
    }
    if (SUCCEEDED(hr)) {
        hr = run_from_file(argv, fd, err);
    }
    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(path);
    }
    free(path);
    return hr;
}

HRESULT judge_check_tools(struct error *err)
{
    static const char *const tools[][3] = {
        {"sgdisk", "--version", NULL}, {"sfdisk", "--version", NULL}, {"fdisk", "--version", NULL}};
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        struct error reason = {0};
        if (FAILED(judge_run(tools[i], NULL, &reason))) {
            return error_set(err, E_INVALIDARG, "the drill needs %s (packages gdisk and fdisk): %s",
                             tools[i][0], error_text(&reason));
        }
    }
    return S_OK;
}

HRESULT judge_write_file(const struct layout *layout, const uint8_t *fixed, const char *path,
                         struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot make %s", path);
    }
    int rc = ftruncate(fd, (off_t)(layout->block_count * layout->block_bytes));
    (void)close(fd);
    if (rc != 0) {
        return error_set_errno(err, errno, "cannot size %s", path);
    }
    struct raw *raw = NULL;
    HRESULT hr = raw_open_file(path, layout->block_bytes, false, &raw, err);
    if (SUCCEEDED(hr)) {
        hr = image_write_fixed(layout, raw, fixed, err);
    }
    raw_close(raw);
    return hr;
}

/* ---- asking ---- */

struct question {
    const struct layout *layout;
    const struct fields *expected;
    const char *path; /* file or device */
    struct judgements *out;
};

static struct judgement *begin(struct question *q, const char *name)
{
    struct judgement *j = &q->out->items[q->out->count++];
    *j = (struct judgement){.name = name, .verdict = VERDICT_HELD};
    return j;
}

/* Runs a tool; where it fails that is the judgement. */
static bool answer(const char *const argv[], struct buffer *text, struct judgement *j)
{
    struct error err = {0};
    if (FAILED(judge_run(argv, text, &err))) {
        j->verdict = VERDICT_FAILED;
        (void)snprintf(j->text, sizeof(j->text), "%.*s", (int)sizeof(j->text) - 1,
                       error_text(&err));
        return false;
    }
    return text->data != NULL;
}

static void set_verdict(struct judgement *j, bool held)
{
    if (!held) {
        j->verdict = VERDICT_FAILED;
    }
}

static void ask_sgdisk(struct question *q, const char *verify_name, const char *ids_name)
{
    const char *verify[] = {"sgdisk", "-v", q->path, NULL};
    const char *print[] = {"sgdisk", "-p", q->path, NULL};
    struct buffer text = BUFFER_INIT;
    struct judgement *j = begin(q, verify_name);
    set_verdict(j, answer(verify, &text, j) &&
                       judge_sgdisk_verify(text.data, j->text, sizeof(j->text)));
    buffer_free(&text);
    j = begin(q, ids_name);
    set_verdict(j, answer(print, &text, j) &&
                       judge_sgdisk_print(text.data, q->expected, j->text, sizeof(j->text)));
    buffer_free(&text);
    for (size_t i = 0; i < q->expected->partition_count && j->verdict == VERDICT_HELD; i++) {
        const struct fields_partition *p = &q->expected->partitions[i];
        char number[16];
        const char *info[] = {"sgdisk", "-i", number, q->path, NULL};
        (void)snprintf(number, sizeof(number), "%u", p->number);
        set_verdict(j, answer(info, &text, j) &&
                           judge_sgdisk_info(text.data, p, j->text, sizeof(j->text)));
        buffer_free(&text);
    }
}

static void ask_sfdisk(struct question *q, const char *verify_name, const char *ids_name)
{
    const char *verify[] = {"sfdisk", "--verify", q->path, NULL};
    const char *dump[] = {"sfdisk", "-d", q->path, NULL};
    const char *json[] = {"sfdisk", "-J", q->path, NULL};
    struct buffer text = BUFFER_INIT;
    struct judgement *j = begin(q, verify_name);
    set_verdict(j, answer(verify, &text, j) && strstr(text.data, "No errors detected"));
    if (j->verdict == VERDICT_FAILED && !j->text[0]) {
        (void)snprintf(j->text, sizeof(j->text), "no 'No errors detected' in it");
    }
    buffer_free(&text);
    j = begin(q, ids_name);
    set_verdict(j, answer(dump, &text, j) &&
                       judge_sfdisk_dump(text.data, q->expected, j->text, sizeof(j->text)));
    buffer_free(&text);
    if (j->verdict == VERDICT_HELD) {
        set_verdict(j, answer(json, &text, j) &&
                           judge_sfdisk_json(text.data, q->layout->block_bytes, q->expected,
                                             j->text, sizeof(j->text)));
        buffer_free(&text);
    }
}

static void ask_fdisk(struct question *q)
{
    char size[16];
    const char *list[] = {"fdisk", "-b", size, "-l", "-o", "Start,End,Type-UUID,UUID",
                          q->path, NULL};
    struct buffer text = BUFFER_INIT;
    (void)snprintf(size, sizeof(size), "%u", q->layout->block_bytes);
    struct judgement *j = begin(q, "fdisk -l (ids, places)");
    set_verdict(j, answer(list, &text, j) &&
                       judge_fdisk_list(text.data, q->expected, j->text, sizeof(j->text)));
    buffer_free(&text);
}

/* The tools that know no other sector size than a device's own, on a loop device that has it. */
static void ask_on_loop(struct question *q)
{
    char size[16];
    const char *attach[] = {"losetup",       "-f", "--show", "--read-only",
                            "--sector-size", size, q->path,  NULL};
    struct buffer device = BUFFER_INIT;
    struct error err = {0};
    (void)snprintf(size, sizeof(size), "%u", q->layout->block_bytes);
    if (geteuid() != 0 || FAILED(judge_run(attach, &device, &err)) || !device.data) {
        struct judgement *j = begin(q, "sgdisk and sfdisk on a loop device");
        j->verdict = VERDICT_SKIPPED;
        (void)snprintf(j->text, sizeof(j->text),
                       "no loop device with %s-byte sectors here; fdisk and the drill's own reader "
                       "looked at the label",
                       size);
        buffer_free(&device);
        return;
    }
    device.data[strcspn(device.data, "\n")] = '\0';
    const char *detach[] = {"losetup", "-d", device.data, NULL};
    struct question on_loop = *q;
    on_loop.path = device.data;
    ask_sgdisk(&on_loop, "sgdisk -v (loop device)", "sgdisk -p, -i (loop device)");
    ask_sfdisk(&on_loop, "sfdisk --verify (loop device)", "sfdisk -d, -J (loop device)");
    (void)judge_run(detach, NULL, NULL);
    buffer_free(&device);
}

HRESULT judge_label(const struct layout *layout, const uint8_t *fixed,
                    const struct fields *expected, const char *scratch, struct judgements *out,
                    struct error *err)
{
    memset(out, 0, sizeof(*out));
    char *path = text_printf("%s/label.img", scratch);
    if (!path) {
        return error_set(err, E_OUTOFMEMORY, "out of memory judging a label");
    }
    HRESULT hr = judge_write_file(layout, fixed, path, err);
    if (SUCCEEDED(hr)) {
        struct question q = {layout, expected, path, out};
        bool is_gpt = expected->kind == FIELDS_GPT;
        if (layout->block_bytes != 512) {
            ask_fdisk(&q);
            ask_on_loop(&q);
        } else {
            if (is_gpt) {
                ask_sgdisk(&q, "sgdisk -v", "sgdisk -p, -i");
            }
            ask_sfdisk(&q, "sfdisk --verify", "sfdisk -d, -J");
        }
    }
    (void)unlink(path);
    free(path);
    return hr;
}
