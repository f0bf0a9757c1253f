/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/scsi.h"

#include "common/clock.h"
#include "common/log.h"
#include "lun/big_endian.h"

#include <poll.h>
#include <scsi/sg_lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WINDOW         256u
#define MAX_UA_RETRIES     4u
#define MAX_BUSY_RETRIES   8u
#define MAX_DATA_RETRIES   4u
#define FIRST_BUSY_US      10000u
#define IDLE_POLL_MS       1000u
#define FLUSH_TIMEOUT_MS   60000u
#define PR_OUT_BYTES       24u
#define SENSE_FIXED_BYTES  14u /* up to ASC and ASCQ */
#define SENSE_HEADER_BYTES 8u
#define MAX_WAITS          16u
#define COMMAND_TEXT_SIZE  96

/* One command of a scsi_run() that is outstanding, or waits to be sent again. */
struct run_slot {
    struct run *run;
    struct scsi_command *command; /* NULL: free */
    void (*on_done)(struct scsi_command *command, void *user);
    void *user;
    struct scsi_retry retry; /* at_us 0: outstanding */
};

struct run {
    struct scsi_transport *transport;
    struct run_slot slots[MAX_WINDOW];
    size_t window;
    size_t used;     /* slots in use */
    bool is_stopped; /* nothing is sent any more */
};

static void run_slot_done(struct scsi_command *command, void *user);

static void run_submit(struct run_slot *slot)
{
    struct scsi_command *c = slot->command;
    c->done = false;
    c->result = S_OK;
    c->status = SCSI_STATUS_GOOD;
    memset(&c->sense, 0, sizeof(c->sense));
    c->transferred_bytes = 0;
    c->attempts++;
    c->on_done = run_slot_done;
    c->user = slot;
    slot->retry.at_us = 0;
    slot->run->transport->ops->submit(slot->run->transport, c);
}

bool scsi_is_attention(const struct scsi_command *c)
{
    return SUCCEEDED(c->result) && c->status == SCSI_STATUS_CHECK_CONDITION &&
           c->sense.key == SCSI_SENSE_UNIT_ATTENTION;
}

/* Done, and no failure; but as to its data nothing is known. */
static bool has_withheld_data(const struct scsi_command *c)
{
    return c->status == SCSI_STATUS_CHECK_CONDITION && c->sense.is_completed &&
           c->direction == SCSI_DATA_IN;
}

bool scsi_retry_wanted(struct scsi_retry *retry, const struct scsi_command *c)
{
    if (FAILED(c->result)) {
        return false;
    }
    if (scsi_is_attention(c)) {
        retry->at_us = 1;
        return !c->ends_at_attention && retry->attentions++ < MAX_UA_RETRIES;
    }
    if (c->status == SCSI_STATUS_BUSY || c->status == SCSI_STATUS_TASK_SET_FULL) {
        retry->at_us = clock_monotonic_us() + ((uint64_t)FIRST_BUSY_US << retry->busies);
        return retry->busies++ < MAX_BUSY_RETRIES;
    }
    if (has_withheld_data(c)) {
        retry->at_us = 1;
        return retry->withheld++ < MAX_DATA_RETRIES;
    }
    return false;
}

static void run_slot_end(struct run_slot *slot)
{
    struct scsi_command *c = slot->command;
    c->on_done = slot->on_done;
    c->user = slot->user;
    slot->command = NULL;
    slot->run->used--;
    if (c->on_done) {
        c->on_done(c, c->user);
    }
}

static void run_slot_done(struct scsi_command *command, void *user)
{
    struct run_slot *slot = user;
    if (scsi_is_attention(command)) {
        slot->run->transport->attentions++;
        slot->run->is_stopped = slot->run->is_stopped || command->ends_at_attention;
    }
    if (scsi_retry_wanted(&slot->retry, command)) {
        command->done = false;
        return;
    }
    run_slot_end(slot);
}

static void run_fill(struct run *run, struct scsi_command *commands, size_t count, size_t *next)
{
    for (size_t i = 0; i < run->window && *next < count; i++) {
        struct run_slot *slot = &run->slots[i];
        if (slot->command) {
            continue;
        }
        struct scsi_command *c = &commands[(*next)++];
        *slot = (struct run_slot){run, c, c->on_done, c->user, {0}};
        c->attempts = 0;
        run->used++;
        run_submit(slot);
    }
}

