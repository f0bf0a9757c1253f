/* SPDX-License-Identifier: Apache-2.0 */
#include "label_util.h"

#include "common/id.h"

#include <unistd.h>
#include <zlib.h>

/* ---- disks in memory ---- */

static bool goes_wrong(struct memory_disk *disk)
{
    struct faults *f = disk->faults;
    if (!f) {
        return false;
    }
    f->calls++;
    return f->count > 0 && f->calls >= f->first && f->calls - f->first < f->count;
}

static HRESULT memory_read(struct block_device *dev, uint64_t lba, uint32_t blocks, void *data,
                           struct error *err)
{
    struct memory_disk *disk = (struct memory_disk *)dev;
    if (goes_wrong(disk) && !disk->faults->lie) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: injected read failure", dev->name);
    }
    disk->reads++;
    if (lba + blocks - 1 > disk->highest_read) {
        disk->highest_read = lba + blocks - 1;
    }
    memcpy(data, memory_block(disk, lba), (size_t)blocks * dev->block_bytes);
    return S_OK;
}

/* A write that goes wrong leaves its first half behind: the worst that a real one does. */
static HRESULT memory_write(struct block_device *dev, uint64_t lba, uint32_t blocks,
                            const void *data, struct error *err)
{
    struct memory_disk *disk = (struct memory_disk *)dev;
    size_t bytes = (size_t)blocks * dev->block_bytes;
    bool is_wrong = goes_wrong(disk);
    if (disk->faults && disk->faults->dead_after &&
        ++disk->faults->writes > disk->faults->dead_after) {
        return S_OK;
    }
    memcpy(memory_block(disk, lba), data, is_wrong ? bytes / 2 : bytes);
    if (is_wrong && !disk->faults->lie) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: injected write failure", dev->name);
    }
    return S_OK;
}

static HRESULT memory_flush(struct block_device *dev, struct error *err)
{
    struct memory_disk *disk = (struct memory_disk *)dev;
    if (goes_wrong(disk) && !disk->faults->lie) {
        return error_set(err, VSS_E_UNEXPECTED, "%s: injected flush failure", dev->name);
    }
    return S_OK;
}

static void memory_close(struct block_device *dev)
{
    memory_free((struct memory_disk *)dev);
}

static const struct block_device_ops memory_ops = {memory_read, memory_write, memory_flush,
                                                   memory_close};

struct memory_disk *memory_new(const char *name, uint64_t block_count, uint32_t block_bytes)
{
    struct memory_disk *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    disk->dev = (struct block_device){
        .ops = &memory_ops, .name = name, .block_bytes = block_bytes, .block_count = block_count};
    disk->bytes = calloc(block_count + 1, block_bytes);
    assert_non_null(disk->bytes);
    return disk;
}

struct memory_disk *memory_load(const char *path, uint32_t block_bytes)
{
    struct block_device *file = NULL;
    assert_int_equal(block_open_file(path, block_bytes, true, &file, NULL), S_OK);
    struct memory_disk *disk = memory_new("image", file->block_count, block_bytes);
    assert_int_equal(block_read(file, 0, (uint32_t)file->block_count, disk->bytes, NULL), S_OK);
    block_close(file);
    return disk;
}

struct memory_disk *memory_copy(const struct memory_disk *from)
{
    struct memory_disk *disk =
        memory_new(from->dev.name, from->dev.block_count, from->dev.block_bytes);
    memcpy(disk->bytes, from->bytes, memory_bytes(from));
    return disk;
}

void memory_free(struct memory_disk *disk)
{
    if (disk) {
        free(disk->bytes);
        free(disk);
    }
}

size_t memory_bytes(const struct memory_disk *disk)
{
    return (size_t)disk->dev.block_count * disk->dev.block_bytes;
}

uint8_t *memory_block(struct memory_disk *disk, uint64_t lba)
{
    return disk->bytes + lba * disk->dev.block_bytes;
}

struct label *must_read(struct block_device *dev, enum label_depth depth)
{
    struct error err = {S_OK, ""};
    struct label *label = NULL;
    HRESULT hr = label_read(dev, depth, &label, &err);
    if (FAILED(hr)) {
        fail_msg("label_read: %08x %s", (unsigned)hr, err.text);
    }
    assert_non_null(label);
    return label;
}

void must_refuse(struct block_device *dev, enum label_depth depth, HRESULT code, const char *text)
{
    struct error err = {S_OK, ""};
    struct label *label = NULL;
    assert_int_equal(label_read(dev, depth, &label, &err), code);
    assert_null(label);
    if (!strstr(err.text, text)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    }
}

void must_be(struct block_device *dev, int32_t kind)
{
    struct label *label = must_read(dev, LABEL_FULL);
    assert_int_equal(label->kind, kind);
    label_free(label);
    label = must_read(dev, LABEL_PRIMARY_ONLY);
    assert_int_equal(label->kind, kind);
    label_free(label);
}

/* ---- tools ---- */

