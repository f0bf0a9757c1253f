/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/resync_plan.h"

#include "cli/text.h"
#include "common/buffer.h"
#include "lun/label/label.h"
#include "lun/lun.h"
#include "provider/set/candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct snapshot_record *find_snapshot(const struct set_record *set, const VSS_ID *id)
{
    for (size_t i = 0; i < set->snapshot_count; i++) {
        if (id_equal(&set->snapshots[i].snapshot_id, id)) {
            return &set->snapshots[i];
        }
    }
    return NULL;
}

/* One --snapshot. */
static bool add_named(const struct cli *cli, const char *value, struct resync_plan *plan)
{
    char id_part[64];
    VSS_ID id = id_null;
    const char *equals = strchr(value, '=');
    size_t length = equals ? (size_t)(equals - value) : strlen(value);
    if (length < sizeof(id_part)) {
        memcpy(id_part, value, length);
        id_part[length] = '\0';
    }
    if (length >= sizeof(id_part) || !id_parse(id_part, &id) || (equals && !equals[1])) {
        (void)cli_misuse(cli, "--snapshot takes a snapshot's id, or ID=VOLUME");
        return false;
    }
    const struct snapshot_record *snapshot = find_snapshot(plan->set, &id);
    if (!snapshot) {
        (void)cli_misuse(cli, "the document has no snapshot %s", id_part);
        return false;
    }
    plan->members[plan->count++] = (struct resync_member){snapshot, equals ? equals + 1 : NULL};
    return true;
}

static bool has_member(const struct resync_plan *plan, const struct snapshot_record *snapshot)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->members[i].snapshot == snapshot) {
            return true;
        }
    }
    return false;
}

/* Brings the member with this id to a place, the others behind it. */
static bool move_to(struct resync_plan *plan, const VSS_ID *id, size_t place)
{
    for (size_t i = place; i < plan->count; i++) {
        if (id_equal(&plan->members[i].snapshot->snapshot_id, id)) {
            struct resync_member moved = plan->members[i];
            memmove(&plan->members[place + 1], &plan->members[place],
                    (i - place) * sizeof(*plan->members));
            plan->members[place] = moved;
            return true;
        }
    }
    return false;
}

static bool order(const struct cli *cli, struct resync_plan *plan)
{
    char *list = text_copy(cli_value(cli, "order"));
    char *rest = NULL;
    bool is_good = true;
    size_t place = 0;
    for (char *item = list ? strtok_r(list, ",", &rest) : NULL; item && is_good;
         item = strtok_r(NULL, ",", &rest)) {
        VSS_ID id = id_null;
        is_good = id_parse(item, &id) && move_to(plan, &id, place++);
        if (!is_good) {
            (void)cli_misuse(cli,
                             "--order: %s is not the id of a snapshot that is to be brought "
                             "back, or comes twice",
                             item);
        }
    }
    free(list);
    return is_good;
}

/* A set is one moment; parts of it at that moment and others not is what nobody wants by chance. */
static bool check_is_whole(const struct cli *cli, const struct resync_plan *plan)
{
    for (size_t i = 0; i < plan->set->snapshot_count && !cli_has(cli, "partial"); i++) {
        const struct snapshot_record *s = &plan->set->snapshots[i];
        if (!has_member(plan, s)) {
            (void)cli_misuse(cli,
                             "%zu of the set's %zu snapshots are named, %s is not: name all, "
                             "or say that a part is meant (--partial)",
                             plan->count, plan->set->snapshot_count, s->original_volume);
            return false;
        }
    }
    return true;
}

int resync_plan_make(const struct cli *cli, const struct set_record *set, struct resync_plan *out)
{
    size_t capacity = set->snapshot_count + cli->given_count;
    *out = (struct resync_plan){.set = set};
    out->members = calloc(capacity ? capacity : 1, sizeof(*out->members));
    if (!out->members) {
        struct error err = {.code = E_OUTOFMEMORY, .text = "not enough memory for the plan"};
        return cli_fail(cli, &err);
    }
    for (size_t i = 0; i < cli->given_count; i++) {
        if (strcmp(cli->given[i].option->name, "snapshot") == 0 &&
            !add_named(cli, cli->given[i].value, out)) {
            return CLI_UNUSABLE;
        }
    }
    for (size_t i = 0; !cli_has(cli, "snapshot") && i < set->snapshot_count; i++) {
        out->members[out->count++] = (struct resync_member){&set->snapshots[i], NULL};
    }
    return check_is_whole(cli, out) && order(cli, out) ? CLI_OK : CLI_UNUSABLE;
}

void resync_plan_free(struct resync_plan *plan)
{
    free(plan->members);
    *plan = (struct resync_plan){0};
}

/* A LUN as it is now. */
struct target {
    char *url; /* without secrets */
    char key[LUN_KEY_BYTES];
    uint64_t bytes; /* 0: not known */
    char *label;    /* NULL: not known */
};

static void free_target(struct target *target)
{
    free(target->url);
    free(target->label);
}

static void read_label(struct lun *lun, struct target *out)
{
    struct label *label = NULL;
    struct vss_disk_ids ids = {0};
    struct error err = {0};
    if (FAILED(label_read(&lun->block, LABEL_FULL, &label, &err))) {
        out->label = text_printf("damaged label: %s", error_text(&err));
    } else if (SUCCEEDED(label_ids(label, &ids))) {
        out->label = text_disk_ids(&ids);
    }
    disk_ids_free(&ids);
    label_free(label);
}

