/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, LUNs and scans against a private tgtd. */
#include "common/clock.h"
#include "lab/lab.h"
#include "lun/scan.h"
#include "lun/volume.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cmocka.h>

#define TARGET      "iqn.2026-11.org.lunshadow.test:disks"
#define CHAP_TARGET "iqn.2026-11.org.lunshadow.test:chap"
#define MANY_TARGET "iqn.2026-11.org.lunshadow.test:many"
#define BLOCKS      32768u /* of 512: 16 MiB */
#define SECRET      "hunter2hunter2"

static char base[] = "/tmp/lunshadow-iscsi-XXXXXX";
static struct lab *lab;

static void must(HRESULT hr, const struct error *err)
{
    if (FAILED(hr)) {
        fail_msg("%08x %s", (unsigned)hr, err->text);
    }
}

static void add_lun(const char *target, uint32_t number, const char *file, uint32_t block_bytes)
{
    struct error err = {0};
    struct lab_lun_options options = {.target = target,
                                      .lun = number,
                                      .file = file,
                                      .bytes = BLOCKS * 512ull,
                                      .block_bytes = block_bytes};
    must(lab_add_lun(lab, &options, &err), &err);
}

static void tgtadm(const char *const arguments[])
{
    struct error err = {0};
    must(lab_tgtadm(lab, arguments, NULL, &err), &err);
}

static void bring_up(void)
{
    char directory[80];
    struct error err = {0};
    (void)snprintf(directory, sizeof(directory), "%s/lab", base);
    struct lab_options options = {.directory = directory, .plain_directory = true};
    must(lab_up(&options, &lab, &err), &err);
    add_lun(TARGET, 1, "one.img", 512);
    add_lun(TARGET, 2, "two.img", 4096);
    add_lun(TARGET, 300, "far.img", 512);
}

static int group_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(base));
    bring_up();
    return 0;
}

static int group_down(void **state)
{
    (void)state;
    struct error err = {0};
    must(lab_down(lab, &err), &err);
    return rmdir(base);
}

static const char *url_of(const char *target, unsigned number)
{
    static char url[4][300];
    static unsigned next;
    char *out = url[next++ % 4];
    (void)snprintf(out, sizeof(url[0]), "iscsi://%s/%s/%u", lab->portal, target, number);
    return out;
}

static struct lun *open_lun(const char *target, unsigned number, bool read_only)
{
    struct lun *lun = NULL;
    struct error err = {0};
    must(lun_open(url_of(target, number), NULL, read_only, &lun, &err), &err);
    return lun;
}

static void assert_open_fails(const char *url, const struct lun_options *options, HRESULT expected,
                              const char *part)
{
    struct lun *lun = NULL;
    struct error err = {0};
    HRESULT hr = lun_open(url, options, true, &lun, &err);
    assert_null(lun);
    if (hr != expected || !strstr(err.text, part)) {
        fail_msg("%08x, not %08x with \"%s\": %s", (unsigned)hr, (unsigned)expected, part,
                 err.text);
    }
    assert_null(strstr(err.text, SECRET));
}

static int open_file(const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", lab->disks, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void fill(uint8_t *data, size_t bytes, uint32_t seed)
{
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24);
    }
}

static void check_identity(const struct lun *lun, uint32_t block_bytes)
{
    const char *reason = NULL;
    char key[LUN_KEY_BYTES];
    const struct vss_lun_info *info = &lun->identity.info;
    assert_int_equal(lun->block.block_bytes, block_bytes);
    assert_true(lun->block.block_count * block_bytes == BLOCKS * 512ull);
    assert_true(lun_info_is_unique(info, &reason));
    assert_memory_equal(lun_info_key(info, key), "naa.6", 5);
    assert_string_equal(info->vendor_id, "IET");
    assert_non_null(info->serial_number);
    assert_int_equal(info->bus_type, VDSBusTypeiScsi);
    assert_int_equal(info->interconnect_count, 1);
    assert_memory_equal(info->interconnects[0].port, TARGET, sizeof(TARGET) - 1);
}

/* Written through the session, read from the file, and the other way round; more than one command.
 */
