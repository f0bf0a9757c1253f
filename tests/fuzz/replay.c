/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target over every file of the directories that are named, where there is no libFuzzer
 * to do it: so what was found once is tried in every run. Each file is also cut at some places and
 * changed at some, always the same ones. */

#include "fuzz/fuzz.h"

#include <dirent.h>
#include <string.h>

#define BYTES_MAX ((size_t)4 * 1024 * 1024)
#define CUTS      61

static uint8_t *read_file(const char *path, size_t *out_length)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = file ? malloc(BYTES_MAX) : NULL;
    if (!bytes) {
        perror(path);
        exit(1);
    }
    *out_length = fread(bytes, 1, BYTES_MAX, file);
    (void)fclose(file);
    return bytes;
}

/* A copy of its own size, so that a read behind the end is seen. */
static void run_copy(const uint8_t *bytes, size_t length, size_t changed, uint8_t change)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    fuzz_check(copy);
    memcpy(copy, bytes, length);
    if (changed < length) {
        copy[changed] ^= change;
    }
    (void)LLVMFuzzerTestOneInput(copy, length);
    free(copy);
}

static void run_file(const char *path)
{
    size_t length = 0;
    uint8_t *bytes = read_file(path, &length);
    run_copy(bytes, length, length, 0);
    for (size_t i = 1; i <= CUTS; i++) {
        size_t place = length * i / (CUTS + 1);
        run_copy(bytes, place, place, 0);
        run_copy(bytes, length, place, (uint8_t)(1u << (i % 8)));
    }
    free(bytes);
}

static size_t run_directory(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    if (!directory) {
        perror(path);
        exit(1);
    }
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        char file[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        run_file(file);
        count++;
    }
    (void)closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        count += run_directory(argv[i]);
    }
    printf("%zu inputs\n", count);
    return count > 0 ? 0 : 1;
}
