/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/shim_fixture.h"

#include "provider/host/wire/shape.h"
#include "provider/host/wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct shim_below below;
int below_self;

/* ---- the provider below ------------------------------------------------------------------------
 */

static uint8_t naa[SHIM_LUNS][16];
static struct vss_storage_identifier ids[SHIM_LUNS];
static struct vss_lun_info copies[SHIM_LUNS];
static struct vss_state states[SHIM_LUNS];

static void make_info(uint8_t seed, struct vss_storage_identifier *id, uint8_t bytes[16],
                      struct vss_lun_info *out)
{
    static const uint8_t start[] = {0x60, 0x01, 0x40, 0x5a};
    memset(bytes, seed, 16);
    memcpy(bytes, start, sizeof(start));
    *id = (struct vss_storage_identifier){VDSStorageIdCodeSetBinary, VDSStorageIdTypeFCPHName, 16,
                                          bytes};
    *out = (struct vss_lun_info){.version = 1,
                                 .serial_number = seed < 16 ? (char *)"copy" : (char *)"original",
                                 .device_id = {1, 1, id}};
}

static HRESULT answer(enum vss_provider_op op, void *self, const void *in, void *out)
{
    static char secret[] = "the provider's own";
    struct vss_supported_out *supported = out;
    struct vss_states_out *given = out;
    struct vss_target_luns_out *targets = out;
    below.calls[op]++;
    below.last_self = self;
    below.last_lun_count = wire_lun_count(op, in);
    for (uint8_t i = 0; i < SHIM_LUNS; i++) {
        make_info((uint8_t)(i + 1), &ids[i], naa[i], &copies[i]);
        states[i] = (struct vss_state){.bytes = sizeof(secret), .data = (uint8_t *)secret};
    }
    switch (out_shape_of(op)) {
    case OUT_LOAD:
        ((struct vss_on_load_out *)out)->self = &below_self;
        break;
    case OUT_SUPPORTED:
        supported->is_supported = 1;
        break;
    case OUT_STATES:
        given->states = states;
        break;
    case OUT_TARGETS:
        targets->luns = copies;
        break;
    default:
        break;
    }
    return S_OK;
}

#define CALLBACK(op)                                                                               \
    static HRESULT below_##op(void *self, const struct vss_call *call, const void *in, void *out)  \
    {                                                                                              \
        (void)call;                                                                                \
        return answer((enum vss_provider_op)(op), self, in, out);                                  \
    }
CALLBACK(0)
CALLBACK(2)
CALLBACK(3)
CALLBACK(4)
CALLBACK(5)
CALLBACK(6)
CALLBACK(8)
CALLBACK(12)
CALLBACK(13)
CALLBACK(15)

/* Neither OnUnload nor ResyncLuns. */
static const vss_provider_callback ops[VSS_OP_COUNT] = {
    [0] = below_0, [2] = below_2, [3] = below_3,   [4] = below_4,   [5] = below_5,
    [6] = below_6, [8] = below_8, [12] = below_12, [13] = below_13, [15] = below_15};

static const struct vss_provider_table table = {.magic = VSS_PROVIDER_MAGIC,
                                                .struct_size = sizeof(table),
                                                .name = "below",
                                                .version = "1",
                                                .op_count = VSS_OP_COUNT,
                                                .ops = ops};

/* ---- the host above ----------------------------------------------------------------------------
 */

static void *give_memory(const struct vss_call *call, uint64_t bytes)
{
    struct shim_host *h = call->host_data;
    return provider_arena_alloc(&h->arena, bytes);
}

static void take_log(const struct vss_call *call, uint32_t level, const char *line)
{
    struct shim_host *h = call->host_data;
    (void)level;
    (void)snprintf(h->log, sizeof(h->log), "%s", line);
}

static void take_error(const struct vss_call *call, const char *line)
{
    struct shim_host *h = call->host_data;
    if (!h->error[0]) {
        (void)snprintf(h->error, sizeof(h->error), "%s", line);
    }
}

static const struct vss_host services = {
    .struct_size = sizeof(services), .alloc = give_memory, .log = take_log, .error = take_error};