static void check_io(unsigned number, const char *file, uint32_t block_bytes)
{
    const size_t bytes = 5u << 20;
    const uint64_t lba = 3;
    uint8_t *data = malloc(bytes);
    uint8_t *back = malloc(bytes);
    struct error err = {0};
    assert_non_null(data);
    assert_non_null(back);
    struct lun *lun = open_lun(TARGET, number, false);
    int fd = open_file(file);
    check_identity(lun, block_bytes);
    fill(data, bytes, number);
    must(block_write(&lun->block, lba, (uint32_t)(bytes / block_bytes), data, &err), &err);
    must(block_flush(&lun->block, &err), &err);
    assert_int_equal(pread(fd, back, bytes, (off_t)(lba * block_bytes)), bytes);
    assert_memory_equal(data, back, bytes);

    fill(data, bytes, number + 77);
    assert_int_equal(pwrite(fd, data, bytes, (off_t)(lba * block_bytes)), bytes);
    must(block_read(&lun->block, lba, (uint32_t)(bytes / block_bytes), back, &err), &err);
    assert_memory_equal(data, back, bytes);

    assert_int_equal(block_read(&lun->block, lun->block.block_count, 1, back, NULL), E_INVALIDARG);
    (void)close(fd);
    lun_close(lun);
    free(data);
    free(back);
}

static void test_read_and_write(void **state)
{
    (void)state;
    check_io(1, "one.img", 512);
    check_io(2, "two.img", 4096);
    check_io(300, "far.img", 512); /* beyond peripheral addressing */
}

static void test_read_only(void **state)
{
    (void)state;
    uint8_t data[512] = {0};
    struct lun *lun = open_lun(TARGET, 1, true);
    assert_int_equal(block_write(&lun->block, 0, 1, data, NULL), E_ACCESSDENIED);
    lun_close(lun);
}

static void test_identify_again(void **state)
{
    (void)state;
    struct error err = {0};
    struct vss_lun_info before;
    struct lun *lun = open_lun(TARGET, 1, true);
    struct lun *other = open_lun(TARGET, 2, true);
    must(lun_info_copy(&lun->identity.info, &before), &err);
    must(lun_identify(lun, &err), &err);
    assert_int_equal(lun_info_compare(&before, &lun->identity.info), LUN_SAME);
    assert_int_equal(lun_info_compare(&before, &other->identity.info), LUN_DIFFERENT);
    lun_info_free(&before);
    lun_close(lun);
    lun_close(other);
}

static void test_not_there(void **state)
{
    (void)state;
    char url[300];
    assert_open_fails(url_of(TARGET, 77), NULL, VSS_E_OBJECT_NOT_FOUND, "LUN 77");
    assert_open_fails(url_of("iqn.2026-11.org.lunshadow.test:no", 1), NULL, VSS_E_OBJECT_NOT_FOUND,
                      "test:no");
    assert_open_fails(url_of(TARGET, 0), NULL, VSS_E_VOLUME_NOT_SUPPORTED, "0ch");
    (void)snprintf(url, sizeof(url), "iscsi://127.0.0.1:1/%s/1", TARGET);
    assert_open_fails(url, NULL, VSS_E_OBJECT_NOT_FOUND, "127.0.0.1:1");
    (void)snprintf(url, sizeof(url), "iscsi://no-such-host.invalid/%s/1", TARGET);
    assert_open_fails(url, NULL, VSS_E_OBJECT_NOT_FOUND, "no-such-host.invalid");
}

/* A portal that takes the connection and says nothing. */
static void test_silent_portal(void **state)
{
    (void)state;
    char url[300];
    struct config *config = NULL;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(config_parse("[initiator]\ntimeout_ms=3000\n", "t", &config, NULL), S_OK);
    struct lun_options options = {.config = config};
    (void)snprintf(url, sizeof(url), "iscsi://127.0.0.1:%u/%s/1", ntohs(address.sin_port), TARGET);
    uint64_t start = clock_monotonic_us();
    assert_open_fails(url, &options, VSS_E_UNEXPECTED, "no answer to the login");
    uint64_t took_ms = (clock_monotonic_us() - start) / 1000;
    assert_true(took_ms >= 2990);
    (void)close(fd);
    config_free(config);
}