__attribute__((format(printf, 2, 0))) static char *run(int *out_status, const char *format,
                                                       va_list args)
{
    char command[2048];
    int length = vsnprintf(command, sizeof(command), format, args);
    assert_true(length > 0 && (size_t)length < sizeof(command));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t capacity = 1 << 20;
    char *text = malloc(capacity);
    assert_non_null(text);
    size_t used = fread(text, 1, capacity - 1, pipe);
    text[used] = '\0';
    *out_status = pclose(pipe);
    return text;
}

char *tool(const char *format, ...)
{
    int status = 0;
    va_list args;
    va_start(args, format);
    char *text = run(&status, format, args);
    va_end(args);
    if (status != 0) {
        fail_msg("%s: status %d: %s", format, status, text);
    }
    return text;
}

char *tool_try(const char *format, ...)
{
    int status = 0;
    va_list args;
    va_start(args, format);
    char *text = run(&status, format, args);
    va_end(args);
    return text;
}

void need_tool(const char *name)
{
    /* An ordinary user's PATH lacks the places where they are. */
    const char *path = getenv("PATH");
    char wider[4096];
    (void)snprintf(wider, sizeof(wider), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
    assert_int_equal(setenv("PATH", wider, 1), 0);
    char *found = tool_try("command -v %s 2>/dev/null", name);
    bool is_there = found[0] != '\0';
    free(found);
    if (!is_there) {
        print_message("skipped: %s is not installed\n", name);
        skip();
    }
}

char *image_dir(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/lunshadow-label-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

void image_dir_remove(char *dir)
{
    free(tool("rm -rf '%s' 2>&1", dir));
    free(dir);
}

char *image_new(const char *dir, const char *name, uint64_t bytes)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)bytes), 0);
    assert_int_equal(fclose(file), 0);
    return strdup(path);
}

/* ---- sfdisk's view ---- */

/* The value behind "key=" or "key: " in a line of sfdisk's script form; "" where it is not there.
 */
static const char *script_value(const char *line, const char *key, char out[128])
{
    out[0] = '\0';
    const char *at = strstr(line, key);
    if (at) {
        at += strlen(key);
        at += strspn(at, " \"");
        size_t length = strcspn(at, ",\"\n");
        (void)snprintf(out, 128, "%.*s", (int)length, at);
    }
    return out;
}

static void same_id(const char *text, const VSS_ID *id)
{
    VSS_ID theirs;
    assert_true(id_parse(text, &theirs));
    assert_true(id_equal(&theirs, id));
}

static void compare_partition(const char *path, const char *line, const struct label *label,
                              const struct label_partition *ours)
{
    char value[128];
    assert_int_equal(ours->number, strtoul(line + strlen(path), NULL, 10));
    uint64_t start = strtoull(script_value(line, "start=", value), NULL, 10);
    uint64_t size = strtoull(script_value(line, "size=", value), NULL, 10);
    assert_int_equal(ours->first_lba, start);
    assert_int_equal(ours->last_lba, start + size - 1);
    if (label->kind == VSS_DISK_LABEL_MBR) {
        assert_int_equal(ours->mbr_type, strtoul(script_value(line, "type=", value), NULL, 16));
        return;
    }
    same_id(script_value(line, "type=", value), &ours->type_guid);
    same_id(script_value(line, "uuid=", value), &ours->guid);
    script_value(line, "name=", value);
    if (!strchr(value, '\\')) { /* not ASCII: written as escapes */
        assert_string_equal(ours->name, value);
    }
}

/* sfdisk has no option for the block size, fdisk has. */
char *script_of(const char *path, uint32_t block_bytes)
{
    if (block_bytes == 512) {
        return tool("sfdisk -d '%s' 2>&1", path);
    }
    free(tool("printf 'O\\n%s.script\\nq\\n' | fdisk -b %u '%s' 2>&1", path, block_bytes, path));
    char *text = tool("cat '%s.script'", path);
    free(tool("rm '%s.script'", path));
    return text;
}

static void compare_kind(const char *script, const struct label *label)
{
    char kind[128];
    char id[128];
    script_value(script, "label: ", kind);
    script_value(script, "label-id: ", id);
    if (label->kind == VSS_DISK_LABEL_MBR) {
        assert_string_equal(kind, "dos");
        assert_int_equal(label->mbr_signature, strtoul(id, NULL, 16));
    } else {
        assert_int_equal(label->kind, VSS_DISK_LABEL_GPT);
        assert_string_equal(kind, "gpt");
        same_id(id, label->primary.is_valid ? &label->primary.disk_guid : &label->backup.disk_guid);
    }
}

void compare_with_sfdisk(const char *path, const struct label *label)
{
    char *script = script_of(path, label->block_bytes);
    compare_kind(script, label);
    size_t count = 0;
    for (const char *line = script; line; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, path, strlen(path)) == 0) {
            assert_true(count < label->partition_count);
            compare_partition(path, line, label, &label->partitions[count++]);
        }
    }
    assert_int_equal(count, label->partition_count);
    free(script);
}

/* ---- images ---- */