/* Sends again what is due; returns how long a poll may wait for the rest. */
static uint32_t run_retry_due(struct run *run)
{
    uint64_t now = clock_monotonic_us();
    uint32_t wait_ms = IDLE_POLL_MS;
    for (size_t i = 0; i < run->window; i++) {
        struct run_slot *slot = &run->slots[i];
        if (!slot->command || slot->retry.at_us == 0) {
            continue;
        }
        if (slot->retry.at_us <= now) {
            run_submit(slot);
            continue;
        }
        uint64_t left_ms = (slot->retry.at_us - now) / 1000 + 1;
        wait_ms = left_ms < wait_ms ? (uint32_t)left_ms : wait_ms;
    }
    return wait_ms;
}

/* The transport is lost, or the run stopped: what waited to be sent (again) gets this failure. */
static void run_fail(struct run *run, HRESULT hr, struct scsi_command *commands, size_t count,
                     size_t next)
{
    for (size_t i = 0; i < run->window; i++) {
        struct run_slot *slot = &run->slots[i];
        if (slot->command && (!run->is_stopped || slot->retry.at_us != 0)) {
            slot->command->result = hr;
            slot->command->done = true;
            run_slot_end(slot);
        }
    }
    for (; next < count; next++) {
        commands[next].result = hr;
        commands[next].done = true;
        if (commands[next].on_done) {
            commands[next].on_done(&commands[next], commands[next].user);
        }
    }
}

HRESULT scsi_run(struct scsi_transport *transport, struct scsi_command *commands, size_t count,
                 uint32_t window, struct error *err)
{
    struct run run;
    size_t next = 0;
    size_t limit = window < transport->max_in_flight ? window : transport->max_in_flight;
    run.transport = transport;
    run.used = 0;
    run.is_stopped = false;
    run.window = limit > MAX_WINDOW ? MAX_WINDOW : limit;
    if (run.window == 0) {
        run.window = 1;
    }
    for (size_t i = 0; i < run.window; i++) {
        run.slots[i].command = NULL;
    }
    while (next < count || run.used > 0) {
        run_fill(&run, commands, count, &next);
        HRESULT hr = transport->ops->poll(transport, run_retry_due(&run), err);
        if (FAILED(hr)) {
            run.is_stopped = false; /* nothing is under way any more */
            run_fail(&run, hr, commands, count, next);
            return hr;
        }
        if (run.is_stopped) {
            run_fail(&run, E_ABORT, commands, count, next);
            next = count;
        }
    }
    return S_OK;
}

