/* SPDX-License-Identifier: Apache-2.0 */
#include "lun/scsi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_ANSWERS 64

/* What the fake says to the next commands, in order; GOOD with all data when it runs out. */
struct answer {
    uint8_t status;
    struct scsi_sense_code sense;
    uint32_t short_by;
};

struct fake {
    struct scsi_transport transport;
    struct answer answers[MAX_ANSWERS];
    size_t answer_count;
    size_t next_answer;
    struct scsi_command *queue[MAX_ANSWERS];
    size_t queued;
    size_t most_queued;
    size_t submitted;
    size_t dies_after; /* polls; 0: never */
    size_t polls;
};

static void fake_submit(struct scsi_transport *transport, struct scsi_command *command)
{
    struct fake *f = (struct fake *)transport;
    assert_true(f->queued < MAX_ANSWERS);
    f->queue[f->queued++] = command;
    f->submitted++;
    if (f->queued > f->most_queued) {
        f->most_queued = f->queued;
    }
}

static struct scsi_command *fake_take(struct fake *f)
{
    struct scsi_command *c = f->queue[0];
    f->queued--;
    memmove(f->queue, f->queue + 1, f->queued * sizeof(f->queue[0]));
    return c;
}

/* One command per poll, so that the window shows. */
static HRESULT fake_poll(struct scsi_transport *transport, uint32_t timeout_ms, struct error *err)
{
    struct fake *f = (struct fake *)transport;
    (void)timeout_ms;
    if (f->dies_after && ++f->polls >= f->dies_after) {
        while (f->queued > 0) {
            struct scsi_command *c = fake_take(f);
            c->result = VSS_E_UNEXPECTED;
            scsi_finish(transport, c);
        }
        return error_set(err, VSS_E_UNEXPECTED, "fake died");
    }
    if (f->queued == 0) {
        return S_OK;
    }
    struct scsi_command *c = fake_take(f);
    c->result = S_OK;
    c->transferred_bytes = c->data_bytes;
    if (f->next_answer < f->answer_count) {
        const struct answer *a = &f->answers[f->next_answer++];
        c->status = a->status;
        c->sense = a->sense;
        c->transferred_bytes -= a->short_by;
    }
    scsi_finish(transport, c);
    return S_OK;
}

static void fake_close(struct scsi_transport *transport)
{
    ((struct fake *)transport)->submitted = 0;
}

static const struct scsi_transport_ops fake_ops = {fake_submit, fake_poll, fake_close, NULL};

static struct fake make_fake(void)
{
    struct fake f;
    memset(&f, 0, sizeof(f));
    f.transport.ops = &fake_ops;
    f.transport.name = "fake://array/target";
    f.transport.max_in_flight = 32;
    return f;
}

static void say(struct fake *f, size_t times, struct answer answer)
{
    for (size_t i = 0; i < times; i++) {
        f->answers[f->answer_count++] = answer;
    }
}

static const struct answer attention = {
    SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_UNIT_ATTENTION, 0x29, 0x00, false}, 0};

static HRESULT execute(struct fake *f, struct error *err)
{
    struct scsi_command c;
    scsi_build_test_unit_ready(&c, 3);
    return scsi_execute(&f->transport, &c, err);
}

static void test_unit_attention(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct error err = {0};
    say(&f, 4, attention);
    assert_int_equal(execute(&f, &err), S_OK);
    assert_int_equal(f.submitted, 5);

    f = make_fake();
    say(&f, 5, attention);
    assert_int_equal(execute(&f, &err), VSS_E_UNEXPECTED);
    assert_int_equal(f.submitted, 5);
    assert_non_null(strstr(err.text, "LUN 3"));
    assert_non_null(strstr(err.text, "6/29/00"));
}

static void test_busy(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct error err = {0};
    say(&f, 2, (struct answer){SCSI_STATUS_BUSY, {0}, 0});
    say(&f, 1, (struct answer){SCSI_STATUS_TASK_SET_FULL, {0}, 0});
    say(&f, 1, attention);
    assert_int_equal(execute(&f, &err), S_OK);
    assert_int_equal(f.submitted, 5);

    f = make_fake();
    say(&f, 9, (struct answer){SCSI_STATUS_BUSY, {0}, 0});
    assert_int_equal(execute(&f, &err), VSS_E_UNEXPECTED);
    assert_int_equal(f.submitted, 9);
    assert_non_null(strstr(err.text, "9 tries"));
}

