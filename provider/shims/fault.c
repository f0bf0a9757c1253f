/* SPDX-License-Identifier: Apache-2.0 */
/* fault: a provider that fails on demand. */
#include "provider/shims/fault.h"

#include "common/buffer.h"
#include "provider/host/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { FAULTS_MAX = 64 };

struct faults {
    struct fault list[FAULTS_MAX];
    size_t count;
    const char *calls_path; /* NULL: calls are counted in this process */
    const char *until_path; /* NULL: no file ends a hang */
    uint64_t calls[VSS_OP_COUNT];
};

/* ---- counting ----------------------------------------------------------------------------------
 */

/* Which call this is: of its operation, and of all. */
struct count {
    uint64_t of_op;
    uint64_t of_all;
};

static struct count count_here(struct faults *f, enum vss_provider_op op)
{
    struct count count = {.of_op = ++f->calls[op]};
    for (size_t i = 0; i < VSS_OP_COUNT; i++) {
        count.of_all += f->calls[i];
    }
    return count;
}

/* Reads from the start; the line of this call is there already. */
static void count_lines(FILE *file, const char *name, struct count *out)
{
    char line[64];
    rewind(file);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        out->of_all++;
        out->of_op += strcmp(line, name) == 0;
    }
}

/* Over all processes: a line of the file for each call. */
static HRESULT count_in_file(const char *path, const char *name, struct count *out)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "a+e") : NULL;
    if (!file) {
        HRESULT hr = error_from_errno(errno);
        if (fd >= 0) {
            (void)close(fd);
        }
        return hr;
    }
    bool is_counted =
        flock(fd, LOCK_EX) == 0 && fprintf(file, "%s\n", name) > 0 && fflush(file) == 0;
    if (is_counted) {
        count_lines(file, name, out);
    }
    HRESULT hr = is_counted && !ferror(file) ? S_OK : VSS_E_UNEXPECTED;
    (void)fclose(file);
    return hr;
}

static HRESULT count_call(struct faults *f, enum vss_provider_op op, const struct vss_call *call,
                          struct count *out)
{
    *out = (struct count){0};
    if (!f->calls_path) {
        *out = count_here(f, op);
        return S_OK;
    }
    HRESULT hr = count_in_file(f->calls_path, op_find(op)->name, out);
    if (FAILED(hr)) {
        call->host->error(call, "fault: the file of \"fault_calls\" cannot be read and written");
    }
    return SUCCEEDED(hr) ? S_OK : VSS_E_PROVIDER_VETO;
}

/* ---- the call ----------------------------------------------------------------------------------
 */

static const struct fault *find_due(const struct faults *f, enum vss_provider_op op,
                                    const struct count *count)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct fault *fault = &f->list[i];
        bool is_any = fault->op == SHIM_ANY_OP;
        uint64_t now = is_any ? count->of_all : count->of_op;
        if ((is_any || fault->op == op) && (fault->which == 0 || fault->which == now)) {
            return fault;
        }
    }
    return NULL;
}

static void say(const struct fault *fault, const struct vss_call *call)
{
    char *line = text_printf("fault: %s", fault->text);
    call->host->error(call, line ? line : "fault");
    free(line);
}

static HRESULT give_code(const struct fault *fault, const struct vss_call *call)
{
    if (FAILED(fault->code)) {
        say(fault, call);
    }
    return fault->code;
}

static HRESULT commit_fault(const struct fault *fault, struct shim_layer *layer,
                            enum vss_provider_op op, const struct vss_call *call, const void *in,
                            void *out)
{
    const struct faults *f = layer->data;
    HRESULT hr = fault->is_after ? shim_pass(layer, op, call, in, out) : S_OK;
    if (FAILED(hr)) {
        return hr;
    }
    if (fault->kind == FAULT_CODE) {
        return give_code(fault, call);
    }
    hr = fault_act(fault, f->until_path);
    if (FAILED(hr)) {
        say(fault, call);
        return hr;
    }
    return fault->is_after ? hr : shim_pass(layer, op, call, in, out);
}

static HRESULT fault_call(struct shim_layer *layer, enum vss_provider_op op,
                          const struct vss_call *call, const void *in, void *out)
{
    struct faults *f = layer->data;
    struct count count;
    HRESULT hr = count_call(f, op, call, &count);
    if (FAILED(hr)) {
        return hr;
    }
    const struct fault *fault = find_due(f, op, &count);
    if (!fault) {
        return shim_pass(layer, op, call, in, out);
    }
    call->host->log(call, VSS_LOG_INFO, fault->text);
    return fault->kind >= FAULT_IDENTITY ? fault_lie(fault, layer, op, call, in, out)
                                         : commit_fault(fault, layer, op, call, in, out);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static HRESULT take_fault(void *user, char *item, struct error *err)
{
    struct faults *f = user;
    if (f->count == FAULTS_MAX) {
        return error_set(err, E_INVALIDARG, "more than %d faults", FAULTS_MAX);
    }
    HRESULT hr = fault_parse(item, &f->list[f->count], err);
    f->count += SUCCEEDED(hr);
    return hr;
}

static HRESULT fault_open(struct shim_layer *layer, const struct config_section *section,
                          struct error *err)
{
    struct faults *f = calloc(1, sizeof(*f));
    layer->data = f;
    if (!f) {
        return error_set(err, E_OUTOFMEMORY, "out of memory");
    }
    f->calls_path = config_value(section, "fault_calls", NULL);
    f->until_path = config_value(section, "fault_until", NULL);
    return shim_items(section, "fault", take_fault, f, err);
}

static void fault_close(struct shim_layer *layer)
{
    struct faults *f = layer->data;
    for (size_t i = 0; f && i < f->count; i++) {
        free(f->list[i].text);
    }
    free(f);
}

const struct shim shim_fault = {.name = "fault",
                                .is_loaded_itself = true,
                                .open = fault_open,
                                .call = fault_call,
                                .close = fault_close};
