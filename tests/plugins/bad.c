/* SPDX-License-Identifier: Apache-2.0 */
/* A plug-in that does to its host process what "bad = KIND" of its section says, in the operation
 * whose number is in the file "marker = PATH", once: it removes the file first. Otherwise it
 * answers as a good one would. Built without sanitizers: its faults are meant. Built once more
 * WITHOUT_ON_LOAD. */
#include <fcntl.h>
#include <lunshadow/provider.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS = 1024, STATE_TOO_LARGE = VSS_PROVIDER_STATE_BYTES_MAX + 1, HUGE_BYTES = 40 << 20 };

static const char *config(const struct vss_call *call, const char *key)
{
    const char *value = call->host->config(call, key);
    return value ? value : "";
}

static int is(const struct vss_call *call, const char *kind)
{
    return strcmp(config(call, "bad"), kind) == 0;
}

static int is_socket(int fd)
{
    int type;
    socklen_t bytes = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0;
}

static void crash(void)
{
    (void)signal(SIGSEGV, SIG_DFL);
    volatile int *volatile nowhere = (volatile int *)8;
    *nowhere = 1;
}

static void hang(void)
{
    for (;;) {
        (void)pause();
    }
}

static void spin(void)
{
    for (volatile unsigned i = 0;; i++) {
    }
}

static void close_sockets(void)
{
    for (int fd = 3; fd < FDS; fd++) {
        if (is_socket(fd)) {
            (void)close(fd);
        }
    }
    hang();
}

/* 4 GiB of it, to every socket, or as much as anybody takes. */
static void write_garbage(unsigned char value)
{
    static char garbage[1 << 16];
    memset(garbage, value, sizeof(garbage));
    for (int fd = 3; fd < FDS; fd++) {
        for (int i = 0; is_socket(fd) && i < 1 << 16; i++) {
            if (send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL) < 0) {
                break;
            }
        }
    }
}

static void leak(void)
{
    for (int i = 0; i < 200; i++) {
        (void)!open("/dev/null", O_RDONLY); /* not even close-on-exec */
    }
}

/* A grandchild that keeps our end of the socket while we go. */
static void leave_child(void)
{
    if (fork() == 0) {
        hang();
    }
    _exit(4);
}

static void log_forever(const struct vss_call *call)
{
    for (;;) {
        call->host->log(call, VSS_LOG_ERROR, "and on and on");
    }
}

/* Holds somebody and never lets go. */
static void hold(const struct vss_call *call)
{
    struct vss_hold *held = NULL;
    struct vss_hold_target target = {.pid = atoi(config(call, "victim"))};
    if (call->host->hold_begin(call, &target, 1, 10000, &held) == S_OK) {
        hang();
    }
}

/* Says nothing of a hold that did not stand: one that somebody else ended, or that was too long. */
static void break_hold(const struct vss_call *call, uint32_t deadline_ms, int is_continued,
                       unsigned while_us)
{
    struct vss_hold *held = NULL;
    struct vss_hold_report report = {0};
    struct vss_hold_target target = {.pid = atoi(config(call, "victim"))};
    if (call->host->hold_begin(call, &target, 1, deadline_ms, &held) == S_OK) {
        if (is_continued) {
            (void)kill(target.pid, SIGCONT);
        }
        (void)usleep(while_us);
        (void)call->host->hold_end(call, held, &report);
    }
}

/* Somebody who works on when we return. */
static void start_child(void)
{
    if (fork() == 0) {
        hang();
    }
}

static void misbehave(const struct vss_call *call)
{
    if (is(call, "crash")) {
        crash();
    } else if (is(call, "abort")) {
        (void)signal(SIGABRT, SIG_DFL);
        abort();
    } else if (is(call, "exit")) {
        exit(3);
    } else if (is(call, "hang")) {
        hang();
    } else if (is(call, "spin")) {
        spin();
    } else if (is(call, "close")) {
        close_sockets();
    } else if (is(call, "garbage")) {
        write_garbage(0xa5);
    } else if (is(call, "zeros")) {
        write_garbage(0);
    } else if (is(call, "leak")) {
        leak();
    } else if (is(call, "fork")) {
        leave_child();
    } else if (is(call, "flood")) {
        log_forever(call);
    } else if (is(call, "hold")) {
        hold(call);
    } else if (is(call, "hold-continued")) {
        break_hold(call, 10000, 1, 300000);
    } else if (is(call, "hold-late")) {
        break_hold(call, 1000, 0, 1500000);
    } else if (is(call, "child")) {
        start_child();
    } else if (is(call, "child-hold")) {
        start_child();
        hold(call);
    }
}