/* Looks at the LUN; expected NULL: whatever is there. A LUN that has moved is only named by its
 * identity: the recovery finds it by that. */
static void look(const struct cli *cli, const char *url, const struct vss_lun_info *expected,
                 struct target *out)
{
    struct config *config = NULL;
    struct lun *lun = NULL;
    *out = (struct target){.url = NULL};
    if (expected) {
        (void)lun_info_key(expected, out->key);
    }
    if (!url || FAILED(config_load(cli->config_path, &config, NULL))) {
        return;
    }
    struct lun_options options = {.config = config};
    if (SUCCEEDED(lun_open(url, &options, true, &lun, NULL)) &&
        (!expected || lun_info_compare(expected, &lun->identity.info) == LUN_SAME)) {
        out->url = text_copy(lun->url);
        out->bytes = lun->identity.block_count * lun->identity.block_bytes;
        (void)lun_info_key(&lun->identity.info, out->key);
        read_label(lun, out);
    }
    lun_close(lun);
    config_free(config);
}

static json_t *target_json(const struct target *target)
{
    return json_pack("{s:o, s:o, s:I, s:o}", "url", text_to_json(target->url), "key",
                     text_to_json(target->key), "bytes", (json_int_t)target->bytes, "label",
                     text_to_json(target->label));
}

static void print_target(const struct target *target)
{
    char size[TEXT_SIZE_BYTES];
    (void)fputs("    overwrites ", stdout);
    text_put(stdout, target->url ? target->url : "the LUN with this identity, wherever it is:");
    (void)fputs("\n               ", stdout);
    text_put(stdout, target->key);
    if (target->bytes) {
        (void)printf(", %s, ", text_size(target->bytes, size));
        text_put(stdout, target->label);
    }
    (void)fputc('\n', stdout);
}

/* Shows one target on the terminal, or appends it to targets. */
static json_t *show_target(const struct cli *cli, const char *url,
                           const struct vss_lun_info *expected, json_t *targets)
{
    struct target target;
    look(cli, url, expected, &target);
    if (!cli->json) {
        print_target(&target);
    } else if (json_array_append_new(targets, target_json(&target))) {
        json_decref(targets);
        targets = NULL;
    }
    free_target(&target);
    return targets;
}

/* The URL of the LUN in a volume's name: a partition's number is not the LUN's business. malloc'ed,
 * with the secret, for looking at it only. */
static char *lun_url_of(const char *volume)
{
    char *url = text_copy(volume);
    char *mark = url ? strrchr(url, '#') : NULL;
    if (mark) {
        *mark = '\0';
    }
    return url;
}

/* The same of a destination, which may be named as this host names it; NULL where it cannot be
 * said. */
static char *lun_url_of_destination(const struct cli *cli, const char *destination)
{
    struct set_environment *env = NULL;
    char *address = NULL;
    if (destination[0] != '/') {
        return lun_url_of(destination);
    }
    if (SUCCEEDED(set_environment_open(cli->config_path, cli->state_directory, &env, NULL))) {
        (void)candidate_address(env, destination, &address, NULL);
    }
    char *url = address ? lun_url_of(address) : NULL;
    free(address);
    set_environment_close(env);
    return url;
}

static bool comes_again(const struct snapshot_record *snapshot, size_t extent)
{
    for (size_t i = 0; i < extent; i++) {
        if (snapshot->extents[i].lun_index == snapshot->extents[extent].lun_index) {
            return true;
        }
    }
    return false;
}

static json_t *show_targets(const struct cli *cli, const struct resync_plan *plan,
                            const struct resync_member *member)
{
    const struct snapshot_record *snapshot = member->snapshot;
    json_t *targets = json_array();
    if (member->destination) {
        char *url = lun_url_of_destination(cli, member->destination);
        targets = show_target(cli, url, NULL, targets);
        free(url);
        return targets;
    }
    for (size_t i = 0; targets && i < snapshot->extent_count; i++) {
        uint32_t index = snapshot->extents[i].lun_index;
        if (index < plan->set->lun_count && !comes_again(snapshot, i)) {
            const struct lun_mapping *lun = &plan->set->luns[index];
            targets = show_target(cli, lun->source_url, &lun->source, targets);
        }
    }
    return targets;
}

static void print_member_heading(const struct resync_member *member)
{
    char id[ID_TEXT_BYTES];
    (void)printf("  snapshot %s of ", id_text(&member->snapshot->snapshot_id, id));
    text_put(stdout, member->snapshot->original_volume);
    (void)fputc('\n', stdout);
}

int resync_plan_print(const struct cli *cli, const struct resync_plan *plan)
{
    json_t *list = json_array();
    if (!cli->json) {
        (void)puts("Plan:");
    }
    for (size_t i = 0; list && i < plan->count; i++) {
        const struct resync_member *member = &plan->members[i];
        if (!cli->json) {
            print_member_heading(member);
        }
        json_t *item = json_pack("{s:o, s:o, s:o}", "snapshot",
                                 text_id_to_json(&member->snapshot->snapshot_id), "volume",
                                 text_to_json(member->snapshot->original_volume), "overwrites",
                                 show_targets(cli, plan, member));
        if (json_array_append_new(list, item)) {
            json_decref(list);
            list = NULL;
        }
    }
    if (cli->json) {
        return cli_print_json(cli, list);
    }
    json_decref(list);
    return CLI_OK;
}
