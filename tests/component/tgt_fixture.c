/* SPDX-License-Identifier: Apache-2.0 */
#include "tgt_fixture.h"

#include "common/id.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *target;
    uint32_t lun;
    const char *file;
    uint32_t block_bytes;
} originals[TGT_TEST_LUNS] = {{TGT_TEST_T1, 1, "a.img", 512},
                              {TGT_TEST_T1, 2, "b.img", 512},
                              {TGT_TEST_T2, 7, "c.img", 4096}};

/* The fixture that is up. */
static struct tgt_fixture *current;

static void set_number(struct tgt_fixture *f, const char *key, uint32_t value)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", value);
    plugin_host_set(&f->host, key, text);
}

void tgt_fill(struct tgt_fixture *f, const char *file, uint64_t bytes, unsigned seed)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", f->lab->disks, file);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    static uint32_t data[1 << 18];
    for (uint64_t done = 0; done < bytes; done += sizeof(data)) {
        for (size_t i = 0; i < sizeof(data) / 4; i++) {
            data[i] = (uint32_t)(done / 4 + i) * 2654435761u + seed;
        }
        assert_int_equal(pwrite(fd, data, sizeof(data), (off_t)done), sizeof(data));
    }
    assert_int_equal(close(fd), 0);
}

void tgt_add_lun(struct tgt_fixture *f, const char *target, uint32_t lun, const char *file,
                 uint64_t bytes, uint32_t block_bytes, const char *scsi_id)
{
    struct error err = {0};
    tgt_fill(f, file, bytes, lun * 977u);
    struct lab_lun_options options = {.target = target,
                                      .lun = lun,
                                      .file = file,
                                      .bytes = bytes,
                                      .block_bytes = block_bytes,
                                      .scsi_id = scsi_id,
                                      .serial = scsi_id && !*scsi_id ? "" : NULL};
    HRESULT hr = lab_add_lun(f->lab, &options, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
}

char *tgt_url(struct tgt_fixture *f, const char *target, uint32_t lun)
{
    char *url = text_printf("iscsi://%s/%s/%u", f->lab->portal, target, lun);
    assert_non_null(url);
    return url;
}

struct lun *tgt_open(const char *url, const char *initiator, bool read_only)
{
    struct lun_options options = {.initiator_name = initiator};
    struct lun *lun = NULL;
    (void)lun_open(url, &options, read_only, &lun, NULL);
    return lun;
}

void tgt_fixture_up(struct tgt_fixture *f, uint64_t image_bytes)
{
    struct error err = {0};
    *f = (struct tgt_fixture){0};
    (void)snprintf(f->base, sizeof(f->base), "/tmp/lunshadow-tgt-XXXXXX");
    assert_null(current);
    assert_non_null(mkdtemp(f->base));
    current = f;
    char directory[80];
    (void)snprintf(directory, sizeof(directory), "%s/lab", f->base);
    struct lab_options options = {
        .directory = directory, .image_bytes = image_bytes, .plain_directory = image_bytes == 0};
    HRESULT hr = lab_up(&options, &f->lab, &err);
    if (FAILED(hr)) {
        fail_msg("%s", err.text);
    }
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        tgt_add_lun(f, originals[i].target, originals[i].lun, originals[i].file, TGT_TEST_BYTES,
                    originals[i].block_bytes, NULL);
    }
    plugin_host_set(&f->host, "portal", f->lab->portal);
    plugin_host_set(&f->host, "socket", f->lab->socket);
    set_number(f, "control_port", f->lab->control_port);
    plugin_host_set(&f->host, "lab", "yes");
    plugin_host_set(&f->host, "max_hold_ms", "10000");
    assert_int_equal(plugin_host_open(&f->host, PLUGIN_PATH), S_OK);
}

static void forget_set(struct tgt_fixture *f)
{
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        identity_free(&f->identities[i]);
        free(f->devices[i]);
        f->devices[i] = NULL;
    }
}

int tgt_fixture_end(void **state)
{
    (void)state;
    struct tgt_fixture *f = current;
    struct error err = {0};
    current = NULL;
    if (!f) {
        return 0;
    }
    forget_set(f);
    plugin_host_close(&f->host);
    HRESULT hr = lab_down(f->lab, &err);
    f->lab = NULL;
    if (FAILED(hr)) {
        print_error("%s\n", err.text);
    }
    int rc = rmdir(f->base);
    return SUCCEEDED(hr) ? rc : -1;
}

void tgt_fixture_down(struct tgt_fixture *f)
{
    assert_ptr_equal(f, current);
    size_t left = tgt_count_files(f);
    assert_int_equal(tgt_fixture_end(NULL), 0);
    assert_int_equal(left, 0);
}

void tgt_make_set(struct tgt_fixture *f, uint32_t context)
{
    forget_set(f);
    memset(f->luns, 0, sizeof(f->luns));
    f->set = (struct vss_set_in){.struct_size = sizeof(f->set),
                                 .context = context,
                                 .set_id = id_new(),
                                 .lun_count = TGT_TEST_LUNS,
                                 .luns = f->luns};
    for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
        f->devices[i] = tgt_url(f, originals[i].target, originals[i].lun);
        struct lun *lun = tgt_open(f->devices[i], TGT_TEST_ME, true);
        assert_non_null(lun);
        f->identities[i] = lun->identity;
        lun->identity = (struct lun_identity){0};
        lun_close(lun);
        f->sources[i] = f->identities[i].info;
        f->luns[i] = (struct vss_set_lun){
            .snapshot_id = id_new(), .device = f->devices[i], .source = f->sources[i]};
    }
}