/* Is it now? */
static int is_due(const struct vss_call *call, enum vss_provider_op op)
{
    char text[8] = "";
    int fd = open(config(call, "marker"), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    return n > 0 && atoi(text) == (int)op && unlink(config(call, "marker")) == 0;
}

static uint32_t lun_count(enum vss_provider_op op, const void *in)
{
    switch (op) {
    case VSS_OP_ARE_LUNS_SUPPORTED:
    case VSS_OP_FILL_IN_LUN_INFO:
    case VSS_OP_BEGIN_PREPARE_SNAPSHOT:
        return ((const struct vss_luns_in *)in)->lun_count;
    case VSS_OP_ON_LUN_STATE_CHANGE:
        return ((const struct vss_state_change_in *)in)->set.lun_count;
    case VSS_OP_RESYNC_START:
    case VSS_OP_RESYNC_POLL:
    case VSS_OP_RESYNC_CANCEL:
        return ((const struct vss_resync_in *)in)->lun_count;
    default:
        return ((const struct vss_set_in *)in)->lun_count;
    }
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static struct vss_state state_of(const struct vss_call *call, int is_bad)
{
    uint32_t bytes = 5;
    if (is_bad && is(call, "state")) {
        bytes = STATE_TOO_LARGE;
    }
    if (is_bad && is(call, "huge")) {
        bytes = HUGE_BYTES;
    }
    uint8_t *data = call->host->alloc(call, bytes);
    if (!data) {
        return (struct vss_state){0};
    }
    memcpy(data, "state", 5);
    if (is_bad && is(call, "empty")) {
        bytes = 0;
    }
    return (struct vss_state){.bytes = bytes, .data = data};
}

static void give_states(const struct vss_call *call, uint32_t count, int is_bad,
                        struct vss_states_out *out)
{
    struct vss_state *states = call->host->alloc(call, count * sizeof(*states));
    for (uint32_t i = 0; states && i < count; i++) {
        states[i] = state_of(call, is_bad);
    }
    out->states = states;
    out->first_cut_us = 1;
    out->last_cut_us = 2;
    if (is_bad && is(call, "pointer")) {
        out->states = (struct vss_state *)64;
        (void)signal(SIGSEGV, SIG_DFL);
    }
}

static struct vss_lun_info *give_luns(const struct vss_call *call, uint32_t count, int is_bad)
{
    struct vss_lun_info *luns = call->host->alloc(call, count * sizeof(*luns));
    for (uint32_t i = 0; luns && i < count; i++) {
        luns[i].version = 1;
        luns[i].serial_number = (char *)"serial";
        if (is_bad && is(call, "designator")) {
            struct vss_storage_identifier *id = call->host->alloc(call, sizeof(*id));
            *id = (struct vss_storage_identifier){.identifier_bytes = 300,
                                                  .identifier = call->host->alloc(call, 300)};
            luns[i].device_id.identifier_count = 1;
            luns[i].device_id.identifiers = id;
        }
    }
    return is_bad && is(call, "null") ? NULL : luns;
}

static void give_changes(const struct vss_call *call, const struct vss_changes_in *in, int is_bad,
                         struct vss_changes_out *out)
{
    uint32_t count = is_bad && is(call, "extents") ? in->extent_max + 1 : 1;
    out->extents = call->host->alloc(call, count * sizeof(*out->extents));
    out->extent_count = out->extents ? count : 0;
    out->is_known = 1;
    out->next_byte = in->from_byte + 1;
    if (is_bad && is(call, "no-extents")) {
        out->extents = NULL; /* and yet there is one */
    }
}

static void give(enum vss_provider_op op, const struct vss_call *call, const void *in, void *out,
                 int is_bad)
{
    struct vss_capabilities_out *capabilities = out;
    struct vss_supported_out *supported = out;
    struct vss_target_luns_out *targets = out;
    struct vss_resync_out *resync = out;
    switch (op) {
    case VSS_OP_LIST_CHANGES:
        give_changes(call, in, is_bad, out);
        break;
    case VSS_OP_GET_CAPABILITIES:
        capabilities->resync = VSS_CAPABILITY_NATIVE;
        capabilities->description = (char *)"bad on purpose";
        break;
    case VSS_OP_ARE_LUNS_SUPPORTED:
    case VSS_OP_FILL_IN_LUN_INFO:
        supported->is_supported = 1;
        supported->luns = give_luns(call, lun_count(op, in), is_bad);
        break;
    case VSS_OP_GET_TARGET_LUNS:
        targets->luns = give_luns(call, lun_count(op, in), is_bad);
        break;
    case VSS_OP_RESYNC_START:
    case VSS_OP_RESYNC_POLL:
    case VSS_OP_RESYNC_CANCEL:
        resync->is_done = 1;
        resync->state = state_of(call, is_bad);
        resync->method = (char *)"by magic";
        break;
    case VSS_OP_ON_LOAD:
    case VSS_OP_ON_UNLOAD:
    case VSS_OP_ON_LUN_EMPTY:
    case VSS_OP_COUNT:
        break;
    default:
        give_states(call, lun_count(op, in), is_bad, out);
        break;
    }
}

/* Tells a test what a process sees, through the error line. */
static void report(const struct vss_call *call)
{
    static const char line[] = "two\nlines \033[31m of \177 text";
    if (is(call, "line")) {
        call->host->error(call, line);
    } else if (is(call, "environment")) {
        const char *secret = getenv("LUNSHADOW_TEST_SECRET");
        call->host->error(call, secret ? secret : "no secret");
    } else if (is(call, "identity")) {
        call->host->error(call, getuid() == 65534 && geteuid() == 65534 && setuid(0) != 0
                                    ? "nobody"
                                    : "somebody");
    } else if (is(call, "service")) {
        struct vss_host_lun *lun = NULL;
        (void)call->host->lun_open(call, "nowhere", 0, &lun, NULL);
    } else if (is(call, "service-and-line")) {
        struct vss_host_lun *lun = NULL;
        (void)call->host->lun_open(call, "nowhere", 0, &lun, NULL);
        call->host->error(call, "its own line");
        call->host->error(call, "a second one");
    } else if (is(call, "fds")) {
        int count = 0;
        for (int fd = 0; fd < FDS; fd++) {
            count += fcntl(fd, F_GETFD) >= 0;
        }
        char text[] = "0 fds";
        text[0] = (char)('0' + (count < 9 ? count : 9));
        call->host->error(call, text);
    }
}

static HRESULT reply(enum vss_provider_op op, const struct vss_call *call, const void *in,
                     void *out)
{
    int is_bad = is_due(call, op);
    if (is_bad) {
        misbehave(call);
        report(call);
    }
    give(op, call, in, out, is_bad);
    int is_refusal = is(call, "line") || is(call, "environment") || is(call, "identity") ||
                     is(call, "service") || is(call, "service-and-line") || is(call, "fds");
    return is_bad && is_refusal ? VSS_E_PROVIDER_VETO : S_OK;
}

/* A callback is not told which one it is. */
#define CALLBACK(op)                                                                               \
    static HRESULT call_##op(void *self, const struct vss_call *call, const void *in, void *out)   \
    {                                                                                              \
        (void)self;                                                                                \
        return reply((enum vss_provider_op)(op), call, in, out);                                   \
    }
#ifdef WITHOUT_ON_LOAD
#define call_0 NULL
#else
CALLBACK(0)
#endif
CALLBACK(1)
CALLBACK(2)
CALLBACK(3)
CALLBACK(4)
CALLBACK(5)
CALLBACK(6)
CALLBACK(7)
CALLBACK(8)
CALLBACK(9)
CALLBACK(10)
CALLBACK(11)
CALLBACK(12)
CALLBACK(13)
CALLBACK(14)
CALLBACK(15)
CALLBACK(16)
CALLBACK(17)
CALLBACK(18)
CALLBACK(19)
CALLBACK(20)
CALLBACK(21)

static const vss_provider_callback ops[VSS_OP_COUNT] = {
    call_0,  call_1,  call_2,  call_3,  call_4,  call_5,  call_6,  call_7,
    call_8,  call_9,  call_10, call_11, call_12, call_13, call_14, call_15,
    call_16, call_17, call_18, call_19, call_20, call_21};

static const struct vss_provider_table table = {.magic = VSS_PROVIDER_MAGIC,
                                                .struct_size = sizeof(table),
                                                .abi_major = VSS_PROVIDER_ABI_MAJOR,
                                                .abi_minor = VSS_PROVIDER_ABI_MINOR,
                                                .provider_id = {.data1 = 0xbad},
                                                .version_id = {.data1 = 1},
                                                .name = "bad",
                                                .version = "1",
                                                .type = VSS_PROV_HARDWARE,
                                                .thread_model = VSS_THREADS_SERIALIZED,
                                                .op_count = VSS_OP_COUNT,
                                                .ops = ops};

const struct vss_provider_table *lunshadow_provider_entry(void);
__attribute__((visibility("default"))) const struct vss_provider_table *
lunshadow_provider_entry(void)
{
    return &table;
}
