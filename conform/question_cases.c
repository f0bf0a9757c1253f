/* SPDX-License-Identifier: Apache-2.0 */
/* AreLunsSupported and FillInLunInfo: whose a LUN is. */
#include "conform/cases.h"
#include "conform/trial.h"

#include <string.h>

/* What the question is about: up to two LUNs. */
struct question {
    uint32_t context;
    uint32_t lun_count;
    const char *devices[TRIAL_LUNS];
    struct vss_lun_info luns[TRIAL_LUNS]; /* borrowed */
};

static void add_scratch(struct question *q, const struct conform *c, size_t index)
{
    q->devices[q->lun_count] = c->scratch[index].url;
    q->luns[q->lun_count++] = c->scratch[index].info;
}

/* out lives in arena. */
static HRESULT ask(struct conform *c, enum vss_provider_op op, const struct question *q,
                   struct vss_supported_out *out, struct provider_arena *arena, struct error *err)
{
    struct vss_luns_in in = {.struct_size = sizeof(in),
                             .context = q->context,
                             .lun_count = q->lun_count,
                             .devices = q->devices,
                             .luns = q->luns};
    *out = (struct vss_supported_out){0};
    return conform_call(c, op, &in, out, arena, err);
}

/* The answer must be this one. */
static void expect_answer(struct conform *c, enum vss_provider_op op, const struct question *q,
                          bool wanted, const char *what)
{
    struct provider_arena arena = PROVIDER_ARENA_INIT;
    struct vss_supported_out out;
    struct error err = {0};
    HRESULT hr = ask(c, op, q, &out, &arena, &err);
    bool is_right = !conform_succeeded(c, op, hr, &err) || (out.is_supported != 0) == wanted;
    if (!is_right && wanted) {
        conform_fail_op(c, op, "%s: the answer for %s is 0", provider_op_name(op), what);
    } else if (!is_right) {
        conform_fail(c, "%s: the answer for %s is %u", provider_op_name(op), what,
                     out.is_supported);
    }
    provider_arena_free(&arena);
}

#define CONTEXT (VSS_CTX_APP_ROLLBACK | VSS_VOLSNAP_ATTR_TRANSPORTABLE)

void case_supported_scratch(struct conform *c)
{
    for (size_t i = 0; i < c->scratch_count; i++) {
        struct question q = {.context = CONTEXT};
        add_scratch(&q, c, i);
        expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &q, true, c->scratch[i].url);
    }
    if (!conform_is_claimed(c, NEEDS_CONSISTENT_SET)) {
        return; /* no set would have both */
    }
    struct question both = {.context = CONTEXT};
    add_scratch(&both, c, 0);
    add_scratch(&both, c, 1);
    expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &both, true, "two scratch LUNs of one volume");
}

static void ask_about_foreign(struct conform *c, enum vss_provider_op op)
{
    struct vss_lun_info foreign = conform_foreign_lun();
    struct question q = {.context = op == VSS_OP_ARE_LUNS_SUPPORTED ? CONTEXT : 0,
                         .lun_count = 1,
                         .devices = {CONFORM_FOREIGN_DEVICE},
                         .luns = {foreign}};
    expect_answer(c, op, &q, false, "a LUN of another array");
    lun_info_free(&foreign);
}

void case_supported_foreign(struct conform *c)
{
    ask_about_foreign(c, VSS_OP_ARE_LUNS_SUPPORTED);
}

void case_fill_in_foreign(struct conform *c)
{
    ask_about_foreign(c, VSS_OP_FILL_IN_LUN_INFO);
}

void case_supported_all_or_nothing(struct conform *c)
{
    struct vss_lun_info foreign = conform_foreign_lun();
    for (uint32_t place = 0; place < 2; place++) {
        struct question q = {.context = CONTEXT};
        add_scratch(&q, c, 0);
        add_scratch(&q, c, 0);
        q.devices[place] = CONFORM_FOREIGN_DEVICE;
        q.luns[place] = foreign;
        expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &q, false,
                      place ? "a volume whose second LUN is foreign"
                            : "a volume whose first LUN is foreign");
    }
    lun_info_free(&foreign);
}