static void count_done(struct scsi_command *command, void *user)
{
    assert_true(command->done);
    ++*(size_t *)user;
}

static void test_window_and_callbacks(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct scsi_command commands[40];
    size_t done = 0;
    say(&f, 3, attention);
    for (size_t i = 0; i < 40; i++) {
        scsi_build_test_unit_ready(&commands[i], i);
        commands[i].on_done = count_done;
        commands[i].user = &done;
    }
    assert_int_equal(scsi_run(&f.transport, commands, 40, 5, NULL), S_OK);
    assert_int_equal(done, 40);
    assert_int_equal(f.submitted, 43);
    assert_int_equal(f.most_queued, 5);
    for (size_t i = 0; i < 40; i++) {
        assert_true(commands[i].done);
        assert_int_equal(commands[i].status, SCSI_STATUS_GOOD);
        assert_ptr_equal(commands[i].on_done, count_done);
    }
    f.most_queued = 0;
    f.transport.max_in_flight = 2;
    assert_int_equal(scsi_run(&f.transport, commands, 40, 5, NULL), S_OK);
    assert_int_equal(f.most_queued, 2);
    assert_int_equal(scsi_run(&f.transport, commands, 40, 0, NULL), S_OK);
    assert_int_equal(scsi_run(&f.transport, NULL, 0, 5, NULL), S_OK);
}

/* A unit attention that one of them ends at: what is not sent by then never is. */
static void test_attention_that_ends_a_run(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct scsi_command commands[20];
    size_t done = 0;
    say(&f, 1, (struct answer){SCSI_STATUS_GOOD, {0}, 0});
    say(&f, 1, (struct answer){SCSI_STATUS_BUSY, {0}, 0});
    say(&f, 1, attention);
    say(&f, 1, (struct answer){SCSI_STATUS_BUSY, {0}, 0});
    for (size_t i = 0; i < 20; i++) {
        scsi_build_test_unit_ready(&commands[i], i);
        commands[i].on_done = count_done;
        commands[i].user = &done;
        commands[i].ends_at_attention = true;
    }
    assert_int_equal(scsi_run(&f.transport, commands, 20, 5, NULL), S_OK);
    assert_int_equal(done, 20);
    assert_int_equal(f.transport.attentions, 1);
    assert_int_equal(f.submitted, 6); /* five, and one for the first that was done */
    assert_true(scsi_is_attention(&commands[2]));
    size_t good = 0;
    size_t aborted = 0;
    for (size_t i = 0; i < 20; i++) {
        assert_ptr_equal(commands[i].on_done, count_done);
        good += commands[i].result == S_OK && commands[i].status == SCSI_STATUS_GOOD;
        aborted += commands[i].result == E_ABORT;
    }
    assert_int_equal(good, 3);
    assert_int_equal(aborted, 16); /* the two that were busy, and those behind */
    f = make_fake();
    say(&f, 2, attention);
    assert_int_equal(execute(&f, NULL), S_OK);
    assert_int_equal(f.transport.attentions, 2); /* counted too where it is sent again */
}

static void test_transport_dies(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct scsi_command commands[10];
    struct error err = {0};
    size_t done = 0;
    f.dies_after = 4;
    say(&f, 1, (struct answer){SCSI_STATUS_BUSY, {0}, 0}); /* waits for its retry at the end */
    for (size_t i = 0; i < 10; i++) {
        scsi_build_test_unit_ready(&commands[i], i);
        commands[i].on_done = count_done;
        commands[i].user = &done;
    }
    assert_int_equal(scsi_run(&f.transport, commands, 10, 3, &err), VSS_E_UNEXPECTED);
    assert_string_equal(err.text, "fake died");
    assert_int_equal(done, 10);
    size_t good = 0;
    for (size_t i = 0; i < 10; i++) {
        assert_true(commands[i].done);
        good += SUCCEEDED(commands[i].result);
    }
    assert_int_equal(good, 2);
    error_clear(&err);
    assert_int_equal(scsi_error(&f.transport, &commands[9], &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "session is lost"));
}