void scsi_wait_any(struct scsi_transport *const *transports, size_t count, uint32_t timeout_ms)
{
    struct pollfd waits[MAX_WAITS];
    nfds_t used = 0;
    for (size_t i = 0; i < count && used < MAX_WAITS; i++) {
        struct scsi_transport *t = transports[i];
        struct pollfd *w = &waits[used++];
        *w = (struct pollfd){.fd = -1};
        if (t->ops->descriptor) {
            w->fd = t->ops->descriptor(t, &w->events, &timeout_ms);
        }
        if (w->fd < 0) {
            return;
        }
    }
    (void)poll(waits, used, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
}

HRESULT scsi_execute(struct scsi_transport *transport, struct scsi_command *command,
                     struct error *err)
{
    HRESULT hr = scsi_run(transport, command, 1, 1, err);
    return FAILED(hr) ? hr : scsi_error(transport, command, err);
}

/* "LUN 3: Read(16) at block 2048" */
static void command_text(const struct scsi_command *c, char out[COMMAND_TEXT_SIZE])
{
    char name[48] = "";
    sg_get_command_name(c->cdb, 0, (int)sizeof(name), name);
    if (c->cdb_bytes == 16 && (c->cdb[0] == 0x88 || c->cdb[0] == 0x8a)) {
        (void)snprintf(out, COMMAND_TEXT_SIZE, "LUN %llu: %s at block %llu",
                       (unsigned long long)c->lun, name, (unsigned long long)be64_get(c->cdb + 2));
        return;
    }
    (void)snprintf(out, COMMAND_TEXT_SIZE, "LUN %llu: %s", (unsigned long long)c->lun, name);
}

static HRESULT sense_error(const struct scsi_transport *t, const struct scsi_command *c,
                           const char *what, struct error *err)
{
    char key[64] = "";
    char asc[128] = "";
    const struct scsi_sense_code *s = &c->sense;
    HRESULT hr = VSS_E_UNEXPECTED;
    const char *hint = "see the array's own log";
    if (s->key == SCSI_SENSE_ILLEGAL_REQUEST && s->asc == 0x25) {
        hr = VSS_E_OBJECT_NOT_FOUND;
        hint = "check the LUN number and that this initiator may see it";
    } else if (s->key == SCSI_SENSE_ILLEGAL_REQUEST && s->asc == 0x20) {
        hr = E_NOTIMPL;
        hint = "this LUN has no such command";
    } else if (s->key == SCSI_SENSE_DATA_PROTECT && s->asc == 0x27 && s->ascq == 0x07) {
        hr = VSS_E_INSUFFICIENT_STORAGE;
        hint = "give the array's pool more space";
    } else if (s->key == SCSI_SENSE_DATA_PROTECT) {
        hr = E_ACCESSDENIED;
        hint = "the array has this LUN write protected";
    } else if (s->is_completed) {
        hint = "it was done, but its data came to nothing beside this each time; see the array's "
               "own log";
    }
    return error_set(err, hr, "%s %s failed: %s, %s (%x/%02x/%02x); %s", t->name, what,
                     sg_get_sense_key_str(s->key, (int)sizeof(key), key),
                     sg_get_asc_ascq_str(s->asc, s->ascq, (int)sizeof(asc), asc), s->key, s->asc,
                     s->ascq, hint);
}

static const char *no_answer_text(HRESULT result)
{
    switch (result) {
    case E_INVALIDARG:
        return "cannot be sent: this transport has no such LUN number";
    case E_OUTOFMEMORY:
        return "could not be sent: not enough memory";
    case E_ABORT:
        return "was not sent: the LUN reported a change before it; identify it again";
    default:
        return "got no answer: the session is lost; open a new one and identify the LUN again";
    }
}

HRESULT scsi_error(const struct scsi_transport *transport, const struct scsi_command *command,
                   struct error *err)
{
    char what[COMMAND_TEXT_SIZE];
    if (SUCCEEDED(command->result) && command->status == SCSI_STATUS_GOOD) {
        return S_OK;
    }
    command_text(command, what);
    if (FAILED(command->result)) {
        return error_set(err, command->result, "%s %s %s", transport->name, what,
                         no_answer_text(command->result));
    }
    if (command->status == SCSI_STATUS_RESERVATION_CONFLICT) {
        return error_set(err, E_ACCESSDENIED,
                         "%s %s refused: another initiator holds a reservation on this LUN",
                         transport->name, what);
    }
    if (command->status == SCSI_STATUS_CHECK_CONDITION) {
        return sense_error(transport, command, what, err);
    }
    char status[64] = "";
    sg_get_scsi_status_str(command->status, (int)sizeof(status), status);
    return error_set(err, VSS_E_UNEXPECTED, "%s %s failed: %s (status %02xh) after %u tries",
                     transport->name, what, status, command->status, command->attempts);
}

HRESULT scsi_error_or_short(const struct scsi_transport *transport,
                            const struct scsi_command *command, struct error *err)
{
    HRESULT hr = scsi_error(transport, command, err);
    if (FAILED(hr) || command->transferred_bytes == command->data_bytes) {
        return hr;
    }
    char what[COMMAND_TEXT_SIZE];
    command_text(command, what);
    return error_set(err, VSS_E_UNEXPECTED,
                     "%s %s moved %u of %u bytes and called that good; see the array's own log",
                     transport->name, what, command->transferred_bytes, command->data_bytes);
}

void scsi_close(struct scsi_transport *transport)
{
    if (transport) {
        transport->ops->close(transport);
    }
}

/* What is cut off before its ASC is not believed to be good news. */
static bool is_completed(const struct sg_scsi_sense_hdr *header, const uint8_t *sense,
                         size_t length)
{
    bool is_fixed = header->response_code == 0x70;
    bool is_current = is_fixed || header->response_code == 0x72;
    bool is_good =
        header->sense_key == SCSI_SENSE_NO_SENSE || header->sense_key == SCSI_SENSE_RECOVERED_ERROR;
    return is_current && is_good && length >= (is_fixed ? SENSE_FIXED_BYTES : SENSE_HEADER_BYTES) &&
           !sg_get_sense_filemark_eom_ili(sense, (int)length, NULL, NULL, NULL);
}

bool scsi_sense_parse(const uint8_t *sense, size_t length, struct scsi_sense_code *out)
{
    struct sg_scsi_sense_hdr header;
    memset(out, 0, sizeof(*out));
    /* Fixed format with fewer than 14 bytes has a key but no ASC: the library leaves those zero. */
    if (length > 252 || !sg_scsi_normalize_sense(sense, (int)length, &header)) {
        return false;
    }
    out->key = header.sense_key;
    out->asc = header.asc;
    out->ascq = header.ascq;
    out->is_completed = is_completed(&header, sense, length);
    return true;
}

static void trace(const struct scsi_transport *t, const struct scsi_command *c)
{
    char cdb[3 * sizeof(c->cdb) + 1] = "";
    size_t bytes = c->cdb_bytes < sizeof(c->cdb) ? c->cdb_bytes : sizeof(c->cdb);
    for (size_t i = 0; i < bytes; i++) {
        (void)snprintf(cdb + 3 * i, 4, "%02x ", c->cdb[i]);
    }
    log_line(LOG_TRACE,
             "scsi %s lun=%llu cdb=%sresult=%08x status=%02x sense=%x/%02x/%02x bytes=%u/%u us=%u",
             t->name, (unsigned long long)c->lun, cdb, (unsigned)c->result, c->status, c->sense.key,
             c->sense.asc, c->sense.ascq, c->transferred_bytes, c->data_bytes, c->duration_us);
}

static void remark(struct scsi_transport *t, const struct scsi_command *c)
{
    char what[COMMAND_TEXT_SIZE];
    char key[64] = "";
    char asc[128] = "";
    if (t->has_remarked) {
        return;
    }
    t->has_remarked = true;
    command_text(c, what);
    log_line(LOG_WARNING,
             "%s %s was done, with a remark: %s, %s (%x/%02x/%02x); see the array's own log",
             t->name, what, sg_get_sense_key_str(c->sense.key, (int)sizeof(key), key),
             sg_get_asc_ascq_str(c->sense.asc, c->sense.ascq, (int)sizeof(asc), asc), c->sense.key,
             c->sense.asc, c->sense.ascq);
}

void scsi_finish(struct scsi_transport *transport, struct scsi_command *command)
{
    command->done = true;
    if (SUCCEEDED(command->result) && command->status == SCSI_STATUS_CHECK_CONDITION &&
        command->sense.is_completed) {
        remark(transport, command);
        command->status = has_withheld_data(command) ? command->status : SCSI_STATUS_GOOD;
    }
    if (log_wants(LOG_TRACE)) {
        trace(transport, command);
    }
    if (command->on_done) {
        command->on_done(command, command->user);
    }
}

static void build(struct scsi_command *c, uint64_t lun, uint8_t opcode, uint8_t cdb_bytes)
{
    memset(c, 0, sizeof(*c));
    c->lun = lun;
    c->cdb[0] = opcode;
    c->cdb_bytes = cdb_bytes;
}

static void set_data(struct scsi_command *c, enum scsi_direction direction, void *data,
                     uint32_t bytes)
{
    c->direction = bytes > 0 ? direction : SCSI_NO_DATA;
    c->data = data;
    c->data_bytes = bytes;
}

void scsi_build_test_unit_ready(struct scsi_command *c, uint64_t lun)
{
    build(c, lun, 0x00, 6);
}

void scsi_build_inquiry(struct scsi_command *c, uint64_t lun, int vpd_page, void *data,
                        uint16_t bytes)
{
    build(c, lun, 0x12, 6);
    if (vpd_page >= 0) {
        c->cdb[1] = 0x01;
        c->cdb[2] = (uint8_t)vpd_page;
    }
    be16_put(c->cdb + 3, bytes);
    set_data(c, SCSI_DATA_IN, data, bytes);
}

void scsi_build_read_capacity16(struct scsi_command *c, uint64_t lun, void *data, uint32_t bytes)
{
    build(c, lun, 0x9e, 16);
    c->cdb[1] = 0x10;
    be32_put(c->cdb + 10, bytes);
    set_data(c, SCSI_DATA_IN, data, bytes);
}

void scsi_build_report_luns(struct scsi_command *c, void *data, uint32_t bytes)
{
    build(c, 0, 0xa0, 12);
    be32_put(c->cdb + 6, bytes);
    set_data(c, SCSI_DATA_IN, data, bytes);
}

static void build_rw16(struct scsi_command *c, uint64_t lun, uint8_t opcode, uint64_t lba,
                       uint32_t blocks)
{
    build(c, lun, opcode, 16);
    be64_put(c->cdb + 2, lba);
    be32_put(c->cdb + 10, blocks);
}

void scsi_build_read16(struct scsi_command *c, uint64_t lun, uint64_t lba, uint32_t blocks,
                       uint32_t block_bytes, void *data)
{
    build_rw16(c, lun, 0x88, lba, blocks);
    set_data(c, SCSI_DATA_IN, data, blocks * block_bytes);
}

void scsi_build_write16(struct scsi_command *c, uint64_t lun, uint64_t lba, uint32_t blocks,
                        uint32_t block_bytes, const void *data, bool force_unit_access)
{
    build_rw16(c, lun, 0x8a, lba, blocks);
    c->cdb[1] = force_unit_access ? 0x08 : 0x00;
    /* data-out is only read; the field is shared with data-in */
    set_data(c, SCSI_DATA_OUT, (void *)(uintptr_t)data, blocks * block_bytes);
}

void scsi_build_synchronize_cache(struct scsi_command *c, uint64_t lun)
{
    build(c, lun, 0x35, 10);
    c->timeout_ms = FLUSH_TIMEOUT_MS;
}

void scsi_build_lba_status(struct scsi_command *c, uint64_t lun, uint64_t lba, void *data,
                           uint32_t bytes)
{
    build(c, lun, 0x9e, 16);
    c->cdb[1] = 0x12;
    be64_put(c->cdb + 2, lba);
    be32_put(c->cdb + 10, bytes);
    set_data(c, SCSI_DATA_IN, data, bytes);
}

void scsi_build_write_same16_unmap(struct scsi_command *c, uint64_t lun, uint64_t lba,
                                   uint32_t blocks, uint32_t block_bytes, const void *block)
{
    build_rw16(c, lun, 0x93, lba, blocks);
    c->cdb[1] = 0x08;
    set_data(c, SCSI_DATA_OUT, (void *)(uintptr_t)block, block_bytes); /* only read */
}

/* PERSISTENT RESERVE OUT (SPC-4 6.14) */
static HRESULT pr_out(struct scsi_transport *t, uint64_t lun, uint8_t action, uint64_t key,
                      uint64_t action_key, struct error *err)
{
    struct scsi_command c;
    uint8_t data[PR_OUT_BYTES] = {0};
    build(&c, lun, 0x5f, 10);
    c.cdb[1] = action;
    c.cdb[2] = action == 0x00 ? 0 : SCSI_PR_WRITE_EXCLUSIVE_REGISTRANTS_ONLY;
    be32_put(c.cdb + 5, PR_OUT_BYTES);
    be64_put(data, key);
    be64_put(data + 8, action_key);
    set_data(&c, SCSI_DATA_OUT, data, PR_OUT_BYTES);
    return scsi_execute(t, &c, err);
}

HRESULT scsi_pr_register(struct scsi_transport *transport, uint64_t lun, uint64_t old_key,
                         uint64_t new_key, struct error *err)
{
    return pr_out(transport, lun, 0x00, old_key, new_key, err);
}

HRESULT scsi_pr_reserve(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                        struct error *err)
{
    return pr_out(transport, lun, 0x01, key, 0, err);
}

HRESULT scsi_pr_release(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                        struct error *err)
{
    return pr_out(transport, lun, 0x02, key, 0, err);
}

HRESULT scsi_pr_preempt(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                        uint64_t victim_key, struct error *err)
{
    return pr_out(transport, lun, 0x04, key, victim_key, err);
}

HRESULT scsi_pr_preempt_and_abort(struct scsi_transport *transport, uint64_t lun, uint64_t key,
                                  uint64_t victim_key, struct error *err)
{
    struct error why = {0};
    HRESULT hr = pr_out(transport, lun, 0x05, key, victim_key, &why);
    if (SUCCEEDED(hr) || FAILED(scsi_pr_preempt(transport, lun, key, victim_key, NULL))) {
        return SUCCEEDED(hr) ? hr : error_set(err, hr, "%s", error_text(&why));
    }
    return S_OK;
}

HRESULT scsi_pr_read_reservation(struct scsi_transport *transport, uint64_t lun, uint64_t *out_key,
                                 uint8_t *out_type, struct error *err)
{
    struct scsi_command c;
    uint8_t data[24] = {0};
    *out_key = 0;
    *out_type = 0;
    build(&c, lun, 0x5e, 10); /* PERSISTENT RESERVE IN, READ RESERVATION (SPC-4 6.13.3) */
    c.cdb[1] = 0x01;
    be16_put(c.cdb + 7, sizeof(data));
    set_data(&c, SCSI_DATA_IN, data, sizeof(data));
    HRESULT hr = scsi_execute(transport, &c, err);
    if (FAILED(hr)) {
        return hr;
    }
    uint32_t length = c.transferred_bytes >= 8 ? be32_get(data + 4) : 0;
    if (c.transferred_bytes < 8 || (length > 0 && (length < 16 || c.transferred_bytes < 24))) {
        return error_set(err, VSS_E_UNEXPECTED, "%s LUN %llu: a reservation of %u bytes is none",
                         transport->name, (unsigned long long)lun, length);
    }
    if (length == 0) {
        return S_FALSE;
    }
    *out_key = be64_get(data + 8);
    *out_type = data[21] & 0x0f;
    return S_OK;
}

/* Copies the keys of a READ KEYS answer of which got bytes arrived. */
static HRESULT take_keys(const struct scsi_transport *t, uint64_t lun, const uint8_t *data,
                         uint32_t got, uint64_t *keys, size_t capacity, size_t *out_count,
                         struct error *err)
{
    uint32_t length = got >= 8 ? be32_get(data + 4) : 0;
    if (got < 8 || length % 8 != 0 || length > got - 8) {
        return error_set(err, VSS_E_UNEXPECTED,
                         "%s LUN %llu: the list of reservation keys says %u bytes, %u arrived",
                         t->name, (unsigned long long)lun, length, got);
    }
    size_t count = length / 8;
    for (size_t i = 0; i < count && i < capacity; i++) {
        keys[i] = be64_get(data + 8 + 8 * i);
    }
    *out_count = count;
    return S_OK;
}

HRESULT scsi_pr_read_keys(struct scsi_transport *transport, uint64_t lun, uint64_t *keys,
                          size_t capacity, size_t *out_count, struct error *err)
{
    struct scsi_command c;
    const uint16_t bytes = 8 + 8 * SCSI_PR_KEYS_MAX;
    *out_count = 0;
    uint8_t *data = calloc(1, bytes);
    if (!data) {
        return error_set(err, E_OUTOFMEMORY, "no memory for the list of reservation keys");
    }
    build(&c, lun, 0x5e, 10); /* PERSISTENT RESERVE IN, READ KEYS (SPC-4 6.13) */
    be16_put(c.cdb + 7, bytes);
    set_data(&c, SCSI_DATA_IN, data, bytes);
    HRESULT hr = scsi_execute(transport, &c, err);
    if (SUCCEEDED(hr)) {
        hr = take_keys(transport, lun, data, c.transferred_bytes, keys, capacity, out_count, err);
    }
    free(data);
    return hr;
}