HRESULT tgt_call(struct tgt_fixture *f, enum vss_provider_op op)
{
    struct vss_states_out out = {.struct_size = sizeof(out)};
    HRESULT hr = plugin_host_call(&f->host, op, &f->set, &out);
    for (uint32_t i = 0; SUCCEEDED(hr) && out.states && i < f->set.lun_count; i++) {
        if (out.states[i].data) {
            f->luns[i].state = out.states[i];
        }
    }
    if (op == VSS_OP_COMMIT_SNAPSHOTS) {
        f->commit = out;
    }
    return hr;
}

void tgt_call_ok(struct tgt_fixture *f, enum vss_provider_op op)
{
    HRESULT hr = tgt_call(f, op);
    if (hr != S_OK) {
        fail_msg("operation %d: 0x%08x %s", (int)op, (unsigned)hr, f->host.error);
    }
}

void tgt_create(struct tgt_fixture *f)
{
    for (int op = VSS_OP_END_PREPARE_SNAPSHOTS; op <= VSS_OP_POST_FINAL_COMMIT_SNAPSHOTS; op++) {
        tgt_call_ok(f, (enum vss_provider_op)op);
    }
}

void tgt_import(struct tgt_fixture *f)
{
    struct vss_target_luns_out out = {.struct_size = sizeof(out)};
    HRESULT hr = plugin_host_call(&f->host, VSS_OP_GET_TARGET_LUNS, &f->set, &out);
    if (hr != S_OK) {
        fail_msg("%s", f->host.error);
    }
    for (uint32_t i = 0; i < f->set.lun_count; i++) {
        f->luns[i].destination = out.luns[i];
    }
    f->set.initiator = TGT_TEST_ME;
    tgt_call_ok(f, VSS_OP_LOCATE_LUNS);
}

HRESULT tgt_change(struct tgt_fixture *f, uint32_t flags)
{
    const struct vss_state_change_in in = {
        .struct_size = sizeof(in), .flags = flags, .set = f->set};
    struct vss_states_out out = {.struct_size = sizeof(out)};
    return plugin_host_call(&f->host, VSS_OP_ON_LUN_STATE_CHANGE, &in, &out);
}

HRESULT tgt_delete(struct tgt_fixture *f, uint32_t i)
{
    struct vss_set_in one = f->set;
    one.lun_count = 1;
    one.luns = &f->luns[i];
    return plugin_host_call(&f->host, VSS_OP_ON_LUN_EMPTY, &one, NULL);
}

char *tgt_state_value(const struct tgt_fixture *f, uint32_t i, const char *key)
{
    const struct vss_state *state = &f->luns[i].state;
    char *text = text_printf("\n%.*s", (int)state->bytes, (const char *)state->data);
    char *wanted = text_printf("\n%s=", key);
    assert_non_null(text);
    char *found = strstr(text, wanted);
    assert_non_null(found);
    char *value = found + strlen(wanted);
    char *copy = text_printf("%.*s", (int)strcspn(value, "\n"), value);
    free(wanted);
    free(text);
    return copy;
}

size_t tgt_count_files(const struct tgt_fixture *f)
{
    size_t count = 0;
    DIR *dir = opendir(f->lab->disks);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        count += strncmp(entry->d_name, ".lunshadow-", 11) == 0;
    }
    (void)closedir(dir);
    return count;
}

bool tgt_shows(struct tgt_fixture *f, const char *text)
{
    struct buffer out = BUFFER_INIT;
    assert_int_equal(lab_show(f->lab, &out, NULL), S_OK);
    bool found = out.data && strstr(out.data, text);
    buffer_free(&out);
    return found;
}

uint8_t *tgt_read_file(struct tgt_fixture *f, const char *file, size_t *out_bytes)
{
    char path[512];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s%s%s", *file == '/' ? "" : f->lab->disks,
                   *file == '/' ? "" : "/", file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *data = malloc((size_t)st.st_size);
    assert_non_null(data);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    (void)close(fd);
    *out_bytes = (size_t)st.st_size;
    return data;
}

pid_t tgt_hold_for(const struct tgt_fixture *f, unsigned ms)
{
    assert_int_equal(kill(f->lab->tgtd_pid, SIGSTOP), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)usleep(ms * 1000);
        _exit(kill(f->lab->tgtd_pid, SIGCONT) == 0 ? 0 : 1);
    }
    (void)usleep(50000); /* by now it stands */
    return child;
}

void tgt_delete_all(struct tgt_fixture *f)
{
    char *target = tgt_state_value(f, 0, "target");
    for (int pass = 0; pass < 2; pass++) { /* a second time is fine */
        for (uint32_t i = 0; i < TGT_TEST_LUNS; i++) {
            if (tgt_delete(f, i) != S_OK) {
                fail_msg("%s", f->host.error);
            }
        }
    }
    assert_false(tgt_shows(f, target));
    free(target);
}

bool tgt_can_clone(void)
{
    struct lab_options options = {.directory = "/tmp/lunshadow-tgt-probe",
                                  .image_bytes = 512ull << 20};
    struct lab *lab = NULL;
    bool has = SUCCEEDED(lab_up(&options, &lab, NULL)) && lab->has_reflink;
    (void)lab_down(lab, NULL);
    return has;
}