/* ---- CHAP ---- */

static void write_secret(char path[128], const char *secret)
{
    (void)snprintf(path, 128, "%s/secret", base);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, secret, strlen(secret)), strlen(secret));
    (void)close(fd);
}

static void open_with_portal_section(const char *secret, const char *more, HRESULT expected)
{
    char path[128];
    char text[600];
    struct config *config = NULL;
    struct lun *lun = NULL;
    struct error err = {0};
    write_secret(path, secret);
    (void)snprintf(text, sizeof(text),
                   "[portal other]\naddress=127.0.0.1:1\n[portal lab]\naddress=%s\nuser=me\n"
                   "secret_file=%s\n%s",
                   lab->portal, path, more);
    assert_int_equal(config_parse(text, "t", &config, NULL), S_OK);
    struct lun_options options = {.config = config};
    HRESULT hr = lun_open(url_of(CHAP_TARGET, 1), &options, true, &lun, &err);
    if (hr != expected) {
        fail_msg("%08x %s", (unsigned)hr, err.text);
    }
    assert_null(strstr(err.text, SECRET));
    assert_null(strstr(err.text, "wrongwrongwrong"));
    lun_close(lun);
    config_free(config);
    (void)unlink(path);
}

static void test_chap(void **state)
{
    (void)state;
    char url[400];
    add_lun(CHAP_TARGET, 1, "chap.img", 512);
    tgtadm((const char *const[]){"--op", "new", "--mode", "account", "--user", "me", "--password",
                                 SECRET, NULL});
    struct buffer show = BUFFER_INIT;
    must(lab_show(lab, &show, NULL), &(struct error){0});
    char tid[16] = "";
    const char *line = strstr(show.data, CHAP_TARGET);
    assert_non_null(line);
    while (line > show.data && line[-1] != '\n') {
        line--;
    }
    assert_int_equal(sscanf(line, "Target %15[0-9]", tid), 1);
    buffer_free(&show);
    tgtadm((const char *const[]){"--op", "bind", "--mode", "account", "--tid", tid, "--user", "me",
                                 NULL});

    assert_open_fails(url_of(CHAP_TARGET, 1), NULL, E_ACCESSDENIED, "CHAP");
    (void)snprintf(url, sizeof(url), "iscsi://me%%%s@%s/%s/1", SECRET, lab->portal, CHAP_TARGET);
    struct lun *lun = NULL;
    struct error err = {0};
    must(lun_open(url, NULL, true, &lun, &err), &err);
    assert_null(strstr(lun->url, SECRET));
    assert_null(strstr(lun->session->name, SECRET));
    lun_close(lun);
    (void)snprintf(url, sizeof(url), "iscsi://me%%%sx@%s/%s/1", SECRET, lab->portal, CHAP_TARGET);
    assert_open_fails(url, NULL, E_ACCESSDENIED, "CHAP");
    (void)snprintf(url, sizeof(url), "iscsi://you%%%s@%s/%s/1", SECRET, lab->portal, CHAP_TARGET);
    assert_open_fails(url, NULL, E_ACCESSDENIED, "CHAP");

    open_with_portal_section(SECRET "\nsecond line\n", "", S_OK);
    open_with_portal_section("wrongwrongwrong\n", "", E_ACCESSDENIED);
    open_with_portal_section("\n", "", E_INVALIDARG);
    open_with_portal_section(SECRET, "header_digest=crc32c\n", S_OK);
    open_with_portal_section(SECRET, "header_digest=none\n", S_OK);
    open_with_portal_section(SECRET, "header_digest=md5\n", E_INVALIDARG);
    open_with_portal_section(SECRET, "data_digest=crc32c\n", E_INVALIDARG);
    struct error down = {0};
    must(lab_remove_target(lab, CHAP_TARGET, &down), &down);
}

/* ---- reservations ---- */