static void test_short_data(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct scsi_command c;
    struct error err = {0};
    uint8_t data[1024];
    say(&f, 1, (struct answer){SCSI_STATUS_GOOD, {0}, 512});
    scsi_build_read16(&c, 1, 7, 2, 512, data);
    assert_int_equal(scsi_execute(&f.transport, &c, &err), S_OK);
    assert_int_equal(c.transferred_bytes, 512);
    assert_int_equal(scsi_error_or_short(&f.transport, &c, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "512 of 1024"));
    assert_non_null(strstr(err.text, "block 7"));
}

static void test_meaning(void **state)
{
    (void)state;
    static const struct {
        struct answer answer;
        HRESULT expected;
    } rows[] = {
        {{SCSI_STATUS_RESERVATION_CONFLICT, {0}, 0}, E_ACCESSDENIED},
        {{SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_DATA_PROTECT, 0x27, 0x00, false}, 0},
         E_ACCESSDENIED},
        {{SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_DATA_PROTECT, 0x27, 0x07, false}, 0},
         VSS_E_INSUFFICIENT_STORAGE},
        {{SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_ILLEGAL_REQUEST, 0x25, 0x00, false}, 0},
         VSS_E_OBJECT_NOT_FOUND},
        {{SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_ILLEGAL_REQUEST, 0x24, 0x00, false}, 0},
         VSS_E_UNEXPECTED},
        {{SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_MEDIUM_ERROR, 0x11, 0x00, false}, 0},
         VSS_E_UNEXPECTED},
        {{0x40, {0}, 0}, VSS_E_UNEXPECTED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fake f = make_fake();
        struct error err = {0};
        say(&f, 1, rows[i].answer);
        assert_int_equal(execute(&f, &err), rows[i].expected);
        assert_non_null(strstr(err.text, "fake://array/target"));
    }
}

static void test_sense(void **state)
{
    (void)state;
    static const uint8_t fixed[18] = {0x70, 0, 0x06, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3f, 0x0e};
    static const uint8_t descriptor[8] = {0x72, 0x05, 0x25, 0x00};
    struct scsi_sense_code code;
    assert_true(scsi_sense_parse(fixed, sizeof(fixed), &code));
    assert_int_equal(code.key, 6);
    assert_int_equal(code.asc, 0x3f);
    assert_int_equal(code.ascq, 0x0e);
    assert_true(scsi_sense_parse(descriptor, sizeof(descriptor), &code));
    assert_int_equal(code.key, 5);
    assert_int_equal(code.asc, 0x25);
    for (size_t length = 0; length <= sizeof(fixed); length++) {
        uint8_t *exact = malloc(length + 1); /* a read past length is the sanitizer's to find */
        assert_non_null(exact);
        exact = realloc(exact, length ? length : 1);
        assert_non_null(exact);
        memcpy(exact, fixed, length);
        bool is_sense = scsi_sense_parse(exact, length, &code);
        assert_true(length < 3 ? code.key == 0 : is_sense && code.key == 6);
        free(exact);
    }
    uint8_t junk[4] = {0x12, 0x34, 0x56, 0x78};
    assert_false(scsi_sense_parse(junk, sizeof(junk), &code));
    assert_int_equal(code.key, 0);
}

/* RECOVERED ERROR, failure prediction threshold exceeded: SPC-4 calls that a command that is done.
 */
static const struct answer remark = {
    SCSI_STATUS_CHECK_CONDITION, {SCSI_SENSE_RECOVERED_ERROR, 0x5d, 0x00, true}, 0};