void case_supported_context(struct conform *c)
{
    const struct vss_capabilities_out *said = provider_capabilities(c->provider);
    struct question q = {0};
    add_scratch(&q, c, 0);
    if (said->differential == VSS_CAPABILITY_NO) {
        q.context = CONTEXT | VSS_VOLSNAP_ATTR_DIFFERENTIAL;
        expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &q, false, "a DIFFERENTIAL copy, not claimed,");
    }
    if (said->plex == VSS_CAPABILITY_NO) {
        q.context = CONTEXT | VSS_VOLSNAP_ATTR_PLEX;
        expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &q, false, "a PLEX copy, not claimed,");
    }
    q.context = VSS_CTX_CLIENT_ACCESSIBLE;
    expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &q, false, "a client-accessible copy");
}

void question_expect_context(struct conform *c, uint32_t kind)
{
    struct question q = {.context = CONTEXT | kind};
    add_scratch(&q, c, 0);
    expect_answer(c, VSS_OP_ARE_LUNS_SUPPORTED, &q, true, "the kind of copy that is claimed");
}

static bool is_same_path(const struct vss_interconnect *a, const struct vss_interconnect *b)
{
    return a->address_type == b->address_type && a->port_bytes == b->port_bytes &&
           a->address_bytes == b->address_bytes &&
           (a->port_bytes == 0 || memcmp(a->port, b->port, a->port_bytes) == 0) &&
           (a->address_bytes == 0 || memcmp(a->address, b->address, a->address_bytes) == 0);
}

static bool has_same_paths(const struct vss_lun_info *a, const struct vss_lun_info *b)
{
    bool is_same = a->interconnect_count == b->interconnect_count;
    for (uint32_t i = 0; is_same && i < a->interconnect_count; i++) {
        is_same = is_same_path(&a->interconnects[i], &b->interconnects[i]);
    }
    return is_same;
}

void case_supported_interconnects(struct conform *c)
{
    static const enum vss_provider_op ops[] = {VSS_OP_ARE_LUNS_SUPPORTED, VSS_OP_FILL_IN_LUN_INFO};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_supported_out out;
        struct error err = {0};
        struct question q = {.context = ops[i] == VSS_OP_ARE_LUNS_SUPPORTED ? CONTEXT : 0};
        add_scratch(&q, c, 0);
        HRESULT hr = ask(c, ops[i], &q, &out, &arena, &err);
        if (conform_succeeded(c, ops[i], hr, &err) && out.luns &&
            !has_same_paths(&q.luns[0], &out.luns[0])) {
            conform_fail(c, "%s changed the interconnects", provider_op_name(ops[i]));
        }
        provider_arena_free(&arena);
    }
}

/* What comes back, corrected or not, must be what the LUN itself shows. */
static void expect_live(struct conform *c, size_t index, const struct vss_lun_info *said)
{
    const char *reason = NULL;
    struct lun *lun = scratch_open(c, index, true);
    if (lun && !lun_info_matches(said, &lun->identity.info, &reason)) {
        conform_fail(c, "FillInLunInfo describes %s as something else: %s", lun->url, reason);
    }
    lun_close(lun);
}

void case_fill_in_own(struct conform *c)
{
    for (size_t i = 0; i < c->scratch_count; i++) {
        struct provider_arena arena = PROVIDER_ARENA_INIT;
        struct vss_supported_out out;
        struct error err = {0};
        struct question q = {0};
        add_scratch(&q, c, i);
        HRESULT hr = ask(c, VSS_OP_FILL_IN_LUN_INFO, &q, &out, &arena, &err);
        if (conform_succeeded(c, VSS_OP_FILL_IN_LUN_INFO, hr, &err) && out.is_supported != 1) {
            conform_fail_op(c, VSS_OP_FILL_IN_LUN_INFO, "FillInLunInfo: the answer for %s is %u",
                            c->scratch[i].url, out.is_supported);
        }
        if (SUCCEEDED(hr) && out.luns) {
            expect_live(c, i, &out.luns[0]);
        }
        provider_arena_free(&arena);
    }
}