int shim_set_up(void **state)
{
    struct shim_host *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    (void)snprintf(h->directory, sizeof(h->directory), "/tmp/lunshadow-shims-XXXXXX");
    assert_non_null(mkdtemp(h->directory));
    below = (struct shim_below){0};
    h->device = "iscsi://host/target/1";
    *state = h;
    return 0;
}

void shim_host_close(struct shim_host *h)
{
    shims_free(h->layer);
    config_free(h->config);
    provider_arena_free(&h->arena);
    h->layer = NULL;
    h->config = NULL;
}

int shim_tear_down(void **state)
{
    struct shim_host *h = *state;
    char line[96];
    shim_host_close(h);
    (void)snprintf(line, sizeof(line), "rm -rf '%s'", h->directory);
    int rc = system(line); /* NOLINT(cert-env33-c): a path of our own making */
    free(h);
    return rc;
}

HRESULT shim_host_open(struct shim_host *h, const char *value, const char *lines)
{
    char text[2048];
    struct error err = {0};
    h->error[0] = '\0';
    (void)snprintf(text, sizeof(text), "[array one]\nprovider = %s\n%s\n", value, lines);
    assert_int_equal(config_parse(text, "test", &h->config, &err), S_OK);
    const struct vss_provider_table *own = shims_is_replay(shims_rest(value)) ? NULL : &table;
    HRESULT hr = shims_stack(&h->config->sections[0], value, own, &h->layer, &err);
    (void)snprintf(h->error, sizeof(h->error), "%s", FAILED(hr) ? error_text(&err) : "");
    return hr;
}

HRESULT shim_host_call(struct shim_host *h, enum vss_provider_op op, void *out)
{
    static uint8_t bytes[SHIM_LUNS][16];
    struct vss_storage_identifier identifiers[SHIM_LUNS];
    struct vss_lun_info infos[SHIM_LUNS];
    const char *devices[SHIM_LUNS];
    struct vss_set_lun luns[SHIM_LUNS];
    for (uint8_t i = 0; i < SHIM_LUNS; i++) {
        make_info((uint8_t)(i + 17), &identifiers[i], bytes[i], &infos[i]);
        devices[i] = h->device;
        luns[i] = (struct vss_set_lun){.snapshot_id = h->set_id,
                                       .device = devices[i],
                                       .source = infos[i],
                                       .state = {.bytes = 6, .data = (const uint8_t *)"hidden"}};
    }
    struct vss_luns_in luns_in = {
        .struct_size = sizeof(luns_in), .lun_count = SHIM_LUNS, .devices = devices, .luns = infos};
    struct vss_set_in set_in = {.struct_size = sizeof(set_in),
                                .context = 9,
                                .set_id = h->set_id,
                                .lun_count = SHIM_LUNS,
                                .luns = luns};
    struct vss_on_load_in load = {.struct_size = sizeof(load)};
    struct vss_on_unload_in unload = {.struct_size = sizeof(unload), .is_forced = 1};
    struct vss_call call = {
        .struct_size = sizeof(call), .host = &services, .array = "one", .host_data = h};
    const enum in_shape shape = in_shape_of(op);
    const void *in = shape == IN_LUNS ? (const void *)&luns_in
                                      : (shape == IN_SET ? (const void *)&set_in : NULL);
    in = shape == IN_LOAD ? (const void *)&load : in;
    in = shape == IN_UNLOAD ? (const void *)&unload : in;
    if (op == VSS_OP_FILL_IN_LUN_INFO) {
        luns_in.lun_count = 1;
    }
    h->error[0] = '\0';
    h->log[0] = '\0';
    const struct vss_provider_table *above = shims_table(h->layer);
    assert_non_null(above->ops[op]);
    return above->ops[op](h->layer, &call, in, out);
}

char *shim_read_file(const char *path)
{
    static const size_t most = 1 << 20;
    FILE *file = fopen(path, "re");
    char *text = calloc(1, most);
    assert_true(file && text);
    (void)!fread(text, 1, most - 1, file);
    assert_int_equal(fclose(file), 0);
    return text;
}