static void test_done_with_a_remark(void **state)
{
    (void)state;
    struct fake f = make_fake();
    struct scsi_command c;
    struct error err = {0};
    uint8_t data[1024] = {0};
    say(&f, 2, remark);
    assert_int_equal(execute(&f, NULL), S_OK);
    scsi_build_write16(&c, 1, 7, 2, 512, data, false);
    assert_int_equal(scsi_execute(&f.transport, &c, NULL), S_OK);
    assert_int_equal(c.status, SCSI_STATUS_GOOD);
    assert_int_equal(scsi_error_or_short(&f.transport, &c, NULL), S_OK);
    assert_int_equal(f.submitted, 2); /* what is done is not done again */

    f = make_fake(); /* a write that was not whole is none, remark or not */
    say(&f, 1, (struct answer){remark.status, remark.sense, 512});
    assert_int_equal(scsi_execute(&f.transport, &c, NULL), S_OK);
    assert_int_equal(scsi_error_or_short(&f.transport, &c, NULL), VSS_E_UNEXPECTED);

    f = make_fake(); /* how much of a read came is not known: again, and not for ever */
    say(&f, 4, remark);
    scsi_build_read16(&c, 1, 7, 2, 512, data);
    assert_int_equal(scsi_execute(&f.transport, &c, NULL), S_OK);
    assert_int_equal(f.submitted, 5);
    f = make_fake();
    say(&f, 5, remark);
    assert_int_equal(scsi_execute(&f.transport, &c, &err), VSS_E_UNEXPECTED);
    assert_int_equal(f.submitted, 5);
    assert_non_null(strstr(err.text, "1/5d/00"));
}

static bool parses_as_completed(const uint8_t *sense, size_t length)
{
    struct scsi_sense_code code;
    (void)scsi_sense_parse(sense, length, &code);
    return code.is_completed;
}

static void test_which_sense_is_no_failure(void **state)
{
    (void)state;
    uint8_t fixed[18] = {0x70, 0, 0x01, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x5d, 0x00};
    uint8_t descriptor[8] = {0x72, 0x01, 0x5d, 0x00};
    assert_true(parses_as_completed(fixed, sizeof(fixed)));
    assert_true(parses_as_completed(descriptor, sizeof(descriptor)));
    for (size_t length = 0; length < 14; length++) {
        assert_false(parses_as_completed(fixed, length));
    }
    for (size_t length = 0; length < sizeof(descriptor); length++) {
        assert_false(parses_as_completed(descriptor, length));
    }
    fixed[0] = 0x71; /* of an earlier command: that has failed, or this one was not begun */
    descriptor[0] = 0x73;
    assert_false(parses_as_completed(fixed, sizeof(fixed)));
    assert_false(parses_as_completed(descriptor, sizeof(descriptor)));
    fixed[0] = 0xf0;
    descriptor[0] = 0x72;
    for (uint8_t key = 0; key < 16; key++) {
        fixed[2] = descriptor[1] = key;
        assert_true(parses_as_completed(fixed, sizeof(fixed)) == (key < 2));
        assert_true(parses_as_completed(descriptor, sizeof(descriptor)) == (key < 2));
    }
    for (uint8_t mark = 0x20; mark != 0; mark = (uint8_t)(mark << 1)) {
        fixed[2] = mark; /* ILI, EOM, filemark */
        assert_false(parses_as_completed(fixed, sizeof(fixed)));
    }
    static const uint8_t nothing[18] = {0};
    assert_false(parses_as_completed(nothing, sizeof(nothing)));
}

static void assert_cdb(const struct scsi_command *c, const char *bytes, size_t count)
{
    assert_int_equal(c->cdb_bytes, count);
    assert_memory_equal(c->cdb, bytes, count);
}

static void test_builders(void **state)
{
    (void)state;
    struct scsi_command c;
    uint8_t data[8192];
    scsi_build_inquiry(&c, 9, 0x83, data, 1024);
    assert_cdb(&c, "\x12\x01\x83\x04\x00\x00", 6);
    assert_int_equal(c.lun, 9);
    assert_int_equal(c.direction, SCSI_DATA_IN);
    scsi_build_inquiry(&c, 9, -1, data, 96);
    assert_cdb(&c, "\x12\x00\x00\x00\x60\x00", 6);
    scsi_build_read_capacity16(&c, 1, data, 32);
    assert_cdb(&c, "\x9e\x10\0\0\0\0\0\0\0\0\0\0\0\x20\0\0", 16);
    scsi_build_report_luns(&c, data, 4096);
    assert_cdb(&c, "\xa0\0\0\0\0\0\0\0\x10\0\0\0", 12);
    scsi_build_write16(&c, 1, 0x0102030405060708, 2, 4096, data, true);
    assert_cdb(&c, "\x8a\x08\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x02\0\0", 16);
    assert_int_equal(c.data_bytes, 8192);
    assert_int_equal(c.direction, SCSI_DATA_OUT);
    scsi_build_read16(&c, 1, 1, 16, 512, data);
    assert_cdb(&c, "\x88\0\0\0\0\0\0\0\0\x01\0\0\0\x10\0\0", 16);
    scsi_build_synchronize_cache(&c, 1);
    assert_cdb(&c, "\x35\0\0\0\0\0\0\0\0\0", 10);
    assert_int_equal(c.direction, SCSI_NO_DATA);
}

