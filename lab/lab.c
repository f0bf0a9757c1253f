/* SPDX-License-Identifier: Apache-2.0 */
#include "lab/lab.h"

#include "lab/internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONGEST_DIRECTORY = 90 }; /* with "/tgtd.32767" within a socket address's 108 bytes */
enum { HOLD_MS = 10000 };        /* the most that the provider takes */

static HRESULT check_path(const char *path, struct error *err)
{
    if (strlen(path) > LONGEST_DIRECTORY) {
        return error_set(
            err, E_INVALIDARG,
            "%s is longer than %d bytes, too long for a socket in it; choose a shorter "
            "directory",
            path, LONGEST_DIRECTORY);
    }
    for (const char *c = path; *c; c++) {
        if (*c == ',' || (unsigned char)*c < ' ') {
            return error_set(
                err, E_INVALIDARG,
                "%s has a comma or a control character, which tgtd cannot take; choose "
                "another directory",
                path);
        }
    }
    return S_OK;
}

/* Makes directory ours alone and returns its absolute path, malloc'ed. */
static HRESULT prepare_directory(const char *directory, bool *made, char **out, struct error *err)
{
    struct stat st;
    bool empty = false;
    *made = mkdir(directory, 0700) == 0;
    if (!*made && errno != EEXIST) {
        return error_set_errno(err, errno, "cannot make the lab's directory %s", directory);
    }
    if (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        return error_set(err, E_ACCESSDENIED, "%s is not a directory of yours; choose another",
                         directory);
    }
    HRESULT hr = lab_tree_is_empty(directory, &empty, err);
    if (SUCCEEDED(hr) && !empty) {
        hr = error_set(err, E_INVALIDARG,
                       "%s is not empty; choose another directory (a lab in it is removed by \"lab "
                       "down\")",
                       directory);
    }
    if (FAILED(hr)) {
        return hr;
    }
    if (chmod(directory, 0700) != 0) {
        return error_set_errno(err, errno, "cannot make %s private", directory);
    }
    *out = realpath(directory, NULL);
    return *out ? S_OK : error_set_errno(err, errno, "cannot resolve %s", directory);
}

static HRESULT make_lab(const char *directory, struct lab **out, struct error *err)
{
    bool made = false;
    char *path = NULL;
    HRESULT hr = prepare_directory(directory, &made, &path, err);
    if (FAILED(hr)) {
        goto out;
    }
    hr = check_path(path, err);
    if (FAILED(hr)) {
        goto out;
    }
    *out = lab_new(path);
    if (!*out) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory making a lab");
        goto out;
    }
    (*out)->made_directory = made;
    hr = lab_state_create(*out, err);
out:
    if (FAILED(hr) && made) {
        (void)rmdir(directory);
    }
    free(path);
    return hr;
}

/* For writers of the lab's own: those of this machine have nothing to do with it. */
static HRESULT make_writers_directory(const struct lab *lab, struct error *err)
{
    char *path = text_printf("%s/writers.d", lab->directory);
    HRESULT hr = S_OK;
    if (!path) {
        hr = error_set(err, E_OUTOFMEMORY, "out of memory making a lab");
    } else if (mkdir(path, 0700) != 0) {
        hr = error_set_errno(err, errno, "cannot make %s", path);
    }
    free(path);
    return hr;
}

HRESULT lab_up(const struct lab_options *options, struct lab **out, struct error *err)
{
    *out = NULL;
    struct lab *lab = NULL;
    HRESULT hr = make_lab(options->directory, &lab, err);
    if (FAILED(hr)) {
        lab_detach(lab); /* no lab.conf: nothing of ours is there, or it is another's */
        return hr;
    }
    hr = make_writers_directory(lab, err);
    if (SUCCEEDED(hr)) {
        hr = lab_storage_up(lab, options, err);
    }
    if (SUCCEEDED(hr)) {
        lab->stock_allocator = options->stock_allocator;
        hr = lab_tgtd_start(lab, options->detached, err);
    }
    if (FAILED(hr)) {
        (void)lab_down(lab, err); /* err keeps the first text */
        return hr;
    }
    *out = lab;
    return S_OK;
}

HRESULT lab_restart(struct lab *lab, struct error *err)
{
    if (lab->tgtd.pidfd < 0) {
        return error_set(err, E_INVALIDARG, "the tgtd of %s is not this process's", lab->directory);
    }
    return lab_tgtd_restart(lab, err);
}

HRESULT lab_attach(const char *directory, struct lab **out, struct error *err)
{
    *out = NULL;
    char *path = realpath(directory, NULL);
    if (!path) {
        return errno == ENOENT || errno == ENOTDIR
                   ? error_set(err, VSS_E_OBJECT_NOT_FOUND, "no lab in %s", directory)
                   : error_set_errno(err, errno, "cannot resolve %s", directory);
    }
    HRESULT hr = lab_state_load(path, out, err);
    if (SUCCEEDED(hr)) {
        lab_tgtd_find(*out);
    }
    free(path);
    return hr;
}

/* All files, lab.conf last: while it is there, the next lab_down() knows where to go on. */
static HRESULT remove_files(const struct lab *lab, struct error *err)
{
    HRESULT hr = lab_tree_clear(lab->directory, "lab.conf", err);
    if (FAILED(hr)) {
        return hr;
    }
    lab_state_remove(lab);
    if (lab->made_directory && rmdir(lab->directory) != 0) {
        return error_set_errno(err, errno, "cannot remove %s", lab->directory);
    }
    return S_OK;
}

HRESULT lab_down(struct lab *lab, struct error *err)
{
    if (!lab) {
        return S_OK;
    }
    lab_storage_thaw(lab);
    HRESULT first = lab_tgtd_stop(lab, err);
    HRESULT hr = lab_storage_down(lab, err);
    first = FAILED(first) ? first : hr;
    if (SUCCEEDED(first)) {
        first = remove_files(lab, err);
    }
    lab_detach(lab);
    return first;
}

HRESULT lab_config(const struct lab *lab, struct buffer *out)
{
    return lab_config_with(lab, HOLD_MS, out);
}

HRESULT lab_config_with(const struct lab *lab, uint32_t max_hold_ms, struct buffer *out)
{
    buffer_printf(out, "[writers]\ndirectory = %s/writers.d\n\n", lab->directory);
    buffer_printf(out, "[portal lab]\naddress = %s\n\n", lab->portal);
    buffer_printf(out, "[array lab]\nprovider = tgt\nportal = %s\n", lab->portal);
    buffer_printf(out, "socket = %s\ncontrol_port = %u\n", lab->socket, lab->control_port);
    /* It is ours alone, so stopping all of it for a cut harms nobody, and for long neither: where
     * the filesystem cannot clone, copies are finished under the hold. */
    buffer_printf(out, "directory = %s\nallow_hold = yes\n", lab->disks);
    buffer_printf(out, "max_hold_ms = %u\n", max_hold_ms);
    return buffer_status(out);
}