char *make_mbr(const char *dir)
{
    char *path = image_new(dir, "mbr.img", 64u << 20);
    free(tool("printf '%%s\\n' 'label: dos' 'label-id: 0x1a2b3c4d' '2048,8192,83' '10240,4096,7' "
              "'16384,100000,f' 'start=18432,size=8192,type=83' 'start=32768,size=8192,type=82' "
              "'start=65536,size=4096,type=83' | sfdisk -q '%s' 2>&1",
              path));
    return path;
}

char *make_gpt(const char *dir)
{
    char *path = image_new(dir, "gpt.img", 64u << 20);
    free(tool("sgdisk -n 1:2048:+8M -c 1:'caf\303\251 data' -n 2:0:+8M -t 2:8200 -n 4:0:0 "
              "-t 4:0700 -A 4:set:2 '%s' 2>&1",
              path));
    return path;
}

char *make_gpt_4096(const char *dir)
{
    char *path = image_new(dir, "gpt4096.img", 64u << 20);
    free(tool("printf '%%s\\n' g n 1 '' +8M n 2 '' +8M n 3 '' '' x n 1 one A 2 r w "
              "| fdisk -b 4096 '%s' 2>&1",
              path));
    return path;
}

char *make_hybrid(const char *dir)
{
    char *path = image_new(dir, "hybrid.img", 64u << 20);
    free(tool("sgdisk -n 1:2048:+8M -n 2:0:+8M -n 3:0:+8M '%s' 2>&1", path));
    free(tool("sgdisk -h 1:2 '%s' 2>&1", path));
    /* sgdisk leaves the signature zero; give it one, as a Windows installer does. */
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 440, SEEK_SET), 0);
    assert_int_equal(fwrite("\x11\x22\x33\x44", 1, 4, file), 4);
    assert_int_equal(fclose(file), 0);
    return path;
}

char *make_gpt_256(const char *dir)
{
    char *path = image_new(dir, "gpt256.img", 64u << 20);
    free(tool("sgdisk -S 256 -n 1:2048:+8M -n 200:0:+8M -n 256:0:+8M '%s' 2>&1", path));
    return path;
}

/* ---- GPT by hand ---- */

uint64_t le_get(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

void le_put(uint8_t *at, int bytes, uint64_t value)
{
    for (int i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

void gpt_seal_header(struct memory_disk *disk, uint64_t lba)
{
    uint8_t *h = memory_block(disk, lba);
    le_put(h + 16, 4, 0);
    le_put(h + 16, 4, crc32(0, h, (uInt)le_get(h + 12, 4)));
}

void gpt_seal(struct memory_disk *disk, uint64_t lba)
{
    uint8_t *h = memory_block(disk, lba);
    uint64_t bytes = le_get(h + 80, 4) * le_get(h + 84, 4);
    const uint8_t *entries = memory_block(disk, le_get(h + 72, 8));
    le_put(h + 88, 4, crc32(0, entries, (uInt)bytes));
    gpt_seal_header(disk, lba);
}

static void write_entry(uint8_t *entry, uint8_t tag, uint64_t first, uint64_t last)
{
    memset(entry, tag, 16);
    memset(entry + 16, tag + 1, 16);
    le_put(entry + 32, 8, first);
    le_put(entry + 40, 8, last);
    entry[56] = 'a';
}

static void write_copy(struct memory_disk *disk, const struct gpt_spec *spec, uint64_t lba,
                       uint64_t alternate, uint64_t entries_lba, uint64_t blocks)
{
    uint64_t first = 2 + blocks;
    uint64_t last = disk->dev.block_count - 2 - blocks;
    uint8_t *h = memory_block(disk, lba);
    memcpy(h, "EFI PART\0\0\1\0", 12);
    le_put(h + 12, 4, spec->header_bytes);
    le_put(h + 24, 8, lba);
    le_put(h + 32, 8, alternate);
    le_put(h + 40, 8, first);
    le_put(h + 48, 8, last);
    memset(h + 56, 0x77, 16);
    le_put(h + 72, 8, entries_lba);
    le_put(h + 80, 4, spec->entry_count);
    le_put(h + 84, 4, spec->entry_bytes);
    uint8_t *entries = memory_block(disk, entries_lba);
    write_entry(entries, 0x10, first, first + 3);
    write_entry(entries + 2 * (size_t)spec->entry_bytes, 0x20, last - 3, last);
    gpt_seal(disk, lba);
}

void gpt_write(struct memory_disk *disk, const struct gpt_spec *spec)
{
    uint64_t last = disk->dev.block_count - 1;
    uint64_t bytes = (uint64_t)spec->entry_count * spec->entry_bytes;
    uint64_t blocks = (bytes + disk->dev.block_bytes - 1) / disk->dev.block_bytes;
    uint8_t *mbr = memory_block(disk, 0);
    mbr[446 + 4] = 0xee;
    le_put(mbr + 446 + 8, 4, 1);
    le_put(mbr + 446 + 12, 4, last > UINT32_MAX ? UINT32_MAX : last);
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
    write_copy(disk, spec, 1, last, 2, blocks);
    write_copy(disk, spec, last, 1, last - blocks, blocks);
}