/* ---- persistent reservations ---- */

static uint8_t pr_data[64];
static struct scsi_command pr_command;
static uint32_t pr_answer_bytes;

static void pr_submit(struct scsi_transport *transport, struct scsi_command *command)
{
    fake_submit(transport, command);
    pr_command = *command;
    if (command->direction == SCSI_DATA_OUT) {
        memcpy(pr_data, command->data, command->data_bytes);
    } else {
        memcpy(command->data, pr_data, sizeof(pr_data));
        ((struct fake *)transport)->answers[0].short_by = command->data_bytes - pr_answer_bytes;
        ((struct fake *)transport)->next_answer = 0;
        ((struct fake *)transport)->answer_count = 1;
    }
}

static const struct scsi_transport_ops pr_ops = {pr_submit, fake_poll, fake_close, NULL};

static void test_reservation_commands(void **state)
{
    (void)state;
    struct fake f = make_fake();
    f.transport.ops = &pr_ops;
    assert_int_equal(scsi_pr_register(&f.transport, 2, 0, 0xabcd, NULL), S_OK);
    assert_cdb(&pr_command, "\x5f\0\0\0\0\0\0\0\x18\0", 10);
    assert_memory_equal(pr_data, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xab\xcd\0\0\0\0\0\0\0\0", 24);
    assert_int_equal(scsi_pr_preempt(&f.transport, 2, 0x11, 0x22, NULL), S_OK);
    assert_cdb(&pr_command, "\x5f\x04\x05\0\0\0\0\0\x18\0", 10);
    assert_memory_equal(pr_data, "\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0\x22", 16);
    assert_int_equal(scsi_pr_reserve(&f.transport, 2, 0x11, NULL), S_OK);
    assert_cdb(&pr_command, "\x5f\x01\x05\0\0\0\0\0\x18\0", 10);
    assert_int_equal(scsi_pr_release(&f.transport, 2, 0x11, NULL), S_OK);
    assert_cdb(&pr_command, "\x5f\x02\x05\0\0\0\0\0\x18\0", 10);
}

static void test_read_keys(void **state)
{
    (void)state;
    static const uint8_t two_keys[] = {0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 0,
                                       0, 0, 0, 5, 0, 0, 0, 0,  0, 0, 0, 6};
    struct fake f = make_fake();
    uint64_t keys[1] = {0};
    size_t count = 0;
    f.transport.ops = &pr_ops;
    memcpy(pr_data, two_keys, sizeof(two_keys));
    pr_answer_bytes = sizeof(two_keys);
    assert_int_equal(scsi_pr_read_keys(&f.transport, 2, keys, 1, &count, NULL), S_OK);
    assert_int_equal(count, 2);
    assert_true(keys[0] == 5);
    assert_int_equal(scsi_pr_read_keys(&f.transport, 2, NULL, 0, &count, NULL), S_OK);
    assert_int_equal(count, 2);
    for (uint32_t cut = 0; cut < sizeof(two_keys); cut++) {
        pr_answer_bytes = cut;
        assert_int_equal(scsi_pr_read_keys(&f.transport, 2, keys, 1, &count, NULL),
                         VSS_E_UNEXPECTED);
        assert_int_equal(count, 0);
    }
    pr_answer_bytes = sizeof(two_keys);
    pr_data[4] = 0xff; /* a length far past the answer */
    assert_int_equal(scsi_pr_read_keys(&f.transport, 2, keys, 1, &count, NULL), VSS_E_UNEXPECTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unit_attention),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_window_and_callbacks),
        cmocka_unit_test(test_attention_that_ends_a_run),
        cmocka_unit_test(test_transport_dies),
        cmocka_unit_test(test_short_data),
        cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_sense),
        cmocka_unit_test(test_done_with_a_remark),
        cmocka_unit_test(test_which_sense_is_no_failure),
        cmocka_unit_test(test_builders),
        cmocka_unit_test(test_reservation_commands),
        cmocka_unit_test(test_read_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