static void test_reservation_is_a_conflict(void **state)
{
    (void)state;
    const uint64_t key = 0x1122334455667788;
    uint64_t keys[4] = {0};
    size_t count = 0;
    uint8_t data[512] = {0};
    struct error err = {0};
    struct lun *mine = open_lun(TARGET, 1, false);
    struct lun *theirs = NULL;
    struct lun_options options = {.initiator_name = "iqn.2026-11.org.lunshadow.test:second"};
    must(lun_open(url_of(TARGET, 1), &options, false, &theirs, &err), &err);

    must(scsi_pr_register(mine->session, 1, 0, key, &err), &err);
    must(scsi_pr_reserve(mine->session, 1, key, &err), &err);
    must(scsi_pr_read_keys(theirs->session, 1, keys, 4, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_true(keys[0] == key);
    must(block_write(&mine->block, 0, 1, data, &err), &err);
    assert_int_equal(block_write(&theirs->block, 0, 1, data, &err), E_ACCESSDENIED);
    assert_non_null(strstr(err.text, "reservation"));
    error_clear(&err);
    must(block_read(&theirs->block, 0, 1, data, &err), &err); /* type 5 fences writes only */

    must(scsi_pr_register(theirs->session, 1, 0, key + 1, &err), &err);
    must(scsi_pr_preempt(theirs->session, 1, key + 1, key, &err), &err);
    must(block_write(&theirs->block, 0, 1, data, &err), &err);
    assert_int_equal(block_write(&mine->block, 0, 1, data, NULL), E_ACCESSDENIED);
    must(scsi_pr_release(theirs->session, 1, key + 1, &err), &err);
    must(scsi_pr_register(theirs->session, 1, key + 1, 0, &err), &err);
    must(block_write(&mine->block, 0, 1, data, &err), &err);
    must(scsi_pr_read_keys(mine->session, 1, NULL, 0, &count, &err), &err);
    assert_int_equal(count, 0);
    lun_close(mine);
    lun_close(theirs);
}

/* ---- time limits and loss ---- */

static void test_timeout_is_real(void **state)
{
    (void)state;
    struct error err = {0};
    uint8_t data[16384];
    uint8_t before[16384];
    struct scsi_command c;
    struct lun *lun = open_lun(TARGET, 1, false);
    memset(data, 0x5a, sizeof(data));
    memcpy(before, data, sizeof(data));
    assert_int_equal(kill(lab->tgtd_pid, SIGSTOP), 0);
    scsi_build_read16(&c, 1, 0, sizeof(data) / 512, 512, data);
    c.timeout_ms = 300;
    uint64_t start = clock_monotonic_us();
    HRESULT hr = scsi_execute(lun->session, &c, &err);
    uint64_t took_ms = (clock_monotonic_us() - start) / 1000;
    assert_int_equal(kill(lab->tgtd_pid, SIGCONT), 0);
    assert_int_equal(hr, VSS_E_UNEXPECTED);
    assert_true(took_ms >= 300 && took_ms < 3000);
    assert_non_null(strstr(err.text, "in time"));

    /* the session is over for good, and the answer that comes now lands nowhere */
    clock_sleep_ms(200);
    error_clear(&err);
    assert_int_equal(block_write(&lun->block, 0, 1, data, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "in time"));
    assert_memory_equal(data, before, sizeof(data));
    lun_close(lun);
    lun_close(open_lun(TARGET, 1, false));
}

static void test_one_bad_number_does_not_end_the_session(void **state)
{
    (void)state;
    struct lun *lun = open_lun(TARGET, 1, true);
    struct scsi_command c[2];
    scsi_build_test_unit_ready(&c[0], 20000);
    scsi_build_test_unit_ready(&c[1], 1);
    assert_int_equal(scsi_run(lun->session, c, 2, 2, NULL), S_OK);
    assert_int_equal(c[0].result, E_INVALIDARG);
    assert_int_equal(scsi_error(lun->session, &c[1], NULL), S_OK);
    lun_close(lun);
}

static void test_tgtd_killed(void **state)
{
    (void)state;
    struct error err = {0};
    uint8_t *data = malloc(8u << 20);
    assert_non_null(data);
    struct lun *lun = open_lun(TARGET, 1, false);
    struct lun *idle = open_lun(TARGET, 2, false);
    assert_int_equal(kill(lab->tgtd_pid, SIGSTOP), 0); /* so that the commands are under way */
    assert_int_equal(kill(lab->tgtd_pid, SIGKILL), 0);
    uint64_t start = clock_monotonic_us();
    fill(data, 8u << 20, 9);
    assert_int_equal(block_write(&lun->block, 0, (8u << 20) / 512, data, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, "broke"));
    error_clear(&err);
    assert_int_equal(block_read(&idle->block, 0, 1, data, &err), VSS_E_UNEXPECTED);
    assert_non_null(strstr(err.text, TARGET));
    assert_true((clock_monotonic_us() - start) / 1000 < 5000);
    lun_close(lun);
    lun_close(idle);
    free(data);
    assert_open_fails(url_of(TARGET, 1), NULL, VSS_E_OBJECT_NOT_FOUND, lab->portal);
    error_clear(&err);
    must(lab_down(lab, &err), &err);
    bring_up();
}

/* ---- scan ---- */

static struct scan *scan(const char *only, enum scan_label labels)
{
    struct scan *found = NULL;
    struct error err = {0};
    must(scan_portal(lab->portal, only, labels, NULL, &found, &err), &err);
    assert_int_equal(found->target_error_count, 0);
    return found;
}

static void write_mbr(const char *file, uint32_t signature)
{
    uint8_t sector[512] = {0};
    int fd = open_file(file);
    memcpy(sector + 440, &signature, 4);
    memcpy(sector + 446, "\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16);
    sector[510] = 0x55;
    sector[511] = 0xaa;
    assert_int_equal(pwrite(fd, sector, sizeof(sector), 0), sizeof(sector));
    (void)close(fd);
}

static void make_gpt(const char *file)
{
    char path[400];
    struct error err = {0};
    (void)snprintf(path, sizeof(path), "%s/%s", lab->disks, file);
    const char *const argv[] = {"sgdisk", "-o",          "-n", "1:2048:4095",
                                "-n",     "7:8192:9000", path, NULL};
    must(process_run(argv, 120000, NULL, &err), &err);
}

static void test_scan(void **state)
{
    (void)state;
    add_lun("iqn.2026-11.org.lunshadow.test:another", 5, "five.img", 512);
    write_mbr("one.img", 0xcafe0001);
    make_gpt("far.img");
    struct scan *found = scan(NULL, SCAN_FULL_LABEL);
    assert_int_equal(found->count, 4); /* by target: another, disks; no controllers */
    assert_int_equal(found->luns[0].address.lun, 5);
    assert_int_equal(found->luns[1].address.lun, 1);
    assert_int_equal(found->luns[2].address.lun, 2);
    assert_int_equal(found->luns[3].address.lun, 300);
    for (size_t i = 0; i < found->count; i++) {
        struct lun *lun = NULL;
        struct error err = {0};
        must(found->luns[i].result, &found->luns[i].error);
        must(found->luns[i].label_result, &found->luns[i].label_error);
        assert_null(scan_duplicate(found, &found->luns[i]));
        must(lun_open(found->luns[i].url, NULL, true, &lun, &err), &err);
        const char *reason = NULL;
        assert_true(lun_info_matches(&lun->identity.info, &found->luns[i].identity.info, &reason));
        lun_close(lun);
    }
    assert_int_equal(found->luns[1].label->kind, VSS_DISK_LABEL_MBR);
    assert_int_equal(found->luns[1].label->mbr_signature, 0xcafe0001);
    assert_int_equal(found->luns[2].label->kind, VSS_DISK_LABEL_NONE);
    assert_int_equal(found->luns[3].label->kind, VSS_DISK_LABEL_GPT);
    assert_true(found->luns[3].label->backup_was_read && found->luns[3].label->backup.is_valid);
    assert_int_equal(found->luns[3].label->partition_count, 2);
    scan_free(found);

    found = scan(TARGET, SCAN_NO_LABEL);
    assert_int_equal(found->count, 3);
    assert_int_equal(found->luns[0].label_result, S_FALSE);
    assert_null(found->luns[0].label);
    scan_free(found);
    struct error err = {0};
    must(lab_remove_target(lab, "iqn.2026-11.org.lunshadow.test:another", &err), &err);
}

static void test_scan_failures(void **state)
{
    (void)state;
    struct scan *found = NULL;
    struct error err = {0};
    assert_int_equal(scan_portal("127.0.0.1:1", NULL, SCAN_NO_LABEL, NULL, &found, &err),
                     VSS_E_OBJECT_NOT_FOUND);
    assert_null(found);
    assert_int_equal(scan_portal("not a portal", NULL, SCAN_NO_LABEL, NULL, &found, NULL),
                     E_INVALIDARG);
    assert_int_equal(scan_portal(lab->portal, "iqn.2026-11.org.lunshadow.test:no", SCAN_NO_LABEL,
                                 NULL, &found, NULL),
                     VSS_E_OBJECT_NOT_FOUND);
}

/* Two LUNs that claim one scsi_id: what tells them apart is the serial. */
static void test_scan_duplicates(void **state)
{
    (void)state;
    static const char same[] = "6001405aaaaaaaaaaaaaaaaaaaaaaaaa";
    struct error err = {0};
    struct lab_lun_options options = {.target = "iqn.2026-11.org.lunshadow.test:twins",
                                      .lun = 1,
                                      .file = "t1.img",
                                      .bytes = 1 << 20,
                                      .block_bytes = 512,
                                      .scsi_id = same,
                                      .serial = "T1"};
    must(lab_add_lun(lab, &options, &err), &err);
    options.lun = 2;
    options.file = "t2.img";
    options.serial = "T2";
    must(lab_add_lun(lab, &options, &err), &err);
    struct scan *found = scan(options.target, SCAN_NO_LABEL);
    assert_int_equal(found->count, 2);
    assert_ptr_equal(scan_duplicate(found, &found->luns[0]), &found->luns[1]);
    assert_int_equal(lun_info_compare(&found->luns[0].identity.info, &found->luns[1].identity.info),
                     LUN_AMBIGUOUS);
    scan_free(found);
    must(lab_remove_target(lab, options.target, &err), &err);
}

static void timed_scan(enum scan_label labels, const char *what)
{
    uint64_t start = clock_monotonic_us();
    struct scan *found = scan(MANY_TARGET, labels);
    uint64_t took_us = clock_monotonic_us() - start;
    assert_int_equal(found->count, 255);
    for (size_t i = 0; i < found->count; i++) {
        must(found->luns[i].result, &found->luns[i].error);
        assert_int_equal(found->luns[i].address.lun, i + 1);
        assert_true(labels == SCAN_NO_LABEL || found->luns[i].label_result == S_OK);
    }
    print_message("scan of 255 LUNs, %s: %llu us\n", what, (unsigned long long)took_us);
    scan_free(found);
}

static void test_scan_of_255(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 255; i++) {
        char file[32];
        (void)snprintf(file, sizeof(file), "many%u.img", i);
        add_lun(MANY_TARGET, i, file, i % 2 ? 512 : 4096);
    }
    timed_scan(SCAN_NO_LABEL, "no labels");
    timed_scan(SCAN_PRIMARY_LABEL, "primary labels");
    timed_scan(SCAN_FULL_LABEL, "both labels");
}

int main(void)
{
    if (access("/usr/sbin/tgtd", X_OK) != 0) {
        print_message("skipped: tgtd is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_and_write),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_identify_again),
        cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_silent_portal),
        cmocka_unit_test(test_chap),
        cmocka_unit_test(test_reservation_is_a_conflict),
        cmocka_unit_test(test_timeout_is_real),
        cmocka_unit_test(test_one_bad_number_does_not_end_the_session),
        cmocka_unit_test(test_tgtd_killed),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_scan_failures),
        cmocka_unit_test(test_scan_duplicates),
        cmocka_unit_test(test_scan_of_255),
    };
    return cmocka_run_group_tests(tests, group_up, group_down);
}
